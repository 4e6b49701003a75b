// Owns the keys of experiment files: names, defaults, ranges and help.

#include "run/experiment_schema.h"

#include "core/preprocessing.h"
#include "distill/cache.h"

#define TEXT(s, k, m, d, h)     DC_FIELD(s, k, TEXT, m, d, .help = (h))
#define PATH(s, k, m, d, h)     DC_FIELD(s, k, PATH, m, d, .help = (h))
#define NAMED(s, k, m, kind, h) DC_FIELD(s, k, PATH, m, "", .search = DC_SEARCH_##kind, .help = (h))
#define BOOL(s, k, m, d, h)     DC_FIELD(s, k, BOOL, m, d, .help = (h))
#define TEXTS(s, k, m, d, h)    DC_FIELD(s, k, TEXTS, m, d, .help = (h))
#define INT(s, k, m, d, low, high, h)                                                              \
    DC_FIELD(s, k, INT, m, d, .minimum = (low), .maximum = (high), .help = (h))
#define REAL(s, k, m, d, low, high, h)                                                             \
    DC_FIELD(s, k, REAL, m, d, .minimum = (low), .maximum = (high), .help = (h))
#define NUMBERS(s, k, m, d, low, high, h)                                                          \
    DC_FIELD(s, k, NUMBERS, m, d, .minimum = (low), .maximum = (high), .help = (h))
#define CHOICE(s, k, m, d, list, h) DC_FIELD(s, k, CHOICE, m, d, .choices = (list), .help = (h))
#define CUSTOM(s, k, m, d, reader, writer, ...)                                                    \
    DC_FIELD(s, k, CUSTOM, m, d, .decode = (reader), .write = (writer), __VA_ARGS__)
#define OPTIONAL(s, k, m, there, sub, h)                                                           \
    DC_FIELD(s, k, OPTIONAL, m, "''", .group = (sub), .present = offsetof(struct s, there),        \
             .help = (h))

enum { FAR = 1000000000 };
#define SEED_MAX 4294967295.0

static const char *const losses[] = {"cross_entropy", "mean_squared_error", "binary_cross_entropy",
                                     "reconstruction", NULL};
static const char *const optimizers[] = {"sgd", "adamw", NULL};
static const char *const schedules[] = {"constant", "step", "multi_step", "cosine", NULL};
static const char *const layouts[] = {"auto", "nchw", "nhwc", NULL};
static const char *const keeps[] = {"best", "last", NULL};
static const char *const observers[] = {"moving_average", "min_max", "percentile", "mse",
                                        "entropy",        NULL};
static const char *const weight_observers[] = {"min_max", "percentile", "mse", NULL};
static const char *const weight_scales[] = {"auto", "calibrated", "learned", NULL};
static const char *const activation_scales[] = {"auto", "learned", "clipped", NULL};
static const char *const cache_types[] = {"float32", "float16", NULL};
static const char *const granularities[] = {"per_tensor", "per_channel", NULL};

static const struct dc_field data_fields[] = {
    TEXT(
        dc_data_spec, "source", source, "auto",
        "auto, idx, cifar10, cifar100, hdf5, npz, photos (JPEG, PNG, BMP) or series (recordings as "
        "CSV); those two in class folders, or listed in a table"),
    PATH(dc_data_spec, "path", path, NULL, "folder or file of the data set"),
    INT(dc_data_spec, "validation", validation, "0", 0, FAR,
        "samples cut from the training set for validation, the same share of each class"),
    INT(dc_data_spec, "split_seed", split_seed, "1", 0, SEED_MAX, "seed of that cut"),
    CUSTOM(dc_data_spec, "augment", augment, "[]", dc__decode_augment, dc__write_augment,
           .help = "list of augmentations, or a file with one"),
    INT(dc_data_spec, "augment_seed", augment_seed, "1", 0, SEED_MAX, "seed of augmentation"),
    CUSTOM(
        dc_data_spec, "normalize", normalize, "auto", dc__decode_normalize, dc__write_normalize,
        .group = &dc__normalize_schema,
        .help = "auto: from the training samples; or {mean, std} a channel, of values in [0, 1]"),
    DC_FIELD(
        dc_data_spec, "test", REAL, test, "0.2", .minimum = 0, .maximum = 0.9, .later = true,
        .help = "photos and recordings without a test set: the share of them, the same of each "
                "class, that is it; chosen by split_seed"),
    DC_FIELD(dc_data_spec, "samples", INT, samples, "0", .maximum = FAR, .later = true,
             .help = "train on so many of the training samples, the same share of each class, "
                     "chosen by split_seed; 0: all"),
    DC_FIELD(dc_data_spec, "window", INT, window, "0", .maximum = 1000000, .later = true,
             .help = "series: rows of a sample"),
    DC_FIELD(dc_data_spec, "stride", INT, stride, "0", .maximum = 1000000, .later = true,
             .help = "series: rows from one sample to the next; 0: the window"),
    DC_FIELD(dc_data_spec, "channel_columns", TEXTS, channel_columns, "[]", .later = true,
             .help = "series: columns that are read, by name; []: all"),
    DC_FIELD(dc_data_spec, "file_column", TEXT, file_column, "file", .later = true,
             .help = "table: the column with paths, relative to it"),
    DC_FIELD(
        dc_data_spec, "label_column", TEXTS, label_column, "[label]", .later = true, .filled = true,
        .help = "table: the column with labels, or several of values or tags; of recordings in "
                "one folder: their own column"),
    DC_FIELD(dc_data_spec, "split_column", TEXT, split_column, "split", .later = true,
             .help = "table: the column with train, test or val, if there is one"),
    DC_FIELD(dc_data_spec, "labels", CHOICE, labels, "classes", .choices = dc_label_kinds,
             .later = true,
             .help = "table: what the labels are; values: numbers (regression); tags: several at a "
                     "time, as a;b or in columns of 0 and 1"),
    CUSTOM(
        dc_data_spec, "resize", resize, "[]", dc__decode_resize, dc__write_resize,
        .group = &dc__resize_schema,
        .help = "photos: [height, width]; or {size, or height and width; method: bilinear, area or "
                "nearest; fit: stretch, crop or pad}"),
    TEXTS(dc_data_spec, "class_names", class_names, "[]",
          "names of the classes in label order, up to 16; default: those that come with the data; "
          "of photos: the folders' names in the order wanted"),
    INT(dc_data_spec, "channels", channels, "0", 0, 4, "photos: 1 or 3; 0: as the files are"),
    INT(dc_data_spec, "classes", classes, "0", 0, 65536,
        "number of classes; 0: as the training labels say"),
    DC_FIELD(dc_data_spec, "normal", INTEGERS, normal, "[]", .minimum = 0, .maximum = 65535,
             .help = "labels trained on by loss reconstruction, which is to tell all others from "
                     "them"),
    INT(dc_data_spec, "loader_depth", loader_depth, "4", 1, 1024, "batches held in memory"),
    INT(dc_data_spec, "loader_threads", loader_threads, "1", 1, 64, "threads that prepare them"),
};
static const struct dc_schema data_schema = DC_SCHEMA("data", data_fields);

static const struct dc_field train_fields[] = {
    INT(dc_train_spec, "epochs", config.epochs, "10", 0, 100000,
        "passes over the training samples"),
    INT(dc_train_spec, "batch", config.batch, "128", 1, 65536, "samples a batch"),
    INT(dc_train_spec, "accumulate", config.accumulate, "1", 1, 1024, "batches an optimizer step"),
    CHOICE(dc_train_spec, "loss", loss, "cross_entropy", losses,
           "loss on the labels; reconstruction: squared error from the network's own input"),
    REAL(dc_train_spec, "label_smoothing", label_smoothing, "0", 0, 0.999,
         "share of the label spread over all classes"),
    NUMBERS(dc_train_spec, "class_weights", class_weights, "[]", 0, FAR,
            "weight of each class in the label loss"),
    CHOICE(dc_train_spec, "optimizer", config.optimizer.kind, "sgd", optimizers, "optimizer"),
    REAL(dc_train_spec, "learning_rate", config.learning_rate, "0.1", 0, 1000,
         "the schedule's top"),
    REAL(dc_train_spec, "momentum", config.optimizer.momentum, "0.9", 0, 0.9999, "of sgd"),
    BOOL(dc_train_spec, "nesterov", config.optimizer.nesterov, "true", "of sgd"),
    REAL(dc_train_spec, "beta1", config.optimizer.beta1, "0.9", 0, 0.9999, "of adamw"),
    REAL(dc_train_spec, "beta2", config.optimizer.beta2, "0.999", 0, 0.999999, "of adamw"),
    REAL(dc_train_spec, "epsilon", config.optimizer.epsilon, "1e-8", 1e-16, 1, "of adamw"),
    REAL(dc_train_spec, "weight_decay", config.optimizer.weight_decay, "0.0005", 0, 1,
         "L2 (sgd), decoupled (adamw)"),
    TEXTS(dc_train_spec, "decay_exclude", decay_exclude, "[bias, norm, quantizer]",
          "roles or slice names without weight decay"),
    CHOICE(dc_train_spec, "schedule", config.schedule.kind, "cosine", schedules,
           "of the learning rate"),
    REAL(dc_train_spec, "warmup_epochs", config.schedule.warmup_epochs, "0", 0, 100000,
         "linear rise"),
    REAL(dc_train_spec, "warmup_start", config.schedule.start_fraction, "0", 0, 1,
         "share of the rate it starts from"),
    REAL(dc_train_spec, "step_epochs", config.schedule.step_epochs, "30", 0.001, 100000,
         "of schedule step"),
    REAL(dc_train_spec, "step_factor", config.schedule.factor, "0.1", 0, 1,
         "of schedules step, multi_step"),
    NUMBERS(dc_train_spec, "milestones", milestones, "[]", 0, 100000, "epochs, of multi_step"),
    REAL(dc_train_spec, "final_fraction", config.schedule.final_fraction, "0", 0, 1,
         "where cosine ends"),
    REAL(dc_train_spec, "clip_norm", config.clip_norm, "0", 0, 1e9,
         "largest gradient norm; 0: any"),
    REAL(dc_train_spec, "average_decay", config.average_decay, "0", 0, 0.999999,
         "moving average of the weights; 0: none"),
    INT(dc_train_spec, "patience", config.patience, "0", 0, 100000,
        "stop after so many epochs without a better validation; 0: never"),
    CHOICE(dc_train_spec, "keep", keep, "best", keeps, "which epoch's weights the stage gives"),
    TEXT(dc_train_spec, "init_from", init_from, "",
         "stage, or weights file (final.h5 of a run), to start from: layers of the same name"),
    TEXTS(dc_train_spec, "freeze", freeze, "[]", "layers that are not trained; NAME* is a prefix"),
    CUSTOM(dc_train_spec, "learning_rate_factors", learning_rate_factors, "{}", dc__decode_factors,
           dc__write_named,
           .help = "factor of the learning rate by layer or role: {NAME*: 0.1, quantizer: 0.5}"),
};
const struct dc_schema dc__train_schema = DC_SCHEMA("train", train_fields);

static const struct dc_field cache_fields[] = {
    PATH(dc_cache_keys, "path", path, "",
         "folder of the soft-target cache; where it is not stated, soft-targets in the run, which "
         "its stages share"),
    CHOICE(dc_cache_keys, "mode", mode, "epochs", dc_cache_modes,
           "epochs: each epoch's views; views: all of a finite augmentation; static: one output a "
           "sample, without augmentation"),
    CHOICE(dc_cache_keys, "type", type, "float32", cache_types, "of stored values"),
    INT(dc_cache_keys, "top", top, "0", 0, FAR,
        "logits kept of each view, the rest spread evenly; 0: all"),
    INT(dc_cache_keys, "block", block, "4096", 1, FAR, "samples a file"),
    BOOL(dc_cache_keys, "fill", fill, "true",
         "make what is missing as training goes; false: refuse to train before decant teach"),
};
static const struct dc_schema cache_schema = DC_SCHEMA("cache", cache_fields);

static const struct dc_field distill_fields[] = {
    TEXT(
        dc_distill_spec, "teacher", teacher, "",
        "who teaches: a stage before this one, 'average' (this network's own moving average), or a "
        "file of logits (HDF5 or NPY)"),
    CUSTOM(dc_distill_spec, "teachers", teachers, "{}", dc__decode_teachers, dc__write_named,
           .help = "several, whose probabilities are averaged: {NAME: weight}"),
    TEXTS(dc_distill_spec, "peers", peers, "[]",
          "instead: models of students that are trained along, all learning from each other "
          "(arXiv:1706.00384)"),
    OPTIONAL(dc_distill_spec, "cache", cache, caches, &cache_schema,
             "keep the teachers' outputs on disk"),
    CUSTOM(dc_distill_spec, "losses", losses, "[{kd: {weight: 0.9}}, {label: {weight: 0.1}}]",
           dc__decode_losses, dc__write_losses,
           .help = "list of loss terms, up to 16 (distill/terms.h)"),
};
const struct dc_schema dc__distill_schema = DC_SCHEMA("distill", distill_fields);

static const struct dc_field adaround_fields[] = {
    INT(dc_adaround_config, "iterations", iterations, "1000", 1, FAR, "steps of Adam a filter"),
    REAL(dc_adaround_config, "learning_rate", learning_rate, "0.01", 1e-6, 1, "of Adam"),
    REAL(dc_adaround_config, "regularization", regularization, "0.01", 0, 1000,
         "weight of what drives weights up or down"),
    REAL(dc_adaround_config, "warm_up", warm_up, "0.2", 0, 0.99,
         "share of the iterations without it"),
    REAL(dc_adaround_config, "beta_start", beta_start, "20", 1, 1000, "its exponent at first"),
    REAL(dc_adaround_config, "beta_end", beta_end, "2", 1, 1000, "and in the end"),
    INT(dc_adaround_config, "positions", positions, "16384", 1, FAR,
        "output positions of a layer, about, over which its inputs' moments are taken"),
};
static const struct dc_schema adaround_schema = DC_SCHEMA("adaround", adaround_fields);

static const struct dc_field oscillation_fields[] = {
    REAL(dc_oscillation_config, "momentum", momentum, "0.01", 1e-6, 1,
         "share of the newest step in a weight's frequency"),
    REAL(dc_oscillation_config, "dampening", dampening, "0", 0, 1e6,
         "weight of (rounded - real weight)^2 in the loss at the end; rises from 0"),
    REAL(dc_oscillation_config, "threshold", threshold, "0", 0, 1,
         "frequency above which a weight is frozen, at the end; 0: none is"),
    REAL(dc_oscillation_config, "threshold_start", threshold_start, "0.1", 0, 1,
         "the same when freezing starts"),
    REAL(dc_oscillation_config, "freeze_start", freeze_start, "0.25", 0, 0.99,
         "share of the training before which none is"),
    REAL(dc_oscillation_config, "reported_frequency", reported_frequency, "0.005", 0, 1,
         "above which a weight counts as oscillating in results"),
};
static const struct dc_schema oscillation_schema = DC_SCHEMA("oscillation", oscillation_fields);

static const struct dc_field quantize_fields[] = {
    CHOICE(dc_quantize_spec, "observer", observer, "moving_average", observers,
           "how ranges of activations are found (qat/observe.h); percentile, mse and entropy in "
           "calibration alone"),
    REAL(dc_quantize_spec, "percentile", percentile, "0.9999", 0.5, 1,
         "share of the values that each end of a range keeps, of observer percentile"),
    INT(dc_quantize_spec, "weights", weights, "8", 2, 8, "bits of weights"),
    INT(dc_quantize_spec, "activations", activations, "8", 2, 8,
        "bits of activations; the input has 8"),
    INT(dc_quantize_spec, "first_last", first_last, "0", 0, 8,
        "bits of the first and the last layer's weights, of what the last reads and of the output; "
        "0: as the rest"),
    CUSTOM(dc_quantize_spec, "layers", layers, "{}", dc__decode_bits, dc__write_bits,
           .group = &dc__bits_schema,
           .help = "other bits for single layers: {LAYER: {weights, activations}}"),
    CHOICE(dc_quantize_spec, "weight_scale", weight_scale, "auto", weight_scales,
           "calibrated: found once; learned: trained from there (LSQ); auto: the largest weight's "
           "at every step, or calibrated where another observer asks for it"),
    CHOICE(dc_quantize_spec, "activation_scale", activation_scale, "auto", activation_scales,
           "auto: of the observed range; learned: trained from there (LSQ); clipped: its upper end "
           "is (PACT)"),
    REAL(dc_quantize_spec, "clip_decay", clip_decay, "0.0001", 0, 1,
         "of activation_scale clipped: the loss has this times each squared clip added"),
    BOOL(dc_quantize_spec, "power_of_two", power_of_two, "false",
         "all scales are powers of two; folds batch normalization"),
    INT(dc_quantize_spec, "accumulator_bits", accumulator_bits, "32", 16, 32,
        "weights are scaled down until no sum can leave so many bits; with weight_scale auto"),
    BOOL(dc_quantize_spec, "symmetric", symmetric, "false", "activations have zero point 0"),
    BOOL(dc_quantize_spec, "fold_batch_norm", fold_batch_norm, "false",
         "batch normalization moves into the layers before it, with its running statistics, before "
         "anything is measured; power_of_two, equalize and conv_granularity per_tensor do so by "
         "themselves"),
    CHOICE(dc_quantize_spec, "weight_observer", weight_observer, "min_max", weight_observers,
           "how scales of weights are found"),
    REAL(dc_quantize_spec, "weight_percentile", weight_percentile, "0.9999", 0.5, 1,
         "share of a scale's weights that are not clipped, of weight_observer percentile"),
    INT(dc_quantize_spec, "equalize", equalize, "0", 0, 1000,
        "rounds of cross-layer equalization before anything is measured; folds batch "
        "normalization"),
    BOOL(dc_quantize_spec, "correct_bias", correct_bias, "false",
         "calibration alone: biases take back what quantization moved on average"),
    BOOL(dc_quantize_spec, "re_estimate_batch_norm", re_estimate_batch_norm, "false",
         "batch normalization's statistics are measured anew under quantization, in the end"),
    OPTIONAL(dc_quantize_spec, "oscillation", oscillation, tracks, &oscillation_schema,
             "follow, dampen or freeze weights that oscillate between codes (qat/oscillation.h)"),
    OPTIONAL(dc_quantize_spec, "adaround", adaround, adarounds, &adaround_schema,
             "calibration alone: choose which way each weight rounds (qat/adaround.h)"),
    CHOICE(dc_quantize_spec, "conv_granularity", conv_granularity, "per_channel", granularities,
           "scales of convolutions' weights"),
    REAL(dc_quantize_spec, "average_constant", average_constant, "0.01", 1e-6, 1,
         "share of the newest batch in the moving average"),
    CHOICE(dc_quantize_spec, "dense_granularity", dense_granularity, "per_tensor", granularities,
           "scales of dense weights"),
    INT(dc_quantize_spec, "calibration_samples", calibration_samples, "1024", 1, FAR,
        "training samples that fill the observers first, where a stage starts from trained "
        "weights"),
    INT(dc_quantize_spec, "start_epoch", start_epoch, "0", 0, FAR,
        "fake quantization passes values through before it"),
    INT(dc_quantize_spec, "freeze_observers_epoch", freeze_observers_epoch, "-1", -1, FAR,
        "ranges are kept from this epoch on; -1: never"),
    INT(dc_quantize_spec, "freeze_batch_norm_epoch", freeze_batch_norm_epoch, "-1", -1, FAR,
        "batch normalization keeps its statistics from this epoch on; -1: never"),
};
const struct dc_schema dc__quantize_schema = DC_SCHEMA("quantize", quantize_fields);

static const struct dc_field stage_fields[] = {
    TEXT(dc_stage, "from", from, "", "stage whose network, settings and weights this one takes"),
    NAMED(dc_stage, "model", model, MODEL,
          "name of a model, its file, or a network as ONNX or TFLite with its weights"),
    PATH(dc_stage, "weights", weights, "",
         "weights file of a run (final.h5), or safetensors of PyTorch, to start from"),
    DC_FIELD(dc_stage, "weights_names", PATH, weights_names, "", .later = true,
             .help = "of safetensors: a file with lines LAYER: NAME IN THE FILE"),
    CUSTOM(dc_stage, "normalize", normalize, "auto", dc__decode_normalize, dc__write_normalize,
           .group = &dc__normalize_schema,
           .help = "auto: as the data; or {mean, std} that this network was trained with"),
    CUSTOM(dc_stage, "parameters", parameters, "{}", dc__decode_parameters, dc__write_named,
           .help = "values for the model's parameters"),
    DC_FIELD(dc_stage, "layout", CHOICE, layout, "auto", .choices = layouts, .later = true,
             .help = "order of an image's axes in an ONNX file; auto: what reads it says it"),
    DC_FIELD(dc_stage, "output", TEXT, output, "", .later = true,
             .help = "of an ONNX or TFLite file: the value taken for its result; empty: its first"),
    INT(dc_stage, "seed", seed, "-1", -1, SEED_MAX, "of weights and order; -1: the experiment's"),
    OPTIONAL(dc_stage, "train", train, trains, &dc__train_schema, "training"),
    OPTIONAL(dc_stage, "distill", distill, distills, &dc__distill_schema,
             "distillation from a teacher"),
    OPTIONAL(dc_stage, "quantize", quantize, quantizes, &dc__quantize_schema,
             "simulated int8; without train: calibration alone"),
    TEXT(dc_stage, "export", export.stage, "", "quantized stage to export"),
    DC_FIELD(dc_stage, "c_name", TEXT, export.c_name, "", .later = true,
             .help = "what the C and its files are called; else as the model"),
    TEXTS(dc_stage, "formats", export.formats, "[bundle, c]",
          "what is written; onnx and tflite beside"),
    INT(dc_stage, "vectors", export.vectors, "8", 0, 4096, "test vectors in the bundle"),
    BOOL(dc_stage, "verify", export.verify, "true", "prove the export on the whole test split"),
};
const struct dc_schema dc__stage_schema = DC_SCHEMA("a stage", stage_fields);

static const struct dc_field limits_fields[] = {
    DC_FIELD(dc_limits_spec, "memory", BYTES, memory, "0", .maximum = 1e15,
             .help = "the most that a file of data may declare, as 8GiB, 500MiB or bytes; 0: half "
                     "of what the process may use"),
};
static const struct dc_schema limits_schema = DC_SCHEMA("limits", limits_fields);

static const struct dc_field cascade_fields[] = {
    REAL(dc_cascade_spec, "accuracy", accuracy, NULL, 0.01, 0.9999,
         "that samples settled on the device are to have, with 95 % confidence"),
    TEXT(dc_cascade_spec, "teacher", teacher, "",
         "stage that gets the other samples; default: the first that others learn from"),
};
static const struct dc_schema cascade_schema = DC_SCHEMA("cascade", cascade_fields);

static const struct dc_field experiment_fields[] = {
    DC_FIELD(dc_experiment, "limits", GROUP, bounds, NULL, .group = &limits_schema,
             .unhashed = true, .help = "what files may ask for"),
    TEXT(dc_experiment, "name", name, NULL, "name of the experiment"),
    INT(dc_experiment, "seed", seed, "1", 0, SEED_MAX, "of initial weights and sample order"),
    DC_FIELD(dc_experiment, "seeds", INTEGERS, seeds, "[]", .maximum = SEED_MAX, .unhashed = true,
             .help = "in place of seed: decant run carries the stages out once for each, in "
                     "RUN/seed-N, and tells means and standard errors"),
    DC_FIELD(dc_experiment, "data", GROUP, data, NULL, .group = &data_schema),
    NAMED(dc_experiment, "target", target, TARGET,
          "name of a target, or its file: arithmetic and limits (run/target.h)"),
    DC_FIELD(dc_experiment, "cascade", OPTIONAL, cascade, "''", .group = &cascade_schema,
             .present = offsetof(struct dc_experiment, cascades), .unhashed = true,
             .help = "when the exported integers are sure enough (run/cascade.h)"),
    DC_FIELD(dc_experiment, "stages", MAPPING, stage_list, NULL, .help = "what is done, in order"),
};
const struct dc_schema dc__experiment_schema = DC_SCHEMA("the experiment", experiment_fields);

const struct dc_schema *const dc__experiment_places[] = {&dc__experiment_schema, &dc__stage_schema,
                                                         NULL};

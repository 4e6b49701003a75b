// The experiment file: one YAML file is the whole record of a run.
//
// Owns its structs and the schema tables behind them. Reading is strict and needs no data. What the
// file leaves out is filled in from the tables' defaults and from the stage it names in `from`, and
// dc_experiment_write prints the result: every number that shapes a run.

#ifndef DC_RUN_EXPERIMENT_H
#define DC_RUN_EXPERIMENT_H

#include <jansson.h>

#include "core/preprocessing.h"
#include "core/schema.h"
#include "data/augment.h"
#include "distill/terms.h"
#include "qat/adaround.h"
#include "qat/oscillation.h"
#include "run/model.h"
#include "train/train.h"

enum { DC_STAGES_MAX = 32 };

struct dc_augmentation_list {
    int count;
    struct dc_augmentation items[DC_LIST_MAX];
};

struct dc_normalize_spec {
    bool automatic;  // from the training samples
    struct dc_numbers mean, deviation;
};

struct dc_data_spec {
    const char *source, *path;
    int64_t validation, split_seed, augment_seed;
    struct dc_augmentation_list augment;
    struct dc_normalize_spec normalize;
    struct dc_resize resize;
    double test;  // the share of photographs that is the test set where none is
    struct dc_texts class_names;
    int64_t channels, classes, samples, loader_depth, loader_threads;
    int64_t window, stride;  // of series
    struct dc_texts channel_columns;
    const char *file_column, *split_column;  // of tables
    struct dc_texts label_column;
    int labels;                // enum dc_label_kind
    struct dc_numbers normal;  // classes that are trained on; empty: all
};

// What files may ask of this process; it shapes no result.
struct dc_limits_spec {
    int64_t memory;  // bytes; 0: dc_memory_default (core/bounds.h)
};

struct dc_loss_list {
    int count;
    struct dc_term_spec items[DC_TERMS_MAX];
};

struct dc_named_values {
    int count;
    struct dc_named_value items[DC_LIST_MAX];
};

struct dc_train_spec {
    struct dc_train_config config;  // what the keys say; run/stage.c adds what they imply
    int loss;                       // as dc_label_loss.kind (distill/terms.h)
    double label_smoothing;
    struct dc_numbers class_weights;
    struct dc_texts decay_exclude;  // roles or slice patterns
    struct dc_numbers milestones;
    int keep;                                      // best, last
    const char *init_from;                         // a stage or a weights file
    struct dc_texts freeze;                        // slice patterns
    struct dc_named_values learning_rate_factors;  // by slice pattern
};

// Where a teacher's outputs are kept, and how (distill/cache.h).
struct dc_cache_keys {
    const char *path;  // "": DC_CACHE_IN_RUN
    int mode;          // enum dc_cache_mode
    int type;          // float32, float16
    int64_t top, block;
    bool fill;
};

#define DC_CACHE_IN_RUN "soft-targets"  // of the run directory

struct dc_distill_spec {
    const char *teacher;              // one, by name
    struct dc_named_values teachers;  // or several, each with its weight
    struct dc_texts peers;            // or students trained along: model files
    bool caches;
    struct dc_cache_keys cache;
    struct dc_loss_list losses;
};

// Bits of single layers (qat/quantize.h).
struct dc_bits_list {
    int count;
    struct dc_bits_entry {
        const char *name;
        int64_t weights, activations;  // 0: as the rest
    } items[DC_LIST_MAX];
};

enum { DC_PER_TENSOR, DC_PER_CHANNEL };

struct dc_quantize_spec {
    int observer;  // enum dc_observer
    double average_constant, percentile;
    int64_t weights, activations, first_last;  // bits
    struct dc_bits_list layers;
    int64_t accumulator_bits;
    int weight_scale;      // auto, calibrated, learned
    int activation_scale;  // auto, learned, clipped
    double clip_decay;
    bool power_of_two, symmetric, fold_batch_norm, correct_bias, re_estimate_batch_norm;
    int64_t equalize;     // rounds
    int weight_observer;  // min_max, percentile, mse
    double weight_percentile;
    bool tracks;
    struct dc_oscillation_config oscillation;
    bool adarounds;
    struct dc_adaround_config adaround;
    int conv_granularity, dense_granularity;  // DC_PER_TENSOR, DC_PER_CHANNEL
    int64_t calibration_samples;
    int64_t start_epoch, freeze_observers_epoch, freeze_batch_norm_epoch;  // -1: never
};

struct dc_export_spec {
    const char *stage;
    const char *c_name;  // of the C and its files; "": the model's
    struct dc_texts formats;
    int64_t vectors;
    bool verify;
};

struct dc_stage {
    const char *name;
    const struct dc_yaml *where;
    const char *from, *model, *weights;  // weights: a file to start from
    const char *weights_names;           // what a safetensors file calls the layers; "": the same
    struct dc_normalize_spec normalize;  // automatic: as the data
    struct dc_named_values parameters;
    int layout;          // enum dc_onnx_layout, of an ONNX model's image
    const char *output;  // of an imported model; "": its first
    int64_t seed;
    bool trains, distills, quantizes, exports;
    // It takes the integers of its file as they are: it then counts as one that quantizes, but has
    // nothing to measure. Told by the file, never stated (run/experiment_resolve.c).
    bool integers;
    struct dc_train_spec train;
    struct dc_distill_spec distill;
    struct dc_quantize_spec quantize;
    const char *profile;        // of the experiment's target; "": none
    enum dc_label_kind labels;  // of the experiment's data
    struct dc_export_spec export;
};

// What a target can hold and compute (run/target.h). Empty names: there is none.
struct dc_target_limits {
    const char *name, *profile;
    struct dc_numbers weight_bits, activation_bits;
    bool per_tensor, symmetric, power_of_two;
    int64_t bias_bits, accumulator_bits;
    struct dc_texts formats;
    struct dc_texts functions;
    int64_t alignment;
    int64_t pe, simd;  // and bit_order: of memory images (struct dc_tiling)
    int bit_order;
    bool packed_weights;
    int64_t flash, ram, macs, instructions;  // 0: any
    double clock_mhz, latency_ms;            // 0: not said, any
    double cycles_per_instruction;
    int core, optimization;  // enum dc_core, enum dc_optimization: of what code is estimated for
    bool selftest;           // the embedded vectors are kept in flash
    const struct dc_yaml *where;  // the file's mapping; NULL: there is none
};

// Samples of which the integers are sure stay on the device, the others go to a teacher
// (run/cascade.h).
struct dc_cascade_spec {
    double accuracy;      // of those that stay
    const char *teacher;  // a stage; "": the first that others learn from
};

struct dc_experiment {
    struct dc_arena *arena;
    const char *path, *name;
    const char *text;  // of an experiment that was given as text; else NULL
    int64_t seed;
    struct dc_numbers seeds;  // or several, a run each (run/sweep.c)
    struct dc_limits_spec bounds;
    struct dc_data_spec data;
    const char *target;   // file; "": none
    const char *profile;  // from the target
    struct dc_target_limits limits;
    bool cascades;
    struct dc_cascade_spec cascade;
    const struct dc_yaml *stage_list;
    int stage_count;
    struct dc_stage stages[DC_STAGES_MAX];
};

// path: a file, or a name (core/search.h). overrides: "a.b=c" texts of --set, in order.
DC_MUST_USE enum dc_status dc_experiment_read(struct dc_experiment **experiment, const char *path,
                                              const char *const *overrides, int override_count,
                                              struct dc_error *error);
// The same of a text, read as if it stood in the file `path`, be there one or not; text NULL: as
// above.
DC_MUST_USE enum dc_status dc_experiment_parse(struct dc_experiment **experiment, const char *text,
                                               const char *path, const char *const *overrides,
                                               int override_count, struct dc_error *error);
void dc_experiment_free(struct dc_experiment *experiment);  // NULL is allowed

// Tells of keys that have no effect where they stand: a momentum under AdamW, a warm-up that is not
// over when training is.
void dc_experiment_warn(const struct dc_experiment *experiment, const struct dc_log_sink *log);

// The node of a stage's key, for messages; group NULL: a key of the stage itself. The stage where
// the key is not stated (inherited or a default).
const struct dc_yaml *dc_stage_place(const struct dc_stage *stage, const char *group,
                                     const char *key);

// The teachers of a stage: a stage before it, its own moving average, or a file of logits, by name;
// weights sum to 1.
#define DC_TEACHER_AVERAGE "average"
int dc_stage_teachers(const char *names[DC_TEACHERS_MAX], double weights[DC_TEACHERS_MAX],
                      const struct dc_stage *stage);

// The stage whose network a teacher of this name is: of the average the stage itself; NULL: a file.
const struct dc_stage *dc_teacher_stage(struct dc_experiment *experiment,
                                        const struct dc_stage *stage, const char *name);

// Whether training has samples to validate on: some are cut, or the data has a folder of them.
bool dc_data_has_validation(const struct dc_experiment *experiment);

// Whether the stage's network is to give back its input (train.loss reconstruction).
bool dc_stage_reconstructs(const struct dc_stage *stage);
// Whether it tells classes apart: it does not reconstruct, and labels are no values or tags.
bool dc_stage_classifies(const struct dc_stage *stage);
enum dc_measure dc_stage_measure(const struct dc_stage *stage);

// The key that `word` names, as --set takes it: "stages.STAGE.train.learning_rate" for lr. False:
// there is none.
bool dc_experiment_find_key(char path[128], const char *word);

struct dc_stage *dc_experiment_stage(struct dc_experiment *experiment, const char *name);

// The same for a command: DC_ERR_USAGE with a suggestion and the stages there are. owner: the file
// or the run, in the message.
DC_MUST_USE enum dc_status dc_want_stage(struct dc_stage **stage, struct dc_experiment *experiment,
                                         const char *owner, const char *name,
                                         struct dc_error *error);

// resolved.yaml: reads back as the same experiment.
void dc_experiment_write(struct dc_text_buffer *out, const struct dc_experiment *experiment);

// The stage's settings as JSON, those of resolved.yaml, with the seed that holds for it. The caller
// decrefs *settings.
DC_MUST_USE enum dc_status dc_stage_settings(json_t **settings,
                                             const struct dc_experiment *experiment,
                                             const struct dc_stage *stage, struct dc_error *error);

// Hash of everything that shapes a stage's result: data, seeds, target, model file, the stage and
// the stages it builds on.
DC_MUST_USE enum dc_status dc_stage_hash(uint64_t *hash, struct dc_experiment *experiment,
                                         const struct dc_stage *stage, struct dc_error *error);

#endif

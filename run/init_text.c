// Owns the words of an experiment that `decant init` writes. It chooses nothing.

#include <string.h>

#include "run/init_internal.h"
#include "run/log.h"
#include "run/report.h"

static const char *const models[DC__INIT_FAMILIES] = {"image-resnet", "ds-cnn-1d", "mlp"};

static void head(struct dc_text_buffer *out, const struct dc__init_plan *p)
{
    char time[32], train[32];
    dc_text_append(out,
                   "# Written by `decant init %s` (Decant " DECANT_VERSION ").\n"
                   "# Every number is yours to change. It runs as it is:\n"
                   "#   decant check %s    # shapes and costs, at once\n"
                   "#   decant run %s      # about %s on two free cores\n"
                   "# %s samples to train on, %d %s.\n",
                   p->options->data, p->options->out, p->options->out,
                   dc_duration_text(time, p->seconds), dc_with_commas(train, p->train), p->classes,
                   dc_label_kinds[p->labels]);
    dc_text_append(out, "name: %s\nseed: 1\n", p->name);
}

static void photo_keys(struct dc_text_buffer *out, const struct dc__init_plan *p)
{
    char count[32], grey[32];
    if (!p->photos)
        return;
    dc_text_append(out, "  # %s\n", p->resize_why);
    if (p->fit_why)
        dc_text_append(out, "  # %s\n", p->fit_why);
    if (p->resize.height > 0)
        dc_text_append(out, "  resize: {height: %d, width: %d, method: %s, fit: %s}\n",
                       p->resize.height, p->resize.width, dc_resize_methods[p->resize.method],
                       dc_resize_fits[p->resize.fit]);
    dc_text_append(out, "  # %s of %s photographs are grey.\n  channels: %d\n",
                   dc_with_commas(grey, p->survey.grey), dc_with_commas(count, p->survey.count),
                   p->channels);
    if (p->survey.note && strstr(p->survey.note, "are the test set"))
        dc_text_append(out,
                       "  # There is no test/: a fifth of each class is the test set, chosen by "
                       "split_seed.\n  test: %g\n  split_seed: 1\n",
                       DC_TEST_SHARE);
}

static void augmentation(struct dc_text_buffer *out, const struct dc__init_plan *p)
{
    if (p->family != DC__INIT_IMAGES || !p->bytes)
        return;
    const int64_t side = p->sample.dims[0] < p->sample.dims[1] ? p->sample.dims[0]
                                                               : p->sample.dims[1];
    const long long pad = side / 8 > 0 ? side / 8 : 1;
    if (p->channels == 1)
        dc_text_append(
            out,
            "  # Shifted by up to an eighth. Not mirrored: digits and letters would become "
            "others.\n  # Where left and right do not matter, add: flip: {probability: "
            "0.5}\n  augment: [pad_crop: {pad: %lld}]\n",
            pad);
    else
        dc_text_append(out,
                       "  # Shifted by up to an eighth and mirrored. Take flip out where left and "
                       "right matter:\n  # text, digits, arrows.\n"
                       "  augment: [pad_crop: {pad: %lld}, flip: {probability: 0.5}]\n",
                       pad);
}

static void data_section(struct dc_text_buffer *out, const struct dc__init_plan *p)
{
    dc_text_append(out, "data:\n  source: %s\n  path: ", p->kind);
    dc_text_append_scalar(out, p->path);
    dc_text_append(out, "\n");
    if (p->label_count > 0) {
        dc_text_append(out, "  label_column: [");
        for (int i = 0; i < p->label_count; i++) {
            dc_text_append(out, "%s", i ? ", " : "");
            dc_text_append_scalar(out, p->label_columns[i]);
        }
        dc_text_append(out, "]\n");
    }
    if (p->labels == DC_LABELS_VALUES)
        dc_text_append(out,
                       "  # Numbers to be told (regression). Best within -1 to 1 or so: scale them "
                       "before, if they are not.\n  labels: values\n");
    if (p->labels == DC_LABELS_TAGS)
        dc_text_append(out, "  # Several may hold for one sample.\n  labels: tags\n");
    if (p->window > 0)
        dc_text_append(
            out,
            "  # Rows of a sample, and from one to the next. A recording is in one split "
            "as a whole.\n  window: %lld\n  stride: %lld\n",
            (long long)p->window, (long long)p->stride);
    photo_keys(out, p);
    if (p->samples > 0)
        dc_text_append(out,
                       "  # A first look trains on few; take this out to train on all.\n"
                       "  samples: %lld\n",
                       (long long)p->samples);
    if (p->validation > 0)
        dc_text_append(out, "  # The data brings its own validation samples.\n");
    else if (p->cut > 0)
        dc_text_append(out,
                       "  # Kept from training, to choose the best epoch by.\n"
                       "  validation: %lld\n",
                       (long long)p->cut);
    else
        dc_text_append(out,
                       "  # Too few samples to keep some for validation: the last epoch counts."
                       "\n  validation: 0\n");
    dc_text_append(out, "  # Mean and deviation of the training samples, a channel.\n"
                        "  normalize: auto\n");
    augmentation(out, p);
}

static void model(struct dc_text_buffer *out, const struct dc__init_plan *p,
                  const struct dc__init_network *n)
{
    const int64_t *dims = p->sample.dims;
    dc_text_append(out, "    model: ");
    dc_text_append_scalar(out, models[p->family]);
    dc_text_append(out, "\n    parameters: ");
    if (p->family == DC__INIT_IMAGES) {
        const int64_t longer = dims[0] > dims[1] ? dims[0] : dims[1];
        int stride = 1;
        while (longer / stride > 48 && stride < 16)
            stride *= 2;
        dc_text_append(out,
                       "{height: %lld, width: %lld, channels: %lld, filters: %d, blocks: %d, "
                       "stem_stride: %d, stem_kernel: %d, classes: %d}\n",
                       (long long)dims[0], (long long)dims[1], (long long)dims[2], n->width,
                       n->blocks, stride, stride > 2 ? stride + 1 : 3, p->classes);
    } else if (p->family == DC__INIT_SERIES) {
        int blocks = 1;
        while (blocks < 5 && dims[0] >> (blocks + 2) > 2)
            blocks++;
        dc_text_append(out, "{steps: %lld, channels: %lld, filters: %d, blocks: %d, classes: %d}\n",
                       (long long)dims[0], (long long)dims[2], n->width, blocks, p->classes);
    } else {
        dc_text_append(out, "{values: %lld, units: %d, layers: %d, classes: %d}\n",
                       (long long)dims[0], n->width, n->blocks, p->classes);
    }
}

static void train(struct dc_text_buffer *out, const struct dc__init_plan *p)
{
    dc_text_append(out,
                   "    train: {epochs: %lld, batch: %lld, learning_rate: %g, warmup_epochs: %g, "
                   "weight_decay: 0.0005%s}\n",
                   (long long)p->epochs, (long long)p->batch, p->learning_rate,
                   p->epochs >= 5 ? 1.0 : 0.0,
                   p->labels == DC_LABELS_VALUES ? ", clip_norm: 1" : "");
}

// What a target wants that training has to feel (run/target.c refuses it otherwise).
static void quantize(struct dc_text_buffer *out, const struct dc__init_plan *p)
{
    const struct dc_target_limits *t = &p->limits;
    dc_text_append(
        out, "    quantize: {weights: 8, activations: 8%s%s%s",
        t->power_of_two ? ", power_of_two: true" : "", t->symmetric ? ", symmetric: true" : "",
        t->per_tensor ? ", conv_granularity: per_tensor, dense_granularity: per_tensor" : "");
    if (p->quantized_epochs > 1)
        dc_text_append(out, ", freeze_observers_epoch: %lld", (long long)p->quantized_epochs / 2);
    dc_text_append(out, "}\n");
}

static bool writes(const struct dc_target_limits *t, const char *format, const char *profile)
{
    bool found = t->formats.count == 0;
    for (int i = 0; i < t->formats.count; i++)
        found = found || strcmp(t->formats.items[i], format) == 0;
    return found && strncmp(t->profile, profile, strlen(profile)) == 0;
}

static void cost_comment(struct dc_text_buffer *out, const char *who,
                         const struct dc__init_network *n)
{
    char macs[32], flash[32], ram[32];
    dc_text_append(out, "  # %s %s MACs, %s bytes of flash, %s of RAM as int8.\n", who,
                   dc_with_commas(macs, n->cost.macs), dc_with_commas(flash, n->cost.flash),
                   dc_with_commas(ram, n->cost.ram));
}

static void stages(struct dc_text_buffer *out, const struct dc__init_plan *p)
{
    static const char *const losses[DC_LABEL_KINDS] = {
        "{kd: {temperature: 4, weight: 0.9}}, {label: {weight: 0.1}}",
        "{mse: {weight: 0.5}}, {label: {weight: 0.5}}",
        "{bce: {weight: 0.5}}, {label: {weight: 0.5}}"};
    char macs[32], flash[32], ram[32], teacher[32];
    dc_text_append(out, "stages:\n  # Learns first, and stays here: %s MACs.\n  teacher:\n",
                   dc_with_commas(teacher, p->teacher.cost.macs));
    model(out, p, &p->teacher);
    train(out, p);
    dc_text_append(out,
                   "  # The network for the device, without a teacher, to compare with: the widest "
                   "that stays within\n  # %s MACs, %s bytes of flash and %s of RAM.\n",
                   dc_with_commas(macs, p->budget.macs), dc_with_commas(flash, p->budget.flash),
                   dc_with_commas(ram, p->budget.ram));
    cost_comment(out, "It has", &p->student);
    dc_text_append(out, "  alone:\n");
    model(out, p, &p->student);
    train(out, p);
    dc_text_append(out, "  # The same, learning from the teacher.\n  student:\n");
    model(out, p, &p->student);
    train(out, p);
    dc_text_append(out, "    distill:\n      teacher: teacher\n      losses: [%s]\n",
                   losses[p->labels]);
    dc_text_append(out, "  # Trained on under int8 (quantization-aware), still with the teacher.\n"
                        "  quantized:\n    from: student\n");
    quantize(out, p);
    dc_text_append(out, "    train: {epochs: %lld, learning_rate: %g, warmup_epochs: 0}\n",
                   (long long)p->quantized_epochs, p->learning_rate / 10.0);
    dc_text_append(out,
                   "  # Written, and proven on the test set: C, and what other tools read.\n"
                   "  int8:\n    export: quantized\n    formats: [bundle, c%s%s]\n",
                   writes(&p->limits, "tflite", "tflm") || writes(&p->limits, "tflite", "litert")
                       ? ", tflite"
                       : "",
                   writes(&p->limits, "onnx", "onnxruntime") ? ", onnx" : "");
}

void dc__init_write(struct dc_text_buffer *out, const struct dc__init_plan *plan)
{
    head(out, plan);
    data_section(out, plan);
    dc_text_append(out, "# Its arithmetic and its budgets.\ntarget: ");
    dc_text_append_scalar(out, plan->target);
    dc_text_append(out, "\n");
    stages(out, plan);
}

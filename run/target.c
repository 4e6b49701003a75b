// Owns target files: their keys, and what of an experiment and of its integers they refuse.

#include "run/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export/c_time.h"
#include "export/formats.h"
#include "qat/profile.h"
#include "qat/table.h"

#define KEY(key, type, member, standard, ...)                                                      \
    DC_FIELD(dc_target_limits, key, type, member, standard, __VA_ARGS__)

static const struct dc_field fields[] = {
    KEY("name", TEXT, name, NULL, .help = "name of the target"),
    KEY("profile", TEXT, profile, NULL, .help = "arithmetic profile"),
    KEY("weight_bits", INTEGERS, weight_bits, "[8]", .minimum = 2, .maximum = 8, .filled = true,
        .help = "bits that weights may have"),
    KEY("activation_bits", INTEGERS, activation_bits, "[8]", .minimum = 2, .maximum = 8,
        .filled = true, .help = "bits that activations may have"),
    KEY("per_tensor", BOOL, per_tensor, "false", .help = "one weight scale a layer"),
    KEY("symmetric", BOOL, symmetric, "false", .help = "zero point 0 everywhere"),
    KEY("power_of_two", BOOL, power_of_two, "false", .help = "scales are powers of two"),
    KEY("bias_bits", INT, bias_bits, "32", .minimum = 8, .maximum = 32, .help = "of biases"),
    KEY("accumulator_bits", INT, accumulator_bits, "32", .minimum = 16, .maximum = 32,
        .help = "of sums before requantization"),
    KEY("functions", TEXTS, functions, "[]",
        .help = "functions of codes that it has, as tables or by itself"),
    KEY("alignment", INT, alignment, "4", .minimum = DC_I_ALIGNMENT, .maximum = DC_I_ALIGNMENT_MAX,
        .help = "bytes, a power of two, of weights and values in memory"),
    KEY("packed_weights", BOOL, packed_weights, "true",
        .help = "its tools read weights of 4 bits in TFLite and ONNX; else they are int8 there"),
    KEY("formats", TEXTS, formats, "[]", .help = "what can be written for it; []: everything"),
    KEY("flash", BYTES, flash, "0", .maximum = 1e15,
        .help = "bytes for weights, tables, code and vectors, as 256KiB; left out: any"),
    KEY("ram", BYTES, ram, "0", .maximum = 1e15,
        .help = "bytes for activations, input, output, scratch and stack, as 64KiB; left out: any"),
    KEY("macs", INT, macs, "0", .maximum = 1e15, .help = "multiplications; left out: any"),
    KEY("instructions", INT, instructions, "0", .maximum = 1e15,
        .help = "of an inference, as QEMU counts them; left out: any"),
    KEY("latency_ms", REAL, latency_ms, "0", .maximum = 1e9,
        .help = "milliseconds of an inference, by the three keys around it; left out: any"),
    KEY("clock_mhz", REAL, clock_mhz, "0", .maximum = 1e5,
        .help = "the core's clock, in MHz; left out: not said"),
    KEY("cycles_per_instruction", REAL, cycles_per_instruction, "1", .minimum = 0.05,
        .maximum = 100.0, .help = "measure it on your board: flash makes a core wait"),
    KEY("core", CHOICE, core, "cortex-m4", .choices = dc_core_names,
        .help = "the processor whose code is counted"),
    KEY("optimize", CHOICE, optimization, "-O2", .choices = dc_optimization_names,
        .help = "how the C is compiled"),
    KEY("selftest", BOOL, selftest, "true",
        .help = "test vectors stay in flash; false: compiled with NAME_NO_SELFTEST"),
};
const struct dc_schema dc__target_schema = DC_SCHEMA("target", fields);

static bool is_function(const char *name)
{
    return dc_ifunction_find(name) >= 0 || strcmp(name, dc_iop_name(DC_I_SOFTMAX)) == 0;
}

static struct dc_texts all_functions(void)
{
    struct dc_texts all = {.items = {dc_iop_name(DC_I_SOFTMAX)}, .count = 1};
    for (int f = 0; f < DC_IFUNCTION_COUNT; f++)
        all.items[all.count++] = dc_ifunction_name((enum dc_ifunction)f);
    return all;
}

static enum dc_status unknown_profile(const struct dc_yaml *root, const char *profile,
                                      struct dc_error *error)
{
    const char *names[DC_LIST_MAX];
    struct dc_text_buffer text = {0};
    char hint[DC_HINT];
    int count = 0;
    for (const struct dc_profile *const *p = dc_profile_table(); *p && count < DC_LIST_MAX; p++) {
        dc_text_append(&text, "%s%s", count ? ", " : "", (*p)->name);
        names[count++] = (*p)->name;
    }
    const enum dc_status status = dc_fail_yaml(
        error, dc_yaml_get(root, "profile"), "no arithmetic profile '%s'; there are %s%s", profile,
        text.text ? text.text : "", dc_did_you_mean(hint, profile, names, count));
    dc_text_free(&text);
    return status;
}

// A budget of nothing, which no network keeps, is not the same as none.
static enum dc_status check_budgets_stated(const struct dc_target_limits *target,
                                           const struct dc_yaml *root, struct dc_error *error)
{
    const struct {
        const char *key;
        bool zero;
    } budgets[] = {{"flash", target->flash == 0},
                   {"ram", target->ram == 0},
                   {"macs", target->macs == 0},
                   {"instructions", target->instructions == 0},
                   {"latency_ms", target->latency_ms == 0.0},
                   {"clock_mhz", target->clock_mhz == 0.0}};
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++)
        if (budgets[i].zero && dc_yaml_get(root, budgets[i].key))
            return dc_fail_yaml(error, dc_yaml_get(root, budgets[i].key),
                                "'%s' must be above 0; leave it out where there is none",
                                budgets[i].key);
    return DC_OK;
}

enum dc_status dc_target_read(struct dc_experiment *experiment, struct dc_error *error)
{
    struct dc_target_limits *target = &experiment->limits;
    const struct dc_decoder decoder = {experiment->arena, NULL, NULL};
    char hint[DC_HINT];
    const struct dc_yaml *root = NULL;
    *target = (struct dc_target_limits){.name = "",
                                        .profile = "",
                                        .core = DC_CORTEX_M4,
                                        .optimization = DC_FOR_SPEED,
                                        .selftest = true,
                                        .cycles_per_instruction = 1.0};
    experiment->profile = "";
    if (!experiment->target[0])
        return DC_OK;
    DC_TRY(dc_yaml_read(&root, experiment->target, experiment->arena, error));
    target->where = root;
    DC_TRY(dc_schema_defaults(&dc__target_schema, target, &decoder, error));
    DC_TRY(dc_schema_decode(&dc__target_schema, target, root, "target", true, &decoder, error));
    DC_TRY(check_budgets_stated(target, root, error));
    const struct dc_profile *profile = dc_profile_find(target->profile);
    if (!profile)
        return unknown_profile(root, target->profile, error);
    if (profile->power_of_two && !target->power_of_two)
        return dc_fail_yaml(error, dc_yaml_get(root, "profile"),
                            "profile %s shifts and does not multiply: it needs power_of_two: true",
                            target->profile);
    if ((target->alignment & (target->alignment - 1)) != 0)
        return dc_fail_yaml(error, dc_yaml_get(root, "alignment"),
                            "alignments are powers of two, not %lld", (long long)target->alignment);
    if (target->latency_ms > 0.0 && target->clock_mhz == 0.0)
        return dc_fail_yaml(error, dc_yaml_get(root, "latency_ms"),
                            "milliseconds need the core's clock: say clock_mhz too");
    if (!dc_yaml_get(root, "functions"))
        target->functions = all_functions();
    for (int i = 0; i < target->functions.count; i++)
        if (!is_function(target->functions.items[i]))
            return dc_fail_yaml(error, dc_yaml_get(root, "functions"),
                                "there is no function '%s' of codes%s", target->functions.items[i],
                                dc_did_you_mean(hint, target->functions.items[i],
                                                all_functions().items, all_functions().count));
    experiment->profile = target->profile;
    return DC_OK;
}

// "8 or 4"
static const char *list_text(char text[64], const struct dc_numbers *list)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < list->count && used < 64; i++)
        used += (size_t)snprintf(text + used, 64 - used, "%s%.0f", i ? " or " : "", list->items[i]);
    return text;
}

// What is looked at: the stage, and the target's name for messages.
struct asked {
    const struct dc_target_limits *target;
    const struct dc_stage *stage;
    struct dc_error *error;
};

// Where the stage says it, or where it says how it quantizes.
static const struct dc_yaml *place_of(const struct dc_stage *stage, const char *key)
{
    const struct dc_yaml *group = dc_yaml_get(stage->where, "quantize");
    const struct dc_yaml *node = group ? dc_yaml_get(group, key) : NULL;
    return node ? node : dc_stage_place(stage, NULL, "quantize");
}

static enum dc_status check_bits(const struct asked *a, const char *key, const char *what,
                                 const struct dc_numbers *allowed, int64_t bits)
{
    char text[64];
    for (int i = 0; i < allowed->count; i++)
        if (bits == (int64_t)allowed->items[i])
            return DC_OK;
    return dc_fail_yaml(a->error, place_of(a->stage, key),
                        "stage '%s': target %s has %s of %s bits, not %lld", a->stage->name,
                        a->target->name, what, list_text(text, allowed), (long long)bits);
}

static enum dc_status check_all_bits(const struct asked *a)
{
    const struct dc_target_limits *t = a->target;
    const struct dc_quantize_spec *q = &a->stage->quantize;
    DC_TRY(check_bits(a, "weights", "weights", &t->weight_bits, q->weights));
    DC_TRY(check_bits(a, "activations", "activations", &t->activation_bits, q->activations));
    if (q->first_last > 0) {
        DC_TRY(check_bits(a, "first_last", "weights", &t->weight_bits, q->first_last));
        DC_TRY(check_bits(a, "first_last", "activations", &t->activation_bits, q->first_last));
    }
    for (int i = 0; i < q->layers.count; i++) {
        const struct dc_bits_entry *layer = &q->layers.items[i];
        if (layer->weights > 0)
            DC_TRY(check_bits(a, "layers", "weights", &t->weight_bits, layer->weights));
        if (layer->activations > 0)
            DC_TRY(check_bits(a, "layers", "activations", &t->activation_bits, layer->activations));
    }
    return DC_OK;
}

// A property that the target wants and the stage must ask for, as training feels it.
static enum dc_status want(const struct asked *a, bool wanted, bool there, const char *key,
                           const char *value, const char *why)
{
    if (!wanted || there)
        return DC_OK;
    return dc_fail_yaml(a->error, place_of(a->stage, key),
                        "stage '%s': target %s has %s; say quantize: {%s: %s}", a->stage->name,
                        a->target->name, why, key, value);
}

static enum dc_status check_formats(const struct asked *a)
{
    const struct dc_texts *formats = &a->stage->export.formats, *allowed = &a->target->formats;
    for (int i = 0; i < formats->count && allowed->count > 0; i++) {
        bool found = false;
        for (int k = 0; k < allowed->count; k++)
            found = found || strcmp(formats->items[i], allowed->items[k]) == 0;
        if (!found)
            return dc_fail_yaml(a->error, dc_stage_place(a->stage, NULL, "formats"),
                                "stage '%s': nothing is written as %s for target %s",
                                a->stage->name, formats->items[i], a->target->name);
    }
    return DC_OK;
}

enum dc_status dc_target_check_stage(const struct dc_experiment *experiment,
                                     const struct dc_stage *stage, struct dc_error *error)
{
    const struct dc_target_limits *t = &experiment->limits;
    const struct dc_quantize_spec *q = &stage->quantize;
    const struct asked a = {t, stage, error};
    if (!t->profile[0])
        return DC_OK;
    if (stage->exports)
        return check_formats(&a);
    if (!stage->quantizes)
        return DC_OK;
    DC_TRY(check_all_bits(&a));
    DC_TRY(want(&a, t->power_of_two, q->power_of_two, "power_of_two", "true",
                "scales that are powers of two"));
    DC_TRY(want(&a, t->symmetric, q->symmetric, "symmetric", "true", "no zero points"));
    DC_TRY(want(&a, t->per_tensor, q->conv_granularity == DC_PER_TENSOR, "conv_granularity",
                "per_tensor", "one weight scale a layer"));
    return want(&a, t->per_tensor, q->dense_granularity == DC_PER_TENSOR, "dense_granularity",
                "per_tensor", "one weight scale a layer");
}

// what: of which `used` are wanted, a sentence's end about them, or "".
static enum dc_status check_budget(const struct dc_target_limits *target, const char *stage,
                                   const char *key, const char *what, int64_t limit, int64_t used,
                                   const char *detail, struct dc_error *error)
{
    const struct dc_yaml *line = target->where ? dc_yaml_get(target->where, key) : NULL;
    if (limit == 0 || used <= limit)
        return DC_OK;
    if (!line)
        return dc_fail(error, DC_ERR_BUDGET, "stage '%s' takes %lld %s, and target %s has %lld%s",
                       stage, (long long)used, what, target->name, (long long)limit, detail);
    return dc_fail_at(error, DC_ERR_BUDGET, &line->where, NULL, NULL,
                      "stage '%s' takes %lld %s, and target %s has %lld%s", stage, (long long)used,
                      what, target->name, (long long)limit, detail);
}

static bool has_function(const struct dc_target_limits *target, const char *name)
{
    bool found = !is_function(name);
    for (int i = 0; i < target->functions.count; i++)
        found = found || strcmp(target->functions.items[i], name) == 0;
    return found;
}

enum dc_status dc_target_check_functions(const struct dc_target_limits *target,
                                         const struct dc_graph *graph, struct dc_error *error)
{
    for (int i = 0; target->profile[0] && i < graph->count; i++)
        if (!has_function(target, graph->nodes[i].op->name))
            return dc_fail(error, DC_ERR_CONFIG, "layer '%s': target %s has no %s",
                           graph->nodes[i].name, target->name, graph->nodes[i].op->name);
    return DC_OK;
}

// The bits of a two's complement integer that holds low and high.
static int bits_for(int64_t low, int64_t high)
{
    int bits = 1;
    while (low < -(INT64_C(1) << (bits - 1)) || high >= INT64_C(1) << (bits - 1))
        bits++;
    return bits;
}

static enum dc_status check_layer(const struct dc_target_limits *target, const struct dc_ilayer *l,
                                  struct dc_error *error)
{
    const int sums = bits_for(l->accumulator_low, l->accumulator_high);
    int biases = 1;
    for (int c = 0; dc_ilayer_has_weights(l) && c < l->channels; c++) {
        const int bits = bits_for(l->biases[c], l->biases[c]);
        biases = bits > biases ? bits : biases;
    }
    if (biases > target->bias_bits)
        return dc_fail(error, DC_ERR_BUDGET,
                       "layer '%s' has a bias of %d bits, and target %s holds %lld", l->name,
                       biases, target->name, (long long)target->bias_bits);
    if (dc_ilayer_has_weights(l) && sums > target->accumulator_bits)
        return dc_fail(error, DC_ERR_BUDGET,
                       "layer '%s' can reach sums of %d bits, and target %s holds %lld; "
                       "quantize: {accumulator_bits: %lld} keeps them within",
                       l->name, sums, target->name, (long long)target->accumulator_bits,
                       (long long)target->accumulator_bits);
    return DC_OK;
}

void dc_target_apply(struct dc_imodel *model, const struct dc_target_limits *target)
{
    if (strcmp(model->profile->name, target->profile) != 0)
        return;
    model->alignment = (int)target->alignment;
    model->wide_weights = !target->packed_weights;
}

// HDF5 and NumPy's files may hold floats; all others hold bytes.
static bool reads_bytes(const struct dc_data_spec *data)
{
    return strcmp(data->source, "hdf5") != 0 && strcmp(data->source, "npz") != 0;
}

enum dc_status dc_target_footprint(struct dc_footprint *footprint,
                                   const struct dc_experiment *experiment,
                                   const struct dc_imodel *model, struct dc_error *error)
{
    const struct dc_target_limits *target = &experiment->limits;
    const struct dc_normalize_spec *normalize = &experiment->data.normalize;
    struct dc_imodel assumed = *model;
    if (!model->preprocessing.bytes && reads_bytes(&experiment->data)) {
        assumed.preprocessing.bytes = true;
        assumed.preprocessing.resize = experiment->data.resize;
        assumed.preprocessing.classes = 0;
        assumed.preprocessing.normalization.channels = normalize->automatic
                                                           ? model->layers[0].channels
                                                           : normalize->mean.count;
    }
    return dc_c_footprint(footprint, &assumed, (enum dc_core)target->core,
                          (enum dc_optimization)target->optimization,
                          target->selftest ? DC_EMBEDDED_VECTORS : 0, error);
}

enum dc_status dc_target_instructions(double *layers, const struct dc_target_limits *target,
                                      const struct dc_imodel *model, struct dc_error *error)
{
    return dc_c_instructions(layers, model, (enum dc_core)target->core,
                             (enum dc_optimization)target->optimization, error);
}

double dc_target_milliseconds(const struct dc_target_limits *target, double instructions)
{
    return target->clock_mhz > 0.0
               ? instructions * target->cycles_per_instruction / (1000.0 * target->clock_mhz)
               : 0.0;
}

enum dc_status dc_target_check_time(const struct dc_target_limits *target, const char *stage,
                                    double instructions, const char *detail, struct dc_error *error)
{
    const struct dc_yaml *line = target->where ? dc_yaml_get(target->where, "latency_ms") : NULL;
    const double milliseconds = dc_target_milliseconds(target, instructions);
    DC_TRY(check_budget(target, stage, "instructions", "instructions", target->instructions,
                        (int64_t)instructions, detail, error));
    if (target->latency_ms == 0.0 || milliseconds <= target->latency_ms)
        return DC_OK;
    return dc_fail_at(error, DC_ERR_BUDGET, line ? &line->where : NULL, NULL, NULL,
                      "stage '%s' takes %.3g ms at %.6g MHz, and target %s has %.6g: %.0f "
                      "instructions of %.3g cycles each%s",
                      stage, milliseconds, target->clock_mhz, target->name, target->latency_ms,
                      instructions, target->cycles_per_instruction, detail);
}

// The layer that takes the most comes in the message.
static enum dc_status check_estimated_time(const struct dc_target_limits *target, const char *stage,
                                           const struct dc_imodel *model, struct dc_error *error)
{
    char detail[256];
    double sum = 0.0;
    int most = 0;
    if (target->instructions == 0 && target->latency_ms == 0.0)
        return DC_OK;
    double *layers = dc_alloc((size_t)model->count * sizeof *layers, error);
    if (!layers)
        return DC_ERR_MEMORY;
    enum dc_status status = dc_target_instructions(layers, target, model, error);
    for (int i = 0; status == DC_OK && i < model->count; i++) {
        sum += layers[i];
        most = layers[i] > layers[most] ? i : most;
    }
    snprintf(detail, sizeof detail, ", estimated for a %s, %s; the most, %.0f, in layer '%s'",
             dc_core_names[target->core], dc_optimization_names[target->optimization],
             status == DC_OK ? layers[most] : 0.0, model->layers[most].name);
    if (status == DC_OK)
        status = dc_target_check_time(target, stage, sum, detail, error);
    free(layers);
    return status;
}

enum dc_status dc_target_check_budgets(const struct dc_experiment *experiment, const char *stage,
                                       const struct dc_imodel *model, struct dc_error *error)
{
    const struct dc_target_limits *target = &experiment->limits;
    struct dc_imodel_cost cost;
    struct dc_footprint f;
    char flash[256], ram[256];
    if (!target->profile[0])
        return DC_OK;
    DC_TRY(dc_imodel_cost(&cost, model, error));
    DC_TRY(
        check_budget(target, stage, "macs", "multiplications", target->macs, cost.macs, "", error));
    DC_TRY(dc_target_footprint(&f, experiment, model, error));
    snprintf(flash, sizeof flash,
             ": weights %lld, biases and multipliers %lld, tables and records "
             "%lld, code %lld (%s %s), test vectors %lld",
             (long long)f.weights, (long long)(f.biases + f.rescales),
             (long long)(f.tables + f.records), (long long)f.code, dc_core_names[target->core],
             dc_optimization_names[target->optimization], (long long)f.vectors);
    snprintf(ram, sizeof ram,
             ": activations %lld, the most at layer '%s', input and output %lld, "
             "scratch %lld, stack %lld",
             (long long)f.arena, model->layers[cost.busiest].name, (long long)(f.input + f.output),
             (long long)f.scratch, (long long)f.stack);
    DC_TRY(check_budget(target, stage, "flash", "bytes of flash", target->flash,
                        dc_footprint_flash(&f), flash, error));
    DC_TRY(check_budget(target, stage, "ram", "bytes of RAM", target->ram, dc_footprint_ram(&f),
                        ram, error));
    return check_estimated_time(target, stage, model, error);
}

enum dc_status dc_target_check_memory(const struct dc_target_limits *target, const char *stage,
                                      bool measured, int64_t flash, int64_t ram,
                                      struct dc_error *error)
{
    char detail[128];
    if (!target->profile[0])
        return DC_OK;
    snprintf(detail, sizeof detail, ", %s for a %s, %s",
             measured ? "as linked with examples/device" : "estimated", dc_core_names[target->core],
             dc_optimization_names[target->optimization]);
    DC_TRY(check_budget(target, stage, "flash", "bytes of flash", target->flash, flash, detail,
                        error));
    return check_budget(target, stage, "ram", "bytes of RAM", target->ram, ram, detail, error);
}

enum dc_status dc_target_check_model(const struct dc_experiment *experiment, const char *stage,
                                     const struct dc_imodel *model, struct dc_error *error)
{
    const struct dc_target_limits *target = &experiment->limits;
    for (int i = 0; target->profile[0] && i < model->count; i++)
        DC_TRY(check_layer(target, &model->layers[i], error));
    return dc_target_check_budgets(experiment, stage, model, error);
}

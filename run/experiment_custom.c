// Owns the keys of experiment files that hold lists of named things or optional groups.

#include "run/experiment_custom.h"

#include <assert.h>
#include <string.h>

#include "core/file.h"
#include "run/experiment_schema.h"

enum dc_status dc__keep_node(const struct dc_decoder *decoder, void *field,
                             const struct dc_yaml *node, struct dc_error *error)
{
    (void)decoder;
    (void)error;
    *(const struct dc_yaml **)field = node;
    return DC_OK;
}

void dc__write_nothing(struct dc_text_buffer *out, const void *field, int indent)
{
    (void)out;
    (void)field;
    (void)indent;
}

// An item of a list: a name alone, or one name with its keys (*body, else NULL).
static enum dc_status named_item(const struct dc_yaml **name, const struct dc_yaml **body,
                                 const struct dc_yaml *item, const char *what,
                                 struct dc_error *error)
{
    *name = item;
    *body = NULL;
    if (item->kind == DC_YAML_MAPPING && item->count == 1) {
        *name = item->keys[0];
        *body = item->items[0];
    } else if (item->kind != DC_YAML_SCALAR) {
        return dc_fail_yaml(error, item, "%s is a name, or one name with its keys", what);
    }
    return DC_OK;
}

static enum dc_status want_list(const struct dc_yaml *node, const char *what, int capacity,
                                struct dc_error *error)
{
    if (node->kind == DC_YAML_SEQUENCE && node->count <= capacity)
        return DC_OK;
    return dc_fail_yaml(error, node, "%s must be a list of up to %d", what, capacity);
}

static enum dc_status decode_number(double *value, const struct dc_yaml *node, const char *key,
                                    double low, double high, struct dc_error *error)
{
    const char *problem = NULL;
    if (node->kind != DC_YAML_SCALAR || node->quoted ||
        !dc_expression(value, node->text, NULL, &problem))
        return dc_fail_yaml(error, node, "'%s' must be a number", key);
    if (!(*value >= low && *value <= high))
        return dc_fail_yaml(error, node, "'%s' must be in [%g, %g], not %s", key, low, high,
                            node->text);
    return DC_OK;
}

static enum dc_status decode_augmentation(struct dc_augmentation *augmentation,
                                          const struct dc_yaml *item, struct dc_error *error)
{
    const struct dc_yaml *name, *body;
    DC_TRY(named_item(&name, &body, item, "an augmentation", error));
    const struct dc_augmentation_kind *kind = dc_augmentation_find(name->text);
    if (!kind) {
        const char *names[DC_LIST_MAX];
        int count = 0;
        for (const struct dc_augmentation_kind *const *k = dc_augmentations(); *k; k++)
            names[count++] = (*k)->name;
        return dc_fail_unknown_key(error, name, "the list of augmentations", names, count);
    }
    *augmentation = dc_augmentation_default(kind);
    for (int k = 0; body && body->kind == DC_YAML_MAPPING && k < body->count; k++) {
        const char *names[DC_AUGMENTATION_PARAMETERS];
        int at = -1;
        for (int i = 0; i < kind->parameter_count; i++) {
            names[i] = kind->parameters[i].name;
            at = strcmp(names[i], body->keys[k]->text) == 0 ? i : at;
        }
        if (at < 0)
            return dc_fail_unknown_key(error, body->keys[k], kind->name, names,
                                       kind->parameter_count);
        const struct dc_augmentation_parameter *p = &kind->parameters[at];
        double *value = &augmentation->values[at];
        DC_TRY(decode_number(value, body->items[k], p->name, p->low, p->high, error));
        if (p->integer && *value != (double)(int64_t)*value)
            return dc_fail_yaml(error, body->items[k], "'%s' must be a whole number", p->name);
    }
    return DC_OK;
}

// A list, or a file that holds {augment: list}.
enum dc_status dc__decode_augment(const struct dc_decoder *decoder, void *field,
                                  const struct dc_yaml *node, struct dc_error *error)
{
    struct dc_augmentation_list *list = field;
    *list = (struct dc_augmentation_list){0};
    if (node->kind == DC_YAML_SCALAR && node->text[0]) {
        char *path = NULL;
        const struct dc_yaml *root = NULL;
        DC_TRY(dc_path_resolve(&path, node->text, node->where.file, decoder->arena, error));
        DC_TRY(dc_yaml_read(&root, path, decoder->arena, error));
        node = root->kind == DC_YAML_MAPPING && root->count == 1 ? dc_yaml_get(root, "augment")
                                                                 : NULL;
        if (!node)
            return dc_fail_yaml(error, root, "a file of augmentations holds one key, augment");
    }
    DC_TRY(want_list(node, "augment", DC_LIST_MAX, error));
    for (int i = 0; i < node->count; i++)
        DC_TRY(decode_augmentation(&list->items[i], node->items[i], error));
    list->count = node->count;
    return DC_OK;
}

void dc__write_augment(struct dc_text_buffer *out, const void *field, int indent)
{
    const struct dc_augmentation_list *list = field;
    dc_text_append(out, list->count ? "\n" : " []\n");
    for (int i = 0; i < list->count; i++) {
        const struct dc_augmentation *a = &list->items[i];
        dc_text_append(out, "%*s- %s: {", indent, "", a->kind->name);
        for (int p = 0; p < a->kind->parameter_count; p++)
            dc_text_append(out, "%s%s: %.17g", p ? ", " : "", a->kind->parameters[p].name,
                           a->values[p]);
        dc_text_append(out, "}\n");
    }
}

static const struct dc_field normalize_fields[] = {
    {.key = "mean",
     .type = DC_FIELD_NUMBERS,
     .offset = offsetof(struct dc_normalize_spec, mean),
     .help = "mean of each channel, of values in [0, 1]"},
    {.key = "deviation",
     .type = DC_FIELD_NUMBERS,
     .offset = offsetof(struct dc_normalize_spec, deviation),
     .help = "deviation of each channel"},
};
static const struct dc_schema normalize_schema = DC_SCHEMA("normalize", normalize_fields);

enum dc_status dc__decode_normalize(const struct dc_decoder *decoder, void *field,
                                    const struct dc_yaml *node, struct dc_error *error)
{
    struct dc_normalize_spec *spec = field;
    *spec = (struct dc_normalize_spec){.automatic = node->kind == DC_YAML_SCALAR &&
                                                    strcmp(node->text, "auto") == 0};
    if (spec->automatic)
        return DC_OK;
    if (node->kind != DC_YAML_MAPPING)
        return dc_fail_yaml(error, node, "normalize is auto or {mean: [...], deviation: [...]}");
    DC_TRY(dc_schema_decode(&normalize_schema, spec, node, "normalize", true, decoder, error));
    if (spec->mean.count == 0 || spec->mean.count != spec->deviation.count)
        return dc_fail_yaml(error, node, "mean and deviation need one number a channel each");
    return DC_OK;
}

void dc__write_normalize(struct dc_text_buffer *out, const void *field, int indent)
{
    const struct dc_normalize_spec *spec = field;
    dc_text_append(out, spec->automatic ? " auto\n" : "\n");
    if (!spec->automatic)
        dc_schema_write(&normalize_schema, out, spec, indent);
}

static const char *const loss_names[] = {"label", "kd", NULL};
static_assert(sizeof loss_names / sizeof loss_names[0] == DC_LOSS_KIND_COUNT + 1,
              "one name per loss");

#define LOSS(k, t, m, d, low, high, h)                                                             \
    {                                                                                              \
        .key = (k), .type = (t), .offset = offsetof(struct dc_loss_spec, m), .fallback = (d),      \
        .minimum = (low), .maximum = (high), .help = (h)                                           \
    }

static const struct dc_field loss_fields[] = {
    LOSS("weight", DC_FIELD_REAL, weight, "1", 0, 1e9, "what the term counts in the sum"),
    LOSS("start_epoch", DC_FIELD_INT, start_epoch, "0", 0, 1e9, "first epoch of the term"),
    LOSS("end_epoch", DC_FIELD_INT, end_epoch, "0", 0, 1e9, "epoch it ends before; 0: never"),
    LOSS("ramp_epochs", DC_FIELD_INT, ramp_epochs, "0", 0, 1e9, "epochs of a linear rise"),
    LOSS("temperature", DC_FIELD_REAL, temperature, "0", 0, 1e4,
         "softens both softmaxes; 0: 4, or 1 where the stage quantizes"),
};
// The first four are every loss's; temperature is kd's.
static const struct dc_schema loss_schemas[] = {{"loss 'label'", loss_fields, 4},
                                                {"loss 'kd'", loss_fields, 5}};

enum dc_status dc__decode_losses(const struct dc_decoder *decoder, void *field,
                                 const struct dc_yaml *node, struct dc_error *error)
{
    struct dc_loss_list *list = field;
    *list = (struct dc_loss_list){0};
    DC_TRY(want_list(node, "losses", DC_LOSSES_MAX, error));
    for (int i = 0; i < node->count; i++) {
        const struct dc_yaml *name, *body;
        DC_TRY(named_item(&name, &body, node->items[i], "a loss", error));
        struct dc_loss_spec *loss = &list->items[i];
        while (loss_names[loss->kind] && strcmp(loss_names[loss->kind], name->text) != 0)
            loss->kind++;
        if (!loss_names[loss->kind])
            return dc_fail_unknown_key(error, name, "the list of losses", loss_names,
                                       DC_LOSS_KIND_COUNT);
        const struct dc_schema *schema = &loss_schemas[loss->kind];
        DC_TRY(dc_schema_defaults(schema, loss, decoder, error));
        if (body)
            DC_TRY(dc_schema_decode(schema, loss, body, schema->name, true, decoder, error));
    }
    list->count = node->count;
    return DC_OK;
}

void dc__write_losses(struct dc_text_buffer *out, const void *field, int indent)
{
    const struct dc_loss_list *list = field;
    dc_text_append(out, list->count ? "\n" : " []\n");
    for (int i = 0; i < list->count; i++) {
        const struct dc_loss_spec *loss = &list->items[i];
        dc_text_append(out, "%*s- %s:\n", indent, "", loss_names[loss->kind]);
        dc_schema_write(&loss_schemas[loss->kind], out, loss, indent + 4);
    }
}

enum dc_status dc__decode_groups(const struct dc_decoder *decoder, void *field,
                                 const struct dc_yaml *node, struct dc_error *error)
{
    (void)decoder;
    struct dc_group_list *list = field;
    *list = (struct dc_group_list){0};
    if (node->kind != DC_YAML_MAPPING || node->count > DC_LIST_MAX)
        return dc_fail_yaml(error, node, "factors are a mapping {LAYER or PREFIX*: factor}");
    for (int i = 0; i < node->count; i++) {
        list->items[i].pattern = node->keys[i]->text;
        DC_TRY(decode_number(&list->items[i].factor, node->items[i], node->keys[i]->text, 0, 1e6,
                             error));
    }
    list->count = node->count;
    return DC_OK;
}

void dc__write_groups(struct dc_text_buffer *out, const void *field, int indent)
{
    const struct dc_group_list *list = field;
    dc_text_append(out, list->count ? "\n" : " {}\n");
    for (int i = 0; i < list->count; i++) {
        dc_text_append(out, "%*s", indent, "");
        dc_text_append_scalar(out, list->items[i].pattern);
        dc_text_append(out, ": %.17g\n", list->items[i].factor);
    }
}

enum dc_status dc__decode_parameters(const struct dc_decoder *decoder, void *field,
                                     const struct dc_yaml *node, struct dc_error *error)
{
    (void)decoder;
    struct dc_parameter_list *list = field;
    *list = (struct dc_parameter_list){0};
    if (node->kind != DC_YAML_MAPPING || node->count > DC_PARAMETERS_MAX)
        return dc_fail_yaml(error, node, "parameters are a mapping {NAME: number}");
    for (int i = 0; i < node->count; i++) {
        list->items[i].name = node->keys[i]->text;
        DC_TRY(decode_number(&list->items[i].value, node->items[i], node->keys[i]->text, -1e9, 1e9,
                             error));
    }
    list->count = node->count;
    return DC_OK;
}

void dc__write_parameters(struct dc_text_buffer *out, const void *field, int indent)
{
    const struct dc_parameter_list *list = field;
    dc_text_append(out, list->count ? "\n" : " {}\n");
    for (int i = 0; i < list->count; i++)
        dc_text_append(out, "%*s%s: %.17g\n", indent, "", list->items[i].name,
                       list->items[i].value);
}

static enum dc_status decode_group(bool *present, const struct dc_schema *schema, void *field,
                                   const struct dc_decoder *decoder, const struct dc_yaml *node,
                                   struct dc_error *error)
{
    if (node->kind == DC_YAML_SCALAR && !node->text[0]) {
        *present = false;
        return DC_OK;
    }
    if (!*present)
        DC_TRY(dc_schema_defaults(schema, field, decoder, error));
    *present = true;
    return dc_schema_decode(schema, field, node, schema->name, false, decoder, error);
}

static void write_group(struct dc_text_buffer *out, bool present, const struct dc_schema *schema,
                        const void *field, int indent)
{
    dc_text_append(out, present ? "\n" : " ''\n");
    if (present)
        dc_schema_write(schema, out, field, indent);
}

#define STAGE_OF(field, member)                                                                    \
    ((struct dc_stage *)(void *)((char *)(field)-offsetof(struct dc_stage, member)))
#define CONST_STAGE_OF(field, member)                                                              \
    ((const struct dc_stage *)(const void *)((const char *)(field)-offsetof(struct dc_stage,       \
                                                                            member)))

enum dc_status dc__decode_train(const struct dc_decoder *decoder, void *field,
                                const struct dc_yaml *node, struct dc_error *error)
{
    return decode_group(&STAGE_OF(field, train)->trains, &dc__train_schema, field, decoder, node,
                        error);
}

enum dc_status dc__decode_distill(const struct dc_decoder *decoder, void *field,
                                  const struct dc_yaml *node, struct dc_error *error)
{
    return decode_group(&STAGE_OF(field, distill)->distills, &dc__distill_schema, field, decoder,
                        node, error);
}

enum dc_status dc__decode_quantize(const struct dc_decoder *decoder, void *field,
                                   const struct dc_yaml *node, struct dc_error *error)
{
    struct dc_stage *stage = STAGE_OF(field, quantize);
    const bool inherited_losses = !stage->quantizes && stage->distills && stage->from;
    DC_TRY(decode_group(&stage->quantizes, &dc__quantize_schema, field, decoder, node, error));
    // A temperature inherited from a float stage costs a quantized student accuracy: back to the
    // default, 1, unless this stage states one.
    const bool states_losses = stage->where && dc_yaml_get(stage->where, "distill") &&
                               dc_yaml_get(dc_yaml_get(stage->where, "distill"), "losses");
    for (int i = 0;
         stage->quantizes && inherited_losses && !states_losses && i < stage->distill.losses.count;
         i++)
        stage->distill.losses.items[i].temperature = 0.0;
    return DC_OK;
}

void dc__write_train(struct dc_text_buffer *out, const void *field, int indent)
{
    write_group(out, CONST_STAGE_OF(field, train)->trains, &dc__train_schema, field, indent);
}

void dc__write_distill(struct dc_text_buffer *out, const void *field, int indent)
{
    write_group(out, CONST_STAGE_OF(field, distill)->distills, &dc__distill_schema, field, indent);
}

void dc__write_quantize(struct dc_text_buffer *out, const void *field, int indent)
{
    write_group(out, CONST_STAGE_OF(field, quantize)->quantizes, &dc__quantize_schema, field,
                indent);
}

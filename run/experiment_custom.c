// Owns the keys of experiment files that hold lists of named things.

#include "run/experiment_schema.h"

#include <math.h>
#include <string.h>

#include "core/file.h"

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
        return dc_fail_yaml(error, item, "%s is a name, or one name with its keys%s", what,
                            item->kind == DC_YAML_MAPPING ? "; several stand apart in the list: "
                                                            "[{A: {...}}, {B: {...}}]"
                                                          : "");
    }
    return DC_OK;
}

static enum dc_status want_list(const struct dc_yaml *node, const char *what, int capacity,
                                struct dc_error *error)
{
    if (node->kind == DC_YAML_SEQUENCE && node->count <= capacity)
        return DC_OK;
    return dc_fail_yaml(error, node, "%s must be a list of up to %d, as [NAME, NAME: {...}]", what,
                        capacity);
}

static enum dc_status decode_augmentation(struct dc_augmentation *augmentation,
                                          const struct dc_yaml *item,
                                          const struct dc_decoder *decoder, struct dc_error *error)
{
    const struct dc_yaml *name, *body;
    DC_TRY(named_item(&name, &body, item, "an augmentation", error));
    const struct dc_augmentation_kind *kind = dc_augmentation_find(name->text);
    if (!kind) {
        const char *names[DC_LIST_MAX];
        int count = 0;
        for (; dc_augmentation_kinds[count].name; count++)
            names[count] = dc_augmentation_kinds[count].name;
        return dc_fail_unknown_key(error, name, "the list of augmentations", names, count);
    }
    *augmentation = dc_augmentation_default(kind);
    if (!body || (body->kind == DC_YAML_SCALAR && !body->text[0]))
        return DC_OK;
    struct dc_field fields[DC_AUGMENTATION_PARAMETERS];
    const struct dc_schema schema = {kind->name, fields, kind->parameter_count};
    for (int i = 0; i < kind->parameter_count; i++) {
        const struct dc_augmentation_parameter *p = &kind->parameters[i];
        fields[i] = (struct dc_field){.key = p->name,
                                      .type = DC_FIELD_REAL,
                                      .offset = (size_t)i * sizeof(double),
                                      .minimum = p->low,
                                      .maximum = p->high};
    }
    DC_TRY(
        dc_schema_decode(&schema, augmentation->values, body, kind->name, false, decoder, error));
    for (int i = 0; i < kind->parameter_count; i++)
        if (kind->parameters[i].integer && augmentation->values[i] != rint(augmentation->values[i]))
            return dc_fail_yaml(error, dc_yaml_get(body, fields[i].key),
                                "'%s' must be a whole number", fields[i].key);
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
        DC_TRY(dc_search(&path, DC_SEARCH_AUGMENT, node->text, node->where.file, decoder->arena,
                         error));
        if (!dc_file_exists(path))
            return dc_search_fail(error, node, "", DC_SEARCH_AUGMENT, node->text, path);
        DC_TRY(dc_yaml_read(&root, path, decoder->arena, error));
        node = root->kind == DC_YAML_MAPPING && root->count == 1 ? dc_yaml_get(root, "augment")
                                                                 : NULL;
        if (!node)
            return dc_fail_yaml(error, root, "a file of augmentations holds one key, augment");
    }
    DC_TRY(want_list(node, "augment", DC_LIST_MAX, error));
    for (int i = 0; i < node->count; i++)
        DC_TRY(decode_augmentation(&list->items[i], node->items[i], decoder, error));
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

// std has an older name, which is still read; a hash goes on under it.
struct normalize_keys {
    struct dc_numbers mean, std, deviation;
};
#define MEAN                                                                                       \
    DC_FIELD(normalize_keys, "mean", NUMBERS, mean, NULL,                                          \
             .help = "mean of each channel, of values in [0, 1]")
static const struct dc_field normalize_fields[] = {
    MEAN,
    DC_FIELD(normalize_keys, "std", NUMBERS, std, "[]",
             .help = "standard deviation of each channel"),
    DC_FIELD(normalize_keys, "deviation", NUMBERS, deviation, "[]", .help = "older name of std"),
};
static const struct dc_schema normalize_schema = DC_SCHEMA("normalize", normalize_fields);
static const struct dc_field hashed_fields[] = {
    MEAN, DC_FIELD(normalize_keys, "deviation", NUMBERS, deviation, "[]", .help = "as std")};
static const struct dc_schema hashed_schema = DC_SCHEMA("normalize", hashed_fields);
const struct dc_schema dc__normalize_schema = {"normalize", normalize_fields, 2};

enum dc_status dc__decode_normalize(const struct dc_decoder *decoder, void *field,
                                    const struct dc_yaml *node, struct dc_error *error)
{
    struct dc_normalize_spec *spec = field;
    struct normalize_keys keys = {0};
    *spec = (struct dc_normalize_spec){.automatic = node->kind == DC_YAML_SCALAR &&
                                                    strcmp(node->text, "auto") == 0};
    if (spec->automatic)
        return DC_OK;
    if (node->kind != DC_YAML_MAPPING)
        return dc_fail_yaml(error, node, "normalize is auto or {mean: [...], std: [...]}");
    DC_TRY(dc_schema_decode(&normalize_schema, &keys, node, "normalize", true, decoder, error));
    if (keys.std.count > 0 && keys.deviation.count > 0)
        return dc_fail_yaml(error, node, "deviation is the older name of std: give one of them");
    spec->mean = keys.mean;
    spec->deviation = keys.std.count > 0 ? keys.std : keys.deviation;
    if (spec->mean.count == 0 || spec->mean.count != spec->deviation.count)
        return dc_fail_yaml(error, node, "mean and std need one number a channel each");
    return DC_OK;
}

void dc__write_normalize(struct dc_text_buffer *out, const void *field, int indent)
{
    const struct dc_normalize_spec *spec = field;
    const struct normalize_keys keys = {spec->mean, spec->deviation, spec->deviation};
    dc_text_append(out, spec->automatic ? " auto\n" : "\n");
    if (!spec->automatic)
        dc_schema_write(out->hashed ? &hashed_schema : &dc__normalize_schema, out, &keys, indent);
}

// The keys of a loss: what all take, the layers of those that compare layers, and its own.
enum { LOSS_PARTS = 3 };
static int loss_parts(struct dc_schema_part parts[LOSS_PARTS], struct dc_term_spec *loss)
{
    int count = 0;
    parts[count++] = (struct dc_schema_part){&dc_term_schema, loss};
    if (loss->kind->features)
        parts[count++] = (struct dc_schema_part){&dc_feature_schema, loss};
    if (loss->kind->keys.count > 0)
        parts[count++] = (struct dc_schema_part){&loss->kind->keys, loss->attributes};
    return count;
}

static enum dc_status decode_loss(struct dc_term_spec *loss, const struct dc_yaml *item,
                                  const struct dc_decoder *decoder, struct dc_error *error)
{
    char label[64];
    struct dc_schema_part parts[LOSS_PARTS];
    DC_TRY(named_item(&loss->where, &loss->stated, item, "a loss", error));
    loss->kind = dc_term_find(loss->where->text);
    if (!loss->kind) {
        const char *names[DC_LIST_MAX * 2];
        int known = 0;
        for (; dc_term_kinds[known]; known++)
            names[known] = dc_term_kinds[known]->name;
        return dc_fail_unknown_key(error, loss->where, "the list of losses", names, known);
    }
    snprintf(label, sizeof label, "loss '%s'", loss->kind->name);
    if (loss->kind->bytes > 0) {
        loss->attributes = dc_arena_alloc(decoder->arena, loss->kind->bytes, error);
        if (!loss->attributes)
            return DC_ERR_MEMORY;
    }
    const int count = loss_parts(parts, loss);
    for (int p = 0; p < count; p++)
        DC_TRY(dc_schema_defaults(parts[p].schema, parts[p].base, decoder, error));
    loss->weight = loss->kind->weight;
    if (loss->stated)
        return dc_schema_decode_parts(parts, count, loss->stated, label, true, decoder, error);
    return loss->kind->features ? dc_fail_yaml(error, loss->where,
                                               "%s needs the keys 'student' and 'teacher'", label)
                                : DC_OK;
}

enum dc_status dc__decode_losses(const struct dc_decoder *decoder, void *field,
                                 const struct dc_yaml *node, struct dc_error *error)
{
    struct dc_loss_list *list = field;
    *list = (struct dc_loss_list){0};
    DC_TRY(want_list(node, "losses", DC_TERMS_MAX, error));
    for (int i = 0; i < node->count; i++)
        DC_TRY(decode_loss(&list->items[i], node->items[i], decoder, error));
    list->count = node->count;
    return DC_OK;
}

void dc__write_losses(struct dc_text_buffer *out, const void *field, int indent)
{
    const struct dc_loss_list *list = field;
    dc_text_append(out, list->count ? "\n" : " []\n");
    for (int i = 0; i < list->count; i++) {
        struct dc_term_spec loss = list->items[i];
        struct dc_schema_part parts[LOSS_PARTS];
        const int count = loss_parts(parts, &loss);
        dc_text_append(out, "%*s- %s:\n", indent, "", loss.kind->name);
        for (int p = 0; p < count; p++)
            dc_schema_write(parts[p].schema, out, parts[p].base, indent + 4);
    }
}

#define BITS(key, member)                                                                          \
    DC_FIELD(dc_bits_entry, key, INT, member, "0", .minimum = 0, .maximum = 8, .help = "bits")
static const struct dc_field bits_fields[] = {BITS("weights", weights),
                                              BITS("activations", activations)};
const struct dc_schema dc__bits_schema = DC_SCHEMA("layers", bits_fields);

enum dc_status dc__decode_bits(const struct dc_decoder *decoder, void *field,
                               const struct dc_yaml *node, struct dc_error *error)
{
    struct dc_bits_list *list = field;
    *list = (struct dc_bits_list){0};
    if (node->kind != DC_YAML_MAPPING || node->count > DC_LIST_MAX)
        return dc_fail_yaml(error, node, "layers are a mapping {LAYER: {weights, activations}}");
    for (int i = 0; i < node->count; i++) {
        struct dc_bits_entry *entry = &list->items[i];
        entry->name = node->keys[i]->text;
        DC_TRY(dc_schema_decode(&dc__bits_schema, entry, node->items[i], entry->name, false,
                                decoder, error));
        if (entry->weights == 1 || entry->activations == 1 ||
            (entry->weights == 0 && entry->activations == 0))
            return dc_fail_yaml(error, node->items[i],
                                "layer '%s' needs 2 to 8 bits for weights, activations or both",
                                entry->name);
    }
    list->count = node->count;
    return DC_OK;
}

void dc__write_bits(struct dc_text_buffer *out, const void *field, int indent)
{
    const struct dc_bits_list *list = field;
    dc_text_append(out, list->count ? "\n" : " {}\n");
    for (int i = 0; i < list->count; i++) {
        const struct dc_bits_entry *entry = &list->items[i];
        dc_text_append(out, "%*s", indent, "");
        dc_text_append_scalar(out, entry->name);
        dc_text_append(out, ": {weights: %lld, activations: %lld}\n", (long long)entry->weights,
                       (long long)entry->activations);
    }
}

static enum dc_status decode_named(struct dc_named_values *list, const struct dc_yaml *node,
                                   const char *what, double low, double high,
                                   const struct dc_decoder *decoder, struct dc_error *error)
{
    *list = (struct dc_named_values){0};
    if (node->kind != DC_YAML_MAPPING || node->count > DC_LIST_MAX)
        return dc_fail_yaml(error, node, "%s", what);
    for (int i = 0; i < node->count; i++) {
        list->items[i].name = node->keys[i]->text;
        const struct dc_field field = {
            .key = node->keys[i]->text, .type = DC_FIELD_REAL, .minimum = low, .maximum = high};
        DC_TRY(dc_field_number(&list->items[i].value, &field, node->items[i], decoder, error));
    }
    list->count = node->count;
    return DC_OK;
}

enum dc_status dc__decode_factors(const struct dc_decoder *decoder, void *field,
                                  const struct dc_yaml *node, struct dc_error *error)
{
    return decode_named(field, node, "factors are a mapping {LAYER or PREFIX*: factor}", 0, 1e6,
                        decoder, error);
}

enum dc_status dc__decode_teachers(const struct dc_decoder *decoder, void *field,
                                   const struct dc_yaml *node, struct dc_error *error)
{
    return decode_named(field, node, "teachers are a mapping {STAGE or FILE: weight}", 1e-6, 1e6,
                        decoder, error);
}

enum dc_status dc__decode_parameters(const struct dc_decoder *decoder, void *field,
                                     const struct dc_yaml *node, struct dc_error *error)
{
    return decode_named(field, node, "parameters are a mapping {NAME: number}", -1e9, 1e9, decoder,
                        error);
}

void dc__write_named(struct dc_text_buffer *out, const void *field, int indent)
{
    const struct dc_named_values *list = field;
    dc_text_append(out, list->count ? "\n" : " {}\n");
    for (int i = 0; i < list->count; i++) {
        dc_text_append(out, "%*s", indent, "");
        dc_text_append_scalar(out, list->items[i].name);
        dc_text_append(out, ": %.17g\n", list->items[i].value);
    }
}

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
        DC_TRY(dc_path_resolve(&path, node->text, node->where.file, decoder->arena, error));
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

static const struct dc_field normalize_fields[] = {
    DC_FIELD(dc_normalize_spec, "mean", NUMBERS, mean, NULL,
             .help = "mean of each channel, of values in [0, 1]"),
    DC_FIELD(dc_normalize_spec, "deviation", NUMBERS, deviation, NULL,
             .help = "deviation of each channel"),
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

#define LOSS(k, t, m, d, low, high, h)                                                             \
    DC_FIELD(dc_term_spec, k, t, m, d, .minimum = (low), .maximum = (high), .help = (h))

static const char *const attention_modes[] = {"code", "paper", NULL};
static const char *const adaptors[] = {"auto", "none", NULL};

// The keys of all losses. Those with a default here are every loss's; a kind names the others that
// it takes, with its own.
static const struct dc_field loss_keys[] = {
    LOSS("weight", REAL, weight, NULL, 0, 1e9, "what the term counts in the sum"),
    LOSS("start_epoch", INT, start_epoch, "0", 0, 1e9, "first epoch of the term"),
    LOSS("end_epoch", INT, end_epoch, "0", 0, 1e9, "epoch it ends before; 0: never"),
    LOSS("ramp_epochs", INT, ramp_epochs, "0", 0, 1e9, "epochs of a linear rise"),
    LOSS("student", TEXTS, student, NULL, 0, 0, "layers of the student"),
    LOSS("teacher", TEXTS, teacher, NULL, 0, 0,
         "as many layers of the teacher; a term for each pair"),
    LOSS("temperature", REAL, temperature, NULL, 0, 1e4,
         "divides logits, of bce the teacher's, of crd similarities; of kd and dkd 0 is 4, or 1 "
         "where the stage quantizes"),
    LOSS("alpha", REAL, alpha, NULL, 0, 1e6, "weight of the target class against the others"),
    LOSS("beta", REAL, beta, NULL, 0, 1e6,
         "of dkd: weight of the classes but the target; of dist: of correlations along a row"),
    LOSS("gamma", REAL, gamma, NULL, 0, 1e6, "weight of correlations along the batch"),
    LOSS("tau", REAL, tau, NULL, 1e-3, 1e4, "divides logits"),
    LOSS("distance_weight", REAL, distance_weight, NULL, 0, 1e6, "of distances between samples"),
    LOSS("angle_weight", REAL, angle_weight, NULL, 0, 1e6, "of angles between samples"),
    LOSS("momentum", REAL, momentum, NULL, 0, 1, "share of the memory bank's old entry"),
    LOSS("embedding", INT, embedding, NULL, 1, 4096, "size of the embeddings"),
    LOSS("negatives", INT, negatives, NULL, 1, 1e7, "entries of other classes a sample"),
    DC_FIELD(dc_term_spec, "mode", CHOICE, mode, NULL, .choices = attention_modes,
             .help = "the authors' program, or their paper"),
    DC_FIELD(dc_term_spec, "adaptor", CHOICE, adaptor, NULL, .choices = adaptors,
             .help = "auto: made from the shapes and trained along"),
};
enum { LOSS_KEYS = sizeof loss_keys / sizeof loss_keys[0], LOSS_DEFAULT = 16 };

struct loss_schema {
    struct dc_schema schema;
    struct dc_field fields[LOSS_KEYS];
    char defaults[LOSS_KEYS][LOSS_DEFAULT], label[64];
};

// Where `key` stands among the words of a kind: behind it, at '=', ' ' or the end; or NULL.
static const char *behind_key(const char *words, const char *key)
{
    const size_t length = strlen(key);
    for (; *words; words += strcspn(words, " "), words += strspn(words, " "))
        if (strcspn(words, "= ") == length && strncmp(words, key, length) == 0)
            return words + length;
    return NULL;
}

static void loss_schema(struct loss_schema *s, int kind)
{
    snprintf(s->label, sizeof s->label, "loss '%s'", dc_term_kinds[kind].name);
    s->schema = (struct dc_schema){s->label, s->fields, 0};
    for (int i = 0; i < LOSS_KEYS; i++) {
        const char *word = behind_key(dc_term_kinds[kind].keys, loss_keys[i].key);
        if (!word && !loss_keys[i].fallback)
            continue;
        const int at = s->schema.count++;
        s->fields[at] = loss_keys[i];
        if (word && *word == '=') {
            snprintf(s->defaults[at], LOSS_DEFAULT, "%.*s", (int)strcspn(word + 1, " "), word + 1);
            s->fields[at].fallback = s->defaults[at];
        }
    }
}

enum dc_status dc__decode_losses(const struct dc_decoder *decoder, void *field,
                                 const struct dc_yaml *node, struct dc_error *error)
{
    struct dc_loss_list *list = field;
    const char *names[DC_LOSS_KIND_COUNT];
    *list = (struct dc_loss_list){0};
    for (int k = 0; k < DC_LOSS_KIND_COUNT; k++)
        names[k] = dc_term_kinds[k].name;
    DC_TRY(want_list(node, "losses", DC_TERMS_MAX, error));
    for (int i = 0; i < node->count; i++) {
        const struct dc_yaml *name, *body;
        struct dc_term_spec *loss = &list->items[i];
        struct loss_schema s = {0};
        DC_TRY(named_item(&name, &body, node->items[i], "a loss", error));
        while (loss->kind < DC_LOSS_KIND_COUNT && strcmp(names[loss->kind], name->text) != 0)
            loss->kind++;
        if (loss->kind == DC_LOSS_KIND_COUNT)
            return dc_fail_unknown_key(error, name, "the list of losses", names,
                                       DC_LOSS_KIND_COUNT);
        loss_schema(&s, loss->kind);
        DC_TRY(dc_schema_defaults(&s.schema, loss, decoder, error));
        loss->where = name;
        if (body)
            DC_TRY(dc_schema_decode(&s.schema, loss, body, s.label, true, decoder, error));
        else if (dc_term_kinds[loss->kind].features)
            return dc_fail_yaml(error, name, "%s needs the keys 'student' and 'teacher'", s.label);
    }
    list->count = node->count;
    return DC_OK;
}

void dc__write_losses(struct dc_text_buffer *out, const void *field, int indent)
{
    const struct dc_loss_list *list = field;
    dc_text_append(out, list->count ? "\n" : " []\n");
    for (int i = 0; i < list->count; i++) {
        struct loss_schema s = {0};
        loss_schema(&s, list->items[i].kind);
        dc_text_append(out, "%*s- %s:\n", indent, "", dc_term_kinds[list->items[i].kind].name);
        dc_schema_write(&s.schema, out, &list->items[i], indent + 4);
    }
}

#define BITS(key, member)                                                                          \
    DC_FIELD(dc_bits_entry, key, INT, member, "0", .minimum = 0, .maximum = 8, .help = "bits")
static const struct dc_field bits_fields[] = {BITS("weights", weights),
                                              BITS("activations", activations)};
static const struct dc_schema bits_schema = DC_SCHEMA("layers", bits_fields);

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
        DC_TRY(dc_schema_decode(&bits_schema, entry, node->items[i], entry->name, false, decoder,
                                error));
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

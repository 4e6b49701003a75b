// Owns strict decoding of YAML into structs, and writing them back.

#include "core/schema.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

enum {
    KEYS_MAX = 64,
    KEYS_SHORT = 150  // characters of a list that may stand beside a suggestion
};
static const double WHOLE_MAX = 9007199254740992.0;  // 2^53: every double up to it is exact

static enum dc_status fail_key(struct dc_error *error, const struct dc_yaml *key, const char *where,
                               const char *const *names, int count, const char *hint)
{
    char keys[1024] = "keys here: ";
    dc_join(keys + strlen(keys), sizeof keys - strlen(keys), names, count);
    struct dc_location place = key->where;
    place.marked = (int)strlen(key->text);
    const bool told = hint[0] && strlen(keys) > KEYS_SHORT;
    return dc_fail_at(error, DC_ERR_CONFIG, &place, hint[0] ? hint + 2 : NULL, told ? NULL : keys,
                      "unknown key '%s' in %s", key->text, where);
}

enum dc_status dc_fail_unknown_key(struct dc_error *error, const struct dc_yaml *key,
                                   const char *where, const char *const *names, int count)
{
    char hint[DC_HINT];
    if (!dc_did_you_mean(hint, key->text, names, count)[0])
        dc_advice(hint, key->text);
    return fail_key(error, key, where, names, count, hint);
}

static int names_of(const char *names[KEYS_MAX], int known, const struct dc_schema *schema)
{
    for (int i = 0; i < schema->count && known < KEYS_MAX; i++)
        names[known++] = schema->fields[i].key;
    return known;
}

static const char *find_key(const char **key, const char *word, const struct dc_schema *schema,
                            bool exact)
{
    const char *names[KEYS_MAX], *inner = NULL;
    const struct dc_synonym *synonym;
    *key = dc_suggest(word, names, names_of(names, 0, schema), &synonym);
    if (*key && (exact ? strcmp(*key, word) == 0 : synonym != NULL))
        return schema->name;
    for (int i = 0; i < schema->count && !inner; i++) {
        const struct dc_field *field = &schema->fields[i];
        if (field->type == DC_FIELD_GROUP || field->type == DC_FIELD_OPTIONAL)
            inner = find_key(key, word, field->group, exact);
    }
    return inner;
}

const char *dc_schema_find_key(const char **key, const char *word,
                               const struct dc_schema *const *schemas)
{
    const char *found = NULL;
    for (int exact = 1; exact >= 0 && !found; exact--)
        for (const struct dc_schema *const *at = schemas; *at && !found; at++)
            found = find_key(key, word, *at, exact);
    return found;
}

static enum dc_status unknown_key(struct dc_error *error, const struct dc_yaml *key,
                                  const struct dc_schema_part *parts, int count, const char *where,
                                  const struct dc_decoder *decoder)
{
    const char *names[KEYS_MAX];
    char hint[DC_HINT];
    int known = 0;
    for (int p = 0; p < count; p++)
        known = names_of(names, known, parts[p].schema);
    dc_did_you_mean(hint, key->text, names, known);
    const char *other;
    const char *place = decoder->places && !hint[0]
                            ? dc_schema_find_key(&other, key->text, decoder->places)
                            : NULL;
    if (place)
        snprintf(hint, DC_HINT, "; '%s' is a key of %s", other, place);
    if (!hint[0])
        dc_advice(hint, key->text);
    if (strchr(key->text, ':'))
        snprintf(hint, DC_HINT, "; a blank stands behind the ':' of a key");
    else if (!hint[0] && isdigit((unsigned char)key->text[0]))
        snprintf(hint, DC_HINT, "; a number has a point, not a comma");
    return fail_key(error, key, where, names, known, hint);
}

static enum dc_status want_scalar(const struct dc_yaml *node, const char *key, const char *what,
                                  struct dc_error *error)
{
    if (node->kind == DC_YAML_SCALAR)
        return DC_OK;
    return dc_fail_yaml(error, node, "'%s' must be %s, not a %s%s", key, what,
                        node->kind == DC_YAML_MAPPING ? "mapping" : "list",
                        node->kind == DC_YAML_MAPPING ? "; other keys stand beside it" : "");
}

// For a text that is one $name.
static const char *suggest_variable(char hint[DC_HINT], const char *text,
                                    const struct dc_variables *variables)
{
    hint[0] = '\0';
    for (; text[0] == '$' && variables && !hint[0]; variables = variables->outer)
        dc_did_you_mean(hint, text + 1, variables->names, variables->count);
    return hint;
}

enum dc_status dc_field_number(double *value, const struct dc_field *field,
                               const struct dc_yaml *node, const struct dc_decoder *decoder,
                               struct dc_error *error)
{
    DC_TRY(want_scalar(node, field->key, "a number", error));
    const char *problem = NULL;
    if (node->quoted)
        return dc_fail_yaml(error, node, "'%s' must be a number: leave out the quotes of '%s'",
                            field->key, node->text);
    char hint[DC_HINT];
    if (!dc_expression(value, node->text, decoder->variables, &problem))
        return dc_fail_yaml(error, node, "'%s' must be a number, not '%s'%s%s%s", field->key,
                            node->text, problem ? ": " : "", problem ? problem : "",
                            suggest_variable(hint, node->text, decoder->variables));
    const bool whole = field->type == DC_FIELD_INT || field->type == DC_FIELD_INT32 ||
                       field->type == DC_FIELD_INTEGERS;
    if (whole && (*value != rint(*value) || fabs(*value) > WHOLE_MAX))
        return dc_fail_yaml(error, node, "'%s' must be a whole number, not %s", field->key,
                            node->text);
    if (field->minimum < field->maximum && !(*value >= field->minimum && *value <= field->maximum))
        return dc_fail_yaml(error, node, "'%s' must be in [%g, %g], not %s", field->key,
                            field->minimum, field->maximum, node->text);
    return DC_OK;
}

// A number of bytes: 1000000, 500MiB, 1.5GiB.
static enum dc_status decode_bytes(int64_t *bytes, const struct dc_field *field,
                                   const struct dc_yaml *node, struct dc_error *error)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    DC_TRY(want_scalar(node, field->key, "a number of bytes", error));
    char *unit = NULL;
    double value = strtod(node->text, &unit);
    size_t u = 0;
    unit += strspn(unit, " ");
    while (u < sizeof units / sizeof units[0] && strcmp(unit, units[u]) != 0)
        u++;
    const bool starts = node->text[0] >= '0' && node->text[0] <= '9';
    value = ldexp(value, 10 * (int)u);
    if (!starts || u == sizeof units / sizeof units[0] || value != rint(value) ||
        !(value <= field->maximum))
        return dc_fail_yaml(error, node,
                            "'%s' must be a number of bytes up to %g, as 64000, 64KiB, 1.5MiB "
                            "or 8GiB, not '%s'%s",
                            field->key, field->maximum, node->text,
                            starts && *unit && strchr("kKMGT", *unit)
                                ? ": its unit may mean thousands or 1024s"
                                : "");
    *bytes = (int64_t)value;
    return DC_OK;
}

static enum dc_status decode_bool(bool *value, const struct dc_field *field,
                                  const struct dc_yaml *node, const struct dc_decoder *decoder,
                                  struct dc_error *error)
{
    DC_TRY(want_scalar(node, field->key, "true or false", error));
    double number = 0.0;
    if (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0) {
        *value = node->text[0] == 't';
        return DC_OK;
    }
    const char *problem;
    if (decoder->variables && dc_expression(&number, node->text, decoder->variables, &problem)) {
        *value = number != 0.0;
        return DC_OK;
    }
    static const char *const words[] = {"true", "false"};
    char hint[DC_HINT];
    return dc_fail_yaml(error, node, "'%s' must be true or false, not '%s'%s", field->key,
                        node->text, dc_did_you_mean(hint, node->text, words, 2));
}

static enum dc_status decode_choice(int *value, const struct dc_field *field,
                                    const struct dc_yaml *node, struct dc_error *error)
{
    DC_TRY(want_scalar(node, field->key, "a word", error));
    char all[512], hint[DC_HINT];
    int count = 0;
    for (; field->choices[count]; count++) {
        if (strcmp(node->text, field->choices[count]) == 0) {
            *value = count;
            return DC_OK;
        }
    }
    dc_join(all, sizeof all, field->choices, count);
    return dc_fail_yaml(error, node, "'%s' may be %s, not '%s'%s", field->key, all, node->text,
                        dc_did_you_mean(hint, node->text, field->choices, count));
}

// Words or numbers; one alone stands for a list of one.
static enum dc_status decode_list(void *at, const struct dc_field *field,
                                  const struct dc_yaml *node, const struct dc_decoder *decoder,
                                  struct dc_error *error)
{
    struct dc_texts *texts = at;
    struct dc_numbers *numbers = at;
    const bool words = field->type == DC_FIELD_TEXTS, one = node->kind == DC_YAML_SCALAR;
    const int count = one ? (node->text[0] ? 1 : 0) : node->count;
    const int most = field->most ? field->most : DC_LIST_MAX;
    if (node->kind == DC_YAML_MAPPING || count > most || (field->filled && count == 0))
        return dc_fail_yaml(error, node, "'%s' must be a list of %s%d %s", field->key,
                            field->filled ? "1 to " : "up to ", most, words ? "words" : "numbers");
    *(words ? &texts->count : &numbers->count) = count;
    for (int i = 0; i < count; i++) {
        const struct dc_yaml *item = one ? node : node->items[i];
        if (!words) {
            DC_TRY(dc_field_number(&numbers->items[i], field, item, decoder, error));
            continue;
        }
        DC_TRY(want_scalar(item, field->key, "a list of words", error));
        texts->items[i] = item->text;
    }
    return DC_OK;
}

static enum dc_status decode_optional(bool *present, void *at, const struct dc_field *field,
                                      const struct dc_yaml *node, const struct dc_decoder *decoder,
                                      struct dc_error *error)
{
    const bool was_present = *present;
    *present = node->kind != DC_YAML_SCALAR || node->text[0];
    if (!*present)
        return DC_OK;
    if (!was_present)
        DC_TRY(dc_schema_defaults(field->group, at, decoder, error));
    return dc_schema_decode(field->group, at, node, field->group->name, false, decoder, error);
}

static enum dc_status decode_node(const struct dc_yaml **at, const struct dc_field *field,
                                  const struct dc_yaml *node, struct dc_error *error)
{
    static const char *const names[] = {"one value", "a list", "a mapping"};
    const bool mapping = field->type == DC_FIELD_MAPPING;
    if (node->kind != (mapping ? DC_YAML_MAPPING : DC_YAML_SEQUENCE))
        return dc_fail_yaml(error, node, "%s must be %s, not %s", field->key,
                            mapping ? "a mapping" : "a list", names[node->kind]);
    *at = node;
    return DC_OK;
}

static enum dc_status decode_path(char **path, const struct dc_field *field,
                                  const struct dc_yaml *node, const struct dc_decoder *decoder,
                                  struct dc_error *error)
{
    struct dc_error reason;
    enum dc_status status = dc_search(path, field->search, node->text, node->where.file,
                                      decoder->arena, &reason);
    if (status == DC_OK)
        status = dc_path_absolute(path, *path, NULL, decoder->arena, &reason);
    if (status != DC_OK)
        return dc_fail_yaml(error, node, "'%s': %.512s", field->key, reason.message);
    return DC_OK;
}

static enum dc_status decode_field(const struct dc_field *field, void *base,
                                   const struct dc_yaml *node, const struct dc_decoder *decoder,
                                   struct dc_error *error)
{
    void *at = (char *)base + field->offset;
    double number = 0.0;
    switch (field->type) {
    case DC_FIELD_TEXT:
        DC_TRY(want_scalar(node, field->key, "a word", error));
        *(const char **)at = node->text;
        return DC_OK;
    case DC_FIELD_PATH:
        DC_TRY(want_scalar(node, field->key, "a path", error));
        if (!node->text[0]) {
            *(const char **)at = "";
            return DC_OK;
        }
        return decode_path(at, field, node, decoder, error);
    case DC_FIELD_INT:
        DC_TRY(dc_field_number(&number, field, node, decoder, error));
        *(int64_t *)at = (int64_t)number;
        return DC_OK;
    case DC_FIELD_BYTES:
        return decode_bytes(at, field, node, error);
    case DC_FIELD_REAL:
        return dc_field_number(at, field, node, decoder, error);
    case DC_FIELD_INT32:
        DC_TRY(dc_field_number(&number, field, node, decoder, error));
        *(int *)at = (int)number;
        return DC_OK;
    case DC_FIELD_FLOAT:
        DC_TRY(dc_field_number(&number, field, node, decoder, error));
        *(float *)at = (float)number;
        return DC_OK;
    case DC_FIELD_BOOL:
        return decode_bool(at, field, node, decoder, error);
    case DC_FIELD_CHOICE:
        return decode_choice(at, field, node, error);
    case DC_FIELD_TEXTS:
    case DC_FIELD_NUMBERS:
    case DC_FIELD_INTEGERS:
        return decode_list(at, field, node, decoder, error);
    case DC_FIELD_GROUP:
        return dc_schema_decode(field->group, at, node, field->group->name, false, decoder, error);
    case DC_FIELD_OPTIONAL:
        return decode_optional((bool *)((char *)base + field->present), at, field, node, decoder,
                               error);
    case DC_FIELD_MAPPING:
    case DC_FIELD_SEQUENCE:
        return decode_node(at, field, node, error);
    case DC_FIELD_CUSTOM:
        return field->decode(decoder, at, node, error);
    }
    return DC_ERR_INTERNAL;
}

enum dc_status dc_schema_defaults(const struct dc_schema *schema, void *base,
                                  const struct dc_decoder *decoder, struct dc_error *error)
{
    for (int i = 0; i < schema->count; i++) {
        const struct dc_field *field = &schema->fields[i];
        if (field->type == DC_FIELD_GROUP || field->type == DC_FIELD_OPTIONAL)
            DC_TRY(dc_schema_defaults(field->group, (char *)base + field->offset, decoder, error));
        if (field->type == DC_FIELD_GROUP || !field->fallback)
            continue;
        const struct dc_yaml *node = NULL;
        DC_TRY_IN(dc_yaml_parse(&node, field->fallback[0] ? field->fallback : "''", "default",
                                decoder->arena, error),
                  error, "default of '%s'", field->key);
        DC_TRY(decode_field(field, base, node, decoder, error));
    }
    return DC_OK;
}

static const struct dc_field *find_field(const struct dc_schema_part **part, const char *key,
                                         const struct dc_schema_part *parts, int count)
{
    for (*part = parts; *part < parts + count; (*part)++)
        for (int i = 0; i < (*part)->schema->count; i++)
            if (strcmp((*part)->schema->fields[i].key, key) == 0)
                return &(*part)->schema->fields[i];
    return NULL;
}

// The key that an example shows: the first that must be there, else the first of all.
static const char *first_wanted(const struct dc_schema_part *parts, int count)
{
    for (int p = 0; p < count; p++)
        for (int i = 0; i < parts[p].schema->count; i++)
            if (!parts[p].schema->fields[i].fallback)
                return parts[p].schema->fields[i].key;
    return parts[count - 1].schema->count ? parts[count - 1].schema->fields[0].key
                                          : parts[0].schema->fields[0].key;
}

enum dc_status dc_schema_decode_parts(const struct dc_schema_part *parts, int count,
                                      const struct dc_yaml *mapping, const char *where,
                                      bool check_required, const struct dc_decoder *decoder,
                                      struct dc_error *error)
{
    const struct dc_schema_part *part;
    if (mapping->kind != DC_YAML_MAPPING)
        return dc_fail_yaml(error, mapping, "%s must be a mapping, as {%s: ...}", where,
                            first_wanted(parts, count));
    for (int k = 0; k < mapping->count; k++) {
        const struct dc_field *field = find_field(&part, mapping->keys[k]->text, parts, count);
        if (!field)
            return unknown_key(error, mapping->keys[k], parts, count, where, decoder);
        DC_TRY(decode_field(field, part->base, mapping->items[k], decoder, error));
    }
    for (part = parts; check_required && part < parts + count; part++) {
        for (int i = 0; i < part->schema->count; i++) {
            const struct dc_field *field = &part->schema->fields[i];
            if (field->type != DC_FIELD_GROUP && !field->fallback &&
                !dc_yaml_get(mapping, field->key))
                return dc_fail_yaml(error, mapping, "%s lacks the key '%s' (%s)", where, field->key,
                                    field->help);
        }
    }
    return DC_OK;
}

enum dc_status dc_schema_decode(const struct dc_schema *schema, void *base,
                                const struct dc_yaml *mapping, const char *where,
                                bool check_required, const struct dc_decoder *decoder,
                                struct dc_error *error)
{
    const struct dc_schema_part part = {schema, base};
    return dc_schema_decode_parts(&part, 1, mapping, where, check_required, decoder, error);
}

void dc_text_append(struct dc_text_buffer *buffer, const char *format, ...)
{
    for (int attempt = 0; attempt < 2 && !buffer->failed; attempt++) {
        va_list args;
        va_start(args, format);
        const size_t room = buffer->capacity - buffer->length;
        const int wrote = vsnprintf(buffer->text ? buffer->text + buffer->length : NULL, room,
                                    format, args);
        va_end(args);
        if (wrote >= 0 && (size_t)wrote < room) {
            buffer->length += (size_t)wrote;
            return;
        }
        const size_t capacity = (buffer->capacity + (size_t)(wrote < 0 ? 0 : wrote)) * 2 + 1024;
        char *text = realloc(buffer->text, capacity);
        buffer->failed = !text;
        if (text) {
            buffer->text = text;
            buffer->capacity = capacity;
        }
    }
}

void dc_text_free(struct dc_text_buffer *buffer)
{
    free(buffer->text);
    *buffer = (struct dc_text_buffer){0};
}

// Line ends and tabs are folded within single quotes.
static void append_escaped(struct dc_text_buffer *out, const char *text)
{
    dc_text_append(out, "\"");
    for (; *text; text++) {
        if (*text == '\n' || *text == '\r' || *text == '\t')
            dc_text_append(out, "\\%c", *text == '\n' ? 'n' : *text == '\r' ? 'r' : 't');
        else
            dc_text_append(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    }
    dc_text_append(out, "\"");
}

int dc_text_columns(const char *text)
{
    int columns = 0;
    for (; *text; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;  // bytes that continue a character
    return columns;
}

void dc_text_append_name(struct dc_text_buffer *buffer, const char *name, int columns)
{
    const int own = dc_text_columns(name);
    dc_text_append(buffer, "%s%s%*s", name, own > columns ? "\n" : "",
                   own > columns ? columns : columns - own, "");
}

void dc_text_append_scalar(struct dc_text_buffer *out, const char *text)
{
    if (strpbrk(text, "\n\r\t")) {
        append_escaped(out, text);
        return;
    }
    const bool plain = text[0] && text[strlen(text) - 1] != ' ' &&
                       !strpbrk(text, ":#{}[],&*!|>'\"%@`\n\\") && text[0] != '-' &&
                       text[0] != '?' && text[0] != ' ' && strcmp(text, "null") != 0 &&
                       strcmp(text, "~") != 0;
    if (plain) {
        dc_text_append(out, "%s", text);
        return;
    }
    dc_text_append(out, "'");
    for (; *text; text++)
        dc_text_append(out, *text == '\'' ? "''" : "%c", *text);
    dc_text_append(out, "'");
}

static void write_number(struct dc_text_buffer *out, double value)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    dc_text_append(out, "%s", text);
}

static void write_float(struct dc_text_buffer *out, float value)
{
    char text[40];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    dc_text_append(out, "%s", text);
}

static void write_list(struct dc_text_buffer *out, const void *at, bool words)
{
    const struct dc_texts *texts = at;
    const struct dc_numbers *numbers = at;
    dc_text_append(out, "[");
    for (int i = 0; i < (words ? texts->count : numbers->count); i++) {
        dc_text_append(out, "%s", i ? ", " : "");
        if (words)
            dc_text_append_scalar(out, texts->items[i]);
        else
            write_number(out, numbers->items[i]);
    }
    dc_text_append(out, "]");
}

static void write_field(const struct dc_field *field, struct dc_text_buffer *out, const void *at)
{
    const char *text;
    switch (field->type) {
    case DC_FIELD_TEXT:
    case DC_FIELD_PATH:
        text = *(const char *const *)at;
        dc_text_append_scalar(out, text ? text : "");
        break;
    case DC_FIELD_INT:
    case DC_FIELD_BYTES:
        dc_text_append(out, "%lld", (long long)*(const int64_t *)at);
        break;
    case DC_FIELD_REAL:
        write_number(out, *(const double *)at);
        break;
    case DC_FIELD_INT32:
        dc_text_append(out, "%d", *(const int *)at);
        break;
    case DC_FIELD_FLOAT:
        write_float(out, *(const float *)at);
        break;
    case DC_FIELD_BOOL:
        dc_text_append(out, "%s", *(const bool *)at ? "true" : "false");
        break;
    case DC_FIELD_CHOICE:
        dc_text_append(out, "%s", field->choices[*(const int *)at]);
        break;
    case DC_FIELD_TEXTS:
    case DC_FIELD_NUMBERS:
    case DC_FIELD_INTEGERS:
        write_list(out, at, field->type == DC_FIELD_TEXTS);
        break;
    default:  // those that are more than one value: dc_schema_write
        break;
    }
}

// Whether the value is written as the default is.
static bool has_default(const struct dc_field *field, const void *at)
{
    struct dc_text_buffer text = {0};
    write_field(field, &text, at);
    const bool same = text.text && strcmp(text.text, field->fallback) == 0;
    dc_text_free(&text);
    return same;
}

void dc_schema_write(const struct dc_schema *schema, struct dc_text_buffer *out, const void *base,
                     int indent)
{
    for (int i = 0; i < schema->count; i++) {
        const struct dc_field *field = &schema->fields[i];
        const void *at = (const char *)base + field->offset;
        if (out->hashed && (field->unhashed || (field->later && has_default(field, at))))
            continue;
        dc_text_append(out, "%*s%s:", indent, "", field->key);
        if (field->type == DC_FIELD_GROUP || field->type == DC_FIELD_OPTIONAL) {
            const bool present = field->type == DC_FIELD_GROUP ||
                                 *(const bool *)((const char *)base + field->present);
            dc_text_append(out, present ? "\n" : " ''\n");
            if (present)
                dc_schema_write(field->group, out, at, indent + 2);
        } else if (field->type == DC_FIELD_CUSTOM) {
            field->write(out, at, indent + 2);
        } else if (field->type != DC_FIELD_MAPPING && field->type != DC_FIELD_SEQUENCE) {
            dc_text_append(out, " ");
            write_field(field, out, at);
            dc_text_append(out, "\n");
        }
    }
}

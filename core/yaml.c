// Owns the step from YAML text to a tree with places. libfyaml scans and parses; this file reads
// its events, refuses what an experiment file must not contain, and copies the rest into the arena.
//
// Columns count bytes. A plain null (empty, ~, null) is a scalar with the text "". What a scalar
// means (number, switch, list of names) is for its reader to say; nothing is converted here.

#include "core/yaml.h"

#include <assert.h>
#include <libfyaml.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

enum { DEPTH_MAX = 64, FILE_MAX = 4 * 1024 * 1024 };

struct reader {
    struct fy_parser *parser;
    struct fy_diag *diag;
    const char *name;
    const char **lines;   // [line_count] the text of every line, zero-terminated
    size_t *line_starts;  // [line_count] byte offsets
    int *line_lengths;    // [line_count] bytes of its text
    int line_count;
    struct dc_arena *arena;
    struct dc_error *error;
};

static enum dc_status split_lines(struct reader *reader, const char *text, size_t size)
{
    int count = 1;
    for (size_t i = 0; i < size; i++)
        count += text[i] == '\n';
    char *copy = dc_arena_alloc(reader->arena, size + 1, reader->error);
    reader->lines = DC_NEW(reader->arena, const char *, count, reader->error);
    reader->line_starts = DC_NEW(reader->arena, size_t, count, reader->error);
    reader->line_lengths = DC_NEW(reader->arena, int, count, reader->error);
    if (!copy || !reader->lines || !reader->line_starts || !reader->line_lengths)
        return DC_ERR_MEMORY;
    memcpy(copy, text, size);
    for (size_t start = 0; reader->line_count < count;) {
        const int line = reader->line_count++;
        reader->lines[line] = copy + start;
        reader->line_starts[line] = start;
        size_t end = start;
        while (end < size && copy[end] != '\n')
            end++;
        copy[end] = '\0';
        if (end > start && copy[end - 1] == '\r')
            copy[end - 1] = '\0';
        reader->line_lengths[line] = (int)strnlen(copy + start, end - start);
        start = end + 1;
    }
    return DC_OK;
}

// line and column from 0, as libfyaml counts; clipped to the text, which a caret must stay below.
static struct dc_location place(const struct reader *reader, int line, int column, int marked)
{
    if (line >= reader->line_count)
        line = reader->line_count - 1;
    if (line < 0)
        line = 0;
    const char *excerpt = reader->lines[line];
    const int length = reader->line_lengths[line];
    if (column > length)
        column = length;
    if (column < 0)
        column = 0;
    if (marked > length - column)
        marked = length - column;
    return (struct dc_location){
        .file = reader->name,
        .line = line + 1,
        .column = column + 1,
        .excerpt = excerpt,
        .marked = marked < 1 ? 1 : marked,
    };
}

static struct dc_location token_place(const struct reader *reader, struct fy_token *token)
{
    const struct fy_mark *start = token ? fy_token_start_mark(token) : NULL;
    const struct fy_mark *end = token ? fy_token_end_mark(token) : NULL;
    if (!start || !end || start->line >= reader->line_count)
        return place(reader, 0, 0, 1);
    int column = (int)(start->input_pos - reader->line_starts[start->line]);
    int marked = end->line == start->line ? (int)(end->input_pos - start->input_pos) : 1;
    const enum fy_scalar_style style = fy_token_scalar_style(token);
    if (style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) {
        column -= 1;  // libfyaml's marks lie inside the quotes
        marked += 2;
    }
    return place(reader, start->line, column, marked);
}

// Bytes of the character at `at`, of which `left` are there: printable in UTF-8, or a tab or line
// end; 0 for anything else.
static size_t character_bytes(const uint8_t *at, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t size = at[0] < 0x80   ? 1
                        : at[0] < 0xc2 ? 0
                        : at[0] < 0xe0 ? 2
                        : at[0] < 0xf0 ? 3
                                       : 4;
    if (size <= 1)
        return at[0] >= ' ' || at[0] == '\t' || at[0] == '\n' || at[0] == '\r' ? size : 0;
    if (at[0] > 0xf4 || left < size)
        return 0;
    uint32_t code = at[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3f);
    }
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code >= least[size] && code <= 0x10ffff && !surrogate ? size : 0;
}

// libfyaml does not come back from some bytes that are no text.
static enum dc_status check_text(const struct reader *reader, const char *text, size_t size)
{
    int line = 0;
    for (size_t i = 0, bytes; i < size; i += bytes) {
        bytes = character_bytes((const uint8_t *)text + i, size - i);
        if (bytes == 0) {
            const struct dc_location where = place(reader, line,
                                                   (int)(i - reader->line_starts[line]), 1);
            return dc_fail_at(reader->error, DC_ERR_CONFIG, &where, NULL, NULL,
                              "byte 0x%02x is no text in UTF-8", (unsigned)(uint8_t)text[i]);
        }
        line += text[i] == '\n';
    }
    return DC_OK;
}

static enum dc_status fail_syntax(const struct reader *reader)
{
    void *at = NULL;
    const struct fy_diag_error *found = fy_diag_errors_iterate(reader->diag, &at);
    if (!found)
        return dc_fail(reader->error, DC_ERR_CONFIG, "%s: cannot be parsed as YAML", reader->name);
    const struct dc_location where = place(reader, found->line - 1, found->column - 1, 1);
    return dc_fail_at(reader->error, DC_ERR_CONFIG, &where, NULL, NULL, "%s", found->msg);
}

static enum dc_status fail_token(const struct reader *reader, struct fy_token *token,
                                 const char *message)
{
    const struct dc_location where = token_place(reader, token);
    return dc_fail_at(reader->error, DC_ERR_CONFIG, &where, NULL, NULL, "%s", message);
}

static enum dc_status next_event(struct reader *reader, struct fy_event **event)
{
    *event = fy_parser_parse(reader->parser);
    if (!*event || fy_parser_get_stream_error(reader->parser)) {
        fy_parser_event_free(reader->parser, *event);
        *event = NULL;
        return fail_syntax(reader);
    }
    return DC_OK;
}

static bool is_null_word(const char *text, size_t length)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i]) == length && !memcmp(words[i], text, length))
            return true;
    return false;
}

static enum dc_status read_scalar(struct reader *reader, struct dc_yaml *node,
                                  struct fy_token *token)
{
    size_t length = 0;
    const char *text = token ? fy_token_get_text(token, &length) : "";
    if (!text)
        return dc_fail(reader->error, DC_ERR_MEMORY, "%s: out of memory", reader->name);
    node->quoted = token && fy_token_scalar_style(token) != FYSS_PLAIN;
    if (!node->quoted && is_null_word(text, length))
        length = 0;
    if (memchr(text, '\0', length))
        return fail_token(reader, token, "a text must not contain a zero byte");
    char *copy = dc_arena_alloc(reader->arena, length + 1, reader->error);
    if (!copy)
        return DC_ERR_MEMORY;
    memcpy(copy, text, length);
    node->text = copy;
    return DC_OK;
}

// Keys and items while their number is unknown; they move to a larger array when it is full.
struct items {
    const struct dc_yaml **keys, **items;
    int count, capacity;
};

static enum dc_status items_add(struct reader *reader, struct items *list,
                                const struct dc_yaml *key, const struct dc_yaml *item)
{
    int capacity = list->capacity;
    list->keys = dc_arena_grow(reader->arena, list->keys, list->count, &capacity, sizeof key,
                               reader->error);
    list->items = dc_arena_grow(reader->arena, list->items, list->count, &list->capacity,
                                sizeof item, reader->error);
    if (!list->keys || !list->items)
        return DC_ERR_MEMORY;
    list->keys[list->count] = key;
    list->items[list->count++] = item;
    return DC_OK;
}

static enum dc_status read_node(struct reader *reader, const struct dc_yaml **out,
                                struct fy_event *event, int depth);

// The next event, which starts a node unless it is `end`: then *node is NULL.
static enum dc_status read_next(struct reader *reader, const struct dc_yaml **node,
                                enum fy_event_type end, int depth)
{
    struct fy_event *event = NULL;
    *node = NULL;
    DC_TRY(next_event(reader, &event));
    enum dc_status status = DC_OK;
    if (event->type != end)
        status = read_node(reader, node, event, depth);
    fy_parser_event_free(reader->parser, event);
    return status;
}

static enum dc_status check_key(const struct reader *reader, const struct dc_yaml *key)
{
    if (key->kind != DC_YAML_SCALAR)
        return dc_fail_yaml(reader->error, key, "a key must be plain text, not a %s",
                            key->kind == DC_YAML_MAPPING ? "mapping" : "list");
    if (!key->quoted && !key->text[0])
        return dc_fail_yaml(reader->error, key, "a key is missing");
    return DC_OK;
}

static bool stands_before(const struct dc_yaml *a, const struct dc_yaml *b)
{
    return a->where.line < b->where.line ||
           (a->where.line == b->where.line && a->where.column < b->where.column);
}

// By text, equal ones in the order of the file.
static int compare_keys(const void *a, const void *b)
{
    const struct dc_yaml *x = *(const struct dc_yaml *const *)a;
    const struct dc_yaml *y = *(const struct dc_yaml *const *)b;
    const int order = strcmp(x->text, y->text);
    return order != 0 ? order : stands_before(x, y) ? -1 : 1;
}

// Sorting brings equal keys together; of several the one that stands first in the file is told.
static enum dc_status check_twice(const struct reader *reader, const struct items *list)
{
    const size_t count = (size_t)list->count;
    const struct dc_yaml *second = NULL, *first = NULL;
    if (count < 2)
        return DC_OK;
    const struct dc_yaml **sorted = malloc(sizeof *sorted * count);
    if (!sorted)
        return dc_fail(reader->error, DC_ERR_MEMORY, "%s: out of memory", reader->name);
    memcpy(sorted, list->keys, sizeof *sorted * count);
    qsort(sorted, count, sizeof *sorted, compare_keys);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(sorted[i - 1]->text, sorted[i]->text) == 0 &&
            (!second || stands_before(sorted[i], second))) {
            first = sorted[i - 1];
            second = sorted[i];
        }
    }
    free(sorted);
    if (!second)
        return DC_OK;
    return dc_fail_yaml(reader->error, second, "key '%s' stands here twice; first in line %d",
                        second->text, first->where.line);
}

static enum dc_status read_items(struct reader *reader, struct dc_yaml *node, int depth)
{
    const bool mapping = node->kind == DC_YAML_MAPPING;
    const enum fy_event_type end = mapping ? FYET_MAPPING_END : FYET_SEQUENCE_END;
    struct items list = {0};
    for (;;) {
        const struct dc_yaml *key = NULL, *item = NULL;
        DC_TRY(read_next(reader, mapping ? &key : &item, end, depth));
        if (!key && !item)
            break;
        if (mapping) {
            DC_TRY(check_key(reader, key));
            DC_TRY(read_next(reader, &item, FYET_NONE, depth));
        }
        DC_TRY(items_add(reader, &list, key, item));
    }
    if (mapping)
        DC_TRY(check_twice(reader, &list));
    node->count = list.count;
    node->keys = mapping ? list.keys : NULL;
    node->items = list.items;
    return DC_OK;
}

// event stays the caller's.
static enum dc_status read_node(struct reader *reader, const struct dc_yaml **out,
                                struct fy_event *event, int depth)
{
    struct fy_token *token = fy_event_get_token(event);
    if (event->type == FYET_ALIAS)
        return fail_token(reader, token, "aliases ('*name') are not allowed here");
    if (fy_event_get_anchor_token(event))
        return fail_token(reader, fy_event_get_anchor_token(event),
                          "anchors ('&name') are not allowed here");
    if (fy_event_get_tag_token(event))
        return fail_token(reader, fy_event_get_tag_token(event),
                          "tags ('!name') are not allowed here");
    if (depth >= DEPTH_MAX)
        return fail_token(reader, token, "nested too deeply");
    struct dc_yaml *node = DC_NEW(reader->arena, struct dc_yaml, 1, reader->error);
    if (!node)
        return DC_ERR_MEMORY;
    node->where = token_place(reader, token);
    node->text = "";
    *out = node;
    switch (event->type) {
    case FYET_SCALAR:
        node->kind = DC_YAML_SCALAR;
        return read_scalar(reader, node, token);
    case FYET_SEQUENCE_START:
        node->kind = DC_YAML_SEQUENCE;
        return read_items(reader, node, depth + 1);
    case FYET_MAPPING_START:
        node->kind = DC_YAML_MAPPING;
        return read_items(reader, node, depth + 1);
    default:
        return dc_fail(reader->error, DC_ERR_INTERNAL, "%s: unexpected YAML event %d", reader->name,
                       (int)event->type);
    }
}

// STREAM_START, DOCUMENT_START, the root, DOCUMENT_END, STREAM_END: anything else is refused.
static enum dc_status read_document(struct reader *reader, const struct dc_yaml **root)
{
    struct fy_event *event = NULL;
    for (enum fy_event_type type = FYET_STREAM_START; type != FYET_DOCUMENT_START;) {
        DC_TRY(next_event(reader, &event));
        type = event->type;
        fy_parser_event_free(reader->parser, event);
        if (type == FYET_STREAM_END)
            return dc_fail(reader->error, DC_ERR_CONFIG, "%s: the file is empty", reader->name);
    }
    DC_TRY(read_next(reader, root, FYET_NONE, 0));
    assert(*root);
    if ((*root)->kind == DC_YAML_SCALAR && !(*root)->quoted && !(*root)->text[0])
        return dc_fail(reader->error, DC_ERR_CONFIG, "%s: the file is empty", reader->name);
    for (enum fy_event_type type = FYET_DOCUMENT_END; type != FYET_STREAM_END;) {
        DC_TRY(next_event(reader, &event));
        type = event->type;
        const bool second = type == FYET_DOCUMENT_START;
        const enum dc_status status =
            second ? fail_token(reader, fy_event_get_token(event),
                                "a second document ('---') starts in this file; only one may")
                   : DC_OK;
        fy_parser_event_free(reader->parser, event);
        DC_TRY(status);
    }
    return DC_OK;
}

static enum dc_status parse(const struct dc_yaml **root, const char *text, size_t size,
                            const char *name, struct dc_arena *arena, struct dc_error *error)
{
    struct reader reader = {.arena = arena, .error = error};
    *root = NULL;
    reader.name = dc_arena_copy(arena, name, error);
    if (!reader.name)
        return DC_ERR_MEMORY;
    DC_TRY(split_lines(&reader, text, size));
    DC_TRY(check_text(&reader, text, size));
    reader.diag = fy_diag_create(NULL);
    if (reader.diag)
        fy_diag_set_collect_errors(reader.diag, true);
    const struct fy_parse_cfg config = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG,
                                        .diag = reader.diag};
    reader.parser = reader.diag ? fy_parser_create(&config) : NULL;
    enum dc_status status = DC_OK;
    if (!reader.parser || fy_parser_set_string(reader.parser, text, size) != 0)
        status = dc_fail(error, DC_ERR_MEMORY, "%s: out of memory", name);
    else
        status = read_document(&reader, root);
    if (reader.parser)
        fy_parser_destroy(reader.parser);
    if (reader.diag)
        fy_diag_destroy(reader.diag);
    return status;
}

enum dc_status dc_yaml_read(const struct dc_yaml **root, const char *path, struct dc_arena *arena,
                            struct dc_error *error)
{
    char *text = NULL;
    size_t size = 0;
    const enum dc_status status = dc_file_read(&text, &size, path, arena, error);
    if (status == DC_ERR_DATA) {  // a configuration that is not there is a configuration error
        char hint[DC_HINT], reason[1024];
        if (!error)
            return DC_ERR_CONFIG;
        snprintf(reason, sizeof reason, "%.1023s", error->message);
        return dc_fail(error, DC_ERR_CONFIG, "%s%s", reason,
                       dc_file_exists(path) ? "" : dc_file_hint(hint, path, NULL));
    }
    DC_TRY(status);
    if (size > FILE_MAX)
        return dc_fail(error, DC_ERR_CONFIG, "%s: %zu bytes are too many for a configuration", path,
                       size);
    return parse(root, text, size, path, arena, error);
}

enum dc_status dc_yaml_parse(const struct dc_yaml **root, const char *text, const char *name,
                             struct dc_arena *arena, struct dc_error *error)
{
    return parse(root, text, strlen(text), name, arena, error);
}

const struct dc_yaml *dc_yaml_get(const struct dc_yaml *mapping, const char *key)
{
    for (int i = 0; mapping->kind == DC_YAML_MAPPING && i < mapping->count; i++)
        if (!strcmp(mapping->keys[i]->text, key))
            return mapping->items[i];
    return NULL;
}

enum dc_status dc_fail_yaml(struct dc_error *error, const struct dc_yaml *node, const char *format,
                            ...)
{
    char message[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return dc_fail_at(error, DC_ERR_CONFIG, &node->where, NULL, NULL, "%s", message);
}

enum dc_status dc_context_yaml(enum dc_status status, struct dc_error *error,
                               const struct dc_yaml *node, const char *format, ...)
{
    char context[512], message[DC_ERROR_BYTES];
    if (!error || dc_error_has_place(error))
        return status;
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    memcpy(message, error->message, sizeof message);
    return dc_fail_at(error, status, &node->where, NULL, NULL, "%s: %s", context, message);
}

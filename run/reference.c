// Owns the reference pages. Sections are found by walking the tables from the top of each file:
// a group of keys is a section of its own behind the one that holds it, and so is each loss,
// augmentation and layer. Nothing is said here that a table could say.

#include "run/reference.h"

#include <assert.h>
#include <string.h>

#include "data/augment.h"
#include "distill/losses.h"
#include "distill/terms.h"
#include "run/experiment_schema.h"
#include "run/layer.h"
#include "run/model.h"
#include "run/target.h"

enum { COLUMNS = 80, VALUES_TEXT = 256 };

const char *const dc_reference_pages[] = {"experiment", "target", "model", NULL};
static_assert(sizeof dc_reference_pages / sizeof *dc_reference_pages == DC_PAGE_COUNT + 1,
              "a name for each page");

static const char *const introductions[] = {
    [DC_PAGE_EXPERIMENT] =
        "An experiment file is the whole record of a run. Keys without a default must be there; an "
        "unknown key is an error. Paths are relative to the file that names them. decant check "
        "FILE says what is wrong with one, and a run writes all keys, resolved, to resolved.yaml.",
    [DC_PAGE_TARGET] =
        "A target file says which integers a device computes and what it holds. An experiment "
        "names one with the key target; those in configs/targets/ are examples.",
    [DC_PAGE_MODEL] =
        "A model file is a list of layers, each a mapping of one key, the layer's kind, or the "
        "bare "
        "kind: - conv: {filters: 16, kernel: 3, padding: same}. Numbers may be expressions over "
        "$parameters. Those in configs/models/ are examples."};
static_assert(sizeof introductions / sizeof *introductions == DC_PAGE_COUNT, "one for each page");

struct writer {
    struct dc_text_buffer *out;  // NULL: only names are collected
    const char *wanted;          // a section's name; NULL: all
    const char *key;             // of sections, this row alone; NULL: all
    bool markdown, found;
    const char **words;
    int word_count, word_capacity;
    bool keys;  // words are keys, not sections
};

static void collect(struct writer *w, const char *word)
{
    if (w->word_count < w->word_capacity)
        w->words[w->word_count++] = word;
}

// Whether any of its rows is wanted.
static bool has_row(const struct writer *w, const struct dc_schema *schema)
{
    bool found = !w->key;
    for (int i = 0; schema && i < schema->count && !found; i++)
        found = strcmp(schema->fields[i].key, w->key) == 0;
    return found;
}

// Words of `text`, broken before `COLUMNS` and indented; the first line continues at `column`.
static void put_wrapped(struct dc_text_buffer *out, const char *text, int indent, int column)
{
    while (*text) {
        const int length = (int)strcspn(text, " ");
        if (column > indent && column + 1 + length > COLUMNS) {
            dc_text_append(out, "\n");
            column = 0;
        }
        if (column < indent) {
            dc_text_append(out, "%*s", indent - column, "");
            column = indent;
        } else if (column > indent) {
            dc_text_append(out, " ");
            column++;
        }
        dc_text_append(out, "%.*s", length, text);
        column += length;
        text += length;
        text += *text == ' ';
    }
    dc_text_append(out, "\n");
}

static void put_number(char text[32], double value)
{
    snprintf(text, 32, "%.10g", value);
}

// "whole number, 0 to 100000"
static const char *values_of(char text[VALUES_TEXT], const struct dc_field *f)
{
    static const char *const kinds[] = {
        [DC_FIELD_TEXT] = "text",
        [DC_FIELD_PATH] = "path",
        [DC_FIELD_INT] = "whole number",
        [DC_FIELD_INT32] = "whole number",
        [DC_FIELD_BYTES] = "bytes, as 64KiB",
        [DC_FIELD_REAL] = "number",
        [DC_FIELD_FLOAT] = "number",
        [DC_FIELD_BOOL] = "true or false",
        [DC_FIELD_CHOICE] = "",
        [DC_FIELD_TEXTS] = "list of words",
        [DC_FIELD_NUMBERS] = "list of numbers",
        [DC_FIELD_INTEGERS] = "list of whole numbers",
        [DC_FIELD_GROUP] = "mapping, below",
        [DC_FIELD_OPTIONAL] = "mapping, below",
        [DC_FIELD_MAPPING] = "mapping",
        [DC_FIELD_SEQUENCE] = "list",
        [DC_FIELD_CUSTOM] = "",
    };
    static_assert(sizeof kinds / sizeof *kinds == DC_FIELD_CUSTOM + 1, "a word for each type");
    char low[32], high[32];
    snprintf(text, VALUES_TEXT, "%s",
             f->type == DC_FIELD_CUSTOM && f->group         ? "mapping, below"
             : f->type == DC_FIELD_INTEGERS && f->most == 2 ? "whole number, or two in a list"
                                                            : kinds[f->type]);
    for (int i = 0; f->choices && f->choices[i]; i++) {
        const size_t length = strlen(text);
        snprintf(text + length, VALUES_TEXT - length, "%s%s", i == 0 ? "" : ", ", f->choices[i]);
    }
    put_number(low, f->minimum);
    put_number(high, f->maximum);
    const size_t length = strlen(text);
    if (f->minimum < f->maximum && f->type != DC_FIELD_BYTES)
        snprintf(text + length, VALUES_TEXT - length,
                 f->maximum >= 1e9 ? ", %s or more" : ", %s to %s", low, high);
    return text;
}

// A cell of a Markdown table.
static void put_cell(struct dc_text_buffer *out, const char *text)
{
    for (; *text; text++)
        dc_text_append(out, strchr("|*_<\\", *text) ? "\\%c" : "%c", *text);
}

static const char *fallback_of(const struct dc_field *f)
{
    return f->type == DC_FIELD_GROUP || f->type == DC_FIELD_OPTIONAL ? "" : f->fallback;
}

static void put_field(struct writer *w, const struct dc_field *f)
{
    char values[VALUES_TEXT];
    const char *fallback = fallback_of(f), *help = f->help ? f->help : "";
    if (w->key && strcmp(w->key, f->key) != 0)
        return;
    values_of(values, f);
    if (w->markdown) {
        dc_text_append(w->out, "| `%s` | %s%s%s | ", f->key, fallback && fallback[0] ? "`" : "",
                       fallback ? fallback : "required", fallback && fallback[0] ? "`" : "");
        put_cell(w->out, values);
        dc_text_append(w->out, " | ");
        put_cell(w->out, help);
        dc_text_append(w->out, " |\n");
        return;
    }
    dc_text_append(w->out, "  %s: %s\n", f->key, fallback ? fallback : "(required)");
    char line[1024];
    snprintf(line, sizeof line, "%s%s%s", values, values[0] && help[0] ? "; " : "", help);
    put_wrapped(w->out, line, 6, 0);
}

// Whether a section of this name is written; its heading then is.
static bool begin(struct writer *w, const char *name, const char *belongs, const char *help)
{
    if (!w->keys)
        collect(w, name);
    const bool mine = w->out && (!w->wanted || strcmp(w->wanted, name) == 0);
    if (!mine)
        return false;
    w->found = true;
    if (w->markdown) {
        dc_text_append(w->out, "\n## %s\n\n", name);
        if (belongs || help)
            dc_text_append(w->out, "%s%s%s%s\n\n", belongs ? belongs : "",
                           belongs && help ? ": " : "", help ? help : "", help ? "." : "");
        return true;
    }
    char line[1024];
    snprintf(line, sizeof line, "%s%s%s%s%s%s", name, belongs ? " (" : "", belongs ? belongs : "",
             belongs ? ")" : "", help ? ": " : "", help ? help : "");
    put_wrapped(w->out, line, 0, 0);
    return true;
}

static void put_fields(struct writer *w, const struct dc_schema *schema, bool first)
{
    if (w->markdown && first && schema->count > 0)
        dc_text_append(w->out, "| key | default | values | meaning |\n| --- | --- | --- | --- |\n");
    for (int i = 0; i < schema->count; i++)
        put_field(w, &schema->fields[i]);
}

static void put_section(struct writer *w, const char *name, const char *belongs, const char *help,
                        const struct dc_schema *schema, const struct dc_schema *more)
{
    for (int i = 0; w->keys && i < schema->count + (more ? more->count : 0); i++)
        collect(w, i < schema->count ? schema->fields[i].key : more->fields[i - schema->count].key);
    if ((!has_row(w, schema) && !has_row(w, more)) || !begin(w, name, belongs, help))
        return;
    put_fields(w, schema, true);
    if (more)
        put_fields(w, more, schema->count == 0);
    if (!w->markdown && !w->wanted)
        dc_text_append(w->out, "\n");
}

static void walk_losses(struct writer *w)
{
    put_section(
        w, "losses", "in distill",
        "a list of terms, {NAME: {keys}}; every term takes these keys, and those of its own",
        &dc_term_schema, NULL);
    for (int i = 0; dc_term_kinds[i]; i++) {
        const struct dc_term_kind *kind = dc_term_kinds[i];
        char belongs[64];
        snprintf(belongs, sizeof belongs, "a loss, weight %g unless stated", kind->weight);
        put_section(w, kind->name, belongs, kind->help, &kind->keys,
                    kind->features ? &dc_feature_schema : NULL);
    }
}

static void walk_augmentations(struct writer *w)
{
    if (!w->key &&
        begin(w, "augment", "in data", "a list of augmentations, {NAME: {keys}}, in their order") &&
        !w->markdown)
        dc_text_append(w->out, "\n");
    for (const struct dc_augmentation_kind *kind = dc_augmentation_kinds; kind->name; kind++) {
        bool wanted = !w->key;
        for (int p = 0; p < kind->parameter_count; p++) {
            wanted = wanted || strcmp(kind->parameters[p].name, w->key) == 0;
            if (w->keys)
                collect(w, kind->parameters[p].name);
        }
        if (!wanted || !begin(w, kind->name, "an augmentation", kind->help))
            continue;
        if (w->markdown && kind->parameter_count > 0)
            dc_text_append(w->out,
                           "| key | default | values | meaning |\n| --- | --- | --- | --- |\n");
        for (int p = 0; p < kind->parameter_count; p++) {
            const struct dc_augmentation_parameter *parameter = &kind->parameters[p];
            char fallback[32];
            put_number(fallback, parameter->value);
            const struct dc_field field = {.key = parameter->name,
                                           .type = parameter->integer ? DC_FIELD_INT
                                                                      : DC_FIELD_REAL,
                                           .fallback = fallback,
                                           .minimum = parameter->low,
                                           .maximum = parameter->high,
                                           .help = parameter->help};
            put_field(w, &field);
        }
        if (!w->markdown && !w->wanted)
            dc_text_append(w->out, "\n");
    }
}

// A table and the groups within it. What several hold is told once.
static void walk(struct writer *w, const char *name, const char *belongs, const char *help,
                 const struct dc_schema *schema)
{
    char within[64];
    put_section(w, name, belongs, help, schema, NULL);
    snprintf(within, sizeof within, "in %s", name);
    for (int i = 0; i < schema->count; i++) {
        const struct dc_field *f = &schema->fields[i];
        if (f->group && !(schema == &dc__stage_schema && f->group == &dc__normalize_schema))
            walk(w, f->key, within, NULL, f->group);
        if (schema == &dc__experiment_schema && f->type == DC_FIELD_MAPPING)
            walk(w, "stage", "each in stages", "NAME: {keys}", &dc__stage_schema);
    }
    if (schema == &dc__distill_schema)
        walk_losses(w);
}

static void write_page(struct writer *w, enum dc_reference_page page)
{
    const char *title = dc_reference_pages[page];
    const char *wanted = w->wanted;
    if (wanted && strcmp(wanted, title) == 0)
        w->wanted = NULL;
    if (w->key)
        w->wanted = NULL;
    else if (w->out && !w->wanted && w->markdown)
        dc_text_append(w->out,
                       "# The %s file\n\n%s\n\nThis page is what `decant keys %s --markdown` "
                       "prints; `decant keys WORD` tells one part of it.\n",
                       title, introductions[page], title);
    else if (w->out && !w->wanted) {
        put_wrapped(w->out, introductions[page], 0, 0);
        dc_text_append(w->out, "\n");
    }
    if (page == DC_PAGE_EXPERIMENT) {
        walk(w, title, NULL, NULL, &dc__experiment_schema);
        walk_augmentations(w);
    } else if (page == DC_PAGE_TARGET) {
        walk(w, title, NULL, NULL, &dc__target_schema);
    } else {
        walk(w, title, NULL, NULL, dc_model_schema());
        put_section(w, "repeat", "among layers", "repeat: {count: 3, layers: [...]}",
                    dc_repeat_schema(), NULL);
        put_section(w, "layer", NULL, "every layer takes these keys, and those of its kind",
                    dc_layer_schema(), NULL);
        const char *names[256];
        const int count = dc_layer_names(names, 256);
        for (int i = 0; i < count; i++) {
            const struct dc_layer_kind *kind = dc_layer_find(names[i]);
            put_section(w, kind->name, "a layer", kind->help, &kind->keys, NULL);
        }
    }
    w->wanted = wanted;
}

static void write_pages(struct writer *w)
{
    for (int page = 0; page < DC_PAGE_COUNT; page++)
        write_page(w, (enum dc_reference_page)page);
}

bool dc_reference_write(struct dc_text_buffer *out, const char *word, bool markdown)
{
    struct writer sections = {.out = out, .wanted = word, .markdown = markdown};
    struct writer rows = {.out = out, .key = word, .markdown = markdown};
    write_pages(&sections);
    if (!sections.found && word)
        write_pages(&rows);
    return sections.found || rows.found;
}

int dc_reference_words(const char *words[], int capacity, bool keys)
{
    struct writer w = {.words = words, .word_capacity = capacity, .keys = keys};
    write_pages(&w);
    return w.word_count;
}

// Owns tables that name files and say what they are: a CSV file with a header, one row a file.
//
//   file,label,split         columns by these names, or by those of the experiment's file_column,
//   cats/1.jpg,cat,train     label_column and split_column; paths are relative to the table
//
// split is train, test, or val (valid, validation); without that column the test share is cut as of
// folders. Labels are the names of classes, in the order of strcmp, or of numbers where all are
// whole numbers, or of class_names; or numbers, one a column (labels: values); or tags (labels:
// tags): 0 and 1 in a column a tag, or one column of names with ';' or '|' between them. A row that
// names no file or one that another row names, an empty label, and an unknown split are refused
// with their line.

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/csv.h"
#include "core/file.h"
#include "core/suggest.h"
#include "core/yaml.h"
#include "data/file_list.h"
#include "data/kinds.h"

enum part { TRAIN, TEST, VALIDATION, PARTS };

struct table {
    struct dc_csv csv;
    int file, split, label_count;  // columns; split -1: none
    int labels[DC_LIST_MAX];
    const char **paths;  // [rows]
    int32_t *classes;    // [rows]: of labels that are classes
    const float **values;
    enum part *parts;  // [rows]
    int64_t in_part[PARTS];
    const struct dc__file_kind *kind;
    const struct dc_source_spec *spec;
    struct dc__file_list *out;
    struct dc_arena *arena;
    struct dc_error *error;
};

bool dc__is_table(const char *path)
{
    return dc_path_ends(path, ".csv") || dc_path_ends(path, ".CSV");
}

static const char *header(const struct table *t, int column)
{
    return dc_csv_cell(&t->csv, 0, column);
}

static enum dc_status find_column(int *column, const struct table *t, const char *name,
                                  const char *key)
{
    char list[512], hint[DC_HINT];
    for (*column = 0; *column < t->csv.columns; (*column)++)
        if (strcmp(header(t, *column), name) == 0)
            return DC_OK;
    dc_join(list, sizeof list, t->csv.cells, t->csv.columns);
    return dc_fail_csv(t->error, &t->csv, 0, 0,
                       "no column '%s' in the header; there are %s%s; the experiment names another "
                       "as %s",
                       name, list, dc_did_you_mean(hint, name, t->csv.cells, t->csv.columns), key);
}

// The columns, and a note of those that are not read.
static enum dc_status find_columns(struct table *t)
{
    static const char *const usual = "label";
    const struct dc_source_spec *spec = t->spec;
    const char *const *names = spec->label_column_count ? spec->label_columns : &usual;
    const char *split = spec->split_column ? spec->split_column : "split";
    t->label_count = spec->label_column_count ? spec->label_column_count : 1;
    DC_TRY(find_column(&t->file, t, spec->file_column ? spec->file_column : "file", "file_column"));
    for (int i = 0; i < t->label_count; i++)
        DC_TRY(find_column(&t->labels[i], t, names[i], "label_column"));
    t->split = -1;
    for (int c = 0; c < t->csv.columns; c++)
        t->split = strcmp(header(t, c), split) == 0 ? c : t->split;
    if (t->split < 0 && strcmp(split, "split") != 0)
        DC_TRY(find_column(&t->split, t, split, "split_column"));
    if (spec->label_kind == DC_LABELS_CLASSES && t->label_count > 1)
        return dc_fail(t->error, DC_ERR_CONFIG,
                       "classes are one column; of several columns say labels: values or labels: "
                       "tags");
    const char *unread[DC_LIST_MAX];
    int count = 0;
    for (int c = 0; c < t->csv.columns && count < DC_LIST_MAX; c++) {
        bool read = c == t->file || c == t->split;
        for (int i = 0; i < t->label_count; i++)
            read = read || c == t->labels[i];
        if (!read)
            unread[count++] = header(t, c);
    }
    char list[512];
    dc_join(list, sizeof list, unread, count);
    if (count > 0 &&
        !(t->out->note = dc_arena_printf(t->arena, t->error, "columns not read: %s", list)))
        return DC_ERR_MEMORY;
    return DC_OK;
}

static enum dc_status read_part(struct table *t, int64_t row)
{
    static const struct {
        const char *name;
        enum part part;
    } words[] = {{"train", TRAIN},
                 {"test", TEST},
                 {"val", VALIDATION},
                 {"valid", VALIDATION},
                 {"validation", VALIDATION}};
    if (t->split < 0) {
        t->parts[row] = TRAIN;
        return DC_OK;
    }
    const char *cell = dc_csv_cell(&t->csv, row, t->split);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(cell, words[i].name) != 0)
            continue;
        t->parts[row] = words[i].part;
        return DC_OK;
    }
    return dc_fail_csv(t->error, &t->csv, row, t->split,
                       "split '%s' is neither train, test nor val", cell);
}

static enum dc_status read_file(struct table *t, int64_t row)
{
    const char *cell = dc_csv_cell(&t->csv, row, t->file), *slash = strrchr(t->spec->path, '/');
    char hint[DC_HINT];
    if (!cell[0])
        return dc_fail_csv(t->error, &t->csv, row, t->file, "no file is named here");
    const int folder = cell[0] == '/' || !slash ? 0 : (int)(slash - t->spec->path) + 1;
    char *path = dc_arena_printf(t->arena, t->error, "%.*s%s", folder, t->spec->path, cell);
    if (!path)
        return DC_ERR_MEMORY;
    t->paths[row] = path;
    if (!dc__is_of_kind(path, t->kind))
        return dc_fail_csv(t->error, &t->csv, row, t->file, "%s: is no %s by its name; %s", cell,
                           t->kind->one, t->kind->endings_listed);
    if (!dc_file_exists(path))
        return dc_fail_csv(t->error, &t->csv, row, t->file,
                           "%s: no such file (paths are relative to the table)%s", path,
                           dc_file_hint(hint, path, NULL));
    return DC_OK;
}

// Rows sorted by a text of theirs.
struct named_row {
    const char *name;
    int64_t row;
};

static int by_name(const void *a, const void *b)
{
    const struct named_row *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static enum dc_status check_twice(const struct table *t)
{
    const int64_t count = t->csv.rows - 1;
    struct named_row *rows = DC_NEW(t->arena, struct named_row, count + 1, t->error);
    if (!rows)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        // One file may be spelt in many ways; one that is not there is told elsewhere.
        char real[PATH_MAX];
        const char *path = realpath(t->paths[i + 1], real) ? dc_arena_copy(t->arena, real, t->error)
                                                           : t->paths[i + 1];
        if (!path)
            return DC_ERR_MEMORY;
        rows[i] = (struct named_row){path, i + 1};
    }
    qsort(rows, (size_t)count, sizeof *rows, by_name);
    for (int64_t i = 1; i < count; i++)
        if (strcmp(rows[i].name, rows[i - 1].name) == 0)
            return dc_fail_csv(
                t->error, &t->csv, rows[i].row, t->file, "%s is named in line %d already",
                dc_csv_cell(&t->csv, rows[i].row, t->file), t->csv.lines[rows[i - 1].row]);
    return DC_OK;
}

static bool whole_number(const char *text, long long *value)
{
    char *end = NULL;
    *value = strtoll(text, &end, 10);
    return end != text && *end == '\0' && strlen(text) < 18;
}

static int by_number(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    long long i = 0, j = 0;
    whole_number(*x, &i);
    whole_number(*y, &j);
    return (i > j) - (i < j);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// The different ones of `names`, sorted; or class_names, which must be the same.
static enum dc_status settle_names(struct table *t, const char **names, int64_t count,
                                   const char *what)
{
    bool numbers = true;
    long long unused;
    int64_t kept = 0;
    const struct dc_source_spec *spec = t->spec;
    for (int64_t i = 0; i < count; i++)
        numbers = numbers && whole_number(names[i], &unused);
    qsort(names, (size_t)count, sizeof *names, by_text);
    for (int64_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
            names[kept++] = names[i];
    if (numbers)
        qsort(names, (size_t)kept, sizeof *names, by_number);
    if (kept > DC__CLASSES_MAX)
        return dc_fail(t->error, DC_ERR_DATA, "%s: too many %s", t->spec->path, what);
    t->out->class_names = names;
    t->out->classes = (int)kept;
    if (spec->class_count && !spec->class_names && spec->class_count != kept)
        return dc_fail(t->error, DC_ERR_DATA, "%s: has %" PRId64 " %s, %d were asked for",
                       spec->path, kept, what, spec->class_count);
    if (!spec->class_names)
        return DC_OK;
    const char **own = DC_NEW(t->arena, const char *, spec->class_count, t->error);
    for (int i = 0; own && i < spec->class_count; i++)
        if (!(own[i] = dc_arena_copy(t->arena, spec->class_names[i], t->error)))
            return DC_ERR_MEMORY;
    t->out->class_names = own;
    t->out->classes = spec->class_count;
    return own ? DC_OK : DC_ERR_MEMORY;
}

// The place of a name among the settled ones; -1: it is not there.
static int place_of(const struct table *t, const char *name)
{
    for (int c = 0; c < t->out->classes; c++)
        if (strcmp(t->out->class_names[c], name) == 0)
            return c;
    return -1;
}

static enum dc_status unknown_name(const struct table *t, int64_t row, const char *name)
{
    char hint[DC_HINT];
    return dc_fail_csv(t->error, &t->csv, row, t->labels[0],
                       "'%s' is not one of the classes named%s", name,
                       dc_did_you_mean(hint, name, t->out->class_names, t->out->classes));
}

static enum dc_status read_classes(struct table *t)
{
    const char **names = DC_NEW(t->arena, const char *, t->csv.rows, t->error);
    if (!names)
        return DC_ERR_MEMORY;
    for (int64_t row = 1; row < t->csv.rows; row++) {
        names[row - 1] = dc_csv_cell(&t->csv, row, t->labels[0]);
        if (!names[row - 1][0])
            return dc_fail_csv(t->error, &t->csv, row, t->labels[0], "no label is given here");
    }
    DC_TRY(settle_names(t, names, t->csv.rows - 1, "classes"));
    for (int64_t row = 1; row < t->csv.rows; row++) {
        const char *name = dc_csv_cell(&t->csv, row, t->labels[0]);
        t->classes[row] = place_of(t, name);
        if (t->classes[row] < 0)
            return unknown_name(t, row, name);
    }
    return DC_OK;
}

// A column each: numbers, or 0 and 1 of tags.
static enum dc_status read_columns(struct table *t)
{
    const bool tags = t->spec->label_kind == DC_LABELS_TAGS;
    const char **names = DC_NEW(t->arena, const char *, t->label_count, t->error);
    if (!names)
        return DC_ERR_MEMORY;
    t->out->classes = t->label_count;
    t->out->class_names = names;
    for (int i = 0; i < t->label_count; i++)
        names[i] = header(t, t->labels[i]);
    for (int64_t row = 1; row < t->csv.rows; row++) {
        float *values = DC_NEW(t->arena, float, t->label_count, t->error);
        if (!values)
            return DC_ERR_MEMORY;
        for (int i = 0; i < t->label_count; i++) {
            const char *cell = dc_csv_cell(&t->csv, row, t->labels[i]);
            double value;
            if (!dc_csv_number(&value, cell) || (tags && value != 0.0 && value != 1.0))
                return dc_fail_csv(t->error, &t->csv, row, t->labels[i],
                                   "'%s' in column '%s' is %s", cell, names[i],
                                   tags ? "neither 0 nor 1" : dc_csv_no_number(cell));
            values[i] = (float)value;
        }
        t->values[row] = values;
    }
    return DC_OK;
}

// The next tag of a cell, without blanks around it; NULL: no more.
static const char *next_tag(char **rest)
{
    for (char *tag; (tag = strsep(rest, ";|"));) {
        tag += strspn(tag, " \t");
        size_t length = strlen(tag);
        while (length > 0 && (tag[length - 1] == ' ' || tag[length - 1] == '\t'))
            tag[--length] = '\0';
        if (length > 0)
            return tag;
    }
    return NULL;
}

static enum dc_status read_tags(struct table *t)
{
    const char **names = NULL;
    int capacity = 0, count = 0;
    for (int64_t row = 1; row < t->csv.rows; row++) {
        char *rest = dc_arena_copy(t->arena, dc_csv_cell(&t->csv, row, t->labels[0]), t->error);
        if (!rest)
            return DC_ERR_MEMORY;
        for (const char *tag; (tag = next_tag(&rest)); names[count++] = tag)
            if (count == capacity && !(names = dc_arena_grow(t->arena, names, count, &capacity,
                                                             sizeof *names, t->error)))
                return DC_ERR_MEMORY;
    }
    if (count == 0)
        return dc_fail(t->error, DC_ERR_DATA, "%s: no row has a tag", t->spec->path);
    DC_TRY(settle_names(t, names, count, "tags"));
    for (int64_t row = 1; row < t->csv.rows; row++) {
        float *values = DC_NEW(t->arena, float, t->out->classes, t->error);
        char *rest = dc_arena_copy(t->arena, dc_csv_cell(&t->csv, row, t->labels[0]), t->error);
        if (!values || !rest)
            return DC_ERR_MEMORY;
        for (const char *tag; (tag = next_tag(&rest));) {
            const int place = place_of(t, tag);
            if (place < 0)
                return unknown_name(t, row, tag);
            values[place] = 1.0f;
        }
        t->values[row] = values;
    }
    return DC_OK;
}

static enum dc_status read_table(struct table *t)
{
    DC_TRY(dc_csv_read(&t->csv, t->spec->path, t->spec->memory, t->arena, t->error));
    DC_TRY(find_columns(t));
    if (t->csv.rows < 2)
        return dc_fail(t->error, DC_ERR_DATA, "%s: has a header and no row", t->spec->path);
    t->paths = DC_NEW(t->arena, const char *, t->csv.rows, t->error);
    t->classes = DC_NEW(t->arena, int32_t, t->csv.rows, t->error);
    t->values = DC_NEW(t->arena, const float *, t->csv.rows, t->error);
    t->parts = DC_NEW(t->arena, enum part, t->csv.rows, t->error);
    if (!t->paths || !t->classes || !t->values || !t->parts)
        return DC_ERR_MEMORY;
    for (int64_t row = 1; row < t->csv.rows; row++) {
        DC_TRY(dc_check_stop(t->spec->stop, t->error));
        DC_TRY(read_file(t, row));
        DC_TRY(read_part(t, row));
        t->in_part[t->parts[row]]++;
    }
    DC_TRY(check_twice(t));
    if (t->spec->label_kind == DC_LABELS_CLASSES)
        return read_classes(t);
    return t->spec->label_kind == DC_LABELS_TAGS && t->label_count == 1 ? read_tags(t)
                                                                        : read_columns(t);
}

static enum dc_status add_part(struct table *t, enum part part)
{
    for (int64_t row = 1; row < t->csv.rows; row++)
        if (t->parts[row] == part)
            DC_TRY(dc__add_file(t->out, t->paths[row], t->classes[row], t->values[row], t->arena,
                                t->error));
    return DC_OK;
}

// Every class has a row in what was added since `first`.
static enum dc_status check_part(const struct table *t, int64_t first, const char *part)
{
    bool *seen = DC_NEW(t->arena, bool, t->out->classes + 1, t->error);
    if (!seen)
        return DC_ERR_MEMORY;
    for (int64_t i = first; i < t->out->count; i++)
        seen[t->out->labels[i]] = true;
    for (int c = 0; c < t->out->classes && t->spec->label_kind == DC_LABELS_CLASSES; c++)
        if (!seen[c])
            return dc_fail(t->error, DC_ERR_DATA,
                           "%s: class '%s' has no row in split '%s': add some, or take the class "
                           "out",
                           t->spec->path, t->out->class_names[c], part);
    return DC_OK;
}

static enum dc_status join_notes(struct table *t, const char *before)
{
    struct dc__file_list *out = t->out;
    if (before && out->note && before != out->note)
        out->note = dc_arena_printf(t->arena, t->error, "%s; %s", out->note, before);
    else if (!out->note)
        out->note = before;
    return out->note || !before ? DC_OK : DC_ERR_MEMORY;
}

static enum dc_status list_table(struct dc__file_list *list, const struct dc__file_kind *kind,
                                 const struct dc_source_spec *spec, struct dc_arena *arena,
                                 struct dc_error *error)
{
    struct table *t = DC_NEW(arena, struct table, 1, error);
    const bool test = dc__is_test(spec);
    if (!t)
        return DC_ERR_MEMORY;
    *t = (struct table){.kind = kind, .spec = spec, .out = list, .arena = arena, .error = error};
    DC_TRY(read_table(t));
    const char *note = list->note;
    const bool parted = t->in_part[TEST] > 0;
    if (spec->foreign && !parted) {  // all of it
        DC_TRY(add_part(t, TRAIN));
        return add_part(t, VALIDATION);
    }
    if (t->in_part[TRAIN] == 0 && !spec->foreign)
        return dc_fail(error, DC_ERR_DATA, "%s: no row is of split 'train'", spec->path);
    DC_TRY(add_part(t, test && parted ? TEST : TRAIN));
    list->note = NULL;
    if (!parted)
        DC_TRY(dc__cut_test(list, kind, spec, arena, error));
    else if (!spec->foreign)
        DC_TRY(check_part(t, 0, test ? "test" : "train"));
    const int64_t own = list->count;
    if (!test)
        DC_TRY(add_part(t, VALIDATION));
    list->own_validation = list->count - own;
    return join_notes(t, note);
}

static bool table_has_validation(const struct dc_source_spec *spec)
{
    struct table t = {.spec = spec};
    struct dc__file_list unused = {0};
    bool found = false;
    t.out = &unused;
    if (dc_arena_create(&t.arena, NULL) == DC_OK &&
        dc_csv_read(&t.csv, spec->path, spec->memory, t.arena, NULL) == DC_OK &&
        find_columns(&t) == DC_OK && t.split >= 0) {
        for (int64_t row = 1; row < t.csv.rows && !found; row++) {
            const char *cell = dc_csv_cell(&t.csv, row, t.split);
            found = strncmp(cell, "val", 3) == 0;
        }
    }
    dc_arena_free(t.arena);
    return found;
}

bool dc__table_names(const char *path, const struct dc__file_kind *kind)
{
    struct dc_csv csv;
    struct dc_arena *arena = NULL;
    bool found = false;
    if (dc__is_table(path) && dc_arena_create(&arena, NULL) == DC_OK &&
        dc_csv_read(&csv, path, 0, arena, NULL) == DC_OK)
        for (int c = 0; csv.rows > 1 && c < csv.columns; c++)
            found = found || dc__is_of_kind(dc_csv_cell(&csv, 1, c), kind);
    dc_arena_free(arena);
    return found;
}

enum dc_status dc__list_files(struct dc__file_list *list, const struct dc__file_kind *kind,
                              const struct dc_source_spec *spec, struct dc_arena *arena,
                              struct dc_error *error)
{
    const bool table = !spec->files && dc__is_table(spec->path);
    *list = (struct dc__file_list){0};
    return table ? list_table(list, kind, spec, arena, error)
                 : dc__list_folders(list, kind, spec, arena, error);
}

bool dc__files_have_validation(const struct dc_source_spec *spec)
{
    return dc__is_table(spec->path) ? table_has_validation(spec)
                                    : dc__folders_have_validation(spec);
}

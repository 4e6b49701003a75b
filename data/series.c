// Owns time series: CSV files, a recording each, whose columns are channels; samples are windows of
// a recording, float32 [window, 1, channels].
//
// Which files there are, their classes and their split is file_list.h's: a recording is in one
// split as a whole. Or the folder holds recordings alone, and each has a column with the label of
// every row: then a window is taken where the label stays the same. A first row in which no cell is
// a number is the header; all recordings have the same. Windows begin at 0, stride, 2 stride ...
// and what is left behind the last one is not used.

#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bounds.h"
#include "core/csv.h"
#include "core/suggest.h"
#include "data/file_list.h"
#include "data/kinds.h"

struct reading {
    struct dc__memory *memory;
    const struct dc_source_spec *spec;
    struct dc__file_list list;
    bool flat;              // labels are in the recordings
    const char *first;      // the recording that says what all others must be
    int channels, columns;  // of all columns
    int label;              // the column with labels, or -1
    int *channel_columns;   // [channels]
    const char **header;    // [columns]; NULL: none
    int64_t count, capacity, mixed;
    int64_t own_validation;
    const char **names;  // of flat recordings: their classes, [name_count]
    int name_count, name_capacity;
    int64_t *groups;     // [capacity]
    const char **files;  // [capacity]
    const float **values;
    struct dc_arena *arena;
    struct dc_error *error;
};

static bool is_header(const struct dc_csv *csv)
{
    double unused;
    for (int c = 0; c < csv->columns; c++)
        if (dc_csv_number(&unused, dc_csv_cell(csv, 0, c)))
            return false;
    return true;
}

static const char *label_name(const struct dc_source_spec *spec)
{
    return spec->label_column_count > 0 ? spec->label_columns[0] : "label";
}

static enum dc_status choose_channels(struct reading *r, const struct dc_csv *csv)
{
    const struct dc_source_spec *spec = r->spec;
    char list[512], hint[DC_HINT];
    r->channel_columns = DC_NEW(r->arena, int, csv->columns, r->error);
    if (!r->channel_columns)
        return DC_ERR_MEMORY;
    if ((r->flat || spec->channel_column_count > 0) && !r->header)
        return dc_fail_csv(r->error, csv, 0, 0, "%s: the first row must name the columns",
                           r->flat ? "a folder of recordings needs a column with labels"
                                   : "channel_columns are names");
    dc_join(list, sizeof list, r->header, r->header ? csv->columns : 0);
    r->label = -1;
    for (int c = 0; r->flat && c < csv->columns; c++)
        r->label = strcmp(r->header[c], label_name(spec)) == 0 ? c : r->label;
    if (r->flat && r->label < 0)
        return dc_fail_csv(r->error, csv, 0, 0,
                           "no column '%s' in the header; there are %s. Put recordings in one "
                           "folder a class, or name the column with their labels as label_column",
                           label_name(spec), list);
    for (int i = 0; i < spec->channel_column_count; i++) {
        const char *name = spec->channel_columns[i];
        int c = 0;
        while (c < csv->columns && strcmp(r->header[c], name) != 0)
            c++;
        if (c == csv->columns || c == r->label)
            return dc_fail_csv(r->error, csv, 0, 0, "no column '%s' in the header; there are %s%s",
                               name, list, dc_did_you_mean(hint, name, r->header, csv->columns));
        r->channel_columns[r->channels++] = c;
    }
    for (int c = 0; spec->channel_column_count == 0 && c < csv->columns; c++)
        if (c != r->label)
            r->channel_columns[r->channels++] = c;
    if (r->channels == 0 || r->channels > DC_NORMALIZATION_CHANNELS)
        return dc_fail_csv(r->error, csv, 0, 0, "%d channels; 1 to %d are read", r->channels,
                           DC_NORMALIZATION_CHANNELS);
    return DC_OK;
}

// The first recording says what the others are.
static enum dc_status check_columns(struct reading *r, const struct dc_csv *csv, bool headed)
{
    if (!r->first) {
        r->first = csv->path;
        r->columns = csv->columns;
        if (headed && !(r->header = DC_NEW(r->arena, const char *, csv->columns, r->error)))
            return DC_ERR_MEMORY;
        for (int c = 0; headed && c < csv->columns; c++)
            if (!(r->header[c] = dc_arena_copy(r->arena, dc_csv_cell(csv, 0, c), r->error)))
                return DC_ERR_MEMORY;
        return choose_channels(r, csv);
    }
    if (csv->columns != r->columns)
        return dc_fail_csv(r->error, csv, 0, 0, "%d columns, and %s has %d", csv->columns, r->first,
                           r->columns);
    if (headed != (r->header != NULL))
        return dc_fail_csv(r->error, csv, 0, 0, "%s a header, and %s has %s",
                           headed ? "begins with" : "is without", r->first,
                           headed ? "none" : "one");
    for (int c = 0; headed && c < csv->columns; c++)
        if (strcmp(r->header[c], dc_csv_cell(csv, 0, c)) != 0)
            return dc_fail_csv(r->error, csv, 0, c, "column %d is '%s', and '%s' in %s", c + 1,
                               dc_csv_cell(csv, 0, c), r->header[c], r->first);
    return DC_OK;
}

static enum dc_status read_values(float **out, const struct reading *r, const struct dc_csv *csv,
                                  int64_t first, struct dc_arena *scratch)
{
    const int64_t rows = csv->rows - first;
    float *values = *out = DC_NEW(scratch, float, rows * r->channels, r->error);
    if (!values)
        return DC_ERR_MEMORY;
    for (int64_t row = first; row < csv->rows; row++)
        for (int c = 0; c < r->channels; c++) {
            const char *cell = dc_csv_cell(csv, row, r->channel_columns[c]);
            double value = 0.0;
            if (!dc_csv_number(&value, cell))
                return dc_fail_csv(
                    r->error, csv, row, r->channel_columns[c],
                    "'%s' in column %d is %s; fill the gap, or cut the recording in two there",
                    cell, r->channel_columns[c] + 1, dc_csv_no_number(cell));
            *values++ = (float)value;
        }
    return DC_OK;
}

static enum dc_status grow(struct reading *r)
{
    const int64_t capacity = r->capacity ? 2 * r->capacity : 256;
    int64_t *groups = DC_NEW(r->arena, int64_t, capacity, r->error);
    const char **files = DC_NEW(r->arena, const char *, capacity, r->error);
    const float **values = DC_NEW(r->arena, const float *, capacity, r->error);
    if (!groups || !files || !values)
        return DC_ERR_MEMORY;
    DC_TRY(dc_want_memory(r->spec->path, "the windows",
                          capacity * (int64_t)dc__sample_bytes(&r->memory->source), r->spec->memory,
                          r->error));
    if (r->count > 0) {
        memcpy(groups, r->groups, (size_t)r->count * sizeof *groups);
        memcpy(files, r->files, (size_t)r->count * sizeof *files);
        memcpy(values, r->values, (size_t)r->count * sizeof *values);
    }
    r->groups = groups;
    r->files = files;
    r->values = values;
    r->capacity = capacity;
    return dc__memory_resize(r->memory, capacity, r->error);
}

static int class_of(const struct reading *r, const char *label)
{
    for (int c = 0; c < r->name_count; c++)
        if (strcmp(r->names[c], label) == 0)
            return c;
    return -1;
}

// The class of a window's rows; -1: the label changes within.
static int window_class(const struct reading *r, const struct dc_csv *csv, int64_t row)
{
    const char *first = dc_csv_cell(csv, row, r->label);
    for (int64_t i = row + 1; i < row + r->spec->window; i++)
        if (strcmp(dc_csv_cell(csv, i, r->label), first) != 0)
            return -1;
    return class_of(r, first);
}

static enum dc_status cut_windows(struct reading *r, int64_t file, const struct dc_csv *csv,
                                  int64_t first, const float *values)
{
    const int64_t window = r->spec->window, rows = csv->rows - first;
    const size_t bytes = dc__sample_bytes(&r->memory->source);
    for (int64_t start = 0; start + window <= rows; start += r->spec->stride) {
        const int class = r->flat ? window_class(r, csv, first + start) : r->list.labels[file];
        if (class < 0) {
            r->mixed++;
            continue;
        }
        if (r->count == r->capacity)
            DC_TRY(grow(r));
        memcpy(r->memory->values + (size_t)r->count * bytes, values + start * r->channels, bytes);
        r->memory->labels[r->count] = class;
        r->values[r->count] = r->list.values[file];
        r->files[r->count] = r->list.paths[file];
        r->groups[r->count++] = file;
        r->own_validation += file >= r->list.count - r->list.own_validation;
    }
    return DC_OK;
}

static enum dc_status read_recording(struct reading *r, int64_t file, struct dc_arena *scratch)
{
    struct dc_csv csv;
    float *values = NULL;
    DC_TRY(dc_check_stop(r->spec->stop, r->error));
    DC_TRY(dc_csv_read(&csv, r->list.paths[file], r->spec->memory, scratch, r->error));
    const bool headed = is_header(&csv);
    DC_TRY(check_columns(r, &csv, headed));
    r->memory->source.sample = DC_SHAPE(r->spec->window, 1, r->channels);
    const int64_t rows = csv.rows - headed;
    if (rows < r->spec->window)
        return dc_fail(r->error, DC_ERR_DATA,
                       "%s: has %" PRId64 " rows, fewer than a window of %" PRId64
                       "; take it out, or choose a shorter window",
                       csv.path, rows, r->spec->window);
    DC_TRY(read_values(&values, r, &csv, headed, scratch));
    return cut_windows(r, file, &csv, headed, values);
}

// A folder of files, most of which are recordings, and no folder in it.
static bool is_flat(const char *path)
{
    struct dirent **entries = NULL;
    bool folder = false;
    int recordings = 0, seen = 0;
    const int count = scandir(path, &entries, NULL, NULL);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        char *inner = NULL;
        const bool known = entries[i]->d_type == DT_REG;
        if (name[0] != '.' && !known && asprintf(&inner, "%s/%s", path, name) > 0)
            folder = folder || dc__is_folder(inner);
        seen += name[0] != '.';
        recordings += name[0] != '.' && dc__is_of_kind(name, &dc__recording_files);
        free(inner);
        free(entries[i]);
    }
    free(entries);
    return !folder && 2 * recordings > seen;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum dc_status add_labels(struct reading *r, const char *path, struct dc_arena *scratch)
{
    struct dc_csv csv;
    DC_TRY(dc_check_stop(r->spec->stop, r->error));
    DC_TRY(dc_csv_read(&csv, path, r->spec->memory, scratch, r->error));
    DC_TRY(check_columns(r, &csv, is_header(&csv)));
    for (int64_t row = 1; row < csv.rows; row++) {
        const char *label = dc_csv_cell(&csv, row, r->label);
        if (!label[0])
            return dc_fail_csv(r->error, &csv, row, r->label, "no label is given here");
        if (class_of(r, label) >= 0)
            continue;
        if (r->name_count == r->name_capacity &&
            !(r->names = dc_arena_grow(r->arena, r->names, r->name_count, &r->name_capacity,
                                       sizeof *r->names, r->error)))
            return DC_ERR_MEMORY;
        if (!(r->names[r->name_count++] = dc_arena_copy(r->arena, label, r->error)))
            return DC_ERR_MEMORY;
    }
    return DC_OK;
}

// Classes of labels in the recordings: of all recordings, so that both splits know the same.
static enum dc_status name_classes(struct reading *r)
{
    const struct dc_source_spec *spec = r->spec;
    for (int64_t file = 0; file < r->list.count; file++) {
        struct dc_arena *scratch = NULL;
        DC_TRY(dc_arena_create(&scratch, r->error));
        const enum dc_status status = add_labels(r, r->list.paths[file], scratch);
        dc_arena_free(scratch);
        DC_TRY(status);
    }
    if (r->name_count == 0)
        return dc_fail(r->error, DC_ERR_DATA, "%s: no recording has a row", spec->path);
    qsort(r->names, (size_t)r->name_count, sizeof *r->names, by_text);
    char hint[DC_HINT];
    for (int i = 0; spec->class_names && i < r->name_count; i++) {
        int c = 0;
        while (c < spec->class_count && strcmp(spec->class_names[c], r->names[i]) != 0)
            c++;
        if (c == spec->class_count)
            return dc_fail(
                r->error, DC_ERR_DATA, "%s: label '%s' is not one of the classes named%s",
                spec->path, r->names[i],
                dc_did_you_mean(hint, r->names[i], spec->class_names, spec->class_count));
    }
    if (spec->class_names) {
        r->names = DC_NEW(r->arena, const char *, spec->class_count, r->error);
        r->name_count = 0;
        for (int c = 0; r->names && c < spec->class_count; c++)
            if (!(r->names[r->name_count++] = dc_arena_copy(r->arena, spec->class_names[c],
                                                            r->error)))
                return DC_ERR_MEMORY;
    }
    return r->names ? DC_OK : DC_ERR_MEMORY;
}

static enum dc_status list_recordings(struct reading *r)
{
    const struct dc_source_spec *spec = r->spec;
    r->flat = !dc__is_table(spec->path) && is_flat(spec->path);
    if (!r->flat)
        return dc__list_files(&r->list, &dc__recording_files, spec, r->arena, r->error);
    struct dc_source_spec all = *spec;
    all.files = &spec->path;
    all.file_count = 1;
    DC_TRY(dc__list_files(&r->list, &dc__recording_files, &all, r->arena, r->error));
    DC_TRY(name_classes(r));
    return spec->foreign ? DC_OK
                         : dc__cut_test(&r->list, &dc__recording_files, spec, r->arena, r->error);
}

// Of labels in the recordings: each class has a window here.
static enum dc_status check_windows(const struct reading *r)
{
    bool *seen = DC_NEW(r->arena, bool, r->name_count + 1, r->error);
    if (!seen)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < r->count; i++)
        seen[r->memory->labels[i]] = true;
    for (int c = 0; c < r->name_count && !r->spec->foreign; c++)
        if (!seen[c])
            return dc_fail(
                r->error, DC_ERR_DATA,
                "%s: class '%s' has no window in split '%s', of %" PRId64
                " recordings; add some, or choose another split_seed or a shorter window",
                r->spec->path, r->names[c], r->spec->split, r->list.count);
    return DC_OK;
}

static enum dc_status finish(struct reading *r)
{
    struct dc_source *source = &r->memory->source;
    const char *note = r->list.note;
    if (r->count == 0)
        return dc_fail(r->error, DC_ERR_DATA, "%s: no window lies within one label", r->spec->path);
    source->count = r->count;
    source->classes = r->flat ? r->name_count : r->list.classes;
    source->class_names = r->flat ? r->names : r->list.class_names;
    source->own_validation = r->own_validation;
    source->groups = r->groups;
    source->files = r->files;
    if (r->flat)
        DC_TRY(check_windows(r));
    if (r->mixed > 0 &&
        !(note = dc_arena_printf(r->arena, r->error,
                                 "%s%s%" PRId64 " windows in which the label changes are not used",
                                 note ? note : "", note ? "; " : "", r->mixed)))
        return DC_ERR_MEMORY;
    source->note = note;
    return dc__memory_values(r->memory, r->values, r->spec, r->error);
}

static enum dc_status load(struct dc__memory *memory, const struct dc_source_spec *spec,
                           struct dc_error *error)
{
    struct reading r = {
        .memory = memory, .spec = spec, .label = -1, .arena = memory->arena, .error = error};
    struct dc_source_spec own = *spec;
    if (spec->window <= 0)
        return dc_fail(error, DC_ERR_CONFIG,
                       "recordings are cut into windows: give window: 128 (rows) and perhaps "
                       "stride: 64");
    own.stride = spec->stride > 0 ? spec->stride : spec->window;
    r.spec = &own;
    memory->source.dtype = DC_F32;
    DC_TRY(list_recordings(&r));
    for (int64_t file = 0; file < r.list.count; file++) {
        struct dc_arena *scratch = NULL;
        DC_TRY(dc_arena_create(&scratch, error));
        const enum dc_status status = read_recording(&r, file, scratch);
        dc_arena_free(scratch);
        DC_TRY(status);
    }
    return finish(&r);
}

// A folder of recordings, or the first folder in it, or in that, is one.
static bool recognize_below(const char *path, int depth)
{
    struct dirent **entries = NULL;
    bool found = is_flat(path), tried = false;
    const int count = found || depth == 0 ? 0 : scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char *inner = NULL;
        if (entries[i]->d_name[0] != '.' && !tried &&
            asprintf(&inner, "%s/%s", path, entries[i]->d_name) > 0 && dc__is_folder(inner)) {
            found = recognize_below(inner, depth - 1);
            tried = true;
        }
        free(inner);
        free(entries[i]);
    }
    free(entries);
    return found;
}

static bool recognize(const char *path)
{
    return dc__table_names(path, &dc__recording_files) || recognize_below(path, 2);
}

const struct dc__source_kind dc__source_series = {
    .ops = {"series", dc__memory_read, dc__memory_free},
    .recognize = recognize,
    .files_of = &dc__recording_files,
    .load = load,
    .own_validation = dc__files_have_validation,
};

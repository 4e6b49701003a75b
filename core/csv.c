// Owns the grammar of CSV. What columns mean is the readers' (data/table.c, data/series.c).

#include "core/csv.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bounds.h"
#include "core/file.h"
#include "core/schema.h"

struct reader {
    struct dc_csv *csv;
    char *at;  // what is read next; fields are made in place, so what lies behind is used
    const char *end, *line_start;
    int line, capacity, count;  // of cells
    int row_capacity, row_count;
    const char **cells;
    int *lines;
    int64_t memory;
    struct dc_arena *arena;
    struct dc_error *error;
};

static enum dc_status fail_here(const struct reader *r, const char *at, const char *format, ...)
    DC_PRINTF(3, 4);

static enum dc_status fail_here(const struct reader *r, const char *at, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const struct dc_location where = {
        .file = r->csv->path, .line = r->line, .column = (int)(at - r->line_start) + 1};
    return dc_fail_at(r->error, DC_ERR_DATA, &where, NULL, NULL, "%s", text);
}

// Where a cell begins. Fields before it in the row may hold line ends; of a doubled quote, one is
// in the cell and two are in the file.
static struct dc_location place_of(const struct dc_csv *csv, int64_t row, int column)
{
    struct dc_location where = {.file = csv->path, .line = csv->lines[row]};
    const char *line_start = dc_csv_cell(csv, row, 0);
    line_start -= line_start > csv->text && line_start[-1] == '"';
    for (int c = 0; c < column; c++) {
        ptrdiff_t doubled = 0;
        for (const char *p = dc_csv_cell(csv, row, c); *p; p++) {
            doubled += *p == '"';
            if (*p != '\n')
                continue;
            where.line++;
            line_start = p + doubled + 1;
        }
    }
    where.column = (int)(dc_csv_cell(csv, row, column) - line_start) + 1;
    return where;
}

enum dc_status dc_fail_csv(struct dc_error *error, const struct dc_csv *csv, int64_t row,
                           int column, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const struct dc_location where = place_of(csv, row, column);
    return dc_fail_at(error, DC_ERR_DATA, &where, NULL, NULL, "%s", text);
}

void dc_csv_append(struct dc_text_buffer *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        dc_text_append(out, "%s", text);
        return;
    }
    dc_text_append(out, "\"");
    for (; *text; text++)
        dc_text_append(out, *text == '"' ? "\"\"" : "%c", *text);
    dc_text_append(out, "\"");
}

static bool is_number(double *value, const char *cell)
{
    char *end = NULL;
    if (!cell[0] || strspn(cell, "0123456789+-.eE \t") != strlen(cell))
        return false;  // neither hexadecimal nor nan nor inf
    *value = strtod(cell, &end);
    end += strspn(end, " \t");
    return *end == '\0' && end != cell;
}

bool dc_csv_number(double *value, const char *cell)
{
    return is_number(value, cell) && isfinite((float)*value);
}

const char *dc_csv_no_number(const char *cell)
{
    double value;
    return is_number(&value, cell) ? "more than float32 holds (3.4e38)" : "no finite number";
}

static enum dc_status add_cell(struct reader *r, const char *cell)
{
    if (r->count == r->capacity) {
        DC_TRY(dc_want_memory(r->csv->path, "the table",
                              2 * (int64_t)r->capacity * (int64_t)sizeof *r->cells, r->memory,
                              r->error));
        r->cells = dc_arena_grow(r->arena, r->cells, r->count, &r->capacity, sizeof *r->cells,
                                 r->error);
        if (!r->cells)
            return DC_ERR_MEMORY;
    }
    r->cells[r->count++] = cell;
    return DC_OK;
}

// Behind a field: a comma, a line's end or the file's. *last: it was the row's last one.
static enum dc_status end_field(struct reader *r, char *cell_end, bool *last)
{
    const char *at = r->at;
    if (r->at < r->end && *r->at == '\r') {
        if (r->at + 1 == r->end || r->at[1] != '\n')
            return fail_here(r, r->at, "a carriage return alone; end lines in LF or CRLF");
        r->at++;
    }
    *last = r->at == r->end || *r->at == '\n';
    if (!*last && *r->at != ',')
        return fail_here(r, at,
                         "text behind a closing quote; a quote within a field in quotes is "
                         "written twice");
    if (r->at < r->end)
        r->at++;
    *cell_end = '\0';
    return DC_OK;
}

static enum dc_status read_quoted(struct reader *r, bool *last)
{
    const char *opened = r->at, *line_start = r->line_start;
    const int line = r->line;
    char *cell = ++r->at, *to = cell;
    for (;; r->at++) {
        if (r->at == r->end) {
            r->line = line;
            r->line_start = line_start;
            return fail_here(r, opened, "the quote that begins here is never closed");
        }
        if (*r->at == '"' && r->at[1] != '"')
            break;
        if (*r->at == '"')
            r->at++;
        if (*r->at == '\0')
            return fail_here(r, r->at, "a zero byte: this is no text");
        if (*r->at == '\n') {
            r->line++;
            r->line_start = r->at + 1;
        }
        *to++ = *r->at;
    }
    r->at++;
    DC_TRY(end_field(r, to, last));
    return add_cell(r, cell);
}

static enum dc_status read_plain(struct reader *r, bool *last)
{
    char *cell = r->at;
    r->at += strcspn(r->at, ",\r\n\"");
    if (r->at < r->end && *r->at == '\0')
        return fail_here(r, r->at, "a zero byte: this is no text");
    if (*r->at == '"')
        return fail_here(r, r->at,
                         "a quote within a field; put the whole field in quotes and write "
                         "this one twice");
    DC_TRY(end_field(r, r->at, last));
    return add_cell(r, cell);
}

static enum dc_status read_row(struct reader *r)
{
    const int first = r->count;
    const char *line_start = r->line_start;
    const int line = r->line;
    if (r->row_count == r->row_capacity &&
        !(r->lines = dc_arena_grow(r->arena, r->lines, r->row_count, &r->row_capacity,
                                   sizeof *r->lines, r->error)))
        return DC_ERR_MEMORY;
    for (bool last = false; !last;)
        DC_TRY(*r->at == '"' ? read_quoted(r, &last) : read_plain(r, &last));
    const int fields = r->count - first;
    if (fields == 1 && !r->cells[first][0] && r->csv->columns != 1) {  // an empty line
        r->count = first;
    } else if (r->csv->columns > 0 && fields != r->csv->columns) {
        r->line = line;
        r->line_start = line_start;
        return fail_here(r, line_start, "%d fields in this row, and %d in the first", fields,
                         r->csv->columns);
    } else {
        r->csv->columns = fields;
        r->lines[r->row_count++] = line;
    }
    r->line++;
    r->line_start = r->at;
    return DC_OK;
}

// What spreadsheets write where they do not write CSV.
static enum dc_status check_form(struct reader *r, const char *text, size_t size)
{
    if (size >= 2 && (!memcmp(text, "\xff\xfe", 2) || !memcmp(text, "\xfe\xff", 2)))
        return fail_here(r, text, "this is UTF-16; save it as UTF-8");
    const size_t line = strcspn(r->at, "\r\n");
    const char *other = memchr(r->at, ';', line) ? ";" : memchr(r->at, '\t', line) ? "\t" : NULL;
    if (other && !memchr(r->at, ',', line))
        return fail_here(r, r->at, "fields are separated by %s here; separate them by commas",
                         other[0] == ';' ? "';'" : "tabs");
    return DC_OK;
}

enum dc_status dc_csv_read(struct dc_csv *csv, const char *path, int64_t memory,
                           struct dc_arena *arena, struct dc_error *error)
{
    char *text = NULL;
    size_t size = 0;
    *csv = (struct dc_csv){.path = path};
    DC_TRY(dc_file_read(&text, &size, path, arena, error));
    struct reader r = {.csv = csv,
                       .at = text,
                       .end = text + size,
                       .line_start = text,
                       .line = 1,
                       .memory = memory,
                       .arena = arena,
                       .error = error};
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.line_start = r.at = text + 3;
    csv->text = r.at;
    DC_TRY(check_form(&r, text, size));
    while (r.at < r.end)
        DC_TRY(read_row(&r));
    if (r.row_count == 0)
        return dc_fail(error, DC_ERR_DATA, "%s: holds no row", path);
    csv->rows = r.row_count;
    csv->cells = r.cells;
    csv->lines = r.lines;
    return DC_OK;
}

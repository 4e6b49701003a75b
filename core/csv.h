// Tables of text as RFC 4180 has them, read whole.
//
// Fields are separated by commas; one in quotes may hold commas, line ends and doubled quotes. A
// byte order mark of UTF-8 is passed over, lines end in LF or CRLF, and empty lines are passed over
// where there is more than one column. Blanks belong to a field.

#ifndef DC_CORE_CSV_H
#define DC_CORE_CSV_H

#include "core/arena.h"

struct dc_csv {
    const char *path;
    int columns;
    int64_t rows;              // the first, which may be a header, included
    const char *const *cells;  // [rows][columns]
    const int *lines;          // [rows]: where each row begins, from 1
    const char *text;          // what the cells lie in, behind a byte order mark
};

// All lies in the arena. DC_ERR_DATA with FILE:LINE:COLUMN: a row of another number of fields than
// the first, a quote within a field or one that is not closed, a carriage return alone, a zero
// byte, UTF-16, fields separated by ';' or tabs, a file without a row. memory: limits.memory, 0:
// its default.
DC_MUST_USE enum dc_status dc_csv_read(struct dc_csv *csv, const char *path, int64_t memory,
                                       struct dc_arena *arena, struct dc_error *error);

static inline const char *dc_csv_cell(const struct dc_csv *csv, int64_t row, int column)
{
    return csv->cells[row * csv->columns + column];
}

// What is wrong with a cell: DC_ERR_DATA with FILE:LINE:COLUMN: and the words. Of a whole row:
// column 0.
enum dc_status dc_fail_csv(struct dc_error *error, const struct dc_csv *csv, int64_t row,
                           int column, const char *format, ...) DC_PRINTF(5, 6);

// A field as it is written: in quotes where it must be.
struct dc_text_buffer;
void dc_csv_append(struct dc_text_buffer *out, const char *text);

// A finite number, as printf writes one, that float32 holds, and nothing else.
bool dc_csv_number(double *value, const char *cell);
// What a cell is instead, for messages: "no finite number", or that it is too large.
const char *dc_csv_no_number(const char *cell);

#endif

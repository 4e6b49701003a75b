// Owns how `decant init` takes the columns of a table: which of them are labels, and of what kind.
// A column `label` with ';' or '|' in it is tags, with numbers that are not all whole values, else
// classes. Without one, all columns but file and split are labels: tags where all are 0 or 1, else
// values.

#include <math.h>
#include <string.h>

#include "core/csv.h"
#include "run/init_internal.h"

static int column_of(const struct dc_csv *csv, const char *name)
{
    for (int c = 0; c < csv->columns; c++)
        if (strcmp(dc_csv_cell(csv, 0, c), name) == 0)
            return c;
    return -1;
}

struct cells {
    bool numbers, whole, bits, lists;
    int64_t fractions, other;  // numbers that are not whole; the first row that is no number, or 0
};

static struct cells look_at(const struct dc_csv *csv, int column)
{
    struct cells found = {.numbers = true, .whole = true, .bits = true};
    for (int64_t row = 1; row < csv->rows; row++) {
        const char *cell = dc_csv_cell(csv, row, column);
        double value = 0.0;
        const bool number = dc_csv_number(&value, cell);
        found.numbers = found.numbers && number;
        found.whole = found.whole && number && value == rint(value);
        found.bits = found.bits && number && (value == 0.0 || value == 1.0);
        found.lists = found.lists || strpbrk(cell, ";|");
        found.fractions += number && value != rint(value);
        found.other = number || found.other > 0 ? found.other : row;
    }
    return found;
}

static enum dc_status take_columns(struct dc__init_plan *p, const struct dc_csv *csv,
                                   struct dc_error *error)
{
    bool bits = true;
    const int file = column_of(csv, "file"), split = column_of(csv, "split");
    const char **names = DC_NEW(p->arena, const char *, csv->columns, error);
    if (!names)
        return DC_ERR_MEMORY;
    for (int c = 0; c < csv->columns; c++) {
        const struct cells found = look_at(csv, c);
        if (c == file || c == split)
            continue;
        if (!found.numbers || p->label_count == DC_LIST_MAX)
            return dc_fail_csv(
                error, csv, 0,
                "init finds no column 'label', and column '%s' %s; rename the column "
                "with the labels",
                dc_csv_cell(csv, 0, c), found.numbers ? "is one too many" : "is not of numbers");
        bits = bits && found.bits;
        names[p->label_count++] = dc_csv_cell(csv, 0, c);
    }
    p->label_columns = names;
    p->labels = bits ? DC_LABELS_TAGS : DC_LABELS_VALUES;
    return DC_OK;
}

enum dc_status dc__init_table(struct dc__init_plan *p, struct dc_source_spec *spec,
                              struct dc_error *error)
{
    struct dc_csv csv;
    DC_TRY(dc_csv_read(&csv, spec->path, 0, p->arena, error));
    const int label = column_of(&csv, "label");
    if (column_of(&csv, "file") < 0)
        return dc_fail_csv(
            error, &csv, 0,
            "no column 'file'; init takes a table with file, label and perhaps split "
            "in its first row");
    if (label < 0) {
        DC_TRY(take_columns(p, &csv, error));
    } else {
        const struct cells found = look_at(&csv, label);
        if (!found.lists && found.other > 0 && 2 * found.fractions > csv.rows - 1)
            return dc_fail_csv(error, &csv, found.other,
                               "'%s' is no finite number, as most labels are; of classes that are "
                               "called like numbers write the experiment by hand",
                               dc_csv_cell(&csv, found.other, label));
        p->labels = found.lists                     ? DC_LABELS_TAGS
                    : found.numbers && !found.whole ? DC_LABELS_VALUES
                                                    : DC_LABELS_CLASSES;
    }
    spec->label_kind = p->labels;
    spec->label_columns = p->label_columns;
    spec->label_column_count = p->label_count;
    return DC_OK;
}

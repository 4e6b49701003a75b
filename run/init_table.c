// Owns how the columns of a table are taken where no experiment says it (`decant init`, `decant
// data`), by the rule of init.h.

#include <math.h>
#include <string.h>

#include "core/csv.h"
#include "core/yaml.h"
#include "data/open.h"
#include "run/init.h"

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

static enum dc_status take_columns(struct dc_source_spec *spec, const struct dc_csv *csv,
                                   struct dc_arena *arena, struct dc_error *error)
{
    bool bits = true;
    const int file = column_of(csv, "file"), split = column_of(csv, "split");
    const char **names = DC_NEW(arena, const char *, csv->columns, error);
    if (!names)
        return DC_ERR_MEMORY;
    for (int c = 0; c < csv->columns; c++) {
        const struct cells found = look_at(csv, c);
        if (c == file || c == split)
            continue;
        if (!found.numbers)
            return dc_fail_csv(error, csv, found.other, c,
                               "there is no column 'label', and '%s' in column '%s' is %s; "
                               "rename the column with the labels, or mend this one",
                               dc_csv_cell(csv, found.other, c), dc_csv_cell(csv, 0, c),
                               dc_csv_no_number(dc_csv_cell(csv, found.other, c)));
        if (spec->label_column_count == DC_LIST_MAX)
            return dc_fail_csv(error, csv, 0, c,
                               "there is no column 'label', and more than %d others", DC_LIST_MAX);
        bits = bits && found.bits;
        names[spec->label_column_count++] = dc_csv_cell(csv, 0, c);
    }
    spec->label_columns = names;
    spec->label_kind = bits ? DC_LABELS_TAGS : DC_LABELS_VALUES;
    return DC_OK;
}

enum dc_status dc_table_labels(struct dc_source_spec *spec, struct dc_arena *arena,
                               struct dc_error *error)
{
    struct dc_csv csv;
    DC_TRY(dc_csv_read(&csv, spec->path, 0, arena, error));
    const int label = column_of(&csv, "label");
    if (column_of(&csv, "file") < 0)
        return dc_fail_csv(
            error, &csv, 0, 0,
            "no column 'file'; a table has file, label and perhaps split in its first row");
    if (label < 0)
        return take_columns(spec, &csv, arena, error);
    const struct cells found = look_at(&csv, label);
    if (!found.lists && found.other > 0 && 2 * found.fractions > csv.rows - 1)
        return dc_fail_csv(error, &csv, found.other, label,
                           "'%s' is %s, as most labels are; of classes that are called like "
                           "numbers write the experiment by hand",
                           dc_csv_cell(&csv, found.other, label),
                           dc_csv_no_number(dc_csv_cell(&csv, found.other, label)));
    spec->label_kind = found.lists                     ? DC_LABELS_TAGS
                       : found.numbers && !found.whole ? DC_LABELS_VALUES
                                                       : DC_LABELS_CLASSES;
    return DC_OK;
}

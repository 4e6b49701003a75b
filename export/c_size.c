// Owns the estimate of a board's memory. What a board has, and what is refused, is the target's
// (run/target.h).

#include "export/c_size.h"

#include <assert.h>
#include <string.h>

#include "qat/profile.h"
#include "qat/softmax.h"
#include "qat/table.h"

const char *const dc_core_names[DC_CORE_COUNT + 1] = {
    [DC_CORTEX_M0] = "cortex-m0", [DC_CORTEX_M3] = "cortex-m3",   [DC_CORTEX_M4] = "cortex-m4",
    [DC_CORTEX_M7] = "cortex-m7", [DC_CORTEX_M33] = "cortex-m33", [DC_CORTEX_M55] = "cortex-m55"};
const char *const dc_optimization_names[DC_OPTIMIZATION_COUNT + 1] = {
    [DC_FOR_SIZE] = "-Os", [DC_FOR_SPEED] = "-O2"};

// Columns of the table: one for each op, and one more for each whose packed weights have code of
// their own.
enum code_column {
    PACKED_CONV2D = DC_IOP_COUNT,
    PACKED_DEPTHWISE,
    PACKED_FULLY_CONNECTED,
    CODE_COLUMNS
};

// In bytes: base, of a network without layers; of each column, what it adds; stack, at most.
struct code_row {
    const char *profile;
    enum dc_core core;
    enum dc_optimization optimization;
    int base, stack, added[CODE_COLUMNS];
};

// A row is by position: whoever adds an op gives it its column in tests/interop/measure_code, in
// the order of enum dc_iop, and measures it.
static_assert(CODE_COLUMNS == 18, "a column for each op, and three for packed weights");
static const struct code_row rows[] = {
#include "export/code_sizes.inc.h"
    {0}};

// What NAME_quantize_input and NAME_resize add, of each method and fit.
struct resize_row {
    enum dc_core core;
    enum dc_optimization optimization;
    int added[DC_RESIZE_METHODS][DC_RESIZE_FITS];
};
static const struct resize_row resize_rows[DC_CORE_COUNT * DC_OPTIMIZATION_COUNT] = {
#include "export/code_sizes_resize.inc.h"
};

enum { RECORD_BYTES = 31 * 4, POINTER_BYTES = 4, FACTOR_BYTES = 8, WORD_BYTES = 4, PADDING = 3 };

static int64_t round_up(int64_t bytes, int64_t multiple)
{
    return (bytes + multiple - 1) / multiple * multiple;
}

static int64_t bytes_of_tables(const struct dc_imodel *model)
{
    const struct dc_preprocessing *p = &model->preprocessing;
    int64_t bytes = p->bytes ? (int64_t)DC_BYTE_CODES * p->normalization.channels : 0;
    for (int i = 0; i < p->classes && p->bytes; i++)
        bytes += round_up((int64_t)strlen(p->class_names[i]) + 1, WORD_BYTES) + POINTER_BYTES;
    for (int i = 1; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        bytes += l->table ? DC_TABLE_CODES : 0;
        bytes += l->exponentials ? (int64_t)WORD_BYTES * DC_EXPONENTIALS : 0;
        if (dc_profile_rounding(model->profile, l->op) == DC_ROUND_DOUBLE_AWAY)
            bytes += FACTOR_BYTES * (int64_t)l->channels;
    }
    return bytes;
}

static void count_data(struct dc_footprint *f, const struct dc_imodel *model, int64_t vectors)
{
    const int64_t kept = vectors < DC_EMBEDDED_VECTORS ? vectors : DC_EMBEDDED_VECTORS;
    for (int i = 1; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        const int64_t stored = (l->weight_count * dc_ilayer_stored_bits(model, l) + 7) / 8;
        if (dc_ilayer_has_weights(l)) {
            f->weights += round_up(stored + PADDING, model->alignment);
            f->biases += WORD_BYTES * (int64_t)l->channels;
        }
        f->rescales += 2 * WORD_BYTES * (int64_t)l->rescales;
        f->records += l->op == DC_I_RESHAPE ? 0 : RECORD_BYTES;
    }
    f->tables = bytes_of_tables(model);
    f->vectors = kept *
                 (dc_ilayer_size(&model->layers[0]) + dc_ilayer_size(dc_imodel_output(model)));
}

int64_t dc_c_data_bytes(const struct dc_imodel *model, int64_t vectors)
{
    struct dc_footprint f = {0};
    count_data(&f, model, vectors);
    return dc_footprint_flash(&f);
}

static int column_of(const struct dc_imodel *model, const struct dc_ilayer *l)
{
    const bool packed = dc_ilayer_has_weights(l) && dc_ilayer_stored_bits(model, l) == 4;
    return !packed                          ? (int)l->op
           : l->op == DC_I_CONV2D           ? PACKED_CONV2D
           : l->op == DC_I_DEPTHWISE_CONV2D ? PACKED_DEPTHWISE
                                            : PACKED_FULLY_CONNECTED;
}

// NULL: nobody has measured it.
static const struct code_row *find_row(const char *profile, enum dc_core core,
                                       enum dc_optimization optimization)
{
    for (const struct code_row *row = rows; row->profile; row++)
        if (row->core == core && row->optimization == optimization &&
            strcmp(row->profile, profile) == 0)
            return row;
    return NULL;
}

static int code_of_resizing(const struct dc_preprocessing *p, enum dc_core core,
                            enum dc_optimization optimization)
{
    for (int i = 0; i < DC_CORE_COUNT * DC_OPTIMIZATION_COUNT && p->resize.height; i++)
        if (resize_rows[i].core == core && resize_rows[i].optimization == optimization)
            return resize_rows[i].added[p->resize.method][p->resize.fit];
    return 0;
}

enum dc_status dc_c_footprint(struct dc_footprint *f, const struct dc_imodel *model,
                              enum dc_core core, enum dc_optimization optimization, int64_t vectors,
                              struct dc_error *error)
{
    const struct code_row *row = find_row(model->profile->name, core, optimization);
    struct dc_imodel_cost cost;
    bool used[CODE_COLUMNS] = {false};
    memset(f, 0, sizeof *f);
    if (!row)
        return dc_fail(error, DC_ERR_DATA, "no code sizes of profile %s on %s",
                       model->profile->name, dc_core_names[core]);
    DC_TRY(dc_imodel_cost(&cost, model, error));
    count_data(f, model, vectors);
    f->code = row->base + code_of_resizing(&model->preprocessing, core, optimization);
    for (int i = 1; i < model->count; i++)
        used[column_of(model, &model->layers[i])] = true;
    // the code for packed weights is beside that for others, which is counted with it
    used[DC_I_CONV2D] = used[DC_I_CONV2D] && !used[PACKED_CONV2D];
    used[DC_I_DEPTHWISE_CONV2D] = used[DC_I_DEPTHWISE_CONV2D] && !used[PACKED_DEPTHWISE];
    used[DC_I_FULLY_CONNECTED] = used[DC_I_FULLY_CONNECTED] && !used[PACKED_FULLY_CONNECTED];
    for (int column = 0; column < CODE_COLUMNS; column++)
        f->code += used[column] ? row->added[column] : 0;
    f->arena = cost.arena_bytes;
    f->scratch = cost.scratch_bytes;
    f->input = cost.input_bytes;
    f->output = cost.output_bytes;
    f->stack = row->stack + cost.output_bytes;  // the self-test's own output
    return DC_OK;
}

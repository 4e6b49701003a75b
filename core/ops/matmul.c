// Owns the product of two values as matrices, with broadcasting of the axes before them.
//
// The right side of each product is packed into panels, its left side brought into rows where it is
// not, and the convolution kernel multiplies them: a matrix's rows are its pixels. The gradients
// are products of the same kind. Products of a value and a weight are dense.c's.

#include "core/ops/conv_geometry.h"
#include "core/parallel.h"

static const int32_t no_offset = 0;  // the one run of a row

// A matrix in memory: value (row, column) at at[row * row_stride + column * column_stride].
struct matrix {
    const float *at;
    int64_t row_stride, column_stride;
};

static struct matrix transposed(struct matrix m)
{
    return (struct matrix){m.at, m.column_stride, m.row_stride};
}

// Sizes: [m, k] by [k, n] for `count` matrices a row of the batch.
struct sizes {
    int64_t m, k, n, count;
    bool transpose_a, transpose_b;
};

static struct sizes sizes_of(const struct dc_node *node, const struct dc_shape *a,
                             const struct dc_shape *out)
{
    const struct dc_matmul_attributes *attributes = node->attributes;
    return (struct sizes){
        out->dims[out->rank - 2], a->dims[a->rank - (attributes->transpose_a ? 2 : 1)],
        out->dims[out->rank - 1], dc_shape_product(out, 1, out->rank - 2),
        attributes->transpose_a,  attributes->transpose_b};
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_matmul_attributes *t = node->attributes;
    const int ra = in[0].rank, rb = in[1].rank, rank = ra > rb ? ra : rb;
    bool fits = ra >= 3 && rb >= 3;
    *out = (struct dc_shape){.rank = rank};
    for (int i = 3; fits && i < rank; i++) {  // axes before the matrices, from the last on
        const int64_t a = i < ra ? in[0].dims[ra - i] : 1, b = i < rb ? in[1].dims[rb - i] : 1;
        fits = a == b || a == 1 || b == 1;
        out->dims[rank - i] = a == 1 ? b : a;
    }
    if (fits) {
        out->dims[0] = in[0].dims[0] == 1 ? in[1].dims[0] : in[0].dims[0];
        out->dims[rank - 2] = in[0].dims[ra - (t->transpose_a ? 1 : 2)];
        out->dims[rank - 1] = in[1].dims[rb - (t->transpose_b ? 2 : 1)];
        fits = out->dims[0] != 1 && in[0].dims[ra - (t->transpose_a ? 2 : 1)] ==
                                        in[1].dims[rb - (t->transpose_b ? 1 : 2)];
    }
    char a[DC_SHAPE_TEXT], b[DC_SHAPE_TEXT];
    if (!fits)
        return dc_fail(error, DC_ERR_CONFIG,
                       "matmul of %s%s and %s%s: it needs [batch, ..., m, k] and [batch, ..., k, "
                       "n], axes before the matrices equal or 1",
                       dc_shape_text(a, &in[0]), t->transpose_a ? " transposed" : "",
                       dc_shape_text(b, &in[1]), t->transpose_b ? " transposed" : "");
    return DC_OK;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// Work space of one product, any of the three of a call.
struct space {
    int32_t *x_offset, *y_offset;
    float *rows, *panels;
};

static struct space take_space(struct dc_scratch *scratch, const struct sizes *s)
{
    const size_t rows = (size_t)larger(s->m, larger(s->k, s->n));
    const int64_t panels = larger(dc__panel_floats((int)s->n, larger(s->k, s->m)),
                                  dc__panel_floats((int)larger(s->k, s->m), larger(s->n, s->m)));
    return (struct space){
        dc__take(scratch, rows * sizeof(int32_t)), dc__take(scratch, rows * sizeof(int32_t)),
        dc__take(scratch, sizeof(float) * (size_t)larger(s->m * s->k, (s->m + s->k) * s->n)),
        dc__take(scratch, sizeof(float) * (size_t)panels)};
}

static struct space space_of(char *base, int index, const struct sizes *s)
{
    struct dc_scratch one = {0};
    take_space(&one, s);
    struct dc_scratch scratch = {base + (size_t)index * one.used, 0};
    return take_space(&scratch, s);
}

// One space a thread forward, one a chunk behind the sums of dc_adding_backward.
static void memory(struct dc_op_memory *memory, const struct dc_node *node,
                   const struct dc_shape *in, const struct dc_shape *out, const struct dc_ctx *ctx)
{
    const struct sizes s = sizes_of(node, &in[0], out);
    struct dc_scratch one = {0};
    take_space(&one, &s);
    dc_adding_memory(memory, node, in, out, ctx);
    memory->forward = one.used * (size_t)ctx->threads;
    memory->backward += one.used * (size_t)ctx->chunks;
}

// y[rows][columns] = left [rows][depth] by right [depth][columns], added where `add`.
static void multiply(const struct dc_ctx *ctx, const struct space *space, float *y,
                     struct matrix left, struct matrix right, int64_t rows, int64_t columns,
                     int64_t depth, bool add)
{
    if (left.column_stride != 1 && depth > 1) {
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < depth; k++)
                space->rows[r * depth + k] = left.at[r * left.row_stride + k * left.column_stride];
        left = (struct matrix){space->rows, depth, 1};
    }
    for (int64_t r = 0; r < rows; r++) {
        space->x_offset[r] = (int32_t)(r * left.row_stride);
        space->y_offset[r] = (int32_t)(r * columns);
    }
    dc__pack(space->panels, right.at, depth, (int)columns, right.row_stride, right.column_stride);
    const struct dc_taps taps = {.run_offset = &no_offset, .runs = 1, .run_length = (int)depth};
    ctx->kernels->conv_panels(y, space->y_offset, left.at, space->x_offset, (int)rows,
                              space->panels, &taps, NULL, (int)columns, add);
}

// Where matrix `index` of row r lies in input i, in matrices of that row.
static int64_t place_of(const struct dc_op_call *call, int i, int64_t index)
{
    const struct dc_shape *in = &call->in[i].shape, *out = &call->out.shape;
    int64_t at = 0, stride = 1;
    for (int k = 3; k < out->rank; k++) {
        const int64_t size = out->dims[out->rank - k],
                      own = k < in->rank ? in->dims[in->rank - k] : 1;
        at += own == 1 ? 0 : index % size * stride;
        stride *= own;
        index /= size;
    }
    return at;
}

// Of input i, in its mathematical form: [m, k] or [k, n].
static struct matrix matrix_of(const struct dc_op_call *call, int i, int64_t row, int64_t index)
{
    const struct dc_matmul_attributes *t = call->node->attributes;
    const struct dc_shape *in = &call->in[i].shape;
    const int64_t columns = in->dims[in->rank - 1], size = columns * in->dims[in->rank - 2];
    const int64_t first = dc_is_shared(call, i) ? 0 : row * dc_shape_row(in);
    const struct matrix m = {dc_f32(&call->in[i]) + first + place_of(call, i, index) * size,
                             columns, 1};
    return (i == 0 ? t->transpose_a : t->transpose_b) ? transposed(m) : m;
}

static void forward_chunk(void *arg, int chunk, int thread)
{
    const struct dc_op_call *call = arg;
    const struct sizes s = sizes_of(call->node, &call->in[0].shape, &call->out.shape);
    const struct dc_rows all = dc_chunk_rows(call->rows * s.count, call->ctx->chunks, chunk);
    const struct space space = space_of(call->scratch, thread, &s);
    for (int64_t i = all.first; i < all.first + all.count; i++)
        multiply(call->ctx, &space, dc_f32(&call->out) + i * s.m * s.n,
                 matrix_of(call, 0, i / s.count, i % s.count),
                 matrix_of(call, 1, i / s.count, i % s.count), s.m, s.n, s.k, false);
}

// Kernels take 32-bit offsets.
static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    const struct sizes s = sizes_of(call->node, &call->in[0].shape, &call->out.shape);
    if (larger(s.m, larger(s.k, s.n)) >
        INT32_MAX / (larger(s.m, larger(s.k, s.n)) + (int64_t)DC_PANEL))
        return dc_fail(error, DC_ERR_CONFIG, "matrices of %lld x %lld x %lld are too large",
                       (long long)s.m, (long long)s.k, (long long)s.n);
    dc_parallel_for(call->ctx, call->ctx->chunks, forward_chunk, (void *)call);
    return DC_OK;
}

// dA = dC B^T, dB = A^T dC, or their transposes where the input is one: dA^T = B dC^T,
// dB^T = dC^T A.
static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct sizes s = sizes_of(call->node, &call->in[0].shape, &call->out.shape);
    const struct dc_target da = dc_input_target(call, 0, rows), db = dc_input_target(call, 1, rows);
    const struct space space = space_of(call->saved, dc_chunk_of(call, rows), &s);
    for (int64_t i = 0; i < rows.count * s.count; i++) {
        const int64_t r = i / s.count, index = i % s.count;
        const struct matrix a = matrix_of(call, 0, rows.first + r, index);
        const struct matrix b = matrix_of(call, 1, rows.first + r, index);
        const struct matrix dc = {dc_f32(&call->d_out) + (rows.first * s.count + i) * s.m * s.n,
                                  s.n, 1};
        float *to_a = da.at ? da.at + r * da.row + place_of(call, 0, index) * s.m * s.k : NULL;
        float *to_b = db.at ? db.at + r * db.row + place_of(call, 1, index) * s.k * s.n : NULL;
        if (to_a && s.transpose_a)
            multiply(call->ctx, &space, to_a, b, transposed(dc), s.k, s.m, s.n, true);
        else if (to_a)
            multiply(call->ctx, &space, to_a, dc, transposed(b), s.m, s.k, s.n, true);
        if (to_b && s.transpose_b)
            multiply(call->ctx, &space, to_b, transposed(dc), a, s.n, s.k, s.m, true);
        else if (to_b)
            multiply(call->ctx, &space, to_b, transposed(a), dc, s.k, s.n, s.m, true);
    }
}

static enum dc_status backward(const struct dc_op_call *call, struct dc_error *error)
{
    const struct dc_shape in[] = {call->in[0].shape, call->in[1].shape};
    struct dc_op_memory sums = {0};
    dc_adding_memory(&sums, call->node, in, &call->out.shape, call->ctx);
    struct dc_op_call with_spaces = *call;
    with_spaces.saved = (char *)call->scratch + sums.backward;
    return dc_adding_backward(&with_spaces, error);
}

static int64_t macs(const struct dc_node *node, const struct dc_shape *in,
                    const struct dc_shape *out)
{
    return dc_shape_row(out) * sizes_of(node, in, out).k;
}

const struct dc_op dc_op_matmul = {
    .name = "matmul",
    .inputs_min = 2,
    .inputs_max = 2,
    .flags = DC_OP_READS_INPUT | DC_OP_CONSTANT_INPUTS,
    .attribute_bytes = sizeof(struct dc_matmul_attributes),
    .infer = infer,
    .memory = memory,
    .forward = forward,
    .backward = backward,
    .backward_rows = backward_rows,
    .macs = macs,
};

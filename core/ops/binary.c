// Owns the ops of two values with broadcasting: sum, difference, product, quotient, maximum,
// minimum. Sums of equal shapes, the residual connections, are add.c's.
//
// The axes of a row are merged where both inputs allow it, so that the innermost loop runs over
// neighbours or over one repeated value.

#include "core/ops/ops.h"

// A loop over a row of the output: sizes, and strides in both inputs (0 where one is repeated).
struct loop {
    int rank;
    int64_t size[DC_RANK_MAX], stride[2][DC_RANK_MAX];
};

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const int rank = in[0].rank > in[1].rank ? in[0].rank : in[1].rank;
    *out = (struct dc_shape){.rank = rank};
    bool fits = in[0].rank > 0 && in[1].rank > 0;
    for (int k = 1; fits && k < rank; k++) {  // from the last axis on
        const int64_t a = k < in[0].rank ? in[0].dims[in[0].rank - k] : 1;
        const int64_t b = k < in[1].rank ? in[1].dims[in[1].rank - k] : 1;
        fits = a == b || a == 1 || b == 1;
        out->dims[rank - k] = a == 1 ? b : a;
    }
    out->dims[0] = in[0].dims[0] == 1 ? in[1].dims[0] : in[0].dims[0];
    char a[DC_SHAPE_TEXT], b[DC_SHAPE_TEXT];
    if (!fits || out->dims[0] == 1)
        return dc_fail(error, DC_ERR_CONFIG,
                       "%s of %s and %s: sizes of an axis must be equal or 1, and one of the "
                       "values must have the batch",
                       node->op->name, dc_shape_text(a, &in[0]), dc_shape_text(b, &in[1]));
    return DC_OK;
}

static struct loop loop_of(const struct dc_op_call *call)
{
    const struct dc_shape *out = &call->out.shape;
    struct loop loop = {.rank = 1, .size = {1}};
    int64_t next[2] = {1, 1};
    for (int k = 1; k < out->rank; k++) {
        const int64_t size = out->dims[out->rank - k];
        int64_t stride[2];
        bool merges = loop.size[0] > 1;
        for (int i = 0; i < 2; i++) {
            const struct dc_shape *in = &call->in[i].shape;
            const int64_t own = k < in->rank ? in->dims[in->rank - k] : 1;
            stride[i] = own == 1 ? 0 : next[i];
            next[i] *= own;
            merges = merges &&
                     stride[i] == loop.stride[i][loop.rank - 1] * loop.size[loop.rank - 1];
        }
        if (size == 1)
            continue;
        loop.rank += !merges && loop.size[0] > 1;
        loop.size[loop.rank - 1] = merges ? loop.size[loop.rank - 1] * size : size;
        for (int i = 0; i < 2 && !merges; i++)
            loop.stride[i][loop.rank - 1] = stride[i];
    }
    return loop;
}

// Steps to the next line of the loop's outer axes, 1 on; false after the last.
static bool next_line(const struct loop *loop, int64_t index[DC_RANK_MAX], int64_t at[2])
{
    for (int k = 1; k < loop->rank; k++) {
        at[0] += loop->stride[0][k];
        at[1] += loop->stride[1][k];
        if (++index[k] < loop->size[k])
            return true;
        at[0] -= loop->stride[0][k] * loop->size[k];
        at[1] -= loop->stride[1][k] * loop->size[k];
        index[k] = 0;
    }
    return false;
}

// One line; of two strides that are 0 or 1 at least one is 1, or count is 1.
#define LINE(name, value)                                                                          \
    static void name##_line(float *restrict y, const float *x, const float *z, int64_t count,      \
                            int64_t x_stride, int64_t z_stride)                                    \
    {                                                                                              \
        if (x_stride && z_stride) {                                                                \
            for (int64_t i = 0; i < count; i++) {                                                  \
                const float a = x[i], b = z[i];                                                    \
                y[i] = value;                                                                      \
            }                                                                                      \
        } else if (x_stride) {                                                                     \
            for (int64_t i = 0; i < count; i++) {                                                  \
                const float a = x[i], b = z[0];                                                    \
                y[i] = value;                                                                      \
            }                                                                                      \
        } else {                                                                                   \
            for (int64_t i = 0; i < count; i++) {                                                  \
                const float a = x[0], b = z[i];                                                    \
                y[i] = value;                                                                      \
            }                                                                                      \
        }                                                                                          \
    }

LINE(add, a + b)
LINE(subtract, a - b)
LINE(multiply, a *b)
LINE(divide, a / b)
LINE(maximum, a >= b || a != a ? a : b)
LINE(minimum, a <= b || a != a ? a : b)

// The derivatives at (a, b), into both.
typedef void slopes(float d[2], float a, float b);

static void add_slopes(float d[2], float a, float b)
{
    (void)a;
    (void)b;
    d[0] = d[1] = 1.0f;
}

static void subtract_slopes(float d[2], float a, float b)
{
    (void)a;
    (void)b;
    d[0] = 1.0f;
    d[1] = -1.0f;
}

static void multiply_slopes(float d[2], float a, float b)
{
    d[0] = b;
    d[1] = a;
}

static void divide_slopes(float d[2], float a, float b)
{
    d[0] = 1.0f / b;
    d[1] = -(a / b) / b;
}

static void maximum_slopes(float d[2], float a, float b)
{
    d[0] = a >= b || a != a ? 1.0f : 0.0f;
    d[1] = 1.0f - d[0];
}

static void minimum_slopes(float d[2], float a, float b)
{
    d[0] = a <= b || a != a ? 1.0f : 0.0f;
    d[1] = 1.0f - d[0];
}

static const struct kind {
    const struct dc_op *op;
    void (*line)(float *y, const float *x, const float *z, int64_t count, int64_t x_stride,
                 int64_t z_stride);
    slopes *slopes;
} kinds[] = {
    {&dc_op_broadcast_add, add_line, add_slopes},
    {&dc_op_subtract, subtract_line, subtract_slopes},
    {&dc_op_multiply, multiply_line, multiply_slopes},
    {&dc_op_divide, divide_line, divide_slopes},
    {&dc_op_maximum, maximum_line, maximum_slopes},
    {&dc_op_minimum, minimum_line, minimum_slopes},
};

static const struct kind *kind_of(const struct dc_op_call *call)
{
    const struct kind *kind = kinds;
    while (kind->op != call->node->op)
        kind++;
    return kind;
}

// Row r of input i.
static const float *row_of(const struct dc_op_call *call, int i, int64_t r)
{
    return dc_f32(&call->in[i]) +
           (dc_is_shared(call, i) ? 0 : r * dc_shape_row(&call->in[i].shape));
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct kind *kind = kind_of(call);
    const struct loop loop = loop_of(call);
    float *y = dc_f32(&call->out) + rows.first * dc_shape_row(&call->out.shape);
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        const float *a = row_of(call, 0, r), *b = row_of(call, 1, r);
        int64_t index[DC_RANK_MAX] = {0}, at[2] = {0, 0};
        do {
            kind->line(y, a + at[0], b + at[1], loop.size[0], loop.stride[0][0], loop.stride[1][0]);
            y += loop.size[0];
        } while (next_line(&loop, index, at));
    }
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct kind *kind = kind_of(call);
    const struct loop loop = loop_of(call);
    const float *g = dc_f32(&call->d_out) + rows.first * dc_shape_row(&call->out.shape);
    const struct dc_target target[2] = {dc_input_target(call, 0, rows),
                                        dc_input_target(call, 1, rows)};
    for (int64_t r = 0; r < rows.count; r++) {
        const float *a = row_of(call, 0, rows.first + r), *b = row_of(call, 1, rows.first + r);
        int64_t index[DC_RANK_MAX] = {0}, at[2] = {0, 0};
        do {
            for (int64_t i = 0; i < loop.size[0]; i++, g++) {
                const int64_t k[2] = {at[0] + i * loop.stride[0][0], at[1] + i * loop.stride[1][0]};
                float d[2];
                kind->slopes(d, a[k[0]], b[k[1]]);
                for (int n = 0; n < 2; n++)
                    if (target[n].at)
                        target[n].at[r * target[n].row + k[n]] += d[n] * *g;
            }
        } while (next_line(&loop, index, at));
    }
}

#define BINARY(name_)                                                                              \
    DC_ADDING_OP(name_, 2, 2, .flags = DC_OP_READS_INPUT | DC_OP_CONSTANT_INPUTS, .infer = infer)

const struct dc_op dc_op_broadcast_add = BINARY("broadcast_add");
const struct dc_op dc_op_subtract = BINARY("subtract");
const struct dc_op dc_op_multiply = BINARY("multiply");
const struct dc_op dc_op_divide = BINARY("divide");
const struct dc_op dc_op_maximum = BINARY("maximum");
const struct dc_op dc_op_minimum = BINARY("minimum");

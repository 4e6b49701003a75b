// Owns max, average and global average pooling over [batch, height, width, channels].
//
// Channels are the innermost loop, so each tap is one pass over neighbouring floats. Max pooling
// keeps the tap that won (the first of equals, row-major) for backward; NaN wins and stays. Windows
// are whole: what does not fill one is left out, and a window of padding alone is refused.

#include <inttypes.h>
#include <string.h>

#include "core/ops/ops.h"
#include "core/parallel.h"

enum { TAPS_MAX = 65536 };  // an index of a tap is 16 bits

static enum dc_status fail_image(struct dc_error *error, const char *op, const struct dc_shape *in)
{
    char text[DC_SHAPE_TEXT];
    return dc_fail(error, DC_ERR_CONFIG, "%s needs [batch, height, width, channels], not %s", op,
                   dc_shape_text(text, in));
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_pool_attributes *a = node->attributes;
    if (in[0].rank != 4)
        return fail_image(error, node->op->name, &in[0]);
    if (a->kernel_h < 1 || a->kernel_w < 1 || a->stride_h < 1 || a->stride_w < 1 ||
        (int64_t)a->kernel_h * a->kernel_w > TAPS_MAX)
        return dc_fail(error, DC_ERR_CONFIG,
                       "kernel %dx%d with stride %dx%d: sizes start at 1, and a kernel has at most "
                       "%d taps",
                       a->kernel_h, a->kernel_w, a->stride_h, a->stride_w, TAPS_MAX);
    if (a->pad_top < 0 || a->pad_bottom < 0 || a->pad_left < 0 || a->pad_right < 0)
        return dc_fail(error, DC_ERR_CONFIG, "padding must not be negative: %d, %d, %d, %d",
                       a->pad_top, a->pad_bottom, a->pad_left, a->pad_right);
    const int64_t height = in[0].dims[1] + a->pad_top + a->pad_bottom;
    const int64_t width = in[0].dims[2] + a->pad_left + a->pad_right;
    if (a->kernel_h > height || a->kernel_w > width)
        return dc_fail(error, DC_ERR_CONFIG,
                       "kernel %dx%d does not fit the padded input %" PRId64 "x%" PRId64,
                       a->kernel_h, a->kernel_w, height, width);
    *out = in[0];
    out->dims[1] = (height - a->kernel_h) / a->stride_h + 1;
    out->dims[2] = (width - a->kernel_w) / a->stride_w + 1;
    // The outermost windows reach furthest into the padding.
    const int64_t last_top = (out->dims[1] - 1) * a->stride_h - a->pad_top;
    const int64_t last_left = (out->dims[2] - 1) * a->stride_w - a->pad_left;
    if (a->pad_top >= a->kernel_h || a->pad_left >= a->kernel_w || last_top >= in[0].dims[1] ||
        last_left >= in[0].dims[2])
        return dc_fail(error, DC_ERR_CONFIG,
                       "with padding %d, %d, %d, %d a window of %dx%d sees padding alone",
                       a->pad_top, a->pad_bottom, a->pad_left, a->pad_right, a->kernel_h,
                       a->kernel_w);
    return DC_OK;
}

static void max_memory(struct dc_op_memory *memory, const struct dc_node *node,
                       const struct dc_shape *in, const struct dc_shape *out,
                       const struct dc_ctx *ctx)
{
    (void)node;
    (void)in;
    (void)ctx;
    memory->saved = (size_t)dc_shape_count(out) * sizeof(uint16_t);
}

// The taps of one window that lie inside the input: rows [top, bottom), columns [left, right).
struct window {
    int64_t origin_y, origin_x;  // where tap (0, 0) lies; may be negative
    int64_t top, bottom, left, right;
};

static struct window window_at(const struct dc_pool_attributes *a, const struct dc_shape *in,
                               int64_t p, int64_t q)
{
    const int64_t y = p * a->stride_h - a->pad_top, x = q * a->stride_w - a->pad_left;
    const int64_t bottom = y + a->kernel_h, right = x + a->kernel_w;
    return (struct window){
        .origin_y = y,
        .origin_x = x,
        .top = y < 0 ? 0 : y,
        .left = x < 0 ? 0 : x,
        .bottom = bottom > in->dims[1] ? in->dims[1] : bottom,
        .right = right > in->dims[2] ? in->dims[2] : right,
    };
}

static float taps_of(const struct dc_pool_attributes *a, const struct window *w)
{
    const int64_t inside = (w->bottom - w->top) * (w->right - w->left);
    return (float)(a->count_padding ? (int64_t)a->kernel_h * a->kernel_w : inside);
}

static void keep_larger(float *restrict y, uint16_t *restrict index, const float *restrict x,
                        uint16_t tap, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++) {
        const bool wins = x[c] > y[c] || x[c] != x[c];
        y[c] = wins ? x[c] : y[c];
        index[c] = wins ? tap : index[c];
    }
}

static void keep_larger_value(float *restrict y, const float *restrict x, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        y[c] = x[c] > y[c] || x[c] != x[c] ? x[c] : y[c];
}

static void accumulate(float *restrict y, const float *restrict x, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        y[c] += x[c];
}

static void divide(float *y, float by, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        y[c] = y[c] / by;
}

static void add_share(float *restrict dx, const float *restrict g, float by, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        dx[c] += g[c] / by;
}

// One window of one image. x: the image; y, index (or NULL): [channels] of this output pixel.
static void max_window(float *y, uint16_t *index, const float *x, const struct window *w,
                       const struct dc_pool_attributes *a, const struct dc_shape *in)
{
    const int64_t channels = in->dims[3];
    for (int64_t i = w->top; i < w->bottom; i++)
        for (int64_t j = w->left; j < w->right; j++) {
            const float *tap = x + (i * in->dims[2] + j) * channels;
            const uint16_t number = (uint16_t)((i - w->origin_y) * a->kernel_w + (j - w->origin_x));
            if (i == w->top && j == w->left) {
                memcpy(y, tap, (size_t)channels * sizeof *y);
                for (int64_t c = 0; index && c < channels; c++)
                    index[c] = number;
            } else if (index) {
                keep_larger(y, index, tap, number, channels);
            } else {
                keep_larger_value(y, tap, channels);
            }
        }
}

static void max_window_backward(float *dx, const float *g, const uint16_t *index,
                                const struct window *w, const struct dc_pool_attributes *a,
                                const struct dc_shape *in)
{
    const int64_t channels = in->dims[3];
    for (int64_t c = 0; c < channels; c++) {
        const int64_t i = w->origin_y + index[c] / a->kernel_w;
        const int64_t j = w->origin_x + index[c] % a->kernel_w;
        dx[(i * in->dims[2] + j) * channels + c] += g[c];
    }
}

static void average_window(float *y, const float *x, const struct window *w, float taps,
                           const struct dc_shape *in)
{
    const int64_t channels = in->dims[3];
    memset(y, 0, (size_t)channels * sizeof *y);
    for (int64_t i = w->top; i < w->bottom; i++)
        for (int64_t j = w->left; j < w->right; j++)
            accumulate(y, x + (i * in->dims[2] + j) * channels, channels);
    divide(y, taps, channels);
}

static void average_window_backward(float *dx, const float *g, const struct window *w, float taps,
                                    const struct dc_shape *in)
{
    const int64_t channels = in->dims[3];
    for (int64_t i = w->top; i < w->bottom; i++)
        for (int64_t j = w->left; j < w->right; j++)
            add_share(dx + (i * in->dims[2] + j) * channels, g, taps, channels);
}

static void forward_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct dc_op_call *call = arg;
    const struct dc_pool_attributes *a = call->node->attributes;
    const struct dc_shape *in = &call->in[0].shape, *out = &call->out.shape;
    const bool max = call->node->op == &dc_op_max_pool;
    const int64_t in_row = dc_shape_row(in), out_row = dc_shape_row(out), channels = in->dims[3];
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    uint16_t *saved = call->mode == DC_TRAINING ? call->saved : NULL;
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        const float *x = dc_f32(&call->in[0]) + r * in_row;
        int64_t at = r * out_row;
        for (int64_t p = 0; p < out->dims[1]; p++)
            for (int64_t q = 0; q < out->dims[2]; q++, at += channels) {
                const struct window w = window_at(a, in, p, q);
                float *y = dc_f32(&call->out) + at;
                if (max)
                    max_window(y, saved ? saved + at : NULL, x, &w, a, in);
                else
                    average_window(y, x, &w, taps_of(a, &w), in);
            }
    }
}

static void backward_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct dc_op_call *call = arg;
    const struct dc_pool_attributes *a = call->node->attributes;
    const struct dc_shape *in = &call->in[0].shape, *out = &call->out.shape;
    const bool max = call->node->op == &dc_op_max_pool;
    const int64_t in_row = dc_shape_row(in), out_row = dc_shape_row(out), channels = in->dims[3];
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const uint16_t *saved = call->saved;
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        float *dx = dc_f32(&call->d_in[0]) + r * in_row;
        if (!call->add_gradient[0])
            memset(dx, 0, (size_t)in_row * sizeof *dx);
        int64_t at = r * out_row;
        for (int64_t p = 0; p < out->dims[1]; p++)
            for (int64_t q = 0; q < out->dims[2]; q++, at += channels) {
                const struct window w = window_at(a, in, p, q);
                const float *g = dc_f32(&call->d_out) + at;
                if (max)
                    max_window_backward(dx, g, saved + at, &w, a, in);
                else
                    average_window_backward(dx, g, &w, taps_of(a, &w), in);
            }
    }
}

static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    dc_parallel_for(call->ctx, call->ctx->chunks, forward_chunk, (void *)call);
    return DC_OK;
}

static enum dc_status backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    if (call->d_in[0].data)
        dc_parallel_for(call->ctx, call->ctx->chunks, backward_chunk, (void *)call);
    return DC_OK;
}

// Global average pooling: one window over the whole image.

static enum dc_status global_infer(struct dc_shape *out, const struct dc_node *node,
                                   const struct dc_shape *in, struct dc_error *error)
{
    if (in[0].rank != 4)
        return fail_image(error, node->op->name, &in[0]);
    *out = DC_SHAPE(in[0].dims[0], in[0].dims[3]);
    return DC_OK;
}

static void global_forward_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct dc_op_call *call = arg;
    const struct dc_shape *in = &call->in[0].shape;
    const int64_t pixels = in->dims[1] * in->dims[2], channels = in->dims[3];
    const struct window w = {.bottom = in->dims[1], .right = in->dims[2]};
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    for (int64_t r = rows.first; r < rows.first + rows.count; r++)
        average_window(dc_f32(&call->out) + r * channels,
                       dc_f32(&call->in[0]) + r * pixels * channels, &w, (float)pixels, in);
}

static void global_backward_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct dc_op_call *call = arg;
    const struct dc_shape *in = &call->in[0].shape;
    const int64_t pixels = in->dims[1] * in->dims[2], channels = in->dims[3];
    const struct window w = {.bottom = in->dims[1], .right = in->dims[2]};
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        float *dx = dc_f32(&call->d_in[0]) + r * pixels * channels;
        if (!call->add_gradient[0])
            memset(dx, 0, (size_t)(pixels * channels) * sizeof *dx);
        average_window_backward(dx, dc_f32(&call->d_out) + r * channels, &w, (float)pixels, in);
    }
}

static enum dc_status global_forward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    dc_parallel_for(call->ctx, call->ctx->chunks, global_forward_chunk, (void *)call);
    return DC_OK;
}

static enum dc_status global_backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    if (call->d_in[0].data)
        dc_parallel_for(call->ctx, call->ctx->chunks, global_backward_chunk, (void *)call);
    return DC_OK;
}

const struct dc_op dc_op_max_pool = {
    .name = "max_pool",
    .inputs_min = 1,
    .inputs_max = 1,
    .attribute_bytes = sizeof(struct dc_pool_attributes),
    .infer = infer,
    .memory = max_memory,
    .forward = forward,
    .backward = backward,
};

const struct dc_op dc_op_average_pool = {
    .name = "average_pool",
    .inputs_min = 1,
    .inputs_max = 1,
    .attribute_bytes = sizeof(struct dc_pool_attributes),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

const struct dc_op dc_op_global_average_pool = {
    .name = "global_average_pool",
    .inputs_min = 1,
    .inputs_max = 1,
    .infer = global_infer,
    .forward = global_forward,
    .backward = global_backward,
};

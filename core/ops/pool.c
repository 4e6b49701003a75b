// Owns max, average and global average pooling over [batch, height, width, channels].
//
// Channels are the innermost loop, so each tap is one pass over neighbouring floats. Max pooling
// keeps the tap that won (the first of equals, row-major) for backward; NaN wins and stays. Windows
// are whole: what does not fill one is left out, and a window of padding alone is refused.

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/ops/ops.h"

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
    const struct dc_window *w = &a->window;
    if ((int64_t)w->kernel[0] * w->kernel[1] > TAPS_MAX)
        return dc_fail(error, DC_ERR_CONFIG, "a kernel of %dx%d has more than %d taps",
                       w->kernel[0], w->kernel[1], TAPS_MAX);
    *out = in[0];
    for (int i = 0; i < 2; i++) {
        const int64_t size = in[0].dims[1 + i];
        if (w->kernel[i] < 1 || w->stride[i] < 1 || w->dilation[i] < 1 || w->before[i] < 0 ||
            w->after[i] < 0 || a->uncounted[i] < 0 || a->uncounted[i] > w->after[i])
            return dc_fail(error, DC_ERR_CONFIG,
                           "kernel %d, stride %d, dilation %d start at 1, padding %d, %d at 0, and "
                           "uncounted are %d of the latter",
                           w->kernel[i], w->stride[i], w->dilation[i], w->before[i], w->after[i],
                           a->uncounted[i]);
        const int64_t places = dc_window_places(w, i, size);
        if (places < 1)
            return dc_fail(error, DC_ERR_CONFIG,
                           "kernel %dx%d does not fit an input of %" PRId64 "x%" PRId64
                           " with its padding",
                           w->kernel[0], w->kernel[1], in[0].dims[1], in[0].dims[2]);
        // The outermost windows reach furthest into the padding.
        if (w->before[i] >= dc_window_reach(w, i) ||
            (places - 1) * w->stride[i] - w->before[i] >= size)
            return dc_fail(error, DC_ERR_CONFIG,
                           "with padding %d, %d a window of %d sees padding alone", w->before[i],
                           w->after[i], w->kernel[i]);
        out->dims[1 + i] = places;
    }
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

// The taps of one window along one axis: inside the input they lie at first, first + step, ...
// below end; `counted` of them, padding included, divide an average that counts padding.
struct span {
    int64_t origin;  // where tap 0 lies; may be negative
    int64_t first, end, step, counted;
};

struct window {
    struct span y, x;
};

// Of place `at` of an axis of `size`.
static struct span span_at(const struct dc_pool_attributes *a, int axis, int64_t at, int64_t size)
{
    const struct dc_window *w = &a->window;
    const int kernel = w->kernel[axis], step = w->dilation[axis];
    const int64_t origin = at * w->stride[axis] - w->before[axis];
    const int64_t limit = size + w->after[axis] - a->uncounted[axis];  // of the padding that counts
    const int64_t end = origin + dc_window_reach(w, axis);
    const int64_t counted = (limit - origin + step - 1) / step;
    return (struct span){
        .origin = origin,
        .first = origin < 0 ? origin + (-origin + step - 1) / step * step : origin,
        .end = end > size ? size : end,
        .step = step,
        .counted = counted < kernel ? counted : kernel,
    };
}

// a NULL: one window over the whole image.
static struct window window_at(const struct dc_pool_attributes *a, const struct dc_shape *in,
                               int64_t p, int64_t q)
{
    const int64_t height = in->dims[1], width = in->dims[2];
    if (!a)
        return (struct window){.y = {.end = height, .step = 1}, .x = {.end = width, .step = 1}};
    return (struct window){span_at(a, 0, p, height), span_at(a, 1, q, width)};
}

static int64_t inside(const struct span *s)
{
    return (s->end - s->first + s->step - 1) / s->step;
}

static float taps_of(const struct dc_pool_attributes *a, const struct window *w)
{
    return (float)(a && a->count_padding ? w->y.counted * w->x.counted
                                         : inside(&w->y) * inside(&w->x));
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
                       const struct dc_pool_attributes *a, const struct dc_shape *in,
                       const struct dc_kernels *kernels)
{
    const int64_t channels = in->dims[3];
    for (int64_t i = w->y.first; i < w->y.end; i += w->y.step)
        for (int64_t j = w->x.first; j < w->x.end; j += w->x.step) {
            const float *tap = x + (i * in->dims[2] + j) * channels;
            const uint16_t number = (uint16_t)((i - w->y.origin) / w->y.step * a->window.kernel[1] +
                                               (j - w->x.origin) / w->x.step);
            if (i == w->y.first && j == w->x.first) {
                memcpy(y, tap, (size_t)channels * sizeof *y);
                for (int64_t c = 0; index && c < channels; c++)
                    index[c] = number;
            } else if (index) {
                keep_larger(y, index, tap, number, channels);
            } else {
                kernels->max_line(y, tap, channels);
            }
        }
}

static void max_window_backward(float *dx, const float *g, const uint16_t *index,
                                const struct window *w, const struct dc_pool_attributes *a,
                                const struct dc_shape *in)
{
    const int64_t channels = in->dims[3];
    assert(a && index);
    for (int64_t c = 0; c < channels; c++) {
        const int64_t i = w->y.origin + index[c] / a->window.kernel[1] * w->y.step;
        const int64_t j = w->x.origin + index[c] % a->window.kernel[1] * w->x.step;
        dx[(i * in->dims[2] + j) * channels + c] += g[c];
    }
}

static void average_window(float *y, const float *x, const struct window *w, float taps,
                           const struct dc_shape *in)
{
    const int64_t channels = in->dims[3];
    memset(y, 0, (size_t)channels * sizeof *y);
    for (int64_t i = w->y.first; i < w->y.end; i += w->y.step)
        for (int64_t j = w->x.first; j < w->x.end; j += w->x.step)
            accumulate(y, x + (i * in->dims[2] + j) * channels, channels);
    divide(y, taps, channels);
}

static void average_window_backward(float *dx, const float *g, const struct window *w, float taps,
                                    const struct dc_shape *in)
{
    const int64_t channels = in->dims[3];
    for (int64_t i = w->y.first; i < w->y.end; i += w->y.step)
        for (int64_t j = w->x.first; j < w->x.end; j += w->x.step)
            add_share(dx + (i * in->dims[2] + j) * channels, g, taps, channels);
}

static void run_rows(const struct dc_op_call *call, struct dc_rows rows, bool backward)
{
    const struct dc_pool_attributes *a = call->node->attributes;  // NULL: global
    const struct dc_shape *in = &call->in[0].shape, *out = &call->out.shape;
    const bool max = call->node->op == &dc_op_max_pool;
    const int64_t in_row = dc_shape_row(in), channels = in->dims[3];
    const int64_t height = a ? out->dims[1] : 1, width = a ? out->dims[2] : 1;
    uint16_t *saved = call->mode == DC_TRAINING ? call->saved : NULL;
    int64_t at = rows.first * dc_shape_row(out);
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        float *dx = backward ? dc_f32(&call->d_in[0]) + r * in_row : NULL;
        if (backward && !call->add_gradient[0])
            memset(dx, 0, (size_t)in_row * sizeof *dx);
        for (int64_t p = 0; p < height; p++)
            for (int64_t q = 0; q < width; q++, at += channels) {
                const struct window w = window_at(a, in, p, q);
                if (backward && max)
                    max_window_backward(dx, dc_f32(&call->d_out) + at, saved + at, &w, a, in);
                else if (backward)
                    average_window_backward(dx, dc_f32(&call->d_out) + at, &w, taps_of(a, &w), in);
                else if (max)
                    max_window(dc_f32(&call->out) + at, saved ? saved + at : NULL,
                               dc_f32(&call->in[0]) + r * in_row, &w, a, in, call->ctx->kernels);
                else
                    average_window(dc_f32(&call->out) + at, dc_f32(&call->in[0]) + r * in_row, &w,
                                   taps_of(a, &w), in);
            }
    }
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    run_rows(call, rows, false);
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    run_rows(call, rows, true);
}

static enum dc_status global_infer(struct dc_shape *out, const struct dc_node *node,
                                   const struct dc_shape *in, struct dc_error *error)
{
    if (in[0].rank != 4)
        return fail_image(error, node->op->name, &in[0]);
    *out = DC_SHAPE(in[0].dims[0], in[0].dims[3]);
    return DC_OK;
}

const struct dc_op dc_op_max_pool = DC_ROW_OP("max_pool", 1, 1,
                                              .attribute_bytes = sizeof(struct dc_pool_attributes),
                                              .infer = infer, .memory = max_memory);
const struct dc_op dc_op_average_pool = DC_ROW_OP(
    "average_pool", 1, 1, .attribute_bytes = sizeof(struct dc_pool_attributes), .infer = infer);
const struct dc_op dc_op_global_average_pool = DC_ROW_OP("global_average_pool", 1, 1,
                                                         .infer = global_infer);

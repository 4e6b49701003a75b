// Owns the gradients of convolution.
//
// Backward-data is the forward kernel on other taps: an input pixel of one stride phase reads the
// output gradient at those kernel taps that reach it. Weight gradients are summed per chunk, then
// over the fixed tree. An output gradient that lies behind an epilogue is brought through it first,
// a block of images at a time; sums that another epilogue wants of the input gradient are taken
// while the block is in cache.

#include <string.h>

#include "core/ops/conv_geometry.h"
#include "core/parallel.h"

enum { BACKWARD_LINES = 26 };

struct job {
    const struct dc_op_call *call;
    struct dc_conv_geometry g;
    struct dc_conv_tables forward, backward;  // backward.buffer: the bordered output gradient
    float *through;  // [threads][block]: output gradient behind its epilogue
    int64_t through_floats;
    float *partials;  // [chunks][partial_stride]
    bool want_data, want_params;
};

static struct dc_conv_tables backward_tables(struct dc_scratch *scratch,
                                             const struct dc_conv_geometry *g, int threads)
{
    const int64_t pixels = g->block * g->in_h * g->in_w;
    const int64_t image = g->d_bordered ? (int64_t)g->d_padded_h * g->d_padded_w * g->out_c : 0;
    const int64_t panels = g->depthwise
                               ? dc__conv_taps(g) * g->in_c
                               : g->groups *
                                     dc__panel_floats(g->group_in, dc__conv_taps(g) * g->group_out);
    struct dc_conv_tables t = {.buffer_floats = (g->block * image + 15) / 16 * 16};
    t.x_offset = dc__take(scratch, sizeof(int32_t) * (size_t)pixels);
    t.y_offset = dc__take(scratch, sizeof(int32_t) * (size_t)pixels);
    t.run_offset = dc__take(scratch, sizeof(int32_t) * (size_t)dc__conv_taps(g));
    t.panels = dc__take(scratch, sizeof(float) * (size_t)panels);
    t.buffer = dc__take(scratch, sizeof(float) * (size_t)(t.buffer_floats * threads));
    return t;
}

// Per chunk: the weight gradient, then the bias gradient.
static int64_t partial_stride(const struct dc_conv_geometry *g)
{
    return (dc__conv_weights(g) + 15) / 16 * 16 + (g->out_c + 15) / 16 * 16;
}

static size_t place(struct job *job, char *base, const struct dc_ctx *ctx)
{
    const struct dc_conv_geometry *g = &job->g;
    struct dc_scratch scratch = {base, 0};
    job->forward = dc__forward_tables(&scratch, g, false, ctx->threads);
    job->backward = backward_tables(&scratch, g, ctx->threads);
    job->through_floats = (g->block * g->out_h * g->out_w * g->out_c + 15) / 16 * 16;
    job->through = dc__take(&scratch, sizeof(float) * (size_t)(job->through_floats * ctx->threads));
    job->partials = dc__take(&scratch, sizeof(float) * (size_t)(partial_stride(g) * ctx->chunks));
    return scratch.used;
}

size_t dc__conv_backward_bytes(const struct dc_conv_geometry *g, const struct dc_ctx *ctx)
{
    struct job job = {.g = *g};
    return place(&job, NULL, ctx);
}

// The kernel taps along one axis that reach input pixels of one stride phase, and where: output
// index = i + shift[n] for the i-th pixel of the phase.
struct axis_phase {
    int pixels, count;
    const int *tap, *shift;
};

static struct axis_phase axis_phase(int taps[DC_KERNEL_MAX], int shifts[DC_KERNEL_MAX], int phase,
                                    int in, int kernel, int stride, int dilation, int pad)
{
    struct axis_phase result = {(in - phase + stride - 1) / stride, 0, taps, shifts};
    for (int k = 0; k < kernel; k++) {
        const int at = phase + pad - k * dilation;
        if (at - dc__div_floor(at, stride) * stride == 0) {
            taps[result.count] = k;
            shifts[result.count++] = dc__div_floor(at, stride);
        }
    }
    return result;
}

// One stride phase of backward-data: its pixels and runs lie at [first_...] of the tables.
struct phase {
    struct axis_phase y, x;
    int phase_y, phase_x;
};

static void fill_phase_offsets(const struct dc_conv_tables *t, int first_pixel, int first_run,
                               const struct phase *phase, const struct dc_conv_geometry *g)
{
    int p = first_pixel;
    for (int image = 0; image < (int)g->block; image++) {
        const int from = image * g->d_padded_h * g->d_padded_w * g->out_c;
        const int to = image * g->in_h * g->in_w * g->in_c;
        for (int y = 0; y < phase->y.pixels; y++) {
            for (int x = 0; x < phase->x.pixels; x++, p++) {
                t->x_offset[p] = from + (y * g->d_padded_w + x) * g->out_c;
                t->y_offset[p] = to + ((phase->phase_y + y * g->window.stride[0]) * g->in_w +
                                       phase->phase_x + x * g->window.stride[1]) *
                                          g->in_c;
            }
        }
    }
    int r = first_run;
    for (int i = 0; i < phase->y.count; i++) {
        for (int j = 0; j < phase->x.count; j++, r++)
            t->run_offset[r] = ((phase->y.shift[i] + g->border_top) * g->d_padded_w +
                                phase->x.shift[j] + g->border_left) *
                               g->out_c;
    }
}

// Weights of a phase's taps, input and output channels exchanged: for every group and panel of
// input channels [taps of the phase * group_out][DC_PANEL]; depthwise: [taps][channels].
static void pack_phase(float *panels, const float *w, const struct phase *phase,
                       const struct dc_conv_geometry *g)
{
    const int taps = phase->y.count * phase->x.count;
    const int panels_in = (g->group_in + DC_PANEL - 1) / DC_PANEL;
    for (int t = 0; t < taps; t++) {
        const int ky = phase->y.tap[t / phase->x.count], kx = phase->x.tap[t % phase->x.count];
        const float *from = w + (int64_t)(ky * g->window.kernel[1] + kx) * g->group_in * g->out_c;
        if (g->depthwise) {
            memcpy(panels + (int64_t)t * g->out_c, from, sizeof(float) * (size_t)g->out_c);
            continue;
        }
        for (int group = 0; group < g->groups; group++) {
            for (int j = 0; j < panels_in; j++) {
                const int64_t panel = (int64_t)group * panels_in + j;
                float *to = panels + (panel * taps + t) * g->group_out * DC_PANEL;
                for (int o = 0; o < g->group_out; o++, to += DC_PANEL) {
                    for (int c = 0; c < DC_PANEL; c++) {
                        const int ci = j * DC_PANEL + c;
                        to[c] = ci < g->group_in
                                    ? from[(int64_t)ci * g->out_c + group * g->group_out + o]
                                    : 0.0f;
                    }
                }
            }
        }
    }
}

typedef void visit_phase(const struct job *job, const struct phase *phase, int first_pixel,
                         int first_run, float *panels, void *arg);

static void for_each_phase(const struct job *job, visit_phase *visit, void *arg)
{
    const struct dc_conv_geometry *g = &job->g;
    int first_pixel = 0, first_run = 0;
    float *panels = job->backward.panels;
    for (int py = 0; py < g->window.stride[0] && py < g->in_h; py++) {
        int taps_y[DC_KERNEL_MAX], shifts_y[DC_KERNEL_MAX];
        const struct axis_phase y = axis_phase(taps_y, shifts_y, py, g->in_h, g->window.kernel[0],
                                               g->window.stride[0], g->window.dilation[0],
                                               g->window.before[0]);
        for (int px = 0; px < g->window.stride[1] && px < g->in_w; px++) {
            int taps_x[DC_KERNEL_MAX], shifts_x[DC_KERNEL_MAX];
            const struct axis_phase x = axis_phase(taps_x, shifts_x, px, g->in_w,
                                                   g->window.kernel[1], g->window.stride[1],
                                                   g->window.dilation[1], g->window.before[1]);
            const struct phase phase = {y, x, py, px};
            visit(job, &phase, first_pixel, first_run, panels, arg);
            const int taps = y.count * x.count;
            first_pixel += (int)g->block * y.pixels * x.pixels;
            first_run += taps;
            panels += g->depthwise
                          ? (int64_t)taps * g->out_c
                          : g->groups * dc__panel_floats(g->group_in, (int64_t)taps * g->group_out);
        }
    }
}

static void prepare_phase(const struct job *job, const struct phase *phase, int first_pixel,
                          int first_run, float *panels, void *arg)
{
    (void)arg;
    fill_phase_offsets(&job->backward, first_pixel, first_run, phase, &job->g);
    pack_phase(panels, job->call->param[0], phase, &job->g);
}

// A block of images: dx from dy, which is bordered where the geometry wants it.
struct block_gradient {
    float *dx;
    const float *dy;
    int images;
    struct dc_prefetch *prefetch;
};

static void run_phase(const struct job *job, const struct phase *phase, int first_pixel,
                      int first_run, float *panels, void *arg)
{
    const struct block_gradient *block = arg;
    const struct dc_conv_geometry *g = &job->g;
    const struct dc_kernels *kernels = job->call->ctx->kernels;
    const int32_t *from = job->backward.x_offset + first_pixel;
    const int32_t *to = job->backward.y_offset + first_pixel;
    const int pixels = block->images * phase->y.pixels * phase->x.pixels;
    const struct dc_taps taps = {job->backward.run_offset + first_run,
                                 phase->y.count * phase->x.count, g->group_out, block->prefetch};
    const bool add = job->call->add_gradient[0];
    if (g->depthwise) {
        kernels->depthwise(block->dx, to, block->dy, from, pixels, panels, taps.run_offset,
                           taps.runs, NULL, g->in_c, add);
        return;
    }
    for (int group = 0; group < g->groups; group++) {
        kernels->conv_panels(block->dx + group * g->group_in, to, block->dy + group * g->group_out,
                             from, pixels, panels, &taps, NULL, g->group_in, add);
        panels += dc__panel_floats(g->group_in, (int64_t)taps.runs * g->group_out);
    }
}

static void backward_params(const struct job *job, float *partial, const float *x, const float *dy,
                            int64_t images, struct dc_prefetch *prefetch)
{
    const struct dc_conv_geometry *g = &job->g;
    const struct dc_conv_tables *t = &job->forward;
    const struct dc_kernels *kernels = job->call->ctx->kernels;
    const int pixels = (int)images * g->out_h * g->out_w;
    if (g->depthwise) {
        kernels->depthwise_gradient(partial, x, t->x_offset, dy, pixels, t->run_offset,
                                    (int)dc__conv_taps(g), g->out_c);
    } else {
        struct dc_taps taps = dc__forward_taps(t, g);
        taps.prefetch = prefetch;
        for (int group = 0; group < g->groups; group++)
            kernels->conv_gradient(partial + group * g->group_out, g->out_c,
                                   x + group * g->group_in, t->x_offset, dy + group * g->group_out,
                                   g->out_c, pixels, &taps, g->group_out);
    }
    const struct dc_conv_attributes *a = job->call->node->attributes;
    if (!a->bias)
        return;
    float *d_bias = partial + (dc__conv_weights(g) + 15) / 16 * 16;
    for (int p = 0; p < pixels; p++)
        for (int c = 0; c < g->out_c; c++)
            d_bias[c] += dy[(int64_t)p * g->out_c + c];
}

// The output gradient of a block, through its epilogue where it has one.
static const float *read_gradient(const struct job *job, int64_t row, int64_t rows, int thread)
{
    const struct dc_op_call *call = job->call;
    const int64_t image = (int64_t)job->g.out_h * job->g.out_w * job->g.out_c;
    const float *dy = dc_f32(&call->d_out) + row * image;
    if (!call->d_out_epilogue)
        return dy;
    float *through = job->through + thread * job->through_floats;
    call->ctx->kernels->epilogue_gradient(through, dy, call->d_out_stored + row * image,
                                          call->d_out_epilogue, rows * image, false);
    return through;
}

static void backward_data(const struct job *job, const float *dy, int64_t row, int64_t rows,
                          int chunk, int thread, struct dc_prefetch *prefetch)
{
    const struct dc_op_call *call = job->call;
    const struct dc_conv_geometry *g = &job->g;
    struct block_gradient block = {dc_f32(&call->d_in[0]) + row * g->in_h * g->in_w * g->in_c, dy,
                                   (int)rows, prefetch};
    if (g->d_bordered) {
        const struct dc_border border = {g->border_top, g->border_left, g->d_padded_h,
                                         g->d_padded_w};
        const int64_t image = (int64_t)g->out_h * g->out_w * g->out_c;
        const int64_t padded = (int64_t)g->d_padded_h * g->d_padded_w * g->out_c;
        float *bordered = job->backward.buffer + thread * job->backward.buffer_floats;
        for (int64_t i = 0; i < rows; i++)
            dc__copy_bordered(bordered + i * padded, &border, dy + i * image, g->out_h, g->out_w,
                              g->out_c, NULL, call->ctx);
        block.dy = bordered;
    }
    for_each_phase(job, run_phase, &block);
    if (dc_d_in_statistics(call, 0))
        dc_note_gradient_rows(dc_d_in_statistics(call, 0), call->ctx, chunk, block.dx, row, rows);
}

// What the block that comes after this one reads, and the place of its input gradient.
static struct dc_prefetch next_block(const struct job *job, int64_t row, int64_t end)
{
    const struct dc_op_call *call = job->call;
    const struct dc_conv_geometry *g = &job->g;
    const int64_t in = (int64_t)g->in_h * g->in_w * g->in_c;
    const int64_t out = (int64_t)g->out_h * g->out_w * g->out_c;
    const int64_t rows = end - row < g->block ? end - row : g->block;
    struct dc_prefetch prefetch = {.at = DC_PREFETCH_RANGES, .lines = BACKWARD_LINES};
    if (job->want_data)
        dc__prefetch_range(&prefetch, dc_f32(&call->d_in[0]) + row * in, rows * in);
    dc__prefetch_range(&prefetch, dc_f32(&call->in[0]) + row * in, rows * in);
    dc__prefetch_range(&prefetch, dc_f32(&call->d_out) + row * out, rows * out);
    if (call->d_out_epilogue)
        dc__prefetch_range(&prefetch, call->d_out_stored + row * out, rows * out);
    return prefetch;
}

static void backward_chunk(void *arg, int chunk, int thread)
{
    const struct job *job = arg;
    const struct dc_op_call *call = job->call;
    const struct dc_conv_geometry *g = &job->g;
    const struct dc_rows chunk_rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const int64_t end = chunk_rows.first + chunk_rows.count;
    float *partial = job->want_params ? job->partials + chunk * partial_stride(g) : NULL;
    if (partial)
        memset(partial, 0, sizeof(float) * (size_t)partial_stride(g));
    for (int64_t row = chunk_rows.first; row < end; row += g->block) {
        const int64_t rows = end - row < g->block ? end - row : g->block;
        const float *dy = read_gradient(job, row, rows, thread);
        struct dc_prefetch prefetch = next_block(job, row + rows, end);
        if (partial)
            backward_params(job, partial,
                            dc__read_images(call, g, &job->forward, row, rows, thread), dy, rows,
                            &prefetch);
        if (job->want_data)
            backward_data(job, dy, row, rows, chunk, thread, &prefetch);
    }
}

enum dc_status dc__conv_backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    struct job job = {
        .call = call,
        .g = dc__conv_geometry(call->node, &call->in[0].shape, &call->out.shape, call->ctx),
        .want_data = call->d_in[0].data != NULL,
        .want_params = call->d_param[0] || call->d_param[1]};
    place(&job, call->scratch, call->ctx);
    dc__fill_forward_offsets(&job.forward, &job.g);
    if (job.want_data)
        for_each_phase(&job, prepare_phase, NULL);
    dc_parallel_for(call->ctx, call->ctx->chunks, backward_chunk, &job);
    const int64_t stride = partial_stride(&job.g), weights = dc__conv_weights(&job.g);
    if (call->d_param[0])
        dc_tree_sum(call->ctx, call->d_param[0], job.partials, weights, stride);
    if (call->d_param[1])
        dc_tree_sum(call->ctx, call->d_param[1], job.partials + (weights + 15) / 16 * 16,
                    job.g.out_c, stride);
    return DC_OK;
}

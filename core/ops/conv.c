// Owns the convolution op: geometry, zero borders, packed weights and the cut into chunks. The
// inner loops are kernels (core/kernels/kernels.h).
//
// An image with padding is copied into a zero-bordered buffer of the thread that works on it; then
// every output pixel reads a fixed set of contiguous runs at an offset of its own. Without groups
// and horizontal dilation, a run spans the whole kernel row, since NHWC keeps its taps together.
// Backward-data is the same kernel: an input pixel of one stride phase reads the output gradient at
// those kernel taps that reach it. Weight gradients are summed per chunk, then over the fixed tree.

#include <assert.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/ops/ops.h"
#include "core/parallel.h"

struct geometry {
    int in_h, in_w, in_c, out_h, out_w, out_c;
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int pad_top, pad_left;
    int groups, group_in, group_out;
    int padded_h, padded_w;  // of the bordered input
    bool bordered;           // the input is copied; else it is read in place
    bool depthwise;          // one input and one output channel a group
    int border_top, border_left, d_padded_h, d_padded_w;  // of the bordered output gradient
};

static int div_floor(int a, int b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

// How far the output rows read by backward-data reach outside [0, out): the border on either side.
static void reach(int *before, int *padded, int in, int out, int kernel, int stride, int dilation,
                  int pad)
{
    const int low = div_floor(pad - (kernel - 1) * dilation, stride);
    const int high = div_floor(in - 1 + pad, stride);
    *before = low < 0 ? -low : 0;
    *padded = *before + (high > out - 1 ? high + 1 : out);
}

static struct geometry geometry_of(const struct dc_node *node, const struct dc_shape *in,
                                   const struct dc_shape *out)
{
    const struct dc_conv_attributes *a = node->attributes;
    struct geometry g = {
        .in_h = (int)in->dims[1],
        .in_w = (int)in->dims[2],
        .in_c = (int)in->dims[3],
        .out_h = (int)out->dims[1],
        .out_w = (int)out->dims[2],
        .out_c = a->filters,
        .kernel_h = a->kernel_h,
        .kernel_w = a->kernel_w,
        .stride_h = a->stride_h,
        .stride_w = a->stride_w,
        .dilation_h = a->dilation_h,
        .dilation_w = a->dilation_w,
        .pad_top = a->pad_top,
        .pad_left = a->pad_left,
        .groups = a->groups,
    };
    g.group_in = g.in_c / g.groups;
    g.group_out = g.out_c / g.groups;
    g.depthwise = g.group_in == 1 && g.group_out == 1;
    g.bordered = a->pad_top || a->pad_bottom || a->pad_left || a->pad_right;
    g.padded_h = g.in_h + a->pad_top + a->pad_bottom;
    g.padded_w = g.in_w + a->pad_left + a->pad_right;
    reach(&g.border_top, &g.d_padded_h, g.in_h, g.out_h, g.kernel_h, g.stride_h, g.dilation_h,
          g.pad_top);
    reach(&g.border_left, &g.d_padded_w, g.in_w, g.out_w, g.kernel_w, g.stride_w, g.dilation_w,
          g.pad_left);
    return g;
}

static int64_t taps_of(const struct geometry *g)
{
    return (int64_t)g->kernel_h * g->kernel_w;
}

static bool merges_rows(const struct geometry *g)
{
    return g->groups == 1 && g->dilation_w == 1 && !g->depthwise;
}

static int panels_of(int channels)
{
    return (channels + DC_PANEL - 1) / DC_PANEL;
}

// Scratch is handed out from one block in a fixed order; with base NULL the same code only counts.
struct scratch {
    char *base;
    size_t used;
};

static void *take(struct scratch *scratch, size_t bytes)
{
    void *memory = scratch->base ? scratch->base + scratch->used : NULL;
    scratch->used += (bytes + 63) / 64 * 64;
    return memory;
}

struct tables {
    int32_t *x_offset, *y_offset;  // [pixels]
    int32_t *run_offset;           // [kernel taps]
    float *panels;
    float *bordered;  // [threads][image]
    int64_t bordered_floats;
};

static struct tables take_tables(struct scratch *scratch, int64_t pixels, int64_t taps,
                                 int64_t panel_floats, int64_t bordered_floats, int threads)
{
    struct tables t = {.bordered_floats = (bordered_floats + 15) / 16 * 16};
    t.x_offset = take(scratch, sizeof(int32_t) * (size_t)pixels);
    t.y_offset = take(scratch, sizeof(int32_t) * (size_t)pixels);
    t.run_offset = take(scratch, sizeof(int32_t) * (size_t)taps);
    t.panels = take(scratch, sizeof(float) * (size_t)panel_floats);
    t.bordered = take(scratch, sizeof(float) * (size_t)(t.bordered_floats * threads));
    return t;
}

static struct tables forward_tables(struct scratch *scratch, const struct geometry *g, int threads)
{
    const int64_t panel_floats = g->depthwise ? 0
                                              : (int64_t)g->groups * panels_of(g->group_out) *
                                                    DC_PANEL * taps_of(g) * g->group_in;
    const int64_t image = g->bordered ? (int64_t)g->padded_h * g->padded_w * g->in_c : 0;
    return take_tables(scratch, (int64_t)g->out_h * g->out_w, taps_of(g), panel_floats, image,
                       threads);
}

static struct tables backward_tables(struct scratch *scratch, const struct geometry *g, int threads)
{
    const int64_t panel_floats = (g->depthwise ? g->in_c
                                               : (int64_t)g->groups * panels_of(g->group_in) *
                                                     DC_PANEL * g->group_out) *
                                 taps_of(g);
    return take_tables(scratch, (int64_t)g->in_h * g->in_w, taps_of(g), panel_floats,
                       (int64_t)g->d_padded_h * g->d_padded_w * g->out_c, threads);
}

static int64_t weight_count(const struct geometry *g)
{
    return taps_of(g) * g->group_in * g->out_c;
}

// Per chunk: the weight gradient, then the bias gradient.
static int64_t partial_stride(const struct geometry *g)
{
    return (weight_count(g) + 15) / 16 * 16 + (g->out_c + 15) / 16 * 16;
}

static void copy_bordered(float *padded, int padded_h, int padded_w, const float *image, int h,
                          int w, int c, int top, int left)
{
    const size_t row = sizeof(float) * (size_t)padded_w * (size_t)c;
    const size_t right = sizeof(float) * (size_t)(padded_w - left - w) * (size_t)c;
    memset(padded, 0, row * (size_t)top);
    for (int y = 0; y < h; y++) {
        float *out = padded + (int64_t)(top + y) * padded_w * c;
        memset(out, 0, sizeof(float) * (size_t)left * (size_t)c);
        memcpy(out + left * c, image + (int64_t)y * w * c, sizeof(float) * (size_t)w * (size_t)c);
        memset(out + (left + w) * c, 0, right);
    }
    memset(padded + (int64_t)(top + h) * padded_w * c, 0, row * (size_t)(padded_h - top - h));
}

static void fill_forward_offsets(const struct tables *t, const struct geometry *g)
{
    int p = 0;
    for (int y = 0; y < g->out_h; y++) {
        for (int x = 0; x < g->out_w; x++, p++) {
            t->x_offset[p] = (y * g->stride_h * g->padded_w + x * g->stride_w) * g->in_c;
            t->y_offset[p] = p * g->out_c;
        }
    }
    int r = 0;
    for (int ky = 0; ky < g->kernel_h; ky++) {
        for (int kx = 0; kx < (merges_rows(g) ? 1 : g->kernel_w); kx++, r++)
            t->run_offset[r] = (ky * g->dilation_h * g->padded_w + kx * g->dilation_w) * g->in_c;
    }
}

static struct dc_taps forward_taps(const struct tables *t, const struct geometry *g)
{
    return (struct dc_taps){
        .run_offset = t->run_offset,
        .runs = merges_rows(g) ? g->kernel_h : g->kernel_h * g->kernel_w,
        .run_length = merges_rows(g) ? g->kernel_w * g->in_c : g->group_in,
    };
}

// Panel j of group g: [taps * group_in][DC_PANEL] of output channels g * group_out + j * DC_PANEL.
static void pack_forward(float *panels, const float *w, const struct geometry *g)
{
    const int64_t depth = taps_of(g) * g->group_in;
    for (int group = 0; group < g->groups; group++) {
        for (int first = 0; first < g->group_out; first += DC_PANEL) {
            const int left = g->group_out - first;
            const int n = left < DC_PANEL ? left : DC_PANEL;
            const float *from = w + group * g->group_out + first;
            for (int64_t k = 0; k < depth; k++, panels += DC_PANEL) {
                for (int c = 0; c < n; c++)
                    panels[c] = from[k * g->out_c + c];
                for (int c = n; c < DC_PANEL; c++)
                    panels[c] = 0.0f;
            }
        }
    }
}

struct job {
    const struct dc_op_call *call;
    const struct dc_kernels *kernels;
    struct geometry g;
    struct tables forward, backward;
    float *partials;  // [chunks][partial_stride]
    bool want_data, want_params;
};

static const float *bordered_input(const struct job *job, int64_t row, int thread)
{
    const struct geometry *g = &job->g;
    const float *image = dc_f32(&job->call->in[0]) + row * g->in_h * g->in_w * g->in_c;
    if (!g->bordered)
        return image;
    float *padded = job->forward.bordered + thread * job->forward.bordered_floats;
    copy_bordered(padded, g->padded_h, g->padded_w, image, g->in_h, g->in_w, g->in_c, g->pad_top,
                  g->pad_left);
    return padded;
}

static void forward_image(const struct job *job, float *y, const float *x)
{
    const struct geometry *g = &job->g;
    const struct tables *t = &job->forward;
    const struct dc_conv_attributes *a = job->call->node->attributes;
    const float *bias = a->bias ? job->call->param[1] : NULL;
    const int pixels = g->out_h * g->out_w;
    if (g->depthwise) {
        job->kernels->depthwise(y, t->y_offset, x, t->x_offset, pixels, job->call->param[0],
                                t->run_offset, (int)taps_of(g), bias, g->out_c, false);
        return;
    }
    const struct dc_taps taps = forward_taps(t, g);
    const int64_t group_panels = taps_of(g) * g->group_in * panels_of(g->group_out) * DC_PANEL;
    for (int group = 0; group < g->groups; group++) {
        const int c = group * g->group_out;
        job->kernels->conv_panels(y + c, t->y_offset, x + group * g->group_in, t->x_offset, pixels,
                                  t->panels + group * group_panels, &taps, bias ? bias + c : NULL,
                                  g->group_out, false);
    }
}

static void forward_chunk(void *arg, int chunk, int thread)
{
    const struct job *job = arg;
    const struct geometry *g = &job->g;
    const struct dc_rows rows = dc_chunk_rows(job->call->rows, job->call->ctx->chunks, chunk);
    for (int64_t row = rows.first; row < rows.first + rows.count; row++) {
        float *y = dc_f32(&job->call->out) + row * g->out_h * g->out_w * g->out_c;
        forward_image(job, y, bordered_input(job, row, thread));
    }
}

static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    struct job job = {.call = call,
                      .kernels = call->ctx->kernels,
                      .g = geometry_of(call->node, &call->in[0].shape, &call->out.shape)};
    assert(call->scratch);
    struct scratch scratch = {call->scratch, 0};
    job.forward = forward_tables(&scratch, &job.g, call->ctx->threads);
    fill_forward_offsets(&job.forward, &job.g);
    if (!job.g.depthwise)
        pack_forward(job.forward.panels, call->param[0], &job.g);
    dc_parallel_for(call->ctx, call->ctx->chunks, forward_chunk, &job);
    return DC_OK;
}

// The kernel taps along one axis that reach input pixels of one stride phase, and where: output
// index = i + shift[n] for the i-th pixel of the phase.
struct axis_phase {
    int pixels, count;
    const int *tap, *shift;
};

enum { KERNEL_MAX = 64 };

static struct axis_phase axis_phase(int taps[KERNEL_MAX], int shifts[KERNEL_MAX], int phase, int in,
                                    int kernel, int stride, int dilation, int pad)
{
    struct axis_phase result = {(in - phase + stride - 1) / stride, 0, taps, shifts};
    for (int k = 0; k < kernel; k++) {
        const int at = phase + pad - k * dilation;
        if (at - div_floor(at, stride) * stride == 0) {
            taps[result.count] = k;
            shifts[result.count++] = div_floor(at, stride);
        }
    }
    return result;
}

// One stride phase of backward-data: its pixels and runs lie at [first_...] of the tables.
struct phase {
    struct axis_phase y, x;
    int phase_y, phase_x;
};

static void fill_phase_offsets(const struct tables *t, int first_pixel, int first_run,
                               const struct phase *phase, const struct geometry *g)
{
    int p = first_pixel;
    for (int y = 0; y < phase->y.pixels; y++) {
        for (int x = 0; x < phase->x.pixels; x++, p++) {
            t->x_offset[p] = (y * g->d_padded_w + x) * g->out_c;
            t->y_offset[p] = ((phase->phase_y + y * g->stride_h) * g->in_w + phase->phase_x +
                              x * g->stride_w) *
                             g->in_c;
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
                       const struct geometry *g)
{
    const int taps = phase->y.count * phase->x.count;
    for (int t = 0; t < taps; t++) {
        const int ky = phase->y.tap[t / phase->x.count], kx = phase->x.tap[t % phase->x.count];
        const float *from = w + (int64_t)(ky * g->kernel_w + kx) * g->group_in * g->out_c;
        if (g->depthwise) {
            memcpy(panels + (int64_t)t * g->out_c, from, sizeof(float) * (size_t)g->out_c);
            continue;
        }
        for (int group = 0; group < g->groups; group++) {
            for (int j = 0; j < panels_of(g->group_in); j++) {
                const int64_t panel = (int64_t)group * panels_of(g->group_in) + j;
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
    const struct geometry *g = &job->g;
    int first_pixel = 0, first_run = 0;
    float *panels = job->backward.panels;
    for (int py = 0; py < g->stride_h && py < g->in_h; py++) {
        int taps_y[KERNEL_MAX], shifts_y[KERNEL_MAX];
        const struct axis_phase y = axis_phase(taps_y, shifts_y, py, g->in_h, g->kernel_h,
                                               g->stride_h, g->dilation_h, g->pad_top);
        for (int px = 0; px < g->stride_w && px < g->in_w; px++) {
            int taps_x[KERNEL_MAX], shifts_x[KERNEL_MAX];
            const struct axis_phase x = axis_phase(taps_x, shifts_x, px, g->in_w, g->kernel_w,
                                                   g->stride_w, g->dilation_w, g->pad_left);
            const struct phase phase = {y, x, py, px};
            visit(job, &phase, first_pixel, first_run, panels, arg);
            const int taps = y.count * x.count;
            first_pixel += y.pixels * x.pixels;
            first_run += taps;
            panels += g->depthwise ? (int64_t)taps * g->out_c
                                   : (int64_t)g->groups * panels_of(g->group_in) * taps *
                                         g->group_out * DC_PANEL;
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

struct image_gradient {
    float *dx;        // one image
    const float *dy;  // bordered
};

static void run_phase(const struct job *job, const struct phase *phase, int first_pixel,
                      int first_run, float *panels, void *arg)
{
    const struct image_gradient *image = arg;
    const struct geometry *g = &job->g;
    const int32_t *from = job->backward.x_offset + first_pixel;
    const int32_t *to = job->backward.y_offset + first_pixel;
    const int pixels = phase->y.pixels * phase->x.pixels;
    const struct dc_taps taps = {job->backward.run_offset + first_run,
                                 phase->y.count * phase->x.count, g->group_out};
    const bool add = job->call->add_gradient[0];
    if (g->depthwise) {
        job->kernels->depthwise(image->dx, to, image->dy, from, pixels, panels, taps.run_offset,
                                taps.runs, NULL, g->in_c, add);
        return;
    }
    for (int group = 0; group < g->groups; group++) {
        job->kernels->conv_panels(image->dx + group * g->group_in, to,
                                  image->dy + group * g->group_out, from, pixels, panels, &taps,
                                  NULL, g->group_in, add);
        panels += (int64_t)taps.runs * g->group_out * panels_of(g->group_in) * DC_PANEL;
    }
}

static void backward_params_image(const struct job *job, float *partial, const float *x,
                                  const float *dy)
{
    const struct geometry *g = &job->g;
    const struct tables *t = &job->forward;
    const int pixels = g->out_h * g->out_w;
    if (g->depthwise) {
        job->kernels->depthwise_gradient(partial, x, t->x_offset, dy, pixels, t->run_offset,
                                         (int)taps_of(g), g->out_c);
    } else {
        const struct dc_taps taps = forward_taps(t, g);
        for (int group = 0; group < g->groups; group++)
            job->kernels->conv_gradient(
                partial + group * g->group_out, g->out_c, x + group * g->group_in, t->x_offset,
                dy + group * g->group_out, g->out_c, pixels, &taps, g->group_out);
    }
    const struct dc_conv_attributes *a = job->call->node->attributes;
    if (!a->bias)
        return;
    float *d_bias = partial + (weight_count(g) + 15) / 16 * 16;
    for (int p = 0; p < pixels; p++)
        for (int c = 0; c < g->out_c; c++)
            d_bias[c] += dy[(int64_t)p * g->out_c + c];
}

static void backward_chunk(void *arg, int chunk, int thread)
{
    const struct job *job = arg;
    const struct dc_op_call *call = job->call;
    const struct geometry *g = &job->g;
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    float *partial = job->want_params ? job->partials + chunk * partial_stride(g) : NULL;
    if (partial)
        memset(partial, 0, sizeof(float) * (size_t)partial_stride(g));
    for (int64_t row = rows.first; row < rows.first + rows.count; row++) {
        const float *dy = dc_f32(&call->d_out) + row * g->out_h * g->out_w * g->out_c;
        if (partial)
            backward_params_image(job, partial, bordered_input(job, row, thread), dy);
        if (!job->want_data)
            continue;
        float *bordered = job->backward.bordered + thread * job->backward.bordered_floats;
        copy_bordered(bordered, g->d_padded_h, g->d_padded_w, dy, g->out_h, g->out_w, g->out_c,
                      g->border_top, g->border_left);
        struct image_gradient image = {dc_f32(&call->d_in[0]) + row * g->in_h * g->in_w * g->in_c,
                                       bordered};
        for_each_phase(job, run_phase, &image);
    }
}

static enum dc_status backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    struct job job = {.call = call,
                      .kernels = call->ctx->kernels,
                      .g = geometry_of(call->node, &call->in[0].shape, &call->out.shape),
                      .want_data = call->d_in[0].data != NULL,
                      .want_params = call->d_param[0] || call->d_param[1]};
    assert(call->scratch);
    struct scratch scratch = {call->scratch, 0};
    job.forward = forward_tables(&scratch, &job.g, call->ctx->threads);
    job.backward = backward_tables(&scratch, &job.g, call->ctx->threads);
    job.partials = take(&scratch, 0);
    fill_forward_offsets(&job.forward, &job.g);
    if (job.want_data)
        for_each_phase(&job, prepare_phase, NULL);
    dc_parallel_for(call->ctx, call->ctx->chunks, backward_chunk, &job);
    const int64_t stride = partial_stride(&job.g), weights = weight_count(&job.g);
    if (call->d_param[0])
        dc_tree_sum(call->ctx, call->d_param[0], job.partials, weights, stride);
    if (call->d_param[1])
        dc_tree_sum(call->ctx, call->d_param[1], job.partials + (weights + 15) / 16 * 16,
                    job.g.out_c, stride);
    return DC_OK;
}

static void memory(struct dc_op_memory *memory, const struct dc_node *node,
                   const struct dc_shape *in, const struct dc_shape *out, const struct dc_ctx *ctx)
{
    const struct geometry g = geometry_of(node, in, out);
    struct scratch scratch = {0};
    forward_tables(&scratch, &g, ctx->threads);
    memory->forward = scratch.used;
    backward_tables(&scratch, &g, ctx->threads);
    take(&scratch, sizeof(float) * (size_t)(partial_stride(&g) * ctx->chunks));
    memory->backward = scratch.used;
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_conv_attributes *a = node->attributes;
    char text[DC_SHAPE_TEXT];
    if (in->rank != 4)
        return dc_fail(error, DC_ERR_CONFIG, "conv needs an image [batch, h, w, channels], not %s",
                       dc_shape_text(text, in));
    if (a->filters < 1 || a->kernel_h < 1 || a->kernel_w < 1 || a->kernel_h > KERNEL_MAX ||
        a->kernel_w > KERNEL_MAX || a->stride_h < 1 || a->stride_w < 1 || a->dilation_h < 1 ||
        a->dilation_w < 1 || a->groups < 1 || a->pad_top < 0 || a->pad_bottom < 0 ||
        a->pad_left < 0 || a->pad_right < 0)
        return dc_fail(error, DC_ERR_CONFIG,
                       "filters, kernel (up to %d), stride, dilation and groups of a conv must be "
                       "at least 1, padding at least 0",
                       KERNEL_MAX);
    if (in->dims[3] % a->groups || a->filters % a->groups)
        return dc_fail(error, DC_ERR_CONFIG,
                       "%d groups divide neither %d input channels nor %d filters evenly",
                       a->groups, (int)in->dims[3], a->filters);
    const int64_t h = in->dims[1] + a->pad_top + a->pad_bottom;
    const int64_t w = in->dims[2] + a->pad_left + a->pad_right;
    const int64_t reach_h = (int64_t)(a->kernel_h - 1) * a->dilation_h + 1;
    const int64_t reach_w = (int64_t)(a->kernel_w - 1) * a->dilation_w + 1;
    if (reach_h > h || reach_w > w)
        return dc_fail(error, DC_ERR_CONFIG,
                       "a kernel that spans %dx%d does not fit the padded input of %dx%d",
                       (int)reach_h, (int)reach_w, (int)h, (int)w);
    *out = DC_SHAPE(in->dims[0], (h - reach_h) / a->stride_h + 1, (w - reach_w) / a->stride_w + 1,
                    a->filters);
    return DC_OK;
}

static int declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                   const struct dc_shape *in)
{
    const struct dc_conv_attributes *a = node->attributes;
    const int64_t group_in = in->dims[3] / a->groups;
    specs[0] = (struct dc_param_spec){
        .name = "weight",
        .role = DC_ROLE_WEIGHT,
        .shape = DC_SHAPE(a->kernel_h, a->kernel_w, group_in, a->filters),
        .init = DC_INIT_KAIMING_NORMAL,
        .fan = (int64_t)a->kernel_h * a->kernel_w * group_in,
    };
    specs[1] = (struct dc_param_spec){
        .name = "bias", .role = DC_ROLE_BIAS, .shape = DC_SHAPE(a->filters)};
    return a->bias ? 2 : 1;
}

static int64_t macs(const struct dc_node *node, const struct dc_shape *in,
                    const struct dc_shape *out)
{
    const struct dc_conv_attributes *a = node->attributes;
    return dc_shape_row(out) * a->kernel_h * a->kernel_w * (in->dims[3] / a->groups);
}

const struct dc_op dc_op_conv = {
    .name = "conv",
    .inputs_min = 1,
    .inputs_max = 1,
    .flags = DC_OP_READS_INPUT,
    .attribute_bytes = sizeof(struct dc_conv_attributes),
    .infer = infer,
    .declare = declare,
    .memory = memory,
    .forward = forward,
    .backward = backward,
    .macs = macs,
};

// Owns the convolution op and its forward pass: geometry is conv_geometry.h's, the gradients are
// conv_backward.c's, the inner loops are kernels (core/kernels/kernels.h).

#include "core/ops/conv_geometry.h"
#include "core/parallel.h"

// Asked for by a tile: all of a block while 16 channels are computed. The least channels of a part.
enum { FORWARD_LINES = 20, SPLIT_CHANNELS = 32 };

struct job {
    const struct dc_op_call *call;
    struct dc_conv_geometry g;
    struct dc_conv_tables tables;
    int splits;
};

static int panels_of_group(const struct dc_conv_geometry *g)
{
    return (g->group_out + DC_PANEL - 1) / DC_PANEL;
}

// Panels of group g hold [taps * group_in] rows of its output channels.
static void pack_panel(void *arg, int index, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_conv_geometry *g = &job->g;
    const int group = index / panels_of_group(g), first = index % panels_of_group(g) * DC_PANEL;
    const int left = g->group_out - first, n = left < DC_PANEL ? left : DC_PANEL;
    const int64_t depth = dc__conv_taps(g) * g->group_in;
    dc__pack(job->tables.panels + index * depth * DC_PANEL,
             job->call->param[0] + group * g->group_out + first, depth, n, g->out_c, 1);
}

// Output channels [first, first + count) of all; with groups these are all.
static void forward_images(const struct job *job, float *y, const float *x, int64_t images,
                           int first, int count, struct dc_prefetch *prefetch)
{
    const struct dc_conv_geometry *g = &job->g;
    const struct dc_conv_tables *t = &job->tables;
    const struct dc_kernels *kernels = job->call->ctx->kernels;
    const struct dc_conv_attributes *a = job->call->node->attributes;
    const float *bias = a->bias ? job->call->param[1] : NULL;
    const int pixels = (int)images * g->out_h * g->out_w;
    if (g->depthwise) {
        kernels->depthwise(y, t->y_offset, x, t->x_offset, pixels, job->call->param[0],
                           t->run_offset, (int)dc__conv_taps(g), bias, g->out_c, false);
        return;
    }
    struct dc_taps taps = dc__forward_taps(t, g);
    taps.prefetch = prefetch;
    if (count < g->out_c) {
        kernels->conv_panels(y + first, t->y_offset, x, t->x_offset, pixels,
                             t->panels + dc__conv_taps(g) * g->in_c * first, &taps,
                             bias ? bias + first : NULL, count, false);
        return;
    }
    const int64_t panels = dc__panel_floats(g->group_out, dc__conv_taps(g) * g->group_in);
    for (int group = 0; group < g->groups; group++) {
        const int c = group * g->group_out;
        kernels->conv_panels(y + c, t->y_offset, x + group * g->group_in, t->x_offset, pixels,
                             t->panels + group * panels, &taps, bias ? bias + c : NULL,
                             g->group_out, false);
    }
}

// The input and the place of the output of the block that comes after this one.
static struct dc_prefetch next_block(const struct job *job, int64_t row, int64_t end)
{
    const struct dc_conv_geometry *g = &job->g;
    const int64_t in = (int64_t)g->in_h * g->in_w * g->in_c;
    const int64_t out = (int64_t)g->out_h * g->out_w * g->out_c;
    const int64_t rows = end - row < g->block ? end - row : g->block;
    struct dc_prefetch prefetch = {.at = DC_PREFETCH_RANGES, .lines = FORWARD_LINES};
    dc__prefetch_range(&prefetch, dc_f32(&job->call->out) + row * out, rows * out);
    dc__prefetch_range(&prefetch, dc_f32(&job->call->in[0]) + row * in, rows * in);
    return prefetch;
}

static void forward_chunk(void *arg, int chunk, int thread)
{
    const struct job *job = arg;
    const struct dc_op_call *call = job->call;
    const struct dc_conv_geometry *g = &job->g;
    const struct dc_rows chunk_rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const int64_t end = chunk_rows.first + chunk_rows.count;
    for (int64_t row = chunk_rows.first; row < end; row += g->block) {
        const int64_t rows = end - row < g->block ? end - row : g->block;
        float *y = dc_f32(&call->out) + row * g->out_h * g->out_w * g->out_c;
        struct dc_prefetch prefetch = next_block(job, row + rows, end);
        forward_images(job, y, dc__read_images(call, g, &job->tables, row, rows, thread), rows, 0,
                       g->out_c, &prefetch);
        if (call->out_statistics)
            dc_note_rows(call->out_statistics, call->ctx, chunk, y, rows);
    }
}

// Inference: a block of images, or `splits` parts of its channels where there are few images.
static int splits_of(const struct dc_conv_geometry *g, int64_t blocks, int threads)
{
    int splits = 1;
    while (g->groups == 1 && blocks * splits < threads && g->out_c / (2 * splits) >= SPLIT_CHANNELS)
        splits *= 2;
    return splits;
}

static void infer_block(void *arg, int index, int thread)
{
    const struct job *job = arg;
    const struct dc_op_call *call = job->call;
    const struct dc_conv_geometry *g = &job->g;
    const int64_t row = index / job->splits * g->block, left = call->rows - row;
    const int64_t rows = left < g->block ? left : g->block;
    const int panels = (g->out_c + DC_PANEL - 1) / DC_PANEL;
    const int part = (panels + job->splits - 1) / job->splits * DC_PANEL;
    const int first = index % job->splits * part;
    const int count = g->out_c - first < part ? g->out_c - first : part;
    float *y = dc_f32(&call->out) + row * g->out_h * g->out_w * g->out_c;
    struct dc_prefetch prefetch = next_block(job, row + g->block * call->ctx->threads, call->rows);
    if (count > 0)
        forward_images(job, y, dc__read_images(call, g, &job->tables, row, rows, thread), rows,
                       first, count, &prefetch);
}

static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    struct job job = {
        .call = call,
        .g = dc__conv_geometry(call->node, &call->in[0].shape, &call->out.shape, call->ctx)};
    struct dc_scratch scratch = {call->scratch, 0};
    const bool infers = call->mode == DC_INFERENCE && !call->out_statistics;
    if (infers)
        job.g.block = dc__inference_block(&job.g, call->rows, call->ctx->threads);
    job.tables = dc__forward_tables(&scratch, &job.g, true, call->ctx->threads);
    dc__fill_forward_offsets(&job.tables, &job.g);
    if (call->kept)
        job.tables.panels = call->kept;
    if (!job.g.depthwise && !(call->kept && call->kept_filled))
        dc_parallel_for(call->ctx, job.g.groups * panels_of_group(&job.g), pack_panel, &job);
    const int64_t blocks = (call->rows + job.g.block - 1) / job.g.block;
    job.splits = splits_of(&job.g, blocks, call->ctx->threads);
    if (infers)
        dc_parallel_for(call->ctx, (int)blocks * job.splits, infer_block, &job);
    else
        dc_parallel_for(call->ctx, call->ctx->chunks, forward_chunk, &job);
    return DC_OK;
}

static void memory(struct dc_op_memory *memory, const struct dc_node *node,
                   const struct dc_shape *in, const struct dc_shape *out, const struct dc_ctx *ctx)
{
    const struct dc_conv_geometry g = dc__conv_geometry(node, in, out, ctx);
    struct dc_conv_geometry larger = g;
    const int64_t block = dc__inference_block(&g, in->dims[0], ctx->threads);
    larger.block = block > g.block ? block : g.block;
    struct dc_scratch scratch = {0};
    dc__forward_tables(&scratch, &larger, true, ctx->threads);
    memory->forward = scratch.used;
    if (!g.depthwise)
        memory->kept = sizeof(float) *
                       (size_t)(g.groups *
                                dc__panel_floats(g.group_out, dc__conv_taps(&g) * g.group_in));
    memory->backward = dc__conv_backward_bytes(&g, ctx);
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_conv_attributes *a = node->attributes;
    char text[DC_SHAPE_TEXT];
    if (in->rank != 4)
        return dc_fail(error, DC_ERR_CONFIG, "conv needs an image [batch, h, w, channels], not %s",
                       dc_shape_text(text, in));
    if (a->filters < 1 || a->window.kernel[0] < 1 || a->window.kernel[1] < 1 ||
        a->window.kernel[0] > DC_KERNEL_MAX || a->window.kernel[1] > DC_KERNEL_MAX ||
        a->window.stride[0] < 1 || a->window.stride[1] < 1 || a->window.dilation[0] < 1 ||
        a->window.dilation[1] < 1 || a->groups < 1 || a->window.before[0] < 0 ||
        a->window.after[0] < 0 || a->window.before[1] < 0 || a->window.after[1] < 0)
        return dc_fail(error, DC_ERR_CONFIG,
                       "filters, kernel (up to %d), stride, dilation and groups of a conv must be "
                       "at least 1, padding at least 0",
                       DC_KERNEL_MAX);
    if (in->dims[3] % a->groups || a->filters % a->groups)
        return dc_fail(error, DC_ERR_CONFIG,
                       "%d groups divide neither %d input channels nor %d filters evenly",
                       a->groups, (int)in->dims[3], a->filters);
    const int64_t h = in->dims[1] + a->window.before[0] + a->window.after[0];
    const int64_t w = in->dims[2] + a->window.before[1] + a->window.after[1];
    const int64_t reach_h = (int64_t)(a->window.kernel[0] - 1) * a->window.dilation[0] + 1;
    const int64_t reach_w = (int64_t)(a->window.kernel[1] - 1) * a->window.dilation[1] + 1;
    if (reach_h > h || reach_w > w)
        return dc_fail(error, DC_ERR_CONFIG,
                       "a kernel that spans %dx%d does not fit the padded input of %dx%d",
                       (int)reach_h, (int)reach_w, (int)h, (int)w);
    *out = DC_SHAPE(in->dims[0], (h - reach_h) / a->window.stride[0] + 1,
                    (w - reach_w) / a->window.stride[1] + 1, a->filters);
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
        .shape = DC_SHAPE(a->window.kernel[0], a->window.kernel[1], group_in, a->filters),
        .init = DC_INIT_KAIMING_NORMAL,
        .fan = (int64_t)a->window.kernel[0] * a->window.kernel[1] * group_in,
    };
    specs[1] = (struct dc_param_spec){
        .name = "bias", .role = DC_ROLE_BIAS, .shape = DC_SHAPE(a->filters)};
    return a->bias ? 2 : 1;
}

static int64_t macs(const struct dc_node *node, const struct dc_shape *in,
                    const struct dc_shape *out)
{
    const struct dc_conv_attributes *a = node->attributes;
    return dc_shape_row(out) * a->window.kernel[0] * a->window.kernel[1] *
           (in->dims[3] / a->groups);
}

const struct dc_op dc_op_conv = {
    .name = "conv",
    .inputs_min = 1,
    .inputs_max = 1,
    .flags = DC_OP_READS_INPUT | DC_OP_EPILOGUES,
    .attribute_bytes = sizeof(struct dc_conv_attributes),
    .infer = infer,
    .declare = declare,
    .memory = memory,
    .forward = forward,
    .backward = dc__conv_backward,
    .macs = macs,
};

// Owns transposed convolution: the gradient of a convolution used forward. Its own gradients are
// that convolution and its weight gradient; conv.c and conv_backward.c do the work, called as they
// would be for the convolution whose input is this op's output.

#include <string.h>

#include "core/ops/conv_geometry.h"
#include "core/parallel.h"

// The convolution of the inner calls: from this op's output to its input.
struct inner {
    struct dc_conv_attributes attributes;
    struct dc_node node;
    struct dc_tensor in[1], d_in[1];
    bool add_gradient[1];
};

static void make_inner(struct inner *inner, const struct dc_node *node, const struct dc_shape *in)
{
    const struct dc_conv_transpose_attributes *a = node->attributes;
    inner->attributes = a->conv;
    inner->attributes.filters = (int)in->dims[3];
    inner->attributes.bias = false;
    inner->node = (struct dc_node){.name = node->name,
                                   .op = &dc_op_conv,
                                   .attributes = &inner->attributes,
                                   .input_count = 1,
                                   .param_count = 1};
    inner->d_in[0].data = NULL;
    inner->add_gradient[0] = false;
}

static int64_t size_of(int64_t in, const struct dc_window *w, int axis, int output_padding)
{
    return (in - 1) * w->stride[axis] - w->before[axis] - w->after[axis] +
           dc_window_reach(w, axis) + output_padding;
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_conv_transpose_attributes *a = node->attributes;
    const struct dc_conv_attributes *c = &a->conv;
    char text[DC_SHAPE_TEXT];
    if (in[0].rank != 4 || c->filters < 1 || c->groups < 1 || c->filters % c->groups ||
        in[0].dims[3] % c->groups || a->output_padding_h < 0 || a->output_padding_w < 0 ||
        a->output_padding_h >= c->window.stride[0] || a->output_padding_w >= c->window.stride[1])
        return dc_fail(error, DC_ERR_CONFIG,
                       "conv_transpose of %s to %d filters in %d groups: it needs an image, groups "
                       "that divide its channels and the filters, and output padding from 0 to "
                       "below the stride",
                       dc_shape_text(text, &in[0]), c->filters, c->groups);
    const struct dc_shape to = DC_SHAPE(
        in[0].dims[0], size_of(in[0].dims[1], &c->window, 0, a->output_padding_h),
        size_of(in[0].dims[2], &c->window, 1, a->output_padding_w), c->filters);
    struct inner inner;
    struct dc_shape back;
    make_inner(&inner, node, in);
    if (to.dims[1] < 1 || to.dims[2] < 1)
        return dc_fail(error, DC_ERR_CONFIG, "a conv_transpose of %s leaves no output",
                       dc_shape_text(text, &in[0]));
    DC_TRY(dc_op_conv.infer(&back, &inner.node, &to, error));
    if (!dc_shape_equal(&back, &in[0]))
        return dc_fail(error, DC_ERR_CONFIG, "no convolution leads back to %s",
                       dc_shape_text(text, &in[0]));
    *out = to;
    return DC_OK;
}

static int declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                   const struct dc_shape *in)
{
    const struct dc_conv_transpose_attributes *a = node->attributes;
    const struct dc_conv_attributes *c = &a->conv;
    specs[0] = (struct dc_param_spec){
        .name = "weight",
        .role = DC_ROLE_WEIGHT,
        .shape = DC_SHAPE(c->window.kernel[0], c->window.kernel[1], c->filters / c->groups,
                          in->dims[3]),
        .init = DC_INIT_KAIMING_NORMAL,
        .fan = (int64_t)c->window.kernel[0] * c->window.kernel[1] * (in->dims[3] / c->groups),
    };
    specs[1] = (struct dc_param_spec){
        .name = "bias", .role = DC_ROLE_BIAS, .shape = DC_SHAPE(c->filters)};
    return c->bias ? 2 : 1;
}

// Behind the scratch of the inner convolution, backward keeps the bias gradients of the chunks and,
// where the input gradient is added, the part to add.
static void memory(struct dc_op_memory *memory, const struct dc_node *node,
                   const struct dc_shape *in, const struct dc_shape *out, const struct dc_ctx *ctx)
{
    struct inner inner;
    struct dc_op_memory of_conv = {0};
    make_inner(&inner, node, in);
    dc_op_conv.memory(&of_conv, &inner.node, out, in, ctx);
    memory->forward = of_conv.backward;
    memory->backward = (of_conv.forward > of_conv.backward ? of_conv.forward : of_conv.backward) +
                       sizeof(float) * (size_t)(dc_shape_count(in) + out->dims[3] * ctx->chunks) +
                       64;
}

// The convolution's call; of its input and output the caller speaks.
static struct dc_op_call inner_call(const struct dc_op_call *call, struct inner *inner)
{
    make_inner(inner, call->node, &call->in[0].shape);
    struct dc_op_call result = {.ctx = call->ctx,
                                .node = &inner->node,
                                .mode = call->mode,
                                .step = call->step,
                                .rows = call->rows,
                                .in = inner->in,
                                .d_in = inner->d_in,
                                .add_gradient = inner->add_gradient,
                                .param = {call->param[0]},
                                .scratch = call->scratch};
    return result;
}

static void bias_chunk(void *arg, int chunk, int thread)
{
    const struct dc_op_call *call = arg;
    (void)thread;
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const int64_t row = dc_shape_row(&call->out.shape), channels = call->out.shape.dims[3];
    float *y = dc_f32(&call->out) + rows.first * row;
    for (int64_t p = 0; p < rows.count * row; p += channels)
        for (int64_t c = 0; c < channels; c++)
            y[p + c] += call->param[1][c];
}

static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    const struct dc_conv_transpose_attributes *a = call->node->attributes;
    struct inner inner;
    struct dc_op_call conv = inner_call(call, &inner);
    conv.in[0] = conv.d_in[0] = call->out;
    conv.out = conv.d_out = call->in[0];
    DC_TRY(dc__conv_backward(&conv, error));
    if (a->conv.bias)
        dc_parallel_for(call->ctx, call->ctx->chunks, bias_chunk, (void *)call);
    return DC_OK;
}

struct bias_job {
    const struct dc_op_call *call;
    float *partials;  // [chunks][channels]
};

static void bias_gradient_chunk(void *arg, int chunk, int thread)
{
    const struct bias_job *job = arg;
    const struct dc_op_call *call = job->call;
    (void)thread;
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const int64_t row = dc_shape_row(&call->out.shape), channels = call->out.shape.dims[3];
    const float *g = dc_f32(&call->d_out) + rows.first * row;
    float *sum = job->partials + chunk * channels;
    memset(sum, 0, sizeof(float) * (size_t)channels);
    for (int64_t p = 0; p < rows.count * row; p += channels)
        for (int64_t c = 0; c < channels; c++)
            sum[c] += g[p + c];
}

static enum dc_status backward(const struct dc_op_call *call, struct dc_error *error)
{
    struct inner inner;
    struct dc_op_call conv = inner_call(call, &inner);
    const int64_t count = dc_shape_count(&call->in[0].shape), channels = call->out.shape.dims[3];
    struct dc_op_memory of_conv = {0};
    inner.node.op->memory(&of_conv, &inner.node, &call->out.shape, &call->in[0].shape, call->ctx);
    const size_t used = of_conv.forward > of_conv.backward ? of_conv.forward : of_conv.backward;
    float *apart = (float *)((char *)call->scratch + (used + 63) / 64 * 64);
    struct bias_job bias = {call, apart + count};
    float *dx = dc_f32(&call->d_in[0]);
    if (call->d_param[0]) {
        conv.in[0] = call->d_out;
        conv.out = conv.d_out = call->in[0];
        conv.d_param[0] = call->d_param[0];
        DC_TRY(dc__conv_backward(&conv, error));
    }
    if (dx) {
        conv.in[0] = call->d_out;
        conv.out = call->d_in[0];
        conv.out.data = call->add_gradient[0] ? apart : dx;
        DC_TRY(dc_op_conv.forward(&conv, error));
        for (int64_t i = 0; call->add_gradient[0] && i < count; i++)
            dx[i] += apart[i];
    }
    if (call->d_param[1]) {
        dc_parallel_for(call->ctx, call->ctx->chunks, bias_gradient_chunk, &bias);
        dc_tree_sum(call->ctx, call->d_param[1], bias.partials, channels, channels);
    }
    return DC_OK;
}

static int64_t macs(const struct dc_node *node, const struct dc_shape *in,
                    const struct dc_shape *out)
{
    const struct dc_conv_transpose_attributes *a = node->attributes;
    return dc_shape_row(in) * a->conv.window.kernel[0] * a->conv.window.kernel[1] *
           (out->dims[3] / a->conv.groups);
}

const struct dc_op dc_op_conv_transpose = {
    .name = "conv_transpose",
    .inputs_min = 1,
    .inputs_max = 1,
    .flags = DC_OP_READS_INPUT,
    .attribute_bytes = sizeof(struct dc_conv_transpose_attributes),
    .infer = infer,
    .declare = declare,
    .memory = memory,
    .forward = forward,
    .backward = backward,
    .macs = macs,
};

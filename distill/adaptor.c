// Owns the layers of adaptors, ops of core/ops, and the one op that ReviewKD has of its own.

#include "distill/adaptor.h"

#include "core/math.h"
#include "core/ops/ops.h"

struct builder {
    struct dc_graph *graph;
    const char *prefix;
};

// A layer PREFIX.NAME that reads *node and others behind it, and becomes *node.
static enum dc_status add(const struct builder *b, const char *name, const struct dc_op *op,
                          const void *attributes, const int *inputs, int count, int *node,
                          struct dc_error *error)
{
    struct dc_graph *graph = b->graph;
    char *full = dc_arena_printf(graph->arena, error, "%s.%s", b->prefix, name);
    if (!full)
        return DC_ERR_MEMORY;
    DC_TRY(dc_graph_add(graph, full, op, attributes, attributes ? op->attribute_bytes : 0, inputs,
                        count, node, error));
    for (int p = 0; p < graph->nodes[*node].param_count; p++) {
        struct dc_param_spec *spec = &graph->params[graph->nodes[*node].params[p]];
        if (dc_role_is_trained(spec->role))
            spec->role = DC_ROLE_AUXILIARY;
    }
    return DC_OK;
}

static enum dc_status add_one(const struct builder *b, const char *name, const struct dc_op *op,
                              const void *attributes, int *node, struct dc_error *error)
{
    const int from = *node;
    return add(b, name, op, attributes, &from, 1, node, error);
}

static enum dc_status add_norm(const struct builder *b, const char *name, int *node,
                               struct dc_error *error)
{
    const struct dc_batch_norm_attributes a = {1e-5f, 0.1f};
    return add_one(b, name, &dc_op_batch_norm, &a, node, error);
}

static struct dc_conv_attributes conv_of(int64_t filters, int64_t kernel_h, int64_t kernel_w,
                                         int stride, int pad, bool bias)
{
    return (struct dc_conv_attributes){.window = {.kernel = {(int)kernel_h, (int)kernel_w},
                                                  .stride = {stride, stride},
                                                  .dilation = {1, 1},
                                                  .before = {pad, pad},
                                                  .after = {pad, pad}},
                                       .filters = (int)filters,
                                       .groups = 1,
                                       .bias = bias};
}

static enum dc_status add_conv(const struct builder *b, const char *name, int64_t filters,
                               int64_t kernel_h, int64_t kernel_w, int stride, int pad, bool bias,
                               int *node, struct dc_error *error)
{
    const struct dc_conv_attributes a = conv_of(filters, kernel_h, kernel_w, stride, pad, bias);
    return add_one(b, name, &dc_op_conv, &a, node, error);
}

static enum dc_status add_regressor(const struct builder *b, const struct dc_shape *like, int *node,
                                    struct dc_error *error)
{
    const struct dc_shape have = b->graph->nodes[*node].shape;
    const int64_t filters = like->dims[like->rank - 1];
    char from[DC_SHAPE_TEXT], to[DC_SHAPE_TEXT];
    if (have.rank == 2 && like->rank == 2) {
        const struct dc_dense_attributes a = {(int)filters, true};
        return add_one(b, "dense", &dc_op_dense, &a, node, error);
    }
    if (have.rank == 4 && like->rank == 4) {
        const int64_t *s = have.dims, *t = like->dims;
        if (s[1] == 2 * t[1] && s[2] == 2 * t[2])
            return add_conv(b, "conv", filters, 3, 3, 2, 1, true, node, error);
        if (2 * s[1] == t[1] && 2 * s[2] == t[2]) {
            const struct dc_conv_transpose_attributes a = {
                .conv = conv_of(filters, 4, 4, 2, 1, true)};
            return add_one(b, "conv", &dc_op_conv_transpose, &a, node, error);
        }
        if (s[1] >= t[1] && s[2] >= t[2])
            return add_conv(b, "conv", filters, 1 + s[1] - t[1], 1 + s[2] - t[2], 1, 0, true, node,
                            error);
    }
    return dc_fail(error, DC_ERR_CONFIG, "no adaptor leads from %s of the student to %s",
                   dc_shape_text(from, &have), dc_shape_text(to, like));
}

enum dc_status dc_adaptor_add_hint(struct dc_graph *graph, const char *prefix, int from,
                                   const struct dc_shape *like, int *node, struct dc_error *error)
{
    const struct builder b = {graph, prefix};
    *node = from;
    DC_TRY(add_regressor(&b, like, node, error));
    DC_TRY(add_norm(&b, "norm", node, error));
    return add_one(&b, "relu", &dc_op_relu, NULL, node, error);
}

enum dc_status dc_adaptor_add_embedding(struct dc_graph *graph, const char *prefix, int from,
                                        int size, int *node, struct dc_error *error)
{
    const struct builder b = {graph, prefix};
    const struct dc_dense_attributes a = {size, true};
    *node = from;
    if (graph->nodes[from].shape.rank != 2)
        DC_TRY(add_one(&b, "flatten", &dc_op_flatten, NULL, node, error));
    return add_one(&b, "dense", &dc_op_dense, &a, node, error);
}

// ---- ReviewKD ----

// Inputs: x [batch, H, W, C], y [batch, h, w, C], and logits of their gates, of x's size and of
// y's, both with 2 channels. With u(.): resized to H x W, the nearest (PyTorch's: floor(i h / H)),
//   out = x sigmoid(a_x[0] + u(a_y)[0]) + u(y) sigmoid(a_x[1] + u(a_y)[1])
// One convolution over both, as published, is the sum of one over each; of kernel 1x1 it does not
// matter whether it comes before or after resizing.
enum { X, Y, GATES_X, GATES_Y, BLEND_INPUTS };

static enum dc_status blend_infer(struct dc_shape *out, const struct dc_node *node,
                                  const struct dc_shape *in, struct dc_error *error)
{
    char x[DC_SHAPE_TEXT], y[DC_SHAPE_TEXT];
    (void)node;
    if (in[X].rank != 4 || in[Y].rank != 4 || in[X].dims[3] != in[Y].dims[3])
        return dc_fail(error, DC_ERR_CONFIG, "maps of equal channels are blended, not %s and %s",
                       dc_shape_text(x, &in[X]), dc_shape_text(y, &in[Y]));
    *out = in[X];
    return DC_OK;
}

// One pixel of a row of the batch: where it lies in both maps, and its gates.
struct pixel {
    int64_t at[BLEND_INPUTS];
    float gate[2];
};

static struct pixel pixel_of(const struct dc_op_call *call, int64_t row, int64_t i)
{
    const int64_t *big = call->in[X].shape.dims, *small = call->in[Y].shape.dims;
    const int64_t y = i / big[2] * small[1] / big[1], x = i % big[2] * small[2] / big[2];
    const int64_t here = row * big[1] * big[2] + i;
    const int64_t there = (row * small[1] + y) * small[2] + x;
    struct pixel p = {.at = {here * big[3], there * big[3], here * 2, there * 2}};
    for (int k = 0; k < 2; k++)
        p.gate[k] = (float)dc_sigmoid((double)dc_f32(&call->in[GATES_X])[p.at[GATES_X] + k] +
                                      (double)dc_f32(&call->in[GATES_Y])[p.at[GATES_Y] + k]);
    return p;
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const int64_t *dims = call->in[X].shape.dims;
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        for (int64_t i = 0; i < dims[1] * dims[2]; i++) {
            const struct pixel p = pixel_of(call, r, i);
            const float *x = dc_f32(&call->in[X]) + p.at[X], *y = dc_f32(&call->in[Y]) + p.at[Y];
            float *out = dc_f32(&call->out) + p.at[X];
            for (int64_t c = 0; c < dims[3]; c++)
                out[c] = x[c] * p.gate[0] + y[c] * p.gate[1];
        }
    }
}

static void backward_pixel(const struct dc_op_call *call, const struct pixel *p, int64_t channels)
{
    const float *d = dc_f32(&call->d_out) + p->at[X];
    for (int k = 0; k < 2; k++) {
        const float *v = dc_f32(&call->in[k]) + p->at[k];
        float *dv = dc_f32(&call->d_in[k]), d_gate = 0.0f;
        for (int64_t c = 0; c < channels; c++)
            d_gate += d[c] * v[c];
        for (int64_t c = 0; dv && c < channels; c++)
            dv[p->at[k] + c] += d[c] * p->gate[k];
        d_gate *= p->gate[k] * (1.0f - p->gate[k]);
        for (int g = GATES_X; g <= GATES_Y; g++)
            if (call->d_in[g].data)
                dc_f32(&call->d_in[g])[p->at[g] + k] += d_gate;
    }
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const int64_t *dims = call->in[X].shape.dims;
    for (int k = 0; k < BLEND_INPUTS; k++) {
        const int64_t row = dc_shape_row(&call->in[k].shape);
        float *d = dc_f32(&call->d_in[k]);
        for (int64_t i = rows.first * row;
             d && !call->add_gradient[k] && i < (rows.first + rows.count) * row; i++)
            d[i] = 0.0f;
    }
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        for (int64_t i = 0; i < dims[1] * dims[2]; i++) {
            const struct pixel p = pixel_of(call, r, i);
            backward_pixel(call, &p, dims[3]);
        }
    }
}

const struct dc_op dc_op_blend = DC_ROW_OP("blend", BLEND_INPUTS, BLEND_INPUTS,
                                           .flags = DC_OP_READS_INPUT, .infer = blend_infer);

static enum dc_status add_blend(const struct builder *b, int residual, int *node,
                                struct dc_error *error)
{
    int inputs[BLEND_INPUTS] = {*node, residual, *node, residual};
    DC_TRY(add_conv(b, "gates", 2, 1, 1, 1, 0, true, &inputs[GATES_X], error));
    DC_TRY(add_conv(b, "gates_deeper", 2, 1, 1, 1, 0, false, &inputs[GATES_Y], error));
    return add(b, "blend", &dc_op_blend, NULL, inputs, BLEND_INPUTS, node, error);
}

enum dc_status dc_adaptor_add_fusion(struct dc_graph *graph, const char *prefix, int from,
                                     const struct dc_shape *like, int64_t middle, int *residual,
                                     int *node, struct dc_error *error)
{
    const struct builder b = {graph, prefix};
    const struct dc_shape *have = &graph->nodes[from].shape;
    char a[DC_SHAPE_TEXT], c[DC_SHAPE_TEXT];
    if (have->rank != 4 || like->rank != 4 || have->dims[1] != like->dims[1] ||
        have->dims[2] != like->dims[2])
        return dc_fail(error, DC_ERR_CONFIG, "review joins maps of one size, not %s and %s",
                       dc_shape_text(a, have), dc_shape_text(c, like));
    *node = from;
    DC_TRY(add_conv(&b, "conv1", middle, 1, 1, 1, 0, false, node, error));
    DC_TRY(add_norm(&b, "norm1", node, error));
    if (*residual >= 0)
        DC_TRY(add_blend(&b, *residual, node, error));
    *residual = *node;
    DC_TRY(add_conv(&b, "conv2", like->dims[3], 3, 3, 1, 1, false, node, error));
    return add_norm(&b, "norm2", node, error);
}

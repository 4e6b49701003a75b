// Owns operators with weights, windows or statistics: convolutions, dense layers, normalizations,
// pooling. Weights are rearranged here, once: OIHW to [kernel_h, kernel_w, in / groups, out].

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx_internal.h"

// A constant float input of exactly `count` values; NULL with the reason.
static const float *needs(const struct dc_onnx_call *call, int input, int64_t count,
                          struct dc_error *error)
{
    const float *data = dc__onnx_floats(call, input, count);
    if (!data)
        (void)dc_fail(error, DC_ERR_DATA, "input %d must be %" PRId64 " constant floats", input,
                      count);
    return data;
}

static float *filled(struct dc_import *m, int64_t count, float value, struct dc_error *error)
{
    float *data = DC_NEW(m->arena, float, count, error);
    for (int64_t i = 0; data && i < count; i++)
        data[i] = value;
    return data;
}

// kernel_h, kernel_w: of the weights, or 0. Of a series, whose attributes have one number where
// those of an image have two, the height is 1.
static enum dc_status read_windows(struct dc_onnx_call *call, struct dc_window *w, int64_t kernel_h,
                                   int64_t kernel_w, const struct dc_shape *image,
                                   struct dc_error *error)
{
    const int first = call->in[0]->view.rank == 3 ? 1 : 0, n = 2 - first;
    int list[4], pads[4] = {0};
    *w = (struct dc_window){.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    dc__onnx_ints(call, "kernel_shape", w->kernel + first, n, 0);
    dc__onnx_ints(call, "strides", w->stride + first, n, 1);
    dc__onnx_ints(call, "dilations", w->dilation + first, n, 1);
    dc__onnx_ints(call, "pads", list, 2 * n, 0);  // top, left, bottom, right
    for (int i = first; i < 2; i++) {
        pads[i] = list[i - first];
        pads[2 + i] = list[n + i - first];
    }
    for (int i = 0; i < 2; i++) {
        const int64_t kernel = i ? kernel_w : kernel_h;
        if (w->kernel[i] == 0 && kernel <= DC_ONNX_ATTRIBUTE_MOST)
            w->kernel[i] = (int)kernel;
        if (w->kernel[i] < 1 || w->stride[i] < 1 || w->dilation[i] < 1 ||
            (kernel && w->kernel[i] != kernel))
            return dc_fail(error, DC_ERR_DATA, "kernel %d, stride %d, dilation %d do not fit",
                           w->kernel[i], w->stride[i], w->dilation[i]);
    }
    const bool upper = dc__onnx_is(call, "auto_pad", "NOTSET", "SAME_UPPER");
    const bool lower = dc__onnx_is(call, "auto_pad", "NOTSET", "SAME_LOWER");
    const bool valid = dc__onnx_is(call, "auto_pad", "NOTSET", "VALID");
    if (!upper && !lower && !valid && !dc__onnx_is(call, "auto_pad", "NOTSET", "NOTSET"))
        return dc_fail(error, DC_ERR_DATA, "an auto_pad that is not known");
    for (int i = 0; i < 2; i++) {
        w->before[i] = valid ? 0 : pads[i];
        w->after[i] = valid ? 0 : pads[2 + i];
        if (upper || lower)
            dc_window_pad_same(w, i, image->dims[1 + i], lower);
    }
    return DC_OK;
}

// [a, b, h, w] or [a, b, length] to [h, w, b, a], or [h, w, a, b] with `keep`.
static float *kernel_of(struct dc_import *m, const struct dc_onnx_constant *c, bool keep,
                        struct dc_error *error)
{
    const int64_t na = c->dims[0], nb = c->dims[1];
    const int64_t pixels = c->dims[2] * (c->rank == 4 ? c->dims[3] : 1);
    float *to = DC_NEW(m->arena, float, c->count, error);
    for (int64_t a = 0; to && a < na; a++)
        for (int64_t b = 0; b < nb; b++)
            for (int64_t p = 0; p < pixels; p++)
                to[p * na * nb + (keep ? a * nb + b : b * na + a)] =
                    c->f[(a * nb + b) * pixels + p];
    return to;
}

static enum dc_status conv_node(struct dc_onnx_call *call,
                                const struct dc_conv_transpose_attributes *a, bool transposed,
                                int node, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const struct dc_onnx_constant *w = &call->in[1]->constant;
    const struct dc_onnx_view view = dc__onnx_image_view(call->in[0]->view.rank);
    const float *kernel = kernel_of(m, w, false, error);
    if (!kernel)
        return DC_ERR_MEMORY;
    DC_TRY(dc__onnx_emit(m, call->name, transposed ? &dc_op_conv_transpose : &dc_op_conv,
                         transposed ? (const void *)a : &a->conv, &node, 1, &node, error));
    DC_TRY(dc__onnx_set(m, node, 0, kernel, w->count, error));
    if (a->conv.bias) {
        const float *bias = needs(call, 2, a->conv.filters, error);
        if (!bias)
            return DC_ERR_DATA;
        DC_TRY(dc__onnx_set(m, node, 1, bias, a->conv.filters, error));
    }
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

// Conv and ConvTranspose of images and series.
enum dc_status dc__onnx_conv(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const bool transposed = strcmp(call->proto->op_type, "ConvTranspose") == 0;
    const struct dc_onnx_constant *weight = &call->in[1]->constant;
    const int64_t groups = dc__onnx_int(call, "group", 1);
    struct dc_window w;
    int node, extra[2] = {0};
    DC_TRY(dc__onnx_image(m, &node, call->in[0], error));
    const struct dc_shape *image = &m->graph->nodes[node].shape;
    const int rank = call->in[0]->view.rank;
    if (call->in[1]->kind != DC_VALUE_CONSTANT || !weight->f || weight->rank != rank ||
        weight->count == 0)
        return dc_fail(error, DC_ERR_DATA, "the weight must be a constant of %d dimensions", rank);
    const int64_t a0 = weight->dims[0], a1 = weight->dims[1], channels = image->dims[3];
    if (groups < 1 || groups > INT_MAX || (transposed ? a0 != channels : a1 * groups != channels) ||
        a0 % groups || a1 * groups > INT_MAX)
        return dc_fail(error, DC_ERR_DATA,
                       "a weight of [%" PRId64 ", %" PRId64 ", ...] and %" PRId64
                       " groups do not fit %" PRId64 " channels",
                       a0, a1, groups, channels);
    DC_TRY(read_windows(call, &w, rank == 4 ? weight->dims[2] : 1, weight->dims[rank - 1], image,
                        error));
    if (transposed)
        dc__onnx_ints(call, "output_padding", extra + (rank == 3), rank - 2, 0);
    if (transposed && !dc__onnx_is(call, "auto_pad", "NOTSET", "NOTSET"))
        return dc_fail(error, DC_ERR_DATA, "auto_pad of a transposed convolution");
    const struct dc_conv_transpose_attributes a = {
        .conv = {.filters = (int)(transposed ? a1 * groups : a0),
                 .window = w,
                 .groups = (int)groups,
                 .bias = call->count > 2 && call->in[2]},
        .output_padding_h = extra[0],
        .output_padding_w = extra[1],
    };
    return conv_node(call, &a, transposed, node, error);
}

// The last axis of a matrix [batch, features] in the order of memory, and the weight's rows with
// it: flattened images need no transposition so.
static enum dc_status flat_input(struct dc_import *m, int *node, const float **weight,
                                 const struct dc_onnx_value *x, int64_t units,
                                 struct dc_error *error)
{
    const struct dc_shape *shape = dc__onnx_shape(m, x);
    const struct dc_onnx_axis *axis = &x->view.axes[1];
    struct dc_onnx_view want = {.rank = 2, .axes = {{1, {0}}}};
    int order[DC_RANK_MAX];
    int64_t strides[DC_RANK_MAX], index[DC_RANK_MAX] = {0}, rows = 1, from = 0;
    for (int i = 0; i < axis->count; i++) {  // order: the axis' atoms as they lie in memory
        int at = i;
        for (; at > 0 && axis->atoms[order[at - 1]] > axis->atoms[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (int i = axis->count; i-- > 0; rows *= shape->dims[axis->atoms[i]])
        strides[i] = rows;
    float *to = DC_NEW(m->arena, float, rows *units, error);
    if (!to)
        return DC_ERR_MEMORY;
    for (int i = 0; i < axis->count; i++)
        want.axes[1].atoms[want.axes[1].count++] = axis->atoms[order[i]];
    for (int64_t r = 0; r < rows; r++) {
        memcpy(to + r * units, *weight + from * units, (size_t)units * sizeof *to);
        for (int i = axis->count; i-- > 0;) {
            const int64_t size = shape->dims[axis->atoms[order[i]]];
            from += strides[order[i]];
            if (++index[i] < size)
                break;
            from -= strides[order[i]] * size;
            index[i] = 0;
        }
    }
    *weight = to;
    return dc__onnx_arrange(m, node, x, &want, error);
}

enum dc_status dc__onnx_dense(struct dc_onnx_call *call, const struct dc_onnx_value *x,
                              const float *weight, const float *bias, int64_t k, int64_t units,
                              struct dc_error *error)
{
    struct dc_import *m = call->m;
    const int last = x->view.rank - 1;
    const struct dc_linear dim = last < 1 ? (struct dc_linear){0} : dc__onnx_dim(m, x, last);
    struct dc_onnx_view view;
    int node;
    if (dim.k || dim.c != k || k < 1 || units < 1 || units > INT_MAX)
        return dc_fail(error, DC_ERR_DATA, "a weight of [%" PRId64 ", %" PRId64 "] for '%s'", k,
                       units, x->name);
    if (last == 1 && x->view.axes[1].count > 1 && x->view.axes[0].count == 1 &&
        x->view.axes[0].atoms[0] == 0) {
        DC_TRY(flat_input(m, &node, &weight, x, units, error));
        view = dc__onnx_plain(2);
    } else {
        DC_TRY(dc__onnx_last(m, &node, &view, x, last, error));
    }
    const struct dc_dense_attributes a = {.units = (int)units, .bias = bias != NULL};
    DC_TRY(dc__onnx_emit(m, call->name, &dc_op_dense, &a, &node, 1, &node, error));
    DC_TRY(dc__onnx_set(m, node, 0, weight, k * units, error));
    if (bias)
        DC_TRY(dc__onnx_set(m, node, 1, bias, units, error));
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

enum dc_status dc__onnx_gemm(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const struct dc_onnx_constant *b = &call->in[1]->constant;
    const struct dc_onnx_value *c = call->count > 2 ? call->in[2] : NULL;
    const float alpha = dc__onnx_float(call, "alpha", 1.0f),
                beta = dc__onnx_float(call, "beta", 1.0f);
    const bool transposed = dc__onnx_int(call, "transB", 0) != 0;
    if (call->in[1]->kind != DC_VALUE_CONSTANT || !b->f || b->rank != 2 || b->count == 0 ||
        dc__onnx_int(call, "transA", 0) || call->in[0]->kind != DC_VALUE_GRAPH ||
        call->in[0]->view.rank != 2)
        return dc_fail(error, DC_ERR_DATA,
                       "the second factor must be a constant matrix, the first "
                       "a matrix that is not transposed");
    const int64_t k = b->dims[transposed ? 1 : 0], units = b->dims[transposed ? 0 : 1];
    float *weight = DC_NEW(m->arena, float, b->count, error), *bias = NULL;
    if (!weight || (c && !(bias = DC_NEW(m->arena, float, units, error))))
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < k; i++)
        for (int64_t u = 0; u < units; u++)
            weight[i * units + u] = alpha * b->f[transposed ? u * k + i : i * units + u];
    const bool one = c && c->constant.count == 1;
    const float *given = c ? dc__onnx_floats(call, 2, one ? 1 : units) : NULL;
    if (c && !given)
        return dc_fail(error, DC_ERR_DATA, "the third input must be %" PRId64 " constant floats",
                       units);
    for (int64_t u = 0; bias && u < units; u++)
        bias[u] = beta * given[one ? 0 : u];
    return dc__onnx_dense(call, call->in[0], weight, bias, k, units, error);
}

// Normalizations.

// Mean and variance of each channel of what is folded: weights are standardized so, by an operator
// that trains.
static float *moments_of(struct dc_import *m, struct dc_error *error)
{
    const struct dc_onnx_constant *c = m->lifted;
    const int64_t channels = c->dims[1], each = c->count / channels;
    const int64_t inner = each / c->dims[0];
    float *moments = c->f ? filled(m, 2 * channels, 0.0f, error) : NULL;
    for (int64_t k = 0; moments && k < channels; k++) {
        double sum = 0.0, squares = 0.0;
        for (int64_t i = 0; i < each; i++)
            sum += (double)c->f[(i / inner * channels + k) * inner + i % inner];
        const double mean = sum / (double)each;
        for (int64_t i = 0; i < each; i++) {
            const double apart = (double)c->f[(i / inner * channels + k) * inner + i % inner] -
                                 mean;
            squares += apart * apart;
        }
        moments[k] = (float)mean;
        moments[channels + k] = (float)(squares / (double)each);
    }
    return moments;
}

enum dc_status dc__onnx_batch_norm(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const struct dc_batch_norm_attributes a = {.epsilon = dc__onnx_float(call, "epsilon", 1e-5f),
                                               .momentum = 1.0f -
                                                           dc__onnx_float(call, "momentum", 0.9f)};
    struct dc_onnx_view view;
    int node;
    (void)dc__onnx_int(call, "spatial", 1);
    const bool trains = dc__onnx_int(call, "training_mode", 0) != 0 ||
                        (m->opset < 14 && dc__onnx_output(call, 1));
    if ((trains && !m->lifted) || call->in[0]->view.rank < 2)
        return dc_fail(error, DC_ERR_DATA, "the network was exported in training mode");
    DC_TRY(dc__onnx_last(m, &node, &view, call->in[0], 1, error));
    const int64_t channels = dc__onnx_dim(m, call->in[0], 1).c;
    float *moments = trains ? moments_of(m, error) : NULL;
    if (trains && !moments)
        return DC_ERR_MEMORY;
    DC_TRY(dc__onnx_emit(m, call->name, &dc_op_batch_norm, &a, &node, 1, &node, error));
    for (int i = 0; i < 4; i++) {
        const float *data = trains && i > 1 ? moments + (i - 2) * channels
                                            : needs(call, 1 + i, channels, error);
        if (!data)
            return DC_ERR_DATA;
        DC_TRY(dc__onnx_set(m, node, i, data, channels, error));
    }
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

// InstanceNormalization: as many groups as channels. Before operator set 21 a group norm has one
// scale a group.
enum dc_status dc__onnx_group_norm(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const bool instance = strcmp(call->proto->op_type, "InstanceNormalization") == 0;
    struct dc_onnx_view view;
    int node;
    if (call->in[0]->view.rank < 3)
        return dc_fail(error, DC_ERR_DATA, "nothing between batch and channels");
    DC_TRY(dc__onnx_last(m, &node, &view, call->in[0], 1, error));
    const int64_t channels = dc__onnx_dim(m, call->in[0], 1).c;
    const int64_t groups = instance ? channels : dc__onnx_int(call, "num_groups", 0);
    (void)dc__onnx_int(call, "stash_type", 1);
    if (groups < 1 || groups > channels || channels % groups)
        return dc_fail(error, DC_ERR_DATA, "%" PRId64 " groups of %" PRId64 " channels", groups,
                       channels);
    const int64_t given = m->opset >= 21 || instance ? channels : groups;
    const struct dc_group_norm_attributes a = {.groups = (int)groups,
                                               .epsilon = dc__onnx_float(call, "epsilon", 1e-5f)};
    DC_TRY(dc__onnx_emit(m, call->name, &dc_op_group_norm, &a, &node, 1, &node, error));
    for (int i = 0; i < 2; i++) {
        const float *data = needs(call, 1 + i, given, error);
        float *wide = data ? filled(m, channels, 0.0f, error) : NULL;
        if (!wide)
            return data ? DC_ERR_MEMORY : DC_ERR_DATA;
        for (int64_t c = 0; c < channels; c++)
            wide[c] = data[c / (channels / given)];
        DC_TRY(dc__onnx_set(m, node, i, wide, channels, error));
    }
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

enum dc_status dc__onnx_normalize(struct dc_onnx_call *call, const struct dc_onnx_value *x,
                                  int axes, float epsilon, const float *gamma, const float *beta,
                                  struct dc_error *error)
{
    static const int order[DC_RANK_MAX] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct dc_import *m = call->m;
    struct dc_onnx_view view = dc__onnx_plain(x->view.rank);
    int node;
    int64_t count = 1;
    for (int i = 1; i <= axes; i++)
        count *= dc__onnx_dim(m, x, x->view.rank - i).c;
    if (axes == 1)
        DC_TRY(dc__onnx_last(m, &node, &view, x, x->view.rank - 1, error));
    else
        DC_TRY(dc__onnx_ordered(m, &node, x, order, error));
    const struct dc_layer_norm_attributes a = {axes, epsilon, gamma || beta};
    DC_TRY(dc__onnx_emit(m, call->name, &dc_op_layer_norm, &a, &node, 1, &node, error));
    if (a.affine) {
        gamma = gamma ? gamma : filled(m, count, 1.0f, error);
        beta = beta ? beta : filled(m, count, 0.0f, error);
        if (!gamma || !beta)
            return DC_ERR_MEMORY;
        DC_TRY(dc__onnx_set(m, node, 0, gamma, count, error));
        DC_TRY(dc__onnx_set(m, node, 1, beta, count, error));
    }
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

enum dc_status dc__onnx_layer_norm(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_value *x = call->in[0];
    int64_t axis = dc__onnx_int(call, "axis", -1), count = 1;
    (void)dc__onnx_int(call, "stash_type", 1);
    DC_TRY(dc__onnx_axis(&axis, x->view.rank, error));
    for (int i = (int)axis; i < x->view.rank; i++)
        count *= dc__onnx_dim(call->m, x, i).c;
    const bool has_beta = call->count > 2 && call->in[2];
    const float *gamma = needs(call, 1, count, error);
    const float *beta = gamma && has_beta ? needs(call, 2, count, error) : NULL;
    if (axis == 0 || !gamma || (has_beta && !beta))
        return axis ? DC_ERR_DATA : dc_fail(error, DC_ERR_DATA, "not over the batch");
    return dc__onnx_normalize(call, x, x->view.rank - (int)axis,
                              dc__onnx_float(call, "epsilon", 1e-5f), gamma, beta, error);
}

// Pooling.

// Rounding up adds a window that starts inside the input or its padding before; what it needs
// beyond the padding is not counted.
static void round_up(struct dc_window *w, int extra[2], const struct dc_shape *image)
{
    for (int i = 0; i < 2; i++) {
        const int64_t in = image->dims[1 + i];
        const int64_t free = in + w->before[i] + w->after[i] - dc_window_reach(w, i);
        if (free < 0)
            continue;
        int64_t steps = (free + w->stride[i] - 1) / w->stride[i];
        if (steps * w->stride[i] >= in + w->before[i])
            steps--;
        const int64_t more = steps * w->stride[i] - free;
        extra[i] = more > 0 && more < DC_ONNX_ATTRIBUTE_MOST ? (int)more : 0;
        w->after[i] += extra[i];
    }
}

enum dc_status dc__onnx_pool(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const struct dc_onnx_view view = dc__onnx_image_view(call->in[0]->view.rank);
    const bool average = strcmp(call->proto->op_type, "AveragePool") == 0;
    struct dc_window w;
    int node, extra[2] = {0};
    DC_TRY(dc__onnx_image(m, &node, call->in[0], error));
    DC_TRY(read_windows(call, &w, 0, 0, &m->graph->nodes[node].shape, error));
    if (dc__onnx_int(call, "ceil_mode", 0))
        round_up(&w, extra, &m->graph->nodes[node].shape);
    (void)dc__onnx_int(call, "storage_order", 0);
    const struct dc_pool_attributes a = {
        .window = w,
        .count_padding = dc__onnx_int(call, "count_include_pad", 0) != 0 && average,
        .uncounted = {average ? extra[0] : 0, average ? extra[1] : 0},
    };
    DC_TRY(dc__onnx_emit(m, call->name, average ? &dc_op_average_pool : &dc_op_max_pool, &a, &node,
                         1, &node, error));
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

enum dc_status dc__onnx_global_pool(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const bool average = strcmp(call->proto->op_type, "GlobalAveragePool") == 0;
    const struct dc_onnx_view view = {.rank = call->in[0]->view.rank, .axes = {{1, {0}}, {1, {1}}}};
    const struct dc_reduce_attributes a = {.axes = 6};
    int node;
    DC_TRY(dc__onnx_image(m, &node, call->in[0], error));
    DC_TRY(dc__onnx_emit(m, call->name, average ? &dc_op_global_average_pool : &dc_op_reduce_max,
                         average ? NULL : &a, &node, 1, &node, error));
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

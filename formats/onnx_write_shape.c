// Owns pooling, reductions and what moves values, as operators of the file. See onnx_write_graph.c.

#include <stdio.h>
#include <string.h>

#include "formats/onnx_write_internal.h"

// Pooling and reductions.

void dc__onnx_put_pool(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_pool_attributes *a = node->attributes;
    const bool max = node->op == &dc_op_max_pool;
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    char more[64] = "";
    if (max)
        snprintf(more, sizeof more, " dilations=[%d,%d]", a->window.dilation[0],
                 a->window.dilation[1]);
    else
        snprintf(more, sizeof more, " count_include_pad=%d", a->count_padding);
    if (!max && (a->window.dilation[0] > 1 || a->window.dilation[1] > 1 ||
                 (a->count_padding && (a->uncounted[0] || a->uncounted[1]))))
        dc_onnx_refuse(t->w, DC_ERR_DATA,
                       "node '%s': an average_pool with dilation, or with padding of which a part "
                       "counts, has no form in operator set 13",
                       node->name);
    dc_onnx_put(t->w, onnx, node->name, DC_ONNX_F32, &shape, DC_ONNX_IN(in_of(t, node, 0)),
                "kernel_shape=[%d,%d] strides=[%d,%d] pads=[%d,%d,%d,%d]%s", a->window.kernel[0],
                a->window.kernel[1], a->window.stride[0], a->window.stride[1], a->window.before[0],
                a->window.before[1], a->window.after[0], a->window.after[1], more);
}

void dc__onnx_put_global_pool(struct dc_onnx_writing *t, const struct dc_node *node,
                              const char *onnx)
{
    const struct dc_shape pooled = DC_SHAPE(DC_BATCH, node->shape.dims[1], 1, 1);
    const char *made = dc_onnx_put(t->w, onnx, dc_onnx_name(t->w, node->name, "pooled"),
                                   DC_ONNX_F32, &pooled, DC_ONNX_IN(in_of(t, node, 0)), "%s", "");
    made = dc__put_step(t, dc_network_quantizer(t->network, (int)(node - t->graph->nodes)), made,
                        &pooled);
    dc__put_shaped(t, node, "Flatten", DC_ONNX_IN(made));
}

void dc__onnx_put_reduce(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_reduce_attributes *a = node->attributes;
    int64_t axes[DC_RANK_MAX];
    int count = 0;
    char text[64] = "";
    for (int k = 1; k < shape_in(t, node, 0)->rank; k++) {
        if (!(a->axes >> k & 1))
            continue;
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", count ? "," : "", k);
        axes[count++] = k;
    }
    const bool sum = node->op == &dc_op_reduce_sum;  // takes its axes as an input
    const char *given = sum ? dc_onnx_put_integers(t->w, dc_onnx_name(t->w, node->name, "axes"),
                                                   axes, count)
                            : NULL;
    const char *made = dc_onnx_put(t->w, onnx, dc_onnx_name(t->w, node->name, "reduced"),
                                   DC_ONNX_F32, &node->shape,
                                   DC_ONNX_IN(dc__in_memory(t, node, 0), given),
                                   sum ? "keepdims=%d" : "keepdims=%d axes=[%s]", a->keep, text);
    dc__put_from_memory(t, node, "Identity", DC_ONNX_IN(made));
}

// What moves values.

void dc__onnx_put_constant(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_shape *s = &node->shape, shape = dc_onnx_shape(s);
    (void)onnx;
    t->names[node - t->graph->nodes] = dc__put_param(t, node, 0, &shape, 1,
                                                     s->rank == 4 ? s->dims[1] * s->dims[2] : 1);
}

void dc__onnx_put_same(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    (void)onnx;
    t->names[node - t->graph->nodes] = in_of(t, node, 0);
}

void dc__onnx_put_reshape(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_shape *in = shape_in(t, node, 0);
    const bool vector = in->rank == 4 && (in->dims[3] == 1 || in->dims[1] * in->dims[2] == 1);
    // A pixel or a channel alone has one order only.
    const char *x = vector && node->shape.rank != 4 ? in_of(t, node, 0) : dc__in_memory(t, node, 0);
    dc__put_from_memory(t, node, onnx, DC_ONNX_IN(x, dc__put_dims(t, node, "dims", &node->shape)));
}

void dc__onnx_put_pads(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    static const char *const modes[] = {
        [DC_PAD_CONSTANT] = "constant", [DC_PAD_REFLECT] = "reflect", [DC_PAD_EDGE] = "edge"};
    const struct dc_pad_attributes *p = node->attributes;
    struct dc_pad_axes_attributes a = {.before = {p->top, p->left, p->before},
                                       .after = {p->bottom, p->right, p->after}};
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    int64_t pads[2 * DC_RANK_MAX] = {0};
    if (node->op == &dc_op_pad_axes)
        memcpy(&a, node->attributes, sizeof a);
    for (int k = 1; k < shape.rank; k++) {
        pads[dc__file_axis(k, shape.rank)] = a.before[k - 1];
        pads[shape.rank + dc__file_axis(k, shape.rank)] = a.after[k - 1];
    }
    const char *widths = dc_onnx_put_integers(t->w, dc_onnx_name(t->w, node->name, "pads"), pads,
                                              2 * shape.rank);
    const char *value = a.value == 0.0f ? NULL : dc__put_number(t, node, "value", a.value);
    dc_onnx_put(t->w, onnx, node->name, DC_ONNX_F32, &shape,
                DC_ONNX_IN(in_of(t, node, 0), widths, value), "mode:%s", modes[a.mode]);
}

void dc__onnx_put_slice(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_slice_attributes *a = node->attributes;
    const int64_t axis = dc__file_axis(a->axis, node->shape.rank);
    const int64_t end = a->end < 0 ? -(int64_t)INT32_MAX : a->end;  // downwards, to the first
    const char *numbers[4];
    static const char *const parts[4] = {"starts", "ends", "axes", "steps"};
    const int64_t values[4] = {a->begin, end, axis, a->step};
    for (int i = 0; i < 4; i++)
        numbers[i] = dc_onnx_put_integers(t->w, dc_onnx_name(t->w, node->name, parts[i]),
                                          &values[i], 1);
    dc__put_shaped(t, node, onnx,
                   DC_ONNX_IN(in_of(t, node, 0), numbers[0], numbers[1], numbers[2], numbers[3]));
}

// Axes of the file: those of memory, renamed on both sides.
void dc__onnx_put_transpose(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_transpose_attributes *a = node->attributes;
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    int perm[DC_RANK_MAX] = {0};
    char text[64] = "0";
    for (int k = 1; k < shape.rank; k++)
        perm[dc__file_axis(k, shape.rank)] = dc__file_axis(a->axes[k], shape.rank);
    for (int k = 1; k < shape.rank; k++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ",%d", perm[k]);
    dc_onnx_put(t->w, onnx, node->name, DC_ONNX_F32, &shape, DC_ONNX_IN(in_of(t, node, 0)),
                "perm=[%s]", text);
}

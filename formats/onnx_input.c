// Owns the input of a file: which it is, its sizes, and the order of an image's axes.
//
// What reads an image decides the order: where a convolution, a pool or a normalization of channels
// meets it, axis 1 is the channel, of images and of series. The axes are followed through operators
// that keep them and through transpositions, so that [batch, h, w, c] -> Transpose(0, 3, 1, 2) ->
// Conv is channels last in the file. Where nothing decides (the image is flattened at once), images
// are [batch, c, h, w], or [batch, h, w, c] where the last axis is at most 4 and both others are at
// least 8; series stay as they are.

#include <inttypes.h>
#include <string.h>

#include "formats/onnx.h"
#include "formats/onnx_internal.h"

// Bit k: some reader wants axis k of the input for its channel.
struct layout_search {
    const struct dc_import *m;
    int rank;  // 3 or 4
    unsigned wanted;
    bool *seen;  // [nodes of the file]
};

// axes[i]: which axis of the input is axis i of the value.
static void follow(struct layout_search *s, const char *value, const int axes[4]);

static void follow_transpose(struct layout_search *s, const Onnx__NodeProto *node,
                             const int axes[4])
{
    int next[4] = {0};
    for (size_t i = 0; i < node->n_attribute; i++) {
        const Onnx__AttributeProto *a = node->attribute[i];
        if (strcmp(a->name, "perm") != 0 || a->n_ints != (size_t)s->rank)
            continue;
        for (int k = 0; k < s->rank; k++) {
            if (a->ints[k] < 0 || a->ints[k] >= s->rank)
                return;
            next[k] = axes[a->ints[k]];
        }
        follow(s, node->output[0], next);
    }
}

static void follow(struct layout_search *s, const char *value, const int axes[4])
{
    const Onnx__GraphProto *graph = s->m->model->graph;
    for (size_t n = 0; n < graph->n_node; n++) {
        const Onnx__NodeProto *node = graph->node[n];
        const struct dc_onnx_operator *row = dc__onnx_operator(node->op_type);
        bool reads = false;
        for (size_t k = 0; k < node->n_input; k++)
            reads = reads || strcmp(node->input[k], value) == 0;
        if (!reads || !row || s->seen[n] || node->n_output == 0)
            continue;
        s->seen[n] = true;
        if (row->layout == DC_READS_CHANNELS_FIRST)
            s->wanted |= 1u << axes[1];
        else if (row->layout == DC_KEEPS_AXES)
            follow(s, node->output[0], axes);
        else if (row->layout == DC_MOVES_AXES)
            follow_transpose(s, node, axes);
    }
}

// dims: of the file, 0 where it leaves them open.
static enum dc_status find_layout(bool *channels_first, const struct dc_import *m, const char *name,
                                  const int64_t *dims, int rank, struct dc_error *error)
{
    static const int axes[4] = {0, 1, 2, 3};
    struct layout_search s = {.m = m, .rank = rank};
    if (m->options && m->options->layout != DC_LAYOUT_AUTO) {
        *channels_first = m->options->layout == DC_LAYOUT_NCHW;
        return DC_OK;
    }
    s.seen = DC_NEW(m->arena, bool, m->model->graph->n_node, error);
    if (!s.seen)
        return DC_ERR_MEMORY;
    follow(&s, name, axes);
    if (s.wanted == 0)
        *channels_first = rank == 4 &&
                          !(dims[3] > 0 && dims[3] <= 4 && dims[1] >= 8 && dims[2] >= 8);
    else if (s.wanted == 1u << 1 || s.wanted == 1u << (rank - 1))
        *channels_first = s.wanted == 1u << 1;
    else
        return dc_fail(error, DC_ERR_DATA,
                       "%s: what reads the input '%s' does not agree on which axis is the channel; "
                       "say layout: nchw or nhwc",
                       m->path, name);
    return DC_OK;
}

static int64_t size_given(const struct dc_import *m, int axis, int height_axis)
{
    const struct dc_onnx_options *o = m->options;
    return !o ? 0 : axis == height_axis ? o->height : axis == height_axis + 1 ? o->width : 0;
}

// The batch, then the sizes, images as [batch, height, width, channels].
static enum dc_status input_shape(struct dc_import *m, const Onnx__ValueInfoProto *input,
                                  struct dc_shape *shape, bool *channels_first,
                                  struct dc_error *error)
{
    const Onnx__TypeProto__Tensor *type = input->type ? input->type->tensor_type : NULL;
    const size_t rank = type && type->shape ? type->shape->n_dim : 0;
    if (!type || (type->elem_type != 1 && type->elem_type != 10))
        return dc_fail(error, DC_ERR_DATA, "%s: the input '%s' does not hold floats", m->path,
                       input->name);
    if (rank < 2 || rank > DC_RANK_MAX)
        return dc_fail(error, DC_ERR_DATA, "%s: the input '%s' has %zu dimensions, not 2 to %d",
                       m->path, input->name, rank, (int)DC_RANK_MAX);
    int64_t dims[DC_RANK_MAX];
    for (size_t i = 0; i < rank; i++) {
        const Onnx__TensorShapeProto__Dimension *d = type->shape->dim[i];
        const bool fixed = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dims[i] = fixed && d->dim_value > 0 ? d->dim_value : 0;
    }
    *channels_first = false;
    if (rank == 4 || rank == 3)
        DC_TRY(find_layout(channels_first, m, input->name, dims, (int)rank, error));
    m->batch_fixed = dims[0] == 1;
    if (dims[0] > 1)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: the input '%s' has a fixed batch of %" PRId64
                       "; export it with a batch of 1 or an open one",
                       m->path, input->name, dims[0]);
    *shape = (struct dc_shape){.rank = (int)rank, .dims = {DC_BATCH}};
    for (int i = 1; i < (int)rank; i++) {
        const int64_t given = rank == 4 ? size_given(m, i, *channels_first ? 2 : 1) : 0;
        const int64_t size = dims[i] ? dims[i] : given;
        if (size < 1 || size > DC_IMPORT_ROW_MAX || (dims[i] && given && given != dims[i]))
            return dc_fail(error, DC_ERR_DATA,
                           "%s: dimension %d of the input '%s' is %" PRId64 "; %s", m->path, i,
                           input->name, dims[i],
                           dims[i] ? "another is asked for" : "height and width must be given");
        shape->dims[!*channels_first ? i : i == 1 ? (int)rank - 1 : i - 1] = size;
    }
    return dc__import_check_size(shape, error);
}

enum dc_status dc__onnx_add_input(struct dc_import *m, struct dc_imported *onnx,
                                  struct dc_error *error)
{
    const Onnx__GraphProto *graph = m->model->graph;
    const Onnx__ValueInfoProto *input = NULL;
    for (size_t i = 0; i < graph->n_input; i++) {
        struct dc_onnx_value *v = dc__onnx_find(m, graph->input[i]->name);
        if (!v->needed || v->kind == DC_VALUE_CONSTANT)
            continue;
        if (input)
            return dc_fail(error, DC_ERR_DATA, "%s: two inputs, '%s' and '%s'; one is needed",
                           m->path, input->name, graph->input[i]->name);
        input = graph->input[i];
    }
    if (!input)
        return dc_fail(error, DC_ERR_DATA, "%s: the output depends on no input", m->path);
    struct dc_onnx_value *v = dc__onnx_find(m, input->name);
    struct dc_shape shape;
    bool channels_first = false;
    DC_TRY(input_shape(m, input, &shape, &channels_first, error));
    const char *name = dc__import_name(m->graph, m->arena, input->name, error);
    if (!name)
        return DC_ERR_MEMORY;
    DC_TRY(dc_graph_add_input(m->graph, name, DC_F32, &shape, &v->node, error));
    v->kind = DC_VALUE_GRAPH;
    v->view = channels_first ? dc__onnx_channels_last(shape.rank) : dc__onnx_plain(shape.rank);
    onnx->sample.rank = shape.rank - 1;
    memcpy(onnx->sample.dims, shape.dims + 1, sizeof *shape.dims * (size_t)(shape.rank - 1));
    onnx->input_name = input->name;
    onnx->channels_first = channels_first;
    return DC_OK;
}

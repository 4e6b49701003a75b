// Owns the keys of layers and how they become ops' attributes. Padding by name is resolved here:
// `same` is TensorFlow's (the extra row or column after), a number is PyTorch's.

#include "run/layer.h"

#include <assert.h>
#include <string.h>

#include "core/ops/ops.h"

enum { PADDING_EXPLICIT, PADDING_SAME, PADDING_VALID };

struct padding {
    int kind;
    int top, bottom, left, right;
};

struct window_layer {  // conv, depthwise_conv and pooling
    struct dc_layer_common common;
    int64_t filters, multiplier, groups;
    struct dc_numbers kernel, stride, dilation;
    struct padding padding;
    bool bias, count_padding;
};

struct plain_layer {  // all others
    struct dc_layer_common common;
    int64_t units, axis, begin, end, step, before, after;
    double epsilon, momentum, rate;
    struct dc_numbers shape;
    struct padding padding;
    bool bias;
};

static_assert(sizeof(struct window_layer) <= DC_LAYER_BYTES, "a layer fits its buffer");
static_assert(sizeof(struct plain_layer) <= DC_LAYER_BYTES, "a layer fits its buffer");

static enum dc_status decode_padding(const struct dc_decoder *decoder, void *field,
                                     const struct dc_yaml *node, struct dc_error *error)
{
    struct padding *padding = field;
    *padding = (struct padding){0};
    if (node->kind == DC_YAML_SCALAR &&
        (strcmp(node->text, "same") == 0 || strcmp(node->text, "valid") == 0)) {
        padding->kind = node->text[0] == 's' ? PADDING_SAME : PADDING_VALID;
        return DC_OK;
    }
    const int count = node->kind == DC_YAML_SCALAR ? 1 : node->count;
    double sides[4];
    if (node->kind == DC_YAML_MAPPING || (count != 1 && count != 4))
        return dc_fail_yaml(error, node,
                            "padding is same, valid, a number, or "
                            "[top, bottom, left, right]");
    for (int i = 0; i < count; i++) {
        const struct dc_yaml *item = node->kind == DC_YAML_SCALAR ? node : node->items[i];
        const char *problem = NULL;
        if (item->kind != DC_YAML_SCALAR ||
            !dc_expression(&sides[i], item->text, decoder->variables, &problem) || sides[i] < 0 ||
            sides[i] > 1024)
            return dc_fail_yaml(error, item,
                                "padding is same, valid, a number from 0 to 1024, or "
                                "four of them");
    }
    padding->top = (int)sides[0];
    padding->bottom = (int)sides[count == 4 ? 1 : 0];
    padding->left = (int)sides[count == 4 ? 2 : 0];
    padding->right = (int)sides[count == 4 ? 3 : 0];
    return DC_OK;
}

#define COMMON(layer_struct)                                                                       \
    {.key = "name",                                                                                \
     .type = DC_FIELD_TEXT,                                                                        \
     .offset = offsetof(struct layer_struct, common.name),                                         \
     .fallback = "",                                                                               \
     .help = "name of the layer"},                                                                 \
        {.key = "from",                                                                            \
         .type = DC_FIELD_TEXTS,                                                                   \
         .offset = offsetof(struct layer_struct, common.from),                                     \
         .fallback = "[]",                                                                         \
         .help = "layers it reads; default: the one before"},                                      \
    {                                                                                              \
        .key = "when", .type = DC_FIELD_BOOL,                                                      \
        .offset = offsetof(struct layer_struct, common.when), .fallback = "true",                  \
        .help = "the layer is left out where this is 0"                                            \
    }

#define WINDOW(member) offsetof(struct window_layer, member)
#define PLAIN(member)  offsetof(struct plain_layer, member)

#define FIELD_PADDING(place, value)                                                                \
    {                                                                                              \
        .key = "padding", .type = DC_FIELD_CUSTOM, .offset = (place), .fallback = (value),         \
        .decode = decode_padding, .help = "same, valid, a number, or [top, bottom, left, right]"   \
    }
#define FIELD_SIZE(label, place, value, text)                                                      \
    {                                                                                              \
        .key = (label), .type = DC_FIELD_NUMBERS, .offset = (place), .fallback = (value),          \
        .minimum = 1, .maximum = 1024, .help = (text)                                              \
    }

static const struct dc_field conv_fields[] = {
    COMMON(window_layer),
    {.key = "filters",
     .type = DC_FIELD_INT,
     .offset = WINDOW(filters),
     .minimum = 1,
     .maximum = 65536,
     .help = "output channels"},
    FIELD_SIZE("kernel", WINDOW(kernel), NULL, "kernel size, or [height, width]"),
    FIELD_SIZE("stride", WINDOW(stride), "1", "stride, or [vertical, horizontal]"),
    FIELD_SIZE("dilation", WINDOW(dilation), "1", "distance of the kernel's taps"),
    {.key = "groups",
     .type = DC_FIELD_INT,
     .offset = WINDOW(groups),
     .fallback = "1",
     .minimum = 1,
     .maximum = 65536,
     .help = "groups of channels"},
    FIELD_PADDING(WINDOW(padding), "valid"),
    {.key = "bias",
     .type = DC_FIELD_BOOL,
     .offset = WINDOW(bias),
     .fallback = "true",
     .help = "add a bias; false before batch_norm"},
};
static const struct dc_field depthwise_fields[] = {
    COMMON(window_layer),
    {.key = "multiplier",
     .type = DC_FIELD_INT,
     .offset = WINDOW(multiplier),
     .fallback = "1",
     .minimum = 1,
     .maximum = 64,
     .help = "output channels an input channel"},
    FIELD_SIZE("kernel", WINDOW(kernel), NULL, "kernel size, or [height, width]"),
    FIELD_SIZE("stride", WINDOW(stride), "1", "stride, or [vertical, horizontal]"),
    FIELD_SIZE("dilation", WINDOW(dilation), "1", "distance of the kernel's taps"),
    FIELD_PADDING(WINDOW(padding), "valid"),
    {.key = "bias",
     .type = DC_FIELD_BOOL,
     .offset = WINDOW(bias),
     .fallback = "true",
     .help = "add a bias; false before batch_norm"},
};
static const struct dc_field pool_fields[] = {
    COMMON(window_layer),
    FIELD_SIZE("kernel", WINDOW(kernel), NULL, "window size, or [height, width]"),
    FIELD_SIZE("stride", WINDOW(stride), "[]", "default: the window size"),
    FIELD_PADDING(WINDOW(padding), "valid"),
    {.key = "count_padding",
     .type = DC_FIELD_BOOL,
     .offset = WINDOW(count_padding),
     .fallback = "false",
     .help = "average pooling: padding counts as values of 0"},
};
static const struct dc_field dense_fields[] = {
    COMMON(plain_layer),
    {.key = "units",
     .type = DC_FIELD_INT,
     .offset = PLAIN(units),
     .minimum = 1,
     .maximum = 1048576,
     .help = "outputs"},
    {.key = "bias",
     .type = DC_FIELD_BOOL,
     .offset = PLAIN(bias),
     .fallback = "true",
     .help = "add a bias"},
};
static const struct dc_field batch_norm_fields[] = {
    COMMON(plain_layer),
    {.key = "epsilon",
     .type = DC_FIELD_REAL,
     .offset = PLAIN(epsilon),
     .fallback = "1e-5",
     .minimum = 1e-12,
     .maximum = 1,
     .help = "added to the variance"},
    {.key = "momentum",
     .type = DC_FIELD_REAL,
     .offset = PLAIN(momentum),
     .fallback = "0.1",
     .minimum = 0,
     .maximum = 1,
     .help = "share of the batch in the running statistics"},
};
static const struct dc_field dropout_fields[] = {
    COMMON(plain_layer),
    {.key = "rate",
     .type = DC_FIELD_REAL,
     .offset = PLAIN(rate),
     .fallback = "0.5",
     .minimum = 0,
     .maximum = 0.99,
     .help = "share of values set to 0 in training"},
};
static const struct dc_field concat_fields[] = {
    COMMON(plain_layer),
    {.key = "axis",
     .type = DC_FIELD_INT,
     .offset = PLAIN(axis),
     .fallback = "-1",
     .minimum = -7,
     .maximum = 7,
     .help = "axis along which inputs are joined; -1: channels"},
};
static const struct dc_field slice_fields[] = {
    COMMON(plain_layer),
    {.key = "axis",
     .type = DC_FIELD_INT,
     .offset = PLAIN(axis),
     .fallback = "-1",
     .minimum = -7,
     .maximum = 7,
     .help = "axis that is cut; -1: channels"},
    {.key = "begin",
     .type = DC_FIELD_INT,
     .offset = PLAIN(begin),
     .fallback = "0",
     .minimum = 0,
     .maximum = 1e9,
     .help = "first index"},
    {.key = "end",
     .type = DC_FIELD_INT,
     .offset = PLAIN(end),
     .minimum = 1,
     .maximum = 1e9,
     .help = "index behind the last"},
    {.key = "step",
     .type = DC_FIELD_INT,
     .offset = PLAIN(step),
     .fallback = "1",
     .minimum = 1,
     .maximum = 1e6,
     .help = "distance of the indices kept"},
};
static const struct dc_field reshape_fields[] = {
    COMMON(plain_layer),
    {.key = "shape",
     .type = DC_FIELD_NUMBERS,
     .offset = PLAIN(shape),
     .minimum = -1,
     .maximum = 1e9,
     .help = "new dimensions without the batch; one may be -1"},
};
static const struct dc_field pad_fields[] = {
    COMMON(plain_layer),
    FIELD_PADDING(PLAIN(padding), "0"),
    {.key = "channels_before",
     .type = DC_FIELD_INT,
     .offset = PLAIN(before),
     .fallback = "0",
     .minimum = 0,
     .maximum = 65536,
     .help = "channels of zeros before the input's"},
    {.key = "channels_after",
     .type = DC_FIELD_INT,
     .offset = PLAIN(after),
     .fallback = "0",
     .minimum = 0,
     .maximum = 65536,
     .help = "channels of zeros after the input's"},
};
static const struct dc_field bare_fields[] = {COMMON(plain_layer)};

static int pick(const struct dc_numbers *numbers, int i, int fallback)
{
    return numbers->count == 0 ? fallback : (int)numbers->items[i < numbers->count ? i : 0];
}

static void same_padding(int *before, int *after, int64_t in, int kernel, int stride, int dilation)
{
    const int64_t out = (in + stride - 1) / stride;
    const int64_t total = (out - 1) * stride + (int64_t)(kernel - 1) * dilation + 1 - in;
    *before = total > 0 ? (int)(total / 2) : 0;
    *after = total > 0 ? (int)(total - total / 2) : 0;
}

// Four explicit numbers for the input at hand.
static struct padding resolve_padding(const struct window_layer *layer, const struct dc_shape *in)
{
    struct padding p = layer->padding;
    if (p.kind == PADDING_SAME && in->rank == 4) {
        const int kernel_h = pick(&layer->kernel, 0, 1), kernel_w = pick(&layer->kernel, 1, 1);
        same_padding(&p.top, &p.bottom, in->dims[1], kernel_h, pick(&layer->stride, 0, kernel_h),
                     pick(&layer->dilation, 0, 1));
        same_padding(&p.left, &p.right, in->dims[2], kernel_w, pick(&layer->stride, 1, kernel_w),
                     pick(&layer->dilation, 1, 1));
    }
    return p;
}

static enum dc_status build_conv(struct dc_graph *graph, const char *name, const void *layer,
                                 const int *inputs, int count, int *node, struct dc_error *error)
{
    const struct window_layer *l = layer;
    const struct dc_shape *in = &graph->nodes[inputs[0]].shape;
    const struct padding p = resolve_padding(l, in);
    const int channels = (int)in->dims[in->rank - 1];
    const struct dc_conv_attributes a = {
        .filters = l->multiplier ? channels * (int)l->multiplier : (int)l->filters,
        .kernel_h = pick(&l->kernel, 0, 1),
        .kernel_w = pick(&l->kernel, 1, 1),
        .stride_h = pick(&l->stride, 0, 1),
        .stride_w = pick(&l->stride, 1, 1),
        .dilation_h = pick(&l->dilation, 0, 1),
        .dilation_w = pick(&l->dilation, 1, 1),
        .groups = l->multiplier ? channels : (int)l->groups,
        .pad_top = p.top,
        .pad_bottom = p.bottom,
        .pad_left = p.left,
        .pad_right = p.right,
        .bias = l->bias,
    };
    return dc_graph_add(graph, name, &dc_op_conv, &a, sizeof a, inputs, count, node, error);
}

static enum dc_status add_pool(struct dc_graph *graph, const char *name, const struct dc_op *op,
                               const void *layer, const int *inputs, int count, int *node,
                               struct dc_error *error)
{
    const struct window_layer *l = layer;
    const struct padding p = resolve_padding(l, &graph->nodes[inputs[0]].shape);
    const int kernel_h = pick(&l->kernel, 0, 1), kernel_w = pick(&l->kernel, 1, 1);
    const struct dc_pool_attributes a = {
        .kernel_h = kernel_h,
        .kernel_w = kernel_w,
        .stride_h = pick(&l->stride, 0, kernel_h),
        .stride_w = pick(&l->stride, 1, kernel_w),
        .pad_top = p.top,
        .pad_bottom = p.bottom,
        .pad_left = p.left,
        .pad_right = p.right,
        .count_padding = l->count_padding,
    };
    return dc_graph_add(graph, name, op, &a, sizeof a, inputs, count, node, error);
}

static enum dc_status build_max_pool(struct dc_graph *graph, const char *name, const void *layer,
                                     const int *inputs, int count, int *node,
                                     struct dc_error *error)
{
    return add_pool(graph, name, &dc_op_max_pool, layer, inputs, count, node, error);
}

static enum dc_status build_average_pool(struct dc_graph *graph, const char *name,
                                         const void *layer, const int *inputs, int count, int *node,
                                         struct dc_error *error)
{
    return add_pool(graph, name, &dc_op_average_pool, layer, inputs, count, node, error);
}

static enum dc_status build_dense(struct dc_graph *graph, const char *name, const void *layer,
                                  const int *inputs, int count, int *node, struct dc_error *error)
{
    const struct plain_layer *l = layer;
    const struct dc_dense_attributes a = {.units = (int)l->units, .bias = l->bias};
    return dc_graph_add(graph, name, &dc_op_dense, &a, sizeof a, inputs, count, node, error);
}

static enum dc_status build_batch_norm(struct dc_graph *graph, const char *name, const void *layer,
                                       const int *inputs, int count, int *node,
                                       struct dc_error *error)
{
    const struct plain_layer *l = layer;
    const struct dc_batch_norm_attributes a = {.epsilon = (float)l->epsilon,
                                               .momentum = (float)l->momentum};
    return dc_graph_add(graph, name, &dc_op_batch_norm, &a, sizeof a, inputs, count, node, error);
}

static enum dc_status build_dropout(struct dc_graph *graph, const char *name, const void *layer,
                                    const int *inputs, int count, int *node, struct dc_error *error)
{
    const struct plain_layer *l = layer;
    const struct dc_dropout_attributes a = {.rate = (float)l->rate};
    return dc_graph_add(graph, name, &dc_op_dropout, &a, sizeof a, inputs, count, node, error);
}

static enum dc_status build_concat(struct dc_graph *graph, const char *name, const void *layer,
                                   const int *inputs, int count, int *node, struct dc_error *error)
{
    const struct plain_layer *l = layer;
    const struct dc_concat_attributes a = {.axis = (int)l->axis};
    return dc_graph_add(graph, name, &dc_op_concat, &a, sizeof a, inputs, count, node, error);
}

static enum dc_status build_slice(struct dc_graph *graph, const char *name, const void *layer,
                                  const int *inputs, int count, int *node, struct dc_error *error)
{
    const struct plain_layer *l = layer;
    const struct dc_slice_attributes a = {(int)l->axis, l->begin, l->end, l->step};
    return dc_graph_add(graph, name, &dc_op_slice, &a, sizeof a, inputs, count, node, error);
}

static enum dc_status build_reshape(struct dc_graph *graph, const char *name, const void *layer,
                                    const int *inputs, int count, int *node, struct dc_error *error)
{
    const struct plain_layer *l = layer;
    struct dc_reshape_attributes a = {.rank = l->shape.count};
    for (int i = 0; i < l->shape.count && i < DC_RANK_MAX - 1; i++)
        a.dims[i] = (int64_t)l->shape.items[i];
    return dc_graph_add(graph, name, &dc_op_reshape, &a, sizeof a, inputs, count, node, error);
}

static enum dc_status build_pad(struct dc_graph *graph, const char *name, const void *layer,
                                const int *inputs, int count, int *node, struct dc_error *error)
{
    const struct plain_layer *l = layer;
    const struct padding *p = &l->padding;
    const struct dc_pad_attributes a = {p->top,   p->bottom,      p->left,
                                        p->right, (int)l->before, (int)l->after};
    return dc_graph_add(graph, name, &dc_op_pad, &a, sizeof a, inputs, count, node, error);
}

#define BARE(op)                                                                                   \
    static enum dc_status build_##op(struct dc_graph *graph, const char *name, const void *layer,  \
                                     const int *inputs, int count, int *node,                      \
                                     struct dc_error *error)                                       \
    {                                                                                              \
        (void)layer;                                                                               \
        return dc_graph_add(graph, name, &dc_op_##op, NULL, 0, inputs, count, node, error);        \
    }
BARE(relu)
BARE(relu6)
BARE(sigmoid)
BARE(tanh)
BARE(h_swish)
BARE(add)
BARE(global_average_pool)
BARE(flatten)
BARE(softmax)

static const struct dc_schema conv_schema = DC_SCHEMA("conv", conv_fields);
static const struct dc_schema depthwise_schema = DC_SCHEMA("depthwise_conv", depthwise_fields);
static const struct dc_schema pool_schema = DC_SCHEMA("pool", pool_fields);
static const struct dc_schema dense_schema = DC_SCHEMA("dense", dense_fields);
static const struct dc_schema batch_norm_schema = DC_SCHEMA("batch_norm", batch_norm_fields);
static const struct dc_schema dropout_schema = DC_SCHEMA("dropout", dropout_fields);
static const struct dc_schema concat_schema = DC_SCHEMA("concat", concat_fields);
static const struct dc_schema slice_schema = DC_SCHEMA("slice", slice_fields);
static const struct dc_schema reshape_schema = DC_SCHEMA("reshape", reshape_fields);
static const struct dc_schema pad_schema = DC_SCHEMA("pad", pad_fields);
static const struct dc_schema bare_schema = DC_SCHEMA("layer", bare_fields);

static const struct dc_layer_kind kinds[] = {
    {"conv", &conv_schema, build_conv},
    {"depthwise_conv", &depthwise_schema, build_conv},
    {"max_pool", &pool_schema, build_max_pool},
    {"average_pool", &pool_schema, build_average_pool},
    {"dense", &dense_schema, build_dense},
    {"batch_norm", &batch_norm_schema, build_batch_norm},
    {"dropout", &dropout_schema, build_dropout},
    {"concat", &concat_schema, build_concat},
    {"slice", &slice_schema, build_slice},
    {"reshape", &reshape_schema, build_reshape},
    {"pad", &pad_schema, build_pad},
    {"relu", &bare_schema, build_relu},
    {"relu6", &bare_schema, build_relu6},
    {"sigmoid", &bare_schema, build_sigmoid},
    {"tanh", &bare_schema, build_tanh},
    {"h_swish", &bare_schema, build_h_swish},
    {"add", &bare_schema, build_add},
    {"global_average_pool", &bare_schema, build_global_average_pool},
    {"flatten", &bare_schema, build_flatten},
    {"softmax", &bare_schema, build_softmax},
};

const struct dc_layer_kind *dc_layer_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

int dc_layer_names(const char *names[], int capacity)
{
    int count = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && count < capacity; i++)
        names[count++] = kinds[i].name;
    return count;
}

// Owns the keys of layers and how they become ops' attributes. Padding by name is resolved here:
// `same` is TensorFlow's (the extra row or column after), a number is PyTorch's.

#include "run/layer.h"

#include <math.h>
#include <string.h>

#include "core/ops/ops.h"

static enum dc_status decode_padding(const struct dc_decoder *decoder, void *field,
                                     const struct dc_yaml *node, struct dc_error *error)
{
    struct dc_padding *padding = field;
    const bool word = node->kind == DC_YAML_SCALAR;
    *padding = (struct dc_padding){0};
    if (word && strcmp(node->text, "same") == 0)
        padding->kind = DC_PADDING_SAME;
    if (word && (strcmp(node->text, "same") == 0 || strcmp(node->text, "valid") == 0))
        return DC_OK;
    const int count = word ? 1 : node->count;
    double sides[4] = {0};
    bool good = node->kind != DC_YAML_MAPPING && (count == 1 || count == 4);
    for (int i = 0; good && i < count; i++) {
        const struct dc_yaml *item = word ? node : node->items[i];
        const char *problem;
        good = item->kind == DC_YAML_SCALAR &&
               dc_expression(&sides[i], item->text, decoder->variables, &problem) &&
               sides[i] >= 0 && sides[i] <= 1024 && sides[i] == rint(sides[i]);
    }
    if (!good)
        return dc_fail_yaml(error, node,
                            "padding is same, valid, a whole number from 0 to 1024, or "
                            "[top, bottom, left, right]");
    const int step = count == 4;
    padding->top = (int)sides[0];
    padding->bottom = (int)sides[step];
    padding->left = (int)sides[2 * step];
    padding->right = (int)sides[3 * step];
    return DC_OK;
}

#define KEY(k, t, m, d, low, high, h)                                                              \
    DC_FIELD(dc_layer, k, t, m, d, .minimum = (low), .maximum = (high), .help = (h))

#define PAIR(k, m, d, h)                                                                           \
    DC_FIELD(dc_layer, k, INTEGERS, m, d, .minimum = 1, .maximum = 1024, .most = 2, .help = (h))

// The first three are every layer's.
static const struct dc_field keys[] = {
    KEY("name", TEXT, name, "", 0, 0, "name of the layer"),
    KEY("from", TEXTS, from, "[]", 0, 0, "layers it reads; default: the one before"),
    KEY("when", BOOL, when, "true", 0, 0, "the layer is left out where this is 0"),
    KEY("filters", INT, filters, NULL, 1, 65536, "output channels"),
    PAIR("kernel", kernel, NULL, "window size, or [height, width]"),
    PAIR("stride", stride, "[]",
         "stride, or [vertical, horizontal]; default 1, of pooling the window's size"),
    PAIR("dilation", dilation, "1", "distance of the kernel's taps"),
    KEY("groups", INT, groups, "1", 1, 65536, "groups of channels"),
    KEY("multiplier", INT, multiplier, "1", 1, 64, "output channels an input channel"),
    DC_FIELD(dc_layer, "padding", CUSTOM, padding, "valid", .decode = decode_padding,
             .help = "same, valid, a number, or [top, bottom, left, right]"),
    KEY("channels_before", INT, channels_before, "0", 0, 65536, "channels of zeros"),
    KEY("channels_after", INT, channels_after, "0", 0, 65536, "channels of zeros"),
    KEY("bias", BOOL, bias, "true", 0, 0, "add a bias; false before batch_norm"),
    KEY("count_padding", BOOL, count_padding, "false", 0, 0,
        "average pooling: padding counts as values of 0"),
    KEY("units", INT, units, NULL, 1, 1048576, "outputs"),
    KEY("epsilon", REAL, epsilon, "1e-5", 1e-12, 1, "added to the variance"),
    KEY("momentum", REAL, momentum, "0.1", 0, 1, "share of the batch in the running statistics"),
    KEY("rate", REAL, rate, "0.5", 0, 0.99, "share of values set to 0 in training"),
    KEY("axis", INT, axis, "-1", -7, 7, "axis; -1: channels"),
    KEY("begin", INT, begin, "0", 0, 1e9, "first index"),
    KEY("end", INT, end, NULL, 1, 1e9, "index behind the last"),
    KEY("step", INT, step, "1", 1, 1e6, "distance of the indices kept"),
    KEY("shape", INTEGERS, shape, NULL, -1, 1e9, "new dimensions without the batch; one may be -1"),
};
enum { KEYS = sizeof keys / sizeof keys[0], COMMON_KEYS = 3 };

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
static struct dc_padding resolve_padding(const struct dc_layer *l, const struct dc_shape *in,
                                         const int kernel[2], const int stride[2])
{
    struct dc_padding p = l->padding;
    if (p.kind == DC_PADDING_SAME && in->rank == 4) {
        same_padding(&p.top, &p.bottom, in->dims[1], kernel[0], stride[0],
                     pick(&l->dilation, 0, 1));
        same_padding(&p.left, &p.right, in->dims[2], kernel[1], stride[1],
                     pick(&l->dilation, 1, 1));
    }
    return p;
}

// Attributes of whichever op a layer becomes.
union attributes {
    struct dc_conv_attributes conv;
    struct dc_pool_attributes pool;
    struct dc_dense_attributes dense;
    struct dc_batch_norm_attributes batch_norm;
    struct dc_dropout_attributes dropout;
    struct dc_concat_attributes concat;
    struct dc_slice_attributes slice;
    struct dc_reshape_attributes reshape;
    struct dc_pad_attributes pad;
};

static bool takes(const struct dc_layer_kind *kind, const char *key)
{
    const size_t length = strlen(key);
    for (const char *at = kind->keys; (at = strstr(at, key)); at += length)
        if ((at == kind->keys || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static void fill_conv(struct dc_conv_attributes *a, const struct dc_layer_kind *kind,
                      const struct dc_layer *l, const struct dc_shape *in, const int kernel[2],
                      const int stride[2], const struct dc_padding *p)
{
    const int channels = (int)in->dims[in->rank - 1];
    const int64_t multiplied = channels * l->multiplier;
    const bool depthwise = takes(kind, "multiplier");
    *a = (struct dc_conv_attributes){
        .filters = (int)(!depthwise               ? l->filters
                         : multiplied < INT32_MAX ? multiplied
                                                  : INT32_MAX),
        .kernel_h = kernel[0],
        .kernel_w = kernel[1],
        .stride_h = stride[0],
        .stride_w = stride[1],
        .dilation_h = pick(&l->dilation, 0, 1),
        .dilation_w = pick(&l->dilation, 1, 1),
        .groups = depthwise ? channels : (int)l->groups,
        .pad_top = p->top,
        .pad_bottom = p->bottom,
        .pad_left = p->left,
        .pad_right = p->right,
        .bias = l->bias,
    };
}

// For an input of this shape.
static void fill(union attributes *a, const struct dc_layer_kind *kind, const struct dc_layer *l,
                 const struct dc_shape *in)
{
    const struct dc_op *op = kind->op;
    const bool pools = op == &dc_op_max_pool || op == &dc_op_average_pool;
    const int kernel[2] = {pick(&l->kernel, 0, 1), pick(&l->kernel, 1, 1)};
    const int stride[2] = {pick(&l->stride, 0, pools ? kernel[0] : 1),
                           pick(&l->stride, 1, pools ? kernel[1] : 1)};
    const struct dc_padding p = resolve_padding(l, in, kernel, stride);
    if (op == &dc_op_conv) {
        fill_conv(&a->conv, kind, l, in, kernel, stride, &p);
    } else if (pools) {
        a->pool = (struct dc_pool_attributes){
            kernel[0], kernel[1],        stride[0], stride[1], p.top, p.bottom, p.left,
            p.right,   l->count_padding, 0,         0,         0,     0};
    } else if (op == &dc_op_dense) {
        a->dense = (struct dc_dense_attributes){(int)l->units, l->bias};
    } else if (op == &dc_op_batch_norm) {
        a->batch_norm = (struct dc_batch_norm_attributes){(float)l->epsilon, (float)l->momentum};
    } else if (op == &dc_op_dropout) {
        a->dropout.rate = (float)l->rate;
    } else if (op == &dc_op_concat) {
        a->concat.axis = (int)l->axis;
    } else if (op == &dc_op_slice) {
        a->slice = (struct dc_slice_attributes){(int)l->axis, l->begin, l->end, l->step};
    } else if (op == &dc_op_pad) {
        a->pad = (struct dc_pad_attributes){
            p.top, p.bottom, p.left, p.right, (int)l->channels_before, (int)l->channels_after};
    } else if (op == &dc_op_reshape) {
        a->reshape.rank = l->shape.count;
        for (int i = 0; i < l->shape.count && i < DC_RANK_MAX - 1; i++)
            a->reshape.dims[i] = (int64_t)l->shape.items[i];
    }
}

static const struct dc_layer_kind kinds[] = {
    {"conv", &dc_op_conv, "filters kernel stride dilation groups padding bias"},
    {"depthwise_conv", &dc_op_conv, "multiplier kernel stride dilation padding bias"},
    {"max_pool", &dc_op_max_pool, "kernel stride padding"},
    {"average_pool", &dc_op_average_pool, "kernel stride padding count_padding"},
    {"dense", &dc_op_dense, "units bias"},
    {"batch_norm", &dc_op_batch_norm, "epsilon momentum"},
    {"dropout", &dc_op_dropout, "rate"},
    {"concat", &dc_op_concat, "axis"},
    {"slice", &dc_op_slice, "axis begin end step"},
    {"reshape", &dc_op_reshape, "shape"},
    {"pad", &dc_op_pad, "padding channels_before channels_after"},
    {"relu", &dc_op_relu, ""},
    {"relu6", &dc_op_relu6, ""},
    {"sigmoid", &dc_op_sigmoid, ""},
    {"tanh", &dc_op_tanh, ""},
    {"h_swish", &dc_op_h_swish, ""},
    {"add", &dc_op_add, ""},
    {"global_average_pool", &dc_op_global_average_pool, ""},
    {"flatten", &dc_op_flatten, ""},
    {"softmax", &dc_op_softmax, ""},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

const struct dc_layer_kind *dc_layer_find(const char *name)
{
    for (int i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

int dc_layer_names(const char *names[], int capacity)
{
    int count = 0;
    for (int i = 0; i < KINDS && count < capacity; i++)
        names[count++] = kinds[i].name;
    return count;
}

enum dc_status dc_layer_decode(struct dc_layer *layer, const struct dc_layer_kind *kind,
                               const struct dc_yaml *body, const struct dc_decoder *decoder,
                               struct dc_error *error)
{
    struct dc_field fields[KEYS];
    struct dc_schema schema = {kind->name, fields, 0};
    char label[64];
    for (int i = 0; i < KEYS; i++)
        if (i < COMMON_KEYS || takes(kind, keys[i].key))
            fields[schema.count++] = keys[i];
    snprintf(label, sizeof label, "layer '%s'", kind->name);
    *layer = (struct dc_layer){0};
    DC_TRY(dc_schema_defaults(&schema, layer, decoder, error));
    return dc_schema_decode(&schema, layer, body, label, true, decoder, error);
}

enum dc_status dc_layer_add(struct dc_graph *graph, const char *name,
                            const struct dc_layer_kind *kind, const struct dc_layer *layer,
                            const int *inputs, int count, int *node, struct dc_error *error)
{
    union attributes attributes = {0};
    const struct dc_shape *in = &graph->nodes[inputs[0]].shape;
    char text[DC_SHAPE_TEXT];
    if (kind->op == &dc_op_dense && in->rank == 4)
        return dc_fail(error, DC_ERR_CONFIG,
                       "layer '%s': dense on the image %s; put a flatten or a pooling before it, "
                       "or take a 1x1 convolution",
                       name, dc_shape_text(text, in));
    fill(&attributes, kind, layer, in);
    // what a kind has no keys for is the op's own default
    const bool plain = kind->keys[0] == '\0';
    return dc_graph_add(graph, name, kind->op, plain ? NULL : &attributes,
                        plain ? 0 : kind->op->attribute_bytes, inputs, count, node, error);
}

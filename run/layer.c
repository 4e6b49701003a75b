// Owns the kinds of layers: the keys of each, and how they become an op's attributes. Padding by
// name is resolved here: `same` is TensorFlow's (the extra row or column after), a number is
// PyTorch's.
//
// A new layer is a row in `kinds`; where its keys are its op's attributes, nothing else.

#include "run/layer.h"

#include <assert.h>
#include <math.h>
#include <stdalign.h>
#include <stddef.h>
#include <string.h>

#include "core/ops/ops.h"

struct padding {
    enum { PADDING_EXPLICIT, PADDING_SAME } kind;
    int top, bottom, left, right;
};

static enum dc_status decode_padding(const struct dc_decoder *decoder, void *field,
                                     const struct dc_yaml *node, struct dc_error *error)
{
    struct padding *padding = field;
    const bool word = node->kind == DC_YAML_SCALAR;
    *padding = (struct padding){0};
    if (word && strcmp(node->text, "same") == 0)
        padding->kind = PADDING_SAME;
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
    static const char *const words[] = {"same", "valid"};
    char hint[DC_HINT] = "";
    if (!good)
        return dc_fail_yaml(error, node,
                            "padding is same, valid, a whole number from 0 to 1024, or "
                            "[top, bottom, left, right]%s",
                            word ? dc_did_you_mean(hint, node->text, words, 2) : "");
    const int step = count == 4;
    padding->top = (int)sides[0];
    padding->bottom = (int)sides[step];
    padding->left = (int)sides[2 * step];
    padding->right = (int)sides[3 * step];
    return DC_OK;
}

static int pick(const struct dc_numbers *numbers, int i, int fallback)
{
    return numbers->count == 0 ? fallback : (int)numbers->items[i < numbers->count ? i : 0];
}

// The window of a convolution or a pool, as it is stated: a pair may be one number, or absent.
struct window_keys {
    struct dc_numbers kernel, stride, dilation;
    struct padding padding;
};

// For an input at hand. default_stride NULL: the kernel's.
static struct dc_window resolve_window(const struct window_keys *keys, const int default_stride[2],
                                       const struct dc_shape *in)
{
    const struct padding *p = &keys->padding;
    struct dc_window w = {.before = {p->top, p->left}, .after = {p->bottom, p->right}};
    for (int i = 0; i < 2; i++) {
        w.kernel[i] = pick(&keys->kernel, i, 1);
        w.stride[i] = pick(&keys->stride, i, default_stride ? default_stride[i] : w.kernel[i]);
        w.dilation[i] = pick(&keys->dilation, i, 1);
        if (p->kind == PADDING_SAME && in->rank == 4)
            dc_window_pad_same(&w, i, in->dims[1 + i], false);
    }
    return w;
}

#define KEY(owner, key, type, standard, low, high, help_)                                          \
    DC_FIELD(owner, #key, type, key, standard, .minimum = (low), .maximum = (high), .help = (help_))
#define PAIR(owner, member, key, standard, help_)                                                  \
    DC_FIELD(owner, key, INTEGERS, member, standard, .minimum = 1, .maximum = 1024, .most = 2,     \
             .help = (help_))
#define PADDING(owner, member)                                                                     \
    DC_FIELD(owner, "padding", CUSTOM, member, "valid", .decode = decode_padding,                  \
             .help = "same, valid, a number, or [top, bottom, left, right]")
#define BIAS_HELP "add a bias; false before batch_norm"

struct conv_keys {
    struct window_keys window;
    int filters, multiplier,
        groups;  // multiplier: of depthwise convolutions, which have no filters
    bool bias;
};

static void fill_conv(void *attributes, const void *keys, const struct dc_shape *in)
{
    static const int one[2] = {1, 1};
    const struct conv_keys *k = keys;
    const int channels = (int)in->dims[in->rank - 1];
    const int64_t multiplied = (int64_t)channels * k->multiplier;
    const bool depthwise = k->filters == 0;
    *(struct dc_conv_attributes *)attributes = (struct dc_conv_attributes){
        .filters = !depthwise               ? k->filters
                   : multiplied < INT32_MAX ? (int)multiplied
                                            : INT32_MAX,
        .window = resolve_window(&k->window, one, in),
        .groups = depthwise ? channels : k->groups,
        .bias = k->bias,
    };
}

static const struct dc_field conv_fields[] = {
    KEY(conv_keys, filters, INT32, NULL, 1, 65536, "output channels"),
    KEY(conv_keys, groups, INT32, "1", 1, 65536, "groups of channels"),
    PAIR(conv_keys, window.kernel, "kernel", NULL, "window size, or [height, width]"),
    PAIR(conv_keys, window.stride, "stride", "1", "stride, or [vertical, horizontal]"),
    PAIR(conv_keys, window.dilation, "dilation", "1", "distance of the kernel's taps"),
    PADDING(conv_keys, window.padding),
    KEY(conv_keys, bias, BOOL, "true", 0, 0, BIAS_HELP),
};
static const struct dc_field depthwise_fields[] = {
    KEY(conv_keys, multiplier, INT32, "1", 1, 64, "output channels an input channel"),
    PAIR(conv_keys, window.kernel, "kernel", NULL, "window size, or [height, width]"),
    PAIR(conv_keys, window.stride, "stride", "1", "stride, or [vertical, horizontal]"),
    PAIR(conv_keys, window.dilation, "dilation", "1", "distance of the kernel's taps"),
    PADDING(conv_keys, window.padding),
    KEY(conv_keys, bias, BOOL, "true", 0, 0, BIAS_HELP),
};

struct pool_keys {
    struct window_keys window;
    bool count_padding;
};

static void fill_pool(void *attributes, const void *keys, const struct dc_shape *in)
{
    const struct pool_keys *k = keys;
    *(struct dc_pool_attributes *)attributes = (struct dc_pool_attributes){
        .window = resolve_window(&k->window, NULL, in),
        .count_padding = k->count_padding,
    };
}

static const struct dc_field pool_fields[] = {
    PAIR(pool_keys, window.kernel, "kernel", NULL, "window size, or [height, width]"),
    PAIR(pool_keys, window.stride, "stride", "[]", "[vertical, horizontal]; default: the kernel's"),
    PADDING(pool_keys, window.padding),
    KEY(pool_keys, count_padding, BOOL, "false", 0, 0, "padding counts as values of 0"),
};
enum { MAX_POOL_FIELDS = sizeof pool_fields / sizeof pool_fields[0] - 1 };  // nothing to count

struct pad_keys {
    struct padding padding;
    int channels_before, channels_after;
};

static void fill_pad(void *attributes, const void *keys, const struct dc_shape *in)
{
    const struct pad_keys *k = keys;
    const struct padding *p = &k->padding;
    (void)in;
    *(struct dc_pad_attributes *)attributes = (struct dc_pad_attributes){
        p->top, p->bottom, p->left, p->right, k->channels_before, k->channels_after};
}

static const struct dc_field pad_fields[] = {
    PADDING(pad_keys, padding),
    KEY(pad_keys, channels_before, INT32, "0", 0, 65536, "channels of zeros"),
    KEY(pad_keys, channels_after, INT32, "0", 0, 65536, "channels of zeros"),
};

struct reshape_keys {
    struct dc_numbers shape;
};

static void fill_reshape(void *attributes, const void *keys, const struct dc_shape *in)
{
    const struct reshape_keys *k = keys;
    struct dc_reshape_attributes *a = attributes;
    (void)in;
    a->rank = k->shape.count;
    for (int i = 0; i < k->shape.count && i < DC_RANK_MAX - 1; i++)
        a->dims[i] = (int64_t)k->shape.items[i];
}

static const struct dc_field reshape_fields[] = {
    KEY(reshape_keys, shape, INTEGERS, NULL, -1, 1e9,
        "new dimensions without the batch; one may be -1"),
};
static const struct dc_field dense_fields[] = {
    KEY(dc_dense_attributes, units, INT32, NULL, 1, 1048576, "outputs"),
    KEY(dc_dense_attributes, bias, BOOL, "true", 0, 0, BIAS_HELP),
};
static const struct dc_field batch_norm_fields[] = {
    KEY(dc_batch_norm_attributes, epsilon, FLOAT, "1e-5", 1e-12, 1, "added to the variance"),
    KEY(dc_batch_norm_attributes, momentum, FLOAT, "0.1", 0, 1,
        "share of the batch in the running statistics"),
};
static const struct dc_field dropout_fields[] = {
    KEY(dc_dropout_attributes, rate, FLOAT, "0.5", 0, 0.99, "share of values set to 0 in training"),
};
static const struct dc_field leaky_relu_fields[] = {
    KEY(dc_leaky_relu_attributes, slope, FLOAT, "0.01", -16, 16, "factor of values below 0"),
};
static const struct dc_field hard_sigmoid_fields[] = {
    KEY(dc_hard_sigmoid_attributes, alpha, FLOAT, "0.16666667", 1e-6, 16, "slope"),
    KEY(dc_hard_sigmoid_attributes, beta, FLOAT, "0.5", -16, 16, "value at 0"),
};
static const struct dc_field elu_fields[] = {
    KEY(dc_elu_attributes, alpha, FLOAT, "1", 0, 16, "minus the value far below 0"),
};
static const struct dc_field concat_fields[] = {
    KEY(dc_concat_attributes, axis, INT32, "-1", -7, 7, "axis; -1: channels"),
};
static const struct dc_field slice_fields[] = {
    KEY(dc_slice_attributes, axis, INT32, "-1", -7, 7, "axis; -1: channels"),
    KEY(dc_slice_attributes, begin, INT, "0", 0, 1e9, "first index"),
    KEY(dc_slice_attributes, end, INT, NULL, 1, 1e9, "index behind the last"),
    KEY(dc_slice_attributes, step, INT, "1", 1, 1e6, "distance of the indices kept"),
};

static const struct dc_layer_kind kinds[] = {
    {"conv", "convolution", &dc_op_conv, DC_SCHEMA(NULL, conv_fields), sizeof(struct conv_keys),
     fill_conv},
    {"depthwise_conv", "convolution of each channel by itself", &dc_op_conv,
     DC_SCHEMA(NULL, depthwise_fields), sizeof(struct conv_keys), fill_conv},
    {"max_pool",
     "largest value of a window",
     &dc_op_max_pool,
     {NULL, pool_fields, MAX_POOL_FIELDS},
     sizeof(struct pool_keys),
     fill_pool},
    {"average_pool", "mean of a window", &dc_op_average_pool, DC_SCHEMA(NULL, pool_fields),
     sizeof(struct pool_keys), fill_pool},
    {"dense", "every output from every input", &dc_op_dense, DC_SCHEMA(NULL, dense_fields),
     sizeof(struct dc_dense_attributes), NULL},
    {"batch_norm", "mean 0 and deviation 1 of each channel over the batch, then scale and shift",
     &dc_op_batch_norm, DC_SCHEMA(NULL, batch_norm_fields), sizeof(struct dc_batch_norm_attributes),
     NULL},
    {"dropout", "drops values in training", &dc_op_dropout, DC_SCHEMA(NULL, dropout_fields),
     sizeof(struct dc_dropout_attributes), NULL},
    {"concat", "inputs side by side on one axis", &dc_op_concat, DC_SCHEMA(NULL, concat_fields),
     sizeof(struct dc_concat_attributes), NULL},
    {"slice", "a part of one axis", &dc_op_slice, DC_SCHEMA(NULL, slice_fields),
     sizeof(struct dc_slice_attributes), NULL},
    {"reshape", "other dimensions, the same values", &dc_op_reshape,
     DC_SCHEMA(NULL, reshape_fields), sizeof(struct reshape_keys), fill_reshape},
    {"pad", "zeros around an image, or beside its channels", &dc_op_pad,
     DC_SCHEMA(NULL, pad_fields), sizeof(struct pad_keys), fill_pad},
    {"leaky_relu", "max(x, 0) + slope min(x, 0)", &dc_op_leaky_relu,
     DC_SCHEMA(NULL, leaky_relu_fields), sizeof(struct dc_leaky_relu_attributes), NULL},
    {.name = "relu", .help = "max(x, 0)", .op = &dc_op_relu},
    {.name = "relu6", .help = "min(max(x, 0), 6)", .op = &dc_op_relu6},
    {.name = "sigmoid", .help = "1 / (1 + exp(-x))", .op = &dc_op_sigmoid},
    {.name = "tanh", .help = "hyperbolic tangent", .op = &dc_op_tanh},
    {.name = "h_swish", .help = "x relu6(x + 3) / 6", .op = &dc_op_h_swish},
    {"hard_sigmoid", "min(max(alpha x + beta, 0), 1)", &dc_op_hard_sigmoid,
     DC_SCHEMA(NULL, hard_sigmoid_fields), sizeof(struct dc_hard_sigmoid_attributes), NULL},
    {.name = "silu", .help = "x / (1 + exp(-x))", .op = &dc_op_silu},
    {.name = "gelu", .help = "x (1 + erf(x / sqrt 2)) / 2", .op = &dc_op_gelu},
    {"elu", "max(x, 0) + alpha (exp(min(x, 0)) - 1)", &dc_op_elu, DC_SCHEMA(NULL, elu_fields),
     sizeof(struct dc_elu_attributes), NULL},
    {.name = "softplus", .help = "ln(1 + exp(x))", .op = &dc_op_softplus},
    {.name = "multiply",
     .help = "product of two layers, value by value; of one it may have one row, column or channel",
     .op = &dc_op_multiply},
    {.name = "add", .help = "sum of two layers, value by value", .op = &dc_op_add},
    {.name = "global_average_pool",
     .help = "mean of each channel over all places",
     .op = &dc_op_global_average_pool},
    {.name = "flatten", .help = "an image as one row of values", .op = &dc_op_flatten},
    {.name = "softmax", .help = "probabilities over the last axis", .op = &dc_op_softmax},
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

static const struct dc_field common_fields[] = {
    DC_FIELD(dc_layer, "name", TEXT, name, "", .help = "name of the layer"),
    DC_FIELD(dc_layer, "from", TEXTS, from, "[]",
             .help = "layers it reads; default: the one before"),
    DC_FIELD(dc_layer, "when", BOOL, when, "true", .help = "the layer is left out where this is 0"),
};
static const struct dc_schema common = DC_SCHEMA("layer", common_fields);

const struct dc_schema *dc_layer_schema(void)
{
    return &common;
}

enum dc_status dc_layer_decode(struct dc_layer *layer, const struct dc_layer_kind *kind,
                               const struct dc_yaml *body, const struct dc_decoder *decoder,
                               struct dc_error *error)
{
    char label[64];
    snprintf(label, sizeof label, "layer '%s'", kind->name);
    *layer = (struct dc_layer){0};
    layer->keys = dc_arena_alloc(decoder->arena, kind->bytes + 1, error);  // zeroed
    if (!layer->keys)
        return DC_ERR_MEMORY;
    const struct dc_schema_part parts[] = {{&common, layer}, {&kind->keys, layer->keys}};
    for (int p = 0; p < 2; p++)
        DC_TRY(dc_schema_defaults(parts[p].schema, parts[p].base, decoder, error));
    return dc_schema_decode_parts(parts, 2, body, label, true, decoder, error);
}

enum dc_status dc_layer_add(struct dc_graph *graph, const char *name,
                            const struct dc_layer_kind *kind, const struct dc_layer *layer,
                            const int *inputs, int count, int *node, struct dc_error *error)
{
    alignas(max_align_t) char attributes[256] = {0};
    const struct dc_shape *in = &graph->nodes[inputs[0]].shape;
    char text[DC_SHAPE_TEXT];
    if (kind->op == &dc_op_dense && in->rank == 4)
        return dc_fail(error, DC_ERR_CONFIG,
                       "layer '%s': dense on the image %s; put a flatten or a pooling before it, "
                       "or take a 1x1 convolution",
                       name, dc_shape_text(text, in));
    assert(kind->op->attribute_bytes <= sizeof attributes);
    if (kind->fill)
        kind->fill(attributes, layer->keys, in);
    const void *given = kind->fill ? attributes : kind->bytes > 0 ? layer->keys : NULL;
    return dc_graph_add(graph, name, kind->op, given, given ? kind->op->attribute_bytes : 0, inputs,
                        count, node, error);
}

// Owns the list of files. Compiled into the judge's program too, so without cmocka.

#include "tests/formats/helper_tflite.h"

#include <assert.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "core/half.h"
#include "core/random.h"
#include "formats/tflite_build.h"

#define X                                                                                          \
    {                                                                                              \
        .kind = OPERAND_VALUE                                                                      \
    }
#define FLOATS(rank_, ...)                                                                         \
    {                                                                                              \
        .kind = OPERAND_FLOATS, .rank = rank_, .shape = { __VA_ARGS__ }                            \
    }
#define NUMBER(value)                                                                              \
    {                                                                                              \
        .kind = OPERAND_FLOATS, .rank = 1, .shape = {1}, .number = value                           \
    }
#define HALVES(count)                                                                              \
    {                                                                                              \
        .kind = OPERAND_HALVES, .rank = 1, .shape = { count }                                      \
    }
#define INTEGERS(count, ...)                                                                       \
    {                                                                                              \
        .kind = OPERAND_INTEGERS, .rank = 1, .shape = {count}, .numbers = { __VA_ARGS__ }          \
    }
#define PADS(...)                                                                                  \
    {                                                                                              \
        .kind = OPERAND_INTEGERS, .rank = 2, .shape = {4, 2}, .numbers = { __VA_ARGS__ }           \
    }
#define IMAGE                                                                                      \
    4,                                                                                             \
    {                                                                                              \
        1, 6, 5, 4                                                                                 \
    }
#define ROW                                                                                        \
    2,                                                                                             \
    {                                                                                              \
        1, 12                                                                                      \
    }
#define SERIES                                                                                     \
    3,                                                                                             \
    {                                                                                              \
        1, 7, 4                                                                                    \
    }
#define FUNCTION(name, code, ...)                                                                  \
    {                                                                                              \
        name, IMAGE,                                                                               \
        {                                                                                          \
            {                                                                                      \
                code, 1, {X}, {__VA_ARGS__}, IMAGE                                                 \
            }                                                                                      \
        }                                                                                          \
    }
#define BEHIND_EXP(name, code)                                                                     \
    {                                                                                              \
        name, IMAGE,                                                                               \
        {                                                                                          \
            {DC_TFLITE_EXP, 1, {X}, {0}, IMAGE},                                                   \
            {                                                                                      \
                code, 1, {X}, {0}, IMAGE                                                           \
            }                                                                                      \
        }                                                                                          \
    }
#define PAIR(name, code, other, ...)                                                               \
    {                                                                                              \
        name, IMAGE,                                                                               \
        {                                                                                          \
            {                                                                                      \
                code, 1, {X, other}, {__VA_ARGS__}, IMAGE                                          \
            }                                                                                      \
        }                                                                                          \
    }

// Bits of 1.0f and 0.3f, as options hold them.
enum { ONE = 0x3f800000, THIRD = 0x3e99999a };

const struct test_tflite test_tflite_read[] = {
    {"conv_same",
     IMAGE,
     {{DC_TFLITE_CONV_2D,
       1,
       {X, FLOATS(4, 8, 3, 3, 4), FLOATS(1, 8)},
       {0, 1, 1, 3, 1, 1},
       4,
       {1, 6, 5, 8}}}},
    {"conv_valid_strided",
     IMAGE,
     {{DC_TFLITE_CONV_2D,
       1,
       {X, FLOATS(4, 3, 3, 2, 4), FLOATS(1, 3)},
       {1, 2, 1, 1, 1, 1},
       4,
       {1, 4, 2, 3}}}},
    {"conv_dilated",
     IMAGE,
     {{DC_TFLITE_CONV_2D,
       2,
       {X, FLOATS(4, 3, 3, 3, 4), FLOATS(1, 3)},
       {0, 1, 1, 2, 2, 1},
       4,
       {1, 6, 5, 3}}}},
    {"conv_grouped",
     IMAGE,
     {{DC_TFLITE_CONV_2D,
       6,
       {X, FLOATS(4, 6, 3, 3, 2), FLOATS(1, 6)},
       {0, 1, 1, 0, 1, 1},
       4,
       {1, 6, 5, 6}}}},
    {"depthwise",
     IMAGE,
     {{DC_TFLITE_DEPTHWISE_CONV_2D,
       1,
       {X, FLOATS(4, 1, 3, 3, 8), FLOATS(1, 8)},
       {0, 2, 2, 2, 3, 1, 1},
       4,
       {1, 3, 3, 8}}}},
    {"depthwise_of_one",
     4,
     {1, 6, 5, 1},
     {{DC_TFLITE_DEPTHWISE_CONV_2D,
       1,
       {X, FLOATS(4, 1, 3, 3, 4), FLOATS(1, 4)},
       {1, 1, 1, 4, 0, 1, 1},
       4,
       {1, 4, 3, 4}}}},
    {"transpose_conv_same",
     IMAGE,
     {{DC_TFLITE_TRANSPOSE_CONV,
       1,
       {INTEGERS(4, 1, 12, 10, 3), FLOATS(4, 3, 3, 3, 4), X},
       {0, 2, 2, 0},
       4,
       {1, 12, 10, 3}}}},
    {"transpose_conv_valid",
     IMAGE,
     {{DC_TFLITE_TRANSPOSE_CONV,
       3,
       {INTEGERS(4, 1, 8, 11, 3), FLOATS(4, 3, 3, 3, 4), X, FLOATS(1, 3)},
       {1, 2, 1, 0},
       4,
       {1, 8, 11, 3}}}},
    {"dense",
     ROW,
     {{DC_TFLITE_FULLY_CONNECTED, 1, {X, FLOATS(2, 7, 12), FLOATS(1, 7)}, {1}, 2, {1, 7}}}},
    {"dense_without_bias",
     ROW,
     {{DC_TFLITE_FULLY_CONNECTED, 6, {X, FLOATS(2, 7, 12)}, {0}, 2, {1, 7}}}},
    {"dense_of_an_image",
     IMAGE,
     {{DC_TFLITE_FULLY_CONNECTED, 1, {X, FLOATS(2, 7, 120), FLOATS(1, 7)}, {0}, 2, {1, 7}}}},
    {"dense_over_the_last",
     SERIES,
     {{DC_TFLITE_FULLY_CONNECTED, 5, {X, FLOATS(2, 6, 4), FLOATS(1, 6)}, {0, 0, 1}, 3, {1, 7, 6}}}},
    {"matmul", SERIES, {{DC_TFLITE_BATCH_MATMUL, 1, {X, X}, {0, 1}, 3, {1, 7, 7}}}},
    {"max_pool", IMAGE, {{DC_TFLITE_MAX_POOL_2D, 1, {X}, {0, 2, 2, 3, 2, 0}, 4, {1, 3, 3, 4}}}},
    {"average_pool",
     IMAGE,
     {{DC_TFLITE_AVERAGE_POOL_2D, 1, {X}, {0, 2, 1, 2, 3, 1}, 4, {1, 6, 3, 4}}}},
    {"mean_kept", IMAGE, {{DC_TFLITE_MEAN, 1, {X, INTEGERS(2, 1, 2)}, {1}, 4, {1, 1, 1, 4}}}},
    {"mean", IMAGE, {{DC_TFLITE_MEAN, 1, {X, INTEGERS(2, 1, -2)}, {0}, 2, {1, 4}}}},
    {"mean_of_a_series", SERIES, {{DC_TFLITE_MEAN, 1, {X, INTEGERS(1, 1)}, {0}, 2, {1, 4}}}},
    {"sum", IMAGE, {{DC_TFLITE_SUM, 1, {X, INTEGERS(1, 3)}, {0}, 3, {1, 6, 5}}}},
    {"reduce_max",
     IMAGE,
     {{DC_TFLITE_REDUCE_MAX, 1, {X, INTEGERS(2, 1, 2)}, {1}, 4, {1, 1, 1, 4}}}},
    FUNCTION("softmax", DC_TFLITE_SOFTMAX, ONE),
    FUNCTION("relu", DC_TFLITE_RELU_OP, 0),
    FUNCTION("relu6", DC_TFLITE_RELU6_OP, 0),
    FUNCTION("relu_n1_to_1", DC_TFLITE_RELU_N1_TO_1_OP, 0),
    FUNCTION("relu_0_to_1", DC_TFLITE_RELU_0_TO_1, 0),
    FUNCTION("logistic", DC_TFLITE_LOGISTIC, 0),
    FUNCTION("tanh", DC_TFLITE_TANH, 0),
    FUNCTION("hard_swish", DC_TFLITE_HARD_SWISH, 0),
    FUNCTION("leaky_relu", DC_TFLITE_LEAKY_RELU, THIRD),
    FUNCTION("elu", DC_TFLITE_ELU, 0),
    FUNCTION("gelu", DC_TFLITE_GELU, 0),
    FUNCTION("gelu_tanh", DC_TFLITE_GELU, 1),
    FUNCTION("abs", DC_TFLITE_ABS, 0),
    FUNCTION("neg", DC_TFLITE_NEG, 0),
    FUNCTION("exp", DC_TFLITE_EXP, 0),
    FUNCTION("square", DC_TFLITE_SQUARE, 0),
    BEHIND_EXP("log", DC_TFLITE_LOG),
    BEHIND_EXP("sqrt", DC_TFLITE_SQRT),
    BEHIND_EXP("rsqrt", DC_TFLITE_RSQRT),
    PAIR("prelu", DC_TFLITE_PRELU, FLOATS(3, 1, 1, 4), 0),
    PAIR("add", DC_TFLITE_ADD, X, 1),
    PAIR("add_channels", DC_TFLITE_ADD, FLOATS(1, 4), 0),
    PAIR("subtract_number", DC_TFLITE_SUB, FLOATS(0, 0), 0),
    PAIR("multiply_image", DC_TFLITE_MUL, FLOATS(4, 1, 6, 5, 4), 0),
    PAIR("multiply_columns", DC_TFLITE_MUL, FLOATS(3, 1, 5, 1), 3),
    PAIR("divide", DC_TFLITE_DIV, FLOATS(1, 4), 0),
    PAIR("maximum", DC_TFLITE_MAXIMUM, FLOATS(1, 4), 0),
    PAIR("minimum", DC_TFLITE_MINIMUM, FLOATS(3, 6, 1, 4), 0),
    {"half_weights", IMAGE, {{DC_TFLITE_MUL, 1, {X, HALVES(4)}, {0}, IMAGE}}},
    {"reshape", IMAGE, {{DC_TFLITE_RESHAPE, 1, {X, INTEGERS(3, -1, 30, 4)}, {0}, 3, {1, 30, 4}}}},
    {"flatten", IMAGE, {{DC_TFLITE_RESHAPE, 1, {X, INTEGERS(2, 1, 120)}, {0}, 2, {1, 120}}}},
    {"squeeze", 4, {1, 1, 7, 4}, {{DC_TFLITE_SQUEEZE, 1, {X}, {0}, 3, {1, 7, 4}}}},
    {"expand_dims",
     SERIES,
     {{DC_TFLITE_EXPAND_DIMS, 1, {X, INTEGERS(1, 1)}, {0}, 4, {1, 1, 7, 4}}}},
    {"transpose",
     IMAGE,
     {{DC_TFLITE_TRANSPOSE, 1, {X, INTEGERS(4, 0, 3, 1, 2)}, {0}, 4, {1, 4, 6, 5}}}},
    {"concat", IMAGE, {{DC_TFLITE_CONCATENATION, 1, {X, X, X}, {-1, 0}, 4, {1, 6, 5, 12}}}},
    {"concat_rows", IMAGE, {{DC_TFLITE_CONCATENATION, 1, {X, X}, {1, 0}, 4, {1, 12, 5, 4}}}},
    {"pad", IMAGE, {{DC_TFLITE_PAD, 1, {X, PADS(0, 0, 1, 2, 0, 3, 1, 0)}, {0}, 4, {1, 9, 8, 5}}}},
    {"pad_then_conv",
     IMAGE,
     {{DC_TFLITE_PAD, 1, {X, PADS(0, 0, 1, 2, 0, 3, 0, 0)}, {0}, 4, {1, 9, 8, 4}},
      {DC_TFLITE_CONV_2D,
       1,
       {X, FLOATS(4, 8, 3, 3, 4), FLOATS(1, 8)},
       {1, 1, 1, 1, 1, 1},
       4,
       {1, 7, 6, 8}}}},
    {"pad_then_padded_conv",
     IMAGE,
     {{DC_TFLITE_PAD, 1, {X, PADS(0, 0, 1, 2, 0, 3, 0, 0)}, {0}, 4, {1, 9, 8, 4}},
      {DC_TFLITE_CONV_2D,
       1,
       {X, FLOATS(4, 8, 3, 3, 4), FLOATS(1, 8)},
       {0, 1, 1, 0, 1, 1},
       4,
       {1, 9, 8, 8}}}},
    {"pad_then_average",
     IMAGE,
     {{DC_TFLITE_PAD, 1, {X, PADS(0, 0, 1, 2, 0, 3, 0, 0)}, {0}, 4, {1, 9, 8, 4}},
      {DC_TFLITE_AVERAGE_POOL_2D, 1, {X}, {1, 1, 1, 2, 2, 0}, 4, {1, 8, 7, 4}}}},
    {"pad_with_a_number",
     IMAGE,
     {{DC_TFLITE_PADV2,
       1,
       {X, PADS(0, 0, 1, 0, 0, 1, 0, 2), NUMBER(0.75f)},
       {0},
       4,
       {1, 7, 6, 6}}}},
    {"pad_then_max",
     IMAGE,
     {{DC_TFLITE_PADV2,
       1,
       {X, PADS(0, 0, 1, 0, 0, 1, 0, 0), NUMBER(-FLT_MAX)},
       {0},
       4,
       {1, 7, 6, 4}},
      {DC_TFLITE_MAX_POOL_2D, 1, {X}, {1, 2, 2, 3, 3, 0}, 4, {1, 2, 3, 4}}}},
    {"strided_slice",
     IMAGE,
     {{DC_TFLITE_STRIDED_SLICE,
       1,
       {X, INTEGERS(4, 0, 1, 0, -3), INTEGERS(4, 1, 6, 2, 0), INTEGERS(4, 1, 2, 1, 1)},
       {4, 9},
       4,
       {1, 3, 2, 3}}}},
    {"strided_slice_of_all",
     IMAGE,
     {{DC_TFLITE_STRIDED_SLICE,
       1,
       {X, INTEGERS(4, 0, 0, 0, 0), INTEGERS(4, 1, 6, 5, 4), INTEGERS(4, 1, 1, 1, 1)},
       {0},
       IMAGE}}},
    {"slice",
     IMAGE,
     {{DC_TFLITE_SLICE,
       1,
       {X, INTEGERS(4, 0, 1, 2, 1), INTEGERS(4, 1, 4, -1, 2)},
       {0},
       4,
       {1, 4, 3, 2}}}},
    {"bilinear",
     IMAGE,
     {{DC_TFLITE_RESIZE_BILINEAR, 1, {X, INTEGERS(2, 11, 7)}, {0}, 4, {1, 11, 7, 4}}}},
    {"bilinear_corners",
     IMAGE,
     {{DC_TFLITE_RESIZE_BILINEAR, 3, {X, INTEGERS(2, 11, 7)}, {0, 0, 1}, 4, {1, 11, 7, 4}}}},
    {"bilinear_half",
     IMAGE,
     {{DC_TFLITE_RESIZE_BILINEAR, 3, {X, INTEGERS(2, 12, 3)}, {0, 0, 0, 1}, 4, {1, 12, 3, 4}}}},
    {"nearest",
     IMAGE,
     {{DC_TFLITE_RESIZE_NEAREST_NEIGHBOR, 1, {X, INTEGERS(2, 11, 3)}, {0}, 4, {1, 11, 3, 4}}}},
    {"nearest_corners",
     IMAGE,
     {{DC_TFLITE_RESIZE_NEAREST_NEIGHBOR, 3, {X, INTEGERS(2, 11, 8)}, {1}, 4, {1, 11, 8, 4}}}},
    {"nearest_half",
     IMAGE,
     {{DC_TFLITE_RESIZE_NEAREST_NEIGHBOR, 3, {X, INTEGERS(2, 11, 3)}, {0, 1}, 4, {1, 11, 3, 4}}}},
};

const struct test_tflite test_tflite_refused[] = {
    {"unknown", IMAGE, {{DC_TFLITE_EXP, 1, {X}, {0}, IMAGE}, {8, 1, {X}, {0}, IMAGE}}},
    FUNCTION("beta", DC_TFLITE_SOFTMAX, THIRD),
    {"fused_tanh", IMAGE, {{DC_TFLITE_ADD, 1, {X, X}, {4}, IMAGE}}},
    {"batch_moved",
     IMAGE,
     {{DC_TFLITE_TRANSPOSE, 1, {X, INTEGERS(4, 1, 0, 2, 3)}, {0}, 4, {6, 1, 5, 4}}}},
    {"batch_reduced", IMAGE, {{DC_TFLITE_MEAN, 1, {X, INTEGERS(2, 0, 1)}, {0}, 2, {5, 4}}}},
    {"batch_merged", IMAGE, {{DC_TFLITE_RESHAPE, 1, {X, INTEGERS(2, 6, 20)}, {0}, 2, {6, 20}}}},
    {"another_shape", IMAGE, {{DC_TFLITE_EXP, 1, {X}, {0}, 4, {1, 6, 5, 3}}}},
    {"weights_of_other_inputs",
     IMAGE,
     {{DC_TFLITE_CONV_2D,
       1,
       {X, FLOATS(4, 8, 3, 3, 3), FLOATS(1, 8)},
       {0, 1, 1, 0, 1, 1},
       4,
       {1, 6, 5, 8}}}},
    {"computed_weights", 2, {1, 4}, {{DC_TFLITE_FULLY_CONNECTED, 1, {X, X}, {0}, 2, {1, 1}}}},
    {"no_stride", IMAGE, {{DC_TFLITE_MAX_POOL_2D, 1, {X}, {0, 0, 1, 2, 2}, IMAGE}}},
    {"shuffled",
     ROW,
     {{DC_TFLITE_FULLY_CONNECTED, 1, {X, FLOATS(2, 7, 12), FLOATS(1, 7)}, {0, 1}, 2, {1, 7}}}},
    {"new_axis",
     IMAGE,
     {{DC_TFLITE_STRIDED_SLICE,
       1,
       {X, INTEGERS(4, 0, 0, 0, 0), INTEGERS(4, 1, 6, 5, 4), INTEGERS(4, 1, 1, 1, 1)},
       {0, 0, 0, 2},
       IMAGE}}},
};
const char *const test_tflite_reasons[] = {
    "1 operator is not read: operator 1 (FLOOR)",
    "operator 0 (SOFTMAX): a beta other than 1",
    "operator 0 (ADD): fused activation 4",
    "operator 0 (TRANSPOSE): it moves the batch",
    "operator 0 (MEAN): an axis is the batch",
    "operator 0 (RESHAPE): 'value0' has 6 rows, the input 1",
    "operator 0 (EXP): gives [batch, 6, 5, 4], and the file says [batch, 6, 5, 3]",
    "operator 0 (CONV_2D): the weights 'operand0.1' do not fit 4 channels",
    "operator 0 (FULLY_CONNECTED): the weights are computed",
    "operator 0 (MAX_POOL_2D): strides, dilations and filters are from 1",
    "operator 0 (FULLY_CONNECTED): shuffled weights",
    "operator 0 (STRIDED_SLICE): an ellipsis",
};
const int test_tflite_read_count = (int)(sizeof test_tflite_read / sizeof test_tflite_read[0]);
const int test_tflite_refused_count = (int)(sizeof test_tflite_refused /
                                            sizeof test_tflite_refused[0]);
static_assert(sizeof test_tflite_refused / sizeof test_tflite_refused[0] ==
                  sizeof test_tflite_reasons / sizeof test_tflite_reasons[0],
              "a reason for each refusal");

static enum dc_status fill(struct dc_tflite_builder *b, struct dc_tflite_tensor *t,
                           const struct test_operand *operand)
{
    struct dc_random random;
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++)
        count *= t->shape[i];
    dc_random_start(&random, 3, DC_PURPOSE_TEST, 0, (uint64_t)b->file.tensor_count);
    const bool halves = operand->kind == OPERAND_HALVES;
    float *values = DC_NEW(b->arena, float, count, b->error);
    if (!values)
        return DC_ERR_MEMORY;
    t->type = halves ? DC_TFLITE_FLOAT16 : DC_TFLITE_FLOAT32;
    t->data = values;
    t->bytes = count * (halves ? 2 : 4);
    for (int64_t i = 0; i < count; i++) {
        const float drawn = (float)dc_random_below(&random, 1000) / 1000.0f + 0.25f;
        const float sign = dc_random_below(&random, 2) ? 1.0f : -1.0f;
        const uint16_t half = dc_half_from_float(sign * drawn);
        values[i] = operand->number != 0.0f ? operand->number : sign * drawn;
        if (halves)
            memcpy((char *)values + 2 * i, &half, 2);
    }
    return DC_OK;
}

// The operand's tensor; x: of the value.
static enum dc_status add_operand(struct dc_tflite_builder *b, int *index,
                                  const struct test_operand *operand, int x, const char *name)
{
    struct dc_tflite_tensor t = {.name = name, .rank = operand->rank, .arena_offset = -1};
    *index = x;
    if (operand->kind == OPERAND_VALUE)
        return DC_OK;
    memcpy(t.shape, operand->shape, sizeof t.shape);
    if (operand->kind == OPERAND_INTEGERS) {
        t.type = DC_TFLITE_INT32;
        t.data = operand->numbers;
        t.bytes = 4 * (int64_t)t.shape[0] * (t.rank > 1 ? t.shape[1] : 1);
        return dc_tflite_add_tensor(b, &t, index);
    }
    DC_TRY(fill(b, &t, operand));
    DC_TRY(dc_tflite_add_tensor(b, &t, index));
    if (operand->kind == OPERAND_FLOATS)
        return DC_OK;
    struct dc_tflite_operator wider = {
        .code = DC_TFLITE_DEQUANTIZE, .version = 3, .input_count = 1, .inputs = {*index}};
    t.type = DC_TFLITE_FLOAT32;
    t.data = NULL;
    t.name = "wide";
    DC_TRY(dc_tflite_add_tensor(b, &t, index));
    wider.output = *index;
    return dc_tflite_add_operator(b, &wider);
}

static enum dc_status build(struct dc_tflite_builder *b, const struct test_tflite *wanted)
{
    static const char *const names[2][4] = {
        {"operand0.0", "operand0.1", "operand0.2", "operand0.3"},
        {"operand1.0", "operand1.1", "operand1.2", "operand1.3"}};
    static const char *const values[2] = {"value0", "value1"};
    struct dc_tflite_tensor t = {.name = "x", .rank = wanted->rank, .arena_offset = -1};
    int x;
    memcpy(t.shape, wanted->shape, sizeof t.shape);
    DC_TRY(dc_tflite_add_tensor(b, &t, &x));
    b->file.input = x;
    for (int s = 0; s < 2 && wanted->steps[s].rank > 0; s++) {
        const struct test_step *step = &wanted->steps[s];
        struct dc_tflite_operator o = {.code = step->code, .version = step->version};
        while (o.input_count < 4 && step->operands[o.input_count].kind != OPERAND_NONE) {
            DC_TRY(add_operand(b, &o.inputs[o.input_count], &step->operands[o.input_count], x,
                               names[s][o.input_count]));
            o.input_count++;
        }
        memcpy(o.options, step->options, sizeof o.options);
        t.name = values[s];
        t.rank = step->rank;
        memcpy(t.shape, step->shape, sizeof t.shape);
        DC_TRY(dc_tflite_add_tensor(b, &t, &x));
        o.output = x;
        DC_TRY(dc_tflite_add_operator(b, &o));
    }
    b->file.output = x;
    return DC_OK;
}

enum dc_status test_tflite_write(const char *path, const struct test_tflite *wanted,
                                 struct dc_error *error)
{
    struct dc_tflite_builder b = {.error = error};
    b.file = (struct dc_tflite_file){.name = wanted->name, .description = "a test"};
    DC_TRY(dc_arena_create(&b.arena, error));
    enum dc_status status = build(&b, wanted);
    if (status == DC_OK)
        status = dc_tflite_save(&b, path);
    dc_arena_free(b.arena);
    return status;
}

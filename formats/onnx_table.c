// Owns the list of operators that the importer knows. To add one: a row here, a converter in the
// file of its family, a case in tests/formats/.

#include <string.h>

#include "formats/onnx_internal.h"

enum { ANY = DC_INPUTS_MAX };

// Name, inputs, conversion of values, of constants alone, op, what it says of an image's axes.
static const struct dc_onnx_operator operators[] = {
    {"Abs", 1, 1, dc__onnx_unary, dc__fold_unary, &dc_op_abs, DC_KEEPS_AXES},
    {"Add", 2, 2, dc__onnx_binary, dc__fold_arithmetic, &dc_op_broadcast_add, DC_KEEPS_AXES},
    {"And", 2, 2, NULL, dc__fold_arithmetic, NULL, DC_SAYS_NOTHING},
    {"AveragePool", 1, 1, dc__onnx_pool, NULL, NULL, DC_READS_CHANNELS_FIRST},
    {"BatchNormalization", 5, 5, dc__onnx_batch_norm, NULL, NULL, DC_READS_CHANNELS_FIRST},
    {"Cast", 1, 1, dc__onnx_same, dc__fold_cast, NULL, DC_KEEPS_AXES},
    {"Ceil", 1, 1, NULL, dc__fold_unary, NULL, DC_SAYS_NOTHING},
    {"Clip", 1, 3, dc__onnx_clip, NULL, NULL, DC_KEEPS_AXES},
    {"Concat", 1, ANY, dc__onnx_concat, dc__fold_concat, NULL, DC_SAYS_NOTHING},
    {"Constant", 0, 0, dc__fold_constant, NULL, NULL, DC_SAYS_NOTHING},
    {"ConstantOfShape", 1, 1, NULL, dc__fold_fill, NULL, DC_SAYS_NOTHING},
    {"Conv", 2, 3, dc__onnx_conv, NULL, NULL, DC_READS_CHANNELS_FIRST},
    {"ConvTranspose", 2, 3, dc__onnx_conv, NULL, NULL, DC_READS_CHANNELS_FIRST},
    {"Div", 2, 2, dc__onnx_binary, dc__fold_arithmetic, &dc_op_divide, DC_KEEPS_AXES},
    {"Dropout", 1, 3, dc__onnx_same, dc__onnx_same, NULL, DC_KEEPS_AXES},
    {"Einsum", 2, 2, dc__onnx_einsum, NULL, NULL, DC_SAYS_NOTHING},
    {"Equal", 2, 2, NULL, dc__fold_arithmetic, NULL, DC_SAYS_NOTHING},
    {"Erf", 1, 1, dc__onnx_unary, NULL, &dc_op_erf, DC_KEEPS_AXES},
    {"Exp", 1, 1, dc__onnx_unary, dc__fold_unary, &dc_op_exp, DC_KEEPS_AXES},
    {"Expand", 2, 2, dc__onnx_expand, dc__onnx_expand, NULL, DC_SAYS_NOTHING},
    {"Flatten", 1, 1, dc__onnx_reshaped, dc__fold_reshape, NULL, DC_SAYS_NOTHING},
    {"Floor", 1, 1, NULL, dc__fold_unary, NULL, DC_SAYS_NOTHING},
    {"Gather", 2, 2, dc__onnx_gather, dc__fold_gather, NULL, DC_SAYS_NOTHING},
    {"Gelu", 1, 1, dc__onnx_gelu, NULL, NULL, DC_KEEPS_AXES},
    {"Gemm", 2, 3, dc__onnx_gemm, NULL, NULL, DC_SAYS_NOTHING},
    {"GlobalAveragePool", 1, 1, dc__onnx_global_pool, NULL, NULL, DC_READS_CHANNELS_FIRST},
    {"GlobalMaxPool", 1, 1, dc__onnx_global_pool, NULL, NULL, DC_READS_CHANNELS_FIRST},
    {"Greater", 2, 2, NULL, dc__fold_arithmetic, NULL, DC_SAYS_NOTHING},
    {"GreaterOrEqual", 2, 2, NULL, dc__fold_arithmetic, NULL, DC_SAYS_NOTHING},
    {"GroupNormalization", 3, 3, dc__onnx_group_norm, NULL, NULL, DC_READS_CHANNELS_FIRST},
    {"HardSigmoid", 1, 1, dc__onnx_hard_sigmoid, NULL, NULL, DC_KEEPS_AXES},
    {"HardSwish", 1, 1, dc__onnx_unary, NULL, &dc_op_h_swish, DC_KEEPS_AXES},
    {"Identity", 1, 1, dc__onnx_same, dc__onnx_same, NULL, DC_KEEPS_AXES},
    {"InstanceNormalization", 3, 3, dc__onnx_group_norm, NULL, NULL, DC_READS_CHANNELS_FIRST},
    {"LayerNormalization", 2, 3, dc__onnx_layer_norm, NULL, NULL, DC_SAYS_NOTHING},
    {"LeakyRelu", 1, 1, dc__onnx_leaky_relu, NULL, NULL, DC_KEEPS_AXES},
    {"Less", 2, 2, NULL, dc__fold_arithmetic, NULL, DC_SAYS_NOTHING},
    {"LessOrEqual", 2, 2, NULL, dc__fold_arithmetic, NULL, DC_SAYS_NOTHING},
    {"Log", 1, 1, dc__onnx_unary, NULL, &dc_op_log, DC_KEEPS_AXES},
    {"LogSoftmax", 1, 1, dc__onnx_softmax, NULL, NULL, DC_SAYS_NOTHING},
    {"MatMul", 2, 2, dc__onnx_matmul, NULL, NULL, DC_SAYS_NOTHING},
    {"Max", 2, ANY, dc__onnx_binary, dc__fold_arithmetic, &dc_op_maximum, DC_KEEPS_AXES},
    {"MaxPool", 1, 1, dc__onnx_pool, NULL, NULL, DC_READS_CHANNELS_FIRST},
    {"Min", 2, ANY, dc__onnx_binary, dc__fold_arithmetic, &dc_op_minimum, DC_KEEPS_AXES},
    {"Mod", 2, 2, NULL, dc__fold_arithmetic, NULL, DC_SAYS_NOTHING},
    {"Mul", 2, 2, dc__onnx_binary, dc__fold_arithmetic, &dc_op_multiply, DC_KEEPS_AXES},
    {"Neg", 1, 1, dc__onnx_unary, dc__fold_unary, &dc_op_negate, DC_KEEPS_AXES},
    {"Not", 1, 1, NULL, dc__fold_unary, NULL, DC_SAYS_NOTHING},
    {"Or", 2, 2, NULL, dc__fold_arithmetic, NULL, DC_SAYS_NOTHING},
    {"PRelu", 2, 2, dc__onnx_prelu, NULL, NULL, DC_READS_CHANNELS_FIRST},
    {"Pad", 1, 4, dc__onnx_pad, NULL, NULL, DC_KEEPS_AXES},
    {"Pow", 2, 2, dc__onnx_pow, dc__fold_arithmetic, NULL, DC_KEEPS_AXES},
    {"Range", 3, 3, NULL, dc__fold_range, NULL, DC_SAYS_NOTHING},
    {"Reciprocal", 1, 1, dc__onnx_unary, dc__fold_unary, &dc_op_reciprocal, DC_KEEPS_AXES},
    {"ReduceMax", 1, 2, dc__onnx_reduce, NULL, NULL, DC_SAYS_NOTHING},
    {"ReduceMean", 1, 2, dc__onnx_reduce, NULL, NULL, DC_SAYS_NOTHING},
    {"ReduceSum", 1, 2, dc__onnx_reduce, NULL, NULL, DC_SAYS_NOTHING},
    {"Relu", 1, 1, dc__onnx_unary, NULL, &dc_op_relu, DC_KEEPS_AXES},
    {"Reshape", 2, 2, dc__onnx_reshaped, dc__fold_reshape, NULL, DC_SAYS_NOTHING},
    {"Resize", 1, 4, dc__onnx_resize, NULL, NULL, DC_KEEPS_AXES},
    {"Round", 1, 1, NULL, dc__fold_unary, NULL, DC_SAYS_NOTHING},
    {"ScatterND", 3, 3, NULL, dc__fold_scatter, NULL, DC_SAYS_NOTHING},
    {"Shape", 1, 1, dc__fold_shape, dc__fold_shape, NULL, DC_SAYS_NOTHING},
    {"Sigmoid", 1, 1, dc__onnx_unary, NULL, &dc_op_sigmoid, DC_KEEPS_AXES},
    {"Slice", 1, 5, dc__onnx_slice, dc__fold_slice, NULL, DC_KEEPS_AXES},
    {"Softmax", 1, 1, dc__onnx_softmax, NULL, NULL, DC_SAYS_NOTHING},
    {"Split", 1, 2, dc__onnx_split, NULL, NULL, DC_SAYS_NOTHING},
    {"Sqrt", 1, 1, dc__onnx_unary, dc__fold_unary, &dc_op_sqrt, DC_KEEPS_AXES},
    {"Squeeze", 1, 2, dc__onnx_reshaped, dc__fold_reshape, NULL, DC_SAYS_NOTHING},
    {"Sub", 2, 2, dc__onnx_binary, dc__fold_arithmetic, &dc_op_subtract, DC_KEEPS_AXES},
    {"Sum", 2, ANY, dc__onnx_binary, NULL, &dc_op_broadcast_add, DC_KEEPS_AXES},
    {"Tanh", 1, 1, dc__onnx_unary, NULL, &dc_op_tanh, DC_KEEPS_AXES},
    {"Transpose", 1, 1, dc__onnx_transpose, dc__fold_transpose, NULL, DC_MOVES_AXES},
    {"Unsqueeze", 1, 2, dc__onnx_reshaped, dc__fold_reshape, NULL, DC_SAYS_NOTHING},
    {"Upsample", 1, 2, dc__onnx_resize, NULL, NULL, DC_KEEPS_AXES},
    {"Where", 3, 3, NULL, dc__fold_where, NULL, DC_SAYS_NOTHING},
};

const struct dc_onnx_operator *dc__onnx_operator(const char *name)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (strcmp(operators[i].name, name) == 0)
            return &operators[i];
    return NULL;
}

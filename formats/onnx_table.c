// Owns the list of operators that the importer knows. To add one: a row here, a converter in the
// file of its family, a case in tests/formats/.

#include <string.h>

#include "formats/onnx_internal.h"

enum { ANY = DC_INPUTS_MAX };

// Name, inputs, conversion of values, of constants alone, op.
static const struct dc_onnx_operator operators[] = {
    {"Abs", 1, 1, dc__onnx_unary, dc__fold_unary, &dc_op_abs},
    {"Add", 2, 2, dc__onnx_binary, dc__fold_arithmetic, &dc_op_broadcast_add},
    {"And", 2, 2, NULL, dc__fold_arithmetic, NULL},
    {"AveragePool", 1, 1, dc__onnx_pool, NULL, NULL},
    {"BatchNormalization", 5, 5, dc__onnx_batch_norm, NULL, NULL},
    {"Cast", 1, 1, dc__onnx_same, dc__fold_cast, NULL},
    {"Ceil", 1, 1, NULL, dc__fold_unary, NULL},
    {"Clip", 1, 3, dc__onnx_clip, NULL, NULL},
    {"Concat", 1, ANY, dc__onnx_concat, dc__fold_concat, NULL},
    {"Constant", 0, 0, dc__fold_constant, NULL, NULL},
    {"ConstantOfShape", 1, 1, NULL, dc__fold_fill, NULL},
    {"Conv", 2, 3, dc__onnx_conv, NULL, NULL},
    {"ConvTranspose", 2, 3, dc__onnx_conv, NULL, NULL},
    {"Div", 2, 2, dc__onnx_binary, dc__fold_arithmetic, &dc_op_divide},
    {"Dropout", 1, 3, dc__onnx_same, dc__onnx_same, NULL},
    {"Einsum", 2, 2, dc__onnx_einsum, NULL, NULL},
    {"Equal", 2, 2, NULL, dc__fold_arithmetic, NULL},
    {"Erf", 1, 1, dc__onnx_unary, NULL, &dc_op_erf},
    {"Exp", 1, 1, dc__onnx_unary, dc__fold_unary, &dc_op_exp},
    {"Expand", 2, 2, dc__onnx_expand, dc__onnx_expand, NULL},
    {"Flatten", 1, 1, dc__onnx_reshaped, dc__fold_reshape, NULL},
    {"Floor", 1, 1, NULL, dc__fold_unary, NULL},
    {"Gather", 2, 2, dc__onnx_gather, dc__fold_gather, NULL},
    {"Gelu", 1, 1, dc__onnx_gelu, NULL, NULL},
    {"Gemm", 2, 3, dc__onnx_gemm, NULL, NULL},
    {"GlobalAveragePool", 1, 1, dc__onnx_global_pool, NULL, NULL},
    {"GlobalMaxPool", 1, 1, dc__onnx_global_pool, NULL, NULL},
    {"Greater", 2, 2, NULL, dc__fold_arithmetic, NULL},
    {"GreaterOrEqual", 2, 2, NULL, dc__fold_arithmetic, NULL},
    {"GroupNormalization", 3, 3, dc__onnx_group_norm, NULL, NULL},
    {"HardSigmoid", 1, 1, dc__onnx_hard_sigmoid, NULL, NULL},
    {"HardSwish", 1, 1, dc__onnx_unary, NULL, &dc_op_h_swish},
    {"Identity", 1, 1, dc__onnx_same, dc__onnx_same, NULL},
    {"InstanceNormalization", 3, 3, dc__onnx_group_norm, NULL, NULL},
    {"LayerNormalization", 2, 3, dc__onnx_layer_norm, NULL, NULL},
    {"LeakyRelu", 1, 1, dc__onnx_leaky_relu, NULL, NULL},
    {"Less", 2, 2, NULL, dc__fold_arithmetic, NULL},
    {"LessOrEqual", 2, 2, NULL, dc__fold_arithmetic, NULL},
    {"Log", 1, 1, dc__onnx_unary, NULL, &dc_op_log},
    {"LogSoftmax", 1, 1, dc__onnx_softmax, NULL, NULL},
    {"MatMul", 2, 2, dc__onnx_matmul, NULL, NULL},
    {"Max", 2, ANY, dc__onnx_binary, dc__fold_arithmetic, &dc_op_maximum},
    {"MaxPool", 1, 1, dc__onnx_pool, NULL, NULL},
    {"Min", 2, ANY, dc__onnx_binary, dc__fold_arithmetic, &dc_op_minimum},
    {"Mod", 2, 2, NULL, dc__fold_arithmetic, NULL},
    {"Mul", 2, 2, dc__onnx_binary, dc__fold_arithmetic, &dc_op_multiply},
    {"Neg", 1, 1, dc__onnx_unary, dc__fold_unary, &dc_op_negate},
    {"Not", 1, 1, NULL, dc__fold_unary, NULL},
    {"Or", 2, 2, NULL, dc__fold_arithmetic, NULL},
    {"PRelu", 2, 2, dc__onnx_prelu, NULL, NULL},
    {"Pad", 1, 4, dc__onnx_pad, NULL, NULL},
    {"Pow", 2, 2, dc__onnx_pow, dc__fold_arithmetic, NULL},
    {"Range", 3, 3, NULL, dc__fold_range, NULL},
    {"Reciprocal", 1, 1, dc__onnx_unary, dc__fold_unary, &dc_op_reciprocal},
    {"ReduceMax", 1, 2, dc__onnx_reduce, NULL, NULL},
    {"ReduceMean", 1, 2, dc__onnx_reduce, NULL, NULL},
    {"ReduceSum", 1, 2, dc__onnx_reduce, NULL, NULL},
    {"Relu", 1, 1, dc__onnx_unary, NULL, &dc_op_relu},
    {"Reshape", 2, 2, dc__onnx_reshaped, dc__fold_reshape, NULL},
    {"Resize", 1, 4, dc__onnx_resize, NULL, NULL},
    {"Round", 1, 1, NULL, dc__fold_unary, NULL},
    {"ScatterND", 3, 3, NULL, dc__fold_scatter, NULL},
    {"Shape", 1, 1, dc__fold_shape, dc__fold_shape, NULL},
    {"Sigmoid", 1, 1, dc__onnx_unary, NULL, &dc_op_sigmoid},
    {"Slice", 1, 5, dc__onnx_slice, dc__fold_slice, NULL},
    {"Softmax", 1, 1, dc__onnx_softmax, NULL, NULL},
    {"Split", 1, 2, dc__onnx_split, NULL, NULL},
    {"Sqrt", 1, 1, dc__onnx_unary, dc__fold_unary, &dc_op_sqrt},
    {"Squeeze", 1, 2, dc__onnx_reshaped, dc__fold_reshape, NULL},
    {"Sub", 2, 2, dc__onnx_binary, dc__fold_arithmetic, &dc_op_subtract},
    {"Sum", 2, ANY, dc__onnx_binary, NULL, &dc_op_broadcast_add},
    {"Tanh", 1, 1, dc__onnx_unary, NULL, &dc_op_tanh},
    {"Transpose", 1, 1, dc__onnx_transpose, dc__fold_transpose, NULL},
    {"Unsqueeze", 1, 2, dc__onnx_reshaped, dc__fold_reshape, NULL},
    {"Upsample", 1, 2, dc__onnx_resize, NULL, NULL},
    {"Where", 3, 3, NULL, dc__fold_where, NULL},
};

const struct dc_onnx_operator *dc__onnx_operator(const char *name)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (strcmp(operators[i].name, name) == 0)
            return &operators[i];
    return NULL;
}

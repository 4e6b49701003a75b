// Integer arithmetic of TFLite's int8 family from its definitions, in exact wide integers.
//
// Includes nothing of the library and shares no formula shape with it: roundings are divisions with
// an inspected remainder, sums are int64 over the textbook's loops, multipliers come from the bits
// of the double. Layouts as in TFLite: NHWC, OHWI, 1HWC, OI.

#ifndef DC_TESTS_INTEGER_ORACLE_H
#define DC_TESTS_INTEGER_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

void oracle_multiplier(int32_t *multiplier, int32_t *shift, double factor, bool single);
int64_t oracle_srdhm(int64_t a, int64_t b);
int64_t oracle_divide_pot(int64_t x, int exponent);
int64_t oracle_requantize(int64_t x, int32_t multiplier, int32_t shift, bool single);
int64_t oracle_requantize_up(int64_t x, int32_t multiplier, int32_t shift);

enum oracle_codes { NEAREST_CODES, ORT_CODES, TFLM_CODES, TFLITE_CODES, XNNPACK_CODES };

struct oracle_layer {
    bool single;    // rounding
    bool to_even;   // or once, a half to the even integer
    bool away;      // or once, a half away from zero
    bool even;      // one float32 factor, half to even, as ONNX Runtime; `single` is not looked at
    bool delegate;  // with even: additions, means and averages as LiteRT computes them
    bool float_product;  // of products: s_a * s_b / s_out left to right in float32
    bool dense_away;     // fully connected: one double factor, half away from zero
    bool vectors;  // twice, the second time with ties up in the channels that vectors compute:
                   // all, of depthwise in blocks of 8, of means in blocks of 16; of additions those
                   // in blocks of 16 of all values, whose operands are rounded once
    enum oracle_codes codes;  // of functions
    float slope, offset;      // parameters of functions: leaky ReLU's, ELU's; hard sigmoid's two
    bool fused;               // with even: additions by fused multiply-adds, ties to even codes
    int in_h, in_w, in_c, out_h, out_w, out_c;
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    float in_scale, out_scale;
    int in_zero_point, out_zero_point, low, high;
};

// s_in * s_w / s_out, each operation rounded to float32.
float oracle_even_factor(float in_scale, float weight_scale, const struct oracle_layer *layer);

// sums: before requantization. scales: [out_c]. Depthwise: out_c is a multiple of in_c.
void oracle_integer_conv(int8_t *codes, int32_t *sums, const int8_t *x, const int8_t *weights,
                         const int32_t *biases, const float *scales, bool depthwise,
                         const struct oracle_layer *layer);
void oracle_integer_dense(int8_t *codes, int32_t *sums, const int8_t *x, const int8_t *weights,
                          const int32_t *biases, const float *scales, bool per_channel, int inputs,
                          const struct oracle_layer *layer);
// a * b + c, rounded to float32 once. |a| is at most 128, or 0.
float oracle_fused(float a, float b, float c);
// The second operand has scale b_scale; in_scale is the first's.
void oracle_integer_add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                        float b_scale, int b_zero_point, int count,
                        const struct oracle_layer *layer);
// b_shape: height, width and channels of the second operand, each that of the output or 1.
void oracle_integer_multiply(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                             float b_scale, int b_zero_point, const int b_shape[3],
                             const struct oracle_layer *layer);
void oracle_integer_mean(int8_t *codes, int32_t *sums, const int8_t *x,
                         const struct oracle_layer *layer);
void oracle_integer_pool(int8_t *codes, const int8_t *x, bool average,
                         const struct oracle_layer *layer);

// Functions of one code.
enum oracle_function {
    ORACLE_SIGMOID,
    ORACLE_TANH,
    ORACLE_H_SWISH,
    ORACLE_LEAKY_RELU,  // oracle_leaky_relu's
    ORACLE_HARD_SIGMOID,
    ORACLE_SILU,
    ORACLE_GELU,
    ORACLE_GELU_TANH,
    ORACLE_ELU,
    ORACLE_SOFTPLUS,
    ORACLE_ERF,
    ORACLE_NEGATE,
    ORACLE_ABS,
    ORACLE_SQRT,
    ORACLE_FUNCTION_COUNT
};
// The nearest code, of two the one further from zero; *doubtful: the exact value lies within
// `close` of a half, so that an error of the function could decide.
int8_t oracle_function_code(bool *doubtful, enum oracle_function function, int code, double close,
                            const struct oracle_layer *layer);
// Softmax over in_c codes. In fixed point, from its definition; of exact reals, floor(256 p + 1/2),
// and doubtful[c] where an error of `close` steps could decide.
void oracle_integer_softmax(int8_t *codes, const int8_t *x, const struct oracle_layer *layer);
void oracle_share_codes(int8_t *codes, bool *doubtful, const int8_t *x, double close,
                        const struct oracle_layer *layer);
// With exponentials of 16 bits, from its definition; doubtful[c]: where float32's exp could decide.
void oracle_short_softmax(int8_t *codes, bool *doubtful, const int8_t *x,
                          const struct oracle_layer *layer);
// Leaky ReLU as the layer's runtime has it.
int8_t oracle_leaky_relu(int code, const struct oracle_layer *layer);
// TFLite's h-swish in 16 bits, from its definition.
int8_t oracle_h_swish16(int code, const struct oracle_layer *layer);

#endif

// Owns the text of the kernels in exported C. It is what the customer reads, so it is plain: loops
// in the order of the formula, OHWI weights as they are stored. Written from the arithmetic's
// definition, not from qat/engine.c, so that comparing the two means something.

#include "export/c_templates.h"

#include <stddef.h>

const char *const dc__c_layer_struct =
    "struct layer {\n"
    "    int in_h, in_w, in_c, in_zero;                /* input: height, width, channels */\n"
    "    int out_h, out_w, out_c, out_zero, low, high; /* output; codes are clamped to [low, high] "
    "*/\n"
    "    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;\n"
    "    int first_channel;                            /* pad, slice */\n"
    "    int other_zero;                               /* add: zero point of the second input */\n"
    "    const int8_t *weights, *table;                /* table: output of code c at [c + 128] */\n"
    "    const int32_t *biases, *multipliers, *shifts;\n"
    "    const double *factors;                        /* where doubles multiply */\n"
    "    const int32_t *exponentials;                  /* softmax: of code - largest at [255 + "
    "difference] */\n"
    "    const float *float_exponentials;\n"
    "    int upward;                                   /* channels below it round ties upward */\n"
    "    int fused;                                    /* add: by fused multiply-adds */\n"
    "};\n"
    "\n";

const char *const dc__c_requantize_double =
    "/* x * multiplier * 2^(shift - 31), rounded twice: the high half of the product with ties\n"
    "   upward, then the right shift with ties away from zero. As TensorFlow Lite Micro and "
    "CMSIS-NN. */\n"
    "static int64_t requantize(int64_t x, const struct layer *l, int i)\n"
    "{\n"
    "    const int32_t multiplier = l->multipliers[i], shift = l->shifts[i];\n"
    "    int64_t y;\n"
    "    if (shift > 0) {\n"
    "        x *= (int64_t)1 << (shift < 31 ? shift : 31);\n"
    "        x = x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x;\n"
    "    }\n"
    "    y = (x * multiplier + ((int64_t)1 << 30)) >> 31;\n"
    "    if (shift < 0) {\n"
    "        const int64_t half = (int64_t)1 << (-shift - 1);\n"
    "        y = y < 0 ? -((half - y) >> -shift) : (half + y) >> -shift;\n"
    "    }\n"
    "    return y;\n"
    "}\n"
    "\n";

const char *const dc__c_round_twice =
    "/* x * multiplier * 2^(shift - 31), rounded twice: the high half of the product with ties\n"
    "   upward, then the right shift, with ties upward or away from zero. */\n"
    "static int64_t round_twice(int64_t x, int32_t multiplier, int32_t shift, int upward)\n"
    "{\n"
    "    const int right = shift < 0 ? -shift : 0;\n"
    "    const int64_t half = right > 0 ? (int64_t)1 << (right - 1) : 0;\n"
    "    x *= (int64_t)1 << (shift < 0 ? 0 : shift < 31 ? shift : 31);\n"
    "    x = x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x;\n"
    "    x = (x * multiplier + ((int64_t)1 << 30)) >> 31;\n"
    "    return x < 0 && !upward ? -((half - x) >> right) : (half + x) >> right;\n"
    "}\n"
    "\n";

const char *const dc__c_requantize_double_up =
    "/* As LiteRT's built-in kernels, whose vectors round upward. */\n"
    "static int64_t requantize(int64_t x, const struct layer *l, int i)\n"
    "{\n"
    "    return round_twice(x, l->multipliers[i], l->shifts[i], i < l->upward);\n"
    "}\n"
    "\n";

const char *const dc__c_requantize_single =
    "/* x * multiplier * 2^(shift - 31), rounded once with ties upward, as ruy does. */\n"
    "static int64_t requantize(int64_t x, const struct layer *l, int i)\n"
    "{\n"
    "    const int32_t multiplier = l->multipliers[i], shift = l->shifts[i];\n"
    "    const int right = 31 - shift;\n"
    "    return (x * multiplier + ((int64_t)1 << (right - 1))) >> right;\n"
    "}\n"
    "\n";

const char *const dc__c_requantize_half_even =
    "/* x * multiplier * 2^(shift - 31), of two nearest integers the even one. The multiplier is\n"
    "   2^30 where scales are powers of two. */\n"
    "static int64_t requantize(int64_t x, const struct layer *l, int i)\n"
    "{\n"
    "    const int32_t multiplier = l->multipliers[i], shift = l->shifts[i];\n"
    "    const int right = 31 - shift;\n"
    "    const int64_t half = (int64_t)1 << (right - 1);\n"
    "    const int64_t y = (x * multiplier + half) >> right;\n"
    "    return x * multiplier + half == y * 2 * half && y % 2 != 0 ? y - 1 : y;\n"
    "}\n"
    "\n";

const char *const dc__c_nearest_even =
    "/* To the nearest integer, a half to the even one; beyond 1024 the clamp comes next anyway. "
    "*/\n"
    "static int64_t nearest_even(float y)\n"
    "{\n"
    "    int32_t whole;\n"
    "    float rest;\n"
    "    if (y >= 1024.0f || y <= -1024.0f)\n"
    "        return y > 0.0f ? 1024 : -1024;\n"
    "    whole = (int32_t)y;\n"
    "    rest = y - (float)whole;\n"
    "    if (rest > 0.5f || (rest == 0.5f && whole % 2 != 0))\n"
    "        whole++;\n"
    "    else if (rest < -0.5f || (rest == -0.5f && whole % 2 != 0))\n"
    "        whole--;\n"
    "    return whole;\n"
    "}\n"
    "\n";

const char *const dc__c_factor = "/* multiplier * 2^(shift - 31): a float32 to its last bit. */\n"
                                 "static float factor(int32_t multiplier, int32_t shift)\n"
                                 "{\n"
                                 "    float f = (float)multiplier;\n"
                                 "    int32_t i;\n"
                                 "    for (i = shift; i < 31; i++)\n"
                                 "        f *= 0.5f;\n"
                                 "    for (i = 31; i < shift; i++)\n"
                                 "        f *= 2.0f;\n"
                                 "    return f;\n"
                                 "}\n"
                                 "\n";

const char *const dc__c_requantize_even =
    "/* The product in float32 (volatile: not fused, not wider), then half to even, as ONNX "
    "Runtime. */\n"
    "static int64_t requantize(int64_t x, const struct layer *l, int i)\n"
    "{\n"
    "    const int32_t multiplier = l->multipliers[i], shift = l->shifts[i];\n"
    "    const volatile float y = (float)x * factor(multiplier, shift);\n"
    "    return nearest_even(y);\n"
    "}\n"
    "\n";

const char *const dc__c_finish =
    "/* Right shifts of negative numbers are arithmetic on every compiler we know; the self-test "
    "would\n"
    "   show one where they are not. */\n"
    "static int8_t finish(int64_t code, const struct layer *l)\n"
    "{\n"
    "    return (int8_t)(code < l->low ? l->low : code > l->high ? l->high : code);\n"
    "}\n"
    "\n";

static const char conv2d[] =
    "/* Weights [out_c][kernel_h][kernel_w][in_c]. A tap in the padding adds nothing: padding "
    "holds the\n"
    "   input's zero point. */\n"
    "static void conv2d(int8_t *y, const int8_t *x, const struct layer *l)\n"
    "{\n"
    "    int oy, ox, o, ky, kx, i;\n"
    "    for (oy = 0; oy < l->out_h; oy++)\n"
    "        for (ox = 0; ox < l->out_w; ox++)\n"
    "            for (o = 0; o < l->out_c; o++) {\n"
    "                const int8_t *w = l->weights + (int32_t)o * l->kernel_h * l->kernel_w * "
    "l->in_c;\n"
    "                int32_t sum = l->biases[o];\n"
    "                for (ky = 0; ky < l->kernel_h; ky++) {\n"
    "                    const int iy = oy * l->stride_h + ky * l->dilation_h - l->pad_top;\n"
    "                    for (kx = 0; kx < l->kernel_w; kx++, w += l->in_c) {\n"
    "                        const int ix = ox * l->stride_w + kx * l->dilation_w - l->pad_left;\n"
    "                        if (iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w) {\n"
    "                            const int8_t *p = x + ((int32_t)iy * l->in_w + ix) * l->in_c;\n"
    "                            for (i = 0; i < l->in_c; i++)\n"
    "                                sum += w[i] * (p[i] - l->in_zero);\n"
    "                        }\n"
    "                    }\n"
    "                }\n"
    "                *y++ = finish(requantize(sum, l, o) + l->out_zero, l);\n"
    "            }\n"
    "}\n"
    "\n";

static const char depthwise_conv2d[] =
    "/* Weights [kernel_h][kernel_w][out_c]; output channel o reads input channel o / (out_c / "
    "in_c). */\n"
    "static void depthwise_conv2d(int8_t *y, const int8_t *x, const struct layer *l)\n"
    "{\n"
    "    const int multiple = l->out_c / l->in_c;\n"
    "    int oy, ox, o, ky, kx;\n"
    "    for (oy = 0; oy < l->out_h; oy++)\n"
    "        for (ox = 0; ox < l->out_w; ox++)\n"
    "            for (o = 0; o < l->out_c; o++) {\n"
    "                int32_t sum = l->biases[o];\n"
    "                for (ky = 0; ky < l->kernel_h; ky++)\n"
    "                    for (kx = 0; kx < l->kernel_w; kx++) {\n"
    "                        const int iy = oy * l->stride_h + ky * l->dilation_h - l->pad_top;\n"
    "                        const int ix = ox * l->stride_w + kx * l->dilation_w - l->pad_left;\n"
    "                        if (iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w)\n"
    "                            sum += l->weights[((int32_t)ky * l->kernel_w + kx) * l->out_c + "
    "o] *\n"
    "                                   (x[((int32_t)iy * l->in_w + ix) * l->in_c + o / multiple] "
    "-\n"
    "                                    l->in_zero);\n"
    "                    }\n"
    "                *y++ = finish(requantize(sum, l, o) + l->out_zero, l);\n"
    "            }\n"
    "}\n"
    "\n";

static const char fully_connected[] =
    "/* Weights [out_c][inputs]; the inputs are all codes of the input value in order. */\n"
    "static void fully_connected(int8_t *y, const int8_t *x, const struct layer *l)\n"
    "{\n"
    "    const int32_t inputs = (int32_t)l->in_h * l->in_w * l->in_c;\n"
    "    const int8_t *w = l->weights;\n"
    "    int32_t i;\n"
    "    int o;\n"
    "    for (o = 0; o < l->out_c; o++, w += inputs) {\n"
    "        int32_t sum = l->biases[o];\n"
    "        for (i = 0; i < inputs; i++)\n"
    "            sum += w[i] * (x[i] - l->in_zero);\n"
    "        y[o] = finish(requantize(sum, l, o) + l->out_zero, l);\n"
    "    }\n"
    "}\n"
    "\n";

static const char add[] =
    "/* Both inputs are scaled to a common fine scale (entries 0 and 1), added, and scaled once "
    "(2). */\n"
    "static void add(int8_t *y, const int8_t *a, const int8_t *b, const struct layer *l)\n"
    "{\n"
    "    const int32_t count = (int32_t)l->out_h * l->out_w * l->out_c;\n"
    "    int32_t i;\n"
    "    for (i = 0; i < count; i++) {\n"
    "        const int64_t sum = requantize((int64_t)(a[i] - l->in_zero) * 1048576, l, 0) +\n"
    "                            requantize((int64_t)(b[i] - l->other_zero) * 1048576, l, 1);\n"
    "        y[i] = finish(requantize(sum, l, 2) + l->out_zero, l);\n"
    "    }\n"
    "}\n"
    "\n";

static const char average_pool[] =
    "/* The mean of the taps inside the input, rounded half away from zero. */\n"
    "static void average_pool(int8_t *y, const int8_t *x, const struct layer *l)\n"
    "{\n"
    "    int oy, ox, c, ky, kx;\n"
    "    for (oy = 0; oy < l->out_h; oy++)\n"
    "        for (ox = 0; ox < l->out_w; ox++)\n"
    "            for (c = 0; c < l->out_c; c++) {\n"
    "                int32_t sum = 0, taps = 0;\n"
    "                for (ky = 0; ky < l->kernel_h; ky++)\n"
    "                    for (kx = 0; kx < l->kernel_w; kx++) {\n"
    "                        const int iy = oy * l->stride_h + ky - l->pad_top;\n"
    "                        const int ix = ox * l->stride_w + kx - l->pad_left;\n"
    "                        if (iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w) {\n"
    "                            sum += x[((int32_t)iy * l->in_w + ix) * l->in_c + c];\n"
    "                            taps++;\n"
    "                        }\n"
    "                    }\n"
    "                *y++ = finish((sum > 0 ? sum + taps / 2 : sum - taps / 2) / taps, l);\n"
    "            }\n"
    "}\n"
    "\n";

static const char max_pool[] =
    "static void max_pool(int8_t *y, const int8_t *x, const struct layer *l)\n"
    "{\n"
    "    int oy, ox, c, ky, kx;\n"
    "    for (oy = 0; oy < l->out_h; oy++)\n"
    "        for (ox = 0; ox < l->out_w; ox++)\n"
    "            for (c = 0; c < l->out_c; c++) {\n"
    "                int best = -128;\n"
    "                for (ky = 0; ky < l->kernel_h; ky++)\n"
    "                    for (kx = 0; kx < l->kernel_w; kx++) {\n"
    "                        const int iy = oy * l->stride_h + ky - l->pad_top;\n"
    "                        const int ix = ox * l->stride_w + kx - l->pad_left;\n"
    "                        if (iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w) {\n"
    "                            const int code = x[((int32_t)iy * l->in_w + ix) * l->in_c + c];\n"
    "                            best = code > best ? code : best;\n"
    "                        }\n"
    "                    }\n"
    "                *y++ = finish(best, l);\n"
    "            }\n"
    "}\n"
    "\n";

static const char mean[] = "/* Over height and width; the multiplier holds the division. */\n"
                           "static void mean(int8_t *y, const int8_t *x, const struct layer *l)\n"
                           "{\n"
                           "    const int32_t positions = (int32_t)l->in_h * l->in_w;\n"
                           "    int32_t i;\n"
                           "    int c;\n"
                           "    for (c = 0; c < l->out_c; c++) {\n"
                           "        int32_t sum = 0;\n"
                           "        for (i = 0; i < positions; i++)\n"
                           "            sum += x[i * l->in_c + c];\n"
                           "        sum -= positions * l->in_zero;\n"
                           "        y[c] = finish(requantize(sum, l, 0) + l->out_zero, l);\n"
                           "    }\n"
                           "}\n"
                           "\n";

static const char reshape[] = "static void copy(int8_t *y, const int8_t *x, int32_t count)\n"
                              "{\n"
                              "    int32_t i;\n"
                              "    for (i = 0; i < count; i++)\n"
                              "        y[i] = x[i];\n"
                              "}\n"
                              "\n";

static const char pad[] =
    "static void pad(int8_t *y, const int8_t *x, const struct layer *l)\n"
    "{\n"
    "    int oy, ox, c;\n"
    "    for (oy = 0; oy < l->out_h; oy++)\n"
    "        for (ox = 0; ox < l->out_w; ox++) {\n"
    "            const int iy = oy - l->pad_top, ix = ox - l->pad_left;\n"
    "            const int inside = iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w;\n"
    "            for (c = -l->first_channel; c < l->out_c - l->first_channel; c++)\n"
    "                *y++ = inside && c >= 0 && c < l->in_c\n"
    "                           ? x[((int32_t)iy * l->in_w + ix) * l->in_c + c]\n"
    "                           : (int8_t)l->out_zero;\n"
    "        }\n"
    "}\n"
    "\n";

static const char slice[] =
    "static void slice(int8_t *y, const int8_t *x, const struct layer *l)\n"
    "{\n"
    "    int oy, ox, c;\n"
    "    for (oy = 0; oy < l->out_h; oy++)\n"
    "        for (ox = 0; ox < l->out_w; ox++) {\n"
    "            const int32_t iy = l->pad_top + (int32_t)oy * l->stride_h;\n"
    "            const int32_t ix = l->pad_left + (int32_t)ox * l->stride_w;\n"
    "            for (c = 0; c < l->out_c; c++)\n"
    "                *y++ = x[(iy * l->in_w + ix) * l->in_c + l->first_channel + c];\n"
    "        }\n"
    "}\n"
    "\n";

static const char concat[] = "/* One input of a concatenation: its channels go to [first, first + "
                             "channels) of each position. */\n"
                             "static void place(int8_t *y, const int8_t *x, int first, int "
                             "channels, const struct layer *l)\n"
                             "{\n"
                             "    const int32_t positions = (int32_t)l->out_h * l->out_w;\n"
                             "    int32_t i;\n"
                             "    int c;\n"
                             "    for (i = 0; i < positions; i++)\n"
                             "        for (c = 0; c < channels; c++)\n"
                             "            y[i * l->out_c + first + c] = x[i * channels + c];\n"
                             "}\n"
                             "\n";

static const char table[] = "/* A function of each code. */\n"
                            "static void table(int8_t *y, const int8_t *x, const struct layer *l)\n"
                            "{\n"
                            "    const int32_t size = (int32_t)l->out_h * l->out_w * l->out_c;\n"
                            "    int32_t i;\n"
                            "    for (i = 0; i < size; i++)\n"
                            "        y[i] = l->table[x[i] + 128];\n"
                            "}\n"
                            "\n";

static const char softmax[] =
    "/* Over the channels, in float32 (volatile: not fused, not wider), a half upward. */\n"
    "static void softmax(int8_t *y, const int8_t *x, const struct layer *l)\n"
    "{\n"
    "    const int32_t positions = (int32_t)l->out_h * l->out_w;\n"
    "    int32_t i;\n"
    "    int c;\n"
    "    for (i = 0; i < positions; i++, x += l->out_c, y += l->out_c) {\n"
    "        const float *e;\n"
    "        volatile float sum = 0.0f, part, share;\n"
    "        int most = -128;\n"
    "        for (c = 0; c < l->out_c; c++)\n"
    "            most = x[c] > most ? x[c] : most;\n"
    "        e = l->float_exponentials + 255 - most;\n"
    "        for (c = 0; c < l->out_c; c++)\n"
    "            sum += e[x[c]];\n"
    "        part = sum * 0.00390625f;\n"
    "        part = 1.0f / part;\n"
    "        for (c = 0; c < l->out_c; c++) {\n"
    "            share = e[x[c]] * part;\n"
    "            y[c] = finish((int64_t)((double)share + 0.5) + l->out_zero, l);\n"
    "        }\n"
    "    }\n"
    "}\n"
    "\n";

const char *const dc__c_kernels[DC_IOP_COUNT] = {
    [DC_I_INPUT] = NULL,
    [DC_I_CONV2D] = conv2d,
    [DC_I_DEPTHWISE_CONV2D] = depthwise_conv2d,
    [DC_I_FULLY_CONNECTED] = fully_connected,
    [DC_I_ADD] = add,
    [DC_I_AVERAGE_POOL] = average_pool,
    [DC_I_MAX_POOL] = max_pool,
    [DC_I_MEAN] = mean,
    [DC_I_RESHAPE] = reshape,
    [DC_I_PAD] = pad,
    [DC_I_CONCAT] = concat,
    [DC_I_SLICE] = slice,
    [DC_I_TABLE] = table,
    [DC_I_SOFTMAX] = softmax,
};

/* tiny.c: written by Decant 0.2.0; do not edit, export again.
   experiment tiny, stage q; input = (x / 255 - mean) / deviation, mean 0.492252171, deviation 0.281301737
   Profile tflm: requantize(x, m, s) = RDivPOT(SRDHM(x * 2^max(s, 0), m), max(-s, 0)).
   Biases do not include the input's zero point. C99, no allocation. */

#include "tiny.h"

/* Weights and the arena's values lie at multiples of 4 bytes, for kernels that want it;
   those below do not. */
#if defined(__GNUC__)
#define ALIGNED __attribute__((aligned(4)))
#elif __STDC_VERSION__ >= 201112L
#define ALIGNED _Alignas(4)
#else
#define ALIGNED
#endif

struct layer {
    int in_h, in_w, in_c, in_zero;                /* input: height, width, channels */
    int out_h, out_w, out_c, out_zero, low, high; /* output; codes are clamped to [low, high] */
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int first_channel;                            /* pad, slice */
    int other_zero;                               /* add: zero point of the second input */
    const int8_t *weights, *table;                /* table: output of code c at [c + 128] */
    const int32_t *biases, *multipliers, *shifts;
    const double *factors;                        /* where doubles multiply */
    const int32_t *exponentials;                  /* softmax: of code - largest at [255 + difference] */
    const float *float_exponentials;
    int upward;                                   /* channels below it round ties upward */
    int fused;                                    /* add: by fused multiply-adds */
};

/* x * multiplier * 2^(shift - 31), rounded twice: the high half of the product with ties
   upward, then the right shift with ties away from zero. As TensorFlow Lite Micro and CMSIS-NN. */
static int64_t requantize(int64_t x, const struct layer *l, int i)
{
    const int32_t multiplier = l->multipliers[i], shift = l->shifts[i];
    int64_t y;
    if (shift > 0) {
        x *= (int64_t)1 << (shift < 31 ? shift : 31);
        x = x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x;
    }
    y = (x * multiplier + ((int64_t)1 << 30)) >> 31;
    if (shift < 0) {
        const int64_t half = (int64_t)1 << (-shift - 1);
        y = y < 0 ? -((half - y) >> -shift) : (half + y) >> -shift;
    }
    return y;
}

/* Right shifts of negative numbers are arithmetic on every compiler we know; the self-test would
   show one where they are not. */
static int8_t finish(int64_t code, const struct layer *l)
{
    return (int8_t)(code < l->low ? l->low : code > l->high ? l->high : code);
}

/* Weights [out_c][kernel_h][kernel_w][in_c]. A tap in the padding adds nothing: padding holds the
   input's zero point. */
static void conv2d(int8_t *y, const int8_t *x, const struct layer *l)
{
    int oy, ox, o, ky, kx, i;
    for (oy = 0; oy < l->out_h; oy++)
        for (ox = 0; ox < l->out_w; ox++)
            for (o = 0; o < l->out_c; o++) {
                const int8_t *w = l->weights + (int32_t)o * l->kernel_h * l->kernel_w * l->in_c;
                int32_t sum = l->biases[o];
                for (ky = 0; ky < l->kernel_h; ky++) {
                    const int iy = oy * l->stride_h + ky * l->dilation_h - l->pad_top;
                    for (kx = 0; kx < l->kernel_w; kx++, w += l->in_c) {
                        const int ix = ox * l->stride_w + kx * l->dilation_w - l->pad_left;
                        if (iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w) {
                            const int8_t *p = x + ((int32_t)iy * l->in_w + ix) * l->in_c;
                            for (i = 0; i < l->in_c; i++)
                                sum += w[i] * (p[i] - l->in_zero);
                        }
                    }
                }
                *y++ = finish(requantize(sum, l, o) + l->out_zero, l);
            }
}

/* Weights [out_c][inputs]; the inputs are all codes of the input value in order. */
static void fully_connected(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int32_t inputs = (int32_t)l->in_h * l->in_w * l->in_c;
    const int8_t *w = l->weights;
    int32_t i;
    int o;
    for (o = 0; o < l->out_c; o++, w += inputs) {
        int32_t sum = l->biases[o];
        for (i = 0; i < inputs; i++)
            sum += w[i] * (x[i] - l->in_zero);
        y[o] = finish(requantize(sum, l, o) + l->out_zero, l);
    }
}

/* stem: conv2d, [4][4][1] -> [2][2][2], scale 0.0106989993, zero point -128.
   Its sums stay within [-81726, 80804]. */
static const ALIGNED int8_t layer1_stem_weights[18] = {
    -23, -61, 21, -16, -31, 33, -43, -127, -58, -5, 87, -127, 5, 57, -99, -36,
    -117, -104,
};
static const int32_t layer1_stem_biases[2] = {
    -756, 95,
};
static const int32_t layer1_stem_multipliers[2] = {
    1163873174, 1546182316,
};
static const int32_t layer1_stem_shifts[2] = {
    -6, -7,
};
static const struct layer layer1_stem = {
    .in_h = 4, .in_w = 4, .in_c = 1, .in_zero = -2,
    .out_h = 2, .out_w = 2, .out_c = 2, .out_zero = -128, .low = -128, .high = 127,
    .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1,
    .pad_top = 0, .pad_left = 0, .first_channel = 0,
    .weights = layer1_stem_weights,
    .biases = layer1_stem_biases,
    .multipliers = layer1_stem_multipliers, .shifts = layer1_stem_shifts,
};

/* logits: fully_connected, [1][1][8] -> [1][1][3], scale 0.0139214629, zero point 77.
   Its sums stay within [-92872, 60690]. */
static const ALIGNED int8_t layer3_logits_weights[24] = {
    -111, 16, 39, -127, -74, -52, 90, 93, -22, -88, 25, -46, -16, -37, -78, 122,
    35, -5, -32, -113, -51, 15, -81, 92,
};
static const int32_t layer3_logits_biases[3] = {
    -52, 153, -101,
};
static const int32_t layer3_logits_multipliers[3] = {
    1496846175, 1496846175, 1496846175,
};
static const int32_t layer3_logits_shifts[3] = {
    -7, -7, -7,
};
static const struct layer layer3_logits = {
    .in_h = 1, .in_w = 1, .in_c = 8, .in_zero = -128,
    .out_h = 1, .out_w = 1, .out_c = 3, .out_zero = 77, .low = -128, .high = 127,
    .kernel_h = 0, .kernel_w = 0, .stride_h = 0, .stride_w = 0, .dilation_h = 0, .dilation_w = 0,
    .pad_top = 0, .pad_left = 0, .first_channel = 0,
    .weights = layer3_logits_weights,
    .biases = layer3_logits_biases,
    .multipliers = layer3_logits_multipliers, .shifts = layer3_logits_shifts,
};

static ALIGNED int8_t arena[TINY_ARENA_BYTES];

void tiny_run(const int8_t *input, int8_t *output)
{
    conv2d(arena + 0, input, &layer1_stem);
    fully_connected(output, arena + 0, &layer3_logits);
}

#ifndef TINY_NO_SELFTEST
static const int8_t test_inputs[64] = {
    -128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -128, -128,
    127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127,
    -2, -2, -2, -2, -2, -2, -2, -2, -2, -2, -2, -2, -2, -2, -2, -2,
    -38, 34, 96, -13, -6, 32, 125, 117, -13, 83, 44, 12, -16, -104, -92, 60,
};
static const int8_t test_outputs[12] = {
    -93, -113, -117, 77, 78, 76, 76, 78, 76, 30, 63, 43,
};

int tiny_selftest(void)
{
    int8_t output[3];
    int n, i;
    for (n = 0; n < 4; n++) {
        tiny_run(test_inputs + (int32_t)n * 16, output);
        for (i = 0; i < 3; i++)
            if (output[i] != test_outputs[(int32_t)n * 3 + i])
                return n + 1;
    }
    return 0;
}
#endif

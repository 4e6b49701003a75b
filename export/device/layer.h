#pragma once

#include <stdint.h>

#ifndef ALIGNED
#define ALIGNED
#endif

struct layer {
    int in_h, in_w, in_c, in_zero;                /* input: height, width, channels */
    int out_h, out_w, out_c, out_zero, low, high; /* output; codes are clamped to [low, high] */
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int first_channel;             /* pad, slice */
    int other_zero;                /* add, multiply: zero point of the second input */
    int other_h, other_w, other_c; /* multiply: its size; an axis of size 1 is read again */
    const int8_t *weights, *table; /* table: output of code c at [c + 128] */
    const int32_t *biases, *multipliers, *shifts;
    const double *factors;       /* where doubles multiply */
    const int32_t *exponentials; /* softmax: of code - largest at [255 + difference] */
    const float *float_exponentials;
    int upward; /* channels below it round ties upward */
    int fused;  /* add: by fused multiply-adds */
    int packed; /* weights lie two a byte, the first in the low half */
};

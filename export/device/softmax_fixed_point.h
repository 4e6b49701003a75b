#pragma once

#include "export/device/finish.h"

/* round(a * b / 2^31), ties upward. */
static int32_t high_product(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* 1 / (1 + a), both fractions of 2^31, by Newton's steps. */
static int32_t reciprocal(int32_t a)
{
    const int32_t half = (int32_t)(((int64_t)a + ((int64_t)1 << 31)) / 2);
    int64_t x = 1515870810 + (int64_t)high_product(half, -1010580540);
    int k;
    for (k = 0; k < 3; k++)
        x += 4 *
             (int64_t)high_product((int32_t)x, ((int32_t)1 << 29) - high_product(half, (int32_t)x));
    return x > INT32_MAX / 2 ? INT32_MAX : (int32_t)(2 * x);
}

/* Over the channels, in fixed point: exponentials are fractions of 2^31, their sum counts 2^-19,
   as TensorFlow Lite Micro and CMSIS-NN. */
static void softmax(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int32_t positions = (int32_t)l->out_h * l->out_w;
    int32_t i;
    int c;
    for (i = 0; i < positions; i++, x += l->out_c, y += l->out_c) {
        const int32_t *e;
        int64_t sum = 0;
        int32_t inverse;
        int most = -128, right = 35;
        for (c = 0; c < l->out_c; c++)
            most = x[c] > most ? x[c] : most;
        e = l->exponentials + 255 - most;
        for (c = 0; c < l->out_c; c++)
            sum += ((int64_t)e[x[c]] + 2048) >> 12;
        for (; sum < (int64_t)1 << 31; right--)
            sum *= 2;
        inverse = reciprocal((int32_t)(sum - ((int64_t)1 << 31)));
        for (c = 0; c < l->out_c; c++) {
            const int64_t share = high_product(inverse, e[x[c]]);
            const int64_t code = right > 31 ? 0 : (share + ((int64_t)1 << (right - 1))) >> right;
            y[c] = finish((int32_t)code, l);
        }
    }
}

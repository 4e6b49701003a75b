#pragma once

#include "export/device/factor.h"
#include "export/device/finish.h"
#include "export/device/nearest_even.h"
#include "export/device/products_of_codes.h"

/* In float32, the zero point added before the rounding, as ONNX Runtime's QLinearMul. */
static void multiply(int8_t *y, const int8_t *a, const int8_t *b, const struct layer *l)
{
    const int32_t count = (int32_t)l->out_h * l->out_w * l->out_c;
    const float scale = factor(l->multipliers[0], l->shifts[0]);
    int32_t i;
    for (i = 0; i < count; i++) {
        volatile float code = (float)product_of_codes(a, b, i, l) * scale;
        code = code + (float)l->out_zero;
        y[i] = finish_code(nearest_even(code), l);
    }
}

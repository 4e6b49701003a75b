#pragma once

#include "export/device/layer.h"

/* Right shifts of negative numbers are arithmetic on every compiler we know; the self-test would
   show one where they are not. */
static int8_t finish(int64_t code, const struct layer *l)
{
    return (int8_t)(code < l->low ? l->low : code > l->high ? l->high : code);
}

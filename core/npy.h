// Arrays of NumPy: its format NPY (NEP 1), a magic word, a dictionary as Python text, the values.

#ifndef DC_CORE_NPY_H
#define DC_CORE_NPY_H

#include <stdint.h>

#include "core/arena.h"
#include "core/tensor.h"

enum dc_npy_type { DC_NPY_UNSIGNED, DC_NPY_SIGNED, DC_NPY_FLOAT, DC_NPY_BOOL };

struct dc_npy {
    enum dc_npy_type type;
    int width;  // bytes of a value: 1, 2, 4 or 8; of a float not 1
    struct dc_shape shape;
    int64_t count;          // of values
    const uint8_t *values;  // in the bytes that were parsed: little-endian, C order
};

bool dc_npy_is(const void *bytes, size_t size);

// Of a whole file in memory; name is for messages. Versions 1 and 2, little-endian, C order, up to
// DC_RANK_MAX axes, exactly the values that the shape needs; else DC_ERR_DATA.
DC_MUST_USE enum dc_status dc_npy_parse(struct dc_npy *npy, const uint8_t *bytes, size_t size,
                                        const char *name, struct dc_arena *arena,
                                        struct dc_error *error);

// Value i of floats and integers alike, rounded once to float; and of integers as they are.
float dc_npy_float(const struct dc_npy *npy, int64_t i);
int64_t dc_npy_integer(const struct dc_npy *npy, int64_t i);

#endif

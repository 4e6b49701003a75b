// Tensors by name, as PyTorch and others save them in safetensors files.
//
// Owns reading. A file is eight bytes with the length of a header, the header as JSON (of each
// tensor: type, shape, where its bytes begin and end), and the bytes. It is not trusted: the
// header's length, every shape and every place are checked against the file, and no two tensors
// share bytes. What a name means is the reader's (run/safetensors.c).

#ifndef DC_FORMATS_SAFETENSORS_H
#define DC_FORMATS_SAFETENSORS_H

#include "core/arena.h"
#include "core/error.h"
#include "core/tensor.h"

struct dc_safetensor {
    const char *name;
    const char *dtype;      // as the file says it: "F32", "F16", "BF16" can be read
    struct dc_shape shape;  // rank 0: one value
    int64_t count;          // of values
    const uint8_t *bytes;   // of the file
    int64_t begin, end;     // where they are behind the header
};

struct dc_safetensors {
    struct dc_safetensor *tensors;  // [count], as their bytes follow each other
    int count;
};

// Everything lies in the arena. DC_ERR_DATA says what does not fit.
DC_MUST_USE enum dc_status dc_safetensors_read(struct dc_safetensors *file, const char *path,
                                               struct dc_arena *arena, struct dc_error *error);
const struct dc_safetensor *dc_safetensors_find(const struct dc_safetensors *file,
                                                const char *name);  // NULL: there is none
// Its values as float32 in the arena; of another type than those three: DC_ERR_DATA.
DC_MUST_USE enum dc_status dc_safetensor_values(float **values, const struct dc_safetensor *tensor,
                                                struct dc_arena *arena, struct dc_error *error);

#endif

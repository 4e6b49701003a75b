// Logits in NPY.

#include <string.h>

#include "distill/logits.h"
#include "tests/faults/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dc_arena *arena = NULL;
    struct dc_logits logits;
    if (size < 6 || memcmp(data, "\x93NUMPY", 6) != 0)  // it is taken for HDF5: fuzz_hdf5.c
        return 0;
    if (dc_arena_create(&arena, NULL) == DC_OK)
        fuzz_taken += dc_logits_read(&logits, fuzz_file("x.npy", data, size), arena, NULL) == DC_OK;
    dc_arena_free(arena);
    return 0;
}

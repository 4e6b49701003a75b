// Weights from safetensors: every tensor that can be read is.

#include "core/arena.h"
#include "formats/safetensors.h"
#include "tests/faults/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dc_arena *arena = NULL;
    struct dc_safetensors file;
    float *values;
    if (dc_arena_create(&arena, NULL) != DC_OK)
        return 0;
    const enum dc_status status = dc_safetensors_read(&file, fuzz_file("x.safetensors", data, size),
                                                      arena, NULL);
    fuzz_taken += status == DC_OK;
    for (int i = 0; status == DC_OK && i < file.count; i++)
        (void)!dc_safetensor_values(&values, &file.tensors[i], arena, NULL);
    dc_arena_free(arena);
    return 0;
}

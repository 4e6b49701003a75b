// An archive of NumPy's arrays.

#include "tests/faults/fuzz_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_source("npz", fuzz_file("x.npz", data, size));
    return 0;
}

// A photograph in a class folder, of whatever format its first bytes say.

#include "tests/faults/fuzz_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_file("data/a/x.jpg", data, size);
    fuzz_source("photos", fuzz_path("data"));
    return 0;
}

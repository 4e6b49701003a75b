// A PNG file in a class folder.

#include "tests/faults/fuzz_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_file("data/a/x.png", data, size);
    fuzz_source("png", fuzz_path("data"));
    return 0;
}

// IDX files, plain or packed: two bytes that say how long the labels' file is, that file, then the
// images'.

#include "tests/faults/fuzz_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const size_t rest = size - 2, said = (size_t)data[0] | (size_t)data[1] << 8;
    const size_t labels = said < rest ? said : rest;
    fuzz_file("data/train-labels-idx1-ubyte", data + 2, labels);
    fuzz_file("data/train-images-idx3-ubyte", data + 2 + labels, rest - labels);
    fuzz_source("idx", fuzz_path("data"));
    return 0;
}

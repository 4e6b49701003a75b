// CIFAR-100's training file, plain or packed.

#include "tests/faults/fuzz_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_file("data/train.bin", data, size);
    fuzz_source("cifar100", fuzz_path("data"));
    return 0;
}

// HDF5 as data. It is read by a process of its own, so that this finds what gets past it.

#include "tests/faults/fuzz_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_source("hdf5", fuzz_file("x.h5", data, size));
    return 0;
}

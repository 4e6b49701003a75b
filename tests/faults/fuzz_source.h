// Opening a data set and reading its first and last sample.

#ifndef DC_TESTS_FAULTS_FUZZ_SOURCE_H
#define DC_TESTS_FAULTS_FUZZ_SOURCE_H

#include <stdlib.h>

#include "data/open.h"
#include "tests/faults/fuzz.h"

static inline void fuzz_source(const char *kind, const char *path)
{
    struct dc_source *source = NULL;
    const struct dc_source_spec spec = {
        .kind = kind, .path = path, .split = "train", .memory = 64 << 20};
    if (dc_source_open(&source, &spec, NULL) != DC_OK)
        return;
    fuzz_taken++;
    void *sample = malloc((size_t)dc_shape_count(&source->sample) * dc_dtype_bytes(source->dtype));
    if (sample && dc_source_read(source, 0, sample, NULL) == DC_OK)
        (void)!dc_source_read(source, source->count - 1, sample, NULL);
    free(sample);
    dc_source_free(source);
}

#endif

// CSV files: as a recording with a column of labels, and as a table that names recordings, of each
// kind of labels.

#include <string.h>

#include "tests/faults/fuzz_source.h"

static void open_series(const char *path, enum dc_label_kind kind)
{
    struct dc_source *source = NULL;
    const struct dc_source_spec spec = {.kind = "series",
                                        .path = path,
                                        .split = "train",
                                        .window = 2,
                                        .foreign = true,
                                        .label_kind = kind,
                                        .memory = 64 << 20};
    if (dc_source_open(&source, &spec, NULL) != DC_OK)
        return;
    fuzz_taken++;
    float *sample = malloc((size_t)dc_shape_count(&source->sample) * sizeof *sample);
    if (sample)
        (void)!dc_source_read(source, source->count - 1, sample, NULL);
    free(sample);
    dc_source_free(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char recording[] = "1,2\n3,4\n5,6\n";
    fuzz_file("flat/a.csv", data, size);
    open_series(fuzz_path("flat"), DC_LABELS_CLASSES);
    fuzz_file("table/r.csv", recording, strlen(recording));
    fuzz_file("table/s.csv", recording, strlen(recording));
    fuzz_file("table/t.csv", data, size);
    for (int kind = 0; kind < DC_LABEL_KINDS; kind++)
        open_series(fuzz_path("table/t.csv"), (enum dc_label_kind)kind);
    return 0;
}

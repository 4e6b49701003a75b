// Owns counting what is in a source. It changes nothing and prints nothing.

#include "data/inspect.h"

#include <stdlib.h>

enum dc_status dc_source_inspect(struct dc_source_summary *summary, const struct dc_source *source,
                                 struct dc_arena *arena, struct dc_error *error)
{
    const int64_t values = dc_shape_count(&source->sample);
    void *raw = dc_arena_alloc(arena, (size_t)values * dc_dtype_bytes(source->dtype), error);
    float *x = DC_NEW(arena, float, values, error), low = 0.0f, high = 0.0f;
    int64_t *ids = DC_NEW(arena, int64_t, source->count, error);
    int64_t *counts = DC_NEW(arena, int64_t, source->classes, error);
    if (!raw || !x || !ids || !counts)
        return DC_ERR_MEMORY;
    for (int64_t id = 0; id < source->count; id++) {
        ids[id] = id;
        if (source->labels)
            counts[source->labels[id]]++;
        DC_TRY(dc_check_stop(source->stop, error));
        DC_TRY(dc_source_read(source, id, raw, error));
        dc_values_to_float(x, raw, source->dtype, values);
        if (id == 0)
            low = high = x[0];
        for (int64_t i = 0; i < values; i++) {
            low = x[i] < low ? x[i] : low;
            high = x[i] > high ? x[i] : high;
        }
    }
    *summary = (struct dc_source_summary){.class_counts = source->labels ? counts : NULL,
                                          .minimum = (double)low,
                                          .maximum = (double)high};
    return dc_dataset_statistics(&summary->statistics, source, ids, source->count, error);
}

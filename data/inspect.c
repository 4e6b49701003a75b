// Owns counting what is in a source. It changes nothing and prints nothing.

#include "data/inspect.h"

#include <stdlib.h>

static enum dc_status find_range(struct dc_source_summary *summary, const struct dc_source *source,
                                 struct dc_arena *arena, struct dc_error *error)
{
    const int64_t values = dc_shape_count(&source->sample);
    void *raw = dc_arena_alloc(arena, (size_t)values * dc_dtype_bytes(source->dtype), error);
    float *x = DC_NEW(arena, float, values, error);
    if (!raw || !x)
        return DC_ERR_MEMORY;
    for (int64_t id = 0; id < source->count; id++) {
        DC_TRY(dc_source_read(source, id, raw, error));
        dc_values_to_float(x, raw, source->dtype, values);
        if (id == 0)
            summary->minimum = summary->maximum = (double)x[0];
        float low = (float)summary->minimum, high = (float)summary->maximum;
        for (int64_t i = 0; i < values; i++) {
            low = x[i] < low ? x[i] : low;
            high = x[i] > high ? x[i] : high;
        }
        summary->minimum = (double)low;
        summary->maximum = (double)high;
    }
    return DC_OK;
}

enum dc_status dc_source_inspect(struct dc_source_summary *summary, const struct dc_source *source,
                                 struct dc_arena *arena, struct dc_error *error)
{
    *summary = (struct dc_source_summary){0};
    int64_t *ids = DC_NEW(arena, int64_t, source->count, error);
    int64_t *counts = DC_NEW(arena, int64_t, source->classes, error);
    if (!ids || !counts)
        return DC_ERR_MEMORY;
    for (int64_t id = 0; id < source->count; id++) {
        ids[id] = id;
        if (source->labels)
            counts[source->labels[id]]++;
    }
    summary->class_counts = source->labels ? counts : NULL;
    DC_TRY(dc_dataset_statistics(&summary->statistics, source, ids, source->count, error));
    return find_range(summary, source, arena, error);
}

// Owns counting what is in a source. It changes nothing and prints nothing.

#include "data/inspect.h"

#include <stdlib.h>

void dc_count_label(struct dc_label_counts *counts, enum dc_label_kind kind, int classes,
                    int32_t label, const float *values)
{
    counts->samples++;
    if (kind == DC_LABELS_CLASSES)
        counts->of[label]++;
    for (int c = 0; kind != DC_LABELS_CLASSES && c < classes; c++)
        counts->of[c] += kind == DC_LABELS_VALUES || (values && values[c] > 0.5f);
}

enum dc_status dc_count_labels(struct dc_label_counts *counts, const struct dc_source *source,
                               int64_t from, int64_t to, struct dc_arena *arena,
                               struct dc_error *error)
{
    *counts = (struct dc_label_counts){0, DC_NEW(arena, int64_t, source->classes, error)};
    if (!counts->of)
        return DC_ERR_MEMORY;
    for (int64_t i = from; i < to; i++)
        dc_count_label(counts, source->label_kind, source->classes,
                       source->labels ? source->labels[i] : 0,
                       source->targets ? source->targets + i * source->classes : NULL);
    return DC_OK;
}

enum dc_status dc_source_inspect(struct dc_source_summary *summary, const struct dc_source *source,
                                 struct dc_arena *arena, struct dc_error *error)
{
    const int64_t values = dc_shape_count(&source->sample);
    void *raw = dc_arena_alloc(arena, (size_t)values * dc_dtype_bytes(source->dtype), error);
    float *x = DC_NEW(arena, float, values, error), low = 0.0f, high = 0.0f;
    int64_t *ids = DC_NEW(arena, int64_t, source->count, error);
    struct dc_label_counts counts = {0};
    const bool counted = source->labels || source->label_kind == DC_LABELS_TAGS;
    if (!raw || !x || !ids)
        return DC_ERR_MEMORY;
    if (counted)
        DC_TRY(dc_count_labels(&counts, source, 0, source->count, arena, error));
    for (int64_t id = 0; id < source->count; id++) {
        ids[id] = id;
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
    *summary = (struct dc_source_summary){
        .class_counts = counts.of, .minimum = (double)low, .maximum = (double)high};
    return dc_dataset_statistics(&summary->statistics, source, ids, source->count, error);
}

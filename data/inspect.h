// What a data set is, in numbers, besides what its source says: for `decant data` to print.

#ifndef DC_DATA_INSPECT_H
#define DC_DATA_INSPECT_H

#include "core/arena.h"
#include "data/normalize.h"

// Samples, and how many of them are of each label: of its class, of tags those that have it, of
// values all.
struct dc_label_counts {
    int64_t samples;
    int64_t *of;  // [classes]
};
// One sample more. values [classes] are of tags, label of classes.
void dc_count_label(struct dc_label_counts *counts, enum dc_label_kind kind, int classes,
                    int32_t label, const float *values);
// Samples [from, to) of a source with labels; *counts lies in the arena.
DC_MUST_USE enum dc_status dc_count_labels(struct dc_label_counts *counts,
                                           const struct dc_source *source, int64_t from, int64_t to,
                                           struct dc_arena *arena, struct dc_error *error);

struct dc_source_summary {
    const int64_t *class_counts;  // [classes], of tags as well; NULL of values, and without labels
    double minimum, maximum;      // raw units
    struct dc_normalization statistics;
};

// Reads every sample twice. The class counts lie in the arena.
DC_MUST_USE enum dc_status dc_source_inspect(struct dc_source_summary *summary,
                                             const struct dc_source *source, struct dc_arena *arena,
                                             struct dc_error *error);

#endif

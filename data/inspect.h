// What a data set is, in numbers, for `decant data` to print.

#ifndef DC_DATA_INSPECT_H
#define DC_DATA_INSPECT_H

#include "core/arena.h"
#include "data/normalize.h"

struct dc_source_summary {
    const char *kind;
    int64_t count;
    struct dc_shape sample;
    enum dc_dtype dtype;
    int classes;
    const char *const *class_names;  // the source's; NULL without names
    const int64_t *class_counts;     // [classes], in the arena; NULL without labels
    double minimum, maximum;         // raw units
    struct dc_normalization
        statistics;  // mean and deviation per channel, as normalize.h scales them
    uint64_t hash;
};

// Reads every sample twice. The counts lie in the arena; the names are the source's.
DC_MUST_USE enum dc_status dc_source_inspect(struct dc_source_summary *summary,
                                             const struct dc_source *source, struct dc_arena *arena,
                                             struct dc_error *error);

#endif

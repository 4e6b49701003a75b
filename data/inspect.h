// What a data set is, in numbers, besides what its source says: for `decant data` to print.

#ifndef DC_DATA_INSPECT_H
#define DC_DATA_INSPECT_H

#include "core/arena.h"
#include "data/normalize.h"

struct dc_source_summary {
    const int64_t *class_counts;  // [classes], in the arena; NULL without labels
    double minimum, maximum;      // raw units
    struct dc_normalization statistics;
};

// Reads every sample twice. The counts lie in the arena.
DC_MUST_USE enum dc_status dc_source_inspect(struct dc_source_summary *summary,
                                             const struct dc_source *source, struct dc_arena *arena,
                                             struct dc_error *error);

#endif

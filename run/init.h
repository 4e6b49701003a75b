// From data to an experiment: what `decant init` does.
//
// Owns every choice that stands in the file it writes: size, network, epochs. Each is told there
// with its reason, and the file is one that `decant check` passes: it is checked before it appears.

#ifndef DC_RUN_INIT_H
#define DC_RUN_INIT_H

#include <jansson.h>

#include "core/error.h"

#include <signal.h>
#include <stdbool.h>

// Which columns of the table spec->path are labels, and of what kind, where nobody says it: set in
// the spec, names in the arena. A column `label` with ';' or '|' in it is tags, with numbers that
// are not all whole values, else classes. Without one, all columns but file and split are labels:
// tags where all are 0 or 1, else values.
struct dc_arena;
struct dc_source_spec;
DC_MUST_USE enum dc_status dc_table_labels(struct dc_source_spec *spec, struct dc_arena *arena,
                                           struct dc_error *error);

struct dc_init_options {
    const char *data;    // "KIND:PATH" or PATH, as dc_source_spec_of takes it
    const char *out;     // the file to write; nothing may be there
    const char *target;  // of configs/targets by name, or a file
    bool quick;          // few samples and epochs: a first look
    int threads;         // 0: all there are
    const volatile sig_atomic_t *stop;
};

// *found, which the caller decrefs: {out, data, kind, labels, sample, names: [...], train: [...],
// validation, test (samples of each class), notes: [...], student: {width, macs, flash, ram},
// teacher: {...}, epochs, seconds}. What is wrong with the data is DC_ERR_DATA, a file that is
// there DC_ERR_USAGE, and a target that holds none of the students DC_ERR_BUDGET.
DC_MUST_USE enum dc_status dc_init(json_t **found, const struct dc_init_options *options,
                                   struct dc_error *error);

#endif

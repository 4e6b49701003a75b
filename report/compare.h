// Runs side by side: what they reached, how far seeds scatter, and what one stage has over another.
//
// Runs whose resolved settings are equal but for the seed (and the name, and what shapes no result)
// are repetitions of one another: a group. Differences are taken within runs, which pairs them by
// seed; between groups, by the seeds that both have.
//
// The comparison is one JSON object, which the table and the page only show:
//   runs         [{run, experiment, seed, group}]
//   settings     [{key, values: [text or null a run]}]: those that are not equal in all runs, seed
//                and name left out
//   measures     [{stage, arithmetic, measure, values: [a run], groups: [summary]}]: one of each
//                of the figures of run/report.h that the networks have
//   differences  [{what, measure, from, to, group, values, summary...}] within runs
//   between      [{stage, arithmetic, measure, from, to, seeds, values, summary...}] of groups
// A summary is {runs, mean, standard_deviation, standard_error}, null where one run is too few; of
// differences also {test, p, low, high} where there are DC_TESTED_MIN or more: the paired t-test
// and its 95 % interval.

#ifndef DC_REPORT_COMPARE_H
#define DC_REPORT_COMPARE_H

#include "core/schema.h"
#include "run/run.h"

enum { DC_COMPARED_MAX = 32 };

// runs: opened; *comparison is the caller's. A run without a finished stage is DC_ERR_USAGE.
DC_MUST_USE enum dc_status dc_compare_runs(json_t **comparison, struct dc_run *const *runs,
                                           int count, struct dc_error *error);

// For a terminal of 80 columns.
void dc_comparison_text(struct dc_text_buffer *out, const json_t *comparison);

// One HTML file with the tables and the curves of all runs. Replaces only such a page, which
// Decant wrote.
DC_MUST_USE enum dc_status dc_write_comparison(const char *path, const json_t *comparison,
                                               struct dc_run *const *runs, int count,
                                               struct dc_error *error);

#endif

// What a sweep gave: a row for each combination of settings, its mean over seeds, and which of them
// nothing beats at a lower cost.
//
// The collection is one JSON object, which the table, the CSV file and the pictures only show:
//   directory, measure, stage, arithmetic   what is compared
//   tasks, done                             how many there are, and have a result
//   points   [{settings, tasks: [numbers], mean, standard_error (null of one), values, bytes, macs,
//            ram (null of floats), front: ["bytes", "macs", "ram"]}]
// front: the costs for which no other point is at least as good at no more, and better in one.

#ifndef DC_REPORT_COLLECT_H
#define DC_REPORT_COLLECT_H

#include <jansson.h>

#include "core/error.h"
#include "core/schema.h"

// Of a sweep's directory, as far as it is done; the last stage with integers is judged, or else the
// last. *collection is the caller's. DC_ERR_USAGE: no sweep lies there, or no task is done.
DC_MUST_USE enum dc_status dc_collect(json_t **collection, const char *directory,
                                      struct dc_error *error);

// For a terminal of 80 columns.
void dc_collection_text(struct dc_text_buffer *out, const json_t *collection);

// collected.json, collected.csv, and pareto-COST.svg and .png, of which each appears whole.
DC_MUST_USE enum dc_status dc_write_collection(const char *directory, const json_t *collection,
                                               struct dc_error *error);

#endif

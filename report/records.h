// What a run directory says beside its results: metrics.jsonl and env.json.

#ifndef DC_REPORT_RECORDS_H
#define DC_REPORT_RECORDS_H

#include <jansson.h>

#include "core/arena.h"

// Appends the objects of metrics.jsonl to `lines`; a run without training has no such file. A last
// line without its end was cut off by a kill and is left out. Damage is DC_ERR_DATA with its line.
DC_MUST_USE enum dc_status dc_read_metrics(json_t *lines, const char *directory,
                                           struct dc_arena *arena, struct dc_error *error);
// env.json; *environment is the caller's, NULL where there is none.
DC_MUST_USE enum dc_status dc_read_environment(json_t **environment, const char *directory,
                                               struct dc_arena *arena, struct dc_error *error);

#endif

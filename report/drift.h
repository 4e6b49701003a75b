// What a device did under load, as a chart in a file of its own.

#ifndef DC_REPORT_DRIFT_H
#define DC_REPORT_DRIFT_H

#include <jansson.h>

#include "core/error.h"

// DC_ERR_USAGE where the path does not end in .svg, or something lies there that is no drawing of
// ours. To be asked before what may take minutes.
DC_MUST_USE enum dc_status dc_drift_may_write(const char *path, struct dc_error *error);
// load: "load" of a result of dc_bench_device; latency_ms: a limit to be drawn, or 0.
DC_MUST_USE enum dc_status dc_drift_write(const char *path, const json_t *load, double latency_ms,
                                          struct dc_error *error);

#endif

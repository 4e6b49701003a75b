// A network on a device by the device's clock: single inferences, and a run under load whose drift
// is judged.

#ifndef DC_BENCH_DEVICE_H
#define DC_BENCH_DEVICE_H

#include <jansson.h>

#include "core/schema.h"
#include "export/serial.h"

// A stretch of a run under load: when it ended, and the mean of its inferences.
struct dc_load_window {
    double seconds;  // since the run began
    double ms;       // an inference
};

// Where the run is cut in two so that each part keeps to one level best (least squares), and the
// medians of both. It throttles where the second is at least DC_DRIFT_SHARE slower than the first,
// by more than three standard deviations of the windows around their levels.
#define DC_DRIFT_SHARE 0.03
enum { DC_DRIFT_WINDOWS_MIN = 8 };  // fewer are not judged
struct dc_drift {
    bool judged, throttles;
    double before_ms, after_ms, share;  // share: after / before - 1
    double at_seconds;                  // where the second part begins
};
struct dc_drift dc_judge_drift(const struct dc_load_window *windows, int count);

// The value below which a share of `sorted` lies: the smallest that at least share * count do not
// exceed (nearest rank). count: at least 1.
double dc_percentile(const double *sorted, int count, double share);

struct dc_bench_device_options {
    struct dc_serial_options line;
    int64_t runs;       // single inferences, at least 1
    double load;        // seconds under load
    double latency_ms;  // that may not be exceeded; 0: none is known
    struct dc_ctx_config context;
    void (*told)(void *user, double done, double total);  // seconds of load, or NULL
    void *user;
};

// *result: the figures, with a row a window. A latency that is broken is in them ("broken", a
// sentence), and no error here.
DC_MUST_USE enum dc_status dc_bench_device(json_t **result,
                                           const struct dc_bench_device_options *options,
                                           struct dc_error *error);
void dc_bench_device_text(struct dc_text_buffer *text, const json_t *result);

#endif

// Owns what is measured of a device, and how its drift is judged. The line to it is
// export/serial.h's.

#include "bench/device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/clock.h"

enum {
    WINDOWS_MAX = 128,       // of a run under load
    WINDOWS = 100,           // about
    INFERENCES_MAX = 100000  // of a window: what one answer is waited for
};
static const double window_seconds = 0.1;  // at least

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double dc_percentile(const double *sorted, int count, double share)
{
    const int rank = (int)ceil(share * count - 1e-9);
    return sorted[rank < 1 ? 0 : rank > count ? count - 1 : rank - 1];
}

static double median(const struct dc_load_window *windows, int count)
{
    double sorted[WINDOWS_MAX];
    for (int i = 0; i < count; i++)
        sorted[i] = windows[i].ms;
    qsort(sorted, (size_t)count, sizeof *sorted, ascending);
    return count % 2 ? sorted[count / 2] : 0.5 * (sorted[count / 2 - 1] + sorted[count / 2]);
}

// Sum of squared distances from the mean, of windows [first, end).
static double squares(const struct dc_load_window *windows, int first, int end)
{
    double mean = 0.0, sum = 0.0;
    for (int i = first; i < end; i++)
        mean += windows[i].ms / (end - first);
    for (int i = first; i < end; i++)
        sum += (windows[i].ms - mean) * (windows[i].ms - mean);
    return sum;
}

struct dc_drift dc_judge_drift(const struct dc_load_window *windows, int count)
{
    struct dc_drift drift = {.judged = count >= DC_DRIFT_WINDOWS_MIN && count <= WINDOWS_MAX};
    const int least = 2;  // windows of a part
    int cut = least;
    double best = INFINITY;
    if (!drift.judged)
        return drift;
    for (int k = least; k <= count - least; k++) {
        const double sum = squares(windows, 0, k) + squares(windows, k, count);
        cut = sum < best ? k : cut;
        best = sum < best ? sum : best;
    }
    const double deviation = sqrt(best / (count - 2));
    drift.before_ms = median(windows, cut);
    drift.after_ms = median(windows + cut, count - cut);
    drift.share = drift.after_ms / drift.before_ms - 1.0;
    drift.at_seconds = windows[cut - 1].seconds;
    drift.throttles = drift.share >= DC_DRIFT_SHARE &&
                      drift.after_ms - drift.before_ms > 3.0 * deviation;
    return drift;
}

static enum dc_status single_runs(json_t *result, double *median_ms, struct dc_serial *serial,
                                  int64_t runs, struct dc_error *error)
{
    double *ms = dc_alloc(sizeof *ms * (size_t)runs, error);
    if (!ms)
        return DC_ERR_MEMORY;
    enum dc_status status = DC_OK;
    for (int64_t i = 0; i < runs && status == DC_OK; i++) {
        int64_t ticks = 0;
        status = dc_serial_infer(&ticks, serial, 1, error);
        ms[i] = 1e3 * (double)ticks / (double)serial->ticks_per_second;
    }
    if (status == DC_OK) {
        json_object_set_new(result, "first_ms", json_real(ms[0]));
        qsort(ms, (size_t)runs, sizeof *ms, ascending);
        *median_ms = dc_percentile(ms, (int)runs, 0.5);
        json_object_set_new(result, "runs", json_integer(runs));
        json_object_set_new(result, "median_ms", json_real(*median_ms));
        json_object_set_new(result, "p95_ms", json_real(dc_percentile(ms, (int)runs, 0.95)));
        json_object_set_new(result, "p99_ms", json_real(dc_percentile(ms, (int)runs, 0.99)));
    }
    free(ms);
    return status;
}

// Windows of so many inferences as take a hundredth of the run, by the device's clock; the
// run's time is that clock's too, so that an emulated device is judged like a real one.
static enum dc_status under_load(struct dc_load_window *windows, int *count, int64_t *inferences,
                                 const struct dc_bench_device_options *options,
                                 struct dc_serial *serial, double median_ms, struct dc_error *error)
{
    const double share = options->load / WINDOWS;
    const double wanted = share > window_seconds ? share : window_seconds;
    const double each = ceil(1e3 * wanted / (median_ms > 0.0 ? median_ms : 1e-3));
    const int batch = each < 1.0 ? 1 : each > INFERENCES_MAX ? INFERENCES_MAX : (int)each;
    double seconds = 0.0;
    *count = 0;
    *inferences = 0;
    while (seconds < options->load && *count < WINDOWS_MAX) {
        int64_t ticks = 0;
        DC_TRY(dc_serial_infer(&ticks, serial, batch, error));
        const double took = (double)ticks / (double)serial->ticks_per_second;
        if (took <= 0.0)
            return dc_fail(error, DC_ERR_DATA, "%s: the device's clock stands still",
                           options->line.port);
        seconds += took;
        windows[(*count)++] = (struct dc_load_window){seconds, 1e3 * took / batch};
        *inferences += batch;
        if (options->told)
            options->told(options->user, seconds < options->load ? seconds : options->load,
                          options->load);
    }
    return DC_OK;
}

static json_t *drift_json(const struct dc_load_window *windows, int count, int64_t inferences)
{
    const struct dc_drift drift = dc_judge_drift(windows, count);
    json_t *load = json_object(), *rows = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(rows, json_pack("[f, f]", windows[i].seconds, windows[i].ms));
    json_object_set_new(load, "seconds", json_real(count ? windows[count - 1].seconds : 0.0));
    json_object_set_new(load, "inferences", json_integer(inferences));
    json_object_set_new(load, "windows", rows);  // [end in seconds, ms an inference]
    json_object_set_new(load, "judged", json_boolean(drift.judged));
    if (drift.judged)
        json_object_update_new(load,
                               json_pack("{s:b, s:f, s:f, s:f, s:f}", "throttles", drift.throttles,
                                         "before_ms", drift.before_ms, "after_ms", drift.after_ms,
                                         "share", drift.share, "at_seconds", drift.at_seconds));
    return load;
}

static double real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void judge_latency(json_t *result, double limit)
{
    const double p99 = real(result, "p99_ms");
    const json_t *load = json_object_get(result, "load");
    double worst = 0.0;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(load, "windows"), i, row)
    {
        const double ms = json_number_value(json_array_get(row, 1));
        worst = ms > worst ? ms : worst;
    }
    if (limit == 0.0)
        return;
    json_object_set_new(result, "latency_ms", json_real(limit));
    if (p99 <= limit && worst <= limit)
        return;
    json_object_set_new(
        result, "broken",
        json_sprintf("%s %.4g ms an inference, more than latency_ms: %.4g",
                     p99 > limit ? "99 of 100 single runs take up to" : "under load a window takes",
                     p99 > limit ? p99 : worst, limit));
}

static enum dc_status measure(json_t *result, const struct dc_bench_device_options *options,
                              struct dc_serial *serial, struct dc_error *error)
{
    struct dc_load_window windows[WINDOWS_MAX] = {0};
    int8_t *codes = dc_alloc((size_t)serial->input_bytes, error);
    double median_ms = 0.0;
    int64_t inferences = 0;
    int count = 0;
    if (!codes)
        return DC_ERR_MEMORY;
    memset(codes, 0, (size_t)serial->input_bytes);  // loops over integers take the same on any
    enum dc_status status = dc_serial_load(serial, codes, error);
    free(codes);
    if (status == DC_OK)
        status = single_runs(result, &median_ms, serial, options->runs, error);
    if (status == DC_OK)
        status = under_load(windows, &count, &inferences, options, serial, median_ms, error);
    if (status != DC_OK)
        return status;
    json_object_set_new(result, "load", drift_json(windows, count, inferences));
    judge_latency(result, options->latency_ms);
    return DC_OK;
}

enum dc_status dc_bench_device(json_t **result, const struct dc_bench_device_options *options,
                               struct dc_error *error)
{
    struct dc_ctx *ctx = NULL;
    struct dc_serial *serial = NULL;
    *result = NULL;
    DC_TRY(dc_ctx_create(&ctx, &options->context, error));
    json_t *object = json_object();
    enum dc_status status = dc_serial_open(&serial, ctx, &options->line, error);
    if (status == DC_OK) {
        json_object_set_new(object, "bench", json_string("device"));
        json_object_set_new(object, "port", json_string(options->line.port));
        json_object_set_new(object, "network", json_string(serial->name));
        status = measure(object, options, serial, error);
    }
    dc_serial_close(serial);
    dc_ctx_free(ctx);
    if (status == DC_OK)
        *result = object;
    else
        json_decref(object);
    return status;
}

void dc_bench_device_text(struct dc_text_buffer *text, const json_t *r)
{
    const json_t *load = json_object_get(r, "load");
    dc_text_append(text, "'%s' on %s, by its clock\n",
                   json_string_value(json_object_get(r, "network")),
                   json_string_value(json_object_get(r, "port")));
    dc_text_append(text,
                   "first run %.4g ms; of %.0f single runs: median %.4g, p95 %.4g, p99 "
                   "%.4g ms\n",
                   real(r, "first_ms"), real(r, "runs"), real(r, "median_ms"), real(r, "p95_ms"),
                   real(r, "p99_ms"));
    dc_text_append(text, "under load for %.1f s, %.0f inferences: ", real(load, "seconds"),
                   real(load, "inferences"));
    if (!json_is_true(json_object_get(load, "judged")))
        dc_text_append(text, "too short to judge its drift (--load)\n");
    else if (json_is_true(json_object_get(load, "throttles")))
        dc_text_append(text, "it slows by %.1f %%\nafter %.1f s, from %.4g to %.4g ms\n",
                       100.0 * real(load, "share"), real(load, "at_seconds"),
                       real(load, "before_ms"), real(load, "after_ms"));
    else
        dc_text_append(text, "no drift (%+.2f %%)\n", 100.0 * real(load, "share"));
}

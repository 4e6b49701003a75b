// Owns the words of a result.

#include <string.h>

#include "bench/bench_internal.h"

static double real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void rates(struct dc_text_buffer *text, const json_t *r)
{
    dc_text_append(text, "%.1f samples/s (median of %.0f windows, best %.1f)\n",
                   real(r, "samples_per_second"), real(r, "windows"),
                   real(r, "samples_per_second_best"));
}

static void network(struct dc_text_buffer *text, const json_t *r)
{
    dc_text_append(text, "%s %s, %s%s: %.0f parameters, %.0f MACs, batch %.0f, %.0f thread%s, %s\n",
                   text_of(r, "bench"), text_of(r, "model"), text_of(r, "mode"),
                   json_is_true(json_object_get(r, "frozen")) ? ", observers frozen" : "",
                   real(r, "parameters"), real(r, "macs"), real(r, "batch"), real(r, "threads"),
                   real(r, "threads") > 1.0 ? "s" : "", text_of(r, "isa"));
    rates(text, r);
    if (json_object_get(r, "gmacs"))
        dc_text_append(text, "%.2f GMAC/s, profile %s\n", real(r, "gmacs"),
                       text_of(r, "profile_name"));
    if (json_object_get(r, "gflops"))
        dc_text_append(text,
                       "%.1f GFLOP/s, %.1f %% of %.1f (%s)\n%.1f ms and %.1f ms of CPU time a "
                       "batch\n",
                       real(r, "gflops"), 100.0 * real(r, "sgemm_share"), real(r, "sgemm_gflops"),
                       text_of(r, "sgemm_is"),
                       1e3 * real(r, "batch") / real(r, "samples_per_second"),
                       1e3 * real(r, "cpu_seconds_per_step"));
    dc_text_append(text, "peak memory %.1f MB", 1e-6 * real(r, "peak_memory_bytes"));
    if (json_object_get(r, "plan_bytes"))
        dc_text_append(text, ", of which the plan %.1f MB", 1e-6 * real(r, "plan_bytes"));
    dc_text_append(text, "\n");
}

void dc_bench_text(struct dc_text_buffer *text, const json_t *r)
{
    if (strcmp(text_of(r, "bench"), "start") == 0) {
        dc_text_append(text,
                       "start of %s, stage '%s': %.3f s to its first step beyond reading data\n"
                       "before data %.3f s, data %.3f s, build and first step %.3f s\n",
                       text_of(r, "experiment"), text_of(r, "stage"), real(r, "start_seconds"),
                       real(r, "before_data_seconds"), real(r, "data_seconds"),
                       real(r, "first_step_seconds"));
    } else if (strcmp(text_of(r, "bench"), "loader") == 0) {
        dc_text_append(text, "loader of %s, %s: batch %.0f\n", text_of(r, "source"),
                       json_object_get(r, "augment") ? text_of(r, "augment") : "no augmentation",
                       real(r, "batch"));
        rates(text, r);
        dc_text_append(text, "%.3f us of CPU time a sample\n",
                       1e6 * real(r, "cpu_seconds_per_sample"));
    } else {
        network(text, r);
    }
    if (json_object_get(r, "profile"))
        dc__profile_text(text, r);
}

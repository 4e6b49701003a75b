// Owns the chart of a device under load.

#include "report/drift.h"

#include <stdio.h>

#include "core/file.h"
#include "core/folder.h"
#include "report/chart.h"

enum { LINES_MAX = 4 };

enum dc_status dc_drift_may_write(const char *path, struct dc_error *error)
{
    if (!dc_path_ends(path, ".svg"))
        return dc_fail(error, DC_ERR_USAGE, "--out %s: the chart is an SVG file: FILE.svg", path);
    return dc_file_may_replace(path, DC_DRAWING_MARK, NULL, NULL, error);
}

static double real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static enum dc_status draw(struct dc_drawing *d, const json_t *load, double latency_ms,
                           struct dc_error *error)
{
    const json_t *windows = json_object_get(load, "windows");
    const int count = (int)json_array_size(windows);
    double *x = DC_NEW(d->arena, double, count + 1, error);
    double *y = DC_NEW(d->arena, double, count + 1, error);
    if (!x || !y)
        return DC_ERR_MEMORY;
    for (int i = 0; i < count; i++) {
        const json_t *row = json_array_get(windows, (size_t)i);
        x[i] = json_number_value(json_array_get(row, 0));
        y[i] = json_number_value(json_array_get(row, 1));
    }
    const double end = count ? x[count - 1] : 0.0, cut = real(load, "at_seconds");
    const double ends[2] = {0.0, end}, first_x[2] = {0.0, cut}, second_x[2] = {cut, end};
    const double limit[2] = {latency_ms, latency_ms};
    const double before[2] = {real(load, "before_ms"), real(load, "before_ms")};
    const double after[2] = {real(load, "after_ms"), real(load, "after_ms")};
    struct dc_series lines[LINES_MAX] = {{"inference", 0, x, y, count}};
    int used = 1;
    if (json_is_true(json_object_get(load, "throttles"))) {
        lines[used++] = (struct dc_series){"before", 1, first_x, before, 2};
        lines[used++] = (struct dc_series){"after", 2, second_x, after, 2};
    }
    if (latency_ms > 0.0)
        lines[used++] = (struct dc_series){"limit", 3, ends, limit, 2};
    dc_chart_lines(d, lines, used, "seconds under load", "ms an inference", true);
    return DC_OK;
}

enum dc_status dc_drift_write(const char *path, const json_t *load, double latency_ms,
                              struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    struct dc_text_buffer svg = {0};
    char words[160];
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_drawing d = {.arena = arena, .name = "drift", .title = "A device under load"};
    const bool throttles = json_is_true(json_object_get(load, "throttles"));
    snprintf(words, sizeof words,
             throttles ? "After %.1f s an inference takes %.1f %% longer." : "No drift was found.",
             real(load, "at_seconds"), 100.0 * real(load, "share"));
    d.words = words;
    enum dc_status status = draw(&d, load, latency_ms, error);
    if (status == DC_OK) {
        dc_drawing_svg_file(&svg, &d);
        status = svg.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                            : dc_file_write(path, svg.text, svg.length, error);
    }
    dc_text_free(&svg);
    dc_arena_free(arena);
    return status;
}

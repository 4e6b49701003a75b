// Owns the collection of a sweep's results.

#include "report/collect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/csv.h"
#include "core/file.h"
#include "core/json.h"
#include "report/chart.h"
#include "report/drawing.h"
#include "report/statistics.h"
#include "run/report.h"

enum { COSTS = 3, SEEDS_MAX = 1024 };
static const struct {
    const char *name, *key, *words;
} costs[COSTS] = {
    {"bytes", "weight_bytes", "bytes of weights"},
    {"macs", "macs", "multiplications a sample"},
    {"ram", "ram_bytes", "bytes of RAM"},
};

// Measures of which more is better, one for each kind of labels.
static const enum dc_figure judged[] = {DC_FIGURE_ACCURACY, DC_FIGURE_R2, DC_FIGURE_MAP,
                                        DC_FIGURE_AUC};

struct place {
    const char *stage, *arithmetic;
    enum dc_figure figure;
};

static bool has_figure(const json_t *scores, enum dc_figure *figure)
{
    for (size_t f = 0; f < sizeof judged / sizeof judged[0]; f++)
        if (!isnan(dc_report_figure(scores, *figure = judged[f])))
            return true;
    return false;
}

// The last stage with integers, else the last one.
static bool find_place(struct place *place, const json_t *stages)
{
    static const char *const kinds[] = {"int8", "float"};
    const char *name;
    json_t *stage;
    bool found = false;
    for (int k = 0; k < 2 && !found; k++)
        json_object_foreach((json_t *)(uintptr_t)stages, name, stage)
        {
            enum dc_figure figure;
            if (has_figure(json_object_get(stage, kinds[k]), &figure)) {
                *place = (struct place){name, kinds[k], figure};
                found = true;
            }
        }
    return found;
}

// The settings without the seed: what is a point.
static json_t *point_of(json_t *points, const json_t *settings)
{
    size_t i;
    json_t *point, *own = json_copy((json_t *)(uintptr_t)settings);
    json_object_del(own, "seed");
    json_array_foreach(points, i, point)
    {
        if (json_equal(json_object_get(point, "settings"), own)) {
            json_decref(own);
            return point;
        }
    }
    point = json_pack("{s:o, s:[], s:[], s:[]}", "settings", own, "tasks", "values", "front");
    json_array_append_new(points, point);
    return point;
}

static enum dc_status add_result(json_t *points, struct place *place, json_t *line,
                                 const char *directory, int *done, struct dc_error *error)
{
    char path[4096];
    json_error_t problem;
    const json_t *task = json_object_get(line, "task");
    snprintf(path, sizeof path, "%s/results/%lld.json", directory,
             (long long)json_integer_value(task));
    if (!dc_file_exists(path))
        return DC_OK;
    json_t *result = dc_json_read(path, &problem);
    if (!result)
        return dc_fail(error, DC_ERR_DATA, "%s:%d:%d: damaged: %s; remove it to do the task again",
                       path, problem.line, problem.column, problem.text);
    const json_t *stages = json_object_get(result, "stages");
    if (!place->stage && find_place(place, stages)) {
        place->stage = strdup(place->stage);  // of the result, which goes
        if (!place->stage) {
            json_decref(result);
            return dc_fail(error, DC_ERR_MEMORY, "out of memory");
        }
    }
    const json_t *stage = place->stage ? json_object_get(stages, place->stage) : NULL;
    const double value = dc_report_figure(json_object_get(stage, place->arithmetic), place->figure);
    if (!isnan(value)) {
        json_t *point = point_of(points, json_object_get(line, "settings"));
        json_array_append(json_object_get(point, "tasks"), (json_t *)(uintptr_t)task);
        json_array_append_new(json_object_get(point, "values"), json_real(value));
        for (int c = 0; c < COSTS; c++) {
            json_t *cost = json_object_get(stage, costs[c].key);
            json_object_set(point, costs[c].name, cost ? cost : json_null());
        }
    }
    (*done)++;
    json_decref(result);
    return DC_OK;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void summarize(json_t *points)
{
    size_t i, k;
    json_t *point, *value;
    json_array_foreach(points, i, point)
    {
        double values[SEEDS_MAX];
        int count = 0;
        json_array_foreach(json_object_get(point, "values"), k, value)
        {
            if (count < SEEDS_MAX)
                values[count++] = json_real_value(value);
        }
        const struct dc_summary s = dc_summarize(values, count);
        json_object_set_new(point, "mean", json_real(s.mean));
        json_object_set_new(point, "standard_error",
                            isfinite(s.error) ? json_real(s.error) : json_null());
    }
}

// At least as good at no more cost, and better in one of them.
static bool beats(const json_t *a, const json_t *b, const char *cost)
{
    const double x = number(a, "mean"), y = number(b, "mean");
    const double c = number(a, cost), d = number(b, cost);
    return x >= y && c <= d && (x > y || c < d);
}

static void find_fronts(json_t *points)
{
    size_t i, k;
    json_t *point, *other;
    for (int c = 0; c < COSTS; c++)
        json_array_foreach(points, i, point)
        {
            bool beaten = isnan(number(point, costs[c].name));
            json_array_foreach(points, k, other)
            {
                beaten = beaten || beats(other, point, costs[c].name);
            }
            if (!beaten)
                json_array_append_new(json_object_get(point, "front"), json_string(costs[c].name));
        }
}

static enum dc_status collect_lines(json_t *points, struct place *place, int *tasks, int *done,
                                    char *text, const char *directory, struct dc_error *error)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_error_t problem;
        json_t *task = json_loads(line, JSON_REJECT_DUPLICATES, &problem);
        if (!json_is_object(json_object_get(task, "settings"))) {
            json_decref(task);
            return dc_fail(error, DC_ERR_DATA, "%s/sweep.jsonl:%d: damaged: it is no task",
                           directory, *tasks + 1);
        }
        (*tasks)++;
        const enum dc_status status = add_result(points, place, task, directory, done, error);
        json_decref(task);
        DC_TRY(status);
    }
    return DC_OK;
}

static enum dc_status collect(json_t *points, struct place *place, int *tasks, int *done,
                              const char *directory, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    char *text = NULL, path[4096];
    snprintf(path, sizeof path, "%s/sweep.jsonl", directory);
    if (!dc_file_exists(path))
        return dc_fail(error, DC_ERR_USAGE, "%s is no directory of a sweep: it has no sweep.jsonl",
                       directory);
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = dc_file_read(&text, NULL, path, arena, error);
    if (status == DC_OK)
        status = collect_lines(points, place, tasks, done, text, directory, error);
    dc_arena_free(arena);
    if (status == DC_OK && json_array_size(points) == 0)
        return dc_fail(error, DC_ERR_USAGE, "%s: no task is done that could be compared",
                       directory);
    return status;
}

enum dc_status dc_collect(json_t **collection, const char *directory, struct dc_error *error)
{
    struct place place = {0};
    int tasks = 0, done = 0;
    json_t *points = json_array();
    enum dc_status status = points ? collect(points, &place, &tasks, &done, directory, error)
                                   : dc_fail(error, DC_ERR_MEMORY, "out of memory");
    if (status == DC_OK) {
        summarize(points);
        find_fronts(points);
        *collection = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:O}", "directory", directory,
                                "measure", dc_figure_names[place.figure].key, "stage", place.stage,
                                "arithmetic", place.arithmetic, "tasks", tasks, "done", done,
                                "points", points);
        if (!*collection)
            status = dc_fail(error, DC_ERR_MEMORY, "out of memory");
    }
    free((char *)(uintptr_t)place.stage);
    json_decref(points);
    return status;
}

static bool in_percent(const json_t *collection)
{
    return strcmp(json_string_value(json_object_get(collection, "measure")), "accuracy") == 0;
}

static bool differs(const json_t *points, const char *key)
{
    size_t i;
    const json_t *point, *first = NULL;
    json_array_foreach((json_t *)(uintptr_t)points, i, point)
    {
        const json_t *value = json_object_get(json_object_get(point, "settings"), key);
        if (first && !json_equal((json_t *)(uintptr_t)first, (json_t *)(uintptr_t)value))
            return true;
        first = value;
    }
    return false;
}

// "student.width=8 ..." of stages.student.parameters.width, of the keys in which points differ.
static void settings_text(char *text, size_t size, const json_t *settings, const json_t *points)
{
    const char *key;
    json_t *value;
    size_t used = 0;
    text[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)settings, key, value)
    {
        const char *stage = strncmp(key, "stages.", 7) == 0 ? key + 7 : key;
        const char *last = strrchr(key, '.');
        const int length = last && stage > key ? (int)strcspn(stage, ".") + 1 : 0;
        if (used < size && differs(points, key))
            used += (size_t)snprintf(text + used, size - used, "%s%.*s%s=%s", used ? " " : "",
                                     length, stage, length ? last + 1 : key,
                                     json_string_value(value));
    }
    if (!text[0])
        snprintf(text, size, "all");
}

void dc_collection_text(struct dc_text_buffer *out, const json_t *collection)
{
    size_t i;
    const json_t *point;
    const bool percent = in_percent(collection);
    dc_text_append(out, "%-*s %10s %6s %8s %12s %8s front\n", 22, "settings",
                   percent ? "accuracy" : json_string_value(json_object_get(collection, "measure")),
                   "s.e.", "bytes", "MACs", "RAM");
    json_array_foreach(json_object_get(collection, "points"), i, point)
    {
        char settings[1024], value[32], error[32] = "-", cost[COSTS][32];
        const double factor = percent ? 100.0 : 1.0, scatter = number(point, "standard_error");
        const json_t *front = json_object_get(point, "front");
        settings_text(settings, sizeof settings, json_object_get(point, "settings"),
                      json_object_get(collection, "points"));
        snprintf(value, sizeof value, percent ? "%.2f %%" : "%.4f", factor * number(point, "mean"));
        if (isfinite(scatter))
            snprintf(error, sizeof error, percent ? "%.2f" : "%.4f", factor * scatter);
        for (int c = 0; c < COSTS; c++) {
            const double x = number(point, costs[c].name);
            snprintf(cost[c], sizeof cost[c], isnan(x) ? "-" : "%.0f", x);
        }
        dc_text_append_name(out, settings, 22);
        dc_text_append(out, " %10s %6s %8s %12s %8s", value, error, cost[0], cost[1], cost[2]);
        for (size_t f = 0; f < json_array_size(front); f++)
            dc_text_append(out, "%s%c", f ? "" : " ",
                           json_string_value(json_array_get(front, f))[0]);
        dc_text_append(out, "\n");
    }
    dc_text_append(out,
                   "\n%lld of %lld tasks are done; test %s of stage %s, %s.\n"
                   "Front: b, m, r where nothing is as good at fewer bytes, MACs, RAM.\n",
                   (long long)json_integer_value(json_object_get(collection, "done")),
                   (long long)json_integer_value(json_object_get(collection, "tasks")),
                   json_string_value(json_object_get(collection, "measure")),
                   json_string_value(json_object_get(collection, "stage")),
                   strcmp(json_string_value(json_object_get(collection, "arithmetic")), "int8")
                       ? "floats"
                       : "integers");
}

static void collection_csv(struct dc_text_buffer *out, const json_t *collection)
{
    const json_t *points = json_object_get(collection, "points"), *point;
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach(json_object_get(json_array_get(points, 0), "settings"), key, value)
    {
        dc_csv_append(out, key);
        dc_text_append(out, ",");
    }
    dc_text_append(out, "%s,standard_error,runs,bytes,macs,ram,front_bytes,front_macs,front_ram\n",
                   json_string_value(json_object_get(collection, "measure")));
    json_array_foreach((json_t *)(uintptr_t)points, i, point)
    {
        const json_t *front = json_object_get(point, "front");
        json_object_foreach(json_object_get(point, "settings"), key, value)
        {
            dc_csv_append(out, json_string_value(value));
            dc_text_append(out, ",");
        }
        dc_text_append(out, "%.9g,", number(point, "mean"));
        if (isfinite(number(point, "standard_error")))
            dc_text_append(out, "%.9g", number(point, "standard_error"));
        dc_text_append(out, ",%zu", json_array_size(json_object_get(point, "values")));
        for (int c = 0; c < COSTS; c++) {
            const double x = number(point, costs[c].name);
            dc_text_append(out, isnan(x) ? "," : ",%.0f", x);
        }
        for (int c = 0; c < COSTS; c++) {
            bool on = false;
            for (size_t f = 0; f < json_array_size(front); f++)
                on = on || strcmp(json_string_value(json_array_get(front, f)), costs[c].name) == 0;
            dc_text_append(out, ",%d", on);
        }
        dc_text_append(out, "\n");
    }
}

static enum dc_status write_text(const char *directory, const char *name,
                                 struct dc_text_buffer *text, struct dc_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    const enum dc_status status = text->failed
                                      ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                      : dc_file_write(path, text->text, text->length, error);
    dc_text_free(text);
    return status;
}

// Accuracy over one cost: a dot a point, those of the front joined.
static enum dc_status draw_front(const char *directory, const json_t *collection, int cost,
                                 struct dc_arena *arena, struct dc_error *error)
{
    const json_t *points = json_object_get(collection, "points"), *point;
    struct dc_drawing d = {.arena = arena, .name = costs[cost].name};
    struct dc_text_buffer svg = {0};
    struct dc_png png = {0};
    char name[64], axis[64];
    size_t i;
    int count = 0;
    const double factor = in_percent(collection) ? 100.0 : 1.0;
    struct dc_point *dots = DC_NEW(arena, struct dc_point, (int64_t)json_array_size(points), error);
    if (!dots)
        return DC_ERR_MEMORY;
    json_array_foreach((json_t *)(uintptr_t)points, i, point)
    {
        const json_t *front = json_object_get(point, "front");
        struct dc_point dot = {number(point, costs[cost].name), factor * number(point, "mean"),
                               false};
        for (size_t f = 0; f < json_array_size(front); f++)
            dot.marked = dot.marked ||
                         strcmp(json_string_value(json_array_get(front, f)), costs[cost].name) == 0;
        if (!isnan(dot.x))
            dots[count++] = dot;
    }
    if (count == 0)
        return DC_OK;
    snprintf(axis, sizeof axis, "test %s%s",
             json_string_value(json_object_get(collection, "measure")), factor > 1.0 ? ", %" : "");
    d.title = "Pareto front of a sweep";
    d.words = "A dot a combination of settings; joined are those that nothing beats.";
    dc_chart_points(&d, dots, count, costs[cost].words, axis);
    dc_drawing_svg_file(&svg, &d);
    snprintf(name, sizeof name, "pareto-%s.svg", costs[cost].name);
    DC_TRY(write_text(directory, name, &svg, error));
    DC_TRY(dc_drawing_png(&png, &d, error));
    snprintf(name, sizeof name, "pareto-%s.png", costs[cost].name);
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    const enum dc_status status = dc_file_write(path, png.bytes, png.size, error);
    free(png.bytes);
    return status;
}

enum dc_status dc_write_collection(const char *directory, const json_t *collection,
                                   struct dc_error *error)
{
    struct dc_text_buffer csv = {0};
    struct dc_arena *arena = NULL;
    char path[4096];
    snprintf(path, sizeof path, "%s/collected.json", directory);
    DC_TRY(dc_report_write(path, collection, error));
    collection_csv(&csv, collection);
    DC_TRY(write_text(directory, "collected.csv", &csv, error));
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = DC_OK;
    for (int c = 0; c < COSTS && status == DC_OK; c++)
        status = draw_front(directory, collection, c, arena, error);
    dc_arena_free(arena);
    return status;
}

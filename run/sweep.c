// Owns an experiment's `seeds`: the same stages once a seed, each in a run directory of its own,
// RUN/seed-N, and their means in RUN/results.json. The runs know nothing of each other.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "run/log.h"
#include "run/report.h"
#include "run/run_internal.h"

// Refuses a directory that holds one run: its records would be replaced.
static enum dc_status check_empty_of_runs(const struct dc_run *run, struct dc_error *error)
{
    const char *path = dc__path(run, "checkpoints", error);
    if (!path)
        return DC_ERR_MEMORY;
    if (!dc_file_exists(path))
        return DC_OK;
    return dc_fail(error, DC_ERR_USAGE,
                   "%s holds a run of one seed, and this experiment has 'seeds'; choose another "
                   "directory with --run",
                   run->directory);
}

// One seed's run, opened as the experiment alone with that seed would be.
static enum dc_status run_seed(json_t **results, struct dc_run *sweep,
                               const struct dc_run_options *options, int64_t seed,
                               struct dc_error *error)
{
    const int given = options->override_count;
    const char **overrides = DC_NEW(sweep->arena, const char *, given + 2, error);
    char *own = dc_arena_printf(sweep->arena, error, "seed=%lld", (long long)seed);
    char *directory = dc_arena_printf(sweep->arena, error, "%s/seed-%lld", sweep->directory,
                                      (long long)seed);
    struct dc_run_options how = *options;
    struct dc_run *run = NULL;
    if (!overrides || !own || !directory)
        return DC_ERR_MEMORY;
    for (int i = 0; i < given; i++)
        overrides[i] = options->overrides[i];
    overrides[given] = "seeds=[]";
    overrides[given + 1] = own;
    how.overrides = overrides;
    how.override_count = given + 2;
    how.directory = directory;
    how.sweeps = false;
    how.of_sweep = true;
    dc_log(sweep->ctx, DC_LOG_INFO, "seed %lld: %s", (long long)seed, directory);
    DC_TRY(dc_run_open(&run, &how, error));
    const enum dc_status status = dc_run_all(run, error);
    // as they are read back from their file, so that an interrupted sweep has the same means
    char *written = status == DC_OK
                        ? json_dumps(run->results, JSON_COMPACT | JSON_REAL_PRECISION(9))
                        : NULL;
    *results = written ? json_loads(written, 0, NULL) : NULL;
    free(written);
    dc_run_close(run);
    if (status == DC_OK && !*results)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    return status;
}

// {mean, standard_error, values}: the error of the mean, from the values' own scatter; null of one.
static json_t *mean_of(const double *values, int count)
{
    double mean = 0.0, squares = 0.0;
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        mean += values[i] / count;
        json_array_append_new(list, json_real(values[i]));
    }
    for (int i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return json_pack("{s:f, s:o, s:o}", "mean", mean, "standard_error",
                     count > 1 ? json_real(sqrt(squares / (count - 1) / count)) : json_null(),
                     "values", list);
}

// The mean of every number that all runs have under this key, and of those within it.
static json_t *merge(json_t *const *each, int count)
{
    const char *key;
    json_t *first, *merged = json_object();
    json_object_foreach(each[0], key, first)
    {
        json_t *inner[DC_LIST_MAX];
        double values[DC_LIST_MAX];
        bool numbers = true, objects = true;
        for (int i = 0; i < count; i++) {
            inner[i] = json_object_get(each[i], key);
            numbers = numbers && json_is_number(inner[i]);
            objects = objects && json_is_object(inner[i]);
            values[i] = json_number_value(inner[i]);
        }
        if (numbers)
            json_object_set_new(merged, key, mean_of(values, count));
        else if (objects && strcmp(key, "settings") != 0)
            json_object_set_new(merged, key, merge(inner, count));
    }
    return merged;
}

static enum dc_status summarize(struct dc_run *sweep, json_t *const *results, int count,
                                struct dc_error *error)
{
    json_t *stages[DC_LIST_MAX] = {NULL}, *seeds = json_array();
    for (int i = 0; i < count; i++) {
        stages[i] = json_object_get(results[i], "stages");
        json_array_append_new(seeds, json_integer((json_int_t)sweep->experiment->seeds.items[i]));
    }
    json_object_set_new(sweep->results, "seeds", seeds);
    json_object_set_new(sweep->results, "stages", merge(stages, count));
    return dc__write_results(sweep, error);
}

enum dc_status dc_run_sweep(struct dc_run *sweep, const struct dc_run_options *options,
                            struct dc_error *error)
{
    const struct dc_numbers *seeds = &sweep->experiment->seeds;
    json_t *results[DC_LIST_MAX] = {NULL};
    DC_TRY(check_empty_of_runs(sweep, error));
    DC_TRY(dc_make_directory(sweep->directory, error));
    DC_TRY(dc__claim(sweep, error));
    DC_TRY(dc__write_records(sweep, error));
    enum dc_status status = dc__set_status(sweep, "running", NULL, NULL, error);
    for (int i = 0; status == DC_OK && i < seeds->count; i++)
        status = run_seed(&results[i], sweep, options, (int64_t)seeds->items[i], error);
    if (status == DC_OK)
        status = summarize(sweep, results, seeds->count, error);
    for (int i = 0; i < seeds->count; i++)
        json_decref(results[i]);
    if (status == DC_OK)
        return dc__set_status(sweep, "done", NULL, NULL, error);
    const char *how = status == DC_ERR_STOPPED ? "stopped" : "failed";
    struct dc_error ignored;
    dc__log_line(sweep, error->message);
    (void)!dc__set_status(sweep, how, NULL, error->message, &ignored);
    return status;
}

// "91.02 +- 0.12 %" of an accuracy, "0.1234 +- 0.0010" of another figure; "-" where there is none.
static const char *measure(char text[48], const json_t *scores)
{
    const json_t *found = NULL;
    int f = 0;
    while (f < DC_FIGURES && !(found = json_object_get(scores, dc_figure_names[f].key)))
        f++;
    if (!found)
        found = json_object_get(scores, "loss");
    const bool percent = f == DC_FIGURE_ACCURACY;
    const double mean = json_real_value(json_object_get(found, "mean"));
    const json_t *error = json_object_get(found, "standard_error");
    const double factor = percent ? 100.0 : 1.0;
    const int digits = percent ? 2 : 4;
    const char *name = percent ? "" : f < DC_FIGURES ? dc_figure_names[f].title : "MSE";
    const char *gap = percent ? "" : " ", *unit = percent ? " %" : "";
    if (!found)
        snprintf(text, 48, "-");
    else if (json_is_null(error))
        snprintf(text, 48, "%s%s%.*f%s", name, gap, digits, factor * mean, unit);
    else
        snprintf(text, 48, "%s%s%.*f +- %.*f%s", name, gap, digits, factor * mean, digits,
                 factor * json_real_value(error), unit);
    return text;
}

enum { NAME_COLUMNS = 12 };

void dc_sweep_table(struct dc_text_buffer *out, const struct dc_experiment *experiment,
                    const json_t *results)
{
    const json_t *stages = json_object_get(results, "stages");
    dc_text_append(out, "%-*s %12s %23s %23s\n", NAME_COLUMNS, "network", "bytes", "float",
                   "integer");
    for (int i = 0; i < experiment->stage_count; i++) {
        const json_t *stage = json_object_get(stages, experiment->stages[i].name);
        const json_t *bytes = json_object_get(stage, "weight_bytes");
        char floats[48], integers[48];
        if (!stage || experiment->stages[i].exports)
            continue;
        dc_text_append_name(out, experiment->stages[i].name, NAME_COLUMNS);
        dc_text_append(out, " %12.0f %23s %23s\n", json_real_value(json_object_get(bytes, "mean")),
                       measure(floats, json_object_get(stage, "float")),
                       measure(integers, json_object_get(stage, "int8")));
    }
    dc_text_append(out, "\nmeans and their standard errors over seeds");
    for (int i = 0; i < experiment->seeds.count; i++)
        dc_text_append(out, "%s %.0f", i ? "," : "", experiment->seeds.items[i]);
    dc_text_append(out, "\n");
}

// Owns the comparison of runs as JSON.

#include "report/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/records.h"
#include "report/statistics.h"
#include "run/relations.h"
#include "run/report.h"

struct setting {
    const char *key, *value;
};

struct compared {
    struct dc_run *run;
    struct setting *settings;
    int setting_count, setting_capacity;
    int group;
};

struct work {
    struct dc_arena *arena;
    struct compared runs[DC_COMPARED_MAX];
    int count, group_count;
    json_t *measures, *differences, *between;
};

static enum dc_status add_setting(struct compared *c, const char *key, const char *value,
                                  struct dc_arena *arena, struct dc_error *error)
{
    if (c->setting_count == c->setting_capacity) {
        c->settings = dc_arena_grow(arena, c->settings, c->setting_count, &c->setting_capacity,
                                    sizeof *c->settings, error);
        if (!c->settings)
            return DC_ERR_MEMORY;
    }
    c->settings[c->setting_count++] = (struct setting){key, value};
    return DC_OK;
}

// Every scalar of resolved.yaml by its path: "stages.student.train.epochs".
static enum dc_status flatten(struct compared *c, const char *key, const struct dc_yaml *node,
                              struct dc_arena *arena, struct dc_error *error)
{
    if (node->kind == DC_YAML_SCALAR)
        return add_setting(c, key, node->text, arena, error);
    for (int i = 0; i < node->count; i++) {
        const char *inner = node->kind == DC_YAML_MAPPING
                                ? dc_arena_printf(arena, error, "%s%s%s", key, key[0] ? "." : "",
                                                  node->keys[i]->text)
                                : dc_arena_printf(arena, error, "%s[%d]", key, i);
        if (!inner)
            return DC_ERR_MEMORY;
        DC_TRY(flatten(c, inner, node->items[i], arena, error));
    }
    return DC_OK;
}

// What makes no other experiment of a run.
static bool is_free(const char *key)
{
    return strcmp(key, "name") == 0 || strcmp(key, "seed") == 0 ||
           strncmp(key, "limits.", 7) == 0 || strncmp(key, "data.loader_", 12) == 0 ||
           strstr(key, ".cache.path");
}

static const char *setting_of(const struct compared *c, const char *key)
{
    for (int i = 0; i < c->setting_count; i++)
        if (strcmp(c->settings[i].key, key) == 0)
            return c->settings[i].value;
    return NULL;
}

static bool same_value(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

// Keys in order, each once: those of the first run, then what only later ones have.
static bool is_first_with(const struct work *w, int run, const char *key)
{
    for (int r = 0; r < run; r++)
        if (setting_of(&w->runs[r], key))
            return false;
    return true;
}

static json_t *different_settings(const struct work *w)
{
    json_t *list = json_array();
    for (int r = 0; r < w->count; r++) {
        for (int i = 0; i < w->runs[r].setting_count; i++) {
            const char *key = w->runs[r].settings[i].key;
            if (is_free(key) || !is_first_with(w, r, key))
                continue;
            json_t *values = json_array();
            bool equal = true;
            for (int k = 0; k < w->count; k++) {
                const char *value = setting_of(&w->runs[k], key);
                equal = equal && same_value(value, setting_of(&w->runs[0], key));
                json_array_append_new(values, value ? json_string(value) : json_null());
            }
            if (!equal)
                json_array_append_new(list, json_pack("{s:s, s:O}", "key", key, "values", values));
            json_decref(values);
        }
    }
    return list;
}

// A run belongs to the first group whose first run has its settings.
static void find_groups(struct work *w, const json_t *settings)
{
    for (int r = 0; r < w->count; r++) {
        w->runs[r].group = -1;
        for (int other = 0; other < r && w->runs[r].group < 0; other++) {
            bool same = true;
            for (size_t i = 0; i < json_array_size(settings); i++) {
                const json_t *values = json_object_get(json_array_get(settings, i), "values");
                same = same && json_equal(json_array_get(values, (size_t)r),
                                          json_array_get(values, (size_t)other));
            }
            if (same)
                w->runs[r].group = w->runs[other].group;
        }
        if (w->runs[r].group < 0)
            w->runs[r].group = w->group_count++;
    }
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void add_summary(json_t *object, const struct dc_summary *s)
{
    json_object_set_new(object, "runs", json_integer(s->count));
    json_object_set_new(object, "mean", real_or_null(s->mean));
    json_object_set_new(object, "standard_deviation", real_or_null(s->deviation));
    json_object_set_new(object, "standard_error", real_or_null(s->error));
}

static void add_test(json_t *object, const struct dc_summary *s)
{
    struct dc_interval interval;
    const double p = dc_paired_t_test(&interval, s);
    add_summary(object, s);
    json_object_set_new(object, "test", isfinite(p) ? json_string("paired t-test") : json_null());
    json_object_set_new(object, "p", real_or_null(p));
    json_object_set_new(object, "low", real_or_null(interval.low));
    json_object_set_new(object, "high", real_or_null(interval.high));
}

// A figure of a stage in a run; NaN: there is none.
static double figure_of(const struct dc_run *run, const char *stage, const char *arithmetic,
                        enum dc_figure figure)
{
    const json_t *result = json_object_get(json_object_get(run->results, "stages"), stage);
    return dc_report_figure(json_object_get(result, arithmetic), figure);
}

static void add_measure(struct work *w, const char *stage, const char *arithmetic,
                        enum dc_figure figure)
{
    double values[DC_COMPARED_MAX];
    bool there = false;
    json_t *list = json_array(), *groups = json_array();
    for (int r = 0; r < w->count; r++) {
        values[r] = figure_of(w->runs[r].run, stage, arithmetic, figure);
        there = there || isfinite(values[r]);
        json_array_append_new(list, real_or_null(values[r]));
    }
    for (int g = 0; g < w->group_count; g++) {
        double own[DC_COMPARED_MAX];
        int count = 0;
        for (int r = 0; r < w->count; r++)
            if (w->runs[r].group == g && isfinite(values[r]))
                own[count++] = values[r];
        const struct dc_summary summary = dc_summarize(own, count);
        json_t *object = json_object();
        add_summary(object, &summary);
        json_array_append_new(groups, object);
    }
    if (there)
        json_array_append_new(w->measures,
                              json_pack("{s:s, s:s, s:s, s:O, s:O}", "stage", stage, "arithmetic",
                                        arithmetic, "measure", dc_figure_names[figure].key,
                                        "values", list, "groups", groups));
    json_decref(list);
    json_decref(groups);
}

static void add_measures(struct work *w, enum dc_figure figure)
{
    for (int r = 0; r < w->count; r++) {
        const struct dc_experiment *e = w->runs[r].run->experiment;
        for (int i = 0; i < e->stage_count; i++) {
            bool seen = e->stages[i].exports;
            for (int other = 0; other < r && !seen; other++)
                seen = dc_experiment_stage(w->runs[other].run->experiment, e->stages[i].name);
            if (seen)
                continue;
            add_measure(w, e->stages[i].name, "float", figure);
            add_measure(w, e->stages[i].name, "int8", figure);
        }
    }
}

static json_t *place(const char *stage, const char *arithmetic)
{
    return json_pack("{s:s, s:s}", "stage", stage, "arithmetic", arithmetic);
}

// Within the runs of a group: what `to` has over `from`.
static void add_difference(struct work *w, int group, enum dc_figure figure, const char *what,
                           const struct dc_stage *from, const char *from_arithmetic,
                           const struct dc_stage *to, const char *to_arithmetic)
{
    double values[DC_COMPARED_MAX];
    int count = 0;
    json_t *list = json_array();
    for (int r = 0; r < w->count; r++) {
        const double a = figure_of(w->runs[r].run, from->name, from_arithmetic, figure);
        const double b = figure_of(w->runs[r].run, to->name, to_arithmetic, figure);
        const bool counts = w->runs[r].group == group && isfinite(b - a);
        if (counts)
            values[count++] = b - a;
        json_array_append_new(list, counts ? json_real(b - a) : json_null());
    }
    const struct dc_summary summary = dc_summarize(values, count);
    json_t *object = json_pack("{s:s, s:s, s:o, s:o, s:i, s:O}", "what", what, "measure",
                               dc_figure_names[figure].key, "from",
                               place(from->name, from_arithmetic), "to",
                               place(to->name, to_arithmetic), "group", group, "values", list);
    json_decref(list);
    add_test(object, &summary);
    if (count > 0)
        json_array_append(w->differences, object);
    json_decref(object);
}

static void add_differences(struct work *w, int group, enum dc_figure figure)
{
    int r = 0;
    while (w->runs[r].group != group)
        r++;
    struct dc_experiment *e = w->runs[r].run->experiment;
    const struct dc_stage *teacher = dc_teacher_of(e), *last = dc_last_quantized(e);
    for (int i = 0; i < e->stage_count; i++) {
        const struct dc_stage *stage = &e->stages[i];
        const struct dc_stage *alone = stage->distills && !stage->quantizes
                                           ? dc_taught_by_labels(e, stage)
                                           : NULL;
        if (alone)
            add_difference(w, group, figure, "distillation", alone, "float", stage, "float");
        if (stage->quantizes && !stage->exports)
            add_difference(w, group, figure, "rounding", stage, "float", stage, "int8");
    }
    const struct dc_stage *end = last ? last : dc_last_student(e);
    if (teacher && end && end != teacher)
        add_difference(w, group, figure, "against the teacher", teacher, "float", end,
                       last ? "int8" : "float");
}

// A run of `group` with the same seed as run `r`; -1: there is none.
static int partner(const struct work *w, int r, int group)
{
    for (int k = 0; k < w->count; k++)
        if (w->runs[k].group == group &&
            w->runs[k].run->experiment->seed == w->runs[r].run->experiment->seed)
            return k;
    return -1;
}

// What a group has over the first one, by seeds that both have.
static void add_between(struct work *w, const json_t *entry, enum dc_figure figure, int group)
{
    double values[DC_COMPARED_MAX];
    const char *stage = json_string_value(json_object_get(entry, "stage"));
    const char *arithmetic = json_string_value(json_object_get(entry, "arithmetic"));
    json_t *seeds = json_array(), *list = json_array();
    int count = 0;
    for (int r = 0; r < w->count; r++) {
        const int other = w->runs[r].group == 0 ? partner(w, r, group) : -1;
        if (other < 0 || partner(w, r, 0) != r)
            continue;
        const double change = figure_of(w->runs[other].run, stage, arithmetic, figure) -
                              figure_of(w->runs[r].run, stage, arithmetic, figure);
        if (!isfinite(change))
            continue;
        values[count++] = change;
        json_array_append_new(seeds, json_integer(w->runs[r].run->experiment->seed));
        json_array_append_new(list, json_real(change));
    }
    const struct dc_summary summary = dc_summarize(values, count);
    json_t *object = json_pack("{s:s, s:s, s:O, s:i, s:i, s:O, s:O}", "stage", stage, "arithmetic",
                               arithmetic, "measure", json_object_get(entry, "measure"), "from", 0,
                               "to", group, "seeds", seeds, "values", list);
    json_decref(seeds);
    json_decref(list);
    add_test(object, &summary);
    if (count > 0)
        json_array_append(w->between, object);
    json_decref(object);
}

// What env.json says of the data, where all runs say it, is a setting, too: runs on other data are
// no repetitions of one another.
static enum dc_status add_data(struct work *w, const char *key, struct dc_error *error)
{
    const char *hashes[DC_COMPARED_MAX];
    for (int r = 0; r < w->count; r++) {
        json_t *environment = NULL;
        DC_TRY(dc_read_environment(&environment, w->runs[r].run->directory, w->arena, error));
        const char *hash = json_string_value(json_object_get(environment, key));
        hashes[r] = hash ? dc_arena_copy(w->arena, hash, error) : NULL;
        json_decref(environment);
        if (!hashes[r])
            return hash ? DC_ERR_MEMORY : DC_OK;
    }
    for (int r = 0; r < w->count; r++)
        DC_TRY(add_setting(&w->runs[r], key, hashes[r], w->arena, error));
    return DC_OK;
}

static enum dc_status read_runs(struct work *w, struct dc_run *const *runs, int count,
                                struct dc_error *error)
{
    for (int r = 0; r < count; r++) {
        struct compared *c = &w->runs[r];
        const struct dc_yaml *root = NULL;
        char *path = dc_arena_printf(w->arena, error, "%s/resolved.yaml", runs[r]->directory);
        c->run = runs[r];
        if (!path)
            return DC_ERR_MEMORY;
        if (json_object_size(json_object_get(runs[r]->results, "stages")) == 0)
            return dc_fail(error, DC_ERR_USAGE, "%s: no stage of this run is done yet",
                           runs[r]->directory);
        DC_TRY(dc_yaml_read(&root, path, w->arena, error));
        DC_TRY(flatten(c, "", root, w->arena, error));
    }
    w->count = count;
    DC_TRY(add_data(w, "train_data_hash", error));
    return add_data(w, "test_data_hash", error);
}

static json_t *list_runs(const struct work *w)
{
    json_t *list = json_array();
    for (int r = 0; r < w->count; r++) {
        const struct dc_run *run = w->runs[r].run;
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:i}", "run", run->directory,
                                              "experiment", run->experiment->name, "seed",
                                              (json_int_t)run->experiment->seed, "group",
                                              w->runs[r].group));
    }
    return list;
}

static enum dc_status compare(json_t **comparison, struct work *w, struct dc_run *const *runs,
                              int count, struct dc_error *error)
{
    DC_TRY(read_runs(w, runs, count, error));
    json_t *settings = different_settings(w);
    find_groups(w, settings);
    w->measures = json_array();
    w->differences = json_array();
    w->between = json_array();
    for (int f = 0; f < DC_FIGURES; f++) {
        const enum dc_figure figure = (enum dc_figure)f;
        const size_t before = json_array_size(w->measures);
        add_measures(w, figure);
        for (int g = 0; g < w->group_count; g++)
            add_differences(w, g, figure);
        for (size_t i = before; i < json_array_size(w->measures); i++)
            for (int g = 1; g < w->group_count; g++)
                add_between(w, json_array_get(w->measures, i), figure, g);
    }
    *comparison = json_pack("{s:o, s:o, s:o, s:o, s:o}", "runs", list_runs(w), "settings", settings,
                            "measures", w->measures, "differences", w->differences, "between",
                            w->between);
    return *comparison ? DC_OK : dc_fail(error, DC_ERR_MEMORY, "out of memory");
}

enum dc_status dc_compare_runs(json_t **comparison, struct dc_run *const *runs, int count,
                               struct dc_error *error)
{
    *comparison = NULL;
    struct work *w = dc_alloc(sizeof *w, error);
    if (!w)
        return DC_ERR_MEMORY;
    enum dc_status status = dc_arena_create(&w->arena, error);
    if (status == DC_OK)
        status = compare(comparison, w, runs, count, error);
    dc_arena_free(w->arena);
    free(w);
    return status;
}

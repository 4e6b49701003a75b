// Owns the page of a comparison: tables, and the curves of all runs.

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/folder.h"
#include "report/compare_internal.h"
#include "report/page.h"
#include "report/records.h"

#define PAGE_MARK "written by Decant: comparison 1"

// A measure of validation over the epochs of a stage; false: out of memory.
static bool read_curve(struct dc_series *series, const json_t *metrics, const char *stage,
                       const struct dc_measure_name *measure, struct dc_arena *arena)
{
    const size_t lines = json_array_size(metrics);
    double *x = DC_NEW(arena, double, lines + 1, NULL), *y = DC_NEW(arena, double, lines + 1, NULL);
    char key[32];
    snprintf(key, sizeof key, "validation_%s", measure->key);
    *series = (struct dc_series){.x = x, .y = y};
    for (size_t i = 0; x && y && i < lines; i++) {
        const json_t *line = json_array_get(metrics, i);
        const double value = dc_page_number(line, key);
        if (strcmp(dc__text_of(line, "stage"), stage) != 0 || !isfinite(value))
            continue;
        x[series->count] = dc_page_number(line, "epoch");
        y[series->count++] = measure->factor * value;
    }
    return x && y;
}

// One chart a stage, one line a run.
static enum dc_status curves(struct dc_page *p, int count, const char *stage,
                             const struct dc_measure_name *measure, json_t *const *metrics)
{
    struct dc_series series[DC_CHART_SERIES_MAX];
    char names[DC_CHART_SERIES_MAX][16], title[128], axis[48];
    int used = 0;
    for (int r = 0; r < count && used < DC_CHART_SERIES_MAX; r++) {
        if (!read_curve(&series[used], metrics[r], stage, measure, p->arena))
            return DC_ERR_MEMORY;
        snprintf(names[used], sizeof names[used], "run %d", r + 1);
        series[used].name = names[used];
        series[used].paint = r;
        used += series[used].count > 0;
    }
    if (used == 0)
        return DC_OK;
    snprintf(title, sizeof title, "%.100s.", stage);
    snprintf(axis, sizeof axis, "validation %s%s", measure->title,
             measure->factor > 1.0 ? ", %" : "");
    struct dc_drawing *d = dc_page_drawing(p, "curve", p->drawing_count + 1);
    dc_chart_lines(d, series, used, "epoch of the stage", axis, false);
    dc_page_figure(p, d, false, title, count > used ? "The first %d runs." : "%d runs.", used);
    return DC_OK;
}

static enum dc_status all_curves(struct dc_page *p, struct dc_run *const *runs, int count,
                                 struct dc_error *error)
{
    json_t *metrics[DC_COMPARED_MAX] = {0};
    enum dc_status status = DC_OK;
    for (int r = 0; r < count && status == DC_OK; r++) {
        metrics[r] = json_array();
        status = dc_read_metrics(metrics[r], runs[r]->directory, p->arena, error);
    }
    dc_text_append(&p->out, "<h2>Validation</h2><div class=\"plots two\">\n");
    const struct dc_experiment *e = runs[0]->experiment;
    for (int i = 0; i < e->stage_count; i++)
        for (int m = 0; m < DC_MEASURES && status == DC_OK; m++)
            status = curves(p, count, e->stages[i].name, &dc_measure_names[m], metrics);
    dc_text_append(&p->out, "</div>\n");
    for (int r = 0; r < count; r++)
        json_decref(metrics[r]);
    return status;
}

static void row_head(struct dc_page *p, const char *format, ...) DC_PRINTF(2, 3);
static void row_head(struct dc_page *p, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dc_text_append(&p->out, "<tr><th scope=\"row\">");
    dc_html_text(&p->out, "%s", text);
    dc_text_append(&p->out, "</th>");
}

// A table whose columns are the runs and what is behind them.
static void table_head(struct dc_page *p, const char *caption, const char *first, size_t runs,
                       const char *const *more)
{
    dc_html_table_begin(&p->out, caption);
    dc_text_append(&p->out, "<thead><tr><th scope=\"col\">%s</th>", first);
    for (size_t r = 0; r < runs; r++)
        dc_text_append(&p->out, "<th scope=\"col\">run %zu</th>", r + 1);
    for (; *more; more++)
        dc_text_append(&p->out, "<th scope=\"col\">%s</th>", *more);
    dc_text_append(&p->out, "</tr></thead><tbody>\n");
}

static void table_end(struct dc_page *p)
{
    dc_text_append(&p->out, "</tbody>");
    dc_html_table_end(&p->out);
}

static void cells(struct dc_page *p, const json_t *comparison, const json_t *values,
                  const char *measure, int group)
{
    char text[24];
    for (size_t i = 0; i < json_array_size(values); i++)
        dc_text_append(
            &p->out, "<td>%s</td>",
            dc__figure(text, dc__own_value(comparison, values, i, group), measure, group < 0));
}

static void summary_cells(struct dc_page *p, const json_t *s, const char *measure, bool sign,
                          bool test)
{
    static const char *const keys[] = {"mean", "standard_deviation", "standard_error", "low",
                                       "high"};
    char text[24];
    for (int k = 0; k < (test ? 5 : 3); k++)
        dc_text_append(
            &p->out, "<td>%s</td>",
            dc__figure(text, json_object_get(s, keys[k]), measure, sign && (k == 0 || k > 2)));
    if (test && json_is_number(json_object_get(s, "p")))
        dc_text_append(&p->out, "<td>%.3g</td>", json_number_value(json_object_get(s, "p")));
    else if (test)
        dc_text_append(&p->out, "<td>-</td>");
    dc_text_append(&p->out, "</tr>\n");
}

static void runs_table(struct dc_page *p, const json_t *comparison)
{
    static const char *const more[] = {"group", "seed", NULL};
    const json_t *settings = json_object_get(comparison, "settings");
    size_t i, k;
    const json_t *entry, *value;
    table_head(p, "Runs with equal settings but for the seed are a group", "run", 0, more);
    json_array_foreach(json_object_get(comparison, "runs"), i, entry)
    {
        row_head(p, "%zu: %s", i + 1, dc__text_of(entry, "run"));
        dc_text_append(&p->out, "<td>%c</td><td>%lld</td></tr>\n",
                       dc__group_letter(json_integer_value(json_object_get(entry, "group"))),
                       (long long)json_integer_value(json_object_get(entry, "seed")));
    }
    table_end(p);
    if (json_array_size(settings) == 0)
        return;
    table_head(p, "Settings that differ", "setting",
               json_array_size(json_object_get(comparison, "runs")), more + 2);
    json_array_foreach((json_t *)(uintptr_t)settings, i, entry)
    {
        row_head(p, "%s", dc__text_of(entry, "key"));
        json_array_foreach(json_object_get(entry, "values"), k, value)
        {
            dc_text_append(&p->out, "<td>");
            dc_html_text(&p->out, "%s", json_is_string(value) ? json_string_value(value) : "none");
            dc_text_append(&p->out, "</td>");
        }
        dc_text_append(&p->out, "</tr>\n");
    }
    table_end(p);
}

static const char *const summary_heads[] = {"mean", "s.d.", "s.e.", NULL};
static const char *const tested_heads[] = {"mean", "s.d.", "s.e.", "from", "to", "p", NULL};

// "" of accuracies, which most runs have; of another figure its name.
static const char *measure_words(char words[32], const json_t *entry)
{
    const char *title = dc__measure_title(entry);
    words[0] = '\0';
    if (strcmp(title, "accuracy") != 0)
        snprintf(words, 32, ", %s", title);
    return words;
}

static void measures_table(struct dc_page *p, const json_t *comparison)
{
    size_t i, g;
    const json_t *entry, *group;
    table_head(p,
               "Test accuracy in %, or what is named; mean, standard deviation and standard error "
               "of a group",
               "network", json_array_size(json_object_get(comparison, "runs")), summary_heads);
    json_array_foreach(json_object_get(comparison, "measures"), i, entry)
    {
        json_array_foreach(json_object_get(entry, "groups"), g, group)
        {
            char name[96], words[32];
            dc__place_name(name, entry);
            row_head(p, "%s%s, %c", name, measure_words(words, entry),
                     dc__group_letter((json_int_t)g));
            cells(p, comparison, json_object_get(entry, "values"), dc__text_of(entry, "measure"),
                  (int)g);
            summary_cells(p, group, dc__text_of(entry, "measure"), false, false);
        }
    }
    table_end(p);
}

static void differences_table(struct dc_page *p, const json_t *comparison)
{
    size_t i;
    const json_t *entry;
    table_head(p,
               "Differences within runs, in points; interval and p of the paired t-test, from 4 "
               "runs on",
               "difference", json_array_size(json_object_get(comparison, "runs")), tested_heads);
    json_array_foreach(json_object_get(comparison, "differences"), i, entry)
    {
        char from[96], to[96], words[32];
        dc__place_name(from, json_object_get(entry, "from"));
        dc__place_name(to, json_object_get(entry, "to"));
        row_head(p, "%s%s, %c: from %s to %s", dc__text_of(entry, "what"),
                 measure_words(words, entry),
                 dc__group_letter(json_integer_value(json_object_get(entry, "group"))), from, to);
        cells(p, comparison, json_object_get(entry, "values"), dc__text_of(entry, "measure"), -1);
        summary_cells(p, entry, dc__text_of(entry, "measure"), true, true);
    }
    table_end(p);
    if (json_array_size(json_object_get(comparison, "between")) == 0)
        return;
    table_head(p, "Differences of groups, by the seeds that both have, in points", "network", 0,
               tested_heads);
    json_array_foreach(json_object_get(comparison, "between"), i, entry)
    {
        char name[96], words[32];
        dc__place_name(name, entry);
        row_head(p, "%s%s, %c - A", name, measure_words(words, entry),
                 dc__group_letter(json_integer_value(json_object_get(entry, "to"))));
        summary_cells(p, entry, dc__text_of(entry, "measure"), true, true);
    }
    table_end(p);
}

static void page_head(struct dc_page *p, const json_t *comparison)
{
    dc_html_begin(&p->out, PAGE_MARK, "Decant runs compared");
    dc_text_append(&p->out, "<header><p class=\"kind\">Decant</p><h1>Runs compared</h1></header>"
                            "<main id=\"main\">\n");
    runs_table(p, comparison);
    measures_table(p, comparison);
    differences_table(p, comparison);
}

enum dc_status dc_write_comparison(const char *path, const json_t *comparison,
                                   struct dc_run *const *runs, int count, struct dc_error *error)
{
    struct dc_page page = {0};
    DC_TRY(dc_file_may_replace(path, "<!doctype html>", PAGE_MARK, NULL, error));
    DC_TRY(dc_arena_create(&page.arena, error));
    page_head(&page, comparison);
    enum dc_status status = all_curves(&page, runs, count, error);
    dc_text_append(&page.out, "</main><footer>Made by Decant %s.</footer>\n", DECANT_VERSION);
    dc_html_end(&page.out);
    if (status == DC_OK && (page.failed || page.out.failed))
        status = dc_fail(error, DC_ERR_MEMORY, "out of memory");
    if (status == DC_OK)
        status = dc_file_write(path, page.out.text, page.out.length, error);
    dc_text_free(&page.out);
    dc_arena_free(page.arena);
    return status;
}

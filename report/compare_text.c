// Owns how a comparison looks in a terminal.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/compare_internal.h"
#include "run/report.h"

enum { COLUMNS_MAX = 4, NAME_WIDTH = 25, LINE = 80 };

const char *dc__text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

const char *dc__measure_title(const json_t *entry)
{
    const char *key = dc__text_of(entry, "measure");
    for (int f = 0; f < DC_FIGURES; f++)
        if (strcmp(key, dc_figure_names[f].key) == 0)
            return dc_figure_names[f].title;
    return key;
}

const char *dc__figure(char text[24], const json_t *value, const char *measure, bool sign)
{
    const bool percent = strcmp(measure, "accuracy") == 0;
    if (!json_is_number(value))
        snprintf(text, 24, "-");
    else if (percent)
        snprintf(text, 24, sign ? "%+.2f" : "%.2f", 100.0 * json_number_value(value));
    else {
        const double size = fabs(json_number_value(value));
        const int digits = size < 10.0 ? 4 : size < 100.0 ? 3 : size < 1e3 ? 2 : size < 1e4 ? 1 : 0;
        snprintf(text, 24,
                 size < 1e6 ? sign ? "%+.*f" : "%.*f"
                 : sign     ? "%+.*e"
                            : "%.*e",
                 digits, json_number_value(value));
    }
    return text;
}

char dc__group_letter(json_int_t group)
{
    return (char)('A' + (group >= 0 && group < 26 ? group : 25));
}

void dc__place_name(char name[96], const json_t *place)
{
    snprintf(name, 96, "%.70s%s", dc__text_of(place, "stage"),
             strcmp(dc__text_of(place, "arithmetic"), "int8") == 0 ? ", integers" : "");
}

const json_t *dc__own_value(const json_t *comparison, const json_t *values, size_t run, int group)
{
    const json_t *entry = json_array_get(json_object_get(comparison, "runs"), run);
    const bool own = group < 0 || json_integer_value(json_object_get(entry, "group")) == group;
    return own ? json_array_get(values, run) : NULL;
}

// Values of the runs, or of those of one group; -1: of all.
static void numbers(struct dc_text_buffer *out, const json_t *comparison, const json_t *values,
                    const char *measure, int group)
{
    char text[24];
    const size_t count = json_array_size(values);
    for (size_t i = 0; count <= COLUMNS_MAX && i < count; i++)
        dc_text_append(
            out, " %7s",
            dc__figure(text, dc__own_value(comparison, values, i, group), measure, group < 0));
}

static void summary(struct dc_text_buffer *out, const json_t *s, const char *measure, bool sign)
{
    char mean[24], deviation[24], error[24];
    dc_text_append(out, " %8s %6s %6s", dc__figure(mean, json_object_get(s, "mean"), measure, sign),
                   dc__figure(deviation, json_object_get(s, "standard_deviation"), measure, false),
                   dc__figure(error, json_object_get(s, "standard_error"), measure, false));
}

static void heads(struct dc_text_buffer *out, const char *name, size_t columns)
{
    dc_text_append(out, "\n%-*s", NAME_WIDTH, name);
    for (size_t i = 0; columns <= COLUMNS_MAX && i < columns; i++)
        dc_text_append(out, " %7zu", i + 1);
    dc_text_append(out, " %8s %6s %6s\n", "mean", "s.d.", "s.e.");
}

static void run_list(struct dc_text_buffer *out, const json_t *comparison)
{
    size_t i, k;
    const json_t *run, *setting, *value;
    dc_text_append(out, "run  group  seed  directory\n");
    json_array_foreach(json_object_get(comparison, "runs"), i, run)
    {
        dc_text_append(out, "%3zu  %5c  %4lld  %s\n", i + 1,
                       dc__group_letter(json_integer_value(json_object_get(run, "group"))),
                       (long long)json_integer_value(json_object_get(run, "seed")),
                       dc__text_of(run, "run"));
    }
    const json_t *settings = json_object_get(comparison, "settings");
    if (json_array_size(settings) > 0)
        dc_text_append(out, "\nsettings that differ, by run\n");
    json_array_foreach((json_t *)(uintptr_t)settings, i, setting)
    {
        size_t used = 3 + strlen(dc__text_of(setting, "key"));
        dc_text_append(out, "  %s:", dc__text_of(setting, "key"));
        json_array_foreach(json_object_get(setting, "values"), k, value)
        {
            const char *text = json_is_string(value) ? json_string_value(value) : "none";
            const bool last = k + 1 == json_array_size(json_object_get(setting, "values"));
            const size_t more = strlen(text) + 2;
            const bool breaks = used + more > LINE;
            used = breaks ? 3 + more : used + more;
            dc_text_append(out, "%s %s%s", breaks ? "\n   " : "", text, last ? "" : ",");
        }
        dc_text_append(out, "\n");
    }
}

static void tests(struct dc_text_buffer *out, const json_t *entry)
{
    char low[24], high[24];
    const char *measure = dc__text_of(entry, "measure");
    if (json_is_string(json_object_get(entry, "test")))
        dc_text_append(out, "  paired t-test: p = %.3g, 95 %% interval %s to %s\n",
                       json_number_value(json_object_get(entry, "p")),
                       dc__figure(low, json_object_get(entry, "low"), measure, true),
                       dc__figure(high, json_object_get(entry, "high"), measure, true));
}

// Heads before the first entry of each figure. *before: that of the entry before; NULL at first.
static void figure_heads(struct dc_text_buffer *out, const json_t *entry, const char **before,
                         const char *accuracy, const char *other, size_t columns)
{
    char name[64];
    const char *title = dc__measure_title(entry);
    if (*before && strcmp(*before, title) == 0)
        return;
    snprintf(name, sizeof name, "%s %s", other, title);
    heads(out, strcmp(title, "accuracy") == 0 ? accuracy : name, columns);
    *before = title;
}

static void measures(struct dc_text_buffer *out, const json_t *comparison, size_t columns)
{
    size_t i, g;
    const json_t *entry, *group;
    const char *before = NULL;
    json_array_foreach(json_object_get(comparison, "measures"), i, entry)
    {
        const json_t *groups = json_object_get(entry, "groups");
        const char *measure = dc__text_of(entry, "measure");
        figure_heads(out, entry, &before, "test accuracy, %", "test", columns);
        json_array_foreach((json_t *)(uintptr_t)groups, g, group)
        {
            char name[112];
            dc__place_name(name, entry);
            if (json_array_size(groups) > 1)
                snprintf(name + strlen(name), 4, ", %c", dc__group_letter((json_int_t)g));
            dc_text_append_name(out, name, NAME_WIDTH);
            numbers(out, comparison, json_object_get(entry, "values"), measure, (int)g);
            summary(out, group, measure, false);
            dc_text_append(out, "\n");
        }
    }
}

static void differences(struct dc_text_buffer *out, const json_t *comparison, size_t columns)
{
    size_t i;
    const json_t *entry;
    const char *before = NULL;
    json_array_foreach(json_object_get(comparison, "differences"), i, entry)
    {
        char from[96], to[96], line[256];
        dc__place_name(from, json_object_get(entry, "from"));
        dc__place_name(to, json_object_get(entry, "to"));
        figure_heads(out, entry, &before, "differences, points", "differences of", columns);
        snprintf(line, sizeof line, "%s, %c: from %s to %s", dc__text_of(entry, "what"),
                 dc__group_letter(json_integer_value(json_object_get(entry, "group"))), from, to);
        if (strlen(line) > LINE)
            snprintf(line, sizeof line, "%s, %c: from %s\n  to %s", dc__text_of(entry, "what"),
                     dc__group_letter(json_integer_value(json_object_get(entry, "group"))), from,
                     to);
        dc_text_append(out, "%s\n%-*s", line, NAME_WIDTH, "");
        numbers(out, comparison, json_object_get(entry, "values"), dc__text_of(entry, "measure"),
                -1);
        summary(out, entry, dc__text_of(entry, "measure"), true);
        dc_text_append(out, "\n");
        tests(out, entry);
    }
}

static void between(struct dc_text_buffer *out, const json_t *comparison)
{
    size_t i;
    const json_t *entry;
    const char *before = NULL;
    json_array_foreach(json_object_get(comparison, "between"), i, entry)
    {
        char name[112];
        dc__place_name(name, entry);
        figure_heads(out, entry, &before, "groups by seed, points", "groups by seed,",
                     COLUMNS_MAX + 1);
        snprintf(name + strlen(name), 8, ", %c - A",
                 dc__group_letter(json_integer_value(json_object_get(entry, "to"))));
        dc_text_append_name(out, name, NAME_WIDTH);
        summary(out, entry, dc__text_of(entry, "measure"), true);
        dc_text_append(out, "  %lld seed%s\n",
                       (long long)json_integer_value(json_object_get(entry, "runs")),
                       json_integer_value(json_object_get(entry, "runs")) == 1 ? "" : "s");
        tests(out, entry);
    }
}

void dc_comparison_text(struct dc_text_buffer *out, const json_t *comparison)
{
    const size_t columns = json_array_size(json_object_get(comparison, "runs"));
    run_list(out, comparison);
    measures(out, comparison, columns);
    differences(out, comparison, columns);
    between(out, comparison);
    dc_text_append(out,
                   "\ns.d.: standard deviation over the runs of a group; s.e.: standard error\n"
                   "of the mean. Differences are paired by run or seed; with fewer than 4\n"
                   "nothing is tested.\n");
}

// Owns what the sections share: lookups, figures, and notes of what is missing.

#include "report/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/statistics.h"
#include "run/report.h"

const json_t *dc_page_result(const struct dc_page *page, const struct dc_stage *stage)
{
    return json_object_get(json_object_get(page->run->results, "stages"), stage->name);
}

void dc_page_heading(struct dc_page *page, const char *id, const char *words)
{
    dc_text_append(&page->out, "<h2 id=\"%s\">%s</h2>\n", id, words);
}

void dc_page_missing(struct dc_page *page, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dc_text_append(&page->out, "<p class=\"missing\">");
    dc_html_text(&page->out, "%s", text);
    dc_text_append(&page->out, "</p>\n");
}

struct dc_drawing *dc_page_drawing(struct dc_page *page, const char *name, int number)
{
    struct dc_drawing *d = DC_NEW(page->arena, struct dc_drawing, 1, NULL);
    const char *full = number > 0 ? dc_arena_printf(page->arena, NULL, "%s-%d", name, number)
                                  : name;
    if (!d || !full || page->drawing_count == DC_DRAWINGS_MAX) {
        page->failed = true;
        page->spare = (struct dc_drawing){.arena = page->arena, .failed = true};
        return &page->spare;
    }
    *d = (struct dc_drawing){.arena = page->arena, .name = full, .title = "", .words = ""};
    page->drawings[page->drawing_count++] = d;
    return d;
}

void dc_page_figure(struct dc_page *page, struct dc_drawing *drawing, bool wide, const char *title,
                    const char *format, ...)
{
    char words[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    const char *kept_title = dc_arena_copy(page->arena, title, NULL);
    const char *kept = dc_arena_copy(page->arena, words, NULL);
    if (drawing->failed || !kept_title || !kept) {
        page->failed = true;
        return;
    }
    drawing->title = kept_title;
    drawing->words = kept;
    dc_text_append(&page->out, "<figure%s>", wide ? " class=\"wide\"" : "");
    dc_drawing_svg(&page->out, drawing);
    dc_text_append(&page->out, "<figcaption><b>");
    dc_html_text(&page->out, "%s", title);
    dc_text_append(&page->out, "</b> ");
    dc_html_text(&page->out, "%s", words);
    dc_text_append(&page->out, "</figcaption></figure>\n");
}

double dc_page_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *dc_page_count(char text[32], double value)
{
    if (fabs(value) < 9e15)
        return dc_with_commas(text, (int64_t)value);
    snprintf(text, 32, "-");
    return text;
}

void dc_page_accuracy(struct dc_page *page, const json_t *scores)
{
    const double accuracy = dc_page_number(scores, "accuracy");
    const double samples = dc_page_number(scores, "samples");
    char text[32];
    if (!isfinite(accuracy) || !(samples >= 1.0 && samples < 1e15)) {
        dc_html_text(&page->out, "%s", dc_report_measure(text, scores));
        return;
    }
    const struct dc_interval i = dc_wilson(llround(accuracy * samples), (int64_t)samples);
    dc_text_append(&page->out, "%.2f&nbsp;%% <small>%.2f&nbsp;to&nbsp;%.2f</small>",
                   100.0 * accuracy, 100.0 * i.low, 100.0 * i.high);
}

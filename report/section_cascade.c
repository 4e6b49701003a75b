// Owns what a device could settle by itself, and what it would be worth to ask a teacher for the
// rest.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page.h"
#include "run/cascade.h"

enum { KEPT_MIN = 50 };  // of fewer samples no accuracy is drawn

// On test samples, by threshold.
struct curve {
    double share[DC_MARGINS], device[DC_MARGINS], whole[DC_MARGINS];
    int64_t kept[DC_MARGINS], right[DC_MARGINS];
    int count;           // of points, from the highest threshold down
    int at[DC_MARGINS];  // thresholds of the points
};

static void trace(struct curve *c, const struct dc_measures *m, const struct dc_answers *integers,
                  const struct dc_answers *teacher)
{
    int64_t samples[DC_MARGINS] = {0}, right[DC_MARGINS] = {0}, by_teacher[DC_MARGINS] = {0};
    int64_t kept = 0, kept_right = 0, rest = 0;
    for (int64_t i = 0; i < m->samples; i++) {
        const int label = m->source->labels[m->ids[i]], margin = integers->margin[i];
        const bool taught = teacher->said[i] == label;
        samples[margin]++;
        right[margin] += integers->said[i] == label;
        by_teacher[margin] += taught;
        rest += taught;
    }
    c->count = 0;
    for (int t = DC_MARGINS - 1; t >= 0; t--) {
        kept += samples[t];
        kept_right += right[t];
        rest -= by_teacher[t];
        c->kept[t] = kept;
        c->right[t] = kept_right;
        if (kept < KEPT_MIN || samples[t] == 0)
            continue;
        c->share[c->count] = 100.0 * (double)kept / (double)m->samples;
        c->device[c->count] = 100.0 * (double)kept_right / (double)kept;
        c->whole[c->count] = 100.0 * (double)(kept_right + rest) / (double)m->samples;
        c->at[c->count++] = t;
    }
}

// The export of a stage that recorded a choice; NULL: there is none.
static const json_t *choice_of(const struct dc_page *p, const struct dc_stage *stage)
{
    const struct dc_experiment *e = p->run->experiment;
    for (int i = 0; i < e->stage_count; i++) {
        const json_t *result = dc_page_result(p, &e->stages[i]);
        if (e->stages[i].exports && strcmp(e->stages[i].export.stage, stage->name) == 0 &&
            json_object_get(result, "cascade"))
            return result;
    }
    return NULL;
}

static void choice(struct dc_page *p, const json_t *result)
{
    struct dc_text_buffer text = {0};
    dc_cascade_text(&text, result);
    if (text.length > 0 && !text.failed) {
        dc_text_append(&p->out, "<p>");
        dc_html_text(&p->out,
                     "%s. The threshold was chosen on validation samples, by Clopper and "
                     "Pearson's lower bound.",
                     text.text);
        dc_text_append(&p->out, "</p>\n");
    } else {
        dc_text_append(&p->out, "<p class=\"note\">No threshold was asked for: <code>cascade: "
                                "{accuracy: 0.97}</code> in the experiment has one chosen at "
                                "export, on validation samples.</p>\n");
    }
    dc_text_free(&text);
}

static void draw(struct dc_page *p, const struct curve *c, const struct dc_stage *stage,
                 const struct dc_stage *teacher, const json_t *result, int number)
{
    char title[160];
    double x = NAN, y = NAN;
    const double chosen = dc_page_number(json_object_get(result, "cascade"), "threshold");
    struct dc_series series[3] = {
        {"on the device", 0, c->share, c->device, c->count},
        {"with teacher", 1, c->share, c->whole, c->count},
        {"chosen", 3, &x, &y, 1},
    };
    for (int i = 0; i < c->count; i++)
        if (c->at[i] >= chosen) {
            x = c->share[i];
            y = c->device[i];
        }
    snprintf(title, sizeof title, "%.60s, then %.60s.", stage->name, teacher->name);
    struct dc_drawing *d = dc_page_drawing(p, "cascade", number);
    dc_chart_lines(d, series, isfinite(x) ? 3 : 2, "settled on the device, % of test samples",
                   "accuracy, %", false);
    dc_page_figure(p, d, false, title,
                   "By the margin of the two largest output codes that is asked for: accuracy of "
                   "what is settled on the device, and of all samples where the teacher gets the "
                   "rest.");
}

// Some thresholds in numbers, evenly over the shares.
static void table(struct dc_page *p, const struct curve *c)
{
    double next = 0.0;
    dc_html_table_begin(&p->out, "Some thresholds, on test samples");
    dc_text_append(&p->out, "<thead><tr><th scope=\"col\">margin, codes</th><th scope=\"col\">"
                            "settled, %%</th><th scope=\"col\">right of these, %%</th>"
                            "<th scope=\"col\">right of all, %%</th></tr></thead><tbody>\n");
    for (int i = 0; i < c->count; i++) {
        if (c->share[i] < next && i != c->count - 1)
            continue;
        dc_text_append(&p->out,
                       "<tr><th scope=\"row\">%d</th><td>%.2f</td><td>%.2f</td><td>%.2f</td>"
                       "</tr>\n",
                       c->at[i], c->share[i], c->device[i], c->whole[i]);
        next = c->share[i] + 8.0;
    }
    dc_text_append(&p->out, "</tbody>");
    dc_html_table_end(&p->out);
}

void dc_page_cascade(struct dc_page *p)
{
    struct dc_experiment *e = p->run->experiment;
    const struct dc_stage *asked = dc_cascade_teacher(e);
    const struct dc_stage *teacher = asked ? asked : dc_teacher_of(e);
    const struct dc_answers *taught = teacher ? dc_answers_of(p->measures, teacher, false) : NULL;
    struct curve *curve = DC_NEW(p->arena, struct curve, 1, NULL);
    int number = 0;
    dc_page_heading(p, "cascade", "A cascade: the device, then the teacher");
    p->failed = p->failed || !curve;
    for (int i = 0; curve && taught && i < e->stage_count; i++) {
        const struct dc_stage *stage = &e->stages[i];
        const struct dc_answers *integers = dc_answers_of(p->measures, stage, true);
        if (!integers)
            continue;
        const json_t *result = choice_of(p, stage);
        trace(curve, p->measures, integers, taught);
        choice(p, result);
        if (curve->count == 0) {
            dc_page_missing(p, "There are fewer than %d test samples, too few for a curve.",
                            KEPT_MIN);
            continue;
        }
        draw(p, curve, stage, teacher, result, ++number);
        table(p, curve);
    }
    if (!taught || (number == 0 && curve && curve->count == 0 && !dc_last_quantized(e)))
        dc_page_missing(p, "A cascade needs integers and a teacher's network, both measured on "
                           "this run's test split.");
}

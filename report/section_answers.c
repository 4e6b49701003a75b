// Owns what the networks say: confusion by class, disagreement between networks, calibration.

#include <stdio.h>
#include <string.h>

#include "report/page.h"
#include "report/statistics.h"

enum { WORST_PAIRS = 15, NETWORKS_MAX = 8 };

static const char *class_name(const struct dc_measures *m, int c, char text[64])
{
    if (m->source->class_names)
        snprintf(text, 64, "%.60s", m->source->class_names[c]);
    else
        snprintf(text, 64, "%d", c);
    return text;
}

static int64_t *confusion_of(struct dc_page *p, const struct dc_answers *a,
                             const struct dc_answers *rows)
{
    const struct dc_measures *m = p->measures;
    int64_t *counts = DC_NEW(p->arena, int64_t, (int64_t)m->classes * m->classes, NULL);
    p->failed = p->failed || !counts;
    for (int64_t i = 0; counts && i < m->samples; i++) {
        const int row = rows ? rows->said[i] : m->source->labels[m->ids[i]];
        counts[(int64_t)row * m->classes + a->said[i]]++;
    }
    return counts;
}

// The pair of different classes with most counts below (limit, at): in order of counts.
static bool next_pair(const int64_t *counts, int64_t classes, int64_t *limit, int64_t *at)
{
    int64_t best = -1;
    for (int64_t i = 0; i < classes * classes; i++) {
        const bool later = counts[i] < *limit || (counts[i] == *limit && i > *at);
        if (i / classes != i % classes && counts[i] > 0 && later &&
            (best < 0 || counts[i] > counts[best]))
            best = i;
    }
    if (best < 0)
        return false;
    *limit = counts[best];
    *at = best;
    return true;
}

static void pair_table(struct dc_page *p, const struct dc_answers *a, const int64_t *counts)
{
    const struct dc_measures *m = p->measures;
    char caption[160], x[64], y[64];
    int64_t limit = INT64_MAX, at = -1;
    int64_t most = INT64_MAX, first = -1;
    if (!next_pair(counts, m->classes, &most, &first)) {
        dc_html_text(&p->out, "%s: no sample was taken for another class.", a->name);
        return;
    }
    snprintf(caption, sizeof caption, "%s: the most frequent confusions", a->name);
    dc_html_table_begin(&p->out, caption);
    dc_text_append(&p->out, "<thead><tr><th scope=\"col\">label</th><th scope=\"col\" class=\"t\">"
                            "answer</th><th scope=\"col\">samples</th></tr></thead><tbody>\n");
    for (int i = 0; i < WORST_PAIRS && next_pair(counts, m->classes, &limit, &at); i++) {
        dc_text_append(&p->out, "<tr><td>");
        dc_html_text(&p->out, "%s", class_name(m, (int)(at / m->classes), x));
        dc_text_append(&p->out, "</td><td class=\"t\">");
        dc_html_text(&p->out, "%s", class_name(m, (int)(at % m->classes), y));
        dc_text_append(&p->out, "</td><td>%lld</td></tr>\n", (long long)limit);
    }
    dc_text_append(&p->out, "</tbody>");
    dc_html_table_end(&p->out);
}

static void matrix(struct dc_page *p, const struct dc_answers *a, const struct dc_answers *rows,
                   int number)
{
    const struct dc_measures *m = p->measures;
    char title[256], x[64], y[64], row_words[96] = "label";
    const int64_t *counts = confusion_of(p, a, rows);
    int64_t limit = INT64_MAX, at = -1;
    if (!counts)
        return;
    if (!rows && m->classes > DC_MATRIX_CLASSES_MAX) {
        pair_table(p, a, counts);
        return;
    }
    snprintf(title, sizeof title, rows ? "%s against %s." : "%s.", a->name, rows ? rows->name : "");
    if (rows)
        snprintf(row_words, sizeof row_words, "%.40s", rows->name);
    struct dc_drawing *d = dc_page_drawing(p, rows ? "disagreement" : "confusion", number);
    dc_chart_matrix(d, counts, m->classes, m->source->class_names, row_words,
                    rows ? a->name : "answer");
    if (next_pair(counts, m->classes, &limit, &at))
        dc_page_figure(p, d, false, title, "Most often: %s for %s, %lld times.",
                       class_name(m, (int)(at % m->classes), x),
                       class_name(m, (int)(at / m->classes), y), (long long)limit);
    else
        dc_page_figure(p, d, false, title, "They never differ.");
}

// Each network once: of a stage that quantizes, the integers.
static int networks(const struct dc_answers *list[NETWORKS_MAX], const struct dc_measures *m)
{
    int count = 0;
    for (int i = 0; i < m->answer_count && count < NETWORKS_MAX; i++)
        if (m->answers[i].integers || !m->answers[i].stage->quantizes)
            list[count++] = &m->answers[i];
    return count;
}

static void disagreement_table(struct dc_page *p, const struct dc_answers *const *list, int count)
{
    const struct dc_measures *m = p->measures;
    dc_html_table_begin(&p->out, "Disagreement: how many of the samples, in %, two networks "
                                 "answer differently");
    dc_text_append(&p->out, "<thead><tr><th scope=\"col\">network</th>");
    for (int k = 0; k < count; k++) {
        dc_text_append(&p->out, "<th scope=\"col\">");
        dc_html_text(&p->out, "%s", list[k]->name);
        dc_text_append(&p->out, "</th>");
    }
    dc_text_append(&p->out, "</tr></thead><tbody>\n");
    for (int i = 0; i < count; i++) {
        dc_text_append(&p->out, "<tr><th scope=\"row\">");
        dc_html_text(&p->out, "%s", list[i]->name);
        dc_text_append(&p->out, "</th>");
        for (int k = 0; k < count; k++) {
            const struct dc_flips flips = dc_count_flips(m, list[i], list[k]);
            dc_text_append(&p->out, "<td>%.2f</td>",
                           100.0 * (double)flips.other / (double)m->samples);
        }
        dc_text_append(&p->out, "</tr>\n");
    }
    dc_text_append(&p->out, "</tbody>");
    dc_html_table_end(&p->out);
}

static void calibration(struct dc_page *p)
{
    const struct dc_measures *m = p->measures;
    dc_text_append(&p->out,
                   "<h3>Calibration</h3><p class=\"note\">Dots: accuracy of the samples "
                   "of each of %d bins of confidence; dashed: what it should be; red: "
                   "how far it is from that. ECE, the expected calibration error, is its "
                   "mean by share of samples.</p><div class=\"plots\">\n",
                   DC_RELIABILITY_BINS);
    for (int i = 0; i < m->answer_count && i < 2 * NETWORKS_MAX; i++) {
        const struct dc_answers *a = &m->answers[i];
        struct dc_reliability r = {0};
        char title[128];
        for (int64_t s = 0; s < m->samples; s++)
            dc_reliability_add(&r, (double)a->confidence[s],
                               a->said[s] == m->source->labels[m->ids[s]]);
        snprintf(title, sizeof title, "%s.", a->name);
        struct dc_drawing *d = dc_page_drawing(p, "reliability", i + 1);
        dc_chart_reliability(d, &r, (int)(a->stage - p->run->experiment->stages));
        dc_page_figure(p, d, false, title, "ECE %.2f %%.", 100.0 * dc_calibration_error(&r));
    }
    dc_text_append(&p->out, "</div>\n");
}

// What was measured now must be what the run recorded.
static void hold_to_results(struct dc_page *p)
{
    const struct dc_measures *m = p->measures;
    for (int i = 0; i < m->answer_count; i++) {
        const struct dc_answers *a = &m->answers[i];
        const json_t *scores = json_object_get(dc_page_result(p, a->stage),
                                               a->integers ? "int8" : "float");
        const double samples = dc_page_number(scores, "samples");
        const double then = dc_page_number(scores, "accuracy");
        const double now = (double)a->right / (double)m->samples;
        if (samples == (double)m->samples && then * samples - (double)a->right > -0.5 &&
            then * samples - (double)a->right < 0.5)
            continue;
        if (samples == (double)m->samples)
            dc_page_missing(p,
                            "%s: measured again now it has %.2f %%, the run recorded %.2f %%. The "
                            "test data or the machine is another.",
                            a->name, 100.0 * now, 100.0 * then);
    }
    if (m->samples < m->source->count)
        dc_page_missing(p,
                        "From here on over %lld of %lld test samples, spread evenly: all would "
                        "take long.",
                        (long long)m->samples, (long long)m->source->count);
}

void dc_page_answers(struct dc_page *p)
{
    const struct dc_measures *m = p->measures;
    const struct dc_answers *list[NETWORKS_MAX];
    dc_page_heading(p, "answers", "Confusion, disagreement, calibration");
    for (int i = 0; i < m->unmeasured_count; i++)
        dc_page_missing(p, "Not measured%s%s: %s", m->unmeasured[i].stage ? ", " : "",
                        m->unmeasured[i].stage ? m->unmeasured[i].stage->name : "",
                        m->unmeasured[i].why);
    const int count = networks(list, m);
    if (count == 0) {
        if (m->unmeasured_count == 0)
            dc_page_missing(p, "No network of this run sorts samples into classes.");
        return;
    }
    hold_to_results(p);
    dc_text_append(&p->out,
                   "<p class=\"note\">Rows are labels, columns answers, on %lld test "
                   "samples; the diagonal is right.</p><div class=\"plots\">\n",
                   (long long)m->samples);
    for (int i = 0; i < count; i++)
        matrix(p, list[i], NULL, i + 1);
    dc_text_append(&p->out, "</div>\n");
    disagreement_table(p, list, count);
    if (m->classes <= DC_MATRIX_CLASSES_MAX) {
        dc_text_append(&p->out, "<div class=\"plots\">\n");
        for (int i = 0; i < m->answer_count; i++)
            if (m->answers[i].integers)
                matrix(p, &m->answers[i], dc_answers_of(m, m->answers[i].stage, false), i + 1);
        dc_text_append(&p->out, "</div>\n");
    }
    calibration(p);
}

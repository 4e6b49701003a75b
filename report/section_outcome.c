// Owns the head of the page: what came out, stage by stage, and how training went.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page.h"
#include "report/statistics.h"
#include "run/report.h"
#include "train/mcnemar.h"

static void tile(struct dc_page *p, const char *name, const char *value, const char *more)
{
    dc_text_append(&p->out, "<div><dt>");
    dc_html_text(&p->out, "%s", name);
    dc_text_append(&p->out, "</dt><dd>");
    dc_html_text(&p->out, "%s", value);
    dc_text_append(&p->out, "<small>");
    dc_html_text(&p->out, "%s", more);
    dc_text_append(&p->out, "</small></dd></div>\n");
}

static void accuracy_tile(struct dc_page *p, const char *name, const json_t *scores)
{
    char value[64], more[96] = "", digits[32];
    const double accuracy = dc_page_number(scores, "accuracy");
    const double samples = dc_page_number(scores, "samples");
    snprintf(value, sizeof value, "%s", dc_report_measure(more, scores));
    more[0] = '\0';
    if (isfinite(accuracy) && samples >= 1.0 && samples < 1e15) {
        const struct dc_interval i = dc_wilson(llround(accuracy * samples), (int64_t)samples);
        snprintf(more, sizeof more, "%.2f to %.2f, %s samples", 100.0 * i.low, 100.0 * i.high,
                 dc_page_count(digits, samples));
    }
    if (scores)
        tile(p, name, value, more);
}

static void bytes_tile(struct dc_page *p, const char *name, double bytes, const char *more)
{
    char value[48], digits[32];
    snprintf(value, sizeof value, "%s B", dc_page_count(digits, bytes));
    if (isfinite(bytes))
        tile(p, name, value, more);
}

static void proof_tile(struct dc_page *p)
{
    const struct dc_experiment *e = p->run->experiment;
    for (int i = 0; i < e->stage_count; i++) {
        const json_t *proof = json_object_get(dc_page_result(p, &e->stages[i]), "verification");
        char more[64], digits[32];
        snprintf(more, sizeof more, "to the engine, on %s samples",
                 dc_page_count(digits, dc_page_number(proof, "samples")));
        if (proof) {
            tile(p, "compiled C",
                 dc_page_number(proof, "different") == 0.0 ? "identical" : "differs", more);
            return;
        }
    }
}

static void tiles(struct dc_page *p)
{
    const struct dc_stage *teacher = dc_teacher_of(p->run->experiment),
                          *quantized = dc_last_quantized(p->run->experiment);
    const struct dc_stage *student = dc_last_student(p->run->experiment);
    const json_t *q = quantized ? dc_page_result(p, quantized) : NULL;
    char name[96];
    dc_text_append(&p->out, "<dl class=\"tiles\">");
    accuracy_tile(p, "integers", json_object_get(q, "int8"));
    if (student) {
        snprintf(name, sizeof name, "%.60s, floats", student->name);
        accuracy_tile(p, name, json_object_get(dc_page_result(p, student), "float"));
    }
    if (teacher) {
        snprintf(name, sizeof name, "%.60s, floats", teacher->name);
        accuracy_tile(p, name, json_object_get(dc_page_result(p, teacher), "float"));
    }
    bytes_tile(p, "flash", q ? dc_page_number(q, "flash_bytes") : NAN, "weights, tables, code");
    bytes_tile(p, "RAM", q ? dc_page_number(q, "ram_bytes") : NAN, DC_RAM_WORDS);
    proof_tile(p);
    dc_text_append(&p->out, "</dl>\n");
}

// What a reader takes home, in sentences.
static void lead(struct dc_page *p)
{
    const struct dc_stage *teacher = dc_teacher_of(p->run->experiment),
                          *quantized = dc_last_quantized(p->run->experiment);
    const json_t *q = quantized ? dc_page_result(p, quantized) : NULL;
    const json_t *t = teacher ? dc_page_result(p, teacher) : NULL;
    const json_t *flips = json_object_get(json_object_get(q, "quantization"), "flips");
    const double before = dc_page_number(json_object_get(q, "float"), "accuracy");
    const double after = dc_page_number(json_object_get(q, "int8"), "accuracy");
    const double chance = dc_page_number(flips, "p");
    dc_text_append(&p->out, "<p class=\"lead\">");
    if (isfinite(after) && isfinite(before) && isfinite(chance))
        dc_text_append(&p->out,
                       "Rounding to integers changed the accuracy by %+.2f points, from %.2f to "
                       "%.2f&nbsp;%% (McNemar&rsquo;s p&nbsp;=&nbsp;%.2g: %s). ",
                       100.0 * (after - before), 100.0 * before, 100.0 * after, chance,
                       chance < 0.05 ? "more than chance explains" : "no more than chance may do");
    const double size = dc_page_number(t, "parameters") / dc_page_number(q, "parameters");
    const double above = dc_page_number(json_object_get(t, "float"), "accuracy") - after;
    if (isfinite(size) && isfinite(above))
        dc_text_append(&p->out,
                       "The teacher has %.3g times as many parameters and is %.2f points %s.", size,
                       100.0 * fabs(above), above >= 0.0 ? "better" : "worse");
    if (!q)
        dc_text_append(&p->out, quantized ? "The stage that quantizes is not done yet."
                                          : "No stage of this experiment quantizes.");
    dc_text_append(&p->out, "</p>\n");
}

static void header(struct dc_page *p)
{
    static const char *const links[][2] = {{"stages", "Stages"},
                                           {"curves", "Curves"},
                                           {"integers", "Integers by layer"},
                                           {"answers", "Confusion"},
                                           {"flips", "Lost and won"},
                                           {"cascade", "Cascade"},
                                           {"proof", "Proof and budgets"},
                                           {"experiment", "Experiment"},
                                           {"machine", "Environment"}};
    const char *started = json_string_value(json_object_get(p->environment, "started"));
    dc_text_append(&p->out, "<header><p class=\"kind\">Decant run report");
    if (started)
        dc_html_text(&p->out, ", begun %s", started);
    dc_text_append(&p->out, "</p><h1>");
    dc_html_text(&p->out, "%s", p->run->experiment->name);
    dc_text_append(&p->out, "</h1>\n");
    lead(p);
    tiles(p);
    dc_text_append(&p->out, "<nav aria-label=\"sections\"><ul>");
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        dc_text_append(&p->out, "<li><a href=\"#%s\">%s</a></li>", links[i][0], links[i][1]);
    dc_text_append(&p->out, "</ul></nav></header>\n<main id=\"main\">\n");
}

// What a stage is, in a few words.
static void kind_of(struct dc_page *p, const struct dc_stage *stage)
{
    const char *names[DC_TEACHERS_MAX];
    double weights[DC_TEACHERS_MAX];
    const int count = stage->distills ? dc_stage_teachers(names, weights, stage) : 0;
    const char *kind = stage->integers     ? "integers, taken as they are"
                       : !stage->quantizes ? stage->trains ? "trained" : "taken as it is"
                       : stage->trains     ? "quantized"
                                           : "calibrated";
    dc_html_text(&p->out, "%s%s", kind, stage->from[0] ? " from " : "");
    dc_html_text(&p->out, "%s", stage->from);
    for (int t = 0; t < count; t++)
        dc_html_text(&p->out, "%s%s", t ? " and " : ", taught by ", names[t]);
    if (stage->distills && stage->distill.peers.count > 0)
        dc_html_text(&p->out, ", with %d peers", stage->distill.peers.count);
}

static void count_cell(struct dc_page *p, const json_t *result, const char *key)
{
    char text[32];
    dc_text_append(&p->out, "<td>%s</td>", dc_page_count(text, dc_page_number(result, key)));
}

static void stage_row(struct dc_page *p, const struct dc_stage *stage)
{
    const json_t *result = dc_page_result(p, stage);
    const double seconds = dc_page_number(result, "seconds");
    dc_text_append(&p->out, "<tr><th scope=\"row\">");
    dc_html_text(&p->out, "%s", stage->name);
    dc_text_append(&p->out, "</th><td class=\"t\">");
    kind_of(p, stage);
    dc_text_append(&p->out, "</td>");
    if (!result) {
        dc_text_append(&p->out, "<td class=\"t\" colspan=\"7\">not done yet</td></tr>\n");
        return;
    }
    count_cell(p, result, "parameters");
    count_cell(p, result, "macs");
    count_cell(p, result, "weight_bytes");
    count_cell(p, result, "ram_bytes");
    dc_text_append(&p->out, "<td>");
    dc_page_accuracy(p, json_object_get(result, "float"));
    dc_text_append(&p->out, "</td><td>");
    dc_page_accuracy(p, json_object_get(result, "int8"));
    dc_text_append(&p->out,
                   isfinite(seconds) ? "</td><td>%.1f</td></tr>\n" : "</td><td>-</td></tr>\n",
                   seconds);
}

static void stages(struct dc_page *p)
{
    const struct dc_experiment *e = p->run->experiment;
    dc_page_heading(p, "stages", "Stages");
    dc_html_table_begin(&p->out, "Test accuracy in %, small: its " DC_INTERVAL_WORDS
                                 ". Bytes: float32, or codes with int32 biases and multipliers. "
                                 "RAM, of the integers: " DC_RAM_WORDS ".");
    dc_text_append(&p->out, "<thead><tr><th scope=\"col\">stage</th><th scope=\"col\" class=\"t\">"
                            "what it is</th>");
    static const char *const heads[] = {"parameters", "MACs",     "bytes",  "RAM, bytes",
                                        "floats",     "integers", "seconds"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        dc_text_append(&p->out, "<th scope=\"col\">%s</th>", heads[i]);
    dc_text_append(&p->out, "</tr></thead><tbody>\n");
    for (int i = 0; i < e->stage_count; i++)
        if (!e->stages[i].exports)
            stage_row(p, &e->stages[i]);
    dc_text_append(&p->out, "</tbody>");
    dc_html_table_end(&p->out);
}

// One value of the metrics over the epochs of each stage.
static int read_series(struct dc_page *p, struct dc_series *series, const char *key, double factor)
{
    const struct dc_experiment *e = p->run->experiment;
    const size_t lines = json_array_size(p->metrics);
    int count = 0;
    for (int s = 0; s < e->stage_count && count < DC_CHART_SERIES_MAX; s++) {
        double *x = DC_NEW(p->arena, double, lines + 1, NULL);
        double *y = DC_NEW(p->arena, double, lines + 1, NULL);
        int used = 0;
        p->failed = p->failed || !x || !y;
        for (size_t i = 0; i < lines && !p->failed; i++) {
            const json_t *line = json_array_get(p->metrics, i);
            const char *stage = json_string_value(json_object_get(line, "stage"));
            const double value = dc_page_number(line, key);
            if (!stage || strcmp(stage, e->stages[s].name) != 0 || !isfinite(value))
                continue;
            x[used] = dc_page_number(line, "epoch");
            y[used++] = factor * value;
        }
        if (used > 0)
            series[count++] = (struct dc_series){e->stages[s].name, s, x, y, used};
    }
    return count;
}

static void curves(struct dc_page *p)
{
    static const struct {
        const char *key, *name, *title, *axis, *words;
        double factor;
        bool from_zero;
    } charts[] = {
        {"loss", "loss", "Loss.", "loss",
         "What each stage minimized, the weighted sum of its terms; stages with other terms do not "
         "compare.",
         1.0, true},
        {"validation_accuracy", "validation-accuracy", "Validation accuracy.",
         "validation accuracy, %",
         "On samples held out of training; a stage that quantizes is run by the integer engine.",
         100.0, false},
        {"validation_auc", "validation-auc", "Validation AUC.", "AUC",
         "On samples held out of training.", 1.0, false},
        {"validation_r2", "validation-r2", "Validation R2.", "R2",
         "On samples held out of training; 1 is exact, 0 no better than the mean.", 1.0, false},
        {"validation_map", "validation-map", "Validation mAP.", "mAP",
         "On samples held out of training.", 1.0, false},
        {"train_accuracy", "train-accuracy", "Training accuracy.", "training accuracy, %",
         "Of the augmented samples, as they passed through training.", 100.0, false},
        {"learning_rate", "learning-rate", "Learning rate.", "learning rate",
         "At the end of each epoch.", 1.0, true},
    };
    dc_page_heading(p, "curves", "Curves");
    if (json_array_size(p->metrics) == 0) {
        dc_page_missing(p, "No stage of this run was trained here: there is no metrics.jsonl.");
        return;
    }
    dc_text_append(&p->out, "<div class=\"plots two\">\n");
    for (size_t i = 0; i < sizeof charts / sizeof charts[0]; i++) {
        struct dc_series series[DC_CHART_SERIES_MAX];
        const int count = read_series(p, series, charts[i].key, charts[i].factor);
        if (count == 0)
            continue;
        struct dc_drawing *d = dc_page_drawing(p, charts[i].name, 0);
        dc_chart_lines(d, series, count, "epoch of the stage", charts[i].axis, charts[i].from_zero);
        dc_page_figure(p, d, false, charts[i].title, "%s", charts[i].words);
    }
    dc_text_append(&p->out, "</div>\n");
}

void dc_page_outcome(struct dc_page *p)
{
    header(p);
    stages(p);
    curves(p);
}

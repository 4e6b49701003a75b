// Owns what rounding cost, layer by layer: signal to noise, each layer alone, and where weights and
// values lie in their grids.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page.h"

enum { BARS_MAX = 40, FIGURES_MAX = 80, FIGURES_OPEN = 6 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "?";
}

// Bits that a sum took, sign included, of a range it may take.
static int bits_of(double magnitude)
{
    return magnitude >= 1.0 ? (int)floor(log2(magnitude)) + 2 : 1;
}

static void number_cell(struct dc_page *p, const char *format, double value)
{
    char text[48] = "-";
    if (isfinite(value))
        snprintf(text, sizeof text, format, value);
    dc_text_append(&p->out, "<td>%s</td>", text);
}

static void layer_row(struct dc_page *p, const json_t *layer)
{
    const json_t *range = json_object_get(layer, "sum_range");
    const double largest = dc_page_number(layer, "largest_sum");
    const double low = json_number_value(json_array_get(range, 0));
    const double high = json_number_value(json_array_get(range, 1));
    dc_text_append(&p->out, "<tr><th scope=\"row\">");
    dc_html_text(&p->out, "%s", text_of(layer, "layer"));
    dc_text_append(&p->out, "</th><td class=\"t\">");
    dc_html_text(&p->out, "%s", text_of(layer, "op"));
    dc_text_append(&p->out, "</td>");
    number_cell(p, "%.1f", dc_page_number(layer, "sqnr_alone"));
    number_cell(p, "%.1f", dc_page_number(layer, "sqnr"));
    number_cell(p, "%.2f", 100.0 * dc_page_number(layer, "accuracy_only"));
    number_cell(p, "%.2f", 100.0 * dc_page_number(layer, "accuracy_but"));
    number_cell(p, "%.3f", 100.0 * dc_page_number(layer, "clipped"));
    number_cell(p, "%.3f", 100.0 * dc_page_number(layer, "saturated"));
    number_cell(p, "%.4g", dc_page_number(layer, "scale"));
    number_cell(p, "%.0f", dc_page_number(layer, "zero_point"));
    if (range && isfinite(largest))
        dc_text_append(&p->out, "<td>%d of %d</td></tr>\n", bits_of(largest),
                       bits_of(fmax(fabs(low), fabs(high))));
    else
        dc_text_append(&p->out, "<td>-</td></tr>\n");
}

static void layer_table(struct dc_page *p, const json_t *quantization, const json_t *layers)
{
    static const char *const heads[] = {"SQNR alone, dB", "SQNR, dB",   "only, %",
                                        "all but, %",     "clipped, %", "saturated, %",
                                        "scale",          "zero point", "sum, bits"};
    char caption[512];
    size_t i;
    const json_t *layer;
    const double tried = dc_page_number(quantization, "tried_samples");
    int used = snprintf(caption, sizeof caption,
                        "Worst first. SQNR over %.0f samples: of the layer by itself, and with all "
                        "before it. ",
                        dc_page_number(quantization, "compared_samples"));
    if (tried > 0.0)
        used += snprintf(caption + used, sizeof caption - (size_t)used,
                         "Test accuracy over %.0f samples with only this layer quantized, and with "
                         "all but this one. ",
                         tried);
    snprintf(caption + used, sizeof caption - (size_t)used,
             "Sum: bits that accumulators took, of those that any input could make them take.");
    dc_html_table_begin(&p->out, caption);
    dc_text_append(&p->out, "<thead><tr><th scope=\"col\">layer</th><th scope=\"col\" class=\"t\">"
                            "op</th>");
    for (size_t k = 0; k < sizeof heads / sizeof heads[0]; k++)
        dc_text_append(&p->out, "<th scope=\"col\">%s</th>", heads[k]);
    dc_text_append(&p->out, "</tr></thead><tbody>\n");
    json_array_foreach((json_t *)(uintptr_t)layers, i, layer)
    {
        layer_row(p, layer);
    }
    dc_text_append(&p->out, "</tbody>");
    dc_html_table_end(&p->out);
}

static void noise(struct dc_page *p, const json_t *layers, int number)
{
    struct dc_bar bars[BARS_MAX];
    int count = 0;
    for (size_t i = 0; i < json_array_size(layers) && count < BARS_MAX; i++) {
        const json_t *layer = json_array_get(layers, i);
        const json_t *alone = json_object_get(layer, "sqnr_alone");
        if (!json_is_number(alone) && !json_is_null(alone))
            continue;
        bars[count++] = (struct dc_bar){text_of(layer, "layer"),
                                        json_is_null(alone) ? INFINITY : json_number_value(alone),
                                        dc_page_number(layer, "sqnr")};
    }
    if (count == 0)
        return;
    struct dc_drawing *d = dc_page_drawing(p, "layers", number);
    dc_chart_bars(d, bars, count, "signal to quantization noise, dB");
    dc_page_figure(p, d, true, "Noise by layer, worst first.",
                   "Bars: the layer by itself; ticks: with the noise of all layers before "
                   "it. Six decibels are one bit. The worst is %s with %.1f dB%s.",
                   bars[0].name, bars[0].bar,
                   json_array_size(layers) > BARS_MAX ? "; the table has the rest" : "");
}

static void histogram(struct dc_page *p, const struct dc_layer_bins *bins, int number)
{
    char low[32], high[32], title[160];
    int64_t all = 0, clipped = 0;
    const int first = DC_COMPARISON_BEYOND, last = DC_COMPARISON_BINS - DC_COMPARISON_BEYOND - 1;
    for (int i = 0; i < DC_COMPARISON_BINS; i++) {
        all += bins->counts[i];
        clipped += i < first || i > last ? bins->counts[i] : 0;
    }
    snprintf(low, sizeof low, "%.3g", bins->low);
    snprintf(high, sizeof high, "%.3g", bins->high);
    snprintf(title, sizeof title, "%.120s: %s.", bins->layer,
             bins->weights ? "weights" : "activations");
    struct dc_drawing *d = dc_page_drawing(p, "histogram", number);
    dc_chart_histogram(d, bins->counts, DC_COMPARISON_BINS, first, last, low, high,
                       bins->weights ? "count, log scale; in steps of its channel"
                                     : "count, log scale; real value");
    const double share = 100.0 * (double)clipped / (double)(all ? all : 1);
    if (bins->weights)
        dc_page_figure(p, d, false, title, "%d bits, steps from %.3g to %.3g; %.3f %% clipped.",
                       bins->bits, bins->least_scale, bins->most_scale, share);
    else
        dc_page_figure(p, d, false, title, "%d bits, step %.3g; %.3f %% clipped.", bins->bits,
                       bins->least_scale, share);
}

// In the order of the table, worst first; the first few are open.
static void histograms(struct dc_page *p, const struct dc_stage *stage, const json_t *layers,
                       int *number)
{
    const struct dc_measures *m = p->measures;
    int shown = 0, there = 0;
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const char *name = text_of(json_array_get(layers, i), "layer");
        for (int k = 0; k < m->layer_count; k++) {
            const struct dc_layer_bins *bins = m->layers[k];
            if (bins->stage != stage || strcmp(bins->layer, name) != 0)
                continue;
            there++;
            if (*number == FIGURES_MAX)
                continue;
            if (shown == 0)
                dc_text_append(&p->out,
                               "<h3>Weights and activations in their grids</h3><p class=\"note"
                               "\">Before rounding. Dashed lines are the ends of the "
                               "grid: what lies beyond is clipped to them.</p>"
                               "<div class=\"plots\">\n");
            if (shown == FIGURES_OPEN)
                dc_text_append(&p->out, "</div><details><summary>The other layers</summary>"
                                        "<div class=\"plots\">\n");
            histogram(p, bins, ++*number);
            shown++;
        }
    }
    if (shown > 0)
        dc_text_append(&p->out, shown > FIGURES_OPEN ? "</div></details>\n" : "</div>\n");
    const int left_out = there - shown + m->layers_left_out;
    if (left_out > 0)
        dc_page_missing(p, "Histograms of %d more layers are left out: a page has %d at most.",
                        left_out, FIGURES_MAX);
}

static void stage_section(struct dc_page *p, const struct dc_stage *stage, int number, int *figures)
{
    const json_t *result = dc_page_result(p, stage);
    const json_t *quantization = json_object_get(result, "quantization");
    const json_t *layers = json_object_get(quantization, "layers");
    dc_text_append(&p->out, "<h3>");
    dc_html_text(&p->out, "%s, in %s arithmetic", stage->name, text_of(quantization, "profile"));
    dc_text_append(&p->out, "</h3>\n");
    if (!json_array_size(layers)) {
        dc_page_missing(p, result ? "The results hold nothing of this stage's layers."
                                  : "This stage is not done yet.");
        return;
    }
    const json_t *simulation = json_object_get(quantization, "simulation");
    const double outputs = dc_page_number(simulation, "outputs");
    if (isfinite(outputs))
        dc_text_append(&p->out,
                       "<p>Simulated in float32, what ships differs from the integer engine in "
                       "%.2f&nbsp;%% of the outputs, by %.0f steps at most.</p>\n",
                       100.0 * dc_page_number(simulation, "different") / outputs,
                       dc_page_number(simulation, "furthest"));
    noise(p, layers, number);
    layer_table(p, quantization, layers);
    const char *why = dc_why_unmeasured(p->measures, stage);
    if (why)
        dc_page_missing(p, "No histograms: %s", why);
    histograms(p, stage, layers, figures);
}

void dc_page_integers(struct dc_page *p)
{
    const struct dc_experiment *e = p->run->experiment;
    int number = 0, figures = 0;
    dc_page_heading(p, "integers", "What integers cost, layer by layer");
    for (int i = 0; i < e->stage_count; i++)
        if (e->stages[i].quantizes && !e->stages[i].exports)
            stage_section(p, &e->stages[i], ++number, &figures);
    if (number == 0)
        dc_page_missing(p, "No stage of this experiment quantizes.");
}

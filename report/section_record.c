// Owns the end of the page: proofs, budgets, the resolved experiment and the machine.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "report/page.h"
#include "run/report.h"

static void proof(struct dc_page *p, const struct dc_stage *stage)
{
    const json_t *result = dc_page_result(p, stage);
    const json_t *proof = json_object_get(result, "verification");
    const double different = dc_page_number(proof, "different");
    char samples[32], bytes[32];
    if (!result) {
        dc_page_missing(p, "Export %s is not done yet.", stage->name);
        return;
    }
    if (!isfinite(different)) {
        dc_page_missing(p, "Export %s was written and not proven: its experiment says so.",
                        stage->name);
        return;
    }
    dc_text_append(&p->out, "<p><b class=\"%s\">%s</b> ", different > 0.0 ? "bad" : "good",
                   different > 0.0 ? "Differs." : "Proven.");
    dc_page_count(samples, dc_page_number(proof, "samples"));
    dc_page_count(bytes, dc_page_number(proof, "bytes"));
    dc_html_text(
        &p->out,
        "%s: the compiled C and the integer engine on %s test samples, profile %s: %.0f of %s "
        "bytes differ. It lies in %s/bundle/%s.",
        stage->name, samples, p->run->experiment->profile, different, bytes, p->run->directory,
        stage->name);
    dc_text_append(&p->out, "</p>\n");
}

static void budget_row(struct dc_page *p, const char *name, double used, int64_t limit)
{
    char a[32], b[32];
    if (!isfinite(used))
        return;
    dc_text_append(&p->out, "<tr><th scope=\"row\">%s</th><td>%s</td>", name,
                   dc_page_count(a, used));
    if (limit > 0)
        dc_text_append(&p->out, "<td>%s</td><td class=\"%s\">%.1f</td></tr>\n",
                       dc_page_count(b, (double)limit), used <= (double)limit ? "good" : "bad",
                       100.0 * used / (double)limit);
    else
        dc_text_append(&p->out, "<td>no limit</td><td>-</td></tr>\n");
}

static void budgets(struct dc_page *p)
{
    const struct dc_target_limits *limits = &p->run->experiment->limits;
    const struct dc_stage *stage = dc_last_quantized(p->run->experiment);
    const json_t *result = stage ? dc_page_result(p, stage) : NULL;
    char caption[256];
    if (!result) {
        dc_page_missing(p, "No budgets: there are no integers to hold to them.");
        return;
    }
    if (limits->name[0])
        snprintf(caption, sizeof caption, "%.60s, held to the target %.60s", stage->name,
                 limits->name);
    else
        snprintf(caption, sizeof caption,
                 "%.60s; the experiment names no target, so nothing is "
                 "limited",
                 stage->name);
    dc_html_table_begin(&p->out, caption);
    dc_text_append(&p->out, "<thead><tr><th scope=\"col\">what</th><th scope=\"col\">used</th>"
                            "<th scope=\"col\">limit</th><th scope=\"col\">%% of it</th></tr>"
                            "</thead><tbody>\n");
    budget_row(p, "flash, bytes", dc_page_number(result, "flash_bytes"), limits->flash);
    budget_row(p, "RAM, bytes: " DC_RAM_WORDS, dc_page_number(result, "ram_bytes"), limits->ram);
    budget_row(p, "MACs", dc_page_number(result, "macs"), limits->macs);
    dc_text_append(&p->out, "</tbody>");
    dc_html_table_end(&p->out);
}

// Which bytes of RAM hold which layer's output, and when.
static void arena(struct dc_page *p)
{
    enum { SPANS_MAX = 256 };
    const struct dc_stage *stage = dc_last_quantized(p->run->experiment);
    const json_t *result = stage ? dc_page_result(p, stage) : NULL;
    const json_t *layers = json_object_get(result, "layer_costs"), *layer;
    struct dc_span spans[SPANS_MAX];
    int count = 0;
    size_t i;
    json_array_foreach(layers, i, layer)
    {
        const json_t *place = json_object_get(layer, "arena");
        const double low = dc_page_number(place, "offset");
        const char *name = json_string_value(json_object_get(layer, "name"));
        if (!name || !isfinite(low) || count == SPANS_MAX)
            continue;
        spans[count++] = (struct dc_span){
            .name = name,
            .first = (int)json_integer_value(json_object_get(place, "first")),
            .last = (int)json_integer_value(json_object_get(place, "last")),
            .low = low,
            .high = low + dc_page_number(place, "bytes")};
    }
    if (count == 0)
        return;
    struct dc_drawing *d = dc_page_drawing(p, "arena", 0);
    const char *busiest = json_string_value(json_object_get(result, "busiest"));
    char bytes[32];
    dc_chart_spans(d, spans, count);
    dc_page_figure(
        p, d, true, "Activations in memory, layer by layer.",
        "A box is a layer's output: from the layer that writes it to the last that "
        "reads it. It may lie over an input of its layer, as far as the kernel has read "
        "it. %s bytes in all; layer %s needs the most.",
        dc_page_count(bytes, dc_page_number(json_object_get(result, "ram"), "activations")),
        busiest ? busiest : "-");
}

static void experiment(struct dc_page *p)
{
    char *text = NULL,
         *path = dc_arena_printf(p->arena, NULL, "%s/resolved.yaml", p->run->directory);
    struct dc_error error = {0};
    dc_page_heading(p, "experiment", "The resolved experiment");
    if (!path || dc_file_read(&text, NULL, path, p->arena, &error) != DC_OK) {
        dc_page_missing(p, "%s", error.message);
        return;
    }
    dc_text_append(&p->out, "<p class=\"note\">Every number that shaped this run, defaults "
                            "included: resolved.yaml.</p><details><summary>Show all of it"
                            "</summary><pre tabindex=\"0\">");
    dc_html_text(&p->out, "%s", text);
    dc_text_append(&p->out, "</pre></details>\n");
}

static void machine(struct dc_page *p)
{
    const char *key;
    const json_t *value;
    dc_page_heading(p, "machine", "Environment");
    if (!p->environment) {
        dc_page_missing(p, "The run has no env.json.");
        return;
    }
    dc_html_table_begin(&p->out, "Where and with what the run was made: env.json");
    dc_text_append(&p->out, "<tbody>\n");
    json_object_foreach((json_t *)(uintptr_t)p->environment, key, value)
    {
        char *text = json_is_string(value) ? NULL
                                           : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT |
                                                                   JSON_REAL_PRECISION(9));
        dc_text_append(&p->out, "<tr><th scope=\"row\">");
        dc_html_text(&p->out, "%s", key);
        dc_text_append(&p->out, "</th><td class=\"t\">");
        dc_html_text(&p->out, "%s",
                     json_is_string(value) ? json_string_value(value)
                     : text                ? text
                                           : "?");
        dc_text_append(&p->out, "</td></tr>\n");
        free(text);
    }
    dc_text_append(&p->out, "</tbody>");
    dc_html_table_end(&p->out);
}

void dc_page_record(struct dc_page *p)
{
    const struct dc_experiment *e = p->run->experiment;
    int exports = 0;
    dc_page_heading(p, "proof", "Proof and budgets");
    for (int i = 0; i < e->stage_count; i++) {
        if (e->stages[i].exports)
            proof(p, &e->stages[i]);
        exports += e->stages[i].exports;
    }
    if (exports == 0)
        dc_page_missing(p, "No stage exports, so nothing was proven.");
    budgets(p);
    arena(p);
    experiment(p);
    machine(p);
    dc_text_append(&p->out,
                   "</main><footer>Made by Decant %s from what lies in the run directory. "
                   "Nothing on this page is loaded from elsewhere.</footer>\n",
                   DECANT_VERSION);
}

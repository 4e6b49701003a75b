// Owns the model card.

#include "report/card.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "report/statistics.h"
#include "run/report.h"

#define SEAL     "\n<!-- As Decant wrote it: "
#define SEAL_END ". A card that was changed is left alone. -->\n"

void dc_markdown_text(struct dc_text_buffer *out, const char *text)
{
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '<' || c == '&')
            dc_text_append(out, c == '<' ? "&lt;" : "&amp;");
        else if (c < 0x20 || c == 0x7f)
            dc_text_append(out, " ");
        else
            dc_text_append(out, strchr("\\`*_[]{}|#>~$!", c) ? "\\%c" : "%c", c);
    }
}

// A YAML scalar in double quotes: JSON's strings are such.
static void yaml_text(struct dc_text_buffer *out, const char *text)
{
    json_t *string = json_string(text);
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    dc_text_append(out, "%s", quoted ? quoted : "\"?\"");
    free(quoted);
    json_decref(string);
}

static void metrics(struct dc_text_buffer *out, const json_t *scores, const char *name)
{
    for (int f = 0; f < DC_FIGURES; f++) {
        const double value = dc_report_figure(scores, (enum dc_figure)f);
        if (!isfinite(value))
            continue;
        dc_text_append(out,
                       "    - type: %s\n      value: %.6g\n      name: ", dc_figure_names[f].metric,
                       value);
        yaml_text(out, name);
        dc_text_append(out, "\n");
    }
}

// What others may call the data: not where it lies on this machine.
static const char *data_name(const struct dc_experiment *e)
{
    const char *slash = strrchr(e->data.path, '/');
    return slash && slash[1] ? slash + 1 : e->data.path;
}

static void front_matter(struct dc_text_buffer *out, const struct dc_page *p)
{
    const struct dc_experiment *e = p->run->experiment;
    const struct dc_stage *stage = dc_last_quantized(e);
    const bool classifies = p->measures->classes > 0;
    dc_text_append(out, "---\nlibrary_name: decant\n");
    if (classifies)
        dc_text_append(out, "pipeline_tag: image-classification\n");
    dc_text_append(out, "tags:\n- decant\n");
    if (dc_teacher_of(p->run->experiment))
        dc_text_append(out, "- knowledge-distillation\n");
    if (stage)
        dc_text_append(out, "- quantization\n- microcontroller\n");
    dc_text_append(out, "model-index:\n- name: ");
    yaml_text(out, e->name);
    dc_text_append(out, "\n  results:\n  - task:\n      type: %s\n    dataset:\n      type: ",
                   classifies ? "image-classification" : "other");
    yaml_text(out, e->data.source);
    dc_text_append(out, "\n      name: ");
    yaml_text(out, data_name(e));
    dc_text_append(out, "\n      split: test\n    metrics:\n");
    for (int i = 0; i < e->stage_count; i++) {
        const json_t *result = dc_page_result(p, &e->stages[i]);
        char name[128];
        snprintf(name, sizeof name, "%.80s, float32", e->stages[i].name);
        metrics(out, json_object_get(result, "float"), name);
        snprintf(name, sizeof name, "%.80s, integers", e->stages[i].name);
        metrics(out, json_object_get(result, "int8"), name);
    }
    dc_text_append(out, "---\n\n");
}

static void line(struct dc_text_buffer *out, const char *name, const char *value)
{
    dc_text_append(out, "- %s: ", name);
    dc_markdown_text(out, value);
    dc_text_append(out, "\n");
}

// An accuracy with its interval; else what figures there are.
static void scores_cell(struct dc_text_buffer *out, const json_t *scores)
{
    const double accuracy = dc_page_number(scores, "accuracy");
    const double samples = dc_page_number(scores, "samples");
    const char *before = " ";
    if (isfinite(accuracy) && samples >= 1.0 && samples < 1e15) {
        const struct dc_interval i = dc_wilson(llround(accuracy * samples), (int64_t)samples);
        dc_text_append(out, " %.2f (%.2f to %.2f) |", 100.0 * accuracy, 100.0 * i.low,
                       100.0 * i.high);
        return;
    }
    for (int f = DC_FIGURE_ACCURACY + 1; f < DC_FIGURES; f++) {
        const double value = dc_report_figure(scores, (enum dc_figure)f);
        if (!isfinite(value))
            continue;
        dc_text_append(out, "%s%s %.4g", before, dc_figure_names[f].title, value);
        before = ", ";
    }
    dc_text_append(out, before[0] == ' ' ? " - |" : " |");
}

// What the figures of the table are, by the kind of labels.
static const char *figures_told(const struct dc_page *p)
{
    static const char *const told[] = {
        [DC_LABELS_CLASSES] = "Test accuracy in %, in brackets its " DC_INTERVAL_WORDS,
        [DC_LABELS_VALUES] =
            "On test samples, as means over the values: mean absolute error (MAE), root mean "
            "squared error (RMSE), and R2, 1 where all are exact, 0 where they are no better than "
            "their mean",
        [DC_LABELS_TAGS] = "On test samples: mean average precision over the tags (mAP), and F1 "
                           "of all tags counted together, said from probability 1/2 on",
    };
    return told[p->run->experiment->data.labels];
}

static void evaluation(struct dc_text_buffer *out, const struct dc_page *p)
{
    const struct dc_experiment *e = p->run->experiment;
    dc_text_append(out,
                   "## Evaluation\n\n%s. Integers are those of the exported network, run by the "
                   "engine that the export is held to.\n\n"
                   "| network | parameters | MACs | bytes | float32 | integers |\n"
                   "| --- | ---: | ---: | ---: | ---: | ---: |\n",
                   figures_told(p));
    for (int i = 0; i < e->stage_count; i++) {
        static const char *const keys[] = {"parameters", "macs", "weight_bytes"};
        const json_t *result = dc_page_result(p, &e->stages[i]);
        if (e->stages[i].exports || !result)
            continue;
        dc_text_append(out, "| ");
        dc_markdown_text(out, e->stages[i].name);
        dc_text_append(out, " |");
        for (int k = 0; k < 3; k++) {
            char text[32];
            dc_text_append(out, " %s |", dc_page_count(text, dc_page_number(result, keys[k])));
        }
        scores_cell(out, json_object_get(result, "float"));
        scores_cell(out, json_object_get(result, "int8"));
        dc_text_append(out, "\n");
    }
}

static void data(struct dc_text_buffer *out, const struct dc_page *p)
{
    const struct dc_data_spec *d = &p->run->experiment->data;
    char text[32];
    dc_text_append(out, "\n## Training data\n\n");
    line(out, "kind", d->source);
    line(out, "name", data_name(p->run->experiment));
    line(out, "training samples",
         dc_page_count(text, dc_page_number(p->environment, "train_samples")));
    line(out, "validation samples, held out of them",
         dc_page_count(text, dc_page_number(p->environment, "validation_samples")));
    if (p->measures->source) {
        line(out, "test samples", dc_page_count(text, (double)p->measures->source->count));
        if (p->measures->source->class_names && p->measures->classes > 0) {
            dc_text_append(out, "- classes: ");
            for (int c = 0; c < p->measures->classes && c < 100; c++) {
                dc_text_append(out, c ? ", " : "");
                dc_markdown_text(out, p->measures->source->class_names[c]);
            }
            dc_text_append(out, p->measures->classes > 100 ? ", ...\n" : "\n");
        }
    }
}

static void integers(struct dc_text_buffer *out, const struct dc_page *p)
{
    const struct dc_experiment *e = p->run->experiment;
    const struct dc_stage *stage = dc_last_quantized(e);
    const json_t *result = stage ? dc_page_result(p, stage) : NULL;
    char text[32];
    if (!result)
        return;
    dc_text_append(out, "\n## Integers\n\n");
    line(out, "arithmetic profile", e->profile);
    line(out, "flash, bytes", dc_page_count(text, dc_page_number(result, "flash_bytes")));
    line(out, "RAM (" DC_RAM_WORDS "), bytes",
         dc_page_count(text, dc_page_number(result, "ram_bytes")));
    for (int i = 0; i < e->stage_count; i++) {
        const json_t *proof = json_object_get(dc_page_result(p, &e->stages[i]), "verification");
        if (proof)
            dc_text_append(out,
                           "- the compiled C was compared with the engine on %.0f test samples: "
                           "%.0f bytes differ\n",
                           dc_page_number(proof, "samples"), dc_page_number(proof, "different"));
    }
}

void dc_model_card(struct dc_text_buffer *out, const struct dc_page *p)
{
    const char *version = json_string_value(json_object_get(p->environment, "version"));
    front_matter(out, p);
    dc_text_append(out, "# ");
    dc_markdown_text(out, p->run->experiment->name);
    dc_text_append(out,
                   "\n\nTrained, distilled and quantized by Decant %s. All that shaped it is in "
                   "`resolved.yaml`, all that was measured in `report.html` and "
                   "`results.json`.\n\n## Intended use, limits and licence\n\nThe run does not "
                   "know them. To be written by its author: what the network is for, what it "
                   "should not be used for, whom its errors may harm, and the licences of "
                   "data and weights.\n\n",
                   version ? version : "of unknown version");
    evaluation(out, p);
    data(out, p);
    integers(out, p);
    dc_text_append(out, "\n## How it was made\n\n");
    static const char *const keys[] = {"started",  "version", "commit",
                                       "compiler", "cpu",     "instruction_set"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const char *value = json_string_value(json_object_get(p->environment, keys[k]));
        if (value)
            line(out, keys[k], value);
    }
    // of all before it, so that a card that its author wrote on is known
    dc_text_append(out, SEAL "%016" PRIx64 SEAL_END,
                   out->failed ? 0 : dc_hash_bytes(DC_HASH_START, out->text, out->length));
}

bool dc_card_is_decants(const char *text, size_t size)
{
    char seal[sizeof SEAL + 16 + sizeof SEAL_END];
    const size_t length = strlen(SEAL) + 16 + strlen(SEAL_END);
    if (size < length)
        return false;
    snprintf(seal, sizeof seal, SEAL "%016" PRIx64 SEAL_END,
             dc_hash_bytes(DC_HASH_START, text, size - length));
    return memcmp(text + size - length, seal, length) == 0;
}

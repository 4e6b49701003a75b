// Owns the samples that one network gets right and another wrong, with their pictures.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/page.h"

enum { SHOWN = 12, SIDE_MAX = 64, SIDE_MIN = 4 };

// A sample as grey or RGB bytes of at most SIDE_MAX a side: means of squares of pixels. Floats are
// spread from their least to their greatest.
static uint8_t *thumbnail(struct dc_page *p, const void *values, bool bytes,
                          const struct dc_shape *image, int *height, int *width)
{
    const int64_t h = image->dims[0], w = image->dims[1], c = image->dims[2];
    const int64_t longest = h > w ? h : w, step = (longest + SIDE_MAX - 1) / SIDE_MAX;
    *height = (int)(h / step > 0 ? h / step : 1);
    *width = (int)(w / step > 0 ? w / step : 1);
    uint8_t *rgb = DC_NEW(p->arena, uint8_t, (int64_t)*height * *width * 3, NULL);
    double least = INFINITY, most = -INFINITY;
    const float *floats = values;
    const uint8_t *codes = values;
    for (int64_t i = 0; i < h * w * c; i++) {
        const double v = bytes ? codes[i] : (double)floats[i];
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    if (bytes || !(most > least)) {
        least = 0.0;
        most = 255.0;
    }
    for (int64_t i = 0; rgb && i < (int64_t)*height * *width * 3; i++) {
        const int64_t channel = c == 3 ? i % 3 : 0, x = i / 3 % *width, y = i / 3 / *width;
        double sum = 0.0;
        int64_t count = 0;
        for (int64_t dy = 0; dy < step && y * step + dy < h; dy++) {
            for (int64_t dx = 0; dx < step && x * step + dx < w; dx++) {
                const int64_t at = ((y * step + dy) * w + x * step + dx) * c + channel;
                sum += bytes ? codes[at] : (double)floats[at];
                count++;
            }
        }
        const double level = 255.0 * (sum / (double)count - least) / (most - least);
        rgb[i] = (uint8_t)(level >= 0.0 ? fmin(level + 0.5, 255.0) : 0.0);
    }
    return rgb;
}

static void picture(struct dc_page *p, int64_t id, const char *words)
{
    const struct dc_source *source = p->measures->source;
    const struct dc_shape image = dc_shape_image(&source->sample);
    const size_t bytes = dc_dtype_bytes(source->dtype) * (size_t)dc_shape_count(&source->sample);
    void *values = malloc(bytes);
    struct dc_png png = {0};
    struct dc_error error;
    int height = 0, width = 0;
    enum dc_status status = values ? dc_source_read(source, id, values, &error) : DC_ERR_MEMORY;
    const uint8_t *rgb = status == DC_OK
                             ? thumbnail(p, values, source->dtype == DC_U8, &image, &height, &width)
                             : NULL;
    if (rgb)
        status = dc_image_png(&png, rgb, height, width, &error);
    if (rgb && status == DC_OK) {
        dc_text_append(&p->out, "<img alt=\"");
        dc_html_text(&p->out, "%s", words);
        dc_text_append(&p->out, "\" src=\"data:image/png;base64,");
        dc_html_base64(&p->out, png.bytes, png.size);
        dc_text_append(&p->out, "\">");
    } else {
        dc_text_append(&p->out, "<em>cannot be shown</em> ");
    }
    free(png.bytes);
    free(values);
}

static bool has_pictures(const struct dc_source *source)
{
    const struct dc_shape image = dc_shape_image(&source->sample);
    return source->sample.rank >= 2 && image.dims[0] >= SIDE_MIN && image.dims[1] >= SIDE_MIN &&
           (image.dims[2] == 1 || image.dims[2] == 3) &&
           (source->dtype == DC_U8 || source->dtype == DC_F32);
}

static const char *name_of(const struct dc_source *source, int c, char text[64])
{
    if (source->class_names)
        snprintf(text, 64, "%.60s", source->class_names[c]);
    else
        snprintf(text, 64, "class %d", c);
    return text;
}

static void sample_item(struct dc_page *p, int64_t i, const struct dc_answers *before,
                        const struct dc_answers *now)
{
    const struct dc_measures *m = p->measures;
    char label[64], was[64], is[64], words[256];
    name_of(m->source, m->source->labels[m->ids[i]], label);
    snprintf(words, sizeof words, "test sample %lld, %s", (long long)m->ids[i], label);
    dc_text_append(&p->out, "<li>");
    if (has_pictures(m->source))
        picture(p, m->ids[i], words);
    dc_html_text(&p->out, "#%lld %s: %s (%.0f %%), then %s (%.0f %%)", (long long)m->ids[i], label,
                 name_of(m->source, before->said[i], was), 100.0 * (double)before->confidence[i],
                 name_of(m->source, now->said[i], is), 100.0 * (double)now->confidence[i]);
    dc_text_append(&p->out, "</li>\n");
}

static void sample_list(struct dc_page *p, const struct dc_answers *before,
                        const struct dc_answers *now, bool lost, int64_t all)
{
    const struct dc_measures *m = p->measures;
    int shown = 0;
    if (all == 0)
        return;
    dc_text_append(&p->out, "<p><b>%s</b>: %lld%s</p><ul class=\"images\">\n",
                   lost ? "Lost" : "Won", (long long)all, all > SHOWN ? ", the first of them" : "");
    for (int64_t i = 0; i < m->samples && shown < SHOWN; i++) {
        const int label = m->source->labels[m->ids[i]];
        const bool was = before->said[i] == label, is = now->said[i] == label;
        if (was != is && was == lost) {
            sample_item(p, i, before, now);
            shown++;
        }
    }
    dc_text_append(&p->out, "</ul>\n");
}

static void change(struct dc_page *p, const char *what, const struct dc_answers *before,
                   const struct dc_answers *now)
{
    const struct dc_flips flips = dc_count_flips(p->measures, before, now);
    dc_text_append(&p->out, "<h3>");
    dc_html_text(&p->out, "%s: from %s to %s", what, before->name, now->name);
    dc_text_append(&p->out, "</h3><p>");
    dc_html_text(&p->out,
                 "%lld of %lld test samples were lost and %lld won; McNemar's exact test gives p = "
                 "%.3g.",
                 (long long)flips.lost, (long long)p->measures->samples, (long long)flips.won,
                 flips.p);
    dc_text_append(&p->out, "</p>\n");
    sample_list(p, before, now, true, flips.lost);
    sample_list(p, before, now, false, flips.won);
}

void dc_page_flips(struct dc_page *p)
{
    const struct dc_experiment *e = p->run->experiment;
    const struct dc_measures *m = p->measures;
    int count = 0;
    dc_page_heading(p, "flips", "Samples lost and won");
    if (m->answer_count > 0 && !has_pictures(m->source))
        dc_page_missing(p, "The samples are no pictures of 1 or 3 channels, so none are shown.");
    for (int i = 0; i < e->stage_count; i++) {
        const struct dc_stage *stage = &e->stages[i], *sibling = dc_taught_by_labels(e, stage);
        const struct dc_answers *floats = dc_answers_of(m, stage, false);
        const struct dc_answers *integers = dc_answers_of(m, stage, true);
        const struct dc_answers *alone = sibling ? dc_answers_of(m, sibling, false) : NULL;
        if (floats && integers) {
            change(p, "Rounding", floats, integers);
            count++;
        }
        if (stage->distills && !stage->quantizes && floats && alone) {
            change(p, "Distillation", alone, floats);
            count++;
        } else if (stage->distills && !stage->quantizes && floats) {
            dc_page_missing(p,
                            "What distillation did for %s is not known: no stage trains the same "
                            "model from labels alone.",
                            stage->name);
        }
    }
    if (count == 0)
        dc_page_missing(p, m->unmeasured_count > 0
                               ? "Nothing to compare was measured; the reason stands above."
                               : "No two networks of this run are to be compared.");
}

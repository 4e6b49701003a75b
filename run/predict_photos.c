// Owns predictions of photographs, and how they are written.

#include "run/predict_photos.h"

#include <stdlib.h>
#include <string.h>

#include "core/csv.h"
#include "core/file.h"
#include "core/folder.h"
#include "data/open.h"
#include "run/asked.h"
#include "run/cascade.h"

// By what labels are, of files and of numbered samples; then that of a cascade.
enum { CASCADE_HEAD = 2 * DC_LABEL_KINDS, CSV_HEADS };
static const char *const csv_heads[CSV_HEADS] = {"file,class,probability\r\n",
                                                 "file,value,number\r\n",
                                                 "file,tag,probability\r\n",
                                                 "sample,class,probability\r\n",
                                                 "sample,value,number\r\n",
                                                 "sample,tag,probability\r\n",
                                                 "file,class,probability,settled,margin\r\n"};

static enum dc_status open_network(struct dc_asked *a, const struct dc_ctx *ctx, struct dc_run *run,
                                   const struct dc_photo_options *options, struct dc_arena *arena,
                                   struct dc_error *error)
{
    const char *bundle = options->bundle;
    DC_TRY(bundle ? dc_asked_bundle(a, ctx, bundle, arena, error)
                  : dc_asked_stage(a, run, options->stage, options->profile, error));
    if (a->reconstructs)
        return dc_fail(error, DC_ERR_USAGE,
                       "stage '%s' gives back its input: it has no classes to predict", a->stage);
    if (bundle && !a->record.bytes)
        return dc_fail(error, DC_ERR_DATA,
                       "%s/manifest.json: has no preprocessing: the network reads no bytes, or the "
                       "bundle is older and is to be exported anew; ask the run for photographs",
                       bundle);
    return DC_OK;
}

static enum dc_status open_photos(struct dc_source **source, const struct dc_asked *a,
                                  const struct dc_ctx *ctx, const struct dc_run *run,
                                  const struct dc_photo_options *options, struct dc_error *error)
{
    const struct dc_shape *sample = &a->sample;
    struct dc_source_spec spec = {.kind = "photos",
                                  .path = options->paths[0],
                                  .split = "test",
                                  .resize = a->record.resize,
                                  .files = options->paths,
                                  .file_count = options->path_count,
                                  .memory = run ? run->experiment->bounds.memory : 0,
                                  .threads = ctx->threads,
                                  .stop = ctx->stop};
    if (!a->record.bytes || sample->rank != 3 || (sample->dims[2] != 1 && sample->dims[2] != 3))
        return dc_fail(error, DC_ERR_DATA,
                       "the network does not read photographs: its samples are no images of bytes "
                       "with 1 or 3 channels");
    spec.channels = (int)sample->dims[2];
    if (spec.resize.height == 0)
        spec.resize = (struct dc_resize){.height = (int)sample->dims[0],
                                         .width = (int)sample->dims[1]};
    for (int i = 0; i < options->path_count; i++)
        if (!dc_file_exists(options->paths[i]))
            return dc_fail(error, DC_ERR_DATA, "%s: no such file or folder", options->paths[i]);
    return dc_source_open(source, &spec, error);
}

static enum dc_status name_all(struct dc_photo_predictions *out, const struct dc_asked *a,
                               const struct dc_source *source, struct dc_arena *arena,
                               struct dc_error *error)
{
    const char **files = DC_NEW(arena, const char *, out->count, error);
    const char **names = DC_NEW(arena, const char *, out->classes, error);
    if (!files || !names)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < out->count; i++)
        if (!(files[i] = dc_arena_copy(arena, source->files[i], error)))
            return DC_ERR_MEMORY;
    for (int c = 0; c < out->classes; c++) {
        names[c] = a->record.classes == out->classes
                       ? dc_arena_copy(arena, a->record.class_names[c], error)
                       : dc_arena_printf(arena, error, "%d", c);
        if (!names[c])
            return DC_ERR_MEMORY;
    }
    out->files = files;
    out->class_names = names;
    return DC_OK;
}

static enum dc_status find_margins(struct dc_photo_predictions *out, const struct dc_asked *a,
                                   const float *rows, struct dc_arena *arena,
                                   struct dc_error *error)
{
    const float scale = dc_imodel_output(a->predictor.integers->model)->scale;
    int *margins = DC_NEW(arena, int, out->count, error);
    if (!margins)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < out->count; i++)
        margins[i] = dc_output_margin(rows + i * out->classes, out->classes, scale);
    out->margins = margins;
    return DC_OK;
}

static enum dc_status predict(struct dc_photo_predictions *out, const struct dc_asked *a,
                              const struct dc_source *source,
                              const struct dc_sample_progress *progress, struct dc_arena *arena,
                              struct dc_error *error)
{
    struct dc__counted counted;
    const struct dc_predictor *predictor = a->predictor.predictor;
    out->count = source->count;
    out->classes = predictor->classes;
    float *rows = DC_NEW(arena, float, out->count * out->classes, error);
    if (!rows)
        return DC_ERR_MEMORY;
    dc__count(&counted, predictor, progress, out->count);
    DC_TRY(dc__evaluate(NULL, rows, &a->predictor.view, &counted.predictor, source, NULL,
                        out->count, error));
    out->labels = a->record.labels;
    if (out->labels == DC_LABELS_CLASSES && a->predictor.integers && out->classes > 1)
        DC_TRY(find_margins(out, a, rows, arena, error));
    dc_asked_probabilities(rows, a, out->count);
    out->probabilities = rows;
    return name_all(out, a, source, arena, error);
}

enum dc_status dc_predict_photos(struct dc_photo_predictions *out, const struct dc_ctx *ctx,
                                 struct dc_run *run, const struct dc_photo_options *options,
                                 struct dc_arena *arena, struct dc_error *error)
{
    struct dc_asked a = {0};
    struct dc_source *source = NULL;
    *out = (struct dc_photo_predictions){0};
    enum dc_status status = open_network(&a, ctx, run, options, arena, error);
    out->stage = a.stage;
    out->arithmetic = a.arithmetic;
    if (status == DC_OK)
        status = open_photos(&source, &a, ctx, run, options, error);
    if (status == DC_OK)
        status = predict(out, &a, source, &options->progress, arena, error);
    dc_source_free(source);
    dc_asked_close(&a);
    return status;
}

enum dc_status dc_prediction_named(struct dc_photo_predictions *out, const struct dc_prediction *p,
                                   struct dc_arena *arena, struct dc_error *error)
{
    const int64_t values = p->samples * p->classes;
    float *rows = DC_NEW(arena, float, values, error);
    const char **samples = DC_NEW(arena, const char *, p->samples, error);
    const char **names = DC_NEW(arena, const char *, p->classes, error);
    if (!rows || !samples || !names)
        return DC_ERR_MEMORY;
    if (p->reconstructs)
        return dc_fail(error, DC_ERR_USAGE,
                       "stage '%s' gives back its input, which is no class: write it to FILE.h5",
                       p->stage);
    for (int64_t i = 0; i < p->samples; i++)
        if (!(samples[i] = p->files ? p->files[i]
                                    : dc_arena_printf(arena, error, "%lld", (long long)i)))
            return DC_ERR_MEMORY;
    for (int c = 0; c < p->classes; c++)
        if (!(names[c] = p->class_names ? p->class_names[c]
                                        : dc_arena_printf(arena, error, "%d", c)))
            return DC_ERR_MEMORY;
    memcpy(rows, p->logits, sizeof *rows * (size_t)values);
    if (!p->probabilities)
        dc_logits_to_probabilities(rows, p->labels, p->classes, p->samples);
    *out = (struct dc_photo_predictions){.stage = p->stage,
                                         .arithmetic = p->arithmetic,
                                         .count = p->samples,
                                         .files = samples,
                                         .numbered = !p->files,
                                         .classes = p->classes,
                                         .class_names = names,
                                         .labels = p->labels,
                                         .probabilities = rows};
    return DC_OK;
}

// The first of the largest, as evaluation takes it.
static int best(const struct dc_photo_predictions *p, int64_t i)
{
    const float *row = p->probabilities + i * p->classes;
    int found = 0;
    for (int c = 1; c < p->classes; c++)
        found = row[c] > row[found] ? c : found;
    return found;
}

// What printf must count more than the characters that a person sees: the other bytes of UTF-8.
static int unseen(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) == 0x80;
    return count;
}

enum { FILE_WIDTH = 44, CLASS_WIDTH = 20, CASCADE_FILE = 32, CASCADE_CLASS = 16 };

// Its end tells more where it is longer.
static void append_file(struct dc_text_buffer *out, const char *file, int width)
{
    const size_t length = strlen(file);
    const bool longer = length > (size_t)width;
    file = longer ? file + length - (size_t)(width - 3) : file;
    dc_text_append(out, "%s%-*s", longer ? "..." : "", width - (longer ? 3 : 0) + unseen(file),
                   file);
}

// file, class, probability, margin, who settled it; then how many.
static void cascade_table(struct dc_text_buffer *out, const struct dc_photo_predictions *p)
{
    dc_text_append(out, "%-*s  %-*s %11s %6s  settled\n", CASCADE_FILE, "file", CASCADE_CLASS,
                   "class", "probability", "margin");
    for (int64_t i = 0; i < p->count; i++) {
        const int class = best(p, i);
        const char *name = p->class_names[class];
        append_file(out, p->files[i], CASCADE_FILE);
        dc_text_append(out, "  %-*.*s %9.2f %% %6d  %.12s\n", CASCADE_CLASS + unseen(name),
                       CASCADE_CLASS + unseen(name), name,
                       100.0 * (double)p->probabilities[i * p->classes + class], p->margins[i],
                       p->settled[i]);
    }
    const int64_t device = dc_photo_settled(p);
    dc_text_append(out,
                   "%lld of %lld settled by %s on the device (a margin of %d codes or more),\n"
                   "%lld by the teacher\n",
                   (long long)device, (long long)p->count, p->device, p->threshold,
                   (long long)(p->count - device));
}

int64_t dc_photo_settled(const struct dc_photo_predictions *p)
{
    int64_t count = 0;
    for (int64_t i = 0; p->settled && i < p->count; i++)
        count += strcmp(p->settled[i], p->device) == 0;
    return count;
}

// Whether an output is told: the best class, every value, every tag.
static bool is_told(const struct dc_photo_predictions *p, int64_t i, int output)
{
    return p->labels != DC_LABELS_CLASSES || output == best(p, i);
}

// A line an output: of a photograph's first, its file too.
void dc_photo_table(struct dc_text_buffer *out, const struct dc_photo_predictions *p)
{
    static const char *const heads[DC_LABEL_KINDS][2] = {
        {"class", "probability"}, {"value", "     number"}, {"tag", "probability"}};
    if (p->settled) {
        cascade_table(out, p);
        return;
    }
    dc_text_append(out, "%-*s  %-*s  %s\n", FILE_WIDTH, "file", CLASS_WIDTH, heads[p->labels][0],
                   heads[p->labels][1]);
    for (int64_t i = 0; i < p->count; i++) {
        bool first = true;
        for (int c = 0; c < p->classes; c++) {
            const double value = (double)p->probabilities[i * p->classes + c];
            const char *name = p->class_names[c];
            if (!is_told(p, i, c))
                continue;
            append_file(out, first ? p->files[i] : "", FILE_WIDTH);
            dc_text_append(out, "  %-*s  ", CLASS_WIDTH + unseen(name), name);
            if (p->labels == DC_LABELS_VALUES)
                dc_text_append(out, "%11.5g\n", value);
            else
                dc_text_append(out, "%9.2f %%\n", 100.0 * value);
            first = false;
        }
    }
}

void dc_photo_csv(struct dc_text_buffer *out, const struct dc_photo_predictions *p)
{
    const int head = (int)p->labels + (p->numbered ? (int)DC_LABEL_KINDS : 0);
    dc_text_append(out, "%s", csv_heads[p->settled ? CASCADE_HEAD : head]);
    for (int64_t i = 0; i < p->count * p->classes; i++) {
        if (!is_told(p, i / p->classes, (int)(i % p->classes)))
            continue;
        dc_csv_append(out, p->files[i / p->classes]);
        dc_text_append(out, ",");
        dc_csv_append(out, p->class_names[i % p->classes]);
        dc_text_append(out, ",%.9g", (double)p->probabilities[i]);
        if (p->settled) {
            dc_text_append(out, ",");
            dc_csv_append(out, p->settled[i / p->classes]);
            dc_text_append(out, ",%d", p->margins[i / p->classes]);
        }
        dc_text_append(out, "\r\n");
    }
}

json_t *dc_photo_json(const struct dc_photo_predictions *p)
{
    static const char *const keys[DC_LABEL_KINDS] = {"probabilities", "values", "probabilities"};
    json_t *photos = json_array(), *names = json_array();
    for (int c = 0; c < p->classes; c++)
        json_array_append_new(names, json_string(p->class_names[c]));
    for (int64_t i = 0; i < p->count; i++) {
        const int class = best(p, i);
        json_t *all = json_array();
        for (int c = 0; c < p->classes; c++)
            json_array_append_new(all, json_real((double)p->probabilities[i * p->classes + c]));
        json_t *photo = json_pack("{s:s}", "file", p->files[i]);
        if (p->labels == DC_LABELS_CLASSES)
            json_object_update_new(
                photo, json_pack("{s:s, s:f}", "class", p->class_names[class], "probability",
                                 (double)p->probabilities[i * p->classes + class]));
        json_object_set_new(photo, keys[p->labels], all);
        if (p->settled)
            json_object_update_new(
                photo, json_pack("{s:s, s:i}", "settled", p->settled[i], "margin", p->margins[i]));
        json_array_append_new(photos, photo);
    }
    json_t *object = json_pack("{s:s, s:s, s:o, s:o}", "stage", p->stage, "arithmetic",
                               p->arithmetic, dc_label_kinds[p->labels], names, "photos", photos);
    if (p->settled)
        json_object_set_new(object, "cascade",
                            json_pack("{s:s, s:i, s:I, s:I}", "device", p->device, "threshold",
                                      p->threshold, "settled", (json_int_t)dc_photo_settled(p),
                                      "teacher", (json_int_t)(p->count - dc_photo_settled(p))));
    return object;
}

enum dc_status dc_photo_may_write(const char *path, struct dc_error *error)
{
    const bool csv = dc_path_ends(path, ".csv");
    enum dc_status status = DC_ERR_USAGE;
    for (int kind = 0; csv && status != DC_OK && kind < CSV_HEADS; kind++)
        status = dc_file_may_replace(path, csv_heads[kind], NULL, NULL, error);
    if (csv)
        return status;
    if (dc_path_ends(path, ".json") &&
        dc_file_may_replace(path, "\"photos\"", "\"values\"", NULL, NULL) == DC_OK)
        return DC_OK;
    if (dc_path_ends(path, ".json"))
        return dc_file_may_replace(path, "\"photos\"", "\"probabilities\"", NULL, error);
    return dc_fail(error, DC_ERR_USAGE,
                   "%s: predictions of photographs are written as .csv or .json", path);
}

enum dc_status dc_photo_write(const char *path, const struct dc_photo_predictions *p,
                              struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    if (dc_path_ends(path, ".json")) {
        json_t *object = dc_photo_json(p);
        char *dump = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        dc_text_append(&text, "%s\n", dump ? dump : "");
        text.failed = text.failed || !dump;
        free(dump);
        json_decref(object);
    } else {
        dc_photo_csv(&text, p);
    }
    const enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                              : dc_file_write(path, text.text, text.length, error);
    dc_text_free(&text);
    return status;
}

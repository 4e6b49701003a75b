// Owns predictions of photographs, and how they are written.

#include "run/predict_photos.h"

#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/folder.h"
#include "data/open.h"
#include "run/asked.h"

#define CSV_HEAD "file,class,probability\r\n"

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

static enum dc_status predict(struct dc_photo_predictions *out, const struct dc_asked *a,
                              const struct dc_source *source, struct dc_arena *arena,
                              struct dc_error *error)
{
    const struct dc_predictor *predictor = a->predictor.predictor;
    out->count = source->count;
    out->classes = predictor->classes;
    float *rows = DC_NEW(arena, float, out->count * out->classes, error);
    if (!rows)
        return DC_ERR_MEMORY;
    DC_TRY(
        dc__evaluate(NULL, rows, &a->predictor.view, predictor, source, NULL, out->count, error));
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
        status = predict(out, &a, source, arena, error);
    dc_source_free(source);
    dc_asked_close(&a);
    return status;
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

void dc_photo_table(struct dc_text_buffer *out, const struct dc_photo_predictions *p)
{
    enum { FILE_WIDTH = 44, CLASS_WIDTH = 20 };
    dc_text_append(out, "%-*s  %-*s  probability\n", FILE_WIDTH, "file", CLASS_WIDTH, "class");
    for (int64_t i = 0; i < p->count; i++) {
        const int class = best(p, i);
        const char *file = p->files[i], *name = p->class_names[class];
        const size_t length = strlen(file);
        const bool longer = length > FILE_WIDTH;  // its end tells more
        file = longer ? file + length - (FILE_WIDTH - 3) : file;
        dc_text_append(out, "%s%-*s  %-*s  %9.2f %%\n", longer ? "..." : "",
                       FILE_WIDTH - (longer ? 3 : 0) + unseen(file), file,
                       CLASS_WIDTH + unseen(name), name,
                       100.0 * (double)p->probabilities[i * p->classes + class]);
    }
}

static void append_csv(struct dc_text_buffer *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        dc_text_append(out, "%s", text);
        return;
    }
    dc_text_append(out, "\"");
    for (; *text; text++)
        dc_text_append(out, *text == '"' ? "\"\"" : "%c", *text);
    dc_text_append(out, "\"");
}

void dc_photo_csv(struct dc_text_buffer *out, const struct dc_photo_predictions *p)
{
    dc_text_append(out, CSV_HEAD);
    for (int64_t i = 0; i < p->count; i++) {
        const int class = best(p, i);
        append_csv(out, p->files[i]);
        dc_text_append(out, ",");
        append_csv(out, p->class_names[class]);
        dc_text_append(out, ",%.9g\r\n", (double)p->probabilities[i * p->classes + class]);
    }
}

json_t *dc_photo_json(const struct dc_photo_predictions *p)
{
    json_t *photos = json_array(), *names = json_array();
    for (int c = 0; c < p->classes; c++)
        json_array_append_new(names, json_string(p->class_names[c]));
    for (int64_t i = 0; i < p->count; i++) {
        const int class = best(p, i);
        json_t *all = json_array();
        for (int c = 0; c < p->classes; c++)
            json_array_append_new(all, json_real((double)p->probabilities[i * p->classes + c]));
        json_array_append_new(photos, json_pack("{s:s, s:s, s:f, s:o}", "file", p->files[i],
                                                "class", p->class_names[class], "probability",
                                                (double)p->probabilities[i * p->classes + class],
                                                "probabilities", all));
    }
    return json_pack("{s:s, s:s, s:o, s:o}", "stage", p->stage, "arithmetic", p->arithmetic,
                     "classes", names, "photos", photos);
}

enum dc_status dc_photo_may_write(const char *path, struct dc_error *error)
{
    if (dc_path_ends(path, ".csv"))
        return dc_file_may_replace(path, CSV_HEAD, NULL, NULL, error);
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

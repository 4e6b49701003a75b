// Owns looking at photographs as they are: sizes, colours, and which cannot be read. It keeps no
// pixels and changes nothing.

#include "data/survey.h"

#include <stdlib.h>

#include "core/parallel.h"
#include "data/file_list.h"
#include "data/image.h"

struct look {
    enum dc_status status;
    bool grey;
    int height, width;
    const char *why;
};

struct looking {
    const struct dc__file_list *list;
    const struct dc_source_spec *spec;
    struct dc_arena *arena;
    struct look *looks;  // [list->count]
};

static bool is_grey(const struct dc__image *image)
{
    const size_t count = (size_t)image->height * (size_t)image->width;
    const uint8_t *p = image->pixels;
    for (size_t i = 0; image->channels == 3 && i < count; i++, p += 3)
        if (p[0] != p[1] || p[1] != p[2])
            return false;
    return true;
}

static void look_at(void *arg, int index, int thread)
{
    const struct looking *l = arg;
    struct look *look = &l->looks[index];
    struct dc_arena *scratch = NULL;
    struct dc_error error = {0};
    struct dc__image image = {0};
    (void)thread;
    look->status = dc_check_stop(l->spec->stop, &error);
    if (look->status == DC_OK)
        look->status = dc_arena_create(&scratch, &error);
    if (look->status == DC_OK)
        look->status = dc__photo_read(&image, l->list->paths[index], l->spec->memory, scratch,
                                      &error);
    if (look->status == DC_OK)
        *look = (struct look){
            .grey = is_grey(&image), .height = image.height, .width = image.width};
    dc_arena_free(scratch);
}

// Why a photograph cannot be read: asked again, of the few that are told.
static enum dc_status tell_failure(struct dc_photo_survey *survey, const struct looking *l,
                                   int64_t i, struct dc_error *error)
{
    struct dc_error why = {0};
    struct dc__image image = {0};
    struct dc_arena *scratch = NULL;
    if (l->looks[i].status != DC_ERR_DATA && l->looks[i].status != DC_ERR_IO)
        return dc_fail(error, l->looks[i].status, "%s: cannot be looked at", l->list->paths[i]);
    if (survey->unreadable++ >= DC_SURVEY_FAILURES)
        return DC_OK;
    DC_TRY(dc_arena_create(&scratch, error));
    const enum dc_status status = dc__photo_read(&image, l->list->paths[i], l->spec->memory,
                                                 scratch, &why);
    dc_arena_free(scratch);
    if (status == DC_OK)
        return dc_fail(error, DC_ERR_DATA, "%s: changes while it is read", l->list->paths[i]);
    survey->failures[survey->unreadable - 1] = dc_arena_copy(l->arena, why.message, error);
    return survey->failures[survey->unreadable - 1] ? DC_OK : DC_ERR_MEMORY;
}

static enum dc_status count_part(struct dc_photo_survey *survey, const struct looking *l, bool test,
                                 int *sides, struct dc_error *error)
{
    const int64_t own = l->list->count - l->list->own_validation;
    for (int64_t i = 0; i < l->list->count; i++) {
        const struct look *look = &l->looks[i];
        const int shorter = look->height < look->width ? look->height : look->width;
        const int longer = look->height + look->width - shorter;
        struct dc_label_counts *counts = test      ? &survey->test
                                         : i < own ? &survey->train
                                                   : &survey->validation;
        if (look->status == DC_ERR_STOPPED)
            return dc_check_stop(l->spec->stop, error);
        if (look->status != DC_OK) {
            DC_TRY(tell_failure(survey, l, i, error));
            continue;
        }
        if (survey->count == 0) {
            survey->height = look->height;
            survey->width = look->width;
            survey->equal = true;
        }
        survey->equal = survey->equal && survey->height == look->height &&
                        survey->width == look->width;
        survey->grey += look->grey;
        survey->elongated += 2 * longer > 3 * shorter;
        sides[survey->count++] = shorter;
        dc_count_label(counts, l->spec->label_kind, survey->classes, l->list->labels[i],
                       l->list->values ? l->list->values[i] : NULL);
    }
    return DC_OK;
}

static int by_size(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static enum dc_status look_at_all(struct dc_photo_survey *survey, const struct dc__file_list *lists,
                                  const struct dc_source_spec *spec, const struct dc_ctx *ctx,
                                  struct dc_arena *arena, struct dc_error *error)
{
    int *sides = DC_NEW(arena, int, lists[0].count + lists[1].count, error);
    survey->train.of = DC_NEW(arena, int64_t, survey->classes, error);
    survey->validation.of = DC_NEW(arena, int64_t, survey->classes, error);
    survey->test.of = DC_NEW(arena, int64_t, survey->classes, error);
    if (!sides || !survey->train.of || !survey->validation.of || !survey->test.of)
        return DC_ERR_MEMORY;
    for (int part = 0; part < 2; part++) {
        struct looking l = {&lists[part], spec, arena,
                            DC_NEW(arena, struct look, lists[part].count, error)};
        if (!l.looks)
            return DC_ERR_MEMORY;
        dc_parallel_for(ctx, (int)lists[part].count, look_at, &l);
        DC_TRY(count_part(survey, &l, part == 1, sides, error));
    }
    if (survey->count > 0) {
        qsort(sides, (size_t)survey->count, sizeof *sides, by_size);
        survey->least_side = sides[0];
        survey->tenth_side = sides[survey->count / 10];
        survey->middle_side = sides[survey->count / 2];
        survey->most_side = sides[survey->count - 1];
    }
    return DC_OK;
}

enum dc_status dc_survey_photos(struct dc_photo_survey *survey, const struct dc_source_spec *spec,
                                struct dc_arena *arena, struct dc_error *error)
{
    const struct dc_ctx_config config = {.threads = spec->threads};
    struct dc_source_spec split = *spec;
    struct dc__file_list lists[2];
    struct dc_ctx *ctx = NULL;
    for (int part = 0; part < 2; part++) {
        split.split = part == 0 ? "train" : "test";
        DC_TRY(dc__list_files(&lists[part], &dc__photo_files, &split, arena, error));
        if (lists[part].count > INT32_MAX)
            return dc_fail(error, DC_ERR_DATA, "%s: holds too many photographs", spec->path);
    }
    *survey = (struct dc_photo_survey){.classes = lists[0].classes,
                                       .class_names = lists[0].class_names,
                                       .note = lists[0].note ? lists[0].note : lists[1].note};
    DC_TRY(dc_ctx_create(&ctx, &config, error));
    const enum dc_status status = look_at_all(survey, lists, spec, ctx, arena, error);
    dc_ctx_free(ctx);
    return status;
}

// Owns photo folders as a source: every photograph is decoded, resized and held in memory. Which
// files they are is file_list.h's, what a file becomes image.h's.

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "core/bounds.h"
#include "core/parallel.h"
#include "data/file_list.h"
#include "data/image.h"
#include "data/kinds.h"

enum { BLOCK = 128 };  // photographs between two looks at failures

// One photograph as a sample, in the form the spec asks for, or that of the first one.
static enum dc_status read_sample(struct dc__image *image, const char *path,
                                  const struct dc_source_spec *spec, struct dc_arena *arena,
                                  struct dc_error *error)
{
    DC_TRY(dc_check_stop(spec->stop, error));
    DC_TRY(dc__photo_read(image, path, spec->memory, arena, error));
    if (spec->channels)
        DC_TRY(dc__image_channels(image, spec->channels, arena, error));
    if (spec->resize.height)
        DC_TRY(dc__image_resize(image, &spec->resize, path, spec->memory, arena, error));
    return DC_OK;
}

static enum dc_status check_equal(const struct dc__image *image, const struct dc_source *source,
                                  const char *path, struct dc_error *error)
{
    const int64_t *dims = source->sample.dims;
    if (image->height != dims[0] || image->width != dims[1])
        return dc_fail(error, DC_ERR_DATA,
                       "%s: %dx%d pixels, but the first file has %" PRId64 "x%" PRId64
                       " (height x width); give resize: [height, width] in the experiment to make "
                       "all equal",
                       path, image->height, image->width, dims[0], dims[1]);
    if (image->channels != dims[2])
        return dc_fail(error, DC_ERR_DATA,
                       "%s: %d channels, but the first file has %" PRId64
                       "; give channels: 1 or 3 in the experiment to make all equal",
                       path, image->channels, dims[2]);
    return DC_OK;
}

// Photographs of a list, many at a time; each writes its own sample and its own failure.
struct reading {
    struct dc__memory *memory;
    const struct dc__file_list *list;
    const struct dc_source_spec *spec;
    int64_t first;  // of the block
    enum dc_status status[BLOCK];
    struct dc_error errors[BLOCK];
};

static enum dc_status read_one(struct reading *r, int64_t id, struct dc_error *error)
{
    struct dc_arena *scratch = NULL;  // one for each file, so that memory stays small
    struct dc__image image = {0};
    struct dc_source *source = &r->memory->source;
    const char *path = r->list->paths[id];
    DC_TRY(dc_arena_create(&scratch, error));
    enum dc_status status = read_sample(&image, path, r->spec, scratch, error);
    if (status == DC_OK && id == 0) {
        source->sample = DC_SHAPE(image.height, image.width, image.channels);
        status = dc_want_memory(path, "the folder, by its first file,",
                                r->list->count * (int64_t)dc__sample_bytes(source), r->spec->memory,
                                error);
        if (status == DC_OK)
            status = dc__memory_resize(r->memory, r->list->count, error);
    }
    if (status == DC_OK)
        status = check_equal(&image, source, path, error);
    if (status == DC_OK) {
        const size_t bytes = dc__sample_bytes(source);
        memcpy(r->memory->values + (size_t)id * bytes, image.pixels, bytes);
        r->memory->labels[id] = r->list->labels[id];
    }
    dc_arena_free(scratch);
    return status;
}

static void read_of_block(void *arg, int index, int thread)
{
    struct reading *r = arg;
    (void)thread;
    r->status[index] = read_one(r, r->first + index, &r->errors[index]);
}

// The first failure in the list's order is told, whatever the threads did.
static enum dc_status read_all(struct reading *r, const struct dc_ctx *ctx, struct dc_error *error)
{
    DC_TRY(read_one(r, 0, error));  // says what all others must be
    for (r->first = 1; r->first < r->list->count; r->first += BLOCK) {
        const int64_t left = r->list->count - r->first;
        const int count = left < BLOCK ? (int)left : BLOCK;
        dc_parallel_for(ctx, count, read_of_block, r);
        for (int i = 0; i < count; i++)
            if (r->status[i] != DC_OK)
                return dc_fail(error, r->status[i], "%s", r->errors[i].message);
    }
    return DC_OK;
}

static enum dc_status read_list(struct dc__memory *memory, const struct dc__file_list *list,
                                const struct dc_source_spec *spec, struct dc_error *error)
{
    const struct dc_ctx_config config = {.threads = spec->threads};
    struct dc_ctx *ctx = NULL;
    struct reading *r = DC_NEW(memory->arena, struct reading, 1, error);
    assert(list->count > 0);
    if (!r)
        return DC_ERR_MEMORY;
    *r = (struct reading){.memory = memory, .list = list, .spec = spec};
    DC_TRY(dc_ctx_create(&ctx, &config, error));
    const enum dc_status status = read_all(r, ctx, error);
    dc_ctx_free(ctx);
    return status;
}

static enum dc_status load(struct dc__memory *memory, const struct dc_source_spec *spec,
                           struct dc_error *error)
{
    struct dc_source *source = &memory->source;
    struct dc__file_list list;
    if (spec->channels != 0 && spec->channels != 1 && spec->channels != 3)
        return dc_fail(error, DC_ERR_CONFIG, "channels must be 1 or 3, not %d", spec->channels);
    if (spec->resize.height < 0 || spec->resize.width < 0 ||
        (spec->resize.height > 0) != (spec->resize.width > 0))
        return dc_fail(error, DC_ERR_CONFIG, "resize needs a height and a width, both above 0");
    DC_TRY(dc__list_files(&list, &dc__photo_files, spec, memory->arena, error));
    DC_TRY(read_list(memory, &list, spec, error));
    source->classes = list.classes;
    source->class_names = list.class_names;
    source->own_validation = list.own_validation;
    source->files = list.paths;
    source->note = list.note;
    return dc__memory_values(memory, list.values, spec, error);
}

// A folder that holds a folder, asked last; or a table of photographs.
static bool recognize(const char *path)
{
    if (dc__is_table(path))
        return dc__table_names(path, &dc__photo_files);
    return dc__holds_folder(path);
}

static bool never(const char *path)
{
    (void)path;
    return false;
}

const struct dc__source_kind dc__source_photos = {
    .ops = {"photos", dc__memory_read, dc__memory_free},
    .recognize = recognize,
    .files_of = &dc__photo_files,
    .load = load,
    .own_validation = dc__files_have_validation,
};

// The older name.
const struct dc__source_kind dc__source_png = {
    .ops = {"png", dc__memory_read, dc__memory_free},
    .recognize = never,
    .files_of = &dc__photo_files,
    .load = load,
    .own_validation = dc__files_have_validation,
};

// Owns photo folders as a source: every photograph is decoded, resized and held in memory. Which
// files they are is photo_list.h's, what a file becomes image.h's.

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "core/bounds.h"
#include "data/image.h"
#include "data/kinds.h"
#include "data/photo_list.h"

// Bring an image to the form the spec asks for, or to that of the first one.
static enum dc_status fit(struct dc__image *image, const struct dc_source *source,
                          const struct dc_source_spec *spec, const char *path,
                          struct dc_arena *arena, struct dc_error *error)
{
    if (spec->channels)
        DC_TRY(dc__image_channels(image, spec->channels, arena, error));
    if (spec->resize.height)
        DC_TRY(dc__image_resize(image, &spec->resize, path, spec->memory, arena, error));
    const int64_t *dims = source->sample.dims;
    if (source->count == 0)
        return DC_OK;
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

static enum dc_status add_file(struct dc__memory *memory, const struct dc__photo_list *list,
                               const struct dc_source_spec *spec, struct dc_arena *arena,
                               struct dc_error *error)
{
    struct dc_source *source = &memory->source;
    struct dc__image image = {0};
    const int64_t id = source->count;
    const char *path = list->paths[id];
    DC_TRY(dc__photo_read(&image, path, spec->memory, arena, error));
    DC_TRY(fit(&image, source, spec, path, arena, error));
    if (id == 0) {
        source->sample = DC_SHAPE(image.height, image.width, image.channels);
        DC_TRY(dc_want_memory(path, "the folder, by its first file,",
                              list->count * (int64_t)dc__sample_bytes(source), spec->memory,
                              error));
        DC_TRY(dc__memory_resize(memory, list->count, error));
    }
    const size_t bytes = dc__sample_bytes(source);
    memcpy(memory->values + (size_t)id * bytes, image.pixels, bytes);
    memory->labels[id] = list->labels[id];
    source->count = id + 1;
    return DC_OK;
}

static enum dc_status load(struct dc__memory *memory, const struct dc_source_spec *spec,
                           struct dc_error *error)
{
    struct dc_source *source = &memory->source;
    struct dc__photo_list list;
    if (spec->channels != 0 && spec->channels != 1 && spec->channels != 3)
        return dc_fail(error, DC_ERR_CONFIG, "channels must be 1 or 3, not %d", spec->channels);
    if (spec->resize.height < 0 || spec->resize.width < 0 ||
        (spec->resize.height > 0) != (spec->resize.width > 0))
        return dc_fail(error, DC_ERR_CONFIG, "resize needs a height and a width, both above 0");
    DC_TRY(dc__list_photos(&list, spec, memory->arena, error));
    for (int64_t i = 0; i < list.count; i++) {
        struct dc_arena *scratch = NULL;  // one for each file, so that memory stays small
        DC_TRY(dc_check_stop(spec->stop, error));
        DC_TRY(dc_arena_create(&scratch, error));
        source->count = i;
        const enum dc_status status = add_file(memory, &list, spec, scratch, error);
        dc_arena_free(scratch);
        DC_TRY(status);
    }
    source->classes = list.classes;
    source->class_names = list.class_names;
    source->own_validation = list.own_validation;
    source->files = list.paths;
    source->note = list.note;
    return DC_OK;
}

// A folder that holds a folder; it is asked last.
static bool recognize(const char *path)
{
    DIR *dir = opendir(path);
    bool found = false;
    struct stat info;
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));)
        found = entry->d_name[0] != '.' && fstatat(dirfd(dir), entry->d_name, &info, 0) == 0 &&
                S_ISDIR(info.st_mode);
    if (dir)
        closedir(dir);
    return found;
}

static bool never(const char *path)
{
    (void)path;
    return false;
}

const struct dc__source_kind dc__source_photos = {
    .ops = {"photos", dc__memory_read, dc__memory_free},
    .recognize = recognize,
    .load = load,
};

// The older name.
const struct dc__source_kind dc__source_png = {
    .ops = {"png", dc__memory_read, dc__memory_free},
    .recognize = never,
    .load = load,
};

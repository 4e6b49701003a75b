// Owns folders of PNG files: one folder a class, its name the class's, classes in the order of
// strcmp; samples in the order of class, then file name. Where the folder holds `train` (and
// perhaps `test`), the split picks one of them and the classes are those of `train`.
//
// Every entry must be a class folder or a .png file; names that start with a dot are passed over.

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/bounds.h"
#include "data/kinds.h"
#include "data/png_read.h"

struct names {
    char **list;
    int count;
};

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool is_png(const char *name)
{
    const size_t length = strlen(name);
    return length > 4 && !strcasecmp(name + length - 4, ".png");
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

// The entries of a folder in the order of strcmp.
static enum dc_status list_folder(struct names *names, const char *path, struct dc_arena *arena,
                                  struct dc_error *error)
{
    struct dirent **entries = NULL;
    const int count = scandir(path, &entries, is_visible, by_name);
    if (count < 0)
        return dc_fail(error, DC_ERR_DATA, "%s: cannot list the folder", path);
    *names = (struct names){DC_NEW(arena, char *, count, error), count};
    bool good = names->list;
    for (int i = 0; i < count; i++) {
        good = good && (names->list[i] = dc_arena_copy(arena, entries[i]->d_name, error));
        free(entries[i]);
    }
    free(entries);
    return good ? DC_OK : DC_ERR_MEMORY;
}

// Class folders of `path`; anything else there is refused.
static enum dc_status list_classes(struct names *classes, const char *path, struct dc_arena *arena,
                                   struct dc_error *error)
{
    DC_TRY(list_folder(classes, path, arena, error));
    if (classes->count == 0)
        return dc_fail(error, DC_ERR_DATA, "%s: holds no class folder", path);
    for (int i = 0; i < classes->count; i++) {
        const char *inner = dc_arena_printf(arena, error, "%s/%s", path, classes->list[i]);
        if (!inner)
            return DC_ERR_MEMORY;
        if (!is_folder(inner))
            return dc_fail(error, DC_ERR_DATA, "%s: is not a class folder", inner);
    }
    return DC_OK;
}

// Bring an image to the form the spec asks for, or to that of the first one.
static enum dc_status fit(struct dc__image *image, const struct dc_source *source,
                          const struct dc_source_spec *spec, const char *path,
                          struct dc_arena *arena, struct dc_error *error)
{
    if (spec->channels)
        DC_TRY(dc__image_channels(image, spec->channels, arena, error));
    if (spec->resize_height)
        DC_TRY(dc_want_memory(path, "resize",
                              (int64_t)spec->resize_height * spec->resize_width * image->channels,
                              spec->memory, error));
    if (spec->resize_height)
        DC_TRY(dc__image_resize(image, spec->resize_height, spec->resize_width, arena, error));
    const int64_t *dims = source->sample.dims;
    if (source->count == 0)
        return DC_OK;
    if (image->height != dims[0] || image->width != dims[1])
        return dc_fail(error, DC_ERR_DATA,
                       "%s: %dx%d pixels, but the first file has %" PRId64 "x%" PRId64
                       " (height x width); give resize: [height, width] to make all equal",
                       path, image->height, image->width, dims[0], dims[1]);
    if (image->channels != dims[2])
        return dc_fail(error, DC_ERR_DATA,
                       "%s: %d channels, but the first file has %" PRId64
                       "; give channels: 1 or 3 to make all equal",
                       path, image->channels, dims[2]);
    return DC_OK;
}

static enum dc_status add_file(struct dc__memory *memory, int64_t *capacity, int32_t label,
                               const char *path, const struct dc_source_spec *spec,
                               struct dc_arena *arena, struct dc_error *error)
{
    struct dc_source *source = &memory->source;
    struct dc__image image = {0};
    DC_TRY(dc__png_read(&image, path, spec->memory, arena, error));
    DC_TRY(fit(&image, source, spec, path, arena, error));
    const int64_t count = source->count;
    if (count == 0)
        source->sample = DC_SHAPE(image.height, image.width, image.channels);
    if (count == *capacity) {
        *capacity = count ? 2 * count : 64;
        DC_TRY(dc_want_memory(path, "the folder up to this file",
                              count * (int64_t)dc__sample_bytes(source), spec->memory, error));
        DC_TRY(dc__memory_resize(memory, *capacity, error));
    }
    const size_t bytes = dc__sample_bytes(source);
    memcpy(memory->values + (size_t)count * bytes, image.pixels, bytes);
    memory->labels[count] = label;
    source->count = count + 1;
    return DC_OK;
}

static enum dc_status load_class(struct dc__memory *memory, int64_t *capacity, int32_t label,
                                 const char *folder, const struct dc_source_spec *spec,
                                 struct dc_arena *arena, struct dc_error *error)
{
    struct names files;
    DC_TRY(list_folder(&files, folder, arena, error));
    for (int i = 0; i < files.count; i++) {
        struct dc_arena *scratch = NULL;  // one for each file, so that memory stays small
        DC_TRY(dc_check_stop(spec->stop, error));
        const char *path = dc_arena_printf(arena, error, "%s/%s", folder, files.list[i]);
        if (!path)
            return DC_ERR_MEMORY;
        if (!is_png(files.list[i]))
            return dc_fail(error, DC_ERR_DATA, "%s: is not a .png file; no other format is read",
                           path);
        DC_TRY(dc_arena_create(&scratch, error));
        const enum dc_status status = add_file(memory, capacity, label, path, spec, scratch, error);
        dc_arena_free(scratch);
        DC_TRY(status);
    }
    return DC_OK;
}

// Where the split's class folders lie, and where the classes are named.
static enum dc_status find_root(const char **root, const char **naming,
                                const struct dc_source_spec *spec, struct dc_arena *arena,
                                struct dc_error *error)
{
    const char *train = dc_arena_printf(arena, error, "%s/train", spec->path);
    const char *own = dc_arena_printf(arena, error, "%s/%s", spec->path, spec->split);
    if (!train || !own)
        return DC_ERR_MEMORY;
    const bool parted = is_folder(train);
    *naming = parted ? train : spec->path;
    *root = parted ? own : spec->path;
    if (dc__is_test(spec) && !(parted && is_folder(own)))
        return dc_fail(error, DC_ERR_DATA,
                       "%s: has no split 'test'; put the class folders below train/ and test/",
                       spec->path);
    return DC_OK;
}

static enum dc_status load(struct dc__memory *memory, const struct dc_source_spec *spec,
                           struct dc_error *error)
{
    struct dc_source *source = &memory->source;
    const char *root = NULL, *naming = NULL;
    struct names classes, here;
    int64_t capacity = 0;
    if (spec->channels != 0 && spec->channels != 1 && spec->channels != 3)
        return dc_fail(error, DC_ERR_CONFIG, "channels must be 1 or 3, not %d", spec->channels);
    if (spec->resize_height < 0 || spec->resize_width < 0 ||
        (spec->resize_height > 0) != (spec->resize_width > 0))
        return dc_fail(error, DC_ERR_CONFIG, "resize needs a height and a width, both above 0");
    DC_TRY(find_root(&root, &naming, spec, memory->arena, error));
    DC_TRY(list_classes(&classes, naming, memory->arena, error));
    DC_TRY(list_classes(&here, root, memory->arena, error));
    if (spec->class_count && spec->class_count != classes.count)
        return dc_fail(error, DC_ERR_DATA, "%s: has %d class folders, %d were asked for", naming,
                       classes.count, spec->class_count);
    for (int i = 0; i < here.count; i++) {
        int class = 0;
        while (class < classes.count && strcmp(classes.list[class], here.list[i]) != 0)
            class ++;
        const char *folder = dc_arena_printf(memory->arena, error, "%s/%s", root, here.list[i]);
        if (!folder)
            return DC_ERR_MEMORY;
        if (class == classes.count)
            return dc_fail(error, DC_ERR_DATA, "%s: the training data has no such class", folder);
        DC_TRY(load_class(memory, &capacity, class, folder, spec, memory->arena, error));
    }
    if (source->count == 0)
        return dc_fail(error, DC_ERR_DATA, "%s: holds no PNG file", root);
    source->classes = classes.count;
    source->class_names = (const char *const *)classes.list;
    return spec->class_names ? dc__class_names(source, spec, NULL, NULL, memory->arena, error)
                             : DC_OK;
}

// A folder that holds a folder; it is asked last.
static bool recognize(const char *path)
{
    DIR *dir = opendir(path);
    bool found = false;
    struct stat info;
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));)
        found = is_visible(entry) && fstatat(dirfd(dir), entry->d_name, &info, 0) == 0 &&
                S_ISDIR(info.st_mode);
    if (dir)
        closedir(dir);
    return found;
}

const struct dc__source_kind dc__source_png = {
    .ops = {"png", dc__memory_read, dc__memory_free},
    .recognize = recognize,
    .load = load,
};

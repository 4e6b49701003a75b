// Owns the table of kinds and the checks that all of them share.

#include "data/open.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/csv.h"
#include "core/file.h"
#include "core/yaml.h"
#include "data/file_list.h"
#include "data/kinds.h"

static const struct dc__source_kind *const kinds[] = {
    &dc__source_idx, &dc__source_cifar10, &dc__source_cifar100, &dc__source_hdf5,
    &dc__source_npz, &dc__source_series,  &dc__source_photos,   &dc__source_png,
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

const char *const *dc_source_kinds(void)
{
    static const char *const names[] = {"idx",    "cifar10", "cifar100", "hdf5", "npz",
                                        "series", "photos",  "png",      NULL};
    static_assert(sizeof names / sizeof names[0] == KINDS + 1, "one name a kind");
    return names;
}

static bool recognizes(const struct dc__source_kind *kind, const char *path)
{
    struct dc_arena *arena = NULL;
    bool found = false;
    if (kind->recognize)
        return kind->recognize(path);
    if (dc_arena_create(&arena, NULL) != DC_OK)
        return false;
    for (int i = 0; kind->files[i] && !found; i++)
        found = dc__find_packed(path, kind->files[i], arena, NULL) != NULL;
    dc_arena_free(arena);
    return found;
}

// A table of no kind: its own fault, where it has one.
static enum dc_status fail_table(const char *path, struct dc_error *error)
{
    struct dc_csv csv;
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = dc_csv_read(&csv, path, 0, arena, error);
    if (status == DC_OK && csv.rows < 2)
        status = dc_fail(error, DC_ERR_DATA, "%s: has a header and no row", path);
    else if (status == DC_OK)
        status = dc_fail_csv(error, &csv, 1, 0,
                             "no cell of this row names a photograph (.jpg, .png, .bmp) or a "
                             "recording (.csv); a table has the columns file, label and perhaps "
                             "split, and a recording lies in a folder called as its class");
    dc_arena_free(arena);
    return status;
}

// What is wrong with data of no kind, by what it looks most like.
static enum dc_status fail_of_no_kind(const char *path, struct dc_error *error)
{
    static const struct {
        const char *ending, *words;
    } looks[] = {
        {".npy", "is one array; name the folder with x_train.npy, y_train.npy, x_test.npy and "
                 "y_test.npy"},
        {".h5", "is called HDF5 and does not begin like it"},
        {".hdf5", "is called HDF5 and does not begin like it"},
        {".zip", "is an archive; unpack it and name the folder"},
        {".tar", "is an archive; unpack it and name the folder"},
        {".gz", "is packed; unpack it, or name the folder of IDX or CIFAR files that it lies in"},
    };
    if (dc__is_table(path) && !dc__is_folder(path))
        return fail_table(path, error);
    if (dc__is_of_kind(path, &dc__photo_files))
        return dc_fail(error, DC_ERR_DATA,
                       "%s: is one photograph; name the folder with one folder a class", path);
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
        if (dc_path_ends(path, looks[i].ending))
            return dc_fail(error, DC_ERR_DATA, "%s: %s", path, looks[i].words);
    return dc_fail(error, DC_ERR_DATA,
                   "%s: neither IDX, CIFAR, HDF5, NPZ, class folders of photographs or recordings, "
                   "nor a table of them lie here",
                   path);
}

static enum dc_status find_kind(const struct dc__source_kind **kind,
                                const struct dc_source_spec *spec, struct dc_error *error)
{
    const char *const *names = dc_source_kinds();
    const bool automatic = !spec->kind || !strcmp(spec->kind, "auto");
    for (int i = 0; i < KINDS; i++) {
        if (automatic ? recognizes(kinds[i], spec->path)
                      : !strcmp(spec->kind, kinds[i]->ops.kind)) {
            *kind = kinds[i];
            return DC_OK;
        }
    }
    if (automatic)
        return fail_of_no_kind(spec->path, error);
    char hint[DC_HINT];
    return dc_fail(error, DC_ERR_CONFIG,
                   "unknown kind of data '%s'; the kinds are idx, cifar10, cifar100, hdf5, "
                   "npz, series, photos, auto%s",
                   spec->kind, dc_did_you_mean(hint, spec->kind, names, KINDS));
}

// No such path; perhaps one with a kind in front that there is not, as "jpeg:photos".
static enum dc_status fail_missing(const char *path, struct dc_error *error)
{
    char word[32], hint[DC_HINT];
    const size_t length = strcspn(path, ":/");
    if (path[length] != ':' || length == 0 || length >= sizeof word)
        return dc_fail(error, DC_ERR_DATA, "%s: no such file or folder%s", path,
                       dc_file_hint(hint, path, NULL));
    snprintf(word, sizeof word, "%.*s", (int)length, path);
    return dc_fail(error, DC_ERR_DATA,
                   "%s: no such file or folder, and no kind of data '%s'; the kinds are idx, "
                   "cifar10, cifar100, hdf5, npz, series, photos, auto%s",
                   path, word, dc_did_you_mean(hint, word, dc_source_kinds(), KINDS));
}

enum dc_status dc_source_open(struct dc_source **source, const struct dc_source_spec *spec,
                              struct dc_error *error)
{
    const struct dc__source_kind *kind = NULL;
    *source = NULL;
    assert(spec->path);
    if (!spec->split || (strcmp(spec->split, "train") != 0 && strcmp(spec->split, "test") != 0))
        return dc_fail(error, DC_ERR_CONFIG, "split must be 'train' or 'test', not '%s'",
                       spec->split ? spec->split : "");
    if (!dc_file_exists(spec->path))
        return fail_missing(spec->path, error);
    DC_TRY(find_kind(&kind, spec, error));
    if (kind->load != dc__source_photos.load && !spec->foreign &&
        (spec->resize.height || spec->channels))
        return dc_fail(error, DC_ERR_CONFIG,
                       "resize and channels are for photographs; this data is %s", kind->ops.kind);
    struct dc_source_spec read = *spec;
    const bool classes_alone = !dc__is_table(spec->path) && kind != &dc__source_hdf5;
    if (classes_alone && spec->foreign && spec->label_kind != DC_LABELS_CLASSES) {
        read.label_kind = DC_LABELS_CLASSES;  // there are no others, and none is the network's
        read.class_names = NULL;
        read.class_count = 0;
    }
    if (classes_alone && read.label_kind != DC_LABELS_CLASSES)
        return dc_fail(error, DC_ERR_CONFIG,
                       "%s: labels that are values or tags stand in a table, a .csv file of files, "
                       "or in HDF5",
                       spec->path);
    DC_TRY(kind->open ? kind->open(source, &read, error)
                      : dc__memory_open(source, kind, &read, error));
    assert((*source)->count > 0);
    return DC_OK;
}

enum dc_status dc_source_look(int *classes, const struct dc_source_spec *spec,
                              struct dc_error *error)
{
    const struct dc__source_kind *kind = NULL;
    struct dc_source_spec split = *spec;
    struct dc_arena *arena = NULL;
    struct dc__file_list list = {0};
    enum dc_status status = DC_OK;
    *classes = 0;
    if (!dc_file_exists(spec->path) || find_kind(&kind, spec, NULL) != DC_OK || !kind->files_of ||
        (kind->load == dc__source_series.load && !dc__is_table(spec->path)))
        return DC_OK;
    DC_TRY(dc_arena_create(&arena, error));
    for (int i = 0; status == DC_OK && i < 2; i++) {
        split.split = i == 0 ? "train" : "test";
        status = dc__list_files(&list, kind->files_of, &split, arena, error);
    }
    *classes = list.classes;
    dc_arena_free(arena);
    return status;
}

bool dc_source_own_validation(const struct dc_source_spec *spec)
{
    const struct dc__source_kind *found = NULL;
    return find_kind(&found, spec, NULL) == DC_OK && found->own_validation &&
           found->own_validation(spec);
}

const char *dc_source_kind_of(const struct dc_source_spec *spec)
{
    const struct dc__source_kind *found = NULL;
    return find_kind(&found, spec, NULL) == DC_OK ? found->ops.kind : NULL;
}

struct dc_source_spec dc_source_spec_of(const char *text, const char *split)
{
    struct dc_source_spec spec = {.path = text,
                                  .split = split,
                                  .test_share = DC_TEST_SHARE,
                                  .split_seed = 1,
                                  .any_labels = true};
    const char *colon = strchr(text, ':');
    for (const char *const *kind = dc_source_kinds(); colon && *kind; kind++) {
        const size_t length = (size_t)(colon - text);
        if (strlen(*kind) == length && strncmp(*kind, text, length) == 0) {
            spec.kind = *kind;
            spec.path = colon + 1;
        }
    }
    return spec;
}

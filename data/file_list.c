// Owns the layouts of folders and their rules; it opens no file.

#include "data/file_list.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/yaml.h"
#include "data/kinds.h"
#include "data/split.h"

const struct dc__file_kind dc__photo_files = {"photograph",
                                              "photographs",
                                              {".jpg", ".jpeg", ".png", ".bmp"},
                                              ".jpg, .jpeg, .png and .bmp are read"};
const struct dc__file_kind dc__recording_files = {
    "recording", "recordings", {".csv"}, ".csv is read"};

struct names {
    const char **list;
    int count;
};

struct lister {
    struct dc__file_list *out;
    const struct dc__file_kind *kind;
    const struct dc_source_spec *spec;
    struct names classes;
    int64_t passed_over;
    struct dc_arena *arena;
    struct dc_error *error;
};

bool dc__is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool dc__is_of_kind(const char *name, const struct dc__file_kind *kind)
{
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && dot != name && kind->endings[i]; i++)
        if (!strcasecmp(dot, kind->endings[i]))
            return true;
    return false;
}

bool dc__holds_folder(const char *path)
{
    DIR *folder = opendir(path);
    bool found = false;
    struct stat info;
    for (struct dirent *entry; folder && !found && (entry = readdir(folder));)
        found = entry->d_name[0] != '.' && fstatat(dirfd(folder), entry->d_name, &info, 0) == 0 &&
                S_ISDIR(info.st_mode);
    if (folder)
        closedir(folder);
    return found;
}

// What file managers leave in folders.
static bool is_litter(const char *name)
{
    static const char *const known[] = {"Thumbs.db", "ehthumbs.db", "desktop.ini", "__MACOSX"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcasecmp(name, known[i]))
            return true;
    return name[0] == '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

// The entries of a folder in the order of strcmp, without litter.
static enum dc_status list_folder(struct names *names, struct lister *l, const char *path)
{
    struct dirent **entries = NULL;
    const int count = scandir(path, &entries, NULL, by_name);
    if (count < 0)
        return dc_fail(l->error, DC_ERR_DATA, "%s: cannot list the folder", path);
    *names = (struct names){DC_NEW(l->arena, const char *, count, l->error), 0};
    bool good = names->list;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (good && !is_litter(name))
            good = (names->list[names->count++] = dc_arena_copy(l->arena, name, l->error));
        else if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            l->passed_over++;
        free(entries[i]);
    }
    free(entries);
    return good ? DC_OK : DC_ERR_MEMORY;
}

static int find_name(const struct names *names, const char *name)
{
    for (int i = 0; i < names->count; i++)
        if (strcmp(names->list[i], name) == 0)
            return i;
    return -1;
}

// Folders alone may lie in `path`, one a class.
static enum dc_status list_class_folders(struct names *classes, struct lister *l, const char *path)
{
    DC_TRY(list_folder(classes, l, path));
    if (classes->count == 0)
        return dc_fail(l->error, DC_ERR_DATA, "%s: holds no class folder", path);
    for (int i = 0; i < classes->count; i++) {
        const char *inner = dc_arena_printf(l->arena, l->error, "%s/%s", path, classes->list[i]);
        if (!inner)
            return DC_ERR_MEMORY;
        if (!dc__is_folder(inner))
            return dc_fail(l->error, DC_ERR_DATA,
                           "%s: is not a class folder: %s lie in one folder a class, and "
                           "nothing else beside these",
                           inner, l->kind->many);
    }
    return DC_OK;
}

enum dc_status dc__add_file(struct dc__file_list *list, const char *path, int32_t label,
                            const float *values, struct dc_arena *arena, struct dc_error *error)
{
    if (list->count == list->capacity) {
        const int64_t capacity = list->capacity ? 2 * list->capacity : 256;
        const char **paths = DC_NEW(arena, const char *, capacity, error);
        int32_t *labels = DC_NEW(arena, int32_t, capacity, error);
        const float **all = DC_NEW(arena, const float *, capacity, error);
        if (!paths || !labels || !all)
            return DC_ERR_MEMORY;
        if (list->count > 0) {
            memcpy(paths, list->paths, (size_t)list->count * sizeof *paths);
            memcpy(labels, list->labels, (size_t)list->count * sizeof *labels);
            memcpy(all, list->values, (size_t)list->count * sizeof *all);
        }
        list->paths = paths;
        list->labels = labels;
        list->values = all;
        list->capacity = capacity;
    }
    list->paths[list->count] = path;
    list->values[list->count] = values;
    list->labels[list->count++] = label;
    return DC_OK;
}

static enum dc_status list_class(struct lister *l, const char *folder, int32_t label)
{
    struct names files;
    DC_TRY(list_folder(&files, l, folder));
    for (int i = 0; i < files.count; i++) {
        const char *path = dc_arena_printf(l->arena, l->error, "%s/%s", folder, files.list[i]);
        if (!path)
            return DC_ERR_MEMORY;
        DC_TRY(dc_check_stop(l->spec->stop, l->error));
        if (dc__is_folder(path))
            return l->spec->files
                       ? dc_fail(l->error, DC_ERR_DATA,
                                 "%s: is a folder within a folder; name it itself", path)
                       : dc_fail(l->error, DC_ERR_DATA,
                                 "%s: is a folder within a class; %s lie in their class's own "
                                 "folder",
                                 path, l->kind->many);
        if (!dc__is_of_kind(files.list[i], l->kind))
            return dc_fail(l->error, DC_ERR_DATA,
                           "%s: is no %s by its name; %s: convert it, or take it out", path,
                           l->kind->one, l->kind->endings_listed);
        DC_TRY(dc__add_file(l->out, path, label, NULL, l->arena, l->error));
    }
    return DC_OK;
}

// The files of the class folders of `root`, class by class.
static enum dc_status list_part(struct lister *l, const char *root)
{
    struct names here;
    DC_TRY(list_class_folders(&here, l, root));
    for (int i = 0; i < here.count; i++)
        if (find_name(&l->classes, here.list[i]) < 0)
            return dc_fail(l->error, DC_ERR_DATA, "%s/%s: the training data has no such class",
                           root, here.list[i]);
    for (int c = 0; c < l->classes.count; c++) {
        const int64_t before = l->out->count;
        const bool there = find_name(&here, l->classes.list[c]) >= 0;
        const char *folder = dc_arena_printf(l->arena, l->error, "%s/%s", root, l->classes.list[c]);
        if (!folder)
            return DC_ERR_MEMORY;
        if (there)
            DC_TRY(list_class(l, folder, c));
        if (l->out->count == before && (there || !l->spec->foreign))
            return dc_fail(
                l->error, DC_ERR_DATA,
                "%s: class '%s' has no %s here: add some, or take the class out of every "
                "part",
                there ? folder : root, l->classes.list[c], l->kind->one);
    }
    return DC_OK;
}

// Folder names in their order, or class_names, which are the same in an order of their own.
static enum dc_status find_classes(struct lister *l, const char *naming)
{
    const struct dc_source_spec *spec = l->spec;
    const int64_t counted = l->passed_over;
    DC_TRY(list_class_folders(&l->classes, l, naming));
    l->passed_over = counted;  // the folder is listed again for its samples
    const struct names found = l->classes;
    if (spec->class_names)
        l->classes = (struct names){DC_NEW(l->arena, const char *, spec->class_count, l->error),
                                    spec->class_count};
    else if (spec->class_count && spec->class_count != found.count)
        return dc_fail(l->error, DC_ERR_DATA, "%s: has %d class folders, %d were asked for", naming,
                       found.count, spec->class_count);
    if (!l->classes.list)
        return DC_ERR_MEMORY;
    for (int i = 0; spec->class_names && i < spec->class_count; i++) {
        l->classes.list[i] = dc_arena_copy(l->arena, spec->class_names[i], l->error);
        if (!l->classes.list[i])
            return DC_ERR_MEMORY;
        char hint[DC_HINT];
        if (find_name(&found, spec->class_names[i]) < 0 && !spec->foreign)
            return dc_fail(l->error, DC_ERR_DATA, "%s: has no folder of class '%s'%s", naming,
                           spec->class_names[i],
                           dc_did_you_mean(hint, spec->class_names[i], found.list, found.count));
    }
    for (int i = 0; i < found.count; i++)
        if (find_name(&l->classes, found.list[i]) < 0)
            return dc_fail(l->error, DC_ERR_DATA, "%s/%s: is not one of the classes named", naming,
                           found.list[i]);
    l->out->classes = l->classes.count;
    l->out->class_names = l->classes.list;
    return DC_OK;
}

struct layout {
    const char *train, *test, *validation;  // folders; NULL: not there
};

// Folders of folders that are called nearly as parts of the data are: no classes, which hold files.
static enum dc_status check_not_parts(struct lister *l, const struct names *here)
{
    static const char *const nearly[][2] = {
        {"train", "train"}, {"training", "train"}, {"trainset", "train"}, {"train_set", "train"},
        {"test", "test"},   {"testing", "test"},   {"testset", "test"},   {"test_set", "test"},
        {"val", "val"},     {"validation", "val"}, {"valid", "val"},      {"validate", "val"},
    };
    for (int i = 0; i < here->count; i++)
        for (size_t k = 0; k < sizeof nearly / sizeof nearly[0]; k++) {
            if (strcasecmp(here->list[i], nearly[k][0]) != 0)
                continue;
            const char *path = dc_arena_printf(l->arena, l->error, "%s/%s", l->spec->path,
                                               here->list[i]);
            if (!path)
                return DC_ERR_MEMORY;
            if (dc__holds_folder(path))
                return dc_fail(l->error, DC_ERR_DATA,
                               "%s: holds folders, as a part of the data does; call it '%s'", path,
                               nearly[k][1]);
        }
    return DC_OK;
}

// Where train/ or test/ is, nothing but the parts lies beside it, and files that say of them.
static enum dc_status find_parts(struct layout *layout, struct lister *l)
{
    static const char *const parts[] = {"train", "test", "val", "valid", "validation"};
    struct names here;
    const char *stray = NULL;
    *layout = (struct layout){0};
    DC_TRY(list_folder(&here, l, l->spec->path));
    const int64_t litter = l->passed_over;
    for (int i = 0; i < here.count; i++) {
        const char *path = dc_arena_printf(l->arena, l->error, "%s/%s", l->spec->path,
                                           here.list[i]);
        if (!path)
            return DC_ERR_MEMORY;
        size_t part = 0;
        while (part < sizeof parts / sizeof *parts && strcmp(here.list[i], parts[part]) != 0)
            part++;
        const char **place = part == 0   ? &layout->train
                             : part == 1 ? &layout->test
                                         : &layout->validation;
        if (!dc__is_folder(path))
            l->passed_over++;
        else if (part == sizeof parts / sizeof *parts)
            stray = path;
        else if (*place)
            return dc_fail(l->error, DC_ERR_DATA, "%s: is a second folder for validation; keep one",
                           path);
        else
            *place = path;
    }
    if (!layout->train && !layout->test) {  // these may be classes called like this
        l->passed_over = litter;
        layout->validation = NULL;
        return check_not_parts(l, &here);
    }
    char hint[DC_HINT];
    if (stray)
        return dc_fail(l->error, DC_ERR_DATA,
                       "%s: beside train/ there may be test/ and val/ (or valid/, validation/)%s",
                       stray,
                       dc_did_you_mean(hint, strrchr(stray, '/') + 1, parts,
                                       (int)(sizeof parts / sizeof *parts)));
    return DC_OK;
}

bool dc__folders_have_validation(const struct dc_source_spec *spec)
{
    struct dc__file_list unused = {0};
    struct lister l = {.out = &unused, .spec = spec};
    struct layout parts = {0};
    const bool found = dc_arena_create(&l.arena, NULL) == DC_OK &&
                       find_parts(&parts, &l) == DC_OK && parts.train && parts.validation;
    dc_arena_free(l.arena);
    return found;
}

// Each class is on both sides of the cut. kept: [classes][2].
static enum dc_status check_cut(const struct dc__file_list *list, const int64_t *kept,
                                const struct dc__file_kind *kind, const struct dc_source_spec *spec,
                                struct dc_error *error)
{
    for (int c = 0; c < list->classes; c++)
        if (kept[2 * c] == 0 || kept[2 * c + 1] == 0)
            return dc_fail(error, DC_ERR_DATA,
                           "%s: class '%s' has %" PRId64
                           " %s, of which test: %g leaves none for %s; add some, or say yourself "
                           "which are for testing",
                           spec->path, list->class_names[c], kept[2 * c] + kept[2 * c + 1],
                           kind->many, spec->test_share, kept[2 * c] ? "the test set" : "training");
    return DC_OK;
}

enum dc_status dc__cut_test(struct dc__file_list *list, const struct dc__file_kind *kind,
                            const struct dc_source_spec *spec, struct dc_arena *arena,
                            struct dc_error *error)
{
    const int64_t count = list->count, wanted = (int64_t)(spec->test_share * (double)count + 0.5);
    const bool test = dc__is_test(spec);
    const bool classed = list->classes > 0 && (count == 0 || !list->values[0]);
    bool *chosen = NULL;
    if (!(spec->test_share > 0.0) && test)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: has no split 'test'; put class folders below train/ and test/, or give "
                       "the test set a share: test: 0.2",
                       spec->path);
    DC_TRY(dc_choose(&chosen, classed ? list->labels : NULL, list->classes, count, wanted,
                     spec->split_seed, DC_PURPOSE_TEST_SHARE, arena, error));
    int64_t *kept = DC_NEW(arena, int64_t, 2 * list->classes + 2, error);
    if (!kept)
        return DC_ERR_MEMORY;
    list->count = 0;
    for (int64_t i = 0; i < count; i++) {
        kept[2 * list->labels[i] + chosen[i]]++;
        if (chosen[i] == test) {
            list->paths[list->count] = list->paths[i];
            list->values[list->count] = list->values[i];
            list->labels[list->count++] = list->labels[i];
        }
    }
    if (spec->test_share > 0.0 && classed)
        DC_TRY(check_cut(list, kept, kind, spec, error));
    if (list->count == 0)
        return dc_fail(error, DC_ERR_DATA, "%s: test: %g of %" PRId64 " %s leaves none for %s",
                       spec->path, spec->test_share, count, kind->many,
                       test ? "the test set" : "training");
    list->note = dc_arena_printf(
        arena, error, "%" PRId64 " of %" PRId64 " %s are the test set (test: %g, split_seed: %u)",
        wanted, count, kind->many, spec->test_share, spec->split_seed);
    return list->note ? DC_OK : DC_ERR_MEMORY;
}

static enum dc_status list_split(struct lister *l)
{
    const struct dc_source_spec *spec = l->spec;
    struct layout parts;
    DC_TRY(find_parts(&parts, l));
    const bool test = dc__is_test(spec);
    const char *whole = parts.train ? parts.train : spec->path;
    if (parts.test && !parts.train && !spec->foreign)
        return dc_fail(l->error, DC_ERR_DATA, "%s: has test/, but no train/ to learn from",
                       spec->path);
    if (spec->foreign && test && parts.test)
        whole = parts.test;
    else if (spec->foreign && !parts.train && parts.test)
        return dc_fail(l->error, DC_ERR_DATA, "%s: has no split 'train'", spec->path);
    DC_TRY(find_classes(l, whole));
    if (test && parts.test)
        return list_part(l, parts.test);
    DC_TRY(list_part(l, whole));
    if (!parts.test && !spec->foreign)
        DC_TRY(dc__cut_test(l->out, l->kind, spec, l->arena, l->error));
    const int64_t own = l->out->count;
    if (parts.validation && parts.train && !test)
        DC_TRY(list_part(l, parts.validation));
    l->out->own_validation = l->out->count - own;
    if (l->out->own_validation > 0)
        l->out->note = dc_arena_printf(l->arena, l->error,
                                       "%s%s%" PRId64 " of %" PRId64 " are %s, for validation",
                                       l->out->note ? l->out->note : "", l->out->note ? "; " : "",
                                       l->out->own_validation, l->out->count, parts.validation);
    return l->out->own_validation == 0 || l->out->note ? DC_OK : DC_ERR_MEMORY;
}

enum dc_status dc__list_folders(struct dc__file_list *list, const struct dc__file_kind *kind,
                                const struct dc_source_spec *spec, struct dc_arena *arena,
                                struct dc_error *error)
{
    struct lister l = {.out = list, .kind = kind, .spec = spec, .arena = arena, .error = error};
    *list = (struct dc__file_list){0};
    if (spec->files) {
        for (int64_t i = 0; i < spec->file_count; i++)
            DC_TRY(dc__is_folder(spec->files[i])
                       ? list_class(&l, spec->files[i], 0)
                       : dc__add_file(list, spec->files[i], 0, NULL, arena, error));
        return list->count > 0
                   ? DC_OK
                   : dc_fail(error, DC_ERR_DATA, "%s: holds no %s", spec->files[0], kind->one);
    }
    DC_TRY(list_split(&l));
    if (l.passed_over > 0) {
        list->note = dc_arena_printf(
            arena, error, "%s%s%" PRId64 " hidden or system files passed over",
            list->note ? list->note : "", list->note ? "; " : "", l.passed_over);
        return list->note ? DC_OK : DC_ERR_MEMORY;
    }
    return DC_OK;
}

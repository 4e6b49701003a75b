// Owns the way from a name to the file it stands for (search.h). It reads folders and the first
// comments of files, and keeps nothing.

#include "core/search.h"

#include <assert.h>
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/suggest.h"
#include "core/yaml.h"

enum { PATH_BYTES = 4096, FOLDERS_MAX = 32, ENTRIES_MAX = 256, ABOUT_MAX = 400, CLIMB = 3 };

static const struct {
    const char *word, *folder;
} kinds[DC_SEARCH_KINDS] = {
    [DC_SEARCH_NONE] = {"", ""},
    [DC_SEARCH_EXPERIMENT] = {"experiment", "experiments"},
    [DC_SEARCH_MODEL] = {"model", "models"},
    [DC_SEARCH_TARGET] = {"target", "targets"},
    [DC_SEARCH_AUGMENT] = {"augmentation", "augment"},
    [DC_SEARCH_BENCH] = {"experiment", "."},
};

const char *const dc_search_folders[] = {"experiments", "models", "targets", "augment", NULL};
static_assert(sizeof dc_search_folders / sizeof dc_search_folders[0] ==
                  DC_SEARCH_AUGMENT - DC_SEARCH_EXPERIMENT + 2,
              "a folder a kind that a command may ask for");

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

// A file name of a kind that is looked for says itself what it is.
static bool has_ending(const char *name)
{
    return dc_path_ends(name, ".yaml") || dc_path_ends(name, ".yml") || dc_path_ends(name, ".onnx");
}

// The program or library that this code was loaded from, as the system maps it; false: it does not
// tell. (dladdr gives a program's first argument, which may be any text.)
static bool own_file(char path[PATH_BYTES])
{
    const unsigned long here = (unsigned long)(const void *)kinds;
    char line[PATH_BYTES + 128];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && !found && fgets(line, sizeof line, maps)) {
        char *end = NULL;
        const unsigned long from = strtoul(line, &end, 16);
        const unsigned long to = *end == '-' ? strtoul(end + 1, NULL, 16) : 0;
        const char *file = strchr(line, '/');
        found = here >= from && here < to && file;
        if (found)
            snprintf(path, PATH_BYTES, "%.*s", (int)strcspn(file, "\n"), file);
    }
    if (maps)
        fclose(maps);
    return found;
}

// PREFIX/share/decant, or "".
static void share_folder(char folder[PATH_BYTES])
{
    char path[PATH_BYTES];
    struct stat own, found;
    bool there = false;
    folder[0] = '\0';
    if (!own_file(path) || stat(path, &own) != 0)
        return;
    for (int i = 0; i < CLIMB && !there; i++) {
        char *slash = strrchr(path, '/');
        if (!slash)
            break;
        *slash = '\0';
        const int length = snprintf(folder, PATH_BYTES, "%s/share/decant", path);
        there = length < PATH_BYTES && stat(folder, &found) == 0 && S_ISDIR(found.st_mode) &&
                (found.st_uid == 0 || found.st_uid == own.st_uid);
    }
    if (!there)
        folder[0] = '\0';
}

// Steps 2 and 3: the folders, first the one that is looked into first.
static enum dc_status find_folders(const char *folders[FOLDERS_MAX], int *count,
                                   struct dc_arena *arena, struct dc_error *error)
{
    char share[PATH_BYTES];
    const char *list = getenv("DECANT_PATH");
    *count = 0;
    for (const char *at = list ? list : ""; *at; at += strspn(at, ":")) {
        const int length = (int)strcspn(at, ":");
        if (length > 0 && *count == FOLDERS_MAX - 1)
            return dc_fail(error, DC_ERR_CONFIG, "DECANT_PATH names more than %d folders",
                           FOLDERS_MAX - 1);
        if (length > 0 &&
            !(folders[(*count)++] = dc_arena_printf(arena, error, "%.*s", length, at)))
            return DC_ERR_MEMORY;
        at += length;
    }
    share_folder(share);
    if (share[0] && !(folders[(*count)++] = dc_arena_copy(arena, share, error)))
        return DC_ERR_MEMORY;
    return DC_OK;
}

// FOLDER/NAME, or FOLDER/NAME.yaml, where one of them is a file. folder: with its '/', or "".
static enum dc_status look(char **path, const char *folder, const char *name,
                           struct dc_arena *arena, struct dc_error *error)
{
    for (int ending = 0; ending <= !has_ending(name); ending++) {
        *path = dc_arena_printf(arena, error, "%s%s%s", folder, name, ending ? ".yaml" : "");
        if (!*path)
            return DC_ERR_MEMORY;
        if (is_file(*path))
            return DC_OK;
    }
    *path = NULL;
    return DC_OK;
}

enum dc_status dc_search(char **path, enum dc_search_kind kind, const char *text,
                         const char *relative_to, struct dc_arena *arena, struct dc_error *error)
{
    const char *folders[FOLDERS_MAX];
    char *beside = NULL, *found = NULL;
    int count = 0;
    DC_TRY(dc_path_resolve(&beside, text, relative_to, arena, error));
    *path = beside;
    if (kind == DC_SEARCH_NONE || !text[0] || strpbrk(text, "/$"))
        return DC_OK;
    DC_TRY(look(&found, "", beside, arena, error));
    if (!found)
        DC_TRY(find_folders(folders, &count, arena, error));
    for (int i = 0; i < count && !found; i++) {
        const char *folder = dc_arena_printf(arena, error, "%s/%s/", folders[i],
                                             kinds[kind].folder);
        if (!folder)
            return DC_ERR_MEMORY;
        DC_TRY(look(&found, folder, text, arena, error));
    }
    if (found)
        *path = found;
    return DC_OK;
}

enum dc_status dc_search_fail(struct dc_error *error, const struct dc_yaml *node, const char *who,
                              enum dc_search_kind kind, const char *text, const char *path)
{
    const struct dc_search_entry *entries = NULL;
    const char *names[ENTRIES_MAX];
    struct dc_arena *arena = NULL;
    char hint[DC_HINT] = "", all[1024], note[1200];
    int count = 0;
    DC_TRY(dc_arena_create(&arena, error));
    const bool named = !strchr(text, '/');
    if (dc_search_list(&entries, &count, kind, arena, NULL) != DC_OK)
        count = 0;
    for (int i = 0; i < count; i++)
        names[i] = entries[i].name;
    if (!named || count == 0 || !dc_did_you_mean(hint, text, names, count)[0])
        dc_file_hint(hint, path, NULL);
    dc_join(all, sizeof all, names, count);
    snprintf(note, sizeof note, "%ss by name: %s", kinds[kind].word, all);
    enum dc_status status;
    if (node) {
        struct dc_location place = node->where;
        place.marked = node->kind == DC_YAML_SCALAR ? (int)strlen(node->text) : 0;
        status = dc_fail_at(error, DC_ERR_CONFIG, &place, hint[0] ? hint + 2 : NULL,
                            count > 0 ? note : NULL, "%sthere is no %s %s%s%s", who,
                            kinds[kind].word, named ? "'" : "file ", named ? text : path,
                            named ? "'" : "");
    } else {
        status = dc_fail(error, DC_ERR_CONFIG, "%sthere is no %s '%s'%s%s%s", who, kinds[kind].word,
                         text, hint, count > 0 ? "\n        " : "", count > 0 ? note : "");
    }
    dc_arena_free(arena);
    return status;
}

// The first sentence of the comment that a file begins with.
static const char *about(const char *path, struct dc_arena *arena)
{
    char line[1024], text[ABOUT_MAX] = "";
    size_t length = 0;
    FILE *file = NULL;
    int64_t size = 0;
    if (!dc_path_ends(path, ".yaml") || dc_file_open(&file, &size, path, NULL) != DC_OK)
        return "";
    while (fgets(line, sizeof line, file) && line[0] == '#') {
        const char *words = line + 1 + strspn(line + 1, " ");
        char *end = strpbrk(words, "\n");
        if (end)
            *end = '\0';
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", length ? " " : "",
                                   words);
        char *stop = strstr(text, ". ");
        if (stop || length >= sizeof text || text[length - (length > 0)] == '.') {
            text[stop ? (size_t)(stop - text) + 1 : strlen(text)] = '\0';
            break;
        }
    }
    fclose(file);
    const char *copy = dc_arena_copy(arena, text, NULL);
    return copy ? copy : "";
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct dc_search_entry *)a)->name,
                  ((const struct dc_search_entry *)b)->name);
}

// A file of the folder, unless its name is hidden by one that is found before.
static enum dc_status add(struct dc_search_entry *entries, int *count, const char *folder,
                          const char *file, struct dc_arena *arena, struct dc_error *error)
{
    const int ending = dc_path_ends(file, ".yaml") ? 5 : 0;
    if (file[0] == '.' || !has_ending(file) || *count == ENTRIES_MAX)
        return DC_OK;
    const char *name = dc_arena_printf(arena, error, "%.*s", (int)strlen(file) - ending, file);
    const char *path = dc_arena_printf(arena, error, "%s/%s", folder, file);
    if (!name || !path)
        return DC_ERR_MEMORY;
    for (int i = 0; i < *count; i++)
        if (strcmp(entries[i].name, name) == 0)
            return DC_OK;
    if (is_file(path))
        entries[(*count)++] = (struct dc_search_entry){name, path, about(path, arena)};
    return DC_OK;
}

enum dc_status dc_search_list(const struct dc_search_entry **out, int *count,
                              enum dc_search_kind kind, struct dc_arena *arena,
                              struct dc_error *error)
{
    const char *folders[FOLDERS_MAX];
    int folder_count = 0;
    struct dc_search_entry *entries = DC_NEW(arena, struct dc_search_entry, ENTRIES_MAX, error);
    *count = 0;
    *out = entries;
    if (!entries)
        return DC_ERR_MEMORY;
    DC_TRY(find_folders(folders, &folder_count, arena, error));
    for (int i = 0; i < folder_count; i++) {
        const char *folder = dc_arena_printf(arena, error, "%s/%s", folders[i], kinds[kind].folder);
        if (!folder)
            return DC_ERR_MEMORY;
        DIR *files = opendir(folder);
        enum dc_status status = DC_OK;
        for (const struct dirent *e; files && status == DC_OK && (e = readdir(files));)
            status = add(entries, count, folder, e->d_name, arena, error);
        if (files)
            closedir(files);
        DC_TRY(status);
    }
    qsort(entries, (size_t)*count, sizeof *entries, compare);
    return DC_OK;
}

// `decant list`: experiments, models, targets and augmentations that have a name.

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/search.h"

struct list {
    struct dc_cli cli;
};

static const struct dc_option options[] = {
    DC_OPTION_JSON(list),
    DC_OPTION_QUIET(list),
};

static void print_entries(const struct dc_search_entry *entries, int count)
{
    int width = 0;
    for (int i = 0; i < count; i++)
        width = (int)strlen(entries[i].name) > width ? (int)strlen(entries[i].name) : width;
    for (int i = 0; i < count; i++) {
        const int column = printf("%-*s  ", width, entries[i].name);
        dc_print_wrapped(entries[i].about, column, column);
    }
}

static enum dc_status list_kind(json_t *all, enum dc_search_kind kind, bool titled,
                                struct dc_error *error)
{
    const char *folder = dc_search_folders[kind - DC_SEARCH_EXPERIMENT];
    const struct dc_search_entry *entries = NULL;
    struct dc_arena *arena = NULL;
    json_t *array = all ? json_array() : NULL;
    int count = 0;
    DC_TRY(dc_arena_create(&arena, error));
    if (all)
        json_object_set_new(all, folder, array);
    const enum dc_status status = dc_search_list(&entries, &count, kind, arena, error);
    for (int i = 0; status == DC_OK && all && i < count; i++)
        json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "name", entries[i].name, "about",
                                               entries[i].about, "file", entries[i].path));
    if (status == DC_OK && !all) {
        if (titled)
            printf("%s%s:\n", kind > DC_SEARCH_EXPERIMENT ? "\n" : "", folder);
        print_entries(entries, count);
    }
    dc_arena_free(arena);
    return status;
}

static enum dc_status list(const struct dc_cli *cli, struct dc_error *error)
{
    const char *wanted = cli->positional_count > 0 ? cli->positionals[0] : NULL;
    json_t *all = cli->json ? json_object() : NULL;
    enum dc_status status = DC_OK;
    bool found = false;
    int count = 0;
    for (; status == DC_OK && dc_search_folders[count]; count++) {
        if (wanted && strcmp(wanted, dc_search_folders[count]) != 0)
            continue;
        found = true;
        status = list_kind(all, (enum dc_search_kind)(DC_SEARCH_EXPERIMENT + count), !wanted,
                           error);
    }
    if (status == DC_OK && !found) {
        char hint[DC_HINT];
        status = dc_fail(error, DC_ERR_USAGE,
                         "decant list knows experiments, models, targets and augment, not '%s'%s",
                         wanted, dc_did_you_mean(hint, wanted, dc_search_folders, count));
    }
    if (status == DC_OK && all)
        return dc_cli_print_json(all, error);
    json_decref(all);
    return status;
}

const struct dc_verb dc_verb_list = {
    .name = "list",
    .arguments = "[experiments|models|targets|augment]",
    .brief = "experiments, models, targets and augmentations that have a name",
    .text =
        "A name stands for a file wherever one is asked for, on the command line and in files. "
        "NAME or NAME.yaml is looked for beside the file that names it (on the command line: "
        "here), then in the folders experiments, models, targets or augment of each folder of "
        "$DECANT_PATH, then in those of share/decant, where Decant is installed. What holds a / "
        "is a path and nothing else. --json tells each file.",
    DC_VERB_OPTIONS(options, list),
    .positionals_max = 1,
    .run = list,
};

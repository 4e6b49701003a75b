// Names that stand for files: experiments, models, targets and augmentations from anywhere.
//
// A text with a '/' is a path and nothing else. Any other, NAME, is looked for in this order, each
// time as NAME and as NAME.yaml:
//   1. beside the file that names it; of a command in the current folder
//   2. in FOLDER/models, FOLDER/targets, ... of each folder of $DECANT_PATH, separated by ':'
//   3. in the same of the share folder: share/decant in the folder of the program or library that
//      this code is part of, or in one of the two above it (PREFIX/bin/decant and
//      PREFIX/lib/ARCH/libdecant.so both find PREFIX/share/decant), where it belongs to root or to
//      the owner of that program. A build folder has one too, of links to the source.
// This is the one place that knows the rule.

#ifndef DC_CORE_SEARCH_H
#define DC_CORE_SEARCH_H

#include "core/arena.h"

struct dc_yaml;

enum dc_search_kind {
    DC_SEARCH_NONE,  // of a field: its path is a path
    DC_SEARCH_EXPERIMENT,
    DC_SEARCH_MODEL,
    DC_SEARCH_TARGET,
    DC_SEARCH_AUGMENT,
    DC_SEARCH_BENCH,  // what `decant bench` reads
    DC_SEARCH_KINDS
};

// The folder of a kind, "models", NULL-terminated from DC_SEARCH_EXPERIMENT to DC_SEARCH_AUGMENT:
// what a command may ask for.
extern const char *const dc_search_folders[];

// *path: the file that `text` stands for, with variables replaced (dc_path_resolve); relative where
// the text is. Where there is none it is the path beside `relative_to` (NULL: here), which is not
// there: the caller's message is dc_search_fail's.
DC_MUST_USE enum dc_status dc_search(char **path, enum dc_search_kind kind, const char *text,
                                     const char *relative_to, struct dc_arena *arena,
                                     struct dc_error *error);

// DC_ERR_CONFIG: there is none, with a suggestion and the names that there are. node: the text in a
// user's file; NULL: it comes from a command. who: "stage 'x': ", or "". path: as dc_search left
// it.
DC_MUST_USE enum dc_status dc_search_fail(struct dc_error *error, const struct dc_yaml *node,
                                          const char *who, enum dc_search_kind kind,
                                          const char *text, const char *path);

struct dc_search_entry {
    const char *name, *path;
    const char *about;  // the first sentence of the file's first comment, or ""
};

// All names of steps 2 and 3, sorted; of two the one that is found.
DC_MUST_USE enum dc_status dc_search_list(const struct dc_search_entry **entries, int *count,
                                          enum dc_search_kind kind, struct dc_arena *arena,
                                          struct dc_error *error);

#endif

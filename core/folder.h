// What Decant may replace or remove, and the leftovers of killed processes.
//
// The rule of the whole program: nothing is deleted or replaced that Decant did not write. A folder
// in the making carries a mark, the file DC_FOLDER_MARK, which lists the names of all files that
// will be written there; a finished one is known by its own first file (a bundle by its manifest),
// and its owner tells the names that belong to it. Only plain files of these names are ever removed
// from a folder, and the folder only when nothing else is left in it. No symbolic link is followed,
// neither the folder's own name nor a name inside it.
//
// Leftovers are told by a name that ends in the number of the process that wrote it, and removed
// when that process is gone: NAME.tmp-PID beside a file or folder being written, NAME.old-PID
// beside a folder being replaced, PREFIX-PID-ANYTHING in the system's folder for temporary files.
// This process counts as gone: numbers come back, and what it is going to write is not begun yet.

#ifndef DC_CORE_FOLDER_H
#define DC_CORE_FOLDER_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/error.h"

#define DC_FOLDER_MARK ".decant"

// NULL, or what forbids `name` as the name of a file or folder within another: "is empty",
// "leaves its folder", ...
const char *dc_name_fault(const char *name);

// *empty: there is nothing at `path`, or a folder without entries. Whatever is no folder, a
// symbolic link to one included, is DC_ERR_USAGE; "LINK/." names what the link leads to.
DC_MUST_USE enum dc_status dc_folder_is_empty(bool *empty, const char *path,
                                              struct dc_error *error);
// The folder holds plain files of these names (NULL behind the last), their temporaries, and
// nothing else; or DC_ERR_USAGE, which names what else there is.
DC_MUST_USE enum dc_status dc_folder_holds_only(const char *path, const char *const *names,
                                                struct dc_error *error);

// Marks an empty folder as being in the making; dc_folder_begin makes it first: path must not
// exist.
DC_MUST_USE enum dc_status dc_folder_mark(const char *path, const char *const *names,
                                          struct dc_error *error);
DC_MUST_USE enum dc_status dc_folder_begin(const char *path, const char *const *names,
                                           struct dc_error *error);
// Removes a marked folder as far as its mark goes. Failing leaves litter, not damage.
void dc_folder_discard(const char *path);
// The marked folder `fresh` takes the place of `path`: of nothing, of an empty folder, or of one
// that holds only `names` (NULL: it must be empty). A failure leaves `path` as it was.
DC_MUST_USE enum dc_status dc_folder_replace(const char *path, const char *fresh,
                                             const char *const *names, struct dc_error *error);

// Removes the leftovers of the file `path`. Their names alone tell them, so the folder must be
// Decant's: a run directory, a cache.
void dc_sweep_files(const char *path);
// Removes the leftovers of the folder `path`, which their marks tell. One that was moved aside when
// its process ended comes back if nothing took its place.
void dc_sweep_folders(const char *path);
// Removes marked folders FOLDER/PREFIX-PID-ANYTHING of this user.
void dc_sweep_prefixed(const char *folder, const char *prefix);

// Whether a command may write its result to the file `path`: nothing is there, or an empty file, or
// a plain file that Decant wrote and that is not `input` (NULL: none). Decant's are told by marks:
// a text, and another (NULL: none) within the next 256 bytes. Else DC_ERR_USAGE.
DC_MUST_USE enum dc_status dc_file_may_replace(const char *path, const char *mark,
                                               const char *second_mark, const char *input,
                                               struct dc_error *error);

#endif

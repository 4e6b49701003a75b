// Compilers and what they made, run directly, without a shell, in a temporary folder of ours.

#ifndef DC_EXPORT_PROCESS_H
#define DC_EXPORT_PROCESS_H

#include <sys/types.h>

#include "core/arena.h"
#include "core/context.h"

// A program with its words. It is started in `folder`; files are its standard input, output and
// messages. NULL: inherited.
struct dc__command {
    char *const *argv;
    const char *folder, *in, *out, *err;
    double seconds;  // that dc__process_run waits for its end; 0: as long as it takes
};
enum { DC__PROCESS_OVERDUE = -2 };  // the code of one that was ended for that

// In a process group of its own: a stop ends it together with what it started.
DC_MUST_USE enum dc_status dc__process_start(pid_t *pid, const struct dc__command *command,
                                             struct dc_error *error);
// *code: that of the exit, or 128 plus the signal, or DC__PROCESS_OVERDUE. A stop ends the process:
// DC_ERR_STOPPED.
DC_MUST_USE enum dc_status dc__process_finish(int *code, const struct dc_ctx *ctx, pid_t pid,
                                              struct dc_error *error);
// Both.
DC_MUST_USE enum dc_status dc__process_run(int *code, const struct dc_ctx *ctx,
                                           const struct dc__command *command,
                                           struct dc_error *error);
// Whether there is such a program in $PATH.
bool dc__has_program(const char *name);

// A folder TMPDIR/PREFIX-PID-ANYTHING of this user alone, marked with the names of all files that
// it will hold, so that a killed process is cleaned up later: by the next one that asks. Removed
// with dc_folder_discard. *work stays NULL where there is none.
DC_MUST_USE enum dc_status dc__work_create(char **work, const char *prefix,
                                           const char *const *names, struct dc_arena *arena,
                                           struct dc_error *error);

#endif

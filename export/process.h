// Compilers and what they made, run directly, without a shell.

#ifndef DC_EXPORT_PROCESS_H
#define DC_EXPORT_PROCESS_H

#include <sys/types.h>

#include "core/context.h"

// Starts a program with the files as its standard input and output (NULL: inherited), in a process
// group of its own: a stop ends it together with what it started.
DC_MUST_USE enum dc_status dc__process_start(pid_t *pid, char *const argv[], const char *in,
                                             const char *out, struct dc_error *error);
// *code: that of the exit, or 128 plus the signal. A stop ends the process: DC_ERR_STOPPED.
DC_MUST_USE enum dc_status dc__process_finish(int *code, const struct dc_ctx *ctx, pid_t pid,
                                              struct dc_error *error);

#endif

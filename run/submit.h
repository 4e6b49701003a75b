// The batch script by which Slurm carries a run or a sweep out.

#ifndef DC_RUN_SUBMIT_H
#define DC_RUN_SUBMIT_H

#include "core/arena.h"
#include "core/schema.h"

struct dc_submission {
    const char *name;    // of the job: dc_submit_name's
    const char *folder;  // where the commands are carried out
    const char *const
        *command;     // its words, NULL behind the last; of an array, --task N comes behind
    const char *log;  // of the job's output: such names, and Slurm's patterns
    int cpus, minutes, tasks;  // tasks: of an array; 0: none
    int at_once;               // tasks at a time; 0: any
    int64_t memory_mib;
    const char *const *extra;  // lines behind #SBATCH, NULL behind the last; or NULL
};

// Seconds before its time limit at which a job is told; Slurm may be 60 of them late.
// A job has a minute at least before it is told, or it would be asked for again for ever.
enum { DC_SUBMIT_NOTICE = 120, DC_SUBMIT_MINUTES_MIN = (DC_SUBMIT_NOTICE + 60) / 60 + 1 };
#define DC_SUBMIT_MARK "# Written by Decant: batch script 1"

// A script that passes the signal on, and asks for the same job (of an array this task alone) again
// where the program ends with 85, having written its checkpoint.
void dc_submit_script(struct dc_text_buffer *out, const struct dc_submission *submission);

// The name with another character than A-Z, a-z, 0-9, '.', '_' and '-' as '_', for lines that
// Slurm reads; a '-' in front too, and nothing is "job". NULL: out of memory.
char *dc_submit_name(const char *name, struct dc_arena *arena, struct dc_error *error);
bool dc_submit_is_plain_path(const char *path);  // such names and '/'

// A word as a shell reads it.
void dc_append_shell_word(struct dc_text_buffer *out, const char *word);

#endif

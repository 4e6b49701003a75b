// Owns the text of batch scripts.

#include "run/submit.h"

#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

char *dc_submit_name(const char *name, struct dc_arena *arena, struct dc_error *error)
{
    char *copy = dc_arena_copy(arena, name[0] ? name : "job", error);
    if (!copy)
        return NULL;
    for (size_t i = strspn(copy, LETTERS); copy[i]; i += strspn(copy + i, LETTERS))
        copy[i] = '_';
    if (copy[0] == '-')
        copy[0] = '_';
    return copy;
}

bool dc_submit_is_plain_path(const char *path)
{
    return path[strspn(path, LETTERS "/")] == '\0';
}

void dc_append_shell_word(struct dc_text_buffer *out, const char *word)
{
    if (word[0] && strspn(word, LETTERS "+=:,/@%") == strlen(word)) {
        dc_text_append(out, "%s", word);
        return;
    }
    dc_text_append(out, "'");
    for (; *word; word++)
        dc_text_append(out, *word == '\'' ? "'\\''" : "%c", *word);
    dc_text_append(out, "'");
}

// The program is no child of Slurm's that signals reach: the script waits for it, and passes them
// on. `wait` ends early where a signal comes, with a code above 128.
static const char body[] =
    "child=\n"
    "pass_on() { [ -n \"$child\" ] && kill -USR1 \"$child\" 2>/dev/null; }\n"
    "trap pass_on USR1 TERM\n"
    "\"$@\" &\n"
    "child=$!\n"
    "wait \"$child\"\n"
    "code=$?\n"
    "while [ \"$code\" -gt 128 ] && kill -0 \"$child\" 2>/dev/null; do\n"
    "    wait \"$child\"\n"
    "    code=$?\n"
    "done\n"
    "if [ \"$code\" -gt 128 ]; then\n"
    "    wait \"$child\"\n"
    "    last=$?\n"
    "    [ \"$last\" -eq 127 ] || code=$last\n"
    "fi\n"
    "if [ \"$code\" -eq 85 ]; then # stopped with a checkpoint: this job again, of an array this "
    "task\n"
    "    job=$SLURM_JOB_ID\n"
    "    [ -n \"$SLURM_ARRAY_JOB_ID\" ] && job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\n"
    "    echo \"job $job stopped with a checkpoint and is asked for again\"\n"
    "    scontrol requeue \"$job\"\n"
    "fi\n"
    "exit \"$code\"\n";

void dc_submit_script(struct dc_text_buffer *out, const struct dc_submission *s)
{
    dc_text_append(out, "#!/bin/bash\n" DC_SUBMIT_MARK "\n#SBATCH --job-name=%s\n", s->name);
    if (s->tasks > 0)
        dc_text_append(out, "#SBATCH --array=0-%d", s->tasks - 1);
    if (s->tasks > 0 && s->at_once > 0)
        dc_text_append(out, "%%%d", s->at_once);
    dc_text_append(out,
                   "%s#SBATCH --cpus-per-task=%d\n#SBATCH --mem=%lldM\n#SBATCH --time=%d\n"
                   "#SBATCH --signal=B:USR1@%d\n#SBATCH --requeue\n#SBATCH --open-mode=append\n"
                   "#SBATCH --output=%s\n",
                   s->tasks > 0 ? "\n" : "", s->cpus, (long long)s->memory_mib, s->minutes,
                   DC_SUBMIT_NOTICE, s->log);
    for (int i = 0; s->extra && s->extra[i]; i++)
        dc_text_append(out, "#SBATCH %s\n", s->extra[i]);
    dc_text_append(out, "\ncd ");
    dc_append_shell_word(out, s->folder);
    dc_text_append(out, " || exit 1\nset --");
    for (int i = 0; s->command[i]; i++) {
        dc_text_append(out, " ");
        dc_append_shell_word(out, s->command[i]);
    }
    if (s->tasks > 0)
        dc_text_append(out, " --task \"$SLURM_ARRAY_TASK_ID\"");
    dc_text_append(out, "\n%s", body);
}

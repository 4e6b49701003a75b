// Progress for people: a bar with the time left on a terminal, never wider than it; a plain line
// now and then elsewhere. There are no colours, so that NO_COLOR has nothing to switch off.

#ifndef DC_CLI_PROGRESS_H
#define DC_CLI_PROGRESS_H

#include "cli/cli.h"
#include "distill/teach.h"

struct dc_progress_view {
    bool terminal;  // stderr is one
    bool quiet;
    int bar_shown;  // columns of the bar that the cursor stands behind; 0: none
    double next;    // time of the next update
    double began;   // of samples
};

struct dc_progress_view dc_progress_start(bool quiet);
// Of a verb whose first argument is an experiment: with progress and log on stderr. set: --set,
// or NULL; directory: --run, or NULL; job: or NULL.
struct dc_run_options dc_cli_run_options(const struct dc_cli *cli, const struct dc_settings *set,
                                         const char *directory, const struct dc_job *job,
                                         struct dc_progress_view *view);
void dc_progress_show(void *view, const struct dc_progress *progress);
void dc_progress_stage(void *view, const struct dc_stage *stage, const char *what);
void dc_progress_teach(void *view, const struct dc_teach_progress *progress);
// Samples of an evaluation; the bar is cleared at their end.
void dc_progress_samples(void *view, int64_t done, int64_t total);
// Seconds of a device under load, likewise.
void dc_progress_load(void *view, double done, double total);
// Clears the bar, so that a line may be printed.
void dc_progress_clear(struct dc_progress_view *view);

#endif

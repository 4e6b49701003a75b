// A sweep: one experiment with other values of some keys, as many tasks as there are combinations,
// or as many drawn by lot.
//
//   experiment: fashion-mnist.yaml        # a file, beside this one, or a name
//   axes:
//     stages.student.parameters.width: [4, 8, 16]
//     stages.student.train.learning_rate: {low: 0.01, high: 0.3, log: true}   # method: random
//     seed: [1, 2, 3]
//   method: grid                          # or random, with samples: N
//
// The list of tasks is frozen in DIR/sweep.jsonl, a line a task, and never changes: a task is known
// by its number, and held to the hash of all that shapes its stages, its files' content with it.
// DIR/tasks/N is the run directory of task N, DIR/results/N.json appears whole when it is done,
// DIR/soft-targets are the caches that all share.

#ifndef DC_RUN_SWEEP_FILE_H
#define DC_RUN_SWEEP_FILE_H

#include <jansson.h>

#include "core/schema.h"
#include "run/run.h"

enum { DC_SWEEP_AXES = 12, DC_SWEEP_TASKS = 10000 };
extern const struct dc_schema dc_sweep_schema;

struct dc_sweep_task {
    const char *overrides[DC_SWEEP_AXES];  // "KEY=VALUE", as --set takes them
    uint64_t hash;                         // of all its stages'
};

struct dc_sweep {
    struct dc_arena *arena;
    const char *file, *directory, *experiment;
    int axis_count, task_count;
    const char *keys[DC_SWEEP_AXES];
    struct dc_sweep_task *tasks;
    // [task_count][DC_STAGES_MAX]: which task carries a stage out for others, -1: each for itself.
    int *donors;
    struct dc_run *lock;  // of DIR/LOCK, where this process drives the tasks; or NULL
};

// Reads the file, and freezes the list or holds it against the one that is frozen: another is
// DC_ERR_CONFIG. Each task's experiment is read and checked, so that what none can be is told
// before anything is made. directory NULL: sweeps/NAME, by the file's name. Freed with
// dc_sweep_close.
DC_MUST_USE enum dc_status dc_sweep_open(struct dc_sweep **sweep, const char *file,
                                         const char *directory, struct dc_error *error);
// This process alone drives the sweep until dc_sweep_close; another that does is DC_ERR_USAGE.
// Tasks by themselves need no lock but their own run's. break_lock: of a process on another
// machine, which is dead.
DC_MUST_USE enum dc_status dc_sweep_lock(struct dc_sweep *sweep, bool break_lock,
                                         struct dc_error *error);
void dc_sweep_close(struct dc_sweep *sweep);  // NULL is allowed

bool dc_sweep_task_done(const struct dc_sweep *sweep, int task);
// Whether any stage of this task is carried out for others too.
bool dc_sweep_shares(const struct dc_sweep *sweep, int task);

// One task, in this process: what others have done of it is taken over, the rest carried out; then
// its result file is written. shared: only what it does for others, and their soft targets.
// how: context, hooks and command are taken.
DC_MUST_USE enum dc_status dc_sweep_run_task(const struct dc_sweep *sweep, int task, bool shared,
                                             const struct dc_run_options *how,
                                             struct dc_error *error);

#endif

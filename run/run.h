// A run: an experiment carried out in a directory.
//
//   experiment.yaml   the file as it was given
//   resolved.yaml     every number that shaped the result
//   env.json          version, commit, compiler, CPU, instruction set, threads, data hashes
//   log.txt           what was said by all starts, with times, and why one failed
//   metrics.jsonl     one object an epoch
//   metrics.csv       the same as a table
//   checkpoints/STAGE/{last,best,final}.h5
//   results.json      one object a stage, written when the stage is done: what it reached, its
//                     settings and the command line that carried it out
//   bundle/STAGE/     exports
//   seed-N/           of an experiment with seeds: a run directory each; results.json has the means
//   report.html       all of it as one page, its figures in plots/, model-card.md, tensorboard/
//                     (report/write.h)
//   LOCK              while a process works here: its host, pid and start
//   STATUS            of the stages: running, done, failed or stopped;
//                     behind it "stage: NAME", "reason: MESSAGE"
//
// A stage that is done under the same settings is skipped; one that was interrupted goes on from
// its last checkpoint. A directory made by other settings is refused.

#ifndef DC_RUN_RUN_H
#define DC_RUN_RUN_H

#include <jansson.h>

#include "core/context.h"
#include "data/loader.h"
#include "run/experiment.h"
#include "train/train.h"

struct dc_teach_progress;
struct dc_run_hooks {
    void *user;
    void (*progress)(void *user, const struct dc_progress *progress);
    void (*stage)(void *user, const struct dc_stage *stage,
                  const char *what);  // "train", "skip"...
    void (*teach)(void *user, const struct dc_teach_progress *progress);
};

struct dc_run_options {
    const char *experiment;  // file or name; NULL: the record in `directory`, to evaluate or export
    const char *text;        // of the experiment, instead of the file's (dc_experiment_parse)
    const char *const *overrides;
    int override_count;
    const char *directory;  // NULL: runs/NAME
    const char *caches;     // soft targets without a path of their own; NULL: in the run
    const char *command;    // the command line, for the records; or NULL
    struct dc_ctx_config context;
    struct dc_run_hooks hooks;
    bool sweeps;      // an experiment with `seeds` may be opened, for dc_run_sweep
    bool of_sweep;    // one of its runs: warnings of the experiment were told
    bool strict;      // what would change bits is refused, not warned of
    bool break_lock;  // of a process on another machine, which is dead
};

struct dc_run {
    struct dc_experiment *experiment;
    struct dc_arena *arena;
    struct dc_ctx *ctx;
    char *directory;
    const char *command;  // the command line, or NULL
    const char *caches;   // as asked for
    struct dc_run_hooks hooks;
    FILE *log_file;                   // open: this process alone works in the directory
    bool flocked, locked;             // the log by flock; RUN/LOCK, which says who works here
    bool strict, break_lock;          // as asked for
    struct dc_text_buffer unwritten;  // what was said before
    bool log_failed;                  // and told
    double next_csv;                  // when metrics.csv is written again
    bool begun;                       // the data was read and the records written
    struct dc_log_sink outer_log;
    struct dc_source *train_source, *test_source;  // opened when first needed
    int64_t *train_ids, *validation_ids;
    int64_t train_count, validation_count;
    bool *normal;  // [classes]: data.normal; NULL: not said
    struct dc_normalization normalization;
    json_t *results;  // {"experiment": name, "stages": {...}}
};

// Reads and checks the experiment and what its directory holds. No data is read, and nothing is
// written before the first stage is carried out.
DC_MUST_USE enum dc_status dc_run_open(struct dc_run **run, const struct dc_run_options *options,
                                       struct dc_error *error);
void dc_run_close(struct dc_run *run);  // NULL is allowed

// One stage, or all of them in order.
DC_MUST_USE enum dc_status dc_run_stage(struct dc_run *run, struct dc_stage *stage,
                                        struct dc_error *error);
DC_MUST_USE enum dc_status dc_run_all(struct dc_run *run, struct dc_error *error);

// All stages once for each of the experiment's `seeds`, of a run opened with these options; the
// run's results become means over them: in place of each number {mean, standard_error, values}.
DC_MUST_USE enum dc_status dc_run_sweep(struct dc_run *run, const struct dc_run_options *options,
                                        struct dc_error *error);
// network, bytes, what float and int8 reach: a line a stage, then the seeds.
void dc_sweep_table(struct dc_text_buffer *out, const struct dc_experiment *experiment,
                    const json_t *results);

bool dc_run_stage_done(struct dc_run *run, const struct dc_stage *stage);
char *dc_run_weights_path(struct dc_run *run, const struct dc_stage *stage, struct dc_error *error);

// Training samples, their split and normalization; the test split.
DC_MUST_USE enum dc_status dc_run_need_train_data(struct dc_run *run, struct dc_error *error);
DC_MUST_USE enum dc_status dc_run_need_test_data(struct dc_run *run, struct dc_error *error);

// Whether a split is another one than env.json (`environment`) says that the run was made with, and
// the hashes of both for a message. Older records do not know the test data's.
enum dc_split { DC_SPLIT_TRAIN, DC_SPLIT_TEST, DC_SPLITS };
struct dc_data_change {
    const char *split;  // "training", "test"
    char then[32], now[32];
};
bool dc_run_data_changed(struct dc_data_change *change, const struct dc_run *run,
                         const json_t *environment, enum dc_split split);

// What a stage's network reads of a sample: its size and normalization (stage NULL: the data's).
struct dc_view dc_run_view(const struct dc_run *run, const struct dc_stage *stage,
                           const struct dc_shape *sample);
// Augmented and shuffled; the caller adds the views.
struct dc_loader_config dc_run_training_samples(const struct dc_run *run, int64_t batch,
                                                uint32_t shuffle_seed);

// Makes what is missing in the soft-target caches of the stages that distill (stage NULL: of all),
// for all of their epochs. repair: shards that cannot be read are made anew. The counts are sums.
struct dc_teach_report;
DC_MUST_USE enum dc_status dc_run_teach(struct dc_teach_report *report, struct dc_run *run,
                                        const struct dc_stage *stage, bool repair,
                                        struct dc_error *error);
// Recomputes a sample of a cache's outputs. The cache knows the experiment, stage and run directory
// that made it.
struct dc_cache_report;
bool dc_run_is_cache(const char *folder);
DC_MUST_USE enum dc_status dc_run_verify_cache(struct dc_cache_report *report, const char *folder,
                                               const struct dc_run_options *options,
                                               int64_t samples, struct dc_error *error);

// Exports a quantized stage into a directory under an arithmetic profile and, where `verify`,
// proves it on the whole test split. *result gets "cost" and "verification".
DC_MUST_USE enum dc_status dc_run_export(struct dc_run *run, const struct dc_stage *from,
                                         const char *profile, const char *directory,
                                         const struct dc_export_spec *how, json_t *result,
                                         struct dc_error *error);
// Any stage's network as one file, its format by the path's ending (export/formats.h): floats, or
// int8 of a stage that quantizes.
DC_MUST_USE enum dc_status dc_run_export_file(struct dc_run *run, const struct dc_stage *from,
                                              const char *profile, const char *path,
                                              struct dc_error *error);

// Proves an existing bundle on the test split (limit 0: all of it), and then on the rungs wanted
// (DC_RUNG_COUNT of them; NULL: none): on the first `limit` samples, or DC_RUN_RUNG_SAMPLES. The
// report holds what they found, whatever the status.
enum { DC_RUN_RUNG_SAMPLES = 20 };
struct dc_verify_report;
DC_MUST_USE enum dc_status dc_run_verify(struct dc_verify_report *report, struct dc_run *run,
                                         const char *bundle, int64_t limit, const bool *rungs,
                                         struct dc_error *error);

// What a command or a program asks for, by words of a user (deliver.c). path: a folder for a bundle
// of a quantized stage, or a file by whose ending the format goes. profile NULL: the experiment's.
// c_name, of bundles alone: what the C is called, NULL: as the model. *result as dc_run_export has
// it, with "out".
DC_MUST_USE enum dc_status dc_run_export_to(json_t *result, struct dc_run *run, const char *stage,
                                            const char *profile, const char *path,
                                            const char *c_name, struct dc_error *error);
bool dc_is_bundle(const char *path);
// The run directory that a bundle belongs to: `given` (--run), or for RUN/bundle/STAGE the RUN.
DC_MUST_USE enum dc_status dc_run_of_bundle(char *run, size_t size, const char *given,
                                            const char *bundle, struct dc_error *error);
// {samples, bytes, different, vectors, own_c_checked, rungs: {NAME: {outcome, ...}}}
json_t *dc_verify_json(const struct dc_verify_report *report);

// Shapes and counts of all stages, without data: what `decant check` prints.
DC_MUST_USE enum dc_status dc_run_check(struct dc_experiment *experiment, json_t **report,
                                        struct dc_error *error);

#endif

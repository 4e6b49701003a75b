// Shared between the files of run/ that carry out stages.

#ifndef DC_RUN_RUN_INTERNAL_H
#define DC_RUN_RUN_INTERNAL_H

#include "data/loader.h"
#include "run/network.h"
#include "run/run.h"

enum { DC_EVALUATION_BATCH = 256 };

// Samples of a batch where nothing is trained: DC_EVALUATION_BATCH, fewer of a large network, so
// that a stop is obeyed within seconds. macs: of one sample.
int64_t dc__evaluation_rows(int64_t macs);

// DIRECTORY/NAME.
DC_MUST_USE char *dc__path(const struct dc_run *run, const char *name, struct dc_error *error);

// A pass over samples of a source in order, without augmentation, started; a stop ends it. ids
// NULL: the first.
DC_MUST_USE enum dc_status dc__plain_loader(struct dc_loader **loader, const struct dc_view *view,
                                            const struct dc_source *source, const int64_t *ids,
                                            int64_t count, int64_t batch, struct dc_error *error);

// The same through a predictor; scores or logits as dc_evaluate has them.
DC_MUST_USE enum dc_status dc__evaluate(struct dc_scores *scores, float *logits,
                                        const struct dc_view *view,
                                        const struct dc_predictor *predictor,
                                        const struct dc_source *source, const int64_t *ids,
                                        int64_t count, struct dc_error *error);

// Room for the scores of a stage's network (NULL: a classifier) over up to `samples` samples.
DC_MUST_USE enum dc_status dc__scores_create(struct dc_scores **scores, const struct dc_run *run,
                                             const struct dc_stage *stage,
                                             const struct dc_predictor *predictor, int64_t samples,
                                             struct dc_error *error);

// A float or integer predictor behind one face.
struct dc__any_predictor {
    struct dc_stage_network network;
    struct dc_float_predictor *floats;
    struct dc_integer_predictor *integers;
    struct dc_device_predictor *device;  // of dc_run_predict, where one is asked
    const struct dc_predictor *predictor;
    struct dc_view view;
};
// A predictor that tells how far it is.
struct dc_sample_progress;
struct dc__counted {
    struct dc_predictor predictor;
    const struct dc_predictor *inner;
    const struct dc_sample_progress *progress;
    int64_t done, total;
};
void dc__count(struct dc__counted *counted, const struct dc_predictor *inner,
               const struct dc_sample_progress *progress, int64_t total);
// Of a stage that is done; run->normalization is there.
DC_MUST_USE enum dc_status dc__any_predictor_open(struct dc__any_predictor *p, struct dc_run *run,
                                                  const struct dc_stage *stage, const char *profile,
                                                  struct dc_error *error);
void dc__any_predictor_close(struct dc__any_predictor *p);
// The stage of this name (NULL: the last with a network; of an export, what it exports), done.
DC_MUST_USE enum dc_status dc__pick_stage(struct dc_stage **stage, struct dc_run *run,
                                          const char *name, struct dc_error *error);

// The quantized stage that a bundle of this run was exported from, told by its folder's name; NULL
// for a bundle elsewhere, which is taken to read the data as the experiment normalizes it.
const struct dc_stage *dc__bundle_stage(struct dc_run *run, const char *bundle);

// The run directory is absent, empty, or a run of this experiment's stages; else DC_ERR_USAGE or
// DC_ERR_CONFIG. Nothing is written into another.
DC_MUST_USE enum dc_status dc__check_directory(struct dc_run *run, struct dc_error *error);
// The experiment has a stage of this name, of which the directory holds something.
DC_MUST_USE enum dc_status dc__want_own_stage(const struct dc_run *run, const char *name,
                                              struct dc_error *error);
// RUN/LOCK (run/lock.c), behind flock of the log: held by another, or left by one of another
// machine, is DC_ERR_USAGE. Who has it, as " (pid 7 on HOST, since TIME)"; "": nobody.
DC_MUST_USE enum dc_status dc__lock(struct dc_run *run, struct dc_error *error);
void dc__unlock(struct dc_run *run);
const char *dc__lock_holder(char text[512], const struct dc_run *run);
// Makes the existing directory this process's own, and clean.
DC_MUST_USE enum dc_status dc__claim(struct dc_run *run, struct dc_error *error);
// Before the first stage that is carried out: reads the data, makes or continues the directory.
DC_MUST_USE enum dc_status dc__begin(struct dc_run *run, struct dc_error *error);
// The augmentations fit the samples.
DC_MUST_USE enum dc_status dc__check_augment(const struct dc_run *run, struct dc_error *error);
// The data as every stage's network and the augmentations need it.
DC_MUST_USE enum dc_status dc__check_data(struct dc_run *run, struct dc_error *error);

DC_MUST_USE enum dc_status dc__train_stage(struct dc_run *run, struct dc_stage *stage,
                                           json_t *result, struct dc_error *error);
// Calibrates a trained network, or takes one in as it is: from ONNX or a weights file.
DC_MUST_USE enum dc_status dc__untrained_stage(struct dc_run *run, struct dc_stage *stage,
                                               json_t *result, struct dc_error *error);
// Ranges and scales of a stage that quantizes, and what it asks for before and after them.
DC_MUST_USE enum dc_status dc__measure(struct dc_run *run, const struct dc_stage *stage,
                                       struct dc_stage_network *network, struct dc_error *error);
// Statistics of batch normalization, in the end, where the stage asks for it.
DC_MUST_USE enum dc_status dc__re_estimate(struct dc_run *run, const struct dc_stage *stage,
                                           struct dc_stage_network *network,
                                           struct dc_error *error);
// Fills what a stage starts from: init_from, else its own weights file, else from, else what came
// with the model, else random numbers. ONNX weights are taken by name, or by order where no name is
// the same.
DC_MUST_USE enum dc_status dc__start_weights(struct dc_run *run, const struct dc_stage *stage,
                                             const struct dc_model *model, struct dc_params *params,
                                             struct dc_error *error);
// Slices of the same name from a file: of a run, safetensors by what they call the layers, or ONNX
// by name or else by order. What of the model's layers the file lacks is an error where the stage
// does not train, else a list in `missing` ("" where nothing is). what: the file in messages.
enum { DC_MISSING_TEXT = 1024 };
DC_MUST_USE enum dc_status dc__take_weights(char missing[DC_MISSING_TEXT],
                                            const struct dc_stage *stage,
                                            const struct dc_model *model, struct dc_params *params,
                                            const char *path, const char *what,
                                            struct dc_error *error);
// Where the weights of an earlier stage are, for `reader`, a stage that needs them: what was
// trained lies in the run, what was not is taken from its own file; *path NULL: they come with the
// model.
DC_MUST_USE enum dc_status dc__stage_weights(const char **path, struct dc_run *run,
                                             const struct dc_stage *stage,
                                             const struct dc_stage *reader, struct dc_error *error);
DC_MUST_USE enum dc_status dc__export_stage(struct dc_run *run, struct dc_stage *stage,
                                            json_t *result, struct dc_error *error);

// Scores of a network on the test split: keys of `result`. params: the stage's final ones.
DC_MUST_USE enum dc_status dc__test_stage(struct dc_run *run, struct dc_stage *stage,
                                          struct dc_stage_network *network, json_t *result,
                                          struct dc_error *error);

// The same of a float network that was trained along, appended to `list`.
DC_MUST_USE enum dc_status dc__test_peer(struct dc_run *run, const struct dc_stage *stage,
                                         const struct dc_model *model, struct dc_params *params,
                                         json_t *list, struct dc_error *error);

// experiment.yaml and resolved.yaml; results.json; STATUS (stage and reason may be NULL).
DC_MUST_USE enum dc_status dc__write_records(struct dc_run *run, struct dc_error *error);
DC_MUST_USE enum dc_status dc__write_results(struct dc_run *run, struct dc_error *error);
DC_MUST_USE enum dc_status dc__set_status(struct dc_run *run, const char *state,
                                          const struct dc_stage *stage, const char *reason,
                                          struct dc_error *error);
// metrics.csv as metrics.jsonl is now.
DC_MUST_USE enum dc_status dc__write_csv(struct dc_run *run, struct dc_error *error);

// What env.json says of the samples: normalization, shape and class names, in the run's arena.
// bytes false: they are no bytes, or the record is older and does not say.
DC_MUST_USE enum dc_status dc__read_samples(struct dc_preprocessing *p, struct dc_shape *sample,
                                            struct dc_run *run, struct dc_error *error);
DC_MUST_USE enum dc_status dc__write_environment(struct dc_run *run, struct dc_error *error);
// Both splits, whatever env.json says of them.
DC_MUST_USE enum dc_status dc__open_data(struct dc_run *run, struct dc_error *error);
extern const char *const dc__hash_keys[DC_SPLITS];  // of env.json
// Warns where a split, which is open, is not what env.json has.
DC_MUST_USE enum dc_status dc__tell_changed(const struct dc_run *run, enum dc_split split,
                                            struct dc_error *error);
// Refuses to go on with other data than the directory's; warns of another version,
// instruction set or BLAS core, or refuses them where the run is strict.
DC_MUST_USE enum dc_status dc__check_environment(struct dc_run *run, struct dc_error *error);

#endif

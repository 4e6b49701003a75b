// Benchmarks: what a training step, an inference, the integer engine, the loader and the start of a
// run cost, measured in this process.
//
// Every function fills *result with one JSON object (the caller's: json_decref), with times in
// seconds, memory in bytes, and rates in units a second as the median and the best of several timed
// windows. Networks come from a model's name or file or a short name (dc_bench_models) by way of
// the stages of configs/bench.yaml, found as core/search.h says; inputs, labels and the
// teacher's logits are random. Nothing here decides how a network is trained: it is built as run/
// builds it and stepped as train/train.h says.
//
// Random numbers have a fixed seed; times are what the machine gives. Compare two sides in one run.

#ifndef DC_BENCH_BENCH_H
#define DC_BENCH_BENCH_H

#include <jansson.h>

#include "core/context.h"
#include "core/schema.h"

struct dc_bench_options {
    const char *model;             // a short name, or a model's name or file
    const char *mode;              // float, kd, qat, kd_qat: the stage of configs/bench.yaml
    int64_t batch;                 // 0: the model's own, 128 of a file
    int64_t windows;               // timed ones, 1 .. DC_BENCH_WINDOWS_MAX
    double seconds;                // the least a window lasts
    bool frozen;                   // qat modes: observers keep their ranges
    bool unfolded;                 // infer: batch normalization stays a layer of its own
    bool profile;                  // step and infer: a table of nodes
    const char *augment, *source;  // loader: a file of augmentations or NULL, and KIND:PATH
    struct dc_ctx_config context;
};

enum { DC_BENCH_WINDOWS_MAX = 1000 };

// A name for a model file, its parameters and its batch.
struct dc_bench_model {
    const char *name, *file, *parameters;
    int64_t batch;
};
extern const struct dc_bench_model dc_bench_models[];  // name NULL behind the last

// Forward, backward and optimizer update of one batch.
DC_MUST_USE enum dc_status dc_bench_step(json_t **result, const struct dc_bench_options *options,
                                         struct dc_error *error);
// The float network in inference mode.
DC_MUST_USE enum dc_status dc_bench_infer(json_t **result, const struct dc_bench_options *options,
                                          struct dc_error *error);
// The integer engine on the quantized network, calibrated on random data.
DC_MUST_USE enum dc_status dc_bench_engine(json_t **result, const struct dc_bench_options *options,
                                           struct dc_error *error);
// The loader alone: the caller takes batches and drops them. CPU time is that of all its threads.
DC_MUST_USE enum dc_status dc_bench_loader(json_t **result, const struct dc_bench_options *options,
                                           struct dc_error *error);
// An experiment's first stage from the start of this process to its first training step, in a
// run directory that is removed again. Reading the data is timed apart. Ends after that step.
DC_MUST_USE enum dc_status dc_bench_start(json_t **result, const char *experiment,
                                          const char *const *overrides, int override_count,
                                          const struct dc_bench_options *options,
                                          struct dc_error *error);

// A result as people read it.
void dc_bench_text(struct dc_text_buffer *text, const json_t *result);

#endif

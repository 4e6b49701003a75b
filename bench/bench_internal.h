// Shared between the files of bench/.

#ifndef DC_BENCH_BENCH_INTERNAL_H
#define DC_BENCH_BENCH_INTERNAL_H

#include "bench/bench.h"
#include "core/plan.h"
#include "run/network.h"

double dc__now(void);           // seconds of a clock that only rises
double dc__cpu_seconds(void);   // of all threads of this process
int64_t dc__peak_memory(void);  // VmHWM, bytes; 0 where the system does not tell

// The work of one call; it is repeated until a window's seconds are over. *samples: what it did.
typedef enum dc_status dc__work(void *user, int64_t *samples, struct dc_error *error);

// Two calls to warm up, then the windows. Adds samples_per_second, samples_per_second_best,
// windows, calls and cpu_seconds_per_sample to *result.
DC_MUST_USE enum dc_status dc__time_windows(json_t *result, const struct dc_bench_options *options,
                                            dc__work *work, void *user, struct dc_error *error);

// Multiply-adds of a dense layer whose operands fit L2 (512 x 256 x 256), with the context's
// kernels and threads: floating-point operations a second, the best of several tries.
DC_MUST_USE enum dc_status dc__sgemm_peak(double *flops, const struct dc_ctx *ctx,
                                          struct dc_error *error);
// a = b + s * c over three arrays of 32 MiB, cut over the context's threads: bytes a second (read
// and written by the program; a write that fetches its line first costs the machine one more).
DC_MUST_USE enum dc_status dc__triad_bandwidth(double *bytes, const struct dc_ctx *ctx,
                                               struct dc_error *error);

// Where bench.yaml is (core/search.h); DC_ERR_USAGE where it is not.
DC_MUST_USE enum dc_status dc__bench_experiment(char **path, struct dc_arena *arena,
                                                struct dc_error *error);
// Hands the object out, or frees it where something failed.
DC_MUST_USE enum dc_status dc__finish(json_t **result, json_t *object, enum dc_status status,
                                      struct dc_error *error);

// A network of configs/bench.yaml with the memory for one batch of random samples.
struct dc__bench {
    struct dc_bench_options options;
    struct dc_experiment *experiment;
    const struct dc_stage *stage;
    struct dc_stage_network network;
    struct dc_ctx *ctx;
    int64_t rows;
    float *images, *targets, *teacher;  // [rows, ...]
    uint64_t *ids;                      // [rows]
};
DC_MUST_USE enum dc_status dc__bench_open(struct dc__bench *bench,
                                          const struct dc_bench_options *options,
                                          struct dc_error *error);
void dc__bench_close(struct dc__bench *bench);
// What every result about a network begins with.
json_t *dc__bench_head(const char *verb, const struct dc__bench *bench);
// Adds gflops and sgemm_gflops, sgemm_share from flop_per_sample and samples_per_second.
DC_MUST_USE enum dc_status dc__add_peak(json_t *result, const struct dc_ctx *ctx,
                                        double flop_per_sample, struct dc_error *error);

// Floating-point operations of node i for one sample: a multiply-add is two, forward; as much
// again for the weights' gradient, and for the input's where what is behind it is trained.
struct dc__node_flop {
    double forward, backward;
};
void dc__node_flops(struct dc__node_flop *flops, const struct dc_graph *graph, bool training);

// Adds "profile" to *result: one object a node from its seconds over `steps` calls that took
// `total` seconds.
struct dc__profile {
    const struct dc_ctx *ctx;
    const struct dc_graph *graph;
    const struct dc_plan *plan;
    const struct dc_node_seconds *seconds;  // [graph->count]
    int64_t rows, steps;
    double total;
    bool training;
};
DC_MUST_USE enum dc_status dc__add_profile(json_t *result, const struct dc__profile *profile,
                                           struct dc_error *error);
void dc__profile_text(struct dc_text_buffer *text, const json_t *result);

#endif

// Owns clocks, timed windows and the two ceilings of a roofline: multiply-adds a second and bytes a
// second, both measured in this process with the context's threads. Judges nothing.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench_internal.h"
#include "core/ops/ops.h"
#include "core/parallel.h"

enum { PEAK_ROWS = 512, PEAK_DEPTH = 256, PEAK_TRIES = 5, TRIAD_FLOATS = 8 << 20, WARM_UP = 2 };
#define TRY_SECONDS 0.05

static double seconds_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

double dc__now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double dc__cpu_seconds(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t dc__peak_memory(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long long kilobytes = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1)
            break;
    if (file)
        fclose(file);
    return (int64_t)kilobytes * 1024;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum dc_status dc__time_windows(json_t *result, const struct dc_bench_options *options,
                                dc__work *work, void *user, struct dc_error *error)
{
    double rates[DC_BENCH_WINDOWS_MAX];
    const int64_t windows = options->windows;
    int64_t samples = 0, calls = 0;
    double total = 0.0;
    for (int i = 0; i < WARM_UP; i++)
        DC_TRY(work(user, &samples, error));
    const double cpu = dc__cpu_seconds();
    for (int64_t w = 0; w < windows; w++) {
        double done = 0.0, seconds;
        const double start = dc__now();
        do {
            DC_TRY(work(user, &samples, error));
            done += (double)samples;
            calls++;
            seconds = dc__now() - start;
        } while (seconds < options->seconds);
        rates[w] = done / seconds;
        total += done;
    }
    const double spent = dc__cpu_seconds() - cpu;
    qsort(rates, (size_t)windows, sizeof rates[0], by_size);
    const double median = 0.5 * (rates[(windows - 1) / 2] + rates[windows / 2]);
    json_object_set_new(result, "samples_per_second", json_real(median));
    json_object_set_new(result, "samples_per_second_best", json_real(rates[windows - 1]));
    json_object_set_new(result, "windows", json_integer(windows));
    json_object_set_new(result, "calls", json_integer(calls));
    json_object_set_new(result, "cpu_seconds_per_sample", json_real(spent / total));
    return DC_OK;
}

// A graph of one dense layer, and its plan.
struct product {
    struct dc_graph *graph;
    struct dc_params *params;
    struct dc_plan *plan;
    float *input;
};

static void product_close(struct product *p)
{
    dc_plan_free(p->plan);
    dc_params_free(p->params);
    dc_graph_free(p->graph);
}

static enum dc_status product_open(struct product *p, const struct dc_ctx *ctx,
                                   struct dc_error *error)
{
    const struct dc_shape shape = DC_SHAPE(DC_BATCH, PEAK_DEPTH);
    const struct dc_dense_attributes a = {.units = PEAK_DEPTH};
    int input, output;
    DC_TRY(dc_graph_create(&p->graph, error));
    DC_TRY(dc_graph_add_input(p->graph, "x", DC_F32, &shape, &input, error));
    DC_TRY(dc_graph_add(p->graph, "y", &dc_op_dense, &a, sizeof a, &input, 1, &output, error));
    DC_TRY(dc_params_create(&p->params, p->graph, 0, false, error));
    dc_params_init(p->params, 1);
    const struct dc_plan_config config = {.mode = DC_INFERENCE,
                                          .max_rows = PEAK_ROWS,
                                          .outputs = &output,
                                          .output_count = 1,
                                          .params = p->params};
    DC_TRY(dc_plan_create(&p->plan, ctx, p->graph, &config, error));
    p->input = DC_NEW(p->graph->arena, float, PEAK_ROWS *PEAK_DEPTH, error);
    if (!p->input)
        return DC_ERR_MEMORY;
    for (int i = 0; i < PEAK_ROWS * PEAK_DEPTH; i++)
        p->input[i] = (float)(i % 7) - 3.0f;
    dc_plan_bind(p->plan, input, p->input);
    return DC_OK;
}

static enum dc_status product_peak(double *flops, struct product *p, struct dc_error *error)
{
    const struct dc_step step = {.total_batch = PEAK_ROWS};
    *flops = 0.0;
    for (int t = 0; t < PEAK_TRIES; t++) {
        const double start = dc__now();
        double seconds, done = 0.0;
        do {
            DC_TRY(dc_plan_forward(p->plan, p->params, PEAK_ROWS, &step, error));
            done += 2.0 * PEAK_ROWS * PEAK_DEPTH * PEAK_DEPTH;
            seconds = dc__now() - start;
        } while (seconds < TRY_SECONDS);
        *flops = done / seconds > *flops ? done / seconds : *flops;
    }
    return DC_OK;
}

enum dc_status dc__sgemm_peak(double *flops, const struct dc_ctx *ctx, struct dc_error *error)
{
    struct product product = {0};
    enum dc_status status = product_open(&product, ctx, error);
    if (status == DC_OK)
        status = product_peak(flops, &product, error);
    product_close(&product);
    return status;
}

struct triad {
    float *a;
    const float *b, *c;
    int parts;
};

static void triad_part(void *arg, int index, int thread)
{
    (void)thread;
    const struct triad *t = arg;
    const struct dc_rows part = dc_chunk_rows(TRIAD_FLOATS, t->parts, index);
    float *restrict a = t->a + part.first;
    const float *restrict b = t->b + part.first, *restrict c = t->c + part.first;
    for (int64_t i = 0; i < part.count; i++)
        a[i] = b[i] + 0.5f * c[i];
}

enum dc_status dc__triad_bandwidth(double *bytes, const struct dc_ctx *ctx, struct dc_error *error)
{
    float *memory = dc_alloc(sizeof(float) * 3 * TRIAD_FLOATS, error);
    if (!memory)
        return DC_ERR_MEMORY;
    memset(memory, 0, sizeof(float) * 3 * TRIAD_FLOATS);  // pages are there before the clock runs
    struct triad triad = {memory, memory + TRIAD_FLOATS, memory + 2 * TRIAD_FLOATS, 16};
    *bytes = 0.0;
    for (int t = 0; t < PEAK_TRIES; t++) {
        const double start = dc__now();
        dc_parallel_for(ctx, triad.parts, triad_part, &triad);
        const double rate = sizeof(float) * 3.0 * TRIAD_FLOATS / (dc__now() - start);
        *bytes = rate > *bytes ? rate : *bytes;
    }
    free(memory);
    return DC_OK;
}

// Times the integer engine alone: a bundle's network over codes from a file, whole windows. The
// other side of litert.py; compare_engine runs both. One JSON object to stdout.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "export/bundle.h"
#include "qat/engine.h"

enum { WINDOWS_MAX = 64 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fill(int8_t *codes, int64_t count)
{
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        codes[i] = (int8_t)((int)(state >> 24) - 128);
    }
}

// Times any codes as well as any other: no instruction of the engine depends on their values.
static void measure(const struct dc_ctx *ctx, const struct dc_imodel *model,
                    struct dc_engine *engine, int64_t rows, int windows)
{
    const int64_t in = dc_ilayer_size(&model->layers[0]) * rows;
    const int64_t out = dc_ilayer_size(dc_imodel_output(model)) * rows;
    int8_t *input = malloc((size_t)in), *output = malloc((size_t)out);
    double times[WINDOWS_MAX];
    uint32_t hash = 2166136261u;
    if (!input || !output) {
        fprintf(stderr, "time_engine: out of memory\n");
        exit(1);
    }
    fill(input, in);
    dc_engine_run(engine, output, input, rows < 200 ? rows : 200);
    for (int w = 0; w < windows; w++) {
        const double began = seconds();
        dc_engine_run(engine, output, input, rows);
        times[w] = seconds() - began;
    }
    for (int64_t i = 0; i < out; i++)
        hash = (hash ^ (uint8_t)output[i]) * 16777619u;
    qsort(times, (size_t)windows, sizeof times[0], ascending);
    int64_t macs = 0;
    for (int i = 0; i < model->count; i++)
        macs += dc_ilayer_macs(model, i);
    const double rate = (double)rows / times[windows / 2];
    printf("{\"images_per_second\": %.1f, \"best\": %.1f, \"gmacs\": %.2f, \"threads\": %d, "
           "\"isa\": \"%s\", \"output\": \"%08" PRIx32 "\"}\n",
           rate, (double)rows / times[0], rate * (double)macs * 1e-9, ctx->threads,
           dc_isa_name(ctx->isa), hash);
    free(input);
    free(output);
}

int main(int argc, char **argv)
{
    struct dc_error error;
    struct dc_ctx *ctx = NULL;
    struct dc_imodel *model = NULL;
    struct dc_vectors *vectors = NULL;
    struct dc_engine *engine = NULL;
    const int threads = argc > 2 ? atoi(argv[2]) : 1;
    const int rows = argc > 3 ? atoi(argv[3]) : 10000, windows = argc > 4 ? atoi(argv[4]) : 5;
    const struct dc_ctx_config config = {.threads = threads};
    if (argc < 2 || rows < 1 || threads < 1 || windows < 1 || windows > WINDOWS_MAX) {
        fprintf(stderr, "usage: time_engine BUNDLE [THREADS [IMAGES [WINDOWS]]]\n");
        return 2;
    }
    if (dc_bundle_read(&model, &vectors, argv[1], &error) != DC_OK ||
        dc_ctx_create(&ctx, &config, &error) != DC_OK ||
        dc_engine_create(&engine, ctx, model, &error) != DC_OK) {
        fprintf(stderr, "time_engine: %s\n", error.message);
        return 1;
    }
    measure(ctx, model, engine, rows, windows);
    dc_engine_free(engine);
    dc_ctx_free(ctx);
    dc_vectors_free(vectors);
    dc_imodel_free(model);
    return 0;
}

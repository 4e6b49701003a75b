// Makes export/code_times.inc.h: how many instructions kernels take on each core, by QEMU.
// measure_time [--core CORE] [PROFILE ...] prints it. measure_time --compare FILE.yaml BITS PROFILE
// [CORE] prints, for each core and optimization, what a network takes and what is estimated; exit 1
// where that is more than 10 % off.
//
// A network of many shapes is compiled with its trace, which here notes the clock in place of a
// CRC-32: each layer is a measurement. Coefficients are those of least squares, of relative errors,
// none of them negative.

#include <assert.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/folder.h"
#include "export/c_source.h"
#include "export/c_time.h"
#include "export/ladder.h"
#include "export/process.h"
#include "tests/interop/helper_network.h"
#include "tests/qat/helper_models.h"

enum { SAMPLES = 2, LAYERS_MAX = 256, CLOCK = 16 };  // instructions of asking for the time

static struct dc_error error;

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static struct dc_ilayer windowed(enum dc_iop op, int channels, int kernel, int stride, int bits)
{
    const int pad = kernel / 2;
    return (struct dc_ilayer){.op = op,
                              .channels = channels,
                              .window = {.kernel = {kernel, kernel},
                                         .stride = {stride, stride},
                                         .before = {pad, pad},
                                         .after = {pad, pad}},
                              .weight_bits = bits,
                              .per_channel = true};
}

// Every op in the shapes that small networks have.
static struct dc_imodel *shapes(const struct dc_profile *profile, int bits)
{
    static const struct {
        enum dc_iop op;
        int channels, kernel, stride;
    } chain[] = {{DC_I_CONV2D, 16, 3, 1},
                 {DC_I_CONV2D, 16, 3, 1},
                 {DC_I_CONV2D, 32, 3, 2},
                 {DC_I_CONV2D, 32, 3, 1},
                 {DC_I_CONV2D, 24, 5, 2},
                 {DC_I_CONV2D, 32, 1, 1},
                 {DC_I_DEPTHWISE_CONV2D, 32, 3, 1},
                 {DC_I_CONV2D, 128, 1, 1},
                 {DC_I_DEPTHWISE_CONV2D, 128, 3, 1},
                 {DC_I_CONV2D, 64, 1, 1},
                 {DC_I_DEPTHWISE_CONV2D, 64, 5, 1},
                 {DC_I_CONV2D, 8, 1, 1},
                 {DC_I_CONV2D, 20, 3, 1},
                 {DC_I_CONV2D, 10, 3, 1},
                 {DC_I_CONV2D, 12, 3, 1},
                 {DC_I_CONV2D, 1, 1, 1},
                 {DC_I_CONV2D, 16, 3, 1},
                 {DC_I_CONV2D, 6, 1, 1},
                 {DC_I_CONV2D, 8, 5, 1},
                 {DC_I_CONV2D, 64, 3, 1}};
    struct dc_random random;
    dc_random_start(&random, 5, DC_PURPOSE_TEST, 0, 0);
    struct dc_ilayer first = windowed(DC_I_CONV2D, 8, 3, 1, bits);
    struct dc_imodel *m = test_one_layer_model(profile, 20, 20, 3, &first, &random);
    int at = m->count - 1;
    for (size_t i = 0; i < sizeof chain / sizeof *chain; i++) {
        const struct dc_ilayer l = windowed(chain[i].op, chain[i].channels, chain[i].kernel,
                                            chain[i].stride, bits);
        at = test_add_layer(m, "x", &l, at, -1, &random);
    }
    const struct dc_ilayer add = {.op = DC_I_ADD}, multiply = {.op = DC_I_MULTIPLY},
                           concat = {.op = DC_I_CONCAT}, softmax = {.op = DC_I_SOFTMAX},
                           table = {.op = DC_I_TABLE, .function = DC_F_TANH},
                           mean = {.op = DC_I_MEAN},
                           average = windowed(DC_I_AVERAGE_POOL, 0, 3, 2, 8),
                           whole = {.op = DC_I_AVERAGE_POOL, .window = {.kernel = {5, 5}}},
                           most = windowed(DC_I_MAX_POOL, 0, 3, 1, 8),
                           pair = {.op = DC_I_MAX_POOL, .window = {.kernel = {2, 2}}},
                           pad = {.op = DC_I_PAD, .window = {.before = {1, 1}}},
                           slice = {.op = DC_I_SLICE, .window = {.before = {1, 1}}};
    const int body = at;
    const int tanh_of = test_add_layer(m, "t", &table, body, -1, &random);
    test_add_layer(m, "w", &whole, body, -1, &random);
    test_add_layer(m, "p2", &pair, body, -1, &random);
    const int sum = test_add_layer(m, "a", &add, body, tanh_of, &random);
    const int product = test_add_layer(m, "m", &multiply, sum, tanh_of, &random);
    const int larger = test_add_layer(m, "p", &pad, product, -1, &random);
    const int smaller = test_add_layer(m, "s", &slice, larger, -1, &random);
    const int maxima = test_add_layer(m, "h", &most, smaller, -1, &random);
    const int two = test_add_layer(m, "c", &concat, maxima, smaller, &random);
    const int averages = test_add_layer(m, "v", &average, two, -1, &random);
    const struct dc_ilayer wide = {.op = DC_I_FULLY_CONNECTED, .channels = 64, .weight_bits = bits},
                           narrow = {
                               .op = DC_I_FULLY_CONNECTED, .channels = 10, .weight_bits = bits};
    const int many = test_add_layer(m, "f", &wide, averages, -1, &random);
    test_add_layer(m, "n", &narrow, many, -1, &random);
    const int means = test_add_layer(m, "e", &mean, two, -1, &random);
    const int last = test_add_layer(m, "l", &narrow, means, -1, &random);
    test_add_layer(m, "o", &softmax, last, -1, &random);
    return m;
}

// The trace notes the clock.
static void note_the_clock(const char *folder, struct dc_arena *arena)
{
    static const char from[] = "network_trace[layer] = crc32_of(codes, count)",
                      to[] = "network_trace[layer] = board_ticks()",
                      include[] = "#include \"board.h\"\n";
    static_assert(sizeof from >= sizeof to, "one is written over the other");
    char *path = dc_arena_printf(arena, &error, "%s/network.c", folder), *text = NULL;
    must(dc_file_read(&text, NULL, path, arena, &error));
    char *at = strstr(text, from);
    assert_non_null(at);
    memset(at, ' ', sizeof from - 1);
    memcpy(at, to, sizeof to - 1);
    char *whole = dc_arena_printf(arena, &error, "%s%s", include, text);
    must(dc_file_write(path, whole, strlen(whole), &error));
}

// A folder with the network and the samples that it runs on.
static char *prepare(const struct dc_ctx *ctx, const struct dc_imodel *m, struct dc_arena *arena)
{
    const char *names[DC__RUNG_FILES_MAX];
    struct dc_vectors *vectors = NULL;
    struct dc_random random;
    const int64_t bytes = SAMPLES * dc_ilayer_size(&m->layers[0]);
    int8_t *x = DC_NEW(arena, int8_t, bytes, &error);
    char *work = NULL;
    dc_random_start(&random, 6, DC_PURPOSE_TEST, 0, 0);
    test_fill_codes(x, bytes, &random);
    dc__rung_files(names);
    must(dc__work_create(&work, "decant-time", names, arena, &error));
    must(dc_vectors_create(&vectors, ctx, m, x, 0, &error));
    must(dc_c_source_write(work, "network", m, vectors, &error));
    must(dc__rung_write_texts(work, arena, &error));
    must(dc_file_write(dc_arena_printf(arena, &error, "%s/samples", work), x, (size_t)bytes,
                       &error));
    dc_vectors_free(vectors);
    return work;
}

// Instructions of each layer, mean over the samples.
static void measure(double *instructions, const struct dc_ctx *ctx, const struct dc_imodel *m,
                    const char *work, enum dc_core core, enum dc_optimization optimization)
{
    struct dc_arena *arena = NULL;
    const enum dc_rung rung = (enum dc_rung)(DC_RUNG_CORTEX_M0 + (int)core);
    int code = -1;
    char *answers = NULL;
    must(dc_arena_create(&arena, &error));
    const struct dc__build build = {
        .rung = rung,
        .answers = true,
        .flags = dc_arena_printf(arena, &error, "%s -DNETWORK_TRACE -DTRACED -Wno-unused-function",
                                 dc_optimization_names[optimization]),
        .folder = work};
    must(dc__rung_build(&code, ctx, &build, arena, &error));
    if (code == 0)
        must(dc__rung_run(&code, ctx, rung, work, arena, &error));
    if (code != 0)
        fail_msg("%s: %s", dc_core_names[core], dc__rung_words(work, arena));
    must(dc_file_read(&answers, NULL, dc_arena_printf(arena, &error, "%s/answers", work), arena,
                      &error));
    memset(instructions, 0, sizeof *instructions * (size_t)m->count);
    const uint8_t *at = (const uint8_t *)answers;
    for (int n = 0; n < SAMPLES; n++) {
        at += dc_ilayer_size(dc_imodel_output(m));
        for (int i = 1; i < m->count; i++) {
            uint32_t before, now;
            memcpy(&before, at + 8 * (i - 1), sizeof before);
            memcpy(&now, at + 8 * i, sizeof now);
            instructions[i] += (dc__rung_instructions(rung, now - before) - CLOCK) / SAMPLES;
        }
        at += 8 * m->count;
    }
    dc_arena_free(arena);
}

// What was measured of one column's layers.
struct column {
    int count;
    double features[LAYERS_MAX][DC__TIME_FEATURES], instructions[LAYERS_MAX];
};

// Gauss's elimination of a x = b for those features that are used.
static void solve(double x[DC__TIME_FEATURES], double a[DC__TIME_FEATURES][DC__TIME_FEATURES],
                  double b[DC__TIME_FEATURES], const bool used[DC__TIME_FEATURES])
{
    for (int k = 0; k < DC__TIME_FEATURES; k++)
        for (int i = 0; i < DC__TIME_FEATURES; i++) {
            if (i == k || !used[i] || !used[k])
                continue;
            const double factor = a[i][k] / a[k][k];
            for (int j = 0; j < DC__TIME_FEATURES; j++)
                a[i][j] -= factor * a[k][j];
            b[i] -= factor * b[k];
        }
    for (int k = 0; k < DC__TIME_FEATURES; k++)
        x[k] = used[k] ? b[k] / a[k][k] : 0.0;
}

// Of relative errors. A feature whose coefficient is negative is left out; so is one of which the
// measurements say nothing.
static void fit(double x[DC__TIME_FEATURES], const struct column *c)
{
    bool used[DC__TIME_FEATURES];
    for (int f = 0; f < DC__TIME_FEATURES; f++) {
        used[f] = false;
        for (int n = 0; n < c->count; n++)
            used[f] = used[f] || c->features[n][f] > 0.0;
    }
    for (int worst = 0; worst >= 0;) {
        double a[DC__TIME_FEATURES][DC__TIME_FEATURES] = {{0}}, b[DC__TIME_FEATURES] = {0};
        for (int n = 0; n < c->count; n++)
            for (int i = 0; i < DC__TIME_FEATURES; i++) {
                const double weight = 1.0 / (c->instructions[n] * c->instructions[n]);
                for (int j = 0; j < DC__TIME_FEATURES; j++)
                    a[i][j] += weight * c->features[n][i] * c->features[n][j];
                b[i] += weight * c->features[n][i] * c->instructions[n];
            }
        for (int f = 0; f < DC__TIME_FEATURES; f++)
            a[f][f] *= 1.0 + 1e-9;
        solve(x, a, b, used);
        worst = -1;
        for (int f = 0; f < DC__TIME_FEATURES; f++)
            if (x[f] < 0.0 && (worst < 0 || x[f] < x[worst]))
                worst = f;
        if (worst >= 0)
            used[worst] = false;
    }
}

static void print_row(const struct dc_profile *profile, enum dc_core core,
                      enum dc_optimization optimization, const struct column *columns)
{
    static const char *const cores[DC_CORE_COUNT] = {
        [DC_CORTEX_M0] = "M0", [DC_CORTEX_M3] = "M3",   [DC_CORTEX_M4] = "M4",
        [DC_CORTEX_M7] = "M7", [DC_CORTEX_M33] = "M33", [DC_CORTEX_M55] = "M55"};
    printf("{\"%s\", DC_CORTEX_%s, %s,\n    {", profile->name, cores[core],
           optimization == DC_FOR_SIZE ? "DC_FOR_SIZE" : "DC_FOR_SPEED");
    for (int c = 0; c < DC__TIME_COLUMNS; c++) {
        double x[DC__TIME_FEATURES] = {0};
        if (columns[c].count > 0)
            fit(x, &columns[c]);
        int used = DC__TIME_FEATURES;
        while (used > 1 && x[used - 1] == 0.0)
            used--;
        for (int f = 0; f < used; f++)
            printf("%s%.4g", f ? ", " : "{", x[f]);
        printf("}%s", c + 1 < DC__TIME_COLUMNS ? ((c + 1) % 7 ? ", " : ",\n     ") : "}},\n");
    }
    fflush(stdout);
}

static void measure_profile(const struct dc_ctx *ctx, const struct dc_profile *profile,
                            const char *only)
{
    struct dc_imodel *models[2];
    char *works[2];
    struct dc_arena *arena = NULL;
    struct column *columns = calloc(DC__TIME_COLUMNS, sizeof *columns);
    assert_non_null(columns);
    must(dc_arena_create(&arena, &error));
    for (int k = 0; k < 2; k++) {
        models[k] = shapes(profile, k ? 4 : 8);
        works[k] = prepare(ctx, models[k], arena);
        note_the_clock(works[k], arena);
    }
    for (int core = 0; core < DC_CORE_COUNT; core++)
        for (int how = 0; how < DC_OPTIMIZATION_COUNT; how++) {
            if (only && strcmp(only, dc_core_names[core]) != 0)
                continue;
            memset(columns, 0, DC__TIME_COLUMNS * sizeof *columns);
            for (int k = 0; k < 2; k++) {
                double instructions[LAYERS_MAX];
                measure(instructions, ctx, models[k], works[k], (enum dc_core)core,
                        (enum dc_optimization)how);
                for (int i = 1; i < models[k]->count; i++) {
                    struct column *c = &columns[dc__time_column(models[k], i)];
                    if (models[k]->layers[i].op == DC_I_RESHAPE)
                        continue;
                    dc__time_features(c->features[c->count], models[k], i, (enum dc_core)core);
                    c->instructions[c->count++] = instructions[i];
                }
            }
            print_row(profile, (enum dc_core)core, (enum dc_optimization)how, columns);
        }
    for (int k = 0; k < 2; k++) {
        dc_folder_discard(works[k]);
        dc_imodel_free(models[k]);
    }
    free(columns);
    dc_arena_free(arena);
}

// Layers too where DECANT_SHOW is set.
static int compare(const struct dc_ctx *ctx, const char *file, int bits,
                   const struct dc_profile *profile, const char *only)
{
    struct dc_imodel *m = NULL;
    struct dc_arena *arena = NULL;
    int wrong = 0, compared = 0;
    must(dc_arena_create(&arena, &error));
    must(test_lower_random(&m, file, profile, bits, 8, &error));
    char *work = prepare(ctx, m, arena);
    note_the_clock(work, arena);
    for (int core = 0; core < DC_CORE_COUNT; core++)
        for (int how = 0; how < DC_OPTIMIZATION_COUNT; how++) {
            double measured[LAYERS_MAX], estimated[LAYERS_MAX], sums[2] = {0};
            if (only && strcmp(only, dc_core_names[core]) != 0)
                continue;
            compared++;
            measure(measured, ctx, m, work, (enum dc_core)core, (enum dc_optimization)how);
            must(dc_c_instructions(estimated, m, (enum dc_core)core, (enum dc_optimization)how,
                                   &error));
            for (int i = 1; i < m->count; i++) {
                sums[0] += measured[i];
                sums[1] += estimated[i];
                if (getenv("DECANT_SHOW"))
                    printf("  %-32s %12.0f %12.0f %6.1f%%\n", m->layers[i].name, measured[i],
                           estimated[i], 100.0 * (estimated[i] / measured[i] - 1.0));
            }
            const double off = 100.0 * (sums[1] / sums[0] - 1.0);
            printf("%-44s %d %-14s %-10s %s %12.0f %12.0f %6.1f%%\n", file, bits, profile->name,
                   dc_core_names[core], dc_optimization_names[how], sums[0], sums[1], off);
            fflush(stdout);
            wrong += !(fabs(off) <= 10.0);
        }
    dc_folder_discard(work);
    dc_imodel_free(m);
    dc_arena_free(arena);
    return wrong || compared == 0;
}

int main(int argc, char **argv)
{
    const struct dc_ctx_config config = {.threads = 1};
    struct dc_ctx *ctx = NULL;
    int wrong = 0;
    must(dc_ctx_create(&ctx, &config, &error));
    if (argc >= 5 && strcmp(argv[1], "--compare") == 0) {
        wrong = compare(ctx, argv[2], atoi(argv[3]), dc_profile_find(argv[4]),
                        argc > 5 ? argv[5] : NULL);
    } else {
        const int options = argc > 2 && strcmp(argv[1], "--core") == 0 ? 2 : 0;
        printf("// Made by tests/interop/measure_time, under QEMU.\n// clang-format off\n");
        for (const struct dc_profile *const *p = dc_profile_table(); *p; p++) {
            bool wanted = argc == 1 + options;
            for (int i = 1 + options; i < argc; i++)
                wanted = wanted || strcmp(argv[i], (*p)->name) == 0;
            if (wanted)
                measure_profile(ctx, *p, options ? argv[2] : NULL);
        }
    }
    dc_ctx_free(ctx);
    return wrong > 0;
}

// An integer model as its C pair: write_c FOLDER PROFILE (conv | every-op | FILE.yaml) [BITS
// [METHOD FIT]], of which the last two are of photographs resized for it. conv
// is one convolution of 3x3 over 16 channels to 24, of a 24x24 image; a model file gets random
// weights. Writes FOLDER/network.h and FOLDER/network.c, prints the multiply-accumulates.
// NETWORK may be the name of an op too: that op alone, `reshape` for none. write_c --bundle FOLDER
// ... writes a bundle; write_c --rungs NAMES ... runs it on rungs (export/ladder.h) and prints, of
// each, its instructions, those a multiply-accumulate, and what differs, if anything does (exit 4)
// or cannot run (exit 1); write_c --sizes ... prints what is estimated for each core; write_c
// --data
// ... prints the bytes of the C's arrays and records instead. write_c --profiles prints the names
// of all profiles; write_c --arena FILE.yaml bytes: of the arena, of its bound, of the arena with
// input and output in it, of scratch.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "export/bundle.h"
#include "export/c_size.h"
#include "export/c_source.h"
#include "export/ladder.h"
#include "tests/interop/helper_network.h"
#include "tests/qat/helper_models.h"

enum { SAMPLES = 2 };

static enum dc_status write_pair(const char *folder, bool bundle, const struct dc_imodel *m,
                                 struct dc_random *random, struct dc_error *error)
{
    const struct dc_ctx_config config = {.threads = 1};
    const int64_t in = dc_ilayer_size(&m->layers[0]);
    struct dc_ctx *ctx = NULL;
    struct dc_vectors *vectors = NULL;
    int8_t *x = calloc((size_t)(SAMPLES * in), 1);
    assert_non_null(x);
    test_fill_codes(x, SAMPLES * in, random);
    enum dc_status status = dc_ctx_create(&ctx, &config, error);
    if (status == DC_OK)
        status = dc_vectors_create(&vectors, ctx, m, x, SAMPLES, error);
    if (status == DC_OK)
        status = bundle ? dc_bundle_write(folder, m, vectors, NULL, error)
                        : dc_c_source_write(folder, "network", m, vectors, error);
    dc_vectors_free(vectors);
    dc_ctx_free(ctx);
    free(x);
    return status;
}

// The network on rungs, with the vectors that its C holds.
static enum dc_status climb(const char *names, const struct dc_imodel *m, int64_t macs,
                            struct dc_random *random, struct dc_error *error)
{
    const struct dc_ctx_config config = {.threads = 1};
    const int64_t in = dc_ilayer_size(&m->layers[0]);
    struct dc_rung_result results[DC_RUNG_COUNT] = {0};
    bool wanted[DC_RUNG_COUNT];
    struct dc_ctx *ctx = NULL;
    struct dc_vectors *vectors = NULL;
    struct dc_ladder *ladder = NULL;
    int8_t *x = calloc((size_t)(SAMPLES * in), 1);
    assert_non_null(x);
    test_fill_codes(x, SAMPLES * in, random);
    enum dc_status status = dc_rungs_parse(wanted, names, error);
    if (status == DC_OK)
        status = dc_ctx_create(&ctx, &config, error);
    if (status == DC_OK)
        status = dc_vectors_create(&vectors, ctx, m, x, SAMPLES, error);
    if (status == DC_OK)
        status = dc_ladder_create(&ladder, ctx, m, vectors, NULL, 0, error);
    if (status == DC_OK)
        status = dc_ladder_climb(results, ladder, wanted, error);
    for (int r = 0; r < DC_RUNG_COUNT; r++)
        if (results[r].outcome != DC_RUNG_NOT_ASKED)
            printf("%s %.0f %.3f %s%s%s\n", dc_rung_name((enum dc_rung)r), results[r].instructions,
                   results[r].instructions / (double)macs,
                   results[r].outcome == DC_RUNG_EQUAL ? "equal" : "",
                   results[r].outcome == DC_RUNG_EQUAL && results[r].why[0] ? ", " : "",
                   results[r].why);
    dc_ladder_free(ladder);
    dc_vectors_free(vectors);
    dc_ctx_free(ctx);
    free(x);
    return status;
}

// One layer of an op over 8 x 8 x channels, by itself where it reads two values; a product by a
// copy, since not every runtime has squares.
static struct dc_imodel *one_op(const struct dc_profile *profile, enum dc_iop op, int bits,
                                int channels, struct dc_random *random)
{
    const bool windowed = op == DC_I_CONV2D || op == DC_I_DEPTHWISE_CONV2D ||
                          op == DC_I_AVERAGE_POOL || op == DC_I_MAX_POOL;
    // what comes out is not what went in: equal arrays of vectors would be one in the program
    const bool moves = op == DC_I_SLICE || op == DC_I_PAD;
    const struct dc_ilayer layer = {
        .op = op,
        .channels = windowed || op == DC_I_FULLY_CONNECTED ? 8 : 0,
        .window = {.kernel = {windowed ? 3 : 1, windowed ? 3 : 1}, .before = {moves, moves}},
        .function = DC_F_TANH,
        .weight_bits = bits,
        .per_channel = true};
    const bool two = op == DC_I_ADD || op == DC_I_CONCAT;
    const struct dc_ilayer input = {.op = DC_I_INPUT,
                                    .name = "input",
                                    .height = 8,
                                    .width = 8,
                                    .channels = channels,
                                    .scale = 0.03125f,
                                    .bits = 8,
                                    .clamp_low = -128,
                                    .clamp_high = 127};
    struct dc_imodel *m = NULL;
    assert_int_equal(dc_imodel_create(&m, "one_op", "made up", profile, NULL), DC_OK);
    assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
    const struct dc_ilayer copied = {.op = DC_I_SLICE};
    const int second = op == DC_I_MULTIPLY ? test_add_layer(m, "x", &copied, 0, -1, random)
                       : two               ? 0
                                           : -1;
    test_add_layer(m, "y", &layer, 0, second, random);
    return m;
}

// Bytes, resized as the words say; the last words of the command line, or NULL.
static enum dc_status resize_for(struct dc_imodel *m, const char *method, const char *fit,
                                 struct dc_error *error)
{
    struct dc_preprocessing p = {
        .bytes = true, .normalization = {.channels = 1, .mean = {0.5f}, .deviation = {0.25f}}};
    p.resize.height = m->layers[0].height;
    p.resize.width = m->layers[0].width;
    while (dc_resize_methods[p.resize.method] && strcmp(dc_resize_methods[p.resize.method], method))
        p.resize.method++;
    while (dc_resize_fits[p.resize.fit] && strcmp(dc_resize_fits[p.resize.fit], fit))
        p.resize.fit++;
    if (!dc_resize_methods[p.resize.method] || !dc_resize_fits[p.resize.fit])
        return dc_fail(error, DC_ERR_USAGE, "no resizing %s, %s", method, fit);
    return dc_imodel_set_preprocessing(m, &p, error);
}

static int64_t count_macs(const struct dc_imodel *m)
{
    int64_t macs = 0;
    for (int i = 1; i < m->count; i++)
        macs += dc_ilayer_macs(m, i);
    return macs;
}

// A line for each core and optimization: flash; RAM without the stack.
static enum dc_status print_sizes(const struct dc_imodel *m, struct dc_error *error)
{
    for (int core = 0; core < DC_CORE_COUNT; core++)
        for (int how = 0; how < DC_OPTIMIZATION_COUNT; how++) {
            struct dc_footprint f;
            DC_TRY(dc_c_footprint(&f, m, (enum dc_core)core, (enum dc_optimization)how,
                                  DC_EMBEDDED_VECTORS, error));
            printf("%s %s %lld %lld\n", dc_core_names[core], dc_optimization_names[how],
                   (long long)dc_footprint_flash(&f), (long long)(dc_footprint_ram(&f) - f.stack));
        }
    return DC_OK;
}

static enum dc_status print_arena(const char *file, struct dc_error *error)
{
    struct dc_imodel *m = NULL;
    struct dc_imodel_cost cost;
    DC_TRY(test_lower_random(&m, file, dc_profile_find("tflm"), 8, 8, error));
    const enum dc_status status = dc_imodel_cost(&cost, m, error);
    if (status == DC_OK)
        printf("%lld %lld %lld %lld\n", (long long)cost.arena_bytes, (long long)cost.arena_bound,
               (long long)cost.whole_arena_bytes, (long long)cost.scratch_bytes);
    dc_imodel_free(m);
    return status;
}

int main(int argc, char **argv)
{
    static const struct dc_ilayer conv = {.op = DC_I_CONV2D,
                                          .channels = 24,
                                          .window = {.kernel = {3, 3},
                                                     .stride = {1, 1},
                                                     .dilation = {1, 1},
                                                     .before = {1, 1},
                                                     .after = {1, 1}},
                                          .per_channel = true};
    static struct dc_error error;
    struct dc_random random;
    struct dc_imodel *m = NULL;
    const bool data = argc > 1 && strcmp(argv[1], "--data") == 0;
    const bool bundle = argc > 1 && strcmp(argv[1], "--bundle") == 0;
    const bool sizes = argc > 1 && strcmp(argv[1], "--sizes") == 0;
    const char *rungs = argc > 2 && strcmp(argv[1], "--rungs") == 0 ? argv[2] : NULL;
    argc -= data || bundle || sizes || rungs;
    argv += data || bundle || sizes || rungs;
    const struct dc_profile *profile = argc > 2 ? dc_profile_find(argv[2]) : NULL;
    const int bits = argc > 4 ? atoi(argv[4]) : 8;
    enum dc_status status = DC_OK;
    if (argc == 2 && strcmp(argv[1], "--profiles") == 0) {
        for (const struct dc_profile *const *p = dc_profile_table(); *p; p++)
            puts((*p)->name);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "--arena") == 0) {
        status = print_arena(argv[2], &error);
        if (status != DC_OK)
            fprintf(stderr, "%s\n", error.message);
        return dc_exit_code(status);
    }
    if (argc < 4 || !profile)
        return 2;
    dc_random_start(&random, 12, DC_PURPOSE_TEST, 0, 0);
    if (strstr(argv[3], ".yaml")) {
        status = test_lower_random(&m, argv[3], profile, bits, 8, &error);
    } else if (dc_iop_find(argv[3]) >= 0) {
        const int channels = argc > 6 ? 3 : 8;  // those of photographs
        m = one_op(profile, (enum dc_iop)dc_iop_find(argv[3]), bits, channels, &random);
    } else if (strcmp(argv[3], "every-op") == 0) {
        m = test_every_op_model(profile, 1);
    } else {
        struct dc_ilayer layer = conv;
        layer.weight_bits = bits;
        m = test_one_layer_model(profile, 24, 24, 16, &layer, &random);
    }
    if (status == DC_OK && argc > 6)
        status = resize_for(m, argv[5], argv[6], &error);
    if (status == DC_OK && sizes)
        status = print_sizes(m, &error);
    else if (status == DC_OK && rungs)
        status = climb(rungs, m, count_macs(m), &random, &error);
    else if (status == DC_OK)
        status = write_pair(argv[1], bundle, m, &random, &error);
    if (status != DC_OK)
        fprintf(stderr, "%s\n", error.message);
    else if (!sizes && !rungs)
        printf("%lld\n",
               (long long)(data ? dc_c_data_bytes(m, SAMPLES + DC_VECTOR_CORNERS) : count_macs(m)));
    dc_imodel_free(m);
    return dc_exit_code(status);
}

// An integer model as its C pair: write_c FOLDER PROFILE (conv | every-op | FILE.yaml) [BITS]. conv
// is one convolution of 3x3 over 16 channels to 24, of a 24x24 image; a model file gets random
// weights. Writes FOLDER/network.h and FOLDER/network.c, prints the multiply-accumulates.
// write_c --profiles prints the names of all profiles; write_c --arena FILE.yaml bytes: of the
// arena, of its bound, of the arena with input and output in it, of scratch.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "export/c_source.h"
#include "tests/interop/helper_network.h"
#include "tests/qat/helper_models.h"

enum { SAMPLES = 2 };

static enum dc_status write_pair(const char *folder, const struct dc_imodel *m,
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
        status = dc_c_source_write(folder, "network", m, vectors, error);
    dc_vectors_free(vectors);
    dc_ctx_free(ctx);
    free(x);
    return status;
}

static int64_t count_macs(const struct dc_imodel *m)
{
    int64_t macs = 0;
    for (int i = 1; i < m->count; i++)
        macs += dc_ilayer_macs(m, i);
    return macs;
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
    } else if (strcmp(argv[3], "every-op") == 0) {
        m = test_every_op_model(profile, 1);
    } else {
        struct dc_ilayer layer = conv;
        layer.weight_bits = bits;
        m = test_one_layer_model(profile, 24, 24, 16, &layer, &random);
    }
    if (status == DC_OK)
        status = write_pair(argv[1], m, &random, &error);
    if (status != DC_OK)
        fprintf(stderr, "%s\n", error.message);
    else
        printf("%lld\n", (long long)count_macs(m));
    dc_imodel_free(m);
    return dc_exit_code(status);
}

// Additions of int8 codes, all 65,536 pairs, by every profile: the engine with every kernel, and
// the compiled C of a bundle, against the definition (tests/oracles). Pinned values are what the
// runtimes give: LiteRT 2.3's built-in kernels and ONNX Runtime 1.32's QLinearAdd.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"
#include "export/bundle.h"
#include "export/vectors.h"
#include "export/verify.h"
#include "qat/engine.h"
#include "qat/profile.h"
#include "tests/core/helper_folder.h"
#include "tests/oracles/integer_oracle.h"
#include "tests/qat/helper_models.h"

enum { CODES = 256, PAIRS = CODES * CODES, SETS = 14 };

// Of ResNets, of ties, of near-ties, and of ratios that shift an operand to the right.
static const struct test_pair sets[SETS] = {
    {0.05504178628325462f, 0.10243029147386551f, 0.09394635260105133f, -34, -128, -128},
    {5.1121721267700195f, 10.224344253540039f, 3.4081149101257324f, -44, 67, -111},
    {0.5f, 0.25f, 1.0f, 0, 0, 0},
    {0.5f, 0.25f, 1.0f, 3, -7, 11},
    {0.5f, 0.5f, 4.0f, 0, 0, 0},
    {0.25f, 0.5f, 0.5f, -128, 127, -1},
    {1.0f, 1.0f, 3.0f, 5, 5, 5},
    {0.02f, 0.05f, 0.03f, 3, -7, 11},
    {1.0f, 0.3f, 1.0f, 0, 0, 0},
    {1.0f, 1e-7f, 1.0f, 17, 90, -3},
    {1e-7f, 1.0f, 1.0f, -128, 0, 64},
    {1e-9f, 1.0f, 0.01f, -128, 0, 64},
    {0.003f, 0.0041f, 0.0052f, -128, -128, -128},
    {0.9f, 0.31f, 0.17f, 127, -128, 0},
};

static struct dc_ctx *ctx;
static struct dc_error error;
static int8_t pairs[2 * PAIRS], wanted[PAIRS], found[PAIRS];
static int32_t sums[PAIRS];

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static void define(const struct dc_profile *profile, const struct test_pair *s, int count)
{
    const char *name = profile->name;
    const bool onnx = strcmp(name, "onnxruntime") == 0;
    const bool delegate = strcmp(name, "litert-xnnpack") == 0 || strcmp(name, "litert-arm64") == 0;
    const struct oracle_layer o = {.single = strcmp(name, "ruy") == 0,
                                   .even = onnx || delegate,
                                   .delegate = delegate,
                                   .fused = onnx,
                                   .vectors = strcmp(name, "litert-builtin") == 0,
                                   .in_scale = s->a,
                                   .out_scale = s->sum,
                                   .in_zero_point = s->zero_a,
                                   .out_zero_point = s->zero_sum,
                                   .low = -128,
                                   .high = 127};
    static int8_t a[PAIRS], b[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        a[i] = pairs[2 * i];
        b[i] = pairs[2 * i + 1];
    }
    for (int i = 0; i < PAIRS; i += count)
        oracle_integer_add(wanted + i, sums + i, a + i, b + i, s->b, s->zero_b,
                           PAIRS - i < count ? PAIRS - i : count, &o);
}

static int different(int64_t count)
{
    int n = 0;
    for (int64_t i = 0; i < count; i++)
        n += found[i] != wanted[i];
    return n;
}

// Every level's kernels, samples of height x width codes; the last pairs that fill no sample are
// left out.
static void check_engine(const struct dc_imodel *m, int count, const char *what)
{
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
        const struct dc_ctx_config config = {
            .threads = 1, .isa = (enum dc_isa)isa, .isa_given = true};
        struct dc_ctx *level = NULL;
        struct dc_engine *engine = NULL;
        must(dc_ctx_create(&level, &config, &error));
        must(dc_engine_create(&engine, level, m, &error));
        dc_engine_run(engine, found, pairs, PAIRS / count);
        const int n = different((int64_t)(PAIRS / count) * count);
        if (n > 0)
            fail_msg("%s, %s, %d codes a sample, level %d: %d of %d differ", m->profile->name, what,
                     count, isa, n, PAIRS);
        dc_engine_free(engine);
        dc_ctx_free(level);
    }
}

static void check_c(const struct dc_imodel *m, int count)
{
    struct dc_vectors *vectors = NULL;
    struct dc_verify_report report;
    const char *bundle = test_path("bundle");
    must(dc_vectors_create(&vectors, ctx, m, pairs, 1, &error));
    must(dc_bundle_write(bundle, m, vectors, NULL, &error));
    dc_vectors_free(vectors);
    must(dc_verify_bundle(ctx, bundle, pairs, PAIRS / count, NULL, &report, &error));
    assert_int_equal(report.bytes, PAIRS / count * count);
}

static int set_up(void **state)
{
    const struct dc_ctx_config config = {.threads = 1};
    (void)state;
    for (int i = 0; i < PAIRS; i++) {
        pairs[2 * i] = (int8_t)(i / CODES - 128);
        pairs[2 * i + 1] = (int8_t)(i % CODES - 128);
    }
    test_folder();
    return dc_ctx_create(&ctx, &config, &error) == DC_OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    dc_ctx_free(ctx);
    return 0;
}

// As one sample, which has blocks alone, and, where those count, as samples that they do not fill.
static void all_pairs_follow_the_definition(void **state)
{
    (void)state;
    static const int heights[] = {32, 17, 1, 1}, widths[] = {8, 1, 15, 33};
    for (const struct dc_profile *const *p = dc_profile_table(); *p; p++) {
        int taken = 0;
        for (int s = 0; s < SETS && !(*p)->power_of_two; s++) {
            const bool blocks = strcmp((*p)->name, "litert-builtin") == 0;
            for (int k = 0; k < (blocks ? 4 : 1); k++) {
                struct dc_imodel *m = test_pair_model(*p, &sets[s], heights[k], widths[k]);
                char what[32];
                snprintf(what, sizeof what, "scales %d", s);
                if (!m) {
                    assert_non_null((*p)->refuses);
                    continue;
                }
                taken++;
                define(*p, &sets[s], heights[k] * widths[k]);
                check_engine(m, heights[k] * widths[k], what);
                if (s < 2 && k < 2)
                    check_c(m, heights[k] * widths[k]);
                dc_imodel_free(m);
            }
        }
        assert_true((*p)->power_of_two || taken >= 8);
    }
}

static int code_of(const char *profile, const struct test_pair *s, int count, int at, int a, int b)
{
    int8_t x[2 * 64], y[64];
    struct dc_imodel *m = test_pair_model(dc_profile_find(profile), s, count, 1);
    struct dc_engine *engine = NULL;
    assert_non_null(m);
    for (int i = 0; i < count; i++) {
        x[2 * i] = (int8_t)a;
        x[2 * i + 1] = (int8_t)b;
    }
    must(dc_engine_create(&engine, ctx, m, &error));
    dc_engine_run(engine, y, x, 1);
    dc_engine_free(engine);
    dc_imodel_free(m);
    return y[at];
}

static void runtimes_give_these_codes(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        int count, at, code;
    } cases[] = {{"tflm", 17, 0, -52},
                 {"litert-reference", 17, 0, -52},
                 {"litert-xnnpack", 17, 0, -51},
                 {"litert-builtin", 15, 14, -52},
                 {"litert-builtin", 16, 0, -51},
                 {"litert-builtin", 16, 15, -51},
                 {"litert-builtin", 17, 15, -51},
                 {"litert-builtin", 17, 16, -52},
                 {"litert-builtin", 48, 47, -51},
                 {"litert-builtin", 49, 48, -52}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(code_of(cases[i].profile, &sets[0], cases[i].count, cases[i].at, -43, -53),
                         cases[i].code);
    // 0.5 v + 0.25 w = code: ties go to even codes, wherever the zero points are.
    assert_int_equal(code_of("onnxruntime", &sets[2], 1, 0, 1, 0), 0);
    assert_int_equal(code_of("onnxruntime", &sets[2], 1, 0, 3, 0), 2);
    assert_int_equal(code_of("onnxruntime", &sets[3], 1, 0, 4, -7), 12);  // 11.5
    assert_int_equal(code_of("onnxruntime", &sets[3], 1, 0, 6, -7), 12);  // 12.5
}

// The oracle's own multiply-add against the C library's.
static void the_oracle_fuses_as_the_library(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 5, DC_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < 400000; i++) {
        const float a = (float)((int)dc_random_below(&random, 256) - 128);
        const float b = ldexpf(dc_random_between(&random, 0.5f, 1.0f),
                               (int)dc_random_below(&random, 60) - 40);
        const float c = ldexpf(dc_random_between(&random, -1.0f, 1.0f),
                               (int)dc_random_below(&random, 200) - 120);
        assert_true(oracle_fused(a, b, c) == fmaf(a, b, c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_pairs_follow_the_definition),
        cmocka_unit_test(runtimes_give_these_codes),
        cmocka_unit_test(the_oracle_fuses_as_the_library),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

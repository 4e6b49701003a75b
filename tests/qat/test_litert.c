// LiteRT's roundings where they part: on ties, and what its delegate does not take. The expected
// codes are what LiteRT 2.3.0 gave for these sums in files with these scales (tests/interop judges
// many more; here no LiteRT is needed).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "qat/engine.h"
#include "tests/qat/helper_models.h"

enum { SUMS = 11 };

static void run(int8_t *codes, const struct dc_imodel *m, const int8_t *input)
{
    const struct dc_ctx_config config = {.threads = 1};
    struct dc_ctx *ctx = NULL;
    struct dc_engine *engine = NULL;
    assert_int_equal(dc_ctx_create(&ctx, &config, NULL), DC_OK);
    assert_int_equal(dc_engine_create(&engine, ctx, m, NULL), DC_OK);
    dc_engine_run(engine, codes, input, 1);
    dc_engine_free(engine);
    dc_ctx_free(ctx);
}

static int8_t run_one(const struct dc_imodel *m, const int8_t *input)
{
    int8_t code;
    run(&code, m, input);
    return code;
}

static struct dc_imodel *start(const char *profile, int height, int channels, float scale)
{
    struct dc_imodel *m = NULL;
    const struct dc_ilayer input = {.name = "x",
                                    .op = DC_I_INPUT,
                                    .height = height,
                                    .width = 1,
                                    .channels = channels,
                                    .scale = scale,
                                    .bits = 8,
                                    .clamp_low = -128,
                                    .clamp_high = 127};
    assert_int_equal(dc_imodel_create(&m, "litert", "", dc_profile_find(profile), NULL), DC_OK);
    assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
    return m;
}

static struct dc_ilayer layer(enum dc_iop op, float scale, int zero_point)
{
    return (struct dc_ilayer){.name = "y",
                              .op = op,
                              .input_count = op == DC_I_ADD ? 2 : 1,
                              .height = 1,
                              .width = 1,
                              .channels = 1,
                              .scale = scale,
                              .zero_point = zero_point,
                              .bits = 8,
                              .clamp_low = -128,
                              .clamp_high = 127};
}

// Half of the sums -5 to 5. The delegate takes the even code, wherever the zero point is.
static void means_end_on_even_codes(void **state)
{
    (void)state;
    static const struct {
        int zero_point;
        int8_t codes[SUMS];
    } cases[] = {
        {65, {62, 63, 64, 64, 64, 65, 66, 66, 66, 67, 68}},
        {-60, {-62, -62, -62, -61, -60, -60, -60, -59, -58, -58, -58}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct dc_imodel *m = start("litert-xnnpack", 2, 1, 0.25f);
        const struct dc_ilayer mean = layer(DC_I_MEAN, 0.25f, cases[k].zero_point);
        assert_int_equal(dc_imodel_add(m, &mean, NULL, NULL), DC_OK);
        for (int i = 0; i < SUMS; i++)
            assert_int_equal(run_one(m, (const int8_t[]){(int8_t)(i - 5), 0}), cases[k].codes[i]);
        dc_imodel_free(m);
    }
}

// -2080 / 64 = -32.5 and 1248 / 64 = 19.5, zero point -5.
static void dense_ties_go_two_ways(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        int8_t codes[2];
    } cases[] = {{"litert-reference", {-38, 15}},
                 {"litert-xnnpack", {-37, 15}},
                 {"litert-builtin", {-37, 15}}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        for (int i = 0; i < 2; i++) {
            const int32_t bias = i == 0 ? -2080 : 1248;
            const int8_t weight = 1;
            const float scale = 0x1p-7f;
            struct dc_imodel *m = start(cases[k].profile, 1, 1, 0.5f);
            struct dc_ilayer dense = layer(DC_I_FULLY_CONNECTED, 0.25f, -5);
            dense.weight_bits = 8;
            dense.weights = &weight;
            dense.biases = &bias;
            dense.weight_scales = &scale;
            assert_int_equal(dc_imodel_add(m, &dense, NULL, NULL), DC_OK);
            assert_int_equal(run_one(m, (const int8_t[]){0}), cases[k].codes[i]);
            dc_imodel_free(m);
        }
    }
}

// The built-in kernels: -2080 / 64 = -32.5 in each channel, zero point -5. The vectors' 8 channels
// go up, the ninth away from zero.
static void vectors_send_ties_up(void **state)
{
    (void)state;
    enum { CHANNELS = 9 };
    static const int8_t weights[CHANNELS] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    int32_t biases[CHANNELS];
    float scales[CHANNELS];
    for (int c = 0; c < CHANNELS; c++) {
        biases[c] = -2080;
        scales[c] = 0x1p-7f;
    }
    for (int depthwise = 0; depthwise < 2; depthwise++) {
        struct dc_imodel *m = start("litert-builtin", 1, depthwise ? CHANNELS : 1, 0.5f);
        struct dc_ilayer l = layer(depthwise ? DC_I_DEPTHWISE_CONV2D : DC_I_CONV2D, 0.25f, -5);
        l.channels = CHANNELS;
        l.window.kernel[0] = l.window.kernel[1] = l.window.stride[0] = l.window.stride[1] =
            l.window.dilation[0] = l.window.dilation[1] = 1;
        l.weight_bits = 8;
        l.per_channel = true;
        l.weights = weights;
        l.biases = biases;
        l.weight_scales = scales;
        assert_int_equal(dc_imodel_add(m, &l, NULL, NULL), DC_OK);
        int8_t codes[CHANNELS];
        run(codes, m, (const int8_t[CHANNELS]){0});
        for (int c = 0; c < CHANNELS; c++)
            assert_int_equal(codes[c], depthwise && c == 8 ? -38 : -37);
        dc_imodel_free(m);
    }
}

// The built-in mean of the codes -3, -3, 0, 0 is -1.5: up in the vectors' 16 channels, away in the
// seventeenth. Zero points 3 and 7 at scales 3 and 4 share round(9 / 4) = 2, not 2.25, and
// 6 * 3 / 8 = 2.25 rounds twice, to 3.
static void built_in_means_round_two_ways(void **state)
{
    (void)state;
    enum { CHANNELS = 17 };
    int8_t x[4 * CHANNELS] = {0}, codes[CHANNELS];
    for (int c = 0; c < 2 * CHANNELS; c++)
        x[c] = -3;
    struct dc_imodel *m = start("litert-builtin", 4, CHANNELS, 0.25f);
    struct dc_ilayer mean = layer(DC_I_MEAN, 0.25f, 0);
    mean.channels = CHANNELS;
    assert_int_equal(dc_imodel_add(m, &mean, NULL, NULL), DC_OK);
    run(codes, m, x);
    for (int c = 0; c < CHANNELS; c++)
        assert_int_equal(codes[c], c < 16 ? -1 : -2);
    dc_imodel_free(m);
    struct dc_ilayer input = {.name = "x",
                              .op = DC_I_INPUT,
                              .height = 2,
                              .width = 1,
                              .channels = 1,
                              .scale = 3.0f,
                              .zero_point = 3,
                              .bits = 8,
                              .clamp_low = -128,
                              .clamp_high = 127};
    assert_int_equal(dc_imodel_create(&m, "litert", "", dc_profile_find("litert-builtin"), NULL),
                     DC_OK);
    assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
    mean = layer(DC_I_MEAN, 4.0f, 7);
    assert_int_equal(dc_imodel_add(m, &mean, NULL, NULL), DC_OK);
    static const int8_t inputs[][2] = {{5, 6}, {3, 3}, {2, 2}};
    static const int8_t wanted[] = {9, 8, 7};  // exact: 8.875, 7, 6.25
    for (int i = 0; i < 3; i++) {
        run(codes, m, inputs[i]);
        assert_int_equal(codes[0], wanted[i]);
    }
    dc_imodel_free(m);
}

// The same file on x86 and on 64-bit ARM: softmax at an input scale of 1/16.
static void phones_have_another_softmax(void **state)
{
    (void)state;
    enum { CHANNELS = 4 };
    static const int8_t inputs[][CHANNELS] = {
        {8, -24, -10, 28}, {-28, -28, 29, 27}, {-11, 24, -14, -16}, {-21, -27, 10, -2}};
    static const struct {
        const char *profile;
        int8_t codes[4][CHANNELS];
    } cases[] = {{"litert-xnnpack",
                  {{-76, -121, -111, 52},
                   {-124, -124, 4, -12},
                   {-106, 71, -110, -112},
                   {-107, -113, 21, -58}}},
                 {"litert-arm64",
                  {{-76, -121, -111, 53},
                   {-124, -124, 4, -11},
                   {-106, 71, -109, -112},
                   {-106, -113, 21, -58}}}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct dc_imodel *m = start(cases[k].profile, 1, CHANNELS, 0x1p-4f);
        struct dc_ilayer softmax = layer(DC_I_SOFTMAX, 0x1p-8f, -128);
        softmax.channels = CHANNELS;
        assert_int_equal(dc_imodel_add(m, &softmax, NULL, NULL), DC_OK);
        for (int i = 0; i < 4; i++) {
            int8_t codes[CHANNELS];
            run(codes, m, inputs[i]);
            assert_memory_equal(codes, cases[k].codes[i], CHANNELS);
        }
        dc_imodel_free(m);
    }
}

static void refused(const char *profile, float in_scale, const struct dc_ilayer *l,
                    const char *because)
{
    struct dc_error error = {0};
    struct dc_imodel *m = start(profile, 1, 1, in_scale);
    assert_int_equal(dc_imodel_add(m, l, NULL, &error), because ? DC_ERR_DATA : DC_OK);
    if (because && !strstr(error.message, because))
        fail_msg("'%s' does not say '%s'", error.message, because);
    dc_imodel_free(m);
}

static void what_kernels_leave_is_refused(void **state)
{
    (void)state;
    const int8_t weight = 1;
    const int32_t bias = 0;
    float scale = 256.0f;
    struct dc_ilayer l = layer(DC_I_FULLY_CONNECTED, 1.0f, 0);
    l.weight_bits = 8;
    l.weights = &weight;
    l.biases = &bias;
    l.weight_scales = &scale;
    refused("litert-xnnpack", 1.0f, &l, "no factor");
    refused("litert-reference", 1.0f, &l, NULL);
    scale = 255.9f;
    refused("litert-xnnpack", 1.0f, &l, NULL);
    l = layer(DC_I_ADD, 1.0f, 0);
    refused("litert-xnnpack", 0x1p-11f, &l, "[2^-10, 2^8)");
    refused("litert-xnnpack", 256.0f, &l, "[2^-10, 2^8)");
    refused("litert-xnnpack", 0x1p-10f, &l, NULL);
    refused("litert-reference", 0x1p-11f, &l, NULL);
    refused("litert-builtin", 127.5f, &l, "16 bits");
    refused("litert-builtin", 127.4f, &l, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_end_on_even_codes),
        cmocka_unit_test(dense_ties_go_two_ways),
        cmocka_unit_test(vectors_send_ties_up),
        cmocka_unit_test(built_in_means_round_two_ways),
        cmocka_unit_test(phones_have_another_softmax),
        cmocka_unit_test(what_kernels_leave_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The given teachers as ONNX files, against the logits that PyTorch computed for the first 256 test
// records of CIFAR-10. Needs DECANT_DATA and DECANT_MODELS, or their folders beside the checkout.

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/file.h"
#include "core/packed.h"
#include "core/plan.h"
#include "formats/onnx.h"

enum { RECORDS = 256, CLASSES = 10, PIXELS = 32 * 32 };

static struct dc_error error;
static char models[1024], records[1024];
static float images[RECORDS * PIXELS * 3];

// A record: the label, then 1,024 red, green and blue bytes.
static void read_images(void)
{
    static const double mean[] = {0.485, 0.456, 0.406}, deviation[] = {0.229, 0.224, 0.225};
    static uint8_t bytes[RECORDS * (1 + 3 * PIXELS)];
    struct dc_packed *packed;
    size_t size = 0;
    if (dc_packed_open(&packed, records, &error) != DC_OK ||
        dc_packed_read(packed, bytes, sizeof bytes, &size, &error) != DC_OK)
        fail_msg("%s", error.message);
    assert_int_equal(size, sizeof bytes);
    dc_packed_close(packed);
    for (int r = 0; r < RECORDS; r++)
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < PIXELS; p++)
                images[(r * PIXELS + p) * 3 + c] =
                    (float)((bytes[r * (1 + 3 * PIXELS) + 1 + c * PIXELS + p] / 255.0 - mean[c]) /
                            deviation[c]);
}

static void check_logits(const char *name, int64_t parameters)
{
    char path[1200];
    struct dc_imported *onnx;
    struct dc_arena *arena;
    struct dc_ctx *ctx;
    struct dc_plan *plan;
    char *text;
    size_t size;
    const struct dc_ctx_config settings = {.threads = 2};
    snprintf(path, sizeof path, "%s/%s.onnx", models, name);
    if (dc_onnx_read(&onnx, path, NULL, &error) != DC_OK)
        fail_msg("%s", error.message);
    assert_true(dc_shape_equal(&onnx->sample, &DC_SHAPE(32, 32, 3)));
    assert_int_equal(dc_params_trained_count(onnx->params), parameters);
    snprintf(path, sizeof path, "%s/%s_test256_logits.f32", models, name);
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    assert_int_equal(dc_file_read(&text, &size, path, arena, &error), DC_OK);
    assert_int_equal(size, RECORDS * CLASSES * sizeof(float));
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = 64, .outputs = &onnx->output, .output_count = 1};
    assert_int_equal(dc_ctx_create(&ctx, &settings, &error), DC_OK);
    assert_int_equal(dc_plan_create(&plan, ctx, onnx->graph, &config, &error), DC_OK);
    const float *want = (const float *)(void *)text;
    for (int r = 0; r < RECORDS; r += 64) {
        dc_plan_bind(plan, onnx->input, images + (int64_t)r * PIXELS * 3);
        assert_int_equal(dc_plan_forward(plan, onnx->params, 64, NULL, &error), DC_OK);
        const float *have = dc_plan_value(plan, onnx->output);
        for (int i = 0; i < 64 * CLASSES; i++)
            if (!(fabsf(have[i] - want[r * CLASSES + i]) <= 1e-4f))  // the bound
                fail_msg("%s: record %d, class %d: %f, not %f", name, r + i / CLASSES, i % CLASSES,
                         (double)have[i], (double)want[r * CLASSES + i]);
    }
    dc_plan_free(plan);
    dc_ctx_free(ctx);
    dc_arena_free(arena);
    dc_imported_free(onnx);
}

static void resnet20_gives_the_logits_of_pytorch(void **state)
{
    (void)state;
    check_logits("resnet20", 269034);
}

static void resnet56_gives_the_logits_of_pytorch(void **state)
{
    (void)state;
    check_logits("resnet56", 850986);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resnet20_gives_the_logits_of_pytorch),
        cmocka_unit_test(resnet56_gives_the_logits_of_pytorch),
    };
    const char *shared = DECANT_SOURCE_DIR "/../shared";
    const char *data = getenv("DECANT_DATA"), *given = getenv("DECANT_MODELS");
    snprintf(records, sizeof records, "%s%s/cifar10/test_batch.bin.xz", data ? data : shared,
             data ? "" : "/data");
    snprintf(models, sizeof models, "%s%s/onnx", given ? given : shared, given ? "" : "/models");
    if (!dc_file_exists(models) || !dc_file_exists(records)) {
        puts("skipped: no CIFAR-10 or no given teachers; set DECANT_DATA and DECANT_MODELS");
        return 77;
    }
    read_images();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

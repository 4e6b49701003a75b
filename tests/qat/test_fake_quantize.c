// Fake quantization in training: ranges, masks at chunk boundaries, straight-through gradients, and
// quantized convolution and dense against the float op on weights rounded by hand.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/context.h"
#include "core/graph.h"
#include "core/random.h"
#include "qat/fake_quantize.h"

enum { ROWS = 21, ROW = 13 };

static struct dc_ctx *ctx;

static int set_up(void **state)
{
    (void)state;
    const struct dc_ctx_config config = {.threads = 2};
    return dc_ctx_create(&ctx, &config, NULL) != DC_OK;
}

static int tear_down(void **state)
{
    (void)state;
    dc_ctx_free(ctx);
    return 0;
}

static void fill(float *x, int64_t count, uint64_t id)
{
    struct dc_random random;
    dc_random_start(&random, 31, DC_PURPOSE_TEST, 0, id);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)dc_random_normal(&random);
}

static void gradient_passes_inside_the_range(void **state)
{
    (void)state;
    float x[ROWS * ROW], y[ROWS * ROW], dy[ROWS * ROW], dx[ROWS * ROW], range[3] = {-1.0f, 0.5f, 1};
    const struct dc_fake_quantize_attributes a = {
        .observer = DC_OBSERVER_MOVING_AVERAGE, .constant = 0.01f, .bits = 8};
    const struct dc_node node = {.name = "q", .op = &dc_op_fake_quantize, .attributes = &a};
    const struct dc_shape shape = DC_SHAPE(ROWS, ROW);
    const struct dc_step step = {.freeze_observers = true};
    fill(x, ROWS * ROW, 1);
    fill(dy, ROWS * ROW, 2);
    for (int i = 0; i < ROWS * ROW; i++)
        dx[i] = 100.0f;
    struct dc_op_call call = {.ctx = ctx,
                              .node = &node,
                              .mode = DC_TRAINING,
                              .step = &step,
                              .rows = ROWS,
                              .in = (struct dc_tensor[]){{x, DC_F32, shape}},
                              .out = {y, DC_F32, shape},
                              .d_out = {dy, DC_F32, shape},
                              .d_in = (struct dc_tensor[]){{dx, DC_F32, shape}},
                              .add_gradient = (bool[]){false},
                              .param = {range}};
    struct dc_op_memory memory = {0};
    dc_op_fake_quantize.memory(&memory, &node, &shape, &shape, ctx);
    void *saved = dc_alloc(memory.saved, NULL), *scratch = dc_alloc(memory.forward, NULL);
    assert_true(saved && scratch && memory.backward <= memory.forward);
    memset(saved, 0xa5, memory.saved);
    call.saved = saved;
    call.scratch = scratch;
    assert_int_equal(dc_op_fake_quantize.forward(&call, NULL), DC_OK);
    assert_true(range[0] == -1.0f && range[1] == 0.5f);  // frozen
    for (int adding = 0; adding < 2; adding++) {
        call.add_gradient[0] = adding;
        assert_int_equal(dc_op_fake_quantize.backward(&call, NULL), DC_OK);
        int passed = 0;
        for (int i = 0; i < ROWS * ROW; i++) {
            // Half a step of slack where a value lies exactly on the last code's edge.
            const float half = 1.5f / 255.0f / 2.0f;
            if (fabsf(x[i] + 1.0f) < 2.0f * half || fabsf(x[i] - 0.5f) < 2.0f * half)
                continue;
            const bool inside = x[i] > -1.0f && x[i] < 0.5f;
            const float expected = (inside ? dy[i] : 0.0f) * (float)(adding + 1);
            assert_true(dx[i] == expected);
            assert_true(!inside || fabsf(y[i] - x[i]) <= half * 1.0001f);
            passed += inside;
        }
        assert_true(passed > 50 && passed < ROWS * ROW - 50);
    }
    free(saved);
    free(scratch);
}

struct run {
    float *y, *dx, *dw, *db;
};

// Forward and backward of an op on its own, in fresh memory.
static void run_op(struct run *r, const struct dc_op *op, const void *attributes, const float *x,
                   const float *dy, float *w, float *b, int64_t weights, struct dc_shape in,
                   const struct dc_step *step)
{
    const struct dc_node node = {.name = "op", .op = op, .attributes = attributes};
    struct dc_shape out;
    struct dc_op_memory memory = {0};
    assert_int_equal(op->infer(&out, &node, &in, NULL), DC_OK);
    op->memory(&memory, &node, &in, &out, ctx);
    const int64_t n = dc_shape_count(&in), m = dc_shape_count(&out);
    r->y = dc_alloc((size_t)m * sizeof(float), NULL);
    r->dx = dc_alloc((size_t)n * sizeof(float), NULL);
    r->dw = dc_alloc((size_t)weights * sizeof(float), NULL);
    r->db = dc_alloc(64 * sizeof(float), NULL);
    void *saved = dc_alloc(memory.saved, NULL);
    void *forward = dc_alloc(memory.forward, NULL), *backward = dc_alloc(memory.backward, NULL);
    struct dc_op_call call = {.ctx = ctx,
                              .node = &node,
                              .mode = DC_TRAINING,
                              .step = step,
                              .rows = in.dims[0],
                              .in = (struct dc_tensor[]){{(void *)x, DC_F32, in}},
                              .out = {r->y, DC_F32, out},
                              .d_out = {(void *)dy, DC_F32, out},
                              .d_in = (struct dc_tensor[]){{r->dx, DC_F32, in}},
                              .add_gradient = (bool[]){false},
                              .param = {w, b},
                              .d_param = {r->dw, r->db},
                              .saved = saved,
                              .scratch = forward};
    assert_int_equal(op->forward(&call, NULL), DC_OK);
    call.scratch = backward;
    assert_int_equal(op->backward(&call, NULL), DC_OK);
    free(saved);
    free(forward);
    free(backward);
}

static void free_run(struct run *r)
{
    free(r->y);
    free(r->dx);
    free(r->dw);
    free(r->db);
}

// By hand: the largest magnitude of a channel is code 127.
static void round_weights(float *q, const float *w, int taps, int channels, bool per_channel)
{
    for (int c = 0; c < channels; c++) {
        float largest = 0.0f;
        for (int i = 0; i < taps * channels; i++) {
            if (!per_channel || i % channels == c)
                largest = fmaxf(largest, fabsf(w[i]));
        }
        const float scale = largest / 127.0f, inverse = 1.0f / scale;
        for (int t = 0; t < taps; t++) {
            const float code = rintf(w[t * channels + c] * inverse);
            assert_true(fabsf(code) <= 127.0f);
            q[t * channels + c] = code * scale;
        }
    }
}

static void compare_with_float(const struct dc_op *quantized, const struct dc_op *plain,
                               const void *attributes, struct dc_shape in, int taps, int channels,
                               int64_t outputs, bool per_channel)
{
    static float x[4096], dy[4096], w[4096], q[4096], b[64];
    fill(x, dc_shape_count(&in), 3);
    fill(dy, outputs, 4);
    fill(w, (int64_t)taps * channels, 5);
    fill(b, channels, 6);
    round_weights(q, w, taps, channels, per_channel);
    const int64_t count = (int64_t)taps * channels;
    struct run ours, theirs;
    for (int off = 0; off < 2; off++) {
        const struct dc_step step = {.quantizers_off = off};
        run_op(&ours, quantized, attributes, x, dy, w, b, count, in, &step);
        run_op(&theirs, plain, attributes, x, dy, off ? w : q, b, count, in, &step);
        assert_memory_equal(ours.y, theirs.y, (size_t)outputs * sizeof(float));
        assert_memory_equal(ours.dx, theirs.dx, (size_t)dc_shape_count(&in) * sizeof(float));
        assert_memory_equal(ours.dw, theirs.dw, (size_t)count * sizeof(float));
        assert_memory_equal(ours.db, theirs.db, (size_t)channels * sizeof(float));
        free_run(&ours);
        free_run(&theirs);
    }
}

static void quantized_ops_are_float_ops_on_rounded_weights(void **state)
{
    (void)state;
    struct dc_quantized_conv_attributes conv = {{.filters = 6,
                                                 .window = {.kernel = {3, 3},
                                                            .stride = {2, 1},
                                                            .dilation = {1, 1},
                                                            .before = {1, 1},
                                                            .after = {1, 1}},
                                                 .groups = 1,
                                                 .bias = true},
                                                {.per_channel = true, .bits = 8}};
    compare_with_float(&dc_op_quantized_conv, &dc_op_conv, &conv, DC_SHAPE(5, 7, 6, 4), 36, 6,
                       5 * 4 * 6 * 6, true);
    conv.conv.groups = 6;
    compare_with_float(&dc_op_quantized_conv, &dc_op_conv, &conv, DC_SHAPE(5, 7, 6, 6), 9, 6,
                       5 * 4 * 6 * 6, true);
    for (int per_channel = 0; per_channel < 2; per_channel++) {
        const struct dc_quantized_dense_attributes dense = {
            {11, true}, {.per_channel = per_channel, .bits = 8}};
        compare_with_float(&dc_op_quantized_dense, &dc_op_dense, &dense, DC_SHAPE(9, 30), 30, 11,
                           9 * 11, per_channel);
        compare_with_float(&dc_op_quantized_dense, &dc_op_dense, &dense, DC_SHAPE(9, 1, 1, 30), 30,
                           11, 9 * 11, per_channel);
        compare_with_float(&dc_op_quantized_dense, &dc_op_dense, &dense, DC_SHAPE(3, 31, 5), 5, 11,
                           3 * 31 * 11, per_channel);
        compare_with_float(&dc_op_quantized_dense, &dc_op_dense, &dense, DC_SHAPE(2, 3, 2, 4, 5), 5,
                           11, 2 * 24 * 11, per_channel);
    }
}

// Codes, weight gradients and scale gradients of PyTorch 1.13's autograd in float64, of the LSQ
// authors' formulas: q = round_pass(clamp(w / s, -Qp, Qp)) s, s = grad_scale(s, 1 / sqrt(N Qp)).
static void learned_scales_are_pytorchs(void **state)
{
    (void)state;
    enum { TAPS = 6, UNITS = 2, WEIGHTS = TAPS * UNITS };
    static const struct {
        int bits;
        bool per_channel;
        float scale[2];
        int codes[WEIGHTS];
        unsigned passes;  // bit i: the gradient of weight i
        double d_scale[2];
    } cases[] = {
        {4,
         true,
         {0.12f, 0.2f},
         {3, 0, -4, 5, 0, -7, 7, 1, -7, 0, 5, -2},
         0xe9f,
         {2.612548594045669, -1.6759272597757708}},
        {4, false, {0.12f}, {3, -1, -4, 7, 0, -7, 7, 2, -7, 0, 5, -3}, 0xe97, {0.9246983098750179}},
        {2,
         true,
         {0.32f, 0.53f},
         {1, 0, -1, 1, 0, -1, 1, 0, -1, 0, 1, -1},
         0xa93,
         {0.2063567530704058, -0.5650002284061199}},
        {2,
         false,
         {0.32f},
         {1, 0, -1, 1, 0, -1, 1, 1, -1, 0, 1, -1},
         0x293,
         {-0.49097325626008415}},
    };
    float w[WEIGHTS] = {0.31f, -0.07f, -0.52f, 0.93f,  0.049f, -1.7f,
                        1.13f, 0.26f,  -0.95f, 0.002f, 0.6f,   -0.33f};
    const float dy[WEIGHTS] = {0.5f,  -1.0f, 2.0f,  0.25f, -0.75f, 1.5f,
                               1.25f, -0.5f, -1.0f, 3.0f,  0.125f, 0.625f};
    float x[TAPS * TAPS] = {0};
    for (int i = 0; i < TAPS; i++)
        x[i * TAPS + i] = 1.0f;  // the identity: outputs are weights, and so are their gradients
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const struct dc_quantized_dense_attributes a = {{UNITS, false},
                                                        {.per_channel = cases[k].per_channel,
                                                         .bits = cases[k].bits,
                                                         .scaling = DC_SCALE_LEARNED}};
        for (int negative = 0; negative < 2; negative++) {  // the scale is the parameter's size
            const float sign = negative ? -1.0f : 1.0f;
            float scale[2] = {sign * cases[k].scale[0], sign * cases[k].scale[1]};
            struct run r;
            run_op(&r, &dc_op_quantized_dense, &a, x, dy, w, scale, WEIGHTS, DC_SHAPE(TAPS, TAPS),
                   NULL);
            for (int i = 0; i < WEIGHTS; i++) {
                const float s = cases[k].scale[cases[k].per_channel ? i % UNITS : 0];
                assert_true(r.y[i] == (float)cases[k].codes[i] * s);
                assert_true(r.dw[i] == (cases[k].passes >> i & 1 ? dy[i] : 0.0f));
            }
            for (int c = 0; c < (cases[k].per_channel ? UNITS : 1); c++) {
                // 6 to 12 terms of up to 7 * 3, each off by float rounding of w / s.
                const double off = fabs((double)(sign * r.db[c]) - cases[k].d_scale[c]);
                if (!(off < 12 * 21 * 1.2e-7))
                    fail_msg("case %zu: %.9g, not %.9g", k, (double)r.db[c], cases[k].d_scale[c]);
            }
            free_run(&r);
        }
    }
}

// Codes, gradients and the gradient of the step or clip of PyTorch 1.13's autograd in float64:
// LSQ, clamp(v / s, L, H) rounded straight-through, times s, s = grad_scale(s, 1 / sqrt(4 top));
// PACT, clamp(v, clip L / top, clip) rounded on constant steps, plus clip_decay clip^2. v = relu(x)
// where the zero point is the lowest code.
static void trained_steps_are_pytorchs(void **state)
{
    (void)state;
    enum { VALUES = 16 };
    static const struct {
        enum dc_activation_scaling scaling;
        int bits, zero_point;
        float parameter;
        int codes[VALUES];  // from the zero point
        unsigned passes;
        double gradient;
    } cases[] = {
        {DC_STEP_LEARNED,
         4,
         -8,
         0.09f,
         {3, 0, 0, 10, 1, 0, 13, 3, 0, 0, 7, 0, 15, 0, 8, 2},
         0xc6d9,
         -1.7919718528634216},
        {DC_STEP_LEARNED,
         4,
         -2,
         0.13f,
         {2, -1, -4, 7, 0, -6, 9, 2, -6, 0, 5, -3, 9, -6, 6, 1},
         0xcedf,
         -1.8900642008076165},
        {DC_STEP_LEARNED,
         3,
         3,
         0.4f,
         {0, 0, -1, 0, 0, -4, 0, 0, -2, 0, 0, -1, 0, -6, 0, 0},
         0x2926,
         0.02421335728031378},
        {DC_STEP_LEARNED,
         8,
         -128,
         0.011f,
         {28, 0, 0, 85, 4, 0, 103, 24, 0, 0, 55, 0, 218, 0, 68, 16},
         0xd6d9,
         0.01885814296968942},
        {DC_STEP_LEARNED,
         2,
         -2,
         0.37f,
         {1, 0, 0, 3, 0, 0, 3, 1, 0, 0, 2, 0, 3, 0, 2, 0},
         0xc699,
         0.6452279504020433},
        {DC_STEP_CLIPPED,
         4,
         -8,
         1.0f,
         {5, 0, 0, 14, 1, 0, 15, 4, 0, 0, 9, 0, 15, 0, 11, 3},
         0xc699,
         0.4750000014901161},
        {DC_STEP_CLIPPED,
         4,
         -2,
         0.9f,
         {3, -1, -5, 9, 0, -6, 9, 3, -6, 0, 6, -3, 9, -6, 8, 2},
         0xce97,
         0.13166666662358542},
        {DC_STEP_CLIPPED,
         2,
         -2,
         1.1f,
         {1, 0, 0, 3, 0, 0, 3, 1, 0, 0, 2, 0, 3, 0, 2, 0},
         0xc699,
         0.48500000402331356},
    };
    const float x[VALUES] = {0.31f,  -0.07f, -0.52f, 0.93f,  0.049f, -1.7f, 1.13f, 0.26f,
                             -0.95f, 0.002f, 0.6f,   -0.33f, 2.4f,   -2.2f, 0.75f, 0.18f};
    const float dy[VALUES] = {0.5f,  -1.0f, 2.0f,   0.25f,  -0.75f,  1.5f,   1.25f, -0.5f,
                              -1.0f, 3.0f,  0.125f, 0.625f, -0.875f, 0.375f, 1.75f, -2.0f};
    for (size_t k = 0; k < 2 * sizeof cases / sizeof cases[0]; k++) {
        const bool negative = k % 2;  // the parameter counts by its size
        const float low = (float)dc_code_low(cases[k / 2].bits);
        const float high = (float)dc_code_high(cases[k / 2].bits);
        const float z = (float)cases[k / 2].zero_point, top = high > z ? high - z : z - low;
        const float p = cases[k / 2].parameter;
        const struct dc_fake_quantize_attributes a = {.constant = 0.01f,
                                                      .bits = cases[k / 2].bits,
                                                      .scaling = cases[k / 2].scaling,
                                                      .clip_decay = 0.05f};
        float v[VALUES], range[3] = {low - z, high - z, 1.0f};  // steps of 1
        float trained[1] = {negative ? -p : p}, d_trained[1] = {0.25f};
        for (int i = 0; i < VALUES; i++)
            v[i] = z == low && x[i] < 0.0f ? 0.0f : x[i];
        float y[VALUES], dx[VALUES], saved[4096], scratch[16384];
        const struct dc_node node = {
            .name = "q", .op = &dc_op_fake_quantize, .attributes = &a, .param_count = 2};
        const struct dc_shape shape = DC_SHAPE(4, 4);
        const struct dc_step step = {.total_batch = 4};
        struct dc_op_memory memory = {0};
        dc_op_fake_quantize.memory(&memory, &node, &shape, &shape, ctx);
        assert_true(memory.saved <= sizeof saved && memory.forward <= sizeof scratch &&
                    memory.backward <= sizeof scratch);
        const struct dc_op_call call = {.ctx = ctx,
                                        .node = &node,
                                        .mode = DC_TRAINING,
                                        .step = &step,
                                        .rows = 4,
                                        .in = (struct dc_tensor[]){{v, DC_F32, shape}},
                                        .out = {y, DC_F32, shape},
                                        .d_out = {(void *)dy, DC_F32, shape},
                                        .d_in = (struct dc_tensor[]){{dx, DC_F32, shape}},
                                        .add_gradient = (bool[]){false},
                                        .param = {range, trained},
                                        .d_param = {NULL, d_trained},
                                        .saved = saved,
                                        .scratch = scratch};
        assert_int_equal(dc_op_fake_quantize.forward(&call, NULL), DC_OK);
        assert_int_equal(dc_op_fake_quantize.backward(&call, NULL), DC_OK);
        const float s = cases[k / 2].scaling == DC_STEP_CLIPPED ? p / top : p;
        for (int i = 0; i < VALUES; i++) {
            const bool below = z == low && x[i] < 0.0f;  // relu's, not ours
            assert_true(y[i] == (float)cases[k / 2].codes[i] * s);
            assert_true(below || dx[i] == (cases[k / 2].passes >> i & 1 ? dy[i] : 0.0f));
        }
        assert_true(range[0] == low - z && range[1] == high - z);  // kept
        // 16 terms of dy up to 3, v / s and the sum off by float rounding.
        const double gradient = (double)(d_trained[0] - 0.25f) * (negative ? -1.0 : 1.0);
        if (!(fabs(gradient - cases[k / 2].gradient) < 16 * 3 * (double)top * 1.2e-7))
            fail_msg("case %zu: %.9g, not %.9g", k / 2, gradient, cases[k / 2].gradient);
    }
}

// A kept scale clamps, lets gradients through between the clamps, and is missed where it is 0.
static void kept_scales_clip(void **state)
{
    (void)state;
    const struct dc_quantized_dense_attributes a = {
        {2, false}, {.per_channel = true, .bits = 4, .scaling = DC_SCALE_KEPT}};
    float x[4] = {1, 0, 0, 1}, w[4] = {0.74f, -0.2f, -0.76f, 3.0f}, scale[2] = {0.1f, 0.25f};
    const float dy[4] = {1, 2, 3, 4}, q[4] = {7 * 0.1f, -0.25f, -7 * 0.1f, 1.75f};
    struct run r;
    run_op(&r, &dc_op_quantized_dense, &a, x, dy, w, scale, 4, DC_SHAPE(2, 2), NULL);
    assert_memory_equal(r.y, q, sizeof q);
    assert_true(r.dw[0] == 1.0f && r.dw[1] == 2.0f && r.dw[2] == 0.0f && r.dw[3] == 0.0f);
    assert_true(r.db[0] == 0.0f && r.db[1] == 0.0f);
    free_run(&r);
    struct dc_error error = {0};
    scale[1] = 0.0f;
    float y[4], block[64];
    const struct dc_node node = {.name = "fc", .op = &dc_op_quantized_dense, .attributes = &a};
    const struct dc_op_call call = {.ctx = ctx,
                                    .node = &node,
                                    .rows = 2,
                                    .in = (struct dc_tensor[]){{x, DC_F32, DC_SHAPE(2, 2)}},
                                    .out = {y, DC_F32, DC_SHAPE(2, 2)},
                                    .param = {w, scale},
                                    .scratch = block};
    assert_int_equal(dc_op_quantized_dense.forward(&call, &error), DC_ERR_NUMERIC);
    assert_non_null(strstr(error.message, "'fc'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learned_scales_are_pytorchs),
        cmocka_unit_test(kept_scales_clip),
        cmocka_unit_test(trained_steps_are_pytorchs),
        cmocka_unit_test(gradient_passes_inside_the_range),
        cmocka_unit_test(quantized_ops_are_float_ops_on_rounded_weights),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

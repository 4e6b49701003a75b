// A step that leaves element-wise epilogues to their readers against the same step with every value
// stored, which the oracles of single ops and PyTorch judge: equal bits of all parameters,
// gradients, losses and outputs, on every level, float and quantized, through all states that a
// stage knows.

#include "helper_golden.h"

#include <string.h>

#include "core/kernels/kernels.h"
#include "core/optimizer.h"

enum { ROWS = 37, STEPS = 6 };

static struct dc_plan *stored_plan(const struct golden *golden, const struct golden_network *n,
                                   const struct dc_params *params)
{
    int outputs[GOLDEN_LIST_MAX + 64];
    struct dc_plan *plan = NULL;
    assert_true(n->graph->count < GOLDEN_LIST_MAX + 64);
    for (int i = 0; i < n->graph->count; i++)
        outputs[i] = i;
    const struct dc_plan_config config = {.mode = DC_TRAINING,
                                          .max_rows = ROWS,
                                          .outputs = outputs,
                                          .output_count = n->graph->count,
                                          .params = params};
    golden_ok(dc_plan_create(&plan, golden->ctx, n->graph, &config, &error));
    return plan;
}

struct side {
    struct dc_plan *plan;
    struct dc_params *params;
};

static void run_step(const struct side *side, const struct golden *golden,
                     const struct golden_network *n, const float *images, const float *targets,
                     int s)
{
    static const struct dc_optimizer sgd = {.kind = DC_SGD, .momentum = 0.9f};
    static const uint64_t ids[ROWS] = {0};
    const int64_t rows = s == 2 ? 5 : ROWS;
    const struct dc_step step = {.total_batch = rows,
                                 .ids = ids,
                                 .quantizers_off = s == 0,
                                 .freeze_observers = s >= 4,
                                 .freeze_batch_norm = s >= 5};
    dc_plan_bind(side->plan, n->image, images);
    dc_plan_bind(side->plan, n->targets, targets);
    golden_ok(dc_plan_forward(side->plan, side->params, rows, &step, &error));
    golden_ok(dc_plan_backward(side->plan, side->params, rows, &step, &error));
    if (s < STEPS - 1)  // the last step's gradient is compared
        dc_optimizer_step(golden->ctx, &sgd, side->params, 0.05, 1.0, 0.0, s + 1);
}

static void same(const float *a, const float *b, int64_t count, const char *what, const char *level,
                 int s)
{
    if (memcmp(a, b, sizeof *a * (size_t)count) != 0)
        fail_msg("%s, step %d: %s differ from the step with stored values", level, s, what);
}

// Trained steps start from ranges that calibration would find; frozen: nothing before the first
// quantizer is trained.
static void start_steps(struct dc_params *params, bool frozen)
{
    for (int i = 0; i < params->count; i++) {
        struct dc_slice *s = &params->slices[i];
        float *v = params->value + s->offset;
        if (strstr(s->name, ".range")) {
            v[0] = strstr(s->name, "relu") ? 0.0f : -2.0f;
            v[1] = 2.0f;
            v[2] = 1.0f;
        }
        if (strstr(s->name, ".step") || strstr(s->name, ".scale"))
            for (int64_t k = 0; k < s->count; k++)
                v[k] = strstr(s->name, ".step") ? 0.25f : 0.06f;
        s->frozen = frozen && (i < 6 || s->role == DC_ROLE_OBSERVER);
    }
}

static void compare(enum dc_isa isa, const struct dc_quantize_config *quantize, bool frozen)
{
    struct golden golden;
    struct golden_network n;
    golden_open(&golden, "resnet8_float.h5", isa);
    golden_network_open(&n, &golden, quantize, false, 0.0f, ROWS);
    struct dc_params *params = NULL;
    golden_ok(dc_params_create(&params, n.graph, 2, false, &error));
    dc_params_init(n.params, 3);
    dc_params_init(params, 3);
    if (quantize && quantize->activation_scaling) {
        start_steps(n.params, frozen);
        start_steps(params, frozen);
        dc_plan_free(n.plan);
        const struct dc_plan_config again = {.mode = DC_TRAINING,
                                             .max_rows = ROWS,
                                             .outputs = &n.output,
                                             .output_count = 1,
                                             .params = n.params};
        golden_ok(dc_plan_create(&n.plan, golden.ctx, n.graph, &again, &error));
    }
    const struct side epilogues = {n.plan, n.params},
                      stored = {stored_plan(&golden, &n, params), params};
    assert_true(dc_plan_bytes(epilogues.plan) < dc_plan_bytes(stored.plan) * 2 / 3);
    float *images = DC_NEW(golden.arena, float, ROWS *GOLDEN_IMAGE, NULL);
    float *targets = DC_NEW(golden.arena, float, ROWS *GOLDEN_CLASSES, NULL);
    assert_true(images && targets && golden.rows > 0);
    for (int64_t r = 0; r < ROWS; r++) {
        const int64_t from = r % golden.rows;
        memcpy(images + r * GOLDEN_IMAGE, golden.images + from * GOLDEN_IMAGE,
               sizeof(float) * GOLDEN_IMAGE);
        memcpy(targets + r * GOLDEN_CLASSES, golden.targets + from * GOLDEN_CLASSES,
               sizeof(float) * GOLDEN_CLASSES);
        images[r * GOLDEN_IMAGE + r] += 0.25f;
    }
    for (int s = 0; s < STEPS; s++) {
        run_step(&epilogues, &golden, &n, images, targets, s);
        run_step(&stored, &golden, &n, images, targets, s);
        const char *level = dc_isa_name(isa);
        same(n.params->value, params->value, params->total, "parameters", level, s);
        same(n.params->gradient, params->gradient, params->total, "gradients", level, s);
        assert_true(dc_plan_loss(n.plan, n.label_loss) == dc_plan_loss(stored.plan, n.label_loss));
    }
    dc_plan_free(stored.plan);
    dc_params_free(params);
    golden_network_close(&n);
    golden_close(&golden);
}

static void float_steps_agree(void **state)
{
    (void)state;
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++)
        compare((enum dc_isa)isa, NULL, false);
}

static void quantized_steps_agree(void **state)
{
    (void)state;
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++)
        compare((enum dc_isa)isa, &golden_quantize, false);
}

static void learned_steps_agree(void **state)
{
    static const struct dc_quantize_config learned = {.activation_bits = 4,
                                                      .weight_bits = 4,
                                                      .weight_scaling = DC_SCALE_LEARNED,
                                                      .activation_scaling = DC_STEP_LEARNED};
    (void)state;
    for (int isa = 0; isa <= 2 * (int)dc_isa_detected() + 1; isa++)
        compare((enum dc_isa)(isa / 2), &learned, isa % 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_steps_agree),
        cmocka_unit_test(quantized_steps_agree),
        cmocka_unit_test(learned_steps_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

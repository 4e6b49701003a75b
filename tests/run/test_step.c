// A whole training step of the ResNet-8 under fake quantization with distillation: it allocates
// nothing, and its plan is near the least memory it can have.

#include "helper_golden.h"

#include "core/optimizer.h"
#include "tests/core/count_allocations.h"

enum { ROWS = 5, STEPS = 3 };

static void step_allocates_nothing(void **state)
{
    (void)state;
    struct golden golden;
    struct golden_network n;
    golden_open(&golden, "resnet8_float.h5", dc_isa_detected());
    const float *teacher = golden_floats(&golden, "teacher", NULL);
    const struct dc_optimizer optimizers[] = {
        {.kind = DC_SGD, .momentum = 0.9f, .nesterov = true, .weight_decay = 5e-4f},
        {.kind = DC_ADAMW, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f}};
    const long before = allocations;
    golden_network_open(&n, &golden, true, 1.0f, ROWS);
    assert_true(allocations > before);  // the counter counts
    dc_params_init(n.params, 1);
    dc_plan_bind(n.plan, n.image, golden.images);
    dc_plan_bind(n.plan, n.targets, golden.targets);
    dc_plan_bind(n.plan, n.teacher, teacher);
    const long planned = allocations;
    for (int64_t s = 1; s <= STEPS; s++) {
        const struct dc_step step = {.total_batch = ROWS, .freeze_observers = s == STEPS};
        golden_ok(dc_plan_forward(n.plan, n.params, ROWS, &step, &error));
        golden_ok(dc_plan_backward(n.plan, n.params, ROWS, &step, &error));
        dc_optimizer_step(golden.ctx, &optimizers[s % 2], n.params, 1e-3, 1.0, 0.0, s);
    }
    assert_int_equal(allocations, planned);
    golden_network_close(&n);
    golden_close(&golden);
}

static void plan_is_near_its_lower_bound(void **state)
{
    (void)state;
    struct golden golden;
    struct golden_network n;
    golden_open(&golden, "resnet8_float.h5", dc_isa_detected());
    golden_network_open(&n, &golden, false, 4.0f, 8);
    const double bytes = (double)dc_plan_bytes(n.plan);
    const double bound = (double)dc_plan_bytes_lower_bound(n.plan);
    print_message("plan of a float step: %.0f bytes, %.3f of its lower bound\n", bytes,
                  bytes / bound);
    assert_true(bytes >= bound && bytes <= 1.05 * bound);
    golden_network_close(&n);
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step_allocates_nothing),
        cmocka_unit_test(plan_is_near_its_lower_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

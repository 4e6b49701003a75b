// A whole training step of the ResNet-8, float, distilled, quantized and both: loader with
// augmentation, forward, backward, clipping and update allocate nothing, and the plan is near the
// least memory it can have.

#include "helper_golden.h"

#include "core/optimizer.h"
#include "data/loader.h"
#include "tests/core/count_allocations.h"

enum { ROWS = 5, STEPS = 7, SAMPLES = 3 * ROWS - 1 };

static enum dc_status read_sample(const struct dc_source *source, int64_t id, void *values,
                                  struct dc_error *error)
{
    (void)error;
    uint8_t *bytes = values;
    for (int64_t i = 0; i < dc_shape_count(&source->sample); i++)
        bytes[i] = (uint8_t)(7 * i + 31 * id);
    return DC_OK;
}

static struct dc_loader *open_loader(void)
{
    static const struct dc_source_ops ops = {"test", read_sample, NULL};
    static int32_t labels[SAMPLES];
    static int64_t ids[SAMPLES];
    static const struct dc_source source = {.ops = &ops,
                                            .count = SAMPLES,
                                            .sample = {3, {32, 32, 3}},
                                            .dtype = DC_U8,
                                            .classes = GOLDEN_CLASSES,
                                            .labels = labels};
    struct dc_augmentation augmentations[] = {
        dc_augmentation_default(dc_augmentation_find("pad_crop")),
        dc_augmentation_default(dc_augmentation_find("flip")),
        dc_augmentation_default(dc_augmentation_find("rotate")),
        dc_augmentation_default(dc_augmentation_find("mixup"))};
    struct dc_loader *loader = NULL;
    for (int i = 0; i < SAMPLES; i++) {
        ids[i] = i;
        labels[i] = i % GOLDEN_CLASSES;
    }
    const struct dc_loader_config config = {
        .source = &source,
        .ids = ids,
        .id_count = SAMPLES,
        .batch = ROWS,
        .shuffle = true,
        .augmentations = augmentations,
        .augmentation_count = sizeof augmentations / sizeof augmentations[0],
        .views = {{{.channels = 1, .mean = {0.5f}, .deviation = {0.25f}}, source.sample}},
        .view_count = 1,
        .depth = 2,
        .threads = 2,
    };
    golden_ok(dc_loader_create(&loader, &config, &error));
    return loader;
}

// One batch, as train/train.c does it; a new epoch where the loader is at its end.
static void run_step(const struct golden *golden, struct golden_network *n,
                     struct dc_loader *loader, const float *teacher, int64_t s)
{
    static const struct dc_optimizer optimizers[] = {
        {.kind = DC_SGD, .momentum = 0.9f, .nesterov = true, .weight_decay = 5e-4f},
        {.kind = DC_ADAMW, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f}};
    struct dc_batch batch;
    golden_ok(dc_loader_next(loader, &batch, &error));
    if (batch.rows == 0) {
        golden_ok(dc_loader_start(loader, s, 0, &error));
        golden_ok(dc_loader_next(loader, &batch, &error));
    }
    const struct dc_step step = {.total_batch = batch.rows,
                                 .ids = batch.ids,
                                 .freeze_observers = s == STEPS,
                                 .quantizers_off = s == 1};
    dc_plan_bind(n->plan, n->image, batch.inputs);
    dc_plan_bind(n->plan, n->targets, batch.targets);
    dc_plan_set_loss_weight(n->plan, n->label_loss, 0.1);
    if (n->kd_loss >= 0) {
        dc_plan_bind(n->plan, n->teacher, teacher);
        dc_plan_set_loss_weight(n->plan, n->kd_loss, 0.9);
    }
    golden_ok(dc_plan_forward(n->plan, n->params, batch.rows, &step, &error));
    golden_ok(dc_plan_backward(n->plan, n->params, batch.rows, &step, &error));
    const double norm = dc_gradient_square(golden->ctx, n->params);
    dc_optimizer_step(golden->ctx, &optimizers[s % 2], n->params, 1e-3, norm > 1.0 ? 0.5 : 1.0, 0.0,
                      s);
}

static void step_allocates_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool quantized;
        float temperature;
    } modes[] = {
        {"float", false, 0.0f}, {"kd", false, 4.0f}, {"qat", true, 0.0f}, {"kd_qat", true, 4.0f}};
    struct golden golden;
    golden_open(&golden, "resnet8_float.h5", dc_isa_detected());
    const float *teacher = golden_floats(&golden, "teacher", NULL);
    for (int m = 0; m < 4; m++) {
        struct golden_network n;
        const long before = allocations;
        golden_network_open(&n, &golden, modes[m].quantized ? &golden_quantize : NULL, false,
                            modes[m].temperature, ROWS);
        assert_true(allocations > before);  // the counter counts
        dc_params_init(n.params, 1);
        struct dc_loader *loader = open_loader();
        golden_ok(dc_loader_start(loader, 0, 0, &error));
        const long planned = allocations;
        for (int64_t s = 1; s <= STEPS; s++)
            run_step(&golden, &n, loader, teacher, s);
        if (allocations != planned)
            fail_msg("%s: %ld allocations in %d steps", modes[m].name, (long)allocations - planned,
                     (int)STEPS);
        dc_loader_free(loader);
        golden_network_close(&n);
    }
    golden_close(&golden);
}

static void plan_is_near_its_lower_bound(void **state)
{
    (void)state;
    struct golden golden;
    struct golden_network n;
    golden_open(&golden, "resnet8_float.h5", dc_isa_detected());
    golden_network_open(&n, &golden, NULL, false, 4.0f, 8);
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

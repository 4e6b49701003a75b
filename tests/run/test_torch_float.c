// Float training against PyTorch: tests/golden/resnet8_float.h5 holds 20 states of a narrow
// ResNet-8 and what one step in float64 makes of each, and a free run of 20 steps.
//
// Each step starts from identical numbers, so what may differ is float32 rounding of one forward,
// one backward and one update.

#include "helper_golden.h"

#include <math.h>
#include <string.h>

#include "core/optimizer.h"

enum { STATES = 20, BATCH = 8, BATCHES = 5, APART = 4, FREE_STEPS = 20 };

static struct golden golden;
static enum dc_isa isa;  // every test runs on each instruction set of this machine

static int set_up(void **state)
{
    (void)state;
    golden_open(&golden, "resnet8_float.h5", isa);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    golden_close(&golden);
    return 0;
}

struct step_case {
    const char *name;  // group of the file
    enum dc_optimizer_kind kind;
    double learning_rate, weight_decay;
    bool decays_all;  // else weights alone
    float kd_temperature;
    double kd_weight, label_weight, tolerance;
};

static const struct step_case sgd_case = {"sgd", DC_SGD, 0.05, 5e-4, true, 0.0f, 0.0, 1.0, 1e-4};
static const struct step_case kd_case = {"kd", DC_SGD, 0.05, 5e-4, true, 4.0f, 0.9, 0.1, 1e-4};
static const struct step_case adamw_case = {"adamw", DC_ADAMW, 1e-3, 0.05, false,
                                            0.0f,    0.0,      1.0,  1e-3};

static struct dc_optimizer make_optimizer(const struct step_case *c, struct dc_params *params)
{
    for (int i = 0; i < params->count; i++) {
        struct dc_slice *slice = &params->slices[i];
        slice->decay_factor = c->decays_all || slice->role == DC_ROLE_WEIGHT ? 1.0f : 0.0f;
    }
    return (struct dc_optimizer){
        .kind = c->kind,
        .momentum = 0.9f,
        .nesterov = true,
        .beta1 = 0.9f,
        .beta2 = 0.999f,
        .epsilon = 1e-8f,
        .weight_decay = (float)c->weight_decay,
    };
}

// One training step on batch `index` of the file; returns the loss.
static double run_step(struct golden_network *n, const struct step_case *c, int index,
                       double learning_rate, int64_t optimizer_step, const float *teacher)
{
    const int64_t first = index % BATCHES * BATCH;
    const struct dc_optimizer optimizer = make_optimizer(c, n->params);
    const struct dc_step step = {.total_batch = BATCH};
    dc_plan_bind(n->plan, n->image, golden.images + first * GOLDEN_IMAGE);
    dc_plan_bind(n->plan, n->targets, golden.targets + first * GOLDEN_CLASSES);
    dc_plan_set_loss_weight(n->plan, n->label_loss, c->label_weight);
    if (n->teacher >= 0) {
        dc_plan_bind(n->plan, n->teacher, teacher + first * GOLDEN_CLASSES);
        dc_plan_set_loss_weight(n->plan, n->kd_loss, c->kd_weight);
    }
    golden_ok(dc_plan_forward(n->plan, n->params, BATCH, &step, &error));
    double loss = c->label_weight * dc_plan_loss(n->plan, n->label_loss);
    if (n->teacher >= 0)
        loss += c->kd_weight * dc_plan_loss(n->plan, n->kd_loss);
    golden_ok(dc_plan_backward(n->plan, n->params, BATCH, &step, &error));
    dc_optimizer_step(golden.ctx, &optimizer, n->params, learning_rate, 1.0, 0.0, optimizer_step);
    return loss;
}

static void load_state(struct golden_network *n, const struct step_case *c, int s)
{
    int64_t total, trained;
    struct dc_params *p = n->params;
    const float *value = golden_row(&golden, "value", s, &total);
    float *first = golden_row(&golden, "momentum", s, &trained);
    memset(p->gradient, 0, sizeof(float) * (size_t)p->total);
    golden_scatter(&golden, p, p->value, value, total);
    for (int64_t i = 0; c->kind == DC_ADAMW && i < trained; i++)
        first[i] *= 0.125f;  // exact: the file keeps one buffer for both optimizers
    golden_scatter(&golden, p, p->state[0], first, trained);
    if (c->kind == DC_ADAMW)
        golden_scatter(&golden, p, p->state[1], golden_row(&golden, "square", s, &trained),
                       trained);
}

// Updates of trained slices together, and each running mean and variance alone: small slices must
// not hide behind large ones, and an unbiased variance is a few parts in 1,000 of an update.
static void compare_update(const struct golden_network *n, const struct step_case *c, int s)
{
    char name[64];
    int64_t total, trained;
    snprintf(name, sizeof name, "%s/update", c->name);
    const float *want = golden_row(&golden, name, s, &total);
    const float *before = golden_row(&golden, "value", s, &total);
    (void)golden_row(&golden, "momentum", s, &trained);
    float *after = DC_NEW(golden.arena, float, total, NULL);
    double *ours = DC_NEW(golden.arena, double, total, NULL);
    double *theirs = DC_NEW(golden.arena, double, total, NULL);
    assert_true(after && ours && theirs);
    golden_gather(&golden, n->params, after, n->params->value, total);
    for (int64_t i = 0; i < total; i++) {
        ours[i] = (double)after[i] - (double)before[i];
        theirs[i] = (double)want[i];
    }
    const double whole = golden_distance(ours, theirs, trained);
    if (!(whole <= c->tolerance))
        fail_msg("%s, state %d: the update is off by %.3g of its norm", c->name, s, whole);
    int64_t at = 0;
    for (int i = 0; at < total; i++) {
        const struct dc_slice *slice = dc_params_find(n->params, golden.slices.items[i]);
        const double off = golden_distance(ours + at, theirs + at, slice->count);
        if (at >= trained && !(off <= 1e-4))
            fail_msg("%s, state %d: the move of %s is off by %.3g", c->name, s, slice->name, off);
        at += slice->count;
    }
}

static void compare_steps(const struct step_case *c)
{
    struct golden_network n;
    char name[64];
    int64_t count;
    const float *teacher = golden_floats(&golden, "teacher", NULL);
    snprintf(name, sizeof name, "%s/loss", c->name);
    const double *losses = golden_doubles(&golden, name, &count);
    assert_int_equal(count, STATES);
    golden_network_open(&n, &golden, NULL, false, c->kd_temperature, BATCH);
    for (int s = 0; s < STATES; s++) {
        load_state(&n, c, s);
        const int64_t done = (int64_t)(s + 1) * APART;
        const double loss = run_step(&n, c, s + 1, c->learning_rate, done + 1, teacher);
        if (!(fabs(loss - losses[s]) <= 1e-6))
            fail_msg("%s, state %d: loss %.9f, not %.9f", c->name, s, loss, losses[s]);
        compare_update(&n, c, s);
    }
    golden_network_close(&n);
}

static void sgd_steps_are_pytorchs(void **state)
{
    (void)state;
    compare_steps(&sgd_case);
}

static void kd_steps_are_pytorchs(void **state)
{
    (void)state;
    compare_steps(&kd_case);
}

static void adamw_steps_are_pytorchs(void **state)
{
    (void)state;
    compare_steps(&adamw_case);
}

// From the last state without momentum, at learning rate 1e-3.
static void free_run_stays_near(void **state)
{
    (void)state;
    struct golden_network n;
    int64_t count, total;
    const double *losses = golden_doubles(&golden, "free/loss", &count);
    const double *end = golden_doubles(&golden, "free/value", &total);
    assert_int_equal(count, FREE_STEPS);
    golden_network_open(&n, &golden, NULL, false, 0.0f, BATCH);
    const float *start = golden_row(&golden, "value", STATES - 1, &total);
    golden_scatter(&golden, n.params, n.params->value, start, total);
    for (int s = 0; s < FREE_STEPS; s++) {
        const double loss = run_step(&n, &sgd_case, s, 1e-3, s + 1, NULL);
        if (!(fabs(loss - losses[s]) <= 1e-5))
            fail_msg("step %d: loss %.9f, not %.9f", s, loss, losses[s]);
    }
    float *value = DC_NEW(golden.arena, float, total, NULL);
    double *ours = DC_NEW(golden.arena, double, 2 * total, NULL), *way = ours + total;
    assert_true(value && ours);
    golden_gather(&golden, n.params, value, n.params->value, total);
    double off = 0.0, moved = 0.0;
    for (int64_t i = 0; i < total; i++) {
        ours[i] = (double)value[i];
        way[i] = end[i] - (double)start[i];
        off += (ours[i] - end[i]) * (ours[i] - end[i]);
        moved += way[i] * way[i];
    }
    const double distance = golden_distance(ours, end, total);
    if (!(distance <= 1e-4))
        fail_msg("weights and statistics are off by %.3g of their norm", distance);
    // The same in units of the way they went: a run that hardly moves proves nothing.
    if (!(sqrt(off / moved) <= 1e-3))
        fail_msg("weights are off by %.3g of the way they went", sqrt(off / moved));
    golden_network_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_steps_are_pytorchs),
        cmocka_unit_test(kd_steps_are_pytorchs),
        cmocka_unit_test(adamw_steps_are_pytorchs),
        cmocka_unit_test(free_run_stays_near),
    };
    int failed = 0;
    for (int i = 0; i <= (int)dc_isa_detected(); i++) {
        isa = (enum dc_isa)i;
        failed += cmocka_run_group_tests_name(dc_isa_name(isa), tests, set_up, tear_down);
    }
    return failed;
}

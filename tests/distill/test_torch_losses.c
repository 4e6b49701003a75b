// Values and gradients of PyTorch in float64 (tests/golden/make_losses.py): every loss on random
// inputs of several shapes; CRD with its banks; ReviewKD's fusion with all its parameters.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/h5.h"
#include "core/plan.h"
#include "distill/losses.h"
#include "distill/terms.h"
#include "helper_term.h"
#include "tests/core/helper_run.h"

static struct dc_ctx *ctx;
static struct dc_arena *arena;
static struct dc_h5 *golden;

static int set_up(void **state)
{
    (void)state;
    ctx = run_context(DC_ISA_SCALAR, 2);
    assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
    assert_int_equal(dc_h5_open(&golden, DECANT_SOURCE_DIR "/tests/golden/losses.h5", NULL), DC_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dc_h5_close(golden);
    dc_arena_free(arena);
    dc_ctx_free(ctx);
    return 0;
}

// NULL where there is none.
static void *values_of(const char *group, const char *name, enum dc_dtype dtype,
                       struct dc_shape *shape)
{
    char path[128];
    struct dc_tensor tensor = {.dtype = dtype};
    enum dc_dtype stored;
    snprintf(path, sizeof path, "%s/%s", group, name);
    if (!dc_h5_has(golden, path))
        return NULL;
    assert_int_equal(dc_h5_describe(golden, path, &stored, &tensor.shape, NULL), DC_OK);
    tensor.data = dc_arena_alloc(
        arena, dc_dtype_bytes(dtype) * (size_t)dc_shape_count(&tensor.shape), NULL);
    assert_non_null(tensor.data);
    assert_int_equal(dc_h5_read(golden, path, &tensor, NULL), DC_OK);
    if (shape)
        *shape = tensor.shape;
    return tensor.data;
}

static float *floats_of(const char *group, const char *name, struct dc_shape *shape)
{
    float *values = values_of(group, name, DC_F32, shape);
    if (!values)
        fail_msg("losses.h5 has no %s/%s", group, name);
    return values;
}

// Double sums of exactly given floats, rounded to float: 1e-5 of each entry is generous, but for
// entries that are small differences of large ones, where 1e-6 of the largest is.
static void assert_near(const float *have, const float *want, int64_t count, double entry,
                        double whole, const char *group, const char *what)
{
    double largest = 0.0;
    for (int64_t i = 0; i < count; i++)
        largest = fabs((double)want[i]) > largest ? fabs((double)want[i]) : largest;
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)have[i] - (double)want[i]) <=
              entry * fabs((double)want[i]) + whole * largest))
            fail_msg("%s, %s %lld: %.9g, not %.9g", group, what, (long long)i, (double)have[i],
                     (double)want[i]);
}

static void assert_value(double have, const char *group)
{
    const double *want = values_of(group, "value", DC_F64, NULL);
    if (!(fabs(have - *want) <= 1e-6 * fabs(*want)))
        fail_msg("%s: %.12f, not %.12f", group, have, *want);
}

static const struct dc_op *op_of(const char *group)
{
    static const struct dc_op *const ops[] = {&dc_op_kd,
                                              &dc_op_ttm,
                                              &dc_op_wttm,
                                              &dc_op_dkd,
                                              &dc_op_standardized_kd,
                                              &dc_op_dist,
                                              &dc_op_hard_label,
                                              &dc_op_binary_cross_entropy,
                                              &dc_op_attention,
                                              &dc_op_nst,
                                              &dc_op_pyramid,
                                              &dc_op_mean_squared_error,
                                              &dc_op_similarity,
                                              &dc_op_rkd,
                                              &dc_op_pkt};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (!strcmp(group + 3, ops[i]->name))
            return ops[i];
    fail_msg("no loss for %s", group);
    return NULL;
}

// The attributes are floats in the order of the parameters, or a mode.
static void check_case(const char *group)
{
    const double *parameters = values_of(group, "parameters", DC_F64, NULL);
    struct term t = {.op = op_of(group), .inputs = 2};
    float attributes[4] = {0};
    const struct dc_attention_attributes attention = {
        parameters ? (enum dc_attention_mode)parameters[0] : DC_ATTENTION_CODE};
    for (size_t i = 0; i < t.op->attribute_bytes / sizeof(float); i++)
        attributes[i] = (float)parameters[i];
    t.attributes = t.op == &dc_op_attention ? (const void *)&attention : attributes;
    t.in[0] = floats_of(group, "student", &t.shape[0]);
    t.in[1] = floats_of(group, "teacher", &t.shape[1]);
    if (t.op == &dc_op_dkd)
        t.in[t.inputs++] = floats_of(group, "targets", &t.shape[2]);
    term_must_run(&t, ctx, group);
    assert_value(t.value, group);
    const double norm = term_gradient_norm(&t);
    assert_true(fabs(t.norm - norm) <= 1e-6 * norm);
    assert_near(t.gradient[0], floats_of(group, "gradient", NULL), dc_shape_count(&t.shape[0]),
                1e-5, 1e-6, group, "gradient");
    term_free(&t);
}

static void every_loss(void **state)
{
    (void)state;
    char *names = NULL, *rest = NULL;
    int count = 0;
    assert_int_equal(dc_h5_get_text(golden, "cases", &names, arena, NULL), DC_OK);
    for (char *name = strtok_r(names, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
        check_case(name);
        count++;
    }
    assert_int_equal(count, 33);
}

// Five entries, of which the last alone is of another class: every negative is it.
static void crd(void **state)
{
    (void)state;
    enum { ROWS = 4, SIZE = 6, ENTRIES = 5 };
    static const int32_t labels[ENTRIES] = {0, 0, 0, 0, 1};
    static const int64_t by_class[ENTRIES] = {0, 1, 2, 3, 4}, start[3] = {0, 4, 5};
    static const uint64_t ids[ROWS] = {0, 1, 2, 3};
    const double *parameters = values_of("crd", "parameters", DC_F64, NULL);
    const struct dc_crd_attributes a = {.temperature = (float)parameters[0],
                                        .momentum = (float)parameters[1],
                                        .negatives = (int)parameters[2],
                                        .samples = ENTRIES,
                                        .bank_rows = ENTRIES,
                                        .labels = labels,
                                        .by_class = by_class,
                                        .class_start = start};
    float normalizer[2] = {0};
    struct term t = {.op = &dc_op_crd, .attributes = &a, .inputs = 2, .trained = 2, .ids = ids};
    t.in[0] = floats_of("crd", "student", &t.shape[0]);
    t.in[1] = floats_of("crd", "teacher", &t.shape[1]);
    t.param[0] = floats_of("crd", "bank_student", NULL);
    t.param[1] = floats_of("crd", "bank_teacher", NULL);
    t.param[2] = normalizer;
    term_must_run(&t, ctx, "crd");
    assert_value(t.value, "crd");
    // v is stored in float and dot products are float sums of six: 1e-5
    assert_near(t.gradient[0], floats_of("crd", "gradient", NULL), ROWS * SIZE, 1e-5, 1e-5, "crd",
                "gradient");
    assert_near(t.gradient[1], floats_of("crd", "teacher_gradient", NULL), ROWS * SIZE, 1e-5, 1e-5,
                "crd", "teacher's gradient");
    const double norm = term_gradient_norm(&t);
    assert_true(fabs(t.norm - norm) <= 1e-6 * norm);
    assert_near(t.param[0], floats_of("crd", "after_student", NULL), ENTRIES * SIZE, 1e-6, 1e-6,
                "crd", "student's bank");
    assert_near(t.param[1], floats_of("crd", "after_teacher", NULL), ENTRIES * SIZE, 1e-6, 1e-6,
                "crd", "teacher's bank");
    const double *z = values_of("crd", "normalizer", DC_F64, NULL);
    for (int s = 0; s < 2; s++)
        assert_true(fabs((double)normalizer[s] - z[s]) <= 1e-6 * z[s]);
    term_free(&t);
    const float before[2] = {normalizer[0], normalizer[1]};
    term_must_run(&t, ctx, "crd, second batch");  // Z stays
    assert_memory_equal(before, normalizer, sizeof before);
    term_free(&t);
}

// A network of two inputs as the student, the adaptors and losses that terms build behind it.
struct fusion {
    struct dc_graph *graph, *teacher;
    struct dc_params *params;
    struct dc_plan *plan;
    struct dc_terms terms;
    struct dc_shape shapes[4];
    const float *values[4];
};

static void open_fusion(struct fusion *f)
{
    static const char *const names[] = {"deep", "shallow", "like_deep", "like_shallow"};
    const struct dc_term_spec review = {.kind = &dc_term_review,
                                        .weight = 1.0,
                                        .student = {2, {"deep", "shallow"}},
                                        .teacher = {2, {"like_deep", "like_shallow"}}};
    const struct dc_label_loss label = {0};
    struct dc_error error;
    int nodes[4];
    assert_int_equal(dc_graph_create(&f->graph, NULL), DC_OK);
    assert_int_equal(dc_graph_create(&f->teacher, NULL), DC_OK);
    for (int i = 0; i < 4; i++) {
        f->values[i] = floats_of("fusion", names[i], &f->shapes[i]);
        const struct dc_shape shape = dc_shape_with_batch(&f->shapes[i], DC_BATCH);
        assert_int_equal(dc_graph_add_input(i < 2 ? f->graph : f->teacher, names[i], DC_F32, &shape,
                                            &nodes[i], &error),
                         DC_OK);
    }
    const struct dc_terms_sources sources = {.teachers = {{.graph = f->teacher, .output = -1}},
                                             .teacher_count = 1};
    if (dc_terms_build(&f->terms, f->graph, 2, nodes[1], -1, &review, 1, &label, &sources,
                       &error) != DC_OK)
        fail_msg("%s", error.message);
    assert_int_equal(f->terms.count, 2);
    assert_int_equal(f->terms.input_count, 2);
    assert_int_equal(dc_params_create(&f->params, f->graph, 1, false, NULL), DC_OK);
    dc_params_init(f->params, 1);
    const struct dc_plan_config config = {
        .mode = DC_TRAINING, .max_rows = f->shapes[0].dims[0], .params = f->params};
    assert_int_equal(dc_plan_create(&f->plan, ctx, f->graph, &config, &error), DC_OK);
}

static void review_fusion(void **state)
{
    (void)state;
    struct fusion f = {0};
    struct dc_error error;
    open_fusion(&f);
    const int64_t rows = f.shapes[0].dims[0];
    const struct dc_step step = {.total_batch = rows};
    for (int i = 0; i < f.params->count; i++) {
        const struct dc_slice *slice = &f.params->slices[i];
        assert_int_equal(slice->role, strstr(slice->name, "mean") || strstr(slice->name, "variance")
                                          ? DC_ROLE_STATISTIC
                                          : DC_ROLE_AUXILIARY);
        const float *given = values_of("fusion", slice->name + strlen("adaptor."), DC_F32, NULL);
        if (given)
            memcpy(f.params->value + slice->offset, given, sizeof(float) * (size_t)slice->count);
    }
    for (int i = 0; i < 2; i++) {
        dc_plan_bind(f.plan, i, f.values[i]);
        dc_plan_bind(f.plan, f.terms.inputs[i].input, f.values[2 + f.terms.inputs[i].teacher_node]);
    }
    dc_plan_set_loss_weight(f.plan, f.terms.terms[1].node, 0.5);
    assert_int_equal(dc_plan_forward(f.plan, f.params, rows, &step, &error), DC_OK);
    assert_int_equal(dc_plan_backward(f.plan, f.params, rows, &step, &error), DC_OK);
    assert_value(dc_plan_loss(f.plan, f.terms.terms[0].node) +
                     0.5 * dc_plan_loss(f.plan, f.terms.terms[1].node),
                 "fusion");
    int compared = 0;
    for (int i = 0; i < f.params->count; i++) {
        const struct dc_slice *slice = &f.params->slices[i];
        char name[96];
        snprintf(name, sizeof name, "%s.gradient", slice->name + strlen("adaptor."));
        const float *want = values_of("fusion", name, DC_F32, NULL);
        compared += want != NULL;
        // float kernels: sums of up to 3 x 25 x 36 products, through two batch norms
        if (want)
            assert_near(f.params->gradient + slice->offset, want, slice->count, 1e-4, 1e-5,
                        "fusion", name);
    }
    assert_int_equal(compared, 7);
    dc_plan_free(f.plan);
    dc_params_free(f.params);
    dc_graph_free(f.graph);
    dc_graph_free(f.teacher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_loss),
        cmocka_unit_test(crd),
        cmocka_unit_test(review_fusion),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

// Fake quantization against PyTorch: tests/golden/resnet8_quantized.h5 holds what its FakeQuantize
// made of every activation and kernel of a narrow ResNet-8 on one recorded batch.
//
// Rounding is compared on identical inputs: each node gets the input that PyTorch's node had, since
// a float32 sum in another order may put a value on the other side of a tie. How many codes that
// moves from end to end is counted and bounded.

#include "helper_golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "qat/fake_quantize.h"

enum { ROWS = 2 };

static struct golden golden;
static enum dc_isa isa;  // every test runs on each instruction set of this machine
static struct golden_list nodes;

static int set_up(void **state)
{
    (void)state;
    golden_open(&golden, "resnet8_quantized.h5", isa);
    golden_lines(&nodes, &golden, "nodes");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    golden_close(&golden);
    return 0;
}

// What the file says of one node, for the first image.
struct node_record {
    const char *name;
    int64_t count;
    const float *range, *grid, *range_after, *input;
    const int8_t *codes;
    const uint8_t *mask;
};

static const void *node_array(const char *name, const char *array, enum dc_dtype dtype,
                              int64_t *count)
{
    char path[128];
    snprintf(path, sizeof path, "nodes/%s/%s", name, array);
    return golden_bytes(&golden, path, dtype, count);
}

static struct node_record read_node(const char *name)
{
    struct node_record r = {.name = name};
    r.range = node_array(name, "range", DC_F32, NULL);
    r.grid = node_array(name, "grid", DC_F32, NULL);
    r.range_after = node_array(name, "range_after", DC_F32, NULL);
    r.codes = node_array(name, "codes", DC_I8, &r.count);
    r.mask = node_array(name, "mask", DC_U8, NULL);
    r.input = strcmp(name, "image") == 0 ? golden.images : node_array(name, "input", DC_F32, NULL);
    return r;
}

static int code_of(float value, struct dc_grid grid)
{
    return (int)(rintf(value / grid.step) + grid.zero_point);
}

static void grids_are_pytorchs(void **state)
{
    (void)state;
    for (int i = 0; i < nodes.count; i++) {
        const struct node_record r = read_node(nodes.items[i]);
        const struct dc_grid grid = dc_grid_of_range(r.range[0], r.range[1], 8);
        if (grid.step != r.grid[0] || grid.zero_point != r.grid[1])
            fail_msg("%s: scale %.9g and zero point %g, not %.9g and %g", r.name, (double)grid.step,
                     (double)grid.zero_point, (double)r.grid[0], (double)r.grid[1]);
    }
}

static void codes_and_masks_are_pytorchs(void **state)
{
    (void)state;
    const struct dc_kernels *kernels = dc_kernels_for(dc_isa_detected());
    int64_t clamped = 0;
    for (int i = 0; i < nodes.count; i++) {
        const struct node_record r = read_node(nodes.items[i]);
        const struct dc_grid grid = dc_grid_of_range(r.range[0], r.range[1], 8);
        float *y = DC_NEW(golden.arena, float, r.count, NULL);
        float *pass = DC_NEW(golden.arena, float, r.count, NULL);
        assert_true(y && pass);
        for (int64_t k = 0; k < r.count; k++)
            y[k] = 1.0f;
        struct dc_epilogue epilogue = {.channels = 1, .period = dc_epilogue_period(1)};
        dc_epilogue_begin(&epilogue);
        dc_epilogue_quantize(&epilogue, grid);
        kernels->epilogue_gradient(pass, y, r.input, &epilogue, r.count, false);
        kernels->epilogue(y, r.input, &epilogue, r.count);
        for (int64_t k = 0; k < r.count; k++) {
            const int ours = pass[k] == 1.0f, theirs = r.mask[k / 8] >> (k % 8) & 1;
            if (code_of(y[k], grid) != r.codes[k] || ours != theirs)
                fail_msg("%s, value %lld (%.9g): code %d, mask %d, not %d, %d", r.name,
                         (long long)k, (double)r.input[k], code_of(y[k], grid), ours, r.codes[k],
                         theirs);
            clamped += !theirs;
        }
    }
    assert_true(clamped > 100);  // else the masks prove nothing
}

// One look at the recorded input moves the range by the same bits.
static void observers_are_pytorchs(void **state)
{
    (void)state;
    for (int i = 0; i < nodes.count; i++) {
        const struct node_record r = read_node(nodes.items[i]);
        const struct dc_fake_quantize_attributes a = {
            .observer = DC_OBSERVER_MOVING_AVERAGE, .constant = 0.01f, .bits = 8};
        const struct dc_shape shape = DC_SHAPE(DC_BATCH, r.count);
        const struct dc_step step = {.total_batch = 1};
        struct dc_graph *graph = NULL;
        struct dc_params *params = NULL;
        struct dc_plan *plan = NULL;
        int input, output;
        golden_ok(dc_graph_create(&graph, &error));
        golden_ok(dc_graph_add_input(graph, "x", DC_F32, &shape, &input, &error));
        golden_ok(dc_graph_add(graph, "q", &dc_op_fake_quantize, &a, sizeof a, &input, 1, &output,
                               &error));
        golden_ok(dc_params_create(&params, graph, 1, false, &error));
        const struct dc_plan_config config = {.mode = DC_TRAINING,
                                              .max_rows = 1,
                                              .outputs = &output,
                                              .output_count = 1,
                                              .params = params};
        golden_ok(dc_plan_create(&plan, golden.ctx, graph, &config, &error));
        float *range = params->value + dc_params_find(params, "q.range")->offset;
        range[DC_RANGE_MIN] = r.range[0];
        range[DC_RANGE_MAX] = r.range[1];
        range[DC_RANGE_SEEN] = 1.0f;
        dc_plan_bind(plan, input, r.input);
        golden_ok(dc_plan_forward(plan, params, 1, &step, &error));
        if (range[DC_RANGE_MIN] != r.range_after[0] || range[DC_RANGE_MAX] != r.range_after[1])
            fail_msg("%s: range [%.9g, %.9g], not [%.9g, %.9g]", r.name,
                     (double)range[DC_RANGE_MIN], (double)range[DC_RANGE_MAX],
                     (double)r.range_after[0], (double)r.range_after[1]);
        dc_plan_free(plan);
        dc_params_free(params);
        dc_graph_free(graph);
    }
}

static void open_network(struct golden_network *n)
{
    int64_t total;
    const float *value = golden_floats(&golden, "value", &total);
    golden_network_open(n, &golden, &golden_quantize, true, 0.0f, ROWS);
    golden_scatter(&golden, n->params, n->params->value, value, total);
    int found = 0;
    for (int i = 0; i < n->params->count; i++)
        found += n->params->slices[i].role == DC_ROLE_OBSERVER;
    assert_int_equal(found, nodes.count);  // quantizers stand where PyTorch's do, and nowhere else
    for (int i = 0; i < nodes.count; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s.quant.range", nodes.items[i]);
        const struct dc_slice *slice = dc_params_find(n->params, name);
        if (!slice)
            fail_msg("no quantizer '%s'", name);
        const struct node_record r = read_node(nodes.items[i]);
        float *range = n->params->value + slice->offset;
        range[DC_RANGE_MIN] = r.range[0];
        range[DC_RANGE_MAX] = r.range[1];
        range[DC_RANGE_SEEN] = 1.0f;
    }
}

static void weight_codes_are_pytorchs(void **state)
{
    (void)state;
    struct golden_network n;
    struct golden_list layers;
    open_network(&n);
    golden_lines(&layers, &golden, "weights");
    assert_int_equal(layers.count, 11);
    for (int i = 0; i < layers.count; i++) {
        char name[128], path[128];
        const bool dense = strncmp(layers.items[i], "logits", 6) == 0;
        const bool per_channel = !dense || strcmp(layers.items[i], "logits.per_channel") == 0;
        snprintf(name, sizeof name, "%s.weight", dense ? "logits" : layers.items[i]);
        snprintf(path, sizeof path, "weights/%s", layers.items[i]);
        int64_t count;
        const int8_t *codes = golden_bytes(&golden, path, DC_I8, &count);
        const struct dc_slice *slice = dc_params_find(n.params, name);
        assert_true(slice && slice->count == count);
        const int channels = (int)slice->shape.dims[slice->shape.rank - 1];
        const float *w = n.params->value + slice->offset;
        float scales[64];
        const struct dc_weight_quantizer quantizer = {.per_channel = per_channel, .bits = 8};
        dc_weight_scales(scales, w, count / channels, channels, &quantizer);
        for (int64_t k = 0; k < count; k++) {
            const float code = dc_weight_code(w[k], scales[k % channels], 127.0f);
            if (code != (float)codes[k])
                fail_msg("%s, weight %lld: code %g, not %d", name, (long long)k, (double)code,
                         codes[k]);
        }
    }
    golden_network_close(&n);
}

// How many codes of the first image differ when each side ran its own forward.
static void count_moved_codes(const struct golden_network *n)
{
    int64_t moved = 0, total = 0;
    for (int i = 0; i < nodes.count; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s.quant", nodes.items[i]);
        const struct node_record r = read_node(nodes.items[i]);
        const struct dc_grid grid = dc_grid_of_range(r.range[0], r.range[1], 8);
        const float *value = dc_plan_value(n->plan, dc_graph_find(n->graph, name));
        for (int64_t k = 0; k < r.count; k++) {
            const int off = abs(code_of(value[k], grid) - r.codes[k]);
            if (off > 1)
                fail_msg("%s, value %lld: off by %d codes", name, (long long)k, off);
            moved += off;
        }
        total += r.count;
    }
    print_message("%lld of %lld codes moved by one, end to end\n", (long long)moved,
                  (long long)total);
    assert_true(moved * 1000 <= total);
}

static void loss_and_gradient_are_pytorchs(void **state)
{
    (void)state;
    struct golden_network n;
    int64_t trained;
    const double want = *golden_doubles(&golden, "loss", NULL);
    const float *theirs = golden_floats(&golden, "gradient", &trained);
    const struct dc_step step = {.total_batch = ROWS, .freeze_observers = true};
    open_network(&n);
    dc_plan_bind(n.plan, n.image, golden.images);
    dc_plan_bind(n.plan, n.targets, golden.targets);
    golden_ok(dc_plan_forward(n.plan, n.params, ROWS, &step, &error));
    const double loss = dc_plan_loss(n.plan, n.label_loss);
    if (!(fabs(loss - want) <= 1e-3))
        fail_msg("loss %.6f, not %.6f", loss, want);
    count_moved_codes(&n);
    golden_ok(dc_plan_backward(n.plan, n.params, ROWS, &step, &error));
    float *ours = DC_NEW(golden.arena, float, trained, NULL);
    assert_non_null(ours);
    golden_gather(&golden, n.params, ours, n.params->gradient, trained);
    double product = 0.0, a = 0.0, b = 0.0;
    for (int64_t i = 0; i < trained; i++) {
        product += (double)ours[i] * (double)theirs[i];
        a += (double)ours[i] * (double)ours[i];
        b += (double)theirs[i] * (double)theirs[i];
    }
    const double cosine = product / sqrt(a * b);
    print_message("loss off by %.2g, gradient cosine %.6f, lengths %.6g and %.6g\n",
                  fabs(loss - want), cosine, sqrt(a), sqrt(b));
    assert_true(cosine >= 0.99);
    assert_true(fabs(sqrt(a / b) - 1.0) <= 0.01);  // the cosine alone does not see a lost factor
    golden_network_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grids_are_pytorchs),
        cmocka_unit_test(codes_and_masks_are_pytorchs),
        cmocka_unit_test(observers_are_pytorchs),
        cmocka_unit_test(weight_codes_are_pytorchs),
        cmocka_unit_test(loss_and_gradient_are_pytorchs),
    };
    int failed = 0;
    for (int i = 0; i <= (int)dc_isa_detected(); i++) {
        isa = (enum dc_isa)i;
        failed += cmocka_run_group_tests_name(dc_isa_name(isa), tests, set_up, tear_down);
    }
    return failed;
}

// The kernels of the exported C where their output lies over their input: the same bytes as apart,
// however close the planner lets them come (qat/planner.h). Shapes are random; the kernels are the
// files that are exported, as this machine compiles them. On other cores, with instructions of
// their own, tests/interop/check_device runs networks that are placed so.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"
#include "qat/profile.h"
#include "tests/qat/helper_models.h"

#define REQUANTIZE "export/device/requantize_double.h"
#include "export/device/add.h"
#include "export/device/average_pool.h"
#include "export/device/concat.h"
#include "export/device/conv2d.h"
#include "export/device/depthwise_conv2d.h"
#include "export/device/max_pool.h"
#include "export/device/mean.h"
#include "export/device/slice.h"
#include "export/device/softmax_fixed_point.h"
#include "export/device/table.h"

enum { ROUNDS = 3000, MEMORY = 1 << 12 };

static int pick(struct dc_random *random, int low, int high)
{
    return low + (int)dc_random_below(random, (uint32_t)(high - low + 1));
}

static struct layer record(const struct dc_ilayer *l, const struct dc_ilayer *x,
                           const struct dc_ilayer *other)
{
    return (struct layer){.in_h = x->height,
                          .in_w = x->width,
                          .in_c = x->channels,
                          .in_zero = x->zero_point,
                          .out_h = l->height,
                          .out_w = l->width,
                          .out_c = l->channels,
                          .out_zero = l->zero_point,
                          .low = l->clamp_low,
                          .high = l->clamp_high,
                          .kernel_h = l->window.kernel[0],
                          .kernel_w = l->window.kernel[1],
                          .stride_h = l->window.stride[0],
                          .stride_w = l->window.stride[1],
                          .dilation_h = l->window.dilation[0],
                          .dilation_w = l->window.dilation[1],
                          .pad_top = l->window.before[0],
                          .pad_left = l->window.before[1],
                          .first_channel = l->first_channel,
                          .other_zero = other->zero_point,
                          .weights = l->weights,
                          .table = l->table,
                          .biases = l->biases,
                          .multipliers = l->multipliers,
                          .shifts = l->shifts};
}

static int32_t exponentials[511];

static void run(enum dc_iop op, int8_t *y, const int8_t *a, const int8_t *b, struct layer *l)
{
    switch (op) {
    case DC_I_CONV2D:
        conv2d(y, a, l);
        break;
    case DC_I_DEPTHWISE_CONV2D:
        depthwise_conv2d(y, a, l);
        break;
    case DC_I_AVERAGE_POOL:
        average_pool(y, a, l);
        break;
    case DC_I_MAX_POOL:
        max_pool(y, a, l);
        break;
    case DC_I_MEAN:
        mean(y, a, l);
        break;
    case DC_I_SLICE:
        slice(y, a, l);
        break;
    case DC_I_TABLE:
        table(y, a, l);
        break;
    case DC_I_SOFTMAX:
        l->exponentials = exponentials;
        softmax(y, a, l);
        break;
    case DC_I_ADD:
        add(y, a, b, l);
        break;
    default:
        place(y, a, 0, l->in_c, l);
        place(y, b, l->in_c, l->out_c - l->in_c, l);
    }
}

static void choose(struct dc_ilayer *l, const struct dc_ilayer *x, struct dc_random *random)
{
    for (int axis = 0; axis < 2; axis++) {
        const int size = axis ? x->width : x->height;
        l->window.kernel[axis] = pick(random, 1, size < 3 ? size : 3);
        l->window.stride[axis] = pick(random, 1, 3);
        l->window.dilation[axis] = 1;
        if (l->op == DC_I_CONV2D || l->op == DC_I_DEPTHWISE_CONV2D)
            l->window.dilation[axis] = pick(random, 1, l->window.kernel[axis] * 2 <= size ? 2 : 1);
        l->window.before[axis] = pick(random, 0, l->window.kernel[axis] - 1);
        l->window.after[axis] = pick(random, 0, l->window.kernel[axis] - 1);
        if (l->op == DC_I_SLICE)
            l->window.before[axis] = pick(random, 0, size - 1);
    }
    if (l->op == DC_I_CONV2D)
        l->channels = pick(random, 1, 9);
    if (l->op == DC_I_DEPTHWISE_CONV2D)
        l->channels = x->channels * pick(random, 1, 2);
    if (l->op == DC_I_SLICE)
        l->first_channel = pick(random, 0, x->channels - 1);
}

// x (and a second value of its size) is made by pools of one code from the input, so that both are
// in the arena, and layer 3 is the last to read them; a layer behind keeps its output there too.
static struct dc_imodel *random_model(enum dc_iop op, struct dc_random *random)
{
    static const struct dc_ilayer copy = {.op = DC_I_MAX_POOL, .window = {.kernel = {1, 1}}};
    struct dc_imodel *m = NULL;
    struct dc_ilayer l = {.op = op, .function = DC_F_TANH, .per_channel = true};
    const bool one = op == DC_I_CONCAT;
    assert_int_equal(dc_imodel_create(&m, "overlap", "made up", dc_profile_find("tflm"), NULL),
                     DC_OK);
    const struct dc_ilayer input = {.op = DC_I_INPUT,
                                    .height = one ? 1 : pick(random, 1, 9),
                                    .width = one ? 1 : pick(random, 1, 9),
                                    .channels = pick(random, 1, 9),
                                    .scale = op == DC_I_SOFTMAX ? 0.01f : 0.05f,
                                    .zero_point = pick(random, -20, 20),
                                    .bits = 8,
                                    .clamp_low = -128,
                                    .clamp_high = 127,
                                    .name = "input"};
    assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
    test_add_layer(m, "a", &copy, 0, -1, random);
    test_add_layer(m, "b", &copy, 0, -1, random);
    choose(&l, &m->layers[1], random);
    test_add_layer(m, "y", &l, 1, op == DC_I_ADD || one ? 2 : -1, random);
    test_add_layer(m, "end", &copy, 3, -1, random);
    return m;
}

// How close they may come is the planner's word; they are put as close as that.
static bool check(enum dc_iop op, struct dc_random *random)
{
    static int8_t memory[2 * MEMORY], apart[MEMORY], a[MEMORY];
    struct dc_block blocks[8];
    struct dc_block_plan plan;
    struct dc_imodel *m = random_model(op, random);
    const struct dc_ilayer *l = &m->layers[3], *x = &m->layers[1];
    const int64_t in = dc_ilayer_size(x), out = dc_ilayer_size(l);
    struct layer device = record(l, x, &m->layers[2]);
    assert_int_equal(dc_imodel_place(blocks, &plan, m, DC_PLACE_OVER, 4, NULL), DC_OK);
    test_fill_codes(memory, sizeof memory, random);
    memcpy(a, memory + MEMORY, (size_t)in);
    // of the operands of a sum either may be taken, of what is joined the place is its own
    const int dies = l->input_count == 2 ? pick(random, 1, 2) : 1;
    const int8_t *b = dies == 1 ? memory : memory + MEMORY, *first = dies == 1 ? a : memory;
    static int8_t kept[MEMORY];
    memcpy(kept, memory, (size_t)in);
    run(op, apart, first == a ? a : kept, b == memory ? kept : a, &device);
    const int64_t distance = blocks[dies].distance;
    int8_t *y = memory + MEMORY - distance;
    run(op, y, dies == 1 ? memory + MEMORY : kept, dies == 1 ? kept : memory + MEMORY, &device);
    assert_int_equal(blocks[dies].successor, 3);
    assert_memory_equal(y, apart, (size_t)out);
    dc_imodel_free(m);
    return distance < out;
}

static void the_same_bytes_as_apart(void **state)
{
    (void)state;
    static const enum dc_iop ops[] = {
        DC_I_CONV2D, DC_I_DEPTHWISE_CONV2D, DC_I_AVERAGE_POOL, DC_I_MAX_POOL, DC_I_MEAN, DC_I_SLICE,
        DC_I_TABLE,  DC_I_SOFTMAX,          DC_I_ADD,          DC_I_CONCAT};
    struct dc_random random;
    dc_random_start(&random, 31, DC_PURPOSE_TEST, 0, 0);
    for (int d = 0; d < 511; d++)
        exponentials[d] = d < 256 ? INT32_MAX >> (255 - d) / 16 : 0;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        int over = 0;
        for (int round = 0; round < ROUNDS / 10; round++)
            over += check(ops[i], &random);
        if (over < ROUNDS / 100)
            fail_msg("%s lay over its input %d times", dc_iop_name(ops[i]), over);
    }
}

// A step less than the planner's distance loses bytes of a convolution: the test would see it.
static void closer_would_be_wrong(void **state)
{
    (void)state;
    static int8_t memory[MEMORY], apart[1024];
    struct dc_random random;
    dc_random_start(&random, 32, DC_PURPOSE_TEST, 0, 0);
    const struct dc_ilayer conv = {.op = DC_I_CONV2D,
                                   .channels = 4,
                                   .window = {.kernel = {3, 3}, .before = {1, 1}, .after = {1, 1}},
                                   .per_channel = true};
    struct dc_imodel *m = test_one_layer_model(dc_profile_find("tflm"), 8, 8, 4, &conv, &random);
    struct layer device = record(&m->layers[1], &m->layers[0], &m->layers[0]);
    const int64_t exact = (8 + 2) * 4;  // a row and a pair of places, of four channels
    for (int64_t distance = exact; distance >= exact - 12; distance -= 12) {
        test_fill_codes(memory, sizeof memory, &random);
        int8_t *x = memory + MEMORY / 2;
        conv2d(apart, x, &device);
        conv2d(x - distance, x, &device);
        assert_int_equal(memcmp(apart, x - distance, 8 * 8 * 4) == 0, distance == exact);
    }
    dc_imodel_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_bytes_as_apart),
                                       cmocka_unit_test(closer_would_be_wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// What judge_tflite.py judges. write_tflite FOLDER PROFILE NETWORK ROWS [OP | CODES] writes
// FOLDER/NAME.tflite, .in and .out (the engine's bytes). NETWORK is the seed of a random graph (of
// one layer of OP, where OP is given), or a model file, which gets random weights; CODES: a file of
// rows among its inputs, or "wide": weights of 4 bits in int8. Of a random graph it prints lines
// for the coverage table, each a layer's name and what it is: op, stride, padding; op, scale.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "export/tflite.h"
#include "qat/engine.h"
#include "qat/table.h"
#include "tests/interop/helper_network.h"
#include "tests/qat/helper_models.h"
#include "tests/qat/helper_simulate.h"

enum { SHARES_MAX = 511 };  // 512 largest ones of a softmax end TFLM, in an assertion
enum { OPS_MIN = 4, OPS_MAX = 9, PATH_BYTES = 1024, NAME_BYTES = 128 };

static const char *const scale_names[] = {"usual", "tiny", "large", "ties"};
static const float scale_factors[] = {1.0f, 1.0f / 4096, 64.0f, 1.0f};

static int pick(struct dc_random *random, int n)
{
    return (int)dc_random_below(random, (uint32_t)n);
}

// TensorFlow's SAME, or (not for averages) any pads below the kernel, or none.
static const char *choose_pads(struct dc_ilayer *l, const struct dc_ilayer *x,
                               struct dc_random *random)
{
    const int way = pick(random, l->op == DC_I_AVERAGE_POOL ? 2 : 3);
    const int reach_h = (l->window.kernel[0] - 1) * l->window.dilation[0],
              reach_w = (l->window.kernel[1] - 1) * l->window.dilation[1];
    if (way == 0 && x->height > reach_h && x->width > reach_w)
        return "valid";
    if (way == 2 && dc_ilayer_has_weights(l) == (pick(random, 4) != 0)) {
        l->window.before[0] = reach_h - reach_h / 2;
        l->window.after[0] = reach_h;
        l->window.before[1] = reach_w - reach_w / 2;
        l->window.after[1] = reach_w;
        return "explicit";
    }
    const int rows = (x->height - 1) / l->window.stride[0] * l->window.stride[0] + reach_h + 1 -
                     x->height;
    const int columns = (x->width - 1) / l->window.stride[1] * l->window.stride[1] + reach_w + 1 -
                        x->width;
    l->window.before[0] = rows > 0 ? rows / 2 : 0;
    l->window.after[0] = rows > 0 ? rows - rows / 2 : 0;
    l->window.before[1] = columns > 0 ? columns / 2 : 0;
    l->window.after[1] = columns > 0 ? columns - columns / 2 : 0;
    return "same";
}

static int same_shape(const struct dc_imodel *m, int i, struct dc_random *random)
{
    const struct dc_ilayer *x = &m->layers[i];
    const int first = pick(random, i + 1);
    for (int k = 0; k <= i; k++) {
        const int j = (first + k) % (i + 1);
        const struct dc_ilayer *y = &m->layers[j];
        if (y->height == x->height && y->width == x->width && y->channels == x->channels)
            return j;
    }
    return i;
}

// What layer i is multiplied by: another of its shape, or its mean, one value a channel.
static int factor_of(struct dc_imodel *m, int i, struct dc_random *random)
{
    const struct dc_ilayer mean = {.op = DC_I_MEAN};
    const int other = same_shape(m, i, random);
    char name[32];
    if (other != i && pick(random, 2))
        return other;
    snprintf(name, sizeof name, "layer%d", m->count);
    printf("%s mean stride1x1 - -\n", name);
    return test_add_layer(m, name, &mean, i, -1, random);
}

// op: or DC_I_INPUT, for any.
static void add_random_layer(struct dc_imodel *m, enum dc_iop op, struct dc_random *random)
{
    const int last = m->count - 1;
    const struct dc_ilayer *x = &m->layers[last];
    const enum dc_iop any = (enum dc_iop)(DC_I_CONV2D + pick(random, DC_IOP_COUNT - 1));
    struct dc_ilayer l = {.op = op == DC_I_INPUT ? any : op,
                          .per_channel = pick(random, 4) != 0,
                          .window = {.kernel = {1 + pick(random, 4), 1 + pick(random, 4)},
                                     .stride = {1 + pick(random, 2), 1 + pick(random, 2)},
                                     .dilation = {1, 1}}};
    char name[32];
    const char *padding = "-";
    if (l.op == DC_I_MEAN || l.op == DC_I_RESHAPE || l.op == DC_I_FULLY_CONNECTED)
        if (m->count <= OPS_MIN && op == DC_I_INPUT)  // these end the image: not at the start
            l.op = DC_I_CONV2D;
    if (l.op == DC_I_SOFTMAX && x->channels > SHARES_MAX)
        l.op = DC_I_TABLE;
    if (l.op == DC_I_CONV2D || l.op == DC_I_DEPTHWISE_CONV2D) {
        l.channels = l.op == DC_I_CONV2D ? 4 + pick(random, 20)
                                         : x->channels * (1 + pick(random, 2));
        if (pick(random, 4) == 0 && l.window.stride[0] == 1 && l.window.stride[1] == 1)
            l.window.dilation[0] = l.window.dilation[1] = 2;
    }
    if (l.op == DC_I_CONV2D || l.op == DC_I_DEPTHWISE_CONV2D || l.op == DC_I_AVERAGE_POOL ||
        l.op == DC_I_MAX_POOL)
        padding = choose_pads(&l, x, random);
    else
        l.window.kernel[0] = l.window.kernel[1] = 0;
    if (l.op == DC_I_FULLY_CONNECTED)
        l.channels = 5 + pick(random, 40);
    l.weight_bits = (l.channels + m->count) % 3 == 0 ? 4 : 8;
    if (l.op == DC_I_TABLE)
        l.function = (enum dc_ifunction)pick(random, DC_F_LEAKY_RELU + 1);
    if (l.function == DC_F_LEAKY_RELU && pick(random, 2))  // near ties
        l.scale = x->scale * (float)(1 + pick(random, 4)) / (float)(1 + pick(random, 4));
    if (l.op == DC_I_PAD) {
        l.window.before[0] = pick(random, 2);
        l.window.after[1] = pick(random, 3);
        l.first_channel = pick(random, 3);
        l.channels = pick(random, 2);
    }
    if (l.op == DC_I_SLICE) {
        l.window.before[0] = pick(random, x->height > 1 ? 2 : 1);
        l.first_channel = pick(random, x->channels > 1 ? 2 : 1);
    }
    const float positions = (float)x->height * (float)x->width;
    if (l.op == DC_I_MEAN && pick(random, 2) == 0)
        l.scale = x->scale * exp2f(rintf(log2f(positions))) / positions;
    if (l.op == DC_I_ADD && pick(random, 2) == 0)
        l.scale = 2 * x->scale;
    const int second = l.op == DC_I_ADD        ? same_shape(m, last, random)
                       : l.op == DC_I_MULTIPLY ? factor_of(m, last, random)
                       : l.op == DC_I_CONCAT   ? last
                                               : -1;
    if (l.op == DC_I_MULTIPLY && pick(random, 2))  // ties, and factors of 1 and more
        l.scale = m->layers[last].scale * m->layers[second].scale *
                  exp2f((float)(pick(random, 9) - 1));
    if (l.op != DC_I_CONV2D && l.op != DC_I_DEPTHWISE_CONV2D && l.op != DC_I_AVERAGE_POOL &&
        l.op != DC_I_MAX_POOL && l.op != DC_I_SLICE)
        l.window.stride[0] = l.window.stride[1] = 1;
    snprintf(name, sizeof name, "layer%d", m->count);
    test_add_layer(m, name, &l, last, second, random);
    printf("%s %s stride%dx%d %s ", name,
           l.op == DC_I_TABLE ? dc_ifunction_name(l.function) : dc_iop_name(l.op),
           l.window.stride[0], l.window.stride[1], padding);
    printf("%s", l.per_channel || !dc_ilayer_has_weights(&l) ? "-" : "per-tensor");
    printf("%s\n", dc_ilayer_has_weights(&l) && l.weight_bits == 4 ? " 4 bits" : "");
}

// Factors that are a power of two but for the rounding of scales: many sums are near ties, and
// which way they go shows in which order a runtime multiplies.
static float tied(float scale, const struct dc_ilayer *l, const struct dc_ilayer *x)
{
    return exp2f(rintf(log2f(scale * x->scale / l->scale))) * l->scale / x->scale;
}

// A fused activation in codes: RELU, RELU6, RELU_N1_TO_1, or none.
static void fuse(struct dc_ilayer *l, int which)
{
    static const float bounds[][2] = {{0, 1e6f}, {0, 1e6f}, {0, 6}, {-1, 1}};
    static const char *const names[] = {"relu", "relu", "relu6", "relu_n1_to_1", "none", "none"};
    printf("%s %s activation %s\n", l->name, dc_iop_name(l->op), names[which]);
    if (which > 3)
        return;
    const float zero = (float)l->zero_point;
    const float low = roundf(bounds[which][0] / l->scale) + zero;
    const float high = roundf(bounds[which][1] / l->scale) + zero;
    l->clamp_low = low < -128 ? -128 : (int)low;
    l->clamp_high = high > 127 ? 127 : (int)high;
}

// The same layers with scales moved apart and fused activations.
static struct dc_imodel *rescaled(const struct dc_imodel *from, struct dc_random *random)
{
    struct dc_imodel *m = NULL;
    struct dc_error error;
    assert_int_equal(dc_imodel_create(&m, "random", "random weights", from->profile, NULL), DC_OK);
    for (int i = 0; i < from->count; i++) {
        struct dc_ilayer l = from->layers[i];
        const int which = pick(random, 6), kind = which < 4 ? which : 0;
        float *scales = calloc((size_t)l.channels, sizeof *scales);
        assert_non_null(scales);
        if (dc_ilayer_has_weights(&l)) {
            for (int c = 0; c < l.channels; c++)
                scales[c] = kind == 3 ? tied(l.weight_scales[c], &l, &m->layers[l.inputs[0]])
                                      : l.weight_scales[c] * scale_factors[kind];
            printf("%s %s scale %s -\n", l.name, dc_iop_name(l.op), scale_names[kind]);
            l.weight_scales = scales;
        }
        if (dc_ilayer_has_weights(&l) || l.op == DC_I_ADD || l.op == DC_I_MULTIPLY)
            fuse(&l, pick(random, 6));
        if (dc_imodel_add(m, &l, NULL, &error) != DC_OK)
            fail_msg("%s", error.message);
        free(scales);
    }
    return m;
}

// Pairs of codes, added at scales that are far apart, or powers of two, whose sums are ties.
static struct dc_imodel *pair_model(const char *profile, struct dc_random *random)
{
    struct dc_imodel *m = NULL;
    while (!m) {
        const bool ties = pick(random, 2) == 0;
        const float widest = dc_random_between(random, 0.0f, 24.0f);
        const float ratio = exp2f(ties ? rintf(widest) : widest);
        struct test_pair pair = {.a = ties ? 0.25f : dc_random_between(random, 0.01f, 0.5f),
                                 .zero_a = pick(random, 256) - 128,
                                 .zero_b = pick(random, 256) - 128,
                                 .zero_sum = pick(random, 256) - 128};
        pair.b = pair.a / ratio;
        pair.sum = ties ? pair.a * exp2f((float)pick(random, 4))
                        : pair.a * dc_random_between(random, 0.5f, 3.0f);
        m = test_pair_model(dc_profile_find(profile), &pair, 5 + pick(random, 30), 11);
    }
    return m;
}

// Of several ops, or of one; an addition has a convolution before it, so that its scales differ.
static struct dc_imodel *random_model(const char *profile, uint64_t seed, enum dc_iop op,
                                      struct dc_random *random)
{
    struct dc_imodel *m = NULL;
    dc_random_start(random, 11, DC_PURPOSE_TEST, 0, seed);
    assert_non_null(dc_profile_find(profile));
    if (op == DC_I_ADD && seed % 2 == 1) {
        printf("sum pairs - -\n");
        return pair_model(profile, random);
    }
    assert_int_equal(dc_imodel_create(&m, "random", "", dc_profile_find(profile), NULL), DC_OK);
    const bool wide = op == DC_I_SOFTMAX || op == DC_I_MEAN;
    const int least = wide ? 2 : 6;  // TFLM's memory is short
    // Pairs read a depthwise layer, which of one channel is an ordinary convolution in files.
    const bool pairs = op == DC_I_ADD || op == DC_I_MULTIPLY;
    const struct dc_ilayer input = {
        .name = "x",
        .op = DC_I_INPUT,
        .height = least + pick(random, 2 * least),
        .width = least + pick(random, 2 * least),
        .channels = wide ? 2 + pick(random, 60)
                         : 1 + pairs + pick(random, op == DC_I_DEPTHWISE_CONV2D ? 24 : 8),
        .scale = op == DC_I_TABLE && seed % 2 ? exp2f((float)(pick(random, 7) - 10))
                 : op == DC_I_SOFTMAX         ? exp2f(dc_random_between(random, -10.0f, 2.0f))
                                              : dc_random_between(random, 0.002f, 0.2f),
        .zero_point = pick(random, 256) - 128,
        .bits = 8,
        .clamp_low = -128,
        .clamp_high = 127};
    assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
    const int ops = OPS_MIN + pick(random, OPS_MAX - OPS_MIN);
    if (pairs) {
        const struct dc_ilayer *x = &m->layers[0];
        const struct dc_ilayer scale = {
            .op = DC_I_DEPTHWISE_CONV2D,
            .channels = x->channels,
            .window = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}}};
        test_add_layer(m, "scaled", &scale, 0, -1, random);
    }
    for (int i = 0; i < (op == DC_I_INPUT ? ops : 1); i++)
        add_random_layer(m, op, random);
    struct dc_imodel *whole = rescaled(m, random);
    dc_imodel_free(m);
    return whole;
}

static void save(const char *folder, const char *name, const char *end, const void *bytes,
                 int64_t size)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, end);
    assert_int_equal(dc_file_write(path, bytes, (size_t)size, NULL), DC_OK);
}

// The rows that every network gets: all lowest, all highest, all zero point, alternating; then the
// codes of the file, if any (whole rows), then random ones.
static int8_t *make_input(const struct dc_imodel *m, int64_t rows, const char *file,
                          struct dc_random *random)
{
    const int64_t in = dc_ilayer_size(&m->layers[0]);
    int8_t *x = calloc((size_t)(rows * in), 1);
    assert_true(x && rows > 3);
    test_fill_codes(x, rows * in, random);
    memset(x, -128, (size_t)in);
    memset(x + in, 127, (size_t)in);
    memset(x + 2 * in, m->layers[0].zero_point, (size_t)in);
    for (int64_t i = 0; i < in; i++)
        x[3 * in + i] = i % 2 ? 127 : -128;
    if (file) {
        struct dc_arena *arena = NULL;
        char *codes = NULL;
        size_t size = 0;
        assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
        assert_int_equal(dc_file_read(&codes, &size, file, arena, NULL), DC_OK);
        assert_true((int64_t)size <= (rows - 4) * in && (int64_t)size % in == 0);
        memcpy(x + 4 * in, codes, size);
        dc_arena_free(arena);
    }
    return x;
}

static enum dc_status write_files(const char *folder, const char *name, const struct dc_imodel *m,
                                  const int8_t *x, int64_t rows, struct dc_error *error)
{
    struct dc_ctx *ctx = NULL;
    struct dc_engine *engine = NULL;
    const struct dc_ctx_config config = {.threads = 1};
    const int64_t in = dc_ilayer_size(&m->layers[0]), out = dc_ilayer_size(dc_imodel_output(m));
    char path[PATH_BYTES];
    int8_t *y = calloc((size_t)(rows * out), 1);
    assert_non_null(y);
    assert_int_equal(dc_ctx_create(&ctx, &config, NULL), DC_OK);
    assert_int_equal(dc_engine_create(&engine, ctx, m, NULL), DC_OK);
    dc_engine_run(engine, y, x, rows);
    if (strcmp(m->profile->name, "litert-xnnpack") == 0)
        assert_int_equal(test_simulation_apart(ctx, m, x, y, rows), 0);
    save(folder, name, "in", x, rows * in);
    save(folder, name, "out", y, rows * out);
    free(y);
    dc_engine_free(engine);
    dc_ctx_free(ctx);
    snprintf(path, sizeof path, "%s/%.*s.tflite", folder, NAME_BYTES, name);
    return dc_tflite_write(path, m, NULL, error);
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 6)
        return 2;
    struct dc_random random;
    static struct dc_error error;
    struct dc_imodel *m = NULL;
    const char *end = strstr(argv[3], ".yaml"), *slash = strrchr(argv[3], '/');
    const int64_t rows = atoll(argv[4]);
    const bool wide = argc == 6 && strcmp(argv[5], "wide") == 0;
    const char *first = slash ? slash + 1 : argv[3];
    char name[NAME_BYTES];
    enum dc_status status = DC_OK;
    snprintf(name, sizeof name, "%.*s", end ? (int)(end - first) : NAME_BYTES - 1, first);
    if (end) {
        dc_random_start(&random, 12, DC_PURPOSE_TEST, 0, 0);
        status = test_lower_random(&m, argv[3], dc_profile_find(argv[2]), wide ? 4 : 8, 8, &error);
        if (status == DC_OK)
            m->wide_weights = wide;
    } else {
        const int op = argc == 6 ? dc_iop_find(argv[5]) : DC_I_INPUT;
        if (op < 0)
            return 2;
        m = random_model(argv[2], (uint64_t)atoll(argv[3]), (enum dc_iop)op, &random);
    }
    if (status == DC_OK) {
        int8_t *x = make_input(m, rows, end && argc == 6 && !wide ? argv[5] : NULL, &random);
        status = write_files(argv[1], name, m, x, rows, &error);
        free(x);
    }
    if (status != DC_OK)
        fprintf(stderr, "%s\n", error.message);
    dc_imodel_free(m);
    return dc_exit_code(status);
}

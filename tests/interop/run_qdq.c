// Writes what judge_qdq.py judges, into FOLDER, and one JSON line a file to stdout:
//   run_qdq FOLDER float               the float networks of tests/formats
//   run_qdq FOLDER ops COUNT           integer models of one op, with random scales and codes
//   run_qdq FOLDER every               every float op at every rank and axis, and its integers
//   where it has some run_qdq FOLDER network MODEL.yaml  a model file with random weights,
//   calibrated, as integers
// Beside NAME.onnx stand NAME.in (float32, in the file's order) and NAME.out: float32, or the
// engine's codes in the file's order.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/plan.h"
#include "export/onnx.h"
#include "formats/onnx_write.h"
#include "qat/calibrate.h"
#include "qat/engine.h"
#include "qat/lower.h"
#include "qat/quantize.h"
#include "tests/formats/helper_networks.h"
#include "tests/interop/helper_network.h"
#include "tests/qat/helper_every_op.h"
#include "tests/qat/helper_models.h"

enum { FLOAT_ROWS = 5, OP_ROWS = 16, NETWORK_ROWS = 100, MOST = 1 << 16 };

static enum dc_status write_part(const char *folder, const char *name, const char *ending,
                                 const void *bytes, size_t size, struct dc_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    return dc_file_write(path, bytes, size, error);
}

static enum dc_status write_floats(const char *folder, struct dc_error *error)
{
    static float input[MOST], output[MOST];
    for (int i = 0;; i++) {
        struct test_network n;
        char path[4096];
        if (!test_network_create(&n, i, error))
            return DC_ERR_DATA;
        if (!n.graph)
            return DC_OK;
        const int64_t in = FLOAT_ROWS * dc_shape_row(&n.graph->nodes[n.input].shape);
        const int64_t out = FLOAT_ROWS * dc_shape_row(&n.graph->nodes[n.output].shape);
        snprintf(path, sizeof path, "%s/%s.onnx", folder, n.name);
        test_network_input(input, in);
        DC_TRY(test_network_run(&n, output, input, FLOAT_ROWS, error));
        DC_TRY(dc_onnx_write(path, n.graph, n.params, n.input, n.output, n.name, "", error));
        DC_TRY(write_part(folder, n.name, "in", input, sizeof *input * (size_t)in, error));
        DC_TRY(write_part(folder, n.name, "out", output, sizeof *output * (size_t)out, error));
        printf("{\"name\": \"%s\", \"kind\": \"float\", \"rows\": %d}\n", n.name, FLOAT_ROWS);
        test_network_free(&n);
    }
}

// Runs the engine on these codes and writes all three files. Under the runtime's own profile every
// third value stands half a step higher, and the profile says which code that is.
static enum dc_status write_model(const char *folder, const char *name, const char *kind,
                                  const struct dc_imodel *model, int8_t *codes, int rows,
                                  struct dc_error *error)
{
    const struct dc_ilayer *x = &model->layers[0], *y = dc_imodel_output(model);
    const int64_t in = dc_ilayer_size(x), out = dc_ilayer_size(y);
    const struct dc_ctx_config settings = {.threads = 1};
    struct dc_ctx *ctx = NULL;
    struct dc_engine *engine = NULL;
    char path[4096];
    int8_t *result = malloc((size_t)(rows * out)), *turned = malloc((size_t)(rows * out));
    float *real = malloc(sizeof *real * (size_t)(rows * in));
    float *input = malloc(sizeof *input * (size_t)(rows * in));
    if (!result || !turned || !real || !input)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    DC_TRY(dc_ctx_create(&ctx, &settings, error));
    DC_TRY(dc_engine_create(&engine, ctx, model, error));
    const bool ties = strcmp(model->profile->name, "onnxruntime") == 0;
    for (int64_t i = 0; i < rows * in; i++)
        real[i] = x->scale * ((float)(codes[i] - x->zero_point) + (ties && i % 3 == 0 ? 0.5f : 0));
    if (ties)
        DC_TRY(dc_imodel_quantize_input(codes, model, real, rows * in, error));
    dc_engine_run(engine, result, codes, rows);
    dc_onnx_channels_first(input, real, rows, (int64_t)x->height * x->width, x->channels,
                           sizeof *input);
    dc_onnx_channels_first(turned, result, rows, (int64_t)y->height * y->width, y->channels, 1);
    snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
    DC_TRY(dc_export_onnx(path, model, error));
    DC_TRY(write_part(folder, name, "in", input, sizeof *input * (size_t)(rows * in), error));
    DC_TRY(write_part(folder, name, "out", turned, (size_t)(rows * out), error));
    printf("{\"name\": \"%s\", \"kind\": \"%s\", \"rows\": %d, \"profile\": \"%s\", \"scale\": "
           "%.9g, \"zero_point\": %d, \"weighted\": %d}\n",
           name, kind, rows, model->profile->name, (double)y->scale, y->zero_point,
           (int)dc_ilayer_has_weights(y));
    free(input);
    free(real);
    free(turned);
    free(result);
    dc_engine_free(engine);
    dc_ctx_free(ctx);
    return DC_OK;
}

// Single ops.

static const enum dc_iop ops[] = {DC_I_CONV2D,          DC_I_DEPTHWISE_CONV2D,
                                  DC_I_FULLY_CONNECTED, DC_I_ADD,
                                  DC_I_MULTIPLY,        DC_I_AVERAGE_POOL,
                                  DC_I_MAX_POOL,        DC_I_MEAN,
                                  DC_I_RESHAPE,         DC_I_PAD,
                                  DC_I_CONCAT,          DC_I_SLICE,
                                  DC_I_TABLE,           DC_I_SOFTMAX};
enum { OPS = sizeof ops / sizeof ops[0] };

static int any(struct dc_random *r, int low, int high)
{
    return low + (int)dc_random_below(r, (uint32_t)(high - low + 1));
}

// Random numbers that fit an input of 6 to 9 rows and columns.
static struct dc_ilayer wanted(enum dc_iop op, int channels, struct dc_random *r)
{
    struct dc_ilayer l = {.op = op};
    const int kernel = op == DC_I_PAD || op == DC_I_SLICE ? 2 : 4;
    if (op == DC_I_FULLY_CONNECTED || op == DC_I_CONV2D)
        l.channels = any(r, 1, 12);
    if (op == DC_I_DEPTHWISE_CONV2D)
        l.channels = channels * any(r, 1, 2);
    if (op == DC_I_TABLE)
        l.function = (enum dc_ifunction)any(r, 0, DC_IFUNCTION_COUNT - 1);
    if (op == DC_I_PAD)
        l.channels = any(r, 0, 2);
    l.window.kernel[0] = any(r, 1, kernel);
    l.window.kernel[1] = any(r, 1, kernel);
    l.window.stride[0] = any(r, 1, 2);
    l.window.stride[1] = any(r, 1, 2);
    l.window.before[0] = any(r, 0, l.window.kernel[0] - 1);
    l.window.after[0] = op == DC_I_SLICE ? 0 : any(r, 0, l.window.kernel[0] - 1);
    l.window.before[1] = any(r, 0, l.window.kernel[1] - 1);
    l.window.after[1] = op == DC_I_SLICE ? 0 : any(r, 0, l.window.kernel[1] - 1);
    l.first_channel = op == DC_I_PAD || op == DC_I_SLICE ? any(r, 0, channels - 1) : 0;
    l.per_channel = any(r, 0, 3) > 0;
    l.weight_bits = any(r, 0, 2) ? 8 : any(r, 2, 4);
    // ONNX Runtime's product is of 8 bits.
    const bool computes = op <= DC_I_ADD || op == DC_I_MEAN;
    l.bits = computes && any(r, 0, 3) == 0 ? any(r, 2, 4) : 8;
    if (l.bits < 8)
        return l;
    if ((op <= DC_I_MULTIPLY || op == DC_I_MEAN || op == DC_I_MAX_POOL) && any(r, 0, 1)) {
        l.clamp_low = any(r, -128, -20);
        l.clamp_high = any(r, 20, 127);
    }
    return l;
}

// The input's codes at another scale: a depthwise layer of one tap whose factor is exactly 1, so
// that no rounding of its own comes before the addition's.
static int other_scale(struct dc_imodel *m, struct dc_random *r)
{
    const struct dc_ilayer *x = &m->layers[0];
    int8_t ones[64];
    int32_t zeros[64] = {0};
    float scales[64];
    const float factor = dc_random_between(r, 0.3f, 3.0f);
    for (int c = 0; c < x->channels; c++) {
        ones[c] = 1;
        scales[c] = factor;
    }
    struct dc_ilayer l = *x;
    l.name = "other";
    l.op = DC_I_DEPTHWISE_CONV2D;
    l.input_count = l.window.kernel[0] = l.window.kernel[1] = l.window.stride[0] =
        l.window.stride[1] = l.window.dilation[0] = l.window.dilation[1] = 1;
    l.inputs[0] = 0;
    l.scale = x->scale * factor;
    l.zero_point = any(r, -128, 127);
    l.weight_bits = 8;
    l.per_channel = true;
    l.weights = ones;
    l.biases = zeros;
    l.weight_scales = scales;
    int index = -1;
    assert_int_equal(dc_imodel_add(m, &l, &index, NULL), DC_OK);
    return index;
}

static struct dc_imodel *one_op(const struct dc_profile *profile, enum dc_iop op,
                                struct dc_random *r)
{
    struct dc_imodel *m = NULL;
    const int extremes[] = {-128, 127, 0, any(r, -128, 127), any(r, -128, 127)};
    const struct dc_ilayer input = {.name = "x",
                                    .op = DC_I_INPUT,
                                    .height = any(r, 6, 9),
                                    .width = any(r, 6, 9),
                                    .channels = any(r, 1, 9),
                                    .scale = dc_random_between(r, 0.001f, 2.0f),
                                    .bits = 8,
                                    .zero_point = extremes[any(r, 0, 4)],
                                    .clamp_low = -128,
                                    .clamp_high = 127};
    const struct dc_ilayer l = wanted(op, input.channels, r);
    assert_int_equal(dc_imodel_create(&m, "one", "random", profile, NULL), DC_OK);
    assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
    const int second = op == DC_I_ADD || op == DC_I_MULTIPLY ? other_scale(m, r)
                       : op == DC_I_CONCAT                   ? 0
                                                             : -1;
    test_add_layer(m, dc_iop_name(op), &l, 0, second, r);
    return m;
}

static enum dc_status write_ops(const char *folder, int count, struct dc_error *error)
{
    static int8_t codes[MOST];
    struct dc_random r;
    dc_random_start(&r, 11, DC_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < count; i++) {
        const enum dc_iop op = ops[i % OPS];
        const struct dc_profile *const *profiles = dc_profile_table();
        int known = 0;
        while (profiles[known] && !profiles[known]->power_of_two)
            known++;
        struct dc_imodel *m = one_op(profiles[i / OPS % known], op, &r);
        char name[32], kind[64];
        const struct dc_ilayer *last = dc_imodel_output(m);
        const bool low_weights = dc_ilayer_has_weights(last) && last->weight_bits <= 4;
        snprintf(kind, sizeof kind, "%s%s%s", dc_iop_name(op), low_weights ? " w4" : "",
                 last->bits <= 4 ? " a4" : "");
        const int64_t values = OP_ROWS * dc_ilayer_size(&m->layers[0]);
        snprintf(name, sizeof name, "op%04d", i);
        test_fill_codes(codes, values, &r);
        memset(codes, -128, (size_t)values / OP_ROWS);
        memset(codes + values / OP_ROWS, 127, (size_t)values / OP_ROWS);
        DC_TRY(write_model(folder, name, kind, m, codes, OP_ROWS, error));
        dc_imodel_free(m);
    }
    return DC_OK;
}

// Every op (tests/qat/helper_every_op.h). In files values of rank 4 have their channels first.
static void to_file_order(float *out, const float *in, int64_t rows, const struct dc_shape *shape)
{
    const int64_t size = dc_shape_row(shape);
    if (shape->rank == 4)
        dc_onnx_channels_first(out, in, rows, shape->dims[1] * shape->dims[2], shape->dims[3],
                               sizeof *out);
    else
        memcpy(out, in, sizeof *out * (size_t)(rows * size));
}

static enum dc_status run_graph(float *output, const struct dc_ctx *ctx, const struct dc_graph *g,
                                struct dc_params *p, int node, const float *x, struct dc_step step,
                                struct dc_error *error)
{
    struct dc_plan *plan = NULL;
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = OP_ROWS, .outputs = &node, .output_count = 1};
    step.total_batch = OP_ROWS;
    DC_TRY(dc_plan_create(&plan, ctx, g, &config, error));
    dc_plan_bind(plan, 0, x);
    const enum dc_status status = dc_plan_forward(plan, p, OP_ROWS, &step, error);
    if (status == DC_OK && output)
        memcpy(output, dc_plan_value(plan, node),
               sizeof *output * (size_t)(OP_ROWS * dc_shape_row(&g->nodes[node].shape)));
    dc_plan_free(plan);
    return status;
}

// The integers under ONNX Runtime's profile, where the quantizing pass takes the network.
static enum dc_status write_every_integers(const char *folder, const char *name,
                                           const struct test_every *e, const struct dc_ctx *ctx,
                                           const float *x, struct dc_error *error)
{
    static int8_t codes[MOST];
    const struct dc_profile *profile = dc_profile_find("onnxruntime");
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX,
                                              .input_rounding = profile->input};
    struct dc_graph *q = NULL;
    struct dc_params *p = NULL;
    struct dc_imodel *m = NULL;
    struct dc_lower_report report;
    int at;
    if (dc_quantize_graph(&q, &at, e->graph, e->output, &config, error) != DC_OK)
        return DC_OK;
    DC_TRY(dc_params_create(&p, q, 0, false, error));
    test_every_params(p);
    DC_TRY(run_graph(NULL, ctx, q, p, at, x, dc_calibration_step(), error));
    DC_TRY(dc_lower(&m, q, p, "image", e->graph->nodes[e->output].name, name, "", profile, &report,
                    error));
    DC_TRY(dc_imodel_quantize_input(codes, m, x, OP_ROWS * dc_ilayer_size(&m->layers[0]), error));
    DC_TRY(write_model(folder, name, "every", m, codes, OP_ROWS, error));
    dc_imodel_free(m);
    dc_params_free(p);
    dc_graph_free(q);
    return DC_OK;
}

static enum dc_status write_every(const char *folder, struct dc_error *error)
{
    static float x[MOST], y[MOST], file[MOST];
    const struct dc_ctx_config settings = {.threads = 1};
    struct dc_ctx *ctx = NULL;
    const int count = test_every_count();
    int refused = 0;
    DC_TRY(dc_ctx_create(&ctx, &settings, error));
    for (int i = 0; i < count; i++) {
        struct test_every e;
        struct dc_params *p = NULL;
        char name[64], integers[64], path[4096];
        test_every_make(&e, i);
        if (!e.graph)
            continue;
        const struct dc_shape *in = &e.graph->nodes[0].shape,
                              *out = &e.graph->nodes[e.output].shape;
        snprintf(name, sizeof name, "every-%d", i);
        snprintf(integers, sizeof integers, "every-%d-int8", i);
        snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
        test_network_input(x, OP_ROWS * dc_shape_row(in));
        DC_TRY(dc_params_create(&p, e.graph, 0, false, error));
        test_every_params(p);
        DC_TRY(run_graph(y, ctx, e.graph, p, e.output, x, (struct dc_step){0}, error));
        if (dc_onnx_write(path, e.graph, p, 0, e.output, name, "", error) == DC_OK) {
            to_file_order(file, x, OP_ROWS, in);
            DC_TRY(write_part(folder, name, "in", file,
                              sizeof *x * (size_t)(OP_ROWS * dc_shape_row(in)), error));
            to_file_order(file, y, OP_ROWS, out);
            DC_TRY(write_part(folder, name, "out", file,
                              sizeof *y * (size_t)(OP_ROWS * dc_shape_row(out)), error));
            printf("{\"name\": \"%s\", \"kind\": \"float\", \"rows\": %d, \"what\": \"%s\"}\n",
                   name, OP_ROWS, e.name);
        } else {
            refused++;
        }
        DC_TRY(write_every_integers(folder, integers, &e, ctx, x, error));
        dc_params_free(p);
        test_every_free(&e);
    }
    fprintf(stderr, "run_qdq: %d float networks of one op are not written as ONNX\n", refused);
    dc_ctx_free(ctx);
    return DC_OK;
}

// Whole networks.

static enum dc_status write_network(const char *folder, const char *path, int bits,
                                    struct dc_error *error)
{
    struct dc_imodel *model = NULL;
    DC_TRY(test_lower_random(&model, path, dc_profile_find("tflm"), bits, bits, error));
    const int64_t count = NETWORK_ROWS * dc_ilayer_size(&model->layers[0]);
    int8_t *codes = malloc((size_t)count), *copy = malloc((size_t)count);
    if (!codes || !copy)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    struct dc_random r;
    dc_random_start(&r, 12, DC_PURPOSE_TEST, 0, 0);
    test_fill_codes(codes, count, &r);
    for (const struct dc_profile *const *p = dc_profile_table(); *p; p++) {
        struct dc_imodel *same = NULL;
        char name[128];
        if ((*p)->power_of_two)
            continue;
        DC_TRY(dc_imodel_create(&same, model->name, model->provenance, *p, error));
        for (int i = 0; i < model->count; i++)
            DC_TRY(dc_imodel_add(same, &model->layers[i], NULL, error));
        snprintf(name, sizeof name, "%s%s-%s", model->name, bits == 8 ? "" : "-low", (*p)->name);
        memcpy(copy, codes, (size_t)count);
        DC_TRY(write_model(folder, name, bits == 8 ? "network" : "low network", same, copy,
                           NETWORK_ROWS, error));
        dc_imodel_free(same);
    }
    free(copy);
    free(codes);
    dc_imodel_free(model);
    return DC_OK;
}

int main(int argc, char **argv)
{
    static struct dc_error error;
    enum dc_status status;
    if (argc == 3 && strcmp(argv[2], "float") == 0)
        status = write_floats(argv[1], &error);
    else if (argc == 4 && strcmp(argv[2], "ops") == 0)
        status = write_ops(argv[1], atoi(argv[3]), &error);
    else if (argc == 4 && strcmp(argv[2], "network") == 0)
        status = write_network(argv[1], argv[3], 8, &error);
    else if (argc == 3 && strcmp(argv[2], "every") == 0)
        status = write_every(argv[1], &error);
    else if (argc == 4 && strcmp(argv[2], "low") == 0)
        status = write_network(argv[1], argv[3], 4, &error);
    else
        return 2;
    if (status != DC_OK)
        fprintf(stderr, "run_qdq: %s\n", error.message);
    return dc_exit_code(status);
}

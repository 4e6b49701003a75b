#include "helper_run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"

static void *guarded(struct run *run, size_t bytes)
{
    const size_t total = bytes + RUN_GUARD * sizeof(float);
    unsigned char *memory = dc_arena_alloc(run->arena, total, NULL);
    assert_non_null(memory);
    assert_true(run->block_count < RUN_BLOCKS);
    memset(memory, 0xff, total);
    run->blocks[run->block_count++].start = memory + bytes;
    return memory;
}

static void check_guards(const struct run *run)
{
    for (int i = 0; i < run->block_count; i++)
        for (size_t k = 0; k < RUN_GUARD * sizeof(float); k++)
            if (run->blocks[i].start[k] != 0xff)
                fail_msg("%s wrote behind the end of block %d", run->node.op->name, i);
}

float *run_floats(struct run *run, int64_t count)
{
    return guarded(run, (size_t)count * sizeof(float));
}

double *run_doubles(struct run *run, int64_t count)
{
    double *x = dc_arena_alloc(run->arena, (size_t)count * sizeof *x, NULL);
    assert_non_null(x);
    return x;
}

double *run_wide(struct run *run, const float *x, int64_t count)
{
    double *wide = run_doubles(run, count);
    for (int64_t i = 0; i < count; i++)
        wide[i] = (double)x[i];
    return wide;
}

double *run_absolute(struct run *run, const float *x, int64_t count)
{
    double *wide = run_wide(run, x, count);
    for (int64_t i = 0; i < count; i++)
        wide[i] = fabs(wide[i]);
    return wide;
}

// A linear congruential generator, its high bits: good enough to fill arrays.
void run_fill(float *x, int64_t count, double low, double high, uint32_t seed)
{
    uint64_t state = seed * 7919u + 12345u;
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(low + (high - low) * (double)(state >> 40) * 0x1p-24);
    }
}

struct dc_ctx *run_context(enum dc_isa isa, int threads)
{
    struct dc_ctx *ctx = NULL;
    struct dc_error error;
    const struct dc_ctx_config config = {.threads = threads, .isa = isa, .isa_given = true};
    if (dc_ctx_create(&ctx, &config, &error) != DC_OK)
        fail_msg("%s", error.message);
    return ctx;
}

static void open_params(struct run *run, const struct dc_shape *symbolic)
{
    const struct dc_op *op = run->node.op;
    run->node.param_count = op->declare ? op->declare(run->specs, &run->node, symbolic) : 0;
    for (int k = 0; k < run->node.param_count; k++) {
        const int64_t count = dc_shape_count(&run->specs[k].shape);
        const bool trained = dc_role_is_trained(run->specs[k].role);
        run->call.param[k] = run_floats(run, count);
        run->before_param[k] = run_floats(run, count);
        if (trained) {
            run->call.d_param[k] = run_floats(run, count);
            run_fill(run->call.param[k], count, -1.0, 1.0, (uint32_t)(100 + k));
            run_fill(run->before_param[k], count, -1.0, 1.0, (uint32_t)(200 + k));
        } else {
            run_fill(run->before_param[k], count, 0.5, 1.5, (uint32_t)(200 + k));
        }
    }
}

void run_open(struct run *run, const struct dc_op *op, const void *attributes,
              const struct dc_shape *in, int inputs)
{
    memset(run, 0, sizeof *run);
    assert_int_equal(dc_arena_create(&run->arena, NULL), DC_OK);
    run->node = (struct dc_node){
        .name = "layer1", .op = op, .attributes = attributes, .input_count = inputs};
    struct dc_shape symbolic[DC_INPUTS_MAX];
    int64_t rows = 1;
    for (int i = 0; i < inputs; i++)
        rows = in[i].dims[0] > rows ? in[i].dims[0] : rows;
    for (int i = 0; i < inputs; i++) {
        symbolic[i] = in[i];
        symbolic[i].dims[0] = in[i].dims[0] == rows ? DC_BATCH : 1;
    }
    struct dc_error error;
    if (op->infer(&run->node.shape, &run->node, symbolic, &error) != DC_OK)
        fail_msg("%s: %s", op->name, error.message);
    assert_int_equal(run->node.shape.dims[0], DC_BATCH);
    run->call = (struct dc_op_call){.node = &run->node,
                                    .step = &run->step,
                                    .rows = rows,
                                    .in = run->in,
                                    .d_in = run->d_in,
                                    .add_gradient = run->add_gradient};
    open_params(run, symbolic);
    for (int i = 0; i < inputs; i++) {
        const int64_t count = dc_shape_count(&in[i]);
        run->call.in[i] = (struct dc_tensor){run_floats(run, count), DC_F32, in[i]};
        run_fill(dc_f32(&run->call.in[i]), count, -1.0, 1.0, (uint32_t)(1 + i));
        run->call.d_in[i] = (struct dc_tensor){run_floats(run, count), DC_F32, in[i]};
        run->before_in[i] = run_floats(run, count);
        run_fill(run->before_in[i], count, -1.0, 1.0, (uint32_t)(50 + i));
    }
    const struct dc_shape out = dc_shape_with_batch(&run->node.shape, rows);
    const int64_t count = dc_shape_count(&out);
    run->call.out = (struct dc_tensor){run_floats(run, count), DC_F32, out};
    run->call.d_out = (struct dc_tensor){run_floats(run, count), DC_F32, out};
    run_fill(dc_f32(&run->call.d_out), count, -1.0, 1.0, 99);
    uint64_t *ids = dc_arena_alloc(run->arena, (size_t)rows * sizeof *ids, NULL);
    assert_non_null(ids);
    for (int64_t r = 0; r < rows; r++)
        ids[r] = (uint64_t)(1000 + r);
    run->step = (struct dc_step){.seed = 7, .epoch = 3, .total_batch = rows, .ids = ids};
}

void run_close(struct run *run)
{
    check_guards(run);
    dc_arena_free(run->arena);
}

static uint64_t hash_tensor(uint64_t hash, const struct dc_tensor *tensor)
{
    return dc_hash_bytes(hash, tensor->data, (uint64_t)dc_shape_count(&tensor->shape) * 4);
}

// Of everything a call must leave alone.
static uint64_t hash_inputs(const struct run *run)
{
    uint64_t hash = hash_tensor(DC_HASH_START, &run->call.d_out);
    for (int i = 0; i < run->node.input_count; i++)
        hash = hash_tensor(hash, &run->call.in[i]);
    for (int k = 0; k < run->node.param_count; k++)
        if (dc_role_is_trained(run->specs[k].role))
            hash = dc_hash_bytes(hash, run->call.param[k],
                                 (uint64_t)dc_shape_count(&run->specs[k].shape) * 4);
    return hash;
}

static struct dc_op_memory memory_of(const struct run *run, const struct dc_ctx *ctx)
{
    struct dc_op_memory memory = {0};
    struct dc_shape in[DC_INPUTS_MAX];
    for (int i = 0; i < run->node.input_count; i++)
        in[i] = run->call.in[i].shape;
    if (run->node.op->memory)
        run->node.op->memory(&memory, &run->node, in, &run->call.out.shape, ctx);
    return memory;
}

enum dc_status run_try_forward(struct run *run, const struct dc_ctx *ctx, enum dc_mode mode,
                               struct dc_error *error)
{
    const struct dc_op_memory memory = memory_of(run, ctx);
    const uint64_t hash = hash_inputs(run);
    run->call.ctx = ctx;
    run->call.mode = mode;
    run->call.saved = mode == DC_TRAINING ? guarded(run, memory.saved) : NULL;
    run->call.scratch = guarded(run, memory.forward);
    memset(run->call.out.data, 0xff, (size_t)dc_shape_count(&run->call.out.shape) * 4);
    for (int k = 0; k < run->node.param_count; k++)
        if (!dc_role_is_trained(run->specs[k].role))
            memcpy(run->call.param[k], run->before_param[k],
                   (size_t)dc_shape_count(&run->specs[k].shape) * 4);
    const enum dc_status status = run->node.op->forward(&run->call, error);
    if (hash_inputs(run) != hash)
        fail_msg("%s changed an input in forward", run->node.op->name);
    check_guards(run);
    return status;
}

void run_forward(struct run *run, const struct dc_ctx *ctx, enum dc_mode mode)
{
    struct dc_error error;
    if (run_try_forward(run, ctx, mode, &error) != DC_OK)
        fail_msg("%s: %s", run->node.op->name, error.message);
}

void run_backward(struct run *run, const struct dc_ctx *ctx, bool add)
{
    const struct dc_op_memory memory = memory_of(run, ctx);
    const uint64_t hash = hash_inputs(run);
    struct dc_error error;
    run->call.scratch = guarded(run, memory.backward);
    for (int i = 0; i < run->node.input_count; i++) {
        const size_t bytes = (size_t)dc_shape_count(&run->call.in[i].shape) * 4;
        run->call.add_gradient[i] = add;
        if (run->call.d_in[i].data && add)
            memcpy(run->call.d_in[i].data, run->before_in[i], bytes);
        else if (run->call.d_in[i].data)
            memset(run->call.d_in[i].data, 0xff, bytes);
    }
    for (int k = 0; k < run->node.param_count; k++) {
        const size_t bytes = (size_t)dc_shape_count(&run->specs[k].shape) * 4;
        if (run->call.d_param[k] && add)
            memcpy(run->call.d_param[k], run->before_param[k], bytes);
        else if (run->call.d_param[k])
            memset(run->call.d_param[k], 0, bytes);
    }
    if (run->node.op->backward(&run->call, &error) != DC_OK)
        fail_msg("%s: %s", run->node.op->name, error.message);
    if (hash_inputs(run) != hash)
        fail_msg("%s changed an input in backward", run->node.op->name);
    check_guards(run);
}

int64_t first_outside(const float *fast, const double *slow, const double *magnitude, double factor,
                      int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)fast[i] - slow[i]) <=
              factor * (double)FLT_EPSILON * magnitude[i] + (double)FLT_MIN))
            return i;
    return -1;
}

static void check_array(const char *name, const char *what, const struct dc_ctx *ctx,
                        const float *fast, const double *slow, const double *magnitude,
                        double factor, int64_t count)
{
    const int64_t i = first_outside(fast, slow, magnitude, factor, count);
    if (i >= 0)
        fail_msg("%s on %s: %s[%" PRId64 "] is %.9g, the oracle says %.9g (allowed %.3g)", name,
                 dc_isa_name(ctx->isa), what, i, (double)fast[i], slow[i],
                 factor * (double)FLT_EPSILON * magnitude[i]);
}

// Gradients against the oracle's, on top of what they were added to (before; NULL: nothing).
static void check_gradient(struct run *run, const char *name, const char *what,
                           const struct dc_ctx *ctx, const float *fast, const float *before,
                           const double *slow, const double *magnitude, double factor,
                           int64_t count)
{
    double *sum = run_doubles(run, count), *size = run_doubles(run, count);
    for (int64_t i = 0; i < count; i++) {
        sum[i] = slow[i] + (before ? (double)before[i] : 0.0);
        size[i] = magnitude[i] + (before ? fabs((double)before[i]) : 0.0);
    }
    check_array(name, what, ctx, fast, sum, size, factor, count);
}

static void check_gradients(struct run *run, const struct expected *e, const char *name,
                            const struct dc_ctx *ctx, bool add)
{
    run_backward(run, ctx, add);
    char what[64];
    for (int i = 0; i < run->node.input_count; i++) {
        snprintf(what, sizeof what, "%s of input %d", add ? "added gradient" : "gradient", i);
        if (e->dx[i])
            check_gradient(run, name, what, ctx, dc_f32(&run->call.d_in[i]),
                           add ? run->before_in[i] : NULL, e->dx[i], e->dx_magnitude[i],
                           e->dx_factor, dc_shape_count(&run->call.in[i].shape));
    }
    for (int k = 0; k < run->node.param_count; k++) {
        snprintf(what, sizeof what, "%s of %s", add ? "added gradient" : "gradient",
                 run->specs[k].name);
        if (e->dp[k])
            check_gradient(run, name, what, ctx, run->call.d_param[k],
                           add ? run->before_param[k] : NULL, e->dp[k], e->dp_magnitude[k],
                           e->dp_factor, dc_shape_count(&run->specs[k].shape));
    }
}

static uint64_t hash_results(const struct run *run)
{
    uint64_t hash = hash_tensor(DC_HASH_START, &run->call.out);
    for (int i = 0; i < run->node.input_count; i++)
        hash = hash_tensor(hash, &run->call.d_in[i]);
    for (int k = 0; k < run->node.param_count; k++) {
        const uint64_t bytes = (uint64_t)dc_shape_count(&run->specs[k].shape) * 4;
        hash = dc_hash_bytes(hash, run->call.param[k], bytes);
        if (run->call.d_param[k])
            hash = dc_hash_bytes(hash, run->call.d_param[k], bytes);
    }
    return hash;
}

void run_check(struct run *run, const struct expected *e, const char *name)
{
    uint64_t first = 0;
    const bool backward = e->dx[0] || e->dp[0];
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
        struct dc_ctx *ctx = run_context((enum dc_isa)isa, 2);
        run_forward(run, ctx, e->mode);
        check_array(name, "output", ctx, dc_f32(&run->call.out), e->y, e->y_magnitude, e->y_factor,
                    dc_shape_count(&run->call.out.shape));
        if (backward) {
            check_gradients(run, e, name, ctx, true);
            check_gradients(run, e, name, ctx, false);
        }
        const uint64_t hash = backward && e->same_bits ? hash_results(run) : 0;
        if (isa > 0 && hash != first)
            fail_msg("%s: bits on %s differ from the scalar ones", name, dc_isa_name(ctx->isa));
        first = hash;
        dc_ctx_free(ctx);
    }
}

static uint64_t hash_with_threads(const struct dc_op *op, const void *attributes,
                                  const struct dc_shape *in, int inputs, enum dc_isa isa,
                                  int threads, enum dc_mode mode)
{
    struct run run;
    run_open(&run, op, attributes, in, inputs);
    struct dc_ctx *ctx = run_context(isa, threads);
    run_forward(&run, ctx, mode);
    if (mode == DC_TRAINING)
        run_backward(&run, ctx, false);
    const uint64_t hash = hash_results(&run);
    dc_ctx_free(ctx);
    run_close(&run);
    return hash;
}

// The rows [first, first + count) of a larger batch, as a batch of their own.
static void check_rows(const struct dc_op *op, const void *attributes, const struct run *large,
                       const struct dc_ctx *ctx, int64_t first, int64_t count)
{
    struct run part;
    struct dc_shape in[DC_INPUTS_MAX];
    for (int i = 0; i < large->node.input_count; i++) {
        in[i] = large->call.in[i].shape;
        in[i].dims[0] = in[i].dims[0] == 1 ? 1 : count;
    }
    run_open(&part, op, attributes, in, large->node.input_count);
    for (int i = 0; i < large->node.input_count; i++) {
        const bool constant = large->call.in[i].shape.dims[0] == 1;
        const int64_t row = dc_shape_row(&in[i]), rows = constant ? 1 : count;
        memcpy(part.call.in[i].data, dc_f32(&large->call.in[i]) + (constant ? 0 : first) * row,
               (size_t)(rows * row) * 4);
    }
    run_forward(&part, ctx, DC_INFERENCE);
    const int64_t row = dc_shape_row(&large->call.out.shape);
    if (memcmp(part.call.out.data, dc_f32(&large->call.out) + first * row,
               (size_t)(count * row) * 4) != 0)
        fail_msg("%s on %s: rows %" PRId64 " to %" PRId64 " depend on their batch", op->name,
                 dc_isa_name(ctx->isa), first, first + count - 1);
    run_close(&part);
}

void run_check_invariance(const struct dc_op *op, const void *attributes,
                          const struct dc_shape *shapes, int inputs)
{
    struct dc_shape in[DC_INPUTS_MAX];
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
        for (int mode = 0; mode < 2; mode++) {
            uint64_t hash[3];
            for (int i = 0; i < inputs; i++) {
                in[i] = shapes[i];
                in[i].dims[0] = shapes[i].dims[0] == 1 ? 1 : 37;
            }
            for (int threads = 1; threads <= 3; threads++)
                hash[threads - 1] = hash_with_threads(op, attributes, in, inputs, (enum dc_isa)isa,
                                                      threads, (enum dc_mode)mode);
            if (hash[0] != hash[1] || hash[0] != hash[2])
                fail_msg("%s on %s: bits depend on the number of threads", op->name,
                         dc_isa_name((enum dc_isa)isa));
        }
        struct run large;
        for (int i = 0; i < inputs; i++)
            in[i].dims[0] = shapes[i].dims[0] == 1 ? 1 : 64;
        run_open(&large, op, attributes, in, inputs);
        struct dc_ctx *ctx = run_context((enum dc_isa)isa, 2);
        run_forward(&large, ctx, DC_INFERENCE);
        const int64_t parts[][2] = {{0, 1}, {17, 1}, {63, 1}, {0, 5}, {30, 5}, {59, 5}, {3, 37}};
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            check_rows(op, attributes, &large, ctx, parts[i][0], parts[i][1]);
        dc_ctx_free(ctx);
        run_close(&large);
    }
}

void assert_refused(const struct dc_op *op, const void *attributes, const struct dc_shape *in,
                    int inputs, const char *part)
{
    const struct dc_node node = {
        .name = "layer1", .op = op, .attributes = attributes, .input_count = inputs};
    struct dc_shape out;
    struct dc_error error = {0};
    const enum dc_status status = op->infer(&out, &node, in, &error);
    if (status != DC_ERR_CONFIG || !strstr(error.message, part))
        fail_msg("%s: status %d, message '%s' does not say '%s'", op->name, (int)status,
                 error.message, part);
}

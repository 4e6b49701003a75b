#include "helper_term.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64 };

static unsigned char *guarded(size_t bytes)
{
    unsigned char *memory = malloc(bytes + GUARD);
    assert_non_null(memory);
    memset(memory, 0xff, bytes);
    memset(memory + bytes, 0x5a, GUARD);
    return memory;
}

static void release(unsigned char *memory, size_t bytes, const char *what)
{
    for (size_t i = 0; i < GUARD; i++)
        if (memory[bytes + i] != 0x5a)
            fail_msg("%s: written behind its end", what);
    free(memory);
}

static void backward(struct term *t, struct dc_op_call *call, const struct dc_op_memory *memory)
{
    double weight = 1.0;
    call->d_out = (struct dc_tensor){&weight, DC_F64, DC_SHAPE(2)};
    for (int k = 0; k < t->trained; k++) {
        t->gradient[k] = malloc(sizeof(float) * (size_t)dc_shape_count(&t->shape[k]));
        assert_non_null(t->gradient[k]);
        memset(t->gradient[k], 0xff, sizeof(float) * (size_t)dc_shape_count(&t->shape[k]));
        call->d_in[k] = (struct dc_tensor){t->gradient[k], DC_F32, t->shape[k]};
    }
    call->scratch = guarded(memory->backward);
    assert_int_equal(t->op->backward(call, &t->error), DC_OK);
    release(call->scratch, memory->backward, t->op->name);
}

enum dc_status term_run(struct term *t, const struct dc_ctx *ctx)
{
    const struct dc_node node = {.name = "loss",
                                 .op = t->op,
                                 .attributes = t->attributes,
                                 .input_count = t->inputs,
                                 .dtype = DC_F64};
    const int64_t rows = t->shape[0].dims[0];
    const struct dc_step step = {.seed = 7,
                                 .epoch = 3,
                                 .total_batch = t->total_batch ? t->total_batch : rows,
                                 .ids = t->ids};
    struct dc_shape out;
    struct dc_op_memory memory = {0};
    double value[2] = {NAN, NAN};
    t->trained = t->trained ? t->trained : 1;
    const enum dc_status fits = t->op->infer(&out, &node, t->shape, &t->error);
    if (fits != DC_OK)
        return fits;
    assert_int_equal(dc_shape_count(&out), 2);
    t->op->memory(&memory, &node, t->shape, &out, ctx);
    struct dc_op_call call = {.ctx = ctx,
                              .node = &node,
                              .mode = DC_TRAINING,
                              .step = &step,
                              .rows = rows,
                              .in = (struct dc_tensor[TERM_INPUTS]){{.data = NULL}},
                              .d_in = (struct dc_tensor[TERM_INPUTS]){{.data = NULL}},
                              .add_gradient = (bool[TERM_INPUTS]){false},
                              .out = {value, DC_F64, out}};
    for (int k = 0; k < t->inputs; k++)
        call.in[k] = (struct dc_tensor){(void *)t->in[k], DC_F32, t->shape[k]};
    for (int p = 0; p < DC_OP_PARAMS_MAX; p++)
        call.param[p] = t->param[p];
    call.saved = guarded(memory.saved);
    call.scratch = guarded(memory.forward);
    const enum dc_status status = t->op->forward(&call, &t->error);
    release(call.scratch, memory.forward, t->op->name);
    if (status == DC_OK) {
        t->value = value[0];
        t->norm = value[1];
        backward(t, &call, &memory);
    }
    release(call.saved, memory.saved, t->op->name);
    return status;
}

void term_free(struct term *t)
{
    for (int k = 0; k < TERM_INPUTS; k++) {
        free(t->gradient[k]);
        t->gradient[k] = NULL;
    }
}

void term_must_run(struct term *t, const struct dc_ctx *ctx, const char *name)
{
    if (term_run(t, ctx) != DC_OK)
        fail_msg("%s: %s", name, t->error.message);
}

double term_gradient_norm(const struct term *t)
{
    double square = 0.0;
    for (int k = 0; k < t->trained; k++)
        for (int64_t i = 0; i < dc_shape_count(&t->shape[k]); i++)
            square += (double)t->gradient[k][i] * (double)t->gradient[k][i];
    return sqrt(square);
}

#include "helper_loss.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void loss_open(struct loss_terms *terms, const struct dc_ctx *ctx, const float *x, const float *y,
               int rows, int values)
{
    *terms = (struct loss_terms){.x = x, .y = y, .rows = rows, .values = values, .ctx = ctx};
    terms->gradient = calloc((size_t)(rows * values), sizeof(float));
    assert_non_null(terms->gradient);
}

void loss_close(struct loss_terms *terms)
{
    free(terms->gradient);
}

// Memory of exactly the size asked for, not zero.
static void *dirty(size_t bytes)
{
    void *memory = malloc(bytes + 1);
    assert_non_null(memory);
    memset(memory, 0xff, bytes + 1);
    return memory;
}

enum dc_status loss_try_add(struct loss_terms *t, const struct dc_op *op, const void *attributes,
                            const float *y, double weight, struct dc_error *error)
{
    const struct dc_shape shape = DC_SHAPE(t->rows, t->values), in[2] = {shape, shape};
    const struct dc_node node = {.name = "loss",
                                 .op = op,
                                 .attributes = attributes,
                                 .input_count = 2,
                                 .shape = DC_SHAPE(2),
                                 .dtype = DC_F64};
    const struct dc_step step = {.total_batch = t->total_batch ? t->total_batch : t->rows};
    struct dc_shape out;
    struct dc_op_memory memory = {0};
    double value[2] = {NAN, NAN};
    assert_int_equal(op->infer(&out, &node, in, error), DC_OK);
    op->memory(&memory, &node, in, &out, t->ctx);
    struct dc_op_call call = {
        .ctx = t->ctx,
        .node = &node,
        .mode = DC_TRAINING,
        .step = &step,
        .rows = t->rows,
        .in = (struct dc_tensor[]){{(void *)t->x, DC_F32, shape}, {(void *)y, DC_F32, shape}},
        .d_in = (struct dc_tensor[2]){{.data = NULL}},
        .add_gradient = (bool[2]){false},
        .out = {value, DC_F64, out}};
    call.saved = dirty(memory.saved);
    call.scratch = dirty(memory.forward);
    const enum dc_status status = op->forward(&call, error);
    free(call.scratch);
    if (status == DC_OK) {
        call.scratch = dirty(memory.backward);
        call.d_out = (struct dc_tensor){&weight, DC_F64, out};
        call.d_in[0] = (struct dc_tensor){t->gradient, DC_F32, shape};
        call.add_gradient[0] = true;
        assert_int_equal(op->backward(&call, error), DC_OK);
        t->loss += weight * value[0];
        free(call.scratch);
    }
    free(call.saved);
    return status;
}

void loss_add(struct loss_terms *terms, const struct dc_op *op, const void *attributes,
              const float *y, double weight)
{
    struct dc_error error;
    if (loss_try_add(terms, op, attributes, y, weight, &error) != DC_OK)
        fail_msg("%s: %s", op->name, error.message);
}

static double loss_at(const struct loss_terms *like, const struct dc_op *op, const void *attributes,
                      const float *x)
{
    struct loss_terms moved;
    loss_open(&moved, like->ctx, x, like->y, like->rows, like->values);
    loss_add(&moved, op, attributes, like->y, 1.0);
    loss_close(&moved);
    return moved.loss;
}

void loss_check_slopes(const struct dc_ctx *ctx, const struct dc_op *op, const void *attributes,
                       const float *x, const float *y, int rows, int values)
{
    const float h = 0x1p-9f;  // the loss is double and smooth: what is left is of order h * h
    struct loss_terms terms;
    loss_open(&terms, ctx, x, y, rows, values);
    loss_add(&terms, op, attributes, y, 1.0);
    float *moved = malloc(sizeof(float) * (size_t)(rows * values));
    assert_non_null(moved);
    memcpy(moved, x, sizeof(float) * (size_t)(rows * values));
    for (int i = 0; i < rows * values; i++) {
        moved[i] = x[i] + h;
        const double above = loss_at(&terms, op, attributes, moved);
        const double right = (double)moved[i];
        moved[i] = x[i] - h;
        const double slope = (above - loss_at(&terms, op, attributes, moved)) /
                             (right - (double)moved[i]);
        moved[i] = x[i];
        if (!(fabs(slope - (double)terms.gradient[i]) <= 1e-6))
            fail_msg("%s, value %d: slope %.9f, gradient %.9f", op->name, i, slope,
                     (double)terms.gradient[i]);
    }
    free(moved);
    loss_close(&terms);
}

void loss_check(const struct loss_terms *t, double loss, const double *gradient, const char *name)
{
    if (!(fabs(t->loss - loss) <= 1e-12 * fabs(loss) + 1e-13))
        fail_msg("%s: loss %.17g, not %.17g", name, t->loss, loss);
    for (int i = 0; i < t->rows * t->values; i++) {
        const double off = fabs((double)t->gradient[i] - gradient[i]);
        if (!(off <= 2.0 * (double)FLT_EPSILON * fabs(gradient[i]) + 1e-12))
            fail_msg("%s, gradient %d: %.9g, not %.9g", name, i, (double)t->gradient[i],
                     gradient[i]);
    }
}

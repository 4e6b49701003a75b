// Owns folding by running: an operator of constants that has no folding of its own is converted
// into a graph of its own and run there.
//
// The first input is that graph's value: one sample of a batch that the file does not know of, or,
// where an operator reads images or rows, its first axis is the batch. Kernels are the scalar ones,
// so that a weight made here has the same bits on any machine. Integers run as floats, which hold
// them exactly. What a file can ask for is bounded: sums, and values between the operator's ends.

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/plan.h"
#include "formats/onnx_internal.h"

enum { WORK_MOST = 1 << 28, EXACT_MOST = 1 << 24 };

struct folding {
    struct dc_import inner;  // the import's own, but for its graph
    struct dc_onnx_value x;
    const float *floats;
    bool rows;  // the first axis is the batch
    int outputs[DC_INPUTS_MAX], count;
};

static enum dc_status floats_of(struct folding *f, const struct dc_onnx_constant *c,
                                struct dc_error *error)
{
    f->floats = c->f;
    if (c->f)
        return DC_OK;
    float *made = DC_NEW(f->inner.arena, float, c->count, error);
    if (!made)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < c->count; i++) {
        if (c->i[i].k)
            return dc__fold_fail_batch(error);
        if (c->i[i].c < -EXACT_MOST || c->i[i].c > EXACT_MOST)
            return dc_fail(error, DC_ERR_DATA, "the integer %" PRId64, c->i[i].c);
        made[i] = (float)c->i[i].c;
    }
    f->floats = made;
    return DC_OK;
}

// Which operators look for the batch in front: those of images, and products of matrices.
static bool asks_for_batch(const struct dc_onnx_operator *row)
{
    return row->layout == DC_READS_CHANNELS_FIRST || row->convert == dc__onnx_gemm ||
           row->convert == dc__onnx_matmul || row->convert == dc__onnx_einsum ||
           row->convert == dc__onnx_layer_norm || row->convert == dc__onnx_resize;
}

// The constant as the input of a graph of its own.
static enum dc_status begin(struct folding *f, const struct dc_onnx_call *call,
                            struct dc_error *error)
{
    const struct dc_onnx_constant *c = &call->in[0]->constant;
    f->rows = asks_for_batch(call->row) && c->rank >= 2;
    struct dc_shape shape = {.rank = f->rows ? c->rank : c->rank + 1, .dims = {DC_BATCH}};
    if (shape.rank > DC_RANK_MAX || c->count < 1)
        return dc_fail(error, DC_ERR_DATA, "a constant of %d axes and %" PRId64 " values", c->rank,
                       c->count);
    if (c->rank == 0)
        shape.dims[shape.rank++] = 1;
    f->x = *call->in[0];
    f->x.kind = DC_VALUE_GRAPH;
    f->x.view = dc__onnx_plain(c->rank);
    for (int i = f->rows; i < c->rank; i++) {
        f->x.view.axes[i].atoms[0] = f->rows ? i : i + 1;
        shape.dims[f->rows ? i : i + 1] = c->dims[i];
    }
    f->inner.data = NULL;
    f->inner.data_capacity = 0;
    f->inner.batch_fixed = false;
    f->inner.lifted = c;
    DC_TRY(floats_of(f, c, error));
    DC_TRY(dc__import_check_size(&shape, error));
    DC_TRY(dc_graph_create(&f->inner.graph, error));
    return dc_graph_add_input(f->inner.graph, "constant", DC_F32, &shape, &f->x.node, error);
}

// The graph's node for output k, its axes as the file has them behind the batch.
static enum dc_status arrange_output(struct folding *f, struct dc_onnx_value *v,
                                     struct dc_error *error)
{
    struct dc_onnx_view want = {.rank = 0};
    if (v->view.rank > DC_RANK_MAX - 2)
        return dc_fail(error, DC_ERR_DATA, "a constant of %d axes", v->view.rank);
    if (!f->rows)
        want.axes[want.rank++] = (struct dc_onnx_axis){1, {0}};
    for (int i = 0; i < v->view.rank; i++)
        want.axes[want.rank++] = v->view.axes[i];
    if (want.rank < 2)
        want.rank = 2;  // an axis of nothing has size 1
    return dc__onnx_arrange(&f->inner, &f->outputs[f->count++], v, &want, error);
}

// Values that are made on the way, and multiplications.
static enum dc_status check_work(struct folding *f, int64_t rows, struct dc_error *error)
{
    const struct dc_graph *graph = f->inner.graph;
    int64_t work = 0;
    for (int i = 0; i < graph->count && work <= WORK_MOST; i++) {
        const struct dc_node *node = &graph->nodes[i];
        const bool pools = node->op == &dc_op_max_pool || node->op == &dc_op_average_pool;
        const int *kernel =
            pools ? ((const struct dc_pool_attributes *)node->attributes)->window.kernel : NULL;
        const int64_t values = rows * dc_shape_row(&node->shape);
        const int64_t each = kernel ? (int64_t)kernel[0] * kernel[1] : 1;
        if (i != f->x.node)
            DC_TRY(dc__onnx_charge(&f->inner, values, error));
        const int64_t macs = dc_graph_node_macs(graph, i);
        work = each > WORK_MOST || macs > WORK_MOST / rows || values > WORK_MOST / each
                   ? INT64_MAX
                   : work + macs * rows + values * each;
    }
    return work <= WORK_MOST ? DC_OK
                             : dc_fail(error, DC_ERR_DATA,
                                       "this operator on constants is too much to compute here");
}

static enum dc_status run(struct folding *f, struct dc_ctx *ctx, struct dc_params *params,
                          struct dc_plan **plan, int64_t rows, struct dc_error *error)
{
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = rows, .outputs = f->outputs, .output_count = f->count};
    for (int i = 0; i < f->inner.graph->param_count; i++)
        memcpy(params->value + params->slices[i].offset, f->inner.data[i],
               sizeof(float) * (size_t)params->slices[i].count);
    DC_TRY(dc_plan_create(plan, ctx, f->inner.graph, &config, error));
    dc_plan_bind(*plan, f->x.node, f->floats);
    return dc_plan_forward(*plan, params, rows, NULL, error);
}

// The outputs become constants, integers where the input was.
static enum dc_status take(struct folding *f, const struct dc_onnx_call *call,
                           const struct dc_plan *plan, int64_t rows, struct dc_error *error)
{
    int at = 0;
    for (size_t k = 0; k < call->proto->n_output; k++) {
        struct dc_onnx_value *v = dc__onnx_output(call, k);
        struct dc_onnx_constant out;
        int64_t dims[DC_RANK_MAX] = {0};
        if (!v || v->kind != DC_VALUE_GRAPH)
            continue;
        for (int i = 0; i < v->view.rank; i++) {
            const struct dc_linear dim = dc__onnx_dim(&f->inner, v, i);
            dims[i] = dim.k ? dim.k * rows : dim.c;
        }
        DC_TRY(dc__onnx_new(&f->inner, &out, call->in[0]->constant.f != NULL, v->view.rank, dims,
                            error));
        const int node = f->outputs[at++];
        const float *y = node == f->x.node ? f->floats : dc_plan_value(plan, node);
        for (int64_t i = 0; i < out.count; i++) {
            if (out.f)
                out.f[i] = y[i];
            else if (y[i] == rintf(y[i]) && fabsf(y[i]) <= (float)EXACT_MOST)
                out.i[i].c = (int64_t)y[i];
            else
                return dc_fail(error, DC_ERR_DATA, "integers become %g", (double)y[i]);
        }
        v->kind = DC_VALUE_CONSTANT;
        v->constant = out;
    }
    return DC_OK;
}

static enum dc_status fold(struct folding *f, struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_onnx_call inner = *call;
    DC_TRY(begin(f, call, error));
    const int64_t rows = f->rows ? call->in[0]->constant.dims[0] : 1;
    inner.m = &f->inner;
    inner.in[0] = &f->x;
    const enum dc_status status = call->row->convert(&inner, error);
    call->bad = inner.bad;
    call->asked = inner.asked;
    DC_TRY(status);
    for (size_t k = 0; k < call->proto->n_output; k++) {
        struct dc_onnx_value *v = dc__onnx_output(call, k);
        if (v && v->kind == DC_VALUE_GRAPH && f->count == DC_INPUTS_MAX)
            return dc_fail(error, DC_ERR_DATA, "more than %d outputs", (int)DC_INPUTS_MAX);
        if (v && v->kind == DC_VALUE_GRAPH)
            DC_TRY(arrange_output(f, v, error));
    }
    if (f->count == 0)
        return DC_OK;  // it gave constants
    DC_TRY(check_work(f, rows, error));
    struct dc_ctx *ctx = NULL;
    struct dc_plan *plan = NULL;
    struct dc_params *params = NULL;
    const struct dc_ctx_config settings = {.threads = 1, .isa = DC_ISA_SCALAR, .isa_given = true};
    enum dc_status ran = dc_ctx_create(&ctx, &settings, error);
    if (ran == DC_OK)
        ran = dc_params_create(&params, f->inner.graph, 0, false, error);
    if (ran == DC_OK)
        ran = run(f, ctx, params, &plan, rows, error);
    if (ran == DC_OK)
        ran = take(f, call, plan, rows, error);
    dc_plan_free(plan);
    dc_params_free(params);
    dc_ctx_free(ctx);
    return ran;
}

enum dc_status dc__fold_run(struct dc_onnx_call *call, struct dc_error *error)
{
    struct folding f = {.inner = *call->m};
    f.inner.graph = NULL;
    const enum dc_status status = fold(&f, call, error);
    call->m->folded = f.inner.folded;
    dc_graph_free(f.inner.graph);
    return status;
}

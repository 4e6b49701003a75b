// Owns the table of nodes: what each computes and moves, how long it took, and the least it could
// take by the two ceilings measured in the same run (Williams et al., "Roofline", CACM 2009).
//
// Bytes are those of values, gradients and parameters that an op reads and writes once each,
// wherever they lie: what a cache holds is faster than the bound. A node whose value is left to its
// readers (core/epilogue.h) is of the kind "epilogue": it moves nothing, and they spend its time.

#include <stdlib.h>

#include "bench/bench_internal.h"

static double bytes_of(const struct dc_graph *graph, int i, int64_t rows)
{
    const struct dc_node *node = &graph->nodes[i];
    if (node->op->flags & DC_OP_LOSS)
        return sizeof(double);
    return (double)(rows * dc_shape_row(&node->shape)) * (double)dc_dtype_bytes(node->dtype);
}

static bool is_trained(const struct dc_graph *graph, const struct dc_node *node)
{
    bool trained = false;
    for (int p = 0; p < node->param_count; p++)
        trained = trained || dc_role_is_trained(graph->params[node->params[p]].role);
    return trained;
}

// Whether anything that value i depends on is trained: then it gets a gradient.
static bool has_gradient(const struct dc_graph *graph, int i)
{
    const struct dc_node *node = &graph->nodes[i];
    bool has = is_trained(graph, node);
    for (int k = 0; k < node->input_count && !has; k++)
        has = has_gradient(graph, node->inputs[k]);
    return has;
}

void dc__node_flops(struct dc__node_flop *flops, const struct dc_graph *graph, bool training)
{
    for (int i = 0; i < graph->count; i++) {
        const struct dc_node *node = &graph->nodes[i];
        const double forward = 2.0 * (double)dc_graph_node_macs(graph, i);
        flops[i] = (struct dc__node_flop){.forward = forward};
        if (!training || forward == 0.0)
            continue;
        flops[i].backward = is_trained(graph, node) ? forward : 0.0;
        if (has_gradient(graph, node->inputs[0]))
            flops[i].backward += forward;
    }
}

static double moved(const struct dc_graph *graph, int i, int64_t rows, bool training)
{
    const struct dc_node *node = &graph->nodes[i];
    const bool back = training && has_gradient(graph, i);
    double bytes = bytes_of(graph, i, rows) * (back ? 2.0 : 1.0);  // out, d_out
    for (int k = 0; k < node->input_count; k++) {
        const double in = bytes_of(graph, node->inputs[k], rows);
        bytes += in;
        if (back && node->op->flags & DC_OP_READS_INPUT)
            bytes += in;
        if (back && has_gradient(graph, node->inputs[k]))
            bytes += in;
    }
    if (back && node->op->flags & DC_OP_READS_OUTPUT)
        bytes += bytes_of(graph, i, rows);
    for (int p = 0; p < node->param_count; p++) {
        const struct dc_param_spec *spec = &graph->params[node->params[p]];
        bytes += (double)(sizeof(float) * (size_t)dc_shape_count(&spec->shape)) *
                 (back && dc_role_is_trained(spec->role) ? 3.0 : 1.0);
    }
    return bytes;
}

// The family of an accumulating op, told from the shape of its weights.
static const char *family(const struct dc_graph *graph, const struct dc_node *node)
{
    for (int p = 0; p < node->param_count; p++) {
        const struct dc_param_spec *spec = &graph->params[node->params[p]];
        const int64_t *d = spec->shape.dims;
        const struct dc_shape *in = &graph->nodes[node->inputs[0]].shape;
        if (spec->role != DC_ROLE_WEIGHT)
            continue;
        if (spec->shape.rank != 4)
            return "dense";
        if (d[2] == 1 && in->dims[in->rank - 1] > 1)
            return "depthwise";
        return d[0] * d[1] == 1 ? "pointwise" : "direct";
    }
    return "";
}

static json_t *row_of(const struct dc__profile *p, int i, const struct dc__node_flop *flops,
                      double peak, double bandwidth)
{
    const struct dc_node *node = &p->graph->nodes[i];
    const double steps = (double)p->steps, rows = (double)p->rows;
    const double forward = p->seconds[i].forward / steps, backward = p->seconds[i].backward / steps;
    const double flop = rows * (flops->forward + flops->backward);
    const bool stored = dc_plan_stores(p->plan, i);
    const double bytes = stored ? moved(p->graph, i, p->rows, p->training) : 0.0;
    const double seconds = forward + backward;
    const double compute = flop / peak, memory = bytes / bandwidth;
    char shape[DC_SHAPE_TEXT];
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s}", "node", node->name, "op",
        node->op->name, "kind", stored ? family(p->graph, node) : "epilogue", "shape",
        dc_shape_text(shape, &node->shape), "forward_ms", 1e3 * forward, "backward_ms",
        1e3 * backward, "gflops", seconds > 0.0 ? 1e-9 * flop / seconds : 0.0, "megabytes",
        1e-6 * bytes, "share", seconds * steps / p->total, "compute_bound_ms", 1e3 * compute,
        "memory_bound_ms", 1e3 * memory, "bound", compute > memory ? "compute" : "memory");
}

enum dc_status dc__add_profile(json_t *result, const struct dc__profile *p, struct dc_error *error)
{
    const double peak = 1e9 * json_real_value(json_object_get(result, "sgemm_gflops"));
    double bandwidth, nodes = 0.0;
    DC_TRY(dc__triad_bandwidth(&bandwidth, p->ctx, error));
    struct dc__node_flop *flops = dc_alloc(sizeof *flops * (size_t)p->graph->count, error);
    if (!flops)
        return DC_ERR_MEMORY;
    json_t *rows = json_array();
    dc__node_flops(flops, p->graph, p->training);
    for (int i = 0; i < p->graph->count; i++) {
        nodes += p->seconds[i].forward + p->seconds[i].backward;
        if (p->graph->nodes[i].op != &dc_op_input)
            json_array_append_new(rows, row_of(p, i, &flops[i], peak, bandwidth));
    }
    free(flops);
    const double steps = (double)p->steps;
    json_object_set_new(result, "profile", rows);
    json_object_set_new(result, "profiled_steps", json_integer((json_int_t)p->steps));
    json_object_set_new(result, "profiled_ms", json_real(1e3 * p->total / steps));
    json_object_set_new(result, "outside_nodes_ms", json_real(1e3 * (p->total - nodes) / steps));
    json_object_set_new(result, "triad_gigabytes_per_second", json_real(1e-9 * bandwidth));
    return DC_OK;
}

static double real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

void dc__profile_text(struct dc_text_buffer *text, const json_t *result)
{
    const json_t *rows = json_object_get(result, "profile");
    double bounds = 0.0;
    dc_text_append(text, "\n%-28s %-16s %-9s %-20s %8s %8s %8s %8s %6s %8s %s\n", "node", "op",
                   "kind", "output", "fwd ms", "bwd ms", "GFLOP/s", "MB", "share", "bound ms",
                   "by");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const double compute = real(row, "compute_bound_ms"), memory = real(row, "memory_bound_ms");
        const double bound = compute > memory ? compute : memory;
        bounds += bound;
        dc_text_append(text, "%-28s %-16s %-9s %-20s %8.3f %8.3f %8.1f %8.2f %5.1f%% %8.3f %s\n",
                       text_of(row, "node"), text_of(row, "op"), text_of(row, "kind"),
                       text_of(row, "shape"), real(row, "forward_ms"), real(row, "backward_ms"),
                       real(row, "gflops"), real(row, "megabytes"), 100.0 * real(row, "share"),
                       bound, text_of(row, "bound"));
    }
    dc_text_append(text,
                   "%.3f ms a call, of which %.3f outside the nodes (update, threads); the bounds "
                   "add up to %.3f.\nBounds: %.1f GFLOP/s and %.1f GB/s (triad from memory; what "
                   "a cache holds is faster). Nodes are timed one by one: read shares, and rates "
                   "above.\n",
                   real(result, "profiled_ms"), real(result, "outside_nodes_ms"), bounds,
                   real(result, "sgemm_gflops"), real(result, "triad_gigabytes_per_second"));
}

// Owns the optimization of rounding, and the second moments of layers' inputs that it needs. One
// thread takes the moments of a layer, one optimizes a filter; sums are double, in one order.

#include "qat/adaround.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/math.h"
#include "core/parallel.h"
#include "core/plan.h"
#include "qat/calibrate.h"
#include "qat/fake_quantize.h"

static const double zeta = 1.1, gamma_low = -0.1;

// dw^T G dw for w: the reals, q: the rounded.
static double objective(const double *w, const double *q, const double *gram, int64_t taps)
{
    double sum = 0.0;
    for (int64_t u = 0; u < taps; u++) {
        double row = 0.0;
        for (int64_t t = 0; t < taps; t++)
            row += gram[u * taps + t] * (q[t] - w[t]);
        sum += row * (q[u] - w[u]);
    }
    return sum;
}

static double clamped(double code, double high)
{
    return code < -high ? -high : code > high ? high : code;
}

struct filter {
    const double *w, *gram;
    double *v, *first, *second, *gradient;
    double scale, high;
    int64_t taps;
};

// The rectified sigmoid; *slope: by v.
static double rectified(double v, double *slope)
{
    const double s = dc_sigmoid(v), h = s * (zeta - gamma_low) + gamma_low;
    *slope = h > 0.0 && h < 1.0 ? s * (1.0 - s) * (zeta - gamma_low) : 0.0;
    return h < 0.0 ? 0.0 : h > 1.0 ? 1.0 : h;
}

// gradient = 2 G (q(v) - w), by the quantized weight.
static void quadratic_gradient(struct filter *f)
{
    memset(f->gradient, 0, sizeof *f->gradient * (size_t)f->taps);
    for (int64_t u = 0; u < f->taps; u++) {
        double slope;
        const double code = floor(f->w[u] / f->scale) + rectified(f->v[u], &slope);
        const double off = 2.0 * (clamped(code, f->high) * f->scale - f->w[u]);
        for (int64_t t = 0; t < f->taps; t++)
            f->gradient[t] += off * f->gram[u * f->taps + t];
    }
}

static void step(struct filter *f, int64_t iteration, const struct dc_adaround_config *c)
{
    const double warm = c->warm_up * (double)c->iterations;
    const double done = ((double)iteration - warm) / ((double)c->iterations - warm);
    const double beta = c->beta_end +
                        0.5 * (c->beta_start - c->beta_end) * (1.0 + dc_cos_turns(0.5 * done));
    const double bias1 = 1.0 - dc_pow(0.9, (double)iteration + 1.0);
    const double bias2 = 1.0 - dc_pow(0.999, (double)iteration + 1.0);
    quadratic_gradient(f);
    for (int64_t t = 0; t < f->taps; t++) {
        double slope;
        const double h = rectified(f->v[t], &slope), side = 2.0 * h - 1.0;
        const double code = floor(f->w[t] / f->scale) + h;
        double g = code < -f->high || code > f->high ? 0.0 : f->gradient[t] * f->scale;
        if ((double)iteration >= warm && side != 0.0 && slope > 0.0)
            g -= c->regularization * 2.0 * beta * dc_pow(fabs(side), beta - 1.0) *
                 (side < 0.0 ? -1.0 : 1.0);
        g *= slope;
        f->first[t] += 0.1 * (g - f->first[t]);
        f->second[t] += 0.001 * (g * g - f->second[t]);
        f->v[t] -= c->learning_rate * (f->first[t] / bias1) / (sqrt(f->second[t] / bias2) + 1e-8);
    }
}

void dc_adaround_filter(double *weights, double scale, double high, const double *gram,
                        double *work, int64_t taps, const struct dc_adaround_config *config,
                        const volatile sig_atomic_t *stop)
{
    struct filter f = {.w = weights,
                       .gram = gram,
                       .v = work,
                       .first = work + taps,
                       .second = work + 2 * taps,
                       .gradient = work + 3 * taps,
                       .scale = scale,
                       .high = high,
                       .taps = taps};
    double *rounded = f.gradient, *nearest = work + 4 * taps;
    memset(f.first, 0, sizeof *work * (size_t)(2 * taps));
    for (int64_t t = 0; t < taps; t++) {
        const double real = weights[t] / scale,
                     p = (real - floor(real) - gamma_low) / (zeta - gamma_low);
        f.v[t] = dc_ln(p / (1.0 - p));
        nearest[t] = clamped(rint(real), high) * scale;
    }
    for (int64_t i = 0; i < config->iterations; i++) {
        if (stop && *stop)
            return;
        step(&f, i, config);
    }
    for (int64_t t = 0; t < taps; t++) {
        double slope;
        const double up = rectified(f.v[t], &slope) >= 0.5 ? 1.0 : 0.0;
        rounded[t] = clamped(floor(weights[t] / scale) + up, high) * scale;
    }
    const bool better = objective(weights, rounded, gram, taps) <
                        objective(weights, nearest, gram, taps);
    memcpy(weights, better ? rounded : nearest, sizeof *weights * (size_t)taps);
}

// A weighted layer: filters of `taps` weights, groups of them read the same inputs.
struct layer {
    int node;
    struct dc_conv_attributes conv;  // of a dense layer: 1 x 1 over a row of pixels
    int height, width, in, out_h, out_w;
    int64_t taps, seen, every, count;  // every: positions between two that are taken
    double *gram;                      // [groups][taps][taps]
    double *patch;                     // [taps]
};

struct dc_adaround {
    const struct dc_ctx *ctx;
    const struct dc_graph *graph;
    struct dc_params *params;
    struct dc_adaround_config config;
    struct dc_arena *arena;
    struct dc_plan *plan;
    struct layer *layers;
    int layer_count, input;
    int64_t rows;
    double *work;  // [threads][6 * most taps]
    int64_t most_taps;
    int at;  // the layer being optimized
};

static enum dc_status add_layer(struct dc_adaround *a, int i, int64_t samples,
                                struct dc_error *error)
{
    struct layer *l = &a->layers[a->layer_count++];
    const struct dc_node *node = &a->graph->nodes[i];
    const struct dc_shape *in = &a->graph->nodes[node->inputs[0]].shape;
    const bool dense = node->op == &dc_op_quantized_dense;
    *l = (struct layer){.node = i, .height = 1, .width = 1, .out_h = 1, .out_w = 1};
    l->in = (int)in->dims[in->rank - 1];
    if (dense) {
        const struct dc_quantized_dense_attributes *d = node->attributes;
        l->conv = (struct dc_conv_attributes){
            .filters = d->dense.units,
            .window = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}},
            .groups = 1};
        l->width = l->out_w = (int)(dc_shape_row(in) / l->in);
    } else {
        l->conv = ((const struct dc_quantized_conv_attributes *)node->attributes)->conv;
        l->height = (int)in->dims[1];
        l->width = (int)in->dims[2];
        l->out_h = (int)node->shape.dims[1];
        l->out_w = (int)node->shape.dims[2];
    }
    l->taps = (int64_t)l->conv.window.kernel[0] * l->conv.window.kernel[1] *
              (l->in / l->conv.groups);
    l->every = samples * l->out_h * l->out_w / a->config.positions;
    l->every = l->every < 1 ? 1 : l->every;
    l->gram = DC_NEW(a->arena, double, l->conv.groups * l->taps * l->taps, error);
    l->patch = DC_NEW(a->arena, double, l->taps, error);
    a->most_taps = a->most_taps > l->taps ? a->most_taps : l->taps;
    return l->gram && l->patch ? DC_OK : DC_ERR_MEMORY;
}

static enum dc_status create(struct dc_adaround *a, int64_t max_rows, int64_t samples,
                             struct dc_error *error)
{
    int *outputs = DC_NEW(a->arena, int, a->graph->count, error);
    a->layers = DC_NEW(a->arena, struct layer, a->graph->count, error);
    if (!outputs || !a->layers)
        return DC_ERR_MEMORY;
    for (int i = 0; i < a->graph->count; i++) {
        int scale;
        if (!dc_node_weight_quantizer(&scale, &a->graph->nodes[i]))
            continue;
        if (scale < 0)
            return dc_fail(error, DC_ERR_CONFIG, "adaround: the scale of '%s' is not kept",
                           a->graph->nodes[i].name);
        outputs[a->layer_count] = a->graph->nodes[i].inputs[0];
        DC_TRY(add_layer(a, i, samples, error));
    }
    a->work = DC_NEW(a->arena, double, a->ctx->threads * 6 * a->most_taps, error);
    if (!a->work)
        return DC_ERR_MEMORY;
    const struct dc_plan_config config = {.mode = DC_INFERENCE,
                                          .max_rows = max_rows,
                                          .outputs = outputs,
                                          .output_count = a->layer_count};
    return dc_plan_create(&a->plan, a->ctx, a->graph, &config, error);
}

enum dc_status dc_adaround_create(struct dc_adaround **adaround, const struct dc_ctx *ctx,
                                  const struct dc_graph *graph, struct dc_params *params, int input,
                                  int64_t max_rows, int64_t samples,
                                  const struct dc_adaround_config *config, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *adaround = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_adaround *a = DC_NEW(arena, struct dc_adaround, 1, error);
    if (!a) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    *a = (struct dc_adaround){.ctx = ctx,
                              .graph = graph,
                              .params = params,
                              .config = *config,
                              .arena = arena,
                              .input = input};
    const enum dc_status status = create(a, max_rows, samples, error);
    if (status == DC_OK)
        *adaround = a;
    else
        dc_adaround_free(a);
    return status;
}

void dc_adaround_free(struct dc_adaround *a)
{
    if (!a)
        return;
    dc_plan_free(a->plan);
    dc_arena_free(a->arena);
}

// The inputs of one output position and group, in the order of the weights' taps.
static void take_patch(struct layer *l, const float *image, int row, int column, int group)
{
    const struct dc_conv_attributes *a = &l->conv;
    const int depth = l->in / a->groups;
    double *patch = l->patch;
    for (int kh = 0; kh < a->window.kernel[0]; kh++) {
        for (int kw = 0; kw < a->window.kernel[1]; kw++) {
            const int y = row * a->window.stride[0] - a->window.before[0] +
                          kh * a->window.dilation[0];
            const int x = column * a->window.stride[1] - a->window.before[1] +
                          kw * a->window.dilation[1];
            const bool inside = y >= 0 && y < l->height && x >= 0 && x < l->width;
            const float *pixel = inside ? image + ((int64_t)y * l->width + x) * l->in : NULL;
            for (int c = 0; c < depth; c++)
                *patch++ = inside ? (double)pixel[group * depth + c] : 0.0;
        }
    }
}

static void add_moments(void *arg, int index, int thread)
{
    const struct dc_adaround *a = arg;
    struct layer *l = &a->layers[index];
    const int64_t positions = (int64_t)l->out_h * l->out_w;
    const float *x = dc_plan_value(a->plan, a->graph->nodes[l->node].inputs[0]);
    (void)thread;
    for (int64_t p = 0; p < a->rows * positions && !dc_stop_requested(a->ctx); p++) {
        if (l->seen++ % l->every != 0)
            continue;
        const float *image = x + p / positions * l->height * l->width * l->in;
        const int at = (int)(p % positions);
        l->count++;
        for (int g = 0; g < l->conv.groups; g++) {
            double *gram = l->gram + g * l->taps * l->taps;
            take_patch(l, image, at / l->out_w, at % l->out_w, g);
            for (int64_t u = 0; u < l->taps; u++) {
                const double v = l->patch[u];
                for (int64_t t = 0; v != 0.0 && t < l->taps; t++)
                    gram[u * l->taps + t] += v * l->patch[t];
            }
        }
    }
}

enum dc_status dc_adaround_add(struct dc_adaround *a, const float *x, int64_t rows,
                               struct dc_error *error)
{
    struct dc_step calibration = dc_calibration_step();
    calibration.freeze_observers = true;
    a->rows = rows;
    dc_plan_bind(a->plan, a->input, x);
    DC_TRY(dc_plan_forward(a->plan, a->params, rows, &calibration, error));
    dc_parallel_for(a->ctx, a->layer_count, add_moments, a);
    return dc_check_stop(a->ctx->stop, error);
}

static void optimize(void *arg, int filter, int thread)
{
    const struct dc_adaround *a = arg;
    const struct layer *l = &a->layers[a->at];
    const struct dc_node *node = &a->graph->nodes[l->node];
    const int filters = l->conv.filters, group = filter / (filters / l->conv.groups);
    int kept;
    const struct dc_weight_quantizer *quantizer = dc_node_weight_quantizer(&kept, node);
    float *w = a->params->value + a->params->slices[node->params[0]].offset + filter;
    const float *scales = a->params->value + a->params->slices[node->params[kept]].offset;
    const float scale = dc_kept_scale(scales[quantizer->per_channel ? filter : 0], quantizer);
    double *work = a->work + thread * 6 * a->most_taps, *real = work + 5 * a->most_taps;
    for (int64_t t = 0; t < l->taps; t++)
        real[t] = (double)w[t * filters];
    dc_adaround_filter(real, (double)scale, (double)dc_code_high(quantizer->bits),
                       l->gram + group * l->taps * l->taps, work, l->taps, &a->config,
                       a->ctx->stop);
    for (int64_t t = 0; t < l->taps; t++)
        w[t * filters] = (float)real[t];
}

enum dc_status dc_adaround_finish(struct dc_adaround *a, struct dc_error *error)
{
    for (a->at = 0; a->at < a->layer_count; a->at++) {
        struct layer *l = &a->layers[a->at];
        if (l->count == 0)
            return dc_fail(error, DC_ERR_USAGE, "adaround saw no samples");
        for (int64_t i = 0; i < l->conv.groups * l->taps * l->taps; i++)
            l->gram[i] /= (double)l->count;
        dc_parallel_for(a->ctx, l->conv.filters, optimize, a);
        DC_TRY(dc_check_stop(a->ctx->stop, error));
    }
    return DC_OK;
}

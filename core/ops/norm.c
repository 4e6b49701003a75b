// Owns normalization within a row: layer and group normalization.
//
// A row is seen as [outer][pixels][groups][run]: statistics are taken over pixels and run, in
// double, in two passes; gamma and beta have an entry for each value of [groups][run]. Layer
// normalization has one pixel and one group, group normalization one outer block.

#include <math.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/ops/ops.h"

struct view {
    int64_t outer, pixels, groups, run;
    double epsilon;
    bool affine;
};

static struct view view_of(const struct dc_node *node, const struct dc_shape *shape)
{
    if (node->op == &dc_op_layer_norm) {
        const struct dc_layer_norm_attributes *a = node->attributes;
        const int first = shape->rank - a->axes;
        return (struct view){dc_shape_product(shape, 1, first),
                             1,
                             1,
                             dc_shape_product(shape, first, shape->rank),
                             (double)a->epsilon,
                             a->affine};
    }
    const struct dc_group_norm_attributes *a = node->attributes;
    const int64_t channels = shape->dims[shape->rank - 1];
    return (struct view){1,
                         dc_shape_product(shape, 1, shape->rank - 1),
                         a->groups,
                         channels / a->groups,
                         (double)a->epsilon,
                         true};
}

static enum dc_status layer_infer(struct dc_shape *out, const struct dc_node *node,
                                  const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_layer_norm_attributes *a = node->attributes;
    char text[DC_SHAPE_TEXT];
    if (a->axes < 1 || a->axes >= in[0].rank || !(a->epsilon >= 0.0f))
        return dc_fail(error, DC_ERR_CONFIG,
                       "layer_norm over %d axes of %s with epsilon %g: it needs 1 to %d axes and "
                       "an epsilon from 0",
                       a->axes, dc_shape_text(text, &in[0]), (double)a->epsilon, in[0].rank - 1);
    *out = in[0];
    return DC_OK;
}

static enum dc_status group_infer(struct dc_shape *out, const struct dc_node *node,
                                  const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_group_norm_attributes *a = node->attributes;
    char text[DC_SHAPE_TEXT];
    if (in[0].rank < 2 || a->groups < 1 || in[0].dims[in[0].rank - 1] % a->groups ||
        !(a->epsilon >= 0.0f))
        return dc_fail(error, DC_ERR_CONFIG,
                       "group_norm of %s by %d groups with epsilon %g: groups must divide the "
                       "channels, epsilon starts at 0",
                       dc_shape_text(text, &in[0]), a->groups, (double)a->epsilon);
    *out = in[0];
    return DC_OK;
}

static int declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                   const struct dc_shape *in)
{
    const struct view v = view_of(node, in);
    const int axes = node->op == &dc_op_layer_norm
                         ? ((const struct dc_layer_norm_attributes *)node->attributes)->axes
                         : 1;
    struct dc_shape shape = {.rank = axes};
    memcpy(shape.dims, in->dims + in->rank - axes, (size_t)axes * sizeof shape.dims[0]);
    specs[0] = (struct dc_param_spec){
        .name = "gamma", .role = DC_ROLE_NORM, .shape = shape, .init_value = 1.0f};
    specs[1] = (struct dc_param_spec){.name = "beta", .role = DC_ROLE_NORM, .shape = shape};
    return v.affine ? 2 : 0;
}

// Mean and 1 / sqrt(variance + epsilon) of a group: x is its first run, the next ones follow at
// `stride`.
static void statistics(double *mean, double *inverse, const float *x, const struct view *v,
                       const struct dc_kernels *kernels)
{
    const int64_t stride = v->groups * v->run;
    const double count = (double)(v->pixels * v->run);
    double sum = 0.0, squares = 0.0;
    for (int64_t p = 0; p < v->pixels; p++)
        sum += kernels->line_moment(x + p * stride, 0.0, 1, v->run);
    *mean = sum / count;
    for (int64_t p = 0; p < v->pixels; p++)
        squares += kernels->line_moment(x + p * stride, *mean, 2, v->run);
    *inverse = 1.0 / sqrt(squares / count + v->epsilon);
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct view v = view_of(call->node, &call->out.shape);
    const struct dc_kernels *kernels = call->ctx->kernels;
    const int64_t stride = v.groups * v.run, block = v.pixels * stride;
    for (int64_t b = rows.first * v.outer; b < (rows.first + rows.count) * v.outer; b++) {
        for (int64_t group = 0; group < v.groups; group++) {
            const int64_t c = group * v.run;
            const float *x = dc_f32(&call->in[0]) + b * block + c;
            float *y = dc_f32(&call->out) + b * block + c;
            double mean, inverse;
            statistics(&mean, &inverse, x, &v, kernels);
            for (int64_t p = 0; p < v.pixels; p++)
                kernels->normalize_line(y + p * stride, x + p * stride,
                                        v.affine ? call->param[0] + c : NULL,
                                        v.affine ? call->param[1] + c : NULL, mean, inverse, v.run);
        }
    }
}

struct gradient {
    float *dx, *d_gamma, *d_beta;  // of the group; or NULL
    const float *g, *x, *gamma;
};

// With h = (x - mean) inverse and s = gamma g: dx = inverse (s - mean s - h mean(s h)).
static void group_gradient(const struct gradient *t, const struct view *v,
                           const struct dc_kernels *kernels)
{
    const int64_t stride = v->groups * v->run;
    const double count = (double)(v->pixels * v->run);
    double mean, inverse, sum = 0.0, product = 0.0;
    statistics(&mean, &inverse, t->x, v, kernels);
    for (int64_t p = 0; p < v->pixels; p++) {
        for (int64_t i = 0; i < v->run; i++) {
            const double g = (double)t->g[p * stride + i];
            const double h = ((double)t->x[p * stride + i] - mean) * inverse;
            const double s = t->gamma ? g * (double)t->gamma[i] : g;
            sum += s;
            product += s * h;
            if (t->d_gamma)
                t->d_gamma[i] += (float)(g * h);
            if (t->d_beta)
                t->d_beta[i] += (float)g;
        }
    }
    for (int64_t p = 0; t->dx && p < v->pixels; p++) {
        for (int64_t i = 0; i < v->run; i++) {
            const double g = (double)t->g[p * stride + i];
            const double h = ((double)t->x[p * stride + i] - mean) * inverse;
            const double s = t->gamma ? g * (double)t->gamma[i] : g;
            t->dx[p * stride + i] += (float)(inverse * (s - sum / count - h * (product / count)));
        }
    }
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct view v = view_of(call->node, &call->out.shape);
    const int64_t stride = v.groups * v.run, block = v.pixels * stride;
    const struct dc_target dx = dc_input_target(call, 0, rows);
    float *d_gamma = v.affine ? dc_param_target(call, 0, rows) : NULL;
    float *d_beta = v.affine ? dc_param_target(call, 1, rows) : NULL;
    for (int64_t b = 0; b < rows.count * v.outer; b++) {
        for (int64_t group = 0; group < v.groups; group++) {
            const int64_t c = group * v.run, at = b * block + c;
            const int64_t first = rows.first * v.outer * block;
            const struct gradient t = {
                dx.at ? dx.at + at : NULL,         d_gamma ? d_gamma + c : NULL,
                d_beta ? d_beta + c : NULL,        dc_f32(&call->d_out) + first + at,
                dc_f32(&call->in[0]) + first + at, v.affine ? call->param[0] + c : NULL};
            group_gradient(&t, &v, call->ctx->kernels);
        }
    }
}

const struct dc_op dc_op_layer_norm = DC_ADDING_OP(
    "layer_norm", 1, 1, .flags = DC_OP_READS_INPUT,
    .attribute_bytes = sizeof(struct dc_layer_norm_attributes), .infer = layer_infer,
    .declare = declare);
const struct dc_op dc_op_group_norm = DC_ADDING_OP(
    "group_norm", 1, 1, .flags = DC_OP_READS_INPUT,
    .attribute_bytes = sizeof(struct dc_group_norm_attributes), .infer = group_infer,
    .declare = declare);

// Owns batch normalization over the last axis (Ioffe and Szegedy, arXiv:1502.03167), with PyTorch's
// conventions: biased batch variance in the output, unbiased in the running one.
//
// It is a part of an epilogue (core/epilogue.h), which statistics the sums and applies the
// coefficients. NaN in the statistics stops the run: here is where a diverging network is seen.

#include <math.h>
#include <string.h>

#include "core/ops/ops.h"

static bool uses_running(const struct dc_op_call *call)
{
    return call->mode == DC_INFERENCE || call->step->freeze_batch_norm || call->frozen;
}

static void want(struct dc_statistics *statistics, const struct dc_op_call *call)
{
    if (uses_running(call))
        return;
    statistics->wanted |= DC_NOTE_MOMENTS;
    for (int c = 0; c < statistics->period; c++)
        statistics->shift[c] = call->param[DC_MEAN][c % statistics->channels];
}

// Batch statistics into the epilogue's mean and inverse, and the running ones moved.
static enum dc_status take_statistics(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                                      const struct dc_statistics *statistics,
                                      struct dc_error *error)
{
    const struct dc_batch_norm_attributes *attributes = call->node->attributes;
    const double count = (double)(call->rows * statistics->row_pixels);
    if (count < 2.0)
        return dc_fail(error, DC_ERR_NUMERIC,
                       "batch normalization over one value per channel; take a larger batch");
    const double *total = dc_epilogue_total(statistics->moments, call->ctx, statistics->period);
    const double keep = 1.0 - (double)attributes->momentum, take = (double)attributes->momentum;
    for (int c = 0; c < epilogue->channels; c++) {
        const double offset = dc_epilogue_fold(total, epilogue, c) / count;
        const double raw = dc_epilogue_fold(total + statistics->period, epilogue, c) / count -
                           offset * offset;
        const double variance = raw < 0.0 ? 0.0 : raw;
        const double m = (double)call->param[DC_MEAN][c] + offset;
        if (!isfinite(m) || !isfinite(variance))
            return dc_fail(error, DC_ERR_NUMERIC,
                           "the batch statistics of channel %d are not finite", c);
        epilogue->mean[c] = (float)m;
        epilogue->inverse[c] = (float)(1.0 / sqrt(variance + (double)attributes->epsilon));
        float *running_mean = &call->param[DC_MEAN][c], *running = &call->param[DC_VARIANCE][c];
        *running_mean = (float)(keep * (double)*running_mean + take * m);
        *running = (float)(keep * (double)*running + take * (variance * count / (count - 1.0)));
    }
    return DC_OK;
}

static enum dc_status extend(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                             const struct dc_statistics *statistics, struct dc_error *error)
{
    const struct dc_batch_norm_attributes *attributes = call->node->attributes;
    epilogue->affine = true;
    epilogue->constant = uses_running(call);
    if (!epilogue->constant)
        DC_TRY(take_statistics(epilogue, call, statistics, error));
    for (int c = 0; c < epilogue->channels; c++) {
        if (epilogue->constant) {
            epilogue->mean[c] = call->param[DC_MEAN][c];
            epilogue->inverse[c] = (float)(1.0 / sqrt((double)call->param[DC_VARIANCE][c] +
                                                      (double)attributes->epsilon));
        }
        const double scale = (double)call->param[DC_GAMMA][c] * (double)epilogue->inverse[c];
        epilogue->scale[c] = (float)scale;
        epilogue->shift[c] = (float)((double)call->param[DC_BETA][c] -
                                     (double)epilogue->mean[c] * scale);
    }
    dc_epilogue_repeat(epilogue->mean, epilogue);
    dc_epilogue_repeat(epilogue->scale, epilogue);
    dc_epilogue_repeat(epilogue->shift, epilogue);
    return DC_OK;
}

// With n values per channel and x^ = (x - mean) * inverse:
//   d gamma = sum dy x^, d beta = sum dy
//   dx = gamma * inverse * (dy - sum dy / n - x^ * sum(dy x^) / n)
// and, where the statistics are constants, dx = gamma * inverse * dy.
static void finish_gradient(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                            double *sums)
{
    const double *total = sums ? dc_epilogue_total(sums, call->ctx, epilogue->period) : NULL;
    const double count = (double)(dc_shape_count(&call->in[0].shape) / epilogue->channels);
    for (int c = 0; c < epilogue->channels; c++) {
        const double inverse = (double)epilogue->inverse[c];
        const double sum = total ? dc_epilogue_fold(total, epilogue, c) : 0.0;
        const double product =
            total ? dc_epilogue_fold(total + epilogue->period, epilogue, c) * inverse : 0.0;
        const double a = (double)call->param[DC_GAMMA][c] * inverse;
        if (call->d_param[DC_GAMMA])
            call->d_param[DC_GAMMA][c] += (float)product;
        if (call->d_param[DC_BETA])
            call->d_param[DC_BETA][c] += (float)sum;
        epilogue->gradient_a[c] = (float)a;
        epilogue->gradient_b[c] = epilogue->constant ? 0.0f
                                                     : (float)(-a * inverse * product / count);
        epilogue->gradient_d[c] = epilogue->constant ? 0.0f : (float)(-a * sum / count);
    }
    dc_epilogue_repeat(epilogue->gradient_a, epilogue);
    dc_epilogue_repeat(epilogue->gradient_b, epilogue);
    dc_epilogue_repeat(epilogue->gradient_d, epilogue);
}

static const struct dc_epilogue_part part = {DC_EPILOGUE_NORMALIZE, want, extend, finish_gradient};

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_batch_norm_attributes *a = node->attributes;
    char text[DC_SHAPE_TEXT];
    if (in->rank < 2)
        return dc_fail(error, DC_ERR_CONFIG, "batch_norm needs at least [batch, channels], not %s",
                       dc_shape_text(text, in));
    if (!(a->epsilon > 0.0f) || !(a->momentum >= 0.0f && a->momentum <= 1.0f))
        return dc_fail(error, DC_ERR_CONFIG,
                       "batch_norm needs epsilon > 0 and momentum in [0, 1], not %g and %g",
                       (double)a->epsilon, (double)a->momentum);
    *out = *in;
    return DC_OK;
}

static int declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                   const struct dc_shape *in)
{
    (void)node;
    const struct dc_shape shape = DC_SHAPE(in->dims[in->rank - 1]);
    specs[DC_GAMMA] = (struct dc_param_spec){
        .name = "gamma", .role = DC_ROLE_NORM, .shape = shape, .init_value = 1.0f};
    specs[DC_BETA] = (struct dc_param_spec){.name = "beta", .role = DC_ROLE_NORM, .shape = shape};
    specs[DC_MEAN] = (struct dc_param_spec){
        .name = "mean", .role = DC_ROLE_STATISTIC, .shape = shape};
    specs[DC_VARIANCE] = (struct dc_param_spec){
        .name = "variance", .role = DC_ROLE_STATISTIC, .shape = shape, .init_value = 1.0f};
    return 4;
}

const struct dc_op dc_op_batch_norm = {
    .name = "batch_norm",
    .inputs_min = 1,
    .inputs_max = 1,
    .flags = DC_OP_READS_INPUT,
    .attribute_bytes = sizeof(struct dc_batch_norm_attributes),
    .infer = infer,
    .declare = declare,
    .memory = dc_epilogue_memory,
    .forward = dc_epilogue_forward,
    .backward = dc_epilogue_backward,
    .epilogue = &part,
};

// Owns the update of parameters. One pass over each slice reads the gradient and writes value,
// state, average and a zero gradient. Element-wise: the bits do not depend on threads or ISA.

#include "core/optimizer.h"

#include <math.h>
#include <string.h>

#include "core/parallel.h"

int dc_optimizer_states(enum dc_optimizer_kind kind)
{
    return kind == DC_ADAMW ? 2 : 1;
}

static bool is_updated(const struct dc_slice *slice)
{
    return dc_role_is_trained(slice->role) && !slice->frozen;
}

double dc_gradient_square(const struct dc_ctx *ctx, const struct dc_params *params)
{
    (void)ctx;
    double total = 0.0;
    for (int i = 0; i < params->count; i++) {
        const struct dc_slice *slice = &params->slices[i];
        if (!is_updated(slice))
            continue;
        const float *g = params->gradient + slice->offset;
        double lanes[8] = {0};
        for (int64_t k = 0; k < slice->count; k++)
            lanes[k & 7] += (double)g[k] * (double)g[k];
        total += ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
                 ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    }
    return total;
}

struct update {
    const struct dc_optimizer *optimizer;
    struct dc_params *params;
    float scale, average_decay;
    double learning_rate;
    float correction1, correction2;  // AdamW: 1 - beta^step
};

// PyTorch: g += decay * w; m = momentum * m + g (first step: m = g, the same from m = 0);
// g = nesterov ? g + momentum * m : m; w -= rate * g.
static void sgd(float *w, float *m, const float *g, int64_t count, float rate, float decay,
                float scale, const struct dc_optimizer *o)
{
    const float momentum = (float)o->momentum;
    if (o->nesterov) {
        for (int64_t k = 0; k < count; k++) {
            const float d = g[k] * scale + decay * w[k];
            m[k] = momentum * m[k] + d;
            w[k] = w[k] - rate * (d + momentum * m[k]);
        }
        return;
    }
    for (int64_t k = 0; k < count; k++) {
        m[k] = momentum * m[k] + (g[k] * scale + decay * w[k]);
        w[k] = w[k] - rate * m[k];
    }
}

static void adamw(float *w, float *m, float *v, const float *g, int64_t count, float rate,
                  float decay, const struct update *u)
{
    const struct dc_optimizer *o = u->optimizer;
    const float beta1 = (float)o->beta1, beta2 = (float)o->beta2, epsilon = (float)o->epsilon;
    const float keep1 = 1.0f - beta1, keep2 = 1.0f - beta2;
    const float shrink = 1.0f - rate * decay;
    const float step = rate / u->correction1;
    const float root = sqrtf(u->correction2);
    for (int64_t k = 0; k < count; k++) {
        const float d = g[k] * u->scale;
        m[k] = beta1 * m[k] + keep1 * d;
        v[k] = beta2 * v[k] + keep2 * d * d;
        w[k] = w[k] * shrink - step * (m[k] / (sqrtf(v[k]) / root + epsilon));
    }
}

static void update_slice(void *arg, int index, int thread)
{
    (void)thread;
    const struct update *u = arg;
    struct dc_params *params = u->params;
    const struct dc_slice *slice = &params->slices[index];
    float *w = params->value + slice->offset;
    if (is_updated(slice)) {
        float *g = params->gradient + slice->offset;
        const float rate = (float)(u->learning_rate * (double)slice->learning_rate_factor);
        const float decay = (float)u->optimizer->weight_decay * slice->decay_factor;
        if (u->optimizer->kind == DC_SGD)
            sgd(w, params->state[0] + slice->offset, g, slice->count, rate, decay, u->scale,
                u->optimizer);
        else
            adamw(w, params->state[0] + slice->offset, params->state[1] + slice->offset, g,
                  slice->count, rate, decay, u);
        memset(g, 0, sizeof(float) * (size_t)slice->count);
    }
    if (params->average) {
        float *average = params->average + slice->offset;
        const float keep = u->average_decay, take = 1.0f - u->average_decay;
        if (slice->frozen || slice->role == DC_ROLE_OBSERVER) {
            memcpy(average, w, sizeof(float) * (size_t)slice->count);
            return;
        }
        for (int64_t k = 0; k < slice->count; k++)
            average[k] = keep * average[k] + take * w[k];
    }
}

static double power(double base, int64_t exponent)
{
    double result = 1.0;
    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1)
            result *= base;
    return result;
}

void dc_optimizer_step(const struct dc_ctx *ctx, const struct dc_optimizer *optimizer,
                       struct dc_params *params, double learning_rate, double gradient_scale,
                       double average_decay, int64_t step)
{
    struct update u = {
        .optimizer = optimizer,
        .params = params,
        .scale = (float)gradient_scale,
        .average_decay = (float)average_decay,
        .learning_rate = learning_rate,
        .correction1 = (float)(1.0 - power((double)(float)optimizer->beta1, step)),
        .correction2 = (float)(1.0 - power((double)(float)optimizer->beta2, step)),
    };
    dc_parallel_for(ctx, params->count, update_slice, &u);
}

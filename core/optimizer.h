// The optimizer step: gradients in, new values out. One pass over the flat buffers.
//
// SGD as PyTorch 1.13 defines it (momentum without dampening, Nesterov, L2 weight decay added to
// the gradient) and AdamW (Loshchilov and Hutter, arXiv:1711.05101; decoupled decay).

#ifndef DC_CORE_OPTIMIZER_H
#define DC_CORE_OPTIMIZER_H

#include "core/context.h"
#include "core/params.h"

enum dc_optimizer_kind { DC_SGD, DC_ADAMW };

struct dc_optimizer {
    enum dc_optimizer_kind kind;
    // All are rounded to float before they meet a parameter.
    double momentum;      // SGD
    bool nesterov;        // SGD
    double beta1, beta2;  // AdamW
    double epsilon;       // AdamW
    double weight_decay;  // multiplied by each slice's decay_factor
};

int dc_optimizer_states(enum dc_optimizer_kind kind);  // buffers wanted in dc_params

// Sum of squares of all gradients of trained, unfrozen slices, in double, in a fixed order.
double dc_gradient_square(const struct dc_ctx *ctx, const struct dc_params *params);

// gradient_scale: multiplies every gradient (clipping, accumulation). step: counts from 1.
// average_decay: average = decay * average + (1 - decay) * value where params->average is set;
// statistics are averaged too. Observers, which are averages already and carry flags, and frozen
// slices are copied. Gradients are zeroed.
void dc_optimizer_step(const struct dc_ctx *ctx, const struct dc_optimizer *optimizer,
                       struct dc_params *params, double learning_rate, double gradient_scale,
                       double average_decay, int64_t step);

#endif

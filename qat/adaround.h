// AdaRound: which way each weight rounds (Nagel et al., arXiv:2004.10568).
//
// Rounding to nearest is not best: errors of a filter's weights add up over its inputs. Layer by
// layer, with x the float inputs of one output position and dw a filter's rounding errors, this
// lessens the paper's E[(dw x)^2] = dw^T E[x x^T] dw, which is exact without any batch of samples
// once E[x x^T] is known. Each code is floor(w / s) + h(V), h the rectified sigmoid
// clamp(sigmoid(V) 1.2 - 0.1, 0, 1), V begins at the weight's own fraction, and a regularizer sum 1
// - |2 h - 1|^beta drives h to 0 or 1: beta falls by a cosine after the warm-up. Adam moves V. A
// filter whose result is not better than rounding to nearest keeps the latter.
//
// The scales are those of calibration (fake_quantize.h: DC_SCALE_KEPT); they stay as they are, and
// weights become codes times scales. Filters do not know each other: threads cannot change a bit.

#ifndef DC_QAT_ADAROUND_H
#define DC_QAT_ADAROUND_H

#include "core/context.h"
#include "core/graph.h"
#include "core/params.h"

struct dc_adaround_config {
    int64_t iterations;           // 1,000 or more
    double learning_rate;         // 0.01
    double regularization;        // 0.01
    double warm_up;               // share of the iterations without it: 0.2
    double beta_start, beta_end;  // 20, 2
    int64_t positions;            // of a layer, about, that E[x x^T] is taken over
};

// weights, scales: [taps] of one filter and its scale; the weights are replaced. gram: [taps][taps]
// E[x x^T]. work: [5 * taps] doubles. high: the largest code. stop, or NULL: raised, it ends and
// leaves the weights as they were.
void dc_adaround_filter(double *weights, double scale, double high, const double *gram,
                        double *work, int64_t taps, const struct dc_adaround_config *config,
                        const volatile sig_atomic_t *stop);

struct dc_adaround;

// params: of the calibrated graph, with kept scales in all weighted layers. samples: how many will
// be added. All must outlive it; input: the input node.
DC_MUST_USE enum dc_status
dc_adaround_create(struct dc_adaround **adaround, const struct dc_ctx *ctx,
                   const struct dc_graph *graph, struct dc_params *params, int input,
                   int64_t max_rows, int64_t samples, const struct dc_adaround_config *config,
                   struct dc_error *error);
void dc_adaround_free(struct dc_adaround *adaround);  // NULL is allowed
// x: [rows, input values].
DC_MUST_USE enum dc_status dc_adaround_add(struct dc_adaround *adaround, const float *x,
                                           int64_t rows, struct dc_error *error);
// Rounds the weights in params. A stop is DC_ERR_STOPPED: some weights are rounded, others not.
DC_MUST_USE enum dc_status dc_adaround_finish(struct dc_adaround *adaround, struct dc_error *error);

#endif

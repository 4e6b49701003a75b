// Fake-quantized evaluation of what ships: an integer model as a graph of float32.
//
// Between its ends, values are codes minus their zero point, as floats, and weights are codes, so
// that the float network's convolutions and dense layers add up the integers' own sums, exactly
// while no partial sum leaves 2^24. Behind each sum stands one rounding, in float32 as simulations
// do it, with factors that come from scales alone:
//   weighted  half_to_even(sum * (s_in * s_w / s_out))
//   add       half_up(m_a * a + m_b * b), m = s_in / s_out with 20 to 21 bits
//   mean      half_to_even(sum * (s_in / s_out / positions) + zero point), sum: of codes
//   average   half_away(sum of codes / valid taps)
//   softmax   half_up(e / (sum of e / 256)), e: the model's exponentials
// A function is the model's table. These are the formulae of profile litert-xnnpack, under which
// the graph gives the engine's bytes (tests/qat/test_simulate.c); under another profile what
// differs is that profile's rounding.

#ifndef DC_QAT_SIMULATE_H
#define DC_QAT_SIMULATE_H

#include "core/graph.h"
#include "core/params.h"
#include "qat/imodel.h"

// sample: the input's shape, its batch DC_BATCH, of as many values as the model's. *input, *output:
// nodes; input values and [batch, output codes] are reals. The caller frees graph and parameters;
// the model must outlive the graph. Inference only.
DC_MUST_USE enum dc_status dc_simulate(struct dc_graph **graph, struct dc_params **params,
                                       int *input, int *output, const struct dc_imodel *model,
                                       const struct dc_shape *sample, struct dc_error *error);

#endif

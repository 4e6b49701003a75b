// How far an integer network is from the float network it came from, layer by layer.
//
// Both networks see the same samples. Of every integer layer, the value of the float network at the
// same place is taken, its batch normalization and ReLU included:
//   sqnr        10 log10(sum x^2 / sum (y - x)^2), x the float value, y the engine's, in dB: the
//               errors of all layers before it are in it
//   sqnr alone  the same, y the layer computed from the float values of its inputs, each rounded
//               to its grid: what this layer does by itself
//   clipped     share of float values more than half a step outside the grid's range
//   saturated   share of codes at an end of the range that no activation put there
//   bins        how often the float value, in codes, fell where (dc_comparison_bins)
//   largest     the largest |sum| before requantization, over all samples
// Sums are double, in order of the samples: the same on any number of threads.

#ifndef DC_QAT_COMPARE_H
#define DC_QAT_COMPARE_H

#include "core/graph.h"
#include "core/params.h"
#include "qat/imodel.h"

struct dc_layer_comparison {
    double sqnr, sqnr_alone;    // infinite where nothing differs; NaN for a signal of zeros
    double clipped, saturated;  // in [0, 1]
    int64_t largest;            // 0 of a layer without sums
};

// Bins over a grid and a quarter of its width beyond each end; the outermost hold all further out.
// The grid itself is bins DC_COMPARISON_BEYOND to DC_COMPARISON_BINS - DC_COMPARISON_BEYOND.
enum { DC_COMPARISON_BINS = 96, DC_COMPARISON_BEYOND = 16 };
// Which of them a value belongs to. code: x / scale + zero point, not rounded; low, high: the ends
// of the grid, each of whose codes reaches half a step to both sides.
int dc_comparison_bin(double code, int low, int high);

struct dc_comparison;

// graph: the float network, whose layers have the names of the model's, with its values in params;
// input: its input node. All must outlive the comparison, ctx too.
DC_MUST_USE enum dc_status
dc_comparison_create(struct dc_comparison **comparison, const struct dc_ctx *ctx,
                     const struct dc_imodel *model, const struct dc_graph *graph,
                     struct dc_params *params, int input, struct dc_error *error);
void dc_comparison_free(struct dc_comparison *comparison);  // NULL is allowed

// x: [rows, input values], any number of rows.
DC_MUST_USE enum dc_status dc_comparison_add(struct dc_comparison *comparison, const float *x,
                                             int64_t rows, struct dc_error *error);

// Of all samples added; layer 0 is the input.
struct dc_layer_comparison dc_comparison_layer(const struct dc_comparison *comparison, int layer);
// [DC_COMPARISON_BINS]: counts of the layer's float values.
const int64_t *dc_comparison_bins(const struct dc_comparison *comparison, int layer);

#endif

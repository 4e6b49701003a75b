// Losses on labels, as ops of a training graph.
//
// Inputs are (logits, targets), both [batch, classes]; targets are dense (one-hot, or mixed by
// mixup). Values are sums over classes, averaged over the rows of the optimizer step.

#ifndef DC_TRAIN_LOSSES_H
#define DC_TRAIN_LOSSES_H

#include "core/op.h"

// With t' = (1 - label_smoothing) t + label_smoothing / classes and class weights w (all 1
// without):
//   L = - 1/batch sum_b sum_c w_c t'_c log softmax(z)_c
// Divided by the batch, not by the sum of the rows' weights (PyTorch's choice for weighted
// classes).
struct dc_cross_entropy_attributes {
    float label_smoothing;       // in [0, 1)
    const float *class_weights;  // [classes], must outlive the graph; or NULL
};

// Of every value on its own, for samples of several classes:
//   L = - 1/batch sum_b 1/values sum_v (t log s + (1 - t) log(1 - s)), s = sigmoid(x)
// The mean over values is a division by the number of classes, the one loss that has it.
struct dc_binary_cross_entropy_attributes {
    float temperature;  // t = sigmoid(y / temperature); 0: y is t itself
};

// L = 1/batch sum_b 1/values sum_v (x - y)^2, for values of any equal shapes
extern const struct dc_op dc_op_mean_squared_error;    // no attributes
extern const struct dc_op dc_op_cross_entropy;         // struct dc_cross_entropy_attributes
extern const struct dc_op dc_op_binary_cross_entropy;  // struct dc_binary_cross_entropy_attributes

#endif

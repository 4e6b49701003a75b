// Small random integer models for tests of the engine and the exporters.

#ifndef DC_TESTS_QAT_HELPER_MODELS_H
#define DC_TESTS_QAT_HELPER_MODELS_H

#include "core/random.h"
#include "qat/imodel.h"
#include "qat/profile.h"

void test_fill_codes(int8_t *codes, int64_t count, struct dc_random *random);

// Add a layer with random weights, biases and scales over `input`; the output shape follows. Only
// op, kernel, stride, pads, channels, clamps, bits and weight_bits (0: 8) of *wanted are read.
// Returns its index, asserts on failure.
int test_add_layer(struct dc_imodel *model, const char *name, const struct dc_ilayer *wanted,
                   int input, int second, struct dc_random *random);

// An input of scale 0.05 and a random zero point, and one layer over it.
struct dc_imodel *test_one_layer_model(const struct dc_profile *profile, int height, int width,
                                       int channels, const struct dc_ilayer *wanted,
                                       struct dc_random *random);

// Two channels of height x width codes, brought to scales and zero points of their own, code for
// code, and added. NULL: the profile does not take these scales.
struct test_pair {
    float a, b, sum;
    int zero_a, zero_b, zero_sum;
};
struct dc_imodel *test_pair_model(const struct dc_profile *profile, const struct test_pair *pair,
                                  int height, int width);

// Every op at least once: conv, depthwise (with a multiplier), pools, add, pad, concat, mean,
// reshape, both kinds of fully connected. Input 13x11x3, output 7 codes.
struct dc_imodel *test_every_op_model(const struct dc_profile *profile, uint64_t seed);

#endif

// A model file with random weights, calibrated and lowered. Bits of the first and last layer are 8.

#ifndef DC_TESTS_INTEROP_HELPER_NETWORK_H
#define DC_TESTS_INTEROP_HELPER_NETWORK_H

#include "qat/profile.h"

DC_MUST_USE enum dc_status test_lower_random(struct dc_imodel **model, const char *path,
                                             const struct dc_profile *profile, int weight_bits,
                                             int activation_bits, struct dc_error *error);

#endif

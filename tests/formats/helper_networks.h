// Small float networks with random parameters, every op that the ONNX writer knows among them.

#ifndef DECANT_TESTS_HELPER_NETWORKS_H
#define DECANT_TESTS_HELPER_NETWORKS_H

#include "core/graph.h"
#include "core/params.h"

struct test_network {
    const char *name;
    struct dc_graph *graph;
    struct dc_params *params;
    int input, output;
};

// Network i, or one with graph NULL behind the last. False: *error says why it cannot be made.
bool test_network_create(struct test_network *network, int i, struct dc_error *error);
void test_network_free(struct test_network *network);

// Its output for `rows` rows in the file's order, from input in the file's order ([rows, channels,
// height, width] of images). output, input: enough room.
enum dc_status test_network_run(const struct test_network *network, float *output,
                                const float *input, int64_t rows, struct dc_error *error);
// In [-1, 1].
void test_network_input(float *values, int64_t count);

#endif

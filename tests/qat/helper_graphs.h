// Small float graphs to be quantized, random parameters for them, and one forward run.

#ifndef DC_TESTS_QAT_HELPER_GRAPHS_H
#define DC_TESTS_QAT_HELPER_GRAPHS_H

#include "core/graph.h"
#include "core/ops/ops.h"

enum { TEST_ROWS = 24 };

extern struct dc_error test_error;
extern struct dc_ctx *test_ctx;  // two threads, between these
int test_set_up(void **state);
int test_tear_down(void **state);

// Fails the test with test_error's message.
void test_must(enum dc_status status);

// A graph with the input "image", node 0, and nodes behind it; y: a second input, or -1.
struct dc_graph *test_start(int height, int width, int channels);
int test_add(struct dc_graph *g, const char *name, const struct dc_op *op, const void *a, int x,
             int y);
int test_add_conv(struct dc_graph *g, const char *name, int x, int filters, int kernel, int stride,
                  int groups, bool bias);  // padded by half its kernel
int test_add_norm(struct dc_graph *g, const char *name, int x);

// conv-bn-relu, depthwise-bn-relu6, pointwise, add-relu, max_pool, gap, dropout, dense, of images
// of 12 x 10 x 3.
struct dc_graph *test_network(int *output);

struct dc_params *test_random_params(const struct dc_graph *g);
float *test_values(struct dc_params *p, const char *name);

// Normal numbers.
void test_fill(float *x, int64_t count, uint64_t id);

// Forward of TEST_ROWS in inference; the value of `node` is copied to y where it is given.
void test_run(const struct dc_graph *g, struct dc_params *p, int node, const float *x,
              struct dc_step step, float *y);

#endif

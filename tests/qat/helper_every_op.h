// A small network for every float op, at every rank and axis, made from the table of ops: what a
// test drives through float, training, integers and files, so that an op that learns a rank or an
// axis in one of them is asked for it in all. An op without a row here fails test_every_count.

#ifndef DC_TESTS_QAT_HELPER_EVERY_OP_H
#define DC_TESTS_QAT_HELPER_EVERY_OP_H

#include "core/graph.h"
#include "core/params.h"

enum { TEST_EVERY_RANK_LEAST = 2, TEST_EVERY_RANK_MOST = 5 };

struct test_every {
    const struct dc_op *op;
    bool behind;    // a dense layer; else the op reads the input. What reads two values reads two
                    // dense layers, of which the first has a ReLU if behind
    int rank;       // of the values
    int variant;    // an axis, counted from 1, or another choice of attributes
    char name[96];  // "softmax behind dense, rank 3, variant 2"
    struct dc_graph *graph;  // NULL: the op takes no such values
    int output;              // the node "op"
};

// How many there are; 0: an op of the table has no row.
int test_every_count(void);
// Number `index`. Input 0 is "image", rows of any number.
void test_every_make(struct test_every *e, int index);
// Whether the op has such a variant at this rank; else there is nothing to look at.
bool test_every_asks(const struct test_every *e);
void test_every_free(struct test_every *e);

// Parameters whose weights lie on a grid of 2^-7 with the code 127 in every channel, the same for
// the same names, so that rounding does not change them; others as they come.
void test_every_params(struct dc_params *params);

#endif

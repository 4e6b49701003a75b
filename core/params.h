// Parameters: all state of a network in flat buffers with a table of named slices.
//
// Values, gradients, optimizer state and averages are each one float32 array, so that the
// optimizer, clipping and checkpoints are one loop each, and a checkpoint needs no special cases:
// what is not in a slice is not state. Slices start at multiples of 16 floats.

#ifndef DC_CORE_PARAMS_H
#define DC_CORE_PARAMS_H

#include "core/arena.h"
#include "core/h5.h"
#include "core/tensor.h"

enum dc_role {
    DC_ROLE_WEIGHT,  // convolution and dense kernels
    DC_ROLE_BIAS,
    DC_ROLE_NORM,       // gamma and beta
    DC_ROLE_STATISTIC,  // running mean and variance: written by forward, no gradient
    DC_ROLE_QUANTIZER,  // learned scales and clips
    DC_ROLE_AUXILIARY,  // adaptors of losses: trained, dropped at export
    DC_ROLE_OBSERVER,   // ranges seen by fake quantization: written by forward, no gradient
    DC_ROLE_BANK,       // memory banks of contrastive losses
    DC_ROLE_COUNT
};

const char *dc_role_name(enum dc_role role);
bool dc_role_is_trained(enum dc_role role);

enum dc_init {
    DC_INIT_CONSTANT,       // init_value
    DC_INIT_KAIMING_NORMAL  // normal, deviation sqrt(2 / fan): He et al., arXiv:1502.01852
};

// What an op declares. `name` is relative to its node ("weight"); the graph makes it
// "conv1.weight".
struct dc_param_spec {
    const char *name;
    enum dc_role role;
    struct dc_shape shape;
    enum dc_init init;
    float init_value;
    int64_t fan;  // of KAIMING_NORMAL
};

struct dc_slice {
    const char *name;
    enum dc_role role;
    struct dc_shape shape;
    int64_t offset, count;  // in floats
    enum dc_init init;
    float init_value;
    int64_t fan;
    float decay_factor;  // multiplies the optimizer's weight decay; 0 excludes
    float learning_rate_factor;
    bool frozen;  // no gradient is computed and the optimizer leaves it alone
};

enum { DC_STATES_MAX = 2 };

struct dc_params {
    struct dc_slice *slices;
    int count;
    int64_t total;  // floats in each buffer, padding included
    float *value, *gradient;
    float *average;               // EMA of value, or NULL
    float *state[DC_STATES_MAX];  // momentum; first and second moment; or NULL
    struct dc_arena *arena;       // owns all of it
};

struct dc_graph;

// Lay out a graph's parameters: slice i is the graph's parameter spec i. Buffers are zero.
// states: optimizer buffers wanted (0 for a frozen network, which gets no gradients either).
DC_MUST_USE enum dc_status dc_params_create(struct dc_params **params, const struct dc_graph *graph,
                                            int states, bool average, struct dc_error *error);
void dc_params_free(struct dc_params *params);  // NULL is allowed

// Fill values from their init rules: a slice's numbers depend on (seed, name) alone.
void dc_params_init(struct dc_params *params, uint32_t seed);

// NULL when there is none of this name.
struct dc_slice *dc_params_find(const struct dc_params *params, const char *name);

// Copy values of slices whose names and shapes agree. *copied counts them; a slice of `from` whose
// name is there but whose shape differs is an error. Slices without a partner keep their values.
DC_MUST_USE enum dc_status dc_params_copy_by_name(struct dc_params *to,
                                                  const struct dc_params *from, int *copied,
                                                  struct dc_error *error);

// Number of trained parameters of the network: weight, bias and norm.
int64_t dc_params_trained_count(const struct dc_params *params);

// Where a slice pattern ends in '*' it matches by prefix, else the whole node name or slice name.
bool dc_slice_matches(const struct dc_slice *slice, const char *pattern);

// Value, and average and optimizer states where they are: under "GROUP/value/NAME" and so on.
DC_MUST_USE enum dc_status dc_params_write(const struct dc_params *params, struct dc_h5 *file,
                                           const char *group, struct dc_error *error);
// Every slice must be there with its shape.
DC_MUST_USE enum dc_status dc_params_read(struct dc_params *params, const struct dc_h5 *file,
                                          const char *group, struct dc_error *error);

#endif

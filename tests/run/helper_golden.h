// Golden files of tests/golden/: what PyTorch computed for the narrow ResNet-8, and the same
// network as Decant builds it from configs/models/resnet8.yaml.

#ifndef DC_TESTS_RUN_HELPER_GOLDEN_H
#define DC_TESTS_RUN_HELPER_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/plan.h"
#include "qat/quantize.h"

enum { GOLDEN_LIST_MAX = 64, GOLDEN_CLASSES = 10, GOLDEN_IMAGE = 32 * 32 * 3 };

struct golden_list {
    int count;
    const char *items[GOLDEN_LIST_MAX];
};

struct golden {
    struct dc_arena *arena;
    struct dc_h5 *file;
    struct golden_list slices;  // order of flat vectors
    int64_t rows;               // images in the file
    float *images;              // [rows, 32, 32, 3]
    float *targets;             // [rows, 10], one-hot
    struct dc_ctx *ctx;
};

// The network with cross-entropy and, where kd_temperature is not 0, a KD loss behind it.
struct golden_network {
    struct dc_graph *graph;
    int image, output, targets, teacher, label_loss, kd_loss;
    struct dc_params *params;  // two optimizer states
    struct dc_plan *plan;
};

void golden_open(struct golden *golden, const char *name, enum dc_isa isa);
void golden_close(struct golden *golden);

// Lines of a text attribute.
void golden_lines(struct golden_list *list, const struct golden *golden, const char *attribute);
// A whole array, converted to float or double; *count may be NULL.
float *golden_floats(const struct golden *golden, const char *name, int64_t *count);
double *golden_doubles(const struct golden *golden, const char *name, int64_t *count);
void *golden_bytes(const struct golden *golden, const char *name, enum dc_dtype dtype,
                   int64_t *count);
float *golden_row(const struct golden *golden, const char *name, int64_t row, int64_t *count);

// quantize: for dc_quantize_graph, or NULL; PyTorch's settings are golden_quantize. keep_values:
// every value survives the step, so none is left to an epilogue.
extern const struct dc_quantize_config golden_quantize;
void golden_network_open(struct golden_network *network, const struct golden *golden,
                         const struct dc_quantize_config *quantize, bool keep_values,
                         float kd_temperature, int64_t rows);
void golden_network_close(struct golden_network *network);

// A flat vector into a buffer of dc_params (value, gradient, state): as many slices of the order as
// it has numbers. Every number must find its place.
void golden_scatter(const struct golden *golden, const struct dc_params *params, float *buffer,
                    const float *flat, int64_t count);
void golden_gather(const struct golden *golden, const struct dc_params *params, float *flat,
                   const float *buffer, int64_t count);

// ||a - b|| / ||b|| over count numbers.
double golden_distance(const double *a, const double *b, int64_t count);

#define golden_ok(expression)                                                                      \
    do {                                                                                           \
        struct dc_error error;                                                                     \
        error.message[0] = '\0';                                                                   \
        const enum dc_status golden_status = (expression);                                         \
        if (golden_status != DC_OK)                                                                \
            fail_msg("%s: %s", #expression, error.message);                                        \
    } while (0)

#endif

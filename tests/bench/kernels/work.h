// What the kernel tester hands to a kernel: offsets, weights and images of one layer and one pass,
// laid out as core/ops/conv.c lays them out, but written for the tester alone.

#ifndef DECANT_TESTS_BENCH_WORK_H
#define DECANT_TESTS_BENCH_WORK_H

#include <stdbool.h>
#include <stdio.h>

#include "core/kernels/kernels.h"

enum pass { PASS_FORWARD, PASS_DATA, PASS_WEIGHTS, PASS_COUNT };

struct layer {
    char name[32];
    bool depthwise;
    int h, w, c, filters, kernel_h, kernel_w, stride;  // padding: TensorFlow's "same"
};

// One call of a kernel: forward has one, backward-data one for each stride phase.
struct call {
    int32_t *x_offset, *y_offset, *run_offset;
    struct dc_taps taps;
    int pixels, weight_count;
    float *weights;
};

enum { CALLS_MAX = 16, GUARD = 32 };

struct work {
    struct layer layer;
    enum pass pass;
    struct call calls[CALLS_MAX];
    int call_count, images, channels;  // channels: of the output
    int x_floats, y_floats, y_stride;  // of an image; the weight gradient is one y for all images
    int terms;                         // products summed into one value of y
    float *x, *dy, *y;                 // y: behind it GUARD floats that nobody may write
    float *bias;
    double flops;  // of one image
};

// 1: a layer was read, 0: end of the list, -1: the line is not a layer.
int layer_read(struct layer *layer, FILE *list);

// gap: floats between the channels of neighbouring y pixels, for checking; depthwise weight
// gradients have none. False: out of memory.
bool work_open(struct work *work, const struct layer *layer, enum pass pass, int images, int gap);
void work_close(struct work *work);

// Runs image `image`. y is added to where `add`; weight gradients always are. Forward and
// backward-data: at most `piece` pixels a call.
void work_run(const struct work *work, const struct dc_kernels *kernels, int image, bool add,
              bool bias, int piece);

// Floats of y, all images and gaps, without the guard.
int work_y_count(const struct work *work);

// The absolute values of another work of the same layer and pass: what error bounds are made of.
void work_magnitude(struct work *to, const struct work *from);

#endif

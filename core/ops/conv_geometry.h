// The geometry of a convolution: what its drivers (conv.c forward, conv_backward.c) share.
//
// A block of images is worked on at once, so that maps of few pixels fill the kernels' tiles.
// Images with padding, and those read through an epilogue, are copied into a buffer of the thread;
// then every output pixel reads a fixed set of contiguous runs at an offset of its own. Without
// groups and horizontal dilation, a run spans the whole kernel row, since NHWC keeps its taps
// together.

#ifndef DC_CORE_OPS_CONV_GEOMETRY_H
#define DC_CORE_OPS_CONV_GEOMETRY_H

#include "core/kernels/kernels.h"
#include "core/ops/ops.h"

enum { DC_KERNEL_MAX = 64 };

struct dc_conv_geometry {
    int in_h, in_w, in_c, out_h, out_w, out_c;
    struct dc_window window;
    int groups, group_in, group_out;
    int padded_h, padded_w;  // of the bordered input
    bool bordered;           // padded_h, padded_w differ from in_h, in_w
    bool depthwise;          // one input and one output channel a group
    int border_top, border_left, d_padded_h, d_padded_w;  // of the bordered output gradient
    bool d_bordered;
    int64_t block;  // images
};

struct dc_conv_geometry dc__conv_geometry(const struct dc_node *node, const struct dc_shape *in,
                                          const struct dc_shape *out, const struct dc_ctx *ctx);

// Images at once in inference, where outputs do not depend on the cut: enough pixels for the
// weights to be worth reading, in half of the second cache, and a block for each thread.
int64_t dc__inference_block(const struct dc_conv_geometry *g, int64_t batch, int threads);

int64_t dc__conv_taps(const struct dc_conv_geometry *g);     // of the kernel
int64_t dc__conv_weights(const struct dc_conv_geometry *g);  // values of the kernel
// Floats of the panels of `channels` channels with `depth` values of k each, per group.
int64_t dc__panel_floats(int channels, int64_t depth);
int dc__div_floor(int a, int b);
// Panels (struct dc_taps) of w[k * depth_stride + c * channel_stride].
void dc__pack(float *panels, const float *w, int64_t depth, int channels, int64_t depth_stride,
              int64_t channel_stride);

// Scratch is handed out from one block in a fixed order; with base NULL the same code only counts.
struct dc_scratch {
    char *base;
    size_t used;
};
void *dc__take(struct dc_scratch *scratch, size_t bytes);

struct dc_conv_tables {
    int32_t *x_offset, *y_offset;  // [block][pixels]
    int32_t *run_offset;           // [kernel taps]
    float *panels;
    float *buffer;  // [threads][buffer_floats]: a block of images
    int64_t buffer_floats;
};

// What forward and the weight gradient read by; panels: whether packed weights are wanted.
struct dc_conv_tables dc__forward_tables(struct dc_scratch *scratch,
                                         const struct dc_conv_geometry *g, bool panels,
                                         int threads);
void dc__fill_forward_offsets(const struct dc_conv_tables *t, const struct dc_conv_geometry *g);
struct dc_taps dc__forward_taps(const struct dc_conv_tables *t, const struct dc_conv_geometry *g);

// The input images [row, row + rows), rows <= block, bordered and through their epilogue: in place
// where nothing is to be done.
const float *dc__read_images(const struct dc_op_call *call, const struct dc_conv_geometry *g,
                             const struct dc_conv_tables *t, int64_t row, int64_t rows, int thread);

// Puts `count` floats in front of what the kernels ask for on their way.
void dc__prefetch_range(struct dc_prefetch *prefetch, const float *from, int64_t count);

struct dc_border {
    int top, left, padded_h, padded_w;
};
// h x w x c pixels into the middle of zeros, through the epilogue where there is one.
void dc__copy_bordered(float *padded, const struct dc_border *border, const float *image, int h,
                       int w, int c, const struct dc_epilogue *epilogue, const struct dc_ctx *ctx);

// conv_backward.c
enum dc_status dc__conv_backward(const struct dc_op_call *call, struct dc_error *error);
size_t dc__conv_backward_bytes(const struct dc_conv_geometry *g, const struct dc_ctx *ctx);

#endif

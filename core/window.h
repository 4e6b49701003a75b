// The window of a convolution or a pool: where an output place looks at its input.
//
// Axis 0 is vertical, 1 horizontal. Output place i of an axis reads the inputs
// i * stride - before + k * dilation for k from 0 to kernel - 1; those outside are padding. Kernel
// 3, stride 2, one place of padding before and none after: an axis of 8 gives 4 places, and place 1
// reads the inputs 1, 2 and 3.

#ifndef DC_CORE_WINDOW_H
#define DC_CORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct dc_window {
    int kernel[2], stride[2], dilation[2];
    int before[2], after[2];  // padding
};

// How far the kernel reaches: from its first tap to its last, both counted.
static inline int64_t dc_window_reach(const struct dc_window *w, int axis)
{
    return (int64_t)(w->kernel[axis] - 1) * w->dilation[axis] + 1;
}

// Places of the output; below 1 where the kernel does not fit.
static inline int64_t dc_window_places(const struct dc_window *w, int axis, int64_t in)
{
    const int64_t room = in + w->before[axis] + w->after[axis] - dc_window_reach(w, axis);
    return room < 0 ? 0 : room / w->stride[axis] + 1;
}

// Padding "same": an axis gives ceil(in / stride) places, and the padding that takes is halved. The
// odd one comes after, as TensorFlow and ONNX's SAME_UPPER have it, or before (SAME_LOWER).
static inline void dc_window_pad_same(struct dc_window *w, int axis, int64_t in, bool odd_before)
{
    const int64_t places = (in + w->stride[axis] - 1) / w->stride[axis];
    const int64_t total = (places - 1) * w->stride[axis] + dc_window_reach(w, axis) - in;
    const int small = total > 0 && total < INT32_MAX ? (int)total / 2 : 0;
    const int large = total > 0 && total < INT32_MAX ? (int)total - small : 0;
    w->before[axis] = odd_before ? large : small;
    w->after[axis] = odd_before ? small : large;
}

// Whether TensorFlow's "same" gives the same places, which read the same inputs. What of the
// padding after no place reads may be anything.
static inline bool dc_window_is_same(const struct dc_window *w, int axis, int64_t in)
{
    struct dc_window same = *w;
    dc_window_pad_same(&same, axis, in, false);
    return w->before[axis] == same.before[axis] &&
           dc_window_places(w, axis, in) == dc_window_places(&same, axis, in);
}

static inline bool dc_window_is_padded(const struct dc_window *w)
{
    return w->before[0] != 0 || w->before[1] != 0 || w->after[0] != 0 || w->after[1] != 0;
}

#endif

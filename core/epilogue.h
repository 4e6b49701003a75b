// Fused epilogues: the element-wise end of a layer, left to those who read its value.
//
// Behind a convolution or an addition stand batch normalization, a clamp (relu, relu6) and fake
// quantization. Writing each of their results to memory costs more than computing it, so a plan
// stores the convolution's result alone, and every reader applies the epilogue to the rows it works
// on while they are in cache:
//
//     y = quantize(clamp(x * scale[c] + shift[c]))          x: the stored value
//
// Backward, the gradient of y turns into the gradient of x in the same way, row by row:
//
//     dx = a[c] * g + (b[c] * (x - mean[c]) + d[c]),  g = dy where the epilogue passes it, else 0
//
// Statistics that the epilogue needs of the whole batch (moments, ranges, sums of gradients) are
// taken by whoever writes the rows, right after writing them. All operations are element-wise and
// not fused, so an epilogue gives the bits of its ops done one after the other.
//
// An op that can stand in an epilogue describes its part (struct dc_epilogue_part); its ordinary
// forward and backward are those of this file, an epilogue of one part.

#ifndef DC_CORE_EPILOGUE_H
#define DC_CORE_EPILOGUE_H

#include "core/context.h"
#include "core/tensor.h"

// How a real becomes a code, before the zero point is added.
enum dc_code_rounding {
    DC_CODE_OF_PRODUCT,  // x * inverse_step, a half to the even integer: training's
    DC_CODE_HALF_AWAY,   // x / step, a half away from zero
    DC_CODE_HALF_EVEN,   // x / step, a half to the even integer
    DC_CODE_HALF_UP      // x / step, a half toward plus infinity
};

// A grid of int8 codes: real = step * (code - zero_point), low <= code <= high.
struct dc_grid {
    float step, inverse_step, zero_point, low, high;
    enum dc_code_rounding rounding;
};

// The integer nearest to v, a half as `rounding` says. By adding and taking away 1.5 * 2^23: no
// call, the same bits everywhere. Values beyond 2^20 are far outside any grid and are cut to it
// first. NaN stays NaN.
static inline float dc_round_code(float v, enum dc_code_rounding rounding)
{
    const float magic = 12582912.0f, far = 1048576.0f;
    v = v < -far ? -far : v;
    v = v > far ? far : v;
    const float even = (v + magic) - magic, rest = v - even;
    // sums of comparisons, not branches: compilers make vectors of them
    const float up = (float)((rest == 0.5f) & ((v > 0.0f) | (rounding == DC_CODE_HALF_UP)));
    const float down = (float)((rest == -0.5f) & (v < 0.0f));
    return rounding == DC_CODE_HALF_AWAY ? even + up - down
           : rounding == DC_CODE_HALF_UP ? even + up
                                         : even;
}

// Of x in steps of the grid, before it is rounded.
static inline float dc_grid_steps(float x, const struct dc_grid *grid)
{
    return grid->rounding == DC_CODE_OF_PRODUCT ? x * grid->inverse_step : x / grid->step;
}

// Coefficients stand once for every channel and repeat up to `period` floats, a multiple of 16 and
// of the channels and at least 64, so that loops over them are long and even.
int dc_epilogue_period(int64_t channels);

struct dc_epilogue {
    int channels, period;
    bool affine;                                  // x * scale + shift is part of it
    float *scale, *shift;                         // [period]
    float *mean, *inverse;                        // [period]: the statistics behind them
    float *gradient_a, *gradient_b, *gradient_d;  // [period], of backward
    bool constant;                                // the statistics are constants: b = d = 0
    float low, high;                              // the clamp; infinite: none
    float pass_low, pass_high;  // gradients pass where pass_low <= x * scale + shift <= pass_high
    bool quantizes;
    struct dc_grid grid;
    bool clips;  // of a trained grid: its gradient is that of the ends alone
};

enum { DC_NOTE_MOMENTS = 1, DC_NOTE_RANGE = 2 };   // of values
enum { DC_NOTE_GRADIENTS = 1, DC_NOTE_STEP = 2 };  // of gradients

// Statistics about a stored value, per chunk of the batch, summed over whole tiles of rows.
struct dc_statistics {
    unsigned wanted;  // DC_NOTE_...
    int channels, period;
    int64_t row_pixels;  // pixels (values / channels) of a row
    float *shift;        // [period]: moments are taken around it
    double *moments;     // [chunks + 1][2][period]: sum of x - shift, sum of its square
    float *ranges;       // [chunks][2][period]: least, greatest
};

// The same of the gradient dy of an epilogue's result.
struct dc_gradient_statistics {
    const struct dc_epilogue *epilogue;
    const float *x;  // the stored value, [rows, ...]
    int64_t row_pixels;
    double *sums;     // [chunks + 1][2][period]: sum of g, sum of g * (x - mean)
    unsigned wanted;  // DC_NOTE_GRADIENTS: those; DC_NOTE_STEP:
    double *steps;    // [chunks + 1][period]: sum of dy * (d result / d step of the grid)
};

// Rows whose statistics are taken together: a power of two, so that a tile of 64 pixels ends with
// them. Statistics must be taken in runs that start at a multiple of it (counted from the chunk's
// first row).
int64_t dc_tile_rows(int64_t row_pixels);

void dc_note_rows(const struct dc_statistics *statistics, const struct dc_ctx *ctx, int chunk,
                  const float *values, int64_t rows);
// dy: the rows from first_row on.
void dc_note_gradient_rows(const struct dc_gradient_statistics *statistics,
                           const struct dc_ctx *ctx, int chunk, const float *dy, int64_t first_row,
                           int64_t rows);

struct dc_op_call;
struct dc_op_memory;
struct dc_node;

// All rows of a call, in parallel: statistics of in[0]; out = epilogue(in[0]); statistics of d_out;
// and d_in[0] from d_out and in[0], where it is wanted.
void dc_epilogue_note_all(const struct dc_statistics *statistics, const struct dc_op_call *call);
void dc_epilogue_apply_all(const struct dc_epilogue *epilogue, const struct dc_op_call *call);
void dc_epilogue_note_all_gradients(const struct dc_gradient_statistics *statistics,
                                    const struct dc_op_call *call);
void dc_epilogue_apply_all_gradients(const struct dc_epilogue *epilogue,
                                     const struct dc_op_call *call);

enum dc_epilogue_rank { DC_EPILOGUE_NORMALIZE, DC_EPILOGUE_CLAMP, DC_EPILOGUE_QUANTIZE };

// An op's part in an epilogue. In an epilogue, ranks rise.
struct dc_epilogue_part {
    enum dc_epilogue_rank rank;
    // Adds to statistics->wanted what this step's extend must know of the stored value; who is
    // first to want moments fills in statistics->shift. NULL: nothing.
    void (*want)(struct dc_statistics *statistics, const struct dc_op_call *call);
    enum dc_status (*extend)(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                             const struct dc_statistics *statistics, struct dc_error *error);
    // Parameter gradients and the coefficients a, b, d from the sums taken [chunks][2][period]; of
    // a quantizer, from those of its step, [chunks][period].
    // NULL: the gradient passes by the range alone. sums NULL: see dc_epilogue_wanted.
    void (*finish_gradient)(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                            double *sums);
};

// What a part must know of the gradients (DC_NOTE_...). Nothing where all of it is constant.
unsigned dc_epilogue_wanted(const struct dc_epilogue_part *part, const struct dc_op_call *call,
                            const struct dc_epilogue *epilogue);
// Calls the part's finish_gradient, if it has one, with the sums that it wants.
void dc_epilogue_finish(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                        const struct dc_gradient_statistics *statistics);

// The tree over chunks of doubles [chunks][2][period], into the slot behind them: [2][period].
double *dc_epilogue_total(double *sums, const struct dc_ctx *ctx, int period);
// The sum of a channel's entries in [period].
double dc_epilogue_fold(const double *sums, const struct dc_epilogue *epilogue, int channel);
// Repeats the first `channels` entries up to the period.
void dc_epilogue_repeat(float *coefficients, const struct dc_epilogue *epilogue);

// Lay out and begin. base NULL counts the bytes only.
size_t dc_epilogue_place(struct dc_epilogue *epilogue, void *base, int64_t channels);
size_t dc_statistics_place(struct dc_statistics *statistics, void *base,
                           const struct dc_shape *shape, const struct dc_ctx *ctx);
// Statistics of gradients of the values x behind an epilogue, in memory of dc_gradient_sums_bytes.
size_t dc_gradient_sums_bytes(int64_t channels, const struct dc_ctx *ctx);
void dc_gradient_statistics_begin(struct dc_gradient_statistics *statistics,
                                  const struct dc_epilogue *epilogue, const float *x,
                                  unsigned wanted, void *base, const struct dc_ctx *ctx);
void dc_epilogue_begin(struct dc_epilogue *epilogue);
void dc_statistics_clear(const struct dc_statistics *statistics,
                         const struct dc_ctx *ctx);  // what is wanted

// forward, backward and memory of an op that is a part: an epilogue of its own, applied at once.
enum dc_status dc_epilogue_forward(const struct dc_op_call *call, struct dc_error *error);
enum dc_status dc_epilogue_backward(const struct dc_op_call *call, struct dc_error *error);
void dc_epilogue_memory(struct dc_op_memory *memory, const struct dc_node *node,
                        const struct dc_shape *in, const struct dc_shape *out,
                        const struct dc_ctx *ctx);

#endif

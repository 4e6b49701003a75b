// Arithmetic profiles: which integers a target computes.
//
// "int8" does not fix the arithmetic. A profile is a row of a table: how scales become multipliers,
// and the exact kernel of every op whose arithmetic differs between targets. Everything else
// (windows, padding, copies, maxima) is the same on all of them and lives in the engine.
// To add a target: one row here, its kernels beside it, one oracle in tests/.

#ifndef DC_QAT_PROFILE_H
#define DC_QAT_PROFILE_H

#include "core/epilogue.h"
#include "core/error.h"
#include "qat/imodel.h"

// How a scaled sum becomes an integer. x: the sum, m and s: multiplier and shift, f = m * 2^(s -
// 31). Formulae with their sources stand beside the kernels (profile.c, profile_litert.c,
// softmax.c).
enum dc_rounding {
    DC_AS_PROFILE,              // of a single op: as all others of its profile
    DC_ROUND_DOUBLE,            // twice: the high half of x * m, then the shift, a half away from 0
    DC_ROUND_DOUBLE_UP,         // twice, the second half upward in whole vectors of channels
    DC_ROUND_DOUBLE_BLOCKS,     // additions: operands once in whole blocks of 16, else twice
    DC_ROUND_DOUBLE_AWAY,       // a float64 product, a half away from 0
    DC_ROUND_SINGLE,            // once, a half upward
    DC_ROUND_HALF_EVEN,         // once, a half to the even integer
    DC_ROUND_HALF_AWAY,         // once, a half away from 0; averages: an exact quotient
    DC_ROUND_FLOAT_EVEN,        // a float32 product, a half to the even integer
    DC_ROUND_FLOAT_EVEN_FUSED,  // additions: the same by fused multiply-adds
    DC_ROUND_FLOAT_EVEN_OFFSET,  // means, products: zero points are added in float32, then rounded
    DC_ROUND_PLANE,              // additions: integer multipliers of both sides, one shift
    DC_ROUND_FIXED_POINT,        // softmax: fractions of 2^31
    DC_ROUND_16_BITS,            // softmax: exponentials of 16 bits
    DC_ROUNDING_COUNT
};
// "double", "float_even": in manifests and in the names of exported kernels.
const char *dc_rounding_name(enum dc_rounding rounding);

// Whose kernels compute functions of one code (table.h), those of TFLite's family last.
enum dc_runtime {
    DC_RUNTIME_ANY,  // the nearest code
    DC_RUNTIME_ONNX,
    DC_RUNTIME_TFLM,
    DC_RUNTIME_TFLITE,
    DC_RUNTIME_XNNPACK  // TFLite's, but what its delegate takes
};

struct dc_profile {
    const char *name;  // in experiment files and manifests
    enum dc_rounding rounding;
    const char *formula;  // of requantization, for people
    enum dc_runtime runtime;
    // Of the network's input: code = clamp(round(x / scale) + zero point), a float32 quotient. What
    // comes out is scale * (code - zero point), a float32 product, everywhere.
    enum dc_code_rounding input;
    bool power_of_two;  // every scale must be one: multipliers are 2^30, so that all is shifts

    // Ops that round by another rule than `rounding`, and which part of the runtime computes an op
    // where it has several (NULL: nothing to say).
    struct {
        enum dc_rounding rounding;
        const char *by;
    } ops[DC_IOP_COUNT];

    // Why the runtime does not take this layer, as the end of a sentence; NULL: it does. NULL
    // instead of the function: it takes whatever dc_imodel does.
    const char *(*refuses)(const struct dc_ilayer *layer, const struct dc_ilayer *const *inputs);

    // Fill layer->multipliers and shifts (dc_imodel allocated layer->rescales of each) from the
    // scales of the layer and of its inputs.
    void (*derive)(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs);

    // codes[c] = clamp(requantize(accumulators[c]) + zero point): convolutions, fully connected.
    void (*requantize)(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                       const struct dc_ilayer *input);

    // codes = a + b, elementwise; sums receives the sum before its requantization. first: which of
    // the layer's values codes[0] is.
    void (*add)(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                const struct dc_ilayer *layer, int zero_point_a, int zero_point_b, int64_t first,
                int count);

    // codes[i] of products of codes from their zero points.
    void (*multiply)(int8_t *codes, const int32_t *products, const struct dc_ilayer *layer,
                     int count);

    // accumulators[c]: sum of (code - zero point) over all positions.
    void (*mean)(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                 const struct dc_ilayer *input);

    // sums[c] over `taps` valid positions, zero point included.
    void (*average)(int8_t *codes, const int32_t *sums, const struct dc_ilayer *layer, int taps);
};

// "half_away", "half_even", "half_up": in manifests.
const char *dc_code_rounding_name(enum dc_code_rounding rule);

// The rule by which the profile rounds this op.
enum dc_rounding dc_profile_rounding(const struct dc_profile *profile, enum dc_iop op);

// s_in * s_w / s_out in double, by which "double_away" multiplies.
double dc_dense_factor(const struct dc_ilayer *layer, const struct dc_ilayer *input, int channel);

// Where ops round by "double_up": how many of the first channels send the ties of their second
// rounding upward; the others send them away from zero.
int dc_upward_channels(const struct dc_ilayer *layer);

// Of an addition that rounds by "double_blocks": how many of its first values lie in whole blocks,
// whose operands are rounded once.
int64_t dc_block_values(const struct dc_ilayer *layer);

// What "double_up" adds to the rescaled sum of a mean's codes.
int dc_mean_offset(const struct dc_ilayer *layer, const struct dc_ilayer *input);

// NULL when there is none of this name.
const struct dc_profile *dc_profile_find(const char *name);
// NULL-terminated.
const struct dc_profile *const *dc_profile_table(void);

#endif

// Faster ways to the integer engine's bytes, one set an instruction-set level.
//
// engine.c says what every layer computes; a kernel here computes the same bytes, or the layer is
// left to engine.c's plain loops. dc__fast_layer_create decides that and packs the layer once;
// a kernel then runs it without allocation. Internal to qat/.
//
// One rescale serves both roundings of fixed_point.h, because floors nest: with R = right,
//   code = (((x * multiplier + round) >> 31) - (x < 0 and sign)) >> R
// double: round = 2^30 + 2^(R + 30); sign: ties of the second rounding go away from 0
// single: round = 2^(R + 30); no sign. R = 0, both: round = 2^30, no sign.
// Profiles that round float32 products have a second: code = half_to_even(float(x) * factor), which
// is also the half to even of a shift while |x| <= 2^24, where no conversion rounds.
// Both need factors below 1 and |x| < 2^30; other layers are left to the plain loops.

#ifndef DC_QAT_ENGINE_KERNELS_H
#define DC_QAT_ENGINE_KERNELS_H

#include "core/context.h"
#include "qat/imodel.h"

// A vector's channels lie together; channels behind the last are 0.
struct dc__rescale {
    const float *factors;  // NULL: by integers, which follow
    const int32_t *multipliers;
    const int64_t *rounds;  // of a vector's even channels, then of its odd ones
    const int32_t *sign;    // shifts x right, as unsigned, to its sign: 31, or 32: none
    const int32_t *right;
};

// code(a, b) = clamp((first * a + second * b + offset) >> shift) for all codes (engine_add.c).
struct dc__add_line {
    int32_t first, second, offset, shift;
};

// A layer ready to run. Convolutions read a padded input: the image with its border, as unsigned
// x + 128 in elements of 4 / taps bytes; the zero point went into the biases. A window is
// one or more runs of adjacent elements, read in words of 4 bytes, `taps` elements; the weights of
// elements that a last word reads behind its run are 0.
struct dc__fast_layer {
    const struct dc_ilayer *layer, *input;
    struct dc__add_line line;  // of add
    struct dc__rescale rescale;
    const void *weights;     // [groups][words][lanes][taps]; depthwise [kernel][channels]
    const int32_t *biases;   // [groups][lanes]
    const int64_t *offsets;  // [words] bytes from a window's first element
    int groups, words;       // a group: `lanes` output channels
    int padded_h, padded_w;
    int64_t padded_bytes;
    int rows, row_pixels;  // output positions; one long row where windows allow it
};

struct dc__engine_kernels {
    int lanes, taps;
    void (*convolve)(int8_t *out, void *padded, const int8_t *x, const struct dc__fast_layer *fast);
    void (*depthwise)(int8_t *out, void *padded, const int8_t *x,
                      const struct dc__fast_layer *fast);
    // Whole blocks of 4 * lanes codes, so that no profile's blocks of 16 are cut; returns how many
    // codes that were.
    int64_t (*add)(int8_t *out, const int8_t *a, const int8_t *b, int64_t count,
                   const struct dc__fast_layer *fast);
};

extern const struct dc__engine_kernels dc__engine_avx2, dc__engine_avx512;

// *found is false where no such line exists.
DC_MUST_USE enum dc_status dc__add_line_find(struct dc__add_line *line, bool *found,
                                             const struct dc_ilayer *layer,
                                             const struct dc_ilayer *a, const struct dc_ilayer *b,
                                             const struct dc_profile *profile,
                                             struct dc_error *error);

// NULL: this level has the plain loops only.
const struct dc__engine_kernels *dc__engine_kernels_for(enum dc_isa isa);

// *fast is NULL where the plain loops have to do it. layers: the model's.
DC_MUST_USE enum dc_status dc__fast_layer_create(struct dc__fast_layer **fast,
                                                 struct dc_arena *arena,
                                                 const struct dc__engine_kernels *kernels,
                                                 const struct dc_imodel *model, int index,
                                                 struct dc_error *error);

#endif

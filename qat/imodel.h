// The integer model: what ships.
//
// A list of layers in the order they run; layer i computes value i, layer 0 is the input, the last
// layer is the output. Values are int8 codes, one sample, NHWC: [height, width, channels];
// real = scale * (code - zero_point). float32 scales are the truth; multipliers and shifts are
// derived from them by the arithmetic profile when a layer is added, never set by hand.
//
// Layouts: conv2d weights OHWI [channels, kernel_h, kernel_w, input channels]; depthwise 1HWC
// [kernel_h, kernel_w, channels], channel c reads input channel c / (channels / input channels);
// fully connected OI [channels, input height * width * channels]. Weights are symmetric, zero point
// 0, codes in [-(2^(bits-1) - 1), 2^(bits-1) - 1]. Biases are int32 at scale s_in * s_w,c (float32
// product), without the input's zero point folded in.
// Padding holds the input's zero point. Pools ignore padded positions.
//
// Immutable once built; owns its memory.

#ifndef DC_QAT_IMODEL_H
#define DC_QAT_IMODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/preprocessing.h"
#include "core/tensor.h"
#include "core/window.h"
#include "qat/planner.h"

struct dc_profile;

enum dc_iop {
    DC_I_INPUT,
    DC_I_CONV2D,
    DC_I_DEPTHWISE_CONV2D,
    DC_I_FULLY_CONNECTED,
    DC_I_ADD,
    DC_I_MULTIPLY,  // by a second value of the same size, or of size 1 along an axis
    DC_I_AVERAGE_POOL,
    DC_I_MAX_POOL,
    DC_I_MEAN,  // over height and width
    DC_I_RESHAPE,
    DC_I_PAD,      // zero point on four sides, and before and after the channels
    DC_I_CONCAT,   // along channels
    DC_I_SLICE,    // every stride-th row and column, some of the channels
    DC_I_TABLE,    // a function of each code
    DC_I_SOFTMAX,  // over channels
    DC_IOP_COUNT
};

enum dc_ifunction {
    DC_F_SIGMOID,
    DC_F_TANH,
    DC_F_H_SWISH,
    DC_F_LEAKY_RELU,    // slope
    DC_F_HARD_SIGMOID,  // alpha, beta
    DC_F_SILU,
    DC_F_GELU,
    DC_F_GELU_TANH,
    DC_F_ELU,  // alpha
    DC_F_SOFTPLUS,
    DC_F_ERF,
    DC_F_NEGATE,
    DC_F_ABS,
    DC_F_SQRT,
    DC_IFUNCTION_COUNT
};

enum { DC_I_INPUTS_MAX = 8, DC_I_PARAMETERS = 2 };

struct dc_ilayer {
    const char *name;
    enum dc_iop op;
    int input_count;
    int inputs[DC_I_INPUTS_MAX];  // indices of earlier layers

    // The output.
    int height, width, channels;
    float scale;
    int zero_point;
    int bits;                   // of the codes, which lie in int8: 2 to 8, of the input 8
    int clamp_low, clamp_high;  // fused activation, in codes

    // Of convolutions and pools; a pad uses the padding alone. A slice begins at row before[0],
    // column before[1] and channel first_channel; a pad puts its input's channels there.
    struct dc_window window;
    int first_channel;

    enum dc_ifunction function;         // of a table
    float parameters[DC_I_PARAMETERS];  // the function's: its float op's attributes, in order
    const int8_t *table;         // derived (table.h): output of code c at [c + 128]; else NULL
    const double *exponentials;  // of softmax, derived (softmax.h); else NULL

    // Convolutions and fully connected layers.
    int weight_bits;   // 2 to 8
    bool per_channel;  // false: all weight_scales are equal
    const int8_t *weights;
    const int32_t *biases;       // [channels]
    const float *weight_scales;  // [channels]

    // Derived by dc_imodel_add.
    int64_t weight_count;
    int rescales;  // pairs below: channels; 3 of add (first, second, sum); 1 of mean
                   // and multiply; else 0
    int32_t *multipliers, *shifts;
    bool fused;  // of add, where multiplier 2 is an offset, which may be negative (profile.c)
    // Worst case over all inputs of the sum and of its partial sums in any order, bias first or
    // last.
    int64_t accumulator_low, accumulator_high;
};

// How words of memory images hold weights (export/memory_images.h): PE output channels by SIMD
// inputs, the first of them in a word's lowest bits or in its highest.
struct dc_tiling {
    int pe, simd;
    int high_first;  // of dc_bit_orders
};
enum { DC_TILING_MAX = 64, DC_TILING_PE = 4, DC_TILING_SIMD = 4 };
extern const char *const dc_bit_orders[];  // "low_first", "high_first", NULL

enum { DC_I_ALIGNMENT = 4, DC_I_ALIGNMENT_MAX = 256 };  // powers of two

struct dc_imodel {
    struct dc_arena *arena;
    const char *name;
    const char *provenance;  // where the weights came from, free text
    const char *lineage;     // the same by hashes: JSON as run/lineage.h has it; NULL: unknown
    const struct dc_profile *profile;
    // What the data calls a sample: [5], [20, 3], [28, 28, 1]. Layer 0 is its dc_shape_image, and
    // so it is until somebody says otherwise.
    struct dc_shape sample;
    struct dc_preprocessing preprocessing;  // dc_imodel_set_preprocessing
    // What a target wants, set before the model is used.
    int alignment;  // in bytes, of values and weights in memory; DC_I_ALIGNMENT
    struct dc_tiling tiling;
    // A device settles a sample by itself where the two largest output codes differ by at least so
    // much (run/cascade.h); -1: nobody said when.
    int confident_margin;
    bool wide_weights;  // those of 4 bits and less are int8 in files that could pack them
    struct dc_ilayer *layers;
    int count, capacity;
};

DC_MUST_USE enum dc_status dc_imodel_create(struct dc_imodel **model, const char *name,
                                            const char *provenance,
                                            const struct dc_profile *profile,
                                            struct dc_error *error);
void dc_imodel_free(struct dc_imodel *model);  // NULL is allowed

// Copies *layer with all it points to, checks it against its inputs, and derives the rest.
// DC_ERR_DATA says what does not fit: shapes, ranges of codes and clamps, scales that are not
// finite and positive (or no powers of two where the profile shifts), ops whose input and output
// must share scale and zero point (pools, reshape, pad, slice, concat), an accumulator that could
// leave int32.
DC_MUST_USE enum dc_status dc_imodel_add(struct dc_imodel *model, const struct dc_ilayer *layer,
                                         int *index, struct dc_error *error);

const char *dc_iop_name(enum dc_iop op);
int dc_iop_find(const char *name);  // -1: none
static inline bool dc_ilayer_has_weights(const struct dc_ilayer *layer)
{
    return layer->op == DC_I_CONV2D || layer->op == DC_I_DEPTHWISE_CONV2D ||
           layer->op == DC_I_FULLY_CONNECTED;
}
// A sum before requantization exists: weighted layers, add, multiply, mean, average pool.
bool dc_ilayer_has_accumulators(const struct dc_ilayer *layer);
int64_t dc_ilayer_size(const struct dc_ilayer *layer);  // codes of its output
int64_t dc_ilayer_macs(const struct dc_imodel *model, int index);

static inline const struct dc_ilayer *dc_imodel_output(const struct dc_imodel *model)
{
    return &model->layers[model->count - 1];
}

// What the model costs. arena_bytes: activations between input and output, by lifetimes, as the
// exported C places them; whole_arena_bytes: with input and output in it. busiest: the layer at
// which arena_bytes are needed. scratch_bytes: what the exported C needs beside, on the core that
// needs most.
struct dc_imodel_cost {
    int64_t weight_bytes, bias_bytes, rescale_bytes, arena_bytes, arena_bound, whole_arena_bytes,
        scratch_bytes, input_bytes, output_bytes, macs;
    int busiest;
};
DC_MUST_USE enum dc_status dc_imodel_cost(struct dc_imodel_cost *cost,
                                          const struct dc_imodel *model, struct dc_error *error);
// What is trained, as stored: weights, biases, multipliers. What a board needs: export/c_size.h.
static inline int64_t dc_imodel_flash(const struct dc_imodel_cost *cost)
{
    return cost->weight_bytes + cost->bias_bytes + cost->rescale_bytes;
}

// Bits of a weight in memory and files: 4 or 8.
int dc_ilayer_stored_bits(const struct dc_imodel *model, const struct dc_ilayer *layer);
// Codes that the exported C has at hand of packed weights; 0: there are none.
int64_t dc_imodel_unpacked(const struct dc_imodel *model);
// Codes that the largest convolution reads for one output place; 0: there is none.
int64_t dc_imodel_column(const struct dc_imodel *model);

// Who writes an output over an input that nobody reads any more: nobody; the exported C, whose
// kernels go through memory in a known order (place.c); the same, with the network's input and
// output in the arena too.
enum dc_placement { DC_PLACE_APART, DC_PLACE_OVER, DC_PLACE_OVER_WITH_ENDS };

// Where values live. blocks[i].offset: bytes into one activation arena, multiples of `alignment`
// (the model's, or a runtime's); -1 where value i is the caller's: the input and the output (but
// DC_PLACE_OVER_WITH_ENDS), and a reshape of the input. A reshape is its input's bytes. Blocks:
// [model->count].
DC_MUST_USE enum dc_status dc_imodel_place(struct dc_block *blocks, struct dc_block_plan *plan,
                                           const struct dc_imodel *model,
                                           enum dc_placement placement, int alignment,
                                           struct dc_error *error);

// codes = clamp(round(x / scale) + zero_point, -128, 127), float32 division; a half goes where the
// profile says (profile.h). NaN is DC_ERR_NUMERIC. count: values, any number of samples.
DC_MUST_USE enum dc_status dc_imodel_quantize_input(int8_t *codes, const struct dc_imodel *model,
                                                    const float *x, int64_t count,
                                                    struct dc_error *error);
// Copies what is done before the input; DC_ERR_DATA where it does not fit the model, which is
// whole.
DC_MUST_USE enum dc_status dc_imodel_set_preprocessing(struct dc_imodel *model,
                                                       const struct dc_preprocessing *p,
                                                       struct dc_error *error);
// The input's code of each byte, where it is made of bytes: that of x * scale + shift in float32.
enum { DC_BYTE_CODES = 256 };
DC_MUST_USE enum dc_status dc_imodel_byte_codes(int8_t codes[DC_BYTE_CODES],
                                                const struct dc_imodel *model, int channel,
                                                struct dc_error *error);
// x = scale * (code - zero_point) of the output.
void dc_imodel_dequantize_output(float *x, const struct dc_imodel *model, const int8_t *codes,
                                 int64_t count);

#endif

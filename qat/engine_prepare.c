// Owns the choice of a faster kernel for a layer, and what is packed for it once: weights in the
// order that the kernel reads them, biases with the zero point folded in, the constants of the
// rescale. Invariant: a layer that gets a kernel has factors below 1 and sums below 2^30, so that
// the kernels' arithmetic is exact. Computes no codes.

#include <math.h>
#include <string.h>

#include "qat/engine_kernels.h"
#include "qat/profile.h"

enum { SUM_BITS = 30, EXACT_BITS = 24, SLACK_BYTES = 64, CODE_OFFSET = 128 };

const struct dc__engine_kernels *dc__engine_kernels_for(enum dc_isa isa)
{
#if defined(__x86_64__)
    if (isa >= DC_ISA_AVX512 && __builtin_cpu_supports("avx512vnni"))
        return &dc__engine_avx512;
    if (isa >= DC_ISA_AVX2)
        return &dc__engine_avx2;
#endif
    (void)isa;
    return NULL;
}

static int64_t round_up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

// The rounding rules that kernels know, and the bits that sums may have. upward: of rounding twice.
struct way {
    enum dc_rounding rounding;
    int sum_bits;
    bool floats, twice, upward;
};
static const struct way ways[] = {
    {.rounding = DC_ROUND_DOUBLE, .sum_bits = SUM_BITS, .twice = true},
    {.rounding = DC_ROUND_DOUBLE_UP, .sum_bits = SUM_BITS, .twice = true, .upward = true},
    {.rounding = DC_ROUND_SINGLE, .sum_bits = SUM_BITS},
    {.rounding = DC_ROUND_FLOAT_EVEN, .sum_bits = SUM_BITS, .floats = true},
    {.rounding = DC_ROUND_HALF_EVEN, .sum_bits = EXACT_BITS, .floats = true}};

// NULL: none for this layer.
static const struct way *find_way(const struct dc_ilayer *l, const struct dc_profile *profile)
{
    const enum dc_rounding rounding = dc_profile_rounding(profile, l->op);
    const struct way *way = NULL;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        way = ways[i].rounding == rounding ? &ways[i] : way;
    if (!way || l->accumulator_low <= -(INT64_C(1) << way->sum_bits) ||
        l->accumulator_high >= INT64_C(1) << way->sum_bits)
        return NULL;
    for (int i = 0; i < l->rescales; i++) {
        if (l->shifts[i] > 0)
            return NULL;
    }
    return way;
}

static enum dc_status prepare_factors(struct dc__rescale *rescale, struct dc_arena *arena,
                                      const struct dc_ilayer *l, int64_t padded,
                                      struct dc_error *error)
{
    float *factors = DC_NEW(arena, float, padded, error);
    if (!factors)
        return DC_ERR_MEMORY;
    for (int c = 0; c < l->rescales; c++)
        factors[c] = ldexpf((float)l->multipliers[c], l->shifts[c] - 31);
    rescale->factors = factors;
    return DC_OK;
}

static enum dc_status prepare_rescale(struct dc__rescale *rescale, struct dc_arena *arena,
                                      const struct dc_ilayer *l, const struct way *way, int groups,
                                      int lanes, struct dc_error *error)
{
    const int64_t padded = (int64_t)groups * lanes;
    if (way->floats)
        return prepare_factors(rescale, arena, l, padded, error);
    int32_t *m = DC_NEW(arena, int32_t, padded, error);
    int64_t *rounds = DC_NEW(arena, int64_t, padded, error);
    int32_t *sign = DC_NEW(arena, int32_t, padded, error);
    int32_t *right = DC_NEW(arena, int32_t, padded, error);
    if (!m || !rounds || !sign || !right)
        return DC_ERR_MEMORY;
    const int upward = way->upward ? dc_upward_channels(l) : 0;
    for (int c = 0; c < l->rescales; c++) {
        const int shift = -l->shifts[c], lane = c % lanes;
        int64_t *round = rounds + c - lane + lane % 2 * (lanes / 2) + lane / 2;
        m[c] = l->multipliers[c];
        right[c] = shift;
        sign[c] = way->twice && shift > 0 && c >= upward ? 31 : 32;
        *round = (way->twice || shift == 0 ? INT64_C(1) << 30 : 0) +
                 (shift > 0 ? INT64_C(1) << (shift + 30) : 0);
    }
    *rescale = (struct dc__rescale){NULL, m, rounds, sign, right};
    return DC_OK;
}

// The padded input, and which elements of it a window reads.
static enum dc_status prepare_window(struct dc__fast_layer *f, int *run_count,
                                     struct dc_arena *arena, int taps, struct dc_error *error)
{
    const struct dc_ilayer *l = f->layer, *x = f->input;
    const bool dense = l->op == DC_I_FULLY_CONNECTED;
    const int element = 4 / taps;
    const int kernel_h = dense ? x->height : l->window.kernel[0],
              kernel_w = dense ? x->width : l->window.kernel[1];
    const bool depthwise = l->op == DC_I_DEPTHWISE_CONV2D;
    const bool adjacent = dense || (l->window.dilation[1] == 1 && !depthwise);
    f->padded_h = x->height + (dense ? 0 : l->window.before[0] + l->window.after[0]);
    f->padded_w = x->width + (dense ? 0 : l->window.before[1] + l->window.after[1]);
    f->padded_bytes = (int64_t)f->padded_h * f->padded_w * x->channels * element + SLACK_BYTES;
    const int runs = adjacent ? kernel_h : kernel_h * kernel_w;
    const int64_t run = depthwise ? taps : (int64_t)x->channels * (adjacent ? kernel_w : 1);
    const int64_t run_words = round_up(run, taps) / taps;
    f->words = (int)(runs * run_words);
    int64_t *offsets = DC_NEW(arena, int64_t, f->words, error);
    if (!offsets)
        return DC_ERR_MEMORY;
    for (int r = 0; r < runs; r++) {
        const int64_t ky = adjacent ? r : r / kernel_w, kx = adjacent ? 0 : r % kernel_w;
        const int64_t y = dense ? ky : ky * l->window.dilation[0],
                      column = dense ? 0 : kx * l->window.dilation[1];
        const int64_t first = (y * f->padded_w + column) * x->channels * element;
        for (int64_t i = 0; i < run_words; i++)
            offsets[r * run_words + i] = first + 4 * i;
    }
    f->offsets = offsets;
    *run_count = runs;
    const bool pointwise = !dense && l->window.kernel[0] == 1 && l->window.kernel[1] == 1 &&
                           l->window.stride[0] == 1 && l->window.stride[1] == 1;
    f->rows = pointwise ? 1 : l->height;
    f->row_pixels = pointwise ? l->height * l->width : l->width;
    return DC_OK;
}

static enum dc_status pack_weights(struct dc__fast_layer *f, struct dc_arena *arena,
                                   const struct dc__engine_kernels *kernels, int runs,
                                   struct dc_error *error)
{
    const struct dc_ilayer *l = f->layer;
    const int lanes = kernels->lanes, taps = kernels->taps;
    const int64_t inputs = l->weight_count / l->channels, run = inputs / runs;
    const int64_t group = (int64_t)f->words * lanes * taps;
    const int64_t count = f->groups * group;
    int8_t *narrow = DC_NEW(arena, int8_t, taps == 4 ? count : 0, error);
    int16_t *wide = DC_NEW(arena, int16_t, taps == 4 ? 0 : count, error);
    if (!narrow || !wide)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < l->weight_count; i++) {
        const int64_t o = i / inputs, r = i % inputs / run, at = i % inputs % run;
        const int64_t word = (r * (f->words / runs) + at / taps) * lanes + o % lanes;
        const int64_t to = o / lanes * group + word * taps + at % taps;
        if (taps == 4)
            narrow[to] = l->weights[i];
        else
            wide[to] = l->weights[i];
    }
    f->weights = taps == 4 ? (const void *)narrow : (const void *)wide;
    return DC_OK;
}

static enum dc_status pack_depthwise(struct dc__fast_layer *f, struct dc_arena *arena, int lanes,
                                     struct dc_error *error)
{
    const struct dc_ilayer *l = f->layer;
    int32_t *weights = DC_NEW(arena, int32_t, (int64_t)f->groups * f->words * lanes, error);
    if (!weights)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < l->weight_count; i++) {
        const int64_t tap = i / l->channels, c = i % l->channels;
        weights[(c / lanes * f->words + tap) * lanes + c % lanes] = l->weights[i];
    }
    f->weights = weights;
    return DC_OK;
}

// bias - (zero point + 128) * sum of weights, modulo 2^32: the sum of the window comes out right,
// whatever wraps on the way.
static enum dc_status fold_zero_point(struct dc__fast_layer *f, struct dc_arena *arena, int lanes,
                                      struct dc_error *error)
{
    const struct dc_ilayer *l = f->layer;
    const bool depthwise = l->op == DC_I_DEPTHWISE_CONV2D;
    const int64_t taps = l->weight_count / l->channels;
    int32_t *biases = DC_NEW(arena, int32_t, (int64_t)f->groups * lanes, error);
    if (!biases)
        return DC_ERR_MEMORY;
    for (int c = 0; c < l->channels; c++) {
        int64_t sum = 0;
        for (int64_t i = 0; i < taps; i++)
            sum += l->weights[depthwise ? i * l->channels + c : c * taps + i];
        const int64_t folded = l->biases[c] - sum * (f->input->zero_point + CODE_OFFSET);
        biases[c] = (int32_t)(uint32_t)folded;
    }
    f->biases = biases;
    return DC_OK;
}

static enum dc_status prepare_weighted(struct dc__fast_layer *f, struct dc_arena *arena,
                                       const struct dc__engine_kernels *kernels,
                                       const struct way *way, struct dc_error *error)
{
    const struct dc_ilayer *l = f->layer;
    int runs = 0;
    f->groups = (int)(round_up(l->channels, kernels->lanes) / kernels->lanes);
    DC_TRY(prepare_rescale(&f->rescale, arena, l, way, f->groups, kernels->lanes, error));
    DC_TRY(fold_zero_point(f, arena, kernels->lanes, error));
    DC_TRY(prepare_window(f, &runs, arena, kernels->taps, error));
    if (l->op == DC_I_DEPTHWISE_CONV2D)
        return pack_depthwise(f, arena, kernels->lanes, error);
    return pack_weights(f, arena, kernels, runs, error);
}

enum dc_status dc__fast_layer_create(struct dc__fast_layer **fast, struct dc_arena *arena,
                                     const struct dc__engine_kernels *kernels,
                                     const struct dc_imodel *model, int index,
                                     struct dc_error *error)
{
    const struct dc_ilayer *l = &model->layers[index], *x = &model->layers[l->inputs[0]];
    const bool convolution = dc_ilayer_has_weights(l) &&
                             (l->op != DC_I_DEPTHWISE_CONV2D || l->channels == x->channels);
    const struct way *way = convolution ? find_way(l, model->profile) : NULL;
    bool fits = way != NULL;
    struct dc__add_line line = {0};
    *fast = NULL;
    if (!kernels)
        return DC_OK;
    if (l->op == DC_I_ADD)
        DC_TRY(dc__add_line_find(&line, &fits, l, x, &model->layers[l->inputs[1]], model->profile,
                                 error));
    if (!fits)
        return DC_OK;
    struct dc__fast_layer *f = DC_NEW(arena, struct dc__fast_layer, 1, error);
    if (!f)
        return DC_ERR_MEMORY;
    f->layer = l;
    f->input = x;
    f->line = line;
    if (way)
        DC_TRY(prepare_weighted(f, arena, kernels, way, error));
    *fast = f;
    return DC_OK;
}

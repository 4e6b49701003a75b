// The engine's kernels over a small vocabulary of vectors, included once an instruction-set level.
// The including file defines: LANES, TAPS, PART (pixels of half a tile), element, vec, and the v_
// functions on int32 lanes (v_..64: on pairs of lanes as one int64). engine_kernels.h has the
// layouts and the rescale.

#include <string.h>

#include "qat/engine_kernels.h"

// Constant arguments make one loop into several.
#define ALWAYS_INLINE inline __attribute__((always_inline))

enum { BLOCK = 4 };  // vectors that v_codes packs at once; PART is a multiple of it

struct rescale {
    bool floats;
    vec factor;
    vec multiplier, multiplier_odd, round, round_odd, sign, right;
};

struct clamps {
    vec zero_point, low, high;  // 16-bit, 8-bit, 8-bit lanes
};

// clamp(r + zero point) of four vectors, in order.
static inline vec v_codes(vec r0, vec r1, vec r2, vec r3, const struct clamps *k)
{
    const vec low = v_add_saturated16(v_pack32(r0, r1), k->zero_point);
    const vec high = v_add_saturated16(v_pack32(r2, r3), k->zero_point);
    return v_min8(v_max8(v_in_order(v_pack16(low, high)), k->low), k->high);
}

static inline struct rescale load_rescale(const struct dc__rescale *r, int64_t at)
{
    if (r->factors)
        return (struct rescale){.floats = true, .factor = v_load(r->factors + at)};
    const vec m = v_load(r->multipliers + at);
    return (struct rescale){.multiplier = m,
                            .multiplier_odd = v_high64(m),
                            .round = v_load(r->rounds + at),
                            .round_odd = v_load(r->rounds + at + LANES / 2),
                            .sign = v_load(r->sign + at),
                            .right = v_load(r->right + at)};
}

static inline vec rescale(vec x, const struct rescale *k)
{
    const vec even = v_add64(v_mul64(x, k->multiplier), k->round);
    const vec odd = v_add64(v_mul64(v_high64(x), k->multiplier_odd), k->round_odd);
    const vec r = v_blend_odd(v_shift_right64(even, 31), v_add64(odd, odd));
    return v_shift_right(v_sub(r, v_shift_right_unsigned(x, k->sign)), k->right);
}

// The first `pixels` of BLOCK pixels of a group, `channels` codes of each.
static __attribute__((noinline)) void store_some(int8_t *out, vec codes, int64_t stride, int pixels,
                                                 int channels)
{
    int8_t all[BLOCK * LANES];
    v_store(all, codes);
    for (int i = 0; i < BLOCK && i < pixels; i++)
        memcpy(out + i * stride, all + i * LANES, (size_t)channels);
}

static inline struct clamps load_clamps(const struct dc_ilayer *l)
{
    return (struct clamps){v_set16(l->zero_point), v_set8(l->clamp_low), v_set8(l->clamp_high)};
}

// x + 128, framed by the zero point.
static void fill_padded(element *padded, const int8_t *x, const struct dc__fast_layer *f)
{
    const struct dc_ilayer *l = f->layer, *in = f->input;
    const bool dense = l->op == DC_I_FULLY_CONNECTED;
    const int64_t row = (int64_t)f->padded_w * in->channels;
    const int64_t pixels = (int64_t)in->width * in->channels;
    const int64_t left = dense ? 0 : (int64_t)l->window.before[1] * in->channels;
    const int top = dense ? 0 : l->window.before[0];
    const element border = (element)(in->zero_point + 128);
    for (int y = 0; y < f->padded_h; y++, padded += row) {
        const bool inside = y >= top && y < top + in->height;
        const int64_t before = inside ? left : row, after = inside ? left + pixels : row;
        for (int64_t i = 0; i < before; i++)
            padded[i] = border;
        if (inside) {
            const int8_t *from = x + (y - top) * pixels;
            for (int64_t i = 0; i < pixels; i++)
                padded[left + i] = (element)(from[i] + 128);
        }
        for (int64_t i = after; i < row; i++)
            padded[i] = border;
    }
}

// Codes of BLOCK positions of one group, of which `pixels` exist.
static ALWAYS_INLINE void finish(int8_t *out, vec s0, vec s1, vec s2, vec s3, int pixels, int group,
                                 const struct dc_ilayer *l, const struct rescale *k,
                                 const struct clamps *clamps)
{
    const vec codes = k->floats ? v_codes(v_scale(s0, k->factor), v_scale(s1, k->factor),
                                          v_scale(s2, k->factor), v_scale(s3, k->factor), clamps)
                                : v_codes(rescale(s0, k), rescale(s1, k), rescale(s2, k),
                                          rescale(s3, k), clamps);
    const int left = l->channels - group * LANES;
    if (left < LANES || pixels < BLOCK)
        store_some(out, codes, l->channels, pixels, left < LANES ? left : LANES);
    else if (l->channels == LANES)
        v_store(out, codes);
    else
        v_scatter(out, codes, l->channels);
}

// A tile: `groups` groups at PART * parts adjacent positions, of which `pixels` exist; the others
// read where the last one reads. Two sets of sums keep the multipliers busy and fit the registers.
// step: bytes between positions. groups and parts are constants: (2, 1), (1, 2) or (1, 1).
static ALWAYS_INLINE void tile(int8_t *out, const char *window, int64_t step, int pixels, int group,
                               const struct dc__fast_layer *f, int groups, int parts)
{
    const struct dc_ilayer *l = f->layer;
    const int sets = groups * parts;
    const int64_t group_bytes = f->words * (int64_t)sizeof(vec), far = PART * step;
    const char *w = (const char *)f->weights + group * group_bytes;
    const lanes bias = (lanes)v_load(f->biases + group * LANES);
    const lanes next_bias = groups == 2 ? (lanes)v_load(f->biases + (group + 1) * LANES) : bias;
    const int last = parts == 2 || pixels > PART ? PART - 1 : pixels - 1;
#define BEGIN(p)                                                                                   \
    const char *at##p = window + (p < last ? p : last) * step;                                     \
    lanes first##p = bias, second##p = next_bias;
#define MULTIPLY(p)                                                                                \
    x = v_word(at##p + near);                                                                      \
    first##p = v_dot(first##p, x, w0);                                                             \
    if (sets == 2)                                                                                 \
        second##p = v_dot(second##p, parts == 2 ? v_word(at##p + near + far) : x, w1);
#define FINISH(name, at, a, b, c, d)                                                               \
    finish(to + (int64_t)(at)*l->channels, (vec)name##a, (vec)name##b, (vec)name##c, (vec)name##d, \
           pixels - (at), g, l, &k, &clamps);
#define FINISH_FIRST(at, a, b, c, d)  FINISH(first, at, a, b, c, d)
#define FINISH_SECOND(at, a, b, c, d) FINISH(second, at, a, b, c, d)
    EACH_PIXEL(BEGIN)
    const int64_t *offset = f->offsets, *const end = offset + f->words;
    do {
        const int64_t near = *offset++;
        const vec w0 = v_load(w), w1 = groups == 2 ? v_load(w + group_bytes) : w0;
        vec x;
        w += sizeof(vec);
        EACH_PIXEL(MULTIPLY)
    } while (offset != end);
    const struct clamps clamps = load_clamps(l);
    struct rescale k = load_rescale(&f->rescale, (int64_t)group * LANES);
    int8_t *to = out + group * LANES;
    int g = group;
    EACH_BLOCK(FINISH_FIRST)
    if (groups == 2) {
        k = load_rescale(&f->rescale, (int64_t)++g * LANES);
        to += LANES;
    } else {
        to += (int64_t)PART * l->channels;
        pixels -= PART;
    }
    if (sets == 2) {
        EACH_BLOCK(FINISH_SECOND)
    }
#undef BEGIN
#undef MULTIPLY
#undef FINISH
#undef FINISH_FIRST
#undef FINISH_SECOND
}

// Functions of their own, so that addresses and sums have all registers.
#define DC_TILE(name, groups, parts)                                                               \
    static __attribute__((noinline)) void name(int8_t *out, const char *window, int64_t step,      \
                                               int pixels, int group,                              \
                                               const struct dc__fast_layer *f)                     \
    {                                                                                              \
        tile(out, window, step, pixels, group, f, groups, parts);                                  \
    }

DC_TILE(tile_two_groups, 2, 1)
DC_TILE(tile_two_parts, 1, 2)
DC_TILE(tile_single, 1, 1)

// One row of output positions, two groups; twice the positions where one group is left.
static void convolve_row(int8_t *out, const char *window, int64_t step, int group,
                         const struct dc__fast_layer *f)
{
    const int pixels = f->row_pixels;
    const int64_t channels = f->layer->channels;
    int p = 0;
    for (; group + 2 <= f->groups && p < pixels; p += PART)
        tile_two_groups(out + p * channels, window + p * step, step, pixels - p, group, f);
    for (; p + 2 * PART <= pixels; p += 2 * PART)
        tile_two_parts(out + p * channels, window + p * step, step, 2 * PART, group, f);
    for (; p < pixels; p += PART)
        tile_single(out + p * channels, window + p * step, step, pixels - p, group, f);
}

// Groups outside, so that the weights of two stay in the nearest cache.
static void convolve(int8_t *out, void *padded, const int8_t *x, const struct dc__fast_layer *f)
{
    const struct dc_ilayer *l = f->layer;
    const int64_t pixel = (int64_t)f->input->channels * (int64_t)sizeof(element);
    const bool dense = l->op == DC_I_FULLY_CONNECTED;
    const int64_t row = dense ? 0 : l->window.stride[0] * f->padded_w * pixel;
    fill_padded(padded, x, f);
    for (int group = 0; group < f->groups; group += 2) {
        for (int y = 0; y < f->rows; y++)
            convolve_row(out + (int64_t)y * f->row_pixels * l->channels,
                         (const char *)padded + y * row, dense ? 0 : l->window.stride[1] * pixel,
                         group, f);
    }
}

// BLOCK positions at a time: one tap of LANES channels is one vector.
static void depthwise(int8_t *out, void *padded, const int8_t *x, const struct dc__fast_layer *f)
{
    const struct dc_ilayer *l = f->layer;
    const int64_t pixel = (int64_t)l->channels * (int64_t)sizeof(element);
    const int64_t step = l->window.stride[1] * pixel,
                  row = l->window.stride[0] * f->padded_w * pixel;
    const struct clamps clamps = load_clamps(l);
    fill_padded(padded, x, f);
    for (int at = 0; at < f->rows * f->groups; at++) {
        const int group = at / f->rows, y = at % f->rows;
        const struct rescale k = load_rescale(&f->rescale, (int64_t)group * LANES);
        const int32_t *weights = (const int32_t *)f->weights + (int64_t)group * f->words * LANES;
        const char *window = (const char *)padded + y * row + group * LANES * (int)sizeof(element);
        const vec bias = v_load(f->biases + group * LANES);
        for (int p = 0; p < f->row_pixels; p += BLOCK) {
            const int last = f->row_pixels - p < BLOCK ? f->row_pixels - p - 1 : BLOCK - 1;
            vec s[BLOCK] = {bias, bias, bias, bias};
            for (int t = 0; t < f->words; t++) {
                const char *tap = window + p * step + f->offsets[t];
                const vec w = v_load(weights + (int64_t)t * LANES);
                for (int i = 0; i < BLOCK; i++)
                    s[i] = v_add(s[i], v_mul(v_elements(tap + (i < last ? i : last) * step), w));
            }
            finish(out + ((int64_t)y * f->row_pixels + p) * l->channels + group * LANES, s[0], s[1],
                   s[2], s[3], f->row_pixels - p, group, l, &k, &clamps);
        }
    }
}

static int64_t add(int8_t *out, const int8_t *a, const int8_t *b, int64_t count,
                   const struct dc__fast_layer *f)
{
    const struct dc__add_line *line = &f->line;
    const vec first = v_set(line->first), second = v_set(line->second),
              offset = v_set(line->offset);
    struct clamps clamps = load_clamps(f->layer);
    clamps.zero_point = v_set(0);  // the offset has it
    const int64_t whole = count - count % (BLOCK * LANES);
    for (int64_t i = 0; i < whole; i += BLOCK * LANES) {
        vec r[BLOCK];
        for (int v = 0; v < BLOCK; v++) {
            const vec x = v_mul(v_widen(a + i + v * LANES), first);
            const vec y = v_mul(v_widen(b + i + v * LANES), second);
            r[v] = v_shift_right_all(v_add(v_add(x, y), offset), line->shift);
        }
        v_store(out + i, v_codes(r[0], r[1], r[2], r[3], &clamps));
    }
    return whole;
}

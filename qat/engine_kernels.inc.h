// The engine's kernels over a small vocabulary of vectors, included once an instruction-set level.
// The including file defines: LANES, TAPS, PART (pixels of half a tile), element, vec, and the v_
// functions on int32 lanes (v_..64: on pairs of lanes as one int64). engine_kernels.h has the
// layouts and the rescale.

#include <string.h>

#include "qat/engine_kernels.h"

// Constant arguments make one loop into several.
#define ALWAYS_INLINE inline __attribute__((always_inline))

// Loops over the sums of a tile must be unrolled, so that they stay in registers.
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { BLOCK = 4 };  // vectors that v_codes packs at once; PART is a multiple of it

struct rescale {
    vec multiplier, multiplier_odd, round, round_odd, half, sign, right;
};

static inline struct rescale load_rescale(const struct dc__rescale *r, int64_t at)
{
    const vec m = v_load(r->multipliers + at), round = v_load(r->round + at);
    return (struct rescale){.multiplier = m,
                            .multiplier_odd = v_high64(m),
                            .round = v_low64(round),
                            .round_odd = v_high64(round),
                            .half = v_load(r->half + at),
                            .sign = v_load(r->sign + at),
                            .right = v_load(r->right + at)};
}

static inline vec rescale(vec x, const struct rescale *k)
{
    const vec even = v_add64(v_mul64(x, k->multiplier), k->round);
    const vec odd = v_add64(v_mul64(v_high64(x), k->multiplier_odd), k->round_odd);
    const vec r = v_blend_odd(v_shift_right64(even, 31), v_add64(odd, odd));
    const vec sum = v_sub(v_add(r, k->half), v_shift_right_unsigned(r, k->sign));
    return v_shift_right(sum, k->right);
}

// x + 128, framed by the zero point.
static void fill_canvas(element *canvas, const int8_t *x, const struct dc__fast_layer *f)
{
    const struct dc_ilayer *l = f->layer, *in = f->input;
    const bool dense = l->op == DC_I_FULLY_CONNECTED;
    const int64_t row = (int64_t)f->canvas_w * in->channels;
    const int64_t pixels = (int64_t)in->width * in->channels;
    const int64_t left = dense ? 0 : (int64_t)l->pad_left * in->channels;
    const int top = dense ? 0 : l->pad_top;
    const element border = (element)(in->zero_point + 128);
    for (int y = 0; y < f->canvas_h; y++, canvas += row) {
        const bool inside = y >= top && y < top + in->height;
        const int64_t before = inside ? left : row, after = inside ? left + pixels : row;
        for (int64_t i = 0; i < before; i++)
            canvas[i] = border;
        if (inside) {
            const int8_t *from = x + (y - top) * pixels;
            for (int64_t i = 0; i < pixels; i++)
                canvas[left + i] = (element)(from[i] + 128);
        }
        for (int64_t i = after; i < row; i++)
            canvas[i] = border;
    }
}

// Requantized codes of `pixels` of BLOCK positions of one group, of which `channels` exist.
static ALWAYS_INLINE void store_block(int8_t *out, const vec *sums, const struct dc_ilayer *l,
                                      const struct rescale *k, int pixels, int channels)
{
    int8_t codes[BLOCK * LANES];
    vec r[BLOCK];
    UNROLL
    for (int i = 0; i < BLOCK; i++)
        r[i] = rescale(sums[i], k);
    if (l->channels == LANES && pixels >= BLOCK) {
        v_codes(out, r, l);
        return;
    }
    v_codes(codes, r, l);
    for (int i = 0; i < BLOCK && i < pixels; i++) {
        int8_t *to = out + (int64_t)i * l->channels;
        if (channels >= LANES)
            memcpy(to, codes + i * LANES, LANES);
        else
            memcpy(to, codes + i * LANES, (size_t)channels);
    }
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
#define END(p)                                                                                     \
    sums[0][p] = (vec)first##p;                                                                    \
    sums[1][p] = (vec)second##p;
    EACH_PIXEL(BEGIN)
    const int64_t *offset = f->offsets, *const end = offset + f->words;
    do {
        const int64_t near = *offset++;
        const vec w0 = v_load(w), w1 = groups == 2 ? v_load(w + group_bytes) : w0;
        vec x;
        w += sizeof(vec);
        EACH_PIXEL(MULTIPLY)
    } while (offset != end);
    vec sums[2][PART];
    EACH_PIXEL(END)
    UNROLL
    for (int set = 0; set < sets; set++) {
        const int g = group + (groups == 2 ? set : 0), first = parts == 2 ? set * PART : 0;
        const struct rescale k = load_rescale(&f->rescale, (int64_t)g * LANES);
        UNROLL
        for (int p = 0; p < PART; p += BLOCK)
            store_block(out + (int64_t)(first + p) * l->channels + g * LANES, sums[set] + p, l, &k,
                        pixels - first - p, l->channels - g * LANES);
    }
}

// One row of output positions, all channels: pairs of groups, and twice the positions where one
// group is left.
static void convolve_row(int8_t *out, const char *window, int64_t step,
                         const struct dc__fast_layer *f)
{
    const int pixels = f->row_pixels;
    const int64_t channels = f->layer->channels;
    int group = 0, p = 0;
    for (; group + 2 <= f->groups; group += 2) {
        for (p = 0; p < pixels; p += PART)
            tile(out + p * channels, window + p * step, step, pixels - p, group, f, 2, 1);
    }
    if (group == f->groups)
        return;
    for (p = 0; p + 2 * PART <= pixels; p += 2 * PART)
        tile(out + p * channels, window + p * step, step, 2 * PART, group, f, 1, 2);
    for (; p < pixels; p += PART)
        tile(out + p * channels, window + p * step, step, pixels - p, group, f, 1, 1);
}

static void convolve(int8_t *out, void *canvas, const int8_t *x, const struct dc__fast_layer *f)
{
    const struct dc_ilayer *l = f->layer;
    const int64_t pixel = (int64_t)f->input->channels * (int64_t)sizeof(element);
    const bool dense = l->op == DC_I_FULLY_CONNECTED;
    const int64_t row = dense ? 0 : l->stride_h * f->canvas_w * pixel;
    fill_canvas(canvas, x, f);
    for (int y = 0; y < f->rows; y++)
        convolve_row(out + (int64_t)y * f->row_pixels * l->channels, (const char *)canvas + y * row,
                     dense ? 0 : l->stride_w * pixel, f);
}

static int64_t add(int8_t *out, const int8_t *a, const int8_t *b, int64_t count,
                   const struct dc__fast_layer *f)
{
    const struct rescale k_a = load_rescale(&f->rescale, 0), k_b = load_rescale(&f->rescale, LANES),
                         k = load_rescale(&f->rescale, 2 * LANES);
    const vec zero_a = v_set(f->input->zero_point), zero_b = v_set(f->second->zero_point);
    const int64_t whole = count - count % (BLOCK * LANES);
    for (int64_t i = 0; i < whole; i += BLOCK * LANES) {
        vec r[BLOCK];
        for (int v = 0; v < BLOCK; v++) {
            const vec left = v_sub(v_widen(a + i + v * LANES), zero_a);
            const vec right = v_sub(v_widen(b + i + v * LANES), zero_b);
            const vec sum = v_add(rescale(v_shift_left20(left), &k_a),
                                  rescale(v_shift_left20(right), &k_b));
            r[v] = rescale(sum, &k);
        }
        v_codes(out + i, r, f->layer);
    }
    return whole;
}

// The engine's kernels on AVX-512 with VNNI: 16 channels a vector, 4 taps an instruction. vpdpbusd
// multiplies unsigned by signed bytes and adds without saturation, so sums are exact modulo 2^32.

#if defined(__AVX512VNNI__)

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16, TAPS = 4, PART = 8 };
typedef uint8_t element;
#define EACH_PIXEL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define EACH_BLOCK(X) X(0, 0, 1, 2, 3) X(4, 4, 5, 6, 7)
typedef __m512i vec;

// As lanes, not as int64 pairs: gcc 12 copies sums that change their type in every round of a loop.
typedef int32_t lanes __attribute__((vector_size(64)));

static inline vec v_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

static inline vec v_set(int32_t x)
{
    return _mm512_set1_epi32(x);
}

// One word of a padded input in every lane.
static inline vec v_word(const char *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
}

static inline lanes v_dot(lanes sum, vec x, vec w)
{
    return (lanes)_mm512_dpbusd_epi32((vec)sum, x, w);
}

static inline vec v_widen(const int8_t *p)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}

// LANES elements of a padded input.
static inline vec v_elements(const char *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static inline vec v_add(vec a, vec b)
{
    return _mm512_add_epi32(a, b);
}

static inline vec v_sub(vec a, vec b)
{
    return _mm512_sub_epi32(a, b);
}

static inline vec v_mul(vec a, vec b)
{
    return _mm512_mullo_epi32(a, b);
}

static inline vec v_shift_right_all(vec a, int by)
{
    return _mm512_sra_epi32(a, _mm_cvtsi32_si128(by));
}

static inline vec v_shift_right(vec a, vec by)
{
    return _mm512_srav_epi32(a, by);
}

static inline vec v_shift_right_unsigned(vec a, vec by)
{
    return _mm512_srlv_epi32(a, by);
}

static inline vec v_add64(vec a, vec b)
{
    return _mm512_add_epi64(a, b);
}

// Half to even of float32 products; factor holds floats.
static inline vec v_scale(vec x, vec factor)
{
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(x), _mm512_castsi512_ps(factor)));
}

// Products of the even lanes.
static inline vec v_mul64(vec a, vec b)
{
    return _mm512_mul_epi32(a, b);
}

static inline vec v_shift_right64(vec a, int by)
{
    return _mm512_srli_epi64(a, (unsigned)by);
}

static inline vec v_high64(vec a)
{
    return _mm512_srli_epi64(a, 32);
}

static inline vec v_blend_odd(vec even, vec odd)
{
    return _mm512_mask_blend_epi32(0xaaaa, even, odd);
}

static inline vec v_set16(int x)
{
    return _mm512_set1_epi16((int16_t)x);
}

static inline vec v_set8(int x)
{
    return _mm512_set1_epi8((int8_t)x);
}

static inline vec v_pack32(vec a, vec b)
{
    return _mm512_packs_epi32(a, b);
}

static inline vec v_pack16(vec a, vec b)
{
    return _mm512_packs_epi16(a, b);
}

static inline vec v_add_saturated16(vec a, vec b)
{
    return _mm512_adds_epi16(a, b);
}

static inline vec v_max8(vec a, vec b)
{
    return _mm512_max_epi8(a, b);
}

static inline vec v_min8(vec a, vec b)
{
    return _mm512_min_epi8(a, b);
}

// Packing works within 128 bits; this puts four packed vectors one behind the other.
static inline vec v_in_order(vec packed)
{
    const vec order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    return _mm512_permutexvar_epi32(order, packed);
}

static inline void v_store(int8_t *p, vec codes)
{
    _mm512_storeu_si512(p, codes);
}

static inline void store_lanes(int8_t *p, __m128i codes)
{
    _mm_storeu_si128((__m128i *)(void *)p, codes);
}

// Four pixels, stride codes apart.
static inline void v_scatter(int8_t *p, vec codes, int64_t stride)
{
    store_lanes(p, _mm512_castsi512_si128(codes));
    store_lanes(p + stride, _mm512_extracti32x4_epi32(codes, 1));
    store_lanes(p + 2 * stride, _mm512_extracti32x4_epi32(codes, 2));
    store_lanes(p + 3 * stride, _mm512_extracti32x4_epi32(codes, 3));
}

#include "qat/engine_kernels.inc.h"

const struct dc__engine_kernels dc__engine_avx512 = {
    .lanes = LANES, .taps = TAPS, .convolve = convolve, .depthwise = depthwise, .add = add};

#else
typedef int dc__engine_without_avx512;
#endif

// The engine's kernels on AVX2: 8 channels a vector, 2 taps an instruction. Elements are 16-bit,
// because vpmaddubsw would saturate; vpmaddwd's sum of two products of 9-bit values is exact.

#if defined(__AVX2__)

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 8, TAPS = 2, PART = 4 };
typedef int16_t element;
#define EACH_PIXEL(X) X(0) X(1) X(2) X(3)
#define EACH_BLOCK(X) X(0, 0, 1, 2, 3)
typedef __m256i vec;

// As lanes, not as int64 pairs: gcc 12 copies sums that change their type in every round of a loop.
typedef int32_t lanes __attribute__((vector_size(32)));

static inline vec v_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

static inline vec v_set(int32_t x)
{
    return _mm256_set1_epi32(x);
}

// One word of a padded input in every lane.
static inline vec v_word(const char *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
}

static inline lanes v_dot(lanes sum, vec x, vec w)
{
    return (lanes)_mm256_add_epi32((vec)sum, _mm256_madd_epi16(x, w));
}

static inline vec v_widen(const int8_t *p)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

// LANES elements of a padded input.
static inline vec v_elements(const char *p)
{
    return _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static inline vec v_add(vec a, vec b)
{
    return _mm256_add_epi32(a, b);
}

static inline vec v_sub(vec a, vec b)
{
    return _mm256_sub_epi32(a, b);
}

static inline vec v_mul(vec a, vec b)
{
    return _mm256_mullo_epi32(a, b);
}

static inline vec v_shift_right_all(vec a, int by)
{
    return _mm256_sra_epi32(a, _mm_cvtsi32_si128(by));
}

static inline vec v_shift_right(vec a, vec by)
{
    return _mm256_srav_epi32(a, by);
}

static inline vec v_shift_right_unsigned(vec a, vec by)
{
    return _mm256_srlv_epi32(a, by);
}

static inline vec v_add64(vec a, vec b)
{
    return _mm256_add_epi64(a, b);
}

// Half to even of float32 products; factor holds floats.
static inline vec v_scale(vec x, vec factor)
{
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(x), _mm256_castsi256_ps(factor)));
}

// Products of the even lanes.
static inline vec v_mul64(vec a, vec b)
{
    return _mm256_mul_epi32(a, b);
}

static inline vec v_shift_right64(vec a, int by)
{
    return _mm256_srli_epi64(a, by);
}

static inline vec v_high64(vec a)
{
    return _mm256_srli_epi64(a, 32);
}

static inline vec v_blend_odd(vec even, vec odd)
{
    return _mm256_blend_epi32(even, odd, 0xaa);
}

static inline vec v_set16(int x)
{
    return _mm256_set1_epi16((int16_t)x);
}

static inline vec v_set8(int x)
{
    return _mm256_set1_epi8((int8_t)x);
}

static inline vec v_pack32(vec a, vec b)
{
    return _mm256_packs_epi32(a, b);
}

static inline vec v_pack16(vec a, vec b)
{
    return _mm256_packs_epi16(a, b);
}

static inline vec v_add_saturated16(vec a, vec b)
{
    return _mm256_adds_epi16(a, b);
}

static inline vec v_max8(vec a, vec b)
{
    return _mm256_max_epi8(a, b);
}

static inline vec v_min8(vec a, vec b)
{
    return _mm256_min_epi8(a, b);
}

// Packing works within 128 bits; this puts four packed vectors one behind the other.
static inline vec v_in_order(vec packed)
{
    return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

static inline void v_store(int8_t *p, vec codes)
{
    _mm256_storeu_si256((vec *)(void *)p, codes);
}

// Four pixels, stride codes apart.
static inline void v_scatter(int8_t *p, vec codes, int64_t stride)
{
    const int64_t pixels[4] = {_mm256_extract_epi64(codes, 0), _mm256_extract_epi64(codes, 1),
                               _mm256_extract_epi64(codes, 2), _mm256_extract_epi64(codes, 3)};
    for (int i = 0; i < 4; i++)
        memcpy(p + i * stride, &pixels[i], sizeof pixels[i]);
}

#include "qat/engine_kernels.inc.h"

const struct dc__engine_kernels dc__engine_avx2 = {
    .lanes = LANES, .taps = TAPS, .convolve = convolve, .depthwise = depthwise, .add = add};

#else
typedef int dc__engine_without_avx2;
#endif

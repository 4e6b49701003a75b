// The vector type of the AVX2 level: 8 floats, fused multiply-add.

#if !defined(__AVX2__) || !defined(__FMA__)
#error "this file must be compiled with -mavx2 -mfma"
#endif
#include <immintrin.h>

typedef __m256 vf;
typedef __m256i vf_mask;
// 6 pixels by 2 vectors, or 12 by 1, are 12 accumulators of 16 registers.
enum { WIDTH = 8, TILE_VECTORS = 2, TILE_PIXELS = 12, TILE_SUMS = 12 };

static inline vf vf_zero(void)
{
    return _mm256_setzero_ps();
}
static inline vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline vf vf_broadcast(const float *p)
{
    return _mm256_broadcast_ss(p);
}
static inline vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
static inline vf vf_multiply_add(vf a, vf b, vf c)  // a * b + c
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}
static inline vf_mask vf_first(int n)  // lanes 0 .. n - 1
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lanes);
}
static inline vf vf_load_masked(const float *p, vf_mask mask)  // other lanes: zero and not read
{
    return _mm256_maskload_ps(p, mask);
}
static inline void vf_store_masked(float *p, vf v, vf_mask mask)
{
    _mm256_maskstore_ps(p, mask, v);
}
static inline vf vf_subtract(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
static inline vf vf_multiply(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
static inline vf vf_clamp(vf v, vf low, vf high)  // NaN stays
{
    return _mm256_min_ps(high, _mm256_max_ps(low, v));
}
static inline vf vf_least(vf v, vf least)  // NaN in v changes nothing
{
    return _mm256_min_ps(v, least);
}
static inline vf vf_greatest(vf v, vf greatest)
{
    return _mm256_max_ps(v, greatest);
}
static inline vf vf_round(vf v)  // to even, |v| <= 2^22; 0 is +0
{
    const vf magic = _mm256_set1_ps(12582912.0f);
    return _mm256_sub_ps(_mm256_add_ps(v, magic), magic);
}
static inline vf vf_where_inside(vf g, vf v, vf low, vf high)  // 0 where v < low or v > high
{
    const vf outside = _mm256_or_ps(_mm256_cmp_ps(v, low, _CMP_LT_OQ),
                                    _mm256_cmp_ps(v, high, _CMP_GT_OQ));
    return _mm256_andnot_ps(outside, g);
}

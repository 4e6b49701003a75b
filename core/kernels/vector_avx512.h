// The vector type of the AVX-512 level: 16 floats, fused multiply-add, masks in registers.

#if !defined(__AVX512F__) || !defined(__AVX512VL__)
#error "this file must be compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl"
#endif
#include <immintrin.h>

typedef __m512 vf;
typedef __mmask16 vf_mask;
// 12 pixels by 2 vectors are 24 accumulators of 32 registers; 12 is also what fits the addresses.
enum { WIDTH = 16, TILE_VECTORS = 2, TILE_PIXELS = 12, TILE_SUMS = 24 };

static inline vf vf_zero(void)
{
    return _mm512_setzero_ps();
}
static inline vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline vf vf_broadcast(const float *p)
{
    return _mm512_set1_ps(*p);
}
static inline vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf vf_multiply_add(vf a, vf b, vf c)  // a * b + c
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
static inline vf_mask vf_first(int n)  // lanes 0 .. n - 1
{
    return (vf_mask)((1u << n) - 1u);
}
static inline vf vf_load_masked(const float *p, vf_mask mask)  // other lanes: zero and not read
{
    return _mm512_maskz_loadu_ps(mask, p);
}
static inline void vf_store_masked(float *p, vf v, vf_mask mask)
{
    _mm512_mask_storeu_ps(p, mask, v);
}
static inline vf vf_subtract(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf vf_multiply(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf vf_clamp(vf v, vf low, vf high)  // NaN stays
{
    return _mm512_min_ps(high, _mm512_max_ps(low, v));
}
static inline vf vf_least(vf v, vf least)  // NaN in v changes nothing
{
    return _mm512_min_ps(v, least);
}
static inline vf vf_greatest(vf v, vf greatest)
{
    return _mm512_max_ps(v, greatest);
}
static inline vf vf_round(vf v)  // to even, |v| <= 2^22; 0 is +0
{
    const vf magic = _mm512_set1_ps(12582912.0f);
    return _mm512_sub_ps(_mm512_add_ps(v, magic), magic);
}
static inline vf vf_where_inside(vf g, vf v, vf low, vf high)  // 0 where v < low or v > high
{
    const vf_mask outside = _mm512_cmp_ps_mask(v, low, _CMP_LT_OQ) |
                            _mm512_cmp_ps_mask(v, high, _CMP_GT_OQ);
    return _mm512_maskz_mov_ps((vf_mask)~outside, g);
}

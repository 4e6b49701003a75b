// The vector type of the SSE2 level: 4 floats, multiply and add apart.

#include <emmintrin.h>
#include <string.h>

typedef __m128 vf;
typedef int vf_mask;
// 2 pixels by 4 vectors, or 8 by 1, are 8 accumulators of 16 registers.
enum { WIDTH = 4, TILE_VECTORS = 4, TILE_PIXELS = 8, TILE_SUMS = 8 };

static inline vf vf_zero(void)
{
    return _mm_setzero_ps();
}
static inline vf vf_load(const float *p)
{
    return _mm_loadu_ps(p);
}
static inline vf vf_broadcast(const float *p)
{
    return _mm_set1_ps(*p);
}
static inline vf vf_add(vf a, vf b)
{
    return _mm_add_ps(a, b);
}
static inline vf vf_multiply_add(vf a, vf b, vf c)
{
    return _mm_add_ps(_mm_mul_ps(a, b), c);
}
static inline void vf_store(float *p, vf v)
{
    _mm_storeu_ps(p, v);
}
static inline vf_mask vf_first(int n)  // lanes 0 .. n - 1
{
    return n;
}
static inline vf vf_load_masked(const float *p, vf_mask n)  // other lanes: zero and not read
{
    float lanes[4] = {0};
    memcpy(lanes, p, sizeof(float) * (size_t)n);
    return _mm_loadu_ps(lanes);
}
static inline void vf_store_masked(float *p, vf v, vf_mask n)
{
    float lanes[4];
    _mm_storeu_ps(lanes, v);
    memcpy(p, lanes, sizeof(float) * (size_t)n);
}
static inline vf vf_subtract(vf a, vf b)
{
    return _mm_sub_ps(a, b);
}
static inline vf vf_multiply(vf a, vf b)
{
    return _mm_mul_ps(a, b);
}
static inline vf vf_clamp(vf v, vf low, vf high)
{
    return _mm_min_ps(high, _mm_max_ps(low, v));
}
static inline vf vf_least(vf v, vf least)
{
    return _mm_min_ps(v, least);
}
static inline vf vf_greatest(vf v, vf greatest)
{
    return _mm_max_ps(v, greatest);
}
static inline vf vf_round(vf v)
{
    const vf magic = _mm_set1_ps(12582912.0f);
    return _mm_sub_ps(_mm_add_ps(v, magic), magic);
}
static inline vf vf_where_inside(vf g, vf v, vf low, vf high)
{
    return _mm_andnot_ps(_mm_or_ps(_mm_cmplt_ps(v, low), _mm_cmpgt_ps(v, high)), g);
}

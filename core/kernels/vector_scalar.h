// The vector type of the scalar level: one float. For the families that have one source for all
// levels; the reference loops of kernels_scalar.c do without.

typedef float vf;
typedef int vf_mask;
enum { WIDTH = 1, TILE_VECTORS = 1 };

static inline vf vf_zero(void)
{
    return 0.0f;
}
static inline vf vf_load(const float *p)
{
    return *p;
}
static inline vf vf_broadcast(const float *p)
{
    return *p;
}
static inline vf_mask vf_first(int n)
{
    return n;
}
static inline vf vf_load_masked(const float *p, vf_mask n)
{
    return n > 0 ? *p : 0.0f;
}
static inline void vf_store(float *p, vf v)
{
    *p = v;
}
static inline void vf_store_masked(float *p, vf v, vf_mask n)
{
    if (n > 0)
        *p = v;
}
static inline vf vf_add(vf a, vf b)
{
    return a + b;
}
static inline vf vf_subtract(vf a, vf b)
{
    return a - b;
}
static inline vf vf_multiply(vf a, vf b)
{
    return a * b;
}
static inline vf vf_clamp(vf v, vf low, vf high)
{
    const vf raised = v < low ? low : v;
    return raised > high ? high : raised;
}
static inline vf vf_least(vf v, vf least)
{
    return v < least ? v : least;
}
static inline vf vf_greatest(vf v, vf greatest)
{
    return v > greatest ? v : greatest;
}
static inline vf vf_round(vf v)
{
    const float magic = 12582912.0f;
    return (v + magic) - magic;
}
static inline vf vf_where_inside(vf g, vf v, vf low, vf high)
{
    return v < low || v > high ? 0.0f : g;
}

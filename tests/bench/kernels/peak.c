// Owns the register-only loops. Accumulators converge (x * a + b with a < 1), so no value becomes
// infinite or denormal; the result is stored to a volatile, so the loop stays.

#include "peak.h"

enum { ROUNDS = 20000, CHAINS = 12 };

static volatile float sink;

// 12 chains hide a latency of up to 6 cycles at 2 operations a cycle.
// They start from different values: equal chains would be merged into one.
#define LOOP(vector, set, step, first)                                                             \
    const vector a = set(0.5f), b = set(0.25f);                                                    \
    vector x0 = set(0), x1 = set(1), x2 = set(2), x3 = set(3), x4 = set(4), x5 = set(5),           \
           x6 = set(6), x7 = set(7), x8 = set(8), x9 = set(9), x10 = set(10), x11 = set(11);       \
    for (int i = 0; i < ROUNDS; i++) {                                                             \
        x0 = step(x0, a, b), x1 = step(x1, a, b), x2 = step(x2, a, b), x3 = step(x3, a, b);        \
        x4 = step(x4, a, b), x5 = step(x5, a, b), x6 = step(x6, a, b), x7 = step(x7, a, b);        \
        x8 = step(x8, a, b), x9 = step(x9, a, b), x10 = step(x10, a, b), x11 = step(x11, a, b);    \
    }                                                                                              \
    sink = first(x0) + first(x1) + first(x2) + first(x3) + first(x4) + first(x5) + first(x6) +     \
           first(x7) + first(x8) + first(x9) + first(x10) + first(x11);

#define SCALAR_SET(v)        (v)
#define SCALAR_STEP(x, m, n) ((x) * (m) + (n))
#define SCALAR_FIRST(x)      (x)

// As the compiler turns it, vectors included: so are the scalar kernels.
static void scalar_loop(void)
{
    LOOP(float, SCALAR_SET, SCALAR_STEP, SCALAR_FIRST)
}

#if defined(__x86_64__)
#include <immintrin.h>

#define SSE2_STEP(x, m, n) _mm_add_ps(_mm_mul_ps(x, m), n)

static void sse2_loop(void)
{
    LOOP(__m128, _mm_set1_ps, SSE2_STEP, _mm_cvtss_f32)
}
__attribute__((target("avx2,fma"))) static void avx2_loop(void)
{
    LOOP(__m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32)
}
__attribute__((target("avx512f"))) static void avx512_loop(void)
{
    LOOP(__m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32)
}
#endif

double peak_loop(enum dc_isa isa)
{
    static const int lanes[DC_ISA_COUNT] = {1, 4, 8, 16};
    switch (isa) {
#if defined(__x86_64__)
    case DC_ISA_AVX512:
        avx512_loop();
        break;
    case DC_ISA_AVX2:
        avx2_loop();
        break;
    case DC_ISA_SSE2:
        sse2_loop();
        break;
#endif
    default:
        scalar_loop();
    }
    return 2.0 * CHAINS * ROUNDS * lanes[isa];
}

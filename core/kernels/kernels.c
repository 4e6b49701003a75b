// Owns the choice of a kernel table.

#include "core/kernels/kernels.h"

#include <assert.h>

const struct dc_kernels *dc_kernels_for(enum dc_isa isa)
{
    static const struct dc_kernels *const tables[] = {
        [DC_ISA_SCALAR] = &dc__kernels_scalar,
#if defined(__x86_64__)
        [DC_ISA_SSE2] = &dc__kernels_sse2,
        [DC_ISA_AVX2] = &dc__kernels_avx2,
        [DC_ISA_AVX512] = &dc__kernels_avx512,
#else
        [DC_ISA_SSE2] = &dc__kernels_scalar,
        [DC_ISA_AVX2] = &dc__kernels_scalar,
        [DC_ISA_AVX512] = &dc__kernels_scalar,
#endif
    };
    static_assert(sizeof tables / sizeof tables[0] == DC_ISA_COUNT, "one table per level");
    return tables[isa];
}

// What the tiled kernels of one level share: unrolled loops, vectors at the edge of the channels,
// and the choice of a tile. Of one level: include it after a vector_*.h.

#ifndef DC_CORE_KERNELS_TILE_H
#define DC_CORE_KERNELS_TILE_H

#include "core/kernels/kernels.h"

#define TILE static inline __attribute__((always_inline)) void

// Tile loops have constant bounds and must be unrolled, so that accumulators stay in registers.
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

enum { TILE_MAX = 24 };  // the largest n of DISPATCH

static inline int smaller(int a, int b)
{
    return a < b ? a : b;
}

// Vector v of `vectors`; the last one has `last` lanes.
static inline vf load_vector(const float *p, int v, int vectors, int last)
{
    return v + 1 < vectors || last == WIDTH ? vf_load(p + v * WIDTH)
                                            : vf_load_masked(p + v * WIDTH, vf_first(last));
}

static inline void store_vector(float *p, vf value, int v, int vectors, int last)
{
    if (v + 1 < vectors || last == WIDTH)
        vf_store(p + v * WIDTH, value);
    else
        vf_store_masked(p + v * WIDTH, value, vf_first(last));
}

static inline void prefetch_next(struct dc_prefetch *prefetch)
{
    for (int i = 0; prefetch && i < prefetch->lines && prefetch->at < DC_PREFETCH_RANGES; i++) {
        __builtin_prefetch(prefetch->next[prefetch->at], 0,
                           2);  // for reading, into the second cache
        prefetch->next[prefetch->at] += DC_LINE;
        if (prefetch->next[prefetch->at] >= prefetch->end[prefetch->at])
            prefetch->at++;
    }
}

// The size of the next tile: as few tiles as `most` allows, of even sizes.
static inline int next_tile(int left, int most)
{
    const int tiles = (left + most - 1) / most;
    return (left + tiles - 1) / tiles;
}

// CALL(n) with n as a constant, 1 <= n <= most; what is above `most` is compiled away.
#define SIZE(size, most)                                                                           \
    case size:                                                                                     \
        if (size <= (most)) {                                                                      \
            CALL(size <= (most) ? size : 1);                                                       \
        }                                                                                          \
        break;
#define DISPATCH(n, most)                                                                          \
    switch (n) {                                                                                   \
        SIZE(1, most)                                                                              \
        SIZE(2, most)                                                                              \
        SIZE(3, most)                                                                              \
        SIZE(4, most)                                                                              \
        SIZE(5, most)                                                                              \
        SIZE(6, most)                                                                              \
        SIZE(7, most)                                                                              \
        SIZE(8, most)                                                                              \
        SIZE(9, most)                                                                              \
        SIZE(10, most)                                                                             \
        SIZE(11, most)                                                                             \
        SIZE(12, most)                                                                             \
        SIZE(13, most)                                                                             \
        SIZE(14, most)                                                                             \
        SIZE(15, most)                                                                             \
        SIZE(16, most)                                                                             \
        SIZE(17, most)                                                                             \
        SIZE(18, most)                                                                             \
        SIZE(19, most)                                                                             \
        SIZE(20, most)                                                                             \
        SIZE(21, most)                                                                             \
        SIZE(22, most)                                                                             \
        SIZE(23, most)                                                                             \
        SIZE(24, most)                                                                             \
    }
#define DISPATCH_VECTORS(n)                                                                        \
    switch (n) {                                                                                   \
        SIZE(1, TILE_VECTORS)                                                                      \
        SIZE(2, TILE_VECTORS)                                                                      \
        SIZE(3, TILE_VECTORS)                                                                      \
        SIZE(4, TILE_VECTORS)                                                                      \
    }

#endif

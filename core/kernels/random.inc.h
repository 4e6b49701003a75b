// Many consecutive blocks of Philox 4x32-10 (core/random.h) at once: plain loops over lanes that
// the compiler turns into vectors. Integer arithmetic, so every level gives the same numbers.

#include <string.h>

enum { PHILOX_LANES = 64, PHILOX_ROUNDS = 10 };

static inline void philox_round(uint32_t c[4][PHILOX_LANES], uint32_t k0, uint32_t k1)
{
    for (int i = 0; i < PHILOX_LANES; i++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c[0][i];
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c[2][i];
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1][i] ^ k0;
        const uint32_t n2 = (uint32_t)(p0 >> 32) ^ c[3][i] ^ k1;
        c[1][i] = (uint32_t)p1;
        c[3][i] = (uint32_t)p0;
        c[0][i] = n0;
        c[2][i] = n2;
    }
}

static void philox(uint32_t *out, const uint32_t counter[4], const uint32_t key[2], int64_t count)
{
    for (int64_t first = 0; first < count; first += 4 * PHILOX_LANES) {
        uint32_t c[4][PHILOX_LANES];
        for (int i = 0; i < PHILOX_LANES; i++) {
            c[0][i] = counter[0] + (uint32_t)(first / 4) + (uint32_t)i;
            c[1][i] = counter[1];
            c[2][i] = counter[2];
            c[3][i] = counter[3];
        }
        for (uint32_t round = 0; round < PHILOX_ROUNDS; round++)
            philox_round(c, key[0] + round * 0x9E3779B9u, key[1] + round * 0xBB67AE85u);
        const int64_t left = count - first;
        uint32_t rest[4 * PHILOX_LANES], *to = left < 4 * PHILOX_LANES ? rest : out + first;
        for (int i = 0; i < PHILOX_LANES; i++) {
            to[4 * i] = c[0][i];
            to[4 * i + 1] = c[1][i];
            to[4 * i + 2] = c[2][i];
            to[4 * i + 3] = c[3][i];
        }
        if (to == rest)
            memcpy(out + first, rest, sizeof *out * (size_t)left);
    }
}

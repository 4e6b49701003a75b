// Owns the generator. Normals come from Box-Muller on Decant's own log, sqrt and cosine, so that
// initial weights have the same bits on every machine.

#include "core/random.h"

#include <math.h>
#include <string.h>

#include "core/math.h"

void dc_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        const uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void dc_random_start(struct dc_random *random, uint32_t seed, enum dc_purpose purpose,
                     uint32_t epoch, uint64_t id)
{
    *random = (struct dc_random){
        .key = {seed, (uint32_t)purpose},
        .counter = {0, epoch, (uint32_t)id, (uint32_t)(id >> 32)},
        .used = 4,
    };
}

uint32_t dc_random_u32(struct dc_random *random)
{
    if (random->used == 4) {
        dc_philox(random->block, random->counter, random->key);
        random->counter[0]++;
        random->used = 0;
    }
    return random->block[random->used++];
}

// Lemire, "Fast random integer generation in an interval", 2019: unbiased by rejection.
uint32_t dc_random_below(struct dc_random *random, uint32_t n)
{
    const uint32_t threshold = (0u - n) % n;
    for (;;) {
        const uint64_t product = (uint64_t)dc_random_u32(random) * n;
        if ((uint32_t)product >= threshold)
            return (uint32_t)(product >> 32);
    }
}

float dc_random_unit(struct dc_random *random)
{
    return (float)(dc_random_u32(random) >> 8) * 0x1p-24f;
}

float dc_random_between(struct dc_random *random, float low, float high)
{
    const float t = dc_random_unit(random) * (high - low);
    return low + t;
}

double dc_random_normal(struct dc_random *random)
{
    const double u = ((double)dc_random_u32(random) + 1.0) * 0x1p-32;  // (0, 1]
    const double v = (double)dc_random_u32(random) * 0x1p-32;          // [0, 1)
    return sqrt(-2.0 * dc_ln(u)) * dc_cos_turns(v);
}

uint64_t dc_hash_bytes(uint64_t hash, const void *bytes, uint64_t count)
{
    const uint8_t *p = bytes;
    for (uint64_t i = 0; i < count; i++)
        hash = (hash ^ p[i]) * 1099511628211ull;
    return hash;
}

uint64_t dc_hash_name(const char *name)
{
    return dc_hash_bytes(DC_HASH_START, name, strlen(name));
}

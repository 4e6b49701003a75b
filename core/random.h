// Counter-based random numbers: Philox 4x32-10 (Salmon et al., SC'11).
//
// A stream is a pure function of (seed, purpose, epoch, id): nothing to save and nothing to
// restore. Resume, thread counts and loader depth therefore cannot change what is drawn.

#ifndef DC_CORE_RANDOM_H
#define DC_CORE_RANDOM_H

#include <stdint.h>

// Independent streams from one seed. Values are part of the file format of soft-target caches:
// append, never renumber.
enum dc_purpose {
    DC_PURPOSE_INIT = 1,
    DC_PURPOSE_SHUFFLE = 2,
    DC_PURPOSE_SPLIT = 3,
    DC_PURPOSE_AUGMENT = 4,
    DC_PURPOSE_DROPOUT = 5,
    DC_PURPOSE_CALIBRATION = 6,
    DC_PURPOSE_TEST = 7,
    DC_PURPOSE_NEGATIVES = 8,
    DC_PURPOSE_TEST_SHARE = 9,
    DC_PURPOSE_SUBSET = 10,
    DC_PURPOSE_PLACEMENT = 11,
    DC_PURPOSE_SWEEP = 12,
};

struct dc_random {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t block[4];
    int used;  // values of block already handed out
};

// id: a sample id, or a hash of a name (dc_hash_name).
void dc_random_start(struct dc_random *random, uint32_t seed, enum dc_purpose purpose,
                     uint32_t epoch, uint64_t id);

uint32_t dc_random_u32(struct dc_random *random);
uint32_t dc_random_below(struct dc_random *random, uint32_t n);  // uniform in [0, n), n > 0
float dc_random_unit(struct dc_random *random);                  // uniform in [0, 1)
float dc_random_between(struct dc_random *random, float low, float high);
double dc_random_normal(struct dc_random *random);  // mean 0, deviation 1

// One block of Philox, for tests against the published vectors.
void dc_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

uint64_t dc_hash_name(const char *name);  // FNV-1a, 64 bit
uint64_t dc_hash_bytes(uint64_t hash, const void *bytes, uint64_t count);
#define DC_HASH_START 14695981039346656037ull

#endif

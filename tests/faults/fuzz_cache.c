// A shard of a soft-target cache: the cache is begun anew, the shard is what is given.

#include <stdlib.h>

#include "distill/cache.h"
#include "tests/faults/fuzz.h"

enum { SAMPLES = 4, CLASSES = 3 };

static struct dc_cache *cache;

static void make_cache(void)
{
    static const int64_t ids[SAMPLES] = {0, 1, 2, 3};
    static const struct dc_source source = {
        .count = SAMPLES, .sample = {3, {2, 2, 1}}, .classes = CLASSES, .hash = 5};
    static const float rows[SAMPLES * CLASSES] = {1, 2, 3, -1, -2, -3};
    const struct dc_cache_spec spec = {
        .block = SAMPLES,
        .columns = {{"logits", CLASSES}},
        .column_count = 1,
        .teacher = 7,
        .teacher_name = "teacher",
        .view = {{.channels = 1, .mean = {0.5f}, .deviation = {0.25f}}, source.sample},
        .source = &source,
        .ids = ids,
        .id_count = SAMPLES};
    bool taken = false;
    if (dc_cache_open(&cache, fuzz_path("cache"), &spec, DC_CACHE_MAKE, NULL) != DC_OK ||
        dc_cache_claim(&taken, cache, 0, 0, NULL) != DC_OK || !taken ||
        dc_cache_write(cache, 0, 0, rows, NULL) != DC_OK)
        abort();
    dc_cache_release(cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!cache)
        make_cache();
    fuzz_file("cache/epoch-0000/block-0000.h5", data, size);
    fuzz_taken += dc_cache_check(cache, 0, 0, NULL) == DC_OK;
    return 0;
}

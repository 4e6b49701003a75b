// What cache.c (folder, manifest, reading) and cache_shard.c (one shard's file) share.

#ifndef DC_DISTILL_CACHE_INTERNAL_H
#define DC_DISTILL_CACHE_INTERNAL_H

#include "core/h5.h"
#include "distill/cache.h"

enum { DC_CACHE_ARRAYS = DC_CACHE_COLUMNS + 2 };

// An array of a shard: [samples, views, width].
struct dc_cache_array {
    const char *name;
    enum dc_dtype dtype;
    int64_t width;
    char *loaded;  // [id_count, views, width], NULL before the first epoch
};

struct dc_cache {
    struct dc_cache_spec spec;
    struct dc_arena *arena;
    char *folder;
    const char *isa;
    bool repaired;
    uint64_t identity;  // hash of the manifest's entries
    int64_t views;
    // Logits are one array, or with spec.top three: values, their classes, and the rest's value.
    struct dc_cache_array arrays[DC_CACHE_ARRAYS];
    int array_count;
    int32_t *positions;    // [source->count] in spec.ids, or -1
    int64_t loaded_epoch;  // whose shards are loaded; -1: none
    uint32_t epoch;        // of the training: what dc_cache_load was last asked for
    int lock;              // file descriptor of a claimed shard, or -1
    char *lock_path;
};

size_t dc__cache_array_bytes(const struct dc_cache *cache, const struct dc_cache_array *array,
                             int64_t samples);
DC_MUST_USE char *dc__cache_path(const struct dc_cache *cache, int64_t epoch, int64_t block,
                                 struct dc_arena *arena, struct dc_error *error);
// arrays[i]: [samples of the block, views, width].
DC_MUST_USE enum dc_status dc__cache_read_shard(char *const *arrays, const struct dc_cache *cache,
                                                int64_t epoch, int64_t block,
                                                struct dc_error *error);

#endif

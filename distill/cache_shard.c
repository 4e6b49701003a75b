// Owns a shard's file: its arrays, its seal, and how a row of floats becomes arrays.

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/file.h"
#include "core/folder.h"
#include "core/half.h"
#include "core/math.h"
#include "core/random.h"
#include "distill/cache_internal.h"

enum { VERSION = 2 };

struct dc_rows dc_cache_block(const struct dc_cache *cache, int64_t block)
{
    const int64_t first = block * cache->spec.block, left = cache->spec.id_count - first;
    return (struct dc_rows){first, left < cache->spec.block ? left : cache->spec.block};
}

int64_t dc_cache_row(const struct dc_cache *cache)
{
    int64_t values = 0;
    for (int c = 0; c < cache->spec.column_count; c++)
        values += cache->spec.columns[c].values;
    return values;
}

size_t dc__cache_array_bytes(const struct dc_cache *cache, const struct dc_cache_array *array,
                             int64_t samples)
{
    return (size_t)(samples * cache->views * array->width) * dc_dtype_bytes(array->dtype);
}

char *dc__cache_path(const struct dc_cache *cache, int64_t epoch, int64_t block,
                     struct dc_arena *arena, struct dc_error *error)
{
    return dc_arena_printf(arena, error, "%s/epoch-%04" PRId64 "/block-%04" PRId64 ".h5",
                           cache->folder, epoch, block);
}

bool dc_cache_has(const struct dc_cache *cache, int64_t epoch, int64_t block)
{
    char *path = dc__cache_path(cache, epoch, block, cache->arena, NULL);
    return path && dc_file_exists(path);
}

enum dc_status dc_cache_claim(bool *taken, struct dc_cache *cache, int64_t epoch, int64_t block,
                              struct dc_error *error)
{
    assert(cache->lock < 0);
    char *folder = dc_arena_printf(cache->arena, error, "%s/epoch-%04" PRId64, cache->folder,
                                   epoch);
    cache->lock_path = dc_arena_printf(cache->arena, error, "%s/block-%04" PRId64 ".lock", folder,
                                       block);
    *taken = false;
    if (!folder || !cache->lock_path)
        return DC_ERR_MEMORY;
    DC_TRY(dc_make_directory(folder, error));
    cache->lock = open(cache->lock_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (cache->lock < 0)
        return dc_fail(error, DC_ERR_IO, "%s: %s", cache->lock_path, strerror(errno));
    *taken = flock(cache->lock, LOCK_EX | LOCK_NB) == 0;
    if (!*taken) {
        close(cache->lock);
        cache->lock = -1;
        return DC_OK;
    }
    const char *path = dc__cache_path(cache, epoch, block, cache->arena, error);
    if (path)
        dc_sweep_files(path);
    return path ? DC_OK : DC_ERR_MEMORY;
}

void dc_cache_release(struct dc_cache *cache)
{
    if (cache->lock < 0)
        return;
    unlink(cache->lock_path);
    close(cache->lock);
    cache->lock = -1;
}

static enum dc_status store(const struct dc_cache *cache, char *to, int64_t at, float value,
                            struct dc_error *error)
{
    if (cache->spec.dtype == DC_F32) {
        ((float *)to)[at] = value;
        return DC_OK;
    }
    const uint16_t half = dc_half_from_float(value);
    ((uint16_t *)to)[at] = half;
    if ((half & 0x7fffu) >= 0x7c00u)
        return dc_fail(error, DC_ERR_DATA,
                       "a teacher's output of %g does not fit float16; use dtype: float32",
                       (double)value);
    return DC_OK;
}

// The largest `top` logits, largest first, the smaller class first among equals; and the value z
// that each other class gets: (classes - top) exp(z) is the sum of their exp.
static enum dc_status store_top(char *const *arrays, const struct dc_cache *cache, int64_t row,
                                const float *logits, struct dc_error *error)
{
    const int64_t top = cache->spec.top, classes = cache->spec.columns[0].values;
    int32_t *kept = (int32_t *)arrays[1] + row * top;
    for (int64_t k = 0; k < top; k++) {
        int64_t best = -1;
        for (int64_t c = 0; c < classes; c++) {
            bool used = false;
            for (int64_t before = 0; before < k; before++)
                used = used || kept[before] == c;
            if (!used && (best < 0 || logits[c] > logits[best]))
                best = c;
        }
        kept[k] = (int32_t)best;
        DC_TRY(store(cache, arrays[0], row * top + k, logits[best], error));
    }
    const double largest = (double)logits[kept[0]];
    double all = 0.0, kept_sum = 0.0;
    for (int64_t c = 0; c < classes; c++)
        all += dc_exp((double)logits[c] - largest);
    for (int64_t k = 0; k < top; k++)
        kept_sum += dc_exp((double)logits[kept[k]] - largest);
    const double rest = all - kept_sum;
    ((float *)arrays[2])[row] =
        (float)(largest + dc_ln((rest > 1e-30 ? rest : 1e-30) / (double)(classes - top)));
    return DC_OK;
}

// The arrays of a block from rows of floats.
static enum dc_status encode(char *const *arrays, const struct dc_cache *cache, const float *rows,
                             int64_t samples, struct dc_error *error)
{
    const struct dc_cache_spec *spec = &cache->spec;
    const int64_t width = dc_cache_row(cache);
    for (int64_t r = 0; r < samples * cache->views; r++) {
        const float *row = rows + r * width;
        for (int64_t i = 0; i < width; i++)
            if (!isfinite(row[i]))
                return dc_fail(error, DC_ERR_NUMERIC,
                               "an output of teacher '%s' is not finite (sample %" PRId64
                               " of the block)",
                               spec->teacher_name, r / cache->views);
        if (spec->top > 0)
            DC_TRY(store_top(arrays, cache, r, row, error));
        int a = spec->top > 0 ? 3 : 0;
        row += spec->top > 0 ? spec->columns[0].values : 0;
        for (; a < cache->array_count; row += cache->arrays[a++].width)
            for (int64_t i = 0; i < cache->arrays[a].width; i++)
                DC_TRY(store(cache, arrays[a], r * cache->arrays[a].width + i, row[i], error));
    }
    return DC_OK;
}

static enum dc_status write_shard(struct dc_h5 *file, char *const *arrays,
                                  const struct dc_cache *cache, int64_t samples, int64_t epoch,
                                  int64_t block, struct dc_error *error)
{
    dc_h5_seal(file);
    DC_TRY(dc_h5_set_text(file, "decant_file", "soft targets", error));
    DC_TRY(dc_h5_set_int(file, "version", VERSION, error));
    DC_TRY(dc_h5_set_int(file, "cache", (int64_t)cache->identity, error));
    DC_TRY(dc_h5_set_int(file, "epoch", epoch, error));
    DC_TRY(dc_h5_set_int(file, "block", block, error));
    for (int a = 0; a < cache->array_count; a++) {
        const struct dc_tensor tensor = {arrays[a], cache->arrays[a].dtype,
                                         DC_SHAPE(samples, cache->views, cache->arrays[a].width)};
        DC_TRY(dc_h5_write(file, cache->arrays[a].name, &tensor, error));
    }
    return DC_OK;
}

// Memory for the arrays of `samples` samples; freed with free(arrays[0]).
static enum dc_status allocate(char *arrays[DC_CACHE_ARRAYS], const struct dc_cache *cache,
                               int64_t samples, struct dc_error *error)
{
    size_t bytes = 0;
    for (int a = 0; a < cache->array_count; a++)
        bytes += dc__cache_array_bytes(cache, &cache->arrays[a], samples) / 8 * 8 + 8;
    arrays[0] = dc_alloc(bytes, error);
    for (int a = 1; arrays[0] && a < cache->array_count; a++)
        arrays[a] = arrays[a - 1] +
                    dc__cache_array_bytes(cache, &cache->arrays[a - 1], samples) / 8 * 8 + 8;
    return arrays[0] ? DC_OK : DC_ERR_MEMORY;
}

enum dc_status dc_cache_write(struct dc_cache *cache, int64_t epoch, int64_t block,
                              const float *rows, struct dc_error *error)
{
    const int64_t samples = dc_cache_block(cache, block).count;
    char *path = dc__cache_path(cache, epoch, block, cache->arena, error);
    char *arrays[DC_CACHE_ARRAYS] = {NULL};
    struct dc_h5 *file = NULL;
    if (!path)
        return DC_ERR_MEMORY;
    DC_TRY(allocate(arrays, cache, samples, error));
    enum dc_status status = encode(arrays, cache, rows, samples, error);
    if (status == DC_OK)
        status = dc_h5_create(&file, path, error);
    if (file)
        status = dc_h5_close_commit(
            file, write_shard(file, arrays, cache, samples, epoch, block, error), error);
    free(arrays[0]);
    return status;
}

static enum dc_status want_int(const struct dc_h5 *file, const char *path, const char *name,
                               int64_t want, struct dc_error *error)
{
    int64_t have = 0;
    DC_TRY(dc_h5_get_int(file, name, &have, error));
    if (have == want)
        return DC_OK;
    return dc_fail(error, DC_ERR_DATA, "%s: its %s is %016" PRIx64 ", not %016" PRIx64, path, name,
                   (uint64_t)have, (uint64_t)want);
}

static enum dc_status read_shard(char *const *arrays, const struct dc_h5 *file, const char *path,
                                 const struct dc_cache *cache, int64_t epoch, int64_t block,
                                 struct dc_error *error)
{
    const int64_t samples = dc_cache_block(cache, block).count;
    DC_TRY(want_int(file, path, "version", VERSION, error));
    DC_TRY(want_int(file, path, "cache", (int64_t)cache->identity, error));
    DC_TRY(want_int(file, path, "epoch", epoch, error));
    DC_TRY(want_int(file, path, "block", block, error));
    for (int a = 0; a < cache->array_count; a++) {
        const struct dc_tensor tensor = {arrays[a], cache->arrays[a].dtype,
                                         DC_SHAPE(samples, cache->views, cache->arrays[a].width)};
        DC_TRY(dc_h5_read(file, cache->arrays[a].name, &tensor, error));
    }
    const int64_t kept = samples * cache->views * cache->spec.top;
    const int32_t *classes = kept > 0 ? (const int32_t *)arrays[1] : NULL;
    for (int64_t i = 0; classes && i < kept; i++)
        if (classes[i] < 0 || classes[i] >= cache->spec.columns[0].values)
            return dc_fail(error, DC_ERR_DATA, "%s: it names a class that is not there", path);
    return DC_OK;
}

enum dc_status dc__cache_read_shard(char *const *arrays, const struct dc_cache *cache,
                                    int64_t epoch, int64_t block, struct dc_error *error)
{
    char *path = dc__cache_path(cache, epoch, block, cache->arena, error);
    struct dc_h5 *file = NULL;
    if (!path)
        return DC_ERR_MEMORY;
    if (!dc_file_exists(path))
        return dc_fail(error, DC_ERR_DATA, "%s is missing; decant teach makes it", path);
    enum dc_status status = dc_h5_open_sealed(&file, path, error);
    if (status == DC_OK)
        status = read_shard(arrays, file, path, cache, epoch, block, error);
    dc_h5_close(file);
    if (status == DC_ERR_DATA)
        return dc_context(status, error,
                          "a shard is damaged or another cache's; decant teach "
                          "--repair makes it anew");
    return status;
}

enum dc_status dc_cache_check(struct dc_cache *cache, int64_t epoch, int64_t block,
                              struct dc_error *error)
{
    char *arrays[DC_CACHE_ARRAYS] = {NULL};
    DC_TRY(allocate(arrays, cache, dc_cache_block(cache, block).count, error));
    const enum dc_status status = dc__cache_read_shard(arrays, cache, epoch, block, error);
    free(arrays[0]);
    return status;
}

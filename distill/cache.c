// Owns a cache's folder: its manifest, what is loaded of it, and reading by sample. A shard's file
// is cache_shard.c's, filling shards teach.c's.

#include "distill/cache.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/folder.h"
#include "core/half.h"
#include "core/json.h"
#include "core/random.h"
#include "distill/cache_internal.h"

// How views and epochs are drawn (core/random.h, data/augment.h). Another way, another number.
enum { MANIFEST_VERSION = 1, VIEW_GENERATOR = 1 };

const char *const dc_cache_modes[DC_CACHE_MODE_COUNT + 1] = {"epochs", "views", "static", NULL};

const struct dc_cache_spec *dc_cache_holds(const struct dc_cache *cache)
{
    return &cache->spec;
}

const char *dc_cache_folder(const struct dc_cache *cache)
{
    return cache->folder;
}

bool dc_cache_repaired(const struct dc_cache *cache)
{
    return cache->repaired;
}

const char *dc_cache_isa(const struct dc_cache *cache)
{
    return cache->isa;
}

int64_t dc_cache_views(const struct dc_cache *cache)
{
    return cache->views;
}

int64_t dc_cache_epochs(const struct dc_cache *cache, int64_t epochs)
{
    return cache->spec.mode == DC_CACHE_EPOCHS ? epochs : 1;
}

int64_t dc_cache_blocks(const struct dc_cache *cache)
{
    return (cache->spec.id_count + cache->spec.block - 1) / cache->spec.block;
}

size_t dc_cache_bytes(const struct dc_cache *cache)
{
    size_t bytes = 0;
    for (int a = 0; a < cache->array_count; a++)
        bytes += dc__cache_array_bytes(cache, &cache->arrays[a], cache->spec.id_count);
    return bytes;
}

// The manifest's entries: what the outputs depend on, as text.
struct identity {
    json_t *object;
    bool failed;
};

__attribute__((format(printf, 3, 4))) static void
add_entry(struct identity *identity, const char *key, const char *format, ...)
{
    char text[4096];
    va_list list;
    va_start(list, format);
    const int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (length < 0 || (size_t)length >= sizeof text ||
        json_object_set_new(identity->object, key, json_string(text)) != 0)
        identity->failed = true;
}

// "pad_crop pad=4; flip probability=0.5"
static void describe_augmentations(char *text, size_t size, const struct dc_cache_spec *spec)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < spec->augmentation_count && used < size; i++) {
        const struct dc_augmentation *a = &spec->augmentations[i];
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? "; " : "", a->kind->name);
        for (int p = 0; p < a->kind->parameter_count && used < size; p++)
            used += (size_t)snprintf(text + used, size - used, " %s=%.17g",
                                     a->kind->parameters[p].name, a->values[p]);
    }
}

static void describe_view(char *text, size_t size, const struct dc_view *view)
{
    char shape[DC_SHAPE_TEXT];
    const struct dc_normalization *n = &view->normalization;
    size_t used = (size_t)snprintf(text, size, "%s, mean", dc_shape_text(shape, &view->sample));
    for (int pass = 0; pass < 2; pass++) {
        for (int c = 0; c < n->channels && used < size; c++)
            used += (size_t)snprintf(text + used, size - used, " %.9g",
                                     (double)(pass ? n->deviation : n->mean)[c]);
        if (pass == 0 && used < size)
            used += (size_t)snprintf(text + used, size - used, ", deviation");
    }
}

static enum dc_status describe(json_t **object, const struct dc_cache_spec *spec,
                               struct dc_error *error)
{
    struct identity identity = {.object = json_object()};
    char text[4096];
    uint64_t ids = DC_HASH_START;
    ids = dc_hash_bytes(ids, spec->ids, sizeof *spec->ids * (uint64_t)spec->id_count);
    add_entry(&identity, "mode", "%s", dc_cache_modes[spec->mode]);
    add_entry(&identity, "type", "%s", spec->dtype == DC_F16 ? "float16" : "float32");
    add_entry(&identity, "top", "%" PRId64, spec->top);
    add_entry(&identity, "block", "%" PRId64, spec->block);
    for (int c = 0; c < spec->column_count; c++) {
        snprintf(text, sizeof text, "output %d", c);
        add_entry(&identity, text, "%s, %" PRId64 " values", spec->columns[c].name,
                  spec->columns[c].values);
    }
    add_entry(&identity, "teacher", "%016" PRIx64, spec->teacher);
    describe_view(text, sizeof text, &spec->view);
    add_entry(&identity, "preprocessing", "%s", text);
    describe_augmentations(text, sizeof text, spec);
    if (spec->mode != DC_CACHE_STATIC)
        add_entry(&identity, "augmentation", "%s", text);
    if (spec->mode == DC_CACHE_EPOCHS)
        add_entry(&identity, "augment_seed", "%" PRIu32, spec->augment_seed);
    add_entry(&identity, "data", "%016" PRIx64, spec->source->hash);
    add_entry(&identity, "samples", "%" PRId64 ", ids %016" PRIx64, spec->id_count, ids);
    add_entry(&identity, "generator", "%d", VIEW_GENERATOR);
    *object = identity.object;
    return identity.failed ? dc_fail(error, DC_ERR_CONFIG, "the cache cannot be described") : DC_OK;
}

static uint64_t hash_of(const json_t *object)
{
    uint64_t hash = DC_HASH_START;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        hash = dc_hash_bytes(hash, key, strlen(key) + 1);
        hash = dc_hash_bytes(hash, json_string_value(value), json_string_length(value) + 1);
    }
    return hash;
}

static enum dc_status write_manifest(const struct dc_cache *cache, const char *path,
                                     json_t *identity, struct dc_error *error)
{
    json_t *manifest = json_pack("{s:s, s:i, s:O, s:s, s:s}", "decant_file", "soft-target cache",
                                 "version", MANIFEST_VERSION, "holds", identity, "teacher_name",
                                 cache->spec.teacher_name, "instruction_set",
                                 dc_isa_name(cache->spec.isa));
    char *text = manifest ? json_dumps(manifest, JSON_INDENT(2)) : NULL;
    json_decref(manifest);
    if (!text)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    const enum dc_status status = dc_file_write(path, text, strlen(text), error);
    free(text);
    return status;
}

// Every entry, in the order of the description, so that the first difference is named.
static enum dc_status compare(const json_t *there, const json_t *here, const char *path,
                              struct dc_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)here, key, value)
    {
        const char *other = json_string_value(json_object_get(there, key));
        if (!other || strcmp(other, json_string_value(value)) != 0)
            return dc_fail(error, DC_ERR_CONFIG,
                           "%s: the cache was made with %s '%s', and this needs '%s'; name another "
                           "folder, or remove this one",
                           path, key, other ? other : "nothing", json_string_value(value));
    }
    json_object_foreach((json_t *)there, key, value)
    {
        if (!json_object_get(here, key))
            return dc_fail(error, DC_ERR_CONFIG,
                           "%s: the cache was made with %s '%s', and this needs none", path, key,
                           json_string_value(value));
    }
    return DC_OK;
}

static enum dc_status read_manifest(struct dc_cache *cache, const char *path,
                                    const json_t *identity, struct dc_error *error)
{
    json_error_t problem;
    json_t *manifest = dc_json_read(path, &problem);
    if (!manifest)
        return dc_fail(error, DC_ERR_DATA, "%s:%d:%d: damaged: %s; decant teach --repair mends it",
                       path, problem.line, problem.column, problem.text);
    const char *kind = NULL, *isa = NULL;
    json_t *there = NULL;
    int version = 0;
    enum dc_status status = DC_OK;
    if (json_unpack(manifest, "{s:s, s:i, s:o, s:s}", "decant_file", &kind, "version", &version,
                    "holds", &there, "instruction_set", &isa) != 0 ||
        strcmp(kind, "soft-target cache") != 0)
        status = dc_fail(error, DC_ERR_DATA, "%s is not the manifest of a soft-target cache", path);
    else if (version != MANIFEST_VERSION)
        status = dc_fail(error, DC_ERR_DATA, "%s has version %d; this program reads %d", path,
                         version, MANIFEST_VERSION);
    if (status == DC_OK)
        status = compare(there, identity, path, error);
    cache->isa = status == DC_OK ? dc_arena_copy(cache->arena, isa, error) : NULL;
    json_decref(manifest);
    return status != DC_OK ? status : cache->isa ? DC_OK : DC_ERR_MEMORY;
}

static enum dc_status check_mode(struct dc_cache *cache, struct dc_error *error)
{
    const struct dc_cache_spec *spec = &cache->spec;
    const int count = spec->augmentation_count;
    cache->views = 1;
    if (spec->top < 0 || spec->top >= spec->columns[0].values)
        return dc_fail(error, DC_ERR_CONFIG,
                       "a cache keeps 1 to %" PRId64 " of %" PRId64
                       " logits, or 0: all; not %" PRId64,
                       spec->columns[0].values - 1, spec->columns[0].values, spec->top);
    if (spec->mode == DC_CACHE_EPOCHS)
        return DC_OK;
    if (count > 0 && spec->augmentations[count - 1].kind->mixes)
        return dc_fail(error, DC_ERR_CONFIG,
                       "a cache of mode %s cannot serve '%s', whose views depend on the epoch; use "
                       "mode epochs",
                       dc_cache_modes[spec->mode], spec->augmentations[count - 1].kind->name);
    if (spec->mode == DC_CACHE_STATIC)
        return DC_OK;
    cache->views = dc_augmentation_outcomes(spec->augmentations, count);
    for (int i = 0; cache->views == 0 && i < count; i++)
        if (!spec->augmentations[i].kind->outcomes)
            return dc_fail(error, DC_ERR_CONFIG,
                           "a cache of mode views needs augmentations with a count of outcomes, "
                           "and '%s' has none; use mode epochs",
                           spec->augmentations[i].kind->name);
    return cache->views > 0 ? DC_OK
                            : dc_fail(error, DC_ERR_CONFIG,
                                      "too many views for mode views; use "
                                      "mode epochs");
}

static void lay_out(struct dc_cache *cache)
{
    const struct dc_cache_spec *spec = &cache->spec;
    int n = 0;
    if (spec->top > 0) {
        cache->arrays[n++] = (struct dc_cache_array){"logits", spec->dtype, spec->top, NULL};
        cache->arrays[n++] = (struct dc_cache_array){"classes", DC_I32, spec->top, NULL};
        cache->arrays[n++] = (struct dc_cache_array){"rest", DC_F32, 1, NULL};
    }
    for (int c = spec->top > 0; c < spec->column_count; c++)
        cache->arrays[n++] = (struct dc_cache_array){spec->columns[c].name, spec->dtype,
                                                     spec->columns[c].values, NULL};
    cache->array_count = n;
}

enum dc_status dc_cache_may_begin(const char *folder, struct dc_arena *arena,
                                  struct dc_error *error)
{
    static const char *const names[] = {"manifest.json", NULL};
    bool empty = false;
    const char *inside = dc_arena_printf(arena, error, "%s/.", folder);  // of a link, too
    const char *manifest = dc_arena_printf(arena, error, "%s/manifest.json", folder);
    if (!inside || !manifest)
        return DC_ERR_MEMORY;
    if (!folder[0])
        return dc_fail(error, DC_ERR_CONFIG, "the cache's path is empty");
    DC_TRY(dc_folder_is_empty(&empty, inside, error));
    if (!empty && !dc_file_exists(manifest) && dc_folder_holds_only(inside, names, NULL) != DC_OK)
        return dc_fail(error, DC_ERR_CONFIG,
                       "%s is neither a soft-target cache nor empty, so nothing is written there; "
                       "name another folder",
                       folder);
    return DC_OK;
}

static enum dc_status begin_folder(const char *folder, struct dc_arena *arena,
                                   struct dc_error *error)
{
    DC_TRY(dc_cache_may_begin(folder, arena, error));
    return dc_make_directory(folder, error);
}

// Whether a manifest is no JSON, though it opens as those that are written here do, or is empty.
static bool is_damaged(const char *path, struct dc_arena *arena)
{
    static const char opening[] = "{\n  \"decant_file\": \"soft-target cache\"";
    char *text = NULL;
    size_t size = 0;
    json_error_t problem;
    json_t *manifest = dc_json_read(path, &problem);
    const bool parsed = manifest != NULL;
    json_decref(manifest);
    return !parsed && dc_file_read(&text, &size, path, arena, NULL) == DC_OK &&
           memcmp(text, opening, size < sizeof opening - 1 ? size : sizeof opening - 1) == 0;
}

static enum dc_status open_folder(struct dc_cache *cache, const char *folder,
                                  enum dc_cache_opening how, struct dc_error *error)
{
    const struct dc_cache_spec *spec = &cache->spec;
    json_t *identity = NULL;
    DC_TRY(check_mode(cache, error));
    lay_out(cache);
    enum dc_status status = describe(&identity, spec, error);
    cache->identity = hash_of(identity);
    cache->isa = dc_isa_name(spec->isa);
    cache->folder = spec->shared ? dc_arena_printf(cache->arena, error, "%s/%016" PRIx64, folder,
                                                   cache->identity)
                                 : dc_arena_copy(cache->arena, folder, error);
    folder = cache->folder;
    char *path = dc_arena_printf(cache->arena, error, "%s/manifest.json", folder);
    cache->positions = DC_NEW(cache->arena, int32_t, spec->source->count, error);
    if (!folder || !path || !cache->positions) {
        json_decref(identity);
        return DC_ERR_MEMORY;
    }
    for (int64_t i = 0; i < spec->source->count; i++)
        cache->positions[i] = -1;
    for (int64_t i = 0; i < spec->id_count; i++)
        cache->positions[spec->ids[i]] = (int32_t)i;
    if (status == DC_OK && !dc_file_exists(path)) {
        status = how != DC_CACHE_FIND ? begin_folder(folder, cache->arena, error)
                                      : dc_fail(error, DC_ERR_DATA,
                                                "%s: no soft-target cache; decant teach makes "
                                                "it",
                                                folder);
        if (status == DC_OK)
            status = write_manifest(cache, path, identity, error);
    } else if (status == DC_OK && how == DC_CACHE_REPAIR && is_damaged(path, cache->arena)) {
        cache->repaired = true;
        status = write_manifest(cache, path, identity, error);
    }
    if (status == DC_OK)
        status = read_manifest(cache, path, identity, error);
    if (status == DC_OK && how != DC_CACHE_FIND)
        dc_sweep_files(path);
    json_decref(identity);
    return status;
}

enum dc_status dc_cache_open(struct dc_cache **out, const char *folder,
                             const struct dc_cache_spec *spec, enum dc_cache_opening how,
                             struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *out = NULL;
    assert(spec->column_count >= 1 && spec->column_count <= DC_CACHE_COLUMNS && spec->block > 0);
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_cache *cache = DC_NEW(arena, struct dc_cache, 1, error);
    enum dc_status status = DC_ERR_MEMORY;
    if (cache) {
        *cache = (struct dc_cache){.spec = *spec, .arena = arena, .loaded_epoch = -1, .lock = -1};
        status = open_folder(cache, folder, how, error);
    }
    if (status == DC_OK)
        *out = cache;
    else
        dc_arena_free(arena);
    return status;
}

void dc_cache_free(struct dc_cache *cache)
{
    if (!cache)
        return;
    dc_cache_release(cache);
    dc_arena_free(cache->arena);
}

enum dc_status dc_cache_load(struct dc_cache *cache, int64_t epoch, struct dc_error *error)
{
    const int64_t wanted = cache->spec.mode == DC_CACHE_EPOCHS ? epoch : 0;
    cache->epoch = (uint32_t)epoch;
    if (cache->loaded_epoch == wanted)
        return DC_OK;
    for (int a = 0; a < cache->array_count; a++) {
        struct dc_cache_array *array = &cache->arrays[a];
        if (!array->loaded)
            array->loaded = dc_arena_alloc(
                cache->arena, dc__cache_array_bytes(cache, array, cache->spec.id_count), error);
        if (!array->loaded)
            return DC_ERR_MEMORY;
    }
    cache->loaded_epoch = -1;
    for (int64_t b = 0; b < dc_cache_blocks(cache); b++) {
        char *arrays[DC_CACHE_ARRAYS];
        for (int a = 0; a < cache->array_count; a++)
            arrays[a] = cache->arrays[a].loaded +
                        dc__cache_array_bytes(cache, &cache->arrays[a],
                                              dc_cache_block(cache, b).first);
        DC_TRY(dc__cache_read_shard(arrays, cache, wanted, b, error));
    }
    cache->loaded_epoch = wanted;
    return DC_OK;
}

static float stored(const struct dc_cache_array *array, int64_t at)
{
    return array->dtype == DC_F32 ? ((const float *)array->loaded)[at]
                                  : dc_half_to_float(((const uint16_t *)array->loaded)[at]);
}

void dc_cache_read_view(float *values, const struct dc_cache *cache, int column, int64_t position,
                        int64_t view)
{
    const int64_t row = position * cache->views + view, top = cache->spec.top;
    const struct dc_cache_array *arrays = cache->arrays;
    if (column == 0 && top > 0) {
        const float rest = stored(&arrays[2], row);
        for (int64_t c = 0; c < cache->spec.columns[0].values; c++)
            values[c] = rest;
        for (int64_t k = row * top; k < row * top + top; k++)
            values[((const int32_t *)arrays[1].loaded)[k]] = stored(&arrays[0], k);
        return;
    }
    const struct dc_cache_array *array = &arrays[top > 0 ? column + 2 : column];
    for (int64_t i = 0; i < array->width; i++)
        values[i] = stored(array, row * array->width + i);
}

enum dc_status dc_cache_read(float *values, const struct dc_cache *cache, int column,
                             const uint64_t *ids, int64_t rows, struct dc_error *error)
{
    const struct dc_cache_spec *spec = &cache->spec;
    assert(cache->loaded_epoch >= 0);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t position = ids[r] < (uint64_t)spec->source->count ? cache->positions[ids[r]]
                                                                        : -1;
        if (position < 0)
            return dc_fail(error, DC_ERR_DATA, "%s does not cover sample %" PRIu64, cache->folder,
                           ids[r]);
        const int64_t view = spec->mode == DC_CACHE_VIEWS
                                 ? dc_augmentation_drawn(spec->augmentations,
                                                         spec->augmentation_count,
                                                         spec->augment_seed, cache->epoch, ids[r])
                                 : 0;
        dc_cache_read_view(values + r * spec->columns[column].values, cache, column, position,
                           view);
    }
    return DC_OK;
}

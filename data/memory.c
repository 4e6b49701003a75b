// Owns sources that lie in memory, and what openers share: hashes, labels, class names.
//
// Invariant: a finished source is not written again, so reads need no lock.

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/random.h"
#include "data/kinds.h"

size_t dc__sample_bytes(const struct dc_source *source)
{
    return (size_t)dc_shape_count(&source->sample) * dc_dtype_bytes(source->dtype);
}

enum dc_status dc__memory_resize(struct dc__memory *memory, int64_t count, struct dc_error *error)
{
    const size_t bytes = dc__sample_bytes(&memory->source);
    uint8_t *values = NULL;
    int32_t *labels = NULL;
    assert(bytes > 0 && count > 0);
    if ((size_t)count <= SIZE_MAX / 2 / bytes)
        values = realloc(memory->values, (size_t)count * bytes);
    if (values)
        memory->values = values;
    labels = realloc(memory->labels, (size_t)count * sizeof *labels);
    if (labels)
        memory->labels = labels;
    if (!values || !labels)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory for %" PRId64 " samples of %zu bytes",
                       count, bytes);
    memory->source.count = count;
    return DC_OK;
}

enum dc_status dc__memory_read(const struct dc_source *source, int64_t id, void *values,
                               struct dc_error *error)
{
    const struct dc__memory *memory = (const struct dc__memory *)source;
    const size_t bytes = dc__sample_bytes(source);
    (void)error;
    assert(id >= 0 && id < source->count);
    memcpy(values, memory->values + (size_t)id * bytes, bytes);
    return DC_OK;
}

void dc__memory_free(struct dc_source *source)
{
    struct dc__memory *memory = (struct dc__memory *)source;
    free(memory->values);
    free(memory->labels);
    free(memory->targets);
    dc_arena_free(memory->arena);
    free(memory);
}

static enum dc_status finish(struct dc__memory *memory, struct dc_error *error)
{
    struct dc_source *source = &memory->source;
    const size_t bytes = dc__sample_bytes(source);
    source->labels = source->classes && !memory->targets ? memory->labels : NULL;
    source->hash = dc__hash_start(source);
    for (int64_t i = 0; i < source->count; i++) {
        DC_TRY(dc_check_stop(source->stop, error));
        source->hash = dc__hash_sample(source->hash, memory->values + (size_t)i * bytes, bytes,
                                       source->labels ? source->labels[i] : 0);
        if (memory->targets)
            source->hash = dc__hash_sample(source->hash, memory->targets + i * source->classes,
                                           (size_t)source->classes * sizeof(float), 0);
    }
    return DC_OK;
}

enum dc_status dc__memory_values(struct dc__memory *memory, const float *const *rows,
                                 const struct dc_source_spec *spec, struct dc_error *error)
{
    struct dc_source *source = &memory->source;
    const size_t bytes = (size_t)source->classes * sizeof(float);
    if (!rows[0])
        return DC_OK;
    memory->targets = dc_alloc(bytes * (size_t)source->count, error);
    if (!memory->targets)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < source->count; i++)
        memcpy(memory->targets + i * source->classes, rows[i], bytes);
    source->targets = memory->targets;
    source->label_kind = spec->label_kind;
    return DC_OK;
}

enum dc_status dc__memory_open(struct dc_source **source, const struct dc__source_kind *kind,
                               const struct dc_source_spec *spec, struct dc_error *error)
{
    struct dc__memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    memory->source.ops = &kind->ops;
    memory->source.dtype = DC_U8;
    memory->source.stop = spec->stop;
    enum dc_status status = dc_arena_create(&memory->arena, error);
    if (status == DC_OK)
        status = kind->load(memory, spec, error);
    if (status == DC_OK)
        status = finish(memory, error);
    if (status == DC_OK)
        *source = &memory->source;
    else
        dc__memory_free(&memory->source);
    return status;
}

static uint64_t fold(uint64_t hash, uint64_t word)
{
    hash ^= word;
    return (hash << 29 | hash >> 35) * 1099511628211ull;
}

uint64_t dc__hash_start(const struct dc_source *source)
{
    uint64_t hash = fold(DC_HASH_START, (uint64_t)source->dtype);
    hash = fold(hash, (uint64_t)source->count);
    for (int i = 0; i < source->sample.rank; i++)
        hash = fold(hash, (uint64_t)source->sample.dims[i]);
    return hash;
}

uint64_t dc__hash_sample(uint64_t hash, const void *values, size_t bytes, int32_t label)
{
    const uint8_t *p = values;
    uint64_t word = 0;
    for (; bytes >= sizeof word; bytes -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        hash = fold(hash, word);
    }
    word = 0;
    memcpy(&word, p, bytes);
    return fold(fold(hash, word), (uint64_t)(uint32_t)label);
}

enum dc_status dc__check_layout(const char **note, const struct dc_shape *sample, const char *path,
                                const char *array, struct dc_arena *arena, struct dc_error *error)
{
    const int64_t *d = sample->dims;
    const bool may_be_first = sample->rank == 3 && (d[0] == 1 || d[0] == 3 || d[0] == 4) &&
                              d[1] > 4 && d[2] > 4;
    char text[DC_SHAPE_TEXT];
    if (!may_be_first)
        return DC_OK;
    const char *words = dc_arena_printf(
        arena, error,
        "%s: samples of '%s' are %s, read as height, width, channels; if that is %d channels of "
        "%dx%d, move them last, in numpy x.transpose(0, 2, 3, 1)",
        path, array, dc_shape_text(text, sample), (int)d[0], (int)d[1], (int)d[2]);
    if (!words)
        return DC_ERR_MEMORY;
    if (d[0] == 3)
        return dc_fail(error, DC_ERR_DATA, "%s", words);
    *note = words;
    return DC_OK;
}

static enum dc_status split_lines(const char *const **lines, int *count, const char *text,
                                  struct dc_arena *arena, struct dc_error *error)
{
    int capacity = 1;
    for (const char *p = text; *p; p++)
        capacity += *p == '\n';
    const char **list = DC_NEW(arena, const char *, capacity, error);
    char *copy = dc_arena_copy(arena, text, error), *rest = NULL;
    if (!list || !copy)
        return DC_ERR_MEMORY;
    *count = 0;
    for (char *l = strtok_r(copy, "\r\n", &rest); l; l = strtok_r(NULL, "\r\n", &rest))
        list[(*count)++] = l;
    *lines = list;
    return DC_OK;
}

enum dc_status dc__class_names(struct dc_source *source, const struct dc_source_spec *spec,
                               const char *text, const char *file, struct dc_arena *arena,
                               struct dc_error *error)
{
    source->class_names = NULL;
    source->classes = spec->class_count;
    if (spec->class_names) {
        const char **list = DC_NEW(arena, const char *, spec->class_count, error);
        for (int i = 0; list && i < spec->class_count; i++)
            if (!(list[i] = dc_arena_copy(arena, spec->class_names[i], error)))
                return DC_ERR_MEMORY;
        source->class_names = list;
        return list ? DC_OK : DC_ERR_MEMORY;
    }
    if (!text)
        return DC_OK;
    DC_TRY(split_lines(&source->class_names, &source->classes, text, arena, error));
    if (source->classes == 0)
        return dc_fail(error, DC_ERR_DATA, "%s: holds no class name", file);
    if (spec->class_count && spec->class_count != source->classes)
        return dc_fail(error, DC_ERR_DATA, "%s: names %d classes, %d were asked for", file,
                       source->classes, spec->class_count);
    return DC_OK;
}

enum dc_status dc__class_file(struct dc_source *source, const struct dc_source_spec *spec,
                              const char *base, struct dc_arena *arena, struct dc_error *error)
{
    char *text = NULL, *file = dc_arena_printf(arena, error, "%s/%s", spec->path, base);
    if (!file)
        return DC_ERR_MEMORY;
    if (!spec->class_names && dc_file_exists(file))
        DC_TRY(dc_file_read(&text, NULL, file, arena, error));
    return dc__class_names(source, spec, text, file, arena, error);
}

enum dc_status dc__count_classes(int *classes, const int32_t *labels, int64_t count,
                                 const char *file, struct dc_error *error)
{
    int64_t highest = -1;
    for (int64_t i = 0; i < count; i++) {
        if (labels[i] < 0 || labels[i] >= DC__CLASSES_MAX)
            return dc_fail(error, DC_ERR_DATA, "%s: record %" PRId64 " has label %" PRId32, file, i,
                           labels[i]);
        if (labels[i] > highest)
            highest = labels[i];
    }
    uint8_t *seen = calloc((size_t)highest + 2, 1);  // of 0 labels too
    if (!seen)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < count; i++)
        seen[labels[i]] = 1;
    int used = 0;
    while (used <= highest && seen[used])
        used++;
    free(seen);
    *classes = used;
    for (int64_t i = 0; i < count; i++)
        if (labels[i] > used)
            return dc_fail(error, DC_ERR_DATA,
                           "%s: record %" PRId64 " has label %" PRId32 ", but no record has label "
                           "%d; if that is meant, state the number of classes",
                           file, i, labels[i], used);
    return DC_OK;
}

enum dc_status dc__check_labels(const int32_t *labels, int64_t count, int classes, const char *file,
                                struct dc_error *error)
{
    for (int64_t i = 0; i < count; i++)
        if (labels[i] < 0 || labels[i] >= classes)
            return dc_fail(error, DC_ERR_DATA,
                           "%s: record %" PRId64 " has label %" PRId32 ", but there are %d classes",
                           file, i, labels[i], classes);
    return DC_OK;
}

char *dc__find_packed(const char *folder, const char *base, struct dc_arena *arena,
                      struct dc_error *error)
{
    static const char *const endings[] = {"", ".gz", ".xz"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char *path = dc_arena_printf(arena, error, "%s/%s%s", folder, base, endings[i]);
        if (path && dc_file_exists(path))
            return path;
    }
    return NULL;
}

enum dc_status dc__open_packed(struct dc_packed **packed, const char **path, const char *folder,
                               const char *base, struct dc_arena *arena, struct dc_error *error)
{
    *path = dc__find_packed(folder, base, arena, error);
    if (!*path)
        return dc_fail(error, DC_ERR_DATA, "%s/%s: no such file, nor with .gz or .xz", folder,
                       base);
    return dc_packed_open(packed, *path, error);
}

// Owns sources in HDF5: arrays `inputs` [n, ...] (uint8 or float32, rows in HWC order) and `labels`
// [n], at the root or in the groups `train` and `test`; root attribute `class_names`, one name a
// line, or `classes`, their number. Labels that are values or tags are [n, outputs] or [n]; the
// root attribute `labels` says so, or the one who opens. data/convert.h writes such files.
//
// One block of rows is kept in memory. Of what fits the memory limit it is all rows; the rest is
// streamed, block by block under a lock. Either way opening reads every row once, for the hash and
// to find values that are not finite.

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bounds.h"
#include "core/file.h"
#include "core/h5.h"
#include "core/schema.h"
#include "data/convert.h"
#include "data/kinds.h"

enum { BLOCK_BYTES = 64 * 1024 };
enum {
    LABEL_BYTES = sizeof(int64_t) + sizeof(int32_t)
};  // of memory: as the file may hold it, as read
static const int64_t default_limit = 512 * 1024 * 1024;

struct stream {
    struct dc_source source;  // first
    struct dc_arena *arena;
    struct dc_h5 *file;
    char *inputs;  // the array's name
    pthread_mutex_t lock;
    uint8_t *block;  // [block_rows, sample]
    int64_t block_rows, first, held;
};

static enum dc_status read_block(struct stream *stream, int64_t first, struct dc_error *error)
{
    const int64_t left = stream->source.count - first;
    const int64_t rows = left < stream->block_rows ? left : stream->block_rows;
    stream->held = 0;
    DC_TRY(dc_h5_read_rows(stream->file, stream->inputs, stream->source.dtype, stream->block, first,
                           rows, error));
    stream->first = first;
    stream->held = rows;
    return DC_OK;
}

static enum dc_status read_sample(const struct dc_source *source, int64_t id, void *values,
                                  struct dc_error *error)
{
    struct stream *stream = (struct stream *)(uintptr_t)source;  // the block is a cache
    const size_t bytes = dc__sample_bytes(source);
    enum dc_status status = DC_OK;
    assert(id >= 0 && id < source->count);
    pthread_mutex_lock(&stream->lock);
    if (id < stream->first || id >= stream->first + stream->held)
        status = read_block(stream, id - id % stream->block_rows, error);
    if (status == DC_OK)
        memcpy(values, stream->block + (size_t)(id - stream->first) * bytes, bytes);
    pthread_mutex_unlock(&stream->lock);
    return status;
}

// Of a block that holds all rows.
static enum dc_status read_held(const struct dc_source *source, int64_t id, void *values,
                                struct dc_error *error)
{
    const size_t bytes = dc__sample_bytes(source);
    (void)error;
    assert(id >= 0 && id < source->count);
    memcpy(values, ((const struct stream *)source)->block + (size_t)id * bytes, bytes);
    return DC_OK;
}

static void free_stream(struct dc_source *source)
{
    struct stream *stream = (struct stream *)source;
    pthread_mutex_destroy(&stream->lock);
    dc_h5_close(stream->file);
    dc_arena_free(stream->arena);
    free(stream);
}

// "train/inputs" where the file has groups, else "inputs".
static char *array_name(const struct dc_h5 *file, const char *split, const char *name,
                        struct dc_arena *arena, struct dc_error *error)
{
    if (dc_h5_has(file, "inputs"))
        return dc_arena_copy(arena, name, error);
    return dc_arena_printf(arena, error, "%s/%s", split, name);
}

static enum dc_status describe_inputs(struct stream *stream, const char *path,
                                      struct dc_error *error)
{
    struct dc_source *source = &stream->source;
    struct dc_shape shape;
    char text[DC_SHAPE_TEXT];
    DC_TRY(dc_h5_describe(stream->file, stream->inputs, &source->dtype, &shape, error));
    if (source->dtype != DC_U8 && source->dtype != DC_F32)
        return dc_fail(error, DC_ERR_DATA, "%s: array '%s' must be of uint8 or float32", path,
                       stream->inputs);
    if (shape.rank < 2 || shape.rank > DC_RANK_MAX || dc_shape_count(&shape) == 0)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: array '%s' is %s; it must be [n, values], [n, height, width], "
                       "[n, height, width, channels] or of more axes, none of them 0",
                       path, stream->inputs, dc_shape_text(text, &shape));
    source->count = shape.dims[0];
    source->sample.rank = shape.rank - 1;
    for (int i = 1; i < shape.rank; i++)
        source->sample.dims[i - 1] = shape.dims[i];
    if (shape.rank == 3) {  // [n, height, width]: one channel
        source->sample.rank = 3;
        source->sample.dims[2] = 1;
    }
    return dc__check_layout(&source->note, &source->sample, path, stream->inputs, stream->arena,
                            error);
}

// rows: how many there must be; 0: as many as there are.
static enum dc_status read_labels(int32_t **labels, int64_t *count, const struct stream *stream,
                                  const struct dc_source_spec *spec, const char *name, int64_t rows,
                                  struct dc_error *error)
{
    const struct dc_h5 *file = stream->file;
    enum dc_dtype dtype = DC_I32;
    struct dc_shape shape = {.rank = -1};
    char text[DC_SHAPE_TEXT];
    struct dc_error reason;
    const enum dc_status status = dc_h5_describe(file, name, &dtype, &shape, &reason);
    if (status != DC_OK && shape.rank != 1)  // 64-bit integers have no dtype, but a shape
        return dc_fail(error, status, "%s: %s", spec->path, reason.message);
    if (shape.rank != 1 || dtype == DC_F32 || dtype == DC_F64)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: array '%s' must be [n] of integers, not %s%s; of numbers say labels: "
                       "values, of several things at a time labels: tags",
                       spec->path, name, dc_shape_text(text, &shape),
                       shape.rank == 1 ? " of floats" : "");
    *count = shape.dims[0];
    if (rows && *count != rows)
        return dc_fail(error, DC_ERR_DATA, "%s: array '%s' has %" PRId64 " rows, '%s' has %" PRId64,
                       spec->path, name, *count, stream->inputs, rows);
    if (*count > INT64_MAX / LABEL_BYTES)
        return dc_fail(error, DC_ERR_DATA, "%s: array '%s' has %" PRId64 " rows", spec->path, name,
                       *count);
    DC_TRY(dc_want_memory(spec->path, name, *count * LABEL_BYTES, spec->memory, error));
    DC_TRY(dc_check_stop(spec->stop, error));
    *labels = DC_NEW(stream->arena, int32_t, *count, error);
    if (!*labels)
        return DC_ERR_MEMORY;
    DC_TRY_IN(dc_h5_read(file, name, &(struct dc_tensor){*labels, DC_I32, shape}, error), error,
              "%s", spec->path);
    return DC_OK;
}

static enum dc_status find_classes(struct stream *stream, const struct dc_source_spec *spec,
                                   const int32_t *labels, int64_t count, struct dc_error *error)
{
    struct dc_source *source = &stream->source;
    char *text = NULL;
    if (dc_h5_get_text(stream->file, "class_names", &text, stream->arena, NULL) != DC_OK ||
        !text[0])
        text = NULL;
    DC_TRY(dc__class_names(source, spec, text, spec->path, stream->arena, error));
    int64_t stored = 0;
    if (!source->classes && dc_h5_get_int(stream->file, "classes", &stored, NULL) == DC_OK) {
        if (stored < 1 || stored > DC__CLASSES_MAX)
            return dc_fail(error, DC_ERR_DATA, "%s: attribute 'classes' is %" PRId64, spec->path,
                           stored);
        source->classes = (int)stored;
    }
    if (source->classes)
        return DC_OK;
    int64_t train_count = count;
    int32_t *train = NULL;
    if (dc__is_test(spec) && dc_h5_has(stream->file, "train/labels")) {
        DC_TRY(read_labels(&train, &train_count, stream, spec, "train/labels", 0, error));
        labels = train;
    }
    return dc__count_classes(&source->classes, labels, train_count, spec->path, error);
}

// What the labels are: as the file says, else as `spec` does. They must agree, where both say.
static enum dc_status find_label_kind(struct stream *stream, const struct dc_source_spec *spec,
                                      struct dc_error *error)
{
    enum dc_label_kind *kind = &stream->source.label_kind;
    char *text = NULL;
    int k = 0;
    *kind = spec->label_kind;
    if (dc_h5_get_text(stream->file, "labels", &text, stream->arena, NULL) != DC_OK)
        return DC_OK;
    while (k < DC_LABEL_KINDS && strcmp(text, dc_label_kinds[k]) != 0)
        k++;
    if (k == DC_LABEL_KINDS)
        return dc_fail(error, DC_ERR_DATA, "%s: attribute 'labels' is '%s'", spec->path, text);
    *kind = (enum dc_label_kind)k;
    if (!spec->any_labels && *kind != spec->label_kind)
        return dc_fail(error, DC_ERR_CONFIG, "%s: its labels are %s; say labels: %s", spec->path,
                       text, text);
    return DC_OK;
}

static enum dc_status check_targets(const float *targets, const struct dc_source *source,
                                    const char *path, const char *name, struct dc_error *error)
{
    const bool tags = source->label_kind == DC_LABELS_TAGS;
    for (int64_t i = 0; i < source->count * source->classes; i++)
        if (!isfinite(targets[i]) || (tags && targets[i] != 0.0f && targets[i] != 1.0f))
            return dc_fail(error, DC_ERR_DATA, "%s: row %" PRId64 " of '%s' holds %g, which is %s",
                           path, i / source->classes, name, (double)targets[i],
                           tags ? "neither 0 nor 1" : "no finite number");
    return DC_OK;
}

// As the file names the outputs; else by their numbers.
static enum dc_status name_outputs(struct stream *stream, const struct dc_source_spec *spec,
                                   int outputs, struct dc_error *error)
{
    struct dc_source *source = &stream->source;
    char *text = NULL;
    if (dc_h5_get_text(stream->file, "class_names", &text, stream->arena, NULL) != DC_OK ||
        !text[0])
        text = dc_arena_copy(stream->arena, "", error);
    if (!text)
        return DC_ERR_MEMORY;
    struct dc_text_buffer numbers = {0};
    for (int i = 0; !text[0] && i < outputs; i++)
        dc_text_append(&numbers, "%d\n", i);
    const enum dc_status status = numbers.failed
                                      ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                      : dc__class_names(source, spec, text[0] ? text : numbers.text,
                                                        spec->path, stream->arena, error);
    dc_text_free(&numbers);
    DC_TRY(status);
    if (source->classes != outputs)
        return dc_fail(error, DC_ERR_DATA, "%s: has %d %s and %d names of them", spec->path,
                       outputs, dc_label_kinds[source->label_kind], source->classes);
    return DC_OK;
}

// Values and tags: [n, outputs], or [n].
static enum dc_status load_targets(struct stream *stream, const struct dc_source_spec *spec,
                                   const char *name, struct dc_error *error)
{
    struct dc_source *source = &stream->source;
    enum dc_dtype unused;
    struct dc_shape shape;
    char text[DC_SHAPE_TEXT];
    DC_TRY(dc_h5_describe(stream->file, name, &unused, &shape, error));
    if (shape.rank < 1 || shape.rank > 2 || shape.dims[0] != source->count ||
        (shape.rank == 2 && (shape.dims[1] < 1 || shape.dims[1] > DC__CLASSES_MAX)) ||
        source->count > INT64_MAX / DC__CLASSES_MAX / (int64_t)sizeof(float))
        return dc_fail(error, DC_ERR_DATA,
                       "%s: array '%s' is %s; %s are [%" PRId64 ", 1 to %d of them]", spec->path,
                       name, dc_shape_text(text, &shape), dc_label_kinds[source->label_kind],
                       source->count, DC__CLASSES_MAX);
    const int outputs = shape.rank == 2 ? (int)shape.dims[1] : 1;
    const int64_t bytes = source->count * outputs * (int64_t)sizeof(float);
    DC_TRY(dc_want_memory(spec->path, name, bytes, spec->memory, error));
    DC_TRY(name_outputs(stream, spec, outputs, error));
    float *targets = DC_NEW(stream->arena, float, source->count *outputs, error);
    if (!targets)
        return DC_ERR_MEMORY;
    DC_TRY_IN(dc_h5_read(stream->file, name, &(struct dc_tensor){targets, DC_F32, shape}, error),
              error, "%s", spec->path);
    DC_TRY(check_targets(targets, source, spec->path, name, error));
    source->targets = targets;
    return DC_OK;
}

static enum dc_status load_labels(struct stream *stream, const struct dc_source_spec *spec,
                                  struct dc_error *error)
{
    struct dc_source *source = &stream->source;
    char *name = array_name(stream->file, spec->split, "labels", stream->arena, error);
    int32_t *labels = NULL;
    int64_t count = 0;
    if (!name)
        return DC_ERR_MEMORY;
    DC_TRY(find_label_kind(stream, spec, error));
    if (!dc_h5_has(stream->file, name))
        return DC_OK;
    if (source->label_kind != DC_LABELS_CLASSES)
        return load_targets(stream, spec, name, error);
    DC_TRY(read_labels(&labels, &count, stream, spec, name, source->count, error));
    DC_TRY(find_classes(stream, spec, labels, count, error));
    DC_TRY(dc__check_labels(labels, count, source->classes, spec->path, error));
    source->labels = labels;
    return DC_OK;
}

static enum dc_status load_groups(struct stream *stream, const struct dc_source_spec *spec,
                                  struct dc_error *error)
{
    struct dc_source *source = &stream->source;
    int32_t *stored = NULL;
    int64_t count = 0;
    char *name = array_name(stream->file, spec->split, "groups", stream->arena, error);
    if (!name)
        return DC_ERR_MEMORY;
    if (!dc_h5_has(stream->file, name))
        return DC_OK;
    DC_TRY(read_labels(&stored, &count, stream, spec, name, source->count, error));
    int64_t *groups = DC_NEW(stream->arena, int64_t, count, error);
    if (!groups)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        groups[i] = stored[i];
        if (i > 0 && groups[i] < groups[i - 1])
            return dc_fail(error, DC_ERR_DATA,
                           "%s: array '%s' falls at row %" PRId64 "; samples of a group come "
                           "together, and groups in order",
                           spec->path, name, i);
    }
    source->groups = groups;
    return DC_OK;
}

static bool all_finite(const void *values, int64_t count)
{
    const float *x = values;
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

// One pass over all rows: the hash, and that every float is finite.
static enum dc_status scan_rows(struct stream *stream, const char *path, struct dc_error *error)
{
    struct dc_source *source = &stream->source;
    const size_t bytes = dc__sample_bytes(source);
    const int64_t values = dc_shape_count(&source->sample);
    uint64_t hash = dc__hash_start(source);
    for (int64_t i = 0; i < source->count; i++) {
        DC_TRY(dc_check_stop(source->stop, error));
        if (i % stream->block_rows == 0)
            DC_TRY(read_block(stream, i, error));
        const uint8_t *sample = stream->block + (size_t)(i - stream->first) * bytes;
        if (source->dtype == DC_F32 && !all_finite(sample, values))
            return dc_fail(error, DC_ERR_DATA,
                           "%s: row %" PRId64 " of '%s' holds NaN or infinite values", path, i,
                           stream->inputs);
        hash = dc__hash_sample(hash, sample, bytes, source->labels ? source->labels[i] : 0);
        if (source->targets)
            hash = dc__hash_sample(hash, source->targets + i * source->classes,
                                   (size_t)source->classes * sizeof(float), 0);
    }
    source->hash = hash;
    return DC_OK;
}

static enum dc_status prepare(struct stream *stream, const struct dc_source_spec *spec,
                              struct dc_error *error)
{
    DC_TRY(dc_arena_create(&stream->arena, error));
    DC_TRY(dc_h5_open(&stream->file, spec->path, error));
    int64_t version = DC_DATA_FILE_VERSION;  // files of other makers have none
    if (dc_h5_get_int(stream->file, "decant_data", &version, NULL) == DC_OK &&
        (version < 1 || version > DC_DATA_FILE_VERSION))
        return dc_fail(error, DC_ERR_DATA,
                       "%s: is of version %" PRId64 ", this program reads 1 to %d", spec->path,
                       version, DC_DATA_FILE_VERSION);
    if (dc_h5_has(stream->file, "inputs") && dc__is_test(spec))
        return dc_fail(error, DC_ERR_DATA,
                       "%s: has no split 'test': its array 'inputs' is the training data",
                       spec->path);
    stream->inputs = array_name(stream->file, spec->split, "inputs", stream->arena, error);
    if (!stream->inputs)
        return DC_ERR_MEMORY;
    if (!dc_h5_has(stream->file, stream->inputs))
        return dc_fail(error, DC_ERR_DATA, "%s: has neither array 'inputs' nor '%s'", spec->path,
                       stream->inputs);
    DC_TRY(describe_inputs(stream, spec->path, error));
    DC_TRY(load_labels(stream, spec, error));
    DC_TRY(load_groups(stream, spec, error));
    int64_t *own = &stream->source.own_validation;
    if (dc__is_test(spec) || dc_h5_get_int(stream->file, "validation_samples", own, NULL) != DC_OK)
        *own = 0;
    if (*own < 0 || *own >= stream->source.count)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: attribute 'validation_samples' is %" PRId64 " of %" PRId64 " samples",
                       spec->path, *own, stream->source.count);
    const int64_t bytes = (int64_t)dc__sample_bytes(&stream->source);
    const int64_t limit = spec->memory_limit > 0 ? spec->memory_limit : default_limit;
    if (stream->source.count <= limit / bytes) {
        stream->block_rows = stream->source.count;
        stream->source.ops = &dc__source_hdf5.ops;
    } else {
        stream->block_rows = bytes < BLOCK_BYTES ? BLOCK_BYTES / bytes : 1;
    }
    stream->block = dc_arena_alloc(stream->arena, (size_t)(stream->block_rows * bytes), error);
    return stream->block ? scan_rows(stream, spec->path, error) : DC_ERR_MEMORY;
}

static enum dc_status open_hdf5(struct dc_source **source, const struct dc_source_spec *spec,
                                struct dc_error *error)
{
    static const struct dc_source_ops streamed = {"hdf5", read_sample, free_stream};
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    stream->source.ops = &streamed;
    stream->source.stop = spec->stop;
    pthread_mutex_init(&stream->lock, NULL);
    const enum dc_status status = prepare(stream, spec, error);
    if (status == DC_OK)
        *source = &stream->source;
    else
        free_stream(&stream->source);
    return status;
}

static bool own_validation(const struct dc_source_spec *spec)
{
    const char *path = spec->path;
    struct dc_h5 *file = NULL;
    int64_t count = 0;
    const bool found = dc_h5_open(&file, path, NULL) == DC_OK &&
                       dc_h5_get_int(file, "validation_samples", &count, NULL) == DC_OK &&
                       count > 0;
    dc_h5_close(file);
    return found;
}

// A file that starts with HDF5's signature.
static bool recognize(const char *path)
{
    static const char signature[8] = "\211HDF\r\n\032\n";
    char start[8] = {0};
    FILE *file = NULL;
    int64_t size = 0;
    if (dc_file_open(&file, &size, path, NULL) != DC_OK)
        return false;
    const bool found = fread(start, 1, 8, file) == 8 && !memcmp(start, signature, 8);
    fclose(file);
    return found;
}

const struct dc__source_kind dc__source_hdf5 = {
    .ops = {"hdf5", read_held, free_stream},
    .recognize = recognize,
    .open = open_hdf5,
    .own_validation = own_validation,
};

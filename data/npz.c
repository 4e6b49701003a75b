// Owns NumPy's arrays as a source: a .npz archive, or a folder of .npy files, of the names that
// Keras (x_train, y_train, x_test, y_test, and x_val, y_val) or MedMNIST (train_images,
// train_labels, ...) give them. Inputs: uint8 as they are, other numbers as float32; [n, values],
// [n, height, width] or [n, height, width, channels]. Labels: integers, [n] or [n, 1]; none: no
// labels. Validation samples come last of the training split.

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/bounds.h"
#include "core/file.h"
#include "core/npy.h"
#include "data/kinds.h"
#include "data/zip.h"

enum part { TRAIN, TEST, VALIDATION, PARTS };
enum { CONVENTIONS = 2 };

static const struct {
    const char *inputs, *labels;
} names[CONVENTIONS][PARTS] = {
    {{"x_train", "y_train"}, {"x_test", "y_test"}, {"x_val", "y_val"}},
    {{"train_images", "train_labels"},
     {"test_images", "test_labels"},
     {"val_images", "val_labels"}},
};

struct archive {
    const char *path;
    bool folder;
    struct dc__zip zip;
    int64_t limit;
    struct dc_arena *arena;  // of this opening alone
    struct dc_error *error;
};

static bool is_archive(const char *path)
{
    const size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, ".npz") == 0;
}

// *bytes NULL: there is no such array.
static enum dc_status find_member(const uint8_t **bytes, size_t *size, const struct archive *a,
                                  const char *name)
{
    const char *file = dc_arena_printf(a->arena, a->error, a->folder ? "%s/%s.npy" : "%s%s.npy",
                                       a->folder ? a->path : "", name);
    char *text = NULL;
    *bytes = NULL;
    if (!file)
        return DC_ERR_MEMORY;
    if (!a->folder)
        return dc__zip_read(bytes, size, &a->zip, file, a->limit, a->arena, a->error);
    if (!dc_file_exists(file))
        return DC_OK;
    DC_TRY(dc_file_read(&text, size, file, a->arena, a->error));
    *bytes = (const uint8_t *)text;
    return DC_OK;
}

static enum dc_status open_archive(struct archive *a)
{
    char *bytes = NULL;
    size_t size = 0;
    a->folder = !is_archive(a->path);
    if (a->folder)
        return DC_OK;
    DC_TRY(dc_file_read(&bytes, &size, a->path, a->arena, a->error));
    return dc__zip_open(&a->zip, a->path, (const uint8_t *)bytes, size, a->error);
}

// The shape of one sample of [n, ...].
static enum dc_status sample_of(struct dc_shape *sample, const struct dc_npy *inputs,
                                const struct archive *a, const char *name)
{
    const struct dc_shape *shape = &inputs->shape;
    *sample = (struct dc_shape){.rank = shape->rank - 1};
    for (int i = 1; i < shape->rank; i++)
        sample->dims[i - 1] = shape->dims[i];
    if (shape->rank < 2 || shape->rank > 4 || inputs->count == 0)
        return dc_fail(a->error, DC_ERR_DATA,
                       "%s: '%s' is not [n, values], [n, height, width] or [n, height, width, "
                       "channels] of at least one sample",
                       a->path, name);
    if (shape->rank == 3)
        sample->dims[sample->rank++] = 1;
    return DC_OK;
}

static enum dc_status copy_inputs(struct dc__memory *memory, const struct dc_npy *inputs,
                                  int64_t before, const struct archive *a, const char *name)
{
    const size_t bytes = dc__sample_bytes(&memory->source);
    uint8_t *to = memory->values + (size_t)before * bytes;
    float *floats = (float *)(void *)to;
    if (memory->source.dtype == DC_U8) {
        memcpy(to, inputs->values, (size_t)inputs->count);
        return DC_OK;
    }
    for (int64_t i = 0; i < inputs->count; i++) {
        floats[i] = dc_npy_float(inputs, i);
        if (!isfinite(floats[i]))
            return dc_fail(a->error, DC_ERR_DATA,
                           "%s: '%s': sample %" PRId64 " holds NaN or infinite values", a->path,
                           name, i / dc_shape_count(&memory->source.sample));
    }
    return DC_OK;
}

static enum dc_status copy_labels(int32_t *to, const struct dc_npy *labels, int64_t samples,
                                  const struct archive *a, const char *name)
{
    const struct dc_shape *shape = &labels->shape;
    const bool column = shape->rank == 2 && shape->dims[1] == 1;
    if (labels->type == DC_NPY_FLOAT || (shape->rank != 1 && !column) || shape->dims[0] != samples)
        return dc_fail(a->error, DC_ERR_DATA,
                       "%s: '%s' is not one integer for each of %" PRId64 " samples", a->path, name,
                       samples);
    for (int64_t i = 0; i < samples; i++) {
        const int64_t label = dc_npy_integer(labels, i);
        if (label < 0 || label >= DC__CLASSES_MAX)
            return dc_fail(a->error, DC_ERR_DATA, "%s: '%s': sample %" PRId64 " has label %" PRId64,
                           a->path, name, i, label);
        to[i] = (int32_t)label;
    }
    return DC_OK;
}

// Adds the samples of one part, where it is there; *labelled false: they have no labels.
static enum dc_status add_part(struct dc__memory *memory, bool *labelled, const struct archive *a,
                               const char *inputs_name, const char *labels_name)
{
    struct dc_source *source = &memory->source;
    const uint8_t *bytes = NULL, *label_bytes = NULL;
    size_t size = 0, label_size = 0;
    struct dc_npy inputs, labels;
    struct dc_shape sample;
    const int64_t before = source->count;
    DC_TRY(find_member(&bytes, &size, a, inputs_name));
    DC_TRY(find_member(&label_bytes, &label_size, a, labels_name));
    if (!bytes)
        return DC_OK;
    DC_TRY_IN(dc_npy_parse(&inputs, bytes, size, inputs_name, a->arena, a->error), a->error, "%s",
              a->path);
    DC_TRY(sample_of(&sample, &inputs, a, inputs_name));
    const enum dc_dtype dtype = inputs.type == DC_NPY_UNSIGNED && inputs.width == 1 ? DC_U8
                                                                                    : DC_F32;
    if (before > 0 && (!dc_shape_equal(&sample, &source->sample) || dtype != source->dtype ||
                       *labelled != (label_bytes != NULL)))
        return dc_fail(a->error, DC_ERR_DATA,
                       "%s: '%s' differs from the training samples in shape, type or labels",
                       a->path, inputs_name);
    if (before == 0)
        DC_TRY(dc__check_layout(&source->note, &sample, a->path, inputs_name, memory->arena,
                                a->error));
    source->sample = sample;
    source->dtype = dtype;
    *labelled = label_bytes != NULL;
    const int64_t count = before + inputs.shape.dims[0];
    DC_TRY(dc_want_memory(a->path, inputs_name, count * (int64_t)dc__sample_bytes(source), a->limit,
                          a->error));
    DC_TRY(dc__memory_resize(memory, count, a->error));
    DC_TRY(copy_inputs(memory, &inputs, before, a, inputs_name));
    if (!label_bytes)
        return DC_OK;
    DC_TRY_IN(dc_npy_parse(&labels, label_bytes, label_size, labels_name, a->arena, a->error),
              a->error, "%s", a->path);
    return copy_labels(memory->labels + before, &labels, inputs.shape.dims[0], a, labels_name);
}

// The number of classes is what the training labels use, so that a test set may lack some.
static enum dc_status count_classes(struct dc__memory *memory, const struct archive *a,
                                    const struct dc_source_spec *spec, int convention)
{
    struct dc_source *source = &memory->source;
    const int32_t *labels = memory->labels;
    int64_t count = source->count;
    DC_TRY(dc__class_names(source, spec, NULL, NULL, memory->arena, a->error));
    if (source->classes == 0 && dc__is_test(spec)) {
        const uint8_t *bytes = NULL;
        size_t size = 0;
        struct dc_npy npy;
        const char *name = names[convention][TRAIN].labels;
        DC_TRY(find_member(&bytes, &size, a, name));
        if (bytes) {
            DC_TRY_IN(dc_npy_parse(&npy, bytes, size, name, a->arena, a->error), a->error, "%s",
                      a->path);
            count = npy.shape.rank > 0 ? npy.shape.dims[0] : 0;
            int32_t *own = DC_NEW(a->arena, int32_t, count, a->error);
            if (!own)
                return DC_ERR_MEMORY;
            DC_TRY(copy_labels(own, &npy, count, a, name));
            labels = own;
        }
    }
    if (source->classes == 0)
        DC_TRY(dc__count_classes(&source->classes, labels, count, a->path, a->error));
    return dc__check_labels(memory->labels, source->count, source->classes, a->path, a->error);
}

static enum dc_status read_split(struct dc__memory *memory, const struct archive *a,
                                 const struct dc_source_spec *spec)
{
    struct dc_source *source = &memory->source;
    const enum part part = dc__is_test(spec) ? TEST : TRAIN;
    bool labelled = false;
    int convention = 0;
    for (; convention < CONVENTIONS && source->count == 0; convention++)
        DC_TRY(add_part(memory, &labelled, a, names[convention][part].inputs,
                        names[convention][part].labels));
    convention--;
    if (source->count == 0)
        return dc_fail(
            a->error, DC_ERR_DATA,
            "%s: has no array %s or %s; what is read are x_train, y_train, x_test, y_test, "
            "x_val, y_val, or train_images, train_labels and so on",
            a->path, names[0][part].inputs, names[1][part].inputs);
    const int64_t own = source->count;
    if (part == TRAIN)
        DC_TRY(add_part(memory, &labelled, a, names[convention][VALIDATION].inputs,
                        names[convention][VALIDATION].labels));
    source->own_validation = source->count - own;
    if (source->own_validation > 0) {
        source->note = dc_arena_printf(
            memory->arena, a->error, "%s%s%" PRId64 " of %" PRId64 " are '%s', for validation",
            source->note ? source->note : "", source->note ? "; " : "", source->own_validation,
            source->count, names[convention][VALIDATION].inputs);
        if (!source->note)
            return DC_ERR_MEMORY;
    }
    return labelled ? count_classes(memory, a, spec, convention) : DC_OK;
}

static enum dc_status load(struct dc__memory *memory, const struct dc_source_spec *spec,
                           struct dc_error *error)
{
    struct archive a = {.path = spec->path, .limit = spec->memory, .error = error};
    DC_TRY(dc_arena_create(&a.arena, error));
    enum dc_status status = open_archive(&a);
    if (status == DC_OK)
        status = read_split(memory, &a, spec);
    dc_arena_free(a.arena);
    return status;
}

static bool recognize(const char *path)
{
    char file[4096];
    for (int c = 0; c < CONVENTIONS; c++) {
        snprintf(file, sizeof file, "%s/%s.npy", path, names[c][TRAIN].inputs);
        if (dc_file_exists(file))
            return true;
    }
    return is_archive(path);
}

static bool own_validation(const struct dc_source_spec *spec)
{
    const char *path = spec->path;
    struct archive a = {.path = path};
    const uint8_t *bytes = NULL;
    size_t size = 0;
    bool found = false;
    if (dc_arena_create(&a.arena, NULL) != DC_OK)
        return false;
    for (int c = 0; c < CONVENTIONS && !found; c++)
        found = open_archive(&a) == DC_OK &&
                find_member(&bytes, &size, &a, names[c][VALIDATION].inputs) == DC_OK && bytes;
    dc_arena_free(a.arena);
    return found;
}

const struct dc__source_kind dc__source_npz = {
    .ops = {"npz", dc__memory_read, dc__memory_free},
    .recognize = recognize,
    .load = load,
    .own_validation = own_validation,
};

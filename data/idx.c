// Owns the IDX format of MNIST and its successors (http://yann.lecun.com/exdb/mnist, "file
// formats"): two zero bytes, a type byte, the number of dimensions, each dimension as a big-endian
// 32-bit number, then the values. Only unsigned bytes (type 8) are read.

#include <inttypes.h>
#include <string.h>

#include "data/kinds.h"

enum { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS };  // of the kind's files

// A decoded file: values points behind the header.
struct idx {
    const char *path;
    const uint8_t *values;
    struct dc_shape shape;
};

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

// The header must describe exactly the bytes that follow.
static enum dc_status check_size(const struct idx *idx, size_t size, size_t header,
                                 struct dc_error *error)
{
    const int64_t held = (int64_t)(size - header);
    int64_t record = 1;
    for (int i = 1; i < idx->shape.rank; i++) {
        if (idx->shape.dims[i] == 0 || idx->shape.dims[i] > INT32_MAX / record)
            return dc_fail(error, DC_ERR_DATA,
                           "%s: byte %d: the header gives a dimension of %" PRId64, idx->path,
                           4 + 4 * i, idx->shape.dims[i]);
        record *= idx->shape.dims[i];
    }
    if (idx->shape.dims[0] == 0)
        return dc_fail(error, DC_ERR_DATA, "%s: byte 4: the header says 0 records", idx->path);
    if (idx->shape.dims[0] * record == held)
        return DC_OK;
    return dc_fail(error, DC_ERR_DATA,
                   "%s: byte 4: the header says %" PRId64 " records of %" PRId64
                   " bytes, but the file's size allows %" PRId64 "%s",
                   idx->path, idx->shape.dims[0], record, held / record,
                   held % record ? " and a part of one" : "");
}

static enum dc_status read_idx(struct idx *idx, const char *folder, const char *base, int rank,
                               struct dc_arena *arena, struct dc_error *error)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    DC_TRY(dc__read_packed(&bytes, &size, &idx->path, folder, base, arena, error));
    const size_t header = 4 + 4 * (size_t)rank;
    if (size < header)
        return dc_fail(error, DC_ERR_DATA, "%s: %zu bytes are too few for an IDX header", idx->path,
                       size);
    if (bytes[0] || bytes[1] || bytes[2] != 8 || bytes[3] != rank)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: byte 0: starts with %02x %02x %02x %02x; IDX of unsigned bytes in %d "
                       "dimensions starts with 00 00 08 %02x",
                       idx->path, bytes[0], bytes[1], bytes[2], bytes[3], rank, (unsigned)rank);
    idx->values = bytes + header;
    idx->shape.rank = rank;
    for (int i = 0; i < rank; i++)
        idx->shape.dims[i] = (int64_t)big_endian(bytes + 4 + 4 * i);
    return check_size(idx, size, header, error);
}

static enum dc_status read_labels(int32_t **labels, struct idx *idx, const char *folder, bool test,
                                  struct dc_arena *arena, struct dc_error *error)
{
    DC_TRY(read_idx(idx, folder, dc__source_idx.files[test ? TEST_LABELS : TRAIN_LABELS], 1, arena,
                    error));
    *labels = DC_NEW(arena, int32_t, idx->shape.dims[0], error);
    if (!*labels)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < idx->shape.dims[0]; i++)
        (*labels)[i] = idx->values[i];
    return DC_OK;
}

// Names and number of classes; without either, what the training labels use.
static enum dc_status find_classes(struct dc__memory *memory, const struct dc_source_spec *spec,
                                   struct dc_arena *scratch, struct dc_error *error)
{
    struct dc_source *source = &memory->source;
    DC_TRY(dc__class_file(source, spec, "classes.txt", memory->arena, error));
    if (source->classes)
        return DC_OK;
    struct idx idx;
    int32_t *labels = NULL;
    const bool train = dc__find_packed(spec->path, dc__source_idx.files[TRAIN_LABELS], scratch,
                                       error) != NULL;
    DC_TRY(read_labels(&labels, &idx, spec->path, !train, scratch, error));
    return dc__count_classes(&source->classes, labels, idx.shape.dims[0], idx.path, error);
}

static enum dc_status load_with(struct dc__memory *memory, const struct dc_source_spec *spec,
                                struct dc_arena *scratch, struct dc_error *error)
{
    struct dc_source *source = &memory->source;
    struct idx images, records;
    int32_t *labels = NULL;
    const bool test = dc__is_test(spec);
    DC_TRY(read_labels(&labels, &records, spec->path, test, scratch, error));
    DC_TRY(find_classes(memory, spec, scratch, error));
    DC_TRY(read_idx(&images, spec->path, dc__source_idx.files[test ? TEST_IMAGES : TRAIN_IMAGES], 3,
                    scratch, error));
    const int64_t count = images.shape.dims[0];
    if (records.shape.dims[0] != count)
        return dc_fail(error, DC_ERR_DATA, "%s: %" PRId64 " labels, but %s has %" PRId64 " images",
                       records.path, records.shape.dims[0], images.path, count);
    DC_TRY(dc__check_labels(labels, count, source->classes, records.path, error));
    source->sample = DC_SHAPE(images.shape.dims[1], images.shape.dims[2], 1);
    DC_TRY(dc__memory_resize(memory, count, error));
    memcpy(memory->values, images.values, (size_t)count * dc__sample_bytes(source));
    memcpy(memory->labels, labels, (size_t)count * sizeof *labels);
    return DC_OK;
}

static enum dc_status load(struct dc__memory *memory, const struct dc_source_spec *spec,
                           struct dc_error *error)
{
    struct dc_arena *scratch = NULL;
    DC_TRY(dc_arena_create(&scratch, error));
    const enum dc_status status = load_with(memory, spec, scratch, error);
    dc_arena_free(scratch);
    return status;
}

const struct dc__source_kind dc__source_idx = {
    .ops = {"idx", dc__memory_read, dc__memory_free},
    .files = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
              "t10k-labels-idx1-ubyte"},
    .load = load,
};

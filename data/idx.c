// Owns the IDX format of MNIST and its successors (http://yann.lecun.com/exdb/mnist, "file
// formats"): two zero bytes, a type byte, the number of dimensions, each dimension as a big-endian
// 32-bit number, then the values. Only unsigned bytes (type 8) are read.

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/bounds.h"
#include "data/kinds.h"

enum { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS };  // of the kind's files
enum { RANK_MAX = 3, HEADER_MAX = 4 + 4 * RANK_MAX };
enum { LABEL_BYTES = 1 + 2 * sizeof(int32_t) };  // of memory: as read, as a number, as the source's

// A file whose header is read; the values come next.
struct idx {
    struct dc_packed *packed;
    const char *path;
    struct dc_shape shape;
    int64_t record, bytes;  // of one record, of all
    const volatile sig_atomic_t *stop;
};

static int64_t big_endian(const uint8_t *p)
{
    return (int64_t)p[0] << 24 | (int64_t)p[1] << 16 | (int64_t)p[2] << 8 | p[3];
}

static enum dc_status fail_size(const struct idx *idx, int64_t held, struct dc_error *error)
{
    return dc_fail(error, DC_ERR_DATA,
                   "%s: byte 4: the header says %" PRId64 " records of %" PRId64
                   " bytes, but the file's size allows %" PRId64 "%s",
                   idx->path, idx->shape.dims[0], idx->record, held / idx->record,
                   held % idx->record ? " and a part of one" : "");
}

// The header must describe exactly the bytes that follow; of a packed file they are counted as they
// come (read_values).
static enum dc_status check_size(struct idx *idx, int64_t header, int64_t limit,
                                 struct dc_error *error)
{
    idx->record = 1;
    for (int i = 1; i < idx->shape.rank; i++) {
        if (idx->shape.dims[i] == 0 || idx->shape.dims[i] > INT32_MAX / idx->record)
            return dc_fail(error, DC_ERR_DATA,
                           "%s: byte %d: the header gives a dimension of %" PRId64, idx->path,
                           4 + 4 * i, idx->shape.dims[i]);
        idx->record *= idx->shape.dims[i];
    }
    if (idx->shape.dims[0] == 0)
        return dc_fail(error, DC_ERR_DATA, "%s: byte 4: the header says 0 records", idx->path);
    idx->bytes = idx->shape.dims[0] * idx->record;  // below 2^63: 32 bits times 31
    const int64_t left = dc_packed_left(idx->packed);
    if (left >= 0 && left != idx->bytes)
        return fail_size(idx, left, error);
    dc_packed_expect(idx->packed, header + idx->bytes);
    return dc_want_memory(idx->path, "its header",
                          idx->shape.rank == 1 ? idx->bytes * LABEL_BYTES : idx->bytes, limit,
                          error);
}

static enum dc_status open_idx(struct idx *idx, const struct dc_source_spec *spec, const char *base,
                               int rank, struct dc_arena *arena, struct dc_error *error)
{
    uint8_t bytes[HEADER_MAX];
    size_t got = 0;
    idx->stop = spec->stop;
    DC_TRY(dc__open_packed(&idx->packed, &idx->path, spec->path, base, arena, error));
    const size_t header = 4 + 4 * (size_t)rank;
    DC_TRY(dc_packed_read(idx->packed, bytes, header, &got, error));
    if (got < header)
        return dc_fail(error, DC_ERR_DATA, "%s: %zu bytes are too few for an IDX header", idx->path,
                       got);
    if (bytes[0] || bytes[1] || bytes[2] != 8 || bytes[3] != rank)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: byte 0: starts with %02x %02x %02x %02x; IDX of unsigned bytes in %d "
                       "dimensions starts with 00 00 08 %02x",
                       idx->path, bytes[0], bytes[1], bytes[2], bytes[3], rank, (unsigned)rank);
    idx->shape.rank = rank;
    for (int i = 0; i < rank; i++)
        idx->shape.dims[i] = big_endian(bytes + 4 + 4 * i);
    return check_size(idx, (int64_t)header, spec->memory, error);
}

// All values, [bytes], and that nothing follows them.
static enum dc_status read_values(uint8_t *values, const struct idx *idx, struct dc_error *error)
{
    enum { PART = 1 << 20 };
    size_t more = 0;
    uint8_t next;
    for (int64_t at = 0; at < idx->bytes;) {
        size_t got = 0;
        const int64_t left = idx->bytes - at;
        DC_TRY(dc_check_stop(idx->stop, error));
        DC_TRY(dc_packed_read(idx->packed, values + at, left < PART ? (size_t)left : PART, &got,
                              error));
        if (got == 0)
            return fail_size(idx, at, error);
        at += (int64_t)got;
    }
    DC_TRY(dc_packed_read(idx->packed, &next, 1, &more, error));
    return more ? dc_fail(error, DC_ERR_DATA,
                          "%s: byte 4: the header says %" PRId64 " records of %" PRId64
                          " bytes, but more bytes follow them",
                          idx->path, idx->shape.dims[0], idx->record)
                : DC_OK;
}

static enum dc_status read_labels(int32_t **labels, struct idx *idx, struct dc_arena *arena,
                                  struct dc_error *error)
{
    uint8_t *values = malloc((size_t)idx->bytes);  // not touched beyond what the file really holds
    if (!values)
        return dc_fail(error, DC_ERR_MEMORY, "%s: no memory for %" PRId64 " labels", idx->path,
                       idx->bytes);
    enum dc_status status = read_values(values, idx, error);
    if (status == DC_OK && !(*labels = DC_NEW(arena, int32_t, idx->bytes, error)))
        status = DC_ERR_MEMORY;
    for (int64_t i = 0; status == DC_OK && i < idx->bytes; i++)
        (*labels)[i] = values[i];
    free(values);
    return status;
}

// Names and number of classes; without either, what the training labels use.
static enum dc_status find_classes(struct dc__memory *memory, const struct dc_source_spec *spec,
                                   struct dc_arena *scratch, struct dc_error *error)
{
    struct dc_source *source = &memory->source;
    DC_TRY(dc__class_file(source, spec, "classes.txt", memory->arena, error));
    if (source->classes)
        return DC_OK;
    struct idx idx = {0};
    int32_t *labels = NULL;
    const bool train = dc__find_packed(spec->path, dc__source_idx.files[TRAIN_LABELS], scratch,
                                       error) != NULL;
    enum dc_status status = open_idx(
        &idx, spec, dc__source_idx.files[train ? TRAIN_LABELS : TEST_LABELS], 1, scratch, error);
    if (status == DC_OK)
        status = read_labels(&labels, &idx, scratch, error);
    if (status == DC_OK)
        status = dc__count_classes(&source->classes, labels, idx.bytes, idx.path, error);
    dc_packed_close(idx.packed);
    return status;
}

// Both headers are read, and they agree.
static enum dc_status load_values(struct dc__memory *memory, const struct dc_source_spec *spec,
                                  struct idx *images, struct idx *idx, struct dc_arena *scratch,
                                  struct dc_error *error)
{
    int32_t *labels = NULL;
    DC_TRY(read_labels(&labels, idx, scratch, error));
    DC_TRY(find_classes(memory, spec, scratch, error));
    DC_TRY(dc__check_labels(labels, idx->bytes, memory->source.classes, idx->path, error));
    memory->source.sample = DC_SHAPE(images->shape.dims[1], images->shape.dims[2], 1);
    DC_TRY(dc__memory_resize(memory, idx->bytes, error));
    memcpy(memory->labels, labels, (size_t)idx->bytes * sizeof *labels);
    return read_values(memory->values, images, error);
}

static enum dc_status load_with(struct dc__memory *memory, const struct dc_source_spec *spec,
                                struct dc_arena *scratch, struct dc_error *error)
{
    const char *const *files = dc__source_idx.files;
    const bool test = dc__is_test(spec);
    struct idx images = {0}, labels = {0};
    enum dc_status status = open_idx(&labels, spec, files[test ? TEST_LABELS : TRAIN_LABELS], 1,
                                     scratch, error);
    if (status == DC_OK)
        status = open_idx(&images, spec, files[test ? TEST_IMAGES : TRAIN_IMAGES], 3, scratch,
                          error);
    if (status == DC_OK && labels.bytes != images.shape.dims[0])
        status = dc_fail(error, DC_ERR_DATA,
                         "%s: %" PRId64 " labels, but %s has %" PRId64 " images", labels.path,
                         labels.bytes, images.path, images.shape.dims[0]);
    if (status == DC_OK)
        status = load_values(memory, spec, &images, &labels, scratch, error);
    dc_packed_close(images.packed);
    dc_packed_close(labels.packed);
    return status;
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

// Owns the binary version of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html):
// records of one label byte (CIFAR-100: coarse, then fine) and 3,072 bytes, red plane, green plane,
// blue plane, 32 rows each. In memory the planes are interleaved: [32, 32, 3].

#include <inttypes.h>
#include <string.h>

#include "core/bounds.h"
#include "data/kinds.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, IMAGE = 3 * PLANE };

struct layout {
    const char *train[6], *test[2];  // NULL behind the last
    const char *names;
    int label_bytes, classes;  // the last label byte counts
};

static const struct layout cifar10 = {
    {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
     "data_batch_5.bin"},
    {"test_batch.bin"},
    "batches.meta.txt",
    1,
    10,
};
static const struct layout cifar100 = {
    {"train.bin"}, {"test.bin"}, "fine_label_names.txt", 2, 100,
};

static void interleave(uint8_t *restrict out, const uint8_t *restrict planes)
{
    for (int p = 0; p < PLANE; p++, out += 3) {
        out[0] = planes[p];
        out[1] = planes[PLANE + p];
        out[2] = planes[2 * PLANE + p];
    }
}

// One record more behind those of earlier files.
static enum dc_status add_record(struct dc__memory *memory, int64_t *capacity,
                                 const uint8_t *record, const struct layout *layout,
                                 const char *path, int64_t limit, struct dc_error *error)
{
    const int64_t at = memory->source.count;
    if (at == *capacity) {
        *capacity = at ? 2 * at : 64;
        DC_TRY(dc_want_memory(path, "what it holds", at * IMAGE, limit, error));
        DC_TRY(dc__memory_resize(memory, *capacity, error));
    }
    memory->labels[at] = record[layout->label_bytes - 1];
    interleave(memory->values + at * IMAGE, record + layout->label_bytes);
    memory->source.count = at + 1;
    return DC_OK;
}

// Record by record, as many as the file holds.
static enum dc_status read_records(struct dc__memory *memory, struct dc_packed *packed,
                                   const char *path, const struct layout *layout,
                                   const struct dc_source_spec *spec, struct dc_error *error)
{
    const size_t size = (size_t)layout->label_bytes + IMAGE;
    uint8_t record[2 + IMAGE];
    const int64_t first = memory->source.count;
    int64_t capacity = first;
    for (size_t got = size; got == size;) {
        DC_TRY(dc_packed_read(packed, record, size, &got, error));
        const int64_t number = memory->source.count - first;
        if (got == size)
            DC_TRY(add_record(memory, &capacity, record, layout, path, spec->memory, error));
        else if (got > 0)
            return dc_fail(error, DC_ERR_DATA,
                           "%s: record %" PRId64 " is cut off: %" PRId64
                           " bytes are not a multiple of %zu",
                           path, number, number * (int64_t)size + (int64_t)got, size);
    }
    const int64_t count = memory->source.count - first;
    if (count == 0)
        return dc_fail(error, DC_ERR_DATA, "%s: the file is empty", path);
    DC_TRY(dc__memory_resize(memory, memory->source.count, error));
    return dc__check_labels(memory->labels + first, count, memory->source.classes, path, error);
}

static enum dc_status load_file(struct dc__memory *memory, const char *base,
                                const struct layout *layout, const struct dc_source_spec *spec,
                                struct dc_error *error)
{
    struct dc_packed *packed = NULL;
    const char *path = NULL;
    DC_TRY(dc__open_packed(&packed, &path, spec->path, base, memory->arena, error));
    const enum dc_status status = read_records(memory, packed, path, layout, spec, error);
    dc_packed_close(packed);
    return status;
}

static enum dc_status load(struct dc__memory *memory, const struct dc_source_spec *spec,
                           struct dc_error *error)
{
    struct dc_source *source = &memory->source;
    const struct layout *layout = source->ops == &dc__source_cifar10.ops ? &cifar10 : &cifar100;
    source->sample = DC_SHAPE(SIDE, SIDE, 3);
    DC_TRY(dc__class_file(source, spec, layout->names, memory->arena, error));
    if (!source->classes)
        source->classes = layout->classes;
    if (source->classes != layout->classes)
        return dc_fail(error, DC_ERR_DATA, "%s: %d classes are named, the data has %d", spec->path,
                       source->classes, layout->classes);
    for (const char *const *base = dc__is_test(spec) ? layout->test : layout->train; *base;
         base++) {
        DC_TRY(dc_check_stop(spec->stop, error));
        DC_TRY(load_file(memory, *base, layout, spec, error));
    }
    return DC_OK;
}

const struct dc__source_kind dc__source_cifar10 = {
    .ops = {"cifar10", dc__memory_read, dc__memory_free},
    .files = {"data_batch_1.bin", "test_batch.bin"},
    .load = load,
};
const struct dc__source_kind dc__source_cifar100 = {
    .ops = {"cifar100", dc__memory_read, dc__memory_free},
    .files = {"train.bin", "test.bin"},
    .load = load,
};

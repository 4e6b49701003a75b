// Owns the binary version of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html):
// records of one label byte (CIFAR-100: coarse, then fine) and 3,072 bytes, red plane, green plane,
// blue plane, 32 rows each. In memory the planes are interleaved: [32, 32, 3].

#include <inttypes.h>
#include <string.h>

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

static enum dc_status load_file(struct dc__memory *memory, const char *folder, const char *base,
                                const struct layout *layout, struct dc_arena *scratch,
                                struct dc_error *error)
{
    const size_t record = (size_t)layout->label_bytes + IMAGE;
    uint8_t *bytes = NULL;
    size_t size = 0;
    const char *path = NULL;
    DC_TRY(dc__read_packed(&bytes, &size, &path, folder, base, scratch, error));
    if (size == 0)
        return dc_fail(error, DC_ERR_DATA, "%s: the file is empty", path);
    if (size % record)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: record %zu is cut off: %zu bytes are not a multiple of %zu", path,
                       size / record, size, record);
    const int64_t first = memory->source.count, count = (int64_t)(size / record);
    DC_TRY(dc__memory_resize(memory, first + count, error));
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *from = bytes + (size_t)i * record + layout->label_bytes;
        memory->labels[first + i] = from[-1];
        interleave(memory->values + (first + i) * IMAGE, from);
    }
    return dc__check_labels(memory->labels + first, count, memory->source.classes, path, error);
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
        struct dc_arena *scratch = NULL;  // one for each file: the decoded bytes go at once
        DC_TRY(dc_check_stop(spec->stop, error));
        DC_TRY(dc_arena_create(&scratch, error));
        const enum dc_status status = load_file(memory, spec->path, *base, layout, scratch, error);
        dc_arena_free(scratch);
        DC_TRY(status);
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

// Owns writing the layout of convert.h, block by block; no more than one block is in memory.

#include "data/convert.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/h5.h"

enum { BLOCK_BYTES = 4 * 1024 * 1024 };

static enum dc_status write_inputs(struct dc_h5 *file, const char *name,
                                   const struct dc_source *source, uint8_t *block, int64_t rows,
                                   size_t bytes, struct dc_error *error)
{
    DC_TRY(dc_h5_create_rows(file, name, source->dtype, &source->sample, error));
    for (int64_t first = 0; first < source->count; first += rows) {
        const int64_t left = source->count - first;
        const int64_t n = left < rows ? left : rows;
        DC_TRY(dc_check_stop(source->stop, error));
        for (int64_t i = 0; i < n; i++)
            DC_TRY_IN(dc_source_read(source, first + i, block + (size_t)i * bytes, error), error,
                      "sample %" PRId64, first + i);
        DC_TRY(dc_h5_append_rows(file, name, block, n, error));
    }
    return DC_OK;
}

// Numbered anew, from 0 on.
static enum dc_status write_groups(struct dc_h5 *file, const char *split,
                                   const struct dc_source *source, struct dc_arena *arena,
                                   struct dc_error *error)
{
    const char *name = dc_arena_printf(arena, error, "%s/groups", split);
    int32_t *groups = DC_NEW(arena, int32_t, source->count, error);
    if (!name || !groups)
        return DC_ERR_MEMORY;
    for (int64_t i = 1; i < source->count; i++)
        groups[i] = groups[i - 1] + (source->groups[i] != source->groups[i - 1]);
    const struct dc_tensor tensor = {groups, DC_I32, DC_SHAPE(source->count)};
    return dc_h5_write(file, name, &tensor, error);
}

static enum dc_status write_split(struct dc_h5 *file, const char *split,
                                  const struct dc_source *source, struct dc_arena *arena,
                                  struct dc_error *error)
{
    const size_t bytes = (size_t)dc_shape_count(&source->sample) * dc_dtype_bytes(source->dtype);
    const int64_t rows = bytes < BLOCK_BYTES ? (int64_t)(BLOCK_BYTES / bytes) : 1;
    const char *inputs = dc_arena_printf(arena, error, "%s/inputs", split);
    const char *labels = dc_arena_printf(arena, error, "%s/labels", split);
    if (!inputs || !labels)
        return DC_ERR_MEMORY;
    uint8_t *block = dc_alloc((size_t)rows * bytes, error);
    if (!block)
        return DC_ERR_MEMORY;
    const enum dc_status status = write_inputs(file, inputs, source, block, rows, bytes, error);
    free(block);
    DC_TRY(status);
    if (source->groups)
        DC_TRY(write_groups(file, split, source, arena, error));
    if (!source->labels && !source->targets)
        return DC_OK;
    const struct dc_tensor classes = {(void *)(uintptr_t)source->labels, DC_I32,
                                      DC_SHAPE(source->count)};
    const struct dc_tensor targets = {(void *)(uintptr_t)source->targets, DC_F32,
                                      DC_SHAPE(source->count, source->classes)};
    return dc_h5_write(file, labels, source->targets ? &targets : &classes, error);
}

static enum dc_status write_classes(struct dc_h5 *file, const struct dc_source *source,
                                    const char *const *names, struct dc_arena *arena,
                                    struct dc_error *error)
{
    if (!source->labels && !source->targets)
        return DC_OK;
    if (source->targets)
        DC_TRY(dc_h5_set_text(file, "labels", dc_label_kinds[source->label_kind], error));
    DC_TRY(dc_h5_set_int(file, "classes", source->classes, error));
    const char *text = "";
    for (int i = 0; names && i < source->classes; i++) {
        text = dc_arena_printf(arena, error, "%s%s\n", text, names[i]);
        if (!text)
            return DC_ERR_MEMORY;
    }
    return names ? dc_h5_set_text(file, "class_names", text, error) : DC_OK;
}

static enum dc_status write_file(struct dc_h5 *file, const struct dc_source *train,
                                 const struct dc_source *test, const char *const *class_names,
                                 struct dc_arena *arena, struct dc_error *error)
{
    const struct dc_source *any = train ? train : test;
    const int version = any->targets || any->groups ? DC_DATA_FILE_VERSION : 1;
    DC_TRY(dc_h5_set_int(file, "decant_data", version, error));
    DC_TRY(write_classes(file, any, class_names ? class_names : any->class_names, arena, error));
    if (train && train->own_validation > 0)
        DC_TRY(dc_h5_set_int(file, "validation_samples", train->own_validation, error));
    if (train)
        DC_TRY(write_split(file, "train", train, arena, error));
    if (test)
        DC_TRY(write_split(file, "test", test, arena, error));
    return DC_OK;
}

static bool agree(const struct dc_source *a, const struct dc_source *b)
{
    return a->dtype == b->dtype && dc_shape_equal(&a->sample, &b->sample) &&
           a->classes == b->classes && !a->labels == !b->labels && a->label_kind == b->label_kind &&
           !a->groups == !b->groups;
}

enum dc_status dc_source_to_hdf5(const struct dc_source *train, const struct dc_source *test,
                                 const char *path, const char *const *class_names,
                                 struct dc_error *error)
{
    struct dc_h5 *file = NULL;
    struct dc_arena *arena = NULL;
    assert(train || test);
    if (train && test && !agree(train, test))
        return dc_fail(error, DC_ERR_DATA,
                       "training and test data differ in the shape, type or classes of samples");
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = dc_h5_create(&file, path, error);
    if (status == DC_OK)
        status = dc_h5_close_commit(file, write_file(file, train, test, class_names, arena, error),
                                    error);
    dc_arena_free(arena);
    return status;
}

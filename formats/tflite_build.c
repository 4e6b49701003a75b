// Owns the growing of a TFLite file's lists.

#include "formats/tflite_build.h"

#include <string.h>

enum dc_status dc_tflite_add_tensor(struct dc_tflite_builder *build,
                                    const struct dc_tflite_tensor *tensor, int *index)
{
    int *count = &build->file.tensor_count;
    if (*count == build->tensor_capacity)
        build->tensors = dc_arena_grow(build->arena, build->tensors, *count,
                                       &build->tensor_capacity, sizeof *tensor, build->error);
    if (!build->tensors)
        return DC_ERR_MEMORY;
    build->tensors[*count] = *tensor;
    *index = (*count)++;
    return DC_OK;
}

enum dc_status dc_tflite_add_operator(struct dc_tflite_builder *build,
                                      const struct dc_tflite_operator *operator)
{
    int *count = &build->file.operator_count;
    if (*count == build->operator_capacity)
        build->operators = dc_arena_grow(build->arena, build->operators, *count,
                                         &build->operator_capacity, sizeof *operator, build->error);
    if (!build->operators)
        return DC_ERR_MEMORY;
    build->operators[(*count)++] = *operator;
    return DC_OK;
}

enum dc_status dc_tflite_add_integers(struct dc_tflite_builder *build, const char *layer,
                                      const char *what, const int32_t *values, int rows,
                                      int columns, int *index)
{
    const int count = columns ? rows * columns : rows;
    int32_t *copy = DC_NEW(build->arena, int32_t, count, build->error);
    const char *name = dc_arena_printf(build->arena, build->error, "%s/%s", layer, what);
    if (!copy || !name)
        return DC_ERR_MEMORY;
    memcpy(copy, values, (size_t)count * sizeof *copy);
    const struct dc_tflite_tensor tensor = {.name = name,
                                            .type = DC_TFLITE_INT32,
                                            .rank = columns ? 2 : 1,
                                            .shape = {rows, columns},
                                            .data = copy,
                                            .bytes = 4 * (int64_t)count,
                                            .arena_offset = -1};
    return dc_tflite_add_tensor(build, &tensor, index);
}

enum dc_status dc_tflite_save(struct dc_tflite_builder *build, const char *path)
{
    build->file.tensors = build->tensors;
    build->file.operators = build->operators;
    return dc_tflite_file_write(path, &build->file, build->error);
}

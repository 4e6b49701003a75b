// A TFLite file as it grows: tensors and operators in the order they run. Shared by those who
// translate networks (tflite_float.c, export/tflite.c).

#ifndef DC_FORMATS_TFLITE_BUILD_H
#define DC_FORMATS_TFLITE_BUILD_H

#include "core/arena.h"
#include "formats/tflite.h"

struct dc_tflite_builder {
    struct dc_arena *arena;  // owns what is added
    struct dc_error *error;
    struct dc_tflite_file file;
    struct dc_tflite_tensor *tensors;
    struct dc_tflite_operator *operators;
    int tensor_capacity, operator_capacity;
};

DC_MUST_USE enum dc_status dc_tflite_add_tensor(struct dc_tflite_builder *build,
                                                const struct dc_tflite_tensor *tensor, int *index);
DC_MUST_USE enum dc_status dc_tflite_add_operator(struct dc_tflite_builder *build,
                                                  const struct dc_tflite_operator *operator);
// An int32 constant of [rows], or [rows, columns] where columns > 0, named LAYER/WHAT. Copied.
DC_MUST_USE enum dc_status dc_tflite_add_integers(struct dc_tflite_builder *build,
                                                  const char *layer, const char *what,
                                                  const int32_t *values, int rows, int columns,
                                                  int *index);
DC_MUST_USE enum dc_status dc_tflite_save(struct dc_tflite_builder *build, const char *path);

#endif

// A network as one .h / .c pair of self-contained C99.
//
// The pair holds the weights as const arrays, plain kernels for the ops used, one static activation
// arena (or the caller's: c_interface.h), no allocation and no dependency beyond <stdint.h>. It
// offers, with the model's name as prefix,
//   int NAME_check(int32_t format, const void *arena, int32_t bytes);   before anything else
//   int NAME_quantize_values(int8_t *codes, const float *values);
//   void NAME_run(const int8_t *input, int8_t *output);   [height, width, channels] codes
//   int NAME_selftest(void);   0: all embedded vectors match; n: vector n - 1 does not
//   int NAME_argmax(const int8_t *output);   of classes; of tags int NAME_has_tag(output, int i)
//   void NAME_dequantize_output(float *values, const int8_t *output);
//   int NAME_confident(const int8_t *output);   with a cascade: c_outputs.h
// and, where the input is made of bytes (core/preprocessing.h),
//   void NAME_quantize_input(int8_t *codes, const uint8_t *pixels);
//   const char *const NAME_class_names[] (NAME_value_names, NAME_tag_names) and NAME_resize():
//   c_preprocessing.h
// and macros for sizes, scales and zero points, mean and std. NAME_NO_SELFTEST leaves the vectors
// out. Its kernels are written anew, not taken from the engine: verify.h compares two programs.

#ifndef DC_EXPORT_C_SOURCE_H
#define DC_EXPORT_C_SOURCE_H

#include "export/vectors.h"

// Writes DIRECTORY/NAME.h and DIRECTORY/NAME.c. name: a C identifier (dc_c_identifier). The first
// few of the vectors are embedded.
DC_MUST_USE enum dc_status dc_c_source_write(const char *directory, const char *name,
                                             const struct dc_imodel *model,
                                             const struct dc_vectors *vectors,
                                             struct dc_error *error);

// `text` with everything but letters, digits and '_' replaced, lower case, starting with a letter.
DC_MUST_USE char *dc_c_identifier(struct dc_arena *arena, const char *text, struct dc_error *error);

// What a user may call the C: what dc_c_identifier leaves as it is, or "".
#define DC_C_NAME_RULE "small letters, digits and '_', a letter first, 100 at most"
bool dc_c_name_fits(const char *name);

#endif

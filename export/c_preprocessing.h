// What exported C says and does before the network: class names, normalization, codes of bytes,
// resizing. Internal to export/; the joining of fragments is c_source.c's.

#ifndef DC_EXPORT_C_PREPROCESSING_H
#define DC_EXPORT_C_PREPROCESSING_H

#include <stdio.h>

#include "qat/imodel.h"

// What is put into the header and, behind the kernels, into the code. upper: `name` as macros have
// it. Nothing where the model's input is not made of bytes.
void dc__put_preprocessing_header(FILE *out, const char *name, const char *upper,
                                  const struct dc_imodel *model);
DC_MUST_USE enum dc_status dc__put_preprocessing_code(FILE *out, const char *name,
                                                      const char *upper,
                                                      const struct dc_imodel *model,
                                                      struct dc_error *error);

// As constants of C: nine digits give the float32 back exactly; NUMBERS_PER_LINE codes a line.
void dc__put_float(FILE *out, float value);
// A literal of any text.
void dc__put_string(FILE *out, const char *text);
void dc__put_int8(FILE *out, const int8_t *values, int64_t count);

#endif

// Small arithmetic for model files: numbers, $names, + - * / ( ), comparisons, which give 0 or 1,
// and round8(width), the multiple of 8 that MobileNetV2 takes for it.

#ifndef DC_CORE_EXPRESSION_H
#define DC_CORE_EXPRESSION_H

#include <stdbool.h>

// Names in scope, the innermost first.
struct dc_variables {
    const struct dc_variables *outer;
    int count;
    const char *const *names;
    const double *values;
};

// False with *problem set to what is wrong. variables may be NULL: numbers only.
bool dc_expression(double *value, const char *text, const struct dc_variables *variables,
                   const char **problem);

#endif

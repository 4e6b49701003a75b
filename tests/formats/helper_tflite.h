// TFLite files of one operator, or of two in a row: each operator that is read, with its options.
// What LiteRT computes from the same files is tests/interop/check_tflite's business.

#ifndef DECANT_TESTS_HELPER_TFLITE_H
#define DECANT_TESTS_HELPER_TFLITE_H

#include "formats/tflite.h"

struct test_operand {
    enum { OPERAND_NONE, OPERAND_VALUE, OPERAND_FLOATS, OPERAND_HALVES, OPERAND_INTEGERS } kind;
    int rank;
    int32_t shape[4];
    int32_t numbers[8];  // of integers
    float number;        // of floats: all of them; 0: drawn
};

struct test_step {
    enum dc_tflite_code code;
    int version;
    struct test_operand operands[4];
    int64_t options[DC_TFLITE_OPTIONS_MAX];
    int rank;
    int32_t shape[4];  // of the result
};

struct test_tflite {
    const char *name;
    int rank;
    int32_t shape[4];  // of the input
    struct test_step steps[2];
};

// Those that are read, and those that are refused with these words.
extern const struct test_tflite test_tflite_read[], test_tflite_refused[];
extern const char *const test_tflite_reasons[];
extern const int test_tflite_read_count, test_tflite_refused_count;

enum dc_status test_tflite_write(const char *path, const struct test_tflite *wanted,
                                 struct dc_error *error);

#endif

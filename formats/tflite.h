// TFLite files, schema version 3: one subgraph of tensors and operators, written as a FlatBuffer.
//
// Owns the schema: operator codes, versions, option tables and field numbers. What the operators
// compute, and whether a network can be said in them, is export/tflite.h's business.

#ifndef DC_FORMATS_TFLITE_H
#define DC_FORMATS_TFLITE_H

#include <stdint.h>
#include <string.h>

#include "core/error.h"

enum dc_tflite_type {
    DC_TFLITE_FLOAT32 = 0,
    DC_TFLITE_INT32 = 2,
    DC_TFLITE_INT8 = 9,
    DC_TFLITE_INT4 = 17  // two a byte, the first in the low half
};
enum dc_tflite_padding { DC_TFLITE_SAME, DC_TFLITE_VALID };
enum dc_tflite_activation {
    DC_TFLITE_NONE,
    DC_TFLITE_RELU,
    DC_TFLITE_RELU_N1_TO_1,
    DC_TFLITE_RELU6
};

// What the schema says of an operator. Options, in the order of dc_tflite_operator.options, one
// character a field as in formats/flatbuffer.h: b a byte, i an int32 or the bits of a float32; a
// the byte that holds a fused activation. NULL: the operator has no table of options.
struct dc_tflite_kind {
    uint8_t code;      // BuiltinOperator
    uint8_t version;   // the least that knows int8; of float ones: the first
    uint8_t int4;      // the least that knows int4 weights; 0: none does
    uint8_t union_of;  // BuiltinOptions
    const char *options;
};

enum { DC_TFLITE_INPUTS_MAX = 8, DC_TFLITE_OPTIONS_MAX = 7 };

struct dc_tflite_tensor {
    const char *name;
    enum dc_tflite_type type;
    int rank;
    int32_t shape[4];
    int scale_count;  // 0: not quantized; 1: whole tensor; more: along `axis`
    const float *scales;
    int zero_point, axis;
    const void *data;  // little endian; NULL: computed when running
    int64_t bytes;
    int64_t arena_offset;  // in the offline memory plan, a multiple of 16; -1: the runtime chooses
};

struct dc_tflite_operator {
    const struct dc_tflite_kind *kind;
    int input_count, inputs[DC_TFLITE_INPUTS_MAX], output;
    int64_t options[DC_TFLITE_OPTIONS_MAX];
};

// A number among options.
static inline int64_t dc_tflite_float_bits(float number)
{
    int32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

struct dc_tflite_file {
    const char *name, *description;
    const char *normalization;  // metadata text on how inputs were normalized; NULL: none
    const struct dc_tflite_tensor *tensors;
    const struct dc_tflite_operator *operators;
    int tensor_count, operator_count;
    int input, output;  // tensors; "input" and "output" of the signature serving_default
};

// The file appears whole. Buffers are aligned to 16 bytes; arena offsets become the metadata
// OfflineMemoryAllocation of TFLM.
DC_MUST_USE enum dc_status dc_tflite_file_write(const char *path, const struct dc_tflite_file *file,
                                                struct dc_error *error);

#endif

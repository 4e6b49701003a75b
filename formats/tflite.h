// TFLite files, schema version 3: one subgraph of tensors and operators, as a FlatBuffer.
//
// Owns the schema: operator codes, versions, option tables and field numbers (tflite_kinds.c), a
// file as it is written (tflite.c) and read (tflite_parse.c). What the operators compute, and
// whether a network can be said in them, is the business of tflite_write.h and tflite_read.h.

#ifndef DC_FORMATS_TFLITE_H
#define DC_FORMATS_TFLITE_H

#include <stdint.h>
#include <string.h>

#include "core/arena.h"
#include "core/error.h"

enum dc_tflite_type {
    DC_TFLITE_FLOAT32 = 0,
    DC_TFLITE_FLOAT16 = 1,
    DC_TFLITE_INT32 = 2,
    DC_TFLITE_INT64 = 4,
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

// BuiltinOperator, of those that are read or written.
enum dc_tflite_code {
    DC_TFLITE_ADD = 0,
    DC_TFLITE_AVERAGE_POOL_2D = 1,
    DC_TFLITE_CONCATENATION = 2,
    DC_TFLITE_CONV_2D = 3,
    DC_TFLITE_DEPTHWISE_CONV_2D = 4,
    DC_TFLITE_DEQUANTIZE = 6,
    DC_TFLITE_FULLY_CONNECTED = 9,
    DC_TFLITE_LOGISTIC = 14,
    DC_TFLITE_MAX_POOL_2D = 17,
    DC_TFLITE_MUL = 18,
    DC_TFLITE_RELU_OP = 19,
    DC_TFLITE_RELU_N1_TO_1_OP = 20,
    DC_TFLITE_RELU6_OP = 21,
    DC_TFLITE_RESHAPE = 22,
    DC_TFLITE_RESIZE_BILINEAR = 23,
    DC_TFLITE_SOFTMAX = 25,
    DC_TFLITE_TANH = 28,
    DC_TFLITE_PAD = 34,
    DC_TFLITE_TRANSPOSE = 39,
    DC_TFLITE_MEAN = 40,
    DC_TFLITE_SUB = 41,
    DC_TFLITE_DIV = 42,
    DC_TFLITE_SQUEEZE = 43,
    DC_TFLITE_STRIDED_SLICE = 45,
    DC_TFLITE_EXP = 47,
    DC_TFLITE_PRELU = 54,
    DC_TFLITE_MAXIMUM = 55,
    DC_TFLITE_MINIMUM = 57,
    DC_TFLITE_NEG = 59,
    DC_TFLITE_PADV2 = 60,
    DC_TFLITE_SLICE = 65,
    DC_TFLITE_TRANSPOSE_CONV = 67,
    DC_TFLITE_EXPAND_DIMS = 70,
    DC_TFLITE_LOG = 73,
    DC_TFLITE_SUM = 74,
    DC_TFLITE_SQRT = 75,
    DC_TFLITE_RSQRT = 76,
    DC_TFLITE_REDUCE_MAX = 82,
    DC_TFLITE_SQUARE = 92,
    DC_TFLITE_RESIZE_NEAREST_NEIGHBOR = 97,
    DC_TFLITE_LEAKY_RELU = 98,
    DC_TFLITE_ABS = 101,
    DC_TFLITE_ELU = 111,
    DC_TFLITE_QUANTIZE = 114,
    DC_TFLITE_HARD_SWISH = 117,
    DC_TFLITE_BATCH_MATMUL = 126,
    DC_TFLITE_GELU = 150,
    DC_TFLITE_RELU_0_TO_1 = 152,
    DC_TFLITE_CODE_COUNT = 162
};

// The codes that an activation lets through on a grid, as TFLite computes them, within int8.
void dc_tflite_clamp(float *low, float *high, enum dc_tflite_activation activation, float scale,
                     int zero_point);

// What the schema says of an operator. Options, in the order of dc_tflite_operator.options, one
// character a field as in formats/flatbuffer.h: b a byte, i an int32 or the bits of a float32, - a
// field that is left alone; a the byte that holds a fused activation, d an int32 that is 1 where a
// file does not state it. NULL: the operator has no table of options.
struct dc_tflite_kind {
    const char *name;  // in messages; NULL: there is no such operator
    uint8_t version;   // the least that knows int8; of float ones: the first; 0: never written
    uint8_t int4;      // the least that knows int4 weights; 0: none does
    uint8_t union_of;  // BuiltinOptions
    const char *options;
};
extern const struct dc_tflite_kind dc_tflite_kinds[DC_TFLITE_CODE_COUNT];

enum { DC_TFLITE_INPUTS_MAX = 8, DC_TFLITE_OPTIONS_MAX = 7 };

struct dc_tflite_tensor {
    const char *name;
    enum dc_tflite_type type;
    int rank;  // of files that were read: perhaps more than the shape holds
    int32_t shape[4];
    int scale_count;  // 0: not quantized; 1: whole tensor; more: along `axis`
    const float *scales;
    int zero_point, axis;
    const void *data;  // little endian, of any alignment; NULL: computed when running
    int64_t bytes;
    int64_t arena_offset;  // in the offline memory plan, a multiple of 16; -1: the runtime chooses
};

struct dc_tflite_operator {
    enum dc_tflite_code code;  // of files that were read: perhaps one without a name
    int version;               // 0: the kind's
    int input_count, inputs[DC_TFLITE_INPUTS_MAX], output;  // -1: an input that is left out
    int output_count;  // of files that were read: how many there are; `output` is the first
    int64_t options[DC_TFLITE_OPTIONS_MAX];
};

// A number among options, and back.
static inline int64_t dc_tflite_float_bits(float number)
{
    int32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static inline float dc_tflite_float_of(int64_t option)
{
    const int32_t bits = (int32_t)option;
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

struct dc_tflite_file {
    const char *name, *description;
    const char *normalization;  // metadata text on how inputs were normalized; NULL: none
    const struct dc_tflite_tensor *tensors;
    const struct dc_tflite_operator *operators;
    int tensor_count, operator_count;
    int input, output;  // tensors; "input" and "output" of the signature serving_default
    // Of files that were read: bytes, and their hash (FNV-1a, 64 bit).
    int64_t bytes;
    uint64_t hash;
};

// The file appears whole. Buffers are aligned to 16 bytes; arena offsets become the metadata
// OfflineMemoryAllocation of TFLM.
DC_MUST_USE enum dc_status dc_tflite_file_write(const char *path, const struct dc_tflite_file *file,
                                                struct dc_error *error);

// The first subgraph of a file that others made, with everything it points to in the arena. Every
// count, index and offset is checked: what is damaged is DC_ERR_DATA.
// Constants have as many bytes as their shapes say; operators need not be known, tensors not
// computed in order.
DC_MUST_USE enum dc_status dc_tflite_file_read(struct dc_tflite_file *file, const char *path,
                                               struct dc_arena *arena, struct dc_error *error);

// What an operator code is called, for messages: "CONV_2D", "operator 300".
enum { DC_TFLITE_NAME_BYTES = 40 };
const char *dc_tflite_code_name(char text[DC_TFLITE_NAME_BYTES], int code);

#endif

// ONNX files made by hand: a model of a few nodes as text, written with protobuf-c, read and run.
//
//   struct onnx_file f;
//   onnx_begin(&f, 13, "image", 4, (int64_t[]){0, 3, 8, 8});           0: an open batch
//   onnx_floats(&f, "w", 4, (int64_t[]){4, 3, 3, 3});                  filled from its name
//   onnx_node(&f, "Conv", "image w", "y", "pads=1,1,1,1 auto_pad:VALID alpha~0.5");
//   onnx_save(&f, path, "y");
//
// Names of inputs and outputs are parted by spaces; "-" is an input left out. Attributes: NAME=INT
// or INT,INT (with a trailing comma for a list of one), NAME~FLOAT, NAME:STRING.

#ifndef DECANT_TESTS_HELPER_ONNX_H
#define DECANT_TESTS_HELPER_ONNX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <onnx.pb-c.h>

#include "formats/onnx.h"

enum { ONNX_PARTS = 32, ONNX_LIST = 16 };

struct onnx_file {
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto set, *sets[1];
    Onnx__ValueInfoProto input, output[2], *inputs[2], *outputs[2];
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor_type;
    Onnx__TensorShapeProto shape;
    Onnx__TensorShapeProto__Dimension dims[8], *dim_list[8];
    Onnx__NodeProto nodes[ONNX_PARTS], *node_list[ONNX_PARTS];
    Onnx__AttributeProto attributes[ONNX_PARTS][ONNX_LIST], *attribute_list[ONNX_PARTS][ONNX_LIST];
    char *in[ONNX_PARTS][ONNX_LIST], *out[ONNX_PARTS][ONNX_LIST];
    Onnx__TensorProto tensors[ONNX_PARTS], *tensor_list[ONNX_PARTS];
    char text[1 << 14];
    size_t used;
    double data[1 << 14];  // of tensors, attribute lists
    size_t filled;
};

void onnx_begin(struct onnx_file *f, int opset, const char *input, int rank, const int64_t *dims);
// In [-1, 1], a function of the name; returned for the oracle.
float *onnx_floats(struct onnx_file *f, const char *name, int rank, const int64_t *dims);
void onnx_integers(struct onnx_file *f, const char *name, int count, const int64_t *values);
void onnx_node(struct onnx_file *f, const char *op_type, const char *inputs, const char *outputs,
               const char *attributes);
void onnx_save(struct onnx_file *f, const char *path, const char *outputs);  // one or two
void onnx_fill(float *values, int64_t count, const char *name);

// Reads the file and runs it on `rows` rows in the file's order; the result in the file's order
// too. Fails the test where it cannot. *count: floats of the result; the caller frees it.
float *onnx_run(const char *path, int64_t rows, const float *input, int64_t *count);

#endif

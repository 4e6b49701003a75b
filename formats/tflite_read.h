// TFLite files as networks, float and int8.
//
// A float file becomes an ordinary graph of core ops with its parameters, which can be run,
// calibrated, quantized and trained like one built here; weights of 16 bits, or of 8 beside float
// values (dynamic range), become floats. A file of integers becomes a quantized network
// (core/network.h): values are stored by `quantize` and read through `dequantize`, weights and
// biases are codes, so that the same operators make it. A network that takes floats, quantizes them
// and gives floats again is the same network. Images lie as they do here. A fused activation of
// floats is a node of its own; of integers it is the clamp of the grid. A PAD before the windows
// that alone read it is their padding.
//
// A file is not trusted: every count, offset and dimension is checked, constants that several
// operators share are bounded by the size of the file, and what is damaged, huge or unknown is an
// error that names the operator. Nothing is half imported.

#ifndef DC_FORMATS_TFLITE_READ_H
#define DC_FORMATS_TFLITE_READ_H

#include "formats/imported.h"

struct dc_tflite_options {
    const char *output;  // the tensor taken as the result; NULL: the file's first output
    // Of a file of integers: the float network that it stands for, with the reals of its weights
    // and without its grids. Layers have the same names in both forms.
    bool as_floats;
};

// Nodes are named as Keras' layers where their weights say it ("model.conv2d"), else after the
// tensors that the operators give, up to a ';' (converters join names of what they fused). options
// may be NULL. DC_ERR_DATA, all unknown operators in one.
DC_MUST_USE enum dc_status dc_tflite_read(struct dc_imported **network, const char *path,
                                          const struct dc_tflite_options *options,
                                          struct dc_error *error);

#endif

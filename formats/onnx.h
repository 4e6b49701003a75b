// ONNX files as networks.
//
// Owns reading: a file of the default operator set 9 to 23 (float32 or float16 weights, inside the
// file or beside it) becomes an ordinary graph of core ops with its parameters, which can be run,
// calibrated, quantized and trained like one built here. What a file computes from constants, and
// from shapes, is computed while reading; images are [batch, height, width, channels] inside,
// series [batch, length, channels], whatever their order in the file, and a transposition stands in
// the graph only where the network really needs another order in memory.
//
// A file is not trusted: every count, offset and dimension is checked, and what is damaged, cyclic,
// huge or unknown is an error that names the node. Nothing is half imported.

#ifndef DC_FORMATS_ONNX_H
#define DC_FORMATS_ONNX_H

#include "formats/imported.h"

// The order of an image's or a series' axes in the file. Auto: what reads the input says it
// (onnx_input.c).
enum dc_onnx_layout { DC_LAYOUT_AUTO, DC_LAYOUT_NCHW, DC_LAYOUT_NHWC };

struct dc_onnx_options {
    const char *output;     // the value taken as the result; NULL: the graph's first output
    int64_t height, width;  // of an input whose size the file leaves open; 0: not given
    enum dc_onnx_layout layout;
};

// Nodes are named after the file's nodes or, where there is one, their weight ("layer1.0.conv1" of
// "layer1.0.conv1.weight"). options may be NULL. Errors: DC_ERR_DATA, all unknown operators in one.
DC_MUST_USE enum dc_status dc_onnx_read(struct dc_imported **onnx, const char *path,
                                        const struct dc_onnx_options *options,
                                        struct dc_error *error);

#endif

// Model files: a network as data.
//
//   name: resnet8
//   input: [32, 32, 3]
//   parameters: {width: 16, classes: 10}
//   blocks:
//     basic:
//       parameters: {filters: 16, stride: 1}
//       layers:
//         - conv: {name: conv1, filters: $filters, kernel: 3, stride: $stride, padding: same, bias:
//         false}
//         - batch_norm
//         - relu
//   layers:
//     - basic: {name: stem, filters: $width}
//     - repeat: {count: 3, index: i, layers: [...]}
//     - dense: {name: logits, units: $classes}
//
// A layer is an op or a block of the file. It reads the layer before it, or the layers named in
// `from` (`in` is what the block itself reads), and is left out where `when` is 0. Numbers, those
// of `input` too, are expressions over parameters ($width * 2, $i > 0; core/expression.h). Layers
// of a block are named BLOCK.LAYER. The last layer's value is the network's output.

#ifndef DC_RUN_MODEL_H
#define DC_RUN_MODEL_H

#include "core/graph.h"
#include "core/params.h"
#include "formats/imported.h"
#include "formats/onnx.h"

// A parameter; one given by the experiment overrides the file's default.
struct dc_named_value {
    const char *name;
    double value;
};

struct dc_model {
    struct dc_named_value *parameters;  // [parameter_count] of a model file, as they were used
    int parameter_count;
    const char *name;
    struct dc_graph *graph;  // owned
    struct dc_graph *whole;  // owned: where graph has functions in parts, what it was; else NULL
    int input, output;       // nodes
    struct dc_shape sample;  // [height, width, channels], [values], [steps, channels] ...
    // Of a file of others, which owns graph and params; else NULL. It reads images of its own size,
    // which are resized for it.
    struct dc_imported *imported;
    // Of a TFLite file of integers: these, between quantize and dequantize; `graph` is the float
    // network that they stand for, with layers of the same names. Else NULL.
    struct dc_imported *integers;
    struct dc_params *params;  // the weights that came with it, or NULL
};

// Whether the file is a network with its weights that others wrote, told by its name: .onnx,
// .tflite.
bool dc_model_is_imported(const char *path);
// Whether the file is a TFLite file that can be read and holds integers.
bool dc_model_is_integers(const char *path);
// Whether `layout` says something of the file: of ONNX alone.
bool dc_model_has_layout(const char *path);
// Of a file of another program, told by its ending: what it is and what to do. NULL: it is not.
const char *dc_model_foreign(const char *path);

// Which file, and how it is read.
struct dc_model_spec {
    const char *path;
    const struct dc_named_value *parameters;  // [parameter_count]
    int parameter_count;
    enum dc_onnx_layout layout;   // of an ONNX file's image
    const char *output;           // of an imported file; NULL or "": its first
    const struct dc_yaml *place;  // the mapping that states the parameters; NULL: none does
};

// The caller frees with dc_model_free. Unknown parameters are DC_ERR_CONFIG.
DC_MUST_USE enum dc_status dc_model_read(struct dc_model *model, const struct dc_model_spec *spec,
                                         struct dc_error *error);
void dc_model_free(struct dc_model *model);
// The keys of a model file, and of a repeat among its layers.
const struct dc_schema *dc_model_schema(void);
const struct dc_schema *dc_repeat_schema(void);

// The same of an imported file (run/import.c); internal to run/.
DC_MUST_USE enum dc_status
dc__model_import(struct dc_model *model, const struct dc_model_spec *spec, struct dc_error *error);

#endif

// ONNX files to be written: operator set 13, IR version 7; with a tensor of 4 bits 21 and 10.
//
// Owns the file's messages while nodes are put one by one, and a network as a file. What is written
// is in the file's conventions: images [batch, channels, height, width], weights OIHW; the batch is
// open. Every value has its type and full shape in the file.
//
// A writer remembers its first failure; later calls do nothing, and dc_onnx_save reports it.

#ifndef DC_FORMATS_ONNX_WRITE_H
#define DC_FORMATS_ONNX_WRITE_H

#include "core/network.h"

struct dc_onnx_writer;

// Element types by the format's numbers.
enum dc_onnx_type {
    DC_ONNX_F32 = 1,
    DC_ONNX_I8 = 3,
    DC_ONNX_I32 = 6,
    DC_ONNX_I64 = 7,
    DC_ONNX_I4 = 22  // int8 codes in memory, packed in the file
};

// graph: whose layers keep their names in the file; NULL: of none. note: free text for the file's
// documentation field.
DC_MUST_USE enum dc_status dc_onnx_writer_create(struct dc_onnx_writer **writer,
                                                 const struct dc_graph *graph, const char *name,
                                                 const char *note, struct dc_error *error);
void dc_onnx_writer_free(struct dc_onnx_writer *writer);  // NULL is allowed

// The file appears whole. The first failure of any call on this writer is returned.
DC_MUST_USE enum dc_status dc_onnx_save(struct dc_onnx_writer *writer, const char *path,
                                        struct dc_error *error);

// Floats that the graph takes or gives. dims[0] of a shape is DC_BATCH.
void dc_onnx_put_input(struct dc_onnx_writer *writer, const char *name,
                       const struct dc_shape *shape);
void dc_onnx_put_output(struct dc_onnx_writer *writer, const char *name,
                        const struct dc_shape *shape);

// "BASE/PART", and the name of a parameter, where no layer has them (dc_graph_free_name). In the
// writer's memory.
const char *dc_onnx_name(struct dc_onnx_writer *writer, const char *base, const char *part);
const char *dc_onnx_parameter_name(struct dc_onnx_writer *writer, const char *name);

// A constant; its values are copied. Rank 0: one value. Returns its name, as do those below.
const char *dc_onnx_put_tensor(struct dc_onnx_writer *writer, const char *name,
                               enum dc_onnx_type type, const struct dc_shape *shape,
                               const void *values);
const char *dc_onnx_put_integers(struct dc_onnx_writer *writer, const char *name,
                                 const int64_t *values, int count);
const char *dc_onnx_put_float(struct dc_onnx_writer *writer, const char *name, float value);

// A node that makes the value `output`. inputs: names, ended by NULL; "" is one left out.
// attributes: as printf, parted by spaces: NAME=INT, NAME=[INT,INT], NAME~FLOAT, NAME:TEXT.
const char *dc_onnx_put(struct dc_onnx_writer *writer, const char *op, const char *output,
                        enum dc_onnx_type type, const struct dc_shape *shape,
                        const char *const *inputs, const char *attributes, ...) DC_PRINTF(7, 8);
#define DC_ONNX_IN(...) ((const char *const[]){__VA_ARGS__, NULL})

// Makes the next dc_onnx_save fail, where nothing did before.
void dc_onnx_refuse(struct dc_onnx_writer *writer, enum dc_status status, const char *format, ...)
    DC_PRINTF(3, 4);

// [batch, height, width, channels] to [batch, channels, height, width]; other ranks as they are.
struct dc_shape dc_onnx_shape(const struct dc_shape *shape);
// out [o][c][s] from in [o][s][c]: weights and images to the file's order. bytes: of an element.
void dc_onnx_channels_first(void *out, const void *in, int64_t outer, int64_t space,
                            int64_t channels, int bytes);

// A network as it is; values that it stores as codes end in a QuantizeLinear and are read through a
// DequantizeLinear, weights are INT8 (INT4 where packed), biases INT32. DC_ERR_DATA names all nodes
// and ops that cannot be written at once.
DC_MUST_USE enum dc_status dc_onnx_write_network(const char *path, const struct dc_network *network,
                                                 const char *name, const char *note,
                                                 struct dc_error *error);
// The float network from node `input` to node `output`, in the form of dc_network_fold.
DC_MUST_USE enum dc_status dc_onnx_write(const char *path, const struct dc_graph *graph,
                                         const struct dc_params *params, int input, int output,
                                         const char *name, const char *note,
                                         struct dc_error *error);

#endif

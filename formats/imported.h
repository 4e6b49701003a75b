// A network that came in a file of others: what every importer gives, and what they share.

#ifndef DC_FORMATS_IMPORTED_H
#define DC_FORMATS_IMPORTED_H

#include "core/graph.h"
#include "core/params.h"

struct dc_codes;  // core/network.h

struct dc_imported {
    struct dc_graph *graph;
    struct dc_params *params;  // values without gradients
    struct dc_codes *codes;    // [params->count] of a network of integers, in the graph's arena
    int input, output;         // nodes
    struct dc_shape sample;  // of the input without its batch: [height, width, channels] or others
    bool channels_first;     // in the file's input; samples have them last
    const char *input_name, *output_name;  // in the file
    const char *passed_over;  // its other outputs, "b, c", where none was chosen; or NULL
    int64_t opset;            // of ONNX
    uint64_t hash;            // of the bytes of the file and of its external data: FNV-1a, 64 bit
    struct dc_arena *arena;
};

void dc_imported_free(struct dc_imported *imported);  // NULL is allowed

// Of importers: a name for a node, in the arena. '/layer1/conv1/Conv' becomes 'layer1.conv1.Conv',
// and the second of a name 'NAME_2'. NULL: out of memory.
DC_MUST_USE const char *dc__import_name(const struct dc_graph *graph, struct dc_arena *arena,
                                        const char *name, struct dc_error *error);
enum { DC_IMPORT_ROW_MAX = INT32_MAX };  // floats of one sample's value
// Refuses values with dimensions below 1 or with more than DC_IMPORT_ROW_MAX values a sample.
DC_MUST_USE enum dc_status dc__import_check_size(const struct dc_shape *shape,
                                                 struct dc_error *error);

#endif

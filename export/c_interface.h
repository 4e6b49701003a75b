// What exported C offers around the network: memory that is its own or the caller's, what is
// checked before it is used, a trace of layers, and codes of real values.

#ifndef DC_EXPORT_C_INTERFACE_H
#define DC_EXPORT_C_INTERFACE_H

#include <stdio.h>

#include "export/vectors.h"

enum { DC_C_FORMAT = 1 };  // of this interface; NAME_check compares it

struct dc__interface {
    FILE *out;
    const char *name, *upper;
    const struct dc_imodel *model;
    const struct dc_imodel_cost *cost;
    const struct dc_block *inner, *whole;  // [layer]: places without and with both ends
};

void dc__put_interface_header(const struct dc__interface *interface);
// What is above the kernels: attributes, and the sizes of their memory.
void dc__put_attributes(const struct dc__interface *interface);
// Places, arena, NAME_check and what goes with it.
void dc__put_interface_code(const struct dc__interface *interface);
// The CRC-32 that each layer gives for each of the first `count` vectors, and what compares them.
void dc__put_trace_code(const struct dc__interface *interface, const struct dc_vectors *vectors,
                        int64_t count);

#endif

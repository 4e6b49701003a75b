// What exported C takes of a board's flash and RAM, before it is compiled: arrays and records are
// counted, code is looked up in a table of what the compiler made of each kernel on each core
// (code_sizes.inc.h, made by tests/interop/measure_code).

#ifndef DC_EXPORT_C_SIZE_H
#define DC_EXPORT_C_SIZE_H

#include <jansson.h>

#include "qat/imodel.h"

enum { DC_EMBEDDED_VECTORS = 5 };  // at most so many test vectors are in the C

enum dc_core {
    DC_CORTEX_M0,
    DC_CORTEX_M3,
    DC_CORTEX_M4,
    DC_CORTEX_M7,
    DC_CORTEX_M33,
    DC_CORTEX_M55,
    DC_CORE_COUNT
};
extern const char *const dc_core_names[DC_CORE_COUNT + 1];  // NULL behind the last

enum dc_optimization { DC_FOR_SIZE, DC_FOR_SPEED, DC_OPTIMIZATION_COUNT };  // -Os, -O2
extern const char *const dc_optimization_names[DC_OPTIMIZATION_COUNT + 1];

// Bytes. Of flash: weights as they are stored, biases, multipliers and shifts; tables of functions,
// of input bytes and of class names; records of layers; test vectors; code, that of the board's
// start and of examples/device/main.c included. Of RAM: what one inference needs.
struct dc_footprint {
    int64_t weights, biases, rescales, tables, records, vectors, code;
    int64_t arena, input, output, scratch, stack;
};
static inline int64_t dc_footprint_flash(const struct dc_footprint *f)
{
    return f->weights + f->biases + f->rescales + f->tables + f->records + f->vectors + f->code;
}
static inline int64_t dc_footprint_ram(const struct dc_footprint *f)
{
    return f->arena + f->input + f->output + f->scratch + f->stack;
}

// vectors: how many are kept.
DC_MUST_USE enum dc_status dc_c_footprint(struct dc_footprint *footprint,
                                          const struct dc_imodel *model, enum dc_core core,
                                          enum dc_optimization optimization, int64_t vectors,
                                          struct dc_error *error);

// All of flash but the code.
int64_t dc_c_data_bytes(const struct dc_imodel *model, int64_t vectors);

#endif

// Functions of one code (enum dc_ifunction) as tables of 256.
//
// table[code + 128] = clamp(round(f(s_in * (code - z_in)) / s_out) + z_out), halves away from zero,
// in double. Outputs of sigmoid are at scale 1/256, zero point -128, those of tanh at 1/128 and 0,
// as TensorFlow Lite has them; those of hard sigmoid at 1/255 and -128, so that the ends of the
// codes are its ends.

#ifndef DC_QAT_TABLE_H
#define DC_QAT_TABLE_H

#include "core/op.h"
#include "qat/profile.h"

enum { DC_TABLE_CODES = 256 };

// table: [DC_TABLE_CODES], of a layer whose function, grid and clamps are set. Profiles whose
// runtime computes in fixed point say so (profile.h): its codes are up to one from the nearest.
void dc_fill_table(int8_t *table, const struct dc_ilayer *layer, const struct dc_ilayer *input,
                   const struct dc_profile *profile);

const struct dc_op *dc_ifunction_op(enum dc_ifunction function);  // the float op it is of
const char *dc_ifunction_name(enum dc_ifunction function);
int dc_ifunction_find(const char *name);                  // -1: none
int dc_ifunction_of(const struct dc_op *float_op);        // -1: none
int dc_ifunction_parameters(enum dc_ifunction function);  // floats: its float op's attributes
// 0: any grid; else the scale that the function's output must have, and its zero point. Where
// scales are powers of two, one that is none is not asked for.
float dc_ifunction_scale(enum dc_ifunction function, bool power_of_two, int *zero_point);

#endif

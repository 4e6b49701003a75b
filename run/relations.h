// Which stages of an experiment are to be compared with which.

#ifndef DC_RUN_RELATIONS_H
#define DC_RUN_RELATIONS_H

#include "run/experiment.h"

// Each NULL where there is none.
// The first stage that others learn from.
const struct dc_stage *dc_teacher_of(struct dc_experiment *experiment);
const struct dc_stage *dc_last_quantized(const struct dc_experiment *experiment);
// The last that neither quantizes nor teaches.
const struct dc_stage *dc_last_student(struct dc_experiment *experiment);
// One that trains the same model as `stage`, which distills, from labels alone.
const struct dc_stage *dc_taught_by_labels(const struct dc_experiment *experiment,
                                           const struct dc_stage *stage);

#endif

// A teacher: a network whose outputs a student copies. It runs in inference mode, batch
// normalization folded, and is never trained.

#ifndef DC_DISTILL_TEACHER_H
#define DC_DISTILL_TEACHER_H

#include "core/plan.h"
#include "data/view.h"

// Everything pointed to must outlive the teacher; nothing is owned.
struct dc_teacher {
    const char *name;
    struct dc_graph *graph;
    struct dc_params *params;
    const struct dc_params *unfolded;  // the weights as they were given: what the hash is of
    int image;                         // node bound to the view
    const int *outputs;  // [output_count] nodes: the logits, then the features that losses read
    int output_count;
    struct dc_view view;  // what it reads
};

// Of the nodes that the outputs depend on, by name, op and shape, and of all parameter values:
// another byte of weights is another teacher. Attributes count through the shapes they give.
uint64_t dc_teacher_hash(const struct dc_teacher *teacher);

#endif

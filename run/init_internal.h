// What is found and chosen between looking at data (run/init.c) and writing of it
// (run/init_text.c).

#ifndef DC_RUN_INIT_INTERNAL_H
#define DC_RUN_INIT_INTERNAL_H

#include "core/schema.h"
#include "data/survey.h"
#include "run/init.h"
#include "run/target.h"

enum dc__init_family { DC__INIT_IMAGES, DC__INIT_SERIES, DC__INIT_NUMBERS, DC__INIT_FAMILIES };

struct dc__init_cost {
    int64_t macs, flash, ram;
};

struct dc__init_network {
    int width, blocks;  // the family's measure of size, and how many times its blocks are repeated
    struct dc__init_cost cost;
};

struct dc__init_plan {
    const struct dc_init_options *options;
    struct dc_arena *arena;
    const char *name, *kind, *path;
    const char *target;  // a name, or a file
    struct dc_target_limits limits;
    struct dc__init_cost budget;
    // found
    bool photos, bytes;  // photographs; values are bytes
    struct dc_photo_survey survey;
    struct dc_shape sample;  // as the networks read it
    int classes;
    enum dc_label_kind labels;
    const char *const *label_columns;  // [label_count] of a table; none: "label"
    int label_count;
    int64_t window, stride;           // of series
    int64_t train, validation, test;  // samples; validation: those that the data brings
    json_t *notes;
    // chosen
    struct dc_resize resize;
    const char *resize_why, *fit_why;
    int channels;
    int64_t cut, samples;  // data.validation, data.samples
    enum dc__init_family family;
    struct dc__init_network student, teacher;
    int64_t batch, epochs, quantized_epochs;
    double learning_rate, seconds;
};

// The experiment as text.
void dc__init_write(struct dc_text_buffer *out, const struct dc__init_plan *plan);

#endif

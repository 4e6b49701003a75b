// The tables behind the experiment file. Internal to run/.

#ifndef DC_RUN_EXPERIMENT_SCHEMA_H
#define DC_RUN_EXPERIMENT_SCHEMA_H

#include "run/experiment.h"

// What the file's top level holds before stages are read.
struct dc__experiment_file {
    const char *name;
    int64_t seed;
    struct dc_data_spec data;
    const char *target;
    const struct dc_yaml *stages;
};

extern const struct dc_schema dc__experiment_schema;
extern const struct dc_schema dc__stage_schema;    // struct dc_stage; groups train ... are optional
extern const struct dc_schema dc__train_schema;    // struct dc_train_spec
extern const struct dc_schema dc__distill_schema;  // struct dc_distill_spec
extern const struct dc_schema dc__quantize_schema;  // struct dc_quantize_spec
extern const struct dc_schema dc__target_schema;    // struct dc__target

struct dc__target {
    const char *name, *profile;
};

#endif

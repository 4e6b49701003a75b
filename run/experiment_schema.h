// The tables behind the experiment file, and the readers and writers of keys that are more than one
// value. Internal to run/.

#ifndef DC_RUN_EXPERIMENT_SCHEMA_H
#define DC_RUN_EXPERIMENT_SCHEMA_H

#include "run/experiment.h"

// Where a misplaced key is looked for: the experiment, a stage.
extern const struct dc_schema *const dc__experiment_places[];
extern const struct dc_schema dc__experiment_schema;  // struct dc_experiment; stages as they stand
extern const struct dc_schema dc__stage_schema;       // struct dc_stage; groups are optional
extern const struct dc_schema dc__train_schema;       // struct dc_train_spec
extern const struct dc_schema dc__distill_schema;     // struct dc_distill_spec
extern const struct dc_schema dc__quantize_schema;    // struct dc_quantize_spec
// The mappings that some of the readers below take; for the reference alone.
extern const struct dc_schema dc__resize_schema, dc__normalize_schema, dc__bits_schema;

typedef enum dc_status dc__decode(const struct dc_decoder *decoder, void *field,
                                  const struct dc_yaml *node, struct dc_error *error);
typedef void dc__write(struct dc_text_buffer *out, const void *field, int indent);

dc__decode dc__decode_augment, dc__decode_normalize, dc__decode_losses, dc__decode_factors,
    dc__decode_parameters, dc__decode_teachers, dc__decode_bits, dc__decode_resize;
dc__write dc__write_augment, dc__write_normalize, dc__write_losses, dc__write_named, dc__write_bits,
    dc__write_resize;

// experiment_data.c. Keys of the data section that its kind of data does not take are refused.
DC_MUST_USE enum dc_status dc__check_data_keys(const struct dc_experiment *experiment,
                                               const struct dc_yaml *root, struct dc_error *error);

// Where the samples of a split are, and what is done to them.
struct dc_source_spec dc__data_source(const struct dc_experiment *experiment, const char *split);

// experiment_check.c. A stage of this name stands before `stage`, whose key names it.
DC_MUST_USE enum dc_status dc__want_stage(struct dc_experiment *experiment,
                                          const struct dc_stage *stage, const char *group,
                                          const char *key, const char *name,
                                          struct dc_error *error);
// All of a stage that is about to be added, resolved.
DC_MUST_USE enum dc_status dc__check_stage(struct dc_experiment *experiment,
                                           const struct dc_stage *stage, struct dc_error *error);

// experiment_resolve.c. Names of files become absolute, defaults that depend on other keys are
// filled in. from: what the stage was before its own keys were read.
struct dc__inherited {
    bool distills, quantizes;
};
DC_MUST_USE enum dc_status dc__resolve_stage(struct dc_experiment *experiment,
                                             struct dc_stage *stage,
                                             const struct dc__inherited *from,
                                             struct dc_error *error);
// A teacher's name that is a file of logits, told from a stage's by its dot or slash.
bool dc__teacher_is_file(const char *name);

// experiment_effect.c. Refuses what would train nothing and cannot be meant.
DC_MUST_USE enum dc_status dc__check_effect(const struct dc_stage *stage, struct dc_error *error);

#endif

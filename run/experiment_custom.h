// Keys of the experiment file that are more than one value: their readers and writers. Internal to
// run/.

#ifndef DC_RUN_EXPERIMENT_CUSTOM_H
#define DC_RUN_EXPERIMENT_CUSTOM_H

#include "run/experiment.h"

typedef enum dc_status dc__decode(const struct dc_decoder *decoder, void *field,
                                  const struct dc_yaml *node, struct dc_error *error);
typedef void dc__write(struct dc_text_buffer *out, const void *field, int indent);

dc__decode dc__decode_augment, dc__decode_normalize, dc__decode_losses, dc__decode_groups,
    dc__decode_parameters, dc__keep_node;
dc__write dc__write_augment, dc__write_normalize, dc__write_losses, dc__write_groups,
    dc__write_parameters, dc__write_nothing;

// Groups that a stage has or has not: an absent group stays as inherited, a present one starts from
// the defaults unless it was inherited.
dc__decode dc__decode_train, dc__decode_distill, dc__decode_quantize;
dc__write dc__write_train, dc__write_distill, dc__write_quantize;

#endif

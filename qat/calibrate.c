// Owns what calibration needs beside the ordinary forward pass. Observing is fake_quantize.c's.

#include "qat/calibrate.h"

#include <math.h>
#include <string.h>

#include "qat/fake_quantize.h"

struct dc_step dc_calibration_step(void)
{
    return (struct dc_step){.quantizers_off = true, .freeze_batch_norm = true};
}

void dc_observers_reset(struct dc_params *params)
{
    for (int i = 0; i < params->count; i++) {
        const struct dc_slice *slice = &params->slices[i];
        if (slice->role == DC_ROLE_OBSERVER)
            memset(params->value + slice->offset, 0, sizeof(float) * (size_t)slice->count);
    }
}

enum dc_status dc_observers_check(const struct dc_graph *graph, const struct dc_params *params,
                                  struct dc_error *error)
{
    for (int i = 0; i < graph->count; i++) {
        const struct dc_node *node = &graph->nodes[i];
        if (node->op != &dc_op_fake_quantize)
            continue;
        const float *range = params->value + params->slices[node->params[0]].offset;
        if (!(range[DC_RANGE_SEEN] > 0.0f) || !isfinite(range[DC_RANGE_MIN]) ||
            !isfinite(range[DC_RANGE_MAX]))
            return dc_fail(error, DC_ERR_NUMERIC, "'%s' has no finite range: train or calibrate",
                           node->name);
    }
    return DC_OK;
}

// Owns the estimate of instructions. What a board may take, and what is refused, is the target's
// (run/target.h).

#include "export/c_time.h"

#include <assert.h>
#include <string.h>

#include "qat/profile.h"

struct time_row {
    const char *profile;
    enum dc_core core;
    enum dc_optimization optimization;
    float instructions[DC__TIME_COLUMNS][DC__TIME_FEATURES];
};
static_assert(DC__TIME_COLUMNS == 20, "a column for each op, and five more");
static const struct time_row rows[] = {
#include "export/code_times.inc.h"
    {0}};

int dc__time_column(const struct dc_imodel *model, int layer)
{
    const struct dc_ilayer *l = &model->layers[layer];
    const bool packed = dc_ilayer_has_weights(l) && dc_ilayer_stored_bits(model, l) == 4;
    const bool one_tap = l->window.kernel[0] * l->window.kernel[1] == 1;
    if (l->op == DC_I_CONV2D)
        return packed ? (one_tap ? DC__PACKED_POINTWISE : DC__PACKED_CONV2D)
                      : (one_tap ? DC__POINTWISE : (int)DC_I_CONV2D);
    return !packed                          ? (int)l->op
           : l->op == DC_I_DEPTHWISE_CONV2D ? DC__PACKED_DEPTHWISE
                                            : DC__PACKED_FULLY_CONNECTED;
}

// A Cortex-M55 multiplies 16 codes at a time, for four channels where there are so many.
static double in_vain(const struct dc_ilayer *l, bool channels)
{
    const int row = (int)(l->weight_count / l->channels);
    const double outputs = l->channels < 4 ? 1.0
                                           : (double)((l->channels + 3) / 4 * 4) / l->channels;
    return channels ? outputs : outputs * ((row + 15) / 16 * 16) / row;
}

void dc__time_features(double features[DC__TIME_FEATURES], const struct dc_imodel *model, int layer,
                       enum dc_core core)
{
    const struct dc_ilayer *l = &model->layers[layer];
    const struct dc_ilayer *x = &model->layers[l->input_count ? l->inputs[0] : 0];
    const double outputs = (double)dc_ilayer_size(l);
    const double taps = (double)l->window.kernel[0] * l->window.kernel[1];
    memset(features, 0, DC__TIME_FEATURES * sizeof *features);
    // where a layer is no code, or copies
    features[DC__OUTPUTS] = l->op == DC_I_INPUT || l->op == DC_I_RESHAPE ? 0.0 : outputs;
    if (dc_ilayer_has_weights(l))
        features[DC__READS] = (double)dc_ilayer_macs(model, layer);
    else if (l->op == DC_I_AVERAGE_POOL || l->op == DC_I_MAX_POOL)
        features[DC__READS] = taps * outputs;
    else if (l->op == DC_I_MEAN)
        features[DC__READS] = (double)dc_ilayer_size(x);
    const bool vectors = core == DC_CORTEX_M55;
    if (vectors && (l->op == DC_I_CONV2D || l->op == DC_I_FULLY_CONNECTED)) {
        features[DC__READS] *= in_vain(l, false);
        features[DC__OUTPUTS] *= in_vain(l, true);
        if (l->weight_count / l->channels % 16 != 0)
            features[DC__UNEVEN] = features[DC__READS];
    }
    if (l->op != DC_I_CONV2D)
        return;
    const double places = (double)l->height * l->width;
    const int64_t run = (int64_t)l->window.kernel[1] * x->channels;
    const int word = dc_ilayer_stored_bits(model, l) == 4 ? 8 : 4;
    if (vectors) {  // what is no whole vector takes as long as a row's beginning
        features[DC__GATHERED] = places * l->window.kernel[0] * (double)(run / 16 * 16);
        features[DC__ROWS] = places * l->window.kernel[0] * (run % 16 ? 2 : 1);
        return;
    }
    features[DC__GATHERED] = places * taps * x->channels;
    features[DC__UNEVEN] = run % word == 0 ? 0.0 : features[DC__GATHERED];
    features[DC__ROWS] = places * l->window.kernel[0];
}

enum dc_status dc_c_instructions(double *instructions, const struct dc_imodel *model,
                                 enum dc_core core, enum dc_optimization optimization,
                                 struct dc_error *error)
{
    const struct time_row *row = rows;
    while (row->profile && (row->core != core || row->optimization != optimization ||
                            strcmp(row->profile, model->profile->name) != 0))
        row++;
    if (!row->profile)
        return dc_fail(error, DC_ERR_DATA, "nobody measured profile %s on %s", model->profile->name,
                       dc_core_names[core]);
    for (int i = 0; i < model->count; i++) {
        double features[DC__TIME_FEATURES];
        dc__time_features(features, model, i, core);
        instructions[i] = 0.0;
        for (int f = 0; f < DC__TIME_FEATURES; f++)
            instructions[i] += features[f] *
                               (double)row->instructions[dc__time_column(model, i)][f];
    }
    return DC_OK;
}

// A cascade: samples of which the integers are sure are settled on the device, the others go to a
// teacher.
//
// Sure is a margin, the difference of the two largest output codes, of at least a threshold: an
// integer, so that the device decides as evaluation did. The threshold is chosen on validation
// samples, never on test samples: the smallest at which the one-sided 95 % lower bound of the kept
// samples' accuracy (Clopper and Pearson, train/binomial.h) reaches what the experiment asks for.
// Thresholds are tried downwards from the highest that keeps at least 10 / (1 - accuracy) samples,
// below which no bound could reach it, and no further than to the first that fails; so one bound
// alone can err, however many are looked at.

#ifndef DC_RUN_CASCADE_H
#define DC_RUN_CASCADE_H

#include "run/network.h"
#include "run/run.h"

enum { DC_MARGINS = 256 };  // of two int8 codes: 0 to 255
#define DC_CASCADE_CONFIDENCE 0.95

// Samples by margin.
struct dc_margins {
    int64_t samples[DC_MARGINS], right[DC_MARGINS];
};
// outputs: [classes] >= 2, multiples of `scale` as dc_imodel_dequantize_output makes them.
int dc_output_margin(const float *outputs, int classes, float scale);

struct dc_cascade_choice {
    int threshold;  // -1: none reaches the accuracy
    int64_t kept, right;
    double bound;    // of `right` among `kept`
    int64_t wanted;  // samples that the first threshold had to keep
};
struct dc_cascade_choice dc_choose_margin(const struct dc_margins *margins, double accuracy);

// The experiment's cascade has a stage to send samples to, and one whose export it is for; else
// DC_ERR_CONFIG at the node.
struct dc_yaml;
DC_MUST_USE enum dc_status dc_cascade_check(struct dc_experiment *experiment,
                                            const struct dc_yaml *node, struct dc_error *error);
// NULL: the experiment has no cascade.
const struct dc_stage *dc_cascade_teacher(struct dc_experiment *experiment);

// For the export of a stage as `model`: sets its confident_margin, and result's "cascade":
// {accuracy, confidence, teacher, threshold (null: none), wanted, validation: {samples, kept,
// right, bound}, test: {samples, kept, right, teacher_right}}. Of validation there are kept, right
// and bound only with a threshold, and no test without; teacher_right: of the samples that are not
// kept.
DC_MUST_USE enum dc_status dc__choose_cascade(json_t *result, struct dc_run *run,
                                              const struct dc_stage *from,
                                              const struct dc_stage_network *network,
                                              struct dc_imodel *model, struct dc_error *error);

// A sentence on it, for people; nothing where the result has no cascade.
void dc_cascade_text(struct dc_text_buffer *out, const json_t *result);

#endif

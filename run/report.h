// Counts and scores of stages as JSON, and the one table of a run as text.

#ifndef DC_RUN_REPORT_H
#define DC_RUN_REPORT_H

#include <jansson.h>

#include "run/experiment.h"
#include "train/evaluate.h"

// "parameters", "macs", "weight_bytes" (float32) of a network; "model_parameters", what its file
// calls so, as {width: 20}.
struct dc_stage_network;
void dc_report_counts(json_t *object, const struct dc_stage_network *network);
// Of its integers, in place of the float32: "weight_bytes" (weights, biases, multipliers); as
// budgets count them "flash_bytes" and "ram_bytes", with their parts in "flash" and "ram", for
// "core" and "optimize"; "layer_costs": name, op and MACs of each, and where
// the arena holds its output: offset, bytes, first and last layer that it is alive; "busiest": the
// layer at which the most activations are alive.
struct dc_imodel;
DC_MUST_USE enum dc_status dc_report_cost(json_t *object, const struct dc_experiment *experiment,
                                          const struct dc_imodel *model, struct dc_error *error);

// The parts of a footprint (export/c_size.h).
struct dc_footprint;
json_t *dc_report_flash(const struct dc_footprint *footprint);
json_t *dc_report_ram(const struct dc_footprint *footprint);

// {samples, accuracy, accuracy_error, top5, loss, per_class: [...], confusion: [[...]]}; of a
// reconstruction {samples, loss, and where classes are said to be normal: normal_error,
// anomalous_error, auc}, null where no sample is of that kind; of values {samples, loss,
// mean_absolute_error, root_mean_squared_error, r2, absolute_errors: [...]}, of tags {samples,
// loss, map, f1, average_precisions: [...]}.
json_t *dc_report_scores(const struct dc_scores *scores);

// The figures of them that tell how good a network is: of each kind of labels some, in this order.
enum dc_figure {
    DC_FIGURE_ACCURACY,
    DC_FIGURE_MAE,
    DC_FIGURE_RMSE,
    DC_FIGURE_R2,
    DC_FIGURE_MAP,
    DC_FIGURE_F1,
    DC_FIGURE_AUC,
    DC_FIGURES
};
struct dc_figure_name {
    const char *key, *title;
    const char *metric;  // as a model card of Hugging Face calls it
};
extern const struct dc_figure_name dc_figure_names[DC_FIGURES];
// NaN: scores (which may be NULL) have none of that name.
double dc_report_figure(const json_t *scores, enum dc_figure figure);

// The first figure of them for a table: "91.30 %", "AUC 0.9312", "MSE 0.1234"; "-" of NULL.
const char *dc_report_measure(char text[32], const json_t *scores);

const char *dc_with_commas(char text[32], int64_t value);  // "12,345"

// network, parameters, MACs, bytes, what float and int8 reach, seconds: a line a stage that is done
// and is not an export.
void dc_report_table(struct dc_text_buffer *out, const struct dc_experiment *experiment,
                     const json_t *results);

// Indented JSON and a newline; appears whole.
DC_MUST_USE enum dc_status dc_report_write(const char *path, const json_t *json,
                                           struct dc_error *error);

#endif

// Evaluation: logits of a whole set of samples, and what they say.

#ifndef DC_TRAIN_EVALUATE_H
#define DC_TRAIN_EVALUATE_H

#include "core/graph.h"
#include "core/params.h"
#include "core/source.h"
#include "train/reconstruction.h"
#include "train/target_scores.h"

struct dc_scores {
    int64_t samples;
    int classes;
    int64_t correct, correct5;  // top-1; top-5 (of fewer classes: all)
    double loss;                // mean cross-entropy without smoothing
    int64_t *confusion;         // [classes][classes]: [label][prediction]
    // Of a network that gives back its input; then samples and loss, the mean squared error, are
    // all that counts of the above. Else NULL.
    struct dc_reconstruction *reconstruction;
    struct dc_target_scores *targets;  // likewise of labels that are no classes; else NULL
};

// What tells the better of two networks on a kind of labels: in records "validation_" and the key.
enum dc_measure { DC_MEASURE_ACCURACY, DC_MEASURE_AUC, DC_MEASURE_R2, DC_MEASURE_MAP, DC_MEASURES };
struct dc_measure_name {
    const char *key, *title;
    double factor;  // of the number that people see
};
extern const struct dc_measure_name dc_measure_names[DC_MEASURES];

double dc_accuracy(const struct dc_scores *scores);  // in [0, 1]
// sqrt(p (1 - p) / n): the standard error of a binomial proportion
double dc_accuracy_error(const struct dc_scores *scores);
// What training goes by, in [0, 1], more is better: the accuracy, the AUC of reconstruction, R2 of
// values (below 0: 0, no better than their mean), mAP of tags.
double dc_scores_measure(const struct dc_scores *scores);

DC_MUST_USE enum dc_status dc_scores_create(struct dc_scores **scores, int classes,
                                            struct dc_arena *arena, struct dc_error *error);
// For a network that gives back its input (train/reconstruction.h).
DC_MUST_USE enum dc_status dc_scores_create_reconstruction(struct dc_scores **scores,
                                                           const bool *normal, int64_t capacity,
                                                           struct dc_arena *arena,
                                                           struct dc_error *error);
// For labels that are no classes (train/target_scores.h).
DC_MUST_USE enum dc_status dc_scores_create_targets(struct dc_scores **scores,
                                                    enum dc_label_kind kind, int outputs,
                                                    int64_t capacity, struct dc_arena *arena,
                                                    struct dc_error *error);
// logits: [rows, classes]. The prediction is the first of the largest logits. NaN is
// DC_ERR_NUMERIC and names the row. least_probability: 0, or as a predictor has it.
DC_MUST_USE enum dc_status dc_scores_add(struct dc_scores *scores, const float *logits,
                                         float least_probability, const int32_t *labels,
                                         int64_t rows, struct dc_error *error);

// How a network is asked for logits: float plan, integer engine, ONNX file.
struct dc_predictor {
    // logits: [rows, classes]; inputs: [rows, sample...], normalized
    enum dc_status (*predict)(void *user, float *logits, const float *inputs, int64_t rows,
                              struct dc_error *error);
    void *user;
    int classes;
    int64_t max_rows;
    // Outputs are probabilities, behind a softmax: in the loss, none counts as less. 0: logits.
    float least_probability;
};

struct dc_loader;
// One pass over a loader that was just started. logits (may be NULL): [samples, classes] in the
// loader's order. scores may be NULL where there are no labels.
DC_MUST_USE enum dc_status dc_evaluate(struct dc_scores *scores, float *logits,
                                       const struct dc_predictor *predictor,
                                       struct dc_loader *loader, struct dc_error *error);

// A float network in inference mode. graph and params must outlive it.
struct dc_float_predictor {
    struct dc_predictor predictor;
    struct dc_plan *plan;
    struct dc_params *params;
    int input, output;
    int classes;
};
DC_MUST_USE enum dc_status
dc_float_predictor_create(struct dc_float_predictor **predictor, const struct dc_ctx *ctx,
                          const struct dc_graph *graph, struct dc_params *params, int input,
                          int output, int64_t max_rows, struct dc_error *error);
void dc_float_predictor_free(struct dc_float_predictor *predictor);  // NULL is allowed

#endif

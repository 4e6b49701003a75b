// Networks of stages: from a model file and weights to graphs that train, teach or predict.

#ifndef DC_RUN_NETWORK_H
#define DC_RUN_NETWORK_H

#include "qat/imodel.h"
#include "run/experiment.h"
#include "train/evaluate.h"
#include "train/train.h"

struct dc_stage_network {
    struct dc_model model;
    struct dc_graph *quantized;    // of a stage that quantizes, else NULL
    const struct dc_graph *graph;  // quantized, or the model's
    int image, output;             // nodes of graph
    int logits;  // what losses compare and teachers give: output, or what a softmax there reads
    int classes;
    struct dc_params *params;  // values alone
};

// Whether a stage that quantizes folds its batch normalization first (qat/fold.h).
bool dc_folds(const struct dc_quantize_spec *spec);

// weights: a file to read, or NULL: values are those that came with the model, or zero.
DC_MUST_USE enum dc_status dc_stage_network_open(struct dc_stage_network *network,
                                                 const struct dc_stage *stage, const char *weights,
                                                 struct dc_error *error);
// Of a stage that quantizes, what it puts its quantizers into: float, functions in the parts that
// the stage's runtime has, so that each layer of the integers is found by its name.
DC_MUST_USE enum dc_status dc_stage_network_open_plain(struct dc_stage_network *network,
                                                       const struct dc_stage *stage,
                                                       struct dc_error *error);
void dc_stage_network_close(struct dc_stage_network *network);

// The graph a stage trains: the network, its targets, its loss terms, adaptors, and inputs for what
// the terms read of a teacher.
struct dc_training_graph {
    struct dc_graph *graph;
    int image, output;  // nodes
    int targets;        // the input for labels; -1: the network is to give back its own input
    int compared;       // what the loss on labels compares the output with
    struct dc_terms terms;
    struct dc_model peers[DC_TEACHERS_MAX];  // students trained along; their layers are named
    int peer_count;                          // "peerN.LAYER"
};

// The parameters of a peer (from 1) out of those of the training graph; the caller frees.
DC_MUST_USE enum dc_status dc_training_peer(struct dc_params **params,
                                            const struct dc_training_graph *training, int peer,
                                            const struct dc_params *trained,
                                            struct dc_error *error);
// sources NULL: no teacher's layers, no labels of other samples (distill/terms.h).
DC_MUST_USE enum dc_status dc_training_graph_create(struct dc_training_graph *training,
                                                    const struct dc_stage_network *network,
                                                    const struct dc_stage *stage,
                                                    const struct dc_terms_sources *sources,
                                                    struct dc_error *error);
void dc_training_graph_free(struct dc_training_graph *training);

// What the terms of a stage may read of its teachers, from shapes alone. The networks
// [DC_TEACHERS_MAX], zeroed before and closed by the caller, must outlive the sources; a file of
// logits has none. Labels are the caller's to add.
DC_MUST_USE enum dc_status dc_stage_sources(struct dc_terms_sources *sources,
                                            struct dc_stage_network *networks,
                                            struct dc_experiment *experiment,
                                            const struct dc_stage *stage, struct dc_error *error);

// Decay exclusions, frozen layers and rate factors of a stage, on its parameters. A pattern that
// matches nothing is DC_ERR_CONFIG.
DC_MUST_USE enum dc_status dc_apply_parameter_rules(struct dc_params *params,
                                                    const struct dc_stage *stage,
                                                    struct dc_error *error);

// A quantized network as integers. The caller frees with dc_imodel_free. ctx may be NULL: nothing
// is logged.
DC_MUST_USE enum dc_status dc_stage_lower(struct dc_imodel **model, const struct dc_ctx *ctx,
                                          const struct dc_stage_network *network,
                                          const struct dc_params *params, const char *profile,
                                          const char *provenance, struct dc_error *error);

// Logits from the integer engine.
struct dc_integer_predictor {
    struct dc_predictor predictor;
    struct dc_imodel *model;
    struct dc_engine *engine;
    int8_t *inputs, *outputs;
    int64_t input_codes;
};
// Takes over the model.
DC_MUST_USE enum dc_status dc_integer_predictor_create(struct dc_integer_predictor **predictor,
                                                       const struct dc_ctx *ctx,
                                                       struct dc_imodel *model, int64_t max_rows,
                                                       struct dc_error *error);
void dc_integer_predictor_free(struct dc_integer_predictor *predictor);  // NULL is allowed

#endif

// The loss terms of a stage: from the list in the experiment file to loss nodes of a training
// graph.
//
// Owns which losses there are, the keys each takes, the layers they read and the inputs by which
// the teacher's values come in. Features are named by layer in either network; a list of layers
// makes a term of each pair. Who runs the teacher binds `inputs`: nothing here does.

#ifndef DC_DISTILL_TERMS_H
#define DC_DISTILL_TERMS_H

#include "distill/losses.h"
#include "train/losses.h"
#include "train/train.h"

// One item of the list, as its keys say.
struct dc_term_spec {
    const struct dc_term_kind *kind;
    const struct dc_yaml *where;  // in the experiment file; NULL: not from one
    double weight;
    int64_t start_epoch, end_epoch, ramp_epochs;
    struct dc_texts student, teacher;  // layers; of kinds that read features
    void *attributes;                  // the kind's own keys, as its fields say
    const struct dc_yaml *stated;      // the mapping of its keys; NULL: none is stated
};
extern const struct dc_schema dc_term_schema;     // struct dc_term_spec: what all kinds take
extern const struct dc_schema dc_feature_schema;  // the same: the layers

// Every kind, NULL behind the last. What a kind is: distill/losses.h.
extern const struct dc_term_kind *const dc_term_kinds[];
const struct dc_term_kind *dc_term_find(const char *name);  // NULL: there is none

enum { DC_LABEL_CROSS_ENTROPY, DC_LABEL_SQUARED_ERROR, DC_LABEL_BINARY, DC_LABEL_RECONSTRUCTION };

struct dc_label_loss {
    // cross_entropy, mean_squared_error, binary_cross_entropy, reconstruction: mean_squared_error,
    // with the network's input for targets
    int kind;
    struct dc_cross_entropy_attributes attributes;
};

enum { DC_TEACHERS_MAX = 6 };

struct dc_term_teacher {
    const char *name;
    const struct dc_graph *graph;  // names layers and gives shapes; NULL: logits alone
    int output;                    // its logits
    double weight;                 // of its probabilities; all sum to 1
    int peer;  // its logits, a node of the training graph: a student trained along; 0: it is not
};

// What terms may read beside the student. All of it may be absent: then there is one teacher of
// whom only the logits are known.
struct dc_terms_sources {
    struct dc_term_teacher teachers[DC_TEACHERS_MAX];
    int teacher_count;
    // Of losses that know other samples: labels by id [label_count], and the ids trained on. NULL:
    // shapes alone, such a loss cannot run. Must outlive the graph.
    const int32_t *labels;
    int64_t label_count;
    const int64_t *ids;
    int64_t id_count;
    const char *prefix;  // of the terms' names, for a student trained along: "peer1."; NULL: none
};

// The value of a teacher's node is to be bound to an input of the training graph.
struct dc_teacher_input {
    int teacher;       // of sources->teachers
    int teacher_node;  // of its graph; -1: the logits, where there is no graph to name them
    int input;
};

struct dc_terms {
    struct dc_loss_term terms[DC_TERMS_MAX];  // network is the caller's to fill in
    int count;
    struct dc_teacher_input inputs[DC_TEACHERS_MAX + DC_TERMS_MAX];
    int input_count;
};

// Losses on logits read the one teacher's, or of several a value that stands for their averaged
// probabilities at the loss's temperature (distill/ensemble.h). A layer is looked for in the
// teachers in turn.
//
// Terms are added to those that are there, named PREFIX and the loss's kind.
//
// Adds loss nodes (and adaptors, and inputs "teacher.logits", "teacher.LAYER") behind a network of
// `network_nodes` nodes with its logits at `output` and the labels' input at `targets`. A layer
// that is not there, or shapes that no adaptor joins, are DC_ERR_CONFIG and name the loss.
DC_MUST_USE enum dc_status dc_terms_build(struct dc_terms *terms, struct dc_graph *graph,
                                          int network_nodes, int output, int targets,
                                          const struct dc_term_spec *specs, int count,
                                          const struct dc_label_loss *label,
                                          const struct dc_terms_sources *sources,
                                          struct dc_error *error);

#endif

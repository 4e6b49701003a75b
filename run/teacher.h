// The teachers of a stage: networks that run beside the student, their caches, files of logits.
// Internal to run/.

#ifndef DC_RUN_TEACHER_H
#define DC_RUN_TEACHER_H

#include "distill/cache.h"
#include "distill/logits.h"
#include "distill/teach.h"
#include "run/run_internal.h"

struct dc_stage_teacher {
    const char *name;
    double weight;  // of its probabilities among the teachers
    struct dc_run *run;
    const struct dc_stage *stage;     // who distills
    struct dc_stage_network network;  // empty for a file of logits
    struct dc_graph *folded;          // batch normalization folded; NULL of a quantized network
    struct dc_params *folded_params;
    int outputs[DC_CACHE_COLUMNS];  // of the folded graph: the logits, then features
    int inputs[DC_CACHE_COLUMNS];   // of the training graph: what each is bound to, or -1
    struct dc_params average;       // of the student: its own moving average teaches
    struct dc_teacher teacher;
    struct dc_cache *cache;       // or NULL
    struct dc_logits logits;      // of a file
    struct dc_recorded recorded;  // reads the cache or the file
};

struct dc_stage_teachers {
    struct dc_stage_teacher items[DC_TEACHERS_MAX];
    int count;
};

// In three steps: the networks and files that the stage names, then `sources` for its training
// graph (the training data must be open), then, once the graph's terms say what they read, folding
// and caches.
DC_MUST_USE enum dc_status dc__teachers_open(struct dc_stage_teachers *teachers, struct dc_run *run,
                                             const struct dc_stage *stage, struct dc_error *error);
struct dc_terms_sources dc__teachers_sources(const struct dc_stage_teachers *teachers,
                                             const struct dc_run *run);
DC_MUST_USE enum dc_status dc__teachers_prepare(struct dc_stage_teachers *teachers,
                                                const struct dc_terms *terms,
                                                const struct dc_params *student,
                                                enum dc_cache_opening caches,
                                                struct dc_error *error);
void dc__teachers_close(struct dc_stage_teachers *teachers);

// Writes beside a cache's manifest what made it, so that it can be verified: experiment.yaml, and
// made_by.json with the stage and the run directory. What is there stays, unless its run directory
// is not there any more, or it cannot be read and is to be repaired.
DC_MUST_USE enum dc_status dc__cache_record(const struct dc_stage_teacher *teacher, bool repair,
                                            struct dc_error *error);

// What a cached teacher still has to compute, for dc_teach and dc_cache_verify: all folders of the
// stage's training.
struct dc_teach_job dc__teach_job(const struct dc_stage_teacher *teacher);

// Puts the teachers into a training: networks before the student's, the views they read, and feeds
// to the inputs of the student's training graph.
struct dc_training_parts {
    struct dc_network networks[DC_NETWORKS_MAX];
    int network_count;
    struct dc_feed feeds[DC_FEEDS_MAX];
    int feed_count;
    struct dc_loader_config loading;  // its first view is the student's
};
void dc__teachers_join(struct dc_training_parts *parts, struct dc_stage_teachers *teachers);

#endif

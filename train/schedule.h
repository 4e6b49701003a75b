// What changes over a stage: the learning rate as a pure function of the step, the weight of a loss
// term as one of the epoch.

#ifndef DC_TRAIN_SCHEDULE_H
#define DC_TRAIN_SCHEDULE_H

#include <stdint.h>

enum dc_schedule_kind {
    DC_SCHEDULE_CONSTANT,
    DC_SCHEDULE_STEP,        // times `factor` every step_epochs epochs
    DC_SCHEDULE_MULTI_STEP,  // times `factor` at each milestone
    DC_SCHEDULE_COSINE,      // half a cosine from the rate to final_fraction of it, after warm-up
};

enum { DC_MILESTONES_MAX = 16 };

struct dc_schedule {
    enum dc_schedule_kind kind;
    double warmup_epochs;  // the rate rises linearly from start_fraction
    double start_fraction;
    double step_epochs, factor;
    double milestones[DC_MILESTONES_MAX];  // epochs
    int milestone_count;
    double final_fraction;
};

// step counts from 0. Steps and milestones take effect at the first step of their epoch.
double dc_schedule_rate(const struct dc_schedule *schedule, double base_rate, int64_t step,
                        int64_t steps_per_epoch, int64_t total_steps);

struct dc_loss_term {
    const char *name;  // in metrics
    int network, node;
    double weight;
    int start_epoch, end_epoch;  // active in [start, end); end 0: to the end
    int ramp_epochs;             // the weight rises linearly over so many epochs
};

// The weight of a term in an epoch (from 0): 0 where it is not active.
double dc_loss_term_weight(const struct dc_loss_term *term, int epoch);

#endif

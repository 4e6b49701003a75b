// Owns the shapes of schedules.

#include "train/schedule.h"

#include <math.h>

#include "core/math.h"

double dc_schedule_rate(const struct dc_schedule *s, double base_rate, int64_t step,
                        int64_t steps_per_epoch, int64_t total_steps)
{
    const double warmup = rint(s->warmup_epochs * (double)steps_per_epoch);
    if ((double)step < warmup) {
        const double t = ((double)step + 1.0) / warmup;
        return base_rate * (s->start_fraction + (1.0 - s->start_fraction) * t);
    }
    const double epoch = (double)(step / steps_per_epoch);
    double rate = base_rate;
    switch (s->kind) {
    case DC_SCHEDULE_CONSTANT:
        break;
    case DC_SCHEDULE_STEP:
        for (double at = s->step_epochs; at <= epoch; at += s->step_epochs)
            rate *= s->factor;
        break;
    case DC_SCHEDULE_MULTI_STEP:
        for (int i = 0; i < s->milestone_count; i++)
            rate *= s->milestones[i] <= epoch ? s->factor : 1.0;
        break;
    case DC_SCHEDULE_COSINE: {
        const double span = (double)total_steps - warmup;
        const double t = span > 0.0 ? ((double)step - warmup) / span : 0.0;
        const double half = 0.5 * (1.0 + dc_cos_turns(0.5 * t));
        rate *= s->final_fraction + (1.0 - s->final_fraction) * half;
        break;
    }
    }
    return rate;
}

double dc_loss_term_weight(const struct dc_loss_term *term, int epoch)
{
    if (epoch < term->start_epoch || (term->end_epoch > 0 && epoch >= term->end_epoch))
        return 0.0;
    if (term->ramp_epochs <= 0)
        return term->weight;
    const double t = (double)(epoch - term->start_epoch + 1) / (double)term->ramp_epochs;
    return term->weight * (t < 1.0 ? t : 1.0);
}

// Owns which stages belong together, as an experiment says it.

#include "run/relations.h"

#include <string.h>

const struct dc_stage *dc_teacher_of(struct dc_experiment *e)
{
    for (int i = 0; i < e->stage_count; i++) {
        const char *names[DC_TEACHERS_MAX];
        double weights[DC_TEACHERS_MAX];
        const struct dc_stage *stage = &e->stages[i];
        const int count = stage->distills ? dc_stage_teachers(names, weights, stage) : 0;
        for (int t = 0; t < count; t++) {
            const struct dc_stage *teacher = dc_experiment_stage(e, names[t]);
            if (teacher)
                return teacher;
        }
    }
    return NULL;
}

const struct dc_stage *dc_last_quantized(const struct dc_experiment *e)
{
    for (int i = e->stage_count - 1; i >= 0; i--)
        if (e->stages[i].quantizes && !e->stages[i].exports)
            return &e->stages[i];
    return NULL;
}

const struct dc_stage *dc_last_student(struct dc_experiment *e)
{
    const struct dc_stage *teacher = dc_teacher_of(e);
    for (int i = e->stage_count - 1; i >= 0; i--)
        if (!e->stages[i].quantizes && !e->stages[i].exports && &e->stages[i] != teacher)
            return &e->stages[i];
    return NULL;
}

static bool same_model(const struct dc_stage *a, const struct dc_stage *b)
{
    bool same = strcmp(a->model, b->model) == 0 && a->parameters.count == b->parameters.count;
    for (int i = 0; same && i < a->parameters.count; i++)
        same = strcmp(a->parameters.items[i].name, b->parameters.items[i].name) == 0 &&
               a->parameters.items[i].value == b->parameters.items[i].value;
    return same;
}

const struct dc_stage *dc_taught_by_labels(const struct dc_experiment *e,
                                           const struct dc_stage *stage)
{
    for (int i = 0; i < e->stage_count; i++) {
        const struct dc_stage *other = &e->stages[i];
        if (other != stage && other->trains && !other->distills && !other->quantizes &&
            !other->exports && same_model(stage, other))
            return other;
    }
    return NULL;
}

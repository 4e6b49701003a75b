// Owns what is asked of a stage that is read: where its keys stand, what it learns, who teaches it.

#include <string.h>

#include "run/experiment_schema.h"

const struct dc_yaml *dc_stage_place(const struct dc_stage *stage, const char *group,
                                     const char *key)
{
    const struct dc_yaml *mapping = group ? dc_yaml_get(stage->where, group) : stage->where;
    const struct dc_yaml *node = mapping ? dc_yaml_get(mapping, key) : NULL;
    return node ? node : stage->where;
}

bool dc_stage_reconstructs(const struct dc_stage *stage)
{
    return stage->train.loss == DC_LABEL_RECONSTRUCTION;
}

bool dc_stage_classifies(const struct dc_stage *stage)
{
    return !dc_stage_reconstructs(stage) && stage->labels == DC_LABELS_CLASSES;
}

enum dc_measure dc_stage_measure(const struct dc_stage *stage)
{
    return dc_stage_reconstructs(stage)         ? DC_MEASURE_AUC
           : stage->labels == DC_LABELS_CLASSES ? DC_MEASURE_ACCURACY
           : stage->labels == DC_LABELS_VALUES  ? DC_MEASURE_R2
                                                : DC_MEASURE_MAP;
}

struct dc_stage *dc_experiment_stage(struct dc_experiment *experiment, const char *name)
{
    for (int i = 0; i < experiment->stage_count; i++)
        if (strcmp(experiment->stages[i].name, name) == 0)
            return &experiment->stages[i];
    return NULL;
}

int dc_stage_teachers(const char *names[DC_TEACHERS_MAX], double weights[DC_TEACHERS_MAX],
                      const struct dc_stage *stage)
{
    const struct dc_named_values *list = &stage->distill.teachers;
    double sum = 0.0;
    if (stage->distill.peers.count > 0)
        return 0;
    names[0] = stage->distill.teacher;
    weights[0] = 1.0;
    for (int i = 0; i < list->count; i++)
        sum += list->items[i].value;
    for (int i = 0; i < list->count; i++) {
        names[i] = list->items[i].name;
        weights[i] = list->items[i].value / sum;
    }
    return list->count > 0 ? list->count : 1;
}

const struct dc_stage *dc_teacher_stage(struct dc_experiment *experiment,
                                        const struct dc_stage *stage, const char *name)
{
    return !strcmp(name, DC_TEACHER_AVERAGE) ? stage : dc_experiment_stage(experiment, name);
}

bool dc__teacher_is_file(const char *name)
{
    return strchr(name, '.') || strchr(name, '/');
}

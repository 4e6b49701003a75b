// Owns whether the data, the augmentations and the networks of a run fit each other, asked before
// the first stage begins.

#include "run/run_internal.h"

static enum dc_status check_fits(const struct dc_run *run, const struct dc_stage *stage,
                                 const struct dc_stage_network *network, struct dc_error *error)
{
    const struct dc_source *source = run->train_source;
    const struct dc_view view = dc_run_view(run, stage, &network->model.sample);
    char want[DC_SHAPE_TEXT], have[DC_SHAPE_TEXT];
    if (!dc_sample_fits(&network->model.sample, &source->sample) && !network->model.imported)
        return dc_fail_yaml(error, dc_stage_place(stage, NULL, "model"),
                            "stage '%s': the model %s reads samples of %s, the data in %s has %s",
                            stage->name, stage->model, dc_shape_text(want, &network->model.sample),
                            run->experiment->data.path, dc_shape_text(have, &source->sample));
    DC_TRY_IN(dc_view_check(&view, source, error), error, "stage '%s'", stage->name);
    if (network->classes != source->classes && !dc_stage_reconstructs(stage))
        return dc_fail_yaml(
            error, dc_stage_place(stage, NULL, "model"),
            "stage '%s': the model %s has %d classes, the data in %s has %d; set the "
            "model's parameter 'classes'",
            stage->name, stage->model, network->classes, run->experiment->data.path,
            source->classes);
    return DC_OK;
}

enum dc_status dc__check_augment(const struct dc_run *run, struct dc_error *error)
{
    const struct dc_augmentation_list *augment = &run->experiment->data.augment;
    DC_TRY_IN(dc_augmentations_check(augment->items, augment->count, &run->train_source->sample,
                                     run->train_source->dtype, error),
              error, "%s: data.augment", run->experiment->path);
    return DC_OK;
}

enum dc_status dc__check_data(struct dc_run *run, struct dc_error *error)
{
    DC_TRY(dc__check_augment(run, error));
    const struct dc_source *train = run->train_source, *test = run->test_source;
    char here[DC_SHAPE_TEXT], there[DC_SHAPE_TEXT];
    if (!dc_shape_equal(&train->sample, &test->sample) || train->classes != test->classes)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: training samples are %s in %d classes, test samples %s in %d classes",
                       run->experiment->data.path, dc_shape_text(here, &train->sample),
                       train->classes, dc_shape_text(there, &test->sample), test->classes);
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const struct dc_stage *stage = &run->experiment->stages[i];
        struct dc_stage_network network = {0};
        if (stage->exports)
            continue;
        DC_TRY(dc_stage_network_open(&network, stage, NULL, error));
        const enum dc_status status = check_fits(run, stage, &network, error);
        dc_stage_network_close(&network);
        DC_TRY(status);
    }
    return DC_OK;
}

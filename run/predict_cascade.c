// Owns a cascade on photographs: which of them the device settles, and what the teacher says of the
// others. How a threshold is chosen is cascade.c's; here it is applied.

#include <string.h>

#include "run/predict_photos.h"
#include "run/run_internal.h"

// What the run's export of the stage chose; -1: nothing.
static int chosen_threshold(const struct dc_run *run, const char *device)
{
    const json_t *stages = json_object_get(run->results, "stages");
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const struct dc_stage *stage = &run->experiment->stages[i];
        const json_t *cascade = json_object_get(json_object_get(stages, stage->name), "cascade");
        const json_t *threshold = json_object_get(cascade, "threshold");
        if (stage->exports && !strcmp(stage->export.stage, device) && json_is_integer(threshold))
            return (int)json_integer_value(threshold);
    }
    return -1;
}

// The teacher's answers in place of those that are below the threshold.
static enum dc_status ask_teacher(struct dc_photo_predictions *out, struct dc_run *run,
                                  const struct dc_photo_options *options, const char *teacher,
                                  struct dc_arena *arena, struct dc_error *error)
{
    struct dc_photo_options rest = *options;
    struct dc_photo_predictions more;
    const char **paths = DC_NEW(arena, const char *, out->count, error);
    const char **settled = DC_NEW(arena, const char *, out->count, error);
    float *all = DC_NEW(arena, float, out->count * out->classes, error);
    if (!paths || !settled || !all)
        return DC_ERR_MEMORY;
    rest.stage = teacher;
    rest.paths = paths;
    rest.path_count = 0;
    for (int64_t i = 0; i < out->count; i++) {
        const bool stays = out->margins[i] >= out->threshold;
        settled[i] = stays ? out->device : teacher;
        if (!stays)
            paths[rest.path_count++] = out->files[i];
    }
    out->settled = settled;
    if (rest.path_count == 0)
        return DC_OK;
    DC_TRY(dc_predict_photos(&more, run->ctx, run, &rest, arena, error));
    if (more.classes != out->classes || more.labels != DC_LABELS_CLASSES)
        return dc_fail(error, DC_ERR_USAGE, "stage '%s' tells %d classes, stage '%s' %d", teacher,
                       more.classes, out->device, out->classes);
    const size_t row = sizeof *all * (size_t)out->classes;
    for (int64_t i = 0, k = 0; i < out->count; i++) {
        const bool stays = settled[i] == out->device;
        const float *from = stays ? out->probabilities + i * out->classes
                                  : more.probabilities + k * out->classes;
        memcpy(all + i * out->classes, from, row);
        k += !stays;
    }
    out->probabilities = all;
    return DC_OK;
}

enum dc_status dc_predict_cascade(struct dc_photo_predictions *out, struct dc_run *run,
                                  const struct dc_photo_options *options,
                                  const struct dc_photo_cascade_options *cascade,
                                  struct dc_arena *arena, struct dc_error *error)
{
    struct dc_photo_options first = *options;
    struct dc_stage *teacher = NULL;
    first.stage = cascade->device;
    DC_TRY(dc__pick_stage(&teacher, run, cascade->teacher, error));
    DC_TRY(dc_predict_photos(out, run->ctx, run, &first, arena, error));
    if (!out->margins || teacher->quantizes)
        return dc_fail(error, DC_ERR_USAGE,
                       "a cascade is of a quantized stage that tells classes, and a float one: "
                       "--cascade quantized,teacher");
    out->device = out->stage;
    out->threshold = cascade->threshold > 0 ? cascade->threshold
                                            : chosen_threshold(run, out->device);
    if (out->threshold < 0)
        return dc_fail(error, DC_ERR_USAGE,
                       "%s chose no threshold for stage '%s': give --threshold CODES, 1 to 255, or "
                       "cascade: {accuracy: 0.97} in the experiment",
                       run->directory, out->device);
    return ask_teacher(out, run, options, teacher->name, arena, error);
}

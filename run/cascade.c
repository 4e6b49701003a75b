// Owns the choice of a cascade's threshold, and the passes of samples that it needs.

#include "run/cascade.h"

#include <math.h>
#include <stdlib.h>

#include "qat/profile.h"
#include "run/outputs.h"
#include "run/relations.h"
#include "run/run_internal.h"
#include "train/binomial.h"

int dc_output_margin(const float *outputs, int classes, float scale)
{
    float first = -INFINITY, second = -INFINITY;
    for (int c = 0; c < classes; c++) {
        second = outputs[c] > first ? first : outputs[c] > second ? outputs[c] : second;
        first = outputs[c] > first ? outputs[c] : first;
    }
    return (int)lrintf((first - second) / scale);
}

struct dc_cascade_choice dc_choose_margin(const struct dc_margins *margins, double accuracy)
{
    struct dc_cascade_choice choice = {.threshold = -1,
                                       .wanted = (int64_t)ceil(10.0 / (1.0 - accuracy) - 1e-9)};
    int64_t kept = 0, right = 0;
    for (int t = DC_MARGINS - 1; t >= 0; t--) {
        kept += margins->samples[t];
        right += margins->right[t];
        if (kept < choice.wanted)
            continue;
        const double bound = dc_clopper_pearson_low(right, kept, DC_CASCADE_CONFIDENCE);
        if (!(bound >= accuracy))
            break;
        choice.threshold = t;
        choice.kept = kept;
        choice.right = right;
        choice.bound = bound;
    }
    return choice;
}

const struct dc_stage *dc_cascade_teacher(struct dc_experiment *e)
{
    if (!e->cascades)
        return NULL;
    return e->cascade.teacher[0] ? dc_experiment_stage(e, e->cascade.teacher) : dc_teacher_of(e);
}

enum dc_status dc_cascade_check(struct dc_experiment *e, const struct dc_yaml *node,
                                struct dc_error *error)
{
    const struct dc_stage *teacher = dc_cascade_teacher(e);
    bool exported = false;
    if (!e->cascades)
        return DC_OK;
    if (e->cascade.accuracy == 0.0)
        return dc_fail_yaml(error, node, "the cascade lacks 'accuracy', as {accuracy: 0.97}");
    if (!teacher || teacher->exports)
        return dc_fail_yaml(error, node,
                            "the cascade has no stage to send samples to; name one: {accuracy: "
                            "%.4g, teacher: STAGE}",
                            e->cascade.accuracy);
    for (int i = 0; i < e->stage_count; i++) {
        const struct dc_stage *stage = &e->stages[i];
        const struct dc_stage *from = stage->exports ? dc_experiment_stage(e, stage->export.stage)
                                                     : NULL;
        exported = exported || from;
        if (from && (!dc_stage_classifies(from) || !dc_stage_classifies(teacher)))
            return dc_fail_yaml(error, node, "a cascade is of networks that classify");
        if (stage->exports && teacher > stage)
            return dc_fail_yaml(error, node,
                                "the cascade's teacher '%s' must stand before the export '%s', "
                                "for which its threshold is chosen",
                                teacher->name, stage->name);
    }
    if (!exported)
        return dc_fail_yaml(error, node,
                            "the cascade's threshold is for a network that ships, and no stage "
                            "exports one; add a stage {export: STAGE}");
    return DC_OK;
}

// The networks' answers to one set of samples.
struct pass {
    const struct dc_source *source;
    int64_t *ids;
    int64_t samples;
    float *outputs;
    int classes;
};

static enum dc_status pass_open(struct pass *p, const struct dc_source *source, const int64_t *ids,
                                int64_t samples, int classes, struct dc_error *error)
{
    *p = (struct pass){.source = source, .samples = samples, .classes = classes};
    p->ids = dc_alloc(sizeof *p->ids * (size_t)samples, error);
    p->outputs = dc_alloc(sizeof *p->outputs * (size_t)(samples * classes), error);
    if (!p->ids || !p->outputs)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < samples; i++)
        p->ids[i] = ids ? ids[i] : i;
    return DC_OK;
}

static void pass_close(struct pass *p)
{
    free(p->ids);
    free(p->outputs);
}

static bool is_right(const struct pass *p, int64_t i)
{
    const float *z = p->outputs + i * p->classes;
    int best = 0;
    for (int c = 1; c < p->classes; c++)
        best = z[c] > z[best] ? c : best;
    return best == p->source->labels[p->ids[i]];
}

static enum dc_status ask(struct pass *p, const struct dc_stage_predictors *predictors,
                          bool integers, struct dc_error *error)
{
    return dc_stage_logits(p->outputs, predictors, integers, p->source, p->ids, p->samples, error);
}

static enum dc_status count_margins(struct dc_margins *margins, struct pass *p,
                                    const struct dc_stage_predictors *predictors, float scale,
                                    struct dc_error *error)
{
    DC_TRY(ask(p, predictors, true, error));
    for (int64_t i = 0; i < p->samples; i++) {
        const int margin = dc_output_margin(p->outputs + i * p->classes, p->classes, scale);
        margins->samples[margin]++;
        margins->right[margin] += is_right(p, i);
    }
    return DC_OK;
}

// The teacher gets what the margin leaves to it.
static enum dc_status count_rest(int64_t *right, struct pass *p, struct dc_run *run,
                                 const struct dc_stage *teacher, const bool *kept,
                                 struct dc_error *error)
{
    struct dc_stage_network network = {0};
    struct dc_stage_predictors predictors = {0};
    char *weights = dc_run_weights_path(run, teacher, error);
    if (!weights)
        return DC_ERR_MEMORY;
    DC_TRY(dc_stage_network_open(&network, teacher, weights, error));
    enum dc_status status = dc_stage_predictors_open(&predictors, run, teacher, &network,
                                                     run->experiment->profile, error);
    if (status == DC_OK && network.classes != p->classes)
        status = dc_fail(error, DC_ERR_CONFIG, "the cascade's teacher '%s' has %d classes, not %d",
                         teacher->name, network.classes, p->classes);
    if (status == DC_OK)
        status = ask(p, &predictors, false, error);
    for (int64_t i = 0; status == DC_OK && i < p->samples; i++)
        *right += !kept[i] && is_right(p, i);
    dc_stage_predictors_close(&predictors);
    dc_stage_network_close(&network);
    return status;
}

static enum dc_status try_on_test(json_t *cascade, struct dc_run *run,
                                  const struct dc_stage_predictors *predictors, int classes,
                                  int threshold, float scale, struct dc_error *error)
{
    struct pass p;
    int64_t kept = 0, right = 0, rest = 0;
    enum dc_status status = pass_open(&p, run->test_source, NULL, run->test_source->count, classes,
                                      error);
    bool *keeps = dc_alloc((size_t)run->test_source->count, error);
    if (status == DC_OK)
        status = keeps ? ask(&p, predictors, true, error) : DC_ERR_MEMORY;
    for (int64_t i = 0; status == DC_OK && i < p.samples; i++) {
        keeps[i] = dc_output_margin(p.outputs + i * classes, classes, scale) >= threshold;
        kept += keeps[i];
        right += keeps[i] && is_right(&p, i);
    }
    if (status == DC_OK)
        status = count_rest(&rest, &p, run, dc_cascade_teacher(run->experiment), keeps, error);
    if (status == DC_OK)
        json_object_set_new(cascade, "test",
                            json_pack("{s:I, s:I, s:I, s:I}", "samples", (json_int_t)p.samples,
                                      "kept", (json_int_t)kept, "right", (json_int_t)right,
                                      "teacher_right", (json_int_t)rest));
    free(keeps);
    pass_close(&p);
    return status;
}

static enum dc_status choose(json_t *cascade, struct dc_run *run,
                             const struct dc_stage_predictors *predictors, int classes,
                             struct dc_imodel *model, struct dc_error *error)
{
    struct pass p;
    struct dc_margins margins = {0};
    const float scale = dc_imodel_output(model)->scale;
    enum dc_status status = pass_open(&p, run->train_source, run->validation_ids,
                                      run->validation_count, classes, error);
    if (status == DC_OK)
        status = count_margins(&margins, &p, predictors, scale, error);
    pass_close(&p);
    DC_TRY(status);
    const struct dc_cascade_choice c = dc_choose_margin(&margins,
                                                        run->experiment->cascade.accuracy);
    json_t *validation = json_pack("{s:I}", "samples", (json_int_t)run->validation_count);
    json_object_set_new(cascade, "wanted", json_integer(c.wanted));
    json_object_set_new(cascade, "threshold",
                        c.threshold >= 0 ? json_integer(c.threshold) : json_null());
    if (c.threshold >= 0)
        json_object_update_new(validation,
                               json_pack("{s:I, s:I, s:f}", "kept", (json_int_t)c.kept, "right",
                                         (json_int_t)c.right, "bound", c.bound));
    json_object_set_new(cascade, "validation", validation);
    model->confident_margin = c.threshold;
    return c.threshold >= 0
               ? try_on_test(cascade, run, predictors, classes, c.threshold, scale, error)
               : DC_OK;
}

enum dc_status dc__choose_cascade(json_t *result, struct dc_run *run, const struct dc_stage *from,
                                  const struct dc_stage_network *network, struct dc_imodel *model,
                                  struct dc_error *error)
{
    struct dc_stage_predictors predictors = {0};
    if (run->validation_count == 0 || !run->train_source->labels || !run->test_source->labels ||
        network->classes < 2)
        return dc_fail(error, DC_ERR_CONFIG,
                       "the cascade's threshold is chosen on validation samples with labels of two "
                       "or more classes, and there are none; set data.validation");
    json_t *cascade = json_pack("{s:f, s:f, s:s}", "accuracy", run->experiment->cascade.accuracy,
                                "confidence", DC_CASCADE_CONFIDENCE, "teacher",
                                dc_cascade_teacher(run->experiment)->name);
    if (!cascade)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    enum dc_status status = dc_stage_predictors_open(&predictors, run, from, network,
                                                     model->profile->name, error);
    if (status == DC_OK)
        status = choose(cascade, run, &predictors, network->classes, model, error);
    dc_stage_predictors_close(&predictors);
    json_object_set_new(result, "cascade", cascade);
    return status;
}

static double share(const json_t *object, const char *part, const char *whole)
{
    const double all = json_number_value(json_object_get(object, whole));
    return all > 0.0 ? 100.0 * json_number_value(json_object_get(object, part)) / all : 0.0;
}

void dc_cascade_text(struct dc_text_buffer *out, const json_t *result)
{
    const json_t *cascade = json_object_get(result, "cascade");
    const json_t *test = json_object_get(cascade, "test");
    const double asked = 100.0 * json_number_value(json_object_get(cascade, "accuracy"));
    if (!cascade)
        return;
    if (!test) {
        dc_text_append(out,
                       "cascade: no threshold gives %.4g %% on validation with 95 %% confidence;\n"
                       "  all samples go to %s",
                       asked, json_string_value(json_object_get(cascade, "teacher")));
        return;
    }
    const double whole = json_number_value(json_object_get(test, "right")) +
                         json_number_value(json_object_get(test, "teacher_right"));
    dc_text_append(out,
                   "cascade: a margin of %lld codes or more settles %.2f %% of the test samples\n"
                   "  on the device, %.2f %% of them right (%.4g %% asked for); with %s for the\n"
                   "  rest %.2f %% of all are right",
                   (long long)json_integer_value(json_object_get(cascade, "threshold")),
                   share(test, "kept", "samples"), share(test, "right", "kept"), asked,
                   json_string_value(json_object_get(cascade, "teacher")),
                   100.0 * whole / json_number_value(json_object_get(test, "samples")));
}

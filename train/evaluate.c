// Owns scoring. Nothing here knows whether logits come from floats or integers.

#include "train/evaluate.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "core/math.h"
#include "core/ops/ops.h"
#include "core/plan.h"
#include "data/loader.h"
#include "train/row_loss.h"

double dc_accuracy(const struct dc_scores *scores)
{
    return scores->samples ? (double)scores->correct / (double)scores->samples : 0.0;
}

double dc_accuracy_error(const struct dc_scores *scores)
{
    const double p = dc_accuracy(scores);
    return scores->samples ? sqrt(p * (1.0 - p) / (double)scores->samples) : 0.0;
}

double dc_scores_measure(const struct dc_scores *scores)
{
    if (scores->reconstruction)
        return scores->reconstruction->auc;
    if (!scores->targets)
        return dc_accuracy(scores);
    const double r2 = scores->targets->r2 > 0.0 ? scores->targets->r2 : 0.0;
    return scores->targets->kind == DC_LABELS_VALUES ? r2 : scores->targets->average_precision;
}

const struct dc_measure_name dc_measure_names[DC_MEASURES] = {
    [DC_MEASURE_ACCURACY] = {"accuracy", "accuracy", 100.0},
    [DC_MEASURE_AUC] = {"auc", "AUC", 1.0},
    [DC_MEASURE_R2] = {"r2", "R2", 1.0},
    [DC_MEASURE_MAP] = {"map", "mAP", 1.0},
};

enum dc_status dc_scores_create(struct dc_scores **out, int classes, struct dc_arena *arena,
                                struct dc_error *error)
{
    struct dc_scores *scores = DC_NEW(arena, struct dc_scores, 1, error);
    int64_t *confusion = DC_NEW(arena, int64_t, classes * classes, error);
    if (!scores || !confusion)
        return DC_ERR_MEMORY;
    *scores = (struct dc_scores){.classes = classes, .confusion = confusion};
    *out = scores;
    return DC_OK;
}

enum dc_status dc_scores_create_reconstruction(struct dc_scores **scores, const bool *normal,
                                               int64_t capacity, struct dc_arena *arena,
                                               struct dc_error *error)
{
    DC_TRY(dc_scores_create(scores, 0, arena, error));
    return dc_reconstruction_create(&(*scores)->reconstruction, normal, capacity, arena, error);
}

enum dc_status dc_scores_create_targets(struct dc_scores **scores, enum dc_label_kind kind,
                                        int outputs, int64_t capacity, struct dc_arena *arena,
                                        struct dc_error *error)
{
    DC_TRY(dc_scores_create(scores, 0, arena, error));
    return dc_target_scores_create(&(*scores)->targets, kind, outputs, capacity, arena, error);
}

// Cross-entropy of one sample.
static double loss_of(const float *z, int label, float least_probability, int classes)
{
    if (least_probability == 0.0f)
        return dc_log_sum_exp(NULL, z, 1.0, classes) - (double)z[label];
    return -dc_ln((double)(z[label] < least_probability ? least_probability : z[label]));
}

enum dc_status dc_scores_add(struct dc_scores *scores, const float *logits, float least_probability,
                             const int32_t *labels, int64_t rows, struct dc_error *error)
{
    const int classes = scores->classes;
    for (int64_t r = 0; r < rows; r++) {
        const float *z = logits + r * classes;
        const int label = labels[r];
        int best = 0, ahead = 0;  // classes that rank before the label
        for (int c = 0; c < classes; c++) {
            if (!isfinite(z[c]))
                return dc_fail(error, DC_ERR_NUMERIC, "the logits of sample %lld are not finite",
                               (long long)(scores->samples + r));
            best = z[c] > z[best] ? c : best;
            ahead += z[c] > z[label] || (c < label && z[c] == z[label]);
        }
        scores->correct += best == label;
        scores->correct5 += ahead < 5;
        scores->confusion[label * classes + best]++;
        scores->loss += loss_of(z, label, least_probability, classes);
    }
    scores->samples += rows;
    return DC_OK;
}

static enum dc_status add_batch(struct dc_scores *scores, const float *out,
                                const struct dc_predictor *predictor, const struct dc_batch *batch,
                                struct dc_error *error)
{
    double sum = 0.0;
    if (scores->targets) {
        DC_TRY(
            dc_target_scores_add(scores->targets, &sum, out, batch->targets, batch->rows, error));
        scores->samples += batch->rows;
        scores->loss += sum;
        return DC_OK;
    }
    if (!scores->reconstruction)
        return dc_scores_add(scores, out, predictor->least_probability, batch->labels, batch->rows,
                             error);
    DC_TRY(dc_reconstruction_add(scores->reconstruction, &sum, out, batch->inputs, batch->labels,
                                 batch->rows, predictor->classes, error));
    scores->samples += batch->rows;
    scores->loss += sum;
    return DC_OK;
}

enum dc_status dc_evaluate(struct dc_scores *scores, float *logits,
                           const struct dc_predictor *predictor, struct dc_loader *loader,
                           struct dc_error *error)
{
    float *room = dc_alloc(sizeof(float) * (size_t)predictor->max_rows * (size_t)predictor->classes,
                           error);
    if (!room)
        return DC_ERR_MEMORY;
    enum dc_status status = DC_OK;
    for (int64_t done = 0; status == DC_OK;) {
        struct dc_batch batch;
        status = dc_loader_next(loader, &batch, error);
        if (status != DC_OK || batch.rows == 0)
            break;
        float *out = logits ? logits + done * predictor->classes : room;
        status = predictor->predict(predictor->user, out, batch.inputs, batch.rows, error);
        if (status == DC_OK && scores)
            status = add_batch(scores, out, predictor, &batch, error);
        done += batch.rows;
    }
    free(room);
    if (status == DC_OK && scores && scores->samples)
        scores->loss /= (double)scores->samples;
    if (status == DC_OK && scores && scores->reconstruction)
        status = dc_reconstruction_finish(scores->reconstruction, error);
    if (status == DC_OK && scores && scores->targets)
        status = dc_target_scores_finish(scores->targets, error);
    return status;
}

static enum dc_status predict_float(void *user, float *logits, const float *inputs, int64_t rows,
                                    struct dc_error *error)
{
    struct dc_float_predictor *p = user;
    const struct dc_step step = {.total_batch = rows};
    dc_plan_bind(p->plan, p->input, inputs);
    DC_TRY(dc_plan_forward(p->plan, p->params, rows, &step, error));
    const float *value = dc_plan_value(p->plan, p->output);
    for (int64_t i = 0; i < rows * p->classes; i++)
        logits[i] = value[i];
    return DC_OK;
}

enum dc_status dc_float_predictor_create(struct dc_float_predictor **out, const struct dc_ctx *ctx,
                                         const struct dc_graph *graph, struct dc_params *params,
                                         int input, int output, int64_t max_rows,
                                         struct dc_error *error)
{
    *out = NULL;
    struct dc_float_predictor *p = calloc(1, sizeof *p);
    if (!p)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    const struct dc_shape *shape = &graph->nodes[output].shape;
    *p = (struct dc_float_predictor){
        .params = params, .input = input, .output = output, .classes = (int)dc_shape_row(shape)};
    const bool shares = graph->nodes[output].op == &dc_op_softmax;
    p->predictor = (struct dc_predictor){.predict = predict_float,
                                         .user = p,
                                         .classes = p->classes,
                                         .max_rows = max_rows,
                                         .least_probability = shares ? FLT_MIN : 0.0f};
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = max_rows, .outputs = &output, .output_count = 1};
    const enum dc_status status = dc_plan_create(&p->plan, ctx, graph, &config, error);
    if (status != DC_OK) {
        free(p);
        return status;
    }
    *out = p;
    return DC_OK;
}

void dc_float_predictor_free(struct dc_float_predictor *predictor)
{
    if (!predictor)
        return;
    dc_plan_free(predictor->plan);
    free(predictor);
}

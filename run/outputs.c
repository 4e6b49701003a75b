// Owns the float and the integer predictor of a finished stage, and passes of samples through them.

#include "run/outputs.h"

#include "qat/compare.h"
#include "run/run_internal.h"
#include "run/target.h"

enum { COMPARED_SAMPLES = 128, COMPARED_ROWS = 16 };

static enum dc_status open_both(struct dc_stage_predictors *p, struct dc_run *run,
                                const struct dc_stage *stage,
                                const struct dc_stage_network *network, const char *profile,
                                struct dc_error *error)
{
    struct dc_imodel *model = NULL;
    int copied = 0;
    DC_TRY(dc_stage_network_open_plain(&p->plain, stage, error));
    DC_TRY(dc_params_copy_by_name(p->plain.params, network->params, &copied, error));
    DC_TRY(dc_float_predictor_create(&p->floats, run->ctx, p->plain.graph, p->plain.params,
                                     p->plain.image, p->plain.output, p->rows, error));
    DC_TRY(dc_stage_lower(&model, run->ctx, network, network->params, profile, "", error));
    dc_target_apply(model, &run->experiment->limits);
    return dc_integer_predictor_create(&p->integers, run->ctx, model, p->rows, error);
}

enum dc_status dc_stage_predictors_open(struct dc_stage_predictors *p, struct dc_run *run,
                                        const struct dc_stage *stage,
                                        const struct dc_stage_network *network, const char *profile,
                                        struct dc_error *error)
{
    *p = (struct dc_stage_predictors){
        .rows = dc__evaluation_rows(dc_graph_macs(network->graph)),
        .view = dc_run_view(run, stage, &network->model.sample),
    };
    const enum dc_status status = stage->quantizes
                                      ? open_both(p, run, stage, network, profile, error)
                                      : dc_float_predictor_create(
                                            &p->floats, run->ctx, network->graph, network->params,
                                            network->image, network->output, p->rows, error);
    if (status != DC_OK)
        dc_stage_predictors_close(p);
    return status;
}

void dc_stage_predictors_close(struct dc_stage_predictors *p)
{
    dc_float_predictor_free(p->floats);
    dc_integer_predictor_free(p->integers);
    dc_stage_network_close(&p->plain);
    *p = (struct dc_stage_predictors){0};
}

void dc_spread_ids(int64_t *ids, int64_t samples, int64_t count)
{
    for (int64_t i = 0; i < samples; i++)
        ids[i] = i * count / samples;
}

enum dc_status dc_stage_logits(float *logits, const struct dc_stage_predictors *from, bool integers,
                               const struct dc_source *source, const int64_t *ids, int64_t samples,
                               struct dc_error *error)
{
    const struct dc_predictor *predictor = integers ? &from->integers->predictor
                                                    : &from->floats->predictor;
    return dc__evaluate(NULL, logits, &from->view, predictor, source, ids, samples, error);
}

static enum dc_status walk(struct dc_comparison *comparison, const struct dc_view *view,
                           const struct dc_source *source, int64_t count, int64_t samples,
                           struct dc_error *error)
{
    int64_t ids[COMPARED_SAMPLES];
    struct dc_loader *loader = NULL;
    struct dc_batch batch = {.rows = 1};
    dc_spread_ids(ids, samples, count);
    DC_TRY(dc__plain_loader(&loader, view, source, ids, samples, COMPARED_ROWS, error));
    enum dc_status status = DC_OK;
    while (status == DC_OK && batch.rows > 0) {
        status = dc_loader_next(loader, &batch, error);
        if (status == DC_OK)
            status = dc_comparison_add(comparison, batch.inputs, batch.rows, error);
    }
    dc_loader_free(loader);
    return status;
}

enum dc_status dc_stage_compare(struct dc_comparison **comparison, int64_t *samples,
                                const struct dc_run *run, const struct dc_stage_predictors *p,
                                const struct dc_source *source, int64_t count,
                                struct dc_error *error)
{
    *samples = count < COMPARED_SAMPLES ? count : COMPARED_SAMPLES;
    DC_TRY(dc_comparison_create(comparison, run->ctx, p->integers->model, p->plain.graph,
                                p->plain.params, p->plain.image, error));
    const enum dc_status status = walk(*comparison, &p->view, source, count, *samples, error);
    if (status != DC_OK) {
        dc_comparison_free(*comparison);
        *comparison = NULL;
    }
    return status;
}

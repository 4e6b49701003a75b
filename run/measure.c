// Owns what a stage that quantizes measures on samples of the training split, and the order of it:
// batch normalization is folded and layers equalized, ranges and scales are found, AdaRound rounds,
// biases are corrected.

#include "qat/calibrate.h"
#include "qat/correct.h"
#include "qat/fold.h"
#include "run/log.h"
#include "run/run_internal.h"

// What goes over samples of the training split; one of the three.
struct measuring {
    struct dc_calibration *calibration;
    struct dc_adaround *adaround;
    struct dc_correction *correction;
};

static enum dc_status add_batch(const struct measuring *m, const struct dc_batch *batch,
                                struct dc_error *error)
{
    return m->adaround     ? dc_adaround_add(m->adaround, batch->inputs, batch->rows, error)
           : m->correction ? dc_correction_add(m->correction, batch->inputs, batch->rows, error)
                           : dc_calibration_add(m->calibration, batch->inputs, batch->rows, error);
}

static enum dc_status end_pass(const struct measuring *m, struct dc_error *error)
{
    return m->adaround     ? dc_adaround_finish(m->adaround, error)
           : m->correction ? dc_correction_end_pass(m->correction, error)
                           : dc_calibration_end_pass(m->calibration, error);
}

static int64_t calibration_samples(const struct dc_run *run, const struct dc_stage *stage)
{
    const int64_t wanted = stage->quantize.calibration_samples;
    return wanted < run->train_count ? wanted : run->train_count;
}

static int64_t rows_of(const struct dc_stage_network *network)
{
    return dc__evaluation_rows(dc_graph_macs(network->graph));
}

static enum dc_status measure(const struct measuring *m, int passes, struct dc_run *run,
                              const struct dc_stage *stage, const struct dc_stage_network *network,
                              struct dc_error *error)
{
    const struct dc_view view = dc_run_view(run, stage, &network->model.sample);
    for (int p = 0; p < passes; p++) {
        struct dc_loader *loader = NULL;
        struct dc_batch batch = {.rows = 1};
        enum dc_status status = dc__plain_loader(&loader, &view, run->train_source, run->train_ids,
                                                 calibration_samples(run, stage), rows_of(network),
                                                 error);
        while (status == DC_OK && batch.rows > 0) {
            status = dc_loader_next(loader, &batch, error);
            if (status == DC_OK && batch.rows > 0)
                status = add_batch(m, &batch, error);
        }
        dc_loader_free(loader);
        DC_TRY(status);
        DC_TRY(end_pass(m, error));
    }
    return DC_OK;
}

static enum dc_status correct(struct dc_run *run, const struct dc_stage *stage,
                              struct dc_stage_network *network, enum dc_correction_kind kind,
                              struct dc_error *error)
{
    struct measuring m = {0};
    DC_TRY(dc_correction_create(&m.correction, run->ctx, network->graph, network->params,
                                network->image, rows_of(network), kind, error));
    const int passes = dc_correction_passes(m.correction);
    if (passes == 0)
        dc_log(run->ctx, DC_LOG_WARNING, "%s: no layer has %s to correct", stage->name,
               kind == DC_CORRECT_BIASES ? "a bias" : "a batch normalization");
    const enum dc_status status = measure(&m, passes, run, stage, network, error);
    dc_correction_free(m.correction);
    return status;
}

enum dc_status dc__measure(struct dc_run *run, const struct dc_stage *stage,
                           struct dc_stage_network *network, struct dc_error *error)
{
    const struct dc_quantize_spec *q = &stage->quantize;
    struct measuring calibration = {0}, adaround = {0};
    int folded = 0, pairs = 0;
    if (dc_folds(q))
        dc_fold_batch_norms(&folded, network->graph, network->params);
    dc_equalize(&pairs, network->graph, network->params, (int)q->equalize);
    if (q->equalize > 0)
        dc_log(run->ctx, pairs > 0 ? DC_LOG_INFO : DC_LOG_WARNING,
               "%s: %d pairs of layers equalized", stage->name, pairs);
    char what[96];
    snprintf(what, sizeof what, "calibrates on %lld samples",
             (long long)calibration_samples(run, stage));
    dc__log_stage(run, stage, what);
    DC_TRY(dc_calibration_create(&calibration.calibration, run->ctx, network->graph,
                                 network->params, network->image, rows_of(network), error));
    enum dc_status status = measure(&calibration, dc_calibration_passes(calibration.calibration),
                                    run, stage, network, error);
    dc_calibration_free(calibration.calibration);
    if (status == DC_OK && q->adarounds)
        dc__log_stage(run, stage, "chooses which way each weight rounds");
    if (status == DC_OK && q->adarounds)
        status = dc_adaround_create(&adaround.adaround, run->ctx, network->graph, network->params,
                                    network->image, rows_of(network),
                                    calibration_samples(run, stage), &q->adaround, error);
    if (status == DC_OK && q->adarounds)
        status = measure(&adaround, 1, run, stage, network, error);
    dc_adaround_free(adaround.adaround);
    if (status == DC_OK && q->correct_bias)
        status = correct(run, stage, network, DC_CORRECT_BIASES, error);
    return status;
}

enum dc_status dc__re_estimate(struct dc_run *run, const struct dc_stage *stage,
                               struct dc_stage_network *network, struct dc_error *error)
{
    return stage->quantize.re_estimate_batch_norm
               ? correct(run, stage, network, DC_CORRECT_STATISTICS, error)
               : DC_OK;
}

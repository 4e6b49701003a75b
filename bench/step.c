// Owns the timing of a training step, an inference and the integer engine. A step is what
// train/train.c does with one batch: bind, forward, backward, update.

#include <stdlib.h>

#include "bench/bench_internal.h"
#include "core/passes.h"
#include "qat/calibrate.h"
#include "qat/engine.h"

enum { PROFILE_STEPS_MIN = 3 };

// A plan at work: `graph` and `params` of a training graph or of a folded network.
struct work {
    struct dc__bench *bench;
    const struct dc_graph *graph;
    struct dc_params *params;
    struct dc_plan *plan;
    struct dc_optimizer optimizer;
    double learning_rate;
    int64_t steps;
    bool trains, frozen;
};

static enum dc_status run_step(void *user, int64_t *samples, struct dc_error *error)
{
    struct work *w = user;
    const struct dc__bench *bench = w->bench;
    const struct dc_step step = {.seed = 1,
                                 .step = w->steps,
                                 .total_batch = bench->rows,
                                 .ids = bench->ids,
                                 .freeze_observers = w->frozen};
    *samples = bench->rows;
    DC_TRY(dc_plan_forward(w->plan, w->params, bench->rows, &step, error));
    if (!w->trains)
        return DC_OK;
    DC_TRY(dc_plan_backward(w->plan, w->params, bench->rows, &step, error));
    dc_optimizer_step(bench->ctx, &w->optimizer, w->params, w->learning_rate, 1.0, 0.0, ++w->steps);
    return DC_OK;
}

static enum dc_status profile(json_t *result, struct work *w, struct dc_error *error)
{
    struct dc_node_seconds *seconds = dc_alloc(sizeof *seconds * (size_t)w->graph->count, error);
    if (!seconds)
        return DC_ERR_MEMORY;
    for (int i = 0; i < w->graph->count; i++)
        seconds[i] = (struct dc_node_seconds){0};
    dc_plan_time_nodes(w->plan, seconds);
    struct dc__profile table = {.ctx = w->bench->ctx,
                                .graph = w->graph,
                                .plan = w->plan,
                                .seconds = seconds,
                                .rows = w->bench->rows,
                                .training = w->trains};
    enum dc_status status = DC_OK;
    const double start = dc__now();
    while (status == DC_OK &&
           (table.steps < PROFILE_STEPS_MIN || table.total < w->bench->options.seconds)) {
        int64_t samples;
        status = run_step(w, &samples, error);
        table.steps++;
        table.total = dc__now() - start;
    }
    dc_plan_time_nodes(w->plan, NULL);
    if (status == DC_OK)
        status = dc__add_profile(result, &table, error);
    free(seconds);
    return status;
}

// Windows, then memory before the peaks are measured, which take some of their own.
static enum dc_status measure(json_t *result, struct work *w, struct dc_error *error)
{
    const struct dc__bench *bench = w->bench;
    int64_t samples;
    if (bench->options.frozen) {
        DC_TRY(run_step(w, &samples, error));  // observers see a batch before they keep it
        w->frozen = true;
    }
    DC_TRY(dc__time_windows(result, &bench->options, run_step, w, error));
    json_object_set_new(result, "peak_memory_bytes", json_integer(dc__peak_memory()));
    json_object_set_new(result, "plan_bytes", json_integer((json_int_t)dc_plan_bytes(w->plan)));
    const json_t *cpu = json_object_get(result, "cpu_seconds_per_sample");
    json_object_set_new(result, "cpu_seconds_per_step",
                        json_real((double)bench->rows * json_real_value(cpu)));
    struct dc__node_flop *flops = dc_alloc(sizeof *flops * (size_t)w->graph->count, error);
    if (!flops)
        return DC_ERR_MEMORY;
    dc__node_flops(flops, w->graph, w->trains);
    double flop = 0.0;
    for (int i = 0; i < w->graph->count; i++)
        flop += flops[i].forward + flops[i].backward;
    free(flops);
    DC_TRY(dc__add_peak(result, bench->ctx, flop, error));
    return bench->options.profile ? profile(result, w, error) : DC_OK;
}

static enum dc_status make_plan(struct work *w, int output, struct dc_error *error)
{
    const struct dc_plan_config config = {.mode = w->trains ? DC_TRAINING : DC_INFERENCE,
                                          .max_rows = w->bench->rows,
                                          .outputs = &output,
                                          .output_count = 1,
                                          .params = w->params};
    return dc_plan_create(&w->plan, w->bench->ctx, w->graph, &config, error);
}

static enum dc_status open_step(struct work *w, struct dc_training_graph *t, struct dc_error *error)
{
    struct dc__bench *bench = w->bench;
    const struct dc_train_config *config = &bench->stage->train.config;
    w->trains = true;
    w->optimizer = config->optimizer;
    w->learning_rate = config->learning_rate;
    w->graph = t->graph;
    DC_TRY(dc_params_create(&w->params, t->graph, dc_optimizer_states(w->optimizer.kind), false,
                            error));
    dc_params_init(w->params, 1);
    DC_TRY(dc_apply_parameter_rules(w->params, bench->stage, error));
    DC_TRY(make_plan(w, t->output, error));
    dc_plan_bind(w->plan, t->image, bench->images);
    if (t->targets >= 0)
        dc_plan_bind(w->plan, t->targets, bench->targets);
    const struct dc_terms *terms = &t->terms;
    for (int i = 0; i < terms->input_count; i++)  // the logits: layers need a teacher
        dc_plan_bind(w->plan, terms->inputs[i].input, bench->teacher);
    for (int i = 0; i < terms->count; i++)
        dc_plan_set_loss_weight(w->plan, terms->terms[i].node,
                                dc_loss_term_weight(&terms->terms[i], 0));
    return DC_OK;
}

enum dc_status dc_bench_step(json_t **result, const struct dc_bench_options *options,
                             struct dc_error *error)
{
    struct dc__bench bench;
    struct dc_training_graph training = {0};
    DC_TRY(dc__bench_open(&bench, options, error));
    struct work work = {.bench = &bench};
    json_t *object = dc__bench_head("step", &bench);
    enum dc_status status = dc_training_graph_create(&training, &bench.network, bench.stage, NULL,
                                                     error);
    if (status == DC_OK)
        status = open_step(&work, &training, error);
    if (status == DC_OK)
        status = measure(object, &work, error);
    dc_plan_free(work.plan);
    dc_params_free(work.params);
    dc_training_graph_free(&training);
    dc__bench_close(&bench);
    return dc__finish(result, object, status, error);
}

static enum dc_status open_inference(struct work *w, struct dc_graph **folded,
                                     struct dc_error *error)
{
    const struct dc_stage_network *n = &w->bench->network;
    int output = n->output;
    w->graph = n->graph;
    if (w->bench->options.unfolded) {
        w->params = n->params;
    } else {
        DC_TRY(dc_fold_for_inference(folded, &w->params, &output, n->graph, n->params, n->output,
                                     error));
        w->graph = *folded;
    }
    DC_TRY(make_plan(w, output, error));
    dc_plan_bind(w->plan, dc_graph_find(w->graph, n->graph->nodes[n->image].name),
                 w->bench->images);
    return DC_OK;
}

enum dc_status dc_bench_infer(json_t **result, const struct dc_bench_options *options,
                              struct dc_error *error)
{
    struct dc__bench bench;
    struct dc_graph *folded = NULL;
    DC_TRY(dc__bench_open(&bench, options, error));
    struct work work = {.bench = &bench};
    json_t *object = dc__bench_head("infer", &bench);
    json_object_set_new(object, "folded", json_boolean(!options->unfolded));
    enum dc_status status = open_inference(&work, &folded, error);
    if (status == DC_OK)
        status = measure(object, &work, error);
    dc_plan_free(work.plan);
    if (folded)
        dc_params_free(work.params);
    dc_graph_free(folded);
    dc__bench_close(&bench);
    return dc__finish(result, object, status, error);
}

// The network's ranges from the random batch, as run/ measures them from training samples.
static enum dc_status calibrate(struct dc__bench *bench, struct dc_error *error)
{
    struct work w = {.bench = bench, .graph = bench->network.graph};
    const struct dc_step step = dc_calibration_step();
    w.params = bench->network.params;
    DC_TRY(make_plan(&w, bench->network.output, error));
    dc_observers_reset(w.params);
    dc_plan_bind(w.plan, bench->network.image, bench->images);
    const enum dc_status status = dc_plan_forward(w.plan, w.params, bench->rows, &step, error);
    dc_plan_free(w.plan);
    DC_TRY(status);
    return dc_observers_check(w.graph, w.params, error);
}

struct integer_work {
    struct dc_integer_predictor *predictor;
    int64_t rows;
};

static enum dc_status run_engine(void *user, int64_t *samples, struct dc_error *error)
{
    const struct integer_work *w = user;
    (void)error;
    *samples = w->rows;
    dc_engine_run(w->predictor->engine, w->predictor->outputs, w->predictor->inputs, w->rows);
    return DC_OK;
}

static enum dc_status measure_engine(json_t *result, struct dc__bench *bench,
                                     struct dc_integer_predictor **predictor,
                                     struct dc_error *error)
{
    struct dc_imodel *model = NULL;
    DC_TRY(calibrate(bench, error));
    DC_TRY(dc_stage_lower(&model, bench->ctx, &bench->network, bench->network.params,
                          bench->experiment->profile, "bench", error));
    DC_TRY(dc_integer_predictor_create(predictor, bench->ctx, model, bench->rows, error));
    struct integer_work work = {*predictor, bench->rows};
    DC_TRY(dc_imodel_quantize_input(work.predictor->inputs, model, bench->images,
                                    bench->rows * work.predictor->input_codes, error));
    DC_TRY(dc__time_windows(result, &bench->options, run_engine, &work, error));
    const double rate = json_real_value(json_object_get(result, "samples_per_second"));
    const double macs = (double)dc_graph_macs(bench->network.model.graph);
    json_object_set_new(result, "profile_name", json_string(bench->experiment->profile));
    json_object_set_new(result, "gmacs", json_real(1e-9 * rate * macs));
    json_object_set_new(result, "peak_memory_bytes", json_integer(dc__peak_memory()));
    return DC_OK;
}

enum dc_status dc_bench_engine(json_t **result, const struct dc_bench_options *options,
                               struct dc_error *error)
{
    struct dc__bench bench;
    struct dc_integer_predictor *predictor = NULL;
    DC_TRY(dc__bench_open(&bench, options, error));
    json_t *object = dc__bench_head("engine", &bench);
    const enum dc_status status = measure_engine(object, &bench, &predictor, error);
    dc_integer_predictor_free(predictor);
    dc__bench_close(&bench);
    return dc__finish(result, object, status, error);
}

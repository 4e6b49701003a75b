// Owns how results look, as JSON and as a table.

#include "run/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "qat/imodel.h"
#include "run/network.h"
#include "run/target.h"

static json_t *json_number(double value)
{
    return value == rint(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value)
                                                      : json_real(value);
}

void dc_report_counts(json_t *object, const struct dc_stage_network *network)
{
    const int64_t parameters = dc_params_trained_count(network->params);
    json_object_set_new(object, "parameters", json_integer(parameters));
    json_object_set_new(object, "macs", json_integer(dc_graph_macs(network->graph)));
    json_object_set_new(object, "weight_bytes", json_integer(4 * parameters));
    json_t *values = json_object();
    for (int i = 0; i < network->model.parameter_count; i++)
        json_object_set_new(values, network->model.parameters[i].name,
                            json_number(network->model.parameters[i].value));
    json_object_set_new(object, "model_parameters", values);
}

static json_t *layers_json(const struct dc_imodel *model, const struct dc_block *blocks,
                           const double *instructions)
{
    json_t *layers = json_array();
    for (int i = 1; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        json_t *layer = json_pack("{s:s, s:s, s:I, s:I}", "name", l->name, "op", dc_iop_name(l->op),
                                  "macs", (json_int_t)dc_ilayer_macs(model, i), "instructions",
                                  (json_int_t)instructions[i]);
        if (blocks[i].offset >= 0 && l->op != DC_I_RESHAPE)
            json_object_set_new(layer, "arena",
                                json_pack("{s:I, s:I, s:i, s:i}", "offset",
                                          (json_int_t)blocks[i].offset, "bytes",
                                          (json_int_t)dc_ilayer_size(l), "first", blocks[i].first,
                                          "last", blocks[i].last));
        json_array_append_new(layers, layer);
    }
    return layers;
}

// What the inference takes in all, the layer that takes the most, and the time by the clock.
static void add_time(json_t *object, const struct dc_target_limits *target,
                     const struct dc_imodel *model, const double *instructions)
{
    double sum = 0.0;
    int most = 0;
    for (int i = 1; i < model->count; i++) {
        sum += instructions[i];
        most = instructions[i] > instructions[most] ? i : most;
    }
    json_object_set_new(object, "instructions", json_integer((json_int_t)sum));
    json_object_set_new(object, "heaviest", json_string(model->layers[most].name));
    json_object_set_new(object, "heaviest_instructions",
                        json_integer((json_int_t)instructions[most]));
    if (target->clock_mhz > 0.0)
        json_object_update_new(object, json_pack("{s:f, s:f, s:f}", "latency_ms",
                                                 dc_target_milliseconds(target, sum), "clock_mhz",
                                                 target->clock_mhz, "cycles_per_instruction",
                                                 target->cycles_per_instruction));
}

static enum dc_status add_layers(json_t *object, const struct dc_target_limits *target,
                                 const struct dc_imodel *model, struct dc_error *error)
{
    double *instructions = dc_alloc((size_t)model->count * sizeof *instructions, error);
    struct dc_block *blocks = dc_alloc((size_t)model->count * sizeof *blocks, error);
    struct dc_block_plan plan;
    enum dc_status status = blocks && instructions ? DC_OK : DC_ERR_MEMORY;
    if (status == DC_OK)
        status = dc_imodel_place(blocks, &plan, model, DC_PLACE_OVER, model->alignment, error);
    if (status == DC_OK)
        status = dc_target_instructions(instructions, target, model, error);
    if (status == DC_OK) {
        add_time(object, target, model, instructions);
        json_object_set_new(object, "layer_costs", layers_json(model, blocks, instructions));
    }
    free(instructions);
    free(blocks);
    return status;
}

json_t *dc_report_flash(const struct dc_footprint *f)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "weights", (json_int_t)f->weights,
                     "biases_and_multipliers", (json_int_t)(f->biases + f->rescales), "tables",
                     (json_int_t)f->tables, "records", (json_int_t)f->records, "code",
                     (json_int_t)f->code, "vectors", (json_int_t)f->vectors);
}

json_t *dc_report_ram(const struct dc_footprint *f)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "activations", (json_int_t)f->arena, "input",
                     (json_int_t)f->input, "output", (json_int_t)f->output, "scratch",
                     (json_int_t)f->scratch, "stack", (json_int_t)f->stack);
}

enum dc_status dc_report_cost(json_t *object, const struct dc_experiment *experiment,
                              const struct dc_imodel *model, struct dc_error *error)
{
    const struct dc_target_limits *target = &experiment->limits;
    struct dc_imodel_cost cost;
    struct dc_footprint f;
    DC_TRY(dc_imodel_cost(&cost, model, error));
    DC_TRY(dc_target_footprint(&f, experiment, model, error));
    json_object_set_new(object, "weight_bytes", json_integer(dc_imodel_flash(&cost)));
    json_object_set_new(object, "flash_bytes", json_integer(dc_footprint_flash(&f)));
    json_object_set_new(object, "ram_bytes", json_integer(dc_footprint_ram(&f)));
    json_object_set_new(object, "flash", dc_report_flash(&f));
    json_object_set_new(object, "ram", dc_report_ram(&f));
    json_object_set_new(object, "core", json_string(dc_core_names[target->core]));
    json_object_set_new(object, "optimize",
                        json_string(dc_optimization_names[target->optimization]));
    json_object_set_new(object, "busiest", json_string(model->layers[cost.busiest].name));
    return add_layers(object, target, model, error);
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *reconstruction(const struct dc_scores *scores)
{
    const struct dc_reconstruction *r = scores->reconstruction;
    json_t *object = json_pack("{s:I, s:f}", "samples", (json_int_t)scores->samples, "loss",
                               scores->loss);
    if (r->normal)
        json_object_update_new(object, json_pack("{s:o, s:o, s:o}", "normal_error",
                                                 number_or_null(r->normal_error), "anomalous_error",
                                                 number_or_null(r->anomalous_error), "auc",
                                                 number_or_null(r->auc)));
    return object;
}

static json_t *target_scores(const struct dc_scores *scores)
{
    const struct dc_target_scores *t = scores->targets;
    json_t *each = json_array();
    for (int o = 0; o < t->outputs; o++)
        json_array_append_new(each, number_or_null(t->each[o]));
    json_t *object = json_pack("{s:I, s:f}", "samples", (json_int_t)scores->samples, "loss",
                               scores->loss);
    if (t->kind == DC_LABELS_VALUES)
        json_object_update_new(object, json_pack("{s:f, s:f, s:f, s:o}", "mean_absolute_error",
                                                 t->absolute_error, "root_mean_squared_error",
                                                 t->root_squared_error, "r2", t->r2,
                                                 "absolute_errors", each));
    else
        json_object_update_new(object, json_pack("{s:f, s:f, s:o}", "map", t->average_precision,
                                                 "f1", t->f1, "average_precisions", each));
    return object;
}

const struct dc_figure_name dc_figure_names[DC_FIGURES] = {
    [DC_FIGURE_ACCURACY] = {"accuracy", "accuracy", "accuracy"},
    [DC_FIGURE_MAE] = {"mean_absolute_error", "MAE", "mae"},
    [DC_FIGURE_RMSE] = {"root_mean_squared_error", "RMSE", "rmse"},
    [DC_FIGURE_R2] = {"r2", "R2", "r_squared"},
    [DC_FIGURE_MAP] = {"map", "mAP", "map"},
    [DC_FIGURE_F1] = {"f1", "F1", "f1"},
    [DC_FIGURE_AUC] = {"auc", "AUC", "roc_auc"},
};

double dc_report_figure(const json_t *scores, enum dc_figure figure)
{
    const json_t *value = json_object_get(scores, dc_figure_names[figure].key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

json_t *dc_report_scores(const struct dc_scores *scores)
{
    if (scores->targets)
        return target_scores(scores);
    if (scores->reconstruction)
        return reconstruction(scores);
    json_t *per_class = json_array(), *confusion = json_array();
    const int n = scores->classes;
    for (int label = 0; label < n; label++) {
        json_t *row = json_array();
        int64_t all = 0;
        for (int c = 0; c < n; c++) {
            all += scores->confusion[label * n + c];
            json_array_append_new(row, json_integer(scores->confusion[label * n + c]));
        }
        const double hit = (double)scores->confusion[label * n + label];
        json_array_append_new(per_class, json_real(all ? hit / (double)all : 0.0));
        json_array_append_new(confusion, row);
    }
    const double samples = scores->samples ? (double)scores->samples : 1.0;
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:o, s:o}", "samples", (json_int_t)scores->samples,
                     "accuracy", dc_accuracy(scores), "accuracy_error", dc_accuracy_error(scores),
                     "top5", (double)scores->correct5 / samples, "loss", scores->loss, "per_class",
                     per_class, "confusion", confusion);
}

const char *dc_with_commas(char text[32], int64_t value)
{
    char digits[32];
    const int length = snprintf(digits, sizeof digits, "%lld", (long long)value);
    int used = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0 && digits[i - 1] != '-')
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

const char *dc_report_measure(char text[32], const json_t *scores)
{
    const double accuracy = dc_report_figure(scores, DC_FIGURE_ACCURACY);
    const json_t *loss = json_object_get(scores, "loss");
    int f = DC_FIGURE_ACCURACY + 1;
    while (f < DC_FIGURES && isnan(dc_report_figure(scores, (enum dc_figure)f)))
        f++;
    if (!isnan(accuracy))
        snprintf(text, 32, "%.2f %%", 100.0 * accuracy);
    else if (f < DC_FIGURES)
        snprintf(text, 32, "%s %.4f", dc_figure_names[f].title,
                 dc_report_figure(scores, (enum dc_figure)f));
    else if (loss)
        snprintf(text, 32, "MSE %.4f", json_real_value(loss));
    else
        snprintf(text, 32, "-");
    return text;
}

enum { NAME_COLUMNS = 11 };

void dc_report_table(struct dc_text_buffer *out, const struct dc_experiment *experiment,
                     const json_t *results)
{
    const json_t *stages = json_object_get(results, "stages");
    dc_text_append(out, "%-*s %11s %13s %10s %10s %10s %8s\n", NAME_COLUMNS, "network",
                   "parameters", "MACs", "bytes", "float", "integer", "seconds");
    for (int i = 0; i < experiment->stage_count; i++) {
        const json_t *stage = json_object_get(stages, experiment->stages[i].name);
        if (!stage || experiment->stages[i].exports)
            continue;
        char parameters[32], macs[32], bytes[32], float_text[32], integer_text[32];
        dc_text_append_name(out, experiment->stages[i].name, NAME_COLUMNS);
        dc_text_append(
            out, " %11s %13s %10s %10s %10s %8.1f\n",
            dc_with_commas(parameters, json_integer_value(json_object_get(stage, "parameters"))),
            dc_with_commas(macs, json_integer_value(json_object_get(stage, "macs"))),
            dc_with_commas(bytes, json_integer_value(json_object_get(stage, "weight_bytes"))),
            dc_report_measure(float_text, json_object_get(stage, "float")),
            dc_report_measure(integer_text, json_object_get(stage, "int8")),
            json_real_value(json_object_get(stage, "seconds")));
    }
}

enum dc_status dc_report_write(const char *path, const json_t *json, struct dc_error *error)
{
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    if (!text)
        return dc_fail(error, DC_ERR_MEMORY, "%s: cannot be written as JSON", path);
    const size_t length = strlen(text);
    text[length] = '\n';  // in place of the terminator: the file ends in a newline
    const enum dc_status status = dc_file_write(path, text, length + 1, error);
    free(text);
    return status;
}

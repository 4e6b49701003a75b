// Owns reading golden files and building the network they are about.

#include "helper_golden.h"

#include <math.h>
#include <string.h>

#include "distill/losses.h"
#include "qat/quantize.h"
#include "run/model.h"
#include "train/losses.h"

void golden_open(struct golden *golden, const char *name, enum dc_isa isa)
{
    char path[512];
    snprintf(path, sizeof path, DECANT_SOURCE_DIR "/tests/golden/%s", name);
    memset(golden, 0, sizeof *golden);
    golden_ok(dc_arena_create(&golden->arena, &error));
    golden_ok(dc_h5_open(&golden->file, path, &error));
    golden_lines(&golden->slices, golden, "slices");
    int64_t count;
    const uint8_t *bytes = golden_bytes(golden, "images", DC_U8, &count);
    golden->rows = count / GOLDEN_IMAGE;
    golden->images = DC_NEW(golden->arena, float, count, NULL);
    golden->targets = DC_NEW(golden->arena, float, golden->rows *GOLDEN_CLASSES, NULL);
    assert_true(golden->images && golden->targets);
    for (int64_t i = 0; i < count; i++)
        golden->images[i] = ((float)bytes[i] - 128.0f) / 64.0f;
    const int32_t *labels = golden_bytes(golden, "labels", DC_I32, NULL);
    for (int64_t r = 0; r < golden->rows; r++)
        golden->targets[r * GOLDEN_CLASSES + labels[r]] = 1.0f;
    const struct dc_ctx_config config = {.threads = 2, .isa = isa, .isa_given = true};
    golden_ok(dc_ctx_create(&golden->ctx, &config, &error));
}

void golden_close(struct golden *golden)
{
    dc_h5_close(golden->file);
    dc_arena_free(golden->arena);
    dc_ctx_free(golden->ctx);
}

void golden_lines(struct golden_list *list, const struct golden *golden, const char *attribute)
{
    char *text = NULL, *rest = NULL;
    list->count = 0;
    golden_ok(dc_h5_get_text(golden->file, attribute, &text, golden->arena, &error));
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        assert_true(list->count < GOLDEN_LIST_MAX);
        list->items[list->count++] = line;
    }
}

void *golden_bytes(const struct golden *golden, const char *name, enum dc_dtype dtype,
                   int64_t *count)
{
    struct dc_tensor tensor = {.dtype = dtype};
    enum dc_dtype stored;
    golden_ok(dc_h5_describe(golden->file, name, &stored, &tensor.shape, &error));
    const int64_t values = dc_shape_count(&tensor.shape);
    tensor.data = dc_arena_alloc(golden->arena, (size_t)values * dc_dtype_bytes(dtype), NULL);
    assert_non_null(tensor.data);
    golden_ok(dc_h5_read(golden->file, name, &tensor, &error));
    if (count)
        *count = values;
    return tensor.data;
}

float *golden_floats(const struct golden *golden, const char *name, int64_t *count)
{
    return golden_bytes(golden, name, DC_F32, count);
}

double *golden_doubles(const struct golden *golden, const char *name, int64_t *count)
{
    return golden_bytes(golden, name, DC_F64, count);
}

float *golden_row(const struct golden *golden, const char *name, int64_t row, int64_t *count)
{
    struct dc_shape shape;
    enum dc_dtype dtype;
    golden_ok(dc_h5_describe(golden->file, name, &dtype, &shape, &error));
    *count = dc_shape_row(&shape);
    float *values = DC_NEW(golden->arena, float, *count, NULL);
    assert_non_null(values);
    golden_ok(dc_h5_read_rows(golden->file, name, DC_F32, values, row, 1, &error));
    return values;
}

static void add_losses(struct golden_network *n, float kd_temperature)
{
    const struct dc_shape shape = DC_SHAPE(DC_BATCH, GOLDEN_CLASSES);
    const struct dc_cross_entropy_attributes label = {0};
    golden_ok(dc_graph_add_input(n->graph, "targets", DC_F32, &shape, &n->targets, &error));
    const int labels[2] = {n->output, n->targets};
    golden_ok(dc_graph_add(n->graph, "loss.label", &dc_op_cross_entropy, &label, sizeof label,
                           labels, 2, &n->label_loss, &error));
    n->teacher = n->kd_loss = -1;
    if (kd_temperature == 0.0f)
        return;
    const struct dc_kd_attributes kd = {kd_temperature};
    golden_ok(dc_graph_add_input(n->graph, "teacher", DC_F32, &shape, &n->teacher, &error));
    const int soft[2] = {n->output, n->teacher};
    golden_ok(
        dc_graph_add(n->graph, "loss.kd", &dc_op_kd, &kd, sizeof kd, soft, 2, &n->kd_loss, &error));
}

const struct dc_quantize_config golden_quantize = {.observer = DC_OBSERVER_MOVING_AVERAGE,
                                                   .dense_per_tensor = true};

void golden_network_open(struct golden_network *n, const struct golden *golden,
                         const struct dc_quantize_config *quantize, bool keep_values,
                         float kd_temperature, int64_t rows)
{
    const struct dc_named_value width = {"width", 4};
    struct dc_model model;
    struct dc_graph *copy = NULL;
    const struct dc_model_spec spec = {
        DECANT_SOURCE_DIR "/configs/models/resnet8.yaml", &width, 1, DC_LAYOUT_AUTO, NULL, NULL};
    golden_ok(dc_model_read(&model, &spec, &error));
    n->output = model.output;
    if (quantize)
        golden_ok(
            dc_quantize_graph(&copy, &n->output, model.graph, model.output, quantize, &error));
    n->graph = quantize ? copy : model.graph;
    if (quantize)
        dc_model_free(&model);
    n->image = dc_graph_find(n->graph, "image");
    add_losses(n, kd_temperature);
    golden_ok(dc_params_create(&n->params, n->graph, 2, false, &error));
    int outputs[GOLDEN_LIST_MAX + 64];
    assert_true(n->graph->count < GOLDEN_LIST_MAX + 64);
    for (int i = 0; i < n->graph->count; i++)
        outputs[i] = i;
    const struct dc_plan_config config = {.mode = DC_TRAINING,
                                          .max_rows = rows,
                                          .outputs = outputs,
                                          .output_count = keep_values ? n->graph->count : 0,
                                          .params = n->params};
    golden_ok(dc_plan_create(&n->plan, golden->ctx, n->graph, &config, &error));
}

void golden_network_close(struct golden_network *network)
{
    dc_plan_free(network->plan);
    dc_params_free(network->params);
    dc_graph_free(network->graph);
}

// Visits the slices that `count` numbers of a flat vector are about.
static void each_slice(const struct golden *golden, const struct dc_params *params, int64_t count,
                       float *to, const float *from, bool scatter)
{
    int64_t at = 0;
    for (int i = 0; at < count; i++) {
        assert_true(i < golden->slices.count);
        const struct dc_slice *slice = dc_params_find(params, golden->slices.items[i]);
        if (!slice)
            fail_msg("no slice '%s'", golden->slices.items[i]);
        assert_true(at + slice->count <= count);
        memcpy(to + (scatter ? slice->offset : at), from + (scatter ? at : slice->offset),
               sizeof(float) * (size_t)slice->count);
        at += slice->count;
    }
    assert_int_equal(at, count);
}

void golden_scatter(const struct golden *golden, const struct dc_params *params, float *buffer,
                    const float *flat, int64_t count)
{
    each_slice(golden, params, count, buffer, flat, true);
}

void golden_gather(const struct golden *golden, const struct dc_params *params, float *flat,
                   const float *buffer, int64_t count)
{
    each_slice(golden, params, count, flat, buffer, false);
}

double golden_distance(const double *a, const double *b, int64_t count)
{
    double off = 0.0, size = 0.0;
    for (int64_t i = 0; i < count; i++) {
        off += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return sqrt(off / size);
}

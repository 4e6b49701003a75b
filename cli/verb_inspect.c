// `decant inspect`: any file that Decant writes, and model files, ONNX among them.

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/file.h"
#include "core/h5.h"
#include "core/json.h"
#include "core/search.h"
#include "export/bundle.h"
#include "run/model.h"

struct inspect {
    struct dc_cli cli;
};

static const struct dc_option options[] = {
    DC_OPTION_JSON(inspect),
    DC_OPTION_QUIET(inspect),
};

static int64_t trained_count(const struct dc_params *params, const struct dc_node *node)
{
    int64_t count = 0;
    for (int p = 0; p < node->param_count; p++) {
        const struct dc_slice *slice = &params->slices[node->params[p]];
        count += dc_role_is_trained(slice->role) ? slice->count : 0;
    }
    return count;
}

static enum dc_status print_graph_json(const struct dc_graph *graph, const struct dc_params *params,
                                       const char *name, struct dc_error *error)
{
    json_t *layers = json_array();
    for (int i = 0; i < graph->count; i++) {
        const struct dc_node *node = &graph->nodes[i];
        json_t *shape = json_array();
        for (int d = 1; d < node->shape.rank; d++)
            json_array_append_new(shape, json_integer(node->shape.dims[d]));
        json_array_append_new(layers, json_pack("{s:s, s:s, s:o, s:I, s:I}", "name", node->name,
                                                "op", node->op->name, "output", shape, "parameters",
                                                (json_int_t)trained_count(params, node), "macs",
                                                (json_int_t)dc_graph_node_macs(graph, i)));
    }
    return dc_cli_print_json(json_pack("{s:s, s:o, s:I, s:I}", "name", name, "layers", layers,
                                       "parameters", (json_int_t)dc_params_trained_count(params),
                                       "macs", (json_int_t)dc_graph_macs(graph)),
                             error);
}

// Of one sample: without the batch, which all have.
static const char *sample_text(char text[DC_SHAPE_TEXT], const struct dc_shape *shape)
{
    static const char batch[] = "[batch, ";
    dc_shape_text(text, shape);
    if (strncmp(text, batch, sizeof batch - 1) == 0)
        memmove(text + 1, text + sizeof batch - 1, strlen(text) - sizeof batch + 2);
    return text;
}

static enum dc_status print_graph(const struct dc_graph *graph, const struct dc_params *params,
                                  const char *name, const struct dc_cli *cli,
                                  struct dc_error *error)
{
    if (cli->json)
        return print_graph_json(graph, params, name, error);
    printf("%-22s %-19s %-14s %10s %11s\n", "layer", "op", "output", "parameters", "MACs");
    for (int i = 0; i < graph->count; i++) {
        const struct dc_node *node = &graph->nodes[i];
        char shape[DC_SHAPE_TEXT];
        dc_print_name(node->name, 22);
        printf(" %-19s %-14s %10lld %11lld\n", node->op->name, sample_text(shape, &node->shape),
               (long long)trained_count(params, node), (long long)dc_graph_node_macs(graph, i));
    }
    printf("%s: %lld parameters, %lld MACs\n", name, (long long)dc_params_trained_count(params),
           (long long)dc_graph_macs(graph));
    return DC_OK;
}

static enum dc_status inspect_model(const char *path, const struct dc_cli *cli,
                                    struct dc_error *error)
{
    struct dc_model model;
    struct dc_params *params = NULL;
    DC_TRY(dc_model_read(&model, &(struct dc_model_spec){.path = path}, error));
    enum dc_status status = dc_params_create(&params, model.graph, 0, false, error);
    if (status == DC_OK)
        status = print_graph(model.graph, params, model.name, cli, error);
    if (status == DC_OK && !cli->json && model.imported && model.imported->passed_over)
        dc_print_sentence("of its first output, '%s'; the others: %s", model.imported->output_name,
                          model.imported->passed_over);
    dc_params_free(params);
    dc_model_free(&model);
    return status;
}

static enum dc_status print_bundle_json(const struct dc_imodel *model,
                                        const struct dc_imodel_cost *cost, struct dc_error *error)
{
    json_t *layers = json_array();
    for (int i = 0; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        json_array_append_new(layers, json_pack("{s:s, s:s, s:[iii], s:f, s:i, s:I}", "name",
                                                l->name, "op", dc_iop_name(l->op), "output",
                                                l->height, l->width, l->channels, "scale",
                                                (double)l->scale, "zero_point", l->zero_point,
                                                "macs", (json_int_t)dc_ilayer_macs(model, i)));
    }
    return dc_cli_print_json(json_pack("{s:s, s:s, s:o, s:o}", "name", model->name, "provenance",
                                       model->provenance, "layers", layers, "cost",
                                       dc_bundle_cost(cost)),
                             error);
}

static void print_bundle(const struct dc_imodel *model, const struct dc_imodel_cost *cost)
{
    printf("%s: ", model->name);
    dc_print_wrapped(model->provenance, (int)strlen(model->name) + 2, 2);
    printf("%-22s %-17s %-11s %11s %4s %10s\n", "layer", "op", "output", "scale", "zero", "MACs");
    for (int i = 0; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        char shape[64];
        snprintf(shape, sizeof shape, "%dx%dx%d", l->height, l->width, l->channels);
        dc_print_name(l->name, 22);
        printf(" %-17s %-11s %11.5g %4d %10lld\n", dc_iop_name(l->op), shape, (double)l->scale,
               l->zero_point, (long long)dc_ilayer_macs(model, i));
    }
    printf("weights %lld bytes, biases %lld, multipliers and shifts %lld,\n"
           "activations %lld, scratch %lld\n",
           (long long)cost->weight_bytes, (long long)cost->bias_bytes,
           (long long)cost->rescale_bytes, (long long)cost->arena_bytes,
           (long long)cost->scratch_bytes);
}

static enum dc_status inspect_bundle(const char *path, bool json, struct dc_error *error)
{
    struct dc_imodel *model = NULL;
    struct dc_imodel_cost cost = {0};
    DC_TRY(dc_bundle_read(&model, NULL, path, error));
    enum dc_status status = dc_imodel_cost(&cost, model, error);
    if (status == DC_OK && json)
        status = print_bundle_json(model, &cost, error);
    else if (status == DC_OK)
        print_bundle(model, &cost);
    dc_imodel_free(model);
    return status;
}

static void print_array(void *user, const char *name, enum dc_dtype dtype,
                        const struct dc_shape *shape)
{
    static const char *const types[] = {"float32", "float64", "int8", "uint8", "int32", "float16"};
    char text[DC_SHAPE_TEXT];
    json_t *arrays = user, *dims = arrays ? json_array() : NULL;
    for (int i = 0; dims && i < shape->rank; i++)
        json_array_append_new(dims, json_integer(shape->dims[i]));
    if (arrays) {
        json_array_append_new(arrays, json_pack("{s:s, s:s, s:o}", "name", name, "type",
                                                types[dtype], "shape", dims));
    } else {
        dc_print_name(name, 44);
        printf(" %-8s %s\n", types[dtype], dc_shape_text(text, shape));
    }
}

static enum dc_status inspect_hdf5(const char *path, bool json, struct dc_error *error)
{
    struct dc_h5 *file = NULL;
    DC_TRY(dc_h5_open(&file, path, error));
    json_t *arrays = json ? json_array() : NULL;
    const enum dc_status status = dc_h5_list(file, print_array, arrays, error);
    dc_h5_close(file);
    if (status == DC_OK && json)
        return dc_cli_print_json(json_pack("{s:o}", "arrays", arrays), error);
    json_decref(arrays);
    return status;
}

static enum dc_status print_run_json(const char *path, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    const struct dc_yaml *resolved = NULL;
    json_t *json = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    const char *name = dc_arena_printf(arena, error, "%s/resolved.yaml", path);
    enum dc_status status = name ? dc_yaml_read(&resolved, name, arena, error) : DC_ERR_MEMORY;
    if (status == DC_OK)
        json = dc_json_of_yaml(resolved);
    dc_arena_free(arena);
    return status == DC_OK ? dc_cli_print_json(json, error) : status;
}

// Lines of YAML or JSON in 80 columns: a longer one goes on behind a comma, further in. To a reader
// of YAML this is the same text, in a list and in a quoted word, too.
static void print_lines(const char *text)
{
    for (const char *end; *text; text = end + (*end == '\n')) {
        end = text + strcspn(text, "\n");
        const int inner = (int)strspn(text, " ") + 2;
        int column = 0;
        for (const char *word = text, *next; word < end; word = next + (next < end)) {
            next = word;
            while (next < end && !(next > word && next[-1] == ',' && next[0] == ' ' &&
                                   next + 1 < end && next[1] != ' '))
                next++;
            const int length = (int)(next - word);
            if (column > inner && column + 1 + length > 80)
                column = printf("\n%*s", inner, "") - 1;
            else if (column > 0)
                column += printf(" ");
            column += printf("%.*s", length, word);
        }
        printf("\n");
    }
}

// What describes a run or a cache, as it stands but for the ends of lines.
static enum dc_status print_file(const char *path, const char *file, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    char *text = NULL, *name = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    name = dc_arena_printf(arena, error, "%s/%s", path, file);
    const enum dc_status status = name ? dc_file_read(&text, NULL, name, arena, error)
                                       : DC_ERR_MEMORY;
    if (status == DC_OK)
        print_lines(text);
    dc_arena_free(arena);
    return status;
}

// What is not here may be the name of a model.
static enum dc_status inspect_named(const char *name, const struct dc_cli *cli,
                                    struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    char *path = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = dc_search(&path, DC_SEARCH_MODEL, name, NULL, arena, error);
    if (status == DC_OK)
        status = dc_file_exists(path)
                     ? inspect_model(path, cli, error)
                     : dc_search_fail(error, NULL, "", DC_SEARCH_MODEL, name, path);
    dc_arena_free(arena);
    return status;
}

static enum dc_status inspect(const struct dc_cli *cli, struct dc_error *error)
{
    const char *path = cli->positionals[0];
    const char *dot = strrchr(path, '.');
    if (!dc_file_exists(path) && !strchr(path, '/') && !dc_path_ends(path, ".h5"))
        return inspect_named(path, cli, error);
    if (dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml") || dc_model_is_imported(path)))
        return inspect_model(path, cli, error);
    if (dc_run_is_cache(path))
        return print_file(path, "manifest.json", error);
    if (dc_is_bundle(path))
        return inspect_bundle(path, cli->json, error);
    if (dc_cli_has_file(path, "resolved.yaml"))
        return cli->json ? print_run_json(path, error) : print_file(path, "resolved.yaml", error);
    if (dot && strcmp(dot, ".h5") == 0)
        return inspect_hdf5(path, cli->json, error);
    return dc_fail(error, DC_ERR_USAGE,
                   "%s is neither a model file (.yaml, .onnx, .tflite), an HDF5 file (.h5), a "
                   "bundle, a soft-target "
                   "cache nor a run directory",
                   path);
}

const struct dc_verb dc_verb_inspect = {
    .name = "inspect",
    .arguments = "PATH",
    .brief = "show a model, a bundle, a cache, an HDF5 file or a run",
    DC_VERB_OPTIONS(options, inspect),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = inspect,
};

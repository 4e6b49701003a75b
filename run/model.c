// Owns the reading of model files: scopes, blocks, repeats and names. Keys of layers are in
// layer.c.

#include "run/model.h"

#include <stdio.h>
#include <string.h>

#include "formats/onnx.h"
#include "run/layer.h"

enum {
    PARAMETERS_MAX = 32,
    NESTING_MAX = 8,
    NAMES_MAX = 64,
    REPEAT_MAX = 1024,
    BLOCKS_MAX = 256,
    LAYERS_MAX = 4096  // in all, repeats and blocks expanded, those that 'when' leaves out included
};

struct reader {
    struct dc_arena *arena;
    struct dc_graph *graph;
    const struct dc_yaml *blocks;  // a mapping
    int nesting, layers;           // layers: read so far
};

// Where names are looked up and made: the file, or one use of a block.
struct scope {
    const char *prefix;  // "" or "block."
    const struct dc_variables *variables;
    int in, current;  // what `in` is, and the layer before
    int auto_count;   // layers named by the reader so far
};

static enum dc_status read_layers(struct reader *reader, struct scope *scope,
                                  const struct dc_yaml *layers, struct dc_error *error);

static enum dc_status find_input(int *node, const struct reader *reader, const struct scope *scope,
                                 const char *name, const struct dc_yaml *where,
                                 struct dc_error *error)
{
    if (strcmp(name, "in") == 0) {
        *node = scope->in;
        return DC_OK;
    }
    char full[256];
    snprintf(full, sizeof full, "%s%s", scope->prefix, name);
    *node = dc_graph_find(reader->graph, full);
    if (*node < 0)
        *node = dc_graph_find(reader->graph, name);
    if (*node >= 0)
        return DC_OK;
    const char *names[256];
    int count = 0;
    for (int i = 0; i < reader->graph->count && count < 256; i++)
        names[count++] = reader->graph->nodes[i].name;
    char hint[DC_HINT];
    return dc_fail_yaml(error, where, "no layer '%s' before this one%s", name,
                        dc_did_you_mean(hint, full, names, count));
}

static const struct dc_yaml *key_or(const struct dc_yaml *mapping, const char *key)
{
    const struct dc_yaml *found = mapping && mapping->kind == DC_YAML_MAPPING
                                      ? dc_yaml_get(mapping, key)
                                      : NULL;
    return found ? found : mapping;
}

static enum dc_status read_op(struct reader *reader, struct scope *scope, const char *op,
                              const struct dc_yaml *where, const struct dc_yaml *body,
                              struct dc_error *error)
{
    const struct dc_layer_kind *kind = dc_layer_find(op);
    const struct dc_decoder decoder = {reader->arena, scope->variables, NULL};
    const struct dc_yaml nothing = {.kind = DC_YAML_MAPPING, .where = where->where};
    const bool bare = !body || (body->kind == DC_YAML_SCALAR && !body->text[0]);
    struct dc_layer layer;
    DC_TRY(dc_layer_decode(&layer, kind, bare ? &nothing : body, &decoder, error));
    if (!layer.when)
        return DC_OK;
    int inputs[DC_INPUTS_MAX] = {scope->current}, count = layer.from.count;
    if (count > DC_INPUTS_MAX)
        return dc_fail_yaml(error, where, "a layer reads at most %d others", DC_INPUTS_MAX);
    for (int i = 0; i < count; i++)
        DC_TRY(find_input(&inputs[i], reader, scope, layer.from.items[i], key_or(body, "from"),
                          error));
    char *name = layer.name[0]
                     ? dc_arena_printf(reader->arena, error, "%s%s", scope->prefix, layer.name)
                     : dc_arena_printf(reader->arena, error, "%s%s%d", scope->prefix, op,
                                       ++scope->auto_count);
    if (!name)
        return DC_ERR_MEMORY;
    struct dc_error reason;
    if (dc_layer_add(reader->graph, name, kind, &layer, inputs, count ? count : 1, &scope->current,
                     &reason) != DC_OK)
        return dc_fail_yaml(error, where, "%.1024s", reason.message);
    return DC_OK;
}

// Fills names and values from a mapping of numbers; keys of `given` replace those of `defaults`.
static enum dc_status read_parameters(struct dc_variables *variables, const char **names,
                                      double *values, const struct dc_yaml *defaults,
                                      const struct dc_variables *outer, struct dc_error *error)
{
    *variables = (struct dc_variables){.outer = outer, .names = names, .values = values};
    if (!defaults)
        return DC_OK;
    if (defaults->kind != DC_YAML_MAPPING || defaults->count > PARAMETERS_MAX)
        return dc_fail_yaml(error, defaults, "parameters must be a mapping of up to %d numbers",
                            PARAMETERS_MAX);
    for (int i = 0; i < defaults->count; i++) {
        const char *problem = NULL;
        if (defaults->items[i]->kind != DC_YAML_SCALAR ||
            !dc_expression(&values[i], defaults->items[i]->text, outer, &problem))
            return dc_fail_yaml(error, defaults->items[i], "parameter '%s' must be a number%s%s",
                                defaults->keys[i]->text, problem ? ": " : "",
                                problem ? problem : "");
        names[i] = defaults->keys[i]->text;
        variables->count = i + 1;
    }
    return DC_OK;
}

static int index_of(const struct dc_variables *variables, const char *name)
{
    for (int i = 0; i < variables->count; i++)
        if (strcmp(variables->names[i], name) == 0)
            return i;
    return -1;
}

// A block's own keys: name, from (one layer), when, and its parameters.
static enum dc_status read_block(struct reader *reader, struct scope *scope, const char *block,
                                 const struct dc_yaml *definition, const struct dc_yaml *where,
                                 const struct dc_yaml *body, struct dc_error *error)
{
    const char *names[PARAMETERS_MAX + 3], *given_name = "";
    double values[PARAMETERS_MAX];
    struct dc_variables variables;
    DC_TRY(read_parameters(&variables, names, values, dc_yaml_get(definition, "parameters"), NULL,
                           error));
    int in = scope->current;
    const bool bare = !body || (body->kind == DC_YAML_SCALAR && !body->text[0]);
    if (!bare && body->kind != DC_YAML_MAPPING)
        return dc_fail_yaml(error, body, "the keys of block '%s' must be a mapping", block);
    const int keys = bare ? 0 : body->count;
    for (int k = 0; k < keys; k++) {
        const char *key = body->keys[k]->text;
        const struct dc_yaml *item = body->items[k];
        const int at = index_of(&variables, key);
        double number = 0.0;
        const char *problem = NULL;
        if (item->kind != DC_YAML_SCALAR)
            return dc_fail_yaml(error, item, "'%s' of a block must be one value", key);
        if (strcmp(key, "name") == 0) {
            given_name = item->text;
        } else if (strcmp(key, "from") == 0) {
            DC_TRY(find_input(&in, reader, scope, item->text, item, error));
        } else if (at < 0 && strcmp(key, "when") != 0) {
            names[variables.count] = "name";
            names[variables.count + 1] = "from";
            names[variables.count + 2] = "when";
            char label[128];
            snprintf(label, sizeof label, "block '%s'", block);
            return dc_fail_unknown_key(error, body->keys[k], label, names, variables.count + 3);
        } else if (!dc_expression(&number, item->text, scope->variables, &problem)) {
            return dc_fail_yaml(error, item, "'%s' must be a number: %s", key, problem);
        } else if (at < 0 && number == 0.0) {
            return DC_OK;
        } else if (at >= 0) {
            values[at] = number;
        }
    }
    char *prefix = given_name[0]
                       ? dc_arena_printf(reader->arena, error, "%s%s.", scope->prefix, given_name)
                       : dc_arena_printf(reader->arena, error, "%s%s%d.", scope->prefix, block,
                                         ++scope->auto_count);
    const struct dc_yaml *layers = dc_yaml_get(definition, "layers");
    if (!prefix)
        return DC_ERR_MEMORY;
    if (!layers)
        return dc_fail_yaml(error, definition, "block '%s' has no layers", block);
    if (++reader->nesting > NESTING_MAX)
        return dc_fail_yaml(error, where, "blocks are nested more than %d deep", NESTING_MAX);
    struct scope inner = {prefix, &variables, in, in, 0};
    DC_TRY(read_layers(reader, &inner, layers, error));
    reader->nesting--;
    scope->current = inner.current;
    return DC_OK;
}

struct repeat {
    int64_t count;
    const char *index;
    const struct dc_yaml *layers;
};

static const struct dc_field repeat_fields[] = {
    DC_FIELD(repeat, "count", INT, count, NULL, .maximum = REPEAT_MAX, .help = "how often"),
    DC_FIELD(repeat, "index", TEXT, index, "i", .help = "name of the running number, from 0"),
    DC_FIELD(repeat, "layers", SEQUENCE, layers, NULL, .help = "what is repeated"),
};
static const struct dc_schema repeat_schema = DC_SCHEMA("repeat", repeat_fields);

const struct dc_schema *dc_repeat_schema(void)
{
    return &repeat_schema;
}

static enum dc_status fail_layers(const struct dc_yaml *where, struct dc_error *error)
{
    return dc_fail_yaml(error, where,
                        "the network comes to more than %d layers here, repeats and blocks "
                        "expanded",
                        LAYERS_MAX);
}

static enum dc_status read_repeat(struct reader *reader, struct scope *scope,
                                  const struct dc_yaml *where, const struct dc_yaml *body,
                                  struct dc_error *error)
{
    struct repeat repeat = {0};
    const struct dc_decoder decoder = {reader->arena, scope->variables, NULL};
    DC_TRY(dc_schema_defaults(&repeat_schema, &repeat, &decoder, error));
    DC_TRY(dc_schema_decode(&repeat_schema, &repeat, body, "repeat", true, &decoder, error));
    if (++reader->nesting > NESTING_MAX)
        return dc_fail_yaml(error, where, "repeats are nested more than %d deep", NESTING_MAX);
    if (repeat.count * repeat.layers->count > LAYERS_MAX - reader->layers)
        return fail_layers(where, error);
    const struct dc_variables *outer = scope->variables;
    for (int64_t i = 0; i < repeat.count; i++) {
        const double value = (double)i;
        const struct dc_variables variables = {outer, 1, &repeat.index, &value};
        scope->variables = &variables;
        const enum dc_status status = read_layers(reader, scope, repeat.layers, error);
        scope->variables = outer;
        DC_TRY(status);
    }
    reader->nesting--;
    return DC_OK;
}

static enum dc_status unknown_layer(const struct reader *reader, const struct dc_yaml *where,
                                    const char *name, struct dc_error *error)
{
    const char *names[NAMES_MAX];
    int count = dc_layer_names(names, NAMES_MAX - 1);
    names[count++] = "repeat";
    for (int i = 0; i < reader->blocks->count && count < NAMES_MAX; i++)
        names[count++] = reader->blocks->keys[i]->text;
    char hint[DC_HINT], all[1024] = "layers: ";
    if (!dc_did_you_mean(hint, name, names, count)[0])
        dc_advice(hint, name);
    dc_join(all + strlen(all), sizeof all - strlen(all), names, count);
    return dc_fail_at(error, DC_ERR_CONFIG, &where->where, hint[0] ? hint + 2 : NULL,
                      hint[0] ? NULL : all, "unknown layer '%s'", name);
}

static enum dc_status read_layers(struct reader *reader, struct scope *scope,
                                  const struct dc_yaml *layers, struct dc_error *error)
{
    if (layers->kind != DC_YAML_SEQUENCE || layers->count == 0)
        return dc_fail_yaml(error, layers, "layers must be a list of at least one layer");
    for (int i = 0; i < layers->count; i++) {
        const struct dc_yaml *item = layers->items[i], *body = NULL, *where = item;
        if (++reader->layers > LAYERS_MAX)
            return fail_layers(item, error);
        const char *name = item->text;
        if (item->kind == DC_YAML_MAPPING && item->count == 1) {
            where = item->keys[0];
            name = where->text;
            body = item->items[0];
        } else if (item->kind != DC_YAML_SCALAR) {
            return dc_fail_yaml(error, item, "a layer is a name, or one name with its keys");
        }
        const struct dc_yaml *block = dc_yaml_get(reader->blocks, name);
        if (block)
            DC_TRY(read_block(reader, scope, name, block, where, body, error));
        else if (strcmp(name, "repeat") == 0 && body)
            DC_TRY(read_repeat(reader, scope, where, body, error));
        else if (dc_layer_find(name))
            DC_TRY(read_op(reader, scope, name, where, body, error));
        else
            return unknown_layer(reader, where, name, error);
    }
    return DC_OK;
}

struct model_file {
    const char *name;
    struct dc_numbers input;
    const struct dc_yaml *parameters, *blocks, *layers;
};

static const struct dc_field model_fields[] = {
    DC_FIELD(model_file, "name", TEXT, name, NULL, .help = "name of the network"),
    DC_FIELD(model_file, "input", INTEGERS, input, NULL, .minimum = 1, .maximum = 65536,
             .help = "[height, width, channels] or [values], which parameters may set"),
    DC_FIELD(model_file, "parameters", MAPPING, parameters, "{}",
             .help = "numbers that layers use as $name"),
    DC_FIELD(model_file, "blocks", MAPPING, blocks, "{}", .help = "named lists of layers"),
    DC_FIELD(model_file, "layers", SEQUENCE, layers, NULL,
             .help = "the network, from input to output"),
};
static const struct dc_schema model_schema = DC_SCHEMA("model", model_fields);

const struct dc_schema *dc_model_schema(void)
{
    return &model_schema;
}

static enum dc_status unknown_parameter(const char *name, const struct dc_variables *variables,
                                        const struct dc_yaml *place, struct dc_error *error)
{
    char all[512], hint[DC_HINT];
    const struct dc_yaml *key = NULL;
    dc_join(all, sizeof all, variables->names, variables->count);
    dc_did_you_mean(hint, name, variables->names, variables->count);
    for (int i = 0; place && i < place->count; i++)
        if (place->kind == DC_YAML_MAPPING && strcmp(place->keys[i]->text, name) == 0)
            key = place->keys[i];
    if (key)
        return dc_fail_yaml(error, key, "the model has no parameter '%s'; there are: %s%s", name,
                            all[0] ? all : "none", hint);
    return dc_fail(error, DC_ERR_CONFIG, "there is no parameter '%s'; there are: %s%s", name,
                   all[0] ? all : "none", hint);
}

static enum dc_status keep_parameters(struct dc_model *model, const struct dc_variables *variables,
                                      struct dc_error *error)
{
    struct dc_arena *arena = model->graph->arena;
    model->parameters = DC_NEW(arena, struct dc_named_value, variables->count + 1, error);
    if (!model->parameters)
        return DC_ERR_MEMORY;
    for (int i = 0; i < variables->count; i++) {
        model->parameters[i].value = variables->values[i];
        model->parameters[i].name = dc_arena_copy(arena, variables->names[i], error);
        if (!model->parameters[i].name)
            return DC_ERR_MEMORY;
    }
    model->parameter_count = variables->count;
    return DC_OK;
}

static enum dc_status build(struct dc_model *model, const struct dc_yaml *root,
                            const struct dc_model_spec *spec, struct dc_arena *arena,
                            struct dc_error *error)
{
    struct model_file file = {0};
    const char *names[PARAMETERS_MAX];
    double values[PARAMETERS_MAX];
    struct dc_variables variables;
    const struct dc_decoder decoder = {arena, &variables, NULL};
    DC_TRY(
        read_parameters(&variables, names, values, dc_yaml_get(root, "parameters"), NULL, error));
    for (int i = 0; i < spec->parameter_count; i++) {
        const int at = index_of(&variables, spec->parameters[i].name);
        if (at < 0)
            return unknown_parameter(spec->parameters[i].name, &variables, spec->place, error);
        values[at] = spec->parameters[i].value;
    }
    DC_TRY(dc_schema_defaults(&model_schema, &file, &decoder, error));
    DC_TRY(dc_schema_decode(&model_schema, &file, root, "model", true, &decoder, error));
    if (file.input.count < 1 || file.input.count >= DC_RANK_MAX)
        return dc_fail_yaml(error, dc_yaml_get(root, "input"),
                            "input is [height, width, channels], [values], or another list of at "
                            "most %d sizes, the channels last",
                            DC_RANK_MAX - 1);
    struct dc_shape shape = {.rank = file.input.count + 1, .dims = {DC_BATCH}};
    for (int i = 0; i < file.input.count; i++)
        model->sample.dims[i] = shape.dims[i + 1] = (int64_t)file.input.items[i];
    model->sample.rank = file.input.count;
    DC_TRY(dc_graph_create(&model->graph, error));
    model->name = dc_arena_copy(model->graph->arena, file.name, error);
    if (!model->name)
        return DC_ERR_MEMORY;
    struct dc_error reason;
    if (dc_graph_add_input(model->graph, "image", DC_F32, &shape, &model->input, &reason) != DC_OK)
        return dc_fail_yaml(error, dc_yaml_get(root, "input"), "%.1024s", reason.message);
    if (file.blocks->count > BLOCKS_MAX)
        return dc_fail_yaml(error, file.blocks, "blocks must be a mapping of up to %d blocks",
                            BLOCKS_MAX);
    struct reader reader = {.arena = arena, .graph = model->graph, .blocks = file.blocks};
    struct scope scope = {"", &variables, model->input, model->input, 0};
    DC_TRY(read_layers(&reader, &scope, file.layers, error));
    model->output = scope.current;
    return keep_parameters(model, &variables, error);
}

enum dc_status dc_model_read(struct dc_model *model, const struct dc_model_spec *spec,
                             struct dc_error *error)
{
    *model = (struct dc_model){0};
    struct dc_arena *arena = NULL;
    const struct dc_yaml *root = NULL;
    const bool imported = dc_model_is_imported(spec->path);
    enum dc_status status = imported ? dc__model_import(model, spec, error)
                                     : dc_arena_create(&arena, error);
    if (status == DC_OK && !imported)
        status = dc_yaml_read(&root, spec->path, arena, error);
    if (status == DC_OK && !imported)
        status = build(model, root, spec, arena, error);
    dc_arena_free(arena);
    if (status != DC_OK) {
        dc_model_free(model);
        return dc_context(status, error, "model %s", spec->path);
    }
    return DC_OK;
}

void dc_model_free(struct dc_model *model)
{
    if (!model->imported || model->graph != model->imported->graph)
        dc_graph_free(model->graph);
    if (model->whole && (!model->imported || model->whole != model->imported->graph))
        dc_graph_free(model->whole);
    dc_imported_free(model->imported);  // with its graph and params
    dc_imported_free(model->integers);
    *model = (struct dc_model){0};
}

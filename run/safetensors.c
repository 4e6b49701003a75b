// Owns the way from PyTorch's tensors to a model's parameters: names and layouts.

#include "run/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/ops/ops.h"
#include "core/yaml.h"
#include "formats/safetensors.h"

struct taking {
    struct dc_params *params;
    const struct dc_graph *graph;
    struct dc_safetensors file;
    const struct dc_yaml *names;  // NULL: none
    bool *used;                   // [names->count]
    bool *taken;                  // [params->count]
    struct dc_arena *arena;
    struct dc_error *error;
    char missing[512];  // the first that the file lacks
    int copied;
};

bool dc_is_safetensors(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && strcmp(dot, ".safetensors") == 0;
}

// What the file calls a layer: by the longest line that is its name, or begins it.
static const char *layer_there(struct taking *t, const char *layer)
{
    int best = -1;
    size_t longest = 0;
    for (int i = 0; t->names && i < t->names->count; i++) {
        const char *ours = t->names->keys[i]->text;
        const size_t length = strlen(ours);
        const bool begins = strncmp(ours, layer, length) == 0 &&
                            (layer[length] == '\0' || layer[length] == '.');
        if (begins && (best < 0 || length > longest)) {
            best = i;
            longest = length;
        }
    }
    if (best < 0)
        return layer;
    t->used[best] = true;
    return dc_arena_printf(t->arena, t->error, "%s%s", t->names->items[best]->text,
                           layer + longest);
}

static const char *part_there(const char *part)
{
    static const char *const parts[][2] = {{"gamma", "weight"},
                                           {"beta", "bias"},
                                           {"mean", "running_mean"},
                                           {"variance", "running_var"},
                                           {"slope", "weight"}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strcmp(parts[i][0], part) == 0)
            return parts[i][1];
    return part;
}

// The image [height, width, channels] that a dense layer's inputs were before a flattening; of
// others one place with all channels.
static struct dc_shape image_before(const struct dc_graph *graph, const struct dc_node *node)
{
    static const struct dc_op *const keep[] = {&dc_op_flatten, &dc_op_reshape, &dc_op_dropout,
                                               &dc_op_relu, &dc_op_relu6};
    const struct dc_node *at = &graph->nodes[node->inputs[0]];
    const int64_t values = dc_shape_row(&at->shape);
    for (bool goes_on = true; goes_on && at->shape.rank != 4;) {
        goes_on = false;
        for (size_t i = 0; i < sizeof keep / sizeof keep[0]; i++)
            goes_on = goes_on || at->op == keep[i];
        if (goes_on)
            at = &graph->nodes[at->inputs[0]];
    }
    const bool flat = at->shape.rank == 4 && dc_shape_row(&at->shape) == values &&
                      graph->nodes[node->inputs[0]].shape.rank == 2;
    return flat ? DC_SHAPE(at->shape.dims[1], at->shape.dims[2], at->shape.dims[3])
                : DC_SHAPE(1, 1, values);
}

// [out, in, taps] to [taps, in, out].
static void turn(float *to, const float *from, int64_t out, int64_t in, int64_t taps)
{
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++)
            for (int64_t p = 0; p < taps; p++)
                to[(p * in + i) * out + o] = from[(o * in + i) * taps + p];
}

static enum dc_status take_slice(struct taking *t, const struct dc_node *node,
                                 const struct dc_slice *slice, const struct dc_safetensor *tensor)
{
    const struct dc_shape *want = &slice->shape, *have = &tensor->shape;
    char wanted[DC_SHAPE_TEXT], found[DC_SHAPE_TEXT];
    float *values, *to = t->params->value + slice->offset;
    struct dc_shape theirs = *want;
    int64_t places = 1;
    if (want->rank == 4)  // HWIO
        theirs = DC_SHAPE(want->dims[3], want->dims[2], want->dims[0], want->dims[1]);
    if (want->rank == 2)
        theirs = DC_SHAPE(want->dims[1], want->dims[0]);
    const bool series = want->rank == 4 && have->rank == 3 && have->dims[0] == want->dims[3] &&
                        have->dims[1] == want->dims[2] &&
                        have->dims[2] == want->dims[0] * want->dims[1];
    const bool of_places = want->rank == 2 && have->rank == 4 && have->dims[0] == theirs.dims[0] &&
                           have->dims[1] == theirs.dims[1] && have->dims[2] * have->dims[3] == 1;
    if (!dc_shape_equal(&theirs, have) && !series && !of_places)
        return dc_fail(t->error, DC_ERR_CONFIG,
                       "'%s' is %s, and tensor '%s' has %s, where %s belongs", slice->name,
                       dc_shape_text(wanted, want), tensor->name, dc_shape_text(found, have),
                       dc_shape_text((char[DC_SHAPE_TEXT]){0}, &theirs));
    DC_TRY(dc_safetensor_values(&values, tensor, t->arena, t->error));
    if (want->rank == 4)
        places = want->dims[0] * want->dims[1];
    if (want->rank == 2 && node->op == &dc_op_dense) {
        const struct dc_shape image = image_before(t->graph, node);
        places = image.dims[0] * image.dims[1];
    }
    if (want->rank < 2)
        memcpy(to, values, sizeof *to * (size_t)slice->count);
    else
        turn(to, values, want->dims[want->rank - 1],
             slice->count / places / want->dims[want->rank - 1], places);
    t->taken[slice - t->params->slices] = true;
    t->copied++;
    return DC_OK;
}

static enum dc_status take_node(struct taking *t, const struct dc_node *node)
{
    const size_t length = strlen(node->name);
    const char *there = layer_there(t, node->name);
    if (!there)
        return DC_ERR_MEMORY;
    for (int p = 0; p < node->param_count; p++) {
        const char *full = t->graph->params[node->params[p]].name;  // LAYER.PART
        const struct dc_slice *slice = dc_params_find(t->params, full);
        if (!slice || (!dc_role_is_trained(slice->role) && slice->role != DC_ROLE_STATISTIC))
            continue;
        const char *name = dc_arena_printf(t->arena, t->error, "%s.%s", there,
                                           part_there(full + length + 1));
        const struct dc_safetensor *tensor = name ? dc_safetensors_find(&t->file, name) : NULL;
        if (!name)
            return DC_ERR_MEMORY;
        if (tensor) {
            DC_TRY(take_slice(t, node, slice, tensor));
            continue;
        }
        const size_t used = strlen(t->missing);
        snprintf(t->missing + used, sizeof t->missing - used, "%s%s", used ? ", " : "", name);
    }
    return DC_OK;
}

static enum dc_status read_names(struct taking *t, const char *names)
{
    if (!names || !names[0])
        return DC_OK;
    DC_TRY(dc_yaml_read(&t->names, names, t->arena, t->error));
    bool good = t->names->kind == DC_YAML_MAPPING;
    for (int i = 0; good && i < t->names->count; i++)
        good = t->names->items[i]->kind == DC_YAML_SCALAR;
    if (!good)
        return dc_fail_yaml(t->error, t->names, "lines are LAYER: NAME IN THE FILE");
    t->used = DC_NEW(t->arena, bool, t->names->count + 1, t->error);
    return t->used ? DC_OK : DC_ERR_MEMORY;
}

// Whether a tensor's name begins with the layer's and a dot.
static bool is_there(const struct taking *t, const char *layer)
{
    const size_t length = strlen(layer);
    for (int i = 0; i < t->file.count; i++)
        if (strncmp(t->file.tensors[i].name, layer, length) == 0 &&
            t->file.tensors[i].name[length] == '.')
            return true;
    return false;
}

static enum dc_status check_taken(const struct taking *t, const char *path)
{
    char there[300] = "";
    for (int i = 0; t->names && i < t->names->count; i++) {
        const struct dc_yaml *theirs = t->names->items[i];
        if (!t->used[i])
            return dc_fail_yaml(t->error, t->names->keys[i], "the model has no layer '%s'",
                                t->names->keys[i]->text);
        if (!is_there(t, theirs->text))
            return dc_fail_yaml(t->error, theirs, "%s has no tensor of a layer '%s'", path,
                                theirs->text);
    }
    for (int i = 0; i < t->file.count && i < 6; i++) {
        const size_t used = strlen(there);
        snprintf(there + used, sizeof there - used, "%s%s", used ? ", " : "",
                 t->file.tensors[i].name);
    }
    if (t->copied > 0)
        return DC_OK;
    return dc_fail(t->error, DC_ERR_CONFIG,
                   "no tensor has a name that is wanted: %.200s ...; it has %s ...; say "
                   "weights_names: FILE.yaml with lines LAYER: NAME IN THE FILE",
                   t->missing, there);
}

static enum dc_status take_all(struct taking *t, const char *path, const char *names)
{
    DC_TRY(read_names(t, names));
    DC_TRY(dc_safetensors_read(&t->file, path, t->arena, t->error));
    for (int i = 0; i < t->graph->count; i++)
        if (t->graph->nodes[i].param_count > 0)
            DC_TRY_IN(take_node(t, &t->graph->nodes[i]), t->error, "%s", path);
    DC_TRY_IN(check_taken(t, path), t->error, "%s", path);
    return DC_OK;
}

enum dc_status dc_safetensors_take(struct dc_params *params, const struct dc_graph *graph,
                                   const char *path, const char *names, bool *taken,
                                   struct dc_error *error)
{
    struct taking t = {.params = params, .graph = graph, .taken = taken, .error = error};
    DC_TRY(dc_arena_create(&t.arena, error));
    const enum dc_status status = take_all(&t, path, names);
    dc_arena_free(t.arena);
    return status;
}

// Owns the flat parameter buffers: layout, initial values, copies by name, and their place in
// files.

#include "core/params.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/graph.h"
#include "core/random.h"

enum { SLICE_ALIGNMENT = 16 };  // floats

static const char *const role_names[] = {"weight",    "bias",      "norm",     "statistic",
                                         "quantizer", "auxiliary", "observer", "bank"};
static_assert(sizeof role_names / sizeof role_names[0] == DC_ROLE_COUNT, "one name per role");

const char *dc_role_name(enum dc_role role)
{
    return role_names[role];
}

bool dc_role_is_trained(enum dc_role role)
{
    return role != DC_ROLE_STATISTIC && role != DC_ROLE_OBSERVER && role != DC_ROLE_BANK;
}

static void lay_out(struct dc_params *params, const struct dc_graph *graph)
{
    for (int i = 0; i < graph->param_count; i++) {
        const struct dc_param_spec *spec = &graph->params[i];
        struct dc_slice *slice = &params->slices[i];
        *slice = (struct dc_slice){
            .name = spec->name,
            .role = spec->role,
            .shape = spec->shape,
            .offset = params->total,
            .count = dc_shape_count(&spec->shape),
            .init = spec->init,
            .init_value = spec->init_value,
            .fan = spec->fan,
            .decay_factor = 1.0f,
            .learning_rate_factor = 1.0f,
        };
        params->total += (slice->count + SLICE_ALIGNMENT - 1) / SLICE_ALIGNMENT * SLICE_ALIGNMENT;
    }
    params->count = graph->param_count;
}

enum dc_status dc_params_create(struct dc_params **out, const struct dc_graph *graph, int states,
                                bool average, struct dc_error *error)
{
    *out = NULL;
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_params *params = DC_NEW(arena, struct dc_params, 1, error);
    struct dc_slice *slices = DC_NEW(arena, struct dc_slice, graph->param_count, error);
    bool good = params && slices;
    if (good) {
        params->arena = arena;
        params->slices = slices;
        lay_out(params, graph);
        float **const buffers[] = {&params->value, &params->gradient, &params->average,
                                   &params->state[0], &params->state[1]};
        const bool wanted[] = {true, states > 0, average, states > 0, states > 1};
        static_assert(sizeof buffers / sizeof buffers[0] == 3 + DC_STATES_MAX, "all of them");
        for (int b = 0; good && b < 3 + DC_STATES_MAX; b++)
            good = !wanted[b] || (*buffers[b] = DC_NEW(arena, float, params->total, error));
        for (int i = 0; good && i < params->count; i++)
            good = (slices[i].name = dc_arena_copy(arena, slices[i].name, error));
    }
    if (!good) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    *out = params;
    return DC_OK;
}

void dc_params_free(struct dc_params *params)
{
    if (params)
        dc_arena_free(params->arena);
}

void dc_params_init(struct dc_params *params, uint32_t seed)
{
    for (int i = 0; i < params->count; i++) {
        const struct dc_slice *slice = &params->slices[i];
        float *value = params->value + slice->offset;
        if (slice->init == DC_INIT_CONSTANT) {
            for (int64_t k = 0; k < slice->count; k++)
                value[k] = slice->init_value;
            continue;
        }
        struct dc_random random;
        dc_random_start(&random, seed, DC_PURPOSE_INIT, 0, dc_hash_name(slice->name));
        const double deviation = sqrt(2.0 / (double)slice->fan);
        for (int64_t k = 0; k < slice->count; k++)
            value[k] = (float)(deviation * dc_random_normal(&random));
    }
    if (params->average)
        memcpy(params->average, params->value, sizeof(float) * (size_t)params->total);
}

struct dc_slice *dc_params_find(const struct dc_params *params, const char *name)
{
    for (int i = 0; i < params->count; i++)
        if (strcmp(params->slices[i].name, name) == 0)
            return &params->slices[i];
    return NULL;
}

enum dc_status dc_params_copy_by_name(struct dc_params *to, const struct dc_params *from,
                                      int *copied, struct dc_error *error)
{
    *copied = 0;
    for (int i = 0; i < from->count; i++) {
        const struct dc_slice *source = &from->slices[i];
        const struct dc_slice *slice = dc_params_find(to, source->name);
        if (!slice)
            continue;
        if (!dc_shape_equal(&slice->shape, &source->shape)) {
            char have[DC_SHAPE_TEXT], want[DC_SHAPE_TEXT];
            return dc_fail(error, DC_ERR_CONFIG, "'%s' has shape %s here and %s there",
                           source->name, dc_shape_text(want, &slice->shape),
                           dc_shape_text(have, &source->shape));
        }
        memcpy(to->value + slice->offset, from->value + source->offset,
               sizeof(float) * (size_t)slice->count);
        if (to->average)
            memcpy(to->average + slice->offset, from->value + source->offset,
                   sizeof(float) * (size_t)slice->count);
        ++*copied;
    }
    return DC_OK;
}

int64_t dc_params_trained_count(const struct dc_params *params)
{
    int64_t count = 0;
    for (int i = 0; i < params->count; i++) {
        const enum dc_role role = params->slices[i].role;
        if (role == DC_ROLE_WEIGHT || role == DC_ROLE_BIAS || role == DC_ROLE_NORM)
            count += params->slices[i].count;
    }
    return count;
}

bool dc_slice_matches(const struct dc_slice *slice, const char *pattern)
{
    const size_t length = strlen(pattern);
    if (length > 0 && pattern[length - 1] == '*')
        return strncmp(slice->name, pattern, length - 1) == 0;
    return strcmp(slice->name, pattern) == 0 ||
           (strncmp(slice->name, pattern, length) == 0 && slice->name[length] == '.');
}

// Every slice of every buffer that there is: written, or read from `from`.
static enum dc_status transfer(const struct dc_params *params, struct dc_h5 *to,
                               const struct dc_h5 *from, const char *group, struct dc_error *error)
{
    static const char *const names[] = {"value", "average", "state0", "state1"};
    float *const buffers[] = {params->value, params->average, params->state[0], params->state[1]};
    for (int b = 0; b < 2 + DC_STATES_MAX; b++) {
        for (int i = 0; buffers[b] && i < params->count; i++) {
            const struct dc_slice *slice = &params->slices[i];
            const struct dc_tensor tensor = {buffers[b] + slice->offset, DC_F32, slice->shape};
            char name[512];
            snprintf(name, sizeof name, "%s/%s/%s", group, names[b], slice->name);
            DC_TRY(to ? dc_h5_write(to, name, &tensor, error)
                      : dc_h5_read(from, name, &tensor, error));
        }
    }
    return DC_OK;
}

enum dc_status dc_params_write(const struct dc_params *params, struct dc_h5 *file,
                               const char *group, struct dc_error *error)
{
    return transfer(params, file, NULL, group, error);
}

enum dc_status dc_params_read(struct dc_params *params, const struct dc_h5 *file, const char *group,
                              struct dc_error *error)
{
    return transfer(params, NULL, file, group, error);
}

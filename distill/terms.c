// Owns the list of losses, the keys that all of them take, and the building of their nodes.

#include "distill/terms.h"

#include <string.h>

#include "distill/adaptor.h"
#include "distill/ensemble.h"
#include "distill/losses.h"

const struct dc_term_kind *const dc_term_kinds[] = {
    &dc_term_label, &dc_term_kd,         &dc_term_ttm,
    &dc_term_wttm,  &dc_term_dkd,        &dc_term_standardized_kd,
    &dc_term_dist,  &dc_term_bce,        &dc_term_hard_label,
    &dc_term_mse,   &dc_term_hint,       &dc_term_attention,
    &dc_term_rkd,   &dc_term_similarity, &dc_term_pkt,
    &dc_term_nst,   &dc_term_crd,        &dc_term_review,
    NULL,
};

const struct dc_term_kind *dc_term_find(const char *name)
{
    const struct dc_term_kind *const *kind = dc_term_kinds;
    while (*kind && strcmp((*kind)->name, name) != 0)
        kind++;
    return *kind;
}

#define EPOCHS(member, help_)                                                                      \
    DC_FIELD(dc_term_spec, #member, INT, member, "0", .maximum = 1e9, .help = (help_))
static const struct dc_field term_fields[] = {
    DC_FIELD(dc_term_spec, "weight", REAL, weight, "1", .maximum = 1e9,
             .help = "what the term counts in the sum; each kind has its own default"),
    EPOCHS(start_epoch, "first epoch of the term"),
    EPOCHS(end_epoch, "epoch it ends before; 0: never"),
    EPOCHS(ramp_epochs, "epochs of a linear rise"),
};
const struct dc_schema dc_term_schema = DC_SCHEMA("loss", term_fields);

static const struct dc_field feature_fields[] = {
    DC_FIELD(dc_term_spec, "student", TEXTS, student, NULL, .help = "layers of the student"),
    DC_FIELD(dc_term_spec, "teacher", TEXTS, teacher, NULL,
             .help = "as many layers of the teacher; a term for each pair"),
};
const struct dc_schema dc_feature_schema = DC_SCHEMA("loss", feature_fields);

struct builder {
    struct dc_terms *terms;
    struct dc_graph *graph;
    int network_nodes, output, targets;
    const struct dc_label_loss *label;
    const struct dc_terms_sources *sources;
    int residual;    // of review: the blend of the pair before, or -1
    int64_t middle;  // and the channels it is brought to
};

// Ids trained on, by class: a counting sort.
static enum dc_status fill_samples(struct dc_crd_attributes *a, const struct builder *b,
                                   struct dc_error *error)
{
    const struct dc_terms_sources *from = b->sources;
    int classes = 0;
    for (int64_t i = 0; i < from->id_count; i++)
        if (from->labels[from->ids[i]] >= classes)
            classes = from->labels[from->ids[i]] + 1;
    int64_t *ids = DC_NEW(b->graph->arena, int64_t, from->id_count, error);
    int64_t *start = DC_NEW(b->graph->arena, int64_t, classes + 2, error);
    if (!ids || !start)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < from->id_count; i++)
        start[from->labels[from->ids[i]] + 2]++;
    for (int c = 2; c < classes + 2; c++) {
        if (start[c] == from->id_count)
            return dc_fail(error, DC_ERR_CONFIG, "crd needs samples of two classes");
        start[c] += start[c - 1];
    }
    // start[c + 1] runs from the first to the end of class c
    for (int64_t i = 0; i < from->id_count; i++)
        ids[start[from->labels[from->ids[i]] + 1]++] = from->ids[i];
    a->samples = from->id_count;
    a->bank_rows = from->label_count;
    a->labels = from->labels;
    a->by_class = ids;
    a->class_start = start;
    return DC_OK;
}

static const char *prefix(const struct builder *b)
{
    return b->sources->prefix ? b->sources->prefix : "";
}

// The input that brings in a node of a teacher; -1: its logits.
static enum dc_status teacher_input(const struct builder *b, int t, int node, int *input,
                                    struct dc_error *error)
{
    struct dc_terms *terms = b->terms;
    const struct dc_term_teacher *teacher = &b->sources->teachers[t];
    const bool logits = node < 0 || node == (teacher->graph ? teacher->output : -1);
    node = logits && teacher->graph ? teacher->output : node;
    for (int i = 0; i < terms->input_count; i++) {
        *input = terms->inputs[i].input;
        if (terms->inputs[i].teacher == t && terms->inputs[i].teacher_node == node)
            return DC_OK;
    }
    const struct dc_shape *shape = logits ? &b->graph->nodes[b->output].shape
                                          : &teacher->graph->nodes[node].shape;
    const char *layer = logits ? "logits" : teacher->graph->nodes[node].name;
    char *name = t == 0 ? dc_arena_printf(b->graph->arena, error, "teacher.%s", layer)
                        : dc_arena_printf(b->graph->arena, error, "teacher%d.%s", t + 1, layer);
    if (!name)
        return DC_ERR_MEMORY;
    DC_TRY(dc_graph_add_input(b->graph, name, DC_F32, shape, input, error));
    terms->inputs[terms->input_count++] = (struct dc_teacher_input){t, node, *input};
    return DC_OK;
}

static float temperature_of(const struct dc_term_spec *spec)
{
    float temperature = 1.0f;
    if (spec->kind->temperature != DC_NO_TEMPERATURE)
        memcpy(&temperature, (const char *)spec->attributes + spec->kind->temperature,
               sizeof temperature);
    return temperature;
}

// The teacher's logits, or what stands for those of several under this loss.
static enum dc_status teacher_logits(const struct builder *b, const struct dc_term_spec *spec,
                                     int *node, struct dc_error *error)
{
    const int count = b->sources->teacher_count;
    struct dc_ensemble_attributes a = {.temperature = temperature_of(spec),
                                       .binary = spec->kind->probability};
    int inputs[DC_TEACHERS_MAX];
    if (count <= 1 && b->sources->teachers[0].peer == 0)
        return teacher_input(b, 0, -1, node, error);
    for (int t = 0; t < count; t++) {
        inputs[t] = b->sources->teachers[t].peer;
        a.weights[t] = b->sources->teachers[t].weight;
        if (inputs[t] == 0)
            DC_TRY(teacher_input(b, t, -1, &inputs[t], error));
    }
    char *name = dc_arena_printf(b->graph->arena, error, "%sensemble.%s.%.9g", prefix(b),
                                 a.binary ? "sigmoid" : "softmax", (double)a.temperature);
    if (!name)
        return DC_ERR_MEMORY;
    *node = dc_graph_find(b->graph, name);
    return *node >= 0 ? DC_OK
                      : dc_graph_add(b->graph, name, &dc_op_ensemble, &a, sizeof a, inputs, count,
                                     node, error);
}

static enum dc_status find_layer(int *node, const struct dc_graph *graph, int count,
                                 const char *name, const char *network, struct dc_arena *arena,
                                 struct dc_error *error)
{
    const char **names = DC_NEW(arena, const char *, count, error);
    char hint[DC_HINT];
    if (!names)
        return DC_ERR_MEMORY;
    *node = dc_graph_find(graph, name);
    if (*node >= 0 && *node < count)
        return DC_OK;
    for (int i = 0; i < count; i++)
        names[i] = graph->nodes[i].name;
    dc_did_you_mean(hint, name, names, count);
    return dc_fail(error, DC_ERR_CONFIG, "the %s has no layer '%s'%s", network, name,
                   hint[0] ? hint : "; decant inspect shows a model's layers");
}

static enum dc_status add_term(const struct builder *b, const struct dc_term_spec *spec,
                               const char *name, const struct dc_op *op, const void *attributes,
                               const int *inputs, int count, struct dc_error *error)
{
    struct dc_loss_term *term = &b->terms->terms[b->terms->count++];
    *term = (struct dc_loss_term){.name = name,
                                  .weight = spec->weight,
                                  .start_epoch = (int)spec->start_epoch,
                                  .end_epoch = (int)spec->end_epoch,
                                  .ramp_epochs = (int)spec->ramp_epochs};
    char *node = dc_arena_printf(b->graph->arena, error, "loss.%s", name);
    if (!node)
        return DC_ERR_MEMORY;
    return dc_graph_add(b->graph, node, op, attributes, op->attribute_bytes, inputs, count,
                        &term->node, error);
}

static enum dc_status add_label(const struct builder *b, const struct dc_term_spec *spec,
                                const char *name, struct dc_error *error)
{
    static const struct dc_op *const ops[] = {&dc_op_cross_entropy, &dc_op_mean_squared_error,
                                              &dc_op_binary_cross_entropy,
                                              &dc_op_mean_squared_error};
    const struct dc_binary_cross_entropy_attributes binary = {0.0f};
    const int inputs[2] = {b->output, b->targets};
    const void *attributes = b->label->kind == 0 ? (const void *)&b->label->attributes : &binary;
    return add_term(b, spec, name, ops[b->label->kind], attributes, inputs, 2, error);
}

static enum dc_status add_logit_term(const struct builder *b, const struct dc_term_spec *spec,
                                     const char *name, struct dc_error *error)
{
    int inputs[3] = {b->output, -1, b->targets};
    const struct dc_op *op = spec->kind->op;
    if (spec->kind == &dc_term_label)
        return add_label(b, spec, name, error);
    DC_TRY(teacher_logits(b, spec, &inputs[1], error));
    return add_term(b, spec, name, op, spec->attributes, inputs, op->inputs_max, error);
}

// What stands between the layers and the loss. *attributes: the loss's, where it learns more here.
static enum dc_status adapt(struct builder *b, const struct dc_term_spec *spec, const char *name,
                            const void **attributes, int inputs[2], struct dc_error *error)
{
    struct dc_graph *graph = b->graph;
    char *prefix = dc_arena_printf(graph->arena, error, "adaptor.%s", name);
    char *other = dc_arena_printf(graph->arena, error, "adaptor.%s.teacher", name);
    const struct dc_hint_keys *hint = spec->attributes;
    const struct dc_crd_attributes *crd = spec->attributes;
    struct dc_crd_attributes *filled;
    if (!prefix || !other)
        return DC_ERR_MEMORY;
    const struct dc_shape like = graph->nodes[inputs[1]].shape;
    switch (spec->kind->adaptor) {
    case DC_ADAPTOR_NONE:
        return DC_OK;
    case DC_ADAPTOR_HINT:
        return hint->adaptor == 0
                   ? dc_adaptor_add_hint(graph, prefix, inputs[0], &like, &inputs[0], error)
                   : DC_OK;
    case DC_ADAPTOR_FUSION:
        return dc_adaptor_add_fusion(graph, prefix, inputs[0], &like, b->middle, &b->residual,
                                     &inputs[0], error);
    case DC_ADAPTOR_EMBEDDING:
        break;
    }
    for (int i = 0; i < 2; i++)
        DC_TRY(dc_adaptor_add_embedding(graph, i ? other : prefix, inputs[i], (int)crd->embedding,
                                        &inputs[i], error));
    *attributes = filled = DC_NEW(graph->arena, struct dc_crd_attributes, 1, error);
    if (!filled)
        return DC_ERR_MEMORY;
    *filled = *crd;
    filled->bank_rows = 1;
    return b->sources->labels ? fill_samples(filled, b, error) : DC_OK;
}

// Where a loss names the layer of a pair, or itself.
static const struct dc_yaml *layer_place(const struct dc_term_spec *spec, const char *key, int pair)
{
    const struct dc_yaml *node = spec->stated ? dc_yaml_get(spec->stated, key) : NULL;
    if (node && node->kind == DC_YAML_SEQUENCE && pair < node->count)
        node = node->items[pair];
    return node ? node : spec->where;
}

// The failure of a layer that is not there, at its name.
static enum dc_status no_layer(enum dc_status status, const struct dc_term_spec *spec,
                               const char *key, int pair, struct dc_error *error)
{
    const struct dc_yaml *place = layer_place(spec, key, pair);
    return place ? dc_context_yaml(status, error, place, "loss '%s'", spec->kind->name) : status;
}

static enum dc_status add_feature_term(struct builder *b, const struct dc_term_spec *spec, int pair,
                                       const char *name, struct dc_error *error)
{
    const void *attributes = spec->attributes;
    int inputs[2], node = -1, t = 0;
    enum dc_status status = find_layer(&inputs[0], b->graph, b->network_nodes,
                                       spec->student.items[pair], "student", b->graph->arena,
                                       error);
    if (status != DC_OK)
        return no_layer(status, spec, "student", pair, error);
    for (int i = 0; i < b->sources->teacher_count && node < 0; i++) {
        const struct dc_graph *graph = b->sources->teachers[i].graph;
        node = graph ? dc_graph_find(graph, spec->teacher.items[pair]) : -1;
        t = node >= 0 || (graph && !b->sources->teachers[t].graph) ? i : t;
    }
    const struct dc_graph *teacher = b->sources->teachers[t].graph;
    if (!teacher)
        return dc_fail(error, DC_ERR_CONFIG,
                       "it reads a layer of the teacher, of which there are only logits here");
    status = find_layer(&node, teacher, teacher->count, spec->teacher.items[pair], "teacher",
                        b->graph->arena, error);
    if (status != DC_OK)
        return no_layer(status, spec, "teacher", pair, error);
    DC_TRY(teacher_input(b, t, node, &inputs[1], error));
    const struct dc_shape *shape = &b->graph->nodes[inputs[0]].shape;
    if (pair == 0)  // the deepest layer, whose channels are the most
        b->middle = shape->dims[shape->rank - 1] < 512 ? shape->dims[shape->rank - 1] : 512;
    DC_TRY(adapt(b, spec, name, &attributes, inputs, error));
    return add_term(b, spec, name, spec->kind->op, attributes, inputs, 2, error);
}

// The first of a kind has the kind's name, the next ones a number behind it.
static const char *term_name(const struct builder *b, const char *kind, struct dc_error *error)
{
    const char *base = dc_arena_printf(b->graph->arena, error, "%s%s", prefix(b), kind);
    const size_t length = base ? strlen(base) : 0;
    int same = 1;
    for (int t = 0; base && t < b->terms->count; t++) {
        const char *name = b->terms->terms[t].name;
        same += !strncmp(name, base, length) &&
                strspn(name + length, "0123456789") == strlen(name + length);
    }
    return same == 1 ? base : dc_arena_printf(b->graph->arena, error, "%s%d", base, same);
}

static enum dc_status add_terms(struct builder *b, const struct dc_term_spec *spec,
                                struct dc_error *error)
{
    const struct dc_term_kind *kind = spec->kind;
    const int pairs = kind->features ? spec->student.count : 1;
    if (kind->features && (pairs == 0 || pairs != spec->teacher.count))
        return dc_fail(error, DC_ERR_CONFIG,
                       "it needs as many layers of the student as of the "
                       "teacher, not %d and %d",
                       pairs, spec->teacher.count);
    b->residual = -1;
    for (int p = 0; p < pairs; p++) {
        const char *name = term_name(b, kind->name, error);
        if (!name)
            return DC_ERR_MEMORY;
        if (b->terms->count == DC_TERMS_MAX)
            return dc_fail(error, DC_ERR_CONFIG,
                           "a stage has up to %d terms, a pair of layers each", DC_TERMS_MAX);
        DC_TRY(kind->features ? add_feature_term(b, spec, p, name, error)
                              : add_logit_term(b, spec, name, error));
    }
    return DC_OK;
}

enum dc_status dc_terms_build(struct dc_terms *terms, struct dc_graph *graph, int network_nodes,
                              int output, int targets, const struct dc_term_spec *specs, int count,
                              const struct dc_label_loss *label,
                              const struct dc_terms_sources *sources, struct dc_error *error)
{
    struct builder b = {.terms = terms,
                        .graph = graph,
                        .network_nodes = network_nodes,
                        .output = output,
                        .targets = targets,
                        .label = label,
                        .sources = sources};
    for (int i = 0; i < count; i++) {
        const struct dc_term_spec *spec = &specs[i];
        const char *kind = spec->kind->name;
        const enum dc_status status = add_terms(&b, spec, error);
        if (status != DC_OK)
            return spec->where ? dc_context_yaml(status, error, spec->where, "loss '%s'", kind)
                               : dc_context(status, error, "loss %d, %s", i + 1, kind);
    }
    return DC_OK;
}

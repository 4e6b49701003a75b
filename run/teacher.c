// Owns the teachers of a stage: where each comes from, and how its outputs reach the student. The
// teacher itself and the cache are distill/'s.

#include "run/teacher.h"

#include <string.h>

#include "core/passes.h"

enum { TEACHER_BATCH = 256 };

// What the terms read of teacher number t: its logits and the layers they name.
static void gather_outputs(struct dc_stage_teacher *t, int number, const struct dc_terms *terms)
{
    const int logits = t->network.graph ? t->network.logits : -1;
    t->outputs[0] = logits;
    t->inputs[0] = -1;
    t->teacher.output_count = 1;
    for (int i = 0; i < terms->input_count; i++) {
        const struct dc_teacher_input *input = &terms->inputs[i];
        if (input->teacher != number)
            continue;
        const int c = input->teacher_node == logits ? 0 : t->teacher.output_count++;
        t->outputs[c] = input->teacher_node;
        t->inputs[c] = input->input;
    }
}

// The inference form of a network; a quantized one stays as it is.
static enum dc_status fold(struct dc_stage_teacher *t, struct dc_error *error)
{
    const struct dc_stage_network *n = &t->network;
    t->teacher.name = t->name;
    t->teacher.graph = (struct dc_graph *)n->graph;
    t->teacher.params = n->params;
    t->teacher.unfolded = n->params;
    t->teacher.outputs = t->outputs;
    if (!n->quantized) {
        DC_TRY(dc_fold_keeping(&t->folded, &t->folded_params, t->outputs, n->graph, n->params,
                               t->outputs, t->teacher.output_count, error));
        t->teacher.graph = t->folded;
        t->teacher.params = t->folded_params;
    }
    t->teacher.image = dc_graph_find(t->teacher.graph, n->graph->nodes[n->image].name);
    return DC_OK;
}

// The student's own network under its moving average, which changes with every step: nothing is
// folded. The training graph begins with the network, and so do its parameters.
static void use_average(struct dc_stage_teacher *t, const struct dc_params *student)
{
    const struct dc_stage_network *n = &t->network;
    t->average = *student;
    t->average.count = n->params->count;
    t->average.value = student->average;
    t->average.gradient = NULL;
    t->teacher.name = t->name;
    t->teacher.graph = (struct dc_graph *)n->graph;
    t->teacher.params = &t->average;
    t->teacher.outputs = t->outputs;
    t->teacher.image = n->image;
}

static enum dc_status open_network(struct dc_stage_teacher *t, const struct dc_stage *from,
                                   struct dc_error *error)
{
    const char *weights = NULL;
    if (from != t->stage)
        DC_TRY(dc__stage_weights(&weights, t->run, from, t->stage, error));
    DC_TRY_IN(dc_stage_network_open(&t->network, from, weights, error), error, "teacher '%s'",
              t->name);
    t->teacher.view = dc_run_view(t->run, from, &t->network.model.sample);
    return dc_view_check(&t->teacher.view, t->run->train_source, error);
}

static enum dc_status read_logits(float *values, void *user, int column, const uint64_t *ids,
                                  int64_t rows, struct dc_error *error)
{
    (void)column;
    (void)error;
    const struct dc_stage_teacher *t = user;
    const int64_t classes = t->logits.classes;
    for (int64_t r = 0; r < rows; r++)
        memcpy(values + r * classes, t->logits.values + (int64_t)ids[r] * classes,
               sizeof *values * (size_t)classes);
    return DC_OK;
}

static enum dc_status start_nothing(void *user, int64_t epoch, struct dc_error *error)
{
    (void)user;
    (void)epoch;
    (void)error;
    return DC_OK;
}

static const struct dc_augmentation *mixing(const struct dc_run *run)
{
    const struct dc_augmentation_list *list = &run->experiment->data.augment;
    const struct dc_augmentation *last = list->count ? &list->items[list->count - 1] : NULL;
    return last && last->kind->mixes ? last : NULL;
}

static enum dc_status open_file(struct dc_stage_teacher *t, struct dc_error *error)
{
    const struct dc_source *source = t->run->train_source;
    DC_TRY(dc_logits_read(&t->logits, t->name, t->run->arena, error));
    if (t->logits.samples != source->count || t->logits.classes != source->classes)
        return dc_fail(error, DC_ERR_DATA,
                       "%s holds logits of %lld samples and %lld classes; the training data has "
                       "%lld and %d",
                       t->name, (long long)t->logits.samples, (long long)t->logits.classes,
                       (long long)source->count, source->classes);
    if (mixing(t->run))
        return dc_fail(error, DC_ERR_CONFIG,
                       "stage '%s': a file of logits knows nothing of samples blended by '%s'",
                       t->stage->name, mixing(t->run)->kind->name);
    if (t->run->experiment->data.augment.count > 0)
        dc_log(t->run->ctx, DC_LOG_WARNING,
               "%s: the logits of %s are taken for every augmented view of a sample",
               t->stage->name, t->name);
    t->recorded = (struct dc_recorded){t, start_nothing, read_logits};
    return DC_OK;
}

static enum dc_status start_cached_epoch(void *user, int64_t epoch, struct dc_error *error)
{
    struct dc_stage_teacher *t = user;
    struct dc_teach_job job = dc__teach_job(t);
    struct dc_teach_report report;
    job.first_epoch = job.epochs > 1 ? epoch : 0;
    job.epochs = 1;
    bool whole = true;
    for (int64_t b = 0; b < dc_cache_blocks(t->cache); b++)
        whole = whole && dc_cache_has(t->cache, job.first_epoch, b);
    if (!whole && t->stage->distill.cache.fill)
        DC_TRY(dc_teach(&report, &job, error));
    return dc_cache_load(t->cache, epoch, error);
}

static enum dc_status read_cache(float *values, void *user, int column, const uint64_t *ids,
                                 int64_t rows, struct dc_error *error)
{
    const struct dc_stage_teacher *t = user;
    return dc_cache_read(values, t->cache, column, ids, rows, error);
}

static enum dc_status open_cache(struct dc_stage_teacher *t, bool several,
                                 enum dc_cache_opening how, struct dc_error *error)
{
    struct dc_run *run = t->run;
    const struct dc_cache_keys *keys = &t->stage->distill.cache;
    const struct dc_data_spec *data = &run->experiment->data;
    const char *folder = keys->path;
    if (!folder[0])
        folder = run->caches ? run->caches : dc__path(run, DC_CACHE_IN_RUN, error);
    else if (several)
        folder = dc_arena_printf(run->arena, error, "%s/%s", keys->path, t->name);
    struct dc_cache_spec spec = {
        .mode = (enum dc_cache_mode)keys->mode,
        .dtype = keys->type == 0 ? DC_F32 : DC_F16,
        .top = keys->top,
        .block = keys->block,
        .column_count = t->teacher.output_count,
        .teacher = dc_teacher_hash(&t->teacher),
        .teacher_name = t->name,
        .view = t->teacher.view,
        .augmentations = data->augment.items,
        .augmentation_count = data->augment.count,
        .augment_seed = (uint32_t)data->augment_seed,
        .source = run->train_source,
        .ids = run->train_ids,
        .id_count = run->train_count,
        .isa = run->ctx->isa,
        .shared = !keys->path[0],
    };
    if (!folder)
        return DC_ERR_MEMORY;
    for (int c = 0; c < spec.column_count; c++) {
        const struct dc_node *node = &t->teacher.graph->nodes[t->outputs[c]];
        spec.columns[c] = (struct dc_cache_column){c ? node->name : "logits",
                                                   dc_shape_row(&node->shape)};
    }
    DC_TRY_IN(dc_cache_open(&t->cache, folder, &spec, how, error), error, "stage '%s'",
              t->stage->name);
    if (spec.mode == DC_CACHE_STATIC && spec.augmentation_count > 0)
        dc_log(run->ctx, DC_LOG_WARNING,
               "%s: a static cache: '%s' judged each sample as it is, and every augmented view of "
               "it is taken to mean the same",
               t->stage->name, t->name);
    if (strcmp(dc_cache_isa(t->cache), dc_isa_name(spec.isa)) != 0)
        dc_log(run->ctx, DC_LOG_WARNING,
               "%s was begun with instruction set %s, this is %s: values are right, last bits "
               "differ; DECANT_ISA=%s keeps them",
               folder, dc_cache_isa(t->cache), dc_isa_name(spec.isa), dc_cache_isa(t->cache));
    t->recorded = (struct dc_recorded){t, start_cached_epoch, read_cache};
    return how == DC_CACHE_FIND ? DC_OK : dc__cache_record(t, how == DC_CACHE_REPAIR, error);
}

struct dc_teach_job dc__teach_job(const struct dc_stage_teacher *teacher)
{
    const struct dc_run *run = teacher->run;
    return (struct dc_teach_job){
        .cache = teacher->cache,
        .ctx = run->ctx,
        .teacher = &teacher->teacher,
        .batch = TEACHER_BATCH,
        .loader_threads = (int)run->experiment->data.loader_threads,
        .epochs = dc_cache_epochs(teacher->cache, teacher->stage->train.config.epochs),
        .progress = run->hooks.teach,
        .user = run->hooks.user,
    };
}

enum dc_status dc__teachers_open(struct dc_stage_teachers *teachers, struct dc_run *run,
                                 const struct dc_stage *stage, struct dc_error *error)
{
    const char *names[DC_TEACHERS_MAX];
    double weights[DC_TEACHERS_MAX];
    const int count = dc_stage_teachers(names, weights, stage);
    for (int i = 0; i < count; i++) {
        struct dc_stage_teacher *t = &teachers->items[teachers->count++];
        const struct dc_stage *from = dc_teacher_stage(run->experiment, stage, names[i]);
        *t = (struct dc_stage_teacher){
            .name = names[i], .weight = weights[i], .run = run, .stage = stage};
        DC_TRY(from ? open_network(t, from, error) : open_file(t, error));
    }
    return DC_OK;
}

struct dc_terms_sources dc__teachers_sources(const struct dc_stage_teachers *teachers,
                                             const struct dc_run *run)
{
    struct dc_terms_sources sources = {.teacher_count = teachers->count,
                                       .labels = run->train_source->labels,
                                       .label_count = run->train_source->count,
                                       .ids = run->train_ids,
                                       .id_count = run->train_count};
    for (int i = 0; i < teachers->count; i++) {
        const struct dc_stage_teacher *t = &teachers->items[i];
        sources.teachers[i] = (struct dc_term_teacher){.name = t->name,
                                                       .graph = t->network.graph,
                                                       .output = t->network.logits,
                                                       .weight = t->weight};
    }
    return sources;
}

enum dc_status dc__teachers_prepare(struct dc_stage_teachers *teachers,
                                    const struct dc_terms *terms, const struct dc_params *student,
                                    enum dc_cache_opening caches, struct dc_error *error)
{
    for (int i = 0; i < teachers->count; i++) {
        struct dc_stage_teacher *t = &teachers->items[i];
        gather_outputs(t, i, terms);
        if (!t->network.graph)
            continue;
        if (student && !strcmp(t->name, DC_TEACHER_AVERAGE)) {
            use_average(t, student);
            continue;
        }
        DC_TRY(fold(t, error));
        if (t->stage->distill.caches)
            DC_TRY(open_cache(t, teachers->count > 1, caches, error));
    }
    return DC_OK;
}

void dc__teachers_close(struct dc_stage_teachers *teachers)
{
    for (int i = 0; i < teachers->count; i++) {
        struct dc_stage_teacher *t = &teachers->items[i];
        dc_cache_free(t->cache);
        dc_params_free(t->folded_params);
        dc_graph_free(t->folded);
        dc_stage_network_close(&t->network);
    }
    teachers->count = 0;
}

// The number of a view in the batch; one that is there already is shared.
static int add_view(struct dc_loader_config *loading, const struct dc_view *view)
{
    int v = 0;
    while (v < loading->view_count && !dc_view_equal(&loading->views[v], view))
        v++;
    if (v == loading->view_count)
        loading->views[loading->view_count++] = *view;
    return v;
}

void dc__teachers_join(struct dc_training_parts *parts, struct dc_stage_teachers *teachers)
{
    for (int i = 0; i < teachers->count; i++) {
        struct dc_stage_teacher *t = &teachers->items[i];
        const bool recorded = t->recorded.read;
        for (int c = 0; c < t->teacher.output_count; c++)
            if (t->inputs[c] >= 0)
                parts->feeds[parts->feed_count++] = (struct dc_feed){
                    .from = parts->network_count,
                    .from_node = recorded ? c : t->outputs[c],
                    .input = t->inputs[c],
                    .recorded = recorded ? &t->recorded : NULL};
        if (!recorded)
            parts->networks[parts->network_count++] = (struct dc_network){
                .name = t->name,
                .graph = t->teacher.graph,
                .params = t->teacher.params,
                .image = t->teacher.image,
                .output = t->outputs[0],
                .outputs = t->outputs + 1,
                .output_count = t->teacher.output_count - 1,
                .view = add_view(&parts->loading, &t->teacher.view),
                .targets = -1};
    }
    for (int f = 0; f < parts->feed_count; f++)
        parts->feeds[f].to = parts->network_count;
}

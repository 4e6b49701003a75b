// Owns the loader's threads and its ring of batches.
//
// Batch b lives in slot b % depth. A thread takes the next batch number as soon as that slot is
// free, fills it alone, and marks it ready; the caller takes batches in order. Every slot is
// written by one thread between FREE and READY and read by the caller between READY and FREE, so
// the lock guards only states and numbers, never samples.

#include "data/loader.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "data/split.h"

enum slot_state { FREE, FILLING, READY };

struct slot {
    enum slot_state state;
    enum dc_status status;
    struct dc_error error;
    int64_t rows;
    uint64_t *ids;
    float *views[DC_BATCH_VIEWS], *targets;
    int32_t *labels;
};

struct worker {
    struct dc_loader *loader;
    pthread_t thread;
    void *raw;                     // one sample as stored
    float *a, *b, *mix_a, *mix_b;  // one sample each
};

struct dc_loader {
    struct dc_loader_config config;
    struct dc_arena *arena;
    int64_t *order;  // [id_count] this epoch's ids
    int64_t values;  // of a sample
    struct dc_view_maker makers[DC_BATCH_VIEWS];
    uint32_t epoch;
    struct slot *slots;
    struct worker *workers;
    int started;  // threads that run

    pthread_mutex_t lock;
    pthread_cond_t slot_free, slot_ready, idle;
    int64_t next_fill;  // the next batch a thread takes; batches() when there is none
    int64_t next_take;  // the next batch the caller gets
    int64_t held;       // the batch the caller reads now, or -1
    int busy;           // threads that fill a slot
    bool quit;
};

int64_t dc_loader_batches(const struct dc_loader *loader)
{
    return (loader->config.id_count + loader->config.batch - 1) / loader->config.batch;
}

// The view of one sample without mixing; lies in a or b.
static enum dc_status make_view(const float **view, const struct dc_loader *loader, int64_t id,
                                void *raw, float *a, float *b, struct dc_error *error)
{
    const struct dc_loader_config *config = &loader->config;
    const struct dc_source *source = config->source;
    DC_TRY_IN(dc_source_read(source, id, raw, error), error, "sample %" PRId64, id);
    dc_values_to_float(a, raw, source->dtype, loader->values);
    *view = config->all_views
                ? dc_augmentation_outcome(a, b, &source->sample, config->augmentations,
                                          config->augmentation_count, loader->epoch)
                : dc_augmentation_view(a, b, &source->sample, config->augmentations,
                                       config->augmentation_count, config->augment_seed,
                                       loader->epoch, (uint64_t)id);
    return DC_OK;
}

// out may be own: every value is read before it is written.
static const float *blend(float *out, const float *own, const float *other, float lambda,
                          int64_t values)
{
    const float rest = 1.0f - lambda;
    for (int64_t i = 0; i < values; i++) {
        const float x = own[i] * lambda, y = other[i] * rest;
        out[i] = x + y;
    }
    return out;
}

// The same for a rectangle of the other.
static const float *paste(float *out, const float *own, const float *other,
                          const struct dc_mix *mix, const struct dc_shape *sample)
{
    const int64_t width = sample->dims[1], channels = sample->dims[2];
    memmove(out, own, (size_t)(sample->dims[0] * width * channels) * sizeof *out);
    for (int64_t y = mix->top; y < mix->bottom; y++)
        memcpy(out + (y * width + mix->left) * channels, other + (y * width + mix->left) * channels,
               (size_t)((mix->right - mix->left) * channels) * sizeof *out);
    return out;
}

static void set_targets(float *targets, const struct dc_source *source, int64_t id, int64_t partner,
                        float lambda)
{
    const int64_t n = source->classes;
    for (int64_t i = 0; source->targets && i < n; i++)
        targets[i] = partner == id ? source->targets[id * n + i]
                                   : lambda * source->targets[id * n + i] +
                                         (1.0f - lambda) * source->targets[partner * n + i];
    if (source->targets)
        return;
    memset(targets, 0, (size_t)n * sizeof *targets);
    const int32_t own = source->labels[id], other = source->labels[partner];
    if (own == other) {
        targets[own] = 1.0f;
    } else {
        targets[own] = lambda;
        targets[other] = 1.0f - lambda;
    }
}

static enum dc_status fill_row(struct slot *slot, int64_t row, struct worker *worker, int64_t id,
                               struct dc_error *error)
{
    const struct dc_loader *loader = worker->loader;
    const struct dc_loader_config *config = &loader->config;
    const struct dc_source *source = config->source;
    const float *view = NULL, *other = NULL;
    struct dc_mix mix;
    DC_TRY(make_view(&view, loader, id, worker->raw, worker->a, worker->b, error));
    if (dc_augmentation_mix(&mix, config->augmentations, config->augmentation_count,
                            &source->sample, config->augment_seed, loader->epoch, (uint64_t)id,
                            config->mix_count)) {
        mix.partner = config->mix_ids[mix.partner];
        DC_TRY(make_view(&other, loader, mix.partner, worker->raw, worker->mix_a, worker->mix_b,
                         error));
        view = mix.pastes ? paste(worker->a, view, other, &mix, &source->sample)
                          : blend(worker->a, view, other, mix.lambda, loader->values);
    } else {
        mix = (struct dc_mix){.partner = id, .lambda = 1.0f};
    }
    for (int v = 0; v < config->view_count; v++)
        dc_view_make(slot->views[v] + row * loader->makers[v].values, view, &loader->makers[v]);
    slot->ids[row] = (uint64_t)id;
    if (source->labels)
        slot->labels[row] = source->labels[id];
    if (source->labels || source->targets)
        set_targets(slot->targets + row * source->classes, source, id, mix.partner, mix.lambda);
    return DC_OK;
}

static void fill(struct slot *slot, struct worker *worker, int64_t number)
{
    const struct dc_loader *loader = worker->loader;
    const int64_t first = number * loader->config.batch;
    const int64_t left = loader->config.id_count - first;
    slot->rows = left < loader->config.batch ? left : loader->config.batch;
    slot->status = DC_OK;
    for (int64_t row = 0; row < slot->rows && slot->status == DC_OK; row++)
        slot->status = fill_row(slot, row, worker, loader->order[first + row], &slot->error);
}

static bool can_fill(const struct dc_loader *loader)
{
    return loader->next_fill < dc_loader_batches(loader) &&
           loader->slots[loader->next_fill % loader->config.depth].state == FREE;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct dc_loader *loader = worker->loader;
    pthread_mutex_lock(&loader->lock);
    for (;;) {
        while (!loader->quit && !can_fill(loader))
            pthread_cond_wait(&loader->slot_free, &loader->lock);
        if (loader->quit)
            break;
        const int64_t number = loader->next_fill++;
        struct slot *slot = &loader->slots[number % loader->config.depth];
        slot->state = FILLING;
        loader->busy++;
        pthread_mutex_unlock(&loader->lock);
        fill(slot, worker, number);
        pthread_mutex_lock(&loader->lock);
        slot->state = READY;
        loader->busy--;
        pthread_cond_signal(&loader->slot_ready);
        pthread_cond_signal(&loader->idle);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

static enum dc_status allocate(struct dc_loader *loader, struct dc_error *error)
{
    struct dc_loader_config *config = &loader->config;
    const struct dc_source *source = config->source;
    struct dc_arena *arena = loader->arena;
    const int64_t rows = config->batch < config->id_count ? config->batch : config->id_count;
    const int64_t values = loader->values;
    int64_t *ids = DC_NEW(arena, int64_t, config->id_count, error);
    struct dc_augmentation *list = DC_NEW(arena, struct dc_augmentation, config->augmentation_count,
                                          error);
    bool good = ids && list;
    for (int64_t i = 0; good && i < config->id_count; i++) {
        assert(config->ids[i] >= 0 && config->ids[i] < source->count);
        ids[i] = config->ids[i];
    }
    for (int i = 0; good && i < config->augmentation_count; i++)
        list[i] = config->augmentations[i];
    config->ids = ids;
    if (!config->mix_ids) {
        config->mix_ids = ids;
        config->mix_count = config->id_count;
    }
    config->augmentations = list;
    good = good && (loader->order = DC_NEW(arena, int64_t, config->id_count, error));
    good = good && (loader->slots = DC_NEW(arena, struct slot, config->depth, error));
    good = good && (loader->workers = DC_NEW(arena, struct worker, config->threads, error));
    for (int i = 0; good && i < config->depth; i++) {
        struct slot *slot = &loader->slots[i];
        good = (slot->ids = DC_NEW(arena, uint64_t, rows, error)) &&
               (slot->labels = DC_NEW(arena, int32_t, rows, error)) &&
               (slot->targets = DC_NEW(arena, float, rows * source->classes, error));
        for (int v = 0; good && v < config->view_count; v++)
            good = (slot->views[v] = DC_NEW(arena, float, rows * loader->makers[v].values, error));
    }
    for (int i = 0; good && i < config->threads; i++) {
        struct worker *worker = &loader->workers[i];
        worker->loader = loader;
        good = (worker->raw = dc_arena_alloc(arena, (size_t)values * 4, error)) &&
               (worker->a = DC_NEW(arena, float, values, error)) &&
               (worker->b = DC_NEW(arena, float, values, error)) &&
               (worker->mix_a = DC_NEW(arena, float, values, error)) &&
               (worker->mix_b = DC_NEW(arena, float, values, error));
    }
    return good ? DC_OK : DC_ERR_MEMORY;
}

static enum dc_status start_threads(struct dc_loader *loader, struct dc_error *error)
{
    for (int i = 0; i < loader->config.threads; i++) {
        struct worker *worker = &loader->workers[i];
        if (pthread_create(&worker->thread, NULL, work, worker) != 0)
            return dc_fail(error, DC_ERR_MEMORY, "cannot start loader thread %d of %d", i + 1,
                           loader->config.threads);
        loader->started++;
    }
    return DC_OK;
}

enum dc_status dc_loader_create(struct dc_loader **out, const struct dc_loader_config *config,
                                struct dc_error *error)
{
    const struct dc_source *source = config->source;
    *out = NULL;
    assert(config->depth >= 1 && config->threads >= 1 && config->batch >= 1);
    assert(config->id_count >= 1 && config->view_count >= 1);
    DC_TRY(dc_augmentations_check(config->augmentations, config->augmentation_count,
                                  &source->sample, source->dtype, error));
    struct dc_loader *loader = calloc(1, sizeof *loader);
    if (!loader)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    loader->config = *config;
    loader->values = dc_shape_count(&source->sample);
    loader->held = -1;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->slot_free, NULL);
    pthread_cond_init(&loader->slot_ready, NULL);
    pthread_cond_init(&loader->idle, NULL);
    enum dc_status status = dc_arena_create(&loader->arena, error);
    for (int v = 0; v < config->view_count && status == DC_OK; v++)
        status = dc_view_maker_create(&loader->makers[v], &config->views[v], source, loader->arena,
                                      error);
    if (status == DC_OK)
        status = allocate(loader, error);
    if (status == DC_OK) {
        loader->next_fill = loader->next_take = dc_loader_batches(loader);  // nothing until start
        status = start_threads(loader, error);
    }
    if (status == DC_OK)
        *out = loader;
    else
        dc_loader_free(loader);
    return status;
}

void dc_loader_free(struct dc_loader *loader)
{
    if (!loader)
        return;
    pthread_mutex_lock(&loader->lock);
    loader->quit = true;
    pthread_cond_broadcast(&loader->slot_free);
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < loader->started; i++)
        pthread_join(loader->workers[i].thread, NULL);
    pthread_mutex_destroy(&loader->lock);
    pthread_cond_destroy(&loader->slot_free);
    pthread_cond_destroy(&loader->slot_ready);
    pthread_cond_destroy(&loader->idle);
    dc_arena_free(loader->arena);
    free(loader);
}

enum dc_status dc_loader_start(struct dc_loader *loader, int64_t epoch, int64_t first_batch,
                               struct dc_error *error)
{
    const struct dc_loader_config *config = &loader->config;
    const int64_t batches = dc_loader_batches(loader);
    assert(epoch >= 0 && epoch <= UINT32_MAX);
    if (first_batch < 0 || first_batch > batches)
        return dc_fail(error, DC_ERR_DATA,
                       "batch %" PRId64 " to start from, but an epoch has %" PRId64, first_batch,
                       batches);
    pthread_mutex_lock(&loader->lock);
    loader->next_fill = batches;  // nobody takes a new batch while the old ones are finished
    while (loader->busy > 0)
        pthread_cond_wait(&loader->idle, &loader->lock);
    for (int i = 0; i < config->depth; i++)
        loader->slots[i].state = FREE;
    loader->epoch = (uint32_t)epoch;
    memcpy(loader->order, config->ids, (size_t)config->id_count * sizeof *loader->order);
    if (config->shuffle) {
        struct dc_random random;
        dc_random_start(&random, config->shuffle_seed, DC_PURPOSE_SHUFFLE, loader->epoch, 0);
        dc_shuffle(loader->order, config->id_count, &random);
    }
    loader->held = -1;
    loader->next_take = loader->next_fill = first_batch;
    pthread_cond_broadcast(&loader->slot_free);
    pthread_mutex_unlock(&loader->lock);
    return DC_OK;
}

enum dc_status dc_loader_next(struct dc_loader *loader, struct dc_batch *batch,
                              struct dc_error *error)
{
    const struct dc_source *source = loader->config.source;
    enum dc_status status = DC_OK;
    *batch = (struct dc_batch){0};
    DC_TRY(dc_check_stop(loader->config.stop, error));
    pthread_mutex_lock(&loader->lock);
    if (loader->held >= 0) {
        loader->slots[loader->held % loader->config.depth].state = FREE;
        loader->held = -1;
        pthread_cond_signal(&loader->slot_free);
    }
    if (loader->next_take < dc_loader_batches(loader)) {
        const struct slot *slot = &loader->slots[loader->next_take % loader->config.depth];
        while (slot->state != READY)
            pthread_cond_wait(&loader->slot_ready, &loader->lock);
        status = slot->status;
        if (status == DC_OK) {
            loader->held = loader->next_take++;
            *batch = (struct dc_batch){
                .rows = slot->rows,
                .ids = slot->ids,
                .inputs = slot->views[0],
                .targets = source->labels || source->targets ? slot->targets : NULL,
                .labels = source->labels ? slot->labels : NULL,
            };
            for (int v = 0; v < loader->config.view_count; v++)
                batch->views[v] = slot->views[v];
        } else if (error) {
            *error = slot->error;
        }
    }
    pthread_mutex_unlock(&loader->lock);
    return status;
}

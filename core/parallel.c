// Owns the worker threads. A job is posted by bumping a generation number; workers take indices
// from an atomic counter. They spin for a moment before they sleep on a condition variable, because
// the jobs of a training step follow each other within microseconds, and yield while spinning.

#include "core/parallel.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SPINS = 200 };

struct dc_team {
    pthread_mutex_t lock;
    pthread_cond_t posted, finished;
    atomic_uint generation;  // bumped when a job is posted
    atomic_int next;         // the next index to take
    atomic_int working;      // workers that have not finished the current job
    int count;
    dc_body *body;
    void *arg;
    bool quit;
    bool in_job;  // set while a job runs, so that nested calls run serially
    int workers;
    struct worker {
        struct dc_team *team;
        pthread_t thread;
        int index;
    } * worker;
};

static void take_indices(struct dc_team *team, int thread)
{
    for (;;) {
        const int i = atomic_fetch_add(&team->next, 1);
        if (i >= team->count)
            return;
        team->body(team->arg, i, thread);
    }
}

static unsigned wait_for_job(struct dc_team *team, unsigned seen)
{
    for (int i = 0; i < SPINS; i++) {
        const unsigned now = atomic_load(&team->generation);
        if (now != seen)
            return now;
        sched_yield();
    }
    pthread_mutex_lock(&team->lock);
    while (atomic_load(&team->generation) == seen)
        pthread_cond_wait(&team->posted, &team->lock);
    pthread_mutex_unlock(&team->lock);
    return atomic_load(&team->generation);
}

static void *work(void *arg)
{
    struct worker *self = arg;
    struct dc_team *team = self->team;
    for (unsigned seen = 0;;) {
        seen = wait_for_job(team, seen);
        if (team->quit)
            return NULL;
        take_indices(team, self->index);
        if (atomic_fetch_sub(&team->working, 1) == 1) {
            pthread_mutex_lock(&team->lock);
            pthread_cond_signal(&team->finished);
            pthread_mutex_unlock(&team->lock);
        }
    }
}

static void post(struct dc_team *team)
{
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->generation, 1);
    pthread_cond_broadcast(&team->posted);
    pthread_mutex_unlock(&team->lock);
}

static void wait_for_workers(struct dc_team *team)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&team->working) == 0)
            return;
        sched_yield();
    }
    pthread_mutex_lock(&team->lock);
    while (atomic_load(&team->working) != 0)
        pthread_cond_wait(&team->finished, &team->lock);
    pthread_mutex_unlock(&team->lock);
}

enum dc_status dc_team_create(struct dc_team **out, int threads, struct dc_error *error)
{
    *out = NULL;
    struct dc_team *team = calloc(1, sizeof *team);
    struct worker *workers = calloc((size_t)threads, sizeof *workers);
    if (!team || !workers) {
        free(team);
        free(workers);
        return dc_fail(error, DC_ERR_MEMORY, "out of memory for %d threads", threads);
    }
    team->worker = workers;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->posted, NULL);
    pthread_cond_init(&team->finished, NULL);
    for (int i = 0; i < threads - 1; i++) {
        struct worker *worker = &team->worker[i];
        *worker = (struct worker){.team = team, .index = i + 1};
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) {
            dc_team_free(team);
            return dc_fail(error, DC_ERR_MEMORY, "cannot start thread %d of %d", i + 2, threads);
        }
        team->workers++;
    }
    *out = team;
    return DC_OK;
}

void dc_team_free(struct dc_team *team)
{
    if (!team)
        return;
    team->quit = true;
    post(team);
    for (int i = 0; i < team->workers; i++)
        pthread_join(team->worker[i].thread, NULL);
    pthread_mutex_destroy(&team->lock);
    pthread_cond_destroy(&team->posted);
    pthread_cond_destroy(&team->finished);
    free(team->worker);
    free(team);
}

void dc_parallel_for(const struct dc_ctx *ctx, int count, dc_body *body, void *arg)
{
    struct dc_team *team = ctx->team;
    if (count <= 1 || team->workers == 0 || team->in_job) {
        for (int i = 0; i < count; i++)
            body(arg, i, 0);
        return;
    }
    team->in_job = true;
    team->body = body;
    team->arg = arg;
    team->count = count;
    atomic_store(&team->next, 0);
    atomic_store(&team->working, team->workers);
    post(team);
    take_indices(team, 0);
    wait_for_workers(team);
    team->in_job = false;
}

enum { TREE_BLOCK = 4096, TREE_CHUNKS_MAX = 64 };

struct tree_job {
    float *sum;
    const float *parts;
    int64_t count, stride;
    int chunks;
};

// One level of the tree halves the number of partials; a block of every partial is folded at a
// time.
static void tree_block(void *arg, int index, int thread)
{
    (void)thread;
    const struct tree_job *job = arg;
    const int64_t first = (int64_t)index * TREE_BLOCK;
    const int64_t left = job->count - first;
    const int n = (int)(left < TREE_BLOCK ? left : TREE_BLOCK);
    assert(job->chunks >= 1);
    float level[8][512];
    for (int start = 0; start < n; start += 512) {
        const int m = n - start < 512 ? n - start : 512;
        const float *p = job->parts + first + start;
        int depth = 0;  // like binary addition: level[d] holds the sum of an aligned subtree
        for (int c = 0; c < job->chunks; c++, p += job->stride) {
            for (int i = 0; i < m; i++)
                level[depth][i] = p[i];
            depth++;
            for (int bits = c; bits & 1; bits >>= 1, depth--) {
                for (int i = 0; i < m; i++)
                    level[depth - 2][i] = level[depth - 2][i] + level[depth - 1][i];
            }
        }
        float *sum = job->sum + first + start;
        for (int i = 0; i < m; i++)
            sum[i] += level[0][i];
    }
}

void dc_tree_sum(const struct dc_ctx *ctx, float *sum, const float *parts, int64_t count,
                 int64_t stride)
{
    assert(ctx->chunks <= TREE_CHUNKS_MAX && (ctx->chunks & (ctx->chunks - 1)) == 0);
    struct tree_job job = {sum, parts, count, stride, ctx->chunks};
    dc_parallel_for(ctx, (int)((count + TREE_BLOCK - 1) / TREE_BLOCK), tree_block, &job);
}

enum { DOUBLE_BLOCK = 128 };

void dc_tree_sum_double(double *sum, const double *parts, int chunks, int64_t count, int64_t stride)
{
    assert(chunks >= 1 && chunks <= TREE_CHUNKS_MAX);
    double level[8][DOUBLE_BLOCK];
    for (int64_t first = 0; first < count; first += DOUBLE_BLOCK) {
        const int n = count - first < DOUBLE_BLOCK ? (int)(count - first) : DOUBLE_BLOCK;
        int depth = 0;
        for (int c = 0; c < chunks; c++) {
            memcpy(level[depth++], parts + c * stride + first, sizeof(double) * (size_t)n);
            for (int bits = c; bits & 1; bits >>= 1, depth--)
                for (int i = 0; i < n; i++)
                    level[depth - 2][i] = level[depth - 2][i] + level[depth - 1][i];
        }
        memcpy(sum + first, level[0], sizeof(double) * (size_t)n);
    }
}

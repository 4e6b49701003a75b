// The parallel loop, the cut into chunks, and sums over the fixed tree.

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/parallel.h"

static struct dc_ctx *open_context(int threads, int chunks)
{
    struct dc_ctx *ctx = NULL;
    struct dc_error error;
    const struct dc_ctx_config config = {.threads = threads, .chunks = chunks};
    if (dc_ctx_create(&ctx, &config, &error) != DC_OK)
        fail_msg("%s", error.message);
    return ctx;
}

enum { INDICES_MAX = 1000 };

struct counts {
    const struct dc_ctx *ctx;
    atomic_int seen[INDICES_MAX];
    atomic_int wrong;
    int inner;
};

static void count_index(void *arg, int index, int thread)
{
    struct counts *counts = arg;
    if (thread < 0 || thread >= counts->ctx->threads)
        atomic_fetch_add(&counts->wrong, 1);
    atomic_fetch_add(&counts->seen[index], 1);
}

static void every_index_runs_once(void **state)
{
    (void)state;
    static struct counts counts;
    const int sizes[] = {0, 1, 2, 3, 16, 17, INDICES_MAX};
    for (int threads = 1; threads <= 4; threads++) {
        counts.ctx = open_context(threads, 0);
        for (int s = 0; s < 7; s++) {
            memset(counts.seen, 0, sizeof counts.seen);
            dc_parallel_for(counts.ctx, sizes[s], count_index, &counts);
            for (int i = 0; i < INDICES_MAX; i++)
                assert_int_equal(counts.seen[i], i < sizes[s]);
        }
        assert_int_equal(counts.wrong, 0);
        dc_ctx_free((struct dc_ctx *)counts.ctx);
    }
}

static void many_short_jobs_finish(void **state)
{
    (void)state;
    static struct counts counts;
    memset(&counts, 0, sizeof counts);
    counts.ctx = open_context(3, 0);
    for (int job = 0; job < 3000; job++)
        dc_parallel_for(counts.ctx, 1 + job % 7, count_index, &counts);
    int total = 0, expected = 0;
    for (int i = 0; i < 7; i++)
        total += counts.seen[i];
    for (int job = 0; job < 3000; job++)
        expected += 1 + job % 7;
    assert_int_equal(total, expected);
    dc_ctx_free((struct dc_ctx *)counts.ctx);
}

static void run_inner(void *arg, int index, int thread)
{
    (void)index;
    (void)thread;
    struct counts *counts = arg;
    dc_parallel_for(counts->ctx, counts->inner, count_index, counts);
}

static void nested_loops_run_every_index(void **state)
{
    (void)state;
    static struct counts counts;
    memset(&counts, 0, sizeof counts);
    counts.ctx = open_context(3, 0);
    counts.inner = 50;
    dc_parallel_for(counts.ctx, 20, run_inner, &counts);
    for (int i = 0; i < 50; i++)
        assert_int_equal(counts.seen[i], 20);
    dc_ctx_free((struct dc_ctx *)counts.ctx);
}

static void contexts_come_and_go(void **state)
{
    (void)state;
    static struct counts counts;
    for (int i = 0; i < 50; i++) {
        memset(&counts, 0, sizeof counts);
        counts.ctx = open_context(1 + i % 5, 0);
        dc_parallel_for(counts.ctx, i % 3 * 4, count_index, &counts);
        dc_ctx_free((struct dc_ctx *)counts.ctx);
    }
    dc_ctx_free(NULL);
}

static void impossible_contexts_are_refused(void **state)
{
    (void)state;
    const int chunks[] = {3, -1, 128};
    for (int i = 0; i < 3; i++) {
        struct dc_ctx *ctx = NULL;
        struct dc_error error;
        const struct dc_ctx_config config = {.threads = 1, .chunks = chunks[i]};
        assert_int_equal(dc_ctx_create(&ctx, &config, &error), DC_ERR_CONFIG);
        assert_non_null(strstr(error.message, "power of two"));
        assert_null(ctx);
    }
}

// Chunks follow each other without gaps, and sizes differ by at most one.
static void chunks_cover_the_batch(void **state)
{
    (void)state;
    for (int chunks = 1; chunks <= 64; chunks *= 2)
        for (int64_t batch = 0; batch < 200; batch++) {
            int64_t next = 0;
            for (int c = 0; c < chunks; c++) {
                const struct dc_rows rows = dc_chunk_rows(batch, chunks, c);
                assert_int_equal(rows.first, next);
                assert_in_range(rows.count, batch / chunks, (batch + chunks - 1) / chunks);
                next += rows.count;
            }
            assert_int_equal(next, batch);
        }
}

// The definition: a node is the sum of its two halves.
static float tree_of(const float *parts, int64_t stride, int count)
{
    if (count == 1)
        return parts[0];
    return tree_of(parts, stride, count / 2) +
           tree_of(parts + stride * (count / 2), stride, count / 2);
}

static double tree_of_doubles(const double *parts, int64_t stride, int count)
{
    if (count == 1)
        return parts[0];
    return tree_of_doubles(parts, stride, count / 2) +
           tree_of_doubles(parts + stride * (count / 2), stride, count / 2);
}

static void tree_sums_equal_the_definition(void **state)
{
    (void)state;
    const int64_t counts[] = {1, 15, 511, 513, 4096, 9001};
    for (int chunks = 1; chunks <= 64; chunks *= 2)
        for (int n = 0; n < 6; n++) {
            const int64_t count = counts[n], stride = count + 5;
            float *parts = malloc(sizeof *parts * (size_t)(stride * chunks));
            double *wide = malloc(sizeof *wide * (size_t)(stride * chunks));
            float *sum = malloc(sizeof *sum * (size_t)(count + 1));
            double *wide_sum = malloc(sizeof *wide_sum * (size_t)(count + 1));
            assert_true(parts && wide && sum && wide_sum);
            uint32_t bits = 1;
            for (int64_t i = 0; i < stride * chunks; i++) {
                bits = bits * 1664525u + 1013904223u;
                parts[i] = ((float)(bits >> 8) - 8e6f) * (bits >> 31 ? 1.0f : 1e-5f);
                wide[i] = (double)parts[i] * 1.1;
            }
            for (int threads = 1; threads <= 3; threads++) {
                struct dc_ctx *ctx = open_context(threads, chunks);
                for (int64_t i = 0; i <= count; i++)
                    sum[i] = 0.25f;
                dc_tree_sum(ctx, sum, parts, count, stride);
                for (int64_t i = 0; i < count; i++)
                    assert_true(sum[i] == 0.25f + tree_of(parts + i, stride, chunks));
                assert_true(sum[count] == 0.25f);
                dc_ctx_free(ctx);
            }
            wide_sum[count] = 0.5;
            dc_tree_sum_double(wide_sum, wide, chunks, count, stride);
            for (int64_t i = 0; i < count; i++)
                assert_true(wide_sum[i] == tree_of_doubles(wide + i, stride, chunks));
            assert_true(wide_sum[count] == 0.5);
            free(parts);
            free(wide);
            free(sum);
            free(wide_sum);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_runs_once),           cmocka_unit_test(many_short_jobs_finish),
        cmocka_unit_test(nested_loops_run_every_index),    cmocka_unit_test(contexts_come_and_go),
        cmocka_unit_test(impossible_contexts_are_refused), cmocka_unit_test(chunks_cover_the_batch),
        cmocka_unit_test(tree_sums_equal_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

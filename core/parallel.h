// The one parallel loop.
//
// dc_parallel_for calls body(arg, i, thread) once for every i in [0, count), on the caller's thread
// and on the context's workers, and returns when all calls have returned. Order and thread are
// unspecified, so a body must write only what index i owns; everything that is summed over i is
// summed afterwards in a fixed order (dc_tree_sum). thread is in [0, ctx->threads) and picks
// per-thread scratch.
//
// Waiting spins briefly and then sleeps: a busy neighbour on the machine costs its share, not more.
// Nested calls run serially on the calling thread and pass thread 0: a nested body must not use
// per-thread scratch.

#ifndef DC_CORE_PARALLEL_H
#define DC_CORE_PARALLEL_H

#include "core/context.h"

typedef void dc_body(void *arg, int index, int thread);

void dc_parallel_for(const struct dc_ctx *ctx, int count, dc_body *body, void *arg);

struct dc_team;
DC_MUST_USE enum dc_status dc_team_create(struct dc_team **team, int threads,
                                          struct dc_error *error);
void dc_team_free(struct dc_team *team);

// The fixed binary tree over chunk partials: ((p0+p1)+(p2+p3))+((p4+p5)+(p6+p7))...
// parts: [chunks][stride], chunks a power of two. sum[i] += tree over c of parts[c][i] for
// i in [0, count). A thread or a rank that owns an aligned subtree may send one partial.
void dc_tree_sum(const struct dc_ctx *ctx, float *sum, const float *parts, int64_t count,
                 int64_t stride);
// The same in double, serial, for the few values per channel of statistics. Overwrites *sum.
void dc_tree_sum_double(double *sum, const double *parts, int chunks, int64_t count,
                        int64_t stride);

#endif

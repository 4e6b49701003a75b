// What every computation is handed: threads, chunks, instruction set, log.
//
// There are no globals: a dc_ctx is passed explicitly. One context is used by one caller at a time;
// its worker threads serve that caller's dc_parallel_for and nothing else.

#ifndef DC_CORE_CONTEXT_H
#define DC_CORE_CONTEXT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

struct dc_kernels;
struct dc_team;

enum dc_isa { DC_ISA_SCALAR, DC_ISA_SSE2, DC_ISA_AVX2, DC_ISA_AVX512, DC_ISA_COUNT };

enum dc_log_level { DC_LOG_DEBUG, DC_LOG_INFO, DC_LOG_WARNING };

// Receives one line without a newline. May be called from the caller's thread only.
struct dc_log_sink {
    void (*write)(void *user, enum dc_log_level level, const char *line);
    void *user;
};

struct dc_ctx {
    int threads;
    int chunks;  // a power of two; the batch is cut into this many parts, whatever `threads` is
    enum dc_isa isa;
    const struct dc_kernels *kernels;
    struct dc_team *team;
    struct dc_log_sink log;
    const volatile sig_atomic_t
        *stop;  // non-zero asks a long job to checkpoint and return; or NULL
};

enum { DC_THREADS_MAX = 4096 };  // that a user may ask for

struct dc_ctx_config {
    int threads;  // 0: what affinity, cgroup and SLURM_CPUS_PER_TASK allow
    int chunks;   // 0: 16
    enum dc_isa isa;
    bool isa_given;  // false: the best this machine has, or DECANT_ISA (scalar, sse2, ...)
    struct dc_log_sink log;
    const volatile sig_atomic_t *stop;
};

DC_MUST_USE enum dc_status dc_ctx_create(struct dc_ctx **ctx, const struct dc_ctx_config *config,
                                         struct dc_error *error);
void dc_ctx_free(struct dc_ctx *ctx);

const char *dc_isa_name(enum dc_isa isa);
enum dc_isa dc_isa_detected(void);

// What affinity, cgroup v2 and SLURM_CPUS_PER_TASK leave to this process; at least 1.
int dc_threads_available(void);

void dc_log(const struct dc_ctx *ctx, enum dc_log_level level, const char *format, ...)
    DC_PRINTF(3, 4);

bool dc_stop_requested(const struct dc_ctx *ctx);
// DC_ERR_STOPPED where the flag (or NULL) is raised. For loops that have nothing of their own to
// keep: what earlier stages and checkpoints hold stays.
DC_MUST_USE enum dc_status dc_check_stop(const volatile sig_atomic_t *stop, struct dc_error *error);

// Rows of a batch that belong to chunk c: [first, first + count). A pure function of the batch
// size: boundaries do not know about threads. Chunks may be empty.
struct dc_rows {
    int64_t first, count;
};
struct dc_rows dc_chunk_rows(int64_t batch, int chunks, int chunk);

#endif

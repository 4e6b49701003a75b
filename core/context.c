// Owns the context: how many threads this process may use, and which kernels this machine runs.

#include "core/context.h"

#include <assert.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/parallel.h"

enum { DEFAULT_CHUNKS = 16, CHUNKS_MAX = 64 };

static const char *const isa_names[] = {"scalar", "sse2", "avx2", "avx512"};
static_assert(sizeof isa_names / sizeof isa_names[0] == DC_ISA_COUNT, "one name per level");

const char *dc_isa_name(enum dc_isa isa)
{
    return isa_names[isa];
}

enum dc_isa dc_isa_detected(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return DC_ISA_SSE2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return DC_ISA_AVX512;
    return DC_ISA_AVX2;
#else
    return DC_ISA_SCALAR;
#endif
}

// cgroup v2: "QUOTA PERIOD" in microseconds, or "max PERIOD".
static int cgroup_limit(void)
{
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (!file)
        return 0;
    long quota = 0, period = 0;
    const int fields = fscanf(file, "%ld %ld", &quota, &period);
    fclose(file);
    return fields == 2 && quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

int dc_threads_available(void)
{
    int threads = 1;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        threads = CPU_COUNT(&set);
    const int quota = cgroup_limit();
    if (quota > 0 && quota < threads)
        threads = quota;
    const char *slurm = getenv("SLURM_CPUS_PER_TASK");
    const long granted = slurm ? strtol(slurm, NULL, 10) : 0;
    if (granted > 0 && granted < threads)
        threads = (int)granted;
    return threads > 0 ? threads : 1;
}

static enum dc_status choose_isa(enum dc_isa *isa, const struct dc_ctx_config *config,
                                 struct dc_error *error)
{
    const enum dc_isa best = dc_isa_detected();
    *isa = config->isa_given ? config->isa : best;
    const char *forced = config->isa_given ? NULL : getenv("DECANT_ISA");
    if (forced) {
        int i = 0;
        while (i < DC_ISA_COUNT && strcmp(forced, isa_names[i]) != 0)
            i++;
        if (i == DC_ISA_COUNT)
            return dc_fail(error, DC_ERR_CONFIG,
                           "DECANT_ISA is '%s'; it may be scalar, sse2, avx2 or avx512", forced);
        *isa = (enum dc_isa)i;
    }
    if (*isa > best)
        return dc_fail(error, DC_ERR_CONFIG, "this machine does not run %s, only up to %s",
                       isa_names[*isa], isa_names[best]);
    return DC_OK;
}

enum dc_status dc_ctx_create(struct dc_ctx **out, const struct dc_ctx_config *config,
                             struct dc_error *error)
{
    *out = NULL;
    enum dc_isa isa = DC_ISA_SCALAR;
    DC_TRY(choose_isa(&isa, config, error));
    const int chunks = config->chunks ? config->chunks : DEFAULT_CHUNKS;
    if (chunks < 1 || chunks > CHUNKS_MAX || (chunks & (chunks - 1)) != 0)
        return dc_fail(error, DC_ERR_CONFIG, "chunks must be a power of two up to %d, not %d",
                       CHUNKS_MAX, chunks);
    struct dc_ctx *ctx = calloc(1, sizeof *ctx);
    if (!ctx)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    *ctx = (struct dc_ctx){
        .threads = config->threads > 0 ? config->threads : dc_threads_available(),
        .chunks = chunks,
        .isa = isa,
        .kernels = dc_kernels_for(isa),
        .log = config->log,
        .stop = config->stop,
    };
    const enum dc_status status = dc_team_create(&ctx->team, ctx->threads, error);
    if (status != DC_OK) {
        free(ctx);
        return status;
    }
    *out = ctx;
    return DC_OK;
}

void dc_ctx_free(struct dc_ctx *ctx)
{
    if (!ctx)
        return;
    dc_team_free(ctx->team);
    free(ctx);
}

void dc_log(const struct dc_ctx *ctx, enum dc_log_level level, const char *format, ...)
{
    if (!ctx->log.write)
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ctx->log.write(ctx->log.user, level, line);
}

bool dc_stop_requested(const struct dc_ctx *ctx)
{
    return ctx->stop && *ctx->stop;
}

enum dc_status dc_check_stop(const volatile sig_atomic_t *stop, struct dc_error *error)
{
    if (!stop || !*stop)
        return DC_OK;
    return dc_fail(error, DC_ERR_STOPPED, "stopped; what was done before stays, start again");
}

struct dc_rows dc_chunk_rows(int64_t batch, int chunks, int chunk)
{
    const int64_t first = batch * chunk / chunks;
    const int64_t end = batch * (chunk + 1) / chunks;
    return (struct dc_rows){first, end - first};
}

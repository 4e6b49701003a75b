// Owns the example as it is linked for a measurement, in a temporary folder that is removed
// afterwards. The C is made anew: nothing of a bundle is compiled.

#include "export/measure.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/folder.h"
#include "export/c_source.h"
#include "export/device_text.h"
#include "export/process.h"

enum { WORDS = 48, FLAGS_MAX = 4 };

static const char *const core_flags[DC_CORE_COUNT][FLAGS_MAX] = {
    [DC_CORTEX_M0] = {"-mcpu=cortex-m0"},
    [DC_CORTEX_M3] = {"-mcpu=cortex-m3"},
    [DC_CORTEX_M4] = {"-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"},
    [DC_CORTEX_M7] = {"-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"},
    [DC_CORTEX_M33] = {"-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"},
    [DC_CORTEX_M55] = {"-mcpu=cortex-m55", "-mfloat-abi=hard"}};

static const char *const files[] = {"network.h", "network.c", "board.h",     "main.c", "mps2.c",
                                    "mps2.ld",   "posix.c",   "program.elf", "sizes",  NULL};

static bool has_compiler(void)
{
    const char *rest = getenv("PATH");
    char path[1024];
    while (rest && *rest) {
        const size_t length = strcspn(rest, ":");
        snprintf(path, sizeof path, "%.*s/arm-none-eabi-gcc", (int)length, rest);
        if (access(path, X_OK) == 0)
            return true;
        rest += length + (rest[length] == ':');
    }
    return false;
}

static enum dc_status write_files(const char *work, const struct dc_imodel *model,
                                  const struct dc_vectors *vectors, struct dc_arena *arena,
                                  struct dc_error *error)
{
    DC_TRY(dc_c_source_write(work, "network", model, vectors, error));
    for (const struct dc__device_text *text = dc__example_texts; text->name; text++) {
        const char *path = dc_arena_printf(arena, error, "%s/%s", work, text->name);
        if (!path)
            return DC_ERR_MEMORY;
        DC_TRY(dc_file_write(path, text->text, strlen(text->text), error));
    }
    return DC_OK;
}

static enum dc_status run(char *const argv[], const char *out, const struct dc_ctx *ctx,
                          struct dc_error *error)
{
    pid_t pid;
    int code = 0;
    DC_TRY(dc__process_start(&pid, argv, "/dev/null", out, error));
    DC_TRY(dc__process_finish(&code, ctx, pid, error));
    return code == 0 ? DC_OK
                     : dc_fail(error, DC_ERR_VERIFY, "%s refused the exported C (exit %d)", argv[0],
                               code);
}

static enum dc_status link_example(const char *work, const struct dc_ctx *ctx, enum dc_core core,
                                   enum dc_optimization optimization, bool selftest,
                                   struct dc_arena *arena, struct dc_error *error)
{
    static const char *const fixed[] = {"-std=gnu99",
                                        "-mthumb",
                                        "-nostartfiles",
                                        "--specs=nano.specs",
                                        "--specs=nosys.specs",
                                        "-include",
                                        "network.h",
                                        "-DNETWORK=network",
                                        "-DINPUT_BYTES=NETWORK_INPUT_SIZE",
                                        "-DOUTPUT_BYTES=NETWORK_OUTPUT_SIZE"};
    static const char *const inputs[] = {"main.c", "mps2.c", "network.c"};
    const char *argv[WORDS];
    int count = 0;
    argv[count++] = "arm-none-eabi-gcc";
    argv[count++] = dc_optimization_names[optimization];
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        argv[count++] = fixed[i];
    for (int i = 0; i < FLAGS_MAX && core_flags[core][i]; i++)
        argv[count++] = core_flags[core][i];
    if (!selftest)
        for (int i = 0; i < 2; i++)
            argv[count++] = i ? "-DNO_SELFTEST" : "-DNETWORK_NO_SELFTEST";
    argv[count++] = dc_arena_printf(arena, error, "-I%s", work);
    argv[count++] = dc_arena_printf(arena, error, "-Wl,-T,%s/mps2.ld", work);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        argv[count++] = dc_arena_printf(arena, error, "%s/%s", work, inputs[i]);
    argv[count++] = "-o";
    argv[count++] = dc_arena_printf(arena, error, "%s/program.elf", work);
    argv[count] = NULL;
    for (int i = 0; i < count; i++)
        if (!argv[i])
            return DC_ERR_MEMORY;
    return run((char *const *)argv, NULL, ctx, error);
}

static enum dc_status read_sizes(int64_t *flash, int64_t *ram, const char *work,
                                 const struct dc_ctx *ctx, struct dc_arena *arena,
                                 struct dc_error *error)
{
    char *program = dc_arena_printf(arena, error, "%s/program.elf", work), *text = NULL;
    char *sizes = dc_arena_printf(arena, error, "%s/sizes", work);
    char *const argv[] = {"arm-none-eabi-size", program, NULL};
    size_t size;
    if (!program || !sizes)
        return DC_ERR_MEMORY;
    DC_TRY(run(argv, sizes, ctx, error));
    DC_TRY(dc_file_read(&text, &size, sizes, arena, error));
    char *line = strchr(text, '\n');
    if (!line)
        return dc_fail(error, DC_ERR_VERIFY, "arm-none-eabi-size says nothing");
    const int64_t code = strtoll(line, &line, 10), data = strtoll(line, &line, 10);
    *flash = code + data;
    *ram = data + strtoll(line, &line, 10);
    return DC_OK;
}

static enum dc_status measure(int64_t *flash, int64_t *ram, char *work, const struct dc_ctx *ctx,
                              const struct dc_imodel *model, const struct dc_vectors *vectors,
                              enum dc_core core, enum dc_optimization optimization, bool selftest,
                              struct dc_arena *arena, struct dc_error *error)
{
    DC_TRY(dc_folder_mark(work, files, error));
    DC_TRY(write_files(work, model, vectors, arena, error));
    DC_TRY(link_example(work, ctx, core, optimization, selftest, arena, error));
    return read_sizes(flash, ram, work, ctx, arena, error);
}

enum dc_status dc_measure(bool *measured, int64_t *flash, int64_t *ram, const struct dc_ctx *ctx,
                          const struct dc_imodel *model, const struct dc_vectors *vectors,
                          enum dc_core core, enum dc_optimization optimization, bool selftest,
                          struct dc_error *error)
{
    const char *base = getenv("TMPDIR");
    struct dc_arena *arena = NULL;
    *measured = has_compiler();
    if (!*measured)
        return DC_OK;
    base = base && *base ? base : "/tmp";
    dc_sweep_prefixed(base, "decant-measure");
    DC_TRY(dc_arena_create(&arena, error));
    char *work = dc_arena_printf(arena, error, "%s/decant-measure-%ld-XXXXXX", base,
                                 (long)getpid());
    enum dc_status status = work ? DC_OK : DC_ERR_MEMORY;
    if (work && !mkdtemp(work))
        status = dc_fail(error, DC_ERR_IO, "%s: cannot be created: %s", work, strerror(errno));
    if (status == DC_OK) {
        status = measure(flash, ram, work, ctx, model, vectors, core, optimization, selftest, arena,
                         error);
        dc_folder_discard(work);
    }
    dc_arena_free(arena);
    return status;
}

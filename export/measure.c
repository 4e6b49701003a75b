// Owns the example as it is linked for a measurement, in a temporary folder that is removed
// afterwards. The C is made anew: nothing of a bundle is compiled.

#include "export/measure.h"

#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/folder.h"
#include "export/c_source.h"
#include "export/process.h"
#include "export/rungs.h"

static enum dc_status read_sizes(int64_t *flash, int64_t *ram, const char *folder,
                                 const struct dc_ctx *ctx, struct dc_arena *arena,
                                 struct dc_error *error)
{
    char *const argv[] = {"arm-none-eabi-size", "program.elf", NULL};
    char *sizes = dc_arena_printf(arena, error, "%s/answers", folder), *text = NULL;
    const struct dc__command command = {
        .argv = argv, .folder = folder, .in = "/dev/null", .out = sizes};
    int code = 0;
    if (!sizes)
        return DC_ERR_MEMORY;
    DC_TRY(dc__process_run(&code, ctx, &command, error));
    DC_TRY(dc_file_read(&text, NULL, sizes, arena, error));
    char *line = strchr(text, '\n');
    if (code != 0 || !line)
        return dc_fail(error, DC_ERR_VERIFY, "arm-none-eabi-size gives no sizes (exit %d)", code);
    const int64_t data_less = strtoll(line, &line, 10), data = strtoll(line, &line, 10);
    *flash = data_less + data;
    *ram = data + strtoll(line, &line, 10);
    return DC_OK;
}

static enum dc_status measure(int64_t *flash, int64_t *ram, const char *work,
                              const struct dc_ctx *ctx, const struct dc_imodel *model,
                              const struct dc_vectors *vectors, enum dc_core core,
                              enum dc_optimization optimization, bool selftest,
                              struct dc_arena *arena, struct dc_error *error)
{
    const struct dc__build build = {
        .rung = (enum dc_rung)(DC_RUNG_CORTEX_M0 + (int)core),
        .flags = dc_arena_printf(arena, error, "%s %s", dc_optimization_names[optimization],
                                 selftest ? "" : "-DNETWORK_NO_SELFTEST -DNO_SELFTEST"),
        .folder = work};
    int code = 0;
    if (!build.flags)
        return DC_ERR_MEMORY;
    DC_TRY(dc_c_source_write(work, "network", model, vectors, error));
    DC_TRY(dc__rung_write_texts(work, arena, error));
    DC_TRY(dc__rung_build(&code, ctx, &build, arena, error));
    if (code != 0)
        return dc_fail(error, DC_ERR_VERIFY, "the exported C was not compiled for a %s: %s",
                       dc_core_names[core], dc__rung_words(work, arena));
    return read_sizes(flash, ram, work, ctx, arena, error);
}

enum dc_status dc_measure(bool *measured, int64_t *flash, int64_t *ram, const struct dc_ctx *ctx,
                          const struct dc_imodel *model, const struct dc_vectors *vectors,
                          enum dc_core core, enum dc_optimization optimization, bool selftest,
                          struct dc_error *error)
{
    const char *names[DC__RUNG_FILES_MAX];
    struct dc_arena *arena = NULL;
    char *work = NULL;
    *measured = dc__has_program("arm-none-eabi-gcc");
    if (!*measured)
        return DC_OK;
    dc__rung_files(names);
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = dc__work_create(&work, "decant-measure", names, arena, error);
    if (status == DC_OK)
        status = measure(flash, ram, work, ctx, model, vectors, core, optimization, selftest, arena,
                         error);
    if (work)
        dc_folder_discard(work);
    dc_arena_free(arena);
    return status;
}

// The rungs of the ladder: compilers, processors and runtimes on which an exported network must
// give the engine's bytes.

#ifndef DC_EXPORT_RUNGS_H
#define DC_EXPORT_RUNGS_H

#include "core/arena.h"
#include "core/context.h"
#include "export/c_size.h"

enum dc_rung {
    DC_RUNG_GCC_O0,
    DC_RUNG_GCC_O3,
    DC_RUNG_CLANG_O0,
    DC_RUNG_CLANG_O3,
    DC_RUNG_ASAN,
    DC_RUNG_UBSAN,
    DC_RUNG_CORTEX_M0,  // cores in the order of enum dc_core
    DC_RUNG_CORTEX_M3,
    DC_RUNG_CORTEX_M4,
    DC_RUNG_CORTEX_M7,
    DC_RUNG_CORTEX_M33,
    DC_RUNG_CORTEX_M55,
    DC_RUNG_RV32,
    DC_RUNG_LITERT,
    DC_RUNG_TFLM,
    DC_RUNG_ONNXRUNTIME,
    DC_RUNG_COUNT
};
// Runtimes take the model as a file of theirs (export/formats.h); all others compile its C.
enum dc_rung_group { DC_RUNGS_HOST, DC_RUNGS_QEMU, DC_RUNGS_RUNTIMES, DC_RUNG_GROUPS };
extern const char *const dc_rung_groups[DC_RUNG_GROUPS + 1];  // "host", "qemu", "runtimes", NULL

const char *dc_rung_name(enum dc_rung rung);
enum dc_rung_group dc_rung_group(enum dc_rung rung);

// wanted: those that a list as "host,cortex-m4" names, by themselves or by their group. A word that
// names none is DC_ERR_USAGE.
DC_MUST_USE enum dc_status dc_rungs_parse(bool wanted[DC_RUNG_COUNT], const char *list,
                                          struct dc_error *error);

// Internal to export/: how programs are made and run for a rung, in a folder that holds network.c,
// network.h and examples/device (dc__rung_write_texts).

struct dc__build {
    enum dc_rung rung;
    bool answers;        // rung.c, which answers samples; else main.c
    const char *flags;   // behind the rung's, separated by blanks; or ""
    const char *folder;  // program.elf appears in it, the compiler's words in `words`
};
enum { DC__RUNG_FILES_MAX = 32 };
// Names of the files in that folder; NULL behind the last. Returns how many.
int dc__rung_files(const char *names[DC__RUNG_FILES_MAX]);
DC_MUST_USE enum dc_status dc__rung_write_texts(const char *folder, struct dc_arena *arena,
                                                struct dc_error *error);
// NULL, or the program that the rung needs and that is not there.
const char *dc__rung_misses(enum dc_rung rung);
// *code: the compiler's exit.
DC_MUST_USE enum dc_status dc__rung_build(int *code, const struct dc_ctx *ctx,
                                          const struct dc__build *build, struct dc_arena *arena,
                                          struct dc_error *error);
// "no answer within N s", or "PROGRAM ended with code N". What a rung starts has an hour, or
// $DECANT_RUNG_SECONDS.
const char *dc__rung_end(char text[64], const char *program, int code);
// The first line of what the compiler or the program said that is worth telling; or "".
const char *dc__rung_words(const char *folder, struct dc_arena *arena);
// Whether they say what this compiler or board does not have, which is no fault of the C.
bool dc__rung_lacks(const char *words);
// Runs the model on the file `samples`, of a runtime: its answers, without numbers behind them, are
// in the file `answers` then. The file that it takes is written too; what that cannot hold is
// DC_ERR_DATA. *gate: the model's arithmetic is the runtime's.
DC_MUST_USE enum dc_status dc__rung_run_runtime(int *code, bool *gate, const struct dc_ctx *ctx,
                                                enum dc_rung rung, const struct dc_imodel *model,
                                                const char *folder, struct dc_arena *arena,
                                                struct dc_error *error);
// Runs program.elf on the file `samples`; its answers are in the file `answers` then.
DC_MUST_USE enum dc_status dc__rung_run(int *code, const struct dc_ctx *ctx, enum dc_rung rung,
                                        const char *folder, struct dc_arena *arena,
                                        struct dc_error *error);
// Instructions that so many ticks of examples/device are; 0: they are not counted.
double dc__rung_instructions(enum dc_rung rung, uint64_t ticks);

#endif

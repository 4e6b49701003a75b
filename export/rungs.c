// Owns the table of rungs: by which compiler, with which flags, on which emulated board. What is
// compared is ladder.c's; what is compiled was made by us, in a folder of ours.

#include "export/rungs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/suggest.h"
#include "export/device_text.h"
#include "export/formats.h"
#include "export/process.h"
#include "qat/profile.h"

enum { WORDS_MAX = 96 };

#define PROGRAM "program.elf"
#define SAMPLES "samples"
#define ANSWERS "answers"
#define WORDS   "words"

// A compiler for processors of a kind: its flags; what is linked beside main.c and network.c, and
// beside rung.c; which QEMU runs that, as which kind of board, or NULL where it runs by itself.
struct machine {
    const char *compiler, *flags, *board, *files, *emulator, *emulator_flags;
};
static const struct machine host = {
    NULL, "-std=c99 -pedantic -Wall -Wextra -Wconversion -Werror", "posix.c", "", NULL, NULL};
static const struct machine arm = {"arm-none-eabi-gcc",
                                   "-std=gnu99 -Wall -Wextra -Werror -mthumb -nostartfiles "
                                   "--specs=nano.specs --specs=nosys.specs -Wl,-T,mps2.ld",
                                   "mps2.c",
                                   "semihosting.c",
                                   "qemu-system-arm",
                                   ""};
static const struct machine riscv = {"riscv64-unknown-elf-gcc",
                                     "-std=gnu99 -Wall -Wextra -Werror -nostartfiles "
                                     "--specs=picolibc.specs -Tvirt.ld",
                                     "virt.c",
                                     "semihosting.c",
                                     "qemu-system-riscv32",
                                     "-bios none"};

static const struct machine python = {"python3", "", "", "", NULL, NULL};

struct rung {
    const char *name;
    enum dc_rung_group group;
    const struct machine *machine;
    const char *compiler;       // of a host's; else the machine's
    const char *flags, *board;  // of a runtime: the format that it takes, the profile that it has
    int mhz;  // ticks of examples/device a microsecond of QEMU's clock, a nanosecond of which is an
              // instruction; 0: they are no instructions
};
#define HOST(name, compiler, flags)                                                                \
    {                                                                                              \
        name, DC_RUNGS_HOST, &host, compiler, flags, NULL, 0                                       \
    }
#define RUNTIME(name, format, profile)                                                             \
    {                                                                                              \
        name, DC_RUNGS_RUNTIMES, &python, NULL, format, profile, 0                                 \
    }
#define QEMU(name, machine, flags, board, mhz)                                                     \
    {                                                                                              \
        name, DC_RUNGS_QEMU, &(machine), NULL, "-O2 " flags, board, mhz                            \
    }

static const struct rung rungs[DC_RUNG_COUNT] = {
    [DC_RUNG_GCC_O0] = HOST("gcc-O0", "gcc", "-O0"),
    [DC_RUNG_GCC_O3] = HOST("gcc-O3", "gcc", "-O3"),
    [DC_RUNG_CLANG_O0] = HOST("clang-O0", "clang", "-O0"),
    [DC_RUNG_CLANG_O3] = HOST("clang-O3", "clang", "-O3"),
    [DC_RUNG_ASAN] = HOST("asan", "gcc", "-O1 -g -fsanitize=address"),
    [DC_RUNG_UBSAN] = HOST("ubsan", "gcc", "-O1 -g -fsanitize=undefined -fno-sanitize-recover=all"),
    [DC_RUNG_CORTEX_M0] = QEMU("cortex-m0", arm, "-mcpu=cortex-m0", "mps2-an385", 25),
    [DC_RUNG_CORTEX_M3] = QEMU("cortex-m3", arm, "-mcpu=cortex-m3", "mps2-an385", 25),
    [DC_RUNG_CORTEX_M4] = QEMU(
        "cortex-m4", arm, "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16", "mps2-an386", 25),
    [DC_RUNG_CORTEX_M7] = QEMU("cortex-m7", arm, "-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16",
                               "mps2-an500", 25),
    [DC_RUNG_CORTEX_M33] = QEMU("cortex-m33", arm,
                                "-mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16 "
                                "-Wl,--defsym=CODE=0x10000000,--defsym=RAM=0x38000000",
                                "mps2-an505", 20),
    [DC_RUNG_CORTEX_M55] = QEMU("cortex-m55", arm, "-mcpu=cortex-m55 -mfloat-abi=hard",
                                "mps3-an547", 32),
    [DC_RUNG_LITERT] = RUNTIME("litert", "tflite", "litert-xnnpack"),
    [DC_RUNG_TFLM] = RUNTIME("tflm", "tflite", "tflm"),
    [DC_RUNG_ONNXRUNTIME] = RUNTIME("onnxruntime", "onnx", "onnxruntime"),
    [DC_RUNG_RV32] = QEMU("rv32", riscv, "-march=rv32imac -mabi=ilp32", "virt", 1000),
};
static_assert(DC_RUNG_CORTEX_M55 - DC_RUNG_CORTEX_M0 == (int)DC_CORTEX_M55 - (int)DC_CORTEX_M0,
              "the cores are rungs in the order of enum dc_core");

const char *const dc_rung_groups[DC_RUNG_GROUPS + 1] = {
    [DC_RUNGS_HOST] = "host", [DC_RUNGS_QEMU] = "qemu", [DC_RUNGS_RUNTIMES] = "runtimes"};

const char *dc_rung_name(enum dc_rung rung)
{
    return rungs[rung].name;
}

enum dc_rung_group dc_rung_group(enum dc_rung rung)
{
    return rungs[rung].group;
}

enum dc_status dc_rungs_parse(bool wanted[DC_RUNG_COUNT], const char *list, struct dc_error *error)
{
    const char *names[DC_RUNG_GROUPS + DC_RUNG_COUNT];
    int count = 0;
    memset(wanted, 0, sizeof *wanted * DC_RUNG_COUNT);
    for (; count < DC_RUNG_GROUPS; count++)
        names[count] = dc_rung_groups[count];
    for (int r = 0; r < DC_RUNG_COUNT; r++)
        names[count++] = rungs[r].name;
    for (const char *word = list;; word++) {
        const int length = (int)strcspn(word, ",");
        bool found = false;
        for (int r = 0; r < DC_RUNG_COUNT; r++)
            for (int g = 0; g < 2; g++) {
                const char *name = g ? dc_rung_groups[rungs[r].group] : rungs[r].name;
                if ((int)strlen(name) != length || strncmp(name, word, (size_t)length) != 0)
                    continue;
                wanted[r] = found = true;
            }
        if (!found) {
            char copy[64], all[512], hint[DC_HINT];
            snprintf(copy, sizeof copy, "%.*s", length, word);
            dc_join(all, sizeof all, names, count);
            return dc_fail(error, DC_ERR_USAGE, "--rungs: there is no rung '%s'%s\nthere are %s",
                           copy, dc_did_you_mean(hint, copy, names, count), all);
        }
        word += length;
        if (!*word)
            return DC_OK;
    }
}

int dc__rung_files(const char *names[DC__RUNG_FILES_MAX])
{
    static const char *const ours[] = {"network.h", "network.c", "network.tflite", "network.onnx",
                                       PROGRAM,     SAMPLES,     ANSWERS,          WORDS};
    int count = 0;
    for (; count < (int)(sizeof ours / sizeof *ours); count++)
        names[count] = ours[count];
    for (const struct dc__device_text *text = dc__example_texts; text->name; text++) {
        assert(count + 1 < DC__RUNG_FILES_MAX);
        names[count++] = text->name;
    }
    names[count] = NULL;
    return count;
}

enum dc_status dc__rung_write_texts(const char *folder, struct dc_arena *arena,
                                    struct dc_error *error)
{
    for (const struct dc__device_text *text = dc__example_texts; text->name; text++) {
        const char *path = dc_arena_printf(arena, error, "%s/%s", folder, text->name);
        if (!path)
            return DC_ERR_MEMORY;
        DC_TRY(dc_file_write(path, text->text, strlen(text->text), error));
    }
    return DC_OK;
}

static const char *compiler_of(const struct rung *rung)
{
    return rung->compiler ? rung->compiler : rung->machine->compiler;
}

const char *dc__rung_misses(enum dc_rung rung)
{
    const char *const tools[] = {compiler_of(&rungs[rung]), rungs[rung].machine->emulator};
    for (int i = 0; i < 2; i++)
        if (tools[i] && !dc__has_program(tools[i]))
            return tools[i];
    return NULL;
}

// What a program may take before it counts as hung. An emulator that runs all samples of a large
// network takes most of an hour.
static double longest_seconds(void)
{
    const char *given = getenv("DECANT_RUNG_SECONDS");
    const double seconds = given ? strtod(given, NULL) : 0.0;
    return seconds > 0.0 ? seconds : 3600.0;
}

const char *dc__rung_end(char text[64], const char *program, int code)
{
    if (code == DC__PROCESS_OVERDUE)
        snprintf(text, 64, "no answer within %g s", longest_seconds());
    else
        snprintf(text, 64, "%s ended with code %d", program, code);
    return text;
}

// Runs a line of words in the folder; none of them holds a blank, since they name no path.
static enum dc_status run_line(int *code, const struct dc_ctx *ctx, char *line, const char *folder,
                               const char *in, const char *out, struct dc_arena *arena,
                               struct dc_error *error)
{
    char *argv[WORDS_MAX + 1], *rest = NULL;
    int count = 0;
    for (char *w = line ? strtok_r(line, " ", &rest) : NULL; w; w = strtok_r(NULL, " ", &rest)) {
        assert(count < WORDS_MAX);
        argv[count++] = w;
    }
    argv[count] = NULL;
    const struct dc__command command = {.argv = argv,
                                        .folder = folder,
                                        .in = in,
                                        .out = out,
                                        .err = dc_arena_printf(arena, error, "%s/" WORDS, folder),
                                        .seconds = longest_seconds()};
    if (!line || !command.err)
        return DC_ERR_MEMORY;
    DC_TRY(dc__process_run(code, ctx, &command, error));
    return *code == DC__PROCESS_OVERDUE ? dc_file_write(command.err, "", 0, error) : DC_OK;
}

enum dc_status dc__rung_build(int *code, const struct dc_ctx *ctx, const struct dc__build *build,
                              struct dc_arena *arena, struct dc_error *error)
{
    const struct rung *rung = &rungs[build->rung];
    const struct machine *machine = rung->machine;
    char *line = dc_arena_printf(  // symbols come before the linker's script; the last -O counts
        arena, error,
        "%s %s %s %s -include network.h -DNETWORK=network -DINPUT_BYTES=NETWORK_INPUT_SIZE "
        "-DOUTPUT_BYTES=NETWORK_OUTPUT_SIZE network.c %s %s %s -o " PROGRAM,
        compiler_of(rung), rung->flags, machine->flags, build->flags,
        build->answers ? "rung.c" : "main.c", machine->board, build->answers ? machine->files : "");
    return run_line(code, ctx, line, build->folder, "/dev/null", NULL, arena, error);
}

const char *dc__rung_words(const char *folder, struct dc_arena *arena)
{
    static const char *const marks[] = {"overflowed by", "spec file", "cannot find",
                                        "error:",        "ERROR:",    "fault"};
    char *path = dc_arena_printf(arena, NULL, "%s/" WORDS, folder), *text = NULL, *line = NULL;
    if (!path || dc_file_read(&text, NULL, path, arena, NULL) != DC_OK)
        return "";
    for (size_t i = 0; !line && i < sizeof marks / sizeof *marks; i++)
        line = strstr(text, marks[i]);
    while (line && line > text && line[-1] != '\n')
        line--;
    line = line ? line : text;
    line[strcspn(line, "\n")] = '\0';
    return line;
}

bool dc__rung_lacks(const char *words)
{
    return strstr(words, "overflowed by") || strstr(words, "spec file") ||
           strstr(words, "cannot find") || strstr(words, "No module named");
}

enum dc_status dc__rung_run(int *code, const struct dc_ctx *ctx, enum dc_rung rung,
                            const char *folder, struct dc_arena *arena, struct dc_error *error)
{
    const char *emulator = rungs[rung].machine->emulator;
    char *in = dc_arena_printf(arena, error, "%s/" SAMPLES, folder);
    char *out = dc_arena_printf(arena, error, "%s/" ANSWERS, folder);
    char *line = emulator
                     ? dc_arena_printf(
                           arena, error,
                           "%s %s -M %s -display none -monitor none -serial none -icount shift=0 "
                           "-semihosting-config enable=on,target=native -kernel " PROGRAM,
                           emulator, rungs[rung].machine->emulator_flags, rungs[rung].board)
                     : dc_arena_printf(arena, error, "./" PROGRAM);
    if (!in || !out)
        return DC_ERR_MEMORY;
    dc_file_discard(out);  // of the rung before
    // an emulated program opens the files by itself
    return run_line(code, ctx, line, folder, emulator ? "/dev/null" : in,
                    emulator ? "/dev/null" : out, arena, error);
}

enum dc_status dc__rung_run_runtime(int *code, bool *gate, const struct dc_ctx *ctx,
                                    enum dc_rung rung, const struct dc_imodel *model,
                                    const char *folder, struct dc_arena *arena,
                                    struct dc_error *error)
{
    const struct dc_ilayer *in = &model->layers[0], *out = dc_imodel_output(model);
    const struct dc_export_format *format = dc_export_format_find(rungs[rung].flags);
    char *file = dc_arena_printf(arena, error, "%s/network.%s", folder, format->name);
    char *answers = dc_arena_printf(arena, error, "%s/" ANSWERS, folder);
    char *line = dc_arena_printf(arena, error, "python3 runtimes.py %s %d %d %d %.9g %d %.9g %d",
                                 rungs[rung].name, in->height, in->width, in->channels,
                                 (double)in->scale, in->zero_point, (double)out->scale,
                                 out->zero_point);
    *gate = strcmp(model->profile->name, rungs[rung].board) == 0;
    if (!file || !answers)
        return DC_ERR_MEMORY;
    dc_file_discard(answers);
    DC_TRY(format->write(file, model, error));
    return run_line(code, ctx, line, folder, "/dev/null", "/dev/null", arena, error);
}

double dc__rung_instructions(enum dc_rung rung, uint64_t ticks)
{
    const int mhz = rungs[rung].mhz;
    return mhz ? (double)ticks * 1000.0 / mhz : 0.0;
}

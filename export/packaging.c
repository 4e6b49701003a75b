// Owns the files of a bundle that say how to build it and how to read it. What they describe is
// c_source.c's and bundle_write.c's.

#include "export/packaging.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "export/formats.h"
#include "qat/profile.h"

struct package {
    FILE *out;
    const char *name;
    char upper[128];
    const struct dc_imodel *model;
    const struct dc_texts *formats;
    struct dc_imodel_cost cost;
};

static void put_cmake(const struct package *p)
{
    const char *n = p->name;
    fprintf(
        p->out,
        "# The network as a library: by itself or by add_subdirectory (target %s), as a component "
        "of\n# ESP-IDF, as a module of Zephyr.\n"
        "cmake_minimum_required(VERSION 3.13)\n"
        "if(ESP_PLATFORM)\n"
        "    idf_component_register(SRCS \"%s.c\" INCLUDE_DIRS \".\")\n"
        "    return()\n"
        "elseif(COMMAND zephyr_library_named)\n"
        "    zephyr_include_directories(.)\n"
        "    zephyr_library_named(%s)\n"
        "    zephyr_library_sources(%s.c)\n"
        "    return()\n"
        "endif()\n"
        "project(%s LANGUAGES C)\n"
        "add_library(%s STATIC %s.c)\n"
        "target_include_directories(%s PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})\n"
        "set_target_properties(%s PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF)\n",
        n, n, n, n, n, n, n, n, n);
}

static void put_arduino(const struct package *p)
{
    fprintf(p->out,
            "name=%s\nversion=" DECANT_VERSION "\nauthor=Decant\nmaintainer=Decant\n"
            "sentence=A neural network in int8, as plain C.\n"
            "paragraph=Weights and code of one network; no allocation, no library needed.\n"
            "category=Data Processing\nurl=https://example.org\narchitectures=*\nincludes=%s.h\n",
            p->name, p->name);
}

static void put_idf(const struct package *p)
{
    fprintf(p->out,
            "version: \"" DECANT_VERSION
            "\"\ndescription: \"%s: a neural network in int8, as plain "
            "C\"\ndependencies:\n  idf: \">=4.4\"\n",
            p->name);
}

static void put_zephyr(const struct package *p)
{
    fprintf(p->out, "name: %s\nbuild:\n  cmake: .\n", p->name);
}

static void put_files_chapter(const struct package *p)
{
    const char *n = p->name;
    fprintf(
        p->out,
        "# %s\n\nAn int8 network, written by Decant " DECANT_VERSION ". %" PRId64
        " multiply-accumulates an inference, %" PRId64 " bytes of weights, %" PRId64
        " bytes of activations.\nWhere it comes from is "
        "`provenance` in `manifest.json`.\n\n## Files\n\n"
        "| file | what it is |\n| --- | --- |\n"
        "| `%s.h`, `%s.c` | the network as C99: weights, code, test vectors; no allocation, no "
        "libm, no stdio; C++ can include the header |\n"
        "| `manifest.json` | everything about every layer, with a CRC-32 of every array and file "
        "|\n"
        "| `model.h5` | the arrays: weights, biases, scales, multipliers, shifts; test vectors "
        "with every intermediate sum and output (HDF5) |\n"
        "| `CMakeLists.txt` | a library `%s` for CMake; a component for ESP-IDF (with "
        "`idf_component.yml`) |\n"
        "| `library.properties` | this folder is an Arduino library: copy it into `libraries` "
        "|\n"
        "| `module.yml` | for Zephyr: copy it to `zephyr/module.yml` in this folder, and name the "
        "folder in `ZEPHYR_EXTRA_MODULES` |\n",
        n, p->cost.macs, p->cost.weight_bytes, p->cost.arena_bytes, n, n, n);
    for (int i = 0; p->formats && i < p->formats->count; i++) {
        const struct dc_export_format *format = dc_export_format_find(p->formats->items[i]);
        if (format)
            fprintf(p->out, "| `%s.%s` | %s |\n", n, format->ending, format->what);
    }
    fputs("\n", p->out);
}

static void put_c_chapter(const struct package *p)
{
    static const char *const result[DC_LABEL_KINDS][2] = {
        [DC_LABELS_CLASSES] = {"best = ", "_argmax(output)"},
        [DC_LABELS_VALUES] = {"", "_dequantize_output(values, output)"},
        [DC_LABELS_TAGS] = {"found = ", "_has_tag(output, 0)"},
    };
    const enum dc_label_kind labels = p->model->preprocessing.labels;
    const char *n = p->name, *u = p->upper;
    fprintf(
        p->out,
        "## In C\n\n```c\n#include \"%s.h\"\n\n"
        "static int8_t input[%s_INPUT_SIZE], output[%s_OUTPUT_SIZE];\n\n"
        "if (%s_selftest() != 0)\n    return 1; /* this compiler or board computes otherwise */\n"
        "%s_%s(input, %s); /* or fill in codes yourself */\n"
        "%s_run(input, output);\n"
        "%s",
        n, u, u, n, n, p->model->preprocessing.bytes ? "quantize_input" : "quantize_values",
        p->model->preprocessing.bytes ? "pixels" : "values", n, result[labels][0]);
    fprintf(p->out, "%s%s;\n```\n\n", n, result[labels][1]);
    fprintf(p->out,
            "Define when compiling (the same for `%s.c` and for what includes `%s.h`):\n\n"
            "| macro | effect |\n| --- | --- |\n"
            "| `%s_CALLER_ARENA` | no static arena: give %" PRId64
            " aligned bytes with `%s_use_arena` first |\n"
            "| `%s_ENDS_IN_ARENA` | input and output lie in the arena (%" PRId64
            " bytes): `%s_input()`, `%s_output()` |\n"
            "| `%s_NO_SELFTEST` | no test vectors in flash |\n"
            "| `%s_TRACE` | a CRC-32 of what each layer gave; `%s_first_wrong_layer` compares |\n"
            "| `%s_WEIGHTS`, `%s_ARENA` | put before weights and arena, as an attribute with a "
            "section |\n"
            "| `%s_ALIGNMENT` | of both, in bytes |\n\n"
            "`%s_check(%s_FORMAT, arena, bytes)` says whether header and code belong together and "
            "the arena is enough. One arena: not for two threads at a time.\n\n",
            n, n, u, p->cost.arena_bytes, n, u, p->cost.whole_arena_bytes, n, n, u, u, n, u, u, u,
            n, u);
}

static void put_manifest_chapter(const struct package *p)
{
    fputs(
        "## The manifest\n\n"
        "`layers[i]` is layer i in the order of computation; layer 0 is the input, the last is the "
        "output; `inputs` names the layers that it reads.\nA float is given as `value` and as the "
        "hex of its bits (`bits`), which is the truth.\n\n"
        "- Values are int8 codes in memory order height, width, channel (HWC): real = scale * "
        "(code "
        "- zero_point).\n"
        "- `pads`: rows and columns on four sides, of the code `value`, which is the input's zero "
        "point, not 0. `kernel`, `stride`, `dilation`: vertical, then horizontal.\n"
        "- `weights` are signed, zero point 0. Axes: conv2d `OHWI` (output channel, row, column, "
        "input channel), depthwise_conv2d `1HWC`, channel c reads input channel "
        "c / (channels / input channels); fully_connected `OI`, inputs in memory order.\n"
        "  In `model.h5` a weight is a byte; in the C, weights of at most 4 bits lie two a byte, "
        "the "
        "first in the low half.\n"
        "- `biases` are int32 at scale input scale * weight scale, without the input's zero "
        "point.\n"
        "- `accumulator`: the least and largest sum that any input can give, partial sums "
        "included.\n"
        "- `multiplier`, `shift`: a pair a channel (of `add`: first input, second, sum). "
        "`rounding`: "
        "the rule of this layer, by name. `clamp`: bounds of the output's codes.\n"
        "- `arena`: where the C keeps the output: byte offset, bytes, and the layers during which "
        "it "
        "is alive. An output may lie over an input of its layer.\n"
        "- `vector_crc32`: of the layer's codes for each test vector, as `NAME_trace` gives "
        "them.\n\n",
        p->out);
}

static void put_arithmetic_chapter(const struct package *p)
{
    fprintf(p->out,
            "## Arithmetic\n\nProfile `%s`, rounding `%s`. Of a weighted layer, for each output "
            "place and channel c:\n\n"
            "```\nsum  = bias[c] + sum over taps of weight * (code - input zero point)   (int32; a "
            "padded code counts 0)\n"
            "code = clamp(requantize(sum, multiplier[c], shift[c]) + output zero point)\n"
            "requantize(x, m, s) = %s\n```\n\n",
            p->model->profile->name, dc_rounding_name(p->model->profile->rounding),
            p->model->profile->formula);
    fputs(
        "A multiplier m with shift s stands for m * 2^(s - 31).\n"
        "SRDHM(a, b) is floor((a * b + 2^30) / 2^31); RDivPOT(y, n) is y / 2^n rounded to the "
        "nearest integer, a half away from zero; x >> n is floor(x / 2^n). Left shifts and float "
        "results saturate at 32 bits.\n"
        "Kernels of other ops, and what a sentence leaves open, are in the C: each is a page.\n\n",
        p->out);
}

static void put_verify_chapter(const struct package *p)
{
    fprintf(p->out,
            "## Is it right?\n\n"
            "- On the board: `%s_selftest()` gives 0. Else compile with `%s_TRACE`: "
            "`%s_first_wrong_layer(n)` names the layer.\n"
            "- On a computer: `decant verify FOLDER` checks every hash, replays the vectors in the "
            "integer engine, compiles the C and compares every byte.\n"
            "- By your own program: `model.h5` holds for each layer `vectors/NN/outputs` and "
            "`vectors/NN/accumulators` (sums before requantization), with those of the input in "
            "`vectors/00/outputs`.\n"
            "  The first three vectors are all -128, all 127 and all zero point; the others are "
            "samples.\n",
            p->name, p->upper, p->name);
}

static void put_readme(const struct package *p)
{
    put_files_chapter(p);
    put_c_chapter(p);
    put_manifest_chapter(p);
    put_arithmetic_chapter(p);
    put_verify_chapter(p);
}

const char *const dc__package_files[] = {
    "CMakeLists.txt", "library.properties", "idf_component.yml", "module.yml", "README.md", NULL};
static void (*const writers[])(const struct package *) = {put_cmake, put_arduino, put_idf,
                                                          put_zephyr, put_readme};
_Static_assert(sizeof dc__package_files / sizeof *dc__package_files ==
                   sizeof writers / sizeof *writers + 1,
               "a writer for each file");

static enum dc_status write_one(struct package *p, const char *directory, int i,
                                struct dc_arena *arena, struct dc_error *error)
{
    char *text = NULL;
    size_t size = 0;
    char *path = dc_arena_printf(arena, error, "%s/%s", directory, dc__package_files[i]);
    p->out = path ? open_memstream(&text, &size) : NULL;
    if (!p->out)
        return dc_fail(error, DC_ERR_MEMORY, "no memory for %s", dc__package_files[i]);
    writers[i](p);
    const bool failed = ferror(p->out) != 0;
    enum dc_status status = DC_OK;
    if (fclose(p->out) != 0 || failed)
        status = dc_fail(error, DC_ERR_MEMORY, "no memory for %s", path);
    else
        status = dc_file_write(path, text, size, error);
    free(text);
    return status;
}

enum dc_status dc__packaging_write(const char *directory, const char *name,
                                   const struct dc_imodel *model, const struct dc_texts *formats,
                                   struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    struct package p = {.name = name, .model = model, .formats = formats};
    snprintf(p.upper, sizeof p.upper, "%s", name);
    for (char *c = p.upper; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    DC_TRY(dc_imodel_cost(&p.cost, model, error));
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = DC_OK;
    for (int i = 0; status == DC_OK && dc__package_files[i]; i++)
        status = write_one(&p, directory, i, arena, error);
    dc_arena_free(arena);
    return status;
}

// Owns the text of exported C that is about memory, checks and traces. The network's own is
// c_source.c's.

#include "export/c_interface.h"

#include <inttypes.h>

#include "export/bundle_format.h"
#include "export/c_preprocessing.h"
#include "qat/profile.h"

typedef const struct dc__interface view;

static void put_memory_header(view *v)
{
    const char *u = v->upper, *n = v->name;
    fprintf(v->out,
            "/* Bytes of RAM for activations. The .c holds them, aligned; with\n"
            "   -D%s_CALLER_ARENA they are yours: give them with %s_use_arena first. With\n"
            "   -D%s_ENDS_IN_ARENA input and output lie in them too: write to %s_input(), run,\n"
            "   read from %s_output(); a run overwrites the input. Say the same when compiling\n"
            "   what includes this header. */\n",
            u, n, u, n, n);
    fprintf(v->out,
            "#if defined(%s_ENDS_IN_ARENA)\n#define %s_ARENA_BYTES %" PRId64
            "\n#else\n#define %s_ARENA_BYTES %" PRId64 "\n#endif\n",
            u, u, v->cost->whole_arena_bytes, u, v->cost->arena_bytes);
    fprintf(v->out,
            "/* Of the arena and of weights, in bytes; may be defined larger. */\n"
            "#ifndef %s_ALIGNMENT\n#define %s_ALIGNMENT %d\n#endif\n",
            u, u, v->model->alignment);
    fprintf(v->out,
            "#define %s_SCRATCH_BYTES %" PRId64 " /* RAM: static in the .c, at most */\n"
            "#define %s_WEIGHT_BYTES %" PRId64 "\n#define %s_MACS %" PRId64 "\n"
            "#define %s_LAYERS %d /* the input is layer 0 */\n"
            "#define %s_FORMAT %d /* of this interface */\n\n",
            u, v->cost->scratch_bytes, u, v->cost->weight_bytes, u, v->cost->macs, u,
            v->model->count, u, DC_C_FORMAT);
}

void dc__put_interface_header(view *v)
{
    const char *u = v->upper, *n = v->name;
    put_memory_header(v);
    fprintf(
        v->out,
        "/* Before anything else: 0: the .c was compiled with this header (pass %s_FORMAT), and\n"
        "   `bytes` at `arena` are enough (a static arena: pass 0 and %s_ARENA_BYTES).\n"
        "   1: another format; 2: too few bytes; 3: not aligned. */\n"
        "int %s_check(int32_t format, const void *arena, int32_t bytes);\n"
        "#if defined(%s_CALLER_ARENA)\n"
        "/* Checks, and takes the arena where that gives 0. */\n"
        "int %s_use_arena(int32_t format, void *arena, int32_t bytes);\n#endif\n"
        "#if defined(%s_ENDS_IN_ARENA)\n"
        "int8_t *%s_input(void);\nint8_t *%s_output(void);\n#endif\n\n",
        u, u, n, u, n, u, n, n);
    fprintf(v->out,
            "/* Codes of real values, [%s_INPUT_SIZE], each divided by the scale and rounded.\n"
            "   1: one of them is not a number. */\n"
            "int %s_quantize_values(int8_t *codes, const float *values);\n\n",
            u, n);
    fprintf(
        v->out,
        "#if defined(%s_TRACE)\n"
        "/* Compiled with -D%s_TRACE: the CRC-32 (zlib's) of what each layer gave in the last "
        "run, and\n   of the input; the numbers are those of manifest.json. */\n"
        "extern uint32_t %s_trace[%s_LAYERS];\n"
        "extern const char *const %s_layer_names[%s_LAYERS];\n"
        "#if !defined(%s_NO_SELFTEST)\n"
        "/* Runs embedded vector n: the first layer whose codes are not the expected; -1: none, "
        "or there\n   is no such vector. */\n"
        "int %s_first_wrong_layer(int n);\n#endif\n#endif\n\n",
        u, u, n, u, n, u, u, n);
}

// What a kernel requantizes stays within 2^30: sums by their proven bounds, other ops by a bound of
// the code they have (add: codes' differences times 2^20; multiply: products of codes).
static bool sums_are_small(const struct dc_imodel *model)
{
    const int64_t limit = (int64_t)1 << 30;
    for (int i = 0; i < model->count; i++)
        if (model->layers[i].accumulator_low <= -limit ||
            model->layers[i].accumulator_high >= limit)
            return false;
    return true;
}

void dc__put_attributes(view *v)
{
    const char *u = v->upper;
    fprintf(v->out,
            "/* What goes before the weights and before the arena, as "
            "__attribute__((section(\".weights\"))). */\n"
            "#ifndef %s_WEIGHTS\n#define %s_WEIGHTS\n#endif\n"
            "#ifndef %s_ARENA\n#define %s_ARENA\n#endif\n"
            "#define STORED static const %s_WEIGHTS\n\n",
            u, u, u, u, u);
    fprintf(v->out,
            "/* The weights and the arena's values lie at multiples of %s_ALIGNMENT bytes, for "
            "kernels that\n   want it; those below do not. */\n"
            "typedef char alignment_is_too_small[%s_ALIGNMENT %% %d == 0 ? 1 : -1];\n"
            "#if defined(__GNUC__)\n#define ALIGNED __attribute__((aligned(%s_ALIGNMENT)))\n"
            "#elif __STDC_VERSION__ >= 201112L\n#define ALIGNED _Alignas(%s_ALIGNMENT)\n"
            "#else\n#define ALIGNED\n#endif\n\n",
            u, u, v->model->alignment, u, u);
    if (dc_imodel_column(v->model) > 0)
        fprintf(v->out, "#define COLUMN_CODES %" PRId64 "\n", dc_imodel_column(v->model));
    fprintf(v->out, "#define UNPACKED_CODES %" PRId64 "\n", dc_imodel_unpacked(v->model));
    if (sums_are_small(v->model))
        fputs("#define SMALL_SUMS\n", v->out);
}

static void put_places(view *v, const struct dc_block *blocks)
{
    for (int i = 0; i < v->model->count; i++)
        if (blocks[i].offset >= 0)
            fprintf(v->out, "#define AT_%d (arena + %" PRId64 ")\n", i, blocks[i].offset);
}

static void put_quantize_values(view *v)
{
    static const char *const halves[] = {[DC_CODE_HALF_AWAY] = "HALF_AWAY",
                                         [DC_CODE_HALF_EVEN] = "HALF_EVEN",
                                         [DC_CODE_HALF_UP] = "HALF_UP"};
    fprintf(v->out,
            "int %s_quantize_values(int8_t *codes, const float *values)\n{\n"
            "    return input_values(codes, values, %s_INPUT_SCALE, %s_INPUT_ZERO_POINT, %s,\n"
            "                        %s_INPUT_SIZE);\n}\n\n",
            v->name, v->upper, v->upper, halves[v->model->profile->input], v->upper);
}

void dc__put_interface_code(view *v)
{
    const char *u = v->upper, *n = v->name;
    put_quantize_values(v);
    fprintf(
        v->out,
        "#if defined(%s_CALLER_ARENA)\nstatic int8_t *arena;\n#elif %s_ARENA_BYTES > 0\n"
        "static ALIGNED %s_ARENA int8_t arena[%s_ARENA_BYTES];\n#endif\n\n"
        "/* Where the values of layers lie, by lifetimes; an output may lie over its input. */\n"
        "#if defined(%s_ENDS_IN_ARENA)\n",
        u, u, u, u, u);
    put_places(v, v->whole);
    fputs("#else\n", v->out);
    put_places(v, v->inner);
    fprintf(v->out,
            "#endif\n\nint %s_check(int32_t format, const void *memory, int32_t bytes)\n{\n"
            "    if (format != %s_FORMAT)\n        return 1;\n"
            "    if (bytes < %s_ARENA_BYTES)\n        return 2;\n"
            "    return (uintptr_t)memory %% %s_ALIGNMENT != 0 ? 3 : 0;\n}\n\n",
            n, u, u, u);
    fprintf(v->out,
            "#if defined(%s_CALLER_ARENA)\n"
            "int %s_use_arena(int32_t format, void *memory, int32_t bytes)\n{\n"
            "    const int fault = memory ? %s_check(format, memory, bytes) : 2;\n"
            "    if (!fault)\n        arena = (int8_t *)memory;\n"
            "    return fault;\n}\n#endif\n\n",
            u, n, n);
    fprintf(v->out,
            "#if defined(%s_ENDS_IN_ARENA)\n"
            "int8_t *%s_input(void)\n{\n    return AT_0;\n}\n\n"
            "int8_t *%s_output(void)\n{\n    return AT_%d;\n}\n#endif\n\n",
            u, n, n, v->model->count - 1);
    fprintf(v->out,
            "#if defined(%s_TRACE)\nuint32_t %s_trace[%s_LAYERS];\n"
            "const char *const %s_layer_names[%s_LAYERS] = {\n",
            u, n, u, n, u);
    for (int i = 0; i < v->model->count; i++) {
        fputs("    ", v->out);
        dc__put_string(v->out, v->model->layers[i].name);
        fputs(",\n", v->out);
    }
    fprintf(v->out,
            "};\n#define TRACE(layer, codes, count) %s_trace[layer] = crc32_of(codes, count)\n"
            "#else\n#define TRACE(layer, codes, count) (void)0\n#endif\n\n",
            n);
}

void dc__put_trace_code(view *v, const struct dc_vectors *vectors, int64_t count)
{
    const char *u = v->upper, *n = v->name;
    fprintf(v->out,
            "\n#if defined(%s_TRACE)\nstatic const uint32_t test_crcs[%" PRId64
            "][%s_LAYERS] = {\n",
            u, count, u);
    for (int64_t k = 0; k < count; k++) {
        fputs("    {", v->out);
        for (int i = 0; i < v->model->count; i++) {
            const int64_t size = dc_ilayer_size(&v->model->layers[i]);
            fprintf(v->out, "%s0x%08" PRIx32 "u,", i % 6 ? " " : "\n     ",
                    dc__crc32(vectors->outputs[i] + k * size, (uint64_t)size));
        }
        fputs("},\n", v->out);
    }
    fprintf(v->out,
            "};\n\nint %s_first_wrong_layer(int n)\n{\n"
            "    int8_t output[%s_OUTPUT_SIZE];\n    int i;\n"
            "    if (n < 0 || n >= %" PRId64 ")\n        return -1;\n"
            "    %s_run(test_inputs + (int32_t)n * %s_INPUT_SIZE, output);\n"
            "    for (i = 0; i < %s_LAYERS; i++)\n"
            "        if (%s_trace[i] != test_crcs[n][i])\n            return i;\n"
            "    return -1;\n}\n#endif\n",
            n, u, count, n, u, u, n);
}

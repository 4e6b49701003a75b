// What exported C offers around the network: in every combination of its macros it compiles without
// a warning by the compilers that are here, gives the embedded vectors' bytes, refuses an arena
// that does not do, names the first wrong layer, and gives real values the codes of evaluation.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/context.h"
#include "core/file.h"
#include "export/c_source.h"
#include "tests/qat/helper_models.h"

enum { INPUT = 13 * 11 * 3, ROWS = 8 };

static char work[] = "/tmp/decant-test-interface-XXXXXX";
static char path[256], command[2048];
static struct dc_error error;

static const char flags[] = "-std=c99 -pedantic -Wall -Wextra -Wconversion -Werror -O1";

static const char *in_work(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", work, name);
    return path;
}

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static bool is_there(const char *program)
{
    snprintf(command, sizeof command, "command -v %s >%s/which 2>&1", program, work);
    return system(command) == 0;
}

// The network every_op under this profile, as every_op.h and every_op.c.
static struct dc_imodel *write_pair(const char *profile)
{
    static int8_t inputs[3 * INPUT];
    const struct dc_ctx_config config = {.threads = 1};
    struct dc_random random;
    struct dc_ctx *ctx = NULL;
    struct dc_vectors *vectors = NULL;
    struct dc_imodel *m = test_every_op_model(dc_profile_find(profile), 1);
    dc_random_start(&random, 51, DC_PURPOSE_TEST, 0, 0);
    test_fill_codes(inputs, sizeof inputs, &random);
    must(dc_ctx_create(&ctx, &config, &error));
    must(dc_vectors_create(&vectors, ctx, m, inputs, 3, &error));
    must(dc_c_source_write(work, "every_op", m, vectors, &error));
    dc_vectors_free(vectors);
    dc_ctx_free(ctx);
    return m;
}

// Kernels for cores with SIMD take a shorter way where no sum reaches 2^30 (SMALL_SUMS): one that
// does, at either end, keeps all of them from it.
static void a_large_sum_is_told_to_kernels(void **state)
{
    (void)state;
    static const int64_t limit = (int64_t)1 << 30;
    static const struct {
        int64_t low, high;
        bool small;
    } cases[] = {{1 - limit, limit - 1, true}, {-limit, 0, false}, {0, limit, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dc_vectors *vectors = NULL;
        struct dc_ctx *ctx = NULL;
        struct dc_arena *arena = NULL;
        const struct dc_ctx_config config = {.threads = 1};
        char *text = NULL;
        struct dc_imodel *m = test_every_op_model(dc_profile_find("tflm"), 1);
        must(dc_ctx_create(&ctx, &config, &error));
        must(dc_arena_create(&arena, &error));
        must(dc_vectors_create(&vectors, ctx, m, NULL, 0, &error));
        m->layers[1].accumulator_low = cases[i].low;
        m->layers[1].accumulator_high = cases[i].high;
        must(dc_c_source_write(work, "sums", m, vectors, &error));
        must(dc_file_read(&text, NULL, in_work("sums.c"), arena, &error));
        assert_int_equal(strstr(text, "#define SMALL_SUMS\n") != NULL, cases[i].small);
        dc_arena_free(arena);
        dc_vectors_free(vectors);
        dc_imodel_free(m);
        dc_ctx_free(ctx);
    }
}

static int set_up(void **state)
{
    (void)state;
    return !mkdtemp(work);
}

static int tear_down(void **state)
{
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", work);
    return system(command);
}

static int run(const char *compiler, const char *defines)
{
    snprintf(command, sizeof command,
             "cd %s && %s %s %s main.c every_op.c -o main && ./main >out 2>&1", work, compiler,
             flags, defines);
    return system(command);
}

static void write_main(const char *text)
{
    must(dc_file_write(in_work("main.c"), text, strlen(text), &error));
}

// Ends with a code of its own at each thing that is not as said.
static const char all_modes[] =
    "#include \"every_op.h\"\n"
    "#include <string.h>\n"
    "static int8_t space[2 * EVERY_OP_ARENA_BYTES + EVERY_OP_ALIGNMENT];\n"
    "int main(void)\n{\n"
    "    static int8_t input[EVERY_OP_INPUT_SIZE], output[2][EVERY_OP_OUTPUT_SIZE];\n"
    "    int8_t *memory = space + EVERY_OP_ALIGNMENT - (uintptr_t)space % EVERY_OP_ALIGNMENT;\n"
    "    int i;\n"
    "    if (every_op_check(EVERY_OP_FORMAT + 1, memory, sizeof space) != 1) return 11;\n"
    "    if (every_op_check(EVERY_OP_FORMAT, memory, EVERY_OP_ARENA_BYTES - 1) != 2) return 12;\n"
    "    if (every_op_check(EVERY_OP_FORMAT, memory + 1, EVERY_OP_ARENA_BYTES) != 3) return 13;\n"
    "    if (every_op_check(EVERY_OP_FORMAT, memory, EVERY_OP_ARENA_BYTES) != 0) return 14;\n"
    "#if defined(EVERY_OP_CALLER_ARENA)\n"
    "    if (every_op_use_arena(EVERY_OP_FORMAT, memory, 8) != 2) return 15;\n"
    "    if (every_op_use_arena(EVERY_OP_FORMAT, 0, EVERY_OP_ARENA_BYTES) != 2) return 21;\n"
    "    if (every_op_use_arena(EVERY_OP_FORMAT, memory, EVERY_OP_ARENA_BYTES)) return 16;\n"
    "    memset(memory, 85, 2 * EVERY_OP_ARENA_BYTES);\n"
    "#endif\n"
    "#if !defined(EVERY_OP_NO_SELFTEST)\n"
    "    if (every_op_selftest()) return 17;\n"
    "#endif\n"
    "    for (i = 0; i < EVERY_OP_INPUT_SIZE; i++) input[i] = (int8_t)(i * 7);\n"
    "    every_op_run(input, output[0]);\n"
    "#if defined(EVERY_OP_ENDS_IN_ARENA)\n"
    "    memcpy(every_op_input(), input, sizeof input);\n"
    "    every_op_run(every_op_input(), every_op_output());\n"
    "    memcpy(output[1], every_op_output(), EVERY_OP_OUTPUT_SIZE);\n"
    "    if (memcmp(output[0], output[1], EVERY_OP_OUTPUT_SIZE)) return 18;\n"
    "#endif\n"
    "#if defined(EVERY_OP_CALLER_ARENA)\n"
    "    for (i = EVERY_OP_ARENA_BYTES; i < 2 * EVERY_OP_ARENA_BYTES; i++)\n"
    "        if (memory[i] != 85) return 19;\n"
    "#endif\n"
    "#if defined(EVERY_OP_TRACE)\n"
    "    if (strcmp(every_op_layer_names[0], \"image\")) return 22;\n"
    "#if !defined(EVERY_OP_NO_SELFTEST)\n"
    "    if (every_op_first_wrong_layer(1) != -1) return 20;\n"
    "#endif\n"
    "#endif\n"
    "    return 0;\n}\n";

static void every_mode_compiles_and_runs(void **state)
{
    (void)state;
    static const char *const modes[] = {
        "",
        "-DEVERY_OP_CALLER_ARENA",
        "-DEVERY_OP_ENDS_IN_ARENA -DEVERY_OP_TRACE",
        "-DEVERY_OP_CALLER_ARENA -DEVERY_OP_ENDS_IN_ARENA -DEVERY_OP_NO_SELFTEST",
        "-DEVERY_OP_TRACE -DEVERY_OP_NO_SELFTEST",
        "-DEVERY_OP_ALIGNMENT=32 '-DEVERY_OP_WEIGHTS=__attribute__((section(\"weights\")))'"};
    static const char *const compilers[] = {"gcc", "clang"};
    dc_imodel_free(write_pair("tflm"));
    write_main(all_modes);
    for (int c = 0; c < 2; c++)
        for (size_t i = 0; is_there(compilers[c]) && i < sizeof modes / sizeof *modes; i++)
            if (run(compilers[c], modes[i]) != 0)
                fail_msg("fails: %s", command);
    snprintf(command, sizeof command,
             "cd %s && %s %s -DEVERY_OP_TRACE -c every_op.c -o cross.o && %s -mcpu=cortex-m4 %s "
             "-c every_op.c -o cross.o",
             work, "arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb", flags, "arm-none-eabi-gcc -mthumb",
             flags);
    if (is_there("arm-none-eabi-gcc"))
        assert_int_equal(system(command), 0);
}

static void the_header_is_cpp(void **state)
{
    (void)state;
    static const char text[] =
        "#include \"every_op.h\"\n"
        "int main() { return every_op_check(EVERY_OP_FORMAT, 0, 1 << 24); }\n";
    must(dc_file_write(in_work("main.cpp"), text, sizeof text - 1, &error));
    snprintf(command, sizeof command,
             "cd %s && %s -std=c++98 -pedantic -Wall -Wextra -Werror -DEVERY_OP_TRACE "
             "-DEVERY_OP_CALLER_ARENA -DEVERY_OP_ENDS_IN_ARENA -fsyntax-only main.cpp",
             work, is_there("g++") ? "g++" : "clang++");
    if (is_there("g++") || is_there("clang++"))
        assert_int_equal(system(command), 0);
}

// One weight of one layer in the C is another.
static void the_first_wrong_layer_is_named(void **state)
{
    (void)state;
    struct dc_arena *arena = NULL;
    char *text = NULL;
    size_t size;
    struct dc_imodel *m = write_pair("ruy");
    must(dc_arena_create(&arena, &error));
    must(dc_file_read(&text, &size, in_work("every_op.c"), arena, &error));
    int wrong = 0;
    for (int i = 2; i < m->count && !wrong; i++)
        wrong = m->layers[i].op == DC_I_CONV2D ? i : 0;
    assert_true(wrong > 0);
    char name[32];
    snprintf(name, sizeof name, "int8_t layer%d_", wrong);
    char *digit = strstr(strstr(text, name), "= {\n");
    assert_non_null(digit);
    digit += strcspn(digit, "0123456789");
    digit += strspn(digit, "0123456789") - 1;
    *digit = (char)(*digit == '0' ? '1' : *digit - 1);
    must(dc_file_write(in_work("every_op.c"), text, size, &error));
    write_main("#include \"every_op.h\"\n#include <stdio.h>\n"
               "int main(void)\n{\n    const int layer = every_op_first_wrong_layer(3);\n"
               "    if (layer >= 0) puts(every_op_layer_names[layer]);\n"
               "    return layer < 0 ? 0 : 9;\n}\n");
    assert_int_not_equal(run("cc", "-DEVERY_OP_TRACE"), 0);
    must(dc_file_read(&text, &size, in_work("out"), arena, &error));
    assert_memory_equal(text, m->layers[wrong].name, strlen(m->layers[wrong].name));
    dc_arena_free(arena);
    dc_imodel_free(m);
}

// Halves, ends of the range, infinities, and a value that is not a number.
static void values_get_the_codes_of_evaluation(void **state)
{
    (void)state;
    static const char *const profiles[] = {"tflm", "onnxruntime", "pot-half-up"};
    static float x[ROWS * INPUT];
    static int8_t expected[ROWS * INPUT];
    struct dc_random random;
    dc_random_start(&random, 52, DC_PURPOSE_TEST, 0, 0);
    for (int p = 0; p < 3; p++) {
        struct dc_arena *arena = NULL;
        struct dc_imodel *m = write_pair(profiles[p]);
        char *codes = NULL;
        size_t size;
        for (int i = 0; i < ROWS * INPUT; i++)
            x[i] = m->layers[0].scale *
                   (i % 3 ? ((float)(int)dc_random_below(&random, 600) - 300.0f) / 2
                          : dc_random_between(&random, -200.0f, 200.0f));
        x[0] = 1.0f / 0.0f;
        x[1] = -1.0f / 0.0f;
        must(dc_imodel_quantize_input(expected, m, x, ROWS * INPUT, &error));
        must(dc_file_write(in_work("in"), x, ROWS * INPUT * sizeof *x, &error));
        write_main("#include \"every_op.h\"\n#include <stdio.h>\n"
                   "int main(void)\n{\n"
                   "    static float x[EVERY_OP_INPUT_SIZE];\n"
                   "    static int8_t codes[EVERY_OP_INPUT_SIZE];\n"
                   "    FILE *in = fopen(\"in\", \"rb\");\n"
                   "    if (!in) return 1;\n"
                   "    while (fread(x, sizeof x, 1, in) == 1) {\n"
                   "        if (every_op_quantize_values(codes, x)) return 2;\n"
                   "        fwrite(codes, 1, sizeof codes, stdout);\n"
                   "    }\n"
                   "    x[5] = 0.0f;\n    x[5] = x[5] / x[5];\n"
                   "    return every_op_quantize_values(codes, x) != 1;\n}\n");
        if (run("cc", "") != 0)
            fail_msg("%s fails", profiles[p]);
        must(dc_arena_create(&arena, &error));
        must(dc_file_read(&codes, &size, in_work("out"), arena, &error));
        assert_int_equal(size, ROWS * INPUT);
        assert_memory_equal(codes, expected, size);
        dc_arena_free(arena);
        dc_imodel_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_mode_compiles_and_runs),
                                       cmocka_unit_test(the_header_is_cpp),
                                       cmocka_unit_test(the_first_wrong_layer_is_named),
                                       cmocka_unit_test(values_get_the_codes_of_evaluation),
                                       cmocka_unit_test(a_large_sum_is_told_to_kernels)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

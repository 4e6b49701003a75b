// Memory images: words written here by hand from the definition (export/memory_images.h), images
// read back by their formats' rules and by the definition turned round, a testbench that must fail,
// and every profile through a simulator where there is one.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "export/bundle.h"
#include "export/memory.h"
#include "export/memory_header.h"
#include "export/rtl_rungs.h"
#include "export/verify.h"
#include "tests/core/helper_folder.h"
#include "tests/qat/helper_models.h"

static struct dc_ctx *ctx;
static struct dc_arena *arena;
static struct dc_error error;

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static struct dc_vectors *vectors_of(const struct dc_imodel *m)
{
    struct dc_vectors *vectors = NULL;
    struct dc_random random;
    const int64_t size = dc_ilayer_size(&m->layers[0]);
    int8_t *x = malloc((size_t)size);
    assert_non_null(x);
    dc_random_start(&random, 4, DC_PURPOSE_TEST, 0, 0);
    test_fill_codes(x, size, &random);
    must(dc_vectors_create(&vectors, ctx, m, x, 1, &error));
    free(x);
    return vectors;
}

struct made {
    struct dc_imodel *model;
    struct dc_vectors *vectors;
    struct dc__archive_file *files;
    int count;
};

static struct made make(struct dc_imodel *m)
{
    struct made made = {.model = m, .vectors = vectors_of(m)};
    must(dc__memory_files(&made.files, &made.count, m, made.vectors, arena, &error));
    return made;
}

static void unmake(struct made *made)
{
    dc_vectors_free(made->vectors);
    dc_imodel_free(made->model);
}

static const char *file_of(const struct made *made, const char *name)
{
    for (int i = 0; i < made->count; i++)
        if (strcmp(made->files[i].name, name) == 0)
            return made->files[i].bytes;
    fail_msg("there is no file %s", name);
    return NULL;
}

// The number behind "localparam int NAME = " or ", NAME = ".
static long parameter(const struct made *made, const char *name)
{
    char text[96];
    snprintf(text, sizeof text, " %s = ", name);
    const char *at = strstr(file_of(made, "network.svh"), text);
    assert_non_null(at);
    return strtol(at + strlen(text), NULL, 10);
}

// A convolution of 1 x 2 over 3 channels to 3, weights of 4 bits, input zero point 3.
static struct dc_imodel *by_hand(int high_first)
{
    static const int8_t weights[] = {1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6, 7, 0, -7, 1, -1, 2};
    static const int32_t biases[] = {100, -50, 7};
    static const float scales[] = {0.5f, 0.25f, 0.125f};
    const struct dc_ilayer input = {.op = DC_I_INPUT,
                                    .name = "input",
                                    .height = 1,
                                    .width = 2,
                                    .channels = 3,
                                    .scale = 0.5f,
                                    .zero_point = 3,
                                    .bits = 8,
                                    .clamp_low = -128,
                                    .clamp_high = 127};
    const struct dc_ilayer conv = {
        .op = DC_I_CONV2D,
        .name = "y",
        .input_count = 1,
        .height = 1,
        .width = 1,
        .channels = 3,
        .scale = 1.0f,
        .zero_point = -2,
        .bits = 8,
        .clamp_low = -128,
        .clamp_high = 127,
        .window = {.kernel = {1, 2}, .stride = {1, 1}, .dilation = {1, 1}},
        .weight_bits = 4,
        .per_channel = true,
        .weights = weights,
        .biases = biases,
        .weight_scales = scales};
    struct dc_imodel *m = NULL;
    must(dc_imodel_create(&m, "by hand", "made up", dc_profile_find("tflm"), &error));
    must(dc_imodel_add(m, &input, NULL, &error));
    must(dc_imodel_add(m, &conv, NULL, &error));
    m->tiling = (struct dc_tiling){2, 2, high_first};
    return m;
}

// Two channels by two inputs a word: first all of channels 0 and 1, then channel 2 beside nothing;
// of each the left column, inputs 0 and 1, then 2 beside nothing; then the right column. A code is
// a digit. Biases less 3 times the weights' sums, which are 21, -21 and 2. Factors are 1/4, 1/8,
// 1/16: all multipliers are 2^30, shifts -1, -2, -3.
static void words_are_those_of_the_definition(void **state)
{
    (void)state;
    static const struct {
        const char *file, *low, *high;
    } wanted[] = {
        {"01_y_weights.mem", "ef21\n0d03\nbc54\n0a06\n0007\n0009\n00f1\n0002\n",
         "12fe\n30d0\n45cb\n60a0\n7000\n9000\n1f00\n2000\n"},
        {"01_y_biases.mem", "0000000d00000025\n0000000000000001\n",
         "000000250000000d\n0000000100000000\n"},
        {"01_y_multipliers.mem", "4000000040000000\n0000000040000000\n",
         "4000000040000000\n4000000000000000\n"},
        {"01_y_shifts.mem", "feff\n00fd\n", "fffe\nfd00\n"},
        {"xilinx/01_y_shifts.coe",
         "memory_initialization_radix=16;\nmemory_initialization_vector=\nfeff,\n00fd;\n",
         "memory_initialization_radix=16;\nmemory_initialization_vector=\nfffe,\nfd00;\n"},
    };
    for (int high = 0; high < 2; high++) {
        struct made made = make(by_hand(high));
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            assert_string_equal(file_of(&made, wanted[i].file),
                                high ? wanted[i].high : wanted[i].low);
        assert_int_equal(parameter(&made, "L01_WEIGHT_DEPTH"), 8);
        assert_int_equal(parameter(&made, "L01_WEIGHT_WIDTH"), 16);
        assert_int_equal(parameter(&made, "L01_PAD_VALUE"), 3);
        unmake(&made);
    }
}

// Lines of a .mem file: how many, all of so many digits.
static int64_t count_words(const char *text, int digits)
{
    int64_t words = 0;
    for (; *text; text += digits + 1, words++) {
        assert_int_equal(strspn(text, "0123456789abcdef"), digits);
        assert_int_equal(text[digits], '\n');
    }
    return words;
}

// What follows `mark` must be there.
static const char *behind(const char *text, const char *mark)
{
    if (strncmp(text, mark, strlen(mark)) != 0)
        fail_msg("no '%s' at '%.40s'", mark, text);
    return text + strlen(mark);
}

static void check_coe(const char *coe, const char *mem, int64_t depth, int digits)
{
    coe = behind(coe, "memory_initialization_radix=16;\nmemory_initialization_vector=\n");
    for (int64_t i = 0; i < depth; i++, mem += digits + 1, coe += digits + 2) {
        assert_memory_equal(coe, mem, digits);
        assert_memory_equal(coe + digits, i + 1 < depth ? ",\n" : ";\n", 2);
    }
    assert_string_equal(coe, "");
}

static void check_mif(const char *mif, const char *mem, int64_t depth, int digits, int width)
{
    char *rest = NULL;
    assert_int_equal(strtol(behind(mif, "WIDTH="), &rest, 10), width);
    assert_int_equal(strtol(behind(rest, ";\nDEPTH="), &rest, 10), depth);
    mif = behind(rest, ";\n\nADDRESS_RADIX=HEX;\nDATA_RADIX=HEX;\n\nCONTENT BEGIN\n");
    for (int64_t i = 0; i < depth; i++, mem += digits + 1) {
        assert_int_equal(strtol(mif, &rest, 16), i);
        mif = behind(rest, " : ");
        assert_memory_equal(mif, mem, digits);
        mif = behind(mif + digits, ";\n");
    }
    assert_string_equal(mif, "END;\n");
}

// The code of lane `lane` of word `word`, bit by bit.
static int code_at(const char *mem, int digits, int64_t word, int place, int bits)
{
    int value = 0;
    for (int bit = bits; bit-- > 0;) {
        const int at = place * bits + bit;
        const char c = mem[word * (digits + 1) + digits - 1 - at / 4];
        value = value << 1 | ((c <= '9' ? c - '0' : c - 'a' + 10) >> at % 4 & 1);
    }
    return value >= 1 << (bits - 1) ? value - (1 << bits) : value;
}

static long layer_parameter(const struct made *made, int layer, const char *name)
{
    char text[48];
    snprintf(text, sizeof text, "L%02d_%s", layer, name);
    return parameter(made, text);
}

// Every lane of every word of a layer holds the weight that the address says, or 0 beyond the last.
static void check_weights(const struct made *made, int layer, const char *mem)
{
    const struct dc_ilayer *l = &made->model->layers[layer];
    const struct dc_ilayer *x = &made->model->layers[l->inputs[0]];
    const int pe = (int)layer_parameter(made, layer, "PE");
    const int simd = (int)layer_parameter(made, layer, "SIMD");
    const int height = (int)layer_parameter(made, layer, "KERNEL_H");
    const int width = (int)layer_parameter(made, layer, "KERNEL_W");
    const bool depthwise = l->op == DC_I_DEPTHWISE_CONV2D;
    const int inputs = depthwise ? 1 : x->channels, folds = (inputs + simd - 1) / simd;
    const int lanes = pe * simd, digits = (lanes * l->weight_bits + 3) / 4;
    int64_t word = 0;
    for (int g = 0; g < (l->channels + pe - 1) / pe; g++)
        for (int tap = 0; tap < height * width; tap++)
            for (int f = 0; f < folds; f++, word++)
                for (int lane = 0; lane < lanes; lane++) {
                    const int c = g * pe + lane / simd, i = f * simd + lane % simd;
                    const int place = made->model->tiling.high_first ? lanes - 1 - lane : lane;
                    const int wanted = c >= l->channels || i >= inputs ? 0
                                       : depthwise
                                           ? l->weights[tap * l->channels + c]
                                           : l->weights[(c * height * width + tap) * inputs + i];
                    assert_int_equal(code_at(mem, digits, word, place, l->weight_bits), wanted);
                }
    assert_int_equal(word, layer_parameter(made, layer, "WEIGHT_DEPTH"));
}

static void images_read_back(void **state)
{
    (void)state;
    static const struct dc_tiling tilings[] = {{1, 1, 0}, {4, 4, 0}, {3, 5, 1}, {16, 2, 1}};
    static const char *const what[] = {"weights", "biases", "multipliers", "shifts"};
    for (size_t t = 0; t < sizeof tilings / sizeof *tilings; t++) {
        struct dc_imodel *m = test_every_op_model(dc_profile_find("ruy"), 7);
        m->tiling = tilings[t];
        struct made made = make(m);
        long base = 0, channel_base = 0;
        for (int i = 1; i < m->count; i++) {
            const struct dc_ilayer *l = &m->layers[i];
            for (int k = 0; dc_ilayer_has_weights(l) && k < 4; k++) {
                const int lanes = k == 0 ? (int)(layer_parameter(&made, i, "PE") *
                                                 layer_parameter(&made, i, "SIMD"))
                                         : m->tiling.pe;
                const int bits = k == 0 ? l->weight_bits : k == 3 ? 8 : 32;
                const int digits = (lanes * bits + 3) / 4;
                const long depth = layer_parameter(&made, i, k ? "CHANNEL_DEPTH" : "WEIGHT_DEPTH");
                char mem[96], coe[96], mif[96];
                snprintf(mem, sizeof mem, "%02d_%s_%s.mem", i, l->name, what[k]);
                snprintf(coe, sizeof coe, "xilinx/%02d_%s_%s.coe", i, l->name, what[k]);
                snprintf(mif, sizeof mif, "intel/%02d_%s_%s.mif", i, l->name, what[k]);
                const char *text = file_of(&made, mem);
                assert_int_equal(count_words(text, digits), depth);
                check_coe(file_of(&made, coe), text, depth, digits);
                check_mif(file_of(&made, mif), text, depth, digits, lanes * bits);
                if (k == 0)
                    check_weights(&made, i, text);
            }
            if (dc_ilayer_has_weights(l)) {
                assert_int_equal(layer_parameter(&made, i, "WEIGHT_BASE"), base);
                assert_int_equal(layer_parameter(&made, i, "CHANNEL_BASE"), channel_base);
                base += layer_parameter(&made, i, "WEIGHT_DEPTH");
                channel_base += layer_parameter(&made, i, "CHANNEL_DEPTH");
            }
        }
        assert_int_equal(parameter(&made, "WEIGHT_DEPTH"), base);
        assert_int_equal(parameter(&made, "CHANNEL_DEPTH"), channel_base);
        unmake(&made);
    }
}

// Every unit in a few hundred clocks: two bit widths, pads, strides, a depthwise multiplier,
// channels that are no multiples of lanes; wide: enough of them for the blocks of litert-builtin.
static struct dc_imodel *small_model(const char *profile, bool wide)
{
    struct dc_random random;
    struct dc_imodel *m = NULL;
    const struct dc_ilayer input = {.op = DC_I_INPUT,
                                    .name = "input",
                                    .height = 5,
                                    .width = 4,
                                    .channels = 3,
                                    .scale = 0.0625f,
                                    .zero_point = -7,
                                    .bits = 8,
                                    .clamp_low = -128,
                                    .clamp_high = 127};
    const struct dc_ilayer conv = {
        .op = DC_I_CONV2D,
        .channels = wide ? 6 : 3,
        .window = {.kernel = {3, 2}, .stride = {1, 2}, .before = {1, 1}, .after = {1, 0}},
        .weight_bits = 4,
        .clamp_low = -100,
        .clamp_high = 90,
        .per_channel = true};
    const struct dc_ilayer depthwise = {.op = DC_I_DEPTHWISE_CONV2D,
                                        .channels = wide ? 12 : 6,
                                        .window = {.kernel = {2, 2}, .before = {1, 1}},
                                        .per_channel = true};
    const struct dc_ilayer pointwise = {.op = DC_I_CONV2D,
                                        .channels = wide ? 18 : 7,
                                        .window = {.kernel = {1, 1}},
                                        .per_channel = true};
    const struct dc_ilayer pool = {.op = DC_I_AVERAGE_POOL,
                                   .window = {.kernel = {2, 2}, .before = {1, 0}, .after = {0, 1}}};
    const struct dc_ilayer largest = {.op = DC_I_MAX_POOL, .window = {.kernel = {2, 1}}};
    const struct dc_ilayer dense = {.op = DC_I_FULLY_CONNECTED, .channels = 5, .weight_bits = 3};
    dc_random_start(&random, 13, DC_PURPOSE_TEST, 0, 0);  // all layers give ten codes and more
    must(dc_imodel_create(&m, "small", "made up", dc_profile_find(profile), &error));
    must(dc_imodel_add(m, &input, NULL, &error));
    int x = test_add_layer(m, "conv", &conv, 0, -1, &random);
    x = test_add_layer(m, "depthwise", &depthwise, x, -1, &random);
    const int point = test_add_layer(m, "pointwise", &pointwise, x, -1, &random);
    const int table = test_add_layer(m, "tanh",
                                     &(struct dc_ilayer){.op = DC_I_TABLE, .function = DC_F_TANH},
                                     point, -1, &random);
    x = test_add_layer(m, "add", &(struct dc_ilayer){.op = DC_I_ADD}, point, table, &random);
    x = test_add_layer(m, "average", &pool, x, -1, &random);
    x = test_add_layer(m, "largest", &largest, x, -1, &random);
    const int mean = test_add_layer(m, "mean", &(struct dc_ilayer){.op = DC_I_MEAN}, x, -1,
                                    &random);
    x = test_add_layer(m, "gate", &(struct dc_ilayer){.op = DC_I_MULTIPLY}, x, mean, &random);
    test_add_layer(m, "dense", &dense, x, -1, &random);
    m->tiling = (struct dc_tiling){4, 3, 0};
    return m;
}

// Removes the last line, adds one, or replaces the first of a text by another of the same length.
struct sabotage {
    const char *name, *file, *from,
        *to;  // from NULL: the last word is lost; to NULL: it is doubled
    enum dc_rung_outcome outcome;
    const char *layer;
};

static void sabotage(const char *folder, const struct sabotage *s)
{
    char path[512], *text = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/%s", folder, s->file);
    must(dc_file_read(&text, &size, path, arena, &error));
    char *copy = dc_arena_alloc(arena, 2 * size + 64, &error);
    assert_non_null(copy);
    memcpy(copy, text, size);
    const char *last = text + size - 1;
    while (last > text && last[-1] != '\n')
        last--;
    if (!s->from)
        size = (size_t)(last - text);
    else if (!s->to)
        size += (size_t)snprintf(copy + size, 64, "%s", last);
    else {
        char *at = strstr(copy, s->from);
        assert_non_null(at);
        assert_int_equal(strlen(s->from), strlen(s->to));
        memcpy(at, s->to, strlen(s->to));
    }
    must(dc_file_write(path, copy, size, &error));
}

// What a rung says of a folder with one thing changed; NULL: nothing.
static struct dc_rung_result simulate(const struct made *made, enum dc_rung rung,
                                      const struct sabotage *s)
{
    struct dc_rung_result r;
    char *work = NULL;
    must(dc__rtl_prepare(&work, made->model, made->vectors, arena, &error));
    if (s)
        sabotage(work, s);
    must(dc__rtl_simulate(&r, ctx, rung, made->model, made->vectors, work, arena, &error));
    dc__rtl_discard(work);
    return r;
}

static void the_testbench_names_the_layer(void **state)
{
    (void)state;
    static const struct sabotage sabotages[] = {
        {"swapped axes", "network.svh", "L01_KERNEL_H = 3, L01_KERNEL_W = 2",
         "L01_KERNEL_H = 2, L01_KERNEL_W = 3", DC_RUNG_DIFFERENT, "conv"},
        {"a pad value", "network.svh", "L01_PAD_VALUE = -7", "L01_PAD_VALUE = -8",
         DC_RUNG_DIFFERENT, "conv"},
        {"a stride", "network.svh", "L01_STRIDE_W = 2", "L01_STRIDE_W = 1", DC_RUNG_DIFFERENT,
         "conv"},
        {"a clamp", "network.svh", "L01_LOW = -100", "L01_LOW = -060", DC_RUNG_DIFFERENT, "conv"},
        {"an address", "network.svh", "L03_WEIGHT_DEPTH = 4", "L03_WEIGHT_DEPTH = 3",
         DC_RUNG_FAILED, "pointwise"},
        {"another rounding rule", "network.svh", "ROUNDING = 0", "ROUNDING = 2", DC_RUNG_DIFFERENT,
         NULL},
        {"bit order", "network.svh", "HIGH_FIRST = 0", "HIGH_FIRST = 1", DC_RUNG_DIFFERENT, "conv"},
        {"a truncated image", "02_depthwise_weights.mem", NULL, NULL, DC_RUNG_FAILED, "depthwise"},
        {"a truncated bias image", "10_dense_biases.mem", NULL, NULL, DC_RUNG_FAILED, "dense"},
        {"a word too many", "03_pointwise_shifts.mem", "", NULL, DC_RUNG_FAILED, "pointwise"},
        {"a truncated table", "04_tanh_table.mem", NULL, NULL, DC_RUNG_FAILED, "tanh"},
        {"truncated codes", "05_add.mem", NULL, NULL, DC_RUNG_FAILED, "add"}};
    struct made made = make(small_model("tflm", false));
    if (dc__rung_misses(DC_RUNG_IVERILOG)) {
        unmake(&made);
        skip();
    }
    struct dc_rung_result r = simulate(&made, DC_RUNG_IVERILOG, NULL);
    if (r.outcome != DC_RUNG_EQUAL)
        fail_msg("%s", r.why);
    for (size_t i = 0; i < sizeof sabotages / sizeof *sabotages; i++) {
        const struct sabotage *s = &sabotages[i];
        r = simulate(&made, DC_RUNG_IVERILOG, s);
        if (r.outcome != s->outcome || (s->layer && strcmp(r.layer, s->layer) != 0) || !r.layer[0])
            fail_msg("%s: %d '%s' '%s', not %s", s->name, (int)r.outcome, r.layer, r.why,
                     s->layer ? s->layer : "a layer");
    }
    unmake(&made);
}

// One bit of an image.
static void the_testbench_sees_single_words(void **state)
{
    (void)state;
    static const struct {
        const char *file, *layer;
        int digit;  // of the first word, from the lowest; its bits that change
        unsigned bits;
    } images[] = {{"01_conv_weights.mem", "conv", 0, 8},
                  {"02_depthwise_multipliers.mem", "depthwise", 7, 2},
                  {"03_pointwise_shifts.mem", "pointwise", 0, 1},
                  {"10_dense_biases.mem", "dense", 3, 8}};
    struct made made = make(small_model("ruy", false));
    if (dc__rung_misses(DC_RUNG_IVERILOG)) {
        unmake(&made);
        skip();
    }
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
        const char *text = file_of(&made, images[i].file);
        const size_t digits = strcspn(text, "\n");
        char from[80], to[80];
        snprintf(from, sizeof from, "%.*s", (int)digits, text);
        snprintf(to, sizeof to, "%s", from);
        char *at = &to[digits - 1 - (size_t)images[i].digit];
        const unsigned digit = (unsigned)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
        *at = "0123456789abcdef"[digit ^ images[i].bits];
        const struct sabotage s = {images[i].file,    images[i].file, from, to,
                                   DC_RUNG_DIFFERENT, images[i].layer};
        const struct dc_rung_result r = simulate(&made, DC_RUNG_IVERILOG, &s);
        if (r.outcome != DC_RUNG_DIFFERENT || strcmp(r.layer, images[i].layer) != 0)
            fail_msg("%s: %d '%s' '%s'", images[i].file, (int)r.outcome, r.layer, r.why);
        assert_true(strstr(r.why, "got ") && strstr(r.why, "expected "));
    }
    unmake(&made);
}

static void every_profile_of_integers_is_replayed(void **state)
{
    (void)state;
    int equal = 0, refused = 0;
    if (dc__rung_misses(DC_RUNG_IVERILOG))
        skip();
    for (const struct dc_profile *const *p = dc_profile_table(); *p; p++) {
        struct made made = make(small_model((*p)->name, strcmp((*p)->name, "litert-builtin") == 0));
        const bool floats = dc__memory_refuses(made.model, 1) != NULL;
        char *work = NULL;
        if (floats) {
            assert_int_equal(dc__rtl_prepare(&work, made.model, made.vectors, arena, &error),
                             DC_ERR_CONFIG);
            assert_non_null(strstr(error.message, (*p)->name));
            assert_non_null(strstr(error.message, "layer 'conv'"));
            assert_int_equal(dc_memory_write(test_path("no.tar"), made.model, made.vectors, &error),
                             DC_ERR_DATA);
            assert_non_null(strstr(error.message, "layer 'conv'"));
            assert_null(work);
            refused++;
        } else {
            const struct dc_rung_result r = simulate(&made, DC_RUNG_IVERILOG, NULL);
            if (r.outcome != DC_RUNG_EQUAL)
                fail_msg("%s: %s", (*p)->name, r.why);
            const bool reference = strcmp((*p)->name, "litert-reference") == 0;
            assert_true(reference == (strstr(r.why, "fully_connected 'dense'") != NULL));
            assert_non_null(strstr(r.why, reference ? "9 of 10 layers" : "10 of 10 layers"));
            equal++;
        }
        unmake(&made);
    }
    assert_int_equal(equal, 7);
    assert_int_equal(refused, 3);
}

// A process that ends without tidying up, behind Verilator; a file of somebody else's stays.
static void what_a_killed_rung_leaves_is_removed(void **state)
{
    (void)state;
    struct made made = make(by_hand(0));
    int ends[2];
    char *work = NULL, left[512] = "", path[600];
    assert_int_equal(pipe(ends), 0);
    for (int foreign = 0; foreign < 2; foreign++) {
        const pid_t child = fork();
        if (child == 0) {
            if (dc__rtl_prepare(&work, made.model, made.vectors, arena, &error) != DC_OK)
                _exit(1);
            snprintf(path, sizeof path, "%s/%s", work, foreign ? "mine.txt" : "Vtestbench_x.cpp");
            test_write(path, "x", 1);
            _exit(write(ends[1], work, strlen(work) + 1) < 0);
        }
        int status = 1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_true(read(ends[0], left, sizeof left) > 0);
        must(dc__rtl_prepare(&work, made.model, made.vectors, arena, &error));
        dc__rtl_discard(work);
        assert_int_equal(access(work, F_OK), -1);
        assert_int_equal(access(left, F_OK), foreign ? 0 : -1);
    }
    snprintf(path, sizeof path, "%s/mine.txt", left);
    assert_int_equal(test_folder_entries(left), 2);  // with the mark
    assert_int_equal(remove(path), 0);
    dc__rtl_discard(left);
    assert_int_equal(access(left, F_OK), -1);
    unmake(&made);
}

static void a_bundle_keeps_its_images(void **state)
{
    (void)state;
    const struct dc_texts formats = {3, {"bundle", "c", "memory"}};
    struct dc_verify_report report;
    struct dc_imodel *read = NULL;
    struct made made = make(small_model("tflm", false));
    made.model->tiling = (struct dc_tiling){2, 5, 1};
    const char *bundle = test_path("bundle");
    must(dc_bundle_write(bundle, made.model, made.vectors, &formats, &error));
    must(dc_bundle_read(&read, NULL, bundle, &error));
    assert_int_equal(read->tiling.pe, 2);
    assert_int_equal(read->tiling.simd, 5);
    assert_int_equal(read->tiling.high_first, 1);
    dc_imodel_free(read);
    assert_true(dc_file_exists(test_path("bundle/small.memory.tar")));
    must(dc_verify_bundle(ctx, bundle, made.vectors->outputs[0], 1, NULL, &report, &error));
    assert_int_equal(dc_memory_write(test_path("x.memory.tar"), made.model, NULL, &error),
                     DC_ERR_USAGE);
    unmake(&made);
}

static int set_up(void **state)
{
    const struct dc_ctx_config config = {.threads = 1};
    (void)state;
    test_folder();
    return dc_ctx_create(&ctx, &config, &error) == DC_OK && dc_arena_create(&arena, &error) == DC_OK
               ? 0
               : 1;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    dc_arena_free(arena);
    dc_ctx_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_of_the_definition),
        cmocka_unit_test(images_read_back),
        cmocka_unit_test(the_testbench_names_the_layer),
        cmocka_unit_test(the_testbench_sees_single_words),
        cmocka_unit_test(every_profile_of_integers_is_replayed),
        cmocka_unit_test(what_a_killed_rung_leaves_is_removed),
        cmocka_unit_test(a_bundle_keeps_its_images),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

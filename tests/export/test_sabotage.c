// Ten sabotages, each caught with the layer named where there is one: of the C, as a compiler or a
// board that computes otherwise would be (the ladder, on one rung), and of a bundle whose hashes
// were made to fit (verification).

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
#include "core/json.h"
#include "export/bundle.h"
#include "export/bundle_format.h"
#include "export/c_source.h"
#include "export/verify.h"
#include "tests/qat/helper_models.h"

enum { SAMPLES = 4, INPUT = 13 * 11 * 3 };

static char work[] = "/tmp/decant-test-sabotage-XXXXXX";
static char path[512];
static int8_t inputs[SAMPLES * INPUT];
static struct dc_ctx *ctx;
static struct dc_imodel *model;
static struct dc_vectors *vectors;
static struct dc_ladder *ladder;

static void must(enum dc_status status, const struct dc_error *error)
{
    if (status != DC_OK)
        fail_msg("%s", error->message);
}

static int set_up(void **state)
{
    (void)state;
    struct dc_random random;
    struct dc_error error;
    const struct dc_ctx_config config = {.threads = 1};
    dc_random_start(&random, 19, DC_PURPOSE_TEST, 0, 0);
    test_fill_codes(inputs, sizeof inputs, &random);
    if (!mkdtemp(work) || dc_ctx_create(&ctx, &config, NULL) != DC_OK)
        return 1;
    model = test_every_op_model(dc_profile_find("tflm"), 1);
    must(dc_vectors_create(&vectors, ctx, model, inputs, 3, &error), &error);
    must(dc_ladder_create(&ladder, ctx, model, vectors, inputs, SAMPLES, &error), &error);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dc_ladder_free(ladder);
    dc_vectors_free(vectors);
    dc_imodel_free(model);
    dc_ctx_free(ctx);
    snprintf(path, sizeof path, "rm -rf %s", work);
    return system(path);
}

static int layer_named(const char *name)
{
    int i = 0;
    while (i < model->count && strcmp(model->layers[i].name, name) != 0)
        i++;
    assert_true(i < model->count);
    return i;
}

// A text file in memory that a sabotage changes. free() the text.
struct text {
    char *text;
    size_t size;
};

static struct text read_text(const char *folder, const char *name)
{
    struct dc_arena *arena = NULL;
    struct text t = {0};
    char *read = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
    assert_int_equal(dc_file_read(&read, &t.size, path, arena, NULL), DC_OK);
    t.text = calloc(t.size + 256, 1);
    assert_non_null(t.text);
    memcpy(t.text, read, t.size);
    dc_arena_free(arena);
    return t;
}

static void write_text(const char *folder, const char *name, const struct text *t)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(dc_file_write(path, t->text, strlen(t->text), NULL), DC_OK);
}

// Another number in place of the one at `at`.
static void put_number(char *at, long number)
{
    char digits[24];
    const size_t old = strspn(at, "-0123456789");
    const int length = snprintf(digits, sizeof digits, "%ld", number);
    memmove(at + length, at + old, strlen(at + old) + 1);
    memcpy(at, digits, (size_t)length);
}

// Number n of the array layerN_NAME_WHAT, or the number behind a mark in the layer's record.
static char *find_number(const struct text *t, const char *layer, const char *what, int n)
{
    char name[96];
    snprintf(name, sizeof name, "layer%d_%s_%s[", layer_named(layer), layer, what);
    char *at = strstr(t->text, name);
    assert_non_null(at);
    at = strchr(at, '{') + 1;
    for (; n > 0; n--)
        at = strchr(at, ',') + 1;
    return at + strspn(at, " \n");
}

static char *find_in_record(const struct text *t, const char *layer, const char *mark)
{
    char name[96];
    snprintf(name, sizeof name, "struct layer layer%d_%s = {", layer_named(layer), layer);
    char *at = strstr(t->text, name);
    assert_non_null(at);
    at = strstr(at, mark);
    assert_non_null(at);
    return at + strlen(mark);
}

static void flip_weight_bit(struct text *t)
{
    char *at = find_number(t, "conv", "weights", 7);
    put_number(at, strtol(at, NULL, 10) ^ 1);
}

static void swap_axes(struct text *t)
{
    char *at = find_in_record(t, "conv", ".kernel_h = ");
    const long height = strtol(at, NULL, 10);
    char *other = find_in_record(t, "conv", ".kernel_w = ");
    const long width = strtol(other, NULL, 10);
    put_number(other, height);
    put_number(at, width);
}

static void shift_pad_value(struct text *t)
{
    char *at = find_in_record(t, "conv", ".in_zero = ");
    put_number(at, strtol(at, NULL, 10) + 1);
}

static void change_shift(struct text *t)
{
    char *at = find_number(t, "pointwise", "shifts", 3);
    put_number(at, strtol(at, NULL, 10) + 1);
}

// An entry that is read: of the first code that the layer gets.
static void change_table(struct text *t)
{
    const struct dc_ilayer *l = &model->layers[layer_named("tanh")];
    char *at = find_number(t, "tanh", "table", vectors->outputs[l->inputs[0]][0] + 128);
    put_number(at, strtol(at, NULL, 10) ^ 1);
}

static long swapped(long value)
{
    return (int32_t)__builtin_bswap32((uint32_t)value);
}

static void swap_bytes(struct text *t)
{
    char *at = find_number(t, "depthwise", "biases", 0);
    put_number(at, swapped(strtol(at, NULL, 10)));
}

static void truncate_text(struct text *t)
{
    t->text[t->size * 4 / 5] = '\0';
}

// The network as another profile computes it, with vectors to match: its self-test passes.
static void round_otherwise(struct text *t)
{
    struct dc_error error;
    struct dc_vectors *others = NULL;
    struct dc_imodel *other = test_every_op_model(dc_profile_find("ruy"), 1);
    must(dc_vectors_create(&others, ctx, other, inputs, 3, &error), &error);
    must(dc_c_source_write(work, "network", other, others, &error), &error);
    dc_vectors_free(others);
    dc_imodel_free(other);
    free(t->text);
    *t = read_text(work, "network.c");
}

static void shorten_arena(struct text *t)
{
    char *at = strstr(t->text, "\n#else\n#define NETWORK_ARENA_BYTES ");
    assert_non_null(at);
    at += strlen("\n#else\n#define NETWORK_ARENA_BYTES ");
    put_number(at, strtol(at, NULL, 10) / 2);
}

static void run_rung(struct dc_rung_result *result, enum dc_rung rung)
{
    struct dc_error error;
    must(dc_ladder_run(result, ladder, rung, "", &error), &error);
}

static void the_ladder_names_the_layer(void **state)
{
    (void)state;
    static const struct {
        const char *name, *file;
        void (*apply)(struct text *t);
        enum dc_rung rung;
        enum dc_rung_outcome outcome;
        const char *layer;  // or of what is said
    } sabotages[] = {
        {"a weight bit", "network.c", flip_weight_bit, DC_RUNG_GCC_O0, DC_RUNG_DIFFERENT, "conv"},
        {"two axes", "network.c", swap_axes, DC_RUNG_GCC_O0, DC_RUNG_DIFFERENT, "conv"},
        {"a pad value", "network.c", shift_pad_value, DC_RUNG_GCC_O0, DC_RUNG_DIFFERENT, "conv"},
        {"another rounding rule", "network.c", round_otherwise, DC_RUNG_GCC_O0, DC_RUNG_DIFFERENT,
         "conv"},
        {"byte order", "network.c", swap_bytes, DC_RUNG_GCC_O0, DC_RUNG_DIFFERENT, "depthwise"},
        {"a shift", "network.c", change_shift, DC_RUNG_GCC_O0, DC_RUNG_DIFFERENT, "pointwise"},
        {"a table entry", "network.c", change_table, DC_RUNG_GCC_O0, DC_RUNG_DIFFERENT, "tanh"},
        {"a truncated file", "network.c", truncate_text, DC_RUNG_GCC_O0, DC_RUNG_FAILED,
         "it was not compiled"},
        {"a short arena", "network.h", shorten_arena, DC_RUNG_ASAN, DC_RUNG_FAILED,
         "AddressSanitizer"}};
    struct dc_rung_result r;
    run_rung(&r, DC_RUNG_GCC_O0);
    if (r.outcome == DC_RUNG_NOT_RUN)
        skip();
    assert_int_equal(r.outcome, DC_RUNG_EQUAL);
    assert_int_equal(r.samples, SAMPLES + vectors->count);
    for (size_t i = 0; i < sizeof sabotages / sizeof *sabotages; i++) {
        const char *file = sabotages[i].file, *folder = dc__ladder_folder(ladder);
        struct text whole = read_text(folder, file), t = read_text(folder, file);
        sabotages[i].apply(&t);
        write_text(folder, file, &t);
        run_rung(&r, sabotages[i].rung);
        write_text(folder, file, &whole);
        free(whole.text);
        free(t.text);
        if (r.outcome == DC_RUNG_NOT_RUN)
            continue;  // no sanitizer here
        if (r.outcome != sabotages[i].outcome ||
            (r.outcome == DC_RUNG_DIFFERENT ? strcmp(r.layer, sabotages[i].layer) != 0
                                            : !strstr(r.why, sabotages[i].layer)))
            fail_msg("%s: %d '%s' '%s', not %s", sabotages[i].name, (int)r.outcome, r.layer, r.why,
                     sabotages[i].layer);
    }
    run_rung(&r, DC_RUNG_GCC_O0);  // all is as it was
    assert_int_equal(r.outcome, DC_RUNG_EQUAL);
}

// The same network with one layer's arrays changed before it is written, hashes and all.
static struct dc_imodel *changed(const char *layer, int8_t *weights, int32_t *biases)
{
    struct dc_imodel *m = NULL;
    assert_int_equal(dc_imodel_create(&m, model->name, model->provenance, model->profile, NULL),
                     DC_OK);
    for (int i = 0; i < model->count; i++) {
        struct dc_ilayer l = model->layers[i];
        if (strcmp(l.name, layer) == 0) {
            l.weights = weights ? weights : l.weights;
            l.biases = biases ? biases : l.biases;
        }
        assert_int_equal(dc_imodel_add(m, &l, NULL, NULL), DC_OK);
    }
    m->sample = model->sample;
    return m;
}

static void expect(enum dc_status wanted, const char *what, const char *because, const char *also)
{
    struct dc_verify_report report;
    struct dc_error error;
    snprintf(path, sizeof path, "%s/bundle", work);
    const enum dc_status status = dc_verify_bundle(ctx, path, inputs, SAMPLES, NULL, &report,
                                                   &error);
    if (status != wanted ||
        (status != DC_OK && (!strstr(error.message, because) || !strstr(error.message, also))))
        fail_msg("%s: %d '%s', not '%s' and '%s'", what, (int)status, error.message, because, also);
}

static void write_bundle(const struct dc_imodel *m)
{
    struct dc_error error;
    snprintf(path, sizeof path, "%s/bundle", work);
    must(dc_bundle_write(path, m, vectors, NULL, &error), &error);
}

static void arrays_in_a_bundle_are_held_to_its_vectors(void **state)
{
    (void)state;
    const struct dc_ilayer *l = &model->layers[layer_named("conv")];
    const int taps = l->window.kernel[0] * l->window.kernel[1];
    const int in = (int)(l->weight_count / l->channels / taps);
    int8_t *weights = malloc((size_t)l->weight_count);
    int32_t *biases = malloc((size_t)l->channels * sizeof *biases);
    assert_non_null(weights);
    assert_non_null(biases);
    for (int which = 0; which < 3; which++) {
        static const char *const names[] = {"a weight bit", "two axes", "byte order"};
        memcpy(weights, l->weights, (size_t)l->weight_count);
        memcpy(biases, l->biases, (size_t)l->channels * sizeof *biases);
        weights[7] ^= which == 0;
        for (int64_t k = 0; which == 1 && k < l->weight_count; k++) {  // OHWI as OIHW
            const int64_t o = k / (taps * in), t = k / in % taps, c = k % in;
            weights[(o * in + c) * taps + t] = l->weights[k];
        }
        for (int c = 0; which == 2 && c < l->channels; c++)
            biases[c] = (int32_t)swapped(biases[c]) / 256;  // within what sums may reach
        struct dc_imodel *m = changed("conv", weights, biases);
        write_bundle(m);
        dc_imodel_free(m);
        expect(DC_ERR_VERIFY, names[which], "layer 'conv'", "model.h5");
    }
    free(weights);
    free(biases);
}

// Changes what the manifest says of a layer, and makes its own hash fit.
static void change_manifest(const char *layer, const char *key, json_t *value)
{
    char crc[16];
    bool ok = false;
    json_error_t where;
    snprintf(path, sizeof path, "%s/bundle/manifest.json", work);
    json_t *root = dc_json_read(path, &where);
    json_t *entry = layer ? json_array_get(json_object_get(root, "layers"),
                                           (size_t)layer_named(layer))
                          : json_object_get(root, "files");
    assert_int_equal(json_object_set_new(entry, key, value), 0);
    snprintf(crc, sizeof crc, "%08x", (unsigned)dc__manifest_crc32(root, &ok));
    assert_int_equal(json_object_set_new(root, "crc32", json_string(crc)), 0);
    assert_int_equal(json_dump_file(root, path, JSON_INDENT(1)), 0);
    json_decref(root);
}

static json_t *manifest_value(const char *layer, const char *key)
{
    json_error_t where;
    snprintf(path, sizeof path, "%s/bundle/manifest.json", work);
    json_t *root = dc_json_read(path, &where);
    json_t *copy = json_deep_copy(json_object_get(
        json_array_get(json_object_get(root, "layers"), (size_t)layer_named(layer)), key));
    json_decref(root);
    assert_non_null(copy);
    return copy;
}

static void numbers_of_a_manifest_are_held_to_the_model(void **state)
{
    (void)state;
    write_bundle(model);
    expect(DC_OK, "nothing", "", "");
    json_t *pads = manifest_value("conv", "pads");
    json_object_set_new(pads, "value",
                        json_integer(json_integer_value(json_object_get(pads, "value")) + 1));
    change_manifest("conv", "pads", pads);
    expect(DC_ERR_DATA, "a pad value", "layer 'conv'", "'pads'");
    write_bundle(model);
    change_manifest("conv", "rounding", json_string("single"));
    expect(DC_ERR_DATA, "another rounding rule", "layer 'conv'", "'rounding'");
    write_bundle(model);
    json_t *shifts = manifest_value("pointwise", "shift");
    json_array_set_new(shifts, 3, json_integer(-1));
    change_manifest("pointwise", "shift", shifts);
    expect(DC_ERR_DATA, "a shift", "layer 'pointwise'", "'shift'");
    write_bundle(model);
    json_t *table = manifest_value("tanh", "table");
    json_array_set_new(table, 9, json_integer(126));
    change_manifest("tanh", "table", table);
    expect(DC_ERR_DATA, "a table entry", "table of 'tanh'", "");
    write_bundle(model);
    json_t *arrays = manifest_value("conv", "arrays");
    json_object_set_new(json_object_get(arrays, "weights"), "crc32", json_string("00000000"));
    change_manifest("conv", "arrays", arrays);
    expect(DC_ERR_DATA, "a stale hash", "'layers/02/weights'", "layer 'conv'");
}

// The C that lies in the bundle, changed together with its hash.
static void the_c_of_a_bundle_is_held_to_its_model(void **state)
{
    (void)state;
    static const struct {
        void (*apply)(struct text *t);
        const char *layer;
    } changes[] = {{flip_weight_bit, "of layer 'conv'"},
                   {shift_pad_value, "of layer 'conv'"},
                   {change_shift, "of layer 'pointwise'"},
                   {change_table, "of layer 'tanh'"},
                   {truncate_text, "every_op.c:"}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        write_bundle(model);
        char folder[64];
        snprintf(folder, sizeof folder, "%s/bundle", work);
        struct text t = read_text(folder, "every_op.c");
        changes[i].apply(&t);
        write_text(folder, "every_op.c", &t);
        expect(DC_ERR_DATA, "a stale hash", "every_op.c: is damaged", "");
        char crc[16];
        snprintf(crc, sizeof crc, "%08x", (unsigned)dc__crc32(t.text, strlen(t.text)));
        change_manifest(NULL, "every_op.c",
                        json_pack("{s:I, s:s}", "bytes", (json_int_t)strlen(t.text), "crc32", crc));
        expect(DC_ERR_VERIFY, changes[i].layer, changes[i].layer, "every_op.c:");
        free(t.text);
    }
}

// A TFLite file of another network, with a hash that fits.
static void other_formats_are_held_to_the_model(void **state)
{
    (void)state;
    struct dc_error error;
    struct dc_random random;
    struct dc_vectors *own = NULL;
    const struct dc_texts formats = {1, {"tflite"}};
    const struct dc_ilayer conv = {
        .op = DC_I_CONV2D, .channels = 7, .window = {.kernel = {13, 11}}, .per_channel = true};
    dc_random_start(&random, 3, DC_PURPOSE_TEST, 0, 0);
    struct dc_imodel *m = test_one_layer_model(dc_profile_find("tflm"), 13, 11, 3, &conv, &random);
    snprintf(path, sizeof path, "%s/bundle", work);
    must(dc_vectors_create(&own, ctx, m, inputs, 1, &error), &error);
    must(dc_bundle_write(path, m, own, &formats, &error), &error);
    expect(DC_OK, "nothing", "", "");
    snprintf(path, sizeof path, "%s/bundle/one.tflite", work);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    char bytes[65536];
    const size_t size = fread(bytes, 1, sizeof bytes, f);
    char *weights = memmem(bytes, size, m->layers[1].weights, 64);
    assert_non_null(weights);
    weights[9] ^= 1;
    rewind(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    char crc[16];
    snprintf(crc, sizeof crc, "%08x", (unsigned)dc__crc32(bytes, size));
    change_manifest(NULL, "one.tflite",
                    json_pack("{s:I, s:s}", "bytes", (json_int_t)size, "crc32", crc));
    expect(DC_ERR_VERIFY, "a weight bit of the TFLite file", "one.tflite: is not what version", "");
    dc_vectors_free(own);
    dc_imodel_free(m);
}

static void a_truncated_file_is_named(void **state)
{
    (void)state;
    write_bundle(model);
    snprintf(path, sizeof path, "%s/bundle/model.h5", work);
    assert_int_equal(truncate(path, 5000), 0);
    expect(DC_ERR_DATA, "a truncated file", "model.h5", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ladder_names_the_layer),
        cmocka_unit_test(arrays_in_a_bundle_are_held_to_its_vectors),
        cmocka_unit_test(numbers_of_a_manifest_are_held_to_the_model),
        cmocka_unit_test(the_c_of_a_bundle_is_held_to_its_model),
        cmocka_unit_test(other_formats_are_held_to_the_model),
        cmocka_unit_test(a_truncated_file_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

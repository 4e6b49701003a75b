// Nothing that came from outside is executed: neither the C of a bundle nor a filter that a data
// file asks for; and names of a file do no harm in the C that is made of it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <hdf5.h>
#include <jansson.h>
#include <zlib.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static struct outcome outcome;
static char root[512];  // the test's folder; decant runs in it

#define BUNDLE   "x/bundle/int8/"
#define MANIFEST BUNDLE "manifest.json"

// Puts the right hashes into the bundle's manifest, as anyone can.
static void repair_hashes(void)
{
    json_error_t problem;
    json_t *manifest = json_load_file(test_path(MANIFEST), 0, &problem);
    json_t *files = json_object_get(manifest, "files"), *entry;
    const char *name;
    char crc[16], path[256];
    assert_non_null(files);
    json_object_foreach(files, name, entry)
    {
        size_t size = 0;
        snprintf(path, sizeof path, BUNDLE "%.100s", name);
        char *bytes = tiny_read(test_path(path), &size);
        if (!bytes)
            continue;
        snprintf(crc, sizeof crc, "%08lx", crc32(0, (const Bytef *)bytes, (uInt)size));
        json_object_set_new(entry, "crc32", json_string(crc));
        json_object_set_new(entry, "bytes", json_integer((json_int_t)size));
        free(bytes);
    }
    json_object_del(manifest, "crc32");
    char *text = json_dumps(manifest, JSON_COMPACT | JSON_SORT_KEYS);
    assert_non_null(text);
    snprintf(crc, sizeof crc, "%08lx", crc32(0, (const Bytef *)text, (uInt)strlen(text)));
    free(text);
    json_object_set_new(manifest, "crc32", json_string(crc));
    assert_int_equal(json_dump_file(manifest, test_path(MANIFEST), 0), 0);
    json_decref(manifest);
}

#define EVIL                                                                                       \
    "#include <stdio.h>\n"                                                                         \
    "__attribute__((constructor)) static void evil(void) { if (fopen(\"pwned\", \"w\")) {} }\n"

// Bundles from outside, with right hashes, that want their code to be run.
struct bundle_case {
    const char *name;
    struct {
        const char *file, *from, *to;
    } edits[2];
    bool other_version;  // the manifest says that version 0.0.9 wrote it
    int exit_code;
    const char *words[OUTCOME_WORDS];
};

static const struct bundle_case bundle_cases[] = {
    {"more C", {{BUNDLE "tiny.c", "", EVIL}}, false, 4, {"tiny.c:", "neither compiled nor run"}},
    {"other C", {{BUNDLE "tiny.c", NULL, EVIL}}, false, 4, {"tiny.c:1:"}},
    {"C in front", {{BUNDLE "tiny.c", "#include", EVIL "#include"}}, false, 4, {"tiny.c:"}},
    {"one blank more", {{BUNDLE "tiny.h", "", "\n"}}, false, 4, {"tiny.h:"}},
    {"one byte less", {{BUNDLE "tiny.c", "#endif\n", "#endif"}}, false, 4, {"tiny.c:"}},
    {"a header of its own",
     {{BUNDLE "evil.h", NULL, EVIL}, {BUNDLE "tiny.h", "#ifndef", "#include \"evil.h\"\n#ifndef"}},
     false,
     4,
     {"tiny.h:"}},
    {"more C of another version", {{BUNDLE "tiny.c", "", EVIL}}, true, 0, {NULL}},
    {"other C of another version", {{BUNDLE "tiny.c", NULL, EVIL}}, true, 0, {NULL}},
    {"a header of the system's name",
     {{BUNDLE "stdint.h", NULL, "#include_next <stdint.h>\n" EVIL}},
     false,
     0,
     {NULL}},
    {"a driver of its own",
     {{BUNDLE "verify-driver.c", NULL, EVIL}, {BUNDLE "driver.c", NULL, EVIL}},
     false,
     0,
     {NULL}},
    {"a note that ends its comment",
     {{MANIFEST, "experiment export", "*/ int harm; /*"}},
     false,
     4,
     {"tiny.h:2:"}},
    {"such a note of another version",
     {{MANIFEST, "experiment export",
       "*/\\n#error harm\\n/* ?"
       "?/"}},
     true,
     0,
     {NULL}},
    {"a layer that ends its comment",
     {{MANIFEST, "\"name\": \"pointwise",
       "\"name\": \"*/\\n#error harm\\n/*?"
       "?/"}},
     true,
     0,
     {NULL}},
    {"a name that is a path",
     {{MANIFEST, "\"name\": \"tiny\"", "\"name\": \"../../../tiny\""}},
     true,
     0,
     {NULL}},
    {"a name that is a command",
     {{MANIFEST, "\"name\": \"tiny\"", "\"name\": \"a; touch pwned; `touch pwned` -o\""}},
     true,
     0,
     {NULL}},
    {"a name that is an option",
     {{MANIFEST, "\"name\": \"tiny\"", "\"name\": \"-wrapper\""}},
     true,
     0,
     {NULL}},
    {"a file elsewhere",
     {{MANIFEST, "\"tiny.onnx\"", "\"../../../export.yaml\""}},
     false,
     1,
     {"manifest.json: lists a file that cannot lie in its folder"}},
    {"a file at the root", {{MANIFEST, "\"tiny.onnx\"", "\"/etc/passwd\""}}, false, 1, {"lists a"}},
    {"a writer that clears the screen",
     {{MANIFEST, "\"Decant 0.", "\"Decant \\u001b[2J0."}},
     false,
     1,
     {"manifest.json: does not say which version of Decant wrote it"}},
    {"no writer", {{MANIFEST, "\"writer\"", "\"reader\""}}, false, 1, {"which version of Decant"}},
};

static void assert_not_run(const char *name)
{
    if (access(test_path("pwned"), F_OK) == 0)
        fail_msg("%s was executed", name);
}

static void nothing_of_a_bundle_is_executed(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    for (size_t i = 0; i < sizeof bundle_cases / sizeof *bundle_cases; i++) {
        const struct bundle_case *c = &bundle_cases[i];
        must_shell("rm -rf x pwned; mkdir -p x/bundle; cp -r done/bundle/int8 x/bundle; "
                   "cp done/resolved.yaml done/results.json x");
        if (c->other_version)
            tiny_edit(MANIFEST, "\"Decant " DECANT_VERSION "\"", "\"Decant 0.0.9\"");
        for (int e = 0; e < 2 && c->edits[e].file; e++)
            tiny_edit(c->edits[e].file, c->edits[e].from, c->edits[e].to);
        repair_hashes();
        DECANT(&outcome, &here, "verify", "x/bundle/int8");
        assert_outcome(&outcome, c->name, c->exit_code, c->words);
        assert_not_run(c->name);
        const bool said = strstr(outcome.out, "not checked: written by version 0.0.9");
        if (c->exit_code == 0 && said != c->other_version)
            fail_msg("%s: %s", c->name, outcome.out);
    }
    must_shell("rm -rf x");
}

static size_t as_it_is(unsigned flags, size_t count, const unsigned *values, size_t bytes,
                       size_t *room, void **buffer)
{
    (void)flags, (void)count, (void)values, (void)room, (void)buffer;
    return bytes;
}

static void write_filtered(hid_t file, const char *name, int rank, hid_t type, hid_t how,
                           const void *values)
{
    const hsize_t dims[4] = {4, 2, 2, 1};
    const hid_t links = H5Pcreate(H5P_LINK_CREATE), space = H5Screate_simple(rank, dims, NULL);
    assert_true(H5Pset_create_intermediate_group(links, 1) >= 0);
    const hid_t set = H5Dcreate2(file, name, type, space, links, how, H5P_DEFAULT);
    assert_true(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(links);
}

// A filter that a data file asks for is not loaded, though the environment says where it lies.
static void filters_are_not_loaded(void **state)
{
    (void)state;
    static const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, 32000, 1,    1,
                                        "foreign",        NULL,  NULL, as_it_is};
    const hsize_t chunk[4] = {4, 2, 2, 1};
    const float inputs[16] = {0};
    const int classes[4] = {0, 1, 0, 1};
    assert_true(H5Zregister(&filter) >= 0);
    const hid_t file = H5Fcreate(test_path("x.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t how = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_chunk(how, 4, chunk) >= 0 && H5Pset_filter(how, 32000, 0, 0, NULL) >= 0);
    for (int split = 0; split < 2; split++) {
        write_filtered(file, split ? "test/inputs" : "train/inputs", 4, H5T_NATIVE_FLOAT, how,
                       inputs);
        write_filtered(file, split ? "test/labels" : "train/labels", 1, H5T_NATIVE_INT, H5P_DEFAULT,
                       classes);
    }
    H5Pclose(how);
    H5Fclose(file);
    must_shell("rm -rf pwned plugins; mkdir plugins");
    tiny_edit("plugins/evil.c", NULL, EVIL);
    must_shell("cc -shared -fPIC plugins/evil.c -o plugins/libevil.so");
    char environment[600];
    snprintf(environment, sizeof environment, "HDF5_PLUGIN_PATH=%s/plugins", root);
    const struct child here = {.folder = root, .environment = environment};
    static const char *const words[OUTCOME_WORDS] = {"x.h5: array 'train/inputs'",
                                                     "a filter that is not HDF5's own"};
    DECANT(&outcome, &here, "data", "hdf5:x.h5");
    assert_outcome(&outcome, "a foreign filter", 1, words);
    assert_not_run("a filter");
    must_shell("rm -rf plugins x.h5");
}

// Names that would end a comment, a line or a string of C, or a path, from experiment to verified
// C.
static void names_do_no_harm_in_c(void **state)
{
    (void)state;
    static const char *const model_edits[][2] = {
        {"name: tiny", "name: \"int */ \\n#error\""},
        {"name: stem,", "name: \"*/ #error /* ?"
                        "?/\","},
        {"name: stem_relu", "name: \"a\\nb\""},
        {"name: depthwise,", "name: \"%s \\\\\","},
        {"name: pointwise,", "name: \"../x\","},
        {"name: pool,", "name: \"\\u202e\xc3\xa9\\u2066\","},
        {"name: logits", "name: \"\\\" // \\\\\""},
    };
    static const char *const experiment_edits[][2] = {
        {"name: export", "name: \"*?"
                         "?\\ %s '\""},
        {"  quantized:", "  \"q * ?"
                         "?:\":"},
        {"export: quantized", "export: \"q * ?"
                              "?:\""},
        {"onnx]", "onnx, tflite]"},
    };
    must_shell("rm -rf x; cp model.yaml model.kept; cp export.yaml x.yaml");
    for (size_t i = 0; i < sizeof model_edits / sizeof *model_edits; i++)
        tiny_edit("model.yaml", model_edits[i][0], model_edits[i][1]);
    for (size_t i = 0; i < sizeof experiment_edits / sizeof *experiment_edits; i++)
        tiny_edit("x.yaml", experiment_edits[i][0], experiment_edits[i][1]);
    const struct child here = {.folder = root};
    static const char *const none[OUTCOME_WORDS] = {NULL};
    DECANT(&outcome, &here, "check", "x.yaml");
    assert_outcome(&outcome, "a check of strange names", 0, none);
    DECANT(&outcome, &here, "run", "x.yaml", "--run", "x");
    assert_outcome(&outcome, "a run with strange names", 0, none);
    DECANT(&outcome, &here, "verify", "x/bundle/int8");
    assert_outcome(&outcome, "a bundle with strange names", 0, none);
    must_shell("rm -rf x x.yaml; mv model.kept model.yaml");
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "run", "export.yaml", "--run", "done");
    if (outcome.exit_code)
        fprintf(stderr, "%s", outcome.err);
    return outcome.exit_code;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_of_a_bundle_is_executed),
        cmocka_unit_test(filters_are_not_loaded),
        cmocka_unit_test(names_do_no_harm_in_c),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

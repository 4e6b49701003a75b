// What a bundle says of its descent: the stages that its integers stand on, each with the hash of
// its settings and of its weights, which are those of the checkpoints.

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/json.h"
#include "run/network.h"
#include "run/run.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static char root[256];
static struct outcome outcome;
static const struct child here = {.folder = root};
static json_t *lineage;

static json_t *read_json(const char *path)
{
    json_error_t problem;
    json_t *json = dc_json_read(test_path(path), &problem);
    assert_non_null(json);
    return json;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    if (run_whole(&outcome, &here, "export.yaml", "done") != 0)
        return outcome.exit_code;
    json_t *manifest = read_json("done/bundle/int8/manifest.json");
    lineage = json_incref(json_object_get(manifest, "lineage"));
    json_decref(manifest);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(lineage);
    test_folder_remove();
    return 0;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

// FNV-1a as its authors define it.
static uint64_t fnv(uint64_t hash, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    return hash;
}

static void expect_weights(const json_t *record, struct dc_experiment *experiment)
{
    struct dc_stage_network network = {0};
    struct dc_error error;
    char path[128], text[24];
    uint64_t hash = 0xcbf29ce484222325u;
    snprintf(path, sizeof path, "done/checkpoints/%s/final.h5", text_of(record, "name"));
    if (dc_stage_network_open(&network, dc_experiment_stage(experiment, text_of(record, "name")),
                              test_path(path), &error) != DC_OK)
        fail_msg("%s", error.message);
    for (int i = 0; i < network.params->count; i++) {
        const struct dc_slice *slice = &network.params->slices[i];
        hash = fnv(hash, slice->name, strlen(slice->name) + 1);
        hash = fnv(hash, network.params->value + slice->offset,
                   (size_t)slice->count * sizeof(float));
    }
    dc_stage_network_close(&network);
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    assert_string_equal(text, text_of(record, "weights"));
}

static void integers_name_their_ancestors(void **state)
{
    (void)state;
    static const char *const names[] = {"teacher", "student", "quantized"};
    static const char *const parents[] = {"", "", "student"};
    const json_t *stages = json_object_get(lineage, "stages");
    struct dc_experiment *experiment = NULL;
    struct dc_error error;
    assert_int_equal(json_array_size(stages), 3);
    assert_int_equal(
        dc_experiment_read(&experiment, test_path("done/resolved.yaml"), NULL, 0, &error), DC_OK);
    json_t *results = read_json("done/results.json");
    json_t *env = read_json("done/env.json");
    for (size_t i = 0; i < 3; i++) {
        const json_t *record = json_array_get(stages, i);
        const json_t *teachers = json_object_get(record, "teachers");
        const json_t *done = json_object_get(json_object_get(results, "stages"), names[i]);
        assert_string_equal(text_of(record, "name"), names[i]);
        assert_string_equal(text_of(record, "starts_from"), parents[i]);
        assert_string_equal(text_of(record, "settings"), text_of(done, "config_hash"));
        assert_int_equal(json_array_size(teachers), i > 0);
        if (i > 0)
            assert_string_equal(json_string_value(json_array_get(teachers, 0)), "teacher");
        expect_weights(record, experiment);
    }
    assert_string_equal(text_of(lineage, "train_data"), text_of(env, "train_data_hash"));
    assert_int_equal(json_array_size(json_object_get(lineage, "files")), 0);
    json_decref(results);
    json_decref(env);
    dc_experiment_free(experiment);
}

// What is no stage is listed with the hash of its bytes; what nothing stands on is left out.
static void files_are_listed_by_their_bytes(void **state)
{
    (void)state;
    char *weights, hash[24];
    size_t size = 0;
    DECANT(&outcome, &here, "run", "export.yaml", "--run", "other", "--set",
           "stages.student.train.init_from=done/checkpoints/student/final.h5", "--set",
           "stages.student.distill=");
    assert_outcome(&outcome, "weights of a file", 0, (const char *const[OUTCOME_WORDS]){NULL});
    json_t *manifest = read_json("other/bundle/int8/manifest.json");
    const json_t *other = json_object_get(manifest, "lineage");
    const json_t *file = json_array_get(json_object_get(other, "files"), 0);
    weights = tiny_read(test_path("done/checkpoints/student/final.h5"), &size);
    snprintf(hash, sizeof hash, "%016" PRIx64, fnv(0xcbf29ce484222325u, weights, size));
    free(weights);
    assert_string_equal(text_of(file, "name"), "final.h5");
    assert_string_equal(text_of(file, "hash"), hash);
    json_decref(manifest);
    DECANT(&outcome, &here, "verify", "other/bundle/int8");
    assert_outcome(&outcome, "verified", 0, (const char *const[OUTCOME_WORDS]){NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_name_their_ancestors),
        cmocka_unit_test(files_are_listed_by_their_bytes),
    };
    return cmocka_run_group_tests_name("lineage", tests, set_up, tear_down);
}

// resolved.yaml: every key is in it, it reads back as the same experiment, and what stages inherit.

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "run/experiment_schema.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"

static struct dc_experiment *read_experiment(const char *path, const char *const *overrides,
                                             int count)
{
    struct dc_error error = {0};
    struct dc_experiment *experiment = NULL;
    if (dc_experiment_read(&experiment, path, overrides, count, &error) != DC_OK)
        fail_msg("%s", error.message);
    return experiment;
}

static char *written(const struct dc_experiment *experiment)
{
    struct dc_text_buffer text = {0};
    dc_experiment_write(&text, experiment);
    assert_false(text.failed);
    return text.text;
}

static uint64_t hash_of(struct dc_experiment *experiment, const char *stage)
{
    struct dc_error error;
    uint64_t hash = 0;
    assert_int_equal(
        dc_stage_hash(&hash, experiment, dc_experiment_stage(experiment, stage), &error), DC_OK);
    return hash;
}

// Every key of a schema as a line "key:" of the text, groups with theirs; returns how many.
static int assert_keys(const struct dc_schema *schema, const char *text)
{
    int count = 0;
    for (int i = 0; i < schema->count; i++) {
        char key[128];
        snprintf(key, sizeof key, " %s:", schema->fields[i].key);
        char first[128];
        snprintf(first, sizeof first, "\n%s:", schema->fields[i].key);
        const bool leads = strncmp(text, first + 1, strlen(first + 1)) == 0;
        if (!leads && !strstr(text, key) && !strstr(text, first))
            fail_msg("%s: '%s' is not in resolved.yaml", schema->name, schema->fields[i].key);
        const bool nests = schema->fields[i].type == DC_FIELD_GROUP ||
                           schema->fields[i].type == DC_FIELD_OPTIONAL;
        count += nests ? assert_keys(schema->fields[i].group, text) : 1;
    }
    return count;
}

static void every_key_is_written(void **state)
{
    (void)state;
    static const char *const all[] = {
        "stages.student.distill.cache={path: cache}", "stages.quantized.train=''",
        "stages.quantized.quantize.adaround={}",      "stages.student.quantize={oscillation: {}}",
        "stages.quantized.quantize.oscillation=''",   "cascade={accuracy: 0.9}"};
    struct dc_experiment *experiment = read_experiment(test_path("export.yaml"), all, 6);
    char *text = written(experiment);
    int count = assert_keys(&dc__experiment_schema, text);
    count += assert_keys(&dc__stage_schema, text);
    count += assert_keys(&dc__train_schema, text);
    count += assert_keys(&dc__distill_schema, text);
    count += assert_keys(&dc__quantize_schema, text);
    assert_true(count > 60);
    static const char *const of_losses[] = {
        " weight:", " temperature:", " start_epoch:", " end_epoch:", " ramp_epochs:"};
    for (size_t i = 0; i < sizeof of_losses / sizeof of_losses[0]; i++)
        assert_non_null(strstr(text, of_losses[i]));
    free(text);
    dc_experiment_free(experiment);
}

// A stage with a model file from one with an ONNX file leaves what that took of it.
static void a_model_file_inherits_nothing_of_onnx(void **state)
{
    (void)state;
    tiny_text(test_path("imported.yaml"),
              "name: imported\ndata: {source: idx, path: data, validation: 40}\nstages:\n"
              "  a: {model: net.onnx, output: logits, layout: nchw, train: {epochs: 1}}\n"
              "  b: {from: a, train: {epochs: 2}}\n"
              "  c: {from: a, model: model.yaml, train: {epochs: 1}}\n");
    tiny_text(test_path("net.onnx"), "");
    struct dc_experiment *experiment = read_experiment(test_path("imported.yaml"), NULL, 0);
    for (int s = 0; s < 3; s++) {
        assert_string_equal(experiment->stages[s].output, s < 2 ? "logits" : "");
        assert_true((experiment->stages[s].layout == DC_LAYOUT_NCHW) == (s < 2));
    }
    dc_experiment_free(experiment);
}

static void assert_reads_back(const char *path, const char *const *overrides, int count)
{
    struct dc_experiment *first = read_experiment(path, overrides, count);
    char *text = written(first);
    // elsewhere: a record must not depend on where it lies or from where it is read
    char back[512];
    snprintf(back, sizeof back, "%s", test_path("data/resolved.yaml"));
    tiny_text(back, text);
    assert_int_equal(chdir("/"), 0);
    struct dc_experiment *second = read_experiment(back, NULL, 0);
    char *again = written(second);
    assert_string_equal(text, again);
    assert_int_equal(first->stage_count, second->stage_count);
    for (int i = 0; i < first->stage_count; i++) {
        const char *name = first->stages[i].name;
        assert_true(hash_of(first, name) == hash_of(second, name));
    }
    free(text);
    free(again);
    dc_experiment_free(first);
    dc_experiment_free(second);
    remove(back);
}

static void resolved_reads_back(void **state)
{
    (void)state;
    assert_reads_back(test_path("tiny.yaml"), NULL, 0);
    assert_reads_back(test_path("export.yaml"), NULL, 0);
    const char *const many[] = {
        "name='a: \"strange\" #name'",
        "data.normalize={mean: [0.25], std: [0.1]}",
        "data.augment=[pad_crop: {pad: 2}, flip: {probability: 0.25}, mixup: {alpha: 0.3}]",
        "stages.teacher.train.class_weights=[1, 2, 0.333333333333333, 1e-3]",
        "stages.teacher.train.milestones=[1, 2.5]",
        "stages.teacher.train.freeze=['stem*', logits]",
        "stages.teacher.train.learning_rate_factors={'logits*': 0.1, stem: 3}",
        "stages.teacher.train.learning_rate=0.1234567890123",
        "stages.teacher.seed=77",
        "stages.student.train.init_from=teacher",
        "stages.quantized.train=''",
        "stages.quantized.quantize.weights=4",
        "stages.quantized.quantize.adaround.iterations=77",
        "stages.quantized.quantize.equalize=3",
        "stages.quantized.quantize.activation_scale=clipped",
        "stages.quantized.quantize.layers={conv: {weights: 2}, fc: {activations: 4}}",
    };
    assert_reads_back(test_path("tiny.yaml"), many, (int)(sizeof many / sizeof many[0]));
}

static void shipped_experiments_read_back(void **state)
{
    (void)state;
    glob_t found;
    setenv("DECANT_DATA", "/no/such/folder", 1);
    const char *models = getenv("DECANT_MODELS");
    assert_int_equal(glob(DECANT_SOURCE_DIR "/experiments/*.yaml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *text = tiny_read(found.gl_pathv[i], NULL);
        assert_non_null(text);
        if (models || !strstr(text, "$DECANT_MODELS"))
            assert_reads_back(found.gl_pathv[i], NULL, 0);
        else
            print_message("skipped, DECANT_MODELS is not set: %s\n", found.gl_pathv[i]);
        free(text);
    }
    globfree(&found);
}

// Of the first loss, a kd.
static double kd_temperature(const struct dc_stage *stage)
{
    const struct dc_kd_attributes *kd = stage->distill.losses.items[0].attributes;
    return (double)kd->temperature;
}

static void stages_inherit(void **state)
{
    (void)state;
    struct dc_experiment *e = read_experiment(test_path("tiny.yaml"), NULL, 0);
    const struct dc_stage *student = dc_experiment_stage(e, "student");
    const struct dc_stage *quantized = dc_experiment_stage(e, "quantized");
    assert_string_equal(quantized->model, student->model);
    assert_int_equal(quantized->train.config.epochs, 3);
    assert_int_equal(quantized->train.config.accumulate, 1);  // stated; the student has 2
    assert_true(quantized->train.label_smoothing == 0.1);
    assert_true(quantized->train.config.clip_norm == 1.0);
    assert_string_equal(quantized->distill.teacher, "teacher");
    assert_true(quantized->distill.losses.items[0].weight == 0.7);
    // 3 is the float student's; under quantization the default is 1
    assert_true(kd_temperature(student) == 3.0);
    assert_true(kd_temperature(quantized) == 1.0);
    char *text = written(e);
    const char *from = strstr(text, "  quantized:");
    assert_non_null(from);
    assert_non_null(strstr(from, "temperature: 1\n"));
    assert_null(strstr(from, "temperature: 3\n"));
    free(text);
    dc_experiment_free(e);

    const char *const stated[] = {
        "stages.quantized.distill.losses=[kd: {temperature: 2}]",
        "stages.student.distill.losses=[kd, label]",
    };
    e = read_experiment(test_path("tiny.yaml"), stated, 2);
    assert_true(kd_temperature(dc_experiment_stage(e, "student")) == 4.0);
    assert_true(kd_temperature(dc_experiment_stage(e, "quantized")) == 2.0);
    dc_experiment_free(e);

    const char *const calibration[] = {"stages.quantized.train=''"};
    e = read_experiment(test_path("tiny.yaml"), calibration, 1);
    assert_false(dc_experiment_stage(e, "quantized")->trains);
    assert_true(dc_experiment_stage(e, "quantized")->quantizes);
    dc_experiment_free(e);
}

static void hashes_know_what_counts(void **state)
{
    (void)state;
    static const char *const names[] = {"teacher", "student", "quantized"};
    static const struct {
        const char *override;
        bool changes[3];
    } cases[] = {
        {"data.loader_depth=9", {false, false, false}},
        {"data.loader_threads=3", {false, false, false}},
        {"name=other", {false, false, false}},
        {"seed=4", {true, true, true}},
        {"data.validation=41", {true, true, true}},
        {"data.augment_seed=2", {true, true, true}},
        {"stages.teacher.train.learning_rate=0.04", {true, true, true}},
        {"stages.student.train.learning_rate=0.04", {false, true, true}},
        {"stages.student.parameters={width: 7}", {false, true, true}},
        {"stages.quantized.quantize.average_constant=0.1", {false, false, true}},
    };
    struct dc_experiment *plain = read_experiment(test_path("tiny.yaml"), NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dc_experiment *other = read_experiment(test_path("tiny.yaml"), &cases[i].override,
                                                      1);
        for (int s = 0; s < 3; s++)
            if ((hash_of(plain, names[s]) != hash_of(other, names[s])) != cases[i].changes[s])
                fail_msg("%s, stage %s", cases[i].override, names[s]);
        dc_experiment_free(other);
    }
    // a cascade's threshold belongs to the export alone, and follows its teacher
    struct dc_experiment *bare = read_experiment(test_path("export.yaml"), NULL, 0);
    const char *const asked[2] = {"cascade={accuracy: 0.9}", "cascade={accuracy: 0.8}"};
    struct dc_experiment *sure = read_experiment(test_path("export.yaml"), &asked[0], 1);
    struct dc_experiment *less = read_experiment(test_path("export.yaml"), &asked[1], 1);
    for (int s = 0; s < 3; s++)
        assert_true(hash_of(bare, names[s]) == hash_of(sure, names[s]));
    assert_true(hash_of(bare, "int8") != hash_of(sure, "int8"));
    assert_true(hash_of(less, "int8") != hash_of(sure, "int8"));
    dc_experiment_free(bare);
    dc_experiment_free(sure);
    dc_experiment_free(less);
    // the model counts by its content
    const uint64_t before = hash_of(plain, "teacher");
    char *model = tiny_read(test_path("model.yaml"), NULL);
    char *copy = malloc(strlen(model) + 16);
    sprintf(copy, "%s# more\n", model);
    tiny_text(test_path("model.yaml"), copy);
    assert_true(hash_of(plain, "teacher") != before);
    tiny_text(test_path("model.yaml"), model);
    assert_true(hash_of(plain, "teacher") == before);
    free(copy);
    free(model);
    dc_experiment_free(plain);
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    tiny_files();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

// deviation is still read, and a run that was begun under it is still itself.
static void std_has_an_older_name(void **state)
{
    (void)state;
    const char *const now[] = {"data.normalize={mean: [0.25], std: [0.1]}"};
    const char *const before[] = {"data.normalize={mean: [0.25], deviation: [0.1]}"};
    const char *const both[] = {"data.normalize={mean: [0.25], deviation: [0.1], std: [0.1]}"};
    struct dc_experiment *a = read_experiment(test_path("tiny.yaml"), now, 1), *c = NULL;
    struct dc_experiment *b = read_experiment(test_path("tiny.yaml"), before, 1);
    struct dc_text_buffer hashed = {.hashed = true};
    char *first = written(a), *second = written(b);
    struct dc_error error;
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "std: [0.1"));
    assert_null(strstr(first, "deviation"));
    assert_true(hash_of(a, "teacher") == hash_of(b, "teacher"));
    dc_schema_write(&dc__experiment_schema, &hashed, a, 0);
    assert_non_null(strstr(hashed.text, "deviation: [0.1"));  // what older hashes are of
    assert_null(strstr(hashed.text, "std"));
    assert_int_equal(dc_experiment_read(&c, test_path("tiny.yaml"), both, 1, &error),
                     DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "older name of std"));
    dc_text_free(&hashed);
    free(first);
    free(second);
    dc_experiment_free(a);
    dc_experiment_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_file_inherits_nothing_of_onnx),
        cmocka_unit_test(every_key_is_written),
        cmocka_unit_test(resolved_reads_back),
        cmocka_unit_test(shipped_experiments_read_back),
        cmocka_unit_test(stages_inherit),
        cmocka_unit_test(hashes_know_what_counts),
        cmocka_unit_test(std_has_an_older_name),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

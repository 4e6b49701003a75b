// The cascade's threshold: the rule against a search that knows no beta function, and a whole run
// against `decant predict`.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"
#include "export/bundle.h"
#include "run/cascade.h"
#include "run/predict.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_walk.h"

static struct dc_error error;

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

// P(X >= k) of n trials with probability p: the sum of its terms, the largest first.
static double upper_tail(int64_t k, int64_t n, double p)
{
    if (k <= 0)
        return 1.0;
    long double sum = 0.0L;
    for (int64_t i = k; i <= n; i++) {
        long double term = 1.0L;
        // C(n, i) p^i (1 - p)^(n - i), factors interleaved so that nothing leaves the range
        int64_t others = n - i;
        for (int64_t j = 1; j <= i; j++) {
            term *= (long double)(n - i + j) / (long double)j * (long double)p;
            while (others > 0 && term > 1.0L) {
                term *= 1.0L - (long double)p;
                others--;
            }
        }
        for (; others > 0; others--)
            term *= 1.0L - (long double)p;
        sum += term;
    }
    return (double)sum;
}

// The bound reaches `accuracy` where so many right ones are unlikely at that accuracy.
static int threshold_by_search(const struct dc_margins *m, double accuracy)
{
    int chosen = -1;
    for (int t = 255; t >= 0; t--) {
        int64_t kept = 0, right = 0;
        for (int k = t; k < 256; k++) {
            kept += m->samples[k];
            right += m->right[k];
        }
        if ((double)kept * (1.0 - accuracy) < 10.0 - 1e-6)
            continue;
        if (upper_tail(right, kept, accuracy) > 0.05)
            return chosen;
        chosen = t;
    }
    return chosen;
}

static void the_rule_is_the_searchs(void **state)
{
    (void)state;
    static const double accuracies[] = {0.5, 0.8, 0.9, 0.95, 0.97};
    int none = 0, all = 0, between = 0;
    struct dc_random random;
    dc_random_start(&random, 5, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < 60; trial++) {
        struct dc_margins m = {0};
        const double sharp = (double)dc_random_between(&random, 0.2f, 4.0f);
        const double worst = (double)dc_random_between(&random, 0.3f, 1.0f);
        for (int i = 0; i < 700; i++) {
            const int margin = (int)dc_random_between(&random, 0.0f, trial % 2 ? 255.9f : 40.0f);
            const double right = 1.0 - (1.0 - worst) * pow(1.0 - margin / 256.0, sharp);
            m.samples[margin]++;
            m.right[margin] += (double)dc_random_between(&random, 0.0f, 1.0f) < right;
        }
        for (size_t a = 0; a < sizeof accuracies / sizeof accuracies[0]; a++) {
            const struct dc_cascade_choice c = dc_choose_margin(&m, accuracies[a]);
            assert_int_equal(c.threshold, threshold_by_search(&m, accuracies[a]));
            none += c.threshold < 0;
            all += c.threshold == 0;
            between += c.threshold > 0;
            if (c.threshold < 0)
                continue;
            int64_t kept = 0;
            for (int k = c.threshold; k < 256; k++)
                kept += m.samples[k];
            assert_int_equal(c.kept, kept);
            assert_true(c.bound >= accuracies[a] && c.kept >= c.wanted);
        }
    }
    assert_true(none > 10 && all > 10 && between > 10);
}

// A failure ends the search, whatever comes below: margin 10 is bad, margin 5 would be good again.
static void the_first_failure_ends_it(void **state)
{
    (void)state;
    struct dc_margins m = {0};
    m.samples[20] = m.right[20] = 200;
    m.samples[10] = 100;
    m.right[10] = 40;
    m.samples[5] = m.right[5] = 5000;
    assert_int_equal(dc_choose_margin(&m, 0.9).threshold, 11);
    assert_int_equal(dc_choose_margin(&m, 0.9).wanted, 100);
    assert_int_equal(dc_choose_margin(&m, 0.9).kept, 200);
    m.samples[20] = m.right[20] = 99;  // too few to begin with; with the next ones it fails
    assert_int_equal(dc_choose_margin(&m, 0.9).threshold, -1);
}

static void margins_of_codes(void **state)
{
    (void)state;
    static const struct {
        int codes[4], margin;
    } cases[] = {{{3, 7, -5, 1}, 4},
                 {{7, 7, 7, 7}, 0},
                 {{-128, 127, -128, -128}, 255},
                 {{9, 2, 8, 3}, 1},
                 {{1, 2, 3, 9}, 6},
                 {{-1, -1, -9, -9}, 0},
                 {{-100, -50, -120, -127}, 50}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float z[4];
        for (int c = 0; c < 4; c++)
            z[c] = 0.0371f * (float)(cases[i].codes[c] - 13);
        assert_int_equal(dc_output_margin(z, 4, 0.0371f), cases[i].margin);
    }
}

#define RUN(...)                                                                                   \
    do {                                                                                           \
        const struct child here = {.folder = root};                                                \
        DECANT(&outcome, &here, "run", "export.yaml", "--set", "stages.student.train.epochs=6",    \
               "--set", "stages.teacher.train.epochs=6", "--set",                                  \
               "stages.quantized.train.epochs=2", "--set", "data.validation=100", "--quiet",       \
               "--run", __VA_ARGS__);                                                              \
    } while (0)

static struct dc_run *open_run(const char *name)
{
    struct dc_run *run = NULL;
    const struct dc_run_options options = {.directory = test_path(name), .context = {.threads = 2}};
    must(dc_run_open(&run, &options, &error));
    return run;
}

static void predict(struct dc_prediction *p, struct dc_run *run, const char *stage,
                    const char *split)
{
    const struct dc_predict_options what = {.stage = stage, .split = split};
    must(dc_run_predict(p, run, &what, &error));
}

static int best_of(const float *z, int classes)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        best = z[c] > z[best] ? c : best;
    return best;
}

// By sorting, from the codes.
static int margin_of(const float *z, int classes, float scale)
{
    const int best = best_of(z, classes);
    int least = 255;
    for (int c = 0; c < classes; c++) {
        const int apart = (int)lroundf(z[best] / scale) - (int)lroundf(z[c] / scale);
        least = c != best && apart < least ? apart : least;
    }
    return least;
}

static int64_t integer_at(const json_t *object, const char *group, const char *key)
{
    return json_integer_value(
        json_object_get(group ? json_object_get(object, group) : object, key));
}

// The exported C, from the bytes of the test images on, is sure of as many.
static void the_c_decides_so(int64_t kept, int64_t right)
{
    static const char program[] =
        "#include <stdio.h>\n#include \"tiny.h\"\n"
        "int main(void)\n{\n"
        "    FILE *images = fopen(\"data/t10k-images-idx3-ubyte\", \"rb\");\n"
        "    FILE *labels = fopen(\"data/t10k-labels-idx1-ubyte\", \"rb\");\n"
        "    uint8_t pixels[TINY_INPUT_SIZE];\n"
        "    int8_t input[TINY_INPUT_SIZE], output[TINY_OUTPUT_SIZE];\n"
        "    float values[TINY_OUTPUT_SIZE];\n"
        "    int kept = 0, right = 0;\n"
        "    if (!images || !labels || fseek(images, 16, SEEK_SET) || fseek(labels, 8, SEEK_SET))\n"
        "        return 1;\n"
        "    while (fread(pixels, 1, sizeof pixels, images) == sizeof pixels) {\n"
        "        const int label = fgetc(labels);\n"
        "        tiny_quantize_input(input, pixels);\n"
        "        tiny_run(input, output);\n"
        "        tiny_dequantize_output(values, output);\n"
        "        for (int i = 0; i < TINY_OUTPUT_SIZE; i++)\n"
        "            if (values[i] > values[tiny_argmax(output)])\n"
        "                return 2;\n"
        "        kept += tiny_confident(output);\n"
        "        right += tiny_confident(output) && tiny_argmax(output) == label;\n"
        "    }\n"
        "    printf(\"%d %d\\n\", kept, right);\n"
        "    return 0;\n}\n";
    char command[2048];
    long long have[2] = {0};
    test_write(test_path("main.c"), program, sizeof program - 1);
    snprintf(command, sizeof command,
             "cd '%s' && cc -std=c99 -Wall -Wextra -Werror -Irun/bundle/int8 main.c "
             "run/bundle/int8/tiny.c -o classify && ./classify",
             root);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%lld %lld", &have[0], &have[1]), 2);
    assert_int_equal(pclose(pipe), 0);
    assert_int_equal(have[0], kept);
    assert_int_equal(have[1], right);
}

static void a_run_records_it(void **state)
{
    (void)state;
    RUN("run", "--set", "cascade.accuracy=0.70");
    if (outcome.exit_code != 0)
        fail_msg("%s", outcome.err);
    assert_non_null(strstr(outcome.out, "cascade: a margin of"));
    struct dc_run *run = open_run("run");
    struct dc_imodel *model = NULL;
    must(dc_bundle_read(&model, NULL, test_path("run/bundle/int8"), &error));
    const json_t *c = json_object_get(
        json_object_get(json_object_get(run->results, "stages"), "int8"), "cascade");
    const float scale = dc_imodel_output(model)->scale;
    struct dc_prediction p, teacher;
    struct dc_margins m = {0};
    predict(&p, run, "quantized", "train");
    for (int64_t i = 0; i < run->validation_count; i++) {
        const int64_t id = run->validation_ids[i];
        const float *z = p.logits + id * p.classes;
        const int margin = margin_of(z, p.classes, scale);
        m.samples[margin]++;
        m.right[margin] += best_of(z, p.classes) == run->train_source->labels[id];
    }
    const int threshold = threshold_by_search(&m, 0.70);
    assert_in_range(threshold, 1, 254);
    assert_int_equal(integer_at(c, NULL, "threshold"), threshold);
    assert_int_equal(model->confident_margin, threshold);
    predict(&p, run, "quantized", "test");
    predict(&teacher, run, "teacher", "test");
    int64_t kept = 0, right = 0, rest = 0;
    for (int64_t i = 0; i < p.samples; i++) {
        const int label = run->test_source->labels[i];
        const float *z = p.logits + i * p.classes;
        const bool keeps = margin_of(z, p.classes, scale) >= threshold;
        kept += keeps;
        right += keeps && best_of(z, p.classes) == label;
        rest += !keeps && best_of(teacher.logits + i * p.classes, p.classes) == label;
    }
    assert_int_equal(integer_at(c, "test", "kept"), kept);
    assert_int_equal(integer_at(c, "test", "right"), right);
    assert_int_equal(integer_at(c, "test", "teacher_right"), rest);
    assert_int_equal(integer_at(c, "test", "samples"), TINY_TEST);
    dc_imodel_free(model);
    dc_run_close(run);
    the_c_decides_so(kept, right);
    // the page tells the same
    char *page = tiny_read(test_path("run/report.html"), NULL);
    assert_non_null(strstr(page, "The threshold was chosen on validation samples"));
    free(page);
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "verify", "run/bundle/int8");
    assert_int_equal(outcome.exit_code, 0);
}

// What no threshold reaches is said; the bundle then has none. Only the export is another stage.
static void none_reaches_it(void **state)
{
    (void)state;
    RUN("none", "--set", "cascade.accuracy=0.9999");
    assert_int_equal(outcome.exit_code, 0);
    assert_non_null(strstr(outcome.out, "no threshold gives 99.99 %"));
    struct dc_imodel *model = NULL;
    must(dc_bundle_read(&model, NULL, test_path("none/bundle/int8"), &error));
    assert_int_equal(model->confident_margin, -1);
    dc_imodel_free(model);
    RUN("none", "--set", "cascade.accuracy=0.75");
    assert_outcome(&outcome, "another accuracy", 2,
                   (const char *const[4]){"stage 'int8' was done with other settings"});
    assert_int_equal(remove(test_path("none/results.json")), 0);
    RUN("none", "--set", "cascade.accuracy=0.75");
    assert_int_equal(outcome.exit_code, 0);
    assert_non_null(strstr(outcome.out, "cascade: a margin of"));
}

static const struct {
    const char *name, *setting, *other;
    const char *words[OUTCOME_WORDS];
} refusals[] = {
    {"no accuracy", "cascade.teacher=teacher", "seed=1", {"lacks 'accuracy'"}},
    {"no such teacher",
     "cascade={accuracy: 0.9, teacher: nobody}",
     "seed=1",
     {"has no stage to send samples to"}},
    {"an accuracy of 1", "cascade.accuracy=1", "seed=1", {"accuracy", "0.9999"}},
    {"no validation", "cascade.accuracy=0.75", "data.validation=0", {"set data.validation"}},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        RUN("refused", "--set", refusals[i].setting, "--set", refusals[i].other);
        assert_outcome(&outcome, refusals[i].name, 2, refusals[i].words);
        assert_int_not_equal(0, test_folder_entries(root));
    }
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "check", "tiny.yaml", "--set", "cascade.accuracy=0.75");
    assert_outcome(&outcome, "no export", 2, (const char *const[4]){"no stage exports one"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule_is_the_searchs), cmocka_unit_test(the_first_failure_ends_it),
        cmocka_unit_test(margins_of_codes),        cmocka_unit_test(a_run_records_it),
        cmocka_unit_test(none_reaches_it),         cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, walk_set_up, walk_tear_down);
}

// A network that ends in softmax: it learns and teaches by its logits, as if the softmax were not
// there, and ships it as integers.

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/h5.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_walk.h"

static double number_of(const char *run, const char *stage, const char *key)
{
    GOOD("eval", run, "--stage", stage, "--json");
    json_t *report = json_loads(outcome.out, 0, NULL);
    const double number = json_real_value(json_object_get(report, key));
    json_decref(report);
    return number;
}

static int set_up(void **state)
{
    walk_set_up(state);
    char *model = tiny_read(test_path("model.yaml"), NULL), text[4096];
    snprintf(text, sizeof text, "%s  - softmax: {name: shares}\n", model);
    tiny_text(test_path("shares.yaml"), text);
    free(model);
    GOOD("run", "export.yaml", "--run", "plain");
    GOOD("run", "export.yaml", "--run", "shares", "--set", "stages.teacher.model=shares.yaml",
         "--set", "stages.student.model=shares.yaml", "--set",
         "stages.int8.formats=[bundle, c, onnx, tflite]");
    assert_non_null(strstr(outcome.out, "equals the engine"));
    return 0;
}

// Teacher and student, by label and by teacher: the same weights, accuracy and loss, which comes
// once from logits and once from probabilities.
static void it_learns_and_teaches_by_its_logits(void **state)
{
    (void)state;
    static const char *const stages[] = {"teacher", "student"};
    for (int s = 0; s < 2; s++) {
        char a[64], b[64], where[256] = "";
        snprintf(a, sizeof a, "plain/checkpoints/%s/final.h5", stages[s]);
        snprintf(b, sizeof b, "shares/checkpoints/%s/final.h5", stages[s]);
        char *first = strdup(test_path(a));
        if (!tiny_same_arrays(first, test_path(b), where))
            fail_msg("%s: %s", stages[s], where);
        free(first);
        assert_true(number_of("plain", stages[s], "accuracy") ==
                    number_of("shares", stages[s], "accuracy"));
        assert_true(fabs(number_of("plain", stages[s], "loss") -
                         number_of("shares", stages[s], "loss")) < 1e-5);
    }
}

// As integers: probabilities in steps of 1/256 that sum to nearly 1, a loss near the logits', and
// float32's simulation is the engine under the profile that it follows.
static void it_ships_its_softmax(void **state)
{
    (void)state;
    float p[TINY_TEST * TINY_CLASSES];
    struct dc_error error;
    struct dc_h5 *file = NULL;
    const struct dc_tensor tensor = {p, DC_F32, DC_SHAPE(TINY_TEST, TINY_CLASSES)};
    GOOD("predict", "shares", "--stage", "quantized", "--split", "test", "--out", "p.h5");
    assert_int_equal(dc_h5_open(&file, test_path("p.h5"), &error), DC_OK);
    assert_int_equal(dc_h5_read(file, "logits", &tensor, &error), DC_OK);
    dc_h5_close(file);
    for (int r = 0; r < TINY_TEST; r++) {
        float sum = 0.0f;
        for (int c = 0; c < TINY_CLASSES; c++) {
            const float steps = p[r * TINY_CLASSES + c] * 256.0f;
            assert_true(steps == rintf(steps) && steps >= 0.0f);
            sum += steps;
        }
        assert_true(fabsf(sum - 256.0f) <= 0.5f * TINY_CLASSES + 1.0f);
    }
    assert_true(fabs(number_of("plain", "quantized", "loss") -
                     number_of("shares", "quantized", "loss")) < 0.1);
    GOOD("eval", "shares", "--stage", "quantized", "--quantization", "--json", "--profile",
         "litert-xnnpack");
    json_t *report = json_loads(outcome.out, 0, NULL);
    const json_t *simulation = json_object_get(json_object_get(report, "quantization"),
                                               "simulation");
    assert_int_equal(json_integer_value(json_object_get(simulation, "different")), 0);
    assert_int_equal(json_integer_value(json_object_get(simulation, "outputs")),
                     TINY_TEST * TINY_CLASSES);
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_learns_and_teaches_by_its_logits),
        cmocka_unit_test(it_ships_its_softmax),
    };
    return cmocka_run_group_tests(tests, set_up, walk_tear_down);
}

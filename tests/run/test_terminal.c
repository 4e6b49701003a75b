// What the verbs print fits a terminal of 80 columns, with names that are long.

#include <pty.h>
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

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_walk.h"

#define LONG "quantized-under-int8-with-its-teacher"

// The tiny experiment with stages, layers and a run of long names.
static void write_experiment(void)
{
    char *text = tiny_read(test_path("export.yaml"), NULL), *model;
    FILE *out = fopen(test_path("long.yaml"), "w");
    assert_non_null(out);
    static const char names[] =
        "  class_names: [the first of four classes, 'the second, in quotes', "
        "the third of these, the fourth and last of them]\n";
    for (const char *at = text, *next; *at; at = next) {
        next = strstr(at, "quantized");
        next = next ? next : at + strlen(at);
        const char *path = strstr(at, "  path: data\n");
        if (path && path < next)
            fprintf(out, "%.*s%s", (int)(path - at), at, names);
        at = path && path < next ? path : at;
        fprintf(out, "%.*s", (int)(next - at), at);
        if (*next) {
            fputs(LONG, out);
            next += strlen("quantized");
        }
    }
    assert_int_equal(fclose(out), 0);
    free(text);
    model = tiny_read(test_path("model.yaml"), NULL);
    assert_non_null(model);
    free(model);
}

static int set_up(void **state)
{
    walk_set_up(state);
    write_experiment();
    GOOD("run", "long.yaml", "--run", "run", "--set", "seed=1");
    GOOD("run", "long.yaml", "--run", "other", "--set", "seed=2", "--set",
         "stages.student.train.learning_rate=0.0625", "--quiet");
    return 0;
}

#define FITS(but, ...)                                                                             \
    do {                                                                                           \
        GOOD(__VA_ARGS__);                                                                         \
        fits_a_terminal(#__VA_ARGS__, but);                                                        \
    } while (0)

static void every_report_does(void **state)
{
    (void)state;
    FITS(NULL, "run", "long.yaml", "--run", "run", "--set", "seed=1");
    FITS(NULL, "check", "long.yaml");
    FITS(NULL, "check", "long.yaml", "--layers");
    FITS(NULL, "inspect", "run");
    // what it prints is the same file still
    test_write(test_path("inspected.yaml"), outcome.out, strlen(outcome.out));
    printed(",\n    the third of these, the fourth and last of them]\n");
    GOOD("check", "inspected.yaml", "--json");
    char *shown = strdup(outcome.out);
    GOOD("check", "run/resolved.yaml", "--json");
    assert_string_equal(outcome.out, shown);
    free(shown);
    GOOD("train", "inspected.yaml", "teacher", "--run", "run", "--quiet");  // done already
    FITS(NULL, "eval", "run");
    FITS(NULL, "eval", "run", "--quantization");
    FITS(NULL, "compare", "run", "other");
    FITS(NULL, "verify", "run/bundle/int8");
    FITS(NULL, "export", "run", "--stage", LONG, "--out", "bundle");
    FITS(NULL, "predict", "run", "--out", "logits.h5");
    FITS(NULL, "predict", "run", "--out", "classes.csv");
    FITS(NULL, "inspect", "run/bundle/int8");
    FITS(NULL, "inspect", "run/checkpoints/" LONG "/final.h5");
    FITS(NULL, "inspect", "model.yaml");
    FITS(NULL, "inspect", "resnet-cifar");
    FITS(NULL, "data", "data");
    FITS(NULL, "data", "long.yaml");
    FITS(NULL, "report", "run");
    FITS(NULL, "bench", "--help");
    static const char *const lists[] = {"experiments", "models", "targets", "augment"};
    FITS(NULL, "list");
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        GOOD("list", lists[i]);
        fits_a_terminal(lists[i], NULL);
    }
    FITS(NULL, "keys");
    FITS(NULL, "keys", "experiment", "target", "model");
    FITS(NULL, "keys", "temperature");
    printed("\ncrd (a loss");
    printed("\n  temperature: 0.07\n");
    BAD(2, "did you mean 'temperature'?", "keys", "temprature");
    FITS(NULL, "--help");
}

// Messages too, where a terminal shows them: this one lists all models.
static void messages_do(void **state)
{
    (void)state;
    int terminal = -1, status = 0;
    size_t used = 0;
    const struct winsize size = {.ws_row = 24, .ws_col = 80};
    const pid_t child = forkpty(&terminal, NULL, NULL, &size);
    assert_true(child >= 0);
    if (child == 0) {
        execl(DECANT_BINARY, DECANT_BINARY, "inspect", "resnet20", NULL);
        _exit(127);
    }
    for (ssize_t n; used + 1 < sizeof outcome.out &&
                    (n = read(terminal, outcome.out + used, sizeof outcome.out - used - 1)) > 0;)
        used += (size_t)n;
    outcome.out[used] = '\0';
    close(terminal);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 2);
    for (char *c = outcome.out; *c; c++)
        *c = *c == '\r' ? ' ' : *c;
    printed("did you mean 'resnet18'?");
    printed("wide-resnet");
    for (char *line = strtok(outcome.out, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 81);  // what was the carriage return
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_report_does),
        cmocka_unit_test(messages_do),
    };
    return cmocka_run_group_tests(tests, set_up, walk_tear_down);
}

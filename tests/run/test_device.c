// `decant eval --device`: a network that answers over a serial line (a pseudo-terminal, with
// examples/device/harness.c behind it) gives the engine's bytes; one whose weights are others is
// found out, and what is no harness is refused. `decant bench device` on a board whose clock is
// made up (slow_device.c).

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/json.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

#define SAMPLES "6"
enum { CLASSES = TINY_CLASSES };

static char root[256];
static struct outcome outcome;
static const struct child here = {.folder = root};

// A program behind a pseudo-terminal.
struct device {
    pid_t pid;
    int master, line;  // both ends, held open
    char port[64];
};

static struct device attach(const char *program)
{
    struct device d = {.master = posix_openpt(O_RDWR | O_NOCTTY)};
    assert_true(d.master >= 0 && grantpt(d.master) == 0 && unlockpt(d.master) == 0);
    assert_int_equal(ptsname_r(d.master, d.port, sizeof d.port), 0);
    d.line = open(d.port, O_RDWR | O_NOCTTY);
    assert_true(d.line >= 0);
    if (!program)
        return d;
    d.pid = fork();
    if (d.pid == 0) {
        dup2(d.master, STDIN_FILENO);
        dup2(d.master, STDOUT_FILENO);
        close(d.line);
        execl(program, program, (char *)NULL);
        _exit(127);
    }
    assert_true(d.pid > 0);
    return d;
}

static void detach(struct device *d)
{
    if (d->pid > 0) {
        kill(d->pid, SIGKILL);
        waitpid(d->pid, NULL, 0);
    }
    close(d->master);
    close(d->line);
}

// The harness around the bundle's C, or around what a change of it leaves.
static void build(const char *program, const char *change, const char *flags)
{
    char line[2048];
    snprintf(line, sizeof line,
             "cd '%s' && sed '%s' done/bundle/int8/tiny.c >changed.c && "
             "cc -std=c99 -Wall -Wextra -Wconversion -Werror -O0 %s -Idone/bundle/int8 "
             "-I'" DECANT_SOURCE_DIR "/examples/device' -include tiny.h -DNETWORK=tiny "
             "-DINPUT_BYTES=TINY_INPUT_SIZE -DOUTPUT_BYTES=TINY_OUTPUT_SIZE "
             "'" DECANT_SOURCE_DIR "/examples/device/harness.c' "
             "'" DECANT_SOURCE_DIR "/examples/device/posix.c' changed.c -o %s",
             root, change, flags, program);
    assert_int_equal(system(line), 0);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    return run_whole(&outcome, &here, "export.yaml", "done");
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

#define EVAL(...)                                                                                  \
    DECANT(&outcome, &here, "eval", "done/bundle/int8", "--limit", SAMPLES, __VA_ARGS__)

static void the_device_gives_the_engines_bytes(void **state)
{
    (void)state;
    build("harness", "", "");
    EVAL("--json");
    assert_int_equal(outcome.exit_code, 0);
    json_t *engine = json_loads(outcome.out, 0, NULL);
    struct device d = attach(test_path("harness"));
    struct termios before, after;
    assert_int_equal(tcgetattr(d.line, &before), 0);
    EVAL("--device", d.port, "--json");
    assert_int_equal(tcgetattr(d.line, &after), 0);
    detach(&d);
    assert_int_equal(before.c_lflag, after.c_lflag);  // the line is left as it was
    assert_int_equal(before.c_oflag, after.c_oflag);
    assert_outcome(&outcome, "the device", 0, (const char *const[OUTCOME_WORDS]){NULL});
    json_t *device = json_loads(outcome.out, 0, NULL);
    const json_t *answers = json_object_get(device, "device");
    assert_string_equal(json_string_value(json_object_get(answers, "network")), "tiny");
    assert_int_equal(json_integer_value(json_object_get(answers, "bytes")), 6 * CLASSES);
    assert_int_equal(json_integer_value(json_object_get(answers, "bytes_different")), 0);
    json_object_del(device, "device");
    assert_true(json_equal(device, engine));  // accuracy, loss, confusion
    json_decref(device);
    json_decref(engine);
}

// Another bias of the first channel of every layer: the C runs, and its answers are others.
static void another_network_is_found_out(void **state)
{
    (void)state;
    build("other", "/_biases\\[/{n;s/-*[0-9][0-9]*/9000/}", "");
    struct device d = attach(test_path("other"));
    EVAL("--device", d.port);
    detach(&d);
    assert_outcome(&outcome, "another network", 4,
                   (const char *const[OUTCOME_WORDS]){"differs from the engine, first in sample"});
    assert_null(strstr(outcome.out, " 0 of 24 bytes differ"));
    assert_non_null(strstr(outcome.out, "of 24 bytes differ from the engine's"));
}

static void what_is_no_harness_is_refused(void **state)
{
    (void)state;
    EVAL("--device", "no-such-line");
    assert_outcome(&outcome, "no file", 1, (const char *const[OUTCOME_WORDS]){"cannot open"});
    EVAL("--device", "export.yaml");
    assert_outcome(&outcome, "a file", 1,
                   (const char *const[OUTCOME_WORDS]){"export.yaml is no serial line"});
    struct device d = attach(NULL);
    EVAL("--device", d.port, "--timeout", "0.3");
    assert_outcome(
        &outcome, "silence", 1,
        (const char *const[OUTCOME_WORDS]){"no answer to '%' within 0.3 s", "harness.c", "115200"});
    EVAL("--device", d.port, "--baud", "115201");
    assert_outcome(&outcome, "baud", 2, (const char *const[OUTCOME_WORDS]){"115200, 230400"});
    detach(&d);
    DECANT(&outcome, &here, "eval", "done", "--stage", "student", "--device", d.port);
    assert_outcome(&outcome, "float", 2, (const char *const[OUTCOME_WORDS]){"is float"});
}

// Commands as MLPerf Tiny's runner sends them, and what it reads of the answers.
static void the_harness_answers_as_the_benchmark_does(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "m-name-dut-[tiny]\r\nm-ready\r\n",
        "m-model-[ic01]\r\n",
        "m-[Expecting 144 bytes]\r\n",
        "m-load-done\r\n",
        "m-buffer-07-07-07-07-07-07-07-07\r\n",
        "m-warmup-start-2\r\nm-warmup-done\r\nm-infer-start-3\r\nm-lap-us-",
        "m-infer-done\r\nm-results-[",
        "e-[A sample has 144 bytes]\r\n",
        "e-[Bytes are two hexadecimal digits each]\r\n",
        "e-[infer N W: N at least 1, W at least 0]\r\n",
        "e-[Unknown command: start]\r\n",
    };
    char line[1024];
    build("pixels", "", "-DSAMPLE=1 '-DMODEL=\"ic01\"'");
    snprintf(line, sizeof line,
             "cd '%s' && { printf 'name%%%%profile%%%%db load 144%%%%'; "
             "for i in 1 2 3 4 5; do printf 'db '; "
             "for k in $(seq 31); do printf 07; done; printf '%%%%'; done; "
             "printf 'db print%%%%infer 3 2%%%%codes%%%%db load 99%%%%db load 144%%%%db 0g%%%%"
             "infer 0 0%%%%start%%%%'; } | ./pixels >seen",
             root);
    assert_int_equal(system(line), 0);
    char *seen = tiny_read(test_path("seen"), NULL);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!strstr(seen, expected[i]))
            fail_msg("'%s' is missing in\n%s", expected[i], seen);
    free(seen);
}

static void build_slow(const char *program, const char *flags)
{
    char line[2048];
    snprintf(line, sizeof line,
             "cd '%s' && printf 'void slow_run(const signed char *, signed char *);"
             "void slow_dequantize_output(float *, const signed char *);' >slow.h && "
             "cc -std=c99 -O0 %s -I'" DECANT_SOURCE_DIR "' -I'" DECANT_SOURCE_DIR
             "/examples/device' -include slow.h -DNETWORK=slow -DINPUT_BYTES=4 -DOUTPUT_BYTES=1 "
             "'" DECANT_SOURCE_DIR "/examples/device/harness.c' "
             "'" DECANT_SOURCE_DIR "/tests/run/slow_device.c' -o %s",
             root, flags, program);
    assert_int_equal(system(line), 0);
}

#define BENCH(...)                                                                                 \
    DECANT(&outcome, &here, "bench", "device", "--runs", "20", "--load", "120", __VA_ARGS__)

static void a_device_that_keeps_its_rate_does_not_drift(void **state)
{
    (void)state;
    build_slow("steady", "");
    struct device d = attach(test_path("steady"));
    BENCH("--device", d.port, "--latency-ms", "10.5");
    detach(&d);
    assert_outcome(&outcome, "steady", 0, (const char *const[OUTCOME_WORDS]){NULL});
    assert_non_null(strstr(outcome.out, "median 10, p95 10, p99 10 ms"));
    assert_non_null(strstr(outcome.out, "no drift (+0.00 %)"));
}

static void a_device_that_slows_after_a_minute_throttles(void **state)
{
    (void)state;
    build_slow("throttling", "-DTHROTTLES");
    struct device d = attach(test_path("throttling"));
    BENCH("--device", d.port, "--latency-ms", "11", "--json", "--out", "drift.svg");
    assert_outcome(&outcome, "throttling", 3,
                   (const char *const[OUTCOME_WORDS]){
                       "under load a window takes 12 ms an inference, more than latency_ms: 11"});
    json_t *result = json_loads(outcome.out, 0, NULL);
    const json_t *load = json_object_get(result, "load");
    assert_true(json_is_true(json_object_get(load, "throttles")));
    const double share = json_real_value(json_object_get(load, "share"));
    assert_true(share > 0.1999 && share < 0.2001);
    // the single runs are of the first minute too; a window is 1.2 s
    const double at = json_real_value(json_object_get(load, "at_seconds"));
    assert_true(at > 58.0 && at < 61.0);
    assert_true(json_array_size(json_object_get(load, "windows")) >= 90);
    json_decref(result);
    char *svg = tiny_read(test_path("drift.svg"), NULL);
    assert_non_null(strstr(svg, "an inference takes 20.0 % longer"));
    free(svg);
    test_write(test_path("mine.svg"), "<svg/>", 6);
    BENCH("--device", d.port, "--out", "mine.svg");
    assert_outcome(&outcome, "another's file", 2, (const char *const[OUTCOME_WORDS]){"mine.svg"});
    BENCH("--out", "drift.svg");
    assert_outcome(&outcome, "no port", 2, (const char *const[OUTCOME_WORDS]){"--device PORT"});
    detach(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_device_gives_the_engines_bytes),
        cmocka_unit_test(another_network_is_found_out),
        cmocka_unit_test(what_is_no_harness_is_refused),
        cmocka_unit_test(the_harness_answers_as_the_benchmark_does),
        cmocka_unit_test(a_device_that_keeps_its_rate_does_not_drift),
        cmocka_unit_test(a_device_that_slows_after_a_minute_throttles),
    };
    return cmocka_run_group_tests_name("device", tests, set_up, tear_down);
}

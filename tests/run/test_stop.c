// Every long phase ends in order when a signal asks for it: exit code 85, the state on disk such
// that starting again ends in the same bits. Training itself is in test_kill.c; here are the phases
// around it. A phase is made so long that a signal sent at a share of it lands inside: by a network
// that is as wide as this build of the program needs for that.

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static const int signals[] = {SIGTERM, SIGHUP, SIGINT, SIGUSR1};
enum { SIGNALS = sizeof signals / sizeof signals[0], TRIES = 12 };

static struct outcome outcome;
static char whole[32];  // a run that nobody stopped
static double whole_seconds;

// Of 256 filters 340 million multiplications a sample: 20 are trained on, 280 validated.
static const char heavy_model[] = "name: heavy\n"
                                  "parameters: {filters: 8}\n"
                                  "input: [12, 12, 1]\n"
                                  "layers:\n"
                                  "  - conv: {filters: $filters, kernel: 1}\n"
                                  "  - repeat: {count: 4, layers: [{conv: {filters: $filters, "
                                  "kernel: 3, padding: same}}, relu]}\n"
                                  "  - global_average_pool\n"
                                  "  - flatten\n"
                                  "  - dense: {units: 4}\n";

static const char experiment[] =
    "name: stop\n"
    "seed: 3\n"
    "data: {source: idx, path: data, validation: 280}\n"
    "target: target.yaml\n"
    "stages:\n"
    "  heavy: {model: heavy.yaml, parameters: {filters: %d},\n"
    "          train: {epochs: 1, batch: 20, learning_rate: 0.01}}\n"
    "  light: {model: model.yaml, train: {epochs: 1, batch: 20, learning_rate: 0.01}}\n"
    "  rounded: {from: light, quantize: {adaround: {iterations: 1000000000}}}\n";

static void train(const struct child *how, const char *stage, const char *directory)
{
    DECANT(&outcome, how, "train", test_path("stop.yaml"), stage, "--run", test_path(directory),
           "--quiet");
}

static void evaluate_training_split(const struct child *how)
{
    DECANT(&outcome, how, "eval", test_path(whole), "--stage", "heavy", "--split", "train");
}

// A signal `share` of the phase's time after its start. False: it came too early or too late.
static bool was_stopped(void)
{
    if (outcome.exit_code == 85)
        return true;
    if (outcome.exit_code > 0)
        fail_msg("exit %d: %s", outcome.exit_code, outcome.err);
    return false;
}

// What to try next where the machine was faster (the work was done) or slower (the signal came
// before the program took it) than thought.
static double next_delay(void)
{
    return outcome.exit_code == 0 ? 0.6 : 1.5;
}

static struct child after(int number, double seconds)
{
    return (struct child){.signal = signals[number % SIGNALS], .delay = (long)(1e6 * seconds) + 1};
}

static void validation_stops_and_goes_on(void **state)
{
    (void)state;
    char name[32] = "";
    double seconds = 0.7 * whole_seconds;
    bool stopped = false;
    for (int i = 0; i < TRIES && !stopped; i++) {
        const struct child how = after(i, seconds);
        snprintf(name, sizeof name, "stopped-%d", i);
        train(&how, "heavy", name);
        stopped = was_stopped();
        seconds *= next_delay();
    }
    assert_true(stopped);
    train(NULL, "heavy", name);
    assert_int_equal(outcome.exit_code, 0);
    char paths[2][512], where[256];
    snprintf(paths[0], sizeof paths[0], "%s/checkpoints/heavy/final.h5", test_path(whole));
    snprintf(paths[1], sizeof paths[1], "%s/checkpoints/heavy/final.h5", test_path(name));
    assert_true(tiny_same_arrays(paths[0], paths[1], where));
    snprintf(paths[0], sizeof paths[0], "%s/metrics.jsonl", test_path(whole));
    snprintf(paths[1], sizeof paths[1], "%s/metrics.jsonl", test_path(name));
    assert_true(tiny_same_metrics(paths[0], paths[1]));
}

static void evaluation_stops(void **state)
{
    (void)state;
    evaluate_training_split(NULL);
    assert_int_equal(outcome.exit_code, 0);
    double seconds = 0.6 * outcome.seconds;
    bool stopped = false;
    for (int i = 0; i < TRIES && !stopped; i++) {
        const struct child how = after(i + 1, seconds);
        evaluate_training_split(&how);
        stopped = was_stopped();
        seconds *= next_delay();
    }
    assert_true(stopped);
    assert_non_null(strstr(outcome.err, "stopped"));
}

// It would take days; each of the signals ends it.
static void adaround_stops(void **state)
{
    (void)state;
    train(NULL, "light", "whole");
    assert_int_equal(outcome.exit_code, 0);
    for (int i = 0; i < SIGNALS; i++) {
        bool stopped = false;
        for (double seconds = 0.5; !stopped && seconds < 60.0; seconds *= 2.0) {
            const struct child how = after(i, seconds);
            train(&how, "rounded", "whole");
            assert_int_not_equal(outcome.exit_code, 0);
            stopped = was_stopped();
        }
        assert_true(stopped);
        char *text = tiny_read(test_path("whole/STATUS"), NULL);
        assert_string_equal(text, "stopped\nstage: rounded\nreason: stopped; what was done before "
                                  "stays, start again\n");
        free(text);
    }
}

// Dead but not yet waited for does not count.
static bool is_running(pid_t pid)
{
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(file);
    return state != 'Z';
}

// A compiler that takes no signal but the last, and what it started: nothing of them is left.
static void verification_stops(void **state)
{
    (void)state;
    char script[2048], environment[600], there[512];
    DECANT(&outcome, NULL, "run", test_path("export.yaml"), "--run", test_path("exported"),
           "--quiet");
    if (outcome.exit_code)
        fail_msg("exit %d: %s", outcome.exit_code, outcome.err);
    snprintf(there, sizeof there, "%s", test_path("pids"));
    snprintf(script, sizeof script,
             "#!/bin/sh\ntrap '' INT TERM HUP USR1\nsleep 1000 &\necho $$ $! > %s.new\n"
             "mv %s.new %s\nwait\n",
             there, there, there);
    tiny_text(test_path("compiler"), script);
    assert_int_equal(chmod(test_path("compiler"), 0700), 0);
    snprintf(environment, sizeof environment, "CC=%s", test_path("compiler"));
    for (int i = 0; i < SIGNALS; i++) {
        struct child how = after(i, 0.0);
        how.environment = environment;
        how.after = there;
        DECANT(&outcome, &how, "verify", test_path("exported/bundle/int8"));
        assert_true(was_stopped());
        char *pids = tiny_read(test_path("pids"), NULL), *rest = pids;
        assert_non_null(pids);
        for (int k = 0; k < 2; k++) {
            const pid_t pid = (pid_t)strtol(rest, &rest, 10);
            assert_true(pid > 1);
            for (int wait = 0; is_running(pid) && wait < 100; wait++)
                usleep(10000);
            assert_false(is_running(pid));
        }
        free(pids);
        assert_int_equal(remove(test_path("pids")), 0);
    }
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    tiny_files();
    tiny_text(test_path("heavy.yaml"), heavy_model);
    double first = 0.0;
    for (int filters = 8; filters <= 512; filters *= 2) {
        char text[sizeof experiment + 16];
        snprintf(text, sizeof text, experiment, filters);
        tiny_text(test_path("stop.yaml"), text);
        snprintf(whole, sizeof whole, "whole-%d", filters);
        train(NULL, "heavy", whole);
        whole_seconds = outcome.seconds;
        first = filters == 8 ? whole_seconds : first;
        if (outcome.exit_code)
            fprintf(stderr, "%s", outcome.err);
        if (outcome.exit_code || (whole_seconds > 0.8 && whole_seconds > 4.0 * first))
            break;  // most of it is the network's work, not the start
    }
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
        cmocka_unit_test(validation_stops_and_goes_on),
        cmocka_unit_test(evaluation_stops),
        cmocka_unit_test(adaround_stops),
        cmocka_unit_test(verification_stops),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

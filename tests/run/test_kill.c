// A run that is really killed, at random moments, and started again ends with the same bytes as one
// that was left alone. DECANT_KILLS: how many kills (default 6).

#include <setjmp.h>
#include <signal.h>
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
#include "tests/run/helper_process.h"

static struct outcome outcome;
static double whole_seconds;
static uint32_t random_state = 12345;

static void run(const struct child *how, const char *directory, const char *threads)
{
    DECANT(&outcome, how, "run", test_path("tiny.yaml"), "--run", test_path(directory),
           "--set=stages.teacher.train.epochs=6", "--threads", threads);
}

static long random_delay(double longest)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (long)(1e6 * longest * (double)(random_state >> 8) / (double)(1 << 24)) + 1;
}

static void assert_good(void)
{
    if (outcome.exit_code != 0)
        fail_msg("exit %d, signal %d: %s", outcome.exit_code, outcome.signal, outcome.err);
}

static void assert_no_temporaries(const char *directory)
{
    char command[1024], found[1024];
    snprintf(command, sizeof command, "find '%s' -name '*.tmp-*'", test_path(directory));
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    if (fgets(found, sizeof found, pipe))
        fail_msg("left: %s", found);
    assert_int_equal(pclose(pipe), 0);
}

static void assert_status(const char *directory, const char *expected)
{
    char path[512];
    snprintf(path, sizeof path, "%s/STATUS", test_path(directory));
    char *text = tiny_read(path, NULL);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

// In training: the stage, and where it stopped.
static void assert_stopped(const char *directory)
{
    char path[512], stage[64];
    snprintf(path, sizeof path, "%s/STATUS", test_path(directory));
    char *text = tiny_read(path, NULL);
    assert_non_null(text);
    assert_int_equal(sscanf(text, "stopped\nstage: %63s\nreason: ", stage), 1);
    assert_true(strstr(text, " stopped at step ") || strstr(text, "stopped; what was done"));
    free(text);
}

static void killed_at_random_moments(void **state)
{
    (void)state;
    const char *count = getenv("DECANT_KILLS");
    int kills = count ? atoi(count) : 6;
    for (int trial = 0; kills > 0; trial++) {
        char name[32];
        snprintf(name, sizeof name, "killed-%d", trial);
        // a few kills a run, each somewhere in what a whole run takes; then it is left alone
        for (int k = 0; k < 4 && kills > 0; k++) {
            const struct child how = {.signal = SIGKILL, .delay = random_delay(whole_seconds)};
            run(&how, name, k % 2 ? "1" : "2");
            kills--;
            if (outcome.exit_code == 0)
                break;
            assert_int_equal(outcome.signal, SIGKILL);
        }
        run(NULL, name, "2");
        assert_good();
        assert_true(tiny_same_runs(test_path("whole"), test_path(name)));
        assert_no_temporaries(name);
        assert_status(name, "done\n");
    }
}

static void stopped_by_sigterm(void **state)
{
    (void)state;
    int stops = 0;
    for (int attempt = 0; attempt < 12 && stops < 3; attempt++) {
        const struct child how = {.signal = SIGTERM, .delay = random_delay(whole_seconds / 2)};
        run(&how, "stopped", "2");
        if (outcome.exit_code == 85) {
            stops++;
            assert_non_null(strstr(outcome.err, "start again"));
            // STATUS is that of the stages: they may all be done, and the report may not
            if (strstr(outcome.err, "all stages are done"))
                assert_status("stopped", "done\n");
            else
                assert_stopped("stopped");
            assert_no_temporaries("stopped");
        } else if (outcome.exit_code == 0) {
            break;
        } else {  // before the handler was there
            assert_int_equal(outcome.signal, SIGTERM);
        }
    }
    assert_true(stops > 0);
    run(NULL, "stopped", "2");
    assert_good();
    assert_true(tiny_same_runs(test_path("whole"), test_path("stopped")));
    assert_status("stopped", "done\n");
}

// A checkpoint's temporary of a killed process is removed; the user's files are not, whatever they
// are called.
static void leftovers_are_removed(void **state)
{
    (void)state;
    char path[512];
    static const char *const mine[] = {"notes.txt", "letter.tmp-1.txt", "checkpoints/a.h5.tmp-1",
                                       "checkpoints/teacher/photo.tmp-1"};
    const pid_t ended = fork();
    if (ended == 0)
        _exit(0);
    assert_int_equal(waitpid(ended, NULL, 0), ended);
    static const char *const ours[] = {"checkpoints/teacher/last.h5", "results.json", "STATUS"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s.tmp-%d", test_path("stopped"), ours[i], (int)ended);
        tiny_text(path, "half");
    }
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", test_path("stopped"), mine[i]);
        tiny_text(path, "mine");
    }
    char results[512];
    snprintf(results, sizeof results, "%s/results.json", test_path("stopped"));
    assert_int_equal(remove(results), 0);  // so that there is something to do
    run(NULL, "stopped", "1");
    assert_good();
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", test_path("stopped"), mine[i]);
        if (remove(path) != 0)
            fail_msg("%s is gone", path);
    }
    assert_no_temporaries("stopped");
    assert_true(tiny_same_runs(test_path("whole"), test_path("stopped")));
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    tiny_files();
    run(NULL, "whole", "1");
    whole_seconds = outcome.seconds;
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
        cmocka_unit_test(killed_at_random_moments),
        cmocka_unit_test(stopped_by_sigterm),
        cmocka_unit_test(leftovers_are_removed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

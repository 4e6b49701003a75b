// One process a run directory, told apart by flock and by RUN/LOCK; what a run that goes on must
// not change in silence; a signal of the user's choice; a disk that is full and one that cannot be
// written.

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_walk.h"

#define EPOCHS "stages.teacher.train.epochs="

// A decant that trains until it is told not to, once it has a checkpoint.
static pid_t start_long_run(const char *directory, const char *more)
{
    char path[600];
    const char *arguments[] = {DECANT_BINARY, "train",   "tiny.yaml", "teacher",
                               "--run",       directory, "--set",     EPOCHS "100000",
                               "--quiet",     more,      NULL};
    snprintf(path, sizeof path, "%s/%s/checkpoints/teacher/last.h5", root, directory);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (chdir(root) == 0)
            execv(DECANT_BINARY, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    for (int i = 0; i < 6000 && access(path, F_OK) != 0; i++)
        usleep(10000);
    assert_int_equal(access(path, F_OK), 0);
    return child;
}

static int end(pid_t child, int number)
{
    int status = 0;
    assert_int_equal(kill(child, number), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// By then the child has set up its signals.
static void wait_for_lock(const char *lock, pid_t owner)
{
    char pid[32];
    snprintf(pid, sizeof pid, "pid: %ld\n", (long)owner);
    bool found = false;
    for (int i = 0; i < 6000 && !found; i++) {
        char *text = tiny_read(test_path(lock), NULL);
        found = text && strstr(text, pid);
        free(text);
        usleep(10000);
    }
    assert_true(found);
}

static bool is_there(const char *name)
{
    return access(test_path(name), F_OK) == 0;
}

// The second is refused and told who is there; a killed one's lock is stale; the signal that was
// asked for stops with a checkpoint.
static void one_process_a_directory(void **state)
{
    (void)state;
    char words[64];
    pid_t first = start_long_run("two", NULL);
    snprintf(words, sizeof words, "two: another decant is at work here (pid %ld on ", (long)first);
    BAD(2, words, "train", "tiny.yaml", "teacher", "--run", "two", "--set", EPOCHS "100000",
        "--break-lock");
    assert_int_equal(end(first, SIGKILL), -SIGKILL);
    assert_true(is_there("two/LOCK"));
    first = start_long_run("two", "--signal=USR2");
    wait_for_lock("two/LOCK", first);
    assert_int_equal(end(first, SIGUSR2), 85);
    assert_false(is_there("two/LOCK"));
    BAD(2, "--signal may be USR1, USR2", "train", "tiny.yaml", "teacher", "--run", "two",
        "--signal", "SEGV");
}

#define TRAIN(...) "train", "tiny.yaml", "teacher", "--run", "other", "--set", EPOCHS __VA_ARGS__

static void locks_of_other_machines_are_asked_about(void **state)
{
    (void)state;
    GOOD(TRAIN("1"));
    assert_false(is_there("other/LOCK"));
    tiny_text(test_path("other/LOCK"), "A decant works here.\nhost: elsewhere.example\npid: 12\n"
                                       "started: 2026-11-30T10:00:00Z\n");
    BAD(2,
        "other: a decant with pid 12 on elsewhere.example is at work here since "
        "2026-11-30T10:00:00Z, or died there; if it is dead, --break-lock",
        "run", "tiny.yaml", "--run", "other", "--set", EPOCHS "1");
    assert_true(is_there("other/LOCK"));
    GOOD("run", "tiny.yaml", "--run", "other", "--set", EPOCHS "1", "--break-lock");
    assert_non_null(strstr(outcome.err, "the lock of pid 12 on elsewhere.example was broken"));
    assert_false(is_there("other/LOCK"));
    tiny_text(test_path("other/LOCK"), "mine");
    BAD(2, "other/LOCK: is no lock of Decant's", "run", "tiny.yaml", "--run", "other", "--set",
        EPOCHS "1", "--break-lock");
    holds("other/LOCK", "mine");
    assert_int_equal(remove(test_path("other/LOCK")), 0);
}

// env.json says something else: a warning, or with --strict a refusal.
static void other_bits_are_told(void **state)
{
    (void)state;
    static const char *const edits[][3] = {
        {"\"blas\": \"off", "\"blas\": \"on", "BLAS core on (own kernels)"},
        {"\"instruction_set\": \"", "\"instruction_set\": \"not-", "instruction set not-"},
        {"\"version\": \"" DECANT_VERSION, "\"version\": \"" DECANT_VERSION "9",
         "version " DECANT_VERSION "9"},
    };
    GOOD("train", "tiny.yaml", "teacher", "--run", "bits", "--set", EPOCHS "1");
    char *whole = tiny_read(test_path("bits/env.json"), NULL);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        char text[8192], words[160];
        const char *at = strstr(whole, edits[i][0]);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, edits[i][1],
                 at + strlen(edits[i][0]));
        tiny_text(test_path("bits/env.json"), text);
        snprintf(words, sizeof words, "bits began with %s", edits[i][2]);
        BAD(2, words, "train", "tiny.yaml", "student", "--run", "bits", "--set", EPOCHS "1",
            "--set", "stages.student.train.epochs=1", "--strict");
    }
    GOOD("train", "tiny.yaml", "student", "--run", "bits", "--set", EPOCHS "1", "--set",
         "stages.student.train.epochs=1");
    assert_non_null(
        strstr(outcome.err, "warning: this run began with version " DECANT_VERSION "9"));
    free(whole);
}

// The whole script runs in a mount namespace of its own: a file system of 300 KB that fills up in
// training, one that can be read only, and the room that it needed.
static void a_full_disk_loses_nothing(void **state)
{
    (void)state;
    char script[4096];
    snprintf(
        script, sizeof script,
        "cd '%s' && mkdir -p disk && mount -t tmpfs -o size=300k none disk 2>/dev/null || exit 77\n"
        "run() { '%s' train tiny.yaml teacher --run disk/run --set " EPOCHS "6 \"$@\"; }\n"
        "dd if=/dev/zero of=disk/filler bs=1k count=$1 2>/dev/null\n"
        "run >disk.out 2>disk.err; first=$?\n"
        "mount -o remount,ro disk && run >ro.out 2>ro.err; second=$?\n"
        "mount -o remount,rw disk; rm -f disk/filler\n"
        "run --quiet >again.out 2>again.err; third=$?\n"
        "cp disk/run/metrics.jsonl full.jsonl; cp disk/run/checkpoints/teacher/final.h5 full.h5\n"
        "umount disk; echo \"$first $second $third\"\n",
        root, DECANT_BINARY);
    tiny_text(test_path("full.sh"), script);
    GOOD("train", "tiny.yaml", "teacher", "--run", "plain", "--set", EPOCHS "6");
    int failed = 0;
    for (int kilobytes = 120; kilobytes < 300; kilobytes += 20) {
        char command[1200], codes[64] = "";
        snprintf(command, sizeof command, "unshare -m sh '%s/full.sh' %d 2>/dev/null", root,
                 kilobytes);
        FILE *shell = popen(command, "r");
        const bool said = shell && fgets(codes, sizeof codes, shell);
        const int status = shell ? pclose(shell) : -1;
        if (!said && (status < 0 || WEXITSTATUS(status) != 0)) {
            print_message("no file system can be mounted here: skipped\n");
            return;
        }
        char *end_of_code = NULL;
        const long first = strtol(codes, &end_of_code, 10);
        assert_true(first == 0 || first == 1);
        failed += first == 1;
        assert_string_equal(end_of_code, first ? " 1 0\n" : " 0 0\n");
        if (first)
            holds("disk.err", "No space left on device");
        if (first)
            holds("ro.err", "Read-only file system");
        assert_true(tiny_same_metrics(test_path("full.jsonl"), test_path("plain/metrics.jsonl")));
        assert_true(tiny_same_arrays(test_path("full.h5"),
                                     test_path("plain/checkpoints/teacher/final.h5"), NULL));
    }
    assert_true(failed >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_process_a_directory),
        cmocka_unit_test(locks_of_other_machines_are_asked_about),
        cmocka_unit_test(other_bits_are_told),
        cmocka_unit_test(a_full_disk_loses_nothing),
    };
    return cmocka_run_group_tests(tests, walk_set_up, walk_tear_down);
}

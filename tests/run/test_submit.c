// `decant submit`: its script passes a signal on and asks for the right job again, as a shell
// carries it out where scontrol is one that writes down what it was told. tests/interop/check_slurm
// does it with Slurm's.

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

#include "core/schema.h"
#include "run/submit.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_walk.h"

static void words_are_quoted(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"plain-1.5/x", "plain-1.5/x"},
                                           {"a b", "'a b'"},
                                           {"it's $x", "'it'\\''s $x'"},
                                           {"", "''"},
                                           {"{a: [1]}", "'{a: [1]}'"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dc_text_buffer out = {0};
        dc_append_shell_word(&out, cases[i][0]);
        assert_string_equal(out.text, cases[i][1]);
        dc_text_free(&out);
    }
}

// In the folder, as Slurm would start it; NULL: no array.
static pid_t start(const char *script, const char *array, const char *task)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0)
        return child;
    char path[1200];
    snprintf(path, sizeof path, "%s/bin:%s", root, getenv("PATH"));
    setenv("PATH", path, 1);
    setenv("SLURM_JOB_ID", "12", 1);
    if (array) {
        setenv("SLURM_ARRAY_JOB_ID", array, 1);
        setenv("SLURM_ARRAY_TASK_ID", task, 1);
    }
    if (chdir(root) == 0 && freopen("script.log", "w", stderr))
        execlp("bash", "bash", script, NULL);
    _exit(127);
}

static int stop(pid_t child, const char *checkpoint)
{
    int status = 0;
    for (int i = 0; i < 6000 && access(test_path(checkpoint), F_OK) != 0; i++)
        usleep(10000);
    assert_int_equal(access(test_path(checkpoint), F_OK), 0);
    assert_int_equal(kill(child, SIGUSR1), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_run_is_asked_for_again(void **state)
{
    (void)state;
    GOOD("submit", "tiny.yaml", "--minutes", "30", "--memory", "500", "--threads", "2", "--set",
         "stages.teacher.train.epochs=50000", "--sbatch=--partition=long");
    assert_string_equal(outcome.out, "sbatch tiny.sbatch\n");
    static const char *const lines[] = {
        "#SBATCH --signal=B:USR1@120\n", "#SBATCH --time=30\n", "#SBATCH --mem=500M\n",
        "#SBATCH --cpus-per-task=2\n",   "#SBATCH --requeue\n", "#SBATCH --open-mode=append\n",
        "#SBATCH --partition=long\n",    "--set stages.teacher"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        holds("tiny.sbatch", lines[i]);
    const pid_t child = start("tiny.sbatch", NULL, NULL);
    assert_int_equal(stop(child, "runs/tiny/checkpoints/teacher/last.h5"), 85);
    holds("asked", "requeue 12\n");
    tiny_text(test_path("mine.sbatch"), "#!/bin/bash\necho mine\n");
    BAD(2, "mine.sbatch exists", "submit", "tiny.yaml", "--minutes", "4", "--memory", "1", "--out",
        "mine.sbatch");
    BAD(2, "--minutes 3: a job is told to stop up to 180 seconds before its limit", "submit",
        "tiny.yaml", "--minutes", "3", "--memory", "1");
    BAD(1, "sbatch failed", "submit", "tiny.yaml", "--minutes", "4", "--memory", "1", "--now");
}

// Of an array, the task alone; what several tasks have in common is a job before.
static void of_a_sweep_its_task(void **state)
{
    (void)state;
    tiny_text(test_path("w.yaml"),
              "experiment: tiny.yaml\naxes:\n  stages.student.train.epochs: [50000, 60000]\n"
              "  stages.teacher.train.epochs: [1]\n");
    GOOD("submit", "w.yaml", "--minutes", "30", "--memory", "500", "--jobs", "1");
    printed("id=$(sbatch --parsable w.sbatch.shared) && sbatch "
            "--dependency=afterok:${id%%;*} w.sbatch\n");
    holds("w.sbatch", "#SBATCH --array=0-1%1\n");
    holds("w.sbatch.shared", "--shared\n");
    int status = 0;
    const pid_t before = start("w.sbatch.shared", NULL, NULL);
    assert_int_equal(waitpid(before, &status, 0), before);
    assert_int_equal(status, 0);
    const pid_t child = start("w.sbatch", "7", "1");
    assert_int_equal(stop(child, "sweeps/w/tasks/1/checkpoints/student/last.h5"), 85);
    holds("asked", "requeue 7_1\n");
    assert_int_not_equal(access(test_path("sweeps/w/tasks/0/checkpoints/student"), F_OK), 0);
}

// What is odd in a name is a word to the shell and nothing to Slurm.
static void odd_names_do_no_harm(void **state)
{
    (void)state;
    static const char list[] = "experiment: tiny.yaml\naxes:\n  seed: [1, 2]\n"
                               "  stages.teacher.train.epochs: [1]\n";
    tiny_text(test_path("a b'%j #x.yaml"), list);
    GOOD("submit", "a b'%j #x.yaml", "--minutes", "30", "--memory", "500");
    printed("sbatch a_b__j__x.sbatch\n");
    holds("a_b__j__x.sbatch", "#SBATCH --job-name=a_b__j__x\n");
    holds("a_b__j__x.sbatch", "#SBATCH --output=a_b__j__x.slurm-%A_%a.log\n");
    holds("a_b__j__x.sbatch",
          " sweep 'a b'\\''%j #x.yaml' --run 'sweeps/a b'\\''%j #x' --task \"$");
    int status = 0;
    const pid_t child = start("a_b__j__x.sbatch", "9", "0");
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(access(test_path("sweeps/a b'%j #x/results/0.json"), F_OK), 0);
    tiny_text(test_path("x\ntouch y.yaml"), list);
    BAD(2, "the file's name has a line break", "submit", "x\ntouch y.yaml", "--minutes", "30");
    assert_int_not_equal(access(test_path("sweeps/x\ntouch y"), F_OK), 0);
    BAD(2, "--sbatch has a line break", "submit", "tiny.yaml", "--sbatch=--comment=x\ntouch y");
    BAD(2, "holds a character that does not print", "submit", "tiny.yaml", "--minutes", "30",
        "--memory", "500", "--set", "name=\"x\\ny\"");
    GOOD("submit", "tiny.yaml", "--minutes", "30", "--memory", "500", "--out=-x", "--set",
         "name=$TASK; touch y");
    printed("sbatch ./-x\n");
    holds("-x", "#SBATCH --job-name=_TASK__touch_y\n");
    holds("-x", " --run 'runs/$TASK; touch y' --set 'name=$TASK; touch y'\n");
}

static void it_measures(void **state)
{
    (void)state;
    GOOD("submit", "tiny.yaml", "--out", "measured.sbatch");
    char *text = tiny_read(test_path("measured.sbatch"), NULL);
    const long minutes = strtol(strstr(text, "--time=") + 7, NULL, 10);
    const long memory = strtol(strstr(text, "--mem=") + 6, NULL, 10);
    assert_true(minutes >= 5 && minutes < 60);  // seconds, and what reading may take
    assert_true(memory > 200 && memory < 4000);
    free(text);
    assert_int_not_equal(access(test_path("runs/measured"), F_OK), 0);
}

static int set_up(void **state)
{
    walk_set_up(state);
    if (mkdir(test_path("bin"), 0777) != 0)
        return 1;
    tiny_text(test_path("bin/scontrol"), "#!/bin/sh\necho \"$@\" > asked\n");
    tiny_text(test_path("bin/sbatch"), "#!/bin/sh\nexit 1\n");
    return chmod(test_path("bin/scontrol"), 0755) != 0 || chmod(test_path("bin/sbatch"), 0755) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_quoted),    cmocka_unit_test(a_run_is_asked_for_again),
        cmocka_unit_test(of_a_sweep_its_task), cmocka_unit_test(odd_names_do_no_harm),
        cmocka_unit_test(it_measures),
    };
    return cmocka_run_group_tests(tests, set_up, walk_tear_down);
}

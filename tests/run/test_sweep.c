// `decant sweep` and `decant collect`: tasks end as runs by themselves would, what they share is
// made once, what is there is not done again, and the front is that of a search over all pairs.

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_walk.h"

static const char sweep[] = "experiment: export.yaml\n"
                            "axes:\n"
                            "  stages.student.train.learning_rate: [0.05, 0.02]\n"
                            "  stages.student.distill.cache: [{}]\n"
                            "  seed: [1, 2]\n";

static json_t *load(const char *name)
{
    json_t *json = json_load_file(test_path(name), 0, NULL);
    if (!json)
        fail_msg("%s cannot be read", name);
    return json;
}

static time_t changed(const char *name)
{
    struct stat info;
    assert_int_equal(stat(test_path(name), &info), 0);
    return info.st_mtim.tv_nsec + 1000000000 * (info.st_mtim.tv_sec % 1000);
}

static bool is_there(const char *name)
{
    return access(test_path(name), F_OK) == 0;
}

// Task 3 has the second rate and seed; its teacher is task 1's.
static void tasks_are_runs(void **state)
{
    (void)state;
    char where[256];
    tiny_text(test_path("s.yaml"), sweep);
    GOOD("sweep", "s.yaml", "--jobs", "2", "--threads", "2");
    printed("4 of 4 tasks are done");
    fits_a_terminal("sweep", NULL);
    for (int t = 0; t < 4; t++) {
        char name[64];
        snprintf(name, sizeof name, "sweeps/s/results/%d.json", t);
        json_t *result = load(name);
        assert_int_equal(json_integer_value(json_object_get(result, "task")), t);
        json_decref(result);
    }
    holds("sweeps/s/tasks/3/log.txt", "teacher: taken over from another task of the sweep");
    assert_false(is_there("sweeps/s/tasks/3/checkpoints/teacher/last.h5"));
    GOOD("run", "export.yaml", "--run", "alone", "--set", "seed=2", "--set",
         "stages.student.train.learning_rate=0.02", "--set", "stages.student.distill.cache={}",
         "--quiet");
    static const char *const stages[] = {"teacher", "student", "quantized"};
    for (int i = 0; i < 3; i++) {
        char mine[96], theirs[96];
        snprintf(mine, sizeof mine, "alone/checkpoints/%s/final.h5", stages[i]);
        snprintf(theirs, sizeof theirs, "sweeps/s/tasks/3/checkpoints/%s/final.h5", stages[i]);
        if (!tiny_same_arrays(test_path(mine), test_path(theirs), where))
            fail_msg("%s: %s differs", stages[i], where);
    }
    // one cache a teacher, that of its seed
    assert_int_equal(test_folder_entries(test_path("sweeps/s/soft-targets")), 2);
    assert_false(is_there("sweeps/s/tasks/3/soft-targets"));
}

static void what_is_there_is_not_done_again(void **state)
{
    (void)state;
    const time_t first = changed("sweeps/s/results/0.json");
    assert_int_equal(remove(test_path("sweeps/s/results/2.json")), 0);
    GOOD("sweep", "s.yaml", "--list");
    printed("   2 -    ");
    printed("   3 done ");
    GOOD("sweep", "s.yaml");
    assert_true(is_there("sweeps/s/results/2.json"));
    assert_true(changed("sweeps/s/results/0.json") == first);
    assert_int_equal(remove(test_path("sweeps/s/results/1.json")), 0);
    GOOD("sweep", "s.yaml", "--task", "1", "--quiet");  // as a job array does
    assert_true(is_there("sweeps/s/results/1.json"));
    BAD(2, "--task 4: the sweep has tasks 0 to 3", "sweep", "s.yaml", "--task", "4");
    tiny_text(test_path("s.yaml"), "experiment: export.yaml\naxes: {seed: [1, 2, 3]}\n");
    BAD(2, "sweeps/s/sweep.jsonl: was frozen with other tasks", "sweep", "s.yaml");
    BAD(2, "data is neither a sweep's directory nor empty", "sweep", "s.yaml", "--run", "data");
    tiny_text(test_path("s.yaml"), sweep);
}

// The experiment and the model file are part of what is frozen.
static void a_changed_file_is_noticed(void **state)
{
    (void)state;
    static const char *const files[] = {"export.yaml", "model.yaml"};
    static const char *const places[] = {"validation: 40", "dropout: 0.1"};
    for (int i = 0; i < 2; i++) {
        char *before = tiny_read(test_path(files[i]), NULL), text[8192];
        snprintf(text, sizeof text, "%s", before);
        char *at = strstr(text, places[i]);
        assert_non_null(at);
        at[strlen(places[i]) - 1] = '2';
        tiny_text(test_path(files[i]), text);
        BAD(2, "sweeps/s/sweep.jsonl: task 0 was frozen with other content", "sweep", "s.yaml");
        BAD(2, "task 0 was frozen with other content", "sweep", "s.yaml", "--task", "1");
        tiny_text(test_path(files[i]), before);
        free(before);
    }
    GOOD("sweep", "s.yaml", "--list");
}

// One drives the tasks; a job array's run beside it.
static void one_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(remove(test_path("sweeps/s/results/2.json")), 0);
    const int list = open(test_path("sweeps/s/sweep.jsonl"), O_RDONLY | O_CLOEXEC);
    assert_true(list >= 0 && flock(list, LOCK_EX | LOCK_NB) == 0);
    tiny_text(test_path("sweeps/s/LOCK"), "A decant works here.\nhost: there\npid: 7\n"
                                          "started: 2026-01-01T00:00:00Z\n");
    BAD(2, "sweeps/s: another decant sweep is at work here (pid 7 on there, since 2026", "sweep",
        "s.yaml");
    assert_false(is_there("sweeps/s/results/2.json"));
    GOOD("sweep", "s.yaml", "--list");
    GOOD("sweep", "s.yaml", "--task", "2", "--quiet");
    assert_true(is_there("sweeps/s/results/2.json"));
    close(list);
    BAD(2, "a decant with pid 7 on there is at work here", "sweep", "s.yaml");
    GOOD("sweep", "s.yaml", "--break-lock");
    assert_false(is_there("sweeps/s/LOCK"));
}

// The front of made-up results: no other point is as good at no more.
static void the_front_is_a_searchs(void **state)
{
    (void)state;
    static const int bytes[] = {100, 200, 300, 400, 400, 100}, right[] = {50, 70, 60, 80, 75, 50};
    FILE *list;
    assert_int_equal(mkdir(test_path("made"), 0777), 0);
    assert_int_equal(mkdir(test_path("made/results"), 0777), 0);
    list = fopen(test_path("made/sweep.jsonl"), "w");
    for (int t = 0; t < 6; t++) {
        char text[512], name[64];
        fprintf(list, "{\"task\":%d,\"settings\":{\"a.b\":\"%d\",\"seed\":\"1\"}}\n", t, t);
        snprintf(text, sizeof text,
                 "{\"task\": %d, \"stages\": {\"s\": {\"float\": {\"accuracy\": 0.%d}, "
                 "\"weight_bytes\": %d, \"macs\": %d}}}\n",
                 t, right[t], bytes[t], 1000 - bytes[t]);
        snprintf(name, sizeof name, "made/results/%d.json", t);
        tiny_text(test_path(name), text);
    }
    assert_int_equal(fclose(list), 0);
    GOOD("collect", "made", "--json");
    json_t *collection = json_loads(outcome.out, 0, NULL);
    const json_t *points = json_object_get(collection, "points");
    assert_int_equal(json_array_size(points), 6);
    for (size_t i = 0; i < 6; i++) {
        bool on_bytes = true, found = false;
        for (int k = 0; k < 6; k++)
            on_bytes = on_bytes && !(right[k] >= right[i] && bytes[k] <= bytes[i] &&
                                     (right[k] > right[i] || bytes[k] < bytes[i]));
        const json_t *front = json_object_get(json_array_get(points, i), "front");
        for (size_t f = 0; f < json_array_size(front); f++)
            found = found || !strcmp(json_string_value(json_array_get(front, f)), "bytes");
        assert_int_equal(found, on_bytes);
    }
    json_decref(collection);
    holds("made/collected.csv", "a.b,accuracy,standard_error,runs,bytes,macs,ram,front_bytes");
    holds("made/pareto-bytes.svg", "<svg xmlns");
    assert_true(is_there("made/pareto-macs.png"));
    assert_false(is_there("made/pareto-ram.svg"));  // of floats
    BAD(2, "alone is no directory of a sweep", "collect", "alone");
}

// A task whose target is too small fails; the others are done, or not.
static void failures_are_told(void **state)
{
    (void)state;
    char *target = tiny_read(test_path("target.yaml"), NULL), text[4096];
    snprintf(text, sizeof text, "%sflash: 300\n", target);
    tiny_text(test_path("small.yaml"), text);
    free(target);
    tiny_text(test_path("f.yaml"), "experiment: export.yaml\n"
                                   "axes: {target: [small.yaml, target.yaml]}\n");
    BAD(1, "sweeps/f: 1 of 2 tasks failed:\n  task 0: ", "sweep", "f.yaml");
    const char *told = strstr(outcome.err, "  task 0: ");
    const char *position = told ? strstr(told, "small.yaml:5:8: error: stage 'quantized' takes")
                                : NULL;
    assert_true(position && position < strchr(told, '\n'));
    assert_true(is_there("sweeps/f/results/1.json"));
    BAD(1, "1 of 2 tasks failed", "sweep", "f.yaml", "--run", "fast", "--fail-fast");
    assert_false(is_there("fast/results/1.json"));
    BAD(2, "are opposites", "sweep", "f.yaml", "--fail-fast", "--keep-going");
}

// A process that kills the one whose lock lies there; false: none came.
static bool kill_holder(const char *lock)
{
    long pid = 0;
    for (int i = 0; i < 3000 && pid == 0; i++) {
        char *text = tiny_read(test_path(lock), NULL);
        const char *at = text ? strstr(text, "pid: ") : NULL;
        pid = at ? strtol(at + 5, NULL, 10) : 0;
        free(text);
        usleep(10000);
    }
    return pid > 0 && kill((pid_t)pid, SIGKILL) == 0;
}

static void a_kill_is_told(void **state)
{
    (void)state;
    int status = 0;
    tiny_text(test_path("k.yaml"), "experiment: export.yaml\n"
                                   "axes: {stages.teacher.train.epochs: [20000]}\n");
    const pid_t killer = fork();
    assert_true(killer >= 0);
    if (killer == 0)
        _exit(kill_holder("sweeps/k/tasks/0/LOCK") ? 0 : 1);
    BAD(1, "  task 0: killed by signal 9", "sweep", "k.yaml");
    assert_int_equal(waitpid(killer, &status, 0), killer);
    assert_int_equal(status, 0);
}

// A sweep that is killed takes its tasks along, which stop with a checkpoint.
static void tasks_end_with_their_sweep(void **state)
{
    (void)state;
    bool stopped = false;
    tiny_text(test_path("p.yaml"), "experiment: export.yaml\n"
                                   "axes: {stages.teacher.train.epochs: [20000]}\n");
    const pid_t driver = fork();
    assert_true(driver >= 0);
    if (driver == 0) {
        if (chdir(root) == 0)
            execl(DECANT_BINARY, "decant", "sweep", "p.yaml", "--quiet", (char *)NULL);
        _exit(99);
    }
    for (int i = 0; i < 3000 && !is_there("sweeps/p/tasks/0/checkpoints/teacher/last.h5"); i++)
        usleep(10000);
    assert_int_equal(kill(driver, SIGKILL), 0);
    assert_int_equal(waitpid(driver, NULL, 0), driver);
    for (int i = 0; i < 3000 && !stopped; i++) {
        char *status = tiny_read(test_path("sweeps/p/tasks/0/STATUS"), NULL);
        stopped = status && strncmp(status, "stopped", 7) == 0;
        free(status);
        usleep(10000);
    }
    assert_true(stopped);
}

// A mistake in an axis has its line in the sweep's file.
static void mistakes_have_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *axis, *place, *words;
    } cases[] = {
        {"stages.student.train.epochz: [1, 2]", "m.yaml:4:3: error: axis ", "'epochs'?"},
        {"stages.student.train.epochs: [1, -2]", "m.yaml:4:36: error: axis ", "must be in [0, "},
        {"stages.students.seed: [1, 2]", "m.yaml:4:3: error: axis ", "no stage 'students'"},
        {"stages.student.model: [model.yaml, no.yaml]", "m.yaml:4:38: error: axis ",
         "there is no model 'no.yaml'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "experiment: export.yaml\naxes:\n  seed: [1, 2]\n  %s\n",
                 cases[i].axis);
        tiny_text(test_path("m.yaml"), text);
        BAD(2, cases[i].words, "sweep", "m.yaml");
        assert_ptr_equal(strstr(outcome.err, cases[i].place), outcome.err);
    }
}

static void drawn_ones_lie_in_their_range(void **state)
{
    (void)state;
    char *lists[2];
    tiny_text(test_path("r.yaml"),
              "experiment: export.yaml\nmethod: random\nsamples: 20\n"
              "axes:\n  stages.student.train.learning_rate: {low: 0.001, "
              "high: 0.1, log: true}\n  seed: {low: 1, high: 9, whole: true}\n");
    for (int i = 0; i < 2; i++) {
        GOOD("sweep", "r.yaml", "--run", i ? "r1" : "r0", "--list");
        lists[i] = tiny_read(test_path(i ? "r1/sweep.jsonl" : "r0/sweep.jsonl"), NULL);
    }
    assert_string_equal(lists[0], lists[1]);
    int below = 0, lines = 0;
    for (const char *at = lists[0]; (at = strstr(at, "learning_rate\":\"")); lines++) {
        at += strlen("learning_rate\":\"");
        const double rate = strtod(at, NULL);
        const long seed = strtol(strstr(at, "seed\":\"") + 7, NULL, 10);
        assert_true(rate >= 0.001 && rate <= 0.1 && seed >= 1 && seed <= 9);
        below += rate < 0.01;  // half of them, by size
    }
    assert_int_equal(lines, 20);
    assert_true(below >= 4 && below <= 16);
    free(lists[0]);
    free(lists[1]);
    // what is drawn again counts once
    tiny_text(test_path("r.yaml"), "experiment: export.yaml\nmethod: random\nsamples: 30\n"
                                   "axes: {seed: [1, 2, 3]}\n");
    GOOD("sweep", "r.yaml", "--run", "r2", "--list");
    char *list = tiny_read(test_path("r2/sweep.jsonl"), NULL);
    assert_non_null(strstr(list, "\"task\":2,"));
    assert_null(strstr(list, "\"task\":3,"));
    for (int seed = 1; seed <= 3; seed++) {
        char words[16];
        snprintf(words, sizeof words, "seed\":\"%d\"", seed);
        assert_non_null(strstr(list, words));
    }
    free(list);
    static const char *const mistakes[][2] = {
        {"experiment: export.yaml\naxes: {seed: [1, 2, 1]}\n",
         "m.yaml:2:21: error: axis 'seed' has the value 1 twice; leave one out"},
        {"experiment: export.yaml\naxes:\n  stages.student.train.learning_rate: [0.1, 1e-1]\n",
         "m.yaml:3:45: error: axis 'stages.student.train.learning_rate' has the value 1e-1 twice"},
        {"experiment: export.yaml\naxes: {seed: {low: 1, high: 2}}\n",
         "m.yaml:2:14: error: axis 'seed' is a list of values; ranges are for method: random"},
        {"experiment: export.yaml\naxes: {sed: [1]}\n", "unknown key 'sed'"},
        {"experiment: export.yaml\nmethod: random\naxes: {seed: [1]}\n", "needs samples"},
        {"experiment: export.yaml\naxis: {seed: [1]}\n", "m.yaml:2:1: error: unknown key 'axis'"},
        {"experiment: exprt.yaml\naxes: {seed: [1]}\n", "exprt.yaml"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        tiny_text(test_path("m.yaml"), mistakes[i][0]);
        walk(NULL, (const char *const[]){"sweep", "m.yaml", NULL});
        assert_outcome(&outcome, mistakes[i][1], outcome.exit_code,
                       (const char *const[OUTCOME_WORDS]){mistakes[i][1]});
        assert_true(outcome.exit_code == 2 || outcome.exit_code == 1);
        assert_false(is_there("sweeps/m"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_are_runs),
        cmocka_unit_test(what_is_there_is_not_done_again),
        cmocka_unit_test(a_changed_file_is_noticed),
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(the_front_is_a_searchs),
        cmocka_unit_test(failures_are_told),
        cmocka_unit_test(a_kill_is_told),
        cmocka_unit_test(tasks_end_with_their_sweep),
        cmocka_unit_test(mistakes_have_their_place),
        cmocka_unit_test(drawn_ones_lie_in_their_range),
    };
    return cmocka_run_group_tests(tests, walk_set_up, walk_tear_down);
}

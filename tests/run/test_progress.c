// What people see of a run and what it keeps of that: progress on terminals of several widths,
// which a tiny terminal of this test watches; plain lines elsewhere; log.txt and STATUS.

#include <errno.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
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
#include "tests/run/helper_process.h"

static struct outcome outcome;
static struct child here;
static char root[512];

// A terminal's lines: a carriage return goes back, what follows is written over what was there.
struct screen {
    int columns;
    char line[1024];
    int at, bars;        // a bar is a line that something else is written over
    bool returned;       // the last character was a carriage return
    char kept[64][256];  // lines that a newline ended
    int kept_count;
};

static int end_of(const char *line)
{
    int end = (int)strlen(line);
    while (end > 0 && line[end - 1] == ' ')
        end--;
    return end;
}

static void end_line(struct screen *screen)
{
    screen->line[end_of(screen->line)] = '\0';
    if (strchr(screen->line, '[') || strncmp(screen->line, "teacher: ", 9) != 0)
        fail_msg("%d columns: a bar stayed: '%s'", screen->columns, screen->line);
    assert_true(screen->kept_count < 64);
    snprintf(screen->kept[screen->kept_count++], 256, "%.255s", screen->line);
    memset(screen->line, 0, sizeof screen->line);
    screen->at = 0;
}

static void show(struct screen *screen, char c)
{
    screen->bars += screen->returned && c != '\n' && end_of(screen->line) > 0;
    screen->returned = c == '\r';
    if (c == '\r') {
        screen->at = 0;
    } else if (c == '\n') {
        end_line(screen);
    } else {
        screen->line[screen->at++] = c;
        // the last column stays free; what a stage does and reached is a message, which may wrap
        const bool message = strstr(screen->line, ": done") || strstr(screen->line, ": tests");
        if (screen->at >= screen->columns && !message)
            fail_msg("%d columns: '%s'", screen->columns, screen->line);
    }
}

static void watch(struct screen *screen, int columns, const char *const *arguments)
{
    int terminal = -1, status = 0;
    char bytes[4096];
    const struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
    const char *argv[16] = {DECANT_BINARY};
    for (int i = 0; arguments[i]; i++)
        argv[i + 1] = arguments[i];
    *screen = (struct screen){.columns = columns ? columns : 80};
    const pid_t child = forkpty(&terminal, NULL, NULL, &size);
    assert_true(child >= 0);
    if (child == 0) {
        if (chdir(root) == 0 && freopen("/dev/null", "w", stdout))  // the table of results
            execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    for (ssize_t n; (n = read(terminal, bytes, sizeof bytes)) > 0;)  // EIO at the child's end
        for (ssize_t i = 0; i < n; i++)
            show(screen, bytes[i]);
    close(terminal);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static const char *kept_line(const struct screen *screen, const char *word)
{
    for (int i = 0; i < screen->kept_count; i++)
        if (strstr(screen->kept[i], word))
            return screen->kept[i];
    fail_msg("no line with '%s' at %d columns", word, screen->columns);
    return NULL;
}

static void progress_fits_the_terminal(void **state)
{
    (void)state;
    static const int widths[] = {20, 40, 80, 200, 0};  // 0: a terminal that does not say
    static struct screen screen;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        char run[32];
        snprintf(run, sizeof run, "width-%d", widths[i]);
        const char *const arguments[] = {
            "train", "tiny.yaml", "teacher", "--run", run, "--set", "stages.teacher.train.epochs=9",
            NULL};
        watch(&screen, widths[i], arguments);
        assert_true(screen.bars > 0);
        const char *line = kept_line(&screen, "teacher: epoch 3/9");
        const bool all = strstr(line, "loss ") && strstr(line, "train ") &&
                         strstr(line, "validation ") && strstr(line, " left");
        const bool figure = strstr(line, "validation ") != NULL;
        assert_true(all == (widths[i] == 200 || widths[i] == 80 || widths[i] == 0));
        assert_true(figure == (widths[i] != 20));
        assert_true((strstr(line, " spent") != NULL) == (widths[i] == 200));
        kept_line(&screen, "teacher: starts");
        kept_line(&screen, "teacher: done; test: ");
    }
}

static int count(const char *text, const char *word)
{
    int found = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        found++;
    return found;
}

static void no_terminal_gets_plain_lines(void **state)
{
    (void)state;
    DECANT(&outcome, &here, "train", "tiny.yaml", "teacher", "--run", "plain", "--set",
           "stages.teacher.train.epochs=5");
    assert_int_equal(outcome.exit_code, 0);
    assert_null(strchr(outcome.err, '\r'));
    assert_null(strchr(outcome.err, '\033'));
    assert_int_equal(count(outcome.err, "teacher: epoch "), 5);
    assert_int_equal(count(outcome.err, "\n"), 8);  // it starts, five epochs, tests, it is done
}

// Of a line of the log: 2026-11-30T02:47:08Z, or as many blanks below it.
static bool has_time(const char *line)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ ";
    bool time = true, blank = true;
    for (int i = 0; form[i]; i++) {
        time = time && (form[i] == 'd' ? line[i] >= '0' && line[i] <= '9' : line[i] == form[i]);
        blank = blank && line[i] == ' ';
    }
    return time || blank;
}

static char *read_log(const char *run)
{
    char path[512];
    snprintf(path, sizeof path, "%s/log.txt", test_path(run));
    char *log = tiny_read(path, NULL);
    assert_non_null(log);
    int number = 0;
    for (const char *line = log; *line; number++) {
        if (number > 0 && !has_time(line))
            fail_msg("%s:%d: no time: %s", path, number + 1, line);
        line += strcspn(line, "\n");
        assert_int_equal(*line, '\n');  // no line is torn
        line++;
    }
    return log;
}

static void assert_status(const char *run, const char *expected)
{
    char path[512];
    snprintf(path, sizeof path, "%s/STATUS", test_path(run));
    char *text = tiny_read(path, NULL);
    assert_string_equal(text, expected);
    free(text);
}

static void the_log_holds_what_was_said(void **state)
{
    (void)state;
    DECANT(&outcome, &here, "run", "export.yaml", "--run", "a run", "--set", "name=it's");
    assert_int_equal(outcome.exit_code, 0);
    char *log = read_log("a run");
    static const char *const said[] = {
        "Decant run directory, begun by version ",
        "Z decant " DECANT_VERSION " starts: decant run export.yaml --run 'a run' --set "
        "'name=it'\\''s'\n",
        "Z teacher: starts\n",
        "Z teacher: epoch 1/1  loss ",
        "Z teacher: done; test: ",
        "Z quantized: calibrates on 260 samples\n",
        "Z quantized: tests on 70 samples\n",
        "Z quantized: done; test: float ",
        "Z int8: done; the compiled C equals the engine on 70 test samples\n"};
    const char *at = log;
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        at = strstr(at, said[i]);
        if (!at)
            fail_msg("no '%s' at its place in %s", said[i], log);
    }
    // whatever stderr said, word for word
    for (char *line = strtok(outcome.err, "\n"); line; line = strtok(NULL, "\n"))
        if (!strstr(log, line))
            fail_msg("no '%s' in %s", line, log);
    free(log);
    assert_status("a run", "done\n");
}

// A start that was killed leaves a torn line; the next appends behind it.
static void the_log_goes_on(void **state)
{
    (void)state;
    DECANT(&outcome, &here, "train", "export.yaml", "teacher", "--run", "twice");
    char *before = read_log("twice");
    FILE *file = fopen(test_path("twice/log.txt"), "a");
    assert_non_null(file);
    fputs("2026-11-30T02:47:08Z student: ep", file);
    fclose(file);
    DECANT(&outcome, &here, "run", "export.yaml", "--run", "twice");
    assert_int_equal(outcome.exit_code, 0);
    char *after = read_log("twice");
    assert_memory_equal(after, before, strlen(before));
    assert_int_equal(count(after, " starts: decant "), 2);
    assert_int_equal(count(after, "Z teacher: done before\n"), 1);
    assert_non_null(strstr(after, "Z student: ep\n2"));
    free(before);
    free(after);
}

static void a_failure_is_written_down(void **state)
{
    (void)state;
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "nan", "--set",
           "stages.student.train.learning_rate=1000", "--set", "stages.student.train.clip_norm=0",
           "--set", "stages.student.train.epochs=30");
    assert_int_equal(outcome.exit_code, 1);
    char *message = strstr(outcome.err, "decant: "), expected[1024];
    assert_non_null(message);
    message += strlen("decant: ");
    message[strcspn(message, "\n")] = '\0';
    char *log = read_log("nan");
    snprintf(expected, sizeof expected, "Z student: failed: %.512s\n", message);
    assert_non_null(strstr(log, expected));
    snprintf(expected, sizeof expected, "failed\nstage: student\nreason: %.512s\n", message);
    assert_status("nan", expected);
    free(log);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    here.folder = root;
    tiny_files();
    return 0;
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
        cmocka_unit_test(progress_fits_the_terminal),
        cmocka_unit_test(no_terminal_gets_plain_lines),
        cmocka_unit_test(the_log_holds_what_was_said),
        cmocka_unit_test(the_log_goes_on),
        cmocka_unit_test(a_failure_is_written_down),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

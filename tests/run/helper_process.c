// Owns starting, ending and listening to the decant binary. Failures here are broken tests.

#include "tests/run/helper_process.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"

enum { ARGUMENTS_MAX = 32 };

static void must(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void become_decant(const struct child *how, char **argv, const char *out, const char *err)
{
    must(freopen(out, "w", stdout) && freopen(err, "w", stderr), out);
    if (how->environment)
        putenv((char *)how->environment);
    if (how->folder)
        must(chdir(how->folder) == 0, how->folder);
    if (how->file_limit) {
        const struct rlimit limit = {how->file_limit, how->file_limit};
        must(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
    }
    execv(DECANT_BINARY, argv);
    _exit(127);
}

static void read_into(char *text, size_t size, const char *path)
{
    FILE *file = fopen(path, "r");
    must(file != NULL, path);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
    unlink(path);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void run_decant(struct outcome *outcome, const struct child *how, const char *const *arguments)
{
    static const struct child plain;
    char *argv[ARGUMENTS_MAX] = {(char *)DECANT_BINARY};
    char out[512], err[512];
    for (int i = 0; arguments[i]; i++) {
        must(i + 2 < ARGUMENTS_MAX, "arguments");
        argv[i + 1] = (char *)arguments[i];
    }
    how = how ? how : &plain;
    snprintf(out, sizeof out, "%s", test_path("child.out"));
    snprintf(err, sizeof err, "%s", test_path("child.err"));
    test_write(out, "", 0);  // a child that is killed at once has not opened them
    test_write(err, "", 0);
    const double started = now();
    fflush(NULL);
    const pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0)
        become_decant(how, argv, out, err);
    if (how->signal) {
        for (int i = 0; how->after && i < 6000 && access(how->after, F_OK) != 0; i++)
            usleep(10000);
        const struct timespec delay = {how->delay / 1000000, how->delay % 1000000 * 1000};
        nanosleep(&delay, NULL);
        kill(child, how->signal);
    }
    int status = 0;
    must(waitpid(child, &status, 0) == child, "waitpid");
    outcome->seconds = now() - started;
    outcome->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    outcome->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    read_into(outcome->out, sizeof outcome->out, out);
    read_into(outcome->err, sizeof outcome->err, err);
}

void assert_outcome(const struct outcome *outcome, const char *name, int exit_code,
                    const char *const words[OUTCOME_WORDS])
{
    if (getenv("DECANT_SHOW"))
        fprintf(stderr, "\n-- %s [%d]\n%s", name, outcome->exit_code, outcome->err);
    if (outcome->exit_code != exit_code)
        fail_msg("%s: exit %d (signal %d), not %d: %s", name, outcome->exit_code, outcome->signal,
                 exit_code, outcome->err);
    for (int i = 0; i < OUTCOME_WORDS && words[i]; i++)
        if (!strstr(outcome->err, words[i]))
            fail_msg("%s: no \"%s\" in: %s", name, words[i], outcome->err);
}

int run_whole(struct outcome *outcome, const struct child *how, const char *file,
              const char *directory)
{
    DECANT(outcome, how, "run", file, "--run", directory);
    if (outcome->exit_code)
        fprintf(stderr, "%s", outcome->err);
    return outcome->exit_code;
}

// `decant sweep` and `decant collect`: many runs of one experiment. A task is a process of its own,
// this program again with --task, so that a job array of a cluster does the same.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "core/context.h"
#include "core/file.h"
#include "report/collect.h"
#include "run/sweep_file.h"

enum { ALL = -1, JOBS_MAX = 256 };

struct sweep {
    struct dc_cli cli;
    const char *run;
    int64_t jobs;
    const char *task;
    bool shared, list, fail_fast, keep_going;
    struct dc_job job;
};

static const struct dc_option options[] = {
    DC_OPTION_RUN(sweep, "directory of the sweep; else sweeps/NAME, by the file's name"),
    DC_OPTION(sweep, "--jobs", COUNT, jobs, "N", .most = JOBS_MAX,
              .help = "tasks at a time, which share the threads; else one"),
    DC_OPTION(sweep, "--fail-fast", FLAG, fail_fast, NULL, .help = "the first failure ends all"),
    DC_OPTION(sweep, "--keep-going", FLAG, keep_going, NULL,
              .help = "a task that fails is told in the end, and the others are done (default)"),
    DC_OPTION(sweep, "--task", TEXT, task, "N", .help = "this task alone, as a job array does"),
    DC_OPTION(sweep, "--shared", FLAG, shared, NULL,
              .help = "only what several tasks have in common, before a job array"),
    DC_OPTION(sweep, "--list", FLAG, list, NULL, .help = "the tasks, and which are done"),
    DC_OPTION_JOB(sweep),
    DC_OPTION_THREADS(sweep),
    DC_OPTION_JSON(sweep),
    DC_OPTION_QUIET(sweep),
};

static void list_tasks(const struct dc_sweep *s)
{
    for (int t = 0; t < s->task_count; t++) {
        char line[2048];
        int used = snprintf(line, sizeof line, "%4d %-5s", t,
                            dc_sweep_task_done(s, t) ? "done" : "-");
        for (int a = 0; a < s->axis_count && used < (int)sizeof line; a++)
            used += snprintf(line + used, sizeof line - (size_t)used, " %s",
                             s->tasks[t].overrides[a]);
        dc_print_wrapped(line, 0, 11);
    }
}

static enum dc_status run_here(const struct dc_sweep *s, int task, bool shared,
                               const struct sweep *own, struct dc_error *error)
{
    struct dc_progress_view view = dc_progress_start(own->cli.quiet);
    const struct dc_run_options how = dc_cli_run_options(&own->cli, NULL, NULL, &own->job, &view);
    return dc_sweep_run_task(s, task, shared, &how, error);
}

// This program again, for one task; what it says goes to DIR/tasks/N.log.
static pid_t start(const struct dc_sweep *s, int task, bool shared, const struct sweep *own,
                   int threads)
{
    char log[4096], number[16], count[16];
    snprintf(log, sizeof log, "%s/tasks/%d.log", s->directory, task);
    snprintf(number, sizeof number, "%d", task);
    snprintf(count, sizeof count, "%d", threads);
    const char *arguments[16] = {"decant", "sweep", s->file,     "--run", s->directory,
                                 "--task", number,  "--threads", count};
    int used = 9;
    if (shared)
        arguments[used++] = "--shared";
    if (own->job.strict)
        arguments[used++] = "--strict";
    if (own->job.break_lock)
        arguments[used++] = "--break-lock";
    const pid_t parent = getpid(), child = fork();
    if (child != 0)
        return child;
    // A task ends with the sweep, however that ends: it stops as by a signal, with a checkpoint.
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(127);
    const int file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file >= 0 && dup2(file, STDERR_FILENO) >= 0 && dup2(file, STDOUT_FILENO) >= 0)
        execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
    _exit(127);
}

// The error that a task ended with, else the last line that it said. Its log goes on over starts.
static void last_words(char line[512], const struct dc_sweep *s, int task)
{
    bool found = false;
    char path[4096], text[512];
    snprintf(path, sizeof path, "%s/tasks/%d.log", s->directory, task);
    FILE *file = fopen(path, "re");
    line[0] = '\0';
    while (file && fgets(text, sizeof text, file))
        if (strstr(text, "error:") || (!found && strspn(text, " \n") < strlen(text))) {
            found = found || strstr(text, "error:");
            snprintf(line, 512, "%.*s", (int)strcspn(text, "\n"), text);
        }
    if (file)
        fclose(file);
}

struct driver {
    const struct dc_sweep *sweep;
    const struct sweep *own;
    int jobs, threads, running, failed, stopped, done;
    pid_t children[JOBS_MAX];
    int tasks[JOBS_MAX];
    int *failures, *signals;  // [2 * task_count]: the task, and what killed it or 0
};

static void end_all(struct driver *d, int number)
{
    for (int i = 0; i < d->running; i++)
        kill(d->children[i], number);
}

// Waits for one child to end, and passes a stop on.
static void wait_for_one(struct driver *d, const volatile sig_atomic_t *stop, bool shared)
{
    int status = 0;
    bool told = false;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
        if (*stop && !told)
            end_all(d, SIGTERM);
        told = told || *stop;
        usleep(20000);
    }
    int i = 0;
    while (i < d->running && d->children[i] != ended)
        i++;
    if (i == d->running)
        return;
    const int task = d->tasks[i], code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    d->children[i] = d->children[--d->running];
    d->tasks[i] = d->tasks[d->running];
    d->done += code == 0;
    if (code == 85 || (*stop && code != 0)) {
        d->stopped++;
    } else if (code != 0) {
        d->signals[d->failed] = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        d->failures[d->failed++] = task;
        if (d->own->fail_fast)
            end_all(d, SIGTERM);
    }
    if (!d->own->cli.quiet)
        fprintf(stderr, "task %d: %s%s\n", task,
                code == 0    ? "done"
                : code == 85 ? "stopped"
                             : "failed",
                shared ? ", what others need" : "");
}

// All tasks, or what several have in common: one after the other, since one may need another's.
static void drive(struct driver *d, bool shared, const volatile sig_atomic_t *stop)
{
    const struct dc_sweep *s = d->sweep;
    const int jobs = shared ? 1 : d->jobs;
    for (int t = 0; t < s->task_count; t++) {
        const bool wanted = !dc_sweep_task_done(s, t) && (!shared || dc_sweep_shares(s, t));
        while (wanted && d->running >= jobs)
            wait_for_one(d, stop, shared);
        if (!wanted || *stop || (d->failed > 0 && d->own->fail_fast))
            continue;
        const pid_t child = start(s, t, shared, d->own, d->threads * (shared ? d->jobs : 1));
        if (child < 0)
            break;
        d->children[d->running] = child;
        d->tasks[d->running++] = t;
    }
    while (d->running > 0)
        wait_for_one(d, stop, shared);
}

static enum dc_status tell_end(const struct driver *d, struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    for (int i = 0; i < d->failed; i++) {
        char line[512];
        if (d->signals[i])
            snprintf(line, sizeof line, "killed by signal %d (%s)", d->signals[i],
                     strsignal(d->signals[i]));
        else
            last_words(line, d->sweep, d->failures[i]);
        dc_text_append(&text, "\n  task %d: %s", d->failures[i], line[0] ? line : "said nothing");
    }
    enum dc_status status = DC_OK;
    if (d->failed > 0)
        status = dc_fail(error, DC_ERR_DATA, "%s: %d of %d tasks failed:%s", d->sweep->directory,
                         d->failed, d->sweep->task_count, text.text ? text.text : "");
    else if (d->stopped > 0)
        status = dc_fail(error, DC_ERR_STOPPED,
                         "stopped; start it again and the tasks go on from their checkpoints");
    dc_text_free(&text);
    return status;
}

static enum dc_status collect_all(const char *directory, bool json, struct dc_error *error)
{
    json_t *collection = NULL;
    struct dc_text_buffer text = {0};
    DC_TRY(dc_collect(&collection, directory, error));
    enum dc_status status = dc_write_collection(directory, collection, error);
    if (status == DC_OK && json)
        return dc_cli_print_json(collection, error);
    if (status == DC_OK)
        dc_collection_text(&text, collection);
    json_decref(collection);
    DC_TRY(status);
    DC_TRY(dc_cli_print_text(&text, error));
    dc_print_sentence("%s: collected.json, collected.csv, pareto-bytes.svg and .png, -macs, -ram",
                      directory);
    return DC_OK;
}

static enum dc_status run_all(struct dc_sweep *s, const struct sweep *own, struct dc_error *error)
{
    struct driver d = {.sweep = s, .own = own, .jobs = own->jobs ? (int)own->jobs : 1};
    const volatile sig_atomic_t *stop = dc_cli_stop();
    char tasks[4096];
    const int threads = own->cli.threads ? (int)own->cli.threads : dc_threads_available();
    if (own->job.signal)
        dc_cli_stop_by(own->job.signal);
    d.threads = threads / d.jobs > 0 ? threads / d.jobs : 1;
    d.failures = DC_NEW(s->arena, int, 2 * s->task_count, error);
    d.signals = DC_NEW(s->arena, int, 2 * s->task_count, error);
    snprintf(tasks, sizeof tasks, "%s/tasks", s->directory);
    if (!d.failures || !d.signals)
        return DC_ERR_MEMORY;
    DC_TRY(dc_sweep_lock(s, own->job.break_lock, error));
    DC_TRY(dc_make_directory(tasks, error));
    drive(&d, true, stop);
    if (!own->shared && d.stopped == 0 && !(d.failed > 0 && own->fail_fast)) {
        d.failed = 0;  // these tasks are tried again, and what needs them
        drive(&d, false, stop);
    }
    DC_TRY(tell_end(&d, error));
    return own->shared ? DC_OK : collect_all(s->directory, own->cli.json, error);
}

static enum dc_status sweep(const struct dc_cli *cli, struct dc_error *error)
{
    const struct sweep *own = (const struct sweep *)cli;
    struct dc_sweep *s = NULL;
    char *end = NULL;
    const long task = own->task ? strtol(own->task, &end, 10) : 0;
    if (own->fail_fast && own->keep_going)
        return dc_fail(error, DC_ERR_USAGE, "--fail-fast and --keep-going are opposites");
    DC_TRY(dc_sweep_open(&s, cli->positionals[0], own->run, error));
    enum dc_status status = DC_OK;
    if (own->task && (*end || end == own->task || task < 0 || task >= s->task_count))
        status = dc_fail(error, DC_ERR_USAGE, "--task %s: the sweep has tasks 0 to %d", own->task,
                         s->task_count - 1);
    else if (own->list)
        list_tasks(s);
    else if (!own->task)
        status = run_all(s, own, error);
    else if (!dc_sweep_task_done(s, (int)task))
        status = run_here(s, (int)task, own->shared, own, error);
    dc_sweep_close(s);
    return status;
}

const struct dc_verb dc_verb_sweep = {
    .name = "sweep",
    .arguments = "SWEEP",
    .brief = "one experiment with other values of some keys, many runs",
    .text = "SWEEP is a YAML file: experiment, axes (KEY: [VALUES]), method (grid or random). What "
            "several tasks have in common, as a teacher and its soft targets, is made once. "
            "Started again, it does what has no result yet.",
    DC_VERB_OPTIONS(options, sweep),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = sweep,
};

struct collect {
    struct dc_cli cli;
};

static const struct dc_option collect_options[] = {
    DC_OPTION_JSON(collect),
    DC_OPTION_QUIET(collect),
};

static enum dc_status collect(const struct dc_cli *cli, struct dc_error *error)
{
    return collect_all(cli->positionals[0], cli->json, error);
}

const struct dc_verb dc_verb_collect = {
    .name = "collect",
    .arguments = "SWEEP-DIRECTORY",
    .brief = "table and Pareto front of a sweep: what is done so far",
    .text = "Writes collected.json, collected.csv, and pareto-bytes, pareto-macs and pareto-ram as "
            "SVG and PNG there.",
    DC_VERB_OPTIONS(collect_options, collect),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = collect,
};

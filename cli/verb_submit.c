// `decant submit`: the batch script of a run or a sweep for Slurm, with what it will take by a
// short measurement.

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/clock.h"
#include "core/context.h"
#include "core/file.h"
#include "core/folder.h"
#include "run/submit.h"
#include "run/sweep_file.h"

enum { MEASURED_SECONDS = 5 };

struct submit {
    struct dc_cli cli;
    struct dc_settings set, sbatch;
    const char *run, *out;
    int64_t minutes, memory, jobs;
    bool now;
};

static const struct dc_option options[] = {
    DC_OPTION_SET(submit),
    DC_OPTION_RUN(submit, "directory of the run or sweep; else as run and sweep choose it"),
    DC_OPTION(submit, "--out", TEXT, out, "FILE", .help = "the script; else NAME.sbatch"),
    DC_OPTION(submit, "--minutes", COUNT, minutes, "N", .most = 1000000,
              .help = "time limit of a job, 4 at least; else by a measurement"),
    DC_OPTION(submit, "--memory", COUNT, memory, "MIB", .most = 1e9,
              .help = "memory of a job; else by a measurement"),
    DC_OPTION(submit, "--jobs", COUNT, jobs, "N", .most = 100000,
              .help = "tasks of a sweep at a time; else as many as the cluster takes"),
    DC_OPTION(submit, "--sbatch", SETTINGS, sbatch, "--OPTION=VALUE",
              .help = "a further line for Slurm, as --partition=long; may be given several times"),
    DC_OPTION(submit, "--now", FLAG, now, NULL, .help = "hand it to sbatch at once"),
    DC_OPTION_THREADS(submit),
    DC_OPTION_QUIET(submit),
};

// What a few seconds of the first stage tell of it.
struct measured {
    double stage_seconds;  // of all its epochs; 0: the run was over before
    double all_seconds;    // of the run, where it was over
    char stage[128];
    int64_t memory;  // bytes
};

struct watch {
    struct measured found;
    double began;
    volatile sig_atomic_t stop;
};

static void look(void *user, const struct dc_progress *progress)
{
    struct watch *w = user;
    snprintf(w->found.stage, sizeof w->found.stage, "%s", progress->stage);
    w->found.stage_seconds = progress->seconds + progress->seconds_left;
    if (dc_seconds() - w->began > MEASURED_SECONDS)
        w->stop = 1;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static void measure_here(struct measured *found, const char *experiment,
                         const char *const *overrides, int count, const char *directory,
                         int threads)
{
    struct watch w = {.began = dc_seconds()};
    struct dc_run *run = NULL;
    struct dc_error ignored;
    const struct dc_run_options how = {.experiment = experiment,
                                       .overrides = overrides,
                                       .override_count = count,
                                       .directory = directory,
                                       .context = {.threads = threads, .stop = &w.stop},
                                       .hooks = {.user = &w, .progress = look}};
    struct rusage usage;
    enum dc_status status = dc_run_open(&run, &how, &ignored);
    if (status == DC_OK)
        status = dc_run_all(run, &ignored);
    dc_run_close(run);
    getrusage(RUSAGE_SELF, &usage);
    *found = w.found;
    found->memory = (int64_t)usage.ru_maxrss * 1024;
    found->all_seconds = status == DC_OK ? dc_seconds() - w.began : 0.0;
}

// In a process of its own, whose memory is counted, and a folder that is gone afterwards.
static bool measure(struct measured *found, const char *experiment, const char *const *overrides,
                    int count, int threads)
{
    char folder[] = "/tmp/decant-submit-XXXXXX", directory[64];
    int ends[2], status = 0;
    bool good = false;
    if (!mkdtemp(folder))
        return false;
    snprintf(directory, sizeof directory, "%s/run", folder);
    const pid_t child = pipe(ends) == 0 ? fork() : -1;
    if (child == 0) {
        struct measured own = {0};
        measure_here(&own, experiment, overrides, count, directory, threads);
        _exit(write(ends[1], &own, sizeof own) == (ssize_t)sizeof own ? 0 : 1);
    }
    if (child > 0) {
        close(ends[1]);
        good = read(ends[0], found, sizeof *found) == (ssize_t)sizeof *found;
        close(ends[0]);
        waitpid(child, &status, 0);
    }
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return good && (found->all_seconds > 0.0 || found->stage_seconds > 0.0);
}

static double number(const json_t *stage, const char *key)
{
    return json_number_value(json_object_get(stage, key));
}

// Seconds of all stages, by the first one's: training goes by epochs and multiplications, a teacher
// costs a third of being trained, and a stage that quantizes is a third slower.
static double all_seconds(const struct measured *m, struct dc_experiment *e, const json_t *report)
{
    const struct dc_stage *first = dc_experiment_stage(e, m->stage);
    double units = 0.0, of_first = 0.0;
    if (m->all_seconds > 0.0 || !first)
        return m->all_seconds;
    for (int i = 0; i < e->stage_count; i++) {
        const struct dc_stage *s = &e->stages[i];
        const char *names[DC_TEACHERS_MAX];
        double weights[DC_TEACHERS_MAX];
        if (!s->trains)
            continue;
        double own = number(json_object_get(report, s->name), "macs") * (s->quantizes ? 1.3 : 1.0);
        const int teachers = s->distills ? dc_stage_teachers(names, weights, s) : 0;
        for (int t = 0; t < teachers; t++)
            own += number(json_object_get(report, names[t]), "macs") / 3.0;
        own *= (double)s->train.config.epochs;
        units += own;
        of_first += s == first ? own : 0.0;
    }
    return of_first > 0.0 ? m->stage_seconds * units / of_first : m->stage_seconds;
}

// Half as much again, and time to read data and to prove what is exported.
static enum dc_status estimate(struct dc_submission *s, const char *experiment,
                               const char *const *overrides, int count, const struct submit *own,
                               struct dc_error *error)
{
    struct measured m = {0};
    struct dc_experiment *read = NULL;
    json_t *report = NULL;
    DC_TRY(dc_experiment_read(&read, experiment, overrides, count, error));
    enum dc_status status = dc_run_check(read, &report, error);
    s->minutes = (int)own->minutes;
    s->memory_mib = own->memory;
    if (status == DC_OK && (!own->minutes || !own->memory)) {
        if (!own->cli.quiet)
            fprintf(stderr, "measuring the first stage for %d seconds\n", MEASURED_SECONDS);
        if (!measure(&m, experiment, overrides, count, s->cpus))
            status = dc_fail(error, DC_ERR_DATA,
                             "%s: could not be measured here, where its data may not be; say "
                             "--minutes and --memory",
                             experiment);
    }
    if (status == DC_OK && !own->minutes)
        s->minutes = (int)ceil((1.5 * all_seconds(&m, read, report) + 300.0) / 60.0);
    if (status == DC_OK && !own->memory)
        s->memory_mib = (int64_t)(1.3 * (double)m.memory / (1 << 20)) + 200;
    json_decref(report);
    dc_experiment_free(read);
    return status;
}

static enum dc_status write_script(const char *path, const struct dc_submission *s,
                                   struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    DC_TRY(dc_file_may_replace(path, DC_SUBMIT_MARK, NULL, NULL, error));
    dc_submit_script(&text, s);
    const enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                              : dc_file_write(path, text.text, text.length, error);
    dc_text_free(&text);
    return status;
}

// Prints the line, or hands it to a shell.
static enum dc_status hand_over(const char *script, const char *before, bool now,
                                struct dc_error *error)
{
    struct dc_text_buffer line = {0};
    if (before) {
        dc_text_append(&line, "id=$(sbatch --parsable ");
        dc_append_shell_word(&line, before);
        dc_text_append(&line, ") && sbatch --dependency=afterok:${id%%%%;*} ");
    } else {
        dc_text_append(&line, "sbatch ");
    }
    dc_append_shell_word(&line, script);
    enum dc_status status = line.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory") : DC_OK;
    if (status == DC_OK && !now)
        printf("%s\n", line.text);
    else if (status == DC_OK && system(line.text) != 0)
        status = dc_fail(error, DC_ERR_IO, "sbatch failed: %s", line.text);
    dc_text_free(&line);
    return status;
}

// A sweep's file has axes.
static bool is_sweep(const char *path, struct dc_arena *arena)
{
    const struct dc_yaml *root = NULL;
    return dc_file_exists(path) && dc_yaml_read(&root, path, arena, NULL) == DC_OK &&
           root->kind == DC_YAML_MAPPING && dc_yaml_get(root, "axes");
}

struct words {
    const char *items[5 + 2 * DC_SETTINGS_MAX + 1];
    int count;
};

static void add(struct words *w, const char *word)
{
    w->items[w->count++] = word;
}

// What a line break would end: a line of the script, or of what is printed.
static enum dc_status check_line(const char *what, const char *text, struct dc_error *error)
{
    for (const unsigned char *c = (const unsigned char *)text; c && *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            return dc_fail(error, DC_ERR_USAGE,
                           "%s has a line break or another control character, which no batch "
                           "script takes; name it otherwise",
                           what);
    return DC_OK;
}

static enum dc_status check_asked(const struct submit *own, const char *folder,
                                  struct dc_error *error)
{
    if (own->minutes && own->minutes < DC_SUBMIT_MINUTES_MIN)
        return dc_fail(error, DC_ERR_USAGE,
                       "--minutes %lld: a job is told to stop up to %d seconds before its limit, "
                       "and would be asked for again before it has done anything; give %d at least",
                       (long long)own->minutes, DC_SUBMIT_NOTICE + 60, DC_SUBMIT_MINUTES_MIN);
    DC_TRY(check_line("the file's name", own->cli.positionals[0], error));
    DC_TRY(check_line("--run", own->run, error));
    DC_TRY(check_line("--out", own->out, error));
    DC_TRY(check_line("the working folder", folder, error));
    for (int i = 0; i < own->sbatch.count; i++)
        DC_TRY(check_line("--sbatch", own->sbatch.items[i], error));
    return DC_OK;
}

// Never an option to sbatch.
static const char *script_path(const struct submit *own, const char *name, struct dc_arena *arena,
                               struct dc_error *error)
{
    return own->out
               ? dc_arena_printf(arena, error, "%s%s", own->out[0] == '-' ? "./" : "", own->out)
               : dc_arena_printf(arena, error, "%s.sbatch", name);
}

static enum dc_status submit_sweep(struct dc_submission s, const struct submit *own,
                                   const char *program, struct dc_arena *arena,
                                   struct dc_error *error)
{
    struct dc_sweep *sweep = NULL;
    const char *file = own->cli.positionals[0];
    if (own->set.count > 0)
        return dc_fail(error, DC_ERR_USAGE, "--set is for an experiment; a sweep has axes");
    DC_TRY(dc_sweep_open(&sweep, file, own->run, error));
    struct words shared = {{program, "sweep", file, "--run", sweep->directory, "--shared", NULL},
                           6};
    struct words task = {{program, "sweep", file, "--run", sweep->directory, NULL}, 5};
    enum dc_status status = estimate(&s, sweep->experiment, sweep->tasks[0].overrides,
                                     sweep->axis_count, own, error);
    const char *name = strrchr(sweep->directory, '/') ? strrchr(sweep->directory, '/') + 1
                                                      : sweep->directory;
    s.name = dc_submit_name(name, arena, error);
    const char *script = s.name ? script_path(own, s.name, arena, error) : NULL;
    const char *before = dc_arena_printf(arena, error, "%s.shared", script);
    // a log is in the sweep's folder where Slurm can be told of it
    const char *logs = dc_submit_is_plain_path(sweep->directory)
                           ? dc_arena_printf(arena, error, "%s/", sweep->directory)
                           : dc_arena_printf(arena, error, "%s.", s.name);
    bool shares = false;
    for (int t = 0; t < sweep->task_count; t++)
        shares = shares || dc_sweep_shares(sweep, t);
    if (status == DC_OK && (!script || !before || !s.name || !logs))
        status = DC_ERR_MEMORY;
    if (status == DC_OK && shares) {
        s.command = shared.items;
        s.log = dc_arena_printf(arena, error, "%sslurm-%%j.log", logs);
        status = s.log ? write_script(before, &s, error) : DC_ERR_MEMORY;
    }
    s.tasks = sweep->task_count;
    s.at_once = (int)own->jobs;
    s.command = task.items;
    if (status == DC_OK) {
        s.log = dc_arena_printf(arena, error, "%sslurm-%%A_%%a.log", logs);
        status = s.log ? write_script(script, &s, error) : DC_ERR_MEMORY;
    }
    if (status == DC_OK)
        status = hand_over(script, shares ? before : NULL, own->now, error);
    dc_sweep_close(sweep);
    return status;
}

static enum dc_status submit_run(struct dc_submission s, const struct submit *own,
                                 const char *program, struct dc_arena *arena,
                                 struct dc_error *error)
{
    const char *file = own->cli.positionals[0];
    struct dc_experiment *read = NULL;
    struct words command = {{program, "run", file}, 3};
    DC_TRY(dc_experiment_read(&read, file, own->set.items, own->set.count, error));
    s.name = dc_submit_name(read->name, arena, error);
    const char *directory = own->run ? own->run
                                     : dc_arena_printf(arena, error, "runs/%s", read->name);
    dc_experiment_free(read);
    if (!s.name || !directory)
        return DC_ERR_MEMORY;
    const char *script = script_path(own, s.name, arena, error);
    s.log = dc_arena_printf(arena, error, "%s.slurm-%%j.log", s.name);
    if (!script || !s.log)
        return DC_ERR_MEMORY;
    add(&command, "--run");
    add(&command, directory);
    for (int i = 0; i < own->set.count; i++) {
        add(&command, "--set");
        add(&command, own->set.items[i]);
    }
    s.command = command.items;
    DC_TRY(estimate(&s, file, own->set.items, own->set.count, own, error));
    DC_TRY(write_script(script, &s, error));
    return hand_over(script, NULL, own->now, error);
}

static enum dc_status submit(const struct dc_cli *cli, struct dc_error *error)
{
    const struct submit *own = (const struct submit *)cli;
    struct dc_arena *arena = NULL;
    char program[PATH_MAX] = "decant", folder[PATH_MAX];
    const char *extra[DC_SETTINGS_MAX + 1] = {NULL};
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length > 0)
        program[length] = '\0';
    if (!getcwd(folder, sizeof folder))
        return dc_fail(error, DC_ERR_IO, "the working folder has no name: %s", strerror(errno));
    for (int i = 0; i < own->sbatch.count; i++)
        extra[i] = own->sbatch.items[i];
    struct dc_submission s = {.folder = folder,
                              .cpus = cli->threads ? (int)cli->threads : dc_threads_available(),
                              .extra = extra};
    DC_TRY(check_asked(own, folder, error));
    DC_TRY(dc_arena_create(&arena, error));
    const enum dc_status status = is_sweep(cli->positionals[0], arena)
                                      ? submit_sweep(s, own, program, arena, error)
                                      : submit_run(s, own, program, arena, error);
    dc_arena_free(arena);
    return status;
}

const struct dc_verb dc_verb_submit = {
    .name = "submit",
    .arguments = "EXPERIMENT|SWEEP",
    .brief = "write the batch script of a run or sweep for Slurm",
    .text = "Prints the line that submits it; --now carries that out. Memory and time are what a "
            "few seconds of the first stage tell. A job that reaches its limit saves a "
            "checkpoint and is asked for again; of a sweep, its task alone.",
    DC_VERB_OPTIONS(options, submit),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = submit,
};

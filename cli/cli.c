// Owns what verbs share: results on stdout, messages and signals, and the run of a directory.

#include "cli/cli.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"

static volatile sig_atomic_t stop_requested;

static const int stop_signals[] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP};

static void request_stop(int signal_number)
{
    (void)signal_number;
    stop_requested = 1;
}

static void log_to_stderr(void *user, enum dc_log_level level, const char *line)
{
    (void)user;
    if (level != DC_LOG_DEBUG)
        fprintf(stderr, "%s%s\n", level == DC_LOG_WARNING ? "warning: " : "", line);
}

static void handle(int signal_number)
{
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = request_stop;
    action.sa_flags = (int)(SA_RESETHAND | SA_RESTART);  // a second signal ends the program at once
    if (sigaction(signal_number, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
        sigaction(signal_number, &action, NULL);
}

const volatile sig_atomic_t *dc_cli_stop(void)
{
    for (size_t i = 0; i < sizeof stop_signals / sizeof stop_signals[0]; i++)
        handle(stop_signals[i]);
    return &stop_requested;
}

const char *const dc_stop_signals[] = {"USR1", "USR2", "ALRM", "XCPU", "QUIT", NULL};

void dc_cli_stop_by(const char *name)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU, SIGQUIT};
    static_assert(sizeof dc_stop_signals / sizeof dc_stop_signals[0] ==
                      sizeof numbers / sizeof numbers[0] + 1,
                  "a number for each name");
    for (int i = 0; dc_stop_signals[i]; i++)
        if (strcmp(name, dc_stop_signals[i]) == 0)
            handle(numbers[i]);
}

struct dc_ctx_config dc_cli_context(const struct dc_cli *cli)
{
    struct dc_ctx_config config = {.threads = (int)cli->threads};
    if (!cli->quiet)
        config.log.write = log_to_stderr;
    return config;
}

bool dc_cli_has_file(const char *directory, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return dc_file_exists(path);
}

enum dc_status dc_cli_print_json(json_t *json, struct dc_error *error)
{
    if (!json)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    const bool written = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
                         putchar('\n') != EOF;
    json_decref(json);
    return written ? DC_OK : dc_fail(error, DC_ERR_IO, "stdout cannot be written");
}

enum dc_status dc_cli_print_text(struct dc_text_buffer *text, struct dc_error *error)
{
    const bool failed = text->failed;
    const bool written = failed || fputs(text->text ? text->text : "", stdout) >= 0;
    dc_text_free(text);
    if (failed)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    return written ? DC_OK : dc_fail(error, DC_ERR_IO, "stdout cannot be written");
}

enum dc_status dc_cli_open_run(struct dc_run **run, const struct dc_cli *cli, const char *directory,
                               struct dc_error *error)
{
    struct dc_run_options how = {.directory = directory, .context = dc_cli_context(cli)};
    how.context.stop = dc_cli_stop();
    return dc_run_open(run, &how, error);
}

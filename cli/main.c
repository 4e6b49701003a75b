// Owns the program's entry: verbs, signals and exit codes.

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/yaml.h"

static const struct dc_verb *const verbs[] = {
    &dc_verb_run,     &dc_verb_check,  &dc_verb_train,   &dc_verb_teach, &dc_verb_eval,
    &dc_verb_predict, &dc_verb_export, &dc_verb_verify,  &dc_verb_data,  &dc_verb_inspect,
    &dc_verb_bench,   &dc_verb_report, &dc_verb_compare,
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

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

const volatile sig_atomic_t *dc_cli_stop(void)
{
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = request_stop;
    action.sa_flags = (int)(SA_RESETHAND | SA_RESTART);  // a second signal ends the program at once
    for (size_t i = 0; i < sizeof stop_signals / sizeof stop_signals[0]; i++)
        if (sigaction(stop_signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(stop_signals[i], &action, NULL);
    return &stop_requested;
}

struct dc_ctx_config dc_cli_context(const struct dc_cli *cli)
{
    struct dc_ctx_config config = {.threads = (int)cli->threads};
    if (!cli->quiet)
        config.log.write = log_to_stderr;
    return config;
}

static void print_help(void)
{
    printf("Decant pours a large network into a small one: knowledge distillation and\n"
           "quantization-aware training, experiment file in, verified int8 out.\n\n"
           "usage: decant VERB ...\n\n");
    for (int i = 0; i < VERBS; i++) {
        const char *end = strchr(verbs[i]->summary, '\n');
        const int length = end ? (int)(end - verbs[i]->summary) : (int)strlen(verbs[i]->summary);
        printf("  %-9s %.*s\n", verbs[i]->name, length, verbs[i]->summary);
    }
    printf(
        "\n'decant VERB --help' tells more. Start with: decant run experiments/fashion-mnist.yaml\n"
        "Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 budget broken,\n"
        "4 verification failed, 85 stopped by a signal: start it again and it goes on.\n");
}

static int unknown_verb(const char *text)
{
    const char *names[VERBS];
    for (int i = 0; i < VERBS; i++)
        names[i] = verbs[i]->name;
    char hint[DC_HINT];
    fprintf(stderr, "decant: no verb '%s'%s; see decant --help\n", text,
            dc_did_you_mean(hint, text, names, VERBS));
    return 2;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    signal(SIGXFSZ, SIG_IGN);  // a file at its size limit is a write that fails, with a message
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help();
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        printf("decant %s\n", DECANT_VERSION);
        return 0;
    }
    for (int i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i]->name, name) != 0)
            continue;
        struct dc_error error = {0};
        struct dc_cli cli;
        enum dc_status status = dc_cli_parse(&cli, verbs[i], argc - 2, argv + 2, &error);
        if (status == DC_OK && cli.help)
            dc_cli_help(verbs[i]);
        else if (status == DC_OK)
            status = verbs[i]->run(&cli, &error);
        if (status != DC_OK)
            fprintf(stderr, "%s%s\n", dc_error_has_place(&error) ? "" : "decant: ", error.message);
        if (fflush(stdout) != 0 && status == DC_OK) {
            fprintf(stderr, "decant: stdout cannot be written\n");
            return 1;
        }
        return dc_exit_code(status);
    }
    return unknown_verb(name);
}

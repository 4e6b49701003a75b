// Owns the program's entry: verbs, signals and exit codes.

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/yaml.h"

static const struct dc_verb *const verbs[] = {
    &dc_verb_init,    &dc_verb_run,     &dc_verb_check,  &dc_verb_train,   &dc_verb_teach,
    &dc_verb_eval,    &dc_verb_predict, &dc_verb_export, &dc_verb_verify,  &dc_verb_data,
    &dc_verb_inspect, &dc_verb_bench,   &dc_verb_report, &dc_verb_compare, &dc_verb_keys,
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

static void print_help(FILE *out)
{
    fprintf(out, "Decant pours a large network into a small one: knowledge distillation and\n"
                 "quantization-aware training, experiment file in, verified int8 out.\n\n"
                 "usage: decant VERB ...\n\n");
    for (int i = 0; i < VERBS; i++)
        fprintf(out, "  %-9s %s\n", verbs[i]->name, verbs[i]->brief);
    fprintf(out, "\n'decant help VERB' tells more. Start with:\n"
                 "  decant run experiments/fashion-mnist.yaml\n\n"
                 "Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 budget broken,\n"
                 "4 verification failed, 85 stopped by a signal: start it again and it goes on.\n");
}

static const struct dc_verb *find_verb(const char *name)
{
    for (int i = 0; i < VERBS; i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

static int unknown_verb(const char *text)
{
    const char *names[VERBS], *dot = strrchr(text, '.');
    for (int i = 0; i < VERBS; i++)
        names[i] = verbs[i]->name;
    char hint[DC_HINT];
    if (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
        fprintf(stderr,
                "decant: no verb '%s'; to carry out that experiment:\n        decant run %s\n",
                text, text);
    else
        fprintf(stderr, "decant: no %s '%s'%s\n        see decant help\n",
                text[0] == '-' ? "option" : "verb", text,
                dc_did_you_mean(hint, text, names, VERBS));
    return 2;
}

// A word as a shell would read it.
static void append_word(struct dc_text_buffer *text, const char *word)
{
    if (word[0] && !strpbrk(word, " \t\n\"'\\$`&|;<>()[]{}*?!#~")) {
        dc_text_append(text, " %s", word);
        return;
    }
    dc_text_append(text, " '");
    for (; *word; word++)
        dc_text_append(text, *word == '\'' ? "'\\''" : "%c", *word);
    dc_text_append(text, "'");
}

// The verb is told how it was called, for the records of a run.
static enum dc_status run_with_command(const struct dc_verb *verb, struct dc_cli *cli, int argc,
                                       char **argv, struct dc_error *error)
{
    struct dc_text_buffer command = {0};
    dc_text_append(&command, "decant %s", verb->name);
    for (int i = 0; i < argc; i++)
        append_word(&command, argv[i]);
    cli->command = command.text;
    const enum dc_status status = command.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                                 : verb->run(cli, error);
    dc_text_free(&command);
    return status;
}

static int run_verb(const struct dc_verb *verb, int argc, char **argv)
{
    struct dc_error error = {0};
    struct dc_cli *cli = dc_alloc(verb->size, &error);
    enum dc_status status = cli ? dc_options_parse(cli, verb, argc, argv, &error) : DC_ERR_MEMORY;
    if (status == DC_OK && cli->help)
        dc_options_help(verb);
    else if (status == DC_OK)
        status = run_with_command(verb, cli, argc, argv, &error);
    free(cli);
    if (status != DC_OK)
        fprintf(stderr, "%s%s\n", dc_error_has_place(&error) ? "" : "decant: ", error.message);
    if (fflush(stdout) != 0 && status == DC_OK) {
        fprintf(stderr, "decant: stdout cannot be written\n");
        return 1;
    }
    return dc_exit_code(status);
}

int main(int argc, char **argv)
{
    signal(SIGXFSZ, SIG_IGN);  // a file at its size limit is a write that fails, with a message
    if (argc < 2) {            // nothing was asked, so nothing is a result
        print_help(stderr);
        return 2;
    }
    const char *name = argv[1];
    const bool asks = !strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help");
    if (asks && argc > 2) {
        const struct dc_verb *verb = find_verb(argv[2]);
        if (!verb)
            return unknown_verb(argv[2]);
        dc_options_help(verb);
    } else if (asks) {
        print_help(stdout);
    } else if (!strcmp(name, "--version") || !strcmp(name, "-V") || !strcmp(name, "version")) {
        printf("decant %s\n", DECANT_VERSION);
    } else {
        const struct dc_verb *verb = find_verb(name);
        return verb ? run_verb(verb, argc - 2, argv + 2) : unknown_verb(name);
    }
    return 0;
}

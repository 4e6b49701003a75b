// Owns the program's entry: which verb, and its exit code.

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/yaml.h"

static void print_help(FILE *out)
{
    fprintf(out, "%s\n\nusage: decant VERB ...\n\n", dc_cli_about);
    for (const struct dc_verb *const *verb = dc_verbs; *verb; verb++)
        fprintf(out, "  %-9s %s\n", (*verb)->name, (*verb)->brief);
    fprintf(out, "\n'decant help VERB' tells more. Start with:\n"
                 "  decant run fashion-mnist\n\n"
                 "Exit codes:");
    for (int i = 0; i < DC_EXIT_CODES; i++)
        fprintf(out, "%s%d %s%s", i == 4 ? "\n" : " ", dc_exit_codes[i].code, dc_exit_codes[i].text,
                i + 1 < DC_EXIT_CODES ? "," : ".\n");
}

static const struct dc_verb *find_verb(const char *name)
{
    for (const struct dc_verb *const *verb = dc_verbs; *verb; verb++)
        if (strcmp((*verb)->name, name) == 0)
            return *verb;
    return NULL;
}

static int unknown_verb(const char *text)
{
    const char *names[32], *dot = strrchr(text, '.');
    int count = 0;
    for (; dc_verbs[count] && count < 32; count++)
        names[count] = dc_verbs[count]->name;
    char hint[DC_HINT];
    if (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
        fprintf(stderr,
                "decant: no verb '%s'; to carry out that experiment:\n        decant run %s\n",
                text, text);
    else
        fprintf(stderr, "decant: no %s '%s'%s\n        see decant help\n",
                text[0] == '-' ? "option" : "verb", text,
                dc_did_you_mean(hint, text, names, count));
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

static void print_error(const struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    dc_text_append(&text, "%s%s", dc_error_has_place(error) ? "" : "decant: ", error->message);
    dc_print_error(text.failed ? error->message : text.text);
    dc_text_free(&text);
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
        print_error(&error);
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

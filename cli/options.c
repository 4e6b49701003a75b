// Owns the parsing of options, and their help.

#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/experiment.h"

enum { COLUMNS = 79, HELP_COLUMN = 22, OPTIONS_MAX = 32 };

static enum dc_status parse_count(int64_t *value, const struct dc_option *option, const char *text,
                                  struct dc_error *error)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (*end || !isdigit((unsigned char)text[0]) || number < 1 || (errno && errno != ERANGE))
        return dc_fail(error, DC_ERR_USAGE, "%s needs a whole number from 1 on, not '%s'",
                       option->name, text);
    if (errno || (double)number > option->most)
        return dc_fail(error, DC_ERR_USAGE, "%s is %.0f at most, not %s", option->name,
                       option->most, text);
    *value = number;
    return DC_OK;
}

static enum dc_status parse_real(double *value, const struct dc_option *option, const char *text,
                                 struct dc_error *error)
{
    char *end;
    const double number = strtod(text, &end);
    if (*end || end == text || !(number > 0.0 && number <= option->most))
        return dc_fail(error, DC_ERR_USAGE, "%s needs a number above 0, up to %g, not '%s'",
                       option->name, option->most, text);
    *value = number;
    return DC_OK;
}

static enum dc_status parse_word(const char **value, const struct dc_option *option,
                                 const char *text, struct dc_error *error)
{
    char all[256], hint[DC_HINT];
    int count = 0;
    for (; option->choices[count]; count++) {
        if (strcmp(option->choices[count], text) == 0) {
            *value = option->choices[count];
            return DC_OK;
        }
    }
    dc_join(all, sizeof all, option->choices, count);
    return dc_fail(error, DC_ERR_USAGE, "%s may be %s, not '%s'%s", option->name, all, text,
                   dc_did_you_mean(hint, text, option->choices, count));
}

static enum dc_status apply(struct dc_cli *cli, const struct dc_option *option, const char *value,
                            struct dc_error *error)
{
    void *at = (char *)cli + option->offset;
    struct dc_settings *settings = at;
    switch (option->type) {
    case DC_OPTION_COUNT:
        return parse_count(at, option, value, error);
    case DC_OPTION_REAL:
        return parse_real(at, option, value, error);
    case DC_OPTION_WORD:
        return parse_word(at, option, value, error);
    case DC_OPTION_FLAG:
        *(bool *)at = true;
        return DC_OK;
    case DC_OPTION_SETTINGS:
        if (settings->count == DC_SETTINGS_MAX)
            return dc_fail(error, DC_ERR_USAGE, "more than %d %s", DC_SETTINGS_MAX, option->name);
        settings->items[settings->count++] = value;
        return DC_OK;
    case DC_OPTION_TEXT:
        if (!value[0])
            return dc_fail(error, DC_ERR_USAGE, "%s needs %s, not an empty text", option->name,
                           option->argument);
        *(const char **)at = value;
        return DC_OK;
    }
    return DC_OK;
}

static enum dc_status unknown_option(const struct dc_verb *verb, const char *text,
                                     struct dc_error *error)
{
    const char *names[OPTIONS_MAX];
    char hint[DC_HINT];
    int count = 0;
    for (; count < verb->option_count && count < OPTIONS_MAX; count++)
        names[count] = verb->options[count].name;
    char word[64], key[128];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(text, "="), text);
    bool sets = false;
    for (int i = 0; i < count; i++)
        sets = sets || verb->options[i].type == DC_OPTION_SETTINGS;
    const char *plain = word + strspn(word, "-");
    const bool found = sets && dc_experiment_find_key(key, plain);
    const char *last = found ? strrchr(key, '.') : NULL;
    hint[0] = '\0';
    if (!found || strcmp(last ? last + 1 : key, plain) != 0)  // else it is that key itself
        dc_did_you_mean(hint, word, names, count);
    if (!hint[0] && !found)
        dc_advice(hint, word);
    if (!hint[0] && found)
        snprintf(hint, sizeof hint, "; a key of the experiment is --set %s=VALUE", key);
    return dc_fail(error, DC_ERR_USAGE,
                   "decant %s has no option '%s'%s\n        see decant help %s", verb->name, word,
                   hint, verb->name);
}

// The row of `text`, which may be NAME=VALUE.
static const struct dc_option *find(const struct dc_verb *verb, const char *text)
{
    const size_t length = strcspn(text, "=");
    for (int i = 0; i < verb->option_count; i++)
        if (strlen(verb->options[i].name) == length &&
            strncmp(verb->options[i].name, text, length) == 0)
            return &verb->options[i];
    return NULL;
}

static bool is_for(const struct dc_option *option, const char *first)
{
    if (!option->of || !first)  // a verb may be called without any
        return !option->of;
    const size_t length = strlen(first);
    for (const char *word = option->of; *word; word += strspn(word, ", ")) {
        const size_t n = strcspn(word, ",");
        if (n == length && strncmp(word, first, n) == 0)
            return true;
        word += n;
    }
    return false;
}

static enum dc_status take_positional(struct dc_cli *cli, const struct dc_verb *verb,
                                      const char *text, struct dc_error *error)
{
    if (cli->positional_count == verb->positionals_max)
        return dc_fail(error, DC_ERR_USAGE, "decant %s takes no '%s'; see decant help %s",
                       verb->name, text, verb->name);
    if (!text[0])
        return dc_fail(error, DC_ERR_USAGE, "usage: decant %s %s, and none of it empty", verb->name,
                       verb->arguments);
    cli->positionals[cli->positional_count++] = text;
    return DC_OK;
}

// One option and its value, which may be the next argument.
static enum dc_status take_option(struct dc_cli *cli, const struct dc_option **found, int *at,
                                  const struct dc_verb *verb, int argc, char **argv,
                                  struct dc_error *error)
{
    const char *text = argv[*at];
    const char *equals = strchr(text, '='), *value = equals ? equals + 1 : NULL;
    *found = find(verb, text);
    if (!*found)
        return unknown_option(verb, text, error);
    if ((*found)->argument && !value && ++*at < argc)
        value = argv[*at];
    if ((*found)->argument && !value)
        return dc_fail(error, DC_ERR_USAGE, "%s needs %s", (*found)->name, (*found)->argument);
    if (!(*found)->argument && equals)
        return dc_fail(error, DC_ERR_USAGE, "%s takes no value", (*found)->name);
    return apply(cli, *found, value ? value : "", error);
}

enum dc_status dc_options_parse(struct dc_cli *cli, const struct dc_verb *verb, int argc,
                                char **argv, struct dc_error *error)
{
    bool given[OPTIONS_MAX] = {false}, options_end = false;
    memset(cli, 0, verb->size);
    for (int i = 0; i < verb->option_count; i++)
        if (verb->options[i].fallback)
            DC_TRY(apply(cli, &verb->options[i], verb->options[i].fallback, error));
    for (int i = 0; i < argc; i++) {
        const struct dc_option *found = NULL;
        if (options_end || argv[i][0] != '-' || !argv[i][1]) {
            DC_TRY(take_positional(cli, verb, argv[i], error));
        } else if (strcmp(argv[i], "--") == 0) {
            options_end = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cli->help = true;
            return DC_OK;
        } else {
            DC_TRY(take_option(cli, &found, &i, verb, argc, argv, error));
            given[found - verb->options] = true;
        }
    }
    if (cli->positional_count < verb->positionals_min)
        return dc_fail(error, DC_ERR_USAGE, "usage: decant %s %s; see decant help %s", verb->name,
                       verb->arguments, verb->name);
    for (int i = 0; i < verb->option_count; i++)
        if (given[i] && !is_for(&verb->options[i], cli->positionals[0]))
            return dc_fail(error, DC_ERR_USAGE, "decant %s %s takes no %s, which is for: %s",
                           verb->name, cli->positionals[0], verb->options[i].name,
                           verb->options[i].of);
    return DC_OK;
}

void dc_print_name(const char *name, int columns)
{
    struct dc_text_buffer text = {0};
    dc_text_append_name(&text, name, columns);
    fputs(text.text ? text.text : name, stdout);
    dc_text_free(&text);
}

static void wrap(FILE *out, const char *text, int column, int indent)
{
    const char *const end = text + strcspn(text, "\n");
    const int margin = (int)strspn(text, " ");
    column += fprintf(out, "%*s", margin, "");
    text += margin;
    for (bool first = true; text < end; first = false) {
        const int length = (int)strcspn(text, " \n");
        if (!first && column + 1 + length > COLUMNS) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            column += fprintf(out, " ");
        }
        column += fprintf(out, "%.*s", length, text);
        text += length + (text[length] == ' ');
    }
    fprintf(out, "\n");
}

void dc_print_wrapped(const char *text, int column, int indent)
{
    wrap(stdout, text, column, indent);
}

// Lines of a file stand as they are, with what is under them.
static bool quotes(const char *line)
{
    return line[strspn(line, " 0123456789")] == '|';
}

void dc_print_error(const char *message)
{
    if (!isatty(STDERR_FILENO)) {
        fprintf(stderr, "%s\n", message);
        return;
    }
    for (const char *line = message, *end; line; line = *end ? end + 1 : NULL) {
        const int length = (int)strcspn(line, "\n"), margin = (int)strspn(line, " ");
        end = line + length;
        if (quotes(line))
            fprintf(stderr, "%.*s\n", length, line);
        else
            wrap(stderr, line, 0, margin > 0 ? margin + 2 : 8);
    }
}

void dc_print_sentence(const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dc_print_wrapped(text, 0, 2);
}

static void print_option(const char *name, const char *argument, const char *help)
{
    int column = printf("  %s%s%s", name, argument ? " " : "", argument ? argument : "");
    if (column + 2 > HELP_COLUMN) {
        printf("\n");
        column = 0;
    }
    printf("%*s", HELP_COLUMN - column, "");
    dc_print_wrapped(help, HELP_COLUMN, HELP_COLUMN);
}

void dc_options_help(const struct dc_verb *verb)
{
    printf("usage: decant %s %s [options]\n\n", verb->name, verb->arguments);
    printf("%c%s.\n", toupper((unsigned char)verb->brief[0]), verb->brief + 1);
    for (const char *line = verb->text; line; line = strchr(line, '\n')) {
        line += line != verb->text;
        printf("%s", line == verb->text ? "\n" : "");
        dc_print_wrapped(line, 0, 0);
    }
    printf("\noptions:\n");
    for (int i = 0; i < verb->option_count; i++) {
        const struct dc_option *option = &verb->options[i];
        char help[512], choices[128] = "";
        if (option->choices) {
            int count = 0;
            while (option->choices[count])
                count++;
            dc_join(choices, sizeof choices, option->choices, count);
        }
        snprintf(help, sizeof help, "%s%s%s%s%s%s%s%s", option->of ? option->of : "",
                 option->of ? ": " : "", option->help, choices[0] ? ": " : "", choices,
                 option->fallback ? " (default: " : "", option->fallback ? option->fallback : "",
                 option->fallback ? ")" : "");
        print_option(option->name, option->argument, help);
    }
    print_option("-h, --help", NULL, "this text");
}

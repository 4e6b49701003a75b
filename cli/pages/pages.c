// Makes the manual page and the completions of bash and zsh at build time, from the table of verbs
// and their options: one fact, one place. It is no part of what ships.
//
//   decant_pages man|bash|zsh [DATE]     to stdout

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

enum { LINE = 60 };

// roff: a backslash, and a point or an apostrophe at the start of a line, are spelled out; a hyphen
// of an option stays one. Lines end at a blank where they are long and not kept as they stand.
static void roff(const char *text, bool kept)
{
    bool start = true;
    for (int column = 0; *text; text++, column = start ? 0 : column + 1) {
        if (*text == ' ' && column > LINE && !kept) {
            printf("\n");
            start = true;
            continue;
        }
        if (start && (*text == '.' || *text == '\''))
            printf("\\&");
        if (*text == '\\')
            printf("\\e");
        else if (*text == '-')
            printf("\\-");
        else if (*text == '\'')
            printf("\\(aq");
        else
            putchar(*text);
        start = *text == '\n';
    }
}

// A verb's text: paragraphs; lines that begin with blanks are kept as they stand.
static void roff_text(const char *text)
{
    bool kept = false;
    while (*text) {
        char line[2048];
        const int length = (int)strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", length, text);
        const bool keeps = line[0] == ' ';
        if (keeps != kept)
            printf(keeps ? ".nf\n" : ".fi\n");
        if (!line[0] || (!keeps && kept))
            printf(".PP\n");
        kept = keeps;
        roff(line, keeps);
        printf(line[0] ? "\n" : "");
        text += length + (text[length] == '\n');
    }
    if (kept)
        printf(".fi\n");
}

static void man_option(const struct dc_option *option)
{
    printf(".TP\n\\fB");
    roff(option->name, false);
    printf("\\fR");
    if (option->argument) {
        printf(" \\fI");
        roff(option->argument, false);
        printf("\\fR");
    }
    printf("\n");
    if (option->of) {
        roff(option->of, false);
        printf(": ");
    }
    roff(option->help, false);
    for (int i = 0; option->choices && option->choices[i]; i++)
        printf("%s%s", i ? ", " : ": ", option->choices[i]);
    if (option->fallback)
        printf(" (default: %s)", option->fallback);
    printf(".\n");
}

static void man_verb(const struct dc_verb *verb)
{
    printf(".SS decant %s ", verb->name);
    roff(verb->arguments, true);
    printf("\n%c", toupper((unsigned char)verb->brief[0]));
    roff(verb->brief + 1, false);
    printf(".\n");
    if (verb->text) {
        printf(".PP\n");
        roff_text(verb->text);
    }
    for (int i = 0; i < verb->option_count; i++)
        man_option(&verb->options[i]);
}

static void man(const char *date)
{
    printf(".\\\" Made at build time from the tables of cli/.\n"
           ".TH DECANT 1 \"%s\" \"Decant %s\" \"User Commands\"\n"
           ".SH NAME\ndecant \\- knowledge distillation and quantization\\-aware training to "
           "verified int8\n"
           ".SH SYNOPSIS\n.B decant\n.I VERB\n[\\fIARGUMENT\\fR ...] [\\fIOPTION\\fR ...]\n.br\n"
           ".B decant help\n[\\fIVERB\\fR]\n.br\n.B decant \\-\\-version\n"
           ".SH DESCRIPTION\n",
           date, DECANT_VERSION);
    roff(dc_cli_about, false);
    printf("\nResults go to standard output, everything else to standard error.\n"
           ".SH COMMANDS\n");
    for (const struct dc_verb *const *verb = dc_verbs; *verb; verb++)
        man_verb(*verb);
    printf(".SH EXIT STATUS\n");
    for (int i = 0; i < DC_EXIT_CODES; i++) {
        printf(".TP\n.B %d\n", dc_exit_codes[i].code);
        roff(dc_exit_codes[i].text, false);
        printf("\n");
    }
    printf(".SH ENVIRONMENT\n"
           ".TP\n.B DECANT_PATH\nFolders, separated by colons, with folders experiments, models, "
           "targets and augment,\nwhere names are looked for; see \\fBdecant list\\fR.\n"
           ".TP\n.B DECANT_ISA\nscalar, sse2, avx2 or avx512: a lower instruction set than the "
           "machine has.\n"
           ".TP\n.B CC\nThe compiler that proofs of exported C use; else cc.\n"
           ".TP\n.B TMPDIR\nWhere they compile; else /tmp.\n"
           ".SH FILES\n"
           ".TP\n.I share/decant\nExperiments, models, targets and augmentations that have a name, "
           "beside the folder\nthat the program is in.\n"
           ".TP\n.I runs/NAME\nThe directory of a run, unless \\fB\\-\\-run\\fR says another.\n");
}

static void bash_words(const struct dc_verb *verb)
{
    for (int i = 0; i < verb->option_count; i++)
        printf("%s%s", i ? " " : "", verb->options[i].name);
    printf("%s--help", verb->option_count ? " " : "");
}

// The kind of name that the first argument of a verb may be, as `decant list` calls it; or "".
static const char *names_of(const struct dc_verb *verb)
{
    if (strncmp(verb->arguments, "EXPERIMENT", strlen("EXPERIMENT")) == 0)
        return "experiments";
    return verb == &dc_verb_inspect ? "models" : "";
}

// The words of "a|b|c", "[a|b|c]", "a|b [C]": what a first argument may be; false: it is no choice.
static bool first_words(char words[256], const struct dc_verb *verb)
{
    const char *text = verb->arguments + (verb->arguments[0] == '[');
    const size_t length = strcspn(text, " ]");
    snprintf(words, 256, "%.*s", (int)length, text);
    for (char *at = words; *at; at++) {
        if (isupper((unsigned char)*at))
            return false;
        *at = *at == '|' ? ' ' : *at;
    }
    return true;
}

static void bash(void)
{
    printf("# Completion of decant for bash; made at build time from the tables of cli/.\n"
           "_decant()\n{\n"
           "    local cur prev verb first= names= options= IFS=$' \\t\\n'\n"
           "    COMPREPLY=()\n"
           "    cur=${COMP_WORDS[COMP_CWORD]}\n"
           "    prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    verb=${COMP_WORDS[1]}\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ] || { [ \"$verb\" = help ] && [ \"$COMP_CWORD\" -eq 2 "
           "]; }; then\n"
           "        COMPREPLY=($(compgen -W \"");
    for (const struct dc_verb *const *verb = dc_verbs; *verb; verb++)
        printf("%s ", (*verb)->name);
    printf("help --help --version\" -- \"$cur\"))\n        return\n    fi\n"
           "    case $verb:$prev in\n");
    for (const struct dc_verb *const *verb = dc_verbs; *verb; verb++)
        for (int i = 0; i < (*verb)->option_count; i++) {
            const struct dc_option *option = &(*verb)->options[i];
            if (!option->choices)
                continue;
            printf("    %s:%s) COMPREPLY=($(compgen -W \"", (*verb)->name, option->name);
            for (int c = 0; option->choices[c]; c++)
                printf("%s%s", c ? " " : "", option->choices[c]);
            printf("\" -- \"$cur\")); return ;;\n");
        }
    printf("    esac\n    case $verb in\n");
    for (const struct dc_verb *const *verb = dc_verbs; *verb; verb++) {
        char words[256];
        printf("    %s)\n", (*verb)->name);
        if (first_words(words, *verb))
            printf("        first=\"%s\"\n", words);
        else if (names_of(*verb)[0])
            printf("        names=%s\n", names_of(*verb));
        printf("        options=\"");
        bash_words(*verb);
        printf("\" ;;\n");
    }
    printf("    esac\n"
           "    if [[ $cur == -* ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
           "    elif [ \"$COMP_CWORD\" -eq 2 ]; then\n"
           "        [ -z \"$names\" ] || first=$(decant list \"$names\" 2>/dev/null | "
           "sed -n 's/^\\([^ ]\\{1,\\}\\) .*/\\1/p')\n"
           "        COMPREPLY=($(compgen -W \"$first\" -- \"$cur\"))\n"
           "    fi\n}\n"
           "complete -o bashdefault -o default -F _decant decant\n");
}

// Text within single quotes and brackets of zsh's _arguments.
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (strchr("[]:\\", *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void zsh_option(const struct dc_option *option)
{
    printf(" \\\n            '%s%s%s[", option->type == DC_OPTION_SETTINGS ? "*" : "", option->name,
           option->argument ? "=" : "");
    zsh_text(option->help);
    printf("]");
    if (option->argument) {
        printf(":");
        zsh_text(option->argument);
        printf(":");
        for (int c = 0; option->choices && option->choices[c]; c++)
            printf("%s%s", c ? " " : "(", option->choices[c]);
        printf(option->choices ? ")" : option->type == DC_OPTION_TEXT ? "_files" : "");
    }
    printf("'");
}

static void zsh(void)
{
    printf("#compdef decant\n"
           "# Completion of decant for zsh; made at build time from the tables of cli/.\n"
           "_decant_names() {\n"
           "    local -a names\n"
           "    names=(${(f)\"$(decant list $1 2>/dev/null | "
           "sed -n 's/^\\([^ ]\\{1,\\}\\) .*/\\1/p')\"})\n"
           "    compadd -a names\n    _files\n}\n"
           "_decant() {\n    local -a verbs\n    verbs=(\n");
    for (const struct dc_verb *const *verb = dc_verbs; *verb; verb++) {
        printf("        '%s:", (*verb)->name);
        zsh_text((*verb)->brief);
        printf("'\n");
    }
    printf("        'help:tell more of a verb'\n    )\n"
           "    if (( CURRENT == 2 )) || { (( CURRENT == 3 )) && [[ $words[2] == help ]] }; then\n"
           "        _describe verb verbs\n        return\n    fi\n"
           "    local verb=$words[2]\n    shift words\n    (( CURRENT-- ))\n"
           "    case $verb in\n");
    for (const struct dc_verb *const *verb = dc_verbs; *verb; verb++) {
        char words[256];
        printf("    %s)\n        _arguments", (*verb)->name);
        for (int i = 0; i < (*verb)->option_count; i++)
            zsh_option(&(*verb)->options[i]);
        printf(" \\\n            '(-h --help)'{-h,--help}'[help of this verb]'");
        if (first_words(words, *verb))
            printf(" \\\n            '1:what:(%s)'", words);
        else if (names_of(*verb)[0])
            printf(" \\\n            '1:name or file:_decant_names %s'", names_of(*verb));
        printf(" \\\n            '*:file:_files' ;;\n");
    }
    printf("    esac\n}\n_decant \"$@\"\n");
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "man") == 0)
        man(argc > 2 ? argv[2] : "");
    else if (strcmp(what, "bash") == 0)
        bash();
    else if (strcmp(what, "zsh") == 0)
        zsh();
    else
        return 2;
    return fflush(stdout) == 0 ? 0 : 1;
}

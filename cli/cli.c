// Owns options: one table for parsing and for help.

#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/yaml.h"

enum kind { TEXT, COUNT, BATCH, THREADS, SECONDS, SPLIT, FLAG, OVERRIDE };

struct option {
    char letter;  // its name in dc_verb.options; 'h' is everybody's
    const char *name, *argument, *help;
    enum kind kind;
    size_t offset;  // in struct dc_cli
};

#define AT(kind, member) kind, offsetof(struct dc_cli, member)

static const struct option options[] = {
    {'s', "--set", "KEY=VALUE",
     "override a key of the experiment: --set stages.alone.train.epochs=1",
     AT(OVERRIDE, overrides)},
    {'r', "--run", "DIR", "run directory (default: runs/NAME; of a bundle, the run it lies in)",
     AT(TEXT, run)},
    {'g', "--stage", "NAME", "a stage of the run (default: the last one with a network)",
     AT(TEXT, stage)},
    {'d', "--data", "KIND:PATH", "other data than the run's, for example idx:folder or photos:folder",
     AT(TEXT, data)},
    {'p', "--split", "train|test", "which part of the data (default: test)", AT(SPLIT, split)},
    {'l', "--limit", "N", "only the first N samples", AT(COUNT, limit)},
    {'o', "--out", "FILE", "where the result goes", AT(TEXT, out)},
    {'f', "--profile", "NAME", "arithmetic profile other than the experiment's, as tflm",
     AT(TEXT, profile)},
    {'m', "--model", "NAME|FILE",
     "resnet8, dscnn, mobilenet_v1_025, resnet56 or a model file (default: resnet8)",
     AT(TEXT, model)},
    {'k', "--mode", "MODE", "float, kd, qat or kd_qat (default: float)", AT(TEXT, mode)},
    {'b', "--batch", "N", "samples a batch (default: the model's: 128, 100, 32, 128)",
     AT(BATCH, batch)},
    {'w', "--windows", "N", "timed windows, of which the median counts (default: 7)",
     AT(COUNT, windows)},
    {'e', "--seconds", "S", "the least a window lasts (default: 0.5)", AT(SECONDS, seconds)},
    {'z', "--frozen", NULL, "observers keep their ranges (qat, kd_qat)", AT(FLAG, frozen)},
    {'u', "--unfolded", NULL, "batch normalization stays apart (default: folded)",
     AT(FLAG, unfolded)},
    {'P', "--profile", NULL, "a table of layers: time, rate, bytes, roofline bound",
     AT(FLAG, table)},
    {'a', "--augment", "FILE", "augmentations, for example configs/augment/flip.yaml",
     AT(TEXT, augment)},
    {'S', "--source", "KIND:PATH", "data set, for example cifar10:folder", AT(TEXT, source)},
    {'Q', "--quantization", NULL, "what rounding did to each layer and sample",
     AT(FLAG, quantization)},
    {'R', "--repair", NULL, "make files that cannot be read anew", AT(FLAG, repair)},
    {'t', "--threads", "N", "threads (default: what this process may use)", AT(THREADS, threads)},
    {'j', "--json", NULL, "machine-readable result on stdout", AT(FLAG, json)},
    {'q', "--quiet", NULL, "no progress and no log on stderr", AT(FLAG, quiet)},
    {'h', "--help", NULL, "this text", AT(FLAG, help)},
};
enum { OPTIONS = sizeof options / sizeof options[0] };

enum { BATCH_MAX = 65536 };           // as train.batch has it
#define COUNT_MAX ((int64_t)1 << 40)  // of samples and windows: products still fit 64 bits

static bool takes(const struct dc_verb *verb, const struct option *option)
{
    return option->letter == 'h' || strchr(verb->options, option->letter);
}

static enum dc_status parse_count(int64_t *value, const char *name, const char *text, int64_t most,
                                  struct dc_error *error)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (*end || !isdigit((unsigned char)text[0]) || number < 1 || (errno && errno != ERANGE))
        return dc_fail(error, DC_ERR_USAGE, "%s needs a whole number from 1 on, not '%s'", name,
                       text);
    if (errno || number > most)
        return dc_fail(error, DC_ERR_USAGE, "%s is %lld at most, not %s", name, (long long)most,
                       text);
    *value = number;
    return DC_OK;
}

static enum dc_status parse_seconds(double *value, const char *text, struct dc_error *error)
{
    char *end;
    const double number = strtod(text, &end);
    if (*end || end == text || !(number > 0.0 && number <= 3600.0))
        return dc_fail(error, DC_ERR_USAGE,
                       "--seconds needs a number above 0, up to 3600, not '%s'", text);
    *value = number;
    return DC_OK;
}

static enum dc_status apply(struct dc_cli *cli, const struct option *option, const char *value,
                            struct dc_error *error)
{
    void *at = (char *)cli + option->offset;
    switch (option->kind) {
    case COUNT:
        return parse_count(at, option->name, value, COUNT_MAX, error);
    case BATCH:
        return parse_count(at, option->name, value, BATCH_MAX, error);
    case THREADS:
        return parse_count(at, option->name, value, DC_THREADS_MAX, error);
    case SECONDS:
        return parse_seconds(at, value, error);
    case FLAG:
        *(bool *)at = true;
        return DC_OK;
    case OVERRIDE:
        if (cli->override_count == DC_OVERRIDES_MAX)
            return dc_fail(error, DC_ERR_USAGE, "more than %d --set", DC_OVERRIDES_MAX);
        cli->overrides[cli->override_count++] = value;
        return DC_OK;
    case SPLIT:
        if (strcmp(value, "train") != 0 && strcmp(value, "test") != 0)
            return dc_fail(error, DC_ERR_USAGE, "--split is train or test, not '%s'", value);
        break;
    case TEXT:
        if (!value[0])
            return dc_fail(error, DC_ERR_USAGE, "%s needs %s, not an empty text", option->name,
                           option->argument);
        break;
    }
    *(const char **)at = value;
    return DC_OK;
}

static enum dc_status unknown_option(const struct dc_verb *verb, const char *text,
                                     struct dc_error *error)
{
    const char *names[OPTIONS];
    int count = 0;
    for (int i = 0; i < OPTIONS; i++)
        if (takes(verb, &options[i]))
            names[count++] = options[i].name;
    char hint[DC_HINT];
    return dc_fail(error, DC_ERR_USAGE, "decant %s has no option '%s'%s; see decant %s --help",
                   verb->name, text, dc_did_you_mean(hint, text, names, count), verb->name);
}

enum dc_status dc_cli_parse(struct dc_cli *cli, const struct dc_verb *verb, int argc, char **argv,
                            struct dc_error *error)
{
    *cli = (struct dc_cli){.split = "test"};
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        if (text[0] != '-' || !text[1]) {
            if (cli->positional_count == verb->positionals_max)
                return dc_fail(error, DC_ERR_USAGE, "decant %s takes no '%s'; see decant %s --help",
                               verb->name, text, verb->name);
            if (!text[0])
                return dc_fail(error, DC_ERR_USAGE, "usage: decant %s %s, and none of it empty",
                               verb->name, verb->arguments);
            cli->positionals[cli->positional_count++] = text;
            continue;
        }
        const char *equals = strchr(text, '=');
        const size_t length = equals ? (size_t)(equals - text) : strlen(text);
        const struct option *found = NULL;
        for (int k = 0; k < OPTIONS; k++)
            if (takes(verb, &options[k]) && strlen(options[k].name) == length &&
                strncmp(options[k].name, text, length) == 0)
                found = &options[k];
        if (!found)
            return unknown_option(verb, text, error);
        const char *value = equals ? equals + 1 : NULL;
        if (found->argument && !value && ++i < argc)
            value = argv[i];
        if (found->argument && !value)
            return dc_fail(error, DC_ERR_USAGE, "%s needs %s", found->name, found->argument);
        if (!found->argument && equals)
            return dc_fail(error, DC_ERR_USAGE, "%s takes no value", found->name);
        if (!strchr(cli->given, found->letter))
            cli->given[strlen(cli->given)] = found->letter;
        DC_TRY(apply(cli, found, value, error));
    }
    if (!cli->help && cli->positional_count < verb->positionals_min)
        return dc_fail(error, DC_ERR_USAGE, "usage: decant %s %s", verb->name, verb->arguments);
    return DC_OK;
}

void dc_cli_help(const struct dc_verb *verb)
{
    printf("usage: decant %s %s [options]\n\n%s\n\noptions:\n", verb->name, verb->arguments,
           verb->summary);
    for (int i = 0; i < OPTIONS; i++) {
        char left[40];
        if (!takes(verb, &options[i]))
            continue;
        snprintf(left, sizeof left, "%s %s", options[i].name,
                 options[i].argument ? options[i].argument : "");
        printf("  %-20s %s\n", left, options[i].help);
    }
}

bool dc_cli_has_file(const char *directory, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return dc_file_exists(path);
}

enum dc_status dc_cli_print_json(const json_t *json, struct dc_error *error)
{
    if (json && json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
        putchar('\n') != EOF)
        return DC_OK;
    return dc_fail(error, DC_ERR_IO, "stdout cannot be written");
}

enum dc_status dc_cli_open_run(struct dc_run **run, const struct dc_cli *cli, const char *directory,
                               struct dc_error *error)
{
    struct dc_run_options how = {.directory = directory, .context = dc_cli_context(cli)};
    how.context.stop = dc_cli_stop();
    return dc_run_open(run, &how, error);
}

enum dc_status dc_cli_run_of_bundle(char *run, size_t size, const struct dc_cli *cli,
                                    const char *bundle, struct dc_error *error)
{
    snprintf(run, size, "%s", cli->run ? cli->run : bundle);
    for (size_t n = strlen(run); n > 1 && run[n - 1] == '/'; n = strlen(run))
        run[n - 1] = '\0';
    for (int up = 0; up < 2 && !cli->run; up++) {
        char *slash = strrchr(run, '/');
        if (!slash)
            return dc_fail(error, DC_ERR_USAGE,
                           "%s does not lie in a run directory; name that with --run", bundle);
        *slash = '\0';
    }
    return DC_OK;
}

enum dc_status dc_cli_only(const struct dc_cli *cli, const char *what, const char *letters,
                           struct dc_error *error)
{
    for (int k = 0; k < OPTIONS; k++)
        if (strchr(cli->given, options[k].letter) && !strchr(letters, options[k].letter))
            return dc_fail(error, DC_ERR_USAGE, "decant %s takes no %s", what, options[k].name);
    return DC_OK;
}

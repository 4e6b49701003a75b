// `decant init`: from a folder of data to an experiment.

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "run/init.h"
#include "run/log.h"
#include "run/report.h"

struct init {
    struct dc_cli cli;
    const char *out, *target;
    bool quick;
};

static const struct dc_option options[] = {
    DC_OPTION(init, "--out", TEXT, out, "FILE", .fallback = "experiment.yaml",
              .help = "the file to write; one that is there stays, and init says so"),
    DC_OPTION(init, "--target", TEXT, target, "NAME|FILE", .fallback = "cortex-m4",
              .help = "what the student has to fit: a name of configs/targets, or a file"),
    DC_OPTION(init, "--quick", FLAG, quick, NULL,
              .help = "a first look: few samples and epochs, minutes to train"),
    DC_OPTION_THREADS(init),
    DC_OPTION_JSON(init),
    DC_OPTION_QUIET(init),
};

enum { CLASSES_SHOWN = 40 };

static int64_t count(const json_t *found, const char *key, size_t class)
{
    return (int64_t)json_integer_value(json_array_get(json_object_get(found, key), class));
}

static int64_t number(const json_t *found, const char *object, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(json_object_get(found, object), key));
}

static void print_classes(const json_t *found)
{
    const json_t *names = json_object_get(found, "names"), *name;
    size_t c;
    const bool classes = strcmp(json_string_value(json_object_get(found, "labels")), "classes") ==
                         0;
    printf("%-32s %10s %12s %10s\n", classes ? "class" : "label", "train", "validation", "test");
    json_array_foreach(names, c, name)
    {
        if (c < CLASSES_SHOWN)
            printf("%-32.32s %10lld %12lld %10lld\n", json_string_value(name),
                   (long long)count(found, "train", c), (long long)count(found, "validation", c),
                   (long long)count(found, "test", c));
    }
    if (json_array_size(names) > CLASSES_SHOWN)
        printf("and %zu more\n", json_array_size(names) - CLASSES_SHOWN);
    printf("%-32s %10lld %12lld %10lld\n", classes ? "all" : "samples",
           (long long)number(found, "samples", "train"),
           (long long)number(found, "samples", "validation"),
           (long long)number(found, "samples", "test"));
}

// In lines of up to 80 columns.
static void print_note(const char *text)
{
    int column = printf("note:");
    for (size_t length; *text; text += length + strspn(text + length, " ")) {
        length = strcspn(text, " ");
        if (column > 5 && column + 1 + (int)length > 80)
            column = printf("\n     ") - 1;
        column += printf(" %.*s", (int)length, text);
    }
    printf("\n");
}

static void print_found(const json_t *found)
{
    const json_t *note;
    size_t i;
    char time[32], macs[2][32], flash[32], ram[32];
    const char *out = json_string_value(json_object_get(found, "out"));
    printf("%s: %s, samples of %s\n", json_string_value(json_object_get(found, "data")),
           json_string_value(json_object_get(found, "kind")),
           json_string_value(json_object_get(found, "sample")));
    print_classes(found);
    json_array_foreach(json_object_get(found, "notes"), i, note)
    {
        print_note(json_string_value(note));
    }
    printf("\nstudent: %s MACs, %s bytes of flash, %s of RAM\nteacher: %s MACs\n",
           dc_with_commas(macs[0], number(found, "student", "macs")),
           dc_with_commas(flash, number(found, "student", "flash")),
           dc_with_commas(ram, number(found, "student", "ram")),
           dc_with_commas(macs[1], number(found, "teacher", "macs")));
    printf("%s: written and checked. Read it, then (about %s on two cores):\n  decant run %s\n",
           out, dc_duration_text(time, json_real_value(json_object_get(found, "seconds"))), out);
}

static enum dc_status init(const struct dc_cli *cli, struct dc_error *error)
{
    const struct init *own = (const struct init *)cli;
    const struct dc_init_options how = {
        .data = cli->positionals[0],
        .out = own->out,
        .target = own->target,
        .quick = own->quick,
        .threads = (int)cli->threads,
        .stop = dc_cli_stop(),
    };
    json_t *found = NULL;
    DC_TRY(dc_init(&found, &how, error));
    if (cli->json)
        return dc_cli_print_json(found, error);
    print_found(found);
    json_decref(found);
    return DC_OK;
}

const struct dc_verb dc_verb_init = {
    .name = "init",
    .arguments = "[KIND:]PATH",
    .brief = "write an experiment for a folder or file of data",
    .text = "Looks at the data, asks nothing, and writes a commented experiment that runs as it "
            "is: photographs in class folders, and all that `decant data` reads.",
    DC_VERB_OPTIONS(options, init),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = init,
};

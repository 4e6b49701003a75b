// `decant data`: what a data set is, and its conversion to HDF5.

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/folder.h"
#include "data/contact_sheet.h"
#include "data/convert.h"
#include "data/inspect.h"
#include "data/open.h"

static void print_summary(const struct dc_source_summary *s, const struct dc_source *source,
                          const char *split)
{
    char shape[DC_SHAPE_TEXT];
    printf("%s: %s, %" PRId64 " samples of %s %s, %d classes, values %g to %g, hash %016" PRIx64
           "\n",
           split, source->ops->kind, source->count, source->dtype == DC_U8 ? "uint8" : "float32",
           dc_shape_text(shape, &source->sample), source->classes, s->minimum, s->maximum,
           source->hash);
    if (source->note)
        printf("  %s\n", source->note);
    for (int c = 0; c < s->statistics.channels; c++)
        printf("  channel %d: mean %.6f, deviation %.6f\n", c, (double)s->statistics.mean[c],
               (double)s->statistics.deviation[c]);
    for (int c = 0; s->class_counts && c < source->classes; c++)
        printf("  class %3d %-20s %8" PRId64 "\n", c,
               source->class_names ? source->class_names[c] : "", s->class_counts[c]);
}

static void print_json(const struct dc_source_summary *s, const struct dc_source *source,
                       const char *split)
{
    json_t *dims = json_array(), *counts = json_array(), *mean = json_array(),
           *deviation = json_array();
    for (int i = 0; i < source->sample.rank; i++)
        json_array_append_new(dims, json_integer(source->sample.dims[i]));
    for (int c = 0; s->class_counts && c < source->classes; c++)
        json_array_append_new(counts, json_integer(s->class_counts[c]));
    for (int c = 0; c < s->statistics.channels; c++) {
        json_array_append_new(mean, json_real((double)s->statistics.mean[c]));
        json_array_append_new(deviation, json_real((double)s->statistics.deviation[c]));
    }
    char hash[32];
    snprintf(hash, sizeof hash, "%016" PRIx64, source->hash);
    json_t *object = json_pack(
        "{s:s, s:s, s:I, s:o, s:s, s:i, s:o, s:f, s:f, s:o, s:o, s:s}", "split", split, "kind",
        source->ops->kind, "samples", (json_int_t)source->count, "shape", dims, "dtype",
        source->dtype == DC_U8 ? "uint8" : "float32", "classes", source->classes, "class_counts",
        counts, "minimum", s->minimum, "maximum", s->maximum, "mean", mean, "deviation", deviation,
        "hash", hash);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    printf("\n");
    json_decref(object);
}

static bool ends_with(const char *text, const char *ending)
{
    const size_t length = strlen(text), n = strlen(ending);
    return length > n && strcmp(text + length - n, ending) == 0;
}

// Sources of their own, or those of a run that is to begin.
struct data {
    struct dc_source *train, *test;
    struct dc_run *run;
};

static enum dc_status open_data(struct data *d, const struct dc_cli *cli, struct dc_error *error)
{
    const char *given = cli->positionals[0];
    if (ends_with(given, ".yaml") || ends_with(given, ".yml")) {
        char nowhere[4096];  // a run that begins nothing: what other runs hold does not matter
        snprintf(nowhere, sizeof nowhere, "%.4000s.data-%ld", given, (long)getpid());
        struct dc_run_options how = {
            .experiment = given, .directory = nowhere, .context = dc_cli_context(cli)};
        how.context.stop = dc_cli_stop();
        DC_TRY(dc_run_open(&d->run, &how, error));
        DC_TRY(dc_run_need_test_data(d->run, error));
        d->train = d->run->train_source;
        d->test = d->run->test_source;
        return DC_OK;
    }
    for (int i = 0; i < 2; i++) {
        struct dc_source_spec spec = dc_source_spec_of(given, i == 0 ? "train" : "test");
        spec.stop = dc_cli_stop();
        DC_TRY(dc_source_open(i == 0 ? &d->train : &d->test, &spec, error));
    }
    return DC_OK;
}

static enum dc_status show(const struct data *d, const struct dc_cli *cli, struct dc_arena *arena,
                           struct dc_error *error)
{
    for (int i = 0; i < 2; i++) {
        const struct dc_source *source = i == 0 ? d->train : d->test;
        struct dc_source_summary summary;
        DC_TRY(dc_source_inspect(&summary, source, arena, error));
        (cli->json ? print_json : print_summary)(&summary, source, i == 0 ? "train" : "test");
    }
    return DC_OK;
}

static enum dc_status write_sheet(const struct data *d, const char *path, struct dc_error *error)
{
    if (!d->run)
        return dc_fail(error, DC_ERR_USAGE,
                       "a contact sheet shows what an experiment makes of its data: name an "
                       "experiment");
    const struct dc_loader_config training = dc_run_training_samples(d->run, 1, 0);
    DC_TRY(dc_contact_sheet_write(path, &training, error));
    printf("%s: samples as they are, and as the first epochs see them\n", path);
    return DC_OK;
}

static enum dc_status data(const struct dc_cli *cli, struct dc_error *error)
{
    struct data d = {0};
    struct dc_arena *arena = NULL;
    const struct dc_source_spec given = dc_source_spec_of(cli->positionals[0], "train");
    const bool sheet = cli->out && ends_with(cli->out, ".png");
    if (cli->out)
        DC_TRY(dc_file_may_replace(cli->out, sheet ? DC_CONTACT_SHEET_MARK : "decant_data", NULL,
                                   given.path, error));
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = open_data(&d, cli, error);
    if (status == DC_OK && sheet)
        status = write_sheet(&d, cli->out, error);
    else if (status == DC_OK && cli->out)
        status = dc_source_to_hdf5(d.train, d.test, cli->out, NULL, error);
    else if (status == DC_OK)
        status = show(&d, cli, arena, error);
    if (status == DC_OK && cli->out && !sheet)
        printf("%s: %" PRId64 " training and %" PRId64 " test samples\n", cli->out, d.train->count,
               d.test->count);
    if (!d.run) {
        dc_source_free(d.train);
        dc_source_free(d.test);
    }
    dc_run_close(d.run);
    dc_arena_free(arena);
    return status;
}

const struct dc_verb dc_verb_data = {
    .name = "data",
    .arguments = "[KIND:]PATH|EXPERIMENT [--out FILE.h5|FILE.png]",
    .summary =
        "inspect a data set, or convert it to HDF5\n\n"
        "Kinds: idx, cifar10, cifar100, hdf5, npz, photos (JPEG, PNG, BMP; one folder a class);\n"
        "without a kind it is told from the files. Of an experiment: its data, resized and split\n"
        "as it says; --out FILE.png shows samples as they are and augmented. With --json: one\n"
        "object a split and line.",
    .options = "ojq",
    .positionals_min = 1,
    .positionals_max = 1,
    .run = data,
};

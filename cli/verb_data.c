// `decant data`: what a data set is, and its conversion to HDF5.

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "core/folder.h"
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

static enum dc_status inspect_split(struct dc_source **source, const struct dc_cli *cli,
                                    const char *split, struct dc_arena *arena,
                                    struct dc_error *error)
{
    struct dc_source_summary summary;
    struct dc_source_spec spec = dc_source_spec_of(cli->positionals[0], split);
    spec.stop = dc_cli_stop();
    DC_TRY(dc_source_open(source, &spec, error));
    if (cli->out)
        return DC_OK;
    DC_TRY(dc_source_inspect(&summary, *source, arena, error));
    (cli->json ? print_json : print_summary)(&summary, *source, split);
    return DC_OK;
}

static enum dc_status data(const struct dc_cli *cli, struct dc_error *error)
{
    struct dc_source *train = NULL, *test = NULL;
    struct dc_arena *arena = NULL;
    const struct dc_source_spec given = dc_source_spec_of(cli->positionals[0], "train");
    if (cli->out)
        DC_TRY(dc_file_may_replace(cli->out, "decant_data", NULL, given.path, error));
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = inspect_split(&train, cli, "train", arena, error);
    if (status == DC_OK)
        status = inspect_split(&test, cli, "test", arena, error);
    if (status == DC_OK && cli->out) {
        status = dc_source_to_hdf5(train, test, cli->out, NULL, error);
        if (status == DC_OK)
            printf("%s: %" PRId64 " training and %" PRId64 " test samples\n", cli->out,
                   train->count, test->count);
    }
    dc_source_free(train);
    dc_source_free(test);
    dc_arena_free(arena);
    return status;
}

const struct dc_verb dc_verb_data = {
    .name = "data",
    .arguments = "[KIND:]PATH [--out FILE.h5]",
    .summary =
        "inspect a data set, or convert it to HDF5\n\n"
        "Kinds: idx, cifar10, cifar100, hdf5, photos (JPEG, PNG and BMP, one folder a class);\n"
        "without a kind it is told from the files. With --json: one object a split and line.",
    .options = "ojq",
    .positionals_min = 1,
    .positionals_max = 1,
    .run = data,
};

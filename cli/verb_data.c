// `decant data`: what a data set is, and its conversion to HDF5.

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "core/folder.h"
#include "data/convert.h"
#include "data/inspect.h"
#include "data/open.h"

struct data {
    struct dc_cli cli;
    const char *out;
};

static const struct dc_option options[] = {
    DC_OPTION(data, "--out", TEXT, out, "FILE.h5", .help = "write the data set there instead"),
    DC_OPTION_JSON(data),
    DC_OPTION_QUIET(data),
};

static void print_summary(const struct dc_source_summary *s, const struct dc_source *source,
                          const char *split)
{
    char shape[DC_SHAPE_TEXT];
    printf("%s: %s, %" PRId64 " samples of %s %s, %d classes, values %g to %g, hash %016" PRIx64
           "\n",
           split, source->ops->kind, source->count, source->dtype == DC_U8 ? "uint8" : "float32",
           dc_shape_text(shape, &source->sample), source->classes, s->minimum, s->maximum,
           source->hash);
    for (int c = 0; c < s->statistics.channels; c++)
        printf("  channel %d: mean %.6f, deviation %.6f\n", c, (double)s->statistics.mean[c],
               (double)s->statistics.deviation[c]);
    for (int c = 0; s->class_counts && c < source->classes; c++)
        printf("  class %3d %-20s %8" PRId64 "\n", c,
               source->class_names ? source->class_names[c] : "", s->class_counts[c]);
}

static json_t *summary_json(const struct dc_source_summary *s, const struct dc_source *source)
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
    return json_pack("{s:s, s:I, s:o, s:s, s:i, s:o, s:f, s:f, s:o, s:o, s:s}", "kind",
                     source->ops->kind, "samples", (json_int_t)source->count, "shape", dims,
                     "dtype", source->dtype == DC_U8 ? "uint8" : "float32", "classes",
                     source->classes, "class_counts", counts, "minimum", s->minimum, "maximum",
                     s->maximum, "mean", mean, "deviation", deviation, "hash", hash);
}

// json: gets what is said of the split; NULL: people are told.
static enum dc_status inspect_split(struct dc_source **source, json_t *json, const struct data *own,
                                    const char *split, struct dc_arena *arena,
                                    struct dc_error *error)
{
    struct dc_source_summary summary;
    struct dc_source_spec spec = dc_source_spec_of(own->cli.positionals[0], split);
    spec.stop = dc_cli_stop();
    DC_TRY(dc_source_open(source, &spec, error));
    if (own->out && json)
        json_object_set_new(json, split, json_pack("{s:I}", "samples", (*source)->count));
    if (own->out)
        return DC_OK;
    DC_TRY(dc_source_inspect(&summary, *source, arena, error));
    if (json)
        json_object_set_new(json, split, summary_json(&summary, *source));
    else
        print_summary(&summary, *source, split);
    return DC_OK;
}

static enum dc_status data(const struct dc_cli *cli, struct dc_error *error)
{
    const struct data *own = (const struct data *)cli;
    json_t *json = NULL;
    struct dc_source *train = NULL, *test = NULL;
    struct dc_arena *arena = NULL;
    const struct dc_source_spec given = dc_source_spec_of(cli->positionals[0], "train");
    if (own->out)
        DC_TRY(dc_file_may_replace(own->out, "decant_data", NULL, given.path, error));
    DC_TRY(dc_arena_create(&arena, error));
    if (cli->json)
        json = own->out ? json_pack("{s:s}", "out", own->out) : json_object();
    enum dc_status status = inspect_split(&train, json, own, "train", arena, error);
    if (status == DC_OK)
        status = inspect_split(&test, json, own, "test", arena, error);
    if (status == DC_OK && own->out)
        status = dc_source_to_hdf5(train, test, own->out, NULL, error);
    if (status == DC_OK && own->out && !json)
        printf("%s: %" PRId64 " training and %" PRId64 " test samples\n", own->out, train->count,
               test->count);
    if (status == DC_OK && json)
        status = dc_cli_print_json(json_incref(json), error);
    json_decref(json);
    dc_source_free(train);
    dc_source_free(test);
    dc_arena_free(arena);
    return status;
}

const struct dc_verb dc_verb_data = {
    .name = "data",
    .arguments = "[KIND:]PATH [--out FILE.h5]",
    .brief = "inspect a data set, or convert it to HDF5",
    .text = "Kinds: idx, cifar10, cifar100, png (one folder a class), hdf5; without a kind it is "
            "told from the files. JPEG is not read.",
    DC_VERB_OPTIONS(options, data),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = data,
};

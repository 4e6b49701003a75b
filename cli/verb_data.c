// `decant data`: what a data set is, and its conversion to HDF5.

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/csv.h"
#include "core/file.h"
#include "core/folder.h"
#include "core/search.h"
#include "data/contact_sheet.h"
#include "data/convert.h"
#include "data/inspect.h"
#include "data/open.h"
#include "run/init.h"

struct data {
    struct dc_cli cli;
    const char *out, *list;
};

static const char *const parts[] = {"train", "validation", "test", NULL};

static const struct dc_option options[] = {
    DC_OPTION(data, "--out", TEXT, out, "FILE",
              .help = "FILE.h5: write the data set there instead; FILE.png: a contact sheet"),
    DC_OPTION(data, "--list", WORD, list, "PART", .choices = parts,
              .help = "the files of a part of the data, as a table of file and label"),
    DC_OPTION_THREADS(data),
    DC_OPTION_JSON(data),
    DC_OPTION_QUIET(data),
};

static void print_summary(const struct dc_source_summary *s, const struct dc_source *source,
                          const char *split)
{
    char shape[DC_SHAPE_TEXT];
    dc_print_sentence(
        "%s: %s, %" PRId64 " samples of %s %s, %d %s, values %g to %g, hash %016" PRIx64, split,
        source->ops->kind, source->count, source->dtype == DC_U8 ? "uint8" : "float32",
        dc_shape_text(shape, &source->sample), source->classes,
        source->label_kind == DC_LABELS_VALUES ? "values a sample"
                                               : dc_label_kinds[source->label_kind],
        s->minimum, s->maximum, source->hash);
    if (source->note)
        dc_print_sentence("  %s", source->note);
    for (int c = 0; c < s->statistics.channels; c++)
        printf("  channel %d: mean %.6f, deviation %.6f\n", c, (double)s->statistics.mean[c],
               (double)s->statistics.deviation[c]);
    for (int c = 0; s->class_counts && c < source->classes; c++)
        printf("  %s %3d %-20s %8" PRId64 "\n",
               source->label_kind == DC_LABELS_TAGS ? "tag  " : "class", c,
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

// Sources of their own, or those of a run that is to begin.
struct sources {
    struct dc_source *train, *test;
    struct dc_run *run;
};

// A file of one, or the name of one where nothing of that name is here.
static bool is_experiment(const char *given)
{
    struct dc_arena *arena = NULL;
    char *path = NULL;
    bool found = dc_path_ends(given, ".yaml") || dc_path_ends(given, ".yml");
    if (found || dc_file_exists(given) || strpbrk(given, "/:") ||
        dc_arena_create(&arena, NULL) != DC_OK)
        return found;
    found = dc_search(&path, DC_SEARCH_EXPERIMENT, given, NULL, arena, NULL) == DC_OK &&
            dc_file_exists(path);
    dc_arena_free(arena);
    return found;
}

static enum dc_status open_sources(struct sources *s, const struct dc_cli *cli,
                                   struct dc_arena *arena, struct dc_error *error)
{
    const char *given = cli->positionals[0];
    if (is_experiment(given)) {
        char nowhere[4096];  // a run that begins nothing: what other runs hold does not matter
        snprintf(nowhere, sizeof nowhere, "%.4000s.data-%ld", given, (long)getpid());
        struct dc_run_options how = {
            .experiment = given, .directory = nowhere, .context = dc_cli_context(cli)};
        how.context.stop = dc_cli_stop();
        DC_TRY(dc_run_open(&s->run, &how, error));
        DC_TRY(dc_run_need_test_data(s->run, error));
        s->train = s->run->train_source;
        s->test = s->run->test_source;
        return DC_OK;
    }
    struct dc_source_spec spec = dc_source_spec_of(given, "train");
    spec.stop = dc_cli_stop();
    if (dc_path_ends(spec.path, ".csv") && dc_source_kind_of(&spec))
        DC_TRY(dc_table_labels(&spec, arena, error));
    const char *kind = ((const struct data *)cli)->list ? dc_source_kind_of(&spec) : NULL;
    if (kind && strcmp(kind, "photos") == 0) {  // to list files, any size will do
        spec.resize = (struct dc_resize){.height = 1, .width = 1};
        spec.channels = 1;
    }
    DC_TRY(dc_source_open(&s->train, &spec, error));
    spec.split = "test";
    return dc_source_open(&s->test, &spec, error);
}

static void close_sources(struct sources *s)
{
    if (!s->run) {
        dc_source_free(s->train);
        dc_source_free(s->test);
    }
    dc_run_close(s->run);
}

static enum dc_status write_sheet(const struct sources *s, const char *path, struct dc_error *error)
{
    if (!s->run)
        return dc_fail(error, DC_ERR_USAGE,
                       "a contact sheet shows what an experiment makes of its data: name an "
                       "experiment");
    const struct dc_loader_config training = dc_run_training_samples(s->run, 1, 0);
    return dc_contact_sheet_write(path, &training, error);
}

// json: gets what is said; NULL: people are told.
static enum dc_status show(const struct sources *s, json_t *json, struct dc_arena *arena,
                           struct dc_error *error)
{
    for (int i = 0; i < 2; i++) {
        const struct dc_source *source = i == 0 ? s->train : s->test;
        const char *split = i == 0 ? "train" : "test";
        struct dc_source_summary summary;
        DC_TRY(dc_source_inspect(&summary, source, arena, error));
        if (json)
            json_object_set_new(json, split, summary_json(&summary, source));
        else
            print_summary(&summary, source, split);
    }
    return DC_OK;
}

static enum dc_status convert(const struct sources *s, const char *out, json_t *json,
                              struct dc_error *error)
{
    const bool sheet = dc_path_ends(out, ".png");
    DC_TRY(sheet ? write_sheet(s, out, error)
                 : dc_source_to_hdf5(s->train, s->test, out, NULL, error));
    if (json) {
        json_object_set_new(json, "out", json_string(out));
        json_object_set_new(json, "train", json_pack("{s:I}", "samples", s->train->count));
        json_object_set_new(json, "test", json_pack("{s:I}", "samples", s->test->count));
    } else if (sheet) {
        printf("%s: samples as they are, and as the first epochs see them\n", out);
    } else {
        dc_print_sentence("%s: %" PRId64 " training and %" PRId64 " test samples", out,
                          s->train->count, s->test->count);
    }
    return DC_OK;
}

// What a table would say of a sample (data/table.c).
static void append_labels(struct dc_text_buffer *out, const struct dc_source *source, int64_t id)
{
    if (source->labels && source->class_names) {
        dc_text_append(out, ",");
        dc_csv_append(out, source->class_names[source->labels[id]]);
    } else if (source->labels) {
        dc_text_append(out, ",%d", (int)source->labels[id]);
    }
    for (int c = 0; source->targets && c < source->classes; c++) {
        const float value = source->targets[id * source->classes + c];
        if (source->label_kind == DC_LABELS_VALUES)
            dc_text_append(out, ",%.9g", (double)value);
        else
            dc_text_append(out, ",%d", value > 0.5f);
    }
}

// ids NULL: all. Windows of a recording are one file.
static void append_files(struct dc_text_buffer *out, const struct dc_source *source,
                         const int64_t *ids, int64_t first, int64_t count)
{
    const char *last = "";
    dc_text_append(out, "file%s", source->labels ? ",label" : "");
    for (int c = 0; source->targets && c < source->classes; c++) {
        dc_text_append(out, ",");
        dc_csv_append(out, source->class_names[c]);
    }
    dc_text_append(out, "\n");
    for (int64_t i = first; i < first + count; i++) {
        const int64_t id = ids ? ids[i] : i;
        if (strcmp(source->files[id], last) == 0)
            continue;
        last = source->files[id];
        dc_csv_append(out, last);
        append_labels(out, source, id);
        dc_text_append(out, "\n");
    }
}

static enum dc_status list_files(const struct sources *s, const char *given, const char *part,
                                 struct dc_error *error)
{
    struct dc_text_buffer out = {0};
    const struct dc_source *train = s->train;
    if (!train->files)
        return dc_fail(error, DC_ERR_USAGE,
                       "%s: samples of %s are no files of their own; --list is for photographs and "
                       "recordings",
                       given, train->ops->kind);
    const int64_t own = s->run ? s->run->validation_count : train->own_validation;
    const int64_t rest = s->run ? s->run->train_count : train->count - own;
    if (strcmp(part, "test") == 0)
        append_files(&out, s->test, NULL, 0, s->test->count);
    else if (strcmp(part, "train") == 0)
        append_files(&out, train, s->run ? s->run->train_ids : NULL, 0, rest);
    else
        append_files(&out, train, s->run ? s->run->validation_ids : NULL, s->run ? 0 : rest, own);
    return dc_cli_print_text(&out, error);
}

static enum dc_status data(const struct dc_cli *cli, struct dc_error *error)
{
    const struct data *own = (const struct data *)cli;
    struct sources sources = {0};
    struct dc_arena *arena = NULL;
    const struct dc_source_spec given = dc_source_spec_of(cli->positionals[0], "train");
    if (own->list && (own->out || cli->json))
        return dc_fail(error, DC_ERR_USAGE, "--list prints a table, and takes no %s",
                       own->out ? "--out" : "--json");
    if (own->out)
        DC_TRY(dc_file_may_replace(
            own->out, dc_path_ends(own->out, ".png") ? DC_CONTACT_SHEET_MARK : "decant_data", NULL,
            given.path, error));
    DC_TRY(dc_arena_create(&arena, error));
    json_t *json = cli->json ? json_object() : NULL;
    enum dc_status status = open_sources(&sources, cli, arena, error);
    if (status == DC_OK && own->out)
        status = convert(&sources, own->out, json, error);
    else if (status == DC_OK && own->list)
        status = list_files(&sources, cli->positionals[0], own->list, error);
    else if (status == DC_OK)
        status = show(&sources, json, arena, error);
    if (status == DC_OK && json)
        status = dc_cli_print_json(json_incref(json), error);
    json_decref(json);
    close_sources(&sources);
    dc_arena_free(arena);
    return status;
}

const struct dc_verb dc_verb_data = {
    .name = "data",
    .arguments = "[KIND:]PATH|EXPERIMENT [--out FILE|--list PART]",
    .brief = "inspect a data set, or convert it to HDF5",
    .text =
        "Kinds: idx, cifar10, cifar100, hdf5, npz, photos (JPEG, PNG, BMP; one folder a class); "
        "without a kind it is told from the files. Of an experiment: its data, resized and "
        "split as it says; --out FILE.png shows samples as they are and augmented, --list test "
        "prints which files the test set is.",
    DC_VERB_OPTIONS(options, data),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = data,
};

// `decant eval` and `decant predict`: a finished network on a data set.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/file.h"
#include "core/folder.h"
#include "run/predict.h"
#include "run/predict_photos.h"
#include "run/quantization.h"
#include "run/report.h"

// What both verbs ask of a run; `network` opens their structs.
struct network {
    struct dc_cli cli;
    const char *run, *stage, *data, *split, *profile;
    int64_t limit;
};

static const char *const splits[] = {"train", "test", NULL};

#define OTHER_DATA "other data than the run's, as idx:FOLDER or photos:FOLDER"

struct eval {
    struct network network;
    bool quantization;
};

static const struct dc_option eval_options[] = {
    DC_OPTION_RUN(network, "of a bundle: the run whose data is used; else the one it lies in"),
    DC_OPTION_STAGE(network, "a stage of the run; else the last one with a network"),
    DC_OPTION(network, "--data", TEXT, data, "KIND:PATH", .help = OTHER_DATA),
    DC_OPTION(network, "--split", WORD, split, "PART", .choices = splits, .fallback = "test",
              .help = "which part of the data"),
    DC_OPTION_PROFILE(network),
    DC_OPTION_LIMIT(network),
    DC_OPTION_THREADS(network),
    DC_OPTION_JSON(network),
    DC_OPTION_QUIET(network),
    DC_OPTION(eval, "--quantization", FLAG, quantization, NULL,
              .help = "what rounding did to each layer and sample"),
};

struct predict {
    struct network network;
    const char *out;
};

static const struct dc_option predict_options[] = {
    DC_OPTION_RUN(network, "of a bundle: the run whose data is used; else the one it lies in"),
    DC_OPTION_STAGE(network, "a stage of the run; else the last one with a network"),
    DC_OPTION(network, "--data", TEXT, data, "KIND:PATH", .help = OTHER_DATA),
    DC_OPTION(network, "--split", WORD, split, "PART", .choices = splits, .fallback = "test",
              .help = "which part of the data"),
    DC_OPTION_PROFILE(network),
    DC_OPTION_LIMIT(network),
    DC_OPTION_THREADS(network),
    DC_OPTION_JSON(network),
    DC_OPTION_QUIET(network),
    DC_OPTION(predict, "--out", TEXT, out, "FILE",
              .help = "where it goes: logits to FILE.h5, photographs to FILE.csv or FILE.json"),
};

// The run that the command names, or that a bundle lies in, and what is asked of it.
static enum dc_status open_run(struct dc_run **run, struct dc_predict_options *options,
                               const struct network *own, struct dc_error *error)
{
    const struct dc_cli *cli = &own->cli;
    const char *path = cli->positionals[0];
    *options = (struct dc_predict_options){.stage = own->stage,
                                           .data = own->data,
                                           .split = own->split,
                                           .limit = own->limit,
                                           .profile = own->profile};
    char directory[4096];
    if (dc_is_bundle(path)) {
        if (own->stage || own->profile)
            return dc_fail(error, DC_ERR_USAGE,
                           "%s is a bundle, which has one network and one profile: --stage and "
                           "--profile are for runs",
                           path);
        DC_TRY(dc_run_of_bundle(directory, sizeof directory, own->run, path, error));
        options->bundle = path;
        path = directory;
    } else if (own->run) {
        return dc_fail(error, DC_ERR_USAGE, "%s is not a bundle: --run is for those", path);
    }
    return dc_cli_open_run(run, cli, path, error);
}

// A line of a figure that may not be there.
static void print_figure(const char *name, double value)
{
    if (isfinite(value))
        printf("%-10s %.6f\n", name, value);
    else
        printf("%-10s -\n", name);
}

static void print_reconstruction(const struct dc_prediction *p)
{
    const struct dc_reconstruction *r = p->scores->reconstruction;
    printf("%s, %s arithmetic, %lld samples\n", p->stage, p->arithmetic,
           (long long)p->scores->samples);
    print_figure("MSE", p->scores->loss);
    if (!r->normal)
        return;
    print_figure("normal", r->normal_error);
    print_figure("anomalous", r->anomalous_error);
    print_figure("AUC", r->auc);
}

static void print_scores(const struct dc_prediction *p, const struct dc_source *source)
{
    const struct dc_scores *s = p->scores;
    printf("%s, %s arithmetic, %lld samples\n", p->stage, p->arithmetic, (long long)s->samples);
    printf("accuracy   %.2f %% +- %.2f (binomial standard error)\n", 100.0 * dc_accuracy(s),
           100.0 * dc_accuracy_error(s));
    printf("top 5      %.2f %%\nloss       %.4f\n",
           100.0 * (double)s->correct5 / (double)s->samples, s->loss);
    printf("%-16s %8s  confusion: label by row, prediction by column\n", "class", "accuracy");
    for (int label = 0; label < s->classes; label++) {
        int64_t all = 0;
        for (int c = 0; c < s->classes; c++)
            all += s->confusion[label * s->classes + c];
        char number[16];
        snprintf(number, sizeof number, "%d", label);
        const char *name = source->class_names ? source->class_names[label] : number;
        if (all)
            printf("%-16.16s %6.2f %% ", name,
                   100.0 * (double)s->confusion[label * s->classes + label] / (double)all);
        else
            printf("%-16.16s        - ", name);  // no sample is of this class
        for (int c = 0; c < s->classes && s->classes <= 20; c++)
            printf(" %5lld", (long long)s->confusion[label * s->classes + c]);
        printf("\n");
    }
}

static enum dc_status print_quantization(const struct dc_cli *cli, struct dc_run *run,
                                         const struct dc_predict_options *options,
                                         struct dc_error *error)
{
    json_t *report = NULL;
    struct dc_text_buffer text = {0};
    DC_TRY(dc_run_quantization(&report, run, options, error));
    if (cli->json)
        return dc_cli_print_json(report, error);
    dc_quantization_text(&text, report);
    json_decref(report);
    return dc_cli_print_text(&text, error);
}

static enum dc_status eval(const struct dc_cli *cli, struct dc_error *error)
{
    const struct eval *own = (const struct eval *)cli;
    struct dc_run *run = NULL;
    struct dc_predict_options options;
    struct dc_prediction prediction = {0};
    enum dc_status status = open_run(&run, &options, &own->network, error);
    if (status == DC_OK && own->quantization) {
        status = print_quantization(cli, run, &options, error);
        dc_run_close(run);
        return status;
    }
    if (status == DC_OK)
        status = dc_run_predict(&prediction, run, &options, error);
    json_t *scores = NULL;
    if (status == DC_OK)
        status = dc_prediction_scores(&scores, &prediction, error);
    if (status == DC_OK && cli->json) {
        status = dc_cli_print_json(json_incref(scores), error);
    } else if (status == DC_OK && prediction.scores->reconstruction) {
        print_reconstruction(&prediction);
    } else if (status == DC_OK) {
        print_scores(&prediction, run->train_source);
    }
    json_decref(scores);
    dc_run_close(run);
    return status;
}

static enum dc_status print_prediction_json(const char *path, const struct dc_prediction *p,
                                            struct dc_error *error)
{
    return dc_cli_print_json(json_pack("{s:s, s:I, s:i, s:s, s:s}", "file", path, "samples",
                                       (json_int_t)p->samples, "classes", p->classes, "stage",
                                       p->stage, "arithmetic", p->arithmetic),
                             error);
}

static enum dc_status tell_photos(const struct predict *own, const struct dc_photo_predictions *p,
                                  struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    if (own->network.cli.json)
        return dc_cli_print_json(own->out ? json_pack("{s:s, s:I, s:s, s:s}", "file", own->out,
                                                      "photos", (json_int_t)p->count, "stage",
                                                      p->stage, "arithmetic", p->arithmetic)
                                          : dc_photo_json(p),
                                 error);
    if (own->out) {
        printf("%s: %lld photographs by '%s', %s arithmetic\n", own->out, (long long)p->count,
               p->stage, p->arithmetic);
        return DC_OK;
    }
    dc_photo_table(&text, p);
    return dc_cli_print_text(&text, error);
}

static enum dc_status predict_photos(const struct predict *own, struct dc_error *error)
{
    const struct network *asked = &own->network;
    const struct dc_cli *cli = &asked->cli;
    const char *path = cli->positionals[0];
    struct dc_photo_options options = {.stage = asked->stage,
                                       .profile = asked->profile,
                                       .paths = cli->positionals + 1,
                                       .path_count = cli->positional_count - 1};
    struct dc_photo_predictions predictions;
    struct dc_run *run = NULL;
    struct dc_ctx *ctx = NULL;
    struct dc_arena *arena = NULL;
    struct dc_ctx_config config = dc_cli_context(cli);
    config.stop = dc_cli_stop();
    if (asked->data || asked->limit || asked->run || strcmp(asked->split, "test") != 0)
        return dc_fail(error, DC_ERR_USAGE,
                       "predict with photographs takes no --data, --split, --limit or --run: those "
                       "are for a data set");
    if (own->out)
        DC_TRY(dc_photo_may_write(own->out, error));
    options.bundle = dc_is_bundle(path) ? path : NULL;
    if (options.bundle && (asked->stage || asked->profile))
        return dc_fail(error, DC_ERR_USAGE,
                       "%s is a bundle, which has one network and one profile: --stage and "
                       "--profile are for runs",
                       path);
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = options.bundle ? dc_ctx_create(&ctx, &config, error)
                                           : dc_cli_open_run(&run, cli, path, error);
    if (status == DC_OK)
        status = dc_predict_photos(&predictions, run ? run->ctx : ctx, run, &options, arena, error);
    if (status == DC_OK && own->out)
        status = dc_photo_write(own->out, &predictions, error);
    if (status == DC_OK)
        status = tell_photos(own, &predictions, error);
    dc_run_close(run);
    dc_ctx_free(ctx);
    dc_arena_free(arena);
    return status;
}

static enum dc_status predict(const struct dc_cli *cli, struct dc_error *error)
{
    const struct predict *own = (const struct predict *)cli;
    const char *path = cli->positionals[0];
    if (dc_file_exists(path) && !dc_cli_has_file(path, "."))
        return dc_fail(
            error, DC_ERR_USAGE,
            "%s is neither a run directory nor a bundle: name one first, then photographs", path);
    if (cli->positional_count > 1)
        return predict_photos(own, error);
    struct dc_run *run = NULL;
    struct dc_predict_options options;
    struct dc_prediction prediction = {0};
    if (!own->out)
        return dc_fail(error, DC_ERR_USAGE,
                       "decant predict needs photographs, or --out FILE.h5 for the run's data");
    DC_TRY(dc_file_may_replace(own->out, "decant_file", "prediction", NULL, error));
    enum dc_status status = open_run(&run, &options, &own->network, error);
    if (status == DC_OK)
        status = dc_run_predict(&prediction, run, &options, error);
    if (status == DC_OK)
        status = dc_prediction_write(own->out, &prediction, error);
    if (status == DC_OK && cli->json)
        status = print_prediction_json(own->out, &prediction, error);
    else if (status == DC_OK)
        printf("%s: logits [%lld, %d] of stage '%s', %s arithmetic\n", own->out,
               (long long)prediction.samples, prediction.classes, prediction.stage,
               prediction.arithmetic);
    dc_run_close(run);
    return status;
}

const struct dc_verb dc_verb_eval = {
    .name = "eval",
    .arguments = "RUN|BUNDLE",
    .brief = "accuracy of a network of a run, with its binomial error",
    .text =
        "A quantized stage or a bundle is run by the integer engine. --quantization shows what "
        "rounding did to it: each layer's error, worst first, and the samples that only the "
        "float network, or only the integers, get right. Of a network that gives back its input: "
        "the mean squared error, and the AUC of data.normal against all others.",
    DC_VERB_OPTIONS(eval_options, eval),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = eval,
};

const struct dc_verb dc_verb_predict = {
    .name = "predict",
    .arguments = "RUN|BUNDLE [PHOTO|FOLDER ...] [--out FILE]",
    .brief = "classes of photographs, or logits of a data set",
    .text =
        "Of JPEG, PNG and BMP files, or folders of them: file, class and probability as a "
        "table, CSV or JSON (--json on stdout). A bundle needs nothing but itself for that. "
        "Without photographs: `logits` [samples, classes] float32 of the run's data, in sample "
        "order, to HDF5. A quantized stage or a bundle is run by the integer engine; its logits "
        "are its codes times their scale.",
    DC_VERB_OPTIONS(predict_options, predict),
    .positionals_min = 1,
    .positionals_max = DC_POSITIONALS_MAX,
    .run = predict,
};

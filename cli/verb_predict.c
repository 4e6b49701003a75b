// `decant eval` and `decant predict`: a finished network on a data set.

#include <math.h>
#include <stdio.h>

#include "cli/cli.h"
#include "core/file.h"
#include "core/folder.h"
#include "run/predict.h"
#include "run/predict_photos.h"
#include "run/quantization.h"
#include "run/report.h"

// The run that the command names, or that a bundle lies in, and what is asked of it.
static enum dc_status open_run(struct dc_run **run, struct dc_predict_options *options,
                               const struct dc_cli *cli, struct dc_error *error)
{
    const char *path = cli->positionals[0];
    *options = (struct dc_predict_options){.stage = cli->stage,
                                           .data = cli->data,
                                           .split = cli->split,
                                           .limit = cli->limit,
                                           .profile = cli->profile};
    char directory[4096];
    if (dc_cli_has_file(path, "manifest.json")) {
        if (cli->stage || cli->profile)
            return dc_fail(error, DC_ERR_USAGE,
                           "%s is a bundle, which has one network and one profile: --stage and "
                           "--profile are for runs",
                           path);
        DC_TRY(dc_cli_run_of_bundle(directory, sizeof directory, cli, path, error));
        options->bundle = path;
        path = directory;
    } else if (cli->run) {
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
    enum dc_status status = DC_OK;
    if (cli->json) {
        status = dc_cli_print_json(report, error);
    } else {
        dc_quantization_text(&text, report);
        if (text.failed)
            status = dc_fail(error, DC_ERR_MEMORY, "out of memory");
        else
            fputs(text.text, stdout);
    }
    dc_text_free(&text);
    json_decref(report);
    return status;
}

static enum dc_status eval(const struct dc_cli *cli, struct dc_error *error)
{
    struct dc_run *run = NULL;
    struct dc_predict_options options;
    struct dc_prediction prediction = {0};
    enum dc_status status = open_run(&run, &options, cli, error);
    if (status == DC_OK && cli->quantization) {
        status = print_quantization(cli, run, &options, error);
        dc_run_close(run);
        return status;
    }
    if (status == DC_OK)
        status = dc_run_predict(&prediction, run, &options, error);
    if (status == DC_OK && !prediction.scores)
        status = dc_fail(error, DC_ERR_DATA, "the data has no labels for %d classes",
                         prediction.classes);
    if (status == DC_OK && cli->json) {
        json_t *object = dc_report_scores(prediction.scores);
        json_object_set_new(object, "stage", json_string(prediction.stage));
        json_object_set_new(object, "arithmetic", json_string(prediction.arithmetic));
        status = dc_cli_print_json(object, error);
        json_decref(object);
    } else if (status == DC_OK && prediction.scores->reconstruction) {
        print_reconstruction(&prediction);
    } else if (status == DC_OK) {
        print_scores(&prediction, run->train_source);
    }
    dc_run_close(run);
    return status;
}

static enum dc_status print_prediction_json(const char *path, const struct dc_prediction *p,
                                            struct dc_error *error)
{
    json_t *object = json_pack("{s:s, s:I, s:i, s:s, s:s}", "file", path, "samples",
                               (json_int_t)p->samples, "classes", p->classes, "stage", p->stage,
                               "arithmetic", p->arithmetic);
    const enum dc_status status = dc_cli_print_json(object, error);
    json_decref(object);
    return status;
}

static enum dc_status tell_photos(const struct dc_cli *cli, const struct dc_photo_predictions *p,
                                  struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    if (cli->json) {
        json_t *object = cli->out ? json_pack("{s:s, s:I, s:s, s:s}", "file", cli->out, "photos",
                                              (json_int_t)p->count, "stage", p->stage, "arithmetic",
                                              p->arithmetic)
                                  : dc_photo_json(p);
        const enum dc_status status = dc_cli_print_json(object, error);
        json_decref(object);
        return status;
    }
    if (cli->out) {
        printf("%s: %lld photographs by '%s', %s arithmetic\n", cli->out, (long long)p->count,
               p->stage, p->arithmetic);
        return DC_OK;
    }
    dc_photo_table(&text, p);
    if (!text.failed)
        fputs(text.text, stdout);
    const bool failed = text.failed;
    dc_text_free(&text);
    return failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory") : DC_OK;
}

static enum dc_status predict_photos(const struct dc_cli *cli, struct dc_error *error)
{
    const char *path = cli->positionals[0];
    struct dc_photo_options options = {.stage = cli->stage,
                                       .profile = cli->profile,
                                       .paths = cli->positionals + 1,
                                       .path_count = cli->positional_count - 1};
    struct dc_photo_predictions predictions;
    struct dc_run *run = NULL;
    struct dc_ctx *ctx = NULL;
    struct dc_arena *arena = NULL;
    struct dc_ctx_config config = dc_cli_context(cli);
    config.stop = dc_cli_stop();
    options.bundle = dc_cli_has_file(path, "manifest.json") ? path : NULL;
    DC_TRY(dc_cli_only(cli, "predict with photographs", "gfojtqh", error));
    if (options.bundle)
        DC_TRY(dc_cli_only(cli, "predict of a bundle with photographs", "ojtqh", error));
    if (cli->out)
        DC_TRY(dc_photo_may_write(cli->out, error));
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = options.bundle ? dc_ctx_create(&ctx, &config, error)
                                           : dc_cli_open_run(&run, cli, path, error);
    if (status == DC_OK)
        status = dc_predict_photos(&predictions, run ? run->ctx : ctx, run, &options, arena, error);
    if (status == DC_OK && cli->out)
        status = dc_photo_write(cli->out, &predictions, error);
    if (status == DC_OK)
        status = tell_photos(cli, &predictions, error);
    dc_run_close(run);
    dc_ctx_free(ctx);
    dc_arena_free(arena);
    return status;
}

static enum dc_status predict(const struct dc_cli *cli, struct dc_error *error)
{
    const char *path = cli->positionals[0];
    if (dc_file_exists(path) && !dc_cli_has_file(path, "."))
        return dc_fail(
            error, DC_ERR_USAGE,
            "%s is neither a run directory nor a bundle: name one first, then photographs", path);
    if (cli->positional_count > 1)
        return predict_photos(cli, error);
    struct dc_run *run = NULL;
    struct dc_predict_options options;
    struct dc_prediction prediction = {0};
    if (!cli->out)
        return dc_fail(error, DC_ERR_USAGE,
                       "decant predict needs photographs, or --out FILE.h5 for the run's data");
    DC_TRY(dc_file_may_replace(cli->out, "decant_file", "prediction", NULL, error));
    enum dc_status status = open_run(&run, &options, cli, error);
    if (status == DC_OK)
        status = dc_run_predict(&prediction, run, &options, error);
    if (status == DC_OK)
        status = dc_prediction_write(cli->out, &prediction, error);
    if (status == DC_OK && cli->json)
        status = print_prediction_json(cli->out, &prediction, error);
    else if (status == DC_OK)
        printf("%s: logits [%lld, %d] of stage '%s', %s arithmetic\n", cli->out,
               (long long)prediction.samples, prediction.classes, prediction.stage,
               prediction.arithmetic);
    dc_run_close(run);
    return status;
}

const struct dc_verb dc_verb_eval = {
    .name = "eval",
    .arguments = "RUN|BUNDLE",
    .summary =
        "accuracy of a network of a run, with its binomial error\n\n"
        "A quantized stage or a bundle is run by the integer engine. --quantization shows\n"
        "what rounding did to it: each layer's error, worst first, and the samples that only\n"
        "the float network, or only the integers, get right. Of a network that gives back its\n"
        "input: the mean squared error, and the AUC of data.normal against all others.",
    .options = "grdplfQtjq",
    .positionals_min = 1,
    .positionals_max = 1,
    .run = eval,
};

const struct dc_verb dc_verb_predict = {
    .name = "predict",
    .arguments = "RUN|BUNDLE (PHOTO|FOLDER... [--out FILE.csv|FILE.json] | --out FILE.h5)",
    .summary =
        "classes of photographs, or logits of a data set to HDF5\n\n"
        "Of JPEG, PNG and BMP files, or folders of them: file, class and probability as a table,\n"
        "CSV or JSON (--json on stdout). A bundle needs nothing but itself for that.\n"
        "Without photographs: `logits` [samples, classes] float32 of the run's data, in sample\n"
        "order. A quantized stage or a bundle is run by the integer engine; its logits are its\n"
        "codes times their scale.",
    .options = "grdplofjtq",
    .positionals_min = 1,
    .positionals_max = DC_POSITIONALS_MAX,
    .run = predict,
};

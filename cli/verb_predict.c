// `decant eval` and `decant predict`: a finished network on a data set.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/progress.h"
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
    struct dc_serial_options line;
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
    DC_OPTIONS_DEVICE(eval, NULL,
                      "a serial line, as /dev/ttyACM0: the device there answers instead of "
                      "the engine, and is held against it"),
};

struct predict {
    struct network network;
    const char *out, *cascade;
    int64_t threshold;
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
              .help = "where it goes: a data set to FILE.h5 (logits) or FILE.csv, photographs to "
                      "FILE.csv or FILE.json"),
    DC_OPTION(
        predict, "--cascade", TEXT, cascade, "DEVICE,TEACHER",
        .help = "two stages: photographs of which the first, quantized, is not sure go to the "
                "second"),
    DC_OPTION(predict, "--threshold", COUNT, threshold, "CODES", .most = 255,
              .help = "margin of the two largest output codes from which on it is sure; else what "
                      "the run's export chose"),
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

static void print_named_figure(const char *const *names, int i, double value)
{
    char number[16];
    snprintf(number, sizeof number, "%d", i);
    printf("%-32.32s ", names ? names[i] : number);
    if (isfinite(value))
        printf("%.6f\n", value);
    else
        printf("-\n");
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

// Of values and tags: the figures, then those of each output by its name.
static void print_targets(const struct dc_prediction *p, const struct dc_source *source)
{
    const struct dc_target_scores *t = p->scores->targets;
    const bool values = t->kind == DC_LABELS_VALUES;
    printf("%s, %s arithmetic, %lld samples\n", p->stage, p->arithmetic,
           (long long)p->scores->samples);
    print_figure(values ? "MAE" : "mAP", values ? t->absolute_error : t->average_precision);
    if (values)
        print_figure("RMSE", t->root_squared_error);
    print_figure(values ? "R2" : "F1", values ? t->r2 : t->f1);
    print_figure("loss", p->scores->loss);
    printf("%-32s %s\n", values ? "value" : "tag", values ? "MAE" : "AP");
    for (int o = 0; o < t->outputs; o++)
        print_named_figure(source->class_names, o, t->each[o]);
}

enum { CONFUSION_LEFT = 26, CONFUSION_MOST = 40 };

// Columns of the largest count, and a blank before it.
static int confusion_width(const struct dc_scores *s)
{
    int64_t most = s->classes - 1;
    int width = 2;
    for (int i = 0; i < s->classes * s->classes; i++)
        most = s->confusion[i] > most ? s->confusion[i] : most;
    for (; most >= 10; most /= 10)
        width++;
    return width;
}

// In as many blocks of columns as 80 characters need, classes by number.
static void print_confusion(const struct dc_scores *s, int width)
{
    const int columns = (80 - 8) / width;
    printf("confusion: label by row, prediction by column, by number from 0\n");
    for (int first = 0; first < s->classes; first += columns) {
        const int end = first + columns < s->classes ? first + columns : s->classes;
        printf("%8s", "");
        for (int c = first; c < end; c++)
            printf("%*d", width, c);
        printf("\n");
        for (int label = 0; label < s->classes; label++) {
            printf("%8d", label);
            for (int c = first; c < end; c++)
                printf("%*lld", width, (long long)s->confusion[label * s->classes + c]);
            printf("\n");
        }
    }
}

static void print_scores(const struct dc_prediction *p, const struct dc_source *source)
{
    const struct dc_scores *s = p->scores;
    printf("%s, %s arithmetic, %lld samples\n", p->stage, p->arithmetic, (long long)s->samples);
    printf("accuracy   %.2f %% +- %.2f (binomial standard error)\n", 100.0 * dc_accuracy(s),
           100.0 * dc_accuracy_error(s));
    printf("top 5      %.2f %%\nloss       %.4f\n",
           100.0 * (double)s->correct5 / (double)s->samples, s->loss);
    const int width = confusion_width(s), room = 80 - CONFUSION_LEFT;
    const bool beside = width * s->classes <= room;
    printf("%-16s %8s%s\n", "class", "accuracy",
           beside ? "  confusion: label by row, prediction by column" : "");
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
        for (int c = 0; c < s->classes && beside; c++)
            printf("%*lld", width, (long long)s->confusion[label * s->classes + c]);
        printf("\n");
    }
    if (!beside && s->classes <= CONFUSION_MOST)
        print_confusion(s, width);
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

static void print_device(const struct dc_device_answers *d, const char *port)
{
    const double ms = 1e3 * d->seconds_an_inference;
    dc_print_sentence("device     '%s' on %s: %lld of %lld bytes differ from the engine's; %.*f ms "
                      "an inference, by its clock",
                      d->name, port, (long long)d->different, (long long)d->bytes,
                      ms < 10.0 ? 3 : 1, ms);
}

// What a device said otherwise than the engine, once all else is told.
static enum dc_status judge_device(const struct dc_device_answers *d, const char *port,
                                   struct dc_error *error)
{
    if (d->different == 0)
        return DC_OK;
    return dc_fail(error, DC_ERR_VERIFY,
                   "the device on %s differs from the engine, first in sample %lld: is the network "
                   "that it runs this one, made anew since the export? decant verify --rungs holds "
                   "the same C against the engine on emulated processors, layer by layer",
                   port, (long long)d->first_sample);
}

static enum dc_status eval(const struct dc_cli *cli, struct dc_error *error)
{
    const struct eval *own = (const struct eval *)cli;
    struct dc_run *run = NULL;
    struct dc_predict_options options;
    struct dc_prediction prediction = {0};
    struct dc_progress_view view = dc_progress_start(cli->quiet);
    enum dc_status status = open_run(&run, &options, &own->network, error);
    options.progress = (struct dc_sample_progress){dc_progress_samples, &view};
    options.device = own->line.port ? &own->line : NULL;
    if (status == DC_OK && options.device && own->quantization)
        status = dc_fail(error, DC_ERR_USAGE, "--quantization asks no device: leave one away");
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
    } else if (status == DC_OK && prediction.scores->targets) {
        print_targets(&prediction, run->train_source);
    } else if (status == DC_OK) {
        print_scores(&prediction, run->train_source);
    }
    if (status == DC_OK && options.device && !cli->json)
        print_device(&prediction.device, own->line.port);
    if (status == DC_OK && options.device)
        status = judge_device(&prediction.device, own->line.port, error);
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
        dc_print_sentence("%s: %lld photographs by '%s', %s arithmetic", own->out,
                          (long long)p->count, p->stage, p->arithmetic);
        return DC_OK;
    }
    dc_photo_table(&text, p);
    return dc_cli_print_text(&text, error);
}

static enum dc_status check_cascade(const struct predict *own, struct dc_error *error)
{
    if (own->threshold && !own->cascade)
        return dc_fail(error, DC_ERR_USAGE, "--threshold is for --cascade DEVICE,TEACHER");
    if (own->cascade && (own->network.stage || own->network.cli.positional_count < 2 ||
                         dc_cli_has_file(own->network.cli.positionals[0], "manifest.json")))
        return dc_fail(error, DC_ERR_USAGE,
                       "--cascade is for photographs and a run, and names its stages itself");
    return DC_OK;
}

// Of a run: one stage, or a cascade of two.
static enum dc_status ask_run(struct dc_photo_predictions *out, const struct predict *own,
                              struct dc_run *run, struct dc_photo_options *options,
                              struct dc_arena *arena, struct dc_error *error)
{
    struct dc_photo_cascade_options cascade = {.threshold = (int)own->threshold};
    char *device = own->cascade ? dc_arena_copy(arena, own->cascade, error) : NULL;
    if (!own->cascade)
        return dc_predict_photos(out, run->ctx, run, options, arena, error);
    char *comma = device ? strchr(device, ',') : NULL;
    if (!comma || !comma[1] || strchr(comma + 1, ','))
        return dc_fail(error, DC_ERR_USAGE, "--cascade names two stages: quantized,teacher");
    *comma = '\0';
    cascade.device = device;
    cascade.teacher = comma + 1;
    return dc_predict_cascade(out, run, options, &cascade, arena, error);
}

static enum dc_status predict_photos(const struct predict *own, struct dc_error *error)
{
    const struct network *asked = &own->network;
    const struct dc_cli *cli = &asked->cli;
    const char *path = cli->positionals[0];
    struct dc_progress_view view = dc_progress_start(cli->quiet);
    struct dc_photo_options options = {.stage = asked->stage,
                                       .profile = asked->profile,
                                       .paths = cli->positionals + 1,
                                       .path_count = cli->positional_count - 1,
                                       .progress = {dc_progress_samples, &view}};
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
    DC_TRY(check_cascade(own, error));
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
        status = run ? ask_run(&predictions, own, run, &options, arena, error)
                     : dc_predict_photos(&predictions, ctx, NULL, &options, arena, error);
    if (status == DC_OK && own->out)
        status = dc_photo_write(own->out, &predictions, error);
    if (status == DC_OK)
        status = tell_photos(own, &predictions, error);
    dc_run_close(run);
    dc_ctx_free(ctx);
    dc_arena_free(arena);
    return status;
}

// To HDF5, or by name and class to CSV.
static enum dc_status write_prediction(const char *path, const struct dc_prediction *prediction,
                                       struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    struct dc_photo_predictions named;
    if (!dc_path_ends(path, ".csv"))
        return dc_prediction_write(path, prediction, error);
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = dc_prediction_named(&named, prediction, arena, error);
    if (status == DC_OK)
        status = dc_photo_write(path, &named, error);
    dc_arena_free(arena);
    return status;
}

static void print_written(const char *path, const struct dc_prediction *p)
{
    if (dc_path_ends(path, ".csv"))
        dc_print_sentence("%s: %lld samples by '%s', %s arithmetic", path, (long long)p->samples,
                          p->stage, p->arithmetic);
    else
        dc_print_sentence("%s: logits [%lld, %d] of stage '%s', %s arithmetic", path,
                          (long long)p->samples, p->classes, p->stage, p->arithmetic);
}

static enum dc_status check_out(const char *path, struct dc_error *error)
{
    if (!path)
        return dc_fail(error, DC_ERR_USAGE,
                       "decant predict needs photographs, or --out FILE.h5 or FILE.csv for the "
                       "run's data");
    if (dc_path_ends(path, ".csv"))
        return dc_photo_may_write(path, error);
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    const bool other = dot && dot > slash && !dc_path_ends(path, ".h5") &&
                       !dc_path_ends(path, ".hdf5");
    if (other)
        return dc_fail(error, DC_ERR_USAGE,
                       "--out %s: predictions of a data set go to FILE.h5 (logits) or FILE.csv "
                       "(class and probability)",
                       path);
    return dc_file_may_replace(path, "decant_file", "prediction", NULL, error);
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
    DC_TRY(check_cascade(own, error));
    struct dc_run *run = NULL;
    struct dc_predict_options options;
    struct dc_prediction prediction = {0};
    DC_TRY(check_out(own->out, error));
    struct dc_progress_view view = dc_progress_start(cli->quiet);
    enum dc_status status = open_run(&run, &options, &own->network, error);
    options.progress = (struct dc_sample_progress){dc_progress_samples, &view};
    if (status == DC_OK)
        status = dc_run_predict(&prediction, run, &options, error);
    if (status == DC_OK)
        status = write_prediction(own->out, &prediction, error);
    if (status == DC_OK && cli->json)
        status = print_prediction_json(own->out, &prediction, error);
    else if (status == DC_OK)
        print_written(own->out, &prediction);
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
        "the mean squared error, and the AUC of data.normal against all others. With --device each "
        "sample's codes go over a serial line to a board that runs examples/device/harness.c: "
        "the accuracy is the board's, every output byte is compared with the engine's, and exit "
        "code 4 says that one differs.",
    DC_VERB_OPTIONS(eval_options, eval),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = eval,
};

const struct dc_verb dc_verb_predict = {
    .name = "predict",
    .arguments = "RUN|BUNDLE [PHOTO|FOLDER ...] [--out FILE]",
    .brief = "classes of photographs, or logits of a data set",
    .text = "Of JPEG, PNG and BMP files, or folders of them: file, class and probability as a "
            "table, CSV or JSON (--json on stdout). A bundle needs nothing but itself for that. "
            "Without photographs: `logits` [samples, classes] float32 of the run's data, in sample "
            "order, to HDF5, or class and probability to CSV. --cascade tells who settled each "
            "photograph: the device, or the "
            "teacher. A quantized stage or a bundle is run by the integer engine; its logits "
            "are its codes times their scale.",
    DC_VERB_OPTIONS(predict_options, predict),
    .positionals_min = 1,
    .positionals_max = DC_POSITIONALS_MAX,
    .run = predict,
};

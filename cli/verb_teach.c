// `decant teach`, and what `decant verify` does with a soft-target cache.

#include <stdio.h>

#include "cli/progress.h"

struct teach {
    struct dc_cli cli;
    struct dc_settings set;
    const char *run, *stage;
    bool repair;
    struct dc_job job;
};

static const struct dc_option options[] = {
    DC_OPTION_SET(teach),
    DC_OPTION_RUN(teach, "run directory; else runs/NAME, by the experiment's name"),
    DC_OPTION_STAGE(teach, "only the cache of this stage"),
    DC_OPTION(teach, "--repair", FLAG, repair, NULL, .help = "make files that cannot be read anew"),
    DC_OPTION_JOB(teach),
    DC_OPTION_THREADS(teach),
    DC_OPTION_JSON(teach),
    DC_OPTION_QUIET(teach),
};

static enum dc_status teach(const struct dc_cli *cli, struct dc_error *error)
{
    const struct teach *own = (const struct teach *)cli;
    struct dc_progress_view view = dc_progress_start(cli->quiet);
    const struct dc_run_options how = dc_cli_run_options(cli, &own->set, own->run, &own->job,
                                                         &view);
    struct dc_run *run = NULL;
    struct dc_teach_report report = {0};
    DC_TRY(dc_run_open(&run, &how, error));
    struct dc_stage *stage = NULL;
    enum dc_status status = DC_OK;
    if (own->stage)
        status = dc_want_stage(&stage, run->experiment, cli->positionals[0], own->stage, error);
    if (status == DC_OK)
        status = dc_run_teach(&report, run, stage, own->repair, error);
    dc_progress_clear(&view);
    dc_run_close(run);
    if (status == DC_OK && cli->json)
        return dc_cli_print_json(json_pack("{s:I, s:I, s:I, s:f}", "made", (json_int_t)report.made,
                                           "found", (json_int_t)report.found, "repaired",
                                           (json_int_t)report.repaired, "seconds", report.seconds),
                                 error);
    if (status == DC_OK)
        printf("%lld files made (%lld of them repaired), %lld were there, %.1f s\n",
               (long long)report.made, (long long)report.repaired, (long long)report.found,
               report.seconds);
    return status;
}

static void print_report(const char *folder, const struct dc_cache_report *r)
{
    printf("%s: %lld outputs of %lld files recomputed%s\n"
           "largest error of a logit %.3g (the largest is %.3g), mean %.3g; %lld outputs differ%s; "
           "%lld of %lld have another top class (%.2f %%)\n",
           folder, (long long)r->samples, (long long)r->shards,
           r->missing ? "; files are missing, decant teach makes them" : "", r->largest_error,
           r->largest_value, r->mean_error, (long long)r->different,
           r->exact ? "" : " (rounded to float16, or made on another instruction set)",
           (long long)r->disagreements, (long long)r->samples,
           r->samples ? 100.0 * (double)r->disagreements / (double)r->samples : 0.0);
}

enum dc_status dc_cli_verify_cache(const struct dc_cli *cli, const char *run, int64_t limit,
                                   struct dc_error *error)
{
    struct dc_progress_view view = dc_progress_start(true);
    const struct dc_run_options how = dc_cli_run_options(cli, NULL, run, NULL, &view);
    const char *folder = cli->positionals[0];
    struct dc_cache_report r = {0};
    DC_TRY(dc_run_verify_cache(&r, folder, &how, limit ? limit : 512, error));
    if (cli->json)
        DC_TRY(dc_cli_print_json(
            json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:I}", "samples", (json_int_t)r.samples,
                      "files", (json_int_t)r.shards, "missing", (json_int_t)r.missing, "different",
                      (json_int_t)r.different, "largest_error", r.largest_error, "mean_error",
                      r.mean_error, "disagreements", (json_int_t)r.disagreements),
            error));
    else
        print_report(folder, &r);
    if (r.samples == 0)
        return dc_fail(error, DC_ERR_DATA, "%s holds no whole epoch yet", folder);
    // float16 keeps 11 bits; other instruction sets add up in another order
    const double bound = r.exact ? 0.0 : 0x1p-10 * r.largest_value;
    if (r.largest_error > bound)
        return dc_fail(error, DC_ERR_VERIFY,
                       "%s does not hold what its teacher says: an error of %g, %g is allowed",
                       folder, r.largest_error, bound);
    return DC_OK;
}

const struct dc_verb dc_verb_teach = {
    .name = "teach",
    .arguments = "EXPERIMENT",
    .brief = "fill the soft-target caches of an experiment ahead of training",
    .text = "Runs the teachers of every stage that has a distill.cache over all views its training "
            "will see. What is there is kept; an interrupted start goes on, and several processes "
            "may fill one cache. A teacher that is trained must be done.",
    DC_VERB_OPTIONS(options, teach),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = teach,
};

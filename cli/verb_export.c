// `decant export` and `decant verify`: bundles.

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/file.h"
#include "export/formats.h"
#include "export/verify.h"
#include "run/run.h"

static enum dc_status export_stage(const struct dc_cli *cli, struct dc_error *error)
{
    struct dc_run *run = NULL;
    if (!cli->out || !cli->stage)
        return dc_fail(error, DC_ERR_USAGE, "decant export needs --stage NAME and --out DIR");
    DC_TRY(dc_cli_open_run(&run, cli, cli->positionals[0], error));
    const struct dc_stage *stage = dc_experiment_stage(run->experiment, cli->stage);
    const char *profile = cli->profile ? cli->profile : run->experiment->profile;
    json_t *result = json_object();
    enum dc_status status = DC_OK;
    if (stage && !stage->exports && dc_export_format_of_path(cli->out))
        status = dc_run_export_file(run, stage, profile, cli->out, error);
    else if (!stage || !stage->quantizes)
        status = dc_fail(error, DC_ERR_USAGE, "%s has no quantized stage '%s'", run->directory,
                         cli->stage);
    else
        status = dc_run_export(run, stage, profile, cli->out, NULL, 8, true, result, error);
    json_object_set_new(result, "out", json_string(cli->out));
    if (status == DC_OK)
        status = dc_cli_print_json(result, error);
    json_decref(result);
    dc_run_close(run);
    return status;
}

static enum dc_status verify(const struct dc_cli *cli, struct dc_error *error)
{
    const char *bundle = cli->positionals[0];
    char directory[4096];
    if (dc_run_is_cache(bundle))
        return dc_cli_verify_cache(cli, error);
    DC_TRY(dc_cli_run_of_bundle(directory, sizeof directory, cli, bundle, error));
    struct dc_run *run = NULL;
    struct dc_verify_report report = {0};
    DC_TRY(dc_cli_open_run(&run, cli, directory, error));
    const enum dc_status status = dc_run_verify(&report, run, bundle, cli->limit, error);
    dc_run_close(run);
    if (status == DC_OK && cli->json)
        printf("{\"samples\": %lld, \"bytes\": %lld, \"different\": %lld, \"vectors\": %lld, "
               "\"own_c_checked\": %s}\n",
               (long long)report.samples, (long long)report.bytes, (long long)report.different,
               (long long)report.vectors, report.other_writer[0] ? "false" : "true");
    else if (status == DC_OK)
        printf("%s: %lld samples, %lld bytes compared, all equal; %lld vectors replayed\n"
               "compiled with: %s\n",
               bundle, (long long)report.samples, (long long)report.bytes,
               (long long)report.vectors, report.compiler);
    if (status == DC_OK && !cli->json && report.other_writer[0])
        printf("the bundle's own C was not checked: written by version %s, this is %s\n",
               report.other_writer, DECANT_VERSION);
    return status;
}

const struct dc_verb dc_verb_export = {
    .name = "export",
    .arguments = "RUN --stage NAME --out DIR|FILE.onnx|FILE.tflite",
    .summary =
        "write a quantized stage as a bundle, and prove it on the test split\n\n"
        "Into FILE.onnx: the network of any stage as ONNX, floats or, of a quantized stage,\n"
        "int8 codes between QuantizeLinear and DequantizeLinear. Into FILE.tflite: the same as\n"
        "TFLite.",
    .options = "goftq",
    .positionals_min = 1,
    .positionals_max = 1,
    .run = export_stage,
};

const struct dc_verb dc_verb_verify = {
    .name = "verify",
    .arguments = "BUNDLE|CACHE",
    .summary =
        "prove that a bundle computes what the engine computes, a cache what its teacher\n\n"
        "Reads the bundle, replays its vectors, makes its C anew, compiles that and runs it\n"
        "against the integer engine on the test split: every output byte equal, and the\n"
        "bundle's own C the same, or exit code 4. Of a soft-target cache: recomputes --limit\n"
        "outputs (512) and compares.",
    .options = "rltjq",
    .positionals_min = 1,
    .positionals_max = 1,
    .run = verify,
};

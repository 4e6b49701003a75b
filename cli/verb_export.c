// `decant export` and `decant verify`: bundles.

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/file.h"
#include "export/verify.h"
#include "run/run.h"

struct export
{
    struct dc_cli cli;
    const char *stage, *out, *profile, *c_name;
};

static const struct dc_option export_options[] = {
    DC_OPTION_STAGE(export, "the stage of the run that is exported"),
    DC_OPTION(export, "--out", TEXT, out, "PATH",
              .help = "folder of the bundle, or a file whose name ends in .onnx or .tflite"),
    DC_OPTION_PROFILE(export),
    DC_OPTION(export, "--c-name", TEXT, c_name, "NAME",
              .help = "what the C and its files are called; else as the model"),
    DC_OPTION_THREADS(export),
    DC_OPTION_JSON(export),
    DC_OPTION_QUIET(export),
};

static void print_export(const struct export *own, const char *profile, const json_t *result)
{
    const json_t *proof = json_object_get(result, "verification"),
                 *memory = json_object_get(result, "memory"),
                 *time = json_object_get(result, "time");
    dc_print_sentence("%s: stage '%s'%s%s", own->out, own->stage, proof ? ", profile " : "",
                      proof ? profile : "");
    if (proof)
        printf("the compiled C equals the engine on %lld test samples (%lld bytes)\n",
               (long long)json_integer_value(json_object_get(proof, "samples")),
               (long long)json_integer_value(json_object_get(proof, "bytes")));
    if (memory) {
        printf("on a %s, %s, by the %s:\n", json_string_value(json_object_get(memory, "core")),
               json_string_value(json_object_get(memory, "optimize")),
               json_string_value(json_object_get(memory, "by")));
        dc_cli_print_memory(memory);
    }
    if (time)
        printf("  instructions %lld, by QEMU (not cycles)\n",
               (long long)json_integer_value(json_object_get(time, "instructions")));
    if (time && json_real_value(json_object_get(time, "latency_ms")) > 0.0)
        printf("  %.3g ms by the target's clock\n",
               json_real_value(json_object_get(time, "latency_ms")));
}

static enum dc_status export_stage(const struct dc_cli *cli, struct dc_error *error)
{
    const struct export *own = (const struct export *)cli;
    struct dc_run *run = NULL;
    if (!own->out || !own->stage)
        return dc_fail(error, DC_ERR_USAGE, "decant export needs --stage NAME and --out DIR");
    DC_TRY(dc_cli_open_run(&run, cli, cli->positionals[0], error));
    json_t *result = json_object();
    enum dc_status status = dc_run_export_to(result, run, own->stage, own->profile, own->out,
                                             own->c_name, error);
    if (status == DC_OK && cli->json)
        status = dc_cli_print_json(json_incref(result), error);
    else if (status == DC_OK)
        print_export(own, own->profile ? own->profile : run->experiment->profile, result);
    json_decref(result);
    dc_run_close(run);
    return status;
}

struct verify {
    struct dc_cli cli;
    const char *run, *rungs;
    int64_t limit;
};

static const struct dc_option verify_options[] = {
    DC_OPTION_RUN(verify, "run directory whose data is used; else the one the bundle lies in"),
    DC_OPTION(verify, "--rungs", TEXT, rungs, "NAMES",
              .help = "also host, qemu, runtimes, or single ones as gcc-O0,cortex-m4,rv32"),
    DC_OPTION_LIMIT(verify),
    DC_OPTION_THREADS(verify),
    DC_OPTION_JSON(verify),
    DC_OPTION_QUIET(verify),
};

// A line a rung: what was compared, what differs, and instructions where QEMU counted them.
static void print_rungs(const struct dc_verify_report *report)
{
    bool counted = false;
    printf("%-12s %8s %10s %10s %14s  %s\n", "rung", "samples", "bytes", "different",
           "instructions", "first layer");
    for (int i = 0; i < DC_RUNG_COUNT; i++) {
        const struct dc_rung_result *r = &report->rungs[i];
        if (r->outcome == DC_RUNG_NOT_ASKED)
            continue;
        printf("%-12s ", dc_rung_name((enum dc_rung)i));
        if (r->outcome == DC_RUNG_NOT_RUN || r->outcome == DC_RUNG_FAILED) {
            printf("%s: ", r->outcome == DC_RUNG_FAILED ? "failed" : "not run");
            dc_print_wrapped(r->why, 23, 13);
            continue;
        }
        printf("%8lld %10lld %10lld ", (long long)r->samples, (long long)r->bytes,
               (long long)r->different);
        if (r->instructions > 0.0)
            printf("%14.0f", r->instructions);
        else
            printf("%14s", "-");
        printf("  %s\n", r->layer[0] ? r->layer : r->why[0] ? r->why : "-");
        counted = counted || r->instructions > 0.0;
    }
    if (counted)
        printf("instructions: of an inference, on average, as QEMU counts them; not cycles\n");
}

static void print_unasked(const struct dc_verify_report *report)
{
    char text[512] = "rungs not run:";
    for (int i = 0; i < DC_RUNG_COUNT; i++)
        if (report->rungs[i].outcome == DC_RUNG_NOT_ASKED)
            snprintf(text + strlen(text), sizeof text - strlen(text), " %s",
                     dc_rung_name((enum dc_rung)i));
    dc_print_wrapped(text, 0, 2);
}

static void print_verify(const char *bundle, const struct dc_verify_report *report)
{
    dc_print_sentence("%s: %lld samples, %lld bytes compared, all equal; %lld vectors replayed",
                      bundle, (long long)report->samples, (long long)report->bytes,
                      (long long)report->vectors);
    dc_print_sentence("compiled with: %s", report->compiler);
    if (report->other_writer[0])
        printf("the bundle's own C was not checked: written by version %s, this is %s\n",
               report->other_writer, DECANT_VERSION);
    if (report->climbed)
        print_rungs(report);
    else
        print_unasked(report);
}

static enum dc_status verify(const struct dc_cli *cli, struct dc_error *error)
{
    const struct verify *own = (const struct verify *)cli;
    const char *bundle = cli->positionals[0];
    char directory[4096];
    bool rungs[DC_RUNG_COUNT];
    if (own->rungs)
        DC_TRY(dc_rungs_parse(rungs, own->rungs, error));
    if (own->rungs && dc_run_is_cache(bundle))
        return dc_fail(error, DC_ERR_USAGE, "%s is a soft-target cache, which has no rungs",
                       bundle);
    if (dc_run_is_cache(bundle))
        return dc_cli_verify_cache(cli, own->run, own->limit, error);
    if (dc_cli_has_file(bundle, "resolved.yaml"))
        return dc_fail(error, DC_ERR_USAGE,
                       "%s is a run directory, and verify takes a bundle: %s/bundle/STAGE", bundle,
                       bundle);
    DC_TRY(dc_run_of_bundle(directory, sizeof directory, own->run, bundle, error));
    struct dc_run *run = NULL;
    struct dc_verify_report report = {0};
    DC_TRY(dc_cli_open_run(&run, cli, directory, error));
    const enum dc_status status = dc_run_verify(&report, run, bundle, own->limit,
                                                own->rungs ? rungs : NULL, error);
    dc_run_close(run);
    if (status != DC_OK && !report.climbed)
        return status;
    if (cli->json)
        DC_TRY(dc_cli_print_json(dc_verify_json(&report), status == DC_OK ? error : NULL));
    else
        print_verify(bundle, &report);
    return status;
}

const struct dc_verb dc_verb_export = {
    .name = "export",
    .arguments = "RUN --stage NAME --out DIR|FILE.onnx|FILE.tflite",
    .brief = "write a quantized stage as a bundle, and prove it on the test split",
    .text =
        "Into FILE.onnx: the network of any stage as ONNX, floats or, of a quantized stage, int8 "
        "codes between QuantizeLinear and DequantizeLinear. Into FILE.tflite: the same as TFLite.",
    DC_VERB_OPTIONS(export_options, export),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = export_stage,
};

const struct dc_verb dc_verb_verify = {
    .name = "verify",
    .arguments = "BUNDLE|CACHE",
    .brief = "prove that a bundle computes what the integer engine does",
    .text =
        "Reads the bundle, replays its vectors, makes its C anew, compiles that and runs it "
        "against the integer engine on the test split: every output byte equal, and the bundle's "
        "own C the same, or exit code 4. Of a soft-target cache: recomputes --limit outputs "
        "(512) and compares.\n\n"
        "With --rungs the same C is also compiled and run elsewhere, on the vectors and the first "
        "--limit samples (20): on the host by gcc and clang at -O0 and -O3 and under the address "
        "and undefined-behaviour sanitizers, and by QEMU on emulated Cortex-M0 to M55 and RV32. "
        "Runtimes are LiteRT, TFLM and ONNX Runtime as Python packages: equal where the profile "
        "is theirs, counted elsewhere. "
        "Outputs are compared byte for byte, every layer by its CRC-32, and the first layer that "
        "differs is named. A rung that is asked for and cannot run gives exit code 1.",
    DC_VERB_OPTIONS(verify_options, verify),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = verify,
};

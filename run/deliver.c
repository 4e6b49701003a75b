// Owns what a command or a program asks for once a run is done: an export by its path, and the
// proof of a bundle.

#include <string.h>

#include "core/file.h"
#include "export/c_source.h"
#include "export/formats.h"
#include "export/verify.h"
#include "run/run.h"

enum { VECTORS = 8 };

bool dc_is_bundle(const char *path)
{
    char manifest[4096];
    const int length = snprintf(manifest, sizeof manifest, "%s/manifest.json", path);
    return length < (int)sizeof manifest && dc_file_exists(manifest);
}

enum dc_status dc_run_of_bundle(char *run, size_t size, const char *given, const char *bundle,
                                struct dc_error *error)
{
    snprintf(run, size, "%s", given ? given : bundle);
    for (size_t n = strlen(run); n > 1 && run[n - 1] == '/'; n = strlen(run))
        run[n - 1] = '\0';
    for (int up = 0; up < 2 && !given; up++) {
        char *slash = strrchr(run, '/');
        if (!slash)
            return dc_fail(error, DC_ERR_USAGE,
                           "%s does not lie in a run directory; name that with --run", bundle);
        *slash = '\0';
    }
    return DC_OK;
}

// A folder whose name ends nearly like a file's: x.onx.
static enum dc_status check_ending(const char *path, struct dc_error *error)
{
    static const char *const endings[] = {"onnx", "tflite"};
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    const char *near = dot && dot > slash ? dc_suggest(dot + 1, endings, 2, NULL) : NULL;
    if (!near || dc_export_format_of_path(path))
        return DC_OK;
    return dc_fail(error, DC_ERR_USAGE, "--out %s: no format ends like this; did you mean '.%s'?",
                   path, near);
}

enum dc_status dc_run_export_to(json_t *result, struct dc_run *run, const char *name,
                                const char *profile, const char *path, const char *c_name,
                                struct dc_error *error)
{
    const struct dc_export_spec how = {
        .c_name = c_name ? c_name : "", .vectors = VECTORS, .verify = true};
    struct dc_stage *stage = NULL;
    if (!dc_c_name_fits(how.c_name))
        return dc_fail(error, DC_ERR_USAGE, "--c-name %s: " DC_C_NAME_RULE, how.c_name);
    DC_TRY(check_ending(path, error));
    DC_TRY(dc_want_stage(&stage, run->experiment, run->directory, name, error));
    profile = profile ? profile : run->experiment->profile;
    json_object_set_new(result, "out", json_string(path));
    if (how.c_name[0] && dc_export_format_of_path(path))
        return dc_fail(error, DC_ERR_USAGE, "--c-name is for bundles, which hold C; %s is one file",
                       path);
    if (!stage->exports && dc_export_format_of_path(path))
        return dc_run_export_file(run, stage, profile, path, error);
    if (stage->exports)
        return dc_fail(error, DC_ERR_USAGE,
                       "stage '%s' of %s is an export, of stage '%s'; name that", name,
                       run->directory, stage->export.stage);
    if (!stage->quantizes)
        return dc_fail(error, DC_ERR_USAGE,
                       "stage '%s' of %s is not quantized: it can be written as a float network, "
                       "to FILE.onnx or FILE.tflite, and not as a bundle",
                       name, run->directory);
    return dc_run_export(run, stage, profile, path, &how, result, error);
}

static json_t *rung_json(const struct dc_rung_result *r)
{
    static const char *const outcomes[] = {[DC_RUNG_NOT_RUN] = "not run",
                                           [DC_RUNG_EQUAL] = "equal",
                                           [DC_RUNG_COUNTED] = "counted",
                                           [DC_RUNG_DIFFERENT] = "different",
                                           [DC_RUNG_FAILED] = "failed"};
    json_t *rung = json_pack("{s:s}", "outcome", outcomes[r->outcome]);
    if (r->why[0])
        json_object_set_new(rung, "why", json_string(r->why));
    if (r->outcome == DC_RUNG_NOT_RUN || r->outcome == DC_RUNG_FAILED)
        return rung;
    json_object_update_new(rung,
                           json_pack("{s:I, s:I, s:I}", "samples", (json_int_t)r->samples, "bytes",
                                     (json_int_t)r->bytes, "different", (json_int_t)r->different));
    if (r->first_layer >= 0)
        json_object_set_new(rung, "first_layer", json_string(r->layer));
    if (r->instructions > 0.0)
        json_object_set_new(rung, "instructions", json_integer((json_int_t)r->instructions));
    return rung;
}

json_t *dc_verify_json(const struct dc_verify_report *report)
{
    json_t *rungs = json_object();
    for (int r = 0; r < DC_RUNG_COUNT; r++)
        if (report->rungs[r].outcome != DC_RUNG_NOT_ASKED)
            json_object_set_new(rungs, dc_rung_name((enum dc_rung)r), rung_json(&report->rungs[r]));
    return json_pack("{s:I, s:I, s:I, s:I, s:b, s:o}", "samples", (json_int_t)report->samples,
                     "bytes", (json_int_t)report->bytes, "different", (json_int_t)report->different,
                     "vectors", (json_int_t)report->vectors, "own_c_checked",
                     report->other_writer[0] == '\0', "rungs", rungs);
}

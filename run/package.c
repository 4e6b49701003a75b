// Owns what a package takes from the results of the run that its bundle lies in.

#include "run/package.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "export/bundle.h"
#include "run/run.h"

// RUN/bundle/STAGE: the stage's results, and those of the network it exported.
static void take_results(struct dc_package *package, const char *bundle)
{
    char run[4096], path[4160];
    struct dc_error ignored;
    json_error_t problem;
    if (dc_run_of_bundle(run, sizeof run, NULL, bundle, &ignored) != DC_OK)
        return;
    const size_t length = strlen(bundle);
    const size_t end = length > 0 && bundle[length - 1] == '/' ? length - 1 : length;
    size_t start = end;
    while (start > 0 && bundle[start - 1] != '/')
        start--;
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)(end - start), bundle + start);
    snprintf(path, sizeof path, "%s/results.json", run);
    json_t *results = dc_json_read(path, &problem);
    const json_t *stages = json_object_get(results, "stages");
    const json_t *stage = json_object_get(stages, name);
    const char *core = json_string_value(json_object_get(json_object_get(stage, "memory"), "core"));
    const char *network = json_string_value(
        json_object_get(json_object_get(stage, "settings"), "export"));
    const json_t *accuracy = json_object_get(
        json_object_get(network ? json_object_get(stages, network) : NULL, "int8"), "accuracy");
    if (json_is_number(accuracy))
        package->accuracy = (uint32_t)lround(1e4 * json_number_value(accuracy));
    if (core && strlen(core) < sizeof package->core)
        snprintf(package->core, sizeof package->core, "%s", core);
    json_decref(results);
}

enum dc_status dc_run_package(struct dc_package *package, const char *bundle,
                              struct dc_error *error)
{
    struct dc_imodel *model = NULL;
    *package = (struct dc_package){.accuracy = DC_PACKAGE_NO_ACCURACY};
    DC_TRY(dc_bundle_read(&model, NULL, bundle, error));
    const enum dc_status status = dc_package_describe(package, model, error);
    dc_imodel_free(model);
    if (status == DC_OK)
        take_results(package, bundle);
    return status;
}

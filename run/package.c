// Owns what a package takes from the results of the run that its bundle lies in.

#include "run/package.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "export/bundle.h"
#include "run/run.h"

void dc_run_facts(struct dc_run_facts *facts, const char *bundle)
{
    char run[4096], path[4160], name[256];
    struct dc_error ignored;
    json_error_t problem;
    size_t end = strlen(bundle), start;
    *facts = (struct dc_run_facts){0};
    while (end > 1 && bundle[end - 1] == '/')
        end--;
    for (start = end; start > 0 && bundle[start - 1] != '/';)
        start--;
    if (dc_run_of_bundle(run, sizeof run, NULL, bundle, &ignored) != DC_OK)
        return;
    snprintf(name, sizeof name, "%.*s", (int)(end - start), bundle + start);
    snprintf(path, sizeof path, "%s/results.json", run);
    facts->results = dc_json_read(path, &problem);
    const json_t *stages = json_object_get(facts->results, "stages");
    facts->stage = json_object_get(stages, name);
    const char *network = json_string_value(
        json_object_get(json_object_get(facts->stage, "settings"), "export"));
    facts->network = network ? json_object_get(stages, network) : NULL;
}

void dc_run_facts_free(struct dc_run_facts *facts)
{
    json_decref(facts->results);
    *facts = (struct dc_run_facts){0};
}

static void take_results(struct dc_package *package, const char *bundle)
{
    struct dc_run_facts facts;
    dc_run_facts(&facts, bundle);
    const char *core = json_string_value(
        json_object_get(json_object_get(facts.stage, "memory"), "core"));
    const json_t *accuracy = json_object_get(json_object_get(facts.network, "int8"), "accuracy");
    if (json_is_number(accuracy))
        package->accuracy = (uint32_t)lround(1e4 * json_number_value(accuracy));
    if (core && strlen(core) < sizeof package->core)
        snprintf(package->core, sizeof package->core, "%s", core);
    dc_run_facts_free(&facts);
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

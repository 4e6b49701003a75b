// Owns what a bill of materials says. Values are strings, as CycloneDX wants figures.

#include "run/bom.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "run/package.h"

static const char schema[] = "http://cyclonedx.org/schema/bom-1.5.schema.json";

static void add_property(json_t *properties, const char *name, const char *value)
{
    json_array_append_new(properties, json_pack("{s:s, s:s}", "name", name, "value", value));
}

static void add_number(json_t *properties, const char *name, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.0f", value);
    add_property(properties, name, text);
}

// A figure between 0 and 1 with the bounds of 1.96 standard errors.
static void add_metric(json_t *metrics, const char *type, const json_t *results)
{
    const json_t *value = json_object_get(results, "accuracy"),
                 *error = json_object_get(results, "accuracy_error");
    char text[32], low[32], high[32];
    if (!json_is_number(value))
        return;
    const double accuracy = json_number_value(value), spread = 1.96 * json_number_value(error);
    snprintf(text, sizeof text, "%.6g", accuracy);
    snprintf(low, sizeof low, "%.6g", fmax(accuracy - spread, 0));
    snprintf(high, sizeof high, "%.6g", fmin(accuracy + spread, 1));
    json_array_append_new(metrics,
                          json_pack("{s:s, s:s, s:{s:s, s:s}}", "type", type, "value", text,
                                    "confidenceInterval", "lowerBound", low, "upperBound", high));
}

static json_t *describe_card(const struct dc_package *p, const struct dc_run_facts *facts)
{
    char input[64], output[64];
    json_t *metrics = json_array();
    snprintf(input, sizeof input, "int8 codes, %lld", (long long)p->input_bytes);
    snprintf(output, sizeof output, "int8 codes, %lld", (long long)p->output_bytes);
    add_metric(metrics, "accuracy, integers", json_object_get(facts->network, "int8"));
    add_metric(metrics, "accuracy, floats", json_object_get(facts->network, "float"));
    json_t *parameters = json_pack("{s:{s:s}, s:s, s:[{s:s}], s:[{s:s}]}", "approach", "type",
                                   "supervised", "modelArchitecture", p->name, "inputs", "format",
                                   input, "outputs", "format", output);
    const char *data = json_string_value(json_object_get(facts->results, "experiment"));
    if (parameters && data)
        json_object_set_new(parameters, "datasets",
                            json_pack("[{s:s, s:s}]", "type", "dataset", "name", data));
    return json_pack("{s:o, s:{s:o}}", "modelParameters", parameters, "quantitativeAnalysis",
                     "performanceMetrics", metrics);
}

static json_t *describe_model(const struct dc_package *p, const struct dc_run_facts *facts)
{
    static const uint8_t none[DC_PACKAGE_HASH];
    char version[16], hash[2 * DC_PACKAGE_HASH + 1];
    json_t *properties = json_array();
    snprintf(version, sizeof version, "%u", p->version);
    add_property(properties, "decant:profile", p->profile);
    if (p->core[0])
        add_property(properties, "decant:core", p->core);
    add_property(properties, "decant:payload", dc_payload_names[p->kind - 1]);
    add_number(properties, "decant:arena_bytes", (double)p->arena_bytes);
    add_number(properties, "decant:minimum_firmware", p->minimum_firmware);
    add_number(properties, "decant:floor", p->floor);
    static const char *const counts[] = {"parameters", "macs", "weight_bytes"};
    for (int i = 0; i < 3; i++) {
        char name[32];
        const json_t *count = json_object_get(facts->network, counts[i]);
        snprintf(name, sizeof name, "decant:%s", counts[i]);
        if (json_is_number(count))
            add_number(properties, name, json_number_value(count));
    }
    const char *content = json_string_value(json_object_get(facts->results, "content_hash"));
    if (content)
        add_property(properties, "decant:run", content);
    if (memcmp(p->parent, none, sizeof none) != 0)
        add_property(properties, "decant:parent", dc_package_hex(hash, p->parent, DC_PACKAGE_HASH));
    return json_pack("{s:s, s:s, s:s, s:s, s:[{s:s, s:s}], s:o, s:o}", "type",
                     "machine-learning-model", "bom-ref", "network", "name", p->name, "version",
                     version, "hashes", "alg", "SHA-256", "content",
                     dc_package_hex(hash, p->hash, DC_PACKAGE_HASH), "modelCard",
                     describe_card(p, facts), "properties", properties);
}

enum dc_status dc_run_bom(json_t **bom, const struct dc_package *package, const char *bundle,
                          struct dc_error *error)
{
    struct dc_run_facts facts;
    dc_run_facts(&facts, bundle);
    *bom = json_pack("{s:s, s:s, s:s, s:i, s:{s:{s:[{s:s, s:s, s:s}]}}, s:[o]}", "$schema", schema,
                     "bomFormat", "CycloneDX", "specVersion", "1.5", "version", 1, "metadata",
                     "tools", "components", "type", "application", "name", "decant", "version",
                     DECANT_VERSION, "components", describe_model(package, &facts));
    dc_run_facts_free(&facts);
    return *bom ? DC_OK : dc_fail(error, DC_ERR_MEMORY, "out of memory");
}

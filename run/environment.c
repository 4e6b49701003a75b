// Owns env.json: where and with what a run was made.

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "core/file.h"
#include "core/json.h"
#include "data/open.h"
#include "run/report.h"
#include "run/run_internal.h"

#ifndef DECANT_COMMIT
#define DECANT_COMMIT "unknown"
#endif

#define BLAS_CORE "off (own kernels)"

static void cpu_name(char name[128])
{
    snprintf(name, 128, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            snprintf(name, 128, "%.120s", colon + 2);
            name[strcspn(name, "\n")] = '\0';
            break;
        }
    }
    if (file)
        fclose(file);
}

// What bits depend on beside the settings: a run that goes on with another has those of neither.
static enum dc_status check_same_bits(const struct dc_run *run, const json_t *before,
                                      struct dc_error *error)
{
    const char *isa = dc_isa_name(run->ctx->isa);
    const struct {
        const char *key, *now, *name, *advice;
    } things[] = {
        {"version", DECANT_VERSION, "version", ""},
        {"instruction_set", isa, "instruction set", "; DECANT_ISA keeps the first"},
        {"blas", BLAS_CORE, "BLAS core", ""},
    };
    for (size_t i = 0; i < sizeof things / sizeof things[0]; i++) {
        const char *was = json_string_value(json_object_get(before, things[i].key));
        if (!was || strcmp(was, things[i].now) == 0)
            continue;
        if (run->strict)
            return dc_fail(error, DC_ERR_CONFIG,
                           "%s began with %s %.64s, and this is %s: bits may differ, which "
                           "--strict refuses%s",
                           run->directory, things[i].name, was, things[i].now, things[i].advice);
        dc_log(run->ctx, DC_LOG_WARNING,
               "this run began with %s %.64s and goes on with %s: its bits may be those of "
               "neither%s",
               things[i].name, was, things[i].now, things[i].advice);
    }
    return DC_OK;
}

enum dc_status dc__check_environment(struct dc_run *run, struct dc_error *error)
{
    struct dc_data_change change;
    char *path = dc__path(run, "env.json", error);
    char *checkpoints = dc__path(run, "checkpoints", error);
    if (!path || !checkpoints)
        return DC_ERR_MEMORY;
    if (!dc_file_exists(path) || !dc_file_exists(checkpoints))
        return DC_OK;
    json_error_t problem;
    json_t *before = dc_json_read(path, &problem);
    const char *hash = json_string_value(json_object_get(before, "train_data_hash"));
    const char *isa = json_string_value(json_object_get(before, "instruction_set"));
    enum dc_status status = DC_OK;
    if (!hash || !isa)
        status = dc_fail(error, DC_ERR_DATA,
                         "%s: damaged: it does not name the training data's hash", path);
    else if (dc_run_data_changed(&change, run, before, DC_SPLIT_TRAIN) ||
             dc_run_data_changed(&change, run, before, DC_SPLIT_TEST))
        status = dc_fail(error, DC_ERR_DATA,
                         "%s: the %s data has changed since this run began (%s: hash %s, now "
                         "%s); bring it back, or start in a new run directory with --run",
                         run->experiment->data.path, change.split, path, change.then, change.now);
    else
        status = check_same_bits(run, before, error);
    json_decref(before);
    return status;
}

static void add_samples(json_t *object, const struct dc_source *source)
{
    json_t *dims = json_array(), *names = json_array();
    for (int i = 0; i < source->sample.rank; i++)
        json_array_append_new(dims, json_integer(source->sample.dims[i]));
    for (int i = 0; source->class_names && i < source->classes; i++)
        json_array_append_new(names, json_string(source->class_names[i]));
    json_object_set_new(object, "sample", dims);
    json_object_set_new(object, "sample_type",
                        json_string(source->dtype == DC_U8 ? "uint8" : "float32"));
    json_object_set_new(object, "class_names", names);
}

static enum dc_status read_samples(struct dc_preprocessing *p, struct dc_shape *sample,
                                   const json_t *object, struct dc_arena *arena,
                                   struct dc_error *error)
{
    const json_t *dims = json_object_get(object, "sample");
    const json_t *names = json_object_get(object, "class_names");
    const json_t *normalization = json_object_get(object, "normalization");
    const json_t *mean = json_object_get(normalization, "mean");
    const json_t *deviation = json_object_get(normalization, "deviation");
    const char *type = json_string_value(json_object_get(object, "sample_type"));
    const size_t channels = json_array_size(mean);
    *p = (struct dc_preprocessing){.bytes = type && !strcmp(type, "uint8") &&
                                            json_array_size(dims) == 3 &&
                                            channels <= DC_NORMALIZATION_CHANNELS,
                                   .normalization.channels = (int)channels,
                                   .classes = (int)json_array_size(names)};
    if (!p->bytes)
        return DC_OK;
    *sample = (struct dc_shape){.rank = 3};
    for (int i = 0; i < 3; i++)
        sample->dims[i] = json_integer_value(json_array_get(dims, (size_t)i));
    for (size_t c = 0; c < channels; c++) {
        p->normalization.mean[c] = (float)json_number_value(json_array_get(mean, c));
        p->normalization.deviation[c] = (float)json_number_value(json_array_get(deviation, c));
    }
    const char **list = DC_NEW(arena, const char *, p->classes, error);
    if (!list)
        return DC_ERR_MEMORY;
    for (int i = 0; i < p->classes; i++) {
        const char *name = json_string_value(json_array_get(names, (size_t)i));
        list[i] = dc_arena_copy(arena, name ? name : "", error);
        if (!list[i])
            return DC_ERR_MEMORY;
    }
    p->class_names = list;
    if (dc_preprocessing_fault(p, (int)sample->dims[0], (int)sample->dims[1], (int)sample->dims[2],
                               p->classes))
        p->bytes = false;
    return DC_OK;
}

enum dc_status dc__read_samples(struct dc_preprocessing *p, struct dc_shape *sample,
                                struct dc_run *run, struct dc_error *error)
{
    json_error_t problem;
    const char *path = dc__path(run, "env.json", error);
    *p = (struct dc_preprocessing){0};
    if (!path)
        return DC_ERR_MEMORY;
    json_t *object = dc_json_read(path, &problem);
    const enum dc_status status = read_samples(p, sample, object, run->arena, error);
    json_decref(object);
    return status;
}

enum dc_status dc__write_environment(struct dc_run *run, struct dc_error *error)
{
    char cpu[128], stamp[32], libraries[64];
    dc_photo_libraries(libraries);
    cpu_name(cpu);
    const time_t seconds = time(NULL);
    struct tm utc;
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:I, s:I}", "version", DECANT_VERSION,
        "commit", DECANT_COMMIT, "compiler", __VERSION__, "cpu", cpu, "instruction_set",
        dc_isa_name(run->ctx->isa), "blas", BLAS_CORE, "threads", run->ctx->threads, "chunks",
        run->ctx->chunks, "photo_libraries", libraries, "started", stamp, "train_samples",
        (json_int_t)run->train_count, "validation_samples", (json_int_t)run->validation_count);
    json_t *mean = json_array(), *deviation = json_array();
    for (int c = 0; c < run->normalization.channels; c++) {
        json_array_append_new(mean, json_real((double)run->normalization.mean[c]));
        json_array_append_new(deviation, json_real((double)run->normalization.deviation[c]));
    }
    char *path = dc__path(run, "env.json", error);
    enum dc_status status = path ? DC_OK : DC_ERR_MEMORY;
    for (int s = 0; object && s < DC_SPLITS; s++) {
        struct dc_data_change change;
        dc_run_data_changed(&change, run, NULL, (enum dc_split)s);
        json_object_set_new(object, dc__hash_keys[s], json_string(change.now));
    }
    if (object)
        json_object_set_new(object, "normalization",
                            json_pack("{s:o, s:o}", "mean", mean, "deviation", deviation));
    if (object)
        add_samples(object, run->train_source);
    if (path)
        status = object ? dc_report_write(path, object, error)
                        : dc_fail(error, DC_ERR_MEMORY, "out of memory");
    json_decref(object);
    return status;
}

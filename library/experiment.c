// Owns experiments of libdecant.

#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "library/internal.h"

static char *copy_text(const char *text, struct dc_error *error)
{
    char *copy = dc_alloc(strlen(text) + 1, error);
    return copy ? memcpy(copy, text, strlen(text) + 1) : NULL;
}

// The text is kept even where it comes from a file, which may be another by the time it runs.
static enum dc_status keep_text(decant_experiment *e, const char *text, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    char *read = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = text ? DC_OK
                                 : dc_file_read(&read, NULL, e->experiment->path, arena, error);
    if (status == DC_OK && !(e->text = copy_text(text ? text : read, error)))
        status = DC_ERR_MEMORY;
    dc_arena_free(arena);
    if (status == DC_OK && !(e->file = copy_text(e->experiment->path, error)))
        status = DC_ERR_MEMORY;
    return status;
}

static enum dc_status read_all(decant_experiment *e, const char *text, const char *file,
                               const char *const *settings, int count, struct dc_error *error)
{
    e->settings = dc_alloc(sizeof *e->settings * (size_t)(count + 1), error);
    if (!e->settings)
        return DC_ERR_MEMORY;
    for (; e->count < count; e->count++)
        if (!(e->settings[e->count] = copy_text(settings[e->count], error)))
            return DC_ERR_MEMORY;
    DC_TRY(dc_experiment_parse(&e->experiment, text, file, settings, count, error));
    return keep_text(e, text, error);
}

static decant_code read_experiment(decant_experiment **experiment, const char *text,
                                   const char *file, const char *const *settings, int count,
                                   decant_error *error)
{
    struct dc_error own = {0};
    *experiment = NULL;
    if (!file || count < 0 || (count > 0 && !settings))
        return dc__refuse(error, "an experiment needs a file, and settings where it has a count");
    decant_experiment *e = dc_alloc(sizeof *e, &own);
    const enum dc_status status = e ? read_all(e, text, file, settings, count, &own)
                                    : DC_ERR_MEMORY;
    if (status == DC_OK)
        *experiment = e;
    else
        decant_experiment_free(e);
    return dc__give_error(error, status, &own);
}

decant_code decant_experiment_read(decant_experiment **experiment, const char *file,
                                   const char *const *settings, int count, decant_error *error)
{
    return read_experiment(experiment, NULL, file, settings, count, error);
}

decant_code decant_experiment_parse(decant_experiment **experiment, const char *text,
                                    const char *file, const char *const *settings, int count,
                                    decant_error *error)
{
    *experiment = NULL;
    if (!text)
        return dc__refuse(error, "there is no text of an experiment");
    return read_experiment(experiment, text, file, settings, count, error);
}

void decant_experiment_free(decant_experiment *e)
{
    if (!e)
        return;
    for (int i = 0; i < e->count; i++)
        free(e->settings[i]);
    free(e->settings);
    free(e->text);
    free(e->file);
    dc_experiment_free(e->experiment);
    free(e);
}

const char *decant_experiment_name(const decant_experiment *e)
{
    return e->experiment->name;
}

int decant_experiment_stage_count(const decant_experiment *e)
{
    return e->experiment->stage_count;
}

const char *decant_experiment_stage(const decant_experiment *e, int index)
{
    return index >= 0 && index < e->experiment->stage_count ? e->experiment->stages[index].name
                                                            : NULL;
}

decant_code decant_experiment_resolve(const decant_experiment *e, char **yaml, decant_error *error)
{
    struct dc_text_buffer text = {0};
    struct dc_error own = {0};
    dc_experiment_write(&text, e->experiment);
    *yaml = text.failed ? NULL : copy_text(text.text ? text.text : "", &own);
    dc_text_free(&text);
    return dc__give_error(error, *yaml ? DC_OK : dc_fail(&own, DC_ERR_MEMORY, "out of memory"),
                          &own);
}

decant_code decant_experiment_check(decant_experiment *e, char **json, decant_error *error)
{
    struct dc_error own = {0};
    json_t *report = NULL;
    if (json)
        *json = NULL;
    enum dc_status status = dc_run_check(e->experiment, &report, &own);
    if (status == DC_OK)
        status = dc__give_json(json, report, &own);
    return dc__give_error(error, status, &own);
}

// Owns the context of libdecant, its error codes, and how results and failures are handed out.

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "library/internal.h"

// The codes are the library's own, so that those of the program may change; the rows say which.
static const struct {
    decant_code code;
    const char *name;
} codes[] = {
    [DC_OK] = {DECANT_OK, "ok"},
    [DC_ERR_USAGE] = {DECANT_USAGE, "usage"},
    [DC_ERR_CONFIG] = {DECANT_CONFIG, "config"},
    [DC_ERR_DATA] = {DECANT_DATA, "data"},
    [DC_ERR_IO] = {DECANT_IO, "io"},
    [DC_ERR_MEMORY] = {DECANT_MEMORY, "memory"},
    [DC_ERR_NUMERIC] = {DECANT_NUMERIC, "numeric"},
    [DC_ERR_BUDGET] = {DECANT_BUDGET, "budget"},
    [DC_ERR_VERIFY] = {DECANT_VERIFICATION, "verification"},
    [DC_ERR_STOPPED] = {DECANT_STOPPED, "stopped"},
    [DC_ERR_INTERNAL] = {DECANT_INTERNAL, "internal"},
};
static_assert(sizeof((decant_error *)0)->message == DC_ERROR_BYTES, "the same room for messages");
static_assert(sizeof codes / sizeof codes[0] == DC_STATUS_COUNT, "a code a status");

const char *decant_version(void)
{
    return DECANT_VERSION;
}

const char *decant_code_name(decant_code code)
{
    for (size_t i = 0; i < DC_STATUS_COUNT; i++)
        if (codes[i].code == code)
            return codes[i].name;
    return "unknown";
}

void decant_free(void *text)
{
    free(text);
}

decant_code dc__give_error(decant_error *to, enum dc_status status, const struct dc_error *from)
{
    const decant_code code = codes[status].code;
    if (to) {
        to->code = code;
        to->message[0] = '\0';
        if (status != DC_OK)
            memcpy(to->message, from->message, sizeof to->message);
    }
    return code;
}

decant_code dc__refuse(decant_error *to, const char *message)
{
    struct dc_error error = {0};
    return dc__give_error(to, dc_fail(&error, DC_ERR_USAGE, "%s", message), &error);
}

enum dc_status dc__give_json(char **text, json_t *json, struct dc_error *error)
{
    char *dump = json && text ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    const bool failed = !json || (text && !dump);
    json_decref(json);
    if (text)
        *text = dump;
    return failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory") : DC_OK;
}

decant_code decant_context_create(decant_context **context, decant_error *error)
{
    struct dc_error own = {0};
    *context = dc_alloc(sizeof **context, &own);
    return dc__give_error(error, *context ? DC_OK : DC_ERR_MEMORY, &own);
}

void decant_context_free(decant_context *context)
{
    free(context);
}

decant_code decant_context_set_threads(decant_context *context, int threads, decant_error *error)
{
    if (threads < 0 || threads > DC_THREADS_MAX)
        return dc__refuse(error, "threads are 1 to 4096, or 0 for all that the process may use");
    context->threads = threads;
    return dc__give_error(error, DC_OK, NULL);
}

void decant_context_set_log(decant_context *context, decant_log_callback *callback, void *user)
{
    context->log = callback;
    context->log_user = user;
}

void decant_context_set_progress(decant_context *context, decant_progress_callback *callback,
                                 void *user)
{
    context->progress = callback;
    context->progress_user = user;
}

void decant_context_stop(decant_context *context)
{
    context->stop = 1;
}

void decant_context_unstop(decant_context *context)
{
    context->stop = 0;
}

static void write_log(void *user, enum dc_log_level level, const char *line)
{
    const decant_context *context = user;
    if (context->log && level != DC_LOG_DEBUG)
        context->log(context->log_user,
                     level == DC_LOG_WARNING ? DECANT_LOG_WARNING : DECANT_LOG_INFO, line);
}

struct dc_ctx_config dc__context_config(decant_context *context)
{
    return (struct dc_ctx_config){
        .threads = context->threads, .log = {write_log, context}, .stop = &context->stop};
}

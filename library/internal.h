// What the handles of decant.h hold. Internal to library/.

#ifndef DC_LIBRARY_INTERNAL_H
#define DC_LIBRARY_INTERNAL_H

#include <jansson.h>

#include "core/context.h"
#include "library/decant.h"
#include "run/asked.h"
#include "run/run.h"

struct decant_context {
    int threads;
    decant_log_callback *log;
    void *log_user;
    decant_progress_callback *progress;
    void *progress_user;
    volatile sig_atomic_t stop;
};

// What was given stays, so that a run reads the same again.
struct decant_experiment {
    struct dc_experiment *experiment;
    char *text, *file;
    char **settings;  // [count]
    int count;
};

struct decant_run {
    struct dc_run *run;
    struct dc_run_options options;  // of the experiment below; of a run that was loaded, empty
    decant_experiment *experiment;
};

struct decant_network {
    struct dc_asked asked;
    struct dc_arena *arena;
    struct dc_ctx *own;  // of a bundle; of a run's the run's is used
    const volatile sig_atomic_t *stop;
};

// Context settings of what is opened now.
struct dc_ctx_config dc__context_config(decant_context *context);

// Hands a failure to the caller.
decant_code dc__give_error(decant_error *to, enum dc_status status, const struct dc_error *from);
decant_code dc__refuse(decant_error *to, const char *message);
// Takes the reference; *text (NULL: it is not wanted) is the caller's.
DC_MUST_USE enum dc_status dc__give_json(char **text, json_t *json, struct dc_error *error);

#endif

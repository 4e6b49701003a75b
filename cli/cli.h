// The command line: arguments in, messages out. Results go to stdout, people's messages to stderr.

#ifndef DC_CLI_CLI_H
#define DC_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "run/run.h"

enum { DC_OVERRIDES_MAX = 64, DC_POSITIONALS_MAX = 32 };

// Every option of every verb; a verb says which it takes.
struct dc_cli {
    const char *positionals[DC_POSITIONALS_MAX];
    int positional_count;
    const char *overrides[DC_OVERRIDES_MAX];
    int override_count;
    const char *run, *stage, *data, *split, *out, *profile;
    const char *model, *mode, *augment, *source;
    int64_t threads, limit, batch, windows;
    double seconds;
    bool json, quiet, help, table, frozen, unfolded, repair, quantization;
    char given[64];  // letters of the options that were there
};

struct dc_verb {
    const char *name, *arguments, *summary;
    const char *options;  // letters of the option table in cli.c that it takes
    int positionals_min, positionals_max;
    enum dc_status (*run)(const struct dc_cli *cli, struct dc_error *error);
};

extern const struct dc_verb dc_verb_run, dc_verb_check, dc_verb_train, dc_verb_eval,
    dc_verb_predict, dc_verb_export, dc_verb_verify, dc_verb_data, dc_verb_inspect, dc_verb_bench,
    dc_verb_teach, dc_verb_report, dc_verb_compare;

DC_MUST_USE enum dc_status dc_cli_parse(struct dc_cli *cli, const struct dc_verb *verb, int argc,
                                        char **argv, struct dc_error *error);
// Of the verb's options that were given, only these letters fit `what`; else DC_ERR_USAGE.
DC_MUST_USE enum dc_status dc_cli_only(const struct dc_cli *cli, const char *what,
                                       const char *letters, struct dc_error *error);
void dc_cli_help(const struct dc_verb *verb);

bool dc_cli_has_file(const char *directory, const char *name);
// Indented, with a newline, to stdout. NULL is DC_ERR_IO too.
DC_MUST_USE enum dc_status dc_cli_print_json(const json_t *json, struct dc_error *error);

// Opens a run directory to evaluate or export.
DC_MUST_USE enum dc_status dc_cli_open_run(struct dc_run **run, const struct dc_cli *cli,
                                           const char *directory, struct dc_error *error);
// The run directory that a bundle belongs to: --run, or for RUN/bundle/STAGE the RUN.
DC_MUST_USE enum dc_status dc_cli_run_of_bundle(char *run, size_t size, const struct dc_cli *cli,
                                                const char *bundle, struct dc_error *error);

// `decant verify` of a soft-target cache.
DC_MUST_USE enum dc_status dc_cli_verify_cache(const struct dc_cli *cli, struct dc_error *error);

// Context settings of the options: threads, and a log to stderr unless quiet.
struct dc_ctx_config dc_cli_context(const struct dc_cli *cli);

// The flag that SIGINT, SIGTERM, SIGUSR1 and SIGHUP raise from now on, for work that ends in order;
// what the caller's parent ignores, as nohup ignores SIGHUP, stays ignored.
const volatile sig_atomic_t *dc_cli_stop(void);

#endif

// The command line: arguments in, messages out. Results go to stdout, people's messages to stderr.

#ifndef DC_CLI_CLI_H
#define DC_CLI_CLI_H

#include "cli/options.h"
#include "run/run.h"

extern const struct dc_verb dc_verb_run, dc_verb_check, dc_verb_train, dc_verb_eval,
    dc_verb_predict, dc_verb_export, dc_verb_verify, dc_verb_data, dc_verb_inspect, dc_verb_bench,
    dc_verb_teach, dc_verb_report, dc_verb_compare, dc_verb_list, dc_verb_keys, dc_verb_init,
    dc_verb_package, dc_verb_sweep, dc_verb_collect, dc_verb_submit;

// verbs.c: what the program says of itself, in its help, its manual page and its completions.
extern const struct dc_verb *const dc_verbs[];  // NULL behind the last
extern const char dc_cli_about[];               // two lines
enum { DC_EXIT_CODES = 6 };
struct dc_exit_code {
    int code;
    const char *text;
};
extern const struct dc_exit_code dc_exit_codes[DC_EXIT_CODES];

bool dc_cli_has_file(const char *directory, const char *name);
// Indented, with a newline, to stdout; takes the reference. NULL is DC_ERR_MEMORY.
DC_MUST_USE enum dc_status dc_cli_print_json(json_t *json, struct dc_error *error);
// Text for people to stdout; frees the buffer.
DC_MUST_USE enum dc_status dc_cli_print_text(struct dc_text_buffer *text, struct dc_error *error);

// What a quantized network takes of a board, part by part: two lines and those that they go on in.
void dc_cli_print_memory(const json_t *memory);

// Opens a run directory to evaluate or export.
DC_MUST_USE enum dc_status dc_cli_open_run(struct dc_run **run, const struct dc_cli *cli,
                                           const char *directory, struct dc_error *error);

// `decant verify` of a soft-target cache. limit 0: 512 outputs.
DC_MUST_USE enum dc_status dc_cli_verify_cache(const struct dc_cli *cli, const char *run,
                                               int64_t limit, struct dc_error *error);

// Context settings of the options: threads, and a log to stderr unless quiet.
struct dc_ctx_config dc_cli_context(const struct dc_cli *cli);

// The flag that SIGINT, SIGTERM, SIGUSR1 and SIGHUP raise from now on, for work that ends in order;
// what the caller's parent ignores, as nohup ignores SIGHUP, stays ignored.
const volatile sig_atomic_t *dc_cli_stop(void);
// And one more: of dc_stop_signals.
void dc_cli_stop_by(const char *name);

#endif

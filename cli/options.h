// Options of the command line: one table a verb drives parsing, defaults, suggestions and help.
//
// A verb has a struct of its own that begins with a struct dc_cli, and a table that says which
// option fills which of its members. Nothing here knows what an option means.

#ifndef DC_CLI_OPTIONS_H
#define DC_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "export/serial.h"

enum dc_option_type {
    DC_OPTION_TEXT,      // const char *: any text but an empty one
    DC_OPTION_WORD,      // const char *: one of `choices`
    DC_OPTION_COUNT,     // int64_t: 1 to `most`
    DC_OPTION_REAL,      // double: above 0, up to `most`
    DC_OPTION_FLAG,      // bool: takes no value
    DC_OPTION_SETTINGS,  // struct dc_settings: may be given several times
};

enum { DC_SETTINGS_MAX = 64, DC_POSITIONALS_MAX = 4096 };

struct dc_settings {
    int count;
    const char *items[DC_SETTINGS_MAX];
};

struct dc_option {
    const char *name, *argument;  // "--limit", "N"; the argument of a flag is NULL
    enum dc_option_type type;
    size_t offset;         // in the verb's struct
    const char *fallback;  // the default as text; NULL: 0, NULL or false
    double most;
    const char *const *choices;  // NULL-terminated
    const char *of;    // first arguments that it is for: "step, infer"; NULL: it is for all
    const char *help;  // a sentence without its full stop
};

// A row; what follows the argument are designated fields, the help at least.
#define DC_OPTION(owner, name_, type_, member, argument_, ...)                                     \
    {                                                                                              \
        .name = (name_), .type = DC_OPTION_##type_, .offset = offsetof(struct owner, member),      \
        .argument = (argument_), __VA_ARGS__                                                       \
    }

// What every verb takes: arguments in order, and the options that mean the same wherever they are.
struct dc_cli {
    const char *positionals[DC_POSITIONALS_MAX];
    int positional_count;
    int64_t threads;  // 0: not said
    bool json, quiet, help;
    const char *command;  // all of it, as a shell would read it
};

// Rows that verbs share; the owner's first member is `struct dc_cli cli`.
#define DC_OPTION_THREADS(owner)                                                                   \
    DC_OPTION(owner, "--threads", COUNT, cli.threads, "N", .most = DC_THREADS_MAX,                 \
              .help = "threads; else what this process may use")
#define DC_OPTION_JSON(owner)                                                                      \
    DC_OPTION(owner, "--json", FLAG, cli.json, NULL, .help = "one JSON document on stdout")
#define DC_OPTION_QUIET(owner)                                                                     \
    DC_OPTION(owner, "--quiet", FLAG, cli.quiet, NULL, .help = "no progress and no log on stderr")
#define DC_OPTION_SET(owner)                                                                       \
    DC_OPTION(owner, "--set", SETTINGS, set, "KEY=VALUE",                                          \
              .help = "another value of a key of the experiment, as "                              \
                      "stages.alone.train.epochs=1; may be given several times")
// A device on a serial line: member `line`, of struct dc_serial_options.
#define DC_OPTIONS_DEVICE(owner, of_, help_)                                                       \
    DC_OPTION(owner, "--device", TEXT, line.port, "PORT", .of = (of_), .help = (help_)),           \
        DC_OPTION(owner, "--baud", COUNT, line.baud, "N", .of = (of_), .most = 4000000,            \
                  .fallback = "115200", .help = "speed of the serial line"),                       \
        DC_OPTION(owner, "--timeout", REAL, line.timeout, "S", .of = (of_), .most = 86400,         \
                  .fallback = "30", .help = "how long the device may take for an answer")
#define DC_OPTION_LIMIT(owner)                                                                     \
    DC_OPTION(owner, "--limit", COUNT, limit, "N", .most = DC_SAMPLES_MAX,                         \
              .help = "only the first N samples")
#define DC_OPTION_STAGE(owner, help_)                                                              \
    DC_OPTION(owner, "--stage", TEXT, stage, "NAME", .help = (help_))
#define DC_OPTION_RUN(owner, help_) DC_OPTION(owner, "--run", TEXT, run, "DIR", .help = (help_))
#define DC_OPTION_PROFILE(owner)                                                                   \
    DC_OPTION(owner, "--profile", TEXT, profile, "NAME",                                           \
              .help = "arithmetic profile other than the experiment's, as tflm")

// What the verbs that work on a run for long have in common, as struct dc_job job.
struct dc_job {
    const char *signal;
    bool strict, break_lock;
};
extern const char *const dc_stop_signals[];
#define DC_OPTION_JOB(owner)                                                                       \
    DC_OPTION(owner, "--signal", WORD, job.signal, "NAME", .choices = dc_stop_signals,             \
              .help = "another signal that ends it with a checkpoint, beside INT, TERM, HUP and "  \
                      "USR1"),                                                                     \
        DC_OPTION(owner, "--strict", FLAG, job.strict, NULL,                                       \
                  .help = "refuse to go on with another version, instruction set or BLAS core"),   \
        DC_OPTION(owner, "--break-lock", FLAG, job.break_lock, NULL,                               \
                  .help = "go on where a decant of another machine died")

#define DC_SAMPLES_MAX 1099511627776.0  // 2^40: products with sizes still fit 64 bits

struct dc_verb {
    const char *name, *arguments;
    const char *brief;  // one line of `decant help`, without its full stop
    const char *text;   // paragraphs of `decant help VERB` behind it, broken as they stand; or NULL
    const struct dc_option *options;  // beside --help, which every verb has
    int option_count;
    size_t size;  // of the verb's own struct
    int positionals_min, positionals_max;
    enum dc_status (*run)(const struct dc_cli *cli, struct dc_error *error);
};

#define DC_VERB_OPTIONS(table, owner)                                                              \
    .options = (table), .option_count = (int)(sizeof(table) / sizeof(table)[0]),                   \
    .size = sizeof(struct owner)

// Fills the verb's struct, whose first member is *cli, with defaults and then with what was given.
DC_MUST_USE enum dc_status dc_options_parse(struct dc_cli *cli, const struct dc_verb *verb,
                                            int argc, char **argv, struct dc_error *error);

// Words up to a newline, to stdout, in lines of up to 80 columns: they begin in `column`, further
// lines in `indent`.
void dc_print_wrapped(const char *text, int column, int indent);

// The same of a sentence, with printf's format and without its newline.
void dc_print_sentence(const char *format, ...) DC_PRINTF(1, 2);

// A message and a newline to stderr; on a terminal, its lines are broken likewise.
void dc_print_error(const char *message);

void dc_print_name(const char *name, int columns);  // dc_text_append_name

// To stdout, in lines of up to 80 columns.
void dc_options_help(const struct dc_verb *verb);

#endif

// Owns the list of verbs and what the program says of itself. Help, manual page and completions are
// made from it.

#include "cli/cli.h"

const struct dc_verb *const dc_verbs[] = {
    &dc_verb_init,    &dc_verb_run,    &dc_verb_check,
    &dc_verb_train,   &dc_verb_teach,  &dc_verb_eval,
    &dc_verb_predict, &dc_verb_export, &dc_verb_verify,
    &dc_verb_package, &dc_verb_data,   &dc_verb_inspect,
    &dc_verb_list,    &dc_verb_bench,  &dc_verb_report,
    &dc_verb_compare, &dc_verb_sweep,  &dc_verb_collect,
    &dc_verb_submit,  &dc_verb_keys,   NULL,
};

const char dc_cli_about[] =
    "Decant pours a large network into a small one: knowledge distillation and\n"
    "quantization-aware training, experiment file in, verified int8 out.";

const struct dc_exit_code dc_exit_codes[DC_EXIT_CODES] = {
    {0, "ok"},
    {1, "failed"},
    {2, "usage or configuration"},
    {3, "budget broken"},
    {4, "verification failed"},
    {85, "stopped by a signal: start it again and it goes on"},
};

// Owns `decant keys`: the keys of experiment, target and model files, as they are decoded.

#include "cli/cli.h"
#include <string.h>

#include "core/suggest.h"
#include "run/reference.h"

struct keys_options {
    struct dc_cli cli;
    bool markdown;
};

static const struct dc_option options[] = {
    DC_OPTION(keys_options, "--markdown", FLAG, markdown, NULL,
              .help = "tables, as the pages in docs/ have them"),
};

enum { WORDS_MAX = 2048 };

static enum dc_status run_keys(const struct dc_cli *cli, struct dc_error *error)
{
    const struct keys_options *o = (const struct keys_options *)cli;
    const char *words[WORDS_MAX];
    int count = dc_reference_words(words, WORDS_MAX, false);
    struct dc_text_buffer out = {0};
    char hint[DC_HINT];
    if (cli->positional_count == 0) {
        dc_text_append(&out, "decant keys WORD tells the keys of\n");
        int column = 0;
        for (int i = 0; i < count; i++) {
            const int length = (int)strlen(words[i]);
            const bool fits = column > 0 && column + 2 + length < 80;
            dc_text_append(&out, fits ? ", %s" : column ? ",\n  %s" : "  %s", words[i]);
            column = fits ? column + 2 + length : 2 + length;
        }
        dc_text_append(&out, "\n'experiment', 'target' and 'model' are whole files.\n");
    }
    for (int i = 0; i < cli->positional_count; i++) {
        if (dc_reference_write(&out, cli->positionals[i], o->markdown))
            continue;
        dc_text_free(&out);
        count += dc_reference_words(words + count, WORDS_MAX - count, true);
        return dc_fail(error, DC_ERR_USAGE, "nothing is called '%s' in experiments and models%s",
                       cli->positionals[i],
                       dc_did_you_mean(hint, cli->positionals[i], words, count));
    }
    return dc_cli_print_text(&out, error);
}

const struct dc_verb dc_verb_keys = {
    .name = "keys",
    .arguments = "[WORD ...]",
    .brief = "keys of experiment, target and model files: decant keys train",
    .text = "WORD is experiment, target or model for all keys of such a file, or a part of one: "
            "train, distill, quantize, kd, conv ... or a key, for its row wherever there is one. "
            "Without "
            "a word, all parts.",
    DC_VERB_OPTIONS(options, keys_options),
    .positionals_max = 16,
    .run = run_keys,
};

// The mistakes that people make who come from other tools: each file of tests/run/mistakes holds
// one, and says in its first line where it is and what is to be said of it:
//     # expect: LINE:COLUMN TEXT
// Experiments are checked, the files of models/ inspected, those of targets/ named by an
// experiment; those named ok... are without a mistake. DECANT_SHOW=1 prints every message.

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/suggest.h"
#include "data/augment.h"
#include "data/open.h"
#include "qat/profile.h"
#include "run/experiment_schema.h"
#include "run/layer.h"
#include "run/target.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

#define MISTAKES DECANT_SOURCE_DIR "/tests/run/mistakes"

static struct outcome outcome;

// Lines are broken where they get long; what is said does not change by that.
static void unfold(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++)
        if ((*from != ' ' && *from != '\n') || (to > text && to[-1] != ' '))
            *to++ = *from == '\n' ? ' ' : *from;
    *to = '\0';
}

// Of the line below the excerpt: the column that the caret stands below, from 1.
static int caret_column(const char *message)
{
    const char *excerpt = strchr(message, '\n');
    const char *below = excerpt ? strchr(excerpt + 1, '\n') : NULL;
    const char *caret = below ? strchr(below, '^') : NULL;
    return caret ? (int)(caret - below) - 8 : 0;
}

static void run_check(const char *folder, const char *path)
{
    if (strcmp(folder, "models/") == 0) {
        DECANT(&outcome, NULL, "inspect", path);
    } else if (strcmp(folder, "targets/") == 0) {
        char set[600];
        snprintf(set, sizeof set, "target=%s", path);
        DECANT(&outcome, NULL, "check", MISTAKES "/ok.yaml", "--set", set);
    } else {
        DECANT(&outcome, NULL, "check", path);
    }
}

static void check_mistake(const char *folder, const char *name)
{
    char path[512], place[600], text[256] = "";
    int line = 0, column = 0;
    snprintf(path, sizeof path, "%s/%s%s", MISTAKES, folder, name);
    char *file = tiny_read(path, NULL);
    assert_non_null(file);
    const int read = sscanf(file, "# expect: %d:%d %255[^\n]", &line, &column, text);
    free(file);
    run_check(folder, path);
    if (getenv("DECANT_SHOW"))
        fprintf(stderr, "\n-- %s%s\n%s", folder, name, outcome.err);
    if (strncmp(name, "ok", 2) == 0) {
        if (outcome.exit_code != 0)
            fail_msg("%s: exit %d: %s", path, outcome.exit_code, outcome.err);
        return;
    }
    if (read != 3)
        fail_msg("%s does not say what to expect of it", path);
    if (outcome.exit_code != 2 || outcome.out[0])
        fail_msg("%s: exit %d: %s%s", path, outcome.exit_code, outcome.out, outcome.err);
    snprintf(place, sizeof place, "%s:%d:%d: error: ", path, line, column);
    if (strncmp(outcome.err, place, strlen(place)) != 0)
        fail_msg("%s:%d:%d is not where the message is: %s", path, line, column, outcome.err);
    assert_int_equal(caret_column(outcome.err), column);
    unfold(outcome.err);
    if (!strstr(outcome.err, text))
        fail_msg("%s: no \"%s\" in: %s", path, text, outcome.err);
}

static void each_mistake_is_told(void **state)
{
    (void)state;
    static const char *const folders[] = {"", "models/", "targets/"};
    int count = 0;
    for (int f = 0; f < 3; f++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", MISTAKES, folders[f]);
        DIR *entries = opendir(path);
        assert_non_null(entries);
        for (const struct dirent *entry; (entry = readdir(entries));) {
            const char *dot = strrchr(entry->d_name, '.');
            if (!dot || strcmp(dot, ".yaml") != 0)
                continue;
            check_mistake(folders[f], entry->d_name);
            count += strncmp(entry->d_name, "ok", 2) != 0;
        }
        closedir(entries);
    }
    assert_true(count >= 60);
}

static const struct command_case {
    const char *arguments[6];
    int exit_code;
    const char *text;
} commands[] = {
    {{"resume", "e.yaml"}, 2, "no verb 'resume'; Decant calls it 'run'"},
    {{"evaluate", "run"}, 2, "no verb 'evaluate'; Decant calls it 'eval'"},
    {{"fit", "e.yaml"}, 2, "no verb 'fit'; Decant calls it 'train'"},
    {{"convert", "run"}, 2, "no verb 'convert'; Decant calls it 'export'"},
    {{"info", "m.onnx"}, 2, "no verb 'info'; Decant calls it 'inspect'"},
    {{"Run", "e.yaml"}, 2, "did you mean 'run'?"},
    {{"e.yaml"}, 2, "decant run e.yaml"},
    {{"run", "e.yaml", "--device", "cuda"}, 2, "Decant computes on the CPU"},
    {{"run", "e.yaml", "--workers=4"}, 2, "no option '--workers'; Decant calls it '--threads'"},
    {{"run", "e.yaml", "--output_dir", "x"}, 2, "Decant calls it '--run'"},
    {{"run", "e.yaml", "-o", "x"}, 2, "no option '-o'"},
    {{"run", "e.yaml", "--epochs", "3"}, 2, "--set stages.STAGE.train.epochs=VALUE"},
    {{"run", "e.yaml", "--lr=0.1"}, 2, "--set stages.STAGE.train.learning_rate=VALUE"},
    {{"run", "e.yaml", "--seed", "2"}, 2, "--set seed=VALUE"},
    {{"run", "e.yaml", "--verbose"}, 2, "log.txt of the run"},
    {{"eval", "run", "--split", "val"}, 2, "--split may be train, test, not 'val'"},
    {{"run", "nofile.yaml"}, 2, "there is no experiment 'nofile.yaml'"},
    {{"check", "modle.yaml"}, 2, "did you mean 'model.yaml'?"},
    {{"data", "jpeg:photos"}, 1, "no kind of data 'jpeg'"},
    {{"data", "dta"}, 1, "did you mean 'data'?"},
    {{"check", "tiny.yaml", "--set", "stages.student.train.lr=1"}, 2, "'learning_rate'"},
    {{"check", "tiny.yaml", "--set", "train.epochs=3"}, 2, "'train' is a key of a stage"},
    {{"train", "tiny.yaml", "studnet"}, 2, "did you mean 'student'?"},
    {{"teach", "tiny.yaml", "--stage", "taecher"}, 2, "there are: teacher, student, quantized"},
    {{"eval", "run/tniy"}, 2, "run/tniy is not a run directory: there is none"},
    {{"eval", "dat"}, 2, "did you mean 'data'?"},
};

static void each_wrong_command_is_told(void **state)
{
    (void)state;
    const struct child here = {.folder = test_folder()};
    tiny_files();
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const struct command_case *c = &commands[i];
        run_decant(&outcome, &here, c->arguments);
        if (getenv("DECANT_SHOW"))
            fprintf(stderr, "\n-- %s %s\n%s", c->arguments[0], c->arguments[1], outcome.err);
        unfold(outcome.err);
        if (outcome.exit_code != c->exit_code || !strstr(outcome.err, c->text) || outcome.out[0])
            fail_msg("%s %s %s: exit %d, no \"%s\" in: %s", c->arguments[0],
                     c->arguments[1] ? c->arguments[1] : "", c->arguments[2] ? c->arguments[2] : "",
                     outcome.exit_code, c->text, outcome.err);
    }
    test_folder_remove();
}

// Whether a schema, or one within it, has the key or the choice.
static bool schema_has(const struct dc_schema *schema, const char *word)
{
    for (int i = 0; i < schema->count; i++) {
        const struct dc_field *field = &schema->fields[i];
        const bool nested = field->type == DC_FIELD_GROUP || field->type == DC_FIELD_OPTIONAL;
        if (strcmp(field->key, word) == 0 || (nested && schema_has(field->group, word)))
            return true;
        for (int c = 0; field->choices && field->choices[c]; c++)
            if (strcmp(field->choices[c], word) == 0)
                return true;
    }
    return false;
}

static bool layers_have(const char *word)
{
    const char *names[64];
    const int count = dc_layer_names(names, 64);
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], word) == 0 || schema_has(&dc_layer_find(names[i])->keys, word))
            return true;
    return false;
}

static bool losses_have(const char *word)
{
    bool found = schema_has(&dc_term_schema, word) || schema_has(&dc_feature_schema, word);
    for (int i = 0; dc_term_kinds[i]; i++)
        found = found || strcmp(dc_term_kinds[i]->name, word) == 0 ||
                schema_has(&dc_term_kinds[i]->keys, word);
    return found;
}

// What no schema holds: verbs, options, formats, and words that code compares.
static bool is_other(const char *word)
{
    static const char *const others[] = {
        "train",   "run",  "eval",  "predict", "export",  "bench",      "inspect", "check",
        "teach",   "data", "--out", "--run",   "--set",   "--threads",  "--quiet", "--stage",
        "--limit", "std",  "c",     "bundle",  "tflite",  "repeat",     "input",   "parameters",
        "layers",  "from", "true",  "false",   "weights", "activations"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(others[i], word) == 0)
            return true;
    for (const char *const *kind = dc_source_kinds(); *kind; kind++)
        if (strcmp(*kind, word) == 0)
            return true;
    return dc_augmentation_find(word) || dc_profile_find(word);
}

// A key that was renamed, or a kind that went, must not be what people are sent to.
static void synonyms_lead_to_words_that_there_are(void **state)
{
    (void)state;
    int count = 0;
    for (const struct dc_synonym *row = dc_synonyms; row->words; row++, count++) {
        const char *word = row->ours;
        if (word && !schema_has(&dc__experiment_schema, word) &&
            !schema_has(&dc__stage_schema, word) && !schema_has(&dc__target_schema, word) &&
            !layers_have(word) && !losses_have(word) && !is_other(word))
            fail_msg("'%s', which '%s' leads to, is no word of Decant's", word, row->words);
        assert_true(word || row->note);
    }
    assert_true(count > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_told),
        cmocka_unit_test(each_wrong_command_is_told),
        cmocka_unit_test(synonyms_lead_to_words_that_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

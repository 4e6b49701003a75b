// Checksums of event files against RFC 3720, and model cards: what markup in names becomes, and
// that an author's words stay. tests/interop/check_report has TensorBoard and Hugging Face's
// library read them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/yaml.h"
#include "report/card.h"
#include "report/events.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static struct outcome outcome;
static char root[512];

// RFC 3720, B.4, and the check value of the catalogue of CRCs.
static void crc32c(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(dc_crc32c(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(dc_crc32c(bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(dc_crc32c(bytes, 32), 0x46dd794e);
    assert_int_equal(dc_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(dc_crc32c("", 0), 0);
}

static void markdown(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"plain-name 1.5", "plain-name 1.5"},           {"a*b_c`d", "a\\*b\\_c\\`d"},
        {"[x](javascript:1)", "\\[x\\](javascript:1)"}, {"<img src=x>", "&lt;img src=x\\>"},
        {"a|b\n# c & d", "a\\|b \\# c &amp; d"},        {"![x] \\", "\\!\\[x\\] \\\\"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dc_text_buffer out = {0};
        dc_markdown_text(&out, cases[i][0]);
        assert_string_equal(out.text, cases[i][1]);
        dc_text_free(&out);
    }
}

static char *read_card(void)
{
    char *card = tiny_read(test_path("run/model-card.md"), NULL);
    assert_non_null(card);
    return card;
}

// libfyaml reads what stands between the dashes; a name full of YAML comes back as it was.
static void front_matter_is_yaml(void **state)
{
    (void)state;
    struct dc_arena *arena = NULL;
    struct dc_error error;
    const struct dc_yaml *root_node = NULL;
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    char *card = read_card();
    char *end = strstr(card, "\n---\n");
    assert_int_equal(strncmp(card, "---\n", 4), 0);
    assert_non_null(end);
    end[1] = '\0';
    if (dc_yaml_parse(&root_node, card + 4, "card", arena, &error) != DC_OK)
        fail_msg("%s", error.message);
    const struct dc_yaml *entry = dc_yaml_get(root_node, "model-index")->items[0];
    assert_string_equal(dc_yaml_get(entry, "name")->text, "it's: \"#1\" - [x]");
    const struct dc_yaml *result = dc_yaml_get(entry, "results")->items[0];
    const struct dc_yaml *metrics = dc_yaml_get(result, "metrics");
    assert_int_equal(metrics->count, 1);  // the teacher alone is done
    assert_string_equal(dc_yaml_get(metrics->items[0], "name")->text, "teacher, float32");
    assert_string_equal(dc_yaml_get(dc_yaml_get(result, "dataset"), "name")->text, "data");
    free(card);
    dc_arena_free(arena);
}

static void an_authors_words_stay(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    char *before = read_card();
    DECANT(&outcome, &here, "report", "run", "--quiet");
    assert_int_equal(outcome.exit_code, 0);
    char *again = read_card();
    assert_string_equal(before, again);
    char *mine = strstr(again, "The run does not know them.");
    assert_non_null(mine);
    memcpy(mine, "For sorting shirts, only..", 26);
    tiny_text(test_path("run/model-card.md"), again);
    DECANT(&outcome, &here, "report", "run");
    assert_int_equal(outcome.exit_code, 0);
    assert_non_null(strstr(outcome.err, "was changed by hand and stays"));
    char *kept = read_card();
    assert_string_equal(kept, again);
    assert_int_equal(remove(test_path("run/model-card.md")), 0);
    DECANT(&outcome, &here, "report", "run", "--quiet");
    free(again);
    again = read_card();
    assert_string_equal(again, before);
    free(before);
    free(again);
    free(kept);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "train", "tiny.yaml", "teacher", "--run", "run", "--set",
           "name='it''s: \"#1\" - [x]'");
    if (outcome.exit_code != 0)
        fail_msg("%s", outcome.err);
    DECANT(&outcome, &here, "report", "run", "--quiet");
    return outcome.exit_code;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c),
        cmocka_unit_test(markdown),
        cmocka_unit_test(front_matter_is_yaml),
        cmocka_unit_test(an_authors_words_stay),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

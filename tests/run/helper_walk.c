#include "tests/run/helper_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"

struct outcome outcome;
char root[512];

int walk_set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    return 0;
}

int walk_tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

void walk(const char *environment, const char *const *arguments)
{
    const struct child how = {.folder = root, .environment = environment};
    run_decant(&outcome, &how, arguments);
}

void walk_good(const char *environment, const char *const *arguments)
{
    walk(environment, arguments);
    if (outcome.exit_code != 0)
        fail_msg("%s %s: exit %d: %s", arguments[0], arguments[1] ? arguments[1] : "",
                 outcome.exit_code, outcome.err);
}

void holds(const char *file, const char *words)
{
    char *text = tiny_read(test_path(file), NULL);
    if (!text || !strstr(text, words))
        fail_msg("no '%s' in %s: %s", words, file, text ? text : "there is none");
    free(text);
}

void printed(const char *words)
{
    if (!strstr(outcome.out, words))
        fail_msg("no '%s' in: %s", words, outcome.out);
}

// Bytes that continue a character of UTF-8 take no column.
static int columns_of(const char *line, size_t length)
{
    int columns = 0;
    for (size_t i = 0; i < length; i++)
        columns += ((unsigned char)line[i] & 0xc0) != 0x80;
    return columns;
}

void fits_a_terminal(const char *name, const char *but)
{
    char line[4096];
    for (const char *at = outcome.out; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        const size_t length = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, at);
        if (columns_of(at, length) > 80 && !(but && strstr(line, but)))
            fail_msg("%s: %d columns: %s", name, columns_of(at, length), line);
    }
}

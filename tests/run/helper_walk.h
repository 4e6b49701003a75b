// Commands one after the other in the test's folder, where the tiny experiment lies, as a user
// gives them. A test program walks once: its last outcome and its folder are shared by its cases.

#ifndef DC_TESTS_RUN_HELPER_WALK_H
#define DC_TESTS_RUN_HELPER_WALK_H

#include "tests/run/helper_process.h"

extern struct outcome outcome;  // of the last command
extern char root[512];          // the folder

// The folder with tiny_files() in it, and away with it: for cmocka_run_group_tests.
int walk_set_up(void **state);
int walk_tear_down(void **state);

void walk(const char *environment, const char *const *arguments);

// A command that must succeed, and one that must fail with this exit code and words.
#define GOOD(...) walk_good(NULL, (const char *const[]){__VA_ARGS__, NULL})
#define GOOD_UNDER(environment, ...)                                                               \
    walk_good(environment, (const char *const[]){__VA_ARGS__, NULL})
#define BAD(code, words, ...)                                                                      \
    do {                                                                                           \
        walk(NULL, (const char *const[]){__VA_ARGS__, NULL});                                      \
        assert_outcome(&outcome, words, code, (const char *const[OUTCOME_WORDS]){words});          \
    } while (0)
void walk_good(const char *environment, const char *const *arguments);

// What a file of the folder, or the last command's stdout, must say.
void holds(const char *file, const char *words);
void printed(const char *words);

// Every line of the last command's stdout has 80 columns at most; `but` (or NULL) in one excuses
// it: a path, which nothing can shorten.
void fits_a_terminal(const char *name, const char *but);

#endif

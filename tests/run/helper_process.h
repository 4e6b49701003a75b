// The decant binary as a child process.

#ifndef DC_TESTS_RUN_HELPER_PROCESS_H
#define DC_TESTS_RUN_HELPER_PROCESS_H

#include <stddef.h>

struct child {
    const char *environment;  // "NAME=VALUE" set for the child, or NULL
    int signal;               // sent after `delay`, or 0
    long delay;               // microseconds
    const char *after;        // a file that must be there first, for a minute; NULL: none
    size_t file_limit;        // files cannot grow past it, as if the disk were full; 0: they can
    const char *folder;       // where it runs; NULL: here
};

struct outcome {
    int exit_code;  // -1: ended by `signal`
    int signal;
    double seconds;
    char out[32768], err[32768];  // cut where longer
};

// arguments: without the program's name, NULL behind the last. how may be NULL.
void run_decant(struct outcome *outcome, const struct child *how, const char *const *arguments);

// `decant run FILE --run DIRECTORY`, with its messages on stderr where it fails. Returns its exit
// code, as a set_up does.
int run_whole(struct outcome *outcome, const struct child *how, const char *file,
              const char *directory);

enum { OUTCOME_WORDS = 4 };

// Exit code and words in stderr, NULL behind the last; else the test fails with the case's name.
// DECANT_SHOW=1 prints every message.
void assert_outcome(const struct outcome *outcome, const char *name, int exit_code,
                    const char *const words[OUTCOME_WORDS]);

#define DECANT(outcome, how, ...)                                                                  \
    run_decant((outcome), (how), (const char *const[]){__VA_ARGS__, NULL})

#endif

// Status codes and error messages.
//
// Every fallible function of Decant returns `enum dc_status` and takes a `struct dc_error *` as its
// last parameter. The callee writes the message; a caller that knows more prepends context with
// DC_TRY_IN. A message that concerns a user's file carries file:line:column and, where the
// line is at hand, an excerpt with a caret. Message content is undefined on success.
//
// The caller owns the struct; NULL is allowed everywhere and drops the message.
// Misuse of the API asserts; what comes from files, configurations or the allocator is an error.

#ifndef DC_CORE_ERROR_H
#define DC_CORE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define DC_MUST_USE             __attribute__((warn_unused_result))
#define DC_PRINTF(index, first) __attribute__((format(printf, index, first)))

enum dc_status {
    DC_OK = 0,
    DC_ERR_USAGE,    // the command line is wrong
    DC_ERR_CONFIG,   // an experiment, model or target file is wrong
    DC_ERR_DATA,     // a data file is missing, damaged or does not fit
    DC_ERR_IO,       // the operating system refused: full disk, permissions
    DC_ERR_MEMORY,   // the allocator refused
    DC_ERR_NUMERIC,  // NaN or Inf where training cannot go on
    DC_ERR_BUDGET,   // a target's budget is broken
    DC_ERR_VERIFY,   // an export does not equal the engine
    DC_ERR_STOPPED,  // a signal asked to stop; a checkpoint was written
    DC_ERR_INTERNAL,
    DC_STATUS_COUNT
};

enum { DC_ERROR_BYTES = 4096 };

struct dc_error {
    enum dc_status status;
    char message[DC_ERROR_BYTES];
};

// A place in a user's file. Lines and columns count from 1; 0 means unknown.
// excerpt: the text of the line, or NULL; marked: how many columns the caret underlines.
struct dc_location {
    const char *file;
    int line, column;
    const char *excerpt;
    int marked;
};

// Set the message; return `status`, so that `return dc_fail(...)` reads well.
enum dc_status dc_fail(struct dc_error *error, enum dc_status status, const char *format, ...)
    DC_PRINTF(3, 4);

// The same with the place first:  FILE:LINE:COLUMN: error: MESSAGE, then the excerpt and caret.
// hint (may be NULL) is printed behind the caret; note (may be NULL) on a line of its own.
enum dc_status dc_fail_at(struct dc_error *error, enum dc_status status,
                          const struct dc_location *where, const char *hint, const char *note,
                          const char *format, ...) DC_PRINTF(6, 7);

// Prepend "CONTEXT: " to the message, unless it starts with a place in a file: that one leads.
enum dc_status dc_context(enum dc_status status, struct dc_error *error, const char *format, ...)
    DC_PRINTF(3, 4);

// Whether the message starts with a place in a file.
bool dc_error_has_place(const struct dc_error *error);

// clang's analyzer sees one file at a time; it is told that the status given is the one returned.
#if defined(__clang_analyzer__) && !defined(DC_ERROR_OWNER)
#define dc_fail(error, status, ...)    (dc_fail(error, status, __VA_ARGS__), (status))
#define dc_fail_at(error, status, ...) (dc_fail_at(error, status, __VA_ARGS__), (status))
#define dc_context(status, error, ...) (dc_context(status, error, __VA_ARGS__), (status))
#endif

// The exit code of the command line for a status: 0 ok, 1 failed, 2 configuration, 3 budget,
// 4 verification, 85 stopped with a checkpoint.
int dc_exit_code(enum dc_status status);

// Forward a failure.
#define DC_TRY(expression)                                                                         \
    do {                                                                                           \
        enum dc_status dc_status__ = (expression);                                                 \
        if (dc_status__ != DC_OK)                                                                  \
            return dc_status__;                                                                    \
    } while (0)

// Forward a failure and say what this level was doing.
#define DC_TRY_IN(expression, error, ...)                                                          \
    do {                                                                                           \
        enum dc_status dc_status__ = (expression);                                                 \
        if (dc_status__ != DC_OK)                                                                  \
            return dc_context(dc_status__, (error), __VA_ARGS__);                                  \
    } while (0)

#endif

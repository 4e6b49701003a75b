// Owns the text of error messages. No memory is allocated here: a message that does not fit is cut.

#define DC_ERROR_OWNER
#include "core/error.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS = 79 };

static size_t append(char *buffer, size_t used, const char *format, ...) DC_PRINTF(3, 4);

static size_t append(char *buffer, size_t used, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int wrote = vsnprintf(buffer + used, DC_ERROR_BYTES - used, format, args);
    va_end(args);
    if (wrote < 0)
        return used;
    const size_t end = used + (size_t)wrote;
    return end < DC_ERROR_BYTES ? end : DC_ERROR_BYTES - 1;
}

enum dc_status dc_fail(struct dc_error *error, enum dc_status status, const char *format, ...)
{
    assert(status != DC_OK);
    if (!error)
        return status;
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    error->status = status;
    return status;
}

// The words of a note below, in lines that fit a terminal.
static size_t append_note(char *buffer, size_t used, const char *note)
{
    const int indent = 7;
    int column = COLUMNS;
    while (note && *note) {
        const int length = (int)strcspn(note, " ");
        if (column + 1 + length > COLUMNS) {
            used = append(buffer, used, "\n%*s", indent, "");
            column = indent;
        } else {
            used = append(buffer, used, " ");
            column++;
        }
        used = append(buffer, used, "%.*s", length, note);
        column += length;
        note += length + (note[length] == ' ');
    }
    return used;
}

// The offending line under the message, with a caret below the marked columns.
static size_t append_excerpt(char *buffer, size_t used, const struct dc_location *where,
                             const char *hint)
{
    used = append(buffer, used, "\n%5d | %s\n      | ", where->line, where->excerpt);
    const int length = (int)strlen(where->excerpt);
    for (int i = 1; i < where->column; i++) {
        const bool tab = i <= length && where->excerpt[i - 1] == '\t';
        used = append(buffer, used, "%c", tab ? '\t' : ' ');
    }
    used = append(buffer, used, "^");
    for (int i = 1; i < where->marked; i++)
        used = append(buffer, used, "~");
    const int behind = 8 + where->column + (where->marked > 1 ? where->marked - 1 : 0);
    if (hint && behind + (int)strlen(hint) <= COLUMNS)
        return append(buffer, used, " %s", hint);
    return hint ? append_note(buffer, used, hint) : used;
}

enum dc_status dc_fail_at(struct dc_error *error, enum dc_status status,
                          const struct dc_location *where, const char *hint, const char *note,
                          const char *format, ...)
{
    assert(status != DC_OK);
    if (!error)
        return status;
    char *out = error->message;
    size_t used = append(out, 0, "%s:", where->file ? where->file : "<text>");
    if (where->line > 0)
        used = append(out, used, "%d:%d:", where->line, where->column);
    used = append(out, used, " error: ");
    va_list args;
    va_start(args, format);
    const int wrote = vsnprintf(out + used, DC_ERROR_BYTES - used, format, args);
    va_end(args);
    used = wrote < 0 || used + (size_t)wrote >= DC_ERROR_BYTES ? strlen(out) : used + (size_t)wrote;
    if (where->excerpt && where->line > 0)
        used = append_excerpt(out, used, where, hint);
    else if (hint)
        used = append(out, used, " (%s)", hint);
    append_note(out, used, note);
    error->status = status;
    return status;
}

bool dc_error_has_place(const struct dc_error *error)
{
    return strstr(error->message, ": error: ") != NULL;
}

enum dc_status dc_context(enum dc_status status, struct dc_error *error, const char *format, ...)
{
    if (!error || dc_error_has_place(error))
        return status;
    char context[512];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    char old[DC_ERROR_BYTES];
    memcpy(old, error->message, sizeof old);
    append(error->message, append(error->message, 0, "%s: ", context), "%s", old);
    return status;
}

int dc_exit_code(enum dc_status status)
{
    static const int codes[] = {
        [DC_OK] = 0,         [DC_ERR_USAGE] = 2,    [DC_ERR_CONFIG] = 2,   [DC_ERR_DATA] = 1,
        [DC_ERR_IO] = 1,     [DC_ERR_MEMORY] = 1,   [DC_ERR_NUMERIC] = 1,  [DC_ERR_BUDGET] = 3,
        [DC_ERR_VERIFY] = 4, [DC_ERR_STOPPED] = 85, [DC_ERR_INTERNAL] = 1,
    };
    static_assert(sizeof codes / sizeof codes[0] == DC_STATUS_COUNT, "one exit code per status");
    return codes[status];
}

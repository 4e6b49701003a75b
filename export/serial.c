// Owns the serial line to a device: how it is opened, and how a command is sent and answered.

#include "export/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/clock.h"

enum {
    LINE_BYTES = 256,  // of a command that brings bytes: twice as many digits
    POLL_MS = 50,
    GREETINGS = 5,  // attempts to get the first answer
};
static const double greeting_seconds = 2.0;  // each, at most

static const struct {
    int64_t baud;
    speed_t speed;
} speeds[] = {{9600, B9600},       {19200, B19200},     {38400, B38400},     {57600, B57600},
              {115200, B115200},   {230400, B230400},   {460800, B460800},   {500000, B500000},
              {576000, B576000},   {921600, B921600},   {1000000, B1000000}, {1500000, B1500000},
              {2000000, B2000000}, {3000000, B3000000}, {4000000, B4000000}};

static enum dc_status find_speed(speed_t *speed, int64_t baud, struct dc_error *error)
{
    const size_t count = sizeof speeds / sizeof *speeds;
    char all[160] = "";
    for (size_t i = 0; i < count; i++) {
        const size_t used = strlen(all);
        if (speeds[i].baud == baud) {
            *speed = speeds[i].speed;
            return DC_OK;
        }
        snprintf(all + used, sizeof all - used, "%s%lld", i ? ", " : "", (long long)speeds[i].baud);
    }
    return dc_fail(error, DC_ERR_USAGE, "--baud %lld is no speed of a serial line; there are %s",
                   (long long)baud, all);
}

static enum dc_status open_line(struct dc_serial *s, struct dc_error *error)
{
    const char *port = s->options.port;
    struct termios line;
    speed_t speed = B115200;
    DC_TRY(find_speed(&speed, s->options.baud, error));
    s->file = open(port, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (s->file < 0)
        return dc_fail(error, DC_ERR_IO, "cannot open %s: %s%s", port, strerror(errno),
                       errno == EACCES ? "; members of the group dialout may, on Debian" : "");
    if (tcgetattr(s->file, &line) != 0)
        return dc_fail(error, DC_ERR_IO, "%s is no serial line", port);
    if (ioctl(s->file, TIOCEXCL) != 0)
        return dc_fail(error, DC_ERR_IO, "cannot have %s alone: %s", port, strerror(errno));
    s->before = line;
    s->set = true;
    cfmakeraw(&line);
    line.c_cflag |= CLOCAL | CREAD;
    line.c_cflag &= ~(tcflag_t)(CSTOPB | CRTSCTS);
    if (cfsetspeed(&line, speed) != 0 || tcsetattr(s->file, TCSANOW, &line) != 0)
        return dc_fail(error, DC_ERR_IO, "cannot set %s to %lld baud: %s", port,
                       (long long)s->options.baud, strerror(errno));
    tcflush(s->file, TCIOFLUSH);
    return DC_OK;
}

// Waits until the line can be read, or written. *ready: false at `deadline`.
static enum dc_status wait_for(bool *ready, const struct dc_serial *s, short events,
                               double deadline, struct dc_error *error)
{
    *ready = false;
    while (!*ready && dc_seconds() < deadline) {
        struct pollfd line = {.fd = s->file, .events = events};
        const int count = poll(&line, 1, POLL_MS);
        DC_TRY(dc_check_stop(s->ctx->stop, error));
        if (count < 0 && errno != EINTR)
            return dc_fail(error, DC_ERR_IO, "%s: %s", s->options.port, strerror(errno));
        *ready = count > 0 && (line.revents & events);
        if (count > 0 && !*ready)
            return dc_fail(error, DC_ERR_IO, "%s: the line was closed at its other end",
                           s->options.port);
    }
    return DC_OK;
}

static enum dc_status no_answer(const struct dc_serial *s, const char *command, double seconds,
                                struct dc_error *error)
{
    return dc_fail(error, DC_ERR_IO,
                   "%s gives no answer to '%.40s' within %.4g s; does the device run "
                   "examples/device/harness.c, at %lld baud (--baud)? A slow network may need more "
                   "(--timeout)",
                   s->options.port, command, seconds, (long long)s->options.baud);
}

static enum dc_status send_text(const struct dc_serial *s, const char *text, double deadline,
                                struct dc_error *error)
{
    size_t left = strlen(text);
    while (left > 0) {
        bool ready;
        DC_TRY(wait_for(&ready, s, POLLOUT, deadline, error));
        const ssize_t sent = ready ? write(s->file, text, left) : 0;
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return dc_fail(error, DC_ERR_IO, "cannot write to %s: %s", s->options.port,
                           strerror(errno));
        if (!ready)
            return no_answer(s, text, s->options.timeout, error);
        text += sent > 0 ? sent : 0;
        left -= sent > 0 ? (size_t)sent : 0;
    }
    return DC_OK;
}

// A line without its end; what is longer than it may be is cut. *came: false at `deadline`.
static enum dc_status read_line(bool *came, char *line, size_t capacity, struct dc_serial *s,
                                double deadline, struct dc_error *error)
{
    size_t length = 0;
    *came = false;
    for (;;) {
        for (int i = 0; i < s->pending_count; i++) {
            const char c = s->pending[i];
            if (c == '\n') {
                line[length] = '\0';
                s->pending_count -= i + 1;
                memmove(s->pending, s->pending + i + 1, (size_t)s->pending_count);
                *came = true;
                return DC_OK;
            }
            if (c != '\r' && length + 1 < capacity)
                line[length++] = c;
        }
        s->pending_count = 0;
        bool ready;
        DC_TRY(wait_for(&ready, s, POLLIN, deadline, error));
        if (!ready)
            return DC_OK;
        const ssize_t count = read(s->file, s->pending, sizeof s->pending);
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            return dc_fail(error, DC_ERR_IO, "cannot read from %s: %s", s->options.port,
                           strerror(errno));
        s->pending_count = count > 0 ? (int)count : 0;
    }
}

// What is wanted of an answer: the text behind a line's beginning, as "m-ticks-".
struct wanted {
    const char *begins;
    char *text;
    size_t capacity;
};

// Sends a command and reads its lines up to m-ready. A line e-[...] is an error; a wanted line that
// does not come leaves "".
static enum dc_status ask(struct dc_serial *s, const char *command, const struct wanted *wanted,
                          double seconds, struct dc_error *error)
{
    const double deadline = dc_seconds() + seconds;
    const size_t capacity = wanted ? wanted->capacity + 64 : 256;
    char *line = dc_alloc(capacity, error), fault[128] = "";
    if (!line)
        return DC_ERR_MEMORY;
    bool came = true;
    if (wanted)
        wanted->text[0] = '\0';
    enum dc_status status = send_text(s, command, deadline, error);
    if (status == DC_OK)
        status = send_text(s, "%", deadline, error);
    while (status == DC_OK) {
        status = read_line(&came, line, capacity, s, deadline, error);
        if (status != DC_OK || !came || strcmp(line, "m-ready") == 0)
            break;
        const size_t begins = wanted ? strlen(wanted->begins) : 0;
        if (wanted && strncmp(line, wanted->begins, begins) == 0)
            snprintf(wanted->text, wanted->capacity, "%s", line + begins);
        if (strncmp(line, "e-[", 3) == 0 && !fault[0])
            snprintf(fault, sizeof fault, "%.*s", (int)strcspn(line + 3, "]"), line + 3);
    }
    free(line);
    if (status == DC_OK && !came)
        return no_answer(s, command, seconds, error);
    if (status == DC_OK && fault[0])
        return dc_fail(error, DC_ERR_DATA, "%s answers to '%.40s': %s", s->options.port, command,
                       fault);
    return status;
}

// Sends a command that the device does not know, and passes over whatever comes before its answer:
// what is left of another program's, or of a board that starts. *answered: false at `deadline`.
static enum dc_status find_answers(bool *answered, struct dc_serial *s, int attempt,
                                   double deadline, struct dc_error *error)
{
    char command[32], line[256];
    bool came = true, seen = false;
    snprintf(command, sizeof command, "decant-%d", attempt);
    *answered = false;
    DC_TRY(send_text(s, "%", deadline, error));
    DC_TRY(send_text(s, command, deadline, error));
    DC_TRY(send_text(s, "%", deadline, error));
    while (came && !*answered) {
        DC_TRY(read_line(&came, line, sizeof line, s, deadline, error));
        *answered = came && seen && strcmp(line, "m-ready") == 0;
        seen = seen || (came && strstr(line, command) && strncmp(line, "e-[", 3) == 0);
    }
    return DC_OK;
}

static enum dc_status meet(struct dc_serial *s, struct dc_error *error)
{
    char text[256] = "";
    const struct wanted network = {"m-network-[", text, sizeof text};
    const double share = s->options.timeout / GREETINGS;
    const double seconds = share < greeting_seconds ? share : greeting_seconds;
    long long input = 0, output = 0, ticks = 0;
    bool answered = false;
    for (int i = 1; i <= GREETINGS && !answered; i++)
        DC_TRY(find_answers(&answered, s, i, dc_seconds() + seconds, error));
    if (!answered)
        return no_answer(s, "%", GREETINGS * seconds, error);
    const enum dc_status status = ask(s, "network", &network, s->options.timeout, error);
    if (status == DC_ERR_STOPPED || status == DC_ERR_IO)
        return status;
    if (status != DC_OK ||
        sscanf(text, "%63[^,],%lld,%lld,%*d,%lld]", s->name, &input, &output, &ticks) != 4 ||
        input <= 0 || output <= 0 || ticks <= 0)
        return dc_fail(error, DC_ERR_DATA, "%s answers, but not as examples/device/harness.c does",
                       s->options.port);
    s->input_bytes = input;
    s->output_bytes = output;
    s->ticks_per_second = ticks;
    return DC_OK;
}

enum dc_status dc_serial_open(struct dc_serial **out, const struct dc_ctx *ctx,
                              const struct dc_serial_options *options, struct dc_error *error)
{
    *out = NULL;
    struct dc_serial *s = dc_alloc(sizeof *s, error);
    if (!s)
        return DC_ERR_MEMORY;
    *s = (struct dc_serial){.ctx = ctx, .options = *options, .file = -1};
    s->options.baud = options->baud ? options->baud : 115200;
    s->options.timeout = options->timeout > 0.0 ? options->timeout : 30.0;
    enum dc_status status = open_line(s, error);
    if (status == DC_OK)
        status = meet(s, error);
    if (status == DC_OK)
        *out = s;
    else
        dc_serial_close(s);
    return status;
}

void dc_serial_close(struct dc_serial *serial)
{
    if (serial && serial->file >= 0) {
        if (serial->set)
            tcsetattr(serial->file, TCSANOW, &serial->before);
        ioctl(serial->file, TIOCNXCL);
        close(serial->file);
    }
    free(serial);
}

enum dc_status dc_serial_load(struct dc_serial *s, const int8_t *codes, struct dc_error *error)
{
    static const char digits[] = "0123456789abcdef";
    char command[2 * LINE_BYTES + 8], done[8];
    const struct wanted ends = {"m-load-done", done, sizeof done};
    snprintf(command, sizeof command, "db codes %lld", (long long)s->input_bytes);
    DC_TRY(ask(s, command, NULL, s->options.timeout, error));
    for (int64_t i = 0; i < s->input_bytes;) {
        int at = snprintf(command, sizeof command, "db ");
        for (int k = 0; k < LINE_BYTES && i < s->input_bytes; k++, i++) {
            command[at++] = digits[(uint8_t)codes[i] >> 4];
            command[at++] = digits[(uint8_t)codes[i] & 15];
        }
        command[at] = '\0';
        DC_TRY(ask(s, command, &ends, s->options.timeout, error));
    }
    return DC_OK;
}

enum dc_status dc_serial_infer(int64_t *ticks, struct dc_serial *s, int count,
                               struct dc_error *error)
{
    char command[32], text[32], *end;
    const struct wanted wanted = {"m-ticks-", text, sizeof text};
    snprintf(command, sizeof command, "infer %d 0", count);
    DC_TRY(ask(s, command, &wanted, s->options.timeout, error));
    errno = 0;
    *ticks = strtoll(text, &end, 10);
    if (!text[0] || *end || errno || *ticks < 0)
        return dc_fail(error, DC_ERR_DATA, "%s does not say how long an inference took: '%s'",
                       s->options.port, text);
    return DC_OK;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum dc_status dc_serial_codes(int8_t *codes, struct dc_serial *s, struct dc_error *error)
{
    const size_t capacity = (size_t)s->output_bytes * 2 + 8;
    char *text = dc_alloc(capacity, error);
    const struct wanted wanted = {"m-codes-[", text, capacity};
    if (!text)
        return DC_ERR_MEMORY;
    enum dc_status status = ask(s, "codes", &wanted, s->options.timeout, error);
    bool whole = status == DC_OK && strlen(text) == (size_t)s->output_bytes * 2 + 1;
    for (int64_t i = 0; whole && i < s->output_bytes; i++) {
        const int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);
        whole = high >= 0 && low >= 0;
        if (whole)
            codes[i] = (int8_t)(uint8_t)(high << 4 | low);
    }
    free(text);
    if (status == DC_OK && !whole)
        status = dc_fail(error, DC_ERR_DATA, "%s does not give %lld codes", s->options.port,
                         (long long)s->output_bytes);
    return status;
}

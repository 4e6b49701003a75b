// A network on a device that answers over a serial line (examples/device/harness.c).
//
// What the device says is from outside: lines have a bound, numbers a range, and codes the length
// that the network's output has. Every wait ends: with an answer, after `timeout` seconds, by a
// stop.

#ifndef DC_EXPORT_SERIAL_H
#define DC_EXPORT_SERIAL_H

#include <stdint.h>
#include <termios.h>

#include "core/context.h"

struct dc_serial_options {
    const char *port;  // as /dev/ttyACM0
    int64_t baud;      // 0: 115200; one that the system knows
    double timeout;    // seconds for an answer; 0: 30
};

struct dc_serial {
    const struct dc_ctx *ctx;
    struct dc_serial_options options;
    int file;
    struct termios before;  // how the line was set, and is set again where `set`
    bool set;
    char name[64];  // the network's
    int64_t input_bytes, output_bytes;
    int64_t ticks_per_second;
    char pending[512];  // what has come behind the last whole line
    int pending_count;
};

// Opens the line, for this process alone, and asks what network answers. A board that starts anew
// because its line is opened is waited for. DC_ERR_IO where nobody answers, DC_ERR_DATA where it
// is not our harness. Free with dc_serial_close.
DC_MUST_USE enum dc_status dc_serial_open(struct dc_serial **serial, const struct dc_ctx *ctx,
                                          const struct dc_serial_options *options,
                                          struct dc_error *error);
void dc_serial_close(struct dc_serial *serial);  // NULL is allowed

// Sends the codes of one sample, [input_bytes]; they stay loaded.
DC_MUST_USE enum dc_status dc_serial_load(struct dc_serial *serial, const int8_t *codes,
                                          struct dc_error *error);
// `count` inferences of what is loaded, one after the other. *ticks: of the device's clock, of all.
DC_MUST_USE enum dc_status dc_serial_infer(int64_t *ticks, struct dc_serial *serial, int count,
                                           struct dc_error *error);
// codes: [output_bytes], of the last inference.
DC_MUST_USE enum dc_status dc_serial_codes(int8_t *codes, struct dc_serial *serial,
                                           struct dc_error *error);

#endif

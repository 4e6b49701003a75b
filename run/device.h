// A network on a device as a predictor, beside the engine that says what it should answer.

#ifndef DC_RUN_DEVICE_H
#define DC_RUN_DEVICE_H

#include "export/serial.h"
#include "run/network.h"

// How a device answered: bytes of outputs, those that are not the engine's, and the first sample
// with such a byte.
struct dc_device_answers {
    char name[64];  // the network's, as the device says
    int64_t samples, bytes, different;
    int64_t first_sample;         // -1: none differs
    double seconds_an_inference;  // the mean, by the device's clock
};

struct dc_device_predictor {
    struct dc_predictor predictor;  // the logits are those of the device's codes
    struct dc_device_answers answers;
    struct dc_integer_predictor *engine;
    struct dc_serial *serial;
    int8_t *codes;
    int64_t ticks;
};
// engine: outlives the predictor. DC_ERR_DATA where the device's network has other sizes.
DC_MUST_USE enum dc_status dc_device_predictor_open(struct dc_device_predictor **predictor,
                                                    const struct dc_ctx *ctx,
                                                    const struct dc_serial_options *options,
                                                    struct dc_integer_predictor *engine,
                                                    struct dc_error *error);
void dc_device_predictor_close(struct dc_device_predictor *predictor);  // NULL is allowed

#endif

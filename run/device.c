// Owns how a device on a serial line is asked for logits: sample by sample, each of its codes held
// against the engine's.

#include "run/device.h"

#include <stdlib.h>

enum { ROWS = 4 };  // of a batch: as often is progress told

static enum dc_status ask(struct dc_device_predictor *p, float *logits, const int8_t *input,
                          const int8_t *expected, struct dc_error *error)
{
    struct dc_device_answers *a = &p->answers;
    int64_t ticks = 0, different = 0;
    DC_TRY(dc_serial_load(p->serial, input, error));
    DC_TRY(dc_serial_infer(&ticks, p->serial, 1, error));
    DC_TRY(dc_serial_codes(p->codes, p->serial, error));
    for (int64_t i = 0; i < p->predictor.classes; i++)
        different += p->codes[i] != expected[i];
    if (different > 0 && a->first_sample < 0)
        a->first_sample = a->samples;
    a->samples++;
    a->bytes += p->predictor.classes;
    a->different += different;
    p->ticks += ticks;
    a->seconds_an_inference = (double)p->ticks /
                              ((double)p->serial->ticks_per_second * (double)a->samples);
    dc_imodel_dequantize_output(logits, p->engine->model, p->codes, p->predictor.classes);
    return DC_OK;
}

static enum dc_status predict(void *user, float *logits, const float *inputs, int64_t rows,
                              struct dc_error *error)
{
    struct dc_device_predictor *p = user;
    const struct dc_predictor *engine = &p->engine->predictor;
    const int64_t classes = p->predictor.classes;
    DC_TRY(engine->predict(engine->user, logits, inputs, rows, error));
    for (int64_t r = 0; r < rows; r++)
        DC_TRY(ask(p, logits + r * classes, p->engine->inputs + r * p->engine->input_codes,
                   p->engine->outputs + r * classes, error));
    return DC_OK;
}

static enum dc_status open_device(struct dc_device_predictor *p, const struct dc_ctx *ctx,
                                  const struct dc_serial_options *options, struct dc_error *error)
{
    DC_TRY(dc_serial_open(&p->serial, ctx, options, error));
    const struct dc_serial *s = p->serial;
    snprintf(p->answers.name, sizeof p->answers.name, "%s", s->name);
    if (s->input_bytes != p->engine->input_codes || s->output_bytes != p->predictor.classes)
        return dc_fail(error, DC_ERR_DATA,
                       "%s runs '%s', which reads %lld bytes and gives %lld; this network reads "
                       "%lld and gives %d",
                       options->port, s->name, (long long)s->input_bytes,
                       (long long)s->output_bytes, (long long)p->engine->input_codes,
                       p->predictor.classes);
    p->codes = dc_alloc((size_t)p->predictor.classes, error);
    return p->codes ? DC_OK : DC_ERR_MEMORY;
}

enum dc_status dc_device_predictor_open(struct dc_device_predictor **out, const struct dc_ctx *ctx,
                                        const struct dc_serial_options *options,
                                        struct dc_integer_predictor *engine, struct dc_error *error)
{
    *out = NULL;
    struct dc_device_predictor *p = dc_alloc(sizeof *p, error);
    if (!p)
        return DC_ERR_MEMORY;
    *p = (struct dc_device_predictor){
        .predictor = engine->predictor, .engine = engine, .answers = {.first_sample = -1}};
    p->predictor.predict = predict;
    p->predictor.user = p;
    p->predictor.max_rows = engine->predictor.max_rows < ROWS ? engine->predictor.max_rows : ROWS;
    const enum dc_status status = open_device(p, ctx, options, error);
    if (status == DC_OK)
        *out = p;
    else
        dc_device_predictor_close(p);
    return status;
}

void dc_device_predictor_close(struct dc_device_predictor *predictor)
{
    if (!predictor)
        return;
    dc_serial_close(predictor->serial);
    free(predictor->codes);
    free(predictor);
}

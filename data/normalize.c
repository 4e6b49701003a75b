// Owns the arithmetic of normalization and the statistics it is made from.

#include "data/normalize.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"

static int channels_of(const struct dc_source *source)
{
    return source->sample.rank == 3 ? (int)source->sample.dims[2] : 1;
}

enum dc_status dc_normalization_check(const struct dc_normalization *normalization,
                                      const struct dc_source *source, struct dc_error *error)
{
    const int channels = channels_of(source);
    if (normalization->channels != 1 && normalization->channels != channels)
        return dc_fail(error, DC_ERR_CONFIG, "normalization has %d channels, the samples have %d",
                       normalization->channels, channels);
    for (int c = 0; c < normalization->channels; c++)
        if (!isfinite(normalization->mean[c]) || !isfinite(normalization->deviation[c]) ||
            !(normalization->deviation[c] > 0.0f))
            return dc_fail(error, DC_ERR_CONFIG,
                           "normalization of channel %d: mean %g, deviation %g; the deviation must "
                           "be above 0",
                           c, (double)normalization->mean[c], (double)normalization->deviation[c]);
    return DC_OK;
}

void dc_normalization_coefficients(float *scale, float *shift,
                                   const struct dc_normalization *normalization,
                                   enum dc_dtype dtype, int channel)
{
    const int c = normalization->channels == 1 ? 0 : channel;
    dc_normalization_factors(scale, shift, normalization->mean[c], normalization->deviation[c],
                             dtype == DC_U8 ? 255.0 : 1.0);
}

void dc_values_to_float(float *out, const void *values, enum dc_dtype dtype, int64_t n)
{
    assert(dtype == DC_U8 || dtype == DC_F32);
    const uint8_t *bytes = values;
    if (dtype == DC_F32)
        memcpy(out, values, (size_t)n * sizeof *out);
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)bytes[i];
}

struct sums {
    double shift, sum, squares;  // of x - shift, where shift is the channel's first value
    bool started;
};

// Add one sample, [pixels, channels].
static bool add_sample(struct sums *sums, const float *x, int64_t pixels, int channels)
{
    for (int c = 0; c < channels; c++) {
        double sum = 0.0, squares = 0.0;
        if (!sums[c].started)
            sums[c] = (struct sums){.shift = (double)x[c], .started = true};
        for (int64_t p = 0; p < pixels; p++) {
            const double d = (double)x[p * channels + c] - sums[c].shift;
            sum += d;
            squares += d * d;
        }
        sums[c].sum += sum;
        sums[c].squares += squares;
        if (!isfinite(squares))
            return false;
    }
    return true;
}

static enum dc_status add_samples(struct sums *sums, uint8_t *raw, float *x,
                                  const struct dc_source *source, const int64_t *ids, int64_t count,
                                  int channels, struct dc_error *error)
{
    const int64_t values = dc_shape_count(&source->sample);
    for (int64_t i = 0; i < count; i++) {
        DC_TRY(dc_check_stop(source->stop, error));
        DC_TRY(dc_source_read(source, ids[i], raw, error));
        dc_values_to_float(x, raw, source->dtype, values);
        if (!add_sample(sums, x, values / channels, channels))
            return dc_fail(error, DC_ERR_DATA, "sample %" PRId64 " holds NaN or infinite values",
                           ids[i]);
    }
    return DC_OK;
}

enum dc_status dc_dataset_statistics(struct dc_normalization *normalization,
                                     const struct dc_source *source, const int64_t *ids,
                                     int64_t count, struct dc_error *error)
{
    const int channels = channels_of(source);
    const int64_t values = dc_shape_count(&source->sample);
    struct sums sums[DC_NORMALIZATION_CHANNELS] = {0};
    if (channels > DC_NORMALIZATION_CHANNELS || count < 1)
        return dc_fail(error, DC_ERR_CONFIG,
                       "statistics need at least one sample of at most %d channels",
                       DC_NORMALIZATION_CHANNELS);
    uint8_t *raw = dc_alloc((size_t)values * dc_dtype_bytes(source->dtype), error);
    float *x = raw ? dc_alloc((size_t)values * sizeof *x, error) : NULL;
    enum dc_status status = DC_ERR_MEMORY;
    if (x)
        status = add_samples(sums, raw, x, source, ids, count, channels, error);
    free(raw);
    free(x);
    DC_TRY(status);
    const double n = (double)count * (double)(values / channels);
    const double unit = source->dtype == DC_U8 ? 1.0 / 255.0 : 1.0;
    normalization->channels = channels;
    for (int c = 0; c < channels; c++) {
        const double mean = sums[c].sum / n;
        const double variance = sums[c].squares / n - mean * mean;
        const double deviation = variance > 0.0 ? sqrt(variance) * unit : 1.0;
        normalization->mean[c] = (float)((sums[c].shift + mean) * unit);
        normalization->deviation[c] = (float)deviation;
    }
    return DC_OK;
}

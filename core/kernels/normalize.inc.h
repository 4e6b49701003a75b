// Per-channel sums and affine passes of batch normalization: plain loops that the compiler turns
// into vectors. Channels are innermost, so each channel's sum has one order on every level.
// Included once per level inside a kernels_*.c.

enum { SUM_TILE = 64, SUM_CHANNELS = 32 };  // pixels and channels whose float sums stay in cache

static void shifted_sums(double *sum, double *square, const float *x, const float *shift,
                         int64_t pixels, int channels)
{
    for (int c0 = 0; c0 < channels; c0 += SUM_CHANNELS) {
        const int n = channels - c0 < SUM_CHANNELS ? channels - c0 : SUM_CHANNELS;
        for (int64_t p0 = 0; p0 < pixels; p0 += SUM_TILE) {
            const int64_t end = pixels - p0 < SUM_TILE ? pixels : p0 + SUM_TILE;
            float s[SUM_CHANNELS] = {0}, q[SUM_CHANNELS] = {0};
            for (int64_t p = p0; p < end; p++) {
                const float *row = x + p * channels + c0;
                for (int c = 0; c < n; c++) {
                    const float v = row[c] - shift[c0 + c];
                    s[c] = s[c] + v;
                    q[c] = q[c] + v * v;
                }
            }
            for (int c = 0; c < n; c++) {
                sum[c0 + c] += (double)s[c];
                square[c0 + c] += (double)q[c];
            }
        }
    }
}

static void affine(float *y, const float *x, const float *scale, const float *shift, int64_t pixels,
                   int channels)
{
    for (int64_t p = 0; p < pixels; p++) {
        for (int c = 0; c < channels; c++)
            y[p * channels + c] = x[p * channels + c] * scale[c] + shift[c];
    }
}

static void gradient_sums(double *sum, double *product, const float *dy, const float *x,
                          const float *mean, int64_t pixels, int channels)
{
    for (int c0 = 0; c0 < channels; c0 += SUM_CHANNELS) {
        const int n = channels - c0 < SUM_CHANNELS ? channels - c0 : SUM_CHANNELS;
        for (int64_t p0 = 0; p0 < pixels; p0 += SUM_TILE) {
            const int64_t end = pixels - p0 < SUM_TILE ? pixels : p0 + SUM_TILE;
            float s[SUM_CHANNELS] = {0}, q[SUM_CHANNELS] = {0};
            for (int64_t p = p0; p < end; p++) {
                const float *d = dy + p * channels + c0;
                const float *row = x + p * channels + c0;
                for (int c = 0; c < n; c++) {
                    s[c] = s[c] + d[c];
                    q[c] = q[c] + d[c] * (row[c] - mean[c0 + c]);
                }
            }
            for (int c = 0; c < n; c++) {
                sum[c0 + c] += (double)s[c];
                product[c0 + c] += (double)q[c];
            }
        }
    }
}

static void affine_gradient(float *dx, const float *dy, const float *x, const float *mean,
                            const float *a, const float *b, const float *d, int64_t pixels,
                            int channels, bool add)
{
    for (int64_t p = 0; p < pixels; p++) {
        float *out = dx + p * channels;
        const float *g = dy + p * channels, *v = x + p * channels;
        if (add) {
            for (int c = 0; c < channels; c++)
                out[c] = out[c] + (a[c] * g[c] + (b[c] * (v[c] - mean[c]) + d[c]));
        } else {
            for (int c = 0; c < channels; c++)
                out[c] = a[c] * g[c] + (b[c] * (v[c] - mean[c]) + d[c]);
        }
    }
}

// The kernels of epilogues against their definitions, value by value, on every level: results and
// gradients have the very bits of the operations one after the other; sums are within the rounding
// of their tiles; ranges are exact. Channels and lengths that fill no vector are among the cases.

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "helper_run.h"

enum { PIXELS_MAX = 150, CHANNELS_MAX = 100, VALUES_MAX = PIXELS_MAX * CHANNELS_MAX, TILE = 64 };

static const int channel_counts[] = {1, 3, 8, 10, 16, 33, 64, 100};
static const int pixel_counts[] = {1, 2, 7, 64, 65, 150};
enum { COUNTS = 8, LENGTHS = 6, CLAMPS = 3 };

struct fixture {
    struct dc_epilogue epilogue;
    float coefficients[7 * 16 * CHANNELS_MAX];
    float x[VALUES_MAX], dy[VALUES_MAX], before[VALUES_MAX];
    float y[VALUES_MAX + 1], dx[VALUES_MAX + 1];
};

static struct fixture f;

// An epilogue as its parts would make it. clamp: 0 none, 1 relu, 2 relu6.
static void make_epilogue(int channels, bool affine, int clamp, bool quantizes)
{
    struct dc_epilogue *t = &f.epilogue;
    assert_true(dc_epilogue_place(t, f.coefficients, channels) <= sizeof f.coefficients);
    dc_epilogue_begin(t);
    assert_true(t->period % 16 == 0 && t->period % channels == 0 && t->period >= 64);
    float *const arrays[] = {t->scale,      t->shift,      t->mean,
                             t->gradient_a, t->gradient_b, t->gradient_d};
    for (unsigned i = 0; i < 6; i++) {
        run_fill(arrays[i], channels, -1.5, 1.5, i + 1);
        dc_epilogue_repeat(arrays[i], t);
    }
    t->affine = affine;
    if (clamp) {
        t->low = 0.0f;
        t->pass_low = nextafterf(0.0f, 1.0f);
    }
    if (clamp == 2) {
        t->high = 6.0f;
        t->pass_high = nextafterf(6.0f, 0.0f);
    }
    t->quantizes = quantizes;
    t->grid = (struct dc_grid){0.03125f, 32.0f,  clamp ? -128.0f : 5.0f,
                               -128.0f,  127.0f, DC_CODE_OF_PRODUCT};
    if (quantizes) {  // half codes round to even, so the limits are easily said for this grid
        const float low = (-128.5f - t->grid.zero_point) * t->grid.step;
        const float high = (127.5f - t->grid.zero_point) * t->grid.step;
        t->pass_low = t->pass_low > low ? t->pass_low : low;
        t->pass_high = t->pass_high < high ? t->pass_high : nextafterf(high, 0.0f);
    }
}

static float before_clamp(float x, int c)
{
    const float product = x * f.epilogue.scale[c];
    return f.epilogue.affine ? product + f.epilogue.shift[c] : x;
}

// One operation after the other.
static float value(float x, int c, int clamp)
{
    float v = before_clamp(x, c);
    if (clamp && v < 0.0f)
        v = 0.0f;
    if (clamp == 2 && v > 6.0f)
        v = 6.0f;
    if (!f.epilogue.quantizes)
        return v;
    float code = rintf(v * f.epilogue.grid.inverse_step) + f.epilogue.grid.zero_point;
    if (code < f.epilogue.grid.low)
        code = f.epilogue.grid.low;
    if (code > f.epilogue.grid.high)
        code = f.epilogue.grid.high;
    return (code - f.epilogue.grid.zero_point) * f.epilogue.grid.step;
}

static float passed(float dy, float x, int c, int clamp)
{
    const float v = before_clamp(x, c);
    if ((clamp && v <= 0.0f) || (clamp == 2 && v >= 6.0f))
        return 0.0f;
    const float code = rintf(v * f.epilogue.grid.inverse_step) + f.epilogue.grid.zero_point;
    if (f.epilogue.quantizes && (code < f.epilogue.grid.low || code > f.epilogue.grid.high))
        return 0.0f;
    return dy;
}

static float gradient(float dy, float x, int c, int clamp)
{
    const float g = passed(dy, x, c, clamp);
    if (!f.epilogue.affine)
        return g;
    const float slope = f.epilogue.gradient_a[c] * g;
    const float offset = f.epilogue.gradient_b[c] * (x - f.epilogue.mean[c]);
    return slope + (offset + f.epilogue.gradient_d[c]);
}

static void same_bits(float fast, float slow, const char *what, enum dc_isa isa, int channels,
                      int i)
{
    if (memcmp(&fast, &slow, sizeof fast) != 0)
        fail_msg("%s, %s, %d channels, value %d: %.9g, not %.9g", dc_isa_name(isa), what, channels,
                 i, (double)fast, (double)slow);
}

static void check_values(enum dc_isa isa, int channels, int pixels, int clamp)
{
    const struct dc_kernels *kernels = dc_kernels_for(isa);
    const int count = pixels * channels;
    f.y[count] = f.dx[count] = 77.0f;
    kernels->epilogue(f.y, f.x, &f.epilogue, count);
    for (int i = 0; i < count; i++)
        same_bits(f.y[i], value(f.x[i], i % channels, clamp), "value", isa, channels, i);
    for (int add = 0; add < 2; add++) {
        memcpy(f.dx, f.before, sizeof(float) * (size_t)count);
        kernels->epilogue_gradient(f.dx, f.dy, f.x, &f.epilogue, count, add);
        for (int i = 0; i < count; i++) {
            const float g = gradient(f.dy[i], f.x[i], i % channels, clamp);
            same_bits(f.dx[i], add ? f.before[i] + g : g, "gradient", isa, channels, i);
        }
    }
    assert_true(f.y[count] == 77.0f && f.dx[count] == 77.0f);
    memcpy(f.y, f.x, sizeof(float) * (size_t)count);
    kernels->epilogue(f.y, f.y, &f.epilogue, count);  // in place
    for (int i = 0; i < count; i++)
        same_bits(f.y[i], value(f.x[i], i % channels, clamp), "in place", isa, channels, i);
}

// fast: [period] partial sums of each channel, on top of 1 in its first entry.
static void check_sum(const double *fast, double slow, double size, int channel, const char *what)
{
    double sum = 0.0;
    for (int c = channel; c < f.epilogue.period; c += f.epilogue.channels)
        sum += fast[c];
    if (!(fabs(sum - 1.0 - slow) <= (TILE + 4) * (double)FLT_EPSILON * size))
        fail_msg("%s of channel %d of %d: %.9g, not %.9g", what, channel, f.epilogue.channels,
                 sum - 1.0, slow);
}

static void check_sums(enum dc_isa isa, int channels, int pixels, int clamp)
{
    static double first[2][16 * CHANNELS_MAX], second[2][16 * CHANNELS_MAX];
    const struct dc_kernels *kernels = dc_kernels_for(isa);
    const int count = pixels * channels;
    for (int c = 0; c < f.epilogue.period; c++)
        first[0][c] = first[1][c] = second[0][c] = second[1][c] = c < channels ? 1.0 : 0.0;
    kernels->moments(first[0], second[0], f.x, f.epilogue.mean, channels, f.epilogue.period, count);
    kernels->epilogue_gradient_sums(first[1], second[1], f.dy, f.x, &f.epilogue, count);
    for (int c = 0; c < channels; c++) {
        double s[4] = {0}, size[4] = {0};
        for (int i = c; i < count; i += channels) {
            const double d = (double)f.x[i] - (double)f.epilogue.mean[c];
            const double far = fabs((double)f.x[i]) + fabs((double)f.epilogue.mean[c]);
            const double g = (double)passed(f.dy[i], f.x[i], c, clamp);
            const double terms[] = {d, d * d, g, g * d};
            const double sizes[] = {far, far * far, fabs(g), fabs(g) * far};
            for (int k = 0; k < 4; k++) {
                s[k] += terms[k];
                size[k] += sizes[k];
            }
        }
        check_sum(first[0], s[0], size[0], c, "sum");
        check_sum(second[0], s[1], size[1], c, "square");
        check_sum(first[1], s[2], size[2], c, "gradient sum");
        check_sum(second[1], s[3], size[3], c, "gradient product");
    }
}

// The sum of dy times the derivative by the step, of round(clamp(v / step)) * step as PyTorch's
// autograd sees it with a straight-through round. Textbook double; the same bits on every level.
static void check_step_sums(enum dc_isa isa, int channels, int pixels, int clamp)
{
    static double scalar[16 * CHANNELS_MAX], fast[16 * CHANNELS_MAX];
    const int count = pixels * channels;
    const double first = (double)(f.epilogue.grid.low - f.epilogue.grid.zero_point);
    const double last = (double)(f.epilogue.grid.high - f.epilogue.grid.zero_point);
    for (int clips = 0; clips < 2; clips++) {
        f.epilogue.clips = clips;
        for (int c = 0; c < f.epilogue.period; c++)
            scalar[c] = fast[c] = c < channels ? 1.0 : 0.0;
        dc_kernels_for(DC_ISA_SCALAR)->epilogue_step_sums(scalar, f.dy, f.x, &f.epilogue, count);
        dc_kernels_for(isa)->epilogue_step_sums(fast, f.dy, f.x, &f.epilogue, count);
        assert_memory_equal(fast, scalar, sizeof *fast * (size_t)f.epilogue.period);
        for (int c = 0; c < channels; c++) {
            double sum = 0.0, size = 0.0;
            for (int i = c; i < count; i += channels) {
                double v = (double)before_clamp(f.x[i], c);
                v = clamp && v < 0.0 ? 0.0 : v;
                v = clamp == 2 && v > 6.0 ? 6.0 : v;
                const double t = v * 32.0;
                const double inside = clips ? 0.0 : rint(t) - t;
                const double slope = t < first ? first : t > last ? last : inside;
                sum += (double)f.dy[i] * slope;
                size += fabs((double)f.dy[i]) * fmax(fabs(slope), 1.0);
            }
            check_sum(fast, sum, size, c, clips ? "clip sum" : "step sum");
        }
    }
}

static void check_range(enum dc_isa isa, int channels, int pixels)
{
    float least[16 * CHANNELS_MAX], greatest[16 * CHANNELS_MAX];
    for (int c = 0; c < f.epilogue.period; c++) {
        least[c] = c == 0 ? -7.0f : INFINITY;
        greatest[c] = c == 0 ? 7.0f : -INFINITY;
    }
    const float kept = f.x[channels / 2];
    f.x[channels / 2] = NAN;  // changes nothing
    dc_kernels_for(isa)->range(least, greatest, f.x, f.epilogue.period, (int64_t)pixels * channels);
    f.x[channels / 2] = kept;
    for (int c = 0; c < channels; c++) {
        float low = c == 0 ? -7.0f : INFINITY, high = -low;
        for (int i = c; i < pixels * channels; i += channels) {
            if (i == channels / 2)
                continue;
            low = f.x[i] < low ? f.x[i] : low;
            high = f.x[i] > high ? f.x[i] : high;
        }
        for (int k = c + channels; k < f.epilogue.period; k += channels) {
            least[c] = least[k] < least[c] ? least[k] : least[c];
            greatest[c] = greatest[k] > greatest[c] ? greatest[k] : greatest[c];
        }
        assert_true(least[c] == low && greatest[c] == high);
    }
}

static void each_kernel_keeps_its_definition(void **state)
{
    (void)state;
    run_fill(f.x, VALUES_MAX, -5.0, 8.0, 11);
    run_fill(f.dy, VALUES_MAX, -1.0, 1.0, 12);
    run_fill(f.before, VALUES_MAX, -1.0, 1.0, 13);
    f.x[0] = 0.0f;
    f.x[1] = -0.0f;
    f.x[2] = 6.0f;
    f.x[3] = 1e15f;
    f.x[4] = -1e15f;
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++)
        for (int n = 0; n < COUNTS * LENGTHS; n++) {
            const int channels = channel_counts[n % COUNTS], pixels = pixel_counts[n / COUNTS];
            for (int kind = 0; kind < 4 * CLAMPS; kind++) {
                const int clamp = kind / 4;
                make_epilogue(channels, kind & 1, clamp, kind & 2);
                check_values((enum dc_isa)isa, channels, pixels, clamp);
                if (f.epilogue.affine)
                    check_sums((enum dc_isa)isa, channels, pixels, clamp);
                if (f.epilogue.quantizes)
                    check_step_sums((enum dc_isa)isa, channels, pixels, clamp);
            }
            check_range((enum dc_isa)isa, channels, pixels);
        }
}

static void nan_stays(void **state)
{
    (void)state;
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++)
        for (int kind = 0; kind < 4 * CLAMPS; kind++) {
            make_epilogue(16, kind & 1, kind / 4, kind & 2);
            run_fill(f.x, 64, -1.0, 1.0, 3);
            for (int i = 0; i < 64; i++)
                f.dy[i] = 1.0f;
            f.x[21] = NAN;
            dc_kernels_for((enum dc_isa)isa)->epilogue(f.y, f.x, &f.epilogue, 64);
            dc_kernels_for((enum dc_isa)isa)
                ->epilogue_gradient(f.dx, f.dy, f.x, &f.epilogue, 64, false);
            for (int i = 0; i < 64; i++)
                assert_true(isnan(f.y[i]) == (i == 21));
            assert_true(f.epilogue.affine ? isnan(f.dx[21]) : f.dx[21] == 1.0f);
        }
}

static void tiles_are_whole_rows(void **state)
{
    (void)state;
    for (int64_t pixels = 1; pixels < 200; pixels++) {
        const int64_t rows = dc_tile_rows(pixels);
        assert_true((rows & (rows - 1)) == 0 && (rows == 1 || rows * pixels <= TILE));
        assert_true(2 * rows * pixels > TILE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kernel_keeps_its_definition),
        cmocka_unit_test(nan_stays),
        cmocka_unit_test(tiles_are_whole_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

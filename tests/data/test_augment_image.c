// Augmentations of photographs: every view is explained by the definition with some draw, and the
// draws are spread as they should be.

#include "data/augment.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "tests/data/helper_sources.h"

enum { HEIGHT = 6, WIDTH = 9, CHANNELS = 3, VALUES = HEIGHT * WIDTH * CHANNELS };

static float image[VALUES];
static const struct dc_shape shape = {3, {HEIGHT, WIDTH, CHANNELS}};
static struct dc_error error;

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < VALUES; i++)
        image[i] = (float)(test_pixel(i * 5 + 3) % 254 + 1);
    return 0;
}

static struct dc_augmentation make(const char *name, double a, double b, double c, double d)
{
    const struct dc_augmentation_kind *kind = dc_augmentation_find(name);
    assert_non_null(kind);
    const struct dc_augmentation augmentation = {kind, {a, b, c, d}};
    assert_int_equal(dc_augmentations_check(&augmentation, 1, &shape, DC_U8, &error), DC_OK);
    return augmentation;
}

static void view(float *out, const struct dc_augmentation *augmentation, uint64_t id)
{
    float a[VALUES], b[VALUES];
    memcpy(a, image, sizeof a);
    memcpy(out, dc_augmentation_view(a, b, &shape, augmentation, 1, 1, 2, id), sizeof a);
}

static double edge(double x, int size)
{
    return x < 0.0 ? 0.0 : x > size - 1.0 ? size - 1.0 : x;
}

// Bilinear resize of a box to the image, pixel centres on pixel centres, edges repeated.
static double resized(int top, int left, int h, int w, int y, int x, int c)
{
    const double v = edge((y + 0.5) * h / HEIGHT - 0.5, h);
    const double u = edge((x + 0.5) * w / WIDTH - 0.5, w);
    double sum = 0.0;
    for (int i = 0; i < h; i++)
        for (int k = 0; k < w; k++) {
            const double weight = (1.0 - fabs(v - i)) * (1.0 - fabs(u - k));
            if (fabs(v - i) < 1.0 && fabs(u - k) < 1.0)
                sum += weight * (double)image[((top + i) * WIDTH + left + k) * CHANNELS + c];
        }
    return sum;
}

// The shares are floats of values below 255: 255 * 2^-22 bounds all roundings.
static bool is_box(const float *out, int top, int left, int h, int w)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < CHANNELS; c++)
                if (!(fabs((double)out[(y * WIDTH + x) * CHANNELS + c] -
                           resized(top, left, h, w, y, x, c)) <= 255.0 * 0x1p-21))
                    return false;
    return true;
}

static bool find_box(const float *out, int box[4])
{
    for (int h = 1; h <= HEIGHT; h++)
        for (int w = 1; w <= WIDTH; w++)
            for (int top = 0; top + h <= HEIGHT; top++)
                for (int left = 0; left + w <= WIDTH; left++)
                    if (is_box(out, top, left, h, w)) {
                        const int found[4] = {top, left, h, w};
                        memcpy(box, found, sizeof found);
                        return true;
                    }
    return false;
}

// Boxes within what rounding to pixels allows; all four corners are reached.
static void resized_crops_are_boxes(void **state)
{
    (void)state;
    const struct dc_augmentation crop = make("random_resized_crop", 0.2, 0.6, 0.8, 1.5);
    int corners[4] = {0}, box[4];
    double share = 0.0;
    enum { IDS = 400 };
    for (uint64_t id = 0; id < IDS; id++) {
        float out[VALUES];
        view(out, &crop, id);
        assert_true(find_box(out, box));
        const double h = box[2], w = box[3];
        assert_true((h - 0.5) * (w - 0.5) <= 0.6 * HEIGHT * WIDTH);
        assert_true((h + 0.5) * (w + 0.5) >= 0.2 * HEIGHT * WIDTH);
        assert_true((w - 0.5) / (h + 0.5) <= 1.5 && (w + 0.5) / (h - 0.5) >= 0.8);
        share += h * w / (HEIGHT * WIDTH) / IDS;
        if (box[2] == HEIGHT || box[3] == WIDTH)
            continue;
        corners[0] += box[0] == 0 && box[1] == 0;
        corners[1] += box[0] == 0 && box[1] + box[3] == WIDTH;
        corners[2] += box[0] + box[2] == HEIGHT && box[1] == 0;
        corners[3] += box[0] + box[2] == HEIGHT && box[1] + box[3] == WIDTH;
    }
    // uniform in [0.2, 0.6], whose deviation is 0.115: the mean of 400 is off by 0.006; boxes that
    // do not fit are drawn again and pixels are rounded, 0.03 in all
    assert_float_equal(share, 0.4, 0.05);
    for (int i = 0; i < 4; i++)  // boxes of about 4x5 have 15 places
        assert_in_range(corners[i], 5, 60);
}

// No box of the whole area and at most 1.2 wide fits into 6x9: the middle 6x7 is taken.
static void crops_that_fit_not_are_the_middle(void **state)
{
    (void)state;
    float out[VALUES];
    const struct dc_augmentation wide = make("random_resized_crop", 1, 1, 0.5, 1.2);
    view(out, &wide, 5);
    assert_true(is_box(out, 0, 1, 6, 7));
    const struct dc_augmentation tall = make("random_resized_crop", 1, 1, 2, 3);
    view(out, &tall, 5);  // 9 / 2 is 4.5, to even
    assert_true(is_box(out, 1, 0, 4, 9));
    const struct dc_augmentation middle = make("centre_crop", 0.5, 0, 0, 0);
    view(out, &middle, 5);
    assert_true(is_box(out, 1, 2, 3, 4));
    const struct dc_augmentation all = make("centre_crop", 1, 0, 0, 0);
    view(out, &all, 5);
    assert_memory_equal(out, image, sizeof image);
}

// The square is around one of the 54 pixels, each about as often: 5,400 draws give 100 +- 10 each;
// six deviations are allowed.
static void cutouts_are_squares(void **state)
{
    (void)state;
    for (int size = 3; size <= 4; size++) {
        const struct dc_augmentation cutout = make("cutout", size, 0, 0, 0);
        int counts[HEIGHT][WIDTH] = {{0}};
        for (uint64_t id = 0; id < 5400; id++) {
            float out[VALUES];
            int places = 0;
            view(out, &cutout, id);
            for (int y = 0; y < HEIGHT; y++)
                for (int x = 0; x < WIDTH; x++) {
                    bool same = true;
                    for (int v = 0; v < VALUES && same; v++) {
                        const int dy = v / CHANNELS / WIDTH - (y - size / 2);
                        const int dx = v / CHANNELS % WIDTH - (x - size / 2);
                        const bool inside = dy >= 0 && dy < size && dx >= 0 && dx < size;
                        same = out[v] == (inside ? 0.0f : image[v]);
                    }
                    places += same;
                    counts[y][x] += same;
                }
            assert_int_equal(places, 1);
        }
        for (int i = 0; i < HEIGHT * WIDTH; i++)
            assert_in_range(counts[i / WIDTH][i % WIDTH], 40, 160);
    }
}

static double grey(const float *p)
{
    return 0.2989 * (double)p[0] + 0.587 * (double)p[1] + 0.114 * (double)p[2];
}

static double clamped(double x)
{
    return x < 0.0 ? 0.0 : x > 255.0 ? 255.0 : x;
}

// What brightness (0), contrast (1) and saturation (2) blend with.
static double other_of(int which, int pixel)
{
    double mean = 0.0;
    for (int i = 0; i < HEIGHT * WIDTH; i++)
        mean += grey(image + i * CHANNELS) / (HEIGHT * WIDTH);
    return which == 0 ? 0.0 : which == 1 ? mean : grey(image + pixel * CHANNELS);
}

// The factor follows from the least changed value that was not cut; then all values do.
static double factor_of(const float *out, int which)
{
    double factor = 1.0, best = 0.0;
    for (int v = 0; v < VALUES; v++) {
        const double other = other_of(which, v / CHANNELS), apart = (double)image[v] - other;
        if (out[v] > 0.0f && out[v] < 255.0f && fabs(apart) > best) {
            best = fabs(apart);
            factor = ((double)out[v] - other) / apart;
        }
    }
    for (int v = 0; v < VALUES; v++) {
        const double other = other_of(which, v / CHANNELS);
        assert_float_equal(out[v], clamped(other + factor * ((double)image[v] - other)), 1e-3);
    }
    return factor;
}

static void colours_are_blends(void **state)
{
    (void)state;
    for (int which = 0; which < 3; which++) {
        const double s = which == 0 ? 1.5 : 0.6;  // below 0 there is nothing
        const struct dc_augmentation jitter = make("colour_jitter", which == 0 ? s : 0,
                                                   which == 1 ? s : 0, which == 2 ? s : 0, 0);
        const double low = s > 1.0 ? 0.0 : 1.0 - s, high = 1.0 + s;
        double mean = 0.0, least = 9.0, most = 0.0;
        for (uint64_t id = 0; id < 1000; id++) {
            float out[VALUES];
            view(out, &jitter, id);
            const double f = factor_of(out, which);
            mean += f / 1000.0;
            least = f < least ? f : least;
            most = f > most ? f : most;
        }
        const double deviation = (high - low) / sqrt(12.0);
        assert_float_equal(mean, (low + high) / 2.0, 5.0 * deviation / sqrt(1000.0));
        assert_true(least >= low - 1e-5 && least < low + 0.05);
        assert_true(most <= high + 1e-5 && most > high - 0.05);
    }
}

// Hue in turns, textbook: by the largest channel.
static double hue_of(const float *p, double *most, double *least)
{
    const double r = (double)p[0], g = (double)p[1], b = (double)p[2];
    *most = fmax(r, fmax(g, b));
    *least = fmin(r, fmin(g, b));
    const double d = *most - *least;
    if (d == 0.0)
        return 0.0;
    const double h = *most == r   ? fmod((g - b) / d + 6.0, 6.0)
                     : *most == g ? (b - r) / d + 2.0
                                  : (r - g) / d + 4.0;
    return h / 6.0;
}

// All pixels turn by the same hue and keep their largest and least channel.
static void hues_turn(void **state)
{
    (void)state;
    const struct dc_augmentation jitter = make("colour_jitter", 0, 0, 0, 0.3);
    double least = 1.0, most = -1.0;
    for (uint64_t id = 0; id < 500; id++) {
        float out[VALUES];
        double turn = 2.0, weight = 0.0;
        view(out, &jitter, id);
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < HEIGHT * WIDTH; i++) {
                double old[2], new[2];
                const double before = hue_of(image + i * CHANNELS, &old[0], &old[1]);
                double by = hue_of(out + i * CHANNELS, &new[0], &new[1]) - before;
                by -= floor(by + 0.5);
                assert_float_equal(old[0], new[0], 1e-4);
                assert_float_equal(old[1], new[1], 1e-4);
                if (pass == 0 && old[0] - old[1] > weight) {
                    weight = old[0] - old[1];
                    turn = by;
                }
                // a channel rounded to 255 * 2^-24 moves the hue by that over the range
                if (pass == 1 && old[0] > old[1])
                    assert_float_equal(by, turn, 1e-4 / (old[0] - old[1]));
            }
        assert_true(fabs(turn) <= 0.3 + 1e-6);
        least = turn < least ? turn : least;
        most = turn > most ? turn : most;
    }
    assert_true(least < -0.28 && most > 0.28);
}

// A view is the image or its luma by BT.601 (299, 587 and 114 thousandths: torchvision's 2989 is
// off by up to 0.0001 * 255), as often as stated; and both are counted as outcomes.
static void greys_are_luma(void **state)
{
    (void)state;
    static const double shares[] = {0.0, 0.3, 1.0};
    for (int s = 0; s < 3; s++) {
        const struct dc_augmentation greyscale = make("greyscale", shares[s], 0, 0, 0);
        int grey = 0;
        for (uint64_t id = 0; id < 1000; id++) {
            float out[VALUES];
            view(out, &greyscale, id);
            const bool changed = memcmp(out, image, sizeof out) != 0;
            grey += changed;
            for (int i = 0; changed && i < VALUES; i += CHANNELS) {
                const float *p = image + i;
                const double luma = (299 * (double)p[0] + 587 * (double)p[1] + 114 * (double)p[2]) /
                                    1000;
                assert_true(out[i] == out[i + 1] && out[i] == out[i + 2]);
                assert_true(fabs((double)out[i] - luma) <= 0.0256);
            }
        }
        // 300 +- 14.5, five deviations
        assert_in_range(grey, s == 1 ? 228 : 1000 * s / 2, s == 1 ? 372 : 1000 * s / 2);
        assert_int_equal(dc_augmentation_outcomes(&greyscale, 1), s == 1 ? 2 : 1);
        for (int v = 0; v < (s == 1 ? 2 : 1); v++) {
            float a[VALUES], b[VALUES];
            memcpy(a, image, sizeof a);
            const float *out = dc_augmentation_outcome(a, b, &shape, &greyscale, 1, v);
            assert_int_equal(out[0] == out[1] && out[1] == out[2], v == 1 || s == 2);
        }
    }
}

static void wrong_values_are_refused(void **state)
{
    (void)state;
    const struct dc_augmentation_kind *jitter = dc_augmentation_find("colour_jitter");
    const struct dc_augmentation colours = dc_augmentation_default(jitter);
    const struct dc_augmentation light = {jitter, {0.4, 0.4, 0, 0}};
    const struct dc_augmentation crop = {dc_augmentation_find("random_resized_crop"),
                                         {0.5, 0.2, 0.75, 1.33}};
    const struct dc_augmentation grey = dc_augmentation_default(dc_augmentation_find("greyscale"));
    const struct dc_augmentation never = {grey.kind, {0.0}};
    const struct dc_augmentation cutmix = dc_augmentation_default(dc_augmentation_find("cutmix"));
    const struct {
        const struct dc_augmentation *augmentation;
        struct dc_shape shape;
        enum dc_dtype dtype;
        const char *words;
    } cases[] = {
        {&colours, DC_SHAPE(8, 8, 1), DC_U8, "three channels"},
        {&colours, DC_SHAPE(8, 8, 3), DC_F32, "floats"},
        {&light, DC_SHAPE(8, 8, 1), DC_U8, NULL},
        {&grey, DC_SHAPE(8, 8, 1), DC_U8, "probability needs three channels"},
        {&grey, DC_SHAPE(8, 8, 3), DC_F32, NULL},
        {&never, DC_SHAPE(8, 8, 1), DC_U8, NULL},
        {&crop, DC_SHAPE(8, 8, 1), DC_U8, "scale_max is below scale_min"},
        {&cutmix, DC_SHAPE(64), DC_U8, "needs images"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const enum dc_status status = dc_augmentations_check(
            cases[i].augmentation, 1, &cases[i].shape, cases[i].dtype, &error);
        assert_int_equal(status, cases[i].words ? DC_ERR_CONFIG : DC_OK);
        if (cases[i].words)
            assert_non_null(strstr(error.message, cases[i].words));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resized_crops_are_boxes),
        cmocka_unit_test(crops_that_fit_not_are_the_middle),
        cmocka_unit_test(cutouts_are_squares),
        cmocka_unit_test(colours_are_blends),
        cmocka_unit_test(hues_turn),
        cmocka_unit_test(greys_are_luma),
        cmocka_unit_test(wrong_values_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}

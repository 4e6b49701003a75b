// Augmentations against their definitions, pixel by pixel, and the distributions they draw from.

#include "data/augment.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "tests/data/helper_sources.h"

enum { HEIGHT = 6, WIDTH = 9, CHANNELS = 2, VALUES = HEIGHT * WIDTH * CHANNELS };

static struct dc_error error;
static float image[VALUES];
static const struct dc_shape shape = {3, {HEIGHT, WIDTH, CHANNELS}};

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < VALUES; i++)
        image[i] = (float)(test_pixel(i) + 1);  // no zero, which is the fill
    return 0;
}

static struct dc_augmentation make(const char *name, double value)
{
    const struct dc_augmentation_kind *kind = dc_augmentation_find(name);
    assert_non_null(kind);
    struct dc_augmentation augmentation = dc_augmentation_default(kind);
    augmentation.values[0] = value;
    return augmentation;
}

static void view(float *out, const struct dc_augmentation *list, int count, uint32_t epoch,
                 uint64_t id)
{
    float a[VALUES], b[VALUES];
    memcpy(a, image, sizeof a);
    memcpy(out, dc_augmentation_view(a, b, &shape, list, count, 1, epoch, id), sizeof a);
}

static float pixel(int y, int x, int c)
{
    return y < 0 || y >= HEIGHT || x < 0 || x >= WIDTH ? 0.0f
                                                       : image[(y * WIDTH + x) * CHANNELS + c];
}

static bool is_shifted(const float *out, int dy, int dx)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < CHANNELS; c++)
                if (out[(y * WIDTH + x) * CHANNELS + c] != pixel(y + dy, x + dx, c))
                    return false;
    return true;
}

// Each of the (2 p + 1)^2 moves is exact and about as frequent as the others: with 25 places and
// 10,000 draws a count is 400 +- 19.6; six deviations are allowed. p = 12 leaves empty images too.
static void shifts_are_exact_and_uniform(void **state)
{
    (void)state;
    static const char *const names[] = {"pad_crop", "shift"};
    for (int n = 0; n < 2; n++) {
        const struct dc_augmentation augmentation = make(names[n], 2);
        int counts[5][5] = {{0}};
        float out[VALUES];
        for (uint64_t id = 0; id < 10000; id++) {
            int found = 0;
            view(out, &augmentation, 1, 0, id);
            for (int dy = -2; dy <= 2; dy++)
                for (int dx = -2; dx <= 2; dx++)
                    if (is_shifted(out, dy, dx)) {
                        counts[dy + 2][dx + 2]++;
                        found++;
                    }
            assert_int_equal(found, 1);
        }
        for (int i = 0; i < 25; i++)
            assert_in_range(counts[i / 5][i % 5], 282, 518);
    }
    const struct dc_augmentation far = make("shift", 12);
    for (uint64_t id = 0; id < 300; id++) {
        float out[VALUES];
        int found = 0;
        view(out, &far, 1, 0, id);
        for (int dy = -12; dy <= 12; dy++)
            for (int dx = -12; dx <= 12; dx++)
                found += is_shifted(out, dy, dx);
        assert_true(found > 0);
    }
}

static void flips_are_exact_and_fair(void **state)
{
    (void)state;
    const struct dc_augmentation half = make("flip", 0.5), never = make("flip", 0),
                                 always = make("flip", 1);
    float out[VALUES], mirror[VALUES];
    int flipped = 0;
    for (int i = 0; i < VALUES; i++)
        mirror[i] = pixel(i / (WIDTH * CHANNELS), WIDTH - 1 - i / CHANNELS % WIDTH, i % CHANNELS);
    for (uint64_t id = 0; id < 10000; id++) {
        view(out, &half, 1, 0, id);
        const bool is_mirror = !memcmp(out, mirror, sizeof out);
        assert_true(is_mirror || !memcmp(out, image, sizeof out));
        flipped += is_mirror;
        view(out, &never, 1, 0, id);
        assert_memory_equal(out, image, sizeof out);
        view(out, &always, 1, 0, id);
        assert_memory_equal(out, mirror, sizeof out);
    }
    assert_in_range(flipped, 4700, 5300);  // six deviations of 50
}

// A turn of the image by `degrees`, from the definition in double: counter-clockwise as seen, with
// rows downwards.
static double turned(double degrees, int y, int x, int c)
{
    const double angle = degrees * acos(-1.0) / 180.0;
    const double my = (HEIGHT - 1) / 2.0, mx = (WIDTH - 1) / 2.0;
    const double sy = my + cos(angle) * (y - my) + sin(angle) * (x - mx);
    const double sx = mx - sin(angle) * (y - my) + cos(angle) * (x - mx);
    double sum = 0.0;
    for (int j = 0; j < HEIGHT; j++)
        for (int i = 0; i < WIDTH; i++) {
            const double wy = 1.0 - fabs(sy - j), wx = 1.0 - fabs(sx - i);
            if (wy > 0.0 && wx > 0.0)
                sum += wy * wx * (double)pixel(j, i, c);
        }
    return sum;
}

// The angle is found again from a search over angles; then every pixel must fit it.
static void rotations_are_bilinear(void **state)
{
    (void)state;
    const struct dc_augmentation augmentation = make("rotate", 30);
    double lowest = 1e9, highest = -1e9;
    for (uint64_t id = 0; id < 40; id++) {
        float out[VALUES];
        double best = 1e30, angle = 0.0, step = 1.0;
        view(out, &augmentation, 1, 0, id);
        for (double low = -30, high = 30; step > 1e-7;
             low = angle - step, high = angle + step, step /= 10, best = 1e30) {
            for (double degrees = low; degrees <= high + 1e-12; degrees += step) {
                double distance = 0.0;
                for (int i = 0; i < VALUES; i++) {
                    const double d = turned(degrees, i / (WIDTH * CHANNELS), i / CHANNELS % WIDTH,
                                            i % CHANNELS) -
                                     (double)out[i];
                    distance += d * d;
                }
                if (distance < best) {
                    best = distance;
                    angle = degrees;
                }
            }
        }
        for (int i = 0; i < VALUES; i++)
            assert_float_equal(
                out[i], turned(angle, i / (WIDTH * CHANNELS), i / CHANNELS % WIDTH, i % CHANNELS),
                2e-3);
        lowest = angle < lowest ? angle : lowest;
        highest = angle > highest ? angle : highest;
    }
    assert_true(lowest > -30.0001 && lowest < -20 && highest < 30.0001 && highest > 20);
    float out[VALUES];
    const struct dc_augmentation none = make("rotate", 0);
    view(out, &none, 1, 0, 0);
    assert_memory_equal(out, image, sizeof out);
}

// Moments of Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)); quantiles where the distribution
// function has a closed form: uniform for a = 1, arcsine for a = 1/2.
static void mixing_shares_follow_beta(void **state)
{
    (void)state;
    enum { DRAWS = 40000 };
    static const double alphas[] = {0.05, 0.2, 0.5, 1.0, 4.0};
    for (int k = 0; k < 5; k++) {
        const double a = alphas[k];
        double sum = 0.0, squares = 0.0;
        int below[9] = {0};
        for (uint64_t id = 0; id < DRAWS; id++) {
            struct dc_random random;
            dc_random_start(&random, 1, DC_PURPOSE_TEST, 0, id);
            const double x = dc_random_beta(&random, a);
            assert_true(x >= 0.0 && x <= 1.0);
            sum += x;
            squares += (x - 0.5) * (x - 0.5);
            for (int q = 0; q < 9; q++)
                below[q] += x < (q + 1) / 10.0;
        }
        assert_float_equal(sum / DRAWS, 0.5, 5 * 0.5 / sqrt(DRAWS));
        assert_float_equal(squares / DRAWS, 0.25 / (2 * a + 1), 5 * 0.125 / sqrt(DRAWS));
        for (int q = 0; q < 9; q++) {
            const double p = (q + 1) / 10.0;
            const double expected = a == 1.0 ? p : 2.0 / acos(-1.0) * asin(sqrt(p));
            if (a == 1.0 || a == 0.5)
                assert_float_equal((double)below[q] / DRAWS, expected, 5 * 0.5 / sqrt(DRAWS));
        }
    }
}

static void partners_are_uniform(void **state)
{
    (void)state;
    const struct dc_augmentation list[] = {make("flip", 0.5), make("mixup", 1)};
    int counts[10] = {0};
    for (uint64_t id = 0; id < 10000; id++) {
        struct dc_mix mix = {.partner = -1, .lambda = -1.0f};
        assert_true(dc_augmentation_mix(&mix, list, 2, &shape, 1, 0, id, 10));
        assert_in_range(mix.partner, 0, 9);
        assert_true(mix.lambda >= 0.0f && mix.lambda <= 1.0f && !mix.pastes);
        counts[mix.partner]++;
        assert_false(dc_augmentation_mix(&mix, list, 1, &shape, 1, 0, id, 10));
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], 820, 1180);  // six deviations of 30
}

// Appending an augmentation leaves what the earlier ones drew; epochs and ids differ.
static void streams_are_apart(void **state)
{
    (void)state;
    const struct dc_augmentation list[] = {make("shift", 2), make("flip", 0), make("rotate", 0)};
    float one[VALUES], all[VALUES], other[VALUES];
    int same_epoch = 0, same_id = 0;
    for (uint64_t id = 0; id < 100; id++) {
        view(one, list, 1, 0, id);
        view(all, list, 3, 0, id);
        assert_memory_equal(one, all, sizeof one);
        view(other, list, 1, 1, id);
        same_epoch += !memcmp(one, other, sizeof one);
        view(other, list, 1, 0, id + 1);
        same_id += !memcmp(one, other, sizeof one);
    }
    assert_true(same_epoch < 20 && same_id < 20);  // by chance 1 of 25
    const struct dc_augmentation flips[] = {make("flip", 0.5), make("flip", 0.5)};
    int agree = 0;  // two flips in a row draw apart: half of them cancel
    for (uint64_t id = 0; id < 1000; id++) {
        view(one, flips, 2, 0, id);
        agree += !memcmp(one, image, sizeof one);
    }
    assert_in_range(agree, 400, 600);
}

static void the_table_is_sound(void **state)
{
    (void)state;
    int count = 0;
    for (const struct dc_augmentation_kind *kind = dc_augmentation_kinds; kind->name; kind++) {
        const struct dc_augmentation augmentation = dc_augmentation_default(kind);
        assert_ptr_equal(dc_augmentation_find(kind->name), kind);
        assert_int_equal(kind->mixes + !!kind->apply + !!kind->apply_outcome, 1);
        assert_true(!kind->outcomes == !kind->apply_outcome && !kind->draw == !kind->outcomes);
        assert_true(kind->help && kind->parameter_count <= DC_AUGMENTATION_PARAMETERS);
        const bool coloured = kind->bytes || kind->colour;
        const struct dc_shape *fits = coloured ? &DC_SHAPE(8, 8, 3) : &shape;
        assert_int_equal(dc_augmentations_check(&augmentation, 1, fits, DC_U8, &error), DC_OK);
        count++;
    }
    assert_int_equal(count, 11);
    assert_null(dc_augmentation_find("blur"));
}

static void wrong_values_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double value;
    } cases[] = {{"shift", 1.5}, {"shift", -1},  {"flip", 1.01},
                 {"flip", NAN},  {"mixup", 0.0}, {"rotate", 181}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct dc_augmentation wrong = make(cases[i].name, cases[i].value);
        assert_int_equal(dc_augmentations_check(&wrong, 1, &shape, DC_U8, &error), DC_ERR_CONFIG);
        assert_non_null(strstr(error.message, cases[i].name));
    }
    const struct dc_augmentation flip = make("flip", 0.5);
    assert_int_equal(dc_augmentations_check(&flip, 1, &DC_SHAPE(64), DC_U8, &error), DC_ERR_CONFIG);
    const struct dc_augmentation order[] = {make("mixup", 1), flip};
    assert_int_equal(dc_augmentations_check(order, 2, &shape, DC_U8, &error), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "last"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shifts_are_exact_and_uniform), cmocka_unit_test(flips_are_exact_and_fair),
        cmocka_unit_test(rotations_are_bilinear),       cmocka_unit_test(mixing_shares_follow_beta),
        cmocka_unit_test(partners_are_uniform),         cmocka_unit_test(streams_are_apart),
        cmocka_unit_test(the_table_is_sound),           cmocka_unit_test(wrong_values_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}

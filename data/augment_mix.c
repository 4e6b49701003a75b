// Owns how two views are joined: partner, share and rectangle of mixup and cutmix.

#include <assert.h>
#include <math.h>

#include "core/math.h"
#include "data/augment_kinds.h"

// A rectangle of the share 1 - lambda with the image's ratio; *lambda: what is left of the image.
static void draw_rectangle(struct dc_mix *mix, const struct dc_shape *sample,
                           struct dc_random *random)
{
    const int64_t height = sample->dims[0], width = sample->dims[1];
    const double side = sqrt(1.0 - (double)mix->lambda);
    const int64_t tall = (int64_t)(side * (double)height), wide = (int64_t)(side * (double)width);
    mix->top = (int64_t)dc_random_below(random, (uint32_t)height) - tall / 2;
    mix->left = (int64_t)dc_random_below(random, (uint32_t)width) - wide / 2;
    mix->bottom = mix->top + tall < height ? mix->top + tall : height;
    mix->right = mix->left + wide < width ? mix->left + wide : width;
    mix->top = mix->top < 0 ? 0 : mix->top;
    mix->left = mix->left < 0 ? 0 : mix->left;
    const int64_t area = (mix->bottom - mix->top) * (mix->right - mix->left);
    mix->lambda = (float)(1.0 - (double)area / (double)(height * width));
}

bool dc_augmentation_mix(struct dc_mix *mix, const struct dc_augmentation *list, int count,
                         const struct dc_shape *sample, uint32_t seed, uint32_t epoch, uint64_t id,
                         int64_t samples)
{
    struct dc_random random;
    if (count == 0 || !list[count - 1].kind->mixes)
        return false;
    assert(samples > 0 && samples <= UINT32_MAX);
    dc__augment_stream(&random, seed, epoch, id, count - 1);
    *mix = (struct dc_mix){.pastes = list[count - 1].kind->pastes};
    mix->partner = (int64_t)dc_random_below(&random, (uint32_t)samples);
    mix->lambda = (float)dc_random_beta(&random, list[count - 1].values[0]);
    if (mix->pastes)
        draw_rectangle(mix, sample, &random);
    return true;
}

// Gamma(shape >= 1). Accepts more than 95 of 100 tries.
static double gamma_from_one(struct dc_random *random, double shape)
{
    const double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        const double x = dc_random_normal(random);
        const double root = 1.0 + c * x;
        const double u = ((double)dc_random_u32(random) + 1.0) * 0x1p-32;  // (0, 1]
        const double v = root * root * root;
        if (root > 0.0 && dc_ln(u) < 0.5 * x * x + d - d * v + d * dc_ln(v))
            return d * v;
    }
}

// Below 1: Gamma(a) = Gamma(a + 1) U^(1/a). U is at least 2^-32, so nothing underflows.
static double random_gamma(struct dc_random *random, double shape)
{
    if (shape >= 1.0)
        return gamma_from_one(random, shape);
    const double u = ((double)dc_random_u32(random) + 1.0) * 0x1p-32;
    return gamma_from_one(random, shape + 1.0) * dc_exp(dc_ln(u) / shape);
}

double dc_random_beta(struct dc_random *random, double alpha)
{
    const double a = random_gamma(random, alpha);
    const double b = random_gamma(random, alpha);
    return a / (a + b);
}

// Augmentation: random changes of training samples.
//
// Owns the table of augmentations and the view of a sample. A view is a pure function of (augment
// seed, epoch, sample id, list of augmentations): no thread, batch or earlier sample has a part in
// it. The k-th augmentation of a list draws from a stream of its own, (seed, DC_PURPOSE_AUGMENT,
// epoch, id) from block k * 2^16 on, so that appending one changes nothing before it.
//
// Samples are float [height, width, channels] in raw units (0..255 of uint8 sources), before
// normalization. They are applied in the order listed; mixup and cutmix, which join two finished
// views, come last.

#ifndef DC_DATA_AUGMENT_H
#define DC_DATA_AUGMENT_H

#include "core/random.h"
#include "core/tensor.h"

enum { DC_AUGMENTATION_PARAMETERS = 4 };

struct dc_augmentation_parameter {
    const char *name;
    double value, low, high;  // the default and the range, bounds included
    bool integer;
    const char *help;
};

struct dc_augmentation_kind {
    const char *name, *help;
    int parameter_count;
    struct dc_augmentation_parameter parameters[DC_AUGMENTATION_PARAMETERS];
    bool mixes;       // joins with a partner; apply is NULL
    bool pastes;      // by a rectangle of it
    bool bytes;       // of values in [0, 255]: uint8 sources alone
    unsigned colour;  // bit p: parameter p above 0 needs three channels
    // Of kinds that know few outcomes: how many, which one a stream draws, and that one. Then apply
    // is NULL.
    int64_t (*outcomes)(const double *values);
    int64_t (*draw)(const double *values, struct dc_random *random);
    void (*apply_outcome)(float *out, const float *in, const struct dc_shape *shape,
                          const double *values, int64_t outcome);
    // out, in: samples of `shape`, apart. values: [parameter_count].
    void (*apply)(float *out, const float *in, const struct dc_shape *shape, const double *values,
                  struct dc_random *random);
};

struct dc_augmentation {
    const struct dc_augmentation_kind *kind;
    double values[DC_AUGMENTATION_PARAMETERS];
};

// All kinds, one without a name behind the last; and one by name, NULL when there is none.
extern const struct dc_augmentation_kind dc_augmentation_kinds[];
const struct dc_augmentation_kind *dc_augmentation_find(const char *name);

// The kind with its default values.
struct dc_augmentation dc_augmentation_default(const struct dc_augmentation_kind *kind);

// Values within their ranges, what mixes last, images for what moves pixels, bytes and three
// channels for colours; else DC_ERR_CONFIG. sample, dtype: of the source.
DC_MUST_USE enum dc_status dc_augmentations_check(const struct dc_augmentation *list, int count,
                                                  const struct dc_shape *sample,
                                                  enum dc_dtype dtype, struct dc_error *error);

// The view of one sample without mixing. `sample` holds the raw values and is overwritten, as is
// `scratch` of the same size; returns the one of the two that holds the view.
float *dc_augmentation_view(float *sample, float *scratch, const struct dc_shape *shape,
                            const struct dc_augmentation *list, int count, uint32_t seed,
                            uint32_t epoch, uint64_t id);

// How many views a sample has: the product of all outcomes (pad_crop 4 and flip: 162); 0 where a
// kind has no count of them or more than 2^20 come together. Then view number `outcome` of them,
// and the number of what dc_augmentation_view draws.
int64_t dc_augmentation_outcomes(const struct dc_augmentation *list, int count);
float *dc_augmentation_outcome(float *sample, float *scratch, const struct dc_shape *shape,
                               const struct dc_augmentation *list, int count, int64_t outcome);
int64_t dc_augmentation_drawn(const struct dc_augmentation *list, int count, uint32_t seed,
                              uint32_t epoch, uint64_t id);

// How a sample is joined with another.
struct dc_mix {
    int64_t partner;  // in [0, samples)
    float lambda;     // the share of the sample itself, in targets too
    bool pastes;      // rows [top, bottom), columns [left, right) are the partner's; else a blend
    int64_t top, bottom, left, right;
};

// Whether the list ends in mixup (Zhang et al., arXiv:1710.09412) or cutmix (Yun et al.,
// arXiv:1905.04899: a rectangle of the drawn area around any pixel, cut at the edges; lambda is
// what it leaves); then *mix, drawn for this id.
bool dc_augmentation_mix(struct dc_mix *mix, const struct dc_augmentation *list, int count,
                         const struct dc_shape *sample, uint32_t seed, uint32_t epoch, uint64_t id,
                         int64_t samples);

// Beta(alpha, alpha) from two gammas (Marsaglia and Tsang, "A simple method for generating gamma
// variables", 2000) on portable arithmetic. alpha > 0.
double dc_random_beta(struct dc_random *random, double alpha);

#endif

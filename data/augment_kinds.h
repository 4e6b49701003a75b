// What the files of augmentations share. Internal to data/.

#ifndef DC_DATA_AUGMENT_KINDS_H
#define DC_DATA_AUGMENT_KINDS_H

#include "data/augment.h"

// As dc_augmentation_kind.apply.
typedef void dc__augment(float *out, const float *in, const struct dc_shape *shape,
                         const double *values, struct dc_random *random);

dc__augment dc__random_resized_crop, dc__cutout, dc__colour_jitter;

// The stream of the augmentation at a position of the list.
void dc__augment_stream(struct dc_random *random, uint32_t seed, uint32_t epoch, uint64_t id,
                        int position);

// As dc_augmentation_kind.apply_outcome: the first knows one, the second two.
void dc__centre_crop(float *out, const float *in, const struct dc_shape *shape,
                     const double *values, int64_t outcome);
void dc__greyscale(float *out, const float *in, const struct dc_shape *shape, const double *values,
                   int64_t outcome);

#endif

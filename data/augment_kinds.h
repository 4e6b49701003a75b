// What the files of augmentations share. Internal to data/.

#ifndef DC_DATA_AUGMENT_KINDS_H
#define DC_DATA_AUGMENT_KINDS_H

#include "data/augment.h"

// As dc_augmentation_kind.apply.
typedef void dc__augment(float *out, const float *in, const struct dc_shape *shape,
                         const double *values, struct dc_random *random);

dc__augment dc__random_resized_crop, dc__centre_crop, dc__cutout, dc__colour_jitter;

#endif

// Cutting a validation set from the training samples.
//
// The rule, so that anyone can repeat it: each class gives floor(validation_count * n_c / n) of its
// n_c samples, and the classes with the largest remainders of that division one more each, ties to
// the smaller class, until validation_count is reached. Which samples: the ids of class c,
// ascending, are shuffled by Fisher and Yates from the back (position i = n_c - 1 .. 1 swaps with
// dc_random_below(i + 1)) with the stream (seed, DC_PURPOSE_SPLIT, epoch c, id 0); the first are
// taken. Without labels all samples are one class 0. The test set has no part in it.

#ifndef DC_DATA_SPLIT_H
#define DC_DATA_SPLIT_H

#include "core/arena.h"
#include "core/source.h"

// Both lists ascend, lie in the arena, and together are all ids. validation_count 0 gives an empty
// list; negative, or leaving no sample to train on, is DC_ERR_CONFIG.
DC_MUST_USE enum dc_status dc_split_validation(int64_t **train_ids, int64_t *n_train,
                                               int64_t **validation_ids, int64_t *n_validation,
                                               const struct dc_source *source,
                                               int64_t validation_count, uint32_t seed,
                                               struct dc_arena *arena, struct dc_error *error);

// Fisher and Yates as above, on any list; the loader's epochs use it too. count below 2^32.
struct dc_random;
void dc_shuffle(int64_t *ids, int64_t count, struct dc_random *random);

#endif

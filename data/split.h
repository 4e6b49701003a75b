// Choosing some samples of each class: a validation set, a test set, a subset to train on.
//
// The rule, so that anyone can repeat it: of `wanted` samples each class gives floor(wanted * n_c /
// n) of its n_c, and the classes with the largest remainders of that division one more each, ties
// to the smaller class, until `wanted` is reached. Which samples: those of class c, ascending, are
// shuffled by Fisher and Yates from the back (position i = n_c - 1 .. 1 swaps with
// dc_random_below(i
// + 1)) with the stream (seed, purpose, epoch c, id 0); the first are taken. Without labels all
// samples are one class 0. The test set has no part in choosing a validation set. Of a source with
// groups (recordings) whole groups are chosen by the same rule, the share of them that comes
// nearest to the samples wanted, so that there may be more or fewer.

#ifndef DC_DATA_SPLIT_H
#define DC_DATA_SPLIT_H

#include "core/arena.h"
#include "core/random.h"
#include "core/source.h"

// chosen: [count], in the arena. labels: [count] in [0, classes), or NULL. 0 <= wanted <= count.
DC_MUST_USE enum dc_status dc_choose(bool **chosen, const int32_t *labels, int classes,
                                     int64_t count, int64_t wanted, uint32_t seed,
                                     enum dc_purpose purpose, struct dc_arena *arena,
                                     struct dc_error *error);

// Both lists ascend, lie in the arena, and together are all ids. validation_count 0 gives an empty
// list; negative, or leaving no sample to train on, is DC_ERR_CONFIG.
DC_MUST_USE enum dc_status dc_split_validation(int64_t **train_ids, int64_t *n_train,
                                               int64_t **validation_ids, int64_t *n_validation,
                                               const struct dc_source *source,
                                               int64_t validation_count, uint32_t seed,
                                               struct dc_arena *arena, struct dc_error *error);

// Fisher and Yates as above, on any list; the loader's epochs use it too. count below 2^32.
void dc_shuffle(int64_t *ids, int64_t count, struct dc_random *random);

#endif

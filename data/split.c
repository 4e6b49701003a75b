// Owns the rule of split.h.

#include "data/split.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

void dc_shuffle(int64_t *ids, int64_t count, struct dc_random *random)
{
    assert(count <= UINT32_MAX);
    for (int64_t i = count - 1; i > 0; i--) {
        const int64_t j = dc_random_below(random, (uint32_t)i + 1);
        const int64_t kept = ids[i];
        ids[i] = ids[j];
        ids[j] = kept;
    }
}

// take[c]: how many samples of class c, of sizes[c], are cut. The products fit: counts are below
// 2^32 and classes hold no more than all samples.
static void share_out(int64_t *take, int64_t *remainder, const int64_t *sizes, int classes,
                      int64_t total, int64_t wanted)
{
    int64_t left = wanted;
    for (int c = 0; c < classes; c++) {
        take[c] = wanted * sizes[c] / total;
        remainder[c] = wanted * sizes[c] % total;
        left -= take[c];
    }
    for (; left > 0; left--) {
        int best = 0;
        for (int c = 1; c < classes; c++)
            if (remainder[c] > remainder[best])
                best = c;
        take[best]++;
        remainder[best] = -1;
    }
}

enum dc_status dc_choose(bool **chosen, const int32_t *labels, int classes, int64_t count,
                         int64_t wanted, uint32_t seed, enum dc_purpose purpose,
                         struct dc_arena *arena, struct dc_error *error)
{
    assert(wanted >= 0 && wanted <= count && count <= UINT32_MAX);
    classes = labels ? classes : 1;
    int64_t *sizes = DC_NEW(arena, int64_t, 3 * classes, error);
    int64_t *list = DC_NEW(arena, int64_t, count, error);
    *chosen = DC_NEW(arena, bool, count, error);
    if (!sizes || !list || !*chosen)
        return DC_ERR_MEMORY;
    int64_t *take = sizes + classes;
    for (int64_t id = 0; id < count; id++)
        sizes[labels ? labels[id] : 0]++;
    share_out(take, take + classes, sizes, classes, count, wanted);
    for (int c = 0; c < classes; c++) {
        struct dc_random random;
        int64_t n = 0;
        for (int64_t id = 0; id < count; id++)
            if (!labels || labels[id] == c)
                list[n++] = id;
        dc_random_start(&random, seed, purpose, (uint32_t)c, 0);
        dc_shuffle(list, n, &random);
        for (int64_t i = 0; i < take[c]; i++)
            (*chosen)[list[i]] = true;
    }
    return DC_OK;
}

// Whole groups, the share of them that is wanted of the samples, at least one; a group is of the
// class of its first sample.
static enum dc_status choose_groups(bool **chosen, const struct dc_source *source, int64_t wanted,
                                    uint32_t seed, struct dc_arena *arena, struct dc_error *error)
{
    const int64_t count = source->count;
    int64_t groups = 0;
    bool *whole = NULL;
    int32_t *labels = DC_NEW(arena, int32_t, count, error);
    int64_t *group_of = DC_NEW(arena, int64_t, count, error);
    *chosen = DC_NEW(arena, bool, count, error);
    if (!labels || !group_of || !*chosen)
        return DC_ERR_MEMORY;
    for (int64_t id = 0; id < count; id++) {
        if (id == 0 || source->groups[id] != source->groups[id - 1])
            labels[groups++] = source->labels ? source->labels[id] : 0;
        group_of[id] = groups - 1;
    }
    const int64_t share = (2 * wanted * groups + count) / (2 * count);
    if (groups < 2)
        return dc_fail(error, DC_ERR_CONFIG,
                       "validation would be cut from the one recording there is; leave it out, or "
                       "record more");
    DC_TRY(dc_choose(&whole, source->labels ? labels : NULL, source->classes, groups,
                     share < 1            ? 1
                     : share > groups - 1 ? groups - 1
                                          : share,
                     seed, DC_PURPOSE_SPLIT, arena, error));
    for (int64_t id = 0; id < count; id++)
        (*chosen)[id] = whole[group_of[id]];
    return DC_OK;
}

enum dc_status dc_split_validation(int64_t **train_ids, int64_t *n_train, int64_t **validation_ids,
                                   int64_t *n_validation, const struct dc_source *source,
                                   int64_t validation_count, uint32_t seed, struct dc_arena *arena,
                                   struct dc_error *error)
{
    const int64_t count = source->count;
    bool *chosen = NULL;
    if (validation_count < 0 || validation_count >= count || count > UINT32_MAX)
        return dc_fail(error, DC_ERR_CONFIG,
                       "validation must be from 0 to %" PRId64 " of the %" PRId64
                       " training samples, not %" PRId64,
                       count - 1, count, validation_count);
    if (source->groups && validation_count > 0)
        DC_TRY(choose_groups(&chosen, source, validation_count, seed, arena, error));
    else
        DC_TRY(dc_choose(&chosen, source->labels, source->classes, count, validation_count, seed,
                         DC_PURPOSE_SPLIT, arena, error));
    int64_t taken = 0;
    for (int64_t id = 0; id < count; id++)
        taken += chosen[id];
    int64_t *train = DC_NEW(arena, int64_t, count - taken, error);
    int64_t *validation = DC_NEW(arena, int64_t, taken, error);
    if (!train || !validation)
        return DC_ERR_MEMORY;
    *n_train = *n_validation = 0;
    for (int64_t id = 0; id < count; id++) {
        if (chosen[id])
            validation[(*n_validation)++] = id;
        else
            train[(*n_train)++] = id;
    }
    *train_ids = train;
    *validation_ids = validation;
    return DC_OK;
}

// The loader: batches of augmented, normalized samples, prepared ahead on threads of its own.
//
// What a batch holds is a pure function of the configuration, the epoch and the batch's number.
// Depth and threads decide only when it is ready. An epoch's order: the ids as configured, shuffled
// as split.h says with the stream (shuffle_seed, DC_PURPOSE_SHUFFLE, epoch, id 0); without shuffle
// as configured. The last, smaller batch is kept.

#ifndef DC_DATA_LOADER_H
#define DC_DATA_LOADER_H

#include "data/augment.h"
#include "data/view.h"

struct dc_loader;

struct dc_loader_config {
    const struct dc_source *source;  // must outlive the loader
    const int64_t *ids;              // [id_count], copied
    int64_t id_count;
    int64_t batch;
    bool shuffle;
    uint32_t shuffle_seed;
    uint32_t augment_seed;
    const struct dc_augmentation *augmentations;  // [augmentation_count], copied; NULL: none
    int augmentation_count;
    bool all_views;          // epoch e is view number e of every sample (dc_augmentation_views)
    const int64_t *mix_ids;  // [mix_count] whom mixing draws partners from, must outlive the
    int64_t mix_count;       // loader; NULL: ids
    struct dc_view views[DC_BATCH_VIEWS];  // what networks read: batch.inputs and batch.views
    int view_count;
    int depth;    // batches in memory, at least 1; the one in use counts, so 2 work ahead by one
    int threads;  // at least 1
    // Raised: dc_loader_next fails with DC_ERR_STOPPED. NULL for a caller who stops where its work
    // can go on.
    const volatile sig_atomic_t *stop;
};

// All memory is allocated here, none later. Wrong augmentations or normalization: DC_ERR_CONFIG.
DC_MUST_USE enum dc_status dc_loader_create(struct dc_loader **loader,
                                            const struct dc_loader_config *config,
                                            struct dc_error *error);
void dc_loader_free(struct dc_loader *loader);  // NULL is allowed

int64_t dc_loader_batches(const struct dc_loader *loader);  // in an epoch

// Begin an epoch at batch first_batch (to resume inside one), dropping what was prepared before.
// epoch is at least 0 and below 2^32; first_batch may be the number of batches: an empty rest.
DC_MUST_USE enum dc_status dc_loader_start(struct dc_loader *loader, int64_t epoch,
                                           int64_t first_batch, struct dc_error *error);

// The next batch; rows is 0 at the end of the epoch. Its memory stays valid until the next call on
// the loader. A sample that cannot be read fails here, at its batch, and at every call after it.
// One caller at a time.
DC_MUST_USE enum dc_status dc_loader_next(struct dc_loader *loader, struct dc_batch *batch,
                                          struct dc_error *error);

#endif

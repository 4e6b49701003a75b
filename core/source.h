// Where samples come from, as the training loop sees it.
//
// A dc_source hands out raw samples by id; ids are 0 .. count-1 and never change meaning. A
// dc_batch is what a step reads: float inputs after augmentation and normalization, and dense
// targets. Readers of files are in data/; this is only the interface between them and the loop.

#ifndef DC_CORE_SOURCE_H
#define DC_CORE_SOURCE_H

#include "core/context.h"
#include "core/preprocessing.h"
#include "core/tensor.h"

struct dc_source;

struct dc_source_ops {
    const char *kind;  // "idx", "cifar10", "photos", "hdf5"
    // Copy sample id's values, row-major HWC, as stored (uint8 or float32) to `values`. Thread
    // safe.
    enum dc_status (*read)(const struct dc_source *source, int64_t id, void *values,
                           struct dc_error *error);
    void (*free)(struct dc_source *source);
};

struct dc_source {
    const struct dc_source_ops *ops;
    int64_t count;
    struct dc_shape sample;          // [height, width, channels] or [values]; no batch dimension
    enum dc_dtype dtype;             // DC_U8 or DC_F32
    int classes;                     // 0: no labels; of values and tags: how many
    const char *const *class_names;  // [classes], or NULL
    const int32_t *labels;           // [count] in [0, classes), or NULL
    enum dc_label_kind label_kind;
    const float *targets;      // [count, classes]: of values and tags; else NULL
    const int64_t *groups;     // [count], ascending: samples of a group are of one split; or NULL
    int64_t own_validation;    // the last so many training samples are for validation
    const char *const *files;  // [count]: what a sample is of: a photograph, a recording; or NULL
    const char *note;          // what a person should know of how it was read, or NULL
    uint64_t hash;             // of the content, for env.json and caches
    const volatile sig_atomic_t *stop;  // raised: passes over the whole source end; or NULL
};

DC_MUST_USE static inline enum dc_status dc_source_read(const struct dc_source *source, int64_t id,
                                                        void *values, struct dc_error *error)
{
    return source->ops->read(source, id, values, error);
}

static inline void dc_source_free(struct dc_source *source)
{
    if (source)
        source->ops->free(source);
}

// One step's samples. Memory belongs to the loader and stays valid until the next batch is asked
// for.
enum { DC_BATCH_VIEWS = 8 };

struct dc_batch {
    int64_t rows;
    const uint64_t *ids;                 // [rows]
    const float *inputs;                 // [rows, sample...]: the first view
    const float *views[DC_BATCH_VIEWS];  // of the same samples for several networks
    const float *targets;   // [rows, classes]: one-hot, or mixed by mixup; smoothing is the loss's
    const int32_t *labels;  // [rows]: of the unmixed sample; NULL where labels are no classes
};

#endif

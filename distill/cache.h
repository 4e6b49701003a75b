// The soft-target cache: a teacher's outputs on disk, exact under augmentation.
//
// The view of a sample is a pure function of (augment seed, epoch, sample), so a cache knows what
// it holds. It is a folder:
//
//   manifest.json         what the outputs depend on: teacher, preprocessing, augmentation, data
//   epoch-0007/block-0003.h5   one shard: the outputs for one block of samples, written whole
//
// Samples are those of a training split, in ascending order of ids, cut into blocks. Modes:
//
//   epochs   the views of each epoch, as augment.seed draws them
//   views    all views of a finite augmentation (pad_crop 4 and flip: 162), in epoch-0000; exact
//            for any seed, number of epochs, student and temperature
//   static   one output a sample, of the sample as it is; right only where augmentation changes
//            nothing that matters
//
// A shard is immutable: one process writes it, under a lock, and any number read. It carries the
// manifest's hash and ends in a checksum of the whole file. What does not fit is refused, never
// mended silently. Logits are stored before any softmax, so that every temperature is served.

#ifndef DC_DISTILL_CACHE_H
#define DC_DISTILL_CACHE_H

#include "core/context.h"
#include "data/loader.h"

enum dc_cache_mode { DC_CACHE_EPOCHS, DC_CACHE_VIEWS, DC_CACHE_STATIC, DC_CACHE_MODE_COUNT };
extern const char *const dc_cache_modes[DC_CACHE_MODE_COUNT + 1];  // NULL behind

enum { DC_CACHE_COLUMNS = 17 };

// One output of the teacher: column 0 is its logits, others are features by layer.
struct dc_cache_column {
    const char *name;
    int64_t values;
};

// What a cache holds and depends on. Everything pointed to must outlive the cache.
struct dc_cache_spec {
    enum dc_cache_mode mode;
    enum dc_dtype dtype;  // of stored values: DC_F32 or DC_F16
    int64_t top;          // logits kept of each view, the largest; 0: all. Of the rest one value is
                          // kept, equal for all, with which they weigh the same at temperature 1
    int64_t block;        // samples a shard
    struct dc_cache_column columns[DC_CACHE_COLUMNS];
    int column_count;
    uint64_t teacher;  // hash of its graph and weights
    const char *teacher_name;
    struct dc_view view;  // what it reads
    const struct dc_augmentation *augmentations;
    int augmentation_count;
    uint32_t augment_seed;
    const struct dc_source *source;
    const int64_t *ids;  // [id_count], ascending
    int64_t id_count;
    enum dc_isa isa;
    bool shared;  // the folder holds caches of several kinds, each in one named by what it depends
                  // on
};

struct dc_cache;
enum dc_cache_opening { DC_CACHE_FIND, DC_CACHE_MAKE, DC_CACHE_REPAIR };

// A cache may be kept in `folder`: nothing is there, or nothing but a cache; else an error.
DC_MUST_USE enum dc_status dc_cache_may_begin(const char *folder, struct dc_arena *arena,
                                              struct dc_error *error);
// Opens a folder, or begins one where there is no manifest yet and it is to be made. To repair: a
// manifest that Decant began to write and that is no JSON is written anew; shards know what they
// belong to. A manifest that differs from the spec is DC_ERR_CONFIG and names both values; views
// and static refuse mixing, and views an augmentation without a count. isa is recorded and not
// compared (dc_cache_isa).
DC_MUST_USE enum dc_status dc_cache_open(struct dc_cache **cache, const char *folder,
                                         const struct dc_cache_spec *spec,
                                         enum dc_cache_opening how, struct dc_error *error);
bool dc_cache_repaired(const struct dc_cache *cache);  // its manifest, when it was opened
void dc_cache_free(struct dc_cache *cache);            // NULL is allowed

const struct dc_cache_spec *dc_cache_holds(const struct dc_cache *cache);
const char *dc_cache_folder(const struct dc_cache *cache);
const char *dc_cache_isa(const struct dc_cache *cache);  // the instruction set it was begun with
int64_t dc_cache_views(const struct dc_cache *cache);    // outputs a sample and shard
int64_t dc_cache_epochs(const struct dc_cache *cache, int64_t epochs);  // folders for a training
int64_t dc_cache_blocks(const struct dc_cache *cache);
struct dc_rows dc_cache_block(const struct dc_cache *cache, int64_t block);  // of spec->ids
int64_t dc_cache_row(const struct dc_cache *cache);   // floats of one view, all columns
size_t dc_cache_bytes(const struct dc_cache *cache);  // of an epoch, in memory and on disk

// Shards. rows: [samples of the block][views][columns], as floats.
bool dc_cache_has(const struct dc_cache *cache, int64_t epoch, int64_t block);
// Takes the shard for this process; *taken is false where another process holds it. Released by
// dc_cache_release, and by the end of the process.
DC_MUST_USE enum dc_status dc_cache_claim(bool *taken, struct dc_cache *cache, int64_t epoch,
                                          int64_t block, struct dc_error *error);
void dc_cache_release(struct dc_cache *cache);
// A shard that was claimed.
DC_MUST_USE enum dc_status dc_cache_write(struct dc_cache *cache, int64_t epoch, int64_t block,
                                          const float *rows, struct dc_error *error);

// Reads the shards of an epoch into memory, unless they are there. A missing, truncated, damaged or
// foreign shard is DC_ERR_DATA.
DC_MUST_USE enum dc_status dc_cache_load(struct dc_cache *cache, int64_t epoch,
                                         struct dc_error *error);
// One shard's file: whole and of this cache, or DC_ERR_DATA. Loads nothing.
DC_MUST_USE enum dc_status dc_cache_check(struct dc_cache *cache, int64_t epoch, int64_t block,
                                          struct dc_error *error);
// One column for samples of the epoch that is loaded, as augment_seed draws their views.
// values: [rows, column values]. An id that the cache does not cover is DC_ERR_DATA.
DC_MUST_USE enum dc_status dc_cache_read(float *values, const struct dc_cache *cache, int column,
                                         const uint64_t *ids, int64_t rows, struct dc_error *error);
// The same for one numbered view of the sample at `position` of spec->ids.
void dc_cache_read_view(float *values, const struct dc_cache *cache, int column, int64_t position,
                        int64_t view);

#endif

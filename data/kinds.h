// What a kind of source is made of, and what the kinds share. Internal to data/.
//
// A new kind is one file with one dc__source_kind, and one row in open.c.

#ifndef DC_DATA_KINDS_H
#define DC_DATA_KINDS_H

#include "core/arena.h"
#include "core/packed.h"
#include "data/open.h"

struct dc__memory;
struct dc__file_kind;

enum { DC__CLASSES_MAX = 1 << 20 };

struct dc__source_kind {
    struct dc_source_ops ops;
    // Does this kind read what lies at `path`? A look at names or first bytes, not a check. NULL:
    // where one of `files` is, perhaps packed.
    bool (*recognize)(const char *path);
    const char *files[5];
    // Whether what lies there brings samples to validate on; NULL: none does.
    bool (*own_validation)(const struct dc_source_spec *spec);
    // What files it lists (file_list.h): photographs are resized, recordings cut. NULL: it lists
    // none.
    const struct dc__file_kind *files_of;
    // Fills an empty source in memory, all but its labels' pointer and its hash; or makes one.
    enum dc_status (*load)(struct dc__memory *memory, const struct dc_source_spec *spec,
                           struct dc_error *error);
    enum dc_status (*open)(struct dc_source **source, const struct dc_source_spec *spec,
                           struct dc_error *error);
};

extern const struct dc__source_kind dc__source_idx, dc__source_cifar10, dc__source_cifar100,
    dc__source_photos, dc__source_png, dc__source_hdf5, dc__source_npz, dc__source_series;

static inline bool dc__is_test(const struct dc_source_spec *spec)
{
    return spec->split[1] == 'e';  // "test" or "train": dc_source_open has checked
}

// A source whose samples lie in memory, back to back.
struct dc__memory {
    struct dc_source source;  // first, so that the pointers are the same
    struct dc_arena *arena;   // names
    uint8_t *values;          // [count, bytes of a sample]
    int32_t *labels;          // [count], or NULL
    float *targets;           // [count, classes]: of labels that are no classes; or NULL
};

DC_MUST_USE enum dc_status dc__memory_open(struct dc_source **source,
                                           const struct dc__source_kind *kind,
                                           const struct dc_source_spec *spec,
                                           struct dc_error *error);
// Room for `count` samples of source.sample and their labels; keeps those that are there.
DC_MUST_USE enum dc_status dc__memory_resize(struct dc__memory *memory, int64_t count,
                                             struct dc_error *error);
// Labels that are no classes: rows[i] are the values of sample i; its source's count and classes
// are set. None where rows[0] is NULL.
DC_MUST_USE enum dc_status dc__memory_values(struct dc__memory *memory, const float *const *rows,
                                             const struct dc_source_spec *spec,
                                             struct dc_error *error);
enum dc_status dc__memory_read(const struct dc_source *source, int64_t id, void *values,
                               struct dc_error *error);
void dc__memory_free(struct dc_source *source);

// Content hash: every sample in turn with its label (0 without), after shape and type. Words of 8
// bytes, the last filled up with zeros, each folded by xor, rotation and FNV's prime.
uint64_t dc__hash_start(const struct dc_source *source);
uint64_t dc__hash_sample(uint64_t hash, const void *values, size_t bytes, int32_t label);

size_t dc__sample_bytes(const struct dc_source *source);

// Samples are [height, width, channels]. [3, height, width] is refused, with what to do; of [1 or
// 4, height, width] *note asks (else it stays).
DC_MUST_USE enum dc_status dc__check_layout(const char **note, const struct dc_shape *sample,
                                            const char *path, const char *array,
                                            struct dc_arena *arena, struct dc_error *error);

// Class names from the spec, else from the lines of `text`, empty ones left out (NULL: none), of
// `file`; else no names and spec->class_count. The names lie in the arena.
DC_MUST_USE enum dc_status dc__class_names(struct dc_source *source,
                                           const struct dc_source_spec *spec, const char *text,
                                           const char *file, struct dc_arena *arena,
                                           struct dc_error *error);
// The same from a file of the data set's folder if it exists.
DC_MUST_USE enum dc_status dc__class_file(struct dc_source *source,
                                          const struct dc_source_spec *spec, const char *base,
                                          struct dc_arena *arena, struct dc_error *error);
// How many classes training labels use, all from 0 on; a gap is an error. `file` is for messages.
DC_MUST_USE enum dc_status dc__count_classes(int *classes, const int32_t *labels, int64_t count,
                                             const char *file, struct dc_error *error);
// Every label must be in [0, classes).
DC_MUST_USE enum dc_status dc__check_labels(const int32_t *labels, int64_t count, int classes,
                                            const char *file, struct dc_error *error);

// The first of BASE, BASE.gz, BASE.xz that exists, else NULL (error untouched: the caller says).
DC_MUST_USE char *dc__find_packed(const char *folder, const char *base, struct dc_arena *arena,
                                  struct dc_error *error);
// And opens it for decoding. None of them: DC_ERR_DATA.
DC_MUST_USE enum dc_status dc__open_packed(struct dc_packed **packed, const char **path,
                                           const char *folder, const char *base,
                                           struct dc_arena *arena, struct dc_error *error);

#endif

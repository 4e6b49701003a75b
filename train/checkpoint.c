// Owns the layout of checkpoint and weights files: groups are networks, datasets slices, counters
// attributes. A file is sealed: every byte of it is under one checksum, which is checked before
// HDF5 sees it.

#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/h5.h"

// Up to versions 3 and 2, which Decant 0.1 wrote, files had no seal.
enum { CHECKPOINT_VERSION = 4, WEIGHTS_VERSION = 3 };

static const char *const kind_attribute = "decant_file";

// Integer counters by name; one table for reading and writing.
static const struct {
    const char *name;
    size_t offset;
} integers[] = {
    {"step", offsetof(struct dc_counters, step)},
    {"epoch", offsetof(struct dc_counters, epoch)},
    {"batch", offsetof(struct dc_counters, batch)},
    {"best_epoch", offsetof(struct dc_counters, best_epoch)},
    {"stale_epochs", offsetof(struct dc_counters, stale)},
};
enum { INTEGERS = sizeof integers / sizeof integers[0] };

static int64_t *integer_at(const struct dc_counters *counters, int i)
{
    return (int64_t *)((char *)counters + integers[i].offset);
}

static struct dc_tensor reals_of(const struct dc_counters *counters)
{
    return (struct dc_tensor){(void *)(uintptr_t)counters->reals, DC_F64, DC_SHAPE(DC_REALS)};
}

static enum dc_status write_content(struct dc_h5 *file, const struct dc_train_job *job,
                                    const struct dc_counters *counters, struct dc_error *error)
{
    char hash[32];
    snprintf(hash, sizeof hash, "%016" PRIx64, job->config_hash);
    dc_h5_seal(file);
    DC_TRY(dc_h5_set_text(file, kind_attribute, "checkpoint", error));
    DC_TRY(dc_h5_set_int(file, "version", CHECKPOINT_VERSION, error));
    DC_TRY(dc_h5_set_text(file, "config_hash", hash, error));
    for (int i = 0; i < INTEGERS; i++)
        DC_TRY(dc_h5_set_int(file, integers[i].name, *integer_at(counters, i), error));
    const struct dc_tensor reals = reals_of(counters);
    DC_TRY(dc_h5_write(file, "counters", &reals, error));
    for (int n = 0; n < job->network_count; n++)
        if (job->networks[n].trainable)
            DC_TRY(dc_params_write(job->networks[n].params, file, job->networks[n].name, error));
    return DC_OK;
}

// The version that a file without a seal states, found without HDF5, which would believe whatever
// the file says: behind the attribute's name, padded to 8 bytes, are 16 bytes of type and 8 of
// shape, then the value. 0: none is found.
static int64_t stated_version(const char *path)
{
    enum { HEAD = 65536, VALUE = 32 };
    static const char name[] = "version";
    int64_t version = 0;
    char *head = malloc(HEAD);
    FILE *file = fopen(path, "rbe");
    const size_t size = file && head ? fread(head, 1, HEAD, file) : 0;
    const char *kind = size ? memmem(head, size, kind_attribute, strlen(kind_attribute)) : NULL;
    const char *at = kind ? memmem(kind, size - (size_t)(kind - head), name, sizeof name) : NULL;
    if (at && (size_t)(at - head) + VALUE + sizeof version <= size)
        memcpy(&version, at + VALUE, sizeof version);
    if (file)
        fclose(file);
    free(head);
    return version;
}

static enum dc_status open_sealed(struct dc_h5 **file, const char *path, int reads,
                                  struct dc_error *error)
{
    const enum dc_status status = dc_h5_open_sealed(file, path, error);
    const int64_t version = status == DC_ERR_DATA ? stated_version(path) : 0;
    if (version < 1 || version >= reads)
        return status;
    return dc_fail(error, DC_ERR_DATA,
                   "%s has format version %" PRId64
                   " of Decant 0.1; this program, Decant %s, reads "
                   "version %d",
                   path, version, DECANT_VERSION, reads);
}

static enum dc_status check_version(const struct dc_h5 *file, const char *path, const char *kind,
                                    int reads, struct dc_arena *arena, struct dc_error *error)
{
    char *found = NULL;
    int64_t version = 0;
    DC_TRY_IN(dc_h5_get_text(file, kind_attribute, &found, arena, error), error, "%s", path);
    DC_TRY_IN(dc_h5_get_int(file, "version", &version, error), error, "%s", path);
    if (strcmp(found, kind) != 0)
        return dc_fail(error, DC_ERR_DATA, "%s is a %s file, not a %s file", path, found, kind);
    if (version != reads)
        return dc_fail(error, DC_ERR_DATA,
                       "%s has format version %" PRId64 "; this program reads version %d", path,
                       version, reads);
    return DC_OK;
}

static enum dc_status read_content(const struct dc_h5 *file, const char *path,
                                   const struct dc_train_job *job, struct dc_counters *counters,
                                   struct dc_arena *arena, struct dc_error *error)
{
    DC_TRY(check_version(file, path, "checkpoint", CHECKPOINT_VERSION, arena, error));
    char *found = NULL, want[32];
    DC_TRY(dc_h5_get_text(file, "config_hash", &found, arena, error));
    snprintf(want, sizeof want, "%016" PRIx64, job->config_hash);
    if (strcmp(found, want) != 0)
        return dc_fail(
            error, DC_ERR_CONFIG,
            "%s was made by another configuration (hash %s, now %s); take back the change "
            "or start in a new run directory",
            path, found, want);
    for (int i = 0; i < INTEGERS; i++)
        DC_TRY(dc_h5_get_int(file, integers[i].name, integer_at(counters, i), error));
    const struct dc_tensor reals = reals_of(counters);
    DC_TRY(dc_h5_read(file, "counters", &reals, error));
    for (int n = 0; n < job->network_count; n++)
        if (job->networks[n].trainable)
            DC_TRY(dc_params_read(job->networks[n].params, file, job->networks[n].name, error));
    return DC_OK;
}

enum dc_status dc_checkpoint_write(const char *path, const struct dc_train_job *job,
                                   const struct dc_counters *counters, struct dc_error *error)
{
    struct dc_h5 *file = NULL;
    DC_TRY(dc_h5_create(&file, path, error));
    return dc_h5_close_commit(file, write_content(file, job, counters, error), error);
}

enum dc_status dc_checkpoint_read(const char *path, const struct dc_train_job *job,
                                  struct dc_counters *counters, struct dc_error *error)
{
    struct dc_h5 *file = NULL;
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = open_sealed(&file, path, CHECKPOINT_VERSION, error);
    if (status == DC_OK)
        status = read_content(file, path, job, counters, arena, error);
    dc_h5_close(file);
    dc_arena_free(arena);
    return status;
}

static enum dc_status write_weights(struct dc_h5 *file, const struct dc_params *params,
                                    struct dc_error *error)
{
    dc_h5_seal(file);
    DC_TRY(dc_h5_set_text(file, kind_attribute, "weights", error));
    DC_TRY(dc_h5_set_int(file, "version", WEIGHTS_VERSION, error));
    for (int i = 0; i < params->count; i++) {
        const struct dc_slice *slice = &params->slices[i];
        const struct dc_tensor tensor = {params->value + slice->offset, DC_F32, slice->shape};
        DC_TRY(dc_h5_write(file, slice->name, &tensor, error));
    }
    return DC_OK;
}

enum dc_status dc_weights_write(const char *path, const struct dc_params *params,
                                struct dc_error *error)
{
    struct dc_h5 *file = NULL;
    DC_TRY(dc_h5_create(&file, path, error));
    return dc_h5_close_commit(file, write_weights(file, params, error), error);
}

// taken NULL: every slice must be there.
static enum dc_status read_slices(const struct dc_h5 *file, const char *path,
                                  struct dc_params *params, bool *taken, struct dc_arena *arena,
                                  struct dc_error *error)
{
    DC_TRY(check_version(file, path, "weights", WEIGHTS_VERSION, arena, error));
    for (int i = 0; i < params->count; i++) {
        const struct dc_slice *slice = &params->slices[i];
        const struct dc_tensor tensor = {params->value + slice->offset, DC_F32, slice->shape};
        if (taken && !dc_h5_has(file, slice->name))
            continue;
        DC_TRY(dc_h5_read(file, slice->name, &tensor, error));
        if (taken)
            taken[i] = true;
    }
    if (params->average)
        memcpy(params->average, params->value, sizeof(float) * (size_t)params->total);
    return DC_OK;
}

static enum dc_status read_weights(const char *path, struct dc_params *params, bool *taken,
                                   struct dc_error *error)
{
    struct dc_h5 *file = NULL;
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = open_sealed(&file, path, WEIGHTS_VERSION, error);
    if (status == DC_OK)
        status = read_slices(file, path, params, taken, arena, error);
    dc_h5_close(file);
    dc_arena_free(arena);
    return status;
}

enum dc_status dc_weights_read(const char *path, struct dc_params *params, struct dc_error *error)
{
    return read_weights(path, params, NULL, error);
}

enum dc_status dc_weights_read_matching(const char *path, struct dc_params *params, bool *taken,
                                        struct dc_error *error)
{
    return read_weights(path, params, taken, error);
}

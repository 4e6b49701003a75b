// Owns files of HDF5 and what is written to them; reading is in h5_read.c, root attributes are in
// h5_attributes.c.
//
// A file being created lives under a temporary name until dc_h5_close_commit. Equal content gives
// equal bytes: object times are off, types are fixed, chunk sizes depend on the row alone.
// HDF5 keeps process-wide state and is not thread safe, hence the one lock below; every public
// function takes it once. It does not interpret arrays: what they mean is their reader's business.

#include "core/h5.h"

#include <assert.h>
#include <hdf5.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/h5_internal.h"

enum { CHUNK_BYTES = 256 * 1024, REASON_BYTES = 512 };

static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

void dc__h5_lock(void)
{
    pthread_mutex_lock(&library);
    H5dont_atexit();  // HDF5 1.10 would crash there over a file whose last writes were refused
    H5PLset_loading_state(0);  // a file must not choose code that is loaded to decode it
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);  // it must not print; reasons go into our messages
}

void dc__h5_unlock(void)
{
    pthread_mutex_unlock(&library);
}

// The innermost entry says why; of an operating system's refusal only its own words are kept.
static herr_t take_reason(unsigned n, const H5E_error2_t *entry, void *user)
{
    static const char marker[] = "error message = '";
    char *reason = user;
    if (n > 0 || !entry->desc)
        return 0;
    const char *words = strstr(entry->desc, marker);
    if (words) {
        words += strlen(marker);
        snprintf(reason, REASON_BYTES, "%.*s", (int)strcspn(words, "'"), words);
    } else {
        snprintf(reason, REASON_BYTES, "%s", entry->desc);
    }
    return 0;
}

enum dc_status dc__h5_fail(const struct dc_h5 *file, struct dc_error *error, const char *what,
                           const char *name)
{
    char reason[REASON_BYTES] = "HDF5 gives no reason";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, reason);
    return dc_fail(error, file->temporary ? DC_ERR_IO : DC_ERR_DATA, "%s: cannot %s%s%s%s: %s",
                   file->path, what, name ? " '" : "", name ? name : "", name ? "'" : "", reason);
}

enum dc_status dc__h5_check_write(struct dc_h5 *file, bool good, const char *name,
                                  struct dc_error *error)
{
    if (good)
        return DC_OK;
    file->failed = true;
    return dc__h5_fail(file, error, "write", name);
}

// IEEE 754 binary16, which this version of HDF5 has no name for; made once, under the lock.
static hid_t half_type(void)
{
    static hid_t half = -1;
    if (half >= 0)
        return half;
    const hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    if (H5Tset_fields(type, 15, 10, 5, 0, 10) >= 0 && H5Tset_size(type, 2) >= 0 &&
        H5Tset_ebias(type, 15) >= 0)
        half = type;
    return half;
}

// As values are stored, and as they lie in memory.
hid_t dc__h5_type(enum dc_dtype dtype, bool stored)
{
    const hid_t types[][2] = {[DC_F32] = {H5T_NATIVE_FLOAT, H5T_IEEE_F32LE},
                              [DC_F64] = {H5T_NATIVE_DOUBLE, H5T_IEEE_F64LE},
                              [DC_I8] = {H5T_NATIVE_INT8, H5T_STD_I8LE},
                              [DC_U8] = {H5T_NATIVE_UINT8, H5T_STD_U8LE},
                              [DC_I32] = {H5T_NATIVE_INT32, H5T_STD_I32LE},
                              [DC_F16] = {half_type(), half_type()}};
    static_assert(sizeof types / sizeof types[0] == DC_DTYPE_COUNT, "one row each");
    return types[dtype][stored];
}

static void release(struct dc_h5 *file)
{
    if (!file)
        return;
    dc__reader_close(file->reader);
    dc_arena_free(file->arena);
    free(file->held);
    free(file);
}

static enum dc_status new_file(struct dc_h5 **file, const char *path, struct dc_error *error)
{
    *file = calloc(1, sizeof **file);
    if (!*file)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    (*file)->id = -1;
    DC_TRY(dc_arena_create(&(*file)->arena, error));
    (*file)->path = dc_arena_copy((*file)->arena, path, error);
    return (*file)->path ? DC_OK : DC_ERR_MEMORY;
}

// Hands the file out, or takes it back.
static enum dc_status finish_open(struct dc_h5 **out, struct dc_h5 *file, enum dc_status status)
{
    *out = status == DC_OK ? file : NULL;
    if (status != DC_OK)
        release(file);
    return status;
}

static enum dc_status create_file(struct dc_h5 *file, struct dc_error *error)
{
    dc__h5_lock();
    const hid_t how = H5Pcreate(H5P_FILE_CREATE);
    if (H5Pset_obj_track_times(how, false) >= 0)
        file->id = H5Fcreate(file->temporary, H5F_ACC_EXCL, how, H5P_DEFAULT);
    const enum dc_status status = file->id < 0 ? dc__h5_fail(file, error, "create the file", NULL)
                                               : DC_OK;
    H5Pclose(how);
    dc__h5_unlock();
    if (status != DC_OK)
        dc_file_discard(file->temporary);
    return status;
}

enum dc_status dc_h5_create(struct dc_h5 **out, const char *path, struct dc_error *error)
{
    struct dc_h5 *file = NULL;
    enum dc_status status = new_file(&file, path, error);
    if (status == DC_OK && !(file->temporary = dc_temporary_path(file->arena, path, error)))
        status = DC_ERR_IO;
    if (status == DC_OK)
        status = create_file(file, error);
    return finish_open(out, file, status);
}

enum dc_status dc__h5_open_here(struct dc_h5 **out, const char *where, const char *path,
                                struct dc_error *error)
{
    struct dc_h5 *file = NULL;
    hsize_t bytes = 0;
    enum dc_status status = new_file(&file, path, error);
    if (status == DC_OK && !(file->held = calloc(1, sizeof *file->held)))
        status = dc_fail(error, DC_ERR_MEMORY, "out of memory");
    if (status == DC_OK) {
        file->held->set = -1;
        dc__h5_lock();
        file->id = H5Fopen(where, H5F_ACC_RDONLY, H5P_DEFAULT);
        if (file->id < 0 || H5Fget_filesize(file->id, &bytes) < 0)
            status = dc__h5_fail(file, error, "open as an HDF5 file", NULL);
        file->file_bytes = (int64_t)bytes;
        dc__h5_unlock();
    }
    return finish_open(out, file, status);
}

enum dc_status dc_h5_open(struct dc_h5 **out, const char *path, struct dc_error *error)
{
    struct dc_h5 *file = NULL;
    enum dc_status status = new_file(&file, path, error);
    if (status == DC_OK)
        status = dc__reader_open(&file->reader, path, error);
    return finish_open(out, file, status);
}

enum dc_status dc_h5_open_sealed(struct dc_h5 **file, const char *path, struct dc_error *error)
{
    *file = NULL;
    DC_TRY(dc_file_check_seal(path, error));
    return dc__h5_open_here(file, path, path, error);
}

void dc_h5_seal(struct dc_h5 *file)
{
    assert(file->temporary);
    file->sealed = true;
}

enum dc_status dc_h5_close_commit(struct dc_h5 *file, enum dc_status status, struct dc_error *error)
{
    assert(file->temporary);
    if (status != DC_OK) {
        dc_h5_close(file);
        return status;
    }
    dc__h5_lock();
    const bool failed = file->failed;
    status = dc__h5_check_write(file, H5Fclose(file->id) >= 0, NULL, error);
    if (failed)
        status = dc_fail(error, DC_ERR_IO, "%s: not written, an earlier write failed", file->path);
    dc__h5_unlock();
    if (status == DC_OK && file->sealed)
        status = dc_file_seal(file->temporary, error);
    if (status == DC_OK)
        status = dc_file_commit(file->temporary, file->path, error);
    else
        dc_file_discard(file->temporary);
    release(file);
    return status;
}

void dc_h5_close(struct dc_h5 *file)
{
    if (!file)
        return;
    if (!file->reader) {
        dc__h5_lock();
        dc__h5_let_go(file);
        H5Fclose(file->id);
        dc__h5_unlock();
    }
    if (file->temporary)
        dc_file_discard(file->temporary);
    release(file);
}

// dims: as HDF5 wants them. Returns a dataspace or a negative number.
static hid_t make_space(const struct dc_shape *shape, const hsize_t *max_dims)
{
    hsize_t dims[DC_RANK_MAX];
    for (int i = 0; i < shape->rank; i++)
        dims[i] = (hsize_t)shape->dims[i];
    return shape->rank ? H5Screate_simple(shape->rank, dims, max_dims) : H5Screate(H5S_SCALAR);
}

// A new array, closed again by the caller; missing groups are made. chunk: NULL for contiguous.
static hid_t make_array(struct dc_h5 *file, const char *name, enum dc_dtype dtype,
                        const struct dc_shape *shape, const hsize_t *max_dims, const hsize_t *chunk)
{
    hid_t set = -1;
    const hid_t links = H5Pcreate(H5P_LINK_CREATE), create = H5Pcreate(H5P_DATASET_CREATE);
    const hid_t space = make_space(shape, max_dims);
    bool good = links >= 0 && create >= 0 && space >= 0;
    good = good && H5Pset_create_intermediate_group(links, 1) >= 0;
    good = good && H5Pset_obj_track_times(create, false) >= 0;
    if (chunk)
        good = good && H5Pset_chunk(create, shape->rank, chunk) >= 0;
    if (good)
        set = H5Dcreate2(file->id, name, dc__h5_type(dtype, true), space, links, create,
                         H5P_DEFAULT);
    H5Sclose(space);
    H5Pclose(create);
    H5Pclose(links);
    return set;
}

enum dc_status dc_h5_write(struct dc_h5 *file, const char *name, const struct dc_tensor *tensor,
                           struct dc_error *error)
{
    assert(file->temporary);
    dc__h5_lock();
    const hid_t set = make_array(file, name, tensor->dtype, &tensor->shape, NULL, NULL);
    bool good = set >= 0;
    if (good && dc_shape_count(&tensor->shape) > 0)
        good = H5Dwrite(set, dc__h5_type(tensor->dtype, false), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                        tensor->data) >= 0;
    const enum dc_status status = dc__h5_check_write(file, good, name, error);
    if (set >= 0)
        H5Dclose(set);
    dc__h5_unlock();
    return status;
}

enum dc_status dc_h5_create_rows(struct dc_h5 *file, const char *name, enum dc_dtype dtype,
                                 const struct dc_shape *row, struct dc_error *error)
{
    assert(file->temporary && row->rank < DC_RANK_MAX);
    struct dc_shape shape = {.rank = row->rank + 1};
    hsize_t max_dims[DC_RANK_MAX] = {H5S_UNLIMITED}, chunk[DC_RANK_MAX] = {1};
    const int64_t bytes = dc_shape_count(row) * (int64_t)dc_dtype_bytes(dtype);
    if (bytes > 0 && bytes < CHUNK_BYTES)
        chunk[0] = (hsize_t)(CHUNK_BYTES / bytes);
    for (int i = 0; i < row->rank; i++)
        shape.dims[i + 1] = (int64_t)(max_dims[i + 1] = chunk[i + 1] = (hsize_t)row->dims[i]);
    dc__h5_lock();
    const hid_t set = make_array(file, name, dtype, &shape, max_dims, chunk);
    const enum dc_status status = dc__h5_check_write(file, set >= 0, name, error);
    if (set >= 0)
        H5Dclose(set);
    dc__h5_unlock();
    return status;
}

bool dc__h5_shape(hid_t set, struct dc_shape *shape)
{
    hsize_t dims[H5S_MAX_RANK];
    const hid_t space = H5Dget_space(set);
    const int rank = space >= 0 ? H5Sget_simple_extent_dims(space, dims, NULL) : -1;
    if (space >= 0)
        H5Sclose(space);
    if (rank < 0 || rank > DC_RANK_MAX)
        return false;
    *shape = (struct dc_shape){.rank = rank};
    for (int i = 0; i < rank; i++) {
        if (dims[i] > INT64_MAX)
            return false;
        shape->dims[i] = (int64_t)dims[i];
    }
    return true;
}

static bool write_rows(hid_t set, const struct dc_shape *shape, enum dc_dtype dtype,
                       const void *from, int64_t first, int64_t count)
{
    hsize_t start[DC_RANK_MAX] = {(hsize_t)first}, block[DC_RANK_MAX];
    for (int i = 0; i < shape->rank; i++)
        block[i] = (hsize_t)(i ? shape->dims[i] : count);
    const hid_t space = H5Dget_space(set);
    const hid_t memory = H5Screate_simple(shape->rank, block, NULL);
    const bool good = space >= 0 && memory >= 0 &&
                      H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, block, NULL) >= 0 &&
                      H5Dwrite(set, dc__h5_type(dtype, false), memory, space, H5P_DEFAULT, from) >=
                          0;
    if (memory >= 0)
        H5Sclose(memory);
    if (space >= 0)
        H5Sclose(space);
    return good;
}

// The dc_dtype that holds every value of an array; DC_DTYPE_COUNT when there is none.
enum dc_dtype dc__h5_dtype(hid_t set)
{
    enum dc_dtype dtype = DC_DTYPE_COUNT;
    const hid_t type = H5Dget_type(set);
    const size_t size = H5Tget_size(type);
    const H5T_class_t class = H5Tget_class(type);
    if (class == H5T_FLOAT)
        dtype = size <= 4 ? DC_F32 : size == 8 ? DC_F64 : DC_DTYPE_COUNT;
    else if (class == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_NONE)
        dtype = size == 1 ? DC_U8 : size == 2 ? DC_I32 : DC_DTYPE_COUNT;
    else if (class == H5T_INTEGER)
        dtype = size == 1 ? DC_I8 : size <= 4 ? DC_I32 : DC_DTYPE_COUNT;
    H5Tclose(type);
    return dtype;
}

static bool append(hid_t set, const void *rows, int64_t count)
{
    struct dc_shape shape;
    hsize_t dims[DC_RANK_MAX];
    const enum dc_dtype dtype = dc__h5_dtype(set);
    if (dtype == DC_DTYPE_COUNT || !dc__h5_shape(set, &shape) || shape.rank == 0)
        return false;
    for (int i = 0; i < shape.rank; i++)
        dims[i] = (hsize_t)(shape.dims[i] + (i ? 0 : count));
    return H5Dset_extent(set, dims) >= 0 &&
           write_rows(set, &shape, dtype, rows, shape.dims[0], count);
}

enum dc_status dc_h5_append_rows(struct dc_h5 *file, const char *name, const void *rows,
                                 int64_t count, struct dc_error *error)
{
    assert(file->temporary && count >= 0);
    if (count == 0)
        return DC_OK;
    dc__h5_lock();
    const hid_t set = H5Dopen2(file->id, name, H5P_DEFAULT);
    const bool good = set >= 0 && append(set, rows, count);
    const enum dc_status status = dc__h5_check_write(file, good, name, error);
    if (set >= 0)
        H5Dclose(set);
    dc__h5_unlock();
    return status;
}

// Owns files, arrays and row blocks of HDF5; root attributes are in h5_attributes.c.
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
static hid_t type_of(enum dc_dtype dtype, bool stored)
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
    if (file)
        dc_arena_free(file->arena);
    free(file);
}

static enum dc_status open_file(struct dc_h5 *file, const char *path, bool create,
                                struct dc_error *error)
{
    file->id = -1;
    DC_TRY(dc_arena_create(&file->arena, error));
    file->path = dc_arena_copy(file->arena, path, error);
    if (create)
        file->temporary = dc_temporary_path(file->arena, path, error);
    if (!file->path || (create && !file->temporary))
        return create && file->path ? DC_ERR_IO : DC_ERR_MEMORY;
    dc__h5_lock();
    const hid_t how = H5Pcreate(H5P_FILE_CREATE);
    if (!create)
        file->id = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    else if (H5Pset_obj_track_times(how, false) >= 0)
        file->id = H5Fcreate(file->temporary, H5F_ACC_EXCL, how, H5P_DEFAULT);
    enum dc_status status = DC_OK;
    if (file->id < 0)
        status = dc__h5_fail(file, error, create ? "create the file" : "open as an HDF5 file",
                             NULL);
    H5Pclose(how);
    dc__h5_unlock();
    return status;
}

static enum dc_status new_file(struct dc_h5 **out, const char *path, bool create,
                               struct dc_error *error)
{
    *out = NULL;
    struct dc_h5 *file = calloc(1, sizeof *file);
    if (!file)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    const enum dc_status status = open_file(file, path, create, error);
    if (status == DC_OK) {
        *out = file;
    } else {
        if (file->temporary)
            dc_file_discard(file->temporary);
        release(file);
    }
    return status;
}

enum dc_status dc_h5_create(struct dc_h5 **file, const char *path, struct dc_error *error)
{
    return new_file(file, path, true, error);
}

enum dc_status dc_h5_open(struct dc_h5 **file, const char *path, struct dc_error *error)
{
    return new_file(file, path, false, error);
}

enum dc_status dc_h5_open_sealed(struct dc_h5 **file, const char *path, struct dc_error *error)
{
    *file = NULL;
    DC_TRY(dc_file_check_seal(path, error));
    return dc_h5_open(file, path, error);
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
    dc__h5_lock();
    H5Fclose(file->id);
    dc__h5_unlock();
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
        set = H5Dcreate2(file->id, name, type_of(dtype, true), space, links, create, H5P_DEFAULT);
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
        good = H5Dwrite(set, type_of(tensor->dtype, false), H5S_ALL, H5S_ALL, H5P_DEFAULT,
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

// Shape of an open array; a rank above DC_RANK_MAX is refused.
static bool array_shape(hid_t set, struct dc_shape *shape)
{
    hsize_t dims[H5S_MAX_RANK];
    const hid_t space = H5Dget_space(set);
    const int rank = space >= 0 ? H5Sget_simple_extent_dims(space, dims, NULL) : -1;
    if (space >= 0)
        H5Sclose(space);
    if (rank < 0 || rank > DC_RANK_MAX)
        return false;
    *shape = (struct dc_shape){.rank = rank};
    for (int i = 0; i < rank; i++)
        shape->dims[i] = (int64_t)dims[i];
    return true;
}

// Move rows [first, first + count) between memory and an open array of this shape.
static bool transfer_rows(hid_t set, const struct dc_shape *shape, enum dc_dtype dtype, void *to,
                          const void *from, int64_t first, int64_t count)
{
    hsize_t start[DC_RANK_MAX] = {(hsize_t)first}, block[DC_RANK_MAX];
    for (int i = 0; i < shape->rank; i++)
        block[i] = (hsize_t)(i ? shape->dims[i] : count);
    const hid_t space = H5Dget_space(set);
    const hid_t memory = H5Screate_simple(shape->rank, block, NULL);
    bool good = space >= 0 && memory >= 0 &&
                H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, block, NULL) >= 0;
    if (good && to)
        good = H5Dread(set, type_of(dtype, false), memory, space, H5P_DEFAULT, to) >= 0;
    else if (good)
        good = H5Dwrite(set, type_of(dtype, false), memory, space, H5P_DEFAULT, from) >= 0;
    if (memory >= 0)
        H5Sclose(memory);
    if (space >= 0)
        H5Sclose(space);
    return good;
}

// The dc_dtype that holds every value of an array; DC_DTYPE_COUNT when there is none.
static enum dc_dtype dtype_of(hid_t set)
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
    const enum dc_dtype dtype = dtype_of(set);
    if (dtype == DC_DTYPE_COUNT || !array_shape(set, &shape) || shape.rank == 0)
        return false;
    for (int i = 0; i < shape.rank; i++)
        dims[i] = (hsize_t)(shape.dims[i] + (i ? 0 : count));
    return H5Dset_extent(set, dims) >= 0 &&
           transfer_rows(set, &shape, dtype, NULL, rows, shape.dims[0], count);
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

bool dc_h5_has(const struct dc_h5 *file, const char *name)
{
    char part[512];
    bool found = strlen(name) < sizeof part;
    dc__h5_lock();
    for (size_t end = 0; found && name[end]; end += name[end] == '/') {  // HDF5 wants every step
        end += strcspn(name + end, "/");
        memcpy(part, name, end);
        part[end] = '\0';
        found = end == 0 || H5Lexists(file->id, part, H5P_DEFAULT) > 0;
    }
    dc__h5_unlock();
    return found;
}

static enum dc_status open_array(hid_t *set, struct dc_shape *shape, const struct dc_h5 *file,
                                 const char *name, struct dc_error *error)
{
    *set = H5Dopen2(file->id, name, H5P_DEFAULT);
    if (*set < 0)
        return dc__h5_fail(file, error, "read the array", name);
    if (array_shape(*set, shape))
        return DC_OK;
    H5Dclose(*set);
    return dc_fail(error, DC_ERR_DATA, "%s: array '%s' has more than %d dimensions", file->path,
                   name, DC_RANK_MAX);
}

enum dc_status dc_h5_describe(const struct dc_h5 *file, const char *name, enum dc_dtype *dtype,
                              struct dc_shape *shape, struct dc_error *error)
{
    hid_t set = -1;
    dc__h5_lock();
    enum dc_status status = open_array(&set, shape, file, name, error);
    if (status == DC_OK) {
        *dtype = dtype_of(set);
        H5Dclose(set);
        if (*dtype == DC_DTYPE_COUNT)
            status = dc_fail(error, DC_ERR_DATA,
                             "%s: array '%s' is neither of 32- or 64-bit floats nor of integers "
                             "that fit 32 bits",
                             file->path, name);
    }
    dc__h5_unlock();
    return status;
}

enum dc_status dc_h5_read(const struct dc_h5 *file, const char *name,
                          const struct dc_tensor *tensor, struct dc_error *error)
{
    hid_t set = -1;
    struct dc_shape shape;
    char has[DC_SHAPE_TEXT], wants[DC_SHAPE_TEXT];
    dc__h5_lock();
    enum dc_status status = open_array(&set, &shape, file, name, error);
    if (status == DC_OK) {
        if (!dc_shape_equal(&shape, &tensor->shape))
            status = dc_fail(error, DC_ERR_DATA, "%s: array '%s' is %s, not %s", file->path, name,
                             dc_shape_text(has, &shape), dc_shape_text(wants, &tensor->shape));
        else if (dc_shape_count(&shape) > 0 && H5Dread(set, type_of(tensor->dtype, false), H5S_ALL,
                                                       H5S_ALL, H5P_DEFAULT, tensor->data) < 0)
            status = dc__h5_fail(file, error, "read the array", name);
        H5Dclose(set);
    }
    dc__h5_unlock();
    return status;
}

enum dc_status dc_h5_read_rows(const struct dc_h5 *file, const char *name, enum dc_dtype dtype,
                               void *rows, int64_t first, int64_t count, struct dc_error *error)
{
    hid_t set = -1;
    struct dc_shape shape;
    dc__h5_lock();
    enum dc_status status = open_array(&set, &shape, file, name, error);
    if (status == DC_OK) {
        const int64_t stored = shape.rank ? shape.dims[0] : 0;
        if (first < 0 || count < 0 || first > stored || count > stored - first)
            status = dc_fail(error, DC_ERR_DATA,
                             "%s: array '%s' has %" PRId64 " rows; %" PRId64 " from row %" PRId64
                             " were asked for",
                             file->path, name, stored, count, first);
        else if (count > 0 && !transfer_rows(set, &shape, dtype, rows, NULL, first, count))
            status = dc__h5_fail(file, error, "read the array", name);
        H5Dclose(set);
    }
    dc__h5_unlock();
    return status;
}

struct listing {
    const struct dc_h5 *file;
    void (*visit)(void *user, const char *name, enum dc_dtype dtype, const struct dc_shape *shape);
    void *user;
};

static herr_t list_object(hid_t root, const char *name, const H5O_info_t *info, void *user)
{
    const struct listing *listing = user;
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    const hid_t set = H5Dopen2(root, name, H5P_DEFAULT);
    if (set < 0)
        return -1;
    struct dc_shape shape;
    const enum dc_dtype dtype = dtype_of(set);
    if (dtype != DC_DTYPE_COUNT && array_shape(set, &shape))
        listing->visit(listing->user, name, dtype, &shape);
    H5Dclose(set);
    return 0;
}

enum dc_status dc_h5_list(const struct dc_h5 *file,
                          void (*visit)(void *user, const char *name, enum dc_dtype dtype,
                                        const struct dc_shape *shape),
                          void *user, struct dc_error *error)
{
    struct listing listing = {file, visit, user};
    dc__h5_lock();
    enum dc_status status = DC_OK;
    if (H5Ovisit2(file->id, H5_INDEX_NAME, H5_ITER_INC, list_object, &listing, H5O_INFO_BASIC) < 0)
        status = dc__h5_fail(file, error, "list the arrays", NULL);
    dc__h5_unlock();
    return status;
}

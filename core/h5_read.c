// Owns the reading of arrays, and what a file may ask for while it is read.
//
// HDF5 believes what it reads. So an array is looked at before it is read: it lies in the file
// itself (hard links alone, no external or virtual storage), is decoded by HDF5's own filters, and
// is no larger than what is stored of it can unpack to. Files that others made are read in a
// process of their own besides (h5_reader.c), which does this work there.

#include <hdf5.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/bounds.h"
#include "core/h5_internal.h"

static enum dc_status refuse(const struct dc_h5 *file, const char *name, struct dc_error *error,
                             const char *why)
{
    return dc_fail(error, DC_ERR_DATA, "%s: array '%s' %s", file->path, name, why);
}

// Every step of "group/array" must be a hard link. HDF5 wants each asked for by itself.
static enum dc_status check_links(bool *found, const struct dc_h5 *file, const char *name,
                                  struct dc_error *error)
{
    char part[DC__H5_NAME];
    *found = name[0] != '\0' && strlen(name) < sizeof part;
    for (size_t end = 0; *found && name[end]; end += name[end] == '/') {
        H5L_info_t info;
        end += strcspn(name + end, "/");
        memcpy(part, name, end);
        part[end] = '\0';
        if (end == 0)
            continue;
        *found = H5Lexists(file->id, part, H5P_DEFAULT) > 0 &&
                 H5Lget_info(file->id, part, &info, H5P_DEFAULT) >= 0;
        if (*found && info.type != H5L_TYPE_HARD)
            return refuse(file, name, error,
                          "is a soft or external link; only arrays that lie in the file itself are "
                          "read");
    }
    return DC_OK;
}

bool dc_h5_has(const struct dc_h5 *file, const char *name)
{
    bool found = false;
    if (file->reader)
        return dc__reader_has(file->reader, name);
    dc__h5_lock();
    const enum dc_status status = check_links(&found, file, name, NULL);
    dc__h5_unlock();
    return status != DC_OK || found;  // what lies elsewhere is refused when it is read
}

// Where the array's bytes lie and what decodes them.
static enum dc_status check_storage(const struct dc_h5 *file, const char *name, hid_t plist,
                                    struct dc_error *error)
{
    if (H5Pget_layout(plist) == H5D_VIRTUAL)
        return refuse(file, name, error, "is virtual: it lies in other files, which are not read");
    if (H5Pget_external_count(plist) != 0)
        return refuse(file, name, error, "lies in other files, which are not read");
    const int filters = H5Pget_nfilters(plist);
    for (int i = 0; i < filters; i++) {
        unsigned flags = 0, config = 0;
        size_t values = 0;
        const H5Z_filter_t filter = H5Pget_filter2(plist, (unsigned)i, &flags, &values, NULL, 0,
                                                   NULL, &config);
        if (filter < H5Z_FILTER_DEFLATE || filter > H5Z_FILTER_SCALEOFFSET)
            return refuse(file, name, error,
                          "is packed by a filter that is not HDF5's own; write it with gzip");
    }
    return DC_OK;
}

// Bytes of one chunk, and its rows; 0 and 1 without chunks. false: no sense can be made of them.
static bool chunk_of(int64_t *bytes, int64_t *rows, hid_t plist, int rank, int64_t value_bytes)
{
    hsize_t dims[H5S_MAX_RANK];
    int64_t count = 1;
    *bytes = 0;
    *rows = 1;
    if (H5Pget_layout(plist) != H5D_CHUNKED)
        return true;
    if (rank < 1 || H5Pget_chunk(plist, H5S_MAX_RANK, dims) != rank)
        return false;
    for (int i = 0; i < rank; i++)
        if (dims[i] < 1 || dims[i] > UINT32_MAX ||
            !dc_product(&count, (int64_t[]){count, (int64_t)dims[i]}, 2))
            return false;
    *rows = (int64_t)dims[0];
    return dc_product(bytes, (int64_t[]){count, value_bytes}, 2);
}

// Nothing unpacks to more than deflate can make of what is stored, and that is no more than the
// file. A row is what is read at once.
static enum dc_status check_size(struct dc__h5_held *held, const struct dc_h5 *file, hid_t plist,
                                 int64_t stored_bytes, struct dc_error *error)
{
    const hid_t type = H5Dget_type(held->set);
    const int64_t file_value = (int64_t)H5Tget_size(type);
    const int64_t own = held->dtype < DC_DTYPE_COUNT ? (int64_t)dc_dtype_bytes(held->dtype) : 1;
    const int64_t value = file_value > own ? file_value : own;
    const struct dc_shape *shape = &held->shape;
    const int64_t least = stored_bytes < file->file_bytes ? stored_bytes : file->file_bytes;
    const int64_t most = dc_inflated_most(least);
    char text[DC_SHAPE_TEXT];
    int64_t all = 0, chunk = 0;
    H5Tclose(type);
    if (!dc_product(&all, shape->dims, shape->rank) ||
        !dc_product(&all, (int64_t[]){all, value}, 2) ||
        !chunk_of(&chunk, &held->chunk_rows, plist, shape->rank, value))
        return dc_fail(error, DC_ERR_DATA, "%s: array '%s' is %s: no file has so many values",
                       file->path, held->name, dc_shape_text(text, shape));
    if (all > most || chunk > most)
        return dc_fail(
            error, DC_ERR_DATA,
            "%s: array '%s' is %s and declares %" PRId64 " bytes, but only %" PRId64 " are stored",
            file->path, held->name, dc_shape_text(text, shape), all > chunk ? all : chunk, least);
    const bool rows = shape->rank > 0 && shape->dims[0] > 0;
    held->row_bytes = rows ? all / shape->dims[0] : shape->rank ? 0 : value;
    return DC_OK;
}

static enum dc_status check_array(struct dc__h5_held *held, const struct dc_h5 *file,
                                  struct dc_error *error)
{
    const hid_t plist = H5Dget_create_plist(held->set);
    if (plist < 0)
        return dc__h5_fail(file, error, "read the array", held->name);
    enum dc_status status = check_storage(file, held->name, plist, error);
    if (status == DC_OK && !dc__h5_shape(held->set, &held->shape))
        status = dc_fail(error, DC_ERR_DATA, "%s: array '%s' has more than %d dimensions",
                         file->path, held->name, DC_RANK_MAX);
    if (status == DC_OK) {
        held->dtype = dc__h5_dtype(held->set);
        status = check_size(held, file, plist, (int64_t)H5Dget_storage_size(held->set), error);
    }
    H5Pclose(plist);
    return status;
}

void dc__h5_let_go(struct dc_h5 *file)
{
    if (file->held && file->held->set >= 0)
        H5Dclose(file->held->set);
    if (file->held)
        file->held->set = -1;
}

enum dc_status dc__h5_hold(const struct dc__h5_held **out, const struct dc_h5 *file,
                           const char *name, struct dc_error *error)
{
    struct dc__h5_held *held = file->held;
    bool found = false;
    *out = held;
    if (held->set >= 0 && strcmp(held->name, name) == 0)
        return DC_OK;
    DC_TRY(check_links(&found, file, name, error));
    if (!found)
        return dc_fail(error, DC_ERR_DATA, "%s: has no array '%s'", file->path, name);
    if (held->set >= 0)
        H5Dclose(held->set);
    snprintf(held->name, sizeof held->name, "%s", name);
    held->set = H5Dopen2(file->id, name, H5P_DEFAULT);
    if (held->set < 0)
        return dc__h5_fail(file, error, "read the array", name);
    const enum dc_status status = check_array(held, file, error);
    if (status != DC_OK) {
        H5Dclose(held->set);
        held->set = -1;
    }
    return status;
}

enum dc_status dc__h5_look_at(enum dc_dtype *dtype, struct dc_shape *shape,
                              const struct dc_h5 *file, const char *name, struct dc_error *error)
{
    const struct dc__h5_held *held = NULL;
    if (file->reader)
        return dc__reader_describe(file->reader, name, dtype, shape, error);
    dc__h5_lock();
    const enum dc_status status = dc__h5_hold(&held, file, name, error);
    if (status == DC_OK) {
        *dtype = held->dtype;
        *shape = held->shape;
    }
    dc__h5_unlock();
    return status;
}

enum dc_status dc_h5_describe(const struct dc_h5 *file, const char *name, enum dc_dtype *dtype,
                              struct dc_shape *shape, struct dc_error *error)
{
    DC_TRY(dc__h5_look_at(dtype, shape, file, name, error));
    if (*dtype < DC_DTYPE_COUNT)
        return DC_OK;
    return dc_fail(error, DC_ERR_DATA,
                   "%s: array '%s' is neither of 32- or 64-bit floats nor of integers that fit 32 "
                   "bits",
                   file->path, name);
}

// Rows [first, first + count) of an open array; of rank 0 its value.
static bool read_rows(const struct dc__h5_held *held, enum dc_dtype dtype, void *to, int64_t first,
                      int64_t count)
{
    const hid_t type = dc__h5_type(dtype, false);
    const struct dc_shape *shape = &held->shape;
    hsize_t start[DC_RANK_MAX] = {(hsize_t)first}, block[DC_RANK_MAX];
    if (shape->rank == 0)
        return H5Dread(held->set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, to) >= 0;
    for (int i = 0; i < shape->rank; i++)
        block[i] = (hsize_t)(i ? shape->dims[i] : count);
    const hid_t space = H5Dget_space(held->set);
    const hid_t memory = H5Screate_simple(shape->rank, block, NULL);
    const bool good = space >= 0 && memory >= 0 &&
                      H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, block, NULL) >= 0 &&
                      H5Dread(held->set, type, memory, space, H5P_DEFAULT, to) >= 0;
    if (memory >= 0)
        H5Sclose(memory);
    if (space >= 0)
        H5Sclose(space);
    return good;
}

enum dc_status dc_h5_read_rows(const struct dc_h5 *file, const char *name, enum dc_dtype dtype,
                               void *rows, int64_t first, int64_t count, struct dc_error *error)
{
    const struct dc__h5_held *held = NULL;
    if (file->reader)
        return dc__reader_rows(file->reader, name, dtype, rows, first, count, error);
    dc__h5_lock();
    enum dc_status status = dc__h5_hold(&held, file, name, error);
    if (status == DC_OK) {
        const int64_t stored = held->shape.rank ? held->shape.dims[0] : 1;
        if (first < 0 || count < 0 || first > stored || count > stored - first)
            status = dc_fail(error, DC_ERR_DATA,
                             "%s: array '%s' has %" PRId64 " rows; %" PRId64 " from row %" PRId64
                             " were asked for",
                             file->path, name, stored, count, first);
        else if (count > 0 && held->row_bytes > 0 && !read_rows(held, dtype, rows, first, count))
            status = dc__h5_fail(file, error, "read the array", name);
    }
    dc__h5_unlock();
    return status;
}

enum dc_status dc_h5_read(const struct dc_h5 *file, const char *name,
                          const struct dc_tensor *tensor, struct dc_error *error)
{
    enum dc_dtype dtype;
    struct dc_shape shape;
    char has[DC_SHAPE_TEXT], wants[DC_SHAPE_TEXT];
    DC_TRY(dc__h5_look_at(&dtype, &shape, file, name, error));
    if (!dc_shape_equal(&shape, &tensor->shape))
        return dc_fail(error, DC_ERR_DATA, "%s: array '%s' is %s, not %s", file->path, name,
                       dc_shape_text(has, &shape), dc_shape_text(wants, &tensor->shape));
    return dc_h5_read_rows(file, name, tensor->dtype, tensor->data, 0,
                           shape.rank ? shape.dims[0] : 1, error);
}

struct listing {
    void (*visit)(void *user, const char *name, enum dc_dtype dtype, const struct dc_shape *shape);
    void *user;
};

// Hard links alone lead here.
static herr_t list_object(hid_t root, const char *name, const H5O_info_t *info, void *user)
{
    const struct listing *listing = user;
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    const hid_t set = H5Dopen2(root, name, H5P_DEFAULT);
    if (set < 0)
        return -1;
    struct dc_shape shape;
    const enum dc_dtype dtype = dc__h5_dtype(set);
    if (dtype != DC_DTYPE_COUNT && dc__h5_shape(set, &shape))
        listing->visit(listing->user, name, dtype, &shape);
    H5Dclose(set);
    return 0;
}

enum dc_status dc_h5_list(const struct dc_h5 *file,
                          void (*visit)(void *user, const char *name, enum dc_dtype dtype,
                                        const struct dc_shape *shape),
                          void *user, struct dc_error *error)
{
    struct listing listing = {visit, user};
    if (file->reader)
        return dc__reader_list(file->reader, visit, user, error);
    dc__h5_lock();
    enum dc_status status = DC_OK;
    if (H5Ovisit2(file->id, H5_INDEX_NAME, H5_ITER_INC, list_object, &listing, H5O_INFO_BASIC) < 0)
        status = dc__h5_fail(file, error, "list the arrays", NULL);
    dc__h5_unlock();
    return status;
}

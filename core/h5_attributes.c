// Owns the root attributes of HDF5 files: texts and 64-bit integers, nothing else.

#include <hdf5.h>
#include <stdio.h>
#include <string.h>

#include "core/h5_internal.h"

static enum dc_status set_attribute(struct dc_h5 *file, const char *name, hid_t stored,
                                    hid_t memory, const void *value, struct dc_error *error)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(file->id, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool good = attribute >= 0 && H5Awrite(attribute, memory, value) >= 0;
    const enum dc_status status = dc__h5_check_write(file, good, name, error);
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return status;
}

static hid_t text_type(size_t bytes)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, bytes) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

enum dc_status dc_h5_set_text(struct dc_h5 *file, const char *name, const char *text,
                              struct dc_error *error)
{
    dc__h5_lock();
    const hid_t type = text_type(strlen(text) + 1);
    const enum dc_status status = set_attribute(file, name, type, type, text, error);
    if (type >= 0)
        H5Tclose(type);
    dc__h5_unlock();
    return status;
}

enum dc_status dc_h5_set_int(struct dc_h5 *file, const char *name, int64_t value,
                             struct dc_error *error)
{
    dc__h5_lock();
    const enum dc_status status = set_attribute(file, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value,
                                                error);
    dc__h5_unlock();
    return status;
}

static enum dc_status fail_long(const struct dc_h5 *file, struct dc_error *error)
{
    return dc_fail(error, DC_ERR_DATA, "%s: a text attribute of more than %d bytes", file->path,
                   DC__H5_TEXT_MAX - 1);
}

// One text, or several as lines. words: [count] pointers, or count times `bytes` characters.
static enum dc_status join_lines(const struct dc_h5 *file, char **text, const char *words,
                                 hsize_t count, size_t bytes, struct dc_arena *arena,
                                 struct dc_error *error)
{
    char *joined = dc_arena_alloc(arena, DC__H5_TEXT_MAX, error);
    size_t used = 0;
    if (!joined)
        return DC_ERR_MEMORY;
    for (hsize_t i = 0; i < count; i++) {
        const char *word = words + i * bytes;
        if (bytes == 0)
            memcpy(&word, words + i * sizeof word, sizeof word);
        if (!word)
            word = "";
        const size_t length = bytes ? strnlen(word, bytes) : strlen(word);
        if (used + length + 2 > DC__H5_TEXT_MAX)
            return fail_long(file, error);
        if (i > 0)
            joined[used++] = '\n';
        used += (size_t)snprintf(joined + used, DC__H5_TEXT_MAX - used, "%.*s", (int)length, word);
    }
    *text = joined;
    return DC_OK;
}

// Fixed length, as Decant writes, or variable length, as h5py does.
static enum dc_status read_text(const struct dc_h5 *file, hid_t attribute, hid_t type, char **text,
                                struct dc_arena *arena, struct dc_error *error)
{
    const bool variable = H5Tis_variable_str(type) > 0;
    const hid_t space = H5Aget_space(attribute);
    const hssize_t count = H5Sget_simple_extent_npoints(space);
    const size_t bytes = variable ? sizeof(char *) : H5Tget_size(type);
    if (count < 1 || bytes == 0 || (size_t)count > DC__H5_TEXT_MAX / bytes) {
        H5Sclose(space);
        return fail_long(file, error);
    }
    char *words = dc_arena_alloc(arena, (size_t)count * bytes, error);
    const hid_t memory = H5Tcopy(type);
    enum dc_status status = words ? DC_OK : DC_ERR_MEMORY;
    if (status == DC_OK && (memory < 0 || H5Aread(attribute, memory, words) < 0))
        status = dc__h5_fail(file, error, "read", NULL);
    else if (status == DC_OK) {
        status = join_lines(file, text, words, (hsize_t)count, variable ? 0 : bytes, arena, error);
        if (variable)
            H5Dvlen_reclaim(memory, space, H5P_DEFAULT, words);
    }
    if (memory >= 0)
        H5Tclose(memory);
    H5Sclose(space);
    return status;
}

// Open a root attribute of the wanted class: one integer, or texts.
static enum dc_status open_attribute(hid_t *attribute, hid_t *type, const struct dc_h5 *file,
                                     const char *name, H5T_class_t class, struct dc_error *error)
{
    *attribute = H5Aexists(file->id, name) > 0 ? H5Aopen(file->id, name, H5P_DEFAULT) : -1;
    if (*attribute < 0)
        return dc_fail(error, DC_ERR_DATA, "%s: attribute '%s' is missing", file->path, name);
    *type = H5Aget_type(*attribute);
    const hid_t space = H5Aget_space(*attribute);
    const bool good = H5Tget_class(*type) == class &&
                      (class == H5T_STRING || H5Sget_simple_extent_npoints(space) == 1);
    H5Sclose(space);
    if (good)
        return DC_OK;
    H5Tclose(*type);
    H5Aclose(*attribute);
    return dc_fail(error, DC_ERR_DATA, "%s: attribute '%s' is not one %s", file->path, name,
                   class == H5T_STRING ? "text" : "integer");
}

enum dc_status dc_h5_get_text(const struct dc_h5 *file, const char *name, char **text,
                              struct dc_arena *arena, struct dc_error *error)
{
    if (file->reader)
        return dc__reader_text(file->reader, name, text, arena, error);
    hid_t attribute = -1, type = -1;
    dc__h5_lock();
    enum dc_status status = open_attribute(&attribute, &type, file, name, H5T_STRING, error);
    if (status == DC_OK) {
        status = read_text(file, attribute, type, text, arena, error);
        H5Tclose(type);
        H5Aclose(attribute);
    }
    dc__h5_unlock();
    return status;
}

enum dc_status dc_h5_get_int(const struct dc_h5 *file, const char *name, int64_t *value,
                             struct dc_error *error)
{
    if (file->reader)
        return dc__reader_int(file->reader, name, value, error);
    hid_t attribute = -1, type = -1;
    dc__h5_lock();
    enum dc_status status = open_attribute(&attribute, &type, file, name, H5T_INTEGER, error);
    if (status == DC_OK) {
        if (H5Aread(attribute, H5T_NATIVE_INT64, value) < 0)
            status = dc__h5_fail(file, error, "read the attribute", name);
        H5Tclose(type);
        H5Aclose(attribute);
    }
    dc__h5_unlock();
    return status;
}

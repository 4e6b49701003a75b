// Owns the HDF5 file driver described in h5_driver.h: plain positioned reads and writes on one file
// that nobody else opens. It never reports a refused write to HDF5; *refused is the only witness,
// and core/h5.c looks at it after every call.

#include "core/h5_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct writer {
    H5FD_t base;  // HDF5's own part comes first
    int fd;
    int *refused;
    haddr_t end_allocated, end_written;
};

struct info {
    int *refused;
};

static H5FD_t *open_file(const char *name, unsigned flags, hid_t access_list, haddr_t max)
{
    const struct info *info = H5Pget_driver_info(access_list);
    struct writer *writer = info ? calloc(1, sizeof *writer) : NULL;
    (void)max;
    if (!writer || !(flags & H5F_ACC_CREAT)) {
        free(writer);
        return NULL;
    }
    writer->refused = info->refused;
    writer->fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (writer->fd < 0) {
        *writer->refused = errno;
        free(writer);
        return NULL;
    }
    return &writer->base;
}

static void refuse(struct writer *writer)
{
    if (!*writer->refused)
        *writer->refused = errno ? errno : EIO;
}

static herr_t close_file(H5FD_t *file)
{
    struct writer *writer = (struct writer *)file;
    if (close(writer->fd) != 0)
        refuse(writer);
    free(writer);
    return 0;
}

static herr_t query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t get_allocated(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const struct writer *)file)->end_allocated;
}

static herr_t set_allocated(H5FD_t *file, H5FD_mem_t type, haddr_t end)
{
    (void)type;
    ((struct writer *)file)->end_allocated = end;
    return 0;
}

static haddr_t get_written(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const struct writer *)file)->end_written;
}

// What lies past the end reads as zeros, as HDF5 expects of a file it has allocated further.
static herr_t read_bytes(H5FD_t *file, H5FD_mem_t type, hid_t list, haddr_t at, size_t size,
                         void *buffer)
{
    const struct writer *writer = (const struct writer *)file;
    char *bytes = buffer;
    (void)type;
    (void)list;
    while (size > 0) {
        const ssize_t got = pread(writer->fd, bytes, size, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        bytes += got;
        at += (haddr_t)got;
        size -= (size_t)got;
    }
    memset(bytes, 0, size);
    return 0;
}

static herr_t write_bytes(H5FD_t *file, H5FD_mem_t type, hid_t list, haddr_t at, size_t size,
                          const void *buffer)
{
    struct writer *writer = (struct writer *)file;
    const char *bytes = buffer;
    (void)type;
    (void)list;
    if (at + size > writer->end_written)
        writer->end_written = at + size;
    while (size > 0 && !*writer->refused) {
        errno = 0;
        const ssize_t wrote = pwrite(writer->fd, bytes, size, (off_t)at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0) {
            refuse(writer);
            break;
        }
        bytes += wrote;
        at += (haddr_t)wrote;
        size -= (size_t)wrote;
    }
    return 0;
}

// The file's length is what HDF5 allocated, so that it opens as complete.
static herr_t truncate_file(H5FD_t *file, hid_t list, hbool_t closing)
{
    struct writer *writer = (struct writer *)file;
    (void)list;
    (void)closing;
    if (writer->end_written != writer->end_allocated && !*writer->refused &&
        ftruncate(writer->fd, (off_t)writer->end_allocated) != 0)
        refuse(writer);
    writer->end_written = writer->end_allocated;
    return 0;
}

hid_t dc__h5_set_driver(hid_t access_list, int *refused)
{
    static const H5FD_class_t driver = {
        .name = "decant",
        .maxaddr = (haddr_t)INT64_MAX,
        .fc_degree = H5F_CLOSE_STRONG,
        .fapl_size = sizeof(struct info),
        .open = open_file,
        .close = close_file,
        .query = query,
        .get_eoa = get_allocated,
        .set_eoa = set_allocated,
        .get_eof = get_written,
        .read = read_bytes,
        .write = write_bytes,
        .truncate = truncate_file,
        .fl_map = H5FD_FLMAP_DICHOTOMY,
    };
    const struct info info = {refused};
    const hid_t id = H5FDregister(&driver);
    if (id >= 0 && H5Pset_driver(access_list, id, &info) < 0) {
        H5FDunregister(id);
        return -1;
    }
    return id;
}

// Owns the decoding of gzip (zlib) and xz (liblzma), piece by piece.
//
// Members may follow each other, as both formats allow; anything else behind them is damage.

#include "core/packed.h"

#include <inttypes.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/bounds.h"
#include "core/file.h"

enum { IN_BYTES = 64 * 1024, XZ_FREE_BYTES = 128 * 1024 * 1024 };

enum packing { PLAIN, GZIP, XZ };

struct dc_packed {
    FILE *file;
    char *path;
    enum packing packing;
    bool ended;               // no byte follows
    int64_t size, most, out;  // of the file; of what it may unpack to; unpacked so far
    int64_t taken;            // bytes of the file that were handed to the decoder
    size_t in_used, in_held;  // of `in`
    z_stream z;
    lzma_stream x;
    uint8_t in[IN_BYTES];
};

static enum dc_status fail_decode(const struct dc_packed *p, bool truncated, struct dc_error *error)
{
    return dc_fail(error, DC_ERR_DATA, "%s: %s %s data near byte %" PRId64, p->path,
                   truncated ? "truncated" : "damaged", p->packing == XZ ? "xz" : "gzip",
                   p->taken - (int64_t)(p->in_held - p->in_used));
}

// Bytes for the decoder; none where the file ends.
static enum dc_status refill(struct dc_packed *p, struct dc_error *error)
{
    if (p->in_used < p->in_held)
        return DC_OK;
    p->in_used = 0;
    p->in_held = fread(p->in, 1, IN_BYTES, p->file);
    p->taken += (int64_t)p->in_held;
    return ferror(p->file) ? dc_fail(error, DC_ERR_IO, "%s: cannot read", p->path) : DC_OK;
}

// One call of the decoder: at most `room` bytes to `to`, *made of them.
static enum dc_status inflate_some(struct dc_packed *p, uint8_t *to, size_t room, size_t *made,
                                   struct dc_error *error)
{
    p->z.next_in = p->in + p->in_used;
    p->z.avail_in = (uInt)(p->in_held - p->in_used);
    p->z.next_out = to;
    p->z.avail_out = (uInt)room;
    const bool at_end = p->in_used == p->in_held;
    const int result = inflate(&p->z, Z_NO_FLUSH);
    p->in_used = p->in_held - p->z.avail_in;
    *made = room - p->z.avail_out;
    if (result == Z_MEM_ERROR)
        return dc_fail(error, DC_ERR_MEMORY, "%s: no memory to decode it", p->path);
    if (result == Z_STREAM_END) {
        DC_TRY(refill(p, error));
        p->ended = p->in_used == p->in_held;
        return p->ended || inflateReset(&p->z) == Z_OK ? DC_OK : fail_decode(p, false, error);
    }
    if (result != Z_OK && !(result == Z_BUF_ERROR && !at_end))
        return fail_decode(p, result == Z_BUF_ERROR, error);
    return DC_OK;
}

static enum dc_status unxz_some(struct dc_packed *p, uint8_t *to, size_t room, size_t *made,
                                struct dc_error *error)
{
    p->x.next_in = p->in + p->in_used;
    p->x.avail_in = p->in_held - p->in_used;
    p->x.next_out = to;
    p->x.avail_out = room;
    const bool at_end = p->in_used == p->in_held;
    const lzma_ret result = lzma_code(&p->x, at_end ? LZMA_FINISH : LZMA_RUN);
    p->in_used = p->in_held - p->x.avail_in;
    *made = room - p->x.avail_out;
    if (result == LZMA_MEM_ERROR)
        return dc_fail(error, DC_ERR_MEMORY, "%s: no memory to decode it", p->path);
    if (result == LZMA_MEMLIMIT_ERROR)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: its dictionary needs %" PRIu64
                       " bytes of memory, too much for a file of %" PRId64
                       " bytes; pack it anew with xz -6",
                       p->path, lzma_memusage(&p->x), p->size);
    p->ended = result == LZMA_STREAM_END;
    if (result != LZMA_OK && !p->ended && !(result == LZMA_BUF_ERROR && !at_end))
        return fail_decode(p, result == LZMA_BUF_ERROR, error);
    return DC_OK;
}

static enum dc_status read_some(struct dc_packed *p, uint8_t *to, size_t room, size_t *made,
                                struct dc_error *error)
{
    DC_TRY(refill(p, error));
    if (p->packing == GZIP)
        return inflate_some(p, to, room, made, error);
    if (p->packing == XZ)
        return unxz_some(p, to, room, made, error);
    const size_t held = p->in_held - p->in_used;
    *made = held < room ? held : room;
    memcpy(to, p->in + p->in_used, *made);
    p->in_used += *made;
    p->ended = held == 0;
    return DC_OK;
}

enum dc_status dc_packed_read(struct dc_packed *p, void *to, size_t bytes, size_t *got,
                              struct dc_error *error)
{
    const size_t piece = 1 << 30;  // zlib counts in unsigned int
    *got = 0;
    while (*got < bytes && !p->ended) {
        size_t made = 0;
        const size_t room = bytes - *got < piece ? bytes - *got : piece;
        DC_TRY(read_some(p, (uint8_t *)to + *got, room, &made, error));
        *got += made;
        p->out += (int64_t)made;
        if (p->out > p->most)
            return dc_fail(error, DC_ERR_DATA,
                           "%s: unpacks to more than %" PRId64 " bytes, the most for a file of "
                           "%" PRId64 " bytes that declares no size",
                           p->path, p->most, p->size);
    }
    return DC_OK;
}

void dc_packed_expect(struct dc_packed *p, int64_t bytes)
{
    p->most = bytes < INT64_MAX ? bytes + 1 : bytes;  // the byte too many is the caller's to see
}

int64_t dc_packed_left(const struct dc_packed *p)
{
    return p->packing == PLAIN ? p->size - p->out : -1;
}

static enum dc_status start(struct dc_packed *p, struct dc_error *error)
{
    static const uint8_t gzip[] = {0x1f, 0x8b}, xz[] = {0xfd, '7', 'z', 'X', 'Z', 0};
    const uint64_t dictionary = XZ_FREE_BYTES + 16 * (uint64_t)p->size;
    DC_TRY(refill(p, error));
    if (p->in_held >= sizeof gzip && memcmp(p->in, gzip, sizeof gzip) == 0)
        p->packing = GZIP;
    else if (p->in_held >= sizeof xz && memcmp(p->in, xz, sizeof xz) == 0)
        p->packing = XZ;
    const bool good = p->packing == PLAIN ||
                      (p->packing == GZIP
                           ? inflateInit2(&p->z, 16 + MAX_WBITS) == Z_OK
                           : lzma_stream_decoder(&p->x, dictionary, LZMA_CONCATENATED) == LZMA_OK);
    return good ? DC_OK : dc_fail(error, DC_ERR_MEMORY, "%s: no memory to decode it", p->path);
}

enum dc_status dc_packed_open(struct dc_packed **packed, const char *path, struct dc_error *error)
{
    *packed = NULL;
    struct dc_packed *p = calloc(1, sizeof *p);
    if (!p || !(p->path = strdup(path))) {
        free(p);
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    }
    p->x = (lzma_stream)LZMA_STREAM_INIT;
    enum dc_status status = dc_file_open(&p->file, &p->size, path, error);
    p->most = dc_unpacked_most(p->size);
    if (status == DC_OK)
        status = start(p, error);
    if (status == DC_OK)
        *packed = p;
    else
        dc_packed_close(p);
    return status;
}

void dc_packed_close(struct dc_packed *p)
{
    if (!p)
        return;
    inflateEnd(&p->z);  // refuses what was never started
    lzma_end(&p->x);
    if (p->file)
        fclose(p->file);
    free(p->path);
    free(p);
}

// Owns the reading of ZIP (PKWARE's APPNOTE 6.3): the directory at the end says what there is; of
// each member's own header only its length counts. No encryption, no archive in parts, no ZIP64
// sizes.

#include "data/zip.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "core/bounds.h"

enum {
    END_BYTES = 22,
    COMMENT_MAX = 65535,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    STORED = 0,
    DEFLATED = 8
};
#define IN_ZIP64 0xffffffffu  // a size or an offset that is stated elsewhere

static uint32_t number(const uint8_t *p, int bytes)
{
    uint32_t value = 0;
    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static enum dc_status damaged(const struct dc__zip *zip, struct dc_error *error)
{
    return dc_fail(error, DC_ERR_DATA, "%s: not a ZIP archive, truncated or damaged", zip->path);
}

enum dc_status dc__zip_open(struct dc__zip *zip, const char *path, const uint8_t *bytes,
                            size_t size, struct dc_error *error)
{
    *zip = (struct dc__zip){.path = path, .bytes = bytes, .size = size};
    const size_t first = size > END_BYTES + COMMENT_MAX ? size - END_BYTES - COMMENT_MAX : 0;
    size_t end = size < END_BYTES ? 0 : size - END_BYTES + 1;
    for (; end > first; end--)
        if (memcmp(bytes + end - 1, "PK\5\6", 4) == 0)
            break;
    if (end <= first)
        return damaged(zip, error);
    const uint8_t *record = bytes + end - 1;
    zip->entries = (int)number(record + 10, 2);
    zip->directory = number(record + 16, 4);
    zip->directory_end = zip->directory + number(record + 12, 4);
    if (zip->directory == IN_ZIP64 || zip->entries == 0xffff)
        return dc_fail(error, DC_ERR_DATA, "%s: ZIP64 archives are not read; unpack it", path);
    return zip->directory_end > size ? damaged(zip, error) : DC_OK;
}

static bool inflate_all(uint8_t *out, size_t out_size, const uint8_t *in, size_t in_size)
{
    z_stream stream = {.next_in = (z_const Bytef *)(uintptr_t)in,
                       .avail_in = (uInt)in_size,
                       .next_out = out,
                       .avail_out = (uInt)out_size};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return false;
    const int result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return result == Z_STREAM_END && stream.total_out == out_size;
}

// What the directory says of a member, at `entry`.
static enum dc_status read_member(const uint8_t **bytes, size_t *size, const struct dc__zip *zip,
                                  const uint8_t *entry, const char *name, int64_t limit,
                                  struct dc_arena *arena, struct dc_error *error)
{
    const uint32_t flags = number(entry + 8, 2), method = number(entry + 10, 2);
    const size_t packed = number(entry + 20, 4), whole = number(entry + 24, 4);
    const size_t place = number(entry + 42, 4);
    if (packed == IN_ZIP64 || whole == IN_ZIP64 || place == IN_ZIP64 || (flags & 1) ||
        (method != STORED && method != DEFLATED))
        return dc_fail(error, DC_ERR_DATA,
                       "%s: '%s' is encrypted, larger than 4 GiB or packed by another method than "
                       "deflate; unpack it",
                       zip->path, name);
    if (place + LOCAL_BYTES > zip->size || memcmp(zip->bytes + place, "PK\3\4", 4) != 0)
        return damaged(zip, error);
    const size_t start = place + LOCAL_BYTES + number(zip->bytes + place + 26, 2) +
                         number(zip->bytes + place + 28, 2);
    if (start > zip->size || packed > zip->size - start || (method == STORED && packed != whole) ||
        (int64_t)whole > dc_inflated_most((int64_t)packed))
        return damaged(zip, error);
    *bytes = zip->bytes + start;
    *size = whole;
    if (method == DEFLATED) {
        DC_TRY(dc_want_memory(zip->path, name, (int64_t)whole, limit, error));
        uint8_t *out = dc_arena_alloc(arena, whole, error);
        if (!out)
            return DC_ERR_MEMORY;
        if (!inflate_all(out, whole, zip->bytes + start, packed))
            return dc_fail(error, DC_ERR_DATA, "%s: '%s' is damaged", zip->path, name);
        *bytes = out;
    }
    if (crc32_z(crc32_z(0, NULL, 0), *bytes, whole) != number(entry + 16, 4))
        return dc_fail(error, DC_ERR_DATA, "%s: '%s' is damaged: its checksum does not match",
                       zip->path, name);
    return DC_OK;
}

enum dc_status dc__zip_read(const uint8_t **bytes, size_t *size, const struct dc__zip *zip,
                            const char *name, int64_t limit, struct dc_arena *arena,
                            struct dc_error *error)
{
    const size_t length = strlen(name);
    size_t at = zip->directory;
    *bytes = NULL;
    for (int i = 0; i < zip->entries; i++) {
        const uint8_t *entry = zip->bytes + at;
        if (at + ENTRY_BYTES > zip->directory_end || memcmp(entry, "PK\1\2", 4) != 0)
            return damaged(zip, error);
        const size_t name_bytes = number(entry + 28, 2);
        if (at + ENTRY_BYTES + name_bytes > zip->directory_end)
            return damaged(zip, error);
        if (name_bytes == length && memcmp(entry + ENTRY_BYTES, name, length) == 0)
            return read_member(bytes, size, zip, entry, name, limit, arena, error);
        at += ENTRY_BYTES + name_bytes + number(entry + 30, 2) + number(entry + 32, 2);
    }
    return DC_OK;
}

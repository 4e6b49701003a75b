// Owns the bytes of an archive: POSIX.1-1988 ustar, the name of the folder in the prefix field.

#include "export/archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512, PREFIX_BYTES = 155, END_BLOCKS = 2 };

struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100],
        magic[6], version[2], uname[32], gname[32], major[8], minor[8], prefix[PREFIX_BYTES],
        unused[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

static void fill_header(struct header *h, const char *base, const char *name, size_t size)
{
    char digits[16];
    unsigned sum = 0;
    memset(h, 0, sizeof *h);
    memcpy(h->prefix, base, strlen(base));
    memcpy(h->name, name, strlen(name));
    memcpy(h->mode, "0000644", 8);
    memcpy(h->uid, "0000000", 8);
    memcpy(h->gid, "0000000", 8);
    snprintf(digits, sizeof digits, "%011zo", size);
    memcpy(h->size, digits, 12);
    memcpy(h->mtime, "00000000000", 12);
    h->type = '0';
    memcpy(h->magic, "ustar", 6);
    memcpy(h->version, "00", 2);
    memset(h->checksum, ' ', sizeof h->checksum);
    for (size_t i = 0; i < sizeof *h; i++)
        sum += ((const unsigned char *)h)[i];
    snprintf(digits, sizeof digits, "%06o", sum);
    memcpy(h->checksum, digits, 7);
}

static enum dc_status append_file(FILE *out, const char *base, const struct dc__archive_file *file,
                                  struct dc_error *error)
{
    static const char zeros[BLOCK];
    struct header header;
    if (strlen(file->name) >= sizeof header.name || strlen(base) > PREFIX_BYTES || file->size >> 33)
        return dc_fail(error, DC_ERR_USAGE, "%s/%s: its name or size is more than a tar file holds",
                       base, file->name);
    fill_header(&header, base, file->name, file->size);
    fwrite(&header, sizeof header, 1, out);
    fwrite(file->bytes, 1, file->size, out);
    fwrite(zeros, 1, (BLOCK - file->size % BLOCK) % BLOCK, out);
    return DC_OK;
}

enum dc_status dc__archive_make(char **bytes, size_t *size, const char *base,
                                const struct dc__archive_file *files, int count,
                                struct dc_arena *arena, struct dc_error *error)
{
    static const char zeros[END_BLOCKS * BLOCK];
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    enum dc_status status = DC_OK;
    if (!out)
        return dc_fail(error, DC_ERR_MEMORY, "no memory for an archive of %s", base);
    for (int i = 0; status == DC_OK && i < count; i++)
        status = append_file(out, base, &files[i], error);
    fwrite(zeros, sizeof zeros, 1, out);
    const bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed)
        status = dc_fail(error, DC_ERR_MEMORY, "no memory for an archive of %s", base);
    *bytes = status == DC_OK ? dc_arena_alloc(arena, *size, error) : NULL;
    if (*bytes)
        memcpy(*bytes, text, *size);
    else if (status == DC_OK)
        status = DC_ERR_MEMORY;
    free(text);
    return status;
}

// Owns the bytes of an archive: POSIX.1-1988 ustar, the name of the folder in the prefix field.

#include "export/archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

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

static enum dc_status append_file(FILE *out, const char *folder, const char *base, const char *name,
                                  const char *as, struct dc_arena *arena, struct dc_error *error)
{
    static const char zeros[BLOCK];
    struct header header;
    char *text = NULL;
    size_t size = 0;
    const char *path = dc_arena_printf(arena, error, "%s/%s", folder, name);
    if (!path)
        return DC_ERR_MEMORY;
    DC_TRY(dc_file_read(&text, &size, path, arena, error));
    if (strlen(as) >= sizeof header.name || strlen(base) > PREFIX_BYTES || size >> 33)
        return dc_fail(error, DC_ERR_USAGE, "%s: its name or size is more than a tar file holds",
                       path);
    fill_header(&header, base, as, size);
    fwrite(&header, sizeof header, 1, out);
    fwrite(text, 1, size, out);
    fwrite(zeros, 1, (BLOCK - size % BLOCK) % BLOCK, out);
    return DC_OK;
}

static enum dc_status append_all(FILE *out, const char *folder, const char *base,
                                 const char *const *names, const char *const *as,
                                 struct dc_error *error)
{
    static const char zeros[END_BLOCKS * BLOCK];
    struct dc_arena *arena = NULL;
    enum dc_status status = dc_arena_create(&arena, error);
    for (int i = 0; status == DC_OK && names[i]; i++)
        status = append_file(out, folder, base, names[i], as && as[i] ? as[i] : names[i], arena,
                             error);
    fwrite(zeros, sizeof zeros, 1, out);
    dc_arena_free(arena);
    return status;
}

enum dc_status dc__archive_make(char **bytes, size_t *size, const char *folder, const char *base,
                                const char *const *names, const char *const *as,
                                struct dc_arena *arena, struct dc_error *error)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (!out)
        return dc_fail(error, DC_ERR_MEMORY, "no memory for an archive of %s", folder);
    enum dc_status status = append_all(out, folder, base, names, as, error);
    const bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed)
        status = dc_fail(error, DC_ERR_MEMORY, "no memory for an archive of %s", folder);
    *bytes = status == DC_OK ? dc_arena_alloc(arena, *size, error) : NULL;
    if (*bytes)
        memcpy(*bytes, text, *size);
    else if (status == DC_OK)
        status = DC_ERR_MEMORY;
    free(text);
    return status;
}

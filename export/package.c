// Owns the bytes of a package's header.

#include "export/package.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "qat/profile.h"

enum {
    FORMAT = 1,
    HEADER = 256,
    NAME_AT = 48,
    PROFILE_AT = 80,
    CORE_AT = 112,
    HASH_AT = 144,
    PARENT_AT = 176
};

static const uint8_t mark[8] = {'D', 'E', 'C', 'A', 'N', 'T', 'P', 'K'};

const char *const dc_payload_names[] = {"archive", "tflite", "image", NULL};

static void put(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

// Printable ASCII and zeros behind it: names go to terminals.
static bool is_name(const char name[DC_PACKAGE_TEXT])
{
    int length = 0;
    while (length < DC_PACKAGE_TEXT && name[length] >= ' ' && name[length] <= '~')
        length++;
    for (int i = length; i < DC_PACKAGE_TEXT; i++)
        if (name[i])
            return false;
    return length < DC_PACKAGE_TEXT;
}

static enum dc_status put_name(char *to, const char *name, const char *what, struct dc_error *error)
{
    memset(to, 0, DC_PACKAGE_TEXT);
    memcpy(to, name, strnlen(name, DC_PACKAGE_TEXT));
    if (!is_name(to))
        return dc_fail(error, DC_ERR_USAGE,
                       "a package holds a %s of up to %d printable bytes of ASCII, not '%s'", what,
                       DC_PACKAGE_TEXT - 1, name);
    return DC_OK;
}

enum dc_status dc_package_describe(struct dc_package *package, const struct dc_imodel *model,
                                   struct dc_error *error)
{
    struct dc_imodel_cost cost;
    DC_TRY(dc_imodel_cost(&cost, model, error));
    package->input_bytes = cost.input_bytes;
    package->output_bytes = cost.output_bytes;
    package->arena_bytes = cost.whole_arena_bytes;
    DC_TRY(put_name(package->name, model->name, "name", error));
    return put_name(package->profile, model->profile->name, "profile", error);
}

enum dc_status dc_package_encode(void **bytes, size_t *size, struct dc_package *package,
                                 struct dc_arena *arena, struct dc_error *error)
{
    if (package->floor > package->version)
        return dc_fail(error, DC_ERR_USAGE, "version %u lies below its own floor %u",
                       package->version, package->floor);
    if (package->payload_bytes == 0 || package->payload_bytes > DC_PACKAGE_PAYLOAD_MOST)
        return dc_fail(error, DC_ERR_USAGE, "a payload has 1 to %lld bytes, not %zu",
                       DC_PACKAGE_PAYLOAD_MOST, package->payload_bytes);
    *size = HEADER + package->payload_bytes;
    uint8_t *h = dc_arena_alloc(arena, *size, error);
    if (!h)
        return DC_ERR_MEMORY;
    memset(h, 0, HEADER);
    crypto_hash_sha256(package->hash, package->payload, package->payload_bytes);
    memcpy(h, mark, sizeof mark);
    put(h + 8, FORMAT | HEADER << 16);
    put(h + 12, package->version);
    put(h + 16, package->floor);
    put(h + 20, package->minimum_firmware);
    put(h + 24, (uint32_t)package->payload_bytes);
    put(h + 28, (uint32_t)package->input_bytes);
    put(h + 32, (uint32_t)package->output_bytes);
    put(h + 36, (uint32_t)package->arena_bytes);
    put(h + 40, package->accuracy);
    put(h + 44, (uint32_t)package->kind);
    memcpy(h + NAME_AT, package->name, DC_PACKAGE_TEXT);
    memcpy(h + PROFILE_AT, package->profile, DC_PACKAGE_TEXT);
    memcpy(h + CORE_AT, package->core, DC_PACKAGE_TEXT);
    memcpy(h + HASH_AT, package->hash, DC_PACKAGE_HASH);
    memcpy(h + PARENT_AT, package->parent, DC_PACKAGE_HASH);
    memcpy(h + HEADER, package->payload, package->payload_bytes);
    *bytes = h;
    return DC_OK;
}

enum dc_status dc_package_read(struct dc_package *package, const char *path, struct dc_arena *arena,
                               struct dc_error *error)
{
    char *text = NULL;
    size_t size = 0;
    *package = (struct dc_package){0};
    DC_TRY(dc_file_read(&text, &size, path, arena, error));
    const uint8_t *h = (const uint8_t *)text;
    if (size < HEADER || memcmp(h, mark, sizeof mark) != 0)
        return dc_fail(error, DC_ERR_DATA, "%s is not a package", path);
    if (get(h + 8) != (FORMAT | HEADER << 16))
        return dc_fail(error, DC_ERR_DATA, "%s has format %u; this program reads %d", path,
                       get(h + 8) & 0xFFFF, FORMAT);
    package->version = get(h + 12);
    package->floor = get(h + 16);
    package->minimum_firmware = get(h + 20);
    package->payload_bytes = get(h + 24);
    package->input_bytes = get(h + 28);
    package->output_bytes = get(h + 32);
    package->arena_bytes = get(h + 36);
    package->accuracy = get(h + 40);
    package->kind = (enum dc_payload)get(h + 44);
    memcpy(package->name, h + NAME_AT, DC_PACKAGE_TEXT);
    memcpy(package->profile, h + PROFILE_AT, DC_PACKAGE_TEXT);
    memcpy(package->core, h + CORE_AT, DC_PACKAGE_TEXT);
    memcpy(package->parent, h + PARENT_AT, DC_PACKAGE_HASH);
    package->payload = h + HEADER;
    if (package->payload_bytes != size - HEADER)
        return dc_fail(error, DC_ERR_DATA, "%s has %zu bytes and not the %zu of its header", path,
                       size, HEADER + package->payload_bytes);
    if (package->kind < DC_PAYLOAD_ARCHIVE || package->kind > DC_PAYLOAD_IMAGE ||
        !is_name(package->name) || !is_name(package->profile) || !is_name(package->core))
        return dc_fail(error, DC_ERR_DATA, "%s: its header is damaged", path);
    crypto_hash_sha256(package->hash, package->payload, package->payload_bytes);
    if (memcmp(package->hash, h + HASH_AT, DC_PACKAGE_HASH) != 0)
        return dc_fail(error, DC_ERR_DATA, "%s is damaged: its payload has another SHA-256", path);
    return DC_OK;
}

char *dc_package_hex(char *text, const uint8_t *bytes, int count)
{
    return sodium_bin2hex(text, 2 * (size_t)count + 1, bytes, (size_t)count);
}

json_t *dc_package_json(const struct dc_package *p, const char *path)
{
    static const uint8_t none[DC_PACKAGE_HASH];
    char hash[2 * DC_PACKAGE_HASH + 1], parent[2 * DC_PACKAGE_HASH + 1];
    json_t *json = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:s, s:s}", "file", path, "name",
        p->name, "version", (json_int_t)p->version, "floor", (json_int_t)p->floor,
        "minimum_firmware", (json_int_t)p->minimum_firmware, "payload",
        dc_payload_names[p->kind - 1], "payload_bytes", (json_int_t)p->payload_bytes, "input_bytes",
        (json_int_t)p->input_bytes, "output_bytes", (json_int_t)p->output_bytes, "arena_bytes",
        (json_int_t)p->arena_bytes, "profile", p->profile, "sha256",
        dc_package_hex(hash, p->hash, DC_PACKAGE_HASH));
    if (json && p->accuracy != DC_PACKAGE_NO_ACCURACY)
        json_object_set_new(json, "accuracy", json_real(1e-4 * p->accuracy));
    if (json && p->core[0])
        json_object_set_new(json, "core", json_string(p->core));
    if (json && memcmp(p->parent, none, sizeof none) != 0)
        json_object_set_new(json, "parent",
                            json_string(dc_package_hex(parent, p->parent, DC_PACKAGE_HASH)));
    return json;
}

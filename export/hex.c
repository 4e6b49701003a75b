// Owns the records of Intel HEX: data of up to 16 bytes, which cross no border of 64 KiB, behind a
// record with the upper half of their address; the end.

#include "export/hex.h"

#include <stdio.h>

enum { DATA = 0, END = 1, UPPER_ADDRESS = 4, RECORD_BYTES = 16, RECORD_TEXT = 2 * 21 + 2 };

static char *put_record(char *at, int type, uint32_t address, const uint8_t *bytes, int count)
{
    unsigned sum = (unsigned)count + (address >> 8 & 0xFF) + (address & 0xFF) + (unsigned)type;
    at += sprintf(at, ":%02X%04X%02X", (unsigned)count, address & 0xFFFF, (unsigned)type);
    for (int i = 0; i < count; i++) {
        at += sprintf(at, "%02X", bytes[i]);
        sum += bytes[i];
    }
    return at + sprintf(at, "%02X\n", -sum & 0xFF);
}

enum dc_status dc_hex_encode(char **text, size_t *length, const void *bytes, size_t size,
                             uint32_t address, struct dc_arena *arena, struct dc_error *error)
{
    const uint8_t *from = bytes;
    const size_t records = size / RECORD_BYTES + 2 * (size >> 16) + 8;
    if (size > (1ull << 32) - address)
        return dc_fail(error, DC_ERR_USAGE, "%zu bytes at address 0x%x end beyond 2^32", size,
                       address);
    char *at = *text = dc_arena_alloc(arena, (records + 1) * (RECORD_TEXT + 1), error);
    if (!at)
        return DC_ERR_MEMORY;
    for (size_t done = 0; done < size;) {
        const uint32_t here = address + (uint32_t)done;
        const uint32_t room = 0x10000 - (here & 0xFFFF);
        size_t count = RECORD_BYTES - here % RECORD_BYTES;
        if (done == 0 || (here & 0xFFFF) == 0) {
            const uint8_t upper[2] = {(uint8_t)(here >> 24), (uint8_t)(here >> 16)};
            at = put_record(at, UPPER_ADDRESS, 0, upper, 2);
        }
        if (count > room)
            count = room;
        if (count > size - done)
            count = size - done;
        at = put_record(at, DATA, here, from + done, (int)count);
        done += count;
    }
    at = put_record(at, END, 0, NULL, 0);
    *length = (size_t)(at - *text);
    return DC_OK;
}

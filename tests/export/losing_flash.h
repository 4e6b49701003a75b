// Flash whose power goes while it is written, and packages for it: for a test on this machine and
// for emulated processors. C99 without a library.

#ifndef DC_TESTS_LOSING_FLASH_H
#define DC_TESTS_LOSING_FLASH_H

#include <stdint.h>
#include <string.h>

#include "examples/device/update.h"

enum { SLOT = 512, JOURNAL = 128, PAYLOAD = 150, SIGNATURE = 4 };

static struct flash {
    uint8_t slots[2][SLOT], journals[2][JOURNAL];
    long power;   // goes after so many bytes more; -1: never
    int misuses;  // a byte written twice, or outside
} flash;
static int signatures_checked, broken_selftest;

static uint8_t *area_of(enum update_area area, uint32_t *bytes)
{
    *bytes = area < UPDATE_JOURNAL_0 ? SLOT : JOURNAL;
    return area < UPDATE_JOURNAL_0 ? flash.slots[area] : flash.journals[area - UPDATE_JOURNAL_0];
}

static int power_goes(void)
{
    if (flash.power == 0)
        return 1;
    if (flash.power > 0)
        flash.power--;
    return 0;
}

static int flash_erase(void *user, enum update_area area)
{
    uint32_t bytes, i;
    uint8_t *memory = area_of(area, &bytes);
    (void)user;
    for (i = 0; i < bytes; i++) {
        if (power_goes())
            return 1;
        memory[i] = 0xFF;
    }
    return 0;
}

static int flash_write(void *user, enum update_area area, uint32_t at, const void *bytes,
                       uint32_t count)
{
    uint32_t size, i;
    uint8_t *memory = area_of(area, &size);
    (void)user;
    if (at + count > size) {
        flash.misuses++;
        return 1;
    }
    for (i = 0; i < count; i++) {
        if (power_goes())
            return 1;
        flash.misuses += memory[at + i] != 0xFF;
        memory[at + i] = ((const uint8_t *)bytes)[i];
    }
    return 0;
}

// A stand-in for a signature: the first bytes of the package's hash.
static int flash_verify(void *user, const uint8_t *package, uint32_t bytes,
                        const uint8_t *signature, uint32_t signature_bytes)
{
    uint8_t hash[32];
    (void)user;
    signatures_checked++;
    update_sha256(hash, package, bytes);
    return signature_bytes != SIGNATURE || memcmp(hash, signature, SIGNATURE) != 0;
}

static int flash_selftest(void *user, const struct update_header *header, const uint8_t *payload)
{
    (void)user;
    (void)header;
    return broken_selftest || payload[0] != 0x11;
}

static const struct update_device device = {
    0,
    {flash.slots[0], flash.slots[1], flash.journals[0], flash.journals[1]},
    SLOT,
    JOURNAL,
    flash_erase,
    flash_write,
    flash_verify,
    flash_selftest,
    5,    // firmware
    784,  // input, output and arena
    10,
    8000,
    2,
    "digits",
};

static void flash_start(void)
{
    memset(&flash, 0xFF, sizeof flash);
    flash.power = -1;
    flash.misuses = broken_selftest = 0;
}

struct package {
    uint8_t bytes[UPDATE_HEADER_BYTES + PAYLOAD], signature[SIGNATURE];
};

static void put(uint8_t *at, uint32_t value)
{
    int i;
    for (i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void sign(struct package *p)
{
    uint8_t hash[32];
    update_sha256(hash, p->bytes, sizeof p->bytes);
    memcpy(p->signature, hash, SIGNATURE);
}

static struct package package(uint32_t version, uint32_t floor)
{
    struct package p;
    memset(&p, 0, sizeof p);
    memcpy(p.bytes, UPDATE_MAGIC, 8);
    put(p.bytes + 8, UPDATE_FORMAT | UPDATE_HEADER_BYTES << 16);
    put(p.bytes + 12, version);
    put(p.bytes + 16, floor);
    put(p.bytes + 20, 5);
    put(p.bytes + 24, PAYLOAD);
    put(p.bytes + 28, 784);
    put(p.bytes + 32, 10);
    put(p.bytes + 36, 7000);
    put(p.bytes + 44, 2);
    memcpy(p.bytes + 48, "digits", 6);
    memset(p.bytes + UPDATE_HEADER_BYTES, (int)(version * 7), PAYLOAD);
    p.bytes[UPDATE_HEADER_BYTES] = 0x11;
    update_sha256(p.bytes + 144, p.bytes + UPDATE_HEADER_BYTES, PAYLOAD);
    sign(&p);
    return p;
}

static enum update_result install(const struct package *p)
{
    return update_install(&device, p->bytes, sizeof p->bytes, p->signature, SIGNATURE);
}

// The version that runs after a start; 0: none; -1: what runs is not whole.
static long boot(int *on_trial)
{
    struct update_header header;
    const uint8_t *payload;
    const enum update_result result = update_boot(&device, &header, &payload, on_trial);
    int i;
    if (result == UPDATE_NONE)
        return 0;
    if (result != UPDATE_OK)
        return -1;
    for (i = 1; i < PAYLOAD; i++)
        if (payload[i] != (uint8_t)(header.version * 7))
            return -1;
    return (long)header.version;
}

// An update from the file to its confirmation; 0: it succeeded.
static int take(uint32_t version, uint32_t floor)
{
    int on_trial;
    const struct package p = package(version, floor);
    return install(&p) != UPDATE_OK || boot(&on_trial) != (long)version || !on_trial ||
           update_confirm(&device) != UPDATE_OK;
}

// Updates whose power goes after each number of bytes, from journals of each fill. *cuts: how many;
// the result: after how many of them something else ran than the old network or the new, whole, or
// the old one did not where nobody had confirmed the new, or the next update failed.
static int harmed_by_power_cuts(int *cuts)
{
    int harmed = 0;
    uint32_t before, version;
    *cuts = 0;
    for (before = 1; before < 6; before++) {
        struct flash kept;
        int finished = 0;
        long cut;
        flash_start();
        for (version = 1; version <= before; version++)
            harmed += take(version, 0);
        kept = flash;
        for (cut = 0; !finished; cut++, ++*cuts) {
            int on_trial, wrong;
            long running;
            flash = kept;
            flash.power = cut;
            wrong = take(9, 0);
            finished = flash.power > 0;
            flash.power = -1;
            running = boot(&on_trial);
            if (finished)
                wrong = wrong || running != 9 || on_trial;
            else
                wrong = running != 9 && running != (long)before;
            if (on_trial || running == (long)before)
                wrong = wrong || boot(&on_trial) != (long)before;
            wrong = wrong || take(9, 0) || boot(&on_trial) != 9 || flash.misuses;
            harmed += wrong;
        }
    }
    return harmed;
}

#endif

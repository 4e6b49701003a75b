/* Owns the journal and the order of checks. A record takes effect when its last byte is written:
   its checksum makes a torn one count as nothing. What is written before it, a slot, is not looked
   at until a whole record names it. */

#include "update.h"

#include <string.h>

enum { RECORD_BYTES = 32 };
enum record_kind { SNAPSHOT = 1, INSTALLED, TRIED, CONFIRMED, REJECTED };

/* sequence, kind, slot, floor, active, downgrades, zero, checksum: 32 bits each. */
struct record {
    uint32_t sequence, kind, slot, floor, active, downgrades;
};

static const uint32_t none = 0xFFFFFFFFu;

static uint32_t word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static void put_word(uint8_t *bytes, uint32_t value)
{
    int i;
    for (i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t rotate(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

static void hash_block(uint32_t state[8], const uint8_t *block)
{
    static const uint32_t constants[64] = {
        0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u,
        0xab1c5ed5u, 0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu,
        0x9bdc06a7u, 0xc19bf174u, 0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu,
        0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau, 0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u,
        0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u, 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu,
        0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u, 0xa2bfe8a1u, 0xa81a664bu,
        0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u, 0x19a4c116u,
        0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
        0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u,
        0xc67178f2u};
    uint32_t words[64], v[8];
    int i;
    for (i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | (uint32_t)block[4 * i + 3];
    for (i = 16; i < 64; i++) {
        const uint32_t a = words[i - 15], b = words[i - 2];
        words[i] = words[i - 16] + words[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
                   (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(v, state, sizeof v);
    for (i = 0; i < 64; i++) {
        const uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        const uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        const uint32_t first = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
                               choice + constants[i] + words[i];
        const uint32_t second = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) + majority;
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first;
        v[0] = first + second;
    }
    for (i = 0; i < 8; i++)
        state[i] += v[i];
}

void update_sha256(uint8_t hash[32], const uint8_t *bytes, uint32_t count)
{
    uint32_t state[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                         0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
    uint8_t last[128];
    const uint32_t whole = count / 64 * 64, rest = count - whole;
    const uint32_t tail = rest < 56 ? 64 : 128;
    uint32_t i;
    for (i = 0; i < whole; i += 64)
        hash_block(state, bytes + i);
    memset(last, 0, sizeof last);
    if (rest > 0)
        memcpy(last, bytes + whole, rest);
    last[rest] = 0x80;
    for (i = 0; i < 5; i++) /* the number of bits, most significant byte first */
        last[tail - 1 - i] = (uint8_t)((uint64_t)count * 8 >> 8 * i);
    for (i = 0; i < tail; i += 64)
        hash_block(state, last + i);
    for (i = 0; i < 32; i++)
        hash[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

/* CRC-32 as zlib's. */
static uint32_t checksum(const uint8_t *bytes, uint32_t count)
{
    uint32_t crc = 0xFFFFFFFFu, i;
    int bit;
    for (i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0u);
    }
    return ~crc;
}

static int is_blank(const uint8_t *bytes, uint32_t count)
{
    uint32_t i;
    for (i = 0; i < count; i++)
        if (bytes[i] != 0xFF)
            return 0;
    return 1;
}

static int read_record(struct record *r, const uint8_t *at)
{
    if (word(at + 28) != checksum(at, 28))
        return 0;
    r->sequence = word(at);
    r->kind = word(at + 4);
    r->slot = word(at + 8);
    r->floor = word(at + 12);
    r->active = word(at + 16);
    r->downgrades = word(at + 20);
    return 1;
}

/* The newest whole record of both journals. Where the next one goes: *area, *at; *at is
   journal_bytes where that journal is full. */
static int newest(struct record *r, int *area, uint32_t *at, const struct update_device *device)
{
    int found = 0, j;
    memset(r, 0, sizeof *r);
    r->active = r->slot = none;
    *area = 0;
    *at = device->journal_bytes;
    for (j = 0; j < 2; j++) {
        const uint8_t *memory = device->memory[UPDATE_JOURNAL_0 + j];
        uint32_t i, end = 0;
        int newer = 0;
        for (i = 0; i + RECORD_BYTES <= device->journal_bytes; i += RECORD_BYTES) {
            struct record here;
            if (!is_blank(memory + i, RECORD_BYTES))
                end = i + RECORD_BYTES;
            if (read_record(&here, memory + i) && (!found || here.sequence > r->sequence)) {
                *r = here;
                found = newer = 1;
            }
        }
        if (newer) {
            *area = j;
            *at = end;
        }
    }
    return found;
}

/* Writes a record behind the newest; where its journal is full, into the other, erased first: until
   that record is whole, the full one counts. */
static enum update_result append(const struct update_device *device, const struct record *next)
{
    struct record last;
    uint8_t bytes[RECORD_BYTES] = {0};
    uint32_t at;
    int area;
    const int found = newest(&last, &area, &at, device);
    if (!found || at + RECORD_BYTES > device->journal_bytes) {
        area = found ? 1 - area : 0;
        at = 0;
        if (device->erase(device->user, (enum update_area)(UPDATE_JOURNAL_0 + area)) != 0)
            return UPDATE_FLASH;
    }
    put_word(bytes, last.sequence + 1);
    put_word(bytes + 4, next->kind);
    put_word(bytes + 8, next->slot);
    put_word(bytes + 12, next->floor);
    put_word(bytes + 16, next->active);
    put_word(bytes + 20, next->downgrades);
    put_word(bytes + 28, checksum(bytes, 28));
    return device->write(device->user, (enum update_area)(UPDATE_JOURNAL_0 + area), at, bytes,
                         sizeof bytes) == 0
               ? UPDATE_OK
               : UPDATE_FLASH;
}

void update_read_state(struct update_state *state, const struct update_device *device)
{
    struct record r;
    uint32_t at;
    int area;
    newest(&r, &area, &at, device);
    state->active = r.active < 2 ? (int)r.active : -1;
    state->pending = (r.kind == INSTALLED || r.kind == TRIED) && r.slot < 2 ? (int)r.slot : -1;
    state->tried = r.kind == TRIED;
    state->floor = r.floor;
    state->downgrades = r.downgrades;
}

static struct record of_state(const struct update_state *state, enum record_kind kind, int slot)
{
    struct record r;
    memset(&r, 0, sizeof r);
    r.kind = (uint32_t)kind;
    r.slot = (uint32_t)slot;
    r.floor = state->floor;
    r.active = state->active < 0 ? none : (uint32_t)state->active;
    r.downgrades = state->downgrades;
    return r;
}

static enum update_result parse(struct update_header *h, const uint8_t *package, uint32_t bytes)
{
    if (bytes < UPDATE_HEADER_BYTES || memcmp(package, UPDATE_MAGIC, 8) != 0 ||
        (word(package + 8) & 0xFFFF) != UPDATE_FORMAT ||
        word(package + 8) >> 16 != UPDATE_HEADER_BYTES)
        return UPDATE_FORMAT_UNKNOWN;
    h->version = word(package + 12);
    h->floor = word(package + 16);
    h->minimum_firmware = word(package + 20);
    h->payload_bytes = word(package + 24);
    h->input_bytes = word(package + 28);
    h->output_bytes = word(package + 32);
    h->arena_bytes = word(package + 36);
    h->accuracy = word(package + 40);
    h->kind = word(package + 44);
    memcpy(h->name, package + 48, sizeof h->name);
    memcpy(h->sha256, package + 144, sizeof h->sha256);
    if (h->name[sizeof h->name - 1] != 0 || h->payload_bytes > bytes - UPDATE_HEADER_BYTES)
        return UPDATE_FORMAT_UNKNOWN;
    return UPDATE_OK;
}

static enum update_result check_hash(const struct update_header *h, const uint8_t *package)
{
    uint8_t hash[32];
    update_sha256(hash, package + UPDATE_HEADER_BYTES, h->payload_bytes);
    return memcmp(hash, h->sha256, sizeof hash) == 0 ? UPDATE_OK : UPDATE_DAMAGED;
}

static enum update_result check_fit(const struct update_header *h,
                                    const struct update_device *device)
{
    if (h->minimum_firmware > device->firmware)
        return UPDATE_OTHER_FIRMWARE;
    return h->kind == device->kind && h->input_bytes == device->input_bytes &&
                   h->output_bytes == device->output_bytes &&
                   h->arena_bytes <= device->arena_bytes && strcmp(h->name, device->name) == 0
               ? UPDATE_OK
               : UPDATE_OTHER_NETWORK;
}

static enum update_result read_slot(struct update_header *h, const struct update_device *device,
                                    int slot)
{
    enum update_result result = parse(h, device->memory[slot], device->slot_bytes);
    if (result == UPDATE_OK)
        result = check_fit(h, device);
    return result == UPDATE_OK ? check_hash(h, device->memory[slot]) : result;
}

enum update_result update_install(const struct update_device *device, const uint8_t *package,
                                  uint32_t bytes, const uint8_t *signature,
                                  uint32_t signature_bytes)
{
    struct update_state state;
    struct update_header header, running;
    struct record next;
    enum update_result result;
    int slot;
    if (bytes > device->slot_bytes)
        return UPDATE_TOO_LARGE;
    update_read_state(&state, device);
    slot = state.active == 0 ? 1 : 0;
    if (state.pending >= 0 && state.tried) /* it runs, from the slot that would be erased */
        return UPDATE_ON_TRIAL;
    if (state.pending >= 0) { /* what lies there is about to be overwritten */
        next = of_state(&state, REJECTED, slot);
        result = append(device, &next);
        if (result != UPDATE_OK)
            return result;
    }
    if (device->erase(device->user, (enum update_area)slot) != 0 ||
        device->write(device->user, (enum update_area)slot, 0, package, bytes) != 0)
        return UPDATE_FLASH;
    package = device->memory[slot]; /* what is checked is what lies in flash */
    if (device->verify_signature(device->user, package, bytes, signature, signature_bytes) != 0)
        return UPDATE_SIGNATURE;
    result = parse(&header, package, bytes);
    if (result == UPDATE_OK && header.version < state.floor)
        result = UPDATE_BELOW_FLOOR;
    if (result == UPDATE_OK)
        result = check_hash(&header, package);
    if (result == UPDATE_OK)
        result = check_fit(&header, device);
    if (result != UPDATE_OK)
        return result;
    if (state.active >= 0 &&
        parse(&running, device->memory[state.active], device->slot_bytes) == UPDATE_OK &&
        header.version < running.version)
        state.downgrades++;
    next = of_state(&state, INSTALLED, slot);
    return append(device, &next);
}

enum update_result update_boot(const struct update_device *device, struct update_header *header,
                               const uint8_t **payload, int *on_trial)
{
    struct update_state state;
    struct record next;
    update_read_state(&state, device);
    *on_trial = 0;
    if (state.pending >= 0 && !state.tried) {
        next = of_state(&state, TRIED, state.pending);
        *payload = device->memory[state.pending] + UPDATE_HEADER_BYTES;
        *on_trial = append(device, &next) == UPDATE_OK &&
                    read_slot(header, device, state.pending) == UPDATE_OK &&
                    device->selftest(device->user, header, *payload) == 0;
        if (*on_trial)
            return UPDATE_OK;
    }
    if (state.pending >= 0) { /* it failed, or nobody confirmed it; not written, it is so again */
        next = of_state(&state, REJECTED, state.pending);
        (void)append(device, &next);
    }
    if (state.active < 0)
        return UPDATE_NONE;
    *payload = device->memory[state.active] + UPDATE_HEADER_BYTES;
    return read_slot(header, device, state.active);
}

enum update_result update_confirm(const struct update_device *device)
{
    struct update_state state;
    struct update_header header;
    struct record next;
    enum update_result result;
    update_read_state(&state, device);
    if (state.pending < 0 || !state.tried)
        return UPDATE_NONE;
    result = read_slot(&header, device, state.pending);
    if (result != UPDATE_OK)
        return result;
    if (header.floor > state.floor)
        state.floor = header.floor;
    state.active = state.pending;
    next = of_state(&state, CONFIRMED, state.pending);
    return append(device, &next);
}

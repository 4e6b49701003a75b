/* Networks over the air: what a firmware does with a file of `decant package`.

   Two slots hold a package each, a journal of small records says which one runs. A new package goes
   into the slot that does not run, is checked there (signature first, before a byte of it is
   parsed), and runs on trial at the next start: its self-test must pass, and the firmware must
   confirm it. Without that, or after a power cut at any write, the old one runs.

   C99, no allocation. Everything of the chip is behind callbacks. Not for two threads at a time. */

#ifndef DECANT_UPDATE_H
#define DECANT_UPDATE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A package, little-endian: this header, then the payload. */
#define UPDATE_HEADER_BYTES 256
#define UPDATE_MAGIC        "DECANTPK" /* at 0, 8 bytes */
#define UPDATE_FORMAT       1          /* at 8, 16 bits; at 10, 16 bits: bytes of the header */
struct update_header {
    uint32_t version;          /* at 12: of the network */
    uint32_t floor;            /* at 16: once confirmed, no version below is taken */
    uint32_t minimum_firmware; /* at 20 */
    uint32_t payload_bytes;    /* at 24 */
    uint32_t input_bytes;      /* at 28: of the network's interface */
    uint32_t output_bytes;     /* at 32 */
    uint32_t arena_bytes;      /* at 36: what it needs */
    uint32_t accuracy;         /* at 40: hundredths of a percent; 0xFFFFFFFF: not known */
    uint32_t kind;             /* at 44: of the payload; 1 a bundle's tar, 2 TFLite, 3 an image */
    char name[32];             /* at 48, zeros behind; profile at 80, target at 112 */
    uint8_t sha256[32];        /* at 144: of the payload; of the parent's at 176 */
};

/* Areas of flash that are erased as a whole; erased bytes are 0xFF. */
enum update_area { UPDATE_SLOT_0, UPDATE_SLOT_1, UPDATE_JOURNAL_0, UPDATE_JOURNAL_1 };

/* What the firmware gives. Functions return 0 where they succeed. */
struct update_device {
    void *user;
    const uint8_t *memory[4]; /* where each area can be read */
    uint32_t slot_bytes, journal_bytes;
    int (*erase)(void *user, enum update_area area);
    int (*write)(void *user, enum update_area area, uint32_t at, const void *bytes, uint32_t count);
    /* Whether the signature, as it came, is right for the package: 0: it is. */
    int (*verify_signature)(void *user, const uint8_t *package, uint32_t bytes,
                            const uint8_t *signature, uint32_t signature_bytes);
    /* 0: the network of this payload gives the bytes that its vectors say. */
    int (*selftest)(void *user, const struct update_header *header, const uint8_t *payload);
    /* What this firmware is, and which network fits it. */
    uint32_t firmware, input_bytes, output_bytes, arena_bytes, kind;
    const char *name;
};

enum update_result {
    UPDATE_OK,
    UPDATE_TOO_LARGE,      /* for a slot */
    UPDATE_FLASH,          /* a callback of the flash failed */
    UPDATE_SIGNATURE,      /* is wrong */
    UPDATE_FORMAT_UNKNOWN, /* no package, or of another format */
    UPDATE_BELOW_FLOOR,    /* a version that is not taken any more */
    UPDATE_OTHER_FIRMWARE, /* the package wants a newer firmware */
    UPDATE_OTHER_NETWORK,  /* name, kind, input, output or arena do not fit */
    UPDATE_DAMAGED,        /* the payload's hash differs */
    UPDATE_ON_TRIAL,       /* a network is: confirm it, or start again, first */
    UPDATE_NONE            /* there is nothing to run, or to confirm */
};

/* What the journal says. Slots: 0, 1, or -1: none. */
struct update_state {
    int active;          /* confirmed: runs unless another one is on trial */
    int pending;         /* installed and not confirmed yet */
    int tried;           /* the pending one was started before */
    uint32_t floor;      /* lowest version that is taken */
    uint32_t downgrades; /* packages older than the active one that were installed: the log */
};
void update_read_state(struct update_state *state, const struct update_device *device);

/* Puts a package into the slot that does not run, checks it, and has it tried at the next start. */
enum update_result update_install(const struct update_device *device, const uint8_t *package,
                                  uint32_t bytes, const uint8_t *signature,
                                  uint32_t signature_bytes);

/* At every start: which payload to run. *on_trial: it runs for the first time, and the firmware
   calls update_confirm once it is content; else the next start goes back. */
enum update_result update_boot(const struct update_device *device, struct update_header *header,
                               const uint8_t **payload, int *on_trial);
enum update_result update_confirm(const struct update_device *device);

/* SHA-256 (FIPS 180-4) of bytes. */
void update_sha256(uint8_t hash[32], const uint8_t *bytes, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif

// A network over the air: one file that a device can take or refuse. All numbers little-endian.
//
//   0  "DECANTPK"                      8  16 bits: format, 1; 16 bits: bytes of this header, 256
//  12  version of the network         16  floor: once this runs, no version below is taken
//  20  least firmware version         24  bytes of the payload
//  28  bytes of the input             32  of the output          36  of the arena
//  40  accuracy in hundredths of a percent; 2^32 - 1: not known
//  44  kind of the payload (enum dc_payload)
//  48  name, 80 profile, 112 core: 32 bytes each, zeros behind
// 144  SHA-256 of the payload         176  of the payload of the package it came from, or zeros
// 208  zeros                          256  the payload
//
// examples/device/update.c is the other side. Signed by minisign.h, beside the file.

#ifndef DC_EXPORT_PACKAGE_H
#define DC_EXPORT_PACKAGE_H

#include <jansson.h>
#include <stdint.h>

#include "core/arena.h"
#include "qat/imodel.h"

enum dc_payload { DC_PAYLOAD_ARCHIVE = 1, DC_PAYLOAD_TFLITE, DC_PAYLOAD_IMAGE };
extern const char *const dc_payload_names[];  // by enum dc_payload - 1; NULL behind the last

enum { DC_PACKAGE_TEXT = 32, DC_PACKAGE_HASH = 32 };
#define DC_PACKAGE_ENDING       ".dpk"
#define DC_PACKAGE_NO_ACCURACY  UINT32_MAX
#define DC_PACKAGE_PAYLOAD_MOST (1ll << 30)

struct dc_package {
    uint32_t version, floor, minimum_firmware, accuracy;
    int64_t input_bytes, output_bytes, arena_bytes;
    enum dc_payload kind;
    char name[DC_PACKAGE_TEXT], profile[DC_PACKAGE_TEXT], core[DC_PACKAGE_TEXT];
    uint8_t hash[DC_PACKAGE_HASH], parent[DC_PACKAGE_HASH];
    const void *payload;
    size_t payload_bytes;
};

// Name, profile and bytes of the interface, of an integer model.
DC_MUST_USE enum dc_status dc_package_describe(struct dc_package *package,
                                               const struct dc_imodel *model,
                                               struct dc_error *error);
// The file's bytes in the arena; the payload's hash goes into the package, too. A floor above the
// version, or a size that is none, is DC_ERR_USAGE.
DC_MUST_USE enum dc_status dc_package_encode(void **bytes, size_t *size, struct dc_package *package,
                                             struct dc_arena *arena, struct dc_error *error);
// Strict; DC_ERR_DATA says what is wrong with the file. The payload lies in the arena.
DC_MUST_USE enum dc_status dc_package_read(struct dc_package *package, const char *path,
                                           struct dc_arena *arena, struct dc_error *error);
// `count` bytes as 2 * count digits and a zero; returns `text`.
char *dc_package_hex(char *text, const uint8_t *bytes, int count);
json_t *dc_package_json(const struct dc_package *package, const char *path);

#endif

// A photograph in memory and what is done to it before it is a sample. Internal to data/.

#ifndef DC_DATA_IMAGE_H
#define DC_DATA_IMAGE_H

#include "core/arena.h"
#include "core/preprocessing.h"

struct dc__image {
    int height, width, channels;  // 1 or 3
    uint8_t *pixels;              // [height, width, channels]
};

// A file in memory, and what may be asked of it.
struct dc__photo_file {
    const char *path;
    const uint8_t *bytes;
    size_t size;
    int64_t limit;  // limits.memory; 0: dc_memory_default
};

// Every decoder: pixels as they are stored, upright or not; whatever is wrong is DC_ERR_DATA and
// names the file; so is a header of more bytes than the limit allows, before memory is asked for.
// *orientation: that of the file's Exif, 1 to 8, or 1.
typedef enum dc_status dc__decode_photo(struct dc__image *image, int *orientation,
                                        const struct dc__photo_file *file, struct dc_arena *arena,
                                        struct dc_error *error);
dc__decode_photo dc__png_decode, dc__jpeg_decode, dc__bmp_decode;

void dc__jpeg_version(char text[32]);  // with the library's name
const char *dc__png_version(void);

// The orientation tag (0x0112) of an Exif block that starts at its TIFF header. 1, upright, where
// there is none, it is outside 1 to 8, or the block is damaged.
int dc__exif_orientation(const uint8_t *tiff, size_t size);

// One photograph, upright: its format is told by its first bytes. The pixels lie in the arena.
DC_MUST_USE enum dc_status dc__photo_read(struct dc__image *image, const char *path, int64_t limit,
                                          struct dc_arena *arena, struct dc_error *error);

// To 1 channel: (299 R + 587 G + 114 B + 500) / 1000, rounded down (ITU-R BT.601). To 3: grey
// thrice.
DC_MUST_USE enum dc_status dc__image_channels(struct dc__image *image, int channels,
                                              struct dc_arena *arena, struct dc_error *error);

// By the rule of core/preprocessing.h. Memory is held against the limit first; path is for
// messages.
DC_MUST_USE enum dc_status dc__image_resize(struct dc__image *image, const struct dc_resize *resize,
                                            const char *path, int64_t limit, struct dc_arena *arena,
                                            struct dc_error *error);

#endif

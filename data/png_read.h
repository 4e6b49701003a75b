// One PNG file to pixels. Internal to data/.

#ifndef DC_DATA_PNG_READ_H
#define DC_DATA_PNG_READ_H

#include "core/arena.h"

struct dc__image {
    int height, width, channels;  // 1 or 3
    uint8_t *pixels;              // [height, width, channels]
};

// Any PNG as 8-bit grey or RGB: palettes are looked up, 16 bits are scaled to 8 with rounding,
// fewer bits are spread over 0..255, interlacing is undone, alpha is dropped (colours stay as they
// are stored, nothing is blended), gamma and colour profiles are ignored. Whatever libpng finds
// wrong is DC_ERR_DATA and names the file; so is a header of more pixels than a file of its size
// can hold, or than `limit` bytes (0: dc_memory_default). The pixels lie in the arena.
DC_MUST_USE enum dc_status dc__png_read(struct dc__image *image, const char *path, int64_t limit,
                                        struct dc_arena *arena, struct dc_error *error);

// To 1 channel: (299 R + 587 G + 114 B) / 1000, rounded (ITU-R BT.601). To 3: grey thrice.
DC_MUST_USE enum dc_status dc__image_channels(struct dc__image *image, int channels,
                                              struct dc_arena *arena, struct dc_error *error);

// Bilinear between pixel centres (output row y samples (y + 1/2) * from / to - 1/2, clamped to the
// image), rounded; no smoothing before shrinking.
DC_MUST_USE enum dc_status dc__image_resize(struct dc__image *image, int height, int width,
                                            struct dc_arena *arena, struct dc_error *error);

#endif

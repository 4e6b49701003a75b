// Memory images of an integer network: what logic of one's own (FPGA, ASIC) reads from its ROMs.
//
// A weighted layer is cut into words of lanes, PE output channels by SIMD inputs each:
//
//   lane p * SIMD + s of word ((g * kernel_h + ky) * kernel_w + kx) * folds + f
//       = weights[g * PE + p][ky][kx][f * SIMD + s]     groups g of PE channels, folds f of SIMD
//
// A depthwise layer has a word a tap, of one input for each of its PE channels (SIMD is 1). A fully
// connected layer is a convolution with its whole input under the kernel. What lies beyond the last
// channel or input is 0: so every image is exactly as deep as its words. Biases, multipliers and
// shifts are words of PE lanes, one word a group. A lane is two's complement, `bits` wide; the
// model's tiling says whether lane 0 is in the lowest bits of a word or in the highest.
//
// Biases hold the input's zero point: bias - zero point * (sum of the channel's weights), modulo
// 2^32; so codes are multiplied as they are, and padding is the input's zero point.

#ifndef DC_EXPORT_MEMORY_IMAGES_H
#define DC_EXPORT_MEMORY_IMAGES_H

#include <stdio.h>

#include "qat/imodel.h"

// How a weighted layer is cut.
struct dc__tiles {
    int pe, simd, groups, folds;
    int kernel[2];
    int64_t weight_depth;  // words; of its channels: groups
    int64_t clocks;        // of one inference, a word a clock
};
struct dc__tiles dc__tile(const struct dc_imodel *model, const struct dc_ilayer *layer);

// One image: depth words of `lanes` values, values[word * lanes + lane].
struct dc__image {
    const char *what;  // "weights": the end of its file's name
    int lanes, bits;
    int64_t depth;
    int32_t *values;
};
enum { DC__IMAGES_MAX = 4 };
// Those of a layer, in the arena: weights, biases, multipliers and shifts, or a table; *count may
// be 0.
DC_MUST_USE enum dc_status dc__images_of(struct dc__image images[DC__IMAGES_MAX], int *count,
                                         const struct dc_imodel *model, int layer,
                                         struct dc_arena *arena, struct dc_error *error);

// Hexadecimal digits of a word.
int dc__image_digits(const struct dc__image *image);

// How an image is written: for $readmemh of Verilog, for Xilinx's and for Intel's tools. To add a
// kind: a row in the table.
struct dc__image_format {
    const char *folder, *ending;  // folder "" is the top of the archive
    void (*write)(FILE *out, const struct dc__image *image, bool high_first);
};
enum { DC__IMAGE_FORMATS = 3 };
extern const struct dc__image_format dc__image_formats[DC__IMAGE_FORMATS];

#endif

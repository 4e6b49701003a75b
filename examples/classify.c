/* A photograph through an exported network that was trained on photographs (data.resize), as a
   device would do it: resize, codes, run, best class.

     cc -std=c99 -I BUNDLE examples/classify.c BUNDLE/small.c -o classify
     djpeg photo.jpg > photo.ppm && ./classify photo.ppm

   Reads binary PGM and PPM (P5 for networks of one channel, P6 for three), whose pixels must be
   upright. Only main() and read_image() need stdio and memory; what they do, a camera does on a
   device. For a network of another name change these three lines, or give the macros on the command
   line. */

#ifndef HEADER
#define HEADER     "small.h"
#define NET(what)  small_##what
#define SIZE(what) SMALL_##what
#endif

#include <stdio.h>
#include <stdlib.h>

#include HEADER

/* The image's pixels, [height][width][channels], to be freed; NULL: no image of the network's
 * channels. */
static uint8_t *read_image(const char *path, int *height, int *width)
{
    FILE *file = fopen(path, "rb");
    uint8_t *pixels = NULL;
    char kind;
    if (file && fscanf(file, "P%c %d %d 255", &kind, width, height) == 3 && fgetc(file) != EOF &&
        kind == (SIZE(INPUT_CHANNELS) == 3 ? '6' : '5') && *width > 0 && *height > 0 &&
        *width <= 65535 && *height <= 65535) {
        const size_t size = (size_t)*width * (size_t)*height * SIZE(INPUT_CHANNELS);
        pixels = malloc(size);
        if (pixels && fread(pixels, 1, size, file) != size) {
            free(pixels);
            pixels = NULL;
        }
    }
    if (file)
        fclose(file);
    return pixels;
}

int main(int argc, char **argv)
{
    static uint8_t pixels[SIZE(INPUT_SIZE)];
    static int8_t input[SIZE(INPUT_SIZE)], output[SIZE(OUTPUT_SIZE)];
    int height, width, best;
    uint8_t *image = argc == 2 ? read_image(argv[1], &height, &width) : NULL;
    int32_t *scratch = image ? malloc(SIZE(RESIZE_SCRATCH)(width) * sizeof *scratch) : NULL;
    if (!scratch || NET(resize)(pixels, image, height, width, scratch) != 0) {
        fprintf(stderr, "usage: classify FILE.%s\n", SIZE(INPUT_CHANNELS) == 3 ? "ppm" : "pgm");
        return 2;
    }
    NET(quantize_input)(input, pixels);
    NET(run)(input, output);
    best = NET(argmax)(output);
    printf("%s (code %d)\n", NET(class_names)[best], output[best]);
    free(image);
    free(scratch);
    return 0;
}

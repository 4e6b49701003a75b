/* tiny: an int8 network, written by Decant 0.2.0.
   experiment tiny, stage q; input = (x / 255 - mean) / deviation, mean 0.492252171, deviation 0.281301737
   Arithmetic profile: tflm (double rounding).
   Values are int8 codes, [height][width][channels]; real = scale * (code - zero point).
   code = round_half_away(real / scale) + zero point, clamped to [-128, 127]. */

#ifndef TINY_H
#define TINY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TINY_INPUT_HEIGHT 4
#define TINY_INPUT_WIDTH 4
#define TINY_INPUT_CHANNELS 1
#define TINY_INPUT_SIZE 16
#define TINY_INPUT_SCALE 0.0139407907f /* 0x3c6467ea */
#define TINY_INPUT_ZERO_POINT (-2)

#define TINY_OUTPUT_HEIGHT 1
#define TINY_OUTPUT_WIDTH 1
#define TINY_OUTPUT_CHANNELS 3
#define TINY_OUTPUT_SIZE 3
#define TINY_OUTPUT_SCALE 0.0139214629f /* 0x3c6416d9 */
#define TINY_OUTPUT_ZERO_POINT (77)

#define TINY_ARENA_BYTES 8 /* RAM: activations, static in the .c */
#define TINY_WEIGHT_BYTES 42
#define TINY_MACS 96

/* One inference. Uses one static arena, so it is not for two threads at a time. */
void tiny_run(const int8_t *input, int8_t *output);

/* 0: every embedded vector gives its expected bytes; n: vector n - 1 does not.
   Define TINY_NO_SELFTEST when compiling the .c to leave the vectors out. */
int tiny_selftest(void);

#ifdef __cplusplus
}
#endif

#endif

/* tiny: an int8 network, written by Decant 0.1.0.
   experiment old, stage calibrated; input = (x / 255 - mean) / deviation, mean 0.336504728, deviation 0.210516319
   Arithmetic profile: tflm (double rounding).
   Values are int8 codes, [height][width][channels]; real = scale * (code - zero point).
   code = round_half_away(real / scale) + zero point, clamped to [-128, 127]. */

#ifndef TINY_H
#define TINY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TINY_INPUT_HEIGHT 12
#define TINY_INPUT_WIDTH 12
#define TINY_INPUT_CHANNELS 1
#define TINY_INPUT_SIZE 144
#define TINY_INPUT_SCALE 0.0158516187f /* 0x3c81db41 */
#define TINY_INPUT_ZERO_POINT (-27)

#define TINY_OUTPUT_HEIGHT 1
#define TINY_OUTPUT_WIDTH 1
#define TINY_OUTPUT_CHANNELS 4
#define TINY_OUTPUT_SIZE 4
#define TINY_OUTPUT_SCALE 0.0138386395f /* 0x3c62bb76 */
#define TINY_OUTPUT_ZERO_POINT (22)

#define TINY_ARENA_BYTES 80 /* RAM: activations, static in the .c */
#define TINY_WEIGHT_BYTES 50
#define TINY_MACS 680

/* One inference. Uses one static arena, so it is not for two threads at a time. */
void tiny_run(const int8_t *input, int8_t *output);

/* 0: every embedded vector gives its expected bytes; n: vector n - 1 does not.
   Define TINY_NO_SELFTEST when compiling the .c to leave the vectors out. */
int tiny_selftest(void);

#ifdef __cplusplus
}
#endif

#endif

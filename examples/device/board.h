/* What main.c and rung.c ask of a board. */

#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

void board_print(const char *text);
/* A clock that counts up; on QEMU, with -icount shift=0, ticks of SysTick. */
uint64_t board_ticks(void);
/* Of rung.c alone. 0: all bytes came, or went. */
int board_read(void *bytes, uint32_t count);
int board_write(const void *bytes, uint32_t count);

#endif

/* What main.c asks of a board. */

#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

void board_print(const char *text);
/* A clock that counts up; on QEMU, with -icount shift=0, ticks of SysTick. */
uint64_t board_ticks(void);

#endif

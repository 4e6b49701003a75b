/* The serial line of QEMU's RISC-V board `virt` (a 16550), for harness.c. */

#include "board.h"

#define UART   ((volatile uint8_t *)0x10000000)
#define DATA   UART[0]
#define STATUS UART[5]

enum { HAS_CHARACTER = 0x01, SENDS_EMPTY = 0x20 };

int board_get(void)
{
    while (!(STATUS & HAS_CHARACTER)) {
    }
    return DATA;
}

void board_put(char c)
{
    while (!(STATUS & SENDS_EMPTY)) {
    }
    DATA = (uint8_t)c;
}

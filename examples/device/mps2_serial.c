/* The first serial line of QEMU's mps2 boards (Arm's CMSDK UART), for harness.c. UART is its
   address: 0x40004000 on an385, an386 and an500, 0x40200000 on an505, 0x49303000 on an547. */

#include "board.h"

#ifndef UART
#define UART 0x40004000
#endif
#define DATA     (*(volatile uint32_t *)(UART + 0x00))
#define STATE    (*(volatile uint32_t *)(UART + 0x04))
#define CONTROL  (*(volatile uint32_t *)(UART + 0x08))
#define BAUD_DIV (*(volatile uint32_t *)(UART + 0x10))

enum { SENDS_FULL = 1, HAS_CHARACTER = 2, SENDS = 1, RECEIVES = 2 };

static void begin(void)
{
    static int begun;
    if (begun)
        return;
    begun = 1;
    BAUD_DIV = board_ticks_per_second() / 115200;
    CONTROL = SENDS | RECEIVES;
}

int board_get(void)
{
    begin();
    while (!(STATE & HAS_CHARACTER)) {
    }
    return (int)(DATA & 0xFF);
}

void board_put(char c)
{
    begin();
    while (STATE & SENDS_FULL) {
    }
    DATA = (uint8_t)c;
}

/* What main.c, rung.c and harness.c ask of a board. */

#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

void board_print(const char *text);

/* In decimal: where its digits begin in the text. */
static inline const char *board_digits(char text[24], uint64_t number)
{
    char *at = text + 23;
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    return at;
}

static inline void board_print_number(uint64_t number)
{
    char text[24];
    board_print(board_digits(text, number));
}

/* A clock that counts up; on QEMU, with -icount shift=0, ticks of SysTick. */
uint64_t board_ticks(void);
uint32_t board_ticks_per_second(void);
/* Of rung.c alone. 0: all bytes came, or went. */
int board_read(void *bytes, uint32_t count);
int board_write(const void *bytes, uint32_t count);
/* Of harness.c alone: a serial line. A character, when it has come; -1: there will be no more. */
int board_get(void);
void board_put(char c);

#endif

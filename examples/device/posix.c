/* The board that is a computer. */

#include "board.h"

#include <stdio.h>
#include <time.h>

void board_print(const char *text)
{
    fputs(text, stdout);
}

uint64_t board_ticks(void)
{
    return (uint64_t)clock();
}

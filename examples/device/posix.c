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

uint32_t board_ticks_per_second(void)
{
    return (uint32_t)CLOCKS_PER_SEC;
}

int board_read(void *bytes, uint32_t count)
{
    return fread(bytes, 1, count, stdin) != count;
}

int board_write(const void *bytes, uint32_t count)
{
    return fwrite(bytes, 1, count, stdout) != count;
}

int board_get(void)
{
    const int c = getchar();
    return c == EOF ? -1 : c;
}

void board_put(char c)
{
    putchar(c);
    if (c == '\n')
        fflush(stdout);
}

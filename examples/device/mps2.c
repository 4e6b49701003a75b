/* What a program needs on QEMU's mps2 boards before main: vectors, memory, a clock that counts
   instructions, and text and the end of the program by semihosting. For a board of your own, take
   your vendor's start-up file instead. */

#include "board.h"
#include "semihosting.h"

#define CPACR    (*(volatile uint32_t *)0xE000ED88)
#define SYST_CSR (*(volatile uint32_t *)0xE000E010)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018)

extern uint32_t data_source, data_start, data_end, bss_start, bss_end, stack_top;

int main(void);

static volatile uint32_t wraps;

void board_print(const char *text)
{
    semihosting(SYS_WRITE0, text);
}

static void finish(int code)
{
    const uint32_t block[2] = {APPLICATION_EXIT, (uint32_t)code};
    semihosting(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

/* Of the board's clock: 20 MHz on an505, 32 MHz on an547. */
#ifndef TICKS_PER_SECOND
#define TICKS_PER_SECOND 25000000
#endif

uint32_t board_ticks_per_second(void)
{
    return TICKS_PER_SECOND;
}

/* With -icount shift=0 QEMU spends a nanosecond of its time on an instruction. */
uint64_t board_ticks(void)
{
    uint32_t before, now;
    do {
        before = wraps;
        now = 0x00FFFFFF - (SYST_CVR & 0x00FFFFFF);
    } while (before != wraps);
    return ((uint64_t)before << 24) + now;
}

static void on_tick(void)
{
    wraps++;
}

static void on_fault(void)
{
    board_print("fault\n");
    finish(3);
}

void reset(void)
{
    uint32_t *from = &data_source, *to;
    CPACR |= 0xFu << 20; /* floating point and vectors, where there are any */
    __asm__ volatile("dsb\n isb");
    for (to = &data_start; to < &data_end;)
        *to++ = *from++;
    for (to = &bss_start; to < &bss_end;)
        *to++ = 0;
    SYST_RVR = 0x00FFFFFF;
    SYST_CVR = 0;
    SYST_CSR = 7; /* the core's clock, with interrupts */
    finish(main());
}

typedef void (*vector)(void);

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    (vector)&stack_top, reset,    on_fault, on_fault, on_fault, on_fault, on_fault, on_fault,
    on_fault,           on_fault, on_fault, on_fault, on_fault, on_fault, on_fault, on_tick};

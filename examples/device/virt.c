/* What a program needs on QEMU's RISC-V board `virt` before main: memory, a counter of
   instructions, and text and the end of the program by semihosting. For a board of your own, take
   your vendor's start-up file instead. */

#include "board.h"
#include "semihosting.h"

extern uint32_t bss_start, bss_end;

int main(void);

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

/* A control register; what an assembler wants to hear of them differs from version to version. */
#define READ(name)                                                                                 \
    __extension__({                                                                                \
        uint32_t value;                                                                            \
        __asm__ volatile(".option push\n.option arch, +zicsr\n"                                    \
                         "csrr %0, " name "\n.option pop"                                          \
                         : "=r"(value));                                                           \
        value;                                                                                     \
    })

/* Instructions that the core has retired: exact with -icount shift=0. */
uint64_t board_ticks(void)
{
    uint32_t high, low, again;
    do {
        high = READ("minstreth");
        low = READ("minstret");
        again = READ("minstreth");
    } while (high != again);
    return ((uint64_t)high << 32) + low;
}

/* Instructions: there it is a nanosecond that each takes. */
uint32_t board_ticks_per_second(void)
{
    return 1000000000;
}

__attribute__((aligned(4), used)) static void on_fault(void)
{
    board_print("fault\n");
    finish(3);
}

__attribute__((used)) static void begin(void)
{
    uint32_t *to;
    __asm__ volatile(".option push\n.option arch, +zicsr\n"
                     "csrw mtvec, %0\n.option pop"
                     :
                     : "r"(on_fault));
    for (to = &bss_start; to < &bss_end;)
        *to++ = 0;
    finish(main());
}

__attribute__((naked, section(".start"), used)) void reset(void)
{
    __asm__ volatile(".option push\n"
                     ".option norelax\n"
                     "la gp, __global_pointer$\n"
                     ".option pop\n"
                     "la sp, stack_top\n"
                     "j begin\n");
}

/* Runs an exported network on samples that come in as codes, and gives its answers back: what
   `decant verify --rungs` compares. Compile as main.c. For each sample: the output's codes; with
   -DNAME_TRACE and -DTRACED the CRC-32 of each layer behind them. At the end: what the self-test
   gave, and the ticks of all inferences. Numbers are 8 bytes, the lowest first. */

#include "board.h"

#define JOIN(a, b)       a##b
#define CALL(name, what) JOIN(name, what)

static int write_number(uint64_t number)
{
    uint8_t bytes[8];
    int i;
    for (i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> 8 * i);
    return board_write(bytes, sizeof bytes);
}

int main(void)
{
    static int8_t input[INPUT_BYTES], output[OUTPUT_BYTES];
    const int wrong = CALL(NETWORK, _selftest)();
    uint64_t ticks = 0;
    while (board_read(input, sizeof input) == 0) {
        const uint64_t start = board_ticks();
        CALL(NETWORK, _run)(input, output);
        ticks += board_ticks() - start;
        if (board_write(output, sizeof output))
            return 1;
#if defined(TRACED)
        {
            int i;
            for (i = 0; i < NETWORK_LAYERS; i++)
                if (write_number(CALL(NETWORK, _trace)[i]))
                    return 1;
        }
#endif
    }
    return write_number((uint64_t)wrong) || write_number(ticks);
}

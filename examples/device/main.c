/* Runs the embedded vectors of an exported network and one inference by the clock. Compile with
   -DNETWORK=name for the pair name.h, name.c, and -include name.h; with -DNAME_TRACE and -DTRACED a
   vector that differs comes with the first layer that does; with -DNAME_NO_SELFTEST and
   -DNO_SELFTEST there are no vectors. */

#include "board.h"

#define JOIN(a, b)       a##b
#define CALL(name, what) JOIN(name, what)

int main(void)
{
    static int8_t input[INPUT_BYTES], output[OUTPUT_BYTES];
#if defined(NO_SELFTEST)
    const int wrong = 0;
#else
    const int wrong = CALL(NETWORK, _selftest)();
#endif
    uint64_t start, end;
    if (wrong) {
        board_print("selftest: vector ");
        board_print_number((uint64_t)(wrong - 1));
        board_print(" differs\n");
#if defined(TRACED)
        {
            const int layer = CALL(NETWORK, _first_wrong_layer)(wrong - 1);
            board_print("first in layer ");
            board_print(layer < 0 ? "none" : CALL(NETWORK, _layer_names)[layer]);
            board_print("\n");
        }
#endif
        return 1;
    }
    start = board_ticks();
    CALL(NETWORK, _run)(input, output);
    end = board_ticks();
    board_print("selftest: ok\nticks: ");
    board_print_number(end - start);
    board_print("\n");
    return 0;
}

// Updates of a network that lose power, on an emulated processor (check_update).

#include "examples/device/board.h"
#include "tests/export/losing_flash.h"

static void print_number(int number)
{
    char text[12];
    int at = sizeof text - 1;
    text[at] = '\0';
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    board_print(text + at);
}

int main(void)
{
    int cuts, on_trial;
    const int harmed = harmed_by_power_cuts(&cuts);
    (void)signatures_checked;
    print_number(cuts);
    board_print(" power cuts, ");
    print_number(harmed);
    board_print(" harmed\n");
    flash_start();
    broken_selftest = 1;  // a broken network never runs
    return harmed != 0 || take(1, 0) == 0 || boot(&on_trial) != 0;
}

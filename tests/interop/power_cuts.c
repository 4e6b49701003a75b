// Updates of a network that lose power, on an emulated processor (check_update).

#include "examples/device/board.h"
#include "tests/export/losing_flash.h"

int main(void)
{
    int cuts, on_trial;
    const int harmed = harmed_by_power_cuts(&cuts);
    (void)signatures_checked;
    board_print_number((uint64_t)cuts);
    board_print(" power cuts, ");
    board_print_number((uint64_t)harmed);
    board_print(" harmed\n");
    flash_start();
    broken_selftest = 1;  // a broken network never runs
    return harmed != 0 || take(1, 0) == 0 || boot(&on_trial) != 0;
}

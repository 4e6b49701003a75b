// The estimate of a board's memory: every profile has its row for every core and optimization, what
// is said of flash is the sum of its parts, and vectors cost what they hold. How near it comes to a
// linker's word is tests/interop/check_size's.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "export/c_size.h"
#include "tests/qat/helper_models.h"

static void every_profile_and_core_is_measured(void **state)
{
    (void)state;
    for (const struct dc_profile *const *p = dc_profile_table(); *p; p++) {
        struct dc_imodel *m = test_every_op_model(*p, 1);
        for (int core = 0; core < DC_CORE_COUNT; core++)
            for (int how = 0; how < DC_OPTIMIZATION_COUNT; how++) {
                struct dc_footprint f, bare;
                struct dc_error error;
                if (dc_c_footprint(&f, m, (enum dc_core)core, (enum dc_optimization)how, 5,
                                   &error) != DC_OK)
                    fail_msg("%s: run tests/interop/measure_code", error.message);
                assert_true(f.code > 1000 && f.stack > 100 && f.arena > 0);
                assert_int_equal(dc_footprint_flash(&f) - f.code, dc_c_data_bytes(m, 5));
                assert_int_equal(dc_c_footprint(&bare, m, (enum dc_core)core,
                                                (enum dc_optimization)how, 0, NULL),
                                 DC_OK);
                assert_int_equal(dc_footprint_flash(&f) - dc_footprint_flash(&bare),
                                 5 * (f.input + f.output));
            }
        dc_imodel_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_profile_and_core_is_measured)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

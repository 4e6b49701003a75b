// McNemar's exact test against sums of binomial coefficients in rational arithmetic (Python's
// fractions), rounded once.

#include "train/mcnemar.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void p_is_the_sum_of_binomials(void **state)
{
    (void)state;
    static const struct {
        int64_t lost, won;
        double p;
    } known[] = {
        {0, 0, 1.0},
        {1, 0, 1.0},
        {5, 1, 0.21875},
        {10, 25, 0.01667384780012071},
        {30, 30, 1.0},
        {59, 41, 0.08862608011406758},
        {700, 820, 0.002260528308299194},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        // n logarithms of up to ln(2) n are added, each within an ulp
        const double bound = 1e-15 * (double)(known[i].lost + known[i].won + 1) * 700.0;
        assert_true(fabs(dc_mcnemar(known[i].lost, known[i].won) / known[i].p - 1.0) <= bound);
        assert_true(dc_mcnemar(known[i].won, known[i].lost) ==
                    dc_mcnemar(known[i].lost, known[i].won));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(p_is_the_sum_of_binomials)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Philox against its published vectors, and what is drawn from it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/random.h"

// kat_vectors of Random123 (Salmon et al.), philox4x32 with 10 rounds.
static void philox_matches_published_vectors(void **state)
{
    (void)state;
    const struct {
        uint32_t counter[4], key[2], out[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        dc_philox(out, vectors[i].counter, vectors[i].key);
        assert_memory_equal(out, vectors[i].out, sizeof out);
    }
}

static void a_stream_is_a_function_of_its_names(void **state)
{
    (void)state;
    const struct {
        uint32_t seed;
        enum dc_purpose purpose;
        uint32_t epoch;
        uint64_t id;
    } streams[] = {{1, DC_PURPOSE_AUGMENT, 2, 3}, {2, DC_PURPOSE_AUGMENT, 2, 3},
                   {1, DC_PURPOSE_SHUFFLE, 2, 3}, {1, DC_PURPOSE_AUGMENT, 3, 3},
                   {1, DC_PURPOSE_AUGMENT, 2, 4}, {1, DC_PURPOSE_AUGMENT, 2, 3 + (1ull << 32)}};
    uint32_t first[6][9];
    for (int i = 0; i < 6; i++)
        for (int again = 0; again < 2; again++) {
            struct dc_random random;
            dc_random_start(&random, streams[i].seed, streams[i].purpose, streams[i].epoch,
                            streams[i].id);
            for (int k = 0; k < 9; k++) {
                const uint32_t value = dc_random_u32(&random);
                if (again)
                    assert_int_equal(value, first[i][k]);
                first[i][k] = value;
            }
        }
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(first[i], first[j], sizeof first[i]);
    // The first block is Philox of the documented counter and key.
    uint32_t block[4];
    dc_philox(block, (uint32_t[]){0, 2, 3, 1}, (uint32_t[]){1, DC_PURPOSE_AUGMENT});
    assert_memory_equal(first[5], block, sizeof block);
    dc_philox(block, (uint32_t[]){1, 2, 3, 1}, (uint32_t[]){1, DC_PURPOSE_AUGMENT});
    assert_memory_equal(first[5] + 4, block, sizeof block);
}

static void below_is_uniform(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 5, DC_PURPOSE_TEST, 0, 0);
    int counts[7] = {0};
    for (int i = 0; i < 70000; i++) {
        const uint32_t value = dc_random_below(&random, 7);
        assert_true(value < 7);
        counts[value]++;
    }
    double chi_square = 0.0;
    for (int i = 0; i < 7; i++)
        chi_square += (counts[i] - 10000.0) * (counts[i] - 10000.0) / 10000.0;
    assert_true(chi_square < 22.46);  // 6 degrees of freedom, 1 in 1,000
    assert_int_equal(dc_random_below(&random, 1), 0);
    // Three quarters of the range: without rejection, multiples of 3 would come twice as often.
    int threes = 0;
    for (int i = 0; i < 30000; i++)
        threes += dc_random_below(&random, 0xC0000000u) % 3 == 0;
    assert_in_range(threes, 10000 - 330, 10000 + 330);  // 4 deviations
}

static void unit_and_normal_have_their_moments(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 6, DC_PURPOSE_TEST, 0, 0);
    const int n = 200000;
    double sum = 0.0, s1 = 0.0, s2 = 0.0, s4 = 0.0;
    for (int i = 0; i < n; i++) {
        const float unit = dc_random_unit(&random);
        assert_true(unit >= 0.0f && unit < 1.0f);
        const float between = dc_random_between(&random, -2.0f, 3.0f);
        assert_true(between >= -2.0f && between <= 3.0f);
        const double normal = dc_random_normal(&random);
        sum += (double)unit / n;
        s1 += normal / n;
        s2 += normal * normal / n;
        s4 += normal * normal * normal * normal / n;
    }
    // Four deviations of each mean: sqrt(1/12), 1, sqrt(2), sqrt(96), over sqrt(n) = 447.
    assert_true(sum > 0.5 - 0.0026 && sum < 0.5 + 0.0026);
    assert_true(s1 > -0.009 && s1 < 0.009);
    assert_true(s2 > 1.0 - 0.0127 && s2 < 1.0 + 0.0127);
    assert_true(s4 > 3.0 - 0.088 && s4 < 3.0 + 0.088);
}

// FNV-1a, 64 bit: values from its published test suite.
static void hash_matches_published_values(void **state)
{
    (void)state;
    assert_true(dc_hash_name("") == 0xcbf29ce484222325ull);
    assert_true(dc_hash_name("a") == 0xaf63dc4c8601ec8cull);
    assert_true(dc_hash_name("foobar") == 0x85944171f73967e8ull);
    assert_true(dc_hash_bytes(dc_hash_bytes(DC_HASH_START, "foo", 3), "bar", 3) ==
                0x85944171f73967e8ull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_matches_published_vectors),
        cmocka_unit_test(a_stream_is_a_function_of_its_names),
        cmocka_unit_test(below_is_uniform),
        cmocka_unit_test(unit_and_normal_have_their_moments),
        cmocka_unit_test(hash_matches_published_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

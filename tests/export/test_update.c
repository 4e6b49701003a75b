// examples/device/update.c on a flash that loses power: at every byte that an update writes or
// erases, what runs afterwards is the old network or the new one, whole, and the old one wherever
// the new was not confirmed.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/export/losing_flash.h"

static int start(void **state)
{
    (void)state;
    flash_start();
    return sodium_init() < 0;
}

static int end(void **state)
{
    (void)state;
    return flash.misuses;
}

static void hash_is_sha256(void **state)
{
    (void)state;
    uint8_t bytes[300], ours[32], theirs[32];
    randombytes_buf_deterministic(bytes, sizeof bytes, (const unsigned char[32]){1});
    for (uint32_t count = 0; count <= sizeof bytes; count++) {
        update_sha256(ours, bytes, count);
        crypto_hash_sha256(theirs, bytes, count);
        assert_memory_equal(ours, theirs, sizeof ours);
    }
}

static void a_network_is_taken_tried_and_confirmed(void **state)
{
    (void)state;
    int on_trial;
    assert_int_equal(boot(&on_trial), 0);
    assert_int_equal(update_confirm(&device), UPDATE_NONE);
    for (uint32_t version = 1; version < 30; version++) {  // round the journals several times
        assert_int_equal(take(version, 0), 0);
        assert_int_equal(boot(&on_trial), version);
        assert_false(on_trial);
    }
}

static void without_confirmation_the_old_one_runs(void **state)
{
    (void)state;
    int on_trial;
    assert_int_equal(take(3, 0), 0);
    const struct package next = package(4, 4), broken = package(5, 0);
    assert_int_equal(install(&next), UPDATE_OK);
    assert_int_equal(boot(&on_trial), 4);
    assert_int_equal(install(&broken), UPDATE_ON_TRIAL);  // what runs is not erased
    assert_int_equal(boot(&on_trial), 3);                 // it hung, and the watchdog bit
    assert_false(on_trial);
    assert_int_equal(update_confirm(&device), UPDATE_NONE);  // too late
    assert_int_equal(install(&broken), UPDATE_OK);
    broken_selftest = 1;
    assert_int_equal(boot(&on_trial), 3);
    broken_selftest = 0;
    assert_int_equal(boot(&on_trial), 3);
}

static void refused(struct package p, enum update_result why)
{
    int on_trial;
    assert_int_equal(install(&p), why);
    assert_int_equal(boot(&on_trial), 3);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    assert_int_equal(take(3, 3), 0);
    struct package p = package(4, 0);
    signatures_checked = 0;
    p.bytes[UPDATE_HEADER_BYTES + 9] ^= 1;
    refused(p, UPDATE_SIGNATURE);
    p.bytes[0] = 'X';  // and before anything else is looked at
    refused(p, UPDATE_SIGNATURE);
    assert_int_equal(signatures_checked, 2);
    sign(&p);
    refused(p, UPDATE_FORMAT_UNKNOWN);
    p.bytes[0] = 'D';
    sign(&p);
    refused(p, UPDATE_DAMAGED);
    refused(package(2, 0), UPDATE_BELOW_FLOOR);
    static const struct {
        int at;
        uint32_t value;
        enum update_result why;
    } faults[] = {
        {8, 2 | UPDATE_HEADER_BYTES << 16, UPDATE_FORMAT_UNKNOWN},
        {24, PAYLOAD + 1 + SLOT, UPDATE_FORMAT_UNKNOWN},
        {24, 0xFFFFFFFF, UPDATE_FORMAT_UNKNOWN},
        {20, 6, UPDATE_OTHER_FIRMWARE},
        {28, 785, UPDATE_OTHER_NETWORK},
        {32, 11, UPDATE_OTHER_NETWORK},
        {36, 8001, UPDATE_OTHER_NETWORK},
        {44, 1, UPDATE_OTHER_NETWORK},
        {48, 'x', UPDATE_OTHER_NETWORK},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        p = package(4, 0);
        put(p.bytes + faults[i].at, faults[i].value);
        sign(&p);
        refused(p, faults[i].why);
    }
    uint8_t large[SLOT + 1] = {0};
    assert_int_equal(update_install(&device, large, sizeof large, p.signature, SIGNATURE),
                     UPDATE_TOO_LARGE);
}

static void a_downgrade_above_the_floor_is_logged(void **state)
{
    (void)state;
    struct update_state seen;
    assert_int_equal(take(3, 2), 0);
    assert_int_equal(take(5, 0), 0);
    update_read_state(&seen, &device);
    assert_int_equal(seen.downgrades, 0);
    assert_int_equal(take(2, 0), 0);
    update_read_state(&seen, &device);
    assert_int_equal(seen.downgrades, 1);
    assert_int_equal(seen.floor, 2);
}

static void no_power_cut_harms(void **state)
{
    (void)state;
    int cuts;
    assert_int_equal(harmed_by_power_cuts(&cuts), 0);
    assert_true(cuts > 5 * (SLOT + UPDATE_HEADER_BYTES + PAYLOAD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hash_is_sha256, start, end),
        cmocka_unit_test_setup_teardown(a_network_is_taken_tried_and_confirmed, start, end),
        cmocka_unit_test_setup_teardown(without_confirmation_the_old_one_runs, start, end),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_refused, start, end),
        cmocka_unit_test_setup_teardown(a_downgrade_above_the_floor_is_logged, start, end),
        cmocka_unit_test_setup_teardown(no_power_cut_harms, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

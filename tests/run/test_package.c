// `decant package`: the stock minisign verifies what it signs, with keys of both sorts, and refuses
// a flipped byte; what was given out is never overwritten; a list shows where packages came from.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "examples/device/update.h"
#include "examples/device/verify_minisign.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

// Made by minisign -G; the password is "winter rye".
static const char locked_key[] =
    "untrusted comment: minisign encrypted secret key\n"
    "RWRTY0IyUrlhNKSd0dstoEuZ3HRexgI9iE1NBcWgAd4XLuSp1ugAAAACAAAAAAAAAEAAAAAAE/AQ9dW36qSVxsHQz/"
    "rHJhAQFyNPWwtcZ9Ua6NoSTrucy7IQSFoAu+FQCVPBAc8CgVH+"
    "hNwRUEIimdzGoYx6IcMJgoVbqg/YDe7/nevYL4Cb8/3f/o44k1KwFNenIv+weJod3CbKPA4=\n";
static const char locked_public[] = "RWS68/n6r4bzOyUf+Qd1zA0p/53q1rijkYQVmzP/3odCEae2xWX1LBjr";

static char root[256];
static struct outcome outcome;
static const struct child here = {.folder = root};

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    tiny_text(test_path("locked.key"), locked_key);
    return run_whole(&outcome, &here, "export.yaml", "done");
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

#define PACKAGE(...)                                                                               \
    DECANT(&outcome, &here, "package", "done/bundle/int8", "--version", __VA_ARGS__)

static void expect(const char *name, int exit_code, const char *word)
{
    assert_outcome(&outcome, name, exit_code, (const char *const[OUTCOME_WORDS]){word});
}

static void minisign_verifies(void **state)
{
    (void)state;
    if (test_shell("command -v minisign") != 0)
        skip();
    must_shell("minisign -G -W -p plain.pub -s plain.key");
    PACKAGE("7", "--key", "plain.key", "--out", "a.dpk");
    expect("plain", 0, NULL);
    must_shell("minisign -V -m a.dpk -p plain.pub >seen");
    must_shell("grep -q 'rusted comment: tiny version 7, floor 0, sha256 ' seen");
    must_shell("grep -q \"$(tail -c +257 a.dpk | sha256sum | cut -c1-64)\" seen");
    must_shell("tail -c +257 a.dpk | cmp - done/bundle/int8.tar");
    // a byte of the package, of the signature's comment
    must_shell("cp a.dpk b.dpk; cp a.dpk.minisig b.dpk.minisig; "
               "printf X | dd of=b.dpk bs=1 seek=300 conv=notrunc");
    assert_int_not_equal(test_shell("minisign -V -m b.dpk -p plain.pub"), 0);
    must_shell("cp a.dpk b.dpk; sed -i 's/version 7, f/version 8, f/' b.dpk.minisig");
    assert_int_not_equal(test_shell("minisign -V -m b.dpk -p plain.pub"), 0);
    // a key with a password
    char line[512];
    snprintf(line, sizeof line,
             "printf 'winter rye\\n' | '%s' package done/bundle/int8 --version 8 --key locked.key "
             "--out c.dpk && minisign -V -m c.dpk -P %s",
             DECANT_BINARY, locked_public);
    if (test_shell("%s", line) != 0)
        fail_msg("%s", line);
    snprintf(
        line, sizeof line,
        "printf 'winter wheat\\n' | '%s' package done/bundle/int8 --version 9 --key locked.key "
        "--out d.dpk 2>seen || { grep 'not the password' seen && ! test -e d.dpk; }",
        DECANT_BINARY);
    must_shell("%s", line);
}

// Flash of a device whose slots hold any package here.
static uint8_t areas[4][1 << 20];

static int erase(void *user, enum update_area area)
{
    (void)user;
    memset(areas[area], 0xFF, sizeof areas[area]);
    return 0;
}

static int write(void *user, enum update_area area, uint32_t at, const void *bytes, uint32_t count)
{
    (void)user;
    memcpy(areas[area] + at, bytes, count);
    return 0;
}

static int passes(void *user, const struct update_header *header, const uint8_t *payload)
{
    (void)user;
    (void)header;
    return payload[0] == 0xFF;
}

// The file that was packed, on the device that it is for.
static void a_device_takes_it(void **state)
{
    (void)state;
    char public[57] = "";
    size_t size = 0, signature_size = 0, key_size = 0;
    struct update_header header;
    const uint8_t *payload = NULL;
    int on_trial = 0;
    if (test_shell("command -v minisign") != 0)
        skip();
    must_shell("minisign -G -f -W -p device.pub -s device.key");
    PACKAGE("7", "--key", "device.key", "--out", "device.dpk");
    expect("for the device", 0, NULL);
    uint8_t *package = (uint8_t *)tiny_read(test_path("device.dpk"), &size);
    char *signature = tiny_read(test_path("device.dpk.minisig"), &signature_size);
    char *key = tiny_read(test_path("device.pub"), &key_size);
    assert_true(package && signature && key && size < sizeof areas[0]);
    memcpy(public, strchr(key, '\n') + 1, sizeof public - 1);
    struct update_device device = {
        .user = public,
        .memory = {areas[0], areas[1], areas[2], areas[3]},
        .slot_bytes = sizeof areas[0],
        .journal_bytes = 4096,
        .erase = erase,
        .write = write,
        .verify_signature = verify_minisign,
        .selftest = passes,
        .input_bytes = TINY_SIDE * TINY_SIDE,
        .output_bytes = TINY_CLASSES,
        .arena_bytes = 100000,
        .kind = 1,
        .name = "tiny",
    };
    memset(areas, 0xFF, sizeof areas);
    const uint32_t bytes = (uint32_t)size, more = (uint32_t)signature_size;
    assert_int_equal(update_install(&device, package, bytes, (const uint8_t *)signature, more),
                     UPDATE_OK);
    assert_int_equal(update_boot(&device, &header, &payload, &on_trial), UPDATE_OK);
    assert_true(on_trial);
    assert_int_equal(header.version, 7);
    assert_int_equal(update_confirm(&device), UPDATE_OK);
    for (size_t at = 0; at < size; at += size / 97 + 1) {
        package[at] ^= 4;
        assert_int_equal(update_install(&device, package, bytes, (const uint8_t *)signature, more),
                         UPDATE_SIGNATURE);
        package[at] ^= 4;
    }
    char *comment = strstr(signature, "version 7, floor");
    comment[8] = '9';  // the comment that minisign calls trusted
    assert_int_equal(update_install(&device, package, bytes, (const uint8_t *)signature, more),
                     UPDATE_SIGNATURE);
    for (uint32_t cut = 0; cut < more; cut += 7)
        assert_int_equal(update_install(&device, package, bytes, (const uint8_t *)signature, cut),
                         UPDATE_SIGNATURE);
    free(package);
    free(signature);
    free(key);
}

static void keys_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "a", "untrusted comment: x\n", "untrusted comment: x\nRWRTY0IyUrlh\n",
        "untrusted comment: x\nRWS68/n6r4bzOyUf+Qd1zA0p/53q1rijkYQVmzP/3odCEae2xWX1LBjr\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tiny_text(test_path("bad.key"), texts[i]);
        PACKAGE("1", "--key", "bad.key", "--out", "never.dpk");
        expect("no key", 1, "is not a secret key of minisign");
    }
}

static void what_was_given_out_stays(void **state)
{
    (void)state;
    PACKAGE("1");
    expect("first", 0, NULL);
    PACKAGE("1");
    expect("the same again", 0, NULL);
    PACKAGE("1", "--bom");
    expect("with a bill of materials", 0, NULL);
    must_shell("grep -q '\"value\": \"tflm\"' tiny-1.dpk.cdx.json");
    must_shell("cp tiny-1.dpk.cdx.json kept; rm tiny-1.dpk.cdx.json");
    PACKAGE("1", "--bom");
    must_shell("cmp kept tiny-1.dpk.cdx.json; echo >> tiny-1.dpk.cdx.json");
    PACKAGE("1", "--bom");
    expect("a bill that was changed", 2, "never overwritten");
    PACKAGE("1", "--floor", "1");
    expect("another under its name", 2, "never overwritten");
    PACKAGE("2", "--floor", "3", "--out", "x.dpk");
    expect("a floor above", 2, "below its own floor 3");
    DECANT(&outcome, &here, "package", "done/bundle/int8");
    expect("no version", 2, "--version N");
    PACKAGE("2", "--parent", "model.yaml");
    expect("a parent that is none", 1, "is not a package");
    PACKAGE("2", "--payload", "missing.bin");
    expect("no payload", 1, "missing.bin");
    // what is packed is what was checked: the folder, not an archive that lies beside it
    must_shell("cp done/bundle/int8.tar kept.tar; echo junk > done/bundle/int8.tar");
    PACKAGE("1");
    expect("an archive that was changed", 0, NULL);
    must_shell("tail -c +257 tiny-1.dpk | cmp - kept.tar");
    DECANT(&outcome, &here, "package", "done/bundle/int8/.", "--version", "1");
    expect("the folder itself", 0, NULL);
    must_shell("cp kept.tar done/bundle/int8.tar");
    must_shell("cp -r done/bundle/int8 damaged; echo >> damaged/tiny.c");
    DECANT(&outcome, &here, "package", "damaged", "--version", "2");
    expect("a damaged bundle", 1, "tiny.c");
}

// binutils reads the package back from Intel HEX, at addresses around borders of 64 KiB.
static void hex_lies_at_its_address(void **state)
{
    (void)state;
    static const char *const addresses[] = {"0x08080000", "134283263", "0xFFF7", "0"};
    PACKAGE("1", "--out", "h.dpk", "--address", "0xFFFFFFF0");
    expect("beyond the end", 2, "beyond 2^32");
    PACKAGE("1", "--out", "h.dpk", "--address", "here");
    expect("no address", 2, "not 'here'");
    must_shell("! test -e h.dpk");
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        char line[256];
        must_shell("rm -f h.dpk h.dpk.hex");
        PACKAGE("1", "--out", "h.dpk", "--address", addresses[i]);
        expect(addresses[i], 0, NULL);
        snprintf(line, sizeof line,
                 "objcopy -I ihex -O binary h.dpk.hex h.bin && cmp h.bin h.dpk && "
                 "objdump -h h.dpk.hex | grep -q \"$(printf %%08x %s)\"",
                 addresses[i]);
        if (test_shell("%s", line) != 0)
            fail_msg("%s", line);
    }
}

static void a_list_shows_parents_and_accuracy(void **state)
{
    (void)state;
    must_shell("rm -f *.dpk *.minisig; mkdir all; echo image > all/app.bin");
    PACKAGE("1", "--out", "all/one.dpk");
    expect("one", 0, NULL);
    PACKAGE("12", "--out", "all/two.dpk", "--parent", "all/one.dpk", "--payload", "all/app.bin",
            "--minimum-firmware", "4");
    expect("two", 0, NULL);
    DECANT(&outcome, &here, "package", "--list", "all");
    expect("list", 0, NULL);
    const char *first = strstr(outcome.out, "      1 archive"),
               *second = strstr(outcome.out, "     12 image ");
    if (!first || !second || first > second || !strchr(first, '%'))
        fail_msg("%s", outcome.out);
    for (const char *line = outcome.out; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    DECANT(&outcome, &here, "package", "--list", "all", "--json");
    if (!strstr(outcome.out, "\"parent\"") || !strstr(outcome.out, "\"accuracy\""))
        fail_msg("%s", outcome.out);
    PACKAGE("12", "--out", "never.dpk", "--parent", "all/two.dpk");
    expect("a parent that is no older", 2, "has version 12, and this is 12");
    must_shell("printf x | dd of=all/one.dpk bs=1 seek=700 conv=notrunc; "
               "mkdir all/three.dpk; cp all/two.dpk all/four.dpk; "
               "printf '\\033' | dd of=all/four.dpk bs=1 seek=49 conv=notrunc");
    DECANT(&outcome, &here, "package", "--list", "all");
    assert_outcome(&outcome, "damaged", 1,
                   (const char *const[OUTCOME_WORDS]){"another SHA-256", "header is damaged"});
    assert_non_null(strstr(outcome.out, "     12 image "));  // the others are shown
    DECANT(&outcome, &here, "package", "--list", "data");
    expect("nothing", 2, "there is no package");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minisign_verifies),
        cmocka_unit_test(a_device_takes_it),
        cmocka_unit_test(keys_that_are_none_are_refused),
        cmocka_unit_test(what_was_given_out_stays),
        cmocka_unit_test(hex_lies_at_its_address),
        cmocka_unit_test(a_list_shows_parents_and_accuracy),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

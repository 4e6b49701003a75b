// What of a bundle is for build systems: CMake builds it, by itself and as a part of another
// project; ESP-IDF and Zephyr, whose commands are stood in for, get the sources; Arduino's and the
// component's files say what they must; the archive is the same whenever it is made, and tar reads
// it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/context.h"
#include "core/file.h"
#include "export/bundle.h"
#include "tests/qat/helper_models.h"

enum { INPUT = 13 * 11 * 3 };

static char work[] = "/tmp/decant-test-packaging-XXXXXX";
static char path[256], command[2048];
static struct dc_error error;

static const char *in_work(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", work, name);
    return path;
}

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static void write_bundle(const char *name, int threads)
{
    static int8_t inputs[3 * INPUT];
    const struct dc_ctx_config config = {.threads = threads};
    struct dc_random random;
    struct dc_ctx *ctx = NULL;
    struct dc_vectors *vectors = NULL;
    struct dc_imodel *m = test_every_op_model(dc_profile_find("tflm"), 1);
    dc_random_start(&random, 61, DC_PURPOSE_TEST, 0, 0);
    test_fill_codes(inputs, sizeof inputs, &random);
    must(dc_ctx_create(&ctx, &config, &error));
    must(dc_vectors_create(&vectors, ctx, m, inputs, 3, &error));
    must(dc_bundle_write(in_work(name), m, vectors, NULL, &error));
    dc_vectors_free(vectors);
    dc_ctx_free(ctx);
    dc_imodel_free(m);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(work))
        return 1;
    write_bundle("net", 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", work);
    return system(command);
}

static void shell(const char *line)
{
    snprintf(command, sizeof command, "cd %s && { %s; } >log 2>&1", work, line);
    if (system(command) != 0)
        fail_msg("fails: %s (%s/log)", line, work);
}

static void write_text(const char *name, const char *text)
{
    must(dc_file_write(in_work(name), text, strlen(text), &error));
}

static void cmake_builds_it(void **state)
{
    (void)state;
    shell("cmake -S net -B alone && cmake --build alone && test -f alone/libevery_op.a");
    shell("mkdir -p app");
    write_text("app/CMakeLists.txt",
               "cmake_minimum_required(VERSION 3.13)\nproject(app LANGUAGES C)\n"
               "add_subdirectory(../net net)\nadd_executable(app app.c)\n"
               "target_link_libraries(app every_op)\n");
    write_text("app/app.c", "#include \"every_op.h\"\n"
                            "int main(void) { return every_op_selftest(); }\n");
    shell("cmake -S app -B built && cmake --build built && built/app");
}

// Stand-ins note what they are given.
static void other_systems_get_the_sources(void **state)
{
    (void)state;
    shell("mkdir -p idf zephyr");
    write_text("idf/CMakeLists.txt",
               "cmake_minimum_required(VERSION 3.13)\nproject(idf LANGUAGES NONE)\n"
               "set(ESP_PLATFORM 1)\n"
               "function(idf_component_register)\n"
               "    file(WRITE ${CMAKE_BINARY_DIR}/said \"${ARGN}\")\nendfunction()\n"
               "add_subdirectory(../net net)\n");
    shell("cmake -S idf -B idf/b && test \"$(cat idf/b/said)\" = 'SRCS;every_op.c;INCLUDE_DIRS;.'");
    write_text("zephyr/CMakeLists.txt",
               "cmake_minimum_required(VERSION 3.13)\nproject(zephyr LANGUAGES NONE)\n"
               "foreach(name zephyr_include_directories zephyr_library_named "
               "zephyr_library_sources)\n"
               "    cmake_language(EVAL CODE \"function(${name})\n"
               "        file(APPEND ${CMAKE_BINARY_DIR}/said \\\"${name}:\\${ARGN} \\\")\n"
               "    endfunction()\")\nendforeach()\nadd_subdirectory(../net net)\n");
    shell("cmake -S zephyr -B zephyr/b && test \"$(cat zephyr/b/said)\" = "
          "'zephyr_include_directories:. zephyr_library_named:every_op "
          "zephyr_library_sources:every_op.c '");
}

// Keys that the Arduino library specification asks for, each with a value; a version of three
// numbers; what is included is there.
static void metadata_says_what_it_must(void **state)
{
    (void)state;
    static const char *const keys[] = {"name",       "version",  "author",
                                       "maintainer", "sentence", "paragraph",
                                       "category",   "url",      "architectures"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char line[128];
        snprintf(line, sizeof line, "grep -qx '%s=..*' net/library.properties", keys[i]);
        shell(line);
    }
    shell("grep -Eqx 'version=[0-9]+\\.[0-9]+\\.[0-9]+' net/library.properties");
    shell("grep -Eqx 'category=(Display|Communication|Signal Input/Output|Sensors|Device Control|"
          "Timing|Data Storage|Data Processing|Other)' net/library.properties");
    shell("test -f net/$(sed -n 's/^includes=//p' net/library.properties)");
    shell("grep -Eq '^version: \"[0-9]+\\.[0-9]+\\.[0-9]+\"$' net/idf_component.yml");
    shell("grep -qx 'name: every_op' net/module.yml && grep -qx '  cmake: .' net/module.yml");
    // each file of the folder is explained, and each macro of the C
    shell("for f in net/*; do grep -q \"$(basename $f)\" net/README.md || test $f = net/README.md "
          "|| exit 1; "
          "done");
    shell(
        "for m in $(grep -oE 'EVERY_OP_(CALLER_ARENA|ENDS_IN_ARENA|NO_SELFTEST|TRACE|WEIGHTS|ARENA|"
        "ALIGNMENT)' net/every_op.c | sort -u); do grep -q \"\\`$m\\`\" net/README.md || exit 1; "
        "done");
}

static void the_archive_is_one(void **state)
{
    (void)state;
    shell("cp net.tar first.tar");
    sleep(1);  // a time in it would be another
    write_bundle("net", 2);
    shell("cmp net.tar first.tar");
    shell(
        "mkdir out && tar -xf net.tar -C out && mv out/net/zephyr/module.yml out/net/module.yml && "
        "rmdir out/net/zephyr && diff -r net out/net");
    shell("test $(TZ=UTC tar -tvf net.tar | grep -vc '^-rw-r--r-- 0/0 .*1970-01-01 00:00') -eq 0");
    // what is not ours stays
    shell("echo mine >net.tar");
    assert_int_equal(dc_bundle_may_write(in_work("net"), &error), DC_ERR_USAGE);
    assert_non_null(strstr(error.message, "net.tar exists"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cmake_builds_it), cmocka_unit_test(other_systems_get_the_sources),
        cmocka_unit_test(metadata_says_what_it_must), cmocka_unit_test(the_archive_is_one)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

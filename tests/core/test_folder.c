// What Decant may replace and remove: only what carries its mark and names that it writes; what a
// killed process left is found, everything else stays as it is.

#include "core/folder.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
// clang-format on

#include "core/file.h"
#include "tests/core/helper_folder.h"

static struct dc_error error;
static const char *const names[] = {"a.c", "a.h", "manifest.json", NULL};
static long gone;  // the number of a process that has ended

// A file NAME in the test's folder, and the folders on the way.
static void put(const char *name)
{
    char line[1024];
    snprintf(line, sizeof line, "mkdir -p \"$(dirname '%s')\"", test_path(name));
    assert_int_equal(system(line), 0);
    test_write(test_path(name), "x", 1);
}

static void put_of(const char *format, long process)
{
    char name[256];
    snprintf(name, sizeof name, format, process);
    put(name);
}

static bool is_there(const char *name)
{
    struct stat info;
    return lstat(test_path(name), &info) == 0;
}

static bool is_there_of(const char *format, long process)
{
    char name[256];
    snprintf(name, sizeof name, format, process);
    return is_there(name);
}

static void make_folder(const char *name)
{
    assert_int_equal(dc_make_directory(test_path(name), &error), DC_OK);
}

static void link_to(const char *target, const char *name)
{
    assert_int_equal(symlink(test_path(target), test_path(name)), 0);
}

static void begin_of(const char *format, long process)
{
    char name[256];
    snprintf(name, sizeof name, format, process);
    assert_int_equal(dc_folder_begin(test_path(name), names, &error), DC_OK);
}

static void names_stay_in_their_folder(void **state)
{
    (void)state;
    char most[202];
    static const char *const good[] = {"a", "a.c", "...", ".a", "a b", "-", "a..b", "\xc3\xa9"};
    static const char *const bad[] = {"",     ".",    "..",  "/",       "a/b",  "/a",   "a/",
                                      "../a", "a/..", "a\n", "\x1b[2J", "a\tb", "a\x7f"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (dc_name_fault(good[i]))
            fail_msg("'%s' %s", good[i], dc_name_fault(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!dc_name_fault(bad[i]))
            fail_msg("'%s' is taken for a name", bad[i]);
    memset(most, 'n', sizeof most);
    most[201] = '\0';
    assert_non_null(dc_name_fault(most));
    most[200] = '\0';
    assert_null(dc_name_fault(most));
}

static void emptiness(void **state)
{
    (void)state;
    bool empty = false;
    make_folder("empty");
    put("full/.hidden");
    put("plain");
    link_to("empty", "link");
    assert_int_equal(dc_folder_is_empty(&empty, test_path("empty"), &error), DC_OK);
    assert_true(empty);
    assert_int_equal(dc_folder_is_empty(&empty, test_path("nothing"), &error), DC_OK);
    assert_true(empty);
    assert_int_equal(dc_folder_is_empty(&empty, test_path("full"), &error), DC_OK);
    assert_false(empty);
    assert_int_equal(dc_folder_is_empty(&empty, test_path("link/."), &error), DC_OK);
    assert_true(empty);
    static const char *const refused[] = {"link", "link/", "link//", "plain", "plain/a"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (dc_folder_is_empty(&empty, test_path(refused[i]), &error) != DC_ERR_USAGE)
            fail_msg("%s is taken for a folder", refused[i]);
    assert_int_equal(dc_folder_is_empty(&empty, "", &error), DC_ERR_USAGE);
}

// A folder of ours, with one more thing in it, is neither replaced nor emptied.
static void foreign_things_keep_a_folder(void **state)
{
    (void)state;
    static const char *const things[] = {"thesis.tex", "sub/b", "a.c.bak", "a.c.tmp-",
                                         "a.c.tmp-1x", "A.c",   ".decant", "a.c.tmp-0"};
    for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
        char thing[128];
        snprintf(thing, sizeof thing, "kept-%zu/%s", i, things[i]);
        char *slash = strchr(thing, '/');
        put(thing);
        *slash = '\0';
        char own[256];
        snprintf(own, sizeof own, "%s/a.c", thing);
        put(own);
        assert_int_equal(dc_folder_holds_only(test_path(thing), names, &error), DC_ERR_USAGE);
        begin_of("fresh", 0);
        assert_int_equal(dc_folder_replace(test_path(thing), test_path("fresh"), names, &error),
                         DC_ERR_USAGE);
        dc_folder_discard(test_path(thing));  // it carries no mark
        assert_true(is_there(own));
        *slash = '/';
        if (!is_there(thing))
            fail_msg("%s is gone", thing);
        dc_folder_discard(test_path("fresh"));
        assert_false(is_there("fresh"));
    }
}

static void links_are_not_followed(void **state)
{
    (void)state;
    put("target/a.c");
    link_to("target", "linked");
    begin_of("fresh", 0);
    assert_int_equal(dc_folder_replace(test_path("linked"), test_path("fresh"), names, &error),
                     DC_ERR_USAGE);
    assert_non_null(strstr(error.message, "symbolic link"));
    assert_int_equal(dc_folder_replace(test_path("linked/"), test_path("fresh"), names, &error),
                     DC_ERR_USAGE);
    // a link of a name that is ours is not a file that we wrote
    make_folder("holder");
    link_to("target/a.c", "holder/a.c");
    assert_int_equal(dc_folder_holds_only(test_path("holder"), names, &error), DC_ERR_USAGE);
    link_to("target/a.c", "fresh/a.h");
    dc_folder_discard(test_path("fresh"));
    assert_true(is_there("fresh/a.h"));
    assert_true(is_there("target/a.c"));
    assert_int_equal(dc_folder_mark(test_path("target"), names, &error), DC_OK);
    dc_folder_discard(test_path("linked"));
    assert_true(is_there("target/a.c"));
}

static void a_folder_is_replaced_whole(void **state)
{
    (void)state;
    for (int turn = 0; turn < 3; turn++) {  // over nothing, over itself, over an empty folder
        if (turn == 2) {
            char line[512];
            snprintf(line, sizeof line, "rm -r '%s' && mkdir '%s'", test_path("whole"),
                     test_path("whole"));
            assert_int_equal(system(line), 0);
        }
        begin_of("whole.tmp-%ld", (long)getpid());
        put_of("whole.tmp-%ld/a.c", (long)getpid());
        put_of("whole.tmp-%ld/manifest.json", (long)getpid());
        char fresh[256];
        snprintf(fresh, sizeof fresh, "%s.tmp-%ld", test_path("whole"), (long)getpid());
        assert_int_equal(dc_folder_replace(test_path("whole"), fresh, names, &error), DC_OK);
        assert_int_equal(test_folder_entries(test_path("whole")), 2);
        assert_false(is_there_of("whole.tmp-%ld", (long)getpid()));
        assert_false(is_there_of("whole.old-%ld", (long)getpid()));
    }
    assert_int_equal(dc_folder_begin(test_path("whole"), names, &error), DC_ERR_IO);
}

static void leftovers_of_files(void **state)
{
    (void)state;
    char name[128];
    put("last.h5");
    put_of("last.h5.tmp-%ld", gone);
    put_of("last.h5.tmp-%ld", (long)getpid());  // our number, of an earlier process
    put_of("last.h5.tmp-%ld", (long)getppid());
    put_of("my-last.h5.tmp-%ld", gone);
    put_of("last.h5.tmp-%ldx", gone);
    put_of("last.h5.tmp-%ld/photo.jpg", gone * 1000000 % 1000003 + 4000000);
    put("last.h5.tmp-dir");
    put("last.h5.old-letter");
    put_of("last.h5.old-%ld", gone);
    snprintf(name, sizeof name, "last.h5.tmp-00%ld", gone);
    link_to("last.h5", name);
    dc_sweep_files(test_path("last.h5"));
    assert_false(is_there_of("last.h5.tmp-%ld", gone));
    assert_false(is_there_of("last.h5.tmp-%ld", (long)getpid()));
    assert_true(is_there_of("last.h5.tmp-%ld", (long)getppid()));
    assert_true(is_there_of("my-last.h5.tmp-%ld", gone));
    assert_true(is_there_of("last.h5.tmp-%ldx", gone));
    assert_true(is_there_of("last.h5.tmp-%ld/photo.jpg", gone * 1000000 % 1000003 + 4000000));
    assert_true(is_there("last.h5.tmp-dir") && is_there("last.h5.old-letter"));
    assert_true(is_there_of("last.h5.old-%ld", gone));  // files are never moved aside
    assert_true(is_there(name));
    assert_true(is_there("last.h5"));
}

static void leftovers_of_folders(void **state)
{
    (void)state;
    begin_of("int8.tmp-%ld", gone);
    put_of("int8.tmp-%ld/a.c", gone);
    put_of("int8.tmp-%ld/a.h.tmp-7", gone);
    put_of("int8.old-%ld/a.c", gone);  // the user's: no mark
    begin_of("int8.tmp-%ld", (long)getppid());
    put("int8/a.c");
    put_of("int8.tmp-%ld0", gone);
    dc_sweep_folders(test_path("int8/"));
    assert_true(is_there_of("int8.tmp-%ld0", gone));  // a file
    assert_false(is_there_of("int8.tmp-%ld", gone));
    assert_true(is_there_of("int8.old-%ld/a.c", gone));
    assert_true(is_there_of("int8.tmp-%ld", (long)getppid()));
    assert_true(is_there("int8/a.c"));
    // a marked one with something of the user's in it loses only what is ours
    begin_of("mine.tmp-%ld", gone);
    put_of("mine.tmp-%ld/a.c", gone);
    put_of("mine.tmp-%ld/letter", gone);
    dc_sweep_folders(test_path("mine"));
    assert_false(is_there_of("mine.tmp-%ld/a.c", gone));
    assert_true(is_there_of("mine.tmp-%ld/letter", gone));
}

// Killed before the mark was whole, a folder is empty, or holds an empty mark; with anything else
// in it, it is the user's.
static void folders_that_were_not_begun(void **state)
{
    (void)state;
    char path[512];
    begin_of("early.tmp-%ld", gone);
    snprintf(path, sizeof path, "early.tmp-%ld/" DC_FOLDER_MARK, gone);
    assert_int_equal(truncate(test_path(path), 0), 0);
    dc_sweep_folders(test_path("early"));
    assert_false(is_there_of("early.tmp-%ld", gone));
    begin_of("early.tmp-%ld", gone);
    assert_int_equal(remove(test_path(path)), 0);
    dc_sweep_folders(test_path("early"));
    assert_false(is_there_of("early.tmp-%ld", gone));
    begin_of("early.tmp-%ld", gone);
    put_of("early.tmp-%ld/letter", gone);
    assert_int_equal(truncate(test_path(path), 0), 0);
    dc_sweep_folders(test_path("early"));
    assert_true(is_there(path));
    assert_true(is_there_of("early.tmp-%ld/letter", gone));
}

// Killed between the two renames, the older bundle is the only one: it comes back.
static void what_was_moved_aside_comes_back(void **state)
{
    (void)state;
    begin_of("back.old-%ld", gone);
    put_of("back.old-%ld/a.c", gone);
    dc_sweep_folders(test_path("back"));
    assert_true(is_there("back/a.c"));
    assert_false(is_there("back/" DC_FOLDER_MARK));
    begin_of("back.old-%ld", gone);
    put_of("back.old-%ld/a.c", gone);
    dc_sweep_folders(test_path("back"));
    assert_false(is_there_of("back.old-%ld", gone));
    assert_true(is_there("back/a.c"));
}

static void leftovers_by_prefix(void **state)
{
    (void)state;
    make_folder("tmp");
    begin_of("tmp/work-%ld-abc", gone);
    put_of("tmp/work-%ld-abc/a.c", gone);
    put_of("tmp/work-%ld-user/a.c", gone);
    begin_of("tmp/work-%ld-abc", (long)getppid());
    begin_of("tmp/other-%ld-abc", gone);
    begin_of("tmp/work-%ldabc", gone);
    char name[64];
    snprintf(name, sizeof name, "tmp/work-%ld-empty", gone);
    make_folder(name);
    dc_sweep_prefixed(test_path("tmp"), "work");
    assert_false(is_there_of("tmp/work-%ld-abc", gone));
    assert_true(is_there_of("tmp/work-%ld-user/a.c", gone));
    assert_true(is_there_of("tmp/work-%ld-abc", (long)getppid()));
    assert_true(is_there_of("tmp/other-%ld-abc", gone));
    assert_true(is_there_of("tmp/work-%ldabc", gone));
    assert_true(is_there(name));
}

static void outputs_replace_their_like(void **state)
{
    (void)state;
    char far[4096];
    test_write(test_path("thesis"), "neither one nor the kind", 24);
    test_write(test_path("own"), "head mark\0\0\0kind epilogue", 21);
    test_write(test_path("other"), "head mark\0\0\0sort epilogue", 21);
    test_write(test_path("none"), "", 0);
    memset(far, '.', sizeof far);
    memcpy(far, "mark", 4);
    memcpy(far + 2000, "mark", 4);
    memcpy(far + 2200, "kind", 4);
    test_write(test_path("second"), far, sizeof far);
    memcpy(far + 2200, "....kind", 8);
    memcpy(far + 2000, "....", 4);
    test_write(test_path("apart"), far, sizeof far);
    make_folder("dir");
    link_to("own", "alias");
    assert_int_equal(mkfifo(test_path("pipe"), 0600), 0);
    static const struct {
        const char *name, *input;
        bool good;
    } cases[] = {{"new", NULL, true},     {"none", NULL, true},    {"own", NULL, true},
                 {"second", NULL, true},  {"own", "other", true},  {"own", "own", false},
                 {"own", "alias", false}, {"thesis", NULL, false}, {"other", NULL, false},
                 {"apart", NULL, false},  {"dir", NULL, false},    {"alias", NULL, false},
                 {"pipe", NULL, false},   {"own/a", NULL, false},  {"none", "none", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *input = cases[i].input ? test_path(cases[i].input) : NULL;
        const enum dc_status status = dc_file_may_replace(test_path(cases[i].name), "mark", "kind",
                                                          input, &error);
        if (status != (cases[i].good ? DC_OK : DC_ERR_USAGE))
            fail_msg("%s: status %d", cases[i].name, status);
    }
    assert_int_equal(dc_file_may_replace(test_path("other"), "mark", NULL, NULL, &error), DC_OK);
    assert_int_equal(dc_file_may_replace("", "mark", NULL, NULL, &error), DC_ERR_USAGE);
}

// A mark that crosses the pieces in which a file is read.
static void marks_are_found_anywhere(void **state)
{
    (void)state;
    enum { SIZE = (1 << 20) + 4096 };
    char *bytes = calloc(SIZE, 1);
    assert_non_null(bytes);
    for (int at = (1 << 20) - 300; at < (1 << 20) + 300; at += 7) {
        memset(bytes, 0, SIZE);
        memcpy(bytes + at, "mark", 4);
        memcpy(bytes + at + 100, "kind", 4);
        test_write(test_path("large"), bytes, SIZE);
        if (dc_file_may_replace(test_path("large"), "mark", "kind", NULL, &error) != DC_OK)
            fail_msg("not found at %d", at);
    }
    free(bytes);
}

static int set_up(void **state)
{
    (void)state;
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    gone = child;
    test_folder();
    return waitpid(child, NULL, 0) == child ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stay_in_their_folder),
        cmocka_unit_test(emptiness),
        cmocka_unit_test(foreign_things_keep_a_folder),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(a_folder_is_replaced_whole),
        cmocka_unit_test(leftovers_of_files),
        cmocka_unit_test(leftovers_of_folders),
        cmocka_unit_test(folders_that_were_not_begun),
        cmocka_unit_test(what_was_moved_aside_comes_back),
        cmocka_unit_test(leftovers_by_prefix),
        cmocka_unit_test(outputs_replace_their_like),
        cmocka_unit_test(marks_are_found_anywhere),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

// Names that stand for files: the order of search.h, one step at a time.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/search.h"
#include "core/yaml.h"
#include "tests/core/helper_folder.h"

static struct dc_arena *arena;
static struct dc_error error;

static void put(const char *name, const char *text)
{
    test_write(test_path(name), text, strlen(text));
}

static const char *find(enum dc_search_kind kind, const char *text)
{
    char *path = NULL;
    if (dc_search(&path, kind, text, test_path("here/x.yaml"), arena, &error) != DC_OK)
        fail_msg("%s", error.message);
    return path;
}

static void set_path(const char *a, const char *b)
{
    char list[2048];
    snprintf(list, sizeof list, ":%s:%s", test_path(a), b ? test_path(b) : "");
    setenv("DECANT_PATH", list, 1);
}

static void each_step_comes_before_the_next(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_path("here/resnet8"), 0700), 0);  // a folder is no model
    unsetenv("DECANT_PATH");
    assert_true(
        dc_path_ends(find(DC_SEARCH_MODEL, "resnet8"), "/share/decant/models/resnet8.yaml"));
    put("b/models/resnet8.yaml", "# B\n");
    set_path("a", "b");
    assert_string_equal(find(DC_SEARCH_MODEL, "resnet8"), test_path("b/models/resnet8.yaml"));
    put("a/models/resnet8.yaml", "# The first. And more.\n");
    assert_string_equal(find(DC_SEARCH_MODEL, "resnet8"), test_path("a/models/resnet8.yaml"));
    assert_string_equal(find(DC_SEARCH_MODEL, "resnet8.yaml"), test_path("a/models/resnet8.yaml"));
    put("here/resnet8.yaml", "");
    assert_string_equal(find(DC_SEARCH_MODEL, "resnet8"), test_path("here/resnet8.yaml"));
    put("a/models/net", "");  // NAME itself before NAME.yaml, folder by folder
    put("a/models/net.yaml", "");
    assert_string_equal(find(DC_SEARCH_MODEL, "net"), test_path("a/models/net"));
    // of another kind there is none
    assert_string_equal(find(DC_SEARCH_TARGET, "net"), test_path("here/net"));
}

static void paths_are_paths(void **state)
{
    (void)state;
    set_path("a", NULL);
    put("a/models/only.yaml", "");
    assert_string_equal(find(DC_SEARCH_MODEL, "./only"), test_path("here/./only"));
    assert_string_equal(find(DC_SEARCH_MODEL, "/only"), "/only");
    assert_string_equal(find(DC_SEARCH_NONE, "only"), test_path("here/only"));
    setenv("NAME_OF_MODEL", "only", 1);
    assert_string_equal(find(DC_SEARCH_MODEL, "$NAME_OF_MODEL"), test_path("here/only"));
}

static void a_list_has_what_is_found(void **state)
{
    (void)state;
    const struct dc_search_entry *entries = NULL;
    int count = 0, seen = 0;
    set_path("a", "b");
    put("a/models/.hidden.yaml", "");
    put("a/models/readme.txt", "");
    assert_int_equal(dc_search_list(&entries, &count, DC_SEARCH_MODEL, arena, &error), DC_OK);
    for (int i = 0; i < count; i++) {
        assert_true(i == 0 || strcmp(entries[i - 1].name, entries[i].name) < 0);
        assert_string_equal(find(DC_SEARCH_MODEL, entries[i].path), entries[i].path);
        assert_null(strstr(entries[i].name, "hidden"));
        assert_string_not_equal(entries[i].name, "readme.txt");
        if (strcmp(entries[i].name, "resnet8") != 0)
            continue;
        seen++;
        assert_string_equal(entries[i].path, test_path("a/models/resnet8.yaml"));
        assert_string_equal(entries[i].about, "The first.");
    }
    assert_int_equal(seen, 1);
}

static void what_is_not_there_is_told(void **state)
{
    (void)state;
    unsetenv("DECANT_PATH");
    assert_int_equal(dc_search_fail(&error, NULL, "", DC_SEARCH_TARGET, "cortexm4", "cortexm4"),
                     DC_ERR_CONFIG);
    assert_non_null(
        strstr(error.message, "there is no target 'cortexm4'; did you mean 'cortex-m4'?"));
    assert_non_null(strstr(error.message, "targets by name: academic-w4a4, cortex-m4, "));
    char many[400] = "";
    for (int i = 0; i < 40; i++)
        strcat(many, "/a:");
    setenv("DECANT_PATH", many, 1);
    char *path = NULL;
    assert_int_equal(dc_search(&path, DC_SEARCH_TARGET, "none", NULL, arena, &error),
                     DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "DECANT_PATH names more than 31 folders"));
}

static int begin(void **state)
{
    (void)state;
    static const char *const folders[] = {"here", "a", "a/models", "b", "b/models"};
    test_folder();
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (mkdir(test_path(folders[i]), 0700) != 0)
            return 1;
    return dc_arena_create(&arena, &error) == DC_OK ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    dc_arena_free(arena);
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_comes_before_the_next),
        cmocka_unit_test(paths_are_paths),
        cmocka_unit_test(a_list_has_what_is_found),
        cmocka_unit_test(what_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, begin, end);
}

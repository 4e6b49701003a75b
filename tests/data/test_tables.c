// Tables that name photographs and recordings: columns, labels of each kind, splits, mistakes.

#define _XOPEN_SOURCE 700
#include "data/convert.h"
#include "data/open.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
// clang-format on

#include "tests/core/helper_folder.h"
#include "tests/data/helper_png.h"

enum { FILES = 12 };

static struct dc_error error;

static void write_table(const char *text)
{
    test_write(test_path("t.csv"), text, strlen(text));
}

static struct dc_source_spec spec_of(const char *split)
{
    return (struct dc_source_spec){
        .path = "t.csv", .split = split, .test_share = 0.25, .split_seed = 1};
}

static struct dc_source *open_ok(const struct dc_source_spec *spec)
{
    struct dc_source *source = NULL;
    if (dc_source_open(&source, spec, &error) != DC_OK)
        fail_msg("%s", error.message);
    return source;
}

static int pixel_of(const struct dc_source *source, int64_t id)
{
    uint8_t pixel;
    assert_int_equal(dc_source_read(source, id, &pixel, &error), DC_OK);
    return pixel;
}

// Classes in a split each: quotes, CRLF, a BOM, a folder, other columns, any order of rows.
static void a_split_column_is_obeyed(void **state)
{
    (void)state;
    write_table("\xef\xbb\xbfwho,label,file,split\r\n"
                "me,\"cat, big\",p0.png,train\r\nme,dog,p1.png,test\r\n\"you, too\",dog,./p2.png,"
                "train\r\n,\"cat, big\",p3.png,test\r\n,dog,p4.png,val\r\n,dog,\"sub dir/p5.png\","
                "train\r\n");
    struct dc_source_spec spec = spec_of("train");
    assert_string_equal(dc_source_kind_of(&spec), "photos");
    assert_true(dc_source_own_validation(&spec));
    struct dc_source *source = open_ok(&spec);
    static const int pixels[] = {0, 2, 5, 4}, labels[] = {0, 1, 1, 1};
    assert_int_equal(source->count, 4);
    assert_int_equal(source->own_validation, 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pixel_of(source, i), pixels[i]);
        assert_int_equal(source->labels[i], labels[i]);
    }
    assert_int_equal(source->classes, 2);
    assert_string_equal(source->class_names[0], "cat, big");
    assert_string_equal(source->class_names[1], "dog");
    assert_string_equal(source->note, "columns not read: who");
    dc_source_free(source);
    spec.split = "test";
    source = open_ok(&spec);
    assert_int_equal(source->count, 2);
    assert_int_equal(pixel_of(source, 0), 1);
    assert_int_equal(pixel_of(source, 1), 3);
    dc_source_free(source);
    static const char *const names[] = {"dog", "cat, big"};
    spec.class_names = names;
    spec.class_count = 2;
    source = open_ok(&spec);
    assert_int_equal(source->labels[0], 0);
    assert_int_equal(source->labels[1], 1);
    dc_source_free(source);
}

// Without one the share is cut; together both parts are all files, each once.
static void a_share_is_cut(void **state)
{
    (void)state;
    char text[1024] = "file,label\n";
    int seen[FILES] = {0};
    for (int i = 0; i < FILES; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "p%d.png,%d\n", i,
                 i % 2 ? 10 : 9);
    write_table(text);
    for (int part = 0; part < 2; part++) {
        const struct dc_source_spec spec = spec_of(part ? "test" : "train");
        struct dc_source *source = open_ok(&spec);
        assert_int_equal(source->count, part ? 3 : 9);
        assert_string_equal(source->class_names[0], "9");  // numbers in their order
        assert_string_equal(source->class_names[1], "10");
        for (int64_t i = 0; i < source->count; i++) {
            seen[pixel_of(source, i)]++;
            assert_int_equal(source->labels[i], pixel_of(source, i) % 2);
        }
        assert_non_null(strstr(source->note, "3 of 12 photographs are the test set"));
        dc_source_free(source);
    }
    for (int i = 0; i < FILES; i++)
        assert_int_equal(seen[i], 1);
}

static void values_and_tags_are_read(void **state)
{
    (void)state;
    static const char *const columns[] = {"x", "y"};
    write_table("file,x,y,split\np0.png,1.5,-2e3,train\np1.png,0,1,test\n");
    struct dc_source_spec spec = spec_of("train");
    spec.label_kind = DC_LABELS_VALUES;
    spec.label_columns = columns;
    spec.label_column_count = 2;
    struct dc_source *source = open_ok(&spec);
    assert_null(source->labels);
    assert_int_equal(source->classes, 2);
    assert_true(source->targets[0] == 1.5f && source->targets[1] == -2000.0f);
    assert_string_equal(source->class_names[1], "y");
    const uint64_t hash = source->hash;
    dc_source_free(source);
    write_table("file,x,y,split\np0.png,1.5,-2001,train\np1.png,0,1,test\n");
    source = open_ok(&spec);
    assert_true(source->hash != hash);  // the labels are part of it
    dc_source_free(source);
    spec.split = "test";
    spec.label_kind = DC_LABELS_TAGS;
    source = open_ok(&(struct dc_source_spec){.path = "t.csv",
                                              .split = "test",
                                              .label_kind = DC_LABELS_VALUES,
                                              .label_columns = columns,
                                              .label_column_count = 2});
    assert_true(source->targets[0] == 0.0f && source->targets[1] == 1.0f);
    dc_source_free(source);
    write_table("file,label,split\np0.png,red; big,train\np1.png,,train\np2.png,big|blue,test\n");
    spec = spec_of("train");
    spec.label_kind = DC_LABELS_TAGS;
    source = open_ok(&spec);
    static const float expected[] = {1, 0, 1, 0, 0, 0};  // big, blue, red
    assert_int_equal(source->classes, 3);
    assert_string_equal(source->class_names[2], "red");
    assert_memory_equal(source->targets, expected, sizeof expected);
    dc_source_free(source);
}

// To HDF5 and back: labels, names, the samples to validate on, and the hash.
static void they_become_hdf5(void **state)
{
    (void)state;
    static const char *const columns[] = {"x", "y"};
    write_table("file,x,y,split\np0.png,1,-2e3,train\np1.png,0,1,test\np2.png,1,1.5,val\n");
    struct dc_source_spec spec = spec_of("train");
    spec.label_kind = DC_LABELS_VALUES;
    spec.label_columns = columns;
    spec.label_column_count = 2;
    struct dc_source *train = open_ok(&spec);
    spec.split = "test";
    struct dc_source *test = open_ok(&spec);
    if (dc_source_to_hdf5(train, test, "v.h5", NULL, &error) != DC_OK)
        fail_msg("%s", error.message);
    for (int part = 0; part < 2; part++) {
        const struct dc_source *made = part ? test : train;
        struct dc_source_spec h5 = dc_source_spec_of("v.h5", part ? "test" : "train");
        struct dc_source *back = open_ok(&h5);
        assert_true(back->hash == made->hash);
        assert_int_equal(back->label_kind, DC_LABELS_VALUES);
        assert_int_equal(back->own_validation, 1 - part);
        assert_string_equal(back->class_names[1], "y");
        assert_memory_equal(back->targets, made->targets, sizeof(float) * 2 * (size_t)made->count);
        dc_source_free(back);
    }
    dc_source_free(train);
    dc_source_free(test);
}

static void check_refused(const char *text, const struct dc_source_spec *spec, const char *words)
{
    struct dc_source *source = NULL;
    write_table(text);
    assert_int_not_equal(dc_source_open(&source, spec, &error), DC_OK);
    if (!strstr(error.message, words))
        fail_msg("'%s', not '%s'", error.message, words);
}

static void mistakes_have_their_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"path,label\np0.png,a\n", ":1:1: error: no column 'file' in the header; there are path"},
        {"file,labels\np0.png,a\n", ":1:1: error: no column 'label' in the header; there are file, "
                                    "labels; did you mean 'labels'"},
        {"file,label\n", "t.csv: has a header and no row"},
        {"file,label\np0.png,a\nq.png,b\n", "t.csv:3:1: error: q.png: no such file"},
        {"file,label\np0.png,a\n,b\n", "t.csv:3:1: error: no file is named here"},
        {"file,label\np0.png,a\nt.csv,b\n", ":3:1: error: t.csv: is no photograph by its name"},
        {"file,label\np0.png,a\np1.png,b\np0.png,a\n",
         ":4:1: error: p0.png is named in line 2 already"},
        {"file,label\np0.png,a\np1.png,b\n./p0.png,b\n",
         ":4:1: error: ./p0.png is named in line 2 already"},
        {"file,label\np0.png,a\np1.png,\n", "t.csv:3:8: error: no label is given here"},
        {"file,label,split\np0.png,a,train\np1.png,b,tset\n",
         ":3:10: error: split 'tset' is neither train, test nor val"},
        {"file,label,split\np0.png,a,train\np1.png,b,test\n",
         "class 'b' has no row in split 'train'"},
        {"file,label,split\np0.png,a,test\n", "t.csv: no row is of split 'train'"},
        {"file,label\np0.png,a\np1.png,a\np2.png,b\n",
         "class 'b' has 1 photographs, of which test: 0.25 leaves none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dc_source_spec spec = spec_of("train");
        spec.kind = "photos";
        check_refused(cases[i][0], &spec, cases[i][1]);
    }
}

static void mistakes_of_other_columns_too(void **state)
{
    (void)state;
    static const char good[] = "file,label,x\np0.png,a,1\n";
    static const char *const two[] = {"label", "x"};
    static const char *const names[] = {"a", "c"};
    struct dc_source_spec spec = spec_of("train");
    spec.file_column = "where";
    check_refused(good, &spec, "t.csv:1:1: error: no column 'where'");
    spec = spec_of("train");
    spec.split_column = "part";
    check_refused(good, &spec, "t.csv:1:1: error: no column 'part'");
    spec = spec_of("train");
    spec.label_columns = two;
    spec.label_column_count = 2;
    check_refused(good, &spec, "classes are one column");
    spec = spec_of("train");
    spec.class_names = names;
    spec.class_count = 2;
    check_refused("file,label\np0.png,a\np1.png,b\n", &spec,
                  "t.csv:3:8: error: 'b' is not one of the classes named");
    spec = spec_of("train");
    spec.label_kind = DC_LABELS_VALUES;
    check_refused("file,label\np0.png,1\np1.png,nan\n", &spec,
                  "t.csv:3:8: error: 'nan' in column 'label' is no finite number");
    check_refused("file,label\np0.png,3.4e38\np1.png,1e39\n", &spec,
                  "t.csv:3:8: error: '1e39' in column 'label' is more than float32 holds");
    spec.label_kind = DC_LABELS_TAGS;
    check_refused("file,label\np0.png,;\np1.png,\n", &spec, "t.csv: no row has a tag");
    spec.label_columns = two;
    spec.label_column_count = 2;
    check_refused("file,label,x\np0.png,0,1\np1.png,1,2\n", &spec,
                  "t.csv:3:10: error: '2' in column 'x' is neither 0 nor 1");
    spec = (struct dc_source_spec){
        .kind = "photos", .path = ".", .split = "train", .label_kind = DC_LABELS_VALUES};
    check_refused(good, &spec, "values or tags stand in a table, a .csv file");
}

static int set_up(void **state)
{
    (void)state;
    if (chdir(test_folder()) != 0 || mkdir("sub dir", 0777) != 0)
        return 1;
    for (int i = 0; i < FILES; i++) {
        char path[64];
        const uint16_t pixel = (uint16_t)i;
        snprintf(path, sizeof path, i == 5 ? "sub dir/p%d.png" : "p%d.png", i);
        test_write_png(test_path(path), &(struct test_png){1, 1, 8, 0, false, &pixel, NULL, 0});
    }
    const uint16_t five = 5;
    test_write_png(test_path("p5.png"), &(struct test_png){1, 1, 8, 0, false, &five, NULL, 0});
    return 0;
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
        cmocka_unit_test(a_split_column_is_obeyed), cmocka_unit_test(a_share_is_cut),
        cmocka_unit_test(values_and_tags_are_read), cmocka_unit_test(they_become_hdf5),
        cmocka_unit_test(mistakes_have_their_line), cmocka_unit_test(mistakes_of_other_columns_too),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

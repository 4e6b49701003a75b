// Recordings as samples: windows, channels, labels by folder and by column, splits by recording.

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
#include <unistd.h>
#include <cmocka.h>
// clang-format on

#include "core/file.h"
#include "data/split.h"
#include "tests/core/helper_folder.h"

static struct dc_error error;

static void put(const char *path, const char *text)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", test_path(path));
    *strrchr(folder, '/') = '\0';
    assert_int_equal(dc_make_directory(folder, &error), DC_OK);
    test_write(test_path(path), text, strlen(text));
}

// Rows "first + row, -row".
static void put_rows(const char *path, const char *header, int first, int rows)
{
    char text[4096] = "";
    size_t used = (size_t)snprintf(text, sizeof text, "%s", header);
    for (int i = 0; i < rows; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d,%d\n", first + i, -i);
    put(path, text);
}

static struct dc_source_spec spec_of(const char *path, const char *split)
{
    return (struct dc_source_spec){.path = path,
                                   .split = split,
                                   .test_share = 0.25,
                                   .split_seed = 1,
                                   .window = 4,
                                   .stride = 3};
}

static struct dc_source *open_ok(const struct dc_source_spec *spec)
{
    struct dc_source *source = NULL;
    if (dc_source_open(&source, spec, &error) != DC_OK)
        fail_msg("%s", error.message);
    return source;
}

static void check_refused(const struct dc_source_spec *spec, const char *words)
{
    struct dc_source *source = NULL;
    assert_int_not_equal(dc_source_open(&source, spec, &error), DC_OK);
    if (!strstr(error.message, words))
        fail_msg("'%s', not '%s'", error.message, words);
}

// Eight recordings of two classes, of which the share takes one of each.
static void windows_are_cut_and_recordings_are_not(void **state)
{
    (void)state;
    char path[64];
    int seen[8] = {0}, windows = 0;
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "s/%s/%d.csv", i % 2 ? "up" : "down", i);
        put_rows(path, "x,y\n", 100 * i, 11);  // windows from 0, 3 and 6
    }
    for (int part = 0; part < 2; part++) {
        const struct dc_source_spec spec = spec_of("s", part ? "test" : "train");
        assert_string_equal(dc_source_kind_of(&spec), "series");
        struct dc_source *source = open_ok(&spec);
        assert_true(dc_shape_equal(&source->sample, &DC_SHAPE(4, 1, 2)));
        assert_int_equal(source->dtype, DC_F32);
        assert_int_equal(source->count, part ? 6 : 18);
        windows += (int)source->count;
        for (int64_t id = 0; id < source->count; id++) {
            float values[8];
            assert_int_equal(dc_source_read(source, id, values, &error), DC_OK);
            const int recording = (int)values[0] / 100, start = (int)values[0] % 100;
            assert_int_equal(start, 3 * (id % 3));
            for (int row = 0; row < 4; row++) {
                assert_true(values[2 * row] == (float)(100 * recording + start + row));
                assert_true(values[2 * row + 1] == (float)-(start + row));
            }
            assert_int_equal(source->labels[id], recording % 2);
            assert_int_equal(source->groups[id], id / 3);
            assert_true(seen[recording] == 0 || seen[recording] == 1 + part);
            seen[recording] = 1 + part;
        }
        assert_string_equal(source->class_names[1], "up");
        dc_source_free(source);
    }
    assert_int_equal(windows, 24);
}

// The windows of a recording stay together in HDF5 too.
static void they_become_hdf5(void **state)
{
    (void)state;
    struct dc_source_spec spec = spec_of("s", "train");
    struct dc_source *train = open_ok(&spec), *back = NULL;
    assert_int_equal(dc_source_to_hdf5(train, NULL, "s.h5", NULL, &error), DC_OK);
    spec = dc_source_spec_of("s.h5", "train");
    back = open_ok(&spec);
    assert_true(back->hash == train->hash);
    assert_memory_equal(back->labels, train->labels, sizeof(int32_t) * (size_t)train->count);
    assert_memory_equal(back->groups, train->groups, sizeof(int64_t) * (size_t)train->count);
    dc_source_free(train);
    dc_source_free(back);
}

// Validation takes whole recordings, of each class its share, and at least one.
static void validation_is_of_whole_recordings(void **state)
{
    const struct dc_source_spec spec = spec_of("s", "train");
    struct dc_source *source = open_ok(&spec);
    int64_t *train, *validation, n_train, n_validation;
    static const struct {
        int64_t wanted, got;
    } cases[] = {{0, 0}, {1, 3}, {3, 3}, {5, 6}, {6, 6}, {17, 15}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool taken[64] = {false};
        assert_int_equal(dc_split_validation(&train, &n_train, &validation, &n_validation, source,
                                             cases[i].wanted, 1, *state, &error),
                         DC_OK);
        assert_int_equal(n_validation, cases[i].got);
        assert_int_equal(n_train + n_validation, source->count);
        for (int64_t k = 0; k < n_validation; k++)
            taken[source->groups[validation[k]]] = true;
        for (int64_t k = 0; k < n_train; k++)
            assert_false(taken[source->groups[train[k]]]);
    }
    dc_source_free(source);
}

static void columns_are_chosen_and_headers_are_optional(void **state)
{
    (void)state;
    static const char *const columns[] = {"y"};
    struct dc_source_spec spec = spec_of("s", "train");
    spec.channel_columns = columns;
    spec.channel_column_count = 1;
    struct dc_source *source = open_ok(&spec);
    float values[4];
    assert_int_equal(source->sample.dims[2], 1);
    assert_int_equal(dc_source_read(source, 1, values, &error), DC_OK);
    assert_true(values[0] == -3.0f && values[3] == -6.0f);
    dc_source_free(source);
    for (int i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof path, "plain/%s/%d.csv", i % 2 ? "up" : "down", i);
        put_rows(path, "", 7, 4);
    }
    spec = spec_of("plain", "train");
    spec.test_share = 0.5;
    spec.stride = 0;  // the window
    source = open_ok(&spec);
    assert_int_equal(source->count, 2);
    assert_int_equal(dc_source_read(source, 0, (float[8]){0}, &error), DC_OK);
    dc_source_free(source);
    spec.channel_columns = columns;
    spec.channel_column_count = 1;
    check_refused(&spec, ".csv:1:1: error: channel_columns are names: the first row must name");
}

// Labels in a column: windows where it changes are left out, and both parts know the same classes.
static void labels_may_stand_in_the_recordings(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        char path[64], text[512] = "t,activity\n";
        for (int row = 0; row < 16; row++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%s\n", row,
                     row < 8 ? "rest" : "go");
        snprintf(path, sizeof path, "flat/%d.csv", i);
        put(path, text);
    }
    static const char *const label[] = {"activity"};
    for (int part = 0; part < 2; part++) {
        struct dc_source_spec spec = spec_of("flat", part ? "test" : "train");
        spec.label_columns = label;
        spec.label_column_count = 1;
        struct dc_source *source = open_ok(&spec);
        assert_int_equal(source->count, (part ? 1 : 3) * 4);  // from 0, 3 | 9, 12; 6 is mixed
        assert_int_equal(source->sample.dims[2], 1);
        for (int64_t id = 0; id < source->count; id++) {
            float values[4];
            assert_int_equal(dc_source_read(source, id, values, &error), DC_OK);
            assert_int_equal(source->labels[id], values[0] < 8.0f);  // "go" is before "rest"
        }
        assert_non_null(strstr(source->note, "windows in which the label changes are not used"));
        dc_source_free(source);
    }
    const struct dc_source_spec spec = spec_of("flat", "train");
    check_refused(&spec, "flat/0.csv:1:1: error: no column 'label' in the header; there are t, "
                         "activity");
}

static void tables_list_recordings_too(void **state)
{
    (void)state;
    const char text[] = "file,label,split\ns/up/1.csv,0.5,train\ns/down/2.csv,-1,test\n";
    test_write(test_path("r.csv"), text, strlen(text));
    struct dc_source_spec spec = spec_of("r.csv", "train");
    assert_string_equal(dc_source_kind_of(&spec), "series");
    spec.label_kind = DC_LABELS_VALUES;
    struct dc_source *source = open_ok(&spec);
    assert_int_equal(source->count, 3);
    assert_null(source->labels);
    for (int i = 0; i < 3; i++)
        assert_true(source->targets[i] == 0.5f);
    dc_source_free(source);
}

static void mistakes_have_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"x,y\n1,2\n", "bad/a/1.csv: has 1 rows, fewer than a window of 4"},
        {"x,y\n1,2\n1,nan\n1,2\n1,2\n",
         "bad/a/1.csv:3:3: error: 'nan' in column 2 is no finite number"},
        {"x,y\n1,2\n1,\n1,2\n1,2\n", "bad/a/1.csv:3:3: error: '' in column 2 is no finite"},
        {"x,y\n1,2\n1,-1e39\n1,2\n1,2\n",
         "bad/a/1.csv:3:3: error: '-1e39' in column 2 is more than float32 holds"},
        {"x,y\n1,2\n1,2,3\n", "bad/a/1.csv:3:1: error: 3 fields in this row, and 2 in the first"},
        {"x,z\n1,2\n1,2\n1,2\n1,2\n",
         "bad/a/1.csv:1:3: error: column 2 is 'z', and 'y' in bad/a/0.csv"},
        {"1,2\n1,2\n1,2\n1,2\n",
         "bad/a/1.csv:1:1: error: is without a header, and bad/a/0.csv has one"},
        {"x\n1\n1\n1\n1\n", "bad/a/1.csv:1:1: error: 1 columns, and bad/a/0.csv has 2"},
    };
    put_rows("bad/a/0.csv", "x,y\n", 0, 9);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dc_source_spec spec = spec_of("bad", "train");
        spec.test_share = 0.0;
        put("bad/a/1.csv", cases[i].text);
        check_refused(&spec, cases[i].words);
    }
    struct dc_source_spec spec = spec_of("s", "train");
    spec.window = 0;
    check_refused(&spec, "give window: 128");
    put("bad/a/1.txt", "x");
    spec = spec_of("bad", "train");
    check_refused(&spec, "bad/a/1.txt: is no recording by its name; .csv is read");
}

static int set_up(void **state)
{
    struct dc_arena *arena = NULL;
    if (chdir(test_folder()) != 0 || dc_arena_create(&arena, NULL) != DC_OK)
        return 1;
    *state = arena;
    return 0;
}

static int tear_down(void **state)
{
    dc_arena_free(*state);
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_cut_and_recordings_are_not),
        cmocka_unit_test(they_become_hdf5),
        cmocka_unit_test(validation_is_of_whole_recordings),
        cmocka_unit_test(columns_are_chosen_and_headers_are_optional),
        cmocka_unit_test(labels_may_stand_in_the_recordings),
        cmocka_unit_test(tables_list_recordings_too),
        cmocka_unit_test(mistakes_have_their_line),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

// Operators that move values and compute none, y[o] = x[source(o)], or `otherwise` where source is
// -1; and when moving costs nothing.

#include "helper_operators.h"

#include <stdlib.h>
#include <string.h>

#include "tests/core/helper_folder.h"

static int64_t flat(int64_t o)
{
    return o;
}
static int64_t transposed_hw(int64_t o)  // [.., 4, 6] from [.., 6, 4]
{
    return o / 24 * 24 + o % 6 * 4 + o / 6 % 4;
}
static int64_t backwards(int64_t o)  // every second column from the last, of 4
{
    return o / 2 * 4 + 3 - 2 * (o % 2);
}
static int64_t rows_1_3(int64_t o)  // h 1 to 3 of 6, w 4
{
    return o / 8 * 24 + 4 + o % 8;
}
static int64_t second_half(int64_t o)  // channels 3 to 5 of 6, pixels 24
{
    return o / 72 * 144 + 72 + o % 72;
}
static int64_t shuffled(int64_t o)  // channel c of 6 is channel c % 2 * 3 + c / 2
{
    const int64_t c = o / 24 % 6;
    return o / 144 * 144 + (c % 2 * 3 + c / 2) * 24 + o % 24;
}
static int64_t gathered(int64_t o)  // channels 4, 0, 5
{
    static const int64_t channels[] = {4, 0, 5};
    return o / 72 * 144 + channels[o / 24 % 3] * 24 + o % 24;
}
static int64_t channel_2(int64_t o)
{
    return o / 24 * 144 + 48 + o % 24;
}
static int64_t reflected(int64_t o)  // one row above and below, two columns left: [8, 6] of [6, 4]
{
    const int64_t y = labs((long)(o / 6 % 8) - 1), x = labs((long)(o % 6) - 2);
    return o / 48 * 24 + (y > 5 ? 10 - y : y) * 4 + x;
}
static int64_t edged(int64_t o)
{
    const int64_t y = o / 6 % 8 - 1, x = o % 6 - 2;
    return o / 48 * 24 + (y < 0 ? 0 : y > 5 ? 5 : y) * 4 + (x < 0 ? 0 : x);
}
static int64_t padded(int64_t o)
{
    const int64_t y = o / 6 % 8 - 1, x = o % 6 - 2;
    return y < 0 || y > 5 || x < 0 ? -1 : o / 48 * 24 + y * 4 + x;
}
static int64_t doubled(int64_t o)  // [12, 8] of [6, 4]
{
    return o / 96 * 24 + o / 8 % 12 / 2 * 4 + o % 8 / 2;
}
static int64_t twice(int64_t o)  // channels 0 to 5, then 0 to 5
{
    return o / 288 * 144 + o % 144;
}
static int64_t repeated(int64_t o)  // [6, 24, 2] of [6, 24, 1]
{
    return o / 2;
}
static int64_t to_depth(int64_t o)  // [24, 3, 2] of [6, 6, 4]: channels by row, column, channel
{
    const int64_t c = o / 6 % 24, y = o / 2 % 3 * 2 + c / 12, x = o % 2 * 2 + c / 6 % 2;
    return o / 144 * 144 + c % 6 * 24 + y * 4 + x;
}
static int64_t to_space(int64_t o)  // [3, 6, 8] of [12, 3, 4]: row and column of a block first
{
    const int64_t y = o / 8 % 6, x = o % 8, c = (y % 2 * 2 + x % 2) * 3 + o / 48 % 3;
    return o / 144 * 144 + c * 12 + y / 2 * 4 + x / 2;
}
static int64_t to_space_by_channel(int64_t o)  // the channel first
{
    const int64_t y = o / 8 % 6, x = o % 8, c = o / 48 % 3 * 4 + y % 2 * 2 + x % 2;
    return o / 144 * 144 + c * 12 + y / 2 * 4 + x / 2;
}
static int64_t tiled(int64_t o)  // [12, 24] of [6, 24]: the first axis twice over
{
    return o / 288 * 144 + o / 24 % 12 % 6 * 24 + o % 24;
}
static int64_t widened(int64_t o)  // rows apart, [batch * 6, 3, 24] of [batch * 6, 1, 24]
{
    return o / 72 * 24 + o % 24;
}
static int64_t picked(int64_t o)  // [3, 4] at channels and rows (4, 0), (5, 3), (2, 2)
{
    static const int64_t rows[] = {4 * 6 + 0, 5 * 6 + 3, 2 * 6 + 2};
    return o / 12 * 144 + rows[o / 4 % 3] * 4 + o % 4;
}

static const struct move {
    const char *name;
    int opset;
    const char *nodes[6][4];  // op, inputs, outputs, attributes
    int64_t count;            // of a row
    int64_t (*source)(int64_t o);
    double otherwise;
} moves[] = {
    {"reshape_whole", 13, {{"Reshape", "x s_8_18", "y", ""}}, 144, flat, 0},
    {"reshape_split",
     13,
     {{"Reshape", "x s_0_2_3_24", "a", ""}, {"Reshape", "a s_0_6_24", "y", ""}},
     144,
     flat,
     0},
    {"flatten", 9, {{"Flatten", "x", "y", ""}}, 144, flat, 0},
    {"flatten_minus", 11, {{"Flatten", "x", "y", "axis=-3"}}, 144, flat, 0},
    {"transpose", 13, {{"Transpose", "x", "y", "perm=0,1,3,2"}}, 144, transposed_hw, 0},
    {"there_and_back",
     13,
     {{"Transpose", "x", "a", "perm=0,2,3,1"}, {"Transpose", "a", "y", "perm=0,3,1,2"}},
     144,
     flat,
     0},
    {"squeeze_9",
     9,
     {{"Unsqueeze", "x", "a", "axes=2,"}, {"Squeeze", "a", "y", "axes=2,"}},
     144,
     flat,
     0},
    {"squeeze_13",
     13,
     {{"Unsqueeze", "x i2", "a", ""}, {"Squeeze", "a i2", "y", ""}},
     144,
     flat,
     0},
    {"slice_9", 9, {{"Slice", "x", "y", "starts=1, ends=3, axes=2,"}}, 48, rows_1_3, 0},
    {"slice_backwards", 13, {{"Slice", "x last least i3 minus2", "y", ""}}, 72, backwards, 0},
    {"split_9", 9, {{"Split", "x", "a y", "axis=1 split=3,3"}}, 72, second_half, 0},
    {"split_13", 13, {{"Split", "x i33", "a y", "axis=1"}}, 72, second_half, 0},
    {"split_18", 18, {{"Split", "x", "a y", "axis=1 num_outputs=2"}}, 72, second_half, 0},
    {"shuffle",
     13,
     {{"Reshape", "x s_0_2_3_24", "a", ""},
      {"Transpose", "a", "b", "perm=0,2,1,3"},
      {"Reshape", "b s_0_6_6_4", "y", ""}},
     144,
     shuffled,
     0},
    {"gather", 13, {{"Gather", "x i405", "y", "axis=1"}}, 72, gathered, 0},
    {"gather_one", 13, {{"Gather", "x two", "y", "axis=1"}}, 24, channel_2, 0},
    {"space_to_depth", 13, {{"SpaceToDepth", "x", "y", "blocksize=2"}}, 144, to_depth, 0},
    {"depth_to_space",
     13,
     {{"Reshape", "x s_0_12_3_4", "a", ""}, {"DepthToSpace", "a", "y", "blocksize=2"}},
     144,
     to_space,
     0},
    {"depth_to_space_crd",
     13,
     {{"Reshape", "x s_0_12_3_4", "a", ""}, {"DepthToSpace", "a", "y", "blocksize=2 mode:CRD"}},
     144,
     to_space_by_channel,
     0},
    {"gather_nd",
     13,
     {{"Transpose", "x", "a", "perm=1,2,0,3"},
      {"Reshape", "i405322 s_3_2", "i", ""},
      {"GatherND", "a i", "b", ""},
      {"Transpose", "b", "y", "perm=1,0,2"}},
     12,
     picked,
     0},
    {"tile", 13, {{"Reshape", "x s_0_6_24", "a", ""}, {"Tile", "a i121", "y", ""}}, 288, tiled, 0},
    {"tile_of_constant",
     13,
     {{"Tile", "i23 two", "s", ""},
      {"Concat", "i0 s", "t", "axis=0"},
      {"Concat", "t i4", "u", "axis=0"},
      {"Reshape", "x u", "y", ""}},
     144,
     flat,
     0},
    {"expand_beside_the_batch",
     13,
     {{"Reshape", "x s_m_1_24", "a", ""},
      {"Expand", "a s_1_3_24", "b", ""},
      {"Reshape", "b s_n_6_72", "y", ""}},
     432,
     widened,
     0},
    {"concat", 13, {{"Concat", "x x", "y", "axis=1"}}, 288, twice, 0},
    {"pad_reflect", 13, {{"Pad", "x pads", "y", "mode:reflect"}}, 288, reflected, 0},
    {"pad_edge", 13, {{"Pad", "x pads", "y", "mode:edge"}}, 288, edged, 0},
    {"pad_value", 13, {{"Pad", "x pads half", "y", ""}}, 288, padded, 0.5},
    {"pad_9", 9, {{"Pad", "x", "y", "pads=0,0,1,2,0,0,1,0 value~0.25"}}, 288, padded, 0.25},
    {"pad_18", 18, {{"Pad", "x pads_hw - i23", "y", ""}}, 288, padded, 0},
    {"upsample_9", 9, {{"Upsample", "x scales", "y", ""}}, 576, doubled, 0},
    {"resize_10", 10, {{"Resize", "x scales", "y", ""}}, 576, doubled, 0},
    {"resize_sizes", 13, {{"Resize", "x - - sizes", "y", "mode:nearest"}}, 576, doubled, 0},
    {"expand",
     13,
     {{"Reshape", "x s_0_6_24_1", "a", ""}, {"Expand", "a s_1_6_24_2", "y", ""}},
     288,
     repeated,
     0},
    // The batch through integer arithmetic: Shape, Gather, Mul, Div, Concat, Where.
    {"shape_arithmetic",
     13,
     {{"Shape", "x", "s", ""},
      {"Gather", "s i0", "n", ""},
      {"Mul", "n i2", "a", ""},
      {"Div", "a i2", "b", ""},
      {"Concat", "b minus1", "c", "axis=0"},
      {"Reshape", "x c", "y", ""}},
     144,
     flat,
     0},
};

static void add_constants(void)
{
    static const struct {
        const char *name;
        int count;
        int64_t values[8];
    } lists[] = {
        {"s_8_18", 3, {0, 8, 18}},
        {"s_0_2_3_24", 4, {0, 2, 3, 24}},
        {"s_0_12_3_4", 4, {0, 12, 3, 4}},
        {"s_3_2", 2, {3, 2}},
        {"s_m_1_24", 3, {-1, 1, 24}},
        {"s_1_3_24", 3, {1, 3, 24}},
        {"s_n_6_72", 3, {-1, 6, 72}},
        {"i121", 3, {1, 2, 1}},
        {"i4", 1, {4}},
        {"i405322", 6, {4, 0, -1, 3, 2, 2}},
        {"s_0_6_24", 3, {0, 6, 24}},
        {"s_0_6_6_4", 4, {0, 6, 6, 4}},
        {"s_0_6_24_1", 4, {0, 6, 24, 1}},
        {"s_1_6_24_2", 4, {1, 6, 24, 2}},
        {"i0", 1, {0}},
        {"i2", 1, {2}},
        {"i3", 1, {3}},
        {"i33", 2, {3, 3}},
        {"i23", 2, {2, 3}},
        {"i405", 3, {4, 0, -1}},
        {"minus1", 1, {-1}},
        {"minus2", 1, {-2}},
        {"last", 1, {-1}},
        {"least", 1, {INT64_MIN}},
        {"pads", 8, {0, 0, 1, 2, 0, 0, 1, 0}},
        {"pads_hw", 4, {1, 2, 1, 0}},
        {"sizes", 4, {0, 6, 12, 8}},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        onnx_integers(&onnx_case, lists[i].name, lists[i].count, lists[i].values);
    onnx_integers(&onnx_case, "two", 1, (int64_t[]){2});
    onnx_case.tensors[onnx_case.graph.n_initializer - 1].n_dims = 0;  // a number, not a list
    onnx_floats(&onnx_case, "half", 0, NULL)[0] = 0.5f;
    memcpy(onnx_floats(&onnx_case, "scales", 1, (int64_t[]){4}), (float[]){1, 1, 2, 2}, 16);
}

static void movements(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof moves / sizeof moves[0]; k++) {
        const struct move *m = &moves[k];
        onnx_start(m->opset, 4, (int64_t[]){0, 6, 6, 4});
        add_constants();
        for (int n = 0; n < 6 && m->nodes[n][0]; n++)
            onnx_node(&onnx_case, m->nodes[n][0], m->nodes[n][1], m->nodes[n][2], m->nodes[n][3]);
        for (int64_t o = 0; o < ONNX_ROWS * m->count; o++) {
            const int64_t from = m->source(o);
            onnx_expected[o] = from < 0 ? m->otherwise : (double)onnx_image[from];
            onnx_magnitude[o] = 0.0;  // moved, not computed
        }
        onnx_compare(m->name, ONNX_ROWS * m->count, 0.0);
    }
}

// An export for one sample says 1 for the batch, also in shapes: it runs on several all the same.
static void a_batch_of_one_in_the_file_is_any_batch(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {  // through [4, 1, 18], [4, 1 * 6, 3] and [4 * 1, 18]
        onnx_start(13, 3, (int64_t[]){1, 4, 18});
        onnx_integers(&onnx_case, "s", k == 2 ? 2 : 3,
                      k == 2 ? (int64_t[]){4, 18} : (int64_t[]){4, 6, 3});
        onnx_integers(&onnx_case, "t", 3, (int64_t[]){4, 1, 18});
        onnx_node(&onnx_case, "Transpose", "x", "a", "perm=1,0,2");
        if (k == 0) {
            onnx_node(&onnx_case, "Relu", "a", "b", "");
        } else {
            onnx_node(&onnx_case, "Reshape", "a s", "c", "");
            onnx_node(&onnx_case, "Relu", "c", "d", "");
            onnx_node(&onnx_case, "Reshape", "d t", "b", "");
        }
        onnx_node(&onnx_case, "Transpose", "b", "y", "perm=1,0,2");
        for (int i = 0; i < ONNX_ROWS * 72; i++) {
            onnx_expected[i] = onnx_image[i] < 0 ? 0.0 : (double)onnx_image[i];
            onnx_magnitude[i] = 0.0;
        }
        onnx_compare("one_sample", ONNX_ROWS * 72, 0.0);
    }
}

static int count_ops(const char *op)
{
    struct dc_imported *onnx;
    struct dc_error error;
    int count = 0;
    onnx_save(&onnx_case, test_path("model.onnx"), "y");
    if (dc_onnx_read(&onnx, test_path("model.onnx"), NULL, &error) != DC_OK)
        fail_msg("%s", error.message);
    for (int i = 0; i < onnx->graph->count; i++)
        count += strcmp(onnx->graph->nodes[i].op->name, op) == 0;
    dc_imported_free(onnx);
    return count;
}

// Channels first in the file and last in memory cost nothing; a channel shuffle costs one.
static void transpositions_stand_only_where_memory_moves(void **state)
{
    (void)state;
    onnx_start(17, 4, (int64_t[]){0, 4, 6, 6});
    onnx_floats(&onnx_case, "w", 4, (int64_t[]){4, 4, 3, 3});
    onnx_floats(&onnx_case, "g", 1, (int64_t[]){4});
    onnx_floats(&onnx_case, "d", 2, (int64_t[]){64, 5});
    onnx_node(&onnx_case, "Conv", "x w", "a", "pads=1,1,1,1");
    onnx_node(&onnx_case, "Transpose", "a", "b", "perm=0,2,3,1");
    onnx_node(&onnx_case, "LayerNormalization", "b g", "c", "");
    onnx_node(&onnx_case, "Transpose", "c", "e", "perm=0,3,1,2");
    onnx_node(&onnx_case, "Add", "e a", "f", "");
    onnx_node(&onnx_case, "Conv", "f w", "h", "");
    onnx_node(&onnx_case, "Flatten", "h", "i", "");
    onnx_node(&onnx_case, "Gemm", "i d", "y", "");
    assert_int_equal(count_ops("transpose"), 0);
    onnx_start(13, 4, (int64_t[]){0, 4, 6, 6});
    onnx_floats(&onnx_case, "w", 4, (int64_t[]){2, 2, 3, 3});
    onnx_integers(&onnx_case, "s", 5, (int64_t[]){0, 2, 2, 6, 6});
    onnx_integers(&onnx_case, "t", 4, (int64_t[]){0, 4, 6, 6});
    onnx_node(&onnx_case, "Reshape", "x s", "a", "");
    onnx_node(&onnx_case, "Transpose", "a", "b", "perm=0,2,1,3,4");
    onnx_node(&onnx_case, "Reshape", "b t", "c", "");
    onnx_node(&onnx_case, "Split", "c", "d e", "axis=1");
    onnx_node(&onnx_case, "Conv", "e w", "f", "pads=1,1,1,1");
    onnx_node(&onnx_case, "Concat", "d f", "y", "axis=1");
    assert_int_equal(count_ops("transpose"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(movements),
        cmocka_unit_test(a_batch_of_one_in_the_file_is_any_batch),
        cmocka_unit_test(transpositions_stand_only_where_memory_moves),
    };
    test_folder();
    return cmocka_run_group_tests(tests, NULL, onnx_close);
}

// Damaged ONNX files: a reader may refuse them, and must neither crash, nor hang, nor take memory
// without bound. Run under the sanitizers (build-asan) for what a plain build does not notice.
//
// Seeds are the files of tests/faults/onnx. Mutations follow a counter-based generator, so that a
// failing one is found again by its number: DECANT_FUZZ_FIRST=NUMBER. DECANT_FUZZ=SECONDS runs that
// long instead of a fixed count.

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/plan.h"
#include "core/random.h"
#include "formats/onnx.h"
#include "tests/core/helper_folder.h"

enum { SEEDS_MOST = 256, FIXED_COUNT = 3000, RUN_MOST = 1 << 22 };

static struct dc_arena *arena;
static struct dc_error error;
static char *seeds[SEEDS_MOST];
static size_t sizes[SEEDS_MOST];
static int seed_count;

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_seeds(void)
{
    static char *names[SEEDS_MOST];
    const char *folder = DECANT_SOURCE_DIR "/tests/faults/onnx";
    DIR *stream = opendir(folder);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) && seed_count < SEEDS_MOST;)
        if (entry->d_name[0] != '.')
            names[seed_count++] = dc_arena_printf(arena, &error, "%s/%s", folder, entry->d_name);
    closedir(stream);
    qsort(names, (size_t)seed_count, sizeof *names, compare_names);
    for (int i = 0; i < seed_count; i++)
        assert_int_equal(dc_file_read(&seeds[i], &sizes[i], names[i], arena, &error), DC_OK);
    assert_true(seed_count > 0);
}

// Reads the file; one sample is run where the network is small. Returns whether it was taken.
static bool try_file(const char *path)
{
    struct dc_onnx *onnx;
    struct dc_ctx *ctx = NULL;
    struct dc_plan *plan = NULL;
    const struct dc_ctx_config settings = {.threads = 1};
    if (dc_onnx_read(&onnx, path, NULL, &error) != DC_OK)
        return false;
    int64_t total = 0;
    for (int i = 0; i < onnx->graph->count; i++)
        total += dc_shape_row(&onnx->graph->nodes[i].shape);
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = 1, .outputs = &onnx->output, .output_count = 1};
    if (total < RUN_MOST && dc_graph_macs(onnx->graph) < RUN_MOST &&
        dc_ctx_create(&ctx, &settings, &error) == DC_OK &&
        dc_plan_create(&plan, ctx, onnx->graph, &config, &error) == DC_OK) {
        float *x = calloc((size_t)dc_shape_row(&onnx->graph->nodes[onnx->input].shape), sizeof *x);
        assert_non_null(x);
        dc_plan_bind(plan, onnx->input, x);
        (void)!dc_plan_forward(plan, onnx->params, 1, NULL, &error);
        free(x);
    }
    dc_plan_free(plan);
    dc_ctx_free(ctx);
    dc_onnx_free(onnx);
    return true;
}

// One to eight changes: a bit, a byte, a number of several bytes, a run cut out, doubled or taken
// from another seed.
static size_t mutate(uint8_t *to, size_t room, uint64_t number)
{
    static const uint8_t tempting[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x08, 0x10, 0x12};
    struct dc_random random;
    dc_random_start(&random, 1, DC_PURPOSE_TEST, 0, number);
    const uint32_t seed = dc_random_below(&random, (uint32_t)seed_count);
    size_t size = sizes[seed] < room ? sizes[seed] : room;
    memcpy(to, seeds[seed], size);
    for (uint32_t n = 1 + dc_random_below(&random, 8); n > 0 && size > 0; n--) {
        const size_t at = dc_random_below(&random, (uint32_t)size);
        size_t length = 1 + dc_random_below(&random, 32);
        length = length < size - at ? length : size - at;
        const uint32_t other = dc_random_below(&random, (uint32_t)seed_count);
        switch (dc_random_below(&random, 7)) {
        case 0:
            to[at] ^= (uint8_t)(1u << dc_random_below(&random, 8));
            break;
        case 1:
            to[at] = tempting[dc_random_below(&random, sizeof tempting)];
            break;
        case 2:
            to[at] = (uint8_t)dc_random_u32(&random);
            break;
        case 3:
            memset(to + at, (int)dc_random_u32(&random) | 0x80, length);
            break;
        case 4:  // cut out
            memmove(to + at, to + at + length, size - at - length);
            size -= length;
            break;
        case 5:  // double
            if (size + length <= room) {
                memmove(to + at + length, to + at, size - at);
                size += length;
            }
            break;
        default:
            if (sizes[other] >= length)
                memcpy(to + at,
                       seeds[other] +
                           dc_random_below(&random, (uint32_t)(sizes[other] - length + 1)),
                       length);
        }
    }
    return size;
}

static void damaged_files_are_refused_or_read(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 16];
    const char *first = getenv("DECANT_FUZZ_FIRST"), *seconds = getenv("DECANT_FUZZ");
    const double end = seconds ? dc_seconds() + atof(seconds) : 0.0;
    const uint64_t start = first ? strtoull(first, NULL, 10) : 0;
    uint64_t number = start, taken = 0;
    const char *path = test_path("mutated.onnx");
    for (; seconds ? dc_seconds() < end : number < start + FIXED_COUNT; number++) {
        const size_t size = mutate(bytes, sizeof bytes, number);
        if (getenv("DECANT_FUZZ_SHOW"))
            fprintf(stderr, "%llu\n", (unsigned long long)number);
        (void)remove(path);  // a file cut and written anew is flushed by some file systems
        test_write(path, bytes, size);
        taken += try_file(path);
    }
    printf("%llu mutations of %d seeds, %llu of them still networks\n",
           (unsigned long long)(number - start), seed_count, (unsigned long long)taken);
    assert_true(taken < number - start);
}

static void seeds_are_read_as_they_say(void **state)
{
    (void)state;
    for (int i = 0; i < seed_count; i++) {
        const char *path = test_path("seed.onnx");
        test_write(path, seeds[i], sizes[i]);
        (void)try_file(path);
    }
}

static int close_all(void **state)
{
    (void)state;
    dc_arena_free(arena);
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_are_read_as_they_say),
        cmocka_unit_test(damaged_files_are_refused_or_read),
    };
    const struct rlimit memory = {INT64_C(8) << 30, INT64_C(8) << 30};
#if !defined(__SANITIZE_ADDRESS__)  // whose shadow is larger
    setrlimit(RLIMIT_AS, &memory);
#else
    (void)memory;
#endif
    if (dc_arena_create(&arena, &error) != DC_OK)
        return 1;
    test_folder();
    read_seeds();
    return cmocka_run_group_tests(tests, NULL, close_all);
}

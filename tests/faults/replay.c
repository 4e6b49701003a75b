// Gives a fuzz entry the files of a folder, and mutations of them: what libFuzzer does, for builds
// that have none. Usage: PROGRAM FOLDER [COUNT]
//
// Mutations follow a counter-based generator, so that a failing one is found again by its number:
// DECANT_FUZZ_SHOW=1 prints each before it is tried, DECANT_FUZZ_FIRST=NUMBER starts with it,
// DECANT_FUZZ=SECONDS runs that long instead of a fixed count.

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/random.h"
#include "tests/faults/fuzz.h"

enum { SEEDS_MOST = 256 };

static struct dc_arena *arena;
static struct dc_error error;
static char *seeds[SEEDS_MOST];
static size_t sizes[SEEDS_MOST];
static int seed_count;

static void check(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_seeds(const char *folder)
{
    static char *names[SEEDS_MOST];
    DIR *stream = opendir(folder);
    check(stream != NULL, folder);
    for (struct dirent *entry; (entry = readdir(stream)) && seed_count < SEEDS_MOST;)
        if (entry->d_name[0] != '.')
            names[seed_count++] = dc_arena_printf(arena, &error, "%s/%s", folder, entry->d_name);
    closedir(stream);
    qsort(names, (size_t)seed_count, sizeof *names, compare_names);
    for (int i = 0; i < seed_count; i++)
        check(dc_file_read(&seeds[i], &sizes[i], names[i], arena, &error) == DC_OK, error.message);
    check(seed_count > 0, "no seeds");
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

// Each input lies in memory of its own size, so that a sanitizer sees what is read behind it.
static void try_bytes(const uint8_t *bytes, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    check(exact != NULL, "out of memory");
    memcpy(exact, bytes, size);
    check(LLVMFuzzerTestOneInput(exact, size) == 0, "an entry returns 0");
    free(exact);
}

int main(int argc, char **argv)
{
    static uint8_t bytes[1 << 16];
    const char *first = getenv("DECANT_FUZZ_FIRST"), *seconds = getenv("DECANT_FUZZ");
    const double end = seconds ? dc_seconds() + atof(seconds) : 0.0;
    const uint64_t start = first ? strtoull(first, NULL, 10) : 0;
    const uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t number = start;
#if !defined(__SANITIZE_ADDRESS__)  // whose shadow is larger
    const struct rlimit memory = {INT64_C(8) << 30, INT64_C(8) << 30};
    setrlimit(RLIMIT_AS, &memory);
#endif
    check(argc > 1 && dc_arena_create(&arena, &error) == DC_OK, "usage: PROGRAM FOLDER [COUNT]");
    read_seeds(argv[1]);
    for (int i = 0; i < seed_count; i++)
        try_bytes((const uint8_t *)seeds[i], sizes[i]);
    const unsigned long seeds_taken = fuzz_taken;
    check(seeds_taken > 0, "no seed is taken");
    for (; seconds ? dc_seconds() < end : number < start + count; number++) {
        const size_t size = mutate(bytes, sizeof bytes, number);
        if (getenv("DECANT_FUZZ_SHOW"))
            fprintf(stderr, "%llu\n", (unsigned long long)number);
        try_bytes(bytes, size);
    }
    const unsigned long taken = fuzz_taken - seeds_taken;
    printf("%d seeds, %lu of them taken; %llu mutations, %lu of them taken\n", seed_count,
           seeds_taken, (unsigned long long)(number - start), taken);
    check(number < start + 20 || taken < number - start, "no mutation is refused");
    dc_arena_free(arena);
    return 0;
}

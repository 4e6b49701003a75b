// Owns the writers of tiny data sets. Failures here are broken tests, so they assert.

#include "tests/data/helper_sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/core/helper_folder.h"

struct memory_source {
    struct dc_source source;
    const uint8_t *values;
    size_t bytes;
    int64_t fails;
};

int test_pixel(int64_t i)
{
    const uint64_t x = ((uint64_t)i + 1) * 0x9E3779B97F4A7C15u;
    return (int)((x ^ x >> 29) * 0xBF58476D1CE4E5B9u >> 56);
}

void test_write_idx(const char *path, int type, int rank, const uint32_t *dims, const void *values,
                    size_t size)
{
    uint8_t *bytes = malloc(4 + 4 * (size_t)rank + size);
    if (!bytes)
        abort();
    memcpy(bytes, ((uint8_t[]){0, 0, (uint8_t)type, (uint8_t)rank}), 4);
    for (int i = 0; i < rank; i++)
        for (int b = 0; b < 4; b++)
            bytes[4 + 4 * i + b] = (uint8_t)(dims[i] >> (24 - 8 * b));
    memcpy(bytes + 4 + 4 * rank, values, size);
    test_write(path, bytes, 4 + 4 * (size_t)rank + size);
    free(bytes);
}

void test_write_idx_folder(const char *folder, int train, int test, int height, int width,
                           int classes, bool packed)
{
    char path[1024];
    mkdir(folder, 0777);
    for (int split = 0; split < 2; split++) {
        const char *prefix = split ? "t10k" : "train";
        const int count = split ? test : train, pixels = height * width;
        uint8_t *images = malloc((size_t)count * (size_t)pixels), *labels = malloc((size_t)count);
        if (!images || !labels)
            abort();
        for (int i = 0; i < count; i++) {
            labels[i] = (uint8_t)(i % classes);
            for (int p = 0; p < pixels; p++)
                images[i * pixels + p] = (uint8_t)(31 * i + 7 * p + 5);
        }
        snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", folder, prefix);
        test_write_idx(path, 8, 3, (uint32_t[]){(uint32_t)count, (uint32_t)height, (uint32_t)width},
                       images, (size_t)count * (size_t)pixels);
        snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte", folder, prefix);
        test_write_idx(path, 8, 1, (uint32_t[]){(uint32_t)count}, labels, (size_t)count);
        free(images);
        free(labels);
    }
    snprintf(path, sizeof path, "gzip -f '%s'/*-ubyte", folder);
    if (packed && system(path) != 0)
        abort();
}

static enum dc_status read_memory(const struct dc_source *source, int64_t id, void *values,
                                  struct dc_error *error)
{
    const struct memory_source *memory = (const struct memory_source *)source;
    if (id == memory->fails)
        return dc_fail(error, DC_ERR_IO, "the disk is gone");
    memcpy(values, memory->values + (size_t)id * memory->bytes, memory->bytes);
    return DC_OK;
}

static void free_memory(struct dc_source *source)
{
    free(source);
}

struct dc_source *test_source(int64_t count, struct dc_shape sample, enum dc_dtype dtype,
                              int classes, const void *values, const int32_t *labels, int64_t fails)
{
    static const struct dc_source_ops ops = {"memory", read_memory, free_memory};
    struct memory_source *memory = calloc(1, sizeof *memory);
    if (!memory)
        abort();
    memory->source = (struct dc_source){.ops = &ops,
                                        .count = count,
                                        .sample = sample,
                                        .dtype = dtype,
                                        .classes = labels ? classes : 0,
                                        .labels = labels};
    memory->values = values;
    memory->bytes = (size_t)dc_shape_count(&sample) * dc_dtype_bytes(dtype);
    memory->fails = fails;
    return &memory->source;
}

// Owns the tiny experiment's files and the comparison of run directories.

#include "tests/run/helper_experiment.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/h5.h"
#include "tests/core/helper_folder.h"

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "broken test: %s\n", what);
        exit(1);
    }
}

void tiny_text(const char *path, const char *text)
{
    test_write(path, text, strlen(text));
}

char *tiny_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    check(fseek(file, 0, SEEK_END) == 0, path);
    const long length = ftell(file);
    rewind(file);
    char *text = malloc((size_t)length + 1);
    check(text && fread(text, 1, (size_t)length, file) == (size_t)length, path);
    fclose(file);
    text[length] = '\0';
    if (size)
        *size = (size_t)length;
    return text;
}

static void put_number(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

// A class is the quarter of the rows that is brighter; noise lies over all of them.
static void write_split(const char *images, const char *labels, int count, uint32_t seed)
{
    enum { PIXELS = TINY_SIDE * TINY_SIDE };
    uint8_t *image = calloc(16 + (size_t)count * PIXELS, 1);
    uint8_t *label = calloc(8 + (size_t)count, 1);
    check(image && label, "memory");
    const uint32_t head[] = {0x803, (uint32_t)count, TINY_SIDE, TINY_SIDE};
    for (int i = 0; i < 4; i++)
        put_number(image + 4 * i, head[i]);
    put_number(label, 0x801);
    put_number(label + 4, (uint32_t)count);
    uint32_t state = seed;
    for (int n = 0; n < count; n++) {
        const int class = n * 7 % TINY_CLASSES;
        label[8 + n] = (uint8_t) class;
        for (int p = 0; p < PIXELS; p++) {
            const int quarter = p / TINY_SIDE / (TINY_SIDE / TINY_CLASSES);
            state = state * 1664525u + 1013904223u;
            image[16 + n * PIXELS + p] = (uint8_t)((state >> 24) / 2 + (quarter == class ? 90 : 0));
        }
    }
    test_write(images, image, 16 + (size_t)count * PIXELS);
    test_write(labels, label, 8 + (size_t)count);
    free(image);
    free(label);
}

static const char model[] =
    "name: tiny\n"
    "input: [12, 12, 1]\n"
    "parameters: {width: 6, classes: 4, dropout: 0.1}\n"
    "layers:\n"
    "  - conv: {name: stem, filters: $width, kernel: 3, stride: 2, padding: "
    "same, bias: false}\n"
    "  - batch_norm: {name: stem_norm}\n"
    "  - relu: {name: stem_relu}\n"
    "  - depthwise_conv: {name: depthwise, kernel: 3, padding: same, bias: "
    "false}\n"
    "  - batch_norm: {name: depthwise_norm}\n"
    "  - relu: {name: depthwise_relu}\n"
    "  - conv: {name: pointwise, filters: 2 * $width, kernel: 1, bias: "
    "false}\n"
    "  - batch_norm: {name: pointwise_norm}\n"
    "  - relu: {name: pointwise_relu}\n"
    "  - dropout: {rate: $dropout}\n"
    "  - average_pool: {name: pool, kernel: 3}\n"
    "  - flatten\n"
    "  - dense: {name: logits, units: $classes}\n";

static const char head[] = "seed: 3\n"
                           "data:\n"
                           "  source: idx\n"
                           "  path: data\n"
                           "  validation: 40\n"
                           "  augment: [flip, shift: {pixels: 1}]\n"
                           "target: target.yaml\n"
                           "stages:\n";

static const char stages[] =
    "  teacher:\n"
    "    model: model.yaml\n"
    "    parameters: {width: 9}\n"
    "    train: {epochs: 3, batch: 32, learning_rate: 0.05, average_decay: 0.9}\n"
    "  student:\n"
    "    model: model.yaml\n"
    "    train: {epochs: 3, batch: 32, accumulate: 2, clip_norm: 1, learning_rate: 0.05,\n"
    "            label_smoothing: 0.1}\n"
    "    distill: {teacher: teacher, losses: [kd: {temperature: 3, weight: 0.7}, label: {weight: "
    "0.3, ramp_epochs: 2}]}\n"
    "  quantized:\n"
    "    from: student\n"
    "    quantize: {freeze_observers_epoch: 2, freeze_batch_norm_epoch: 2}\n"
    "    train: {accumulate: 1, learning_rate: 0.01, average_decay: 0.8}\n";

void tiny_edit(const char *file, const char *from, const char *to)
{
    size_t size = 0, after = 0;
    char *text = from ? tiny_read(test_path(file), &size) : NULL;
    const char *at = from && from[0] ? strstr(text, from) : text ? text + size : NULL;
    check(at || !from, file);
    char *made = calloc(size + strlen(to) + 1, 1);
    check(made != NULL, "memory");
    if (at) {
        memcpy(made, text, (size_t)(at - text));
        after = (size_t)(at - text);
    }
    memcpy(made + after, to, strlen(to));
    if (at)
        strcpy(made + after + strlen(to), at + strlen(from));
    tiny_text(test_path(file), made);
    free(made);
    free(text);
}

void tiny_files(void)
{
    char text[4096];
    check(mkdir(test_path("data"), 0777) == 0, "data");
    write_split(test_path("data/train-images-idx3-ubyte"),
                test_path("data/train-labels-idx1-ubyte"), TINY_TRAIN, 1);
    write_split(test_path("data/t10k-images-idx3-ubyte"), test_path("data/t10k-labels-idx1-ubyte"),
                TINY_TEST, 2);
    tiny_text(test_path("model.yaml"), model);
    tiny_text(test_path("target.yaml"), "name: test\nprofile: tflm\nweight_bits: [8, 4, 3, 2]\n"
                                        "activation_bits: [8, 4, 3, 2]\n");
    snprintf(text, sizeof text, "name: tiny\n%s%s", head, stages);
    tiny_text(test_path("tiny.yaml"), text);
    snprintf(text, sizeof text,
             "name: export\n%s%s  int8: {export: quantized, formats: [bundle, c, onnx]}\n", head,
             stages);
    for (char *epochs; (epochs = strstr(text, "epochs: 3"));)
        epochs[8] = '1';
    tiny_text(test_path("export.yaml"), text);
}

// What dc_h5_list shows, collected.
struct listing {
    int count;
    char names[512][160];
    enum dc_dtype dtypes[512];
    struct dc_shape shapes[512];
};

static void collect(void *user, const char *name, enum dc_dtype dtype, const struct dc_shape *shape)
{
    struct listing *list = user;
    check(list->count < 512, "too many arrays");
    snprintf(list->names[list->count], sizeof list->names[0], "%s", name);
    list->dtypes[list->count] = dtype;
    list->shapes[list->count++] = *shape;
}

static bool same_array(const struct dc_h5 *a, const struct dc_h5 *b, const struct listing *list,
                       int i)
{
    struct dc_error error;
    const size_t size = dc_dtype_bytes(list->dtypes[i]) * (size_t)dc_shape_count(&list->shapes[i]);
    void *bytes[2] = {malloc(size + 1), malloc(size + 1)};
    check(bytes[0] && bytes[1], "memory");
    for (int k = 0; k < 2; k++) {
        const struct dc_tensor tensor = {bytes[k], list->dtypes[i], list->shapes[i]};
        check(dc_h5_read(k ? b : a, list->names[i], &tensor, &error) == DC_OK, list->names[i]);
    }
    if (strcmp(list->names[i], "counters") == 0)
        ((double *)bytes[0])[2] = ((double *)bytes[1])[2] = 0.0;  // seconds
    const bool same = memcmp(bytes[0], bytes[1], size) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same;
}

bool tiny_same_arrays(const char *a, const char *b, char where[256])
{
    static struct listing lists[2];
    struct dc_h5 *files[2] = {NULL, NULL};
    struct dc_error error = {0};
    const char *paths[2] = {a, b};
    char ignored[256];
    char *difference = where ? where : ignored;
    for (int k = 0; k < 2; k++) {
        lists[k].count = 0;
        if (dc_h5_open(&files[k], paths[k], &error) != DC_OK ||
            dc_h5_list(files[k], collect, &lists[k], &error) != DC_OK) {
            snprintf(difference, 256, "%.255s", error.message);
            dc_h5_close(files[0]);
            dc_h5_close(files[1]);
            return false;
        }
    }
    bool same = lists[0].count == lists[1].count && lists[0].count > 0;
    snprintf(difference, 256, "the number of arrays");
    for (int i = 0; i < lists[0].count && same; i++) {
        same = strcmp(lists[0].names[i], lists[1].names[i]) == 0 &&
               lists[0].dtypes[i] == lists[1].dtypes[i] &&
               dc_shape_equal(&lists[0].shapes[i], &lists[1].shapes[i]) &&
               same_array(files[0], files[1], &lists[0], i);
        snprintf(difference, 256, "%s", lists[0].names[i]);
    }
    dc_h5_close(files[0]);
    dc_h5_close(files[1]);
    return same;
}

// Cuts "seconds":NUMBER out of every line.
static void drop_seconds(char *text)
{
    for (char *at; (at = strstr(text, "\"seconds\":"));) {
        char *end = at + strcspn(at, ",}\n");
        memmove(at, end, strlen(end) + 1);
    }
}

bool tiny_same_metrics(const char *a, const char *b)
{
    char *texts[2] = {tiny_read(a, NULL), tiny_read(b, NULL)};
    bool same = texts[0] && texts[1];
    if (same) {
        drop_seconds(texts[0]);
        drop_seconds(texts[1]);
        same = strcmp(texts[0], texts[1]) == 0 && texts[0][0];
    }
    free(texts[0]);
    free(texts[1]);
    return same;
}

bool tiny_same_runs(const char *a, const char *b)
{
    static const char *const names[] = {"teacher", "student", "quantized"};
    static const char *const files[] = {"last", "best", "final"};
    bool same = true;
    for (int s = 0; s < 3; s++) {
        for (int f = 0; f < 3; f++) {
            char paths[2][512], where[256];
            snprintf(paths[0], sizeof paths[0], "%s/checkpoints/%s/%s.h5", a, names[s], files[f]);
            snprintf(paths[1], sizeof paths[1], "%s/checkpoints/%s/%s.h5", b, names[s], files[f]);
            if (!tiny_same_arrays(paths[0], paths[1], where)) {
                fprintf(stderr, "%s and %s differ: %s\n", paths[0], paths[1], where);
                same = false;
            }
        }
    }
    char metrics[2][512];
    snprintf(metrics[0], sizeof metrics[0], "%s/metrics.jsonl", a);
    snprintf(metrics[1], sizeof metrics[1], "%s/metrics.jsonl", b);
    if (!tiny_same_metrics(metrics[0], metrics[1])) {
        fprintf(stderr, "%s and %s differ\n", metrics[0], metrics[1]);
        same = false;
    }
    return same;
}

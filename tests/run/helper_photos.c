// Owns the test's photographs and their experiment.

#include "tests/run/helper_photos.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"

static void put_little(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

void photo_file(const char *path, int height, int width, int brighter, unsigned seed)
{
    const size_t row = ((size_t)width * 3 + 3) / 4 * 4, size = 54 + row * (size_t)height;
    uint8_t *bytes = calloc(size, 1);
    uint32_t state = seed * 2654435761u + 1;
    if (!bytes)
        abort();
    memcpy(bytes, "BM", 2);
    put_little(bytes + 10, 54);
    put_little(bytes + 14, 40);
    put_little(bytes + 18, (uint32_t)width);
    put_little(bytes + 22, (uint32_t)height);
    bytes[26] = 1;
    bytes[28] = 24;
    for (int y = 0; y < height; y++)  // the last row comes first
        for (int x = 0; x < 3 * width; x++) {
            const int bright = (height - 1 - y) * 4 / height == brighter;
            state = state * 1664525u + 1013904223u;
            bytes[54 + (size_t)y * row + (size_t)x] = (uint8_t)((state >> 24) / 2 +
                                                                (bright ? 90 : 0));
        }
    test_write(path, bytes, size);
    free(bytes);
}

void photo_classes(const char *folder, int per_class, unsigned seed)
{
    char name[256];
    mkdir(test_path(folder), 0777);
    for (int class = 0; class < 4; class ++) {
        snprintf(name, sizeof name, "%s/%c", folder, 'a' + class);
        mkdir(test_path(name), 0777);
        for (int i = 0; i < per_class; i++) {
            const unsigned number = seed + (unsigned)(class * per_class + i);
            snprintf(name, sizeof name, "%s/%c/%03d.bmp", folder, 'a' + class, i);
            photo_file(test_path(name), 14 + (int)(number * 7 % 30), 12 + (int)(number * 11 % 40),
                       class, number);
        }
    }
}

void photo_experiment(const char *path, const char *lines)
{
    char text[2048];
    snprintf(text, sizeof text,
             "name: photos\nseed: 3\n"
             "data:\n  source: photos\n  path: %s\n%s"
             "target: target.yaml\n"
             "stages:\n"
             "  student:\n    model: model.yaml\n"
             "    train: {epochs: 4, batch: 16, learning_rate: 0.05}\n"
             "  quantized:\n    from: student\n    quantize: {}\n"
             "    train: {epochs: 1, learning_rate: 0.01}\n"
             "  int8: {export: quantized, formats: [bundle, c]}\n",
             path, lines);
    tiny_text(test_path("photos.yaml"), text);
}

// Manifests of bundles, beside the other files of a small one. The manifest's own hash is made
// right, so that what is behind it is reached.

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "export/bundle.h"
#include "export/bundle_format.h"
#include "tests/faults/fuzz.h"

static void write_manifest(const uint8_t *data, size_t size)
{
    char crc[16], *text = NULL;
    bool good = false;
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(root)) {
        snprintf(crc, sizeof crc, "%08x", dc__manifest_crc32(root, &good));
        json_object_set_new(root, "crc32", json_string(crc));
        text = json_dumps(root, JSON_COMPACT);
    }
    fuzz_file("bundle/manifest.json", text ? text : (const char *)data, text ? strlen(text) : size);
    free(text);
    json_decref(root);
}

// C is kept as text, so that nobody formats it: the manifest has its hash.
static void copy_others(void)
{
    static const char *const names[] = {"model.h5", "tiny.c", "tiny.h"};
    static const char *const kept[] = {"model.h5", "tiny.c.txt", "tiny.h.txt"};
    for (int i = 0; i < 3; i++) {
        struct dc_arena *arena = NULL;
        char path[1024], name[64], *bytes = NULL;
        size_t size = 0;
        snprintf(path, sizeof path, "%s/tests/faults/files/%s", DECANT_SOURCE_DIR, kept[i]);
        snprintf(name, sizeof name, "bundle/%s", names[i]);
        if (dc_arena_create(&arena, NULL) != DC_OK ||
            dc_file_read(&bytes, &size, path, arena, NULL) != DC_OK)
            abort();
        fuzz_file(name, bytes, size);
        dc_arena_free(arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool copied;
    struct dc_imodel *model = NULL;
    struct dc_vectors *vectors = NULL;
    if (!copied)
        copy_others();
    copied = true;
    write_manifest(data, size);
    if (dc_bundle_read(&model, &vectors, fuzz_path("bundle"), NULL) == DC_OK) {
        dc_vectors_free(vectors);
        dc_imodel_free(model);
        fuzz_taken++;
    }
    return 0;
}

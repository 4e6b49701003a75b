// Decant's side of judge_photos.py: each line of standard input is PATH HEIGHT WIDTH METHOD FIT,
// split by tabs; each answer a line of height, width, channels, then the pixels, or "refused", then
// why.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"

static int find(const char *const *list, const char *name)
{
    int i = 0;
    while (list[i] && strcmp(list[i], name) != 0)
        i++;
    return i;
}

static enum dc_status answer(const char *path, const struct dc_resize *resize,
                             struct dc_arena *arena, struct dc_error *error)
{
    struct dc__image image;
    DC_TRY(dc__photo_read(&image, path, 0, arena, error));
    DC_TRY(dc__image_resize(&image, resize, path, 0, arena, error));
    printf("%d %d %d\n", image.height, image.width, image.channels);
    const size_t size = (size_t)image.height * (size_t)image.width * (size_t)image.channels;
    return fwrite(image.pixels, 1, size, stdout) == size
               ? DC_OK
               : dc_fail(error, DC_ERR_IO, "standard output: cannot be written");
}

int main(void)
{
    char path[1024], method[16], fit[16];
    struct dc_resize resize;
    while (scanf(" %1023[^\t]\t%d\t%d\t%15s\t%15s", path, &resize.height, &resize.width, method,
                 fit) == 5) {
        struct dc_arena *arena = NULL;
        struct dc_error error;
        resize.method = find(dc_resize_methods, method);
        resize.fit = find(dc_resize_fits, fit);
        if (dc_arena_create(&arena, &error) != DC_OK)
            return 1;
        if (answer(path, &resize, arena, &error) != DC_OK)
            printf("refused %s\n", error.message);
        dc_arena_free(arena);
        fflush(stdout);
    }
    return 0;
}

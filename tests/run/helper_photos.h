// Folders of photographs in the test's folder: BMP files of any size, whose class is the quarter of
// rows that is brighter, as the tiny experiment's images are.

#ifndef DC_TESTS_RUN_HELPER_PHOTOS_H
#define DC_TESTS_RUN_HELPER_PHOTOS_H

// FOLDER/CLASS/NNN.bmp of the four classes a, b, c, d; sizes and noise follow from seed and number.
void photo_classes(const char *folder, int per_class, unsigned seed);
void photo_file(const char *path, int height, int width, int brighter, unsigned seed);

// photos.yaml: the tiny experiment's stages on photographs of `path`, with these lines of `data`.
void photo_experiment(const char *path, const char *lines);

#endif

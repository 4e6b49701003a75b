// A tiny experiment in the test's folder (tests/core/helper_folder.h), and its results compared.
//
//   data/          IDX: 300 training and 70 test images of 12x12, 4 classes
//   model.yaml     convolution, depthwise and 1x1 convolution with batch norm, dropout, dense
//   target.yaml    profile tflm
//   tiny.yaml      stages teacher, student (distilled), quantized (QAT with distillation)
//   export.yaml    the same with one epoch each and the stage int8, which exports
//
// 260 of the training images are trained on: 8 batches of 32 and one of 4.

#ifndef DC_TESTS_RUN_HELPER_EXPERIMENT_H
#define DC_TESTS_RUN_HELPER_EXPERIMENT_H

#include <stdbool.h>
#include <stddef.h>

enum { TINY_TRAIN = 300, TINY_TEST = 70, TINY_CLASSES = 4, TINY_SIDE = 12 };

// All files above. Failures here are broken tests: the program ends.
void tiny_files(void);

void tiny_text(const char *path, const char *text);
// In a file: `from`, which must be there, becomes `to`; from "" appends, NULL makes the file.
void tiny_edit(const char *file, const char *from, const char *to);
// The text of a file, zero-terminated; the caller frees. NULL where there is none.
char *tiny_read(const char *path, size_t *size);

// Whether two HDF5 files hold the same arrays, bit for bit. Of the counters of a checkpoint the
// seconds are left out. *where (may be NULL): the name of the first difference.
bool tiny_same_arrays(const char *a, const char *b, char where[256]);

// Whether two metrics.jsonl are equal but for the seconds.
bool tiny_same_metrics(const char *a, const char *b);

// All checkpoints of the three stages and the metrics of two run directories; prints what differs.
bool tiny_same_runs(const char *a, const char *b);

#endif

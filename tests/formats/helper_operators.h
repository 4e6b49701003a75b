// One operator in a model of a few nodes, beside its oracle's values.

#ifndef DECANT_TESTS_HELPER_OPERATORS_H
#define DECANT_TESTS_HELPER_OPERATORS_H

#include "helper_onnx.h"

enum { ONNX_ROWS = 3, ONNX_MOST = 1 << 15 };

extern struct onnx_file onnx_case;
extern float onnx_image[ONNX_MOST];  // the input, in the file's order of axes
extern double onnx_expected[ONNX_MOST], onnx_magnitude[ONNX_MOST];

// Starts the model and fills the image. dims: of the input "x", the batch first.
void onnx_start(int opset, int rank, const int64_t *dims);
// Runs the model on the image and compares `count` values: |y - expected| <= roundings * eps *
// magnitude. DECANT_KEEP_ONNX=FOLDER keeps the files, as seeds for tests/faults/onnx.
void onnx_compare(const char *name, int64_t count, double roundings);

int onnx_close(void **state);  // removes the test's folder

#endif

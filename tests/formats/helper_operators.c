#include "helper_operators.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/core/helper_folder.h"

struct onnx_file onnx_case;
float onnx_image[ONNX_MOST];
double onnx_expected[ONNX_MOST], onnx_magnitude[ONNX_MOST];

static const char *model_path(const char *name)
{
    static char text[256];
    const char *kept = getenv("DECANT_KEEP_ONNX");
    snprintf(text, sizeof text, "%s/%s.onnx", kept ? kept : "", name);
    return kept ? text : test_path("model.onnx");
}

void onnx_compare(const char *name, int64_t count, double roundings)
{
    int64_t have;
    const char *path = model_path(name);
    onnx_save(&onnx_case, path, "y");
    float *y = onnx_run(path, ONNX_ROWS, onnx_image, &have);
    if (have != count)
        fail_msg("%s: %lld values, not %lld", name, (long long)have, (long long)count);
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)y[i] - onnx_expected[i]) <= roundings * FLT_EPSILON * onnx_magnitude[i]))
            fail_msg("%s: value %lld is %.9g, not %.9g", name, (long long)i, (double)y[i],
                     onnx_expected[i]);
    free(y);
}

void onnx_start(int opset, int rank, const int64_t *dims)
{
    int64_t count = ONNX_ROWS;
    for (int i = 1; i < rank; i++)
        count *= dims[i];
    assert_true(count <= ONNX_MOST);
    onnx_fill(onnx_image, count, "image");
    onnx_begin(&onnx_case, opset, "x", rank, dims);
}

int onnx_close(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

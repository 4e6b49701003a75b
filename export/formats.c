// Owns the list of formats. To add one: a row, and its name below.

#include "export/formats.h"

#include <string.h>

#include "export/onnx.h"
#include "export/tflite.h"
#include "formats/onnx_write.h"
#include "formats/tflite_write.h"

static enum dc_status write_tflite(const char *path, const struct dc_imodel *model,
                                   struct dc_error *error)
{
    return dc_tflite_write(path, model, model->provenance, error);
}

// ONNX names its producer, as field 2 of the model; in TFLite's description the note of the run is
// Decant's own sentence (run/finish.c).
static const struct dc_export_format formats[] = {
    {"onnx", "the network as ONNX: int8 codes between QuantizeLinear and DequantizeLinear",
     "\x12\x06"
     "decant",
     2, dc_export_onnx, dc_onnx_write, NULL, NULL},
    {"tflite", "the network as TensorFlow Lite, with integer operators", "; input = (x", 8,
     write_tflite, dc_tflite_write_float, dc_tflite_unpacked, dc_tflite_has},
};

const struct dc_export_format *dc_export_format_find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

const struct dc_export_format *dc_export_format_of_path(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dc_export_format_find(dot + 1) : NULL;
}

const char *dc_export_format_names(void)
{
    return "onnx, tflite";
}

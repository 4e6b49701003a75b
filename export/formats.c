// Owns the list of formats. To add one: a row, and its name below.

#include "export/formats.h"

#include <assert.h>
#include <string.h>

#include "export/memory.h"
#include "export/onnx.h"
#include "export/tflite.h"
#include "formats/onnx_write.h"
#include "formats/tflite_write.h"

static enum dc_status write_onnx(const char *path, const struct dc_imodel *model,
                                 const struct dc_vectors *vectors, struct dc_error *error)
{
    (void)vectors;
    return dc_export_onnx(path, model, error);
}

static enum dc_status write_tflite(const char *path, const struct dc_imodel *model,
                                   const struct dc_vectors *vectors, struct dc_error *error)
{
    (void)vectors;
    return dc_tflite_write(path, model, model->provenance, error);
}

// ONNX names its producer, as field 2 of the model; in TFLite's description the note of the run is
// Decant's own sentence (run/finish.c).
static const struct dc_export_format formats[] = {
    {.name = "memory",
     .ending = "memory.tar",
     .what = "memory images for an FPGA or ASIC, parameters, units and a testbench in "
             "SystemVerilog; its README.md explains them",
     .mark = "localparam NETWORK = ",
     .least_activation_bits = 2,
     .write = dc_memory_write,
     .refuses = dc_memory_refuses},
    {.name = "onnx",
     .ending = "onnx",
     .what = "the network as ONNX: int8 codes between QuantizeLinear and DequantizeLinear",
     .mark = "\x12\x06"
             "decant",
     .least_activation_bits = 2,
     .write = write_onnx,
     .write_float = dc_onnx_write},
    {.name = "tflite",
     .ending = "tflite",
     .what = "the network as TensorFlow Lite, with integer operators",
     .mark = "; input = (x",
     .least_activation_bits = 8,
     .write = write_tflite,
     .write_float = dc_tflite_write_float,
     .unpacked = dc_tflite_unpacked,
     .has = dc_tflite_has},
};
enum { FORMATS = sizeof formats / sizeof formats[0] };
static_assert(sizeof formats / sizeof formats[0] <= DC_EXPORT_FORMATS_MAX,
              "others keep their names in arrays");

const struct dc_export_format *dc_export_format_find(const char *name)
{
    for (int i = 0; i < FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

const struct dc_export_format *dc_export_format_of_path(const char *path)
{
    const size_t length = strlen(path);
    for (int i = 0; i < FORMATS; i++) {
        const size_t end = strlen(formats[i].ending);
        if (length > end && path[length - end - 1] == '.' &&
            strcmp(path + length - end, formats[i].ending) == 0)
            return &formats[i];
    }
    return NULL;
}

const struct dc_export_format *dc_export_format_at(int i)
{
    return i < FORMATS ? &formats[i] : NULL;
}

const char *dc_export_format_names(void)
{
    return "memory, onnx, tflite";
}

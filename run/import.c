// Owns models that come in files of others (ONNX, TFLite): a file's network as a model with its
// weights.

#include <string.h>

#include "formats/onnx.h"
#include "formats/tflite_read.h"
#include "run/model.h"

// The sizes of an input that the file leaves open are given like a model file's parameters.
static enum dc_status read_options(struct dc_onnx_options *options,
                                   const struct dc_named_value *given, int count,
                                   struct dc_error *error)
{
    for (int i = 0; i < count; i++) {
        if (!strcmp(given[i].name, "height"))
            options->height = (int64_t)given[i].value;
        else if (!strcmp(given[i].name, "width"))
            options->width = (int64_t)given[i].value;
        else
            return dc_fail(error, DC_ERR_CONFIG,
                           "an ONNX network has the parameters height and width (where the file "
                           "leaves them open), not '%s'",
                           given[i].name);
    }
    return DC_OK;
}

const char *dc_model_foreign(const char *path)
{
    static const char torch[] =
        "this is a file of PyTorch, which is not read; write the network as "
        "ONNX (torch.onnx.export) and name that as 'model'";
    static const char keras[] = "this is a file of Keras or TensorFlow, which is not read; write "
                                "the network as TFLite (tf.lite.TFLiteConverter) or ONNX (tf2onnx) "
                                "and name that as 'model'";
    static const char other[] = "this is a compiled network, which is not read; name it as ONNX";
    static const struct {
        const char *ending, *what;
    } files[] = {{".pt", torch},     {".pth", torch},     {".ckpt", torch}, {".safetensors", torch},
                 {".bin", torch},    {".keras", keras},   {".pb", keras},   {".hdf5", keras},
                 {".engine", other}, {".mlmodel", other}, {".xml", other}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof files / sizeof files[0]; i++)
        if (strcmp(dot, files[i].ending) == 0)
            return files[i].what;
    return NULL;
}

static bool ends(const char *path, const char *ending)
{
    const size_t length = strlen(path), more = strlen(ending);
    return length > more && strcmp(path + length - more, ending) == 0;
}

bool dc_model_is_imported(const char *path)
{
    return ends(path, ".onnx") || ends(path, ".tflite");
}

bool dc_model_has_layout(const char *path)
{
    return ends(path, ".onnx");
}

bool dc_model_is_integers(const char *path)
{
    struct dc_imported *network = NULL;
    const bool integers = ends(path, ".tflite") &&
                          dc_tflite_read(&network, path, NULL, NULL) == DC_OK && network->codes;
    dc_imported_free(network);
    return integers;
}

// Of a file of integers both forms.
static enum dc_status read_tflite(struct dc_model *model, const struct dc_model_spec *spec,
                                  const char *output, struct dc_error *error)
{
    struct dc_tflite_options options = {.output = output};
    if (spec->parameter_count > 0)
        return dc_fail(error, DC_ERR_CONFIG, "a TFLite network has no parameters, and so no '%s'",
                       spec->parameters[0].name);
    DC_TRY(dc_tflite_read(&model->imported, spec->path, &options, error));
    if (!model->imported->codes)
        return DC_OK;
    model->integers = model->imported;
    options.as_floats = true;
    return dc_tflite_read(&model->imported, spec->path, &options, error);
}

static enum dc_status read_onnx(struct dc_model *model, const struct dc_model_spec *spec,
                                const char *output, struct dc_error *error)
{
    struct dc_onnx_options options = {.layout = spec->layout, .output = output};
    DC_TRY(read_options(&options, spec->parameters, spec->parameter_count, error));
    return dc_onnx_read(&model->imported, spec->path, &options, error);
}

enum dc_status dc__model_import(struct dc_model *model, const struct dc_model_spec *spec,
                                struct dc_error *error)
{
    const char *output = spec->output && *spec->output ? spec->output : NULL;
    DC_TRY(ends(spec->path, ".onnx") ? read_onnx(model, spec, output, error)
                                     : read_tflite(model, spec, output, error));
    const struct dc_imported *imported = model->imported;
    const char *name = strrchr(spec->path, '/');
    model->name = dc_arena_copy(imported->arena, name ? name + 1 : spec->path, error);
    model->graph = imported->graph;
    model->params = imported->params;
    model->input = imported->input;
    model->output = imported->output;
    model->sample = imported->sample;
    return model->name ? DC_OK : DC_ERR_MEMORY;
}

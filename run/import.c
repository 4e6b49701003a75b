// Owns models that come as ONNX: a file's network as a model with its weights.

#include <string.h>

#include "formats/onnx.h"
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
                                "the network as ONNX (tf2onnx) and name that as 'model'";
    static const char lite[] = "TFLite files are written, not read; name the network as ONNX";
    static const char other[] = "this is a compiled network, which is not read; name it as ONNX";
    static const struct {
        const char *ending, *what;
    } files[] = {{".pt", torch},          {".pth", torch},     {".ckpt", torch},
                 {".safetensors", torch}, {".bin", torch},     {".keras", keras},
                 {".pb", keras},          {".hdf5", keras},    {".tflite", lite},
                 {".engine", other},      {".mlmodel", other}, {".xml", other}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof files / sizeof files[0]; i++)
        if (strcmp(dot, files[i].ending) == 0)
            return files[i].what;
    return NULL;
}

bool dc_model_is_onnx(const char *path)
{
    const size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".onnx") == 0;
}

enum dc_status dc__model_import(struct dc_model *model, const struct dc_model_spec *spec,
                                struct dc_error *error)
{
    const bool chosen = spec->output && *spec->output;
    struct dc_onnx_options options = {.layout = spec->layout,
                                      .output = chosen ? spec->output : NULL};
    DC_TRY(read_options(&options, spec->parameters, spec->parameter_count, error));
    DC_TRY(dc_onnx_read(&model->onnx, spec->path, &options, error));
    const struct dc_imported *onnx = model->onnx;
    const char *name = strrchr(spec->path, '/');
    model->name = dc_arena_copy(onnx->arena, name ? name + 1 : spec->path, error);
    model->graph = onnx->graph;
    model->params = onnx->params;
    model->input = onnx->input;
    model->output = onnx->output;
    model->sample = onnx->sample;
    return model->name ? DC_OK : DC_ERR_MEMORY;
}

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

bool dc_model_is_onnx(const char *path)
{
    const size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".onnx") == 0;
}

enum dc_status dc__model_import(struct dc_model *model, const struct dc_model_spec *spec,
                                struct dc_error *error)
{
    struct dc_onnx_options options = {.layout = spec->layout};
    DC_TRY(read_options(&options, spec->parameters, spec->parameter_count, error));
    DC_TRY(dc_onnx_read(&model->onnx, spec->path, &options, error));
    const struct dc_onnx *onnx = model->onnx;
    const char *name = strrchr(spec->path, '/');
    model->name = dc_arena_copy(onnx->arena, name ? name + 1 : spec->path, error);
    model->graph = onnx->graph;
    model->params = onnx->params;
    model->input = onnx->input;
    model->output = onnx->output;
    model->sample = onnx->sample;
    return model->name ? DC_OK : DC_ERR_MEMORY;
}

// Owns the list of formats. To add one: a row, and its name below.

#include "export/formats.h"

#include <string.h>

#include "export/onnx.h"

static const struct dc_export_format formats[] = {
    {"onnx", dc_export_onnx},
};

const struct dc_export_format *dc_export_format_find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

const char *dc_export_format_names(void)
{
    return "bundle, c, onnx";
}

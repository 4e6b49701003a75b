// Formats of single files that an integer model is written in, by the name that experiments use.
// The bundle, with its C, is not among them: it is always written (bundle.h).

#ifndef DC_EXPORT_FORMATS_H
#define DC_EXPORT_FORMATS_H

#include "qat/imodel.h"

struct dc_export_format {
    const char *name;  // in `formats: [...]`, and the file's ending
    enum dc_status (*write)(const char *path, const struct dc_imodel *model,
                            struct dc_error *error);
};

// NULL when there is none of this name.
const struct dc_export_format *dc_export_format_find(const char *name);
// "bundle, c, onnx"
const char *dc_export_format_names(void);

#endif

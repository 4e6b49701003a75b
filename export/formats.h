// Formats of single files that networks are written in, by the name that experiments use. The
// bundle, with its C, is not among them: it is always written (bundle.h).

#ifndef DC_EXPORT_FORMATS_H
#define DC_EXPORT_FORMATS_H

#include "core/graph.h"
#include "export/vectors.h"

struct dc_export_format {
    const char *name;    // in `formats: [...]`
    const char *ending;  // of its files
    const char *what;    // such a file is, of a quantized network, to a person
    const char *mark;    // bytes that every file of this format holds that Decant wrote
    int least_activation_bits;
    // vectors: of a bundle, for formats that hold test vectors; or NULL.
    enum dc_status (*write)(const char *path, const struct dc_imodel *model,
                            const struct dc_vectors *vectors, struct dc_error *error);
    // A float network from node `input` to node `output`; NULL: this format takes integers only.
    enum dc_status (*write_float)(const char *path, const struct dc_graph *graph,
                                  const struct dc_params *params, int input, int output,
                                  const char *name, const char *note, struct dc_error *error);
    // How many layers' weights of at most 4 bits are written as int8 because the runtime of the
    // model's profile would not compute the same from packed ones; NULL: never any.
    int (*unpacked)(const struct dc_imodel *model);
    bool (*has)(const struct dc_op *op);  // whether files of this format hold it; NULL: all do
    // NULL, or why files of this format do not hold this layer, as the end of a sentence.
    const char *(*refuses)(const struct dc_imodel *model, int layer);
};

// NULL when there is none of this name, or none that the path's ending names.
const struct dc_export_format *dc_export_format_find(const char *name);
const struct dc_export_format *dc_export_format_of_path(const char *path);
// "memory, onnx, tflite"
const char *dc_export_format_names(void);
// All of them, NULL behind the last.
enum { DC_EXPORT_FORMATS_MAX = 8 };
const struct dc_export_format *dc_export_format_at(int i);

#endif

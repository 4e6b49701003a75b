// Owns the ONNX file of an integer model: the network that it is, as the one writer has it.

#include "export/onnx.h"

#include "formats/onnx_write.h"
#include "qat/integer_graph.h"

enum dc_status dc_export_onnx(const char *path, const struct dc_imodel *model,
                              struct dc_error *error)
{
    struct dc_network network;
    DC_TRY(dc_integer_graph(&network, NULL, model, error));
    const enum dc_status status = dc_onnx_write_network(path, &network, model->name,
                                                        model->provenance, error);
    dc_network_free(&network);
    return status;
}

// Model files, as far as the network and what it costs.

#include "core/graph.h"
#include "run/model.h"
#include "tests/faults/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dc_model model;
    const struct dc_model_spec spec = {.path = fuzz_file("m.yaml", data, size)};
    if (dc_model_read(&model, &spec, NULL) == DC_OK) {
        (void)dc_graph_macs(model.graph);
        dc_model_free(&model);
        fuzz_taken++;
    }
    return 0;
}

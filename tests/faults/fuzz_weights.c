// Weights and checkpoints: what a stage leaves, read for the network of files/model.yaml. Both are
// sealed HDF5 files; without the seal nothing of them is believed.

#include <stdlib.h>

#include "run/model.h"
#include "tests/faults/fuzz.h"
#include "train/checkpoint.h"

static struct dc_params *params;

static void make_network(void)
{
    struct dc_model model;
    const struct dc_model_spec spec = {.path = DECANT_SOURCE_DIR "/tests/faults/files/model.yaml"};
    if (dc_model_read(&model, &spec, NULL) != DC_OK ||
        dc_params_create(&params, model.graph, 1, false, NULL) != DC_OK)
        abort();
    dc_model_free(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool taken[1024];  // more than the network has
    struct dc_counters counters;
    if (!params)
        make_network();
    const char *path = fuzz_file("w.h5", data, size);
    const struct dc_network network = {.name = "network", .params = params, .trainable = true};
    const struct dc_train_job job = {.networks = &network, .network_count = 1};
    fuzz_taken += dc_weights_read(path, params, NULL) == DC_OK;
    (void)!dc_weights_read_matching(path, params, taken, NULL);
    fuzz_taken += dc_checkpoint_read(path, &job, &counters, NULL) == DC_OK;
    return 0;
}

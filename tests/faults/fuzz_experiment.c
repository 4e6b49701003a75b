// Experiment files, beside a model file that is named and not read, and a target file.

#include "run/experiment.h"
#include "tests/faults/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char target[] = "name: test\nprofile: tflm\nweight_bits: [8, 4]\n";
    static bool others;
    struct dc_experiment *experiment = NULL;
    if (!others) {
        fuzz_file("model.yaml", "", 0);
        fuzz_file("target.yaml", target, sizeof target - 1);
    }
    others = true;
    if (dc_experiment_read(&experiment, fuzz_file("e.yaml", data, size), NULL, 0, NULL) == DC_OK) {
        struct dc_text_buffer text = {0};
        dc_experiment_write(&text, experiment);
        dc_text_free(&text);
        fuzz_taken++;
    }
    dc_experiment_free(experiment);
    return 0;
}

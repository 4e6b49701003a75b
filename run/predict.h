// A finished network asked for logits: float plan or integer engine, on any data.

#ifndef DC_RUN_PREDICT_H
#define DC_RUN_PREDICT_H

#include "run/device.h"
#include "run/network.h"
#include "run/run.h"

// Told after every batch; told NULL: nobody asks.
struct dc_sample_progress {
    void (*told)(void *user, int64_t done, int64_t total);
    void *user;
};

struct dc_predict_options {
    struct dc_sample_progress progress;
    const char *stage;    // NULL: the last one with a network
    const char *bundle;   // a bundle to predict with instead of a stage, or NULL
    const char *data;     // "KIND:PATH" or "PATH"; NULL: the run's own
    const char *split;    // "train" or "test"
    int64_t limit;        // 0: all samples
    const char *profile;  // NULL: the experiment's
    // A device that runs the quantized network, asked beside the engine; or NULL.
    const struct dc_serial_options *device;
};

struct dc_prediction {
    const char *stage;       // or the bundle
    const char *arithmetic;  // "float32" or the profile's name
    int64_t samples;
    int classes;
    float *logits;             // [samples, classes], in sample order; in the arena of the run
    struct dc_scores *scores;  // NULL without labels
    // What they are of: [samples], NULL where the data is no files; [classes], NULL without names.
    const char *const *files, *const *class_names;
    enum dc_label_kind labels;
    bool reconstructs, probabilities;  // the outputs are no logits
    struct dc_device_answers device;   // samples 0: none was asked
};

// A quantized stage is run by the integer engine.
DC_MUST_USE enum dc_status dc_run_predict(struct dc_prediction *prediction, struct dc_run *run,
                                          const struct dc_predict_options *options,
                                          struct dc_error *error);

// Its scores as dc_report_scores has them, with "stage" and "arithmetic"; DC_ERR_DATA without
// labels. The caller decrefs *json.
DC_MUST_USE enum dc_status
dc_prediction_scores(json_t **json, const struct dc_prediction *prediction, struct dc_error *error);

// Dataset `logits` [samples, classes] float32, in sample order; written whole.
DC_MUST_USE enum dc_status dc_prediction_write(const char *path,
                                               const struct dc_prediction *prediction,
                                               struct dc_error *error);

// What quantization did to a stage (run/quantization.h), with "stage" and "samples"; a stage that
// is not quantized, a bundle and data without labels are refused. The caller decrefs *report.
DC_MUST_USE enum dc_status dc_run_quantization(json_t **report, struct dc_run *run,
                                               const struct dc_predict_options *options,
                                               struct dc_error *error);

#endif

// TensorBoard's event files: RUN/tensorboard/STAGE/events.out.tfevents.decant, a run of its own for
// each stage, so that stages lie over each other in one chart.
//
// Scalars by optimizer step, as metrics.jsonl has them: loss, learning_rate, train_accuracy,
// validation_accuracy, terms/NAME, gradient_norms/NAME; at the last step test_accuracy/float and
// test_accuracy/integers, and of a stage that quantizes the histograms of the report: weights/LAYER
// (in steps of their channel) and activations/LAYER. Their sums are by the bins' centres. The last
// stage of a run has the plots of the report as images, plots/NAME.
//
// Records are TFRecords: length, its masked CRC-32C, an Event message, its masked CRC-32C. The same
// run gives the same bytes: times are those that it recorded.

#ifndef DC_REPORT_EVENTS_H
#define DC_REPORT_EVENTS_H

#include "report/drawing.h"
#include "report/measures.h"

#define DC_EVENTS_FILE "events.out.tfevents.decant"

// A plot of the report, as a PNG file.
struct dc_picture {
    const char *name;
    struct dc_png png;
};

DC_MUST_USE enum dc_status dc_write_events(struct dc_run *run, const json_t *metrics,
                                           const json_t *environment,
                                           const struct dc_measures *measures,
                                           const struct dc_picture *pictures, int picture_count,
                                           struct dc_arena *arena, struct dc_error *error);

// CRC-32C (Castagnoli; RFC 3720, B.4).
uint32_t dc_crc32c(const void *bytes, size_t size);

#endif

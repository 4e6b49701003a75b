// What the report measures by itself: every network of a run asked again, on the run's own test
// split, from the weights in its directory.
//
// Whatever cannot be measured leaves a reason; only a stop and a lack of memory are errors. The
// samples are all of the test split, or as many, spread evenly, as MEASURED_MACS allows.

#ifndef DC_REPORT_MEASURES_H
#define DC_REPORT_MEASURES_H

#include "qat/compare.h"
#include "run/run.h"

// What one network says to each measured sample.
struct dc_answers {
    const struct dc_stage *stage;
    bool integers;      // of a stage that quantizes; else its floats
    char name[80];      // "student", "quantized, floats", "quantized, integers"
    int32_t *said;      // [samples]: classes
    float *confidence;  // [samples]: softmax's of that class
    uint8_t *margin;    // [samples]: of integers, in codes (run/cascade.h); else NULL
    int64_t right;
};

// Of a layer's weights or values, where they fell in its grid (qat/compare.h).
struct dc_layer_bins {
    const struct dc_stage *stage;
    const char *layer;
    bool weights;
    int bits;
    double low, high;  // the grid's ends: of values real ones, of weights codes
    double least_scale, most_scale;
    int64_t counts[DC_COMPARISON_BINS];
};

struct dc_unmeasured {
    const struct dc_stage *stage;  // NULL: all
    const char *why;
};

enum { DC_ANSWERS_MAX = 2 * DC_STAGES_MAX, DC_LAYER_BINS_MAX = 160 };

struct dc_measures {
    struct dc_arena *arena;
    const struct dc_source *source;  // the test split, or NULL
    int64_t samples;
    int64_t *ids;  // [samples] in the source
    int classes;   // 0: nothing classifies
    int answer_count, layer_count, unmeasured_count, layers_left_out;
    struct dc_answers answers[DC_ANSWERS_MAX];
    struct dc_layer_bins *layers[DC_LAYER_BINS_MAX];
    struct dc_unmeasured unmeasured[DC_STAGES_MAX + 1];
};

// environment: the run's env.json, or NULL. Freed with the arena it makes (dc_measures_free).
DC_MUST_USE enum dc_status dc_measure_run(struct dc_measures **measures, struct dc_run *run,
                                          const json_t *environment, struct dc_error *error);
void dc_measures_free(struct dc_measures *measures);  // NULL is allowed

// NULL: there are none.
const struct dc_answers *dc_answers_of(const struct dc_measures *measures,
                                       const struct dc_stage *stage, bool integers);
// Why a stage was not measured; NULL: it was.
const char *dc_why_unmeasured(const struct dc_measures *measures, const struct dc_stage *stage);

// Two networks on the same samples.
struct dc_flips {
    int64_t lost, won;  // right before and wrong now; the reverse
    int64_t other;      // answers that differ
    double p;           // train/mcnemar.h
};
struct dc_flips dc_count_flips(const struct dc_measures *measures, const struct dc_answers *before,
                               const struct dc_answers *now);

#endif

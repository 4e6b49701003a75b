// A finished network asked about photographs: a class and its probability for each.

#ifndef DC_RUN_PREDICT_PHOTOS_H
#define DC_RUN_PREDICT_PHOTOS_H

#include "run/predict.h"

struct dc_photo_options {
    const char *stage;         // of a run; NULL: the last one with a network
    const char *profile;       // of a run; NULL: the experiment's
    const char *bundle;        // instead of a run
    const char *const *paths;  // [path_count] files, and folders of files
    int path_count;
    struct dc_sample_progress progress;
};

struct dc_photo_predictions {
    const char *stage;       // or the bundle
    const char *arithmetic;  // "float32" or the profile's name
    int64_t count;
    const char *const *files;  // [count]
    bool numbered;             // they are numbers of samples, from 0
    int classes;
    const char *const *class_names;  // [classes]; numbers where the data has no names
    enum dc_label_kind labels;
    // [count, classes]: softmax of the outputs, or these; of tags each output's sigmoid; of values
    // the outputs themselves.
    const float *probabilities;
    const int
        *margins;  // [count]: of integers that tell classes, of the two largest codes; or NULL
    // Of a cascade: [count], the stage that settled a file, and the threshold; else NULL.
    const char *const *settled;
    const char *device;  // the first stage: those with another name went to the teacher
    int threshold;
};

// A cascade on photographs: a file is settled by the quantized stage `device` where its margin is
// at least `threshold` (0: what the run's export of it chose, run/cascade.h), else by `teacher`.
struct dc_photo_cascade_options {
    const char *device, *teacher;
    int threshold;
};
struct dc_photo_options;

// Photographs become what the run's samples are: resized by data.resize, else stretched bilinearly
// to their size. What the run's record or the bundle says of the samples is enough: data is read
// only of runs whose record is older. run: NULL with a bundle. All lies in the arena, or the run's.
DC_MUST_USE enum dc_status dc_predict_photos(struct dc_photo_predictions *out,
                                             const struct dc_ctx *ctx, struct dc_run *run,
                                             const struct dc_photo_options *options,
                                             struct dc_arena *arena, struct dc_error *error);

DC_MUST_USE enum dc_status dc_predict_cascade(struct dc_photo_predictions *out, struct dc_run *run,
                                              const struct dc_photo_options *options,
                                              const struct dc_photo_cascade_options *cascade,
                                              struct dc_arena *arena, struct dc_error *error);
// How many files the device settled.
int64_t dc_photo_settled(const struct dc_photo_predictions *p);

// What was predicted of a data set, likewise; all lies in the arena or the prediction. The output
// of a network that gives back its input is DC_ERR_USAGE.
DC_MUST_USE enum dc_status dc_prediction_named(struct dc_photo_predictions *out,
                                               const struct dc_prediction *prediction,
                                               struct dc_arena *arena, struct dc_error *error);

// As a table, as CSV (RFC 4180: file,class,probability; a row a value, file,value,number, or a tag,
// file,tag,probability; with settled,margin behind of a cascade), as JSON with all of them.
void dc_photo_table(struct dc_text_buffer *out, const struct dc_photo_predictions *p);
void dc_photo_csv(struct dc_text_buffer *out, const struct dc_photo_predictions *p);
// To a file that ends in .csv or .json, whole; it may replace one that Decant wrote.
DC_MUST_USE enum dc_status dc_photo_may_write(const char *path, struct dc_error *error);
DC_MUST_USE enum dc_status dc_photo_write(const char *path, const struct dc_photo_predictions *p,
                                          struct dc_error *error);
json_t *dc_photo_json(const struct dc_photo_predictions *p);

#endif

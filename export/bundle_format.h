// Names and hashes shared by the bundle's writer and reader. Internal to export/.

#ifndef DC_EXPORT_BUNDLE_FORMAT_H
#define DC_EXPORT_BUNDLE_FORMAT_H

#include <jansson.h>

#include "core/tensor.h"
#include "export/vectors.h"

enum { DC__DATASET_NAME = 64 };

// One dataset of a layer: "layers/03/weights".
struct dc__dataset {
    char name[DC__DATASET_NAME];
    struct dc_tensor tensor;
};

enum dc__layer_array {
    DC__WEIGHTS,
    DC__BIASES,
    DC__WEIGHT_SCALES,
    DC__MULTIPLIERS,
    DC__SHIFTS,
    DC__LAYER_ARRAYS
};
extern const char *const dc__layer_array_names[DC__LAYER_ARRAYS];

// Shape, type and name of an array of layer i; data points into *l (NULL where not there yet).
// false: this layer has no such array. input: the layer's first input.
bool dc__layer_dataset(struct dc__dataset *dataset, const struct dc_ilayer *l,
                       const struct dc_ilayer *input, int i, enum dc__layer_array which);

// The same of one of dc__vector_arrays; data points into *vectors.
extern const char *const dc__vector_arrays[2];
bool dc__vector_dataset(struct dc__dataset *dataset, const struct dc_vectors *vectors,
                        const struct dc_ilayer *l, int i, const char *what);

// What the manifest states of layer i beside where its arrays, vectors and memory are.
json_t *dc__layer_json(const struct dc_imodel *model, int i);

// A float32 as {value, bits}, and back by its bits, which are NaN's where there are none.
json_t *dc__float_json(float value);
float dc__json_float(const json_t *value);

const char *dc__layer_layout(const struct dc_ilayer *l, enum dc__layer_array which);
uint32_t dc__crc32(const void *bytes, uint64_t count);
uint32_t dc__tensor_crc32(const struct dc_tensor *tensor);
// Of the manifest without its own "crc32". 0 with *ok false when memory is out.
uint32_t dc__manifest_crc32(json_t *manifest, bool *ok);

#endif

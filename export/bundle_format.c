// Owns the names, shapes and hashes of a bundle's datasets, so that writer and reader cannot
// differ.

#include "export/bundle_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

const char *const dc__vector_arrays[] = {"outputs", "accumulators"};
const char *const dc__layer_array_names[DC__LAYER_ARRAYS] = {"weights", "biases", "weight_scales",
                                                             "multipliers", "shifts"};

// Writers cast const away: HDF5's wrapper takes one tensor type for reading and writing.
bool dc__layer_dataset(struct dc__dataset *dataset, const struct dc_ilayer *l,
                       const struct dc_ilayer *input, int i, enum dc__layer_array which)
{
    const bool weighted = dc_ilayer_has_weights(l);
    const int rescales = weighted            ? l->channels
                         : l->op == DC_I_ADD ? 3
                                             : l->op == DC_I_MEAN || l->op == DC_I_MULTIPLY;
    snprintf(dataset->name, sizeof dataset->name, "layers/%02d/%s", i,
             dc__layer_array_names[which]);
    dataset->tensor = (struct dc_tensor){.dtype = DC_I32, .shape = DC_SHAPE(l->channels)};
    switch (which) {
    case DC__WEIGHTS:
        dataset->tensor.dtype = DC_I8;
        dataset->tensor.data = (void *)l->weights;
        if (l->op == DC_I_CONV2D)
            dataset->tensor.shape = DC_SHAPE(l->channels, l->window.kernel[0], l->window.kernel[1],
                                             input->channels);
        else if (l->op == DC_I_DEPTHWISE_CONV2D)
            dataset->tensor.shape = DC_SHAPE(1, l->window.kernel[0], l->window.kernel[1],
                                             l->channels);
        else if (weighted)
            dataset->tensor.shape = DC_SHAPE(l->channels, dc_ilayer_size(input));
        return weighted;
    case DC__BIASES:
        dataset->tensor.data = (void *)l->biases;
        return weighted;
    case DC__WEIGHT_SCALES:
        dataset->tensor.dtype = DC_F32;
        dataset->tensor.data = (void *)l->weight_scales;
        return weighted;
    default:
        dataset->tensor.data = which == DC__MULTIPLIERS ? l->multipliers : l->shifts;
        dataset->tensor.shape = DC_SHAPE(rescales);
        return rescales > 0;
    }
}

bool dc__vector_dataset(struct dc__dataset *dataset, const struct dc_vectors *vectors,
                        const struct dc_ilayer *l, int i, const char *what)
{
    const bool sums = strcmp(what, "accumulators") == 0;
    snprintf(dataset->name, sizeof dataset->name, "vectors/%02d/%s", i, what);
    dataset->tensor = (struct dc_tensor){
        .data = sums ? (void *)vectors->accumulators[i] : vectors->outputs[i],
        .dtype = sums ? DC_I32 : DC_I8,
        .shape = DC_SHAPE(vectors->count, l->height, l->width, l->channels)};
    return dataset->tensor.data;
}

const char *dc__layer_layout(const struct dc_ilayer *l, enum dc__layer_array which)
{
    if (which == DC__WEIGHTS)
        return l->op == DC_I_CONV2D ? "OHWI" : l->op == DC_I_DEPTHWISE_CONV2D ? "1HWC" : "OI";
    if (which >= DC__MULTIPLIERS && !dc_ilayer_has_weights(l))
        return l->op == DC_I_ADD ? "first, second, sum" : "one";
    return "O";
}

json_t *dc__float_json(float value)
{
    uint32_t bits;
    char hex[16];
    memcpy(&bits, &value, sizeof bits);
    snprintf(hex, sizeof hex, "0x%08" PRIx32, bits);
    return json_pack("{s:f, s:s}", "value", (double)value, "bits", hex);
}

float dc__json_float(const json_t *value)
{
    const char *text = json_string_value(json_object_get(value, "bits"));
    const uint32_t bits = text ? (uint32_t)strtoul(text, NULL, 16) : UINT32_MAX;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

uint32_t dc__crc32(const void *bytes, uint64_t count)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, (size_t)count);
}

uint32_t dc__tensor_crc32(const struct dc_tensor *tensor)
{
    return dc__crc32(tensor->data,
                     (uint64_t)dc_shape_count(&tensor->shape) * dc_dtype_bytes(tensor->dtype));
}

uint32_t dc__manifest_crc32(json_t *manifest, bool *ok)
{
    json_t *copy = json_copy(manifest);
    json_object_del(copy, "crc32");
    char *text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(copy);
    *ok = text != NULL;
    const uint32_t crc = text ? dc__crc32(text, strlen(text)) : 0;
    free(text);
    return crc;
}

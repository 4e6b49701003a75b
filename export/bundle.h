// The bundle: an integer model as a directory that needs no questions asked.
//
//   manifest.json  everything about every layer, for machines and people: op, strides, pads and
//                  what they hold, shapes, layouts, types, bits, CRC32 of every dataset and file,
//                  scales as decimal and as hex bits, zero points, multipliers, shifts, clamps, the
//                  proven range of the accumulator, the rounding rule by name; "preprocessing"
//                  where the input is made of bytes: mean, std, class names, resizing (numbers and
//                  rules); "lineage": what it was made of, by hashes (run/lineage.h)
//   model.h5       layers/NN/{weights, biases, weight_scales, multipliers, shifts};
//                  vectors/NN/{outputs, accumulators}; vectors/00/outputs are the inputs
//   NAME.h NAME.c  self-contained C99 (c_source.h)
//   CMakeLists.txt library.properties idf_component.yml module.yml README.md   (packaging.h)
//   NAME.onnx ...  where asked for (formats.h)
//
// Beside the folder lies DIRECTORY.tar (archive.h), the same bytes for the same model, with
// module.yml where Zephyr looks for it.
//
// Hashes: CRC32 (zlib's) of little-endian bytes. The manifest's own "crc32" is of its compact dump
// with sorted keys and without that key.

#ifndef DC_EXPORT_BUNDLE_H
#define DC_EXPORT_BUNDLE_H

#include <jansson.h>

#include "core/yaml.h"
#include "export/vectors.h"

enum { DC_BUNDLE_VERSION = 1 };

// A bundle may be written to `directory`: nothing is there, or an empty folder, or a bundle with
// nothing else in it; else DC_ERR_USAGE.
DC_MUST_USE enum dc_status dc_bundle_may_write(const char *directory, struct dc_error *error);
// Appears whole: written beside `directory` and renamed. An older bundle there is replaced;
// anything else is refused as dc_bundle_may_write does. formats: names of further files wanted
// (formats.h; "bundle" and "c" change nothing); NULL: none.
DC_MUST_USE enum dc_status dc_bundle_write(const char *directory, const struct dc_imodel *model,
                                           const struct dc_vectors *vectors,
                                           const struct dc_texts *formats, struct dc_error *error);

// Strict: version, shapes, types, every hash, C files included, and the multipliers that this
// program derives from the scales. Damage is DC_ERR_DATA with the file and dataset.
// vectors may be NULL; the caller frees both.
DC_MUST_USE enum dc_status dc_bundle_read(struct dc_imodel **model, struct dc_vectors **vectors,
                                          const char *directory, struct dc_error *error);

// The bytes, in the arena, of the archive beside the bundle, made anew from its files. Whether
// those are whole is dc_bundle_read's to say.
DC_MUST_USE enum dc_status dc_bundle_archive(char **bytes, size_t *size, const char *directory,
                                             struct dc_arena *arena, struct dc_error *error);

// *version: of the program that wrote the bundle, by its own word.
DC_MUST_USE enum dc_status dc_bundle_writer(char **version, const char *directory,
                                            struct dc_arena *arena, struct dc_error *error);

// {weight_bytes, bias_bytes, rescale_bytes, arena_bytes, scratch_bytes, whole_arena_bytes, macs}
json_t *dc_bundle_cost(const struct dc_imodel_cost *cost);

#endif

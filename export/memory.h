// A network for logic of one's own: memory images of its weights and scales, parameters in
// SystemVerilog, units that compute its layers, and a testbench that proves them on test vectors.
// One ustar archive, NAME.memory.tar, of these files:
//
//   README.md         what each file is, how words are filled, the address map
//   network.svh       localparams of the network and of every layer (memory_header.h)
//   layers.svh        what the testbench replays
//   *.sv, *.svh       export/rtl: arithmetic, units, testbench
//   NN_LAYER_WHAT.mem images for $readmemh (memory_images.h); NN_LAYER.mem: codes of a value, one a
//                     line, of each vector
//   xilinx/ intel/    the images as .coe of Xilinx and .mif of Intel

#ifndef DC_EXPORT_MEMORY_H
#define DC_EXPORT_MEMORY_H

#include "export/archive.h"
#include "export/vectors.h"

// The same bytes for the same model and vectors. DC_ERR_DATA names a layer that no integer
// multipliers and shifts scale. vectors NULL is DC_ERR_USAGE.
DC_MUST_USE enum dc_status dc_memory_write(const char *path, const struct dc_imodel *model,
                                           const struct dc_vectors *vectors,
                                           struct dc_error *error);
// NULL, or why this layer has no images, as the end of a sentence about it.
const char *dc_memory_refuses(const struct dc_imodel *model, int layer);

// Internal to export/: the archive's files, in the arena. Layers that no integers scale have none
// of theirs.
DC_MUST_USE enum dc_status dc__memory_files(struct dc__archive_file **files, int *count,
                                            const struct dc_imodel *model,
                                            const struct dc_vectors *vectors,
                                            struct dc_arena *arena, struct dc_error *error);

#endif

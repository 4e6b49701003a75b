// The SystemVerilog that a network's memory images need: parameters of every layer, and the list of
// layers that the testbench replays. Internal to export/.

#ifndef DC_EXPORT_MEMORY_HEADER_H
#define DC_EXPORT_MEMORY_HEADER_H

#include "export/memory_images.h"

enum { DC__MEMORY_VECTORS = 4 };  // of each layer at most: the corner cases and a sample

// "03_block_conv": the beginning of a layer's files' names, in the arena.
char *dc__memory_layer_name(const struct dc_imodel *model, int layer, struct dc_arena *arena,
                            struct dc_error *error);
// NULL, or why the units do not compute this layer: as the end of a sentence.
const char *dc__memory_not_replayed(const struct dc_imodel *model, int layer);
// NULL, or why no multipliers and shifts give the layer's codes: as the end of a sentence.
const char *dc__memory_refuses(const struct dc_imodel *model, int layer);
// Whether this is the cheapest layer of its kind: its op and the bits of its weights.
bool dc__memory_represents(const struct dc_imodel *model, int layer);
// Clocks that the units take for a layer and one vector.
int64_t dc__memory_clocks(const struct dc_imodel *model, int layer);

// network.svh: localparams alone. layers.svh: the testbench's macros, a line a layer. vectors: how
// many the files of codes hold.
DC_MUST_USE enum dc_status dc__memory_put_header(FILE *out, const struct dc_imodel *model,
                                                 int64_t vectors, struct dc_arena *arena,
                                                 struct dc_error *error);
void dc__memory_put_layers(FILE *out, const struct dc_imodel *model);

#endif

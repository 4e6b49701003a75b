// Adaptors: small trained networks between a student's layer and what a loss compares it with.
//
// They are made from both shapes and live in the training graph alone: their parameters have the
// role DC_ROLE_AUXILIARY, so that neither weights files nor exports hold them (running statistics
// of their batch norms keep their role). Nodes are named PREFIX.conv, PREFIX.norm and so on.

#ifndef DC_DISTILL_ADAPTOR_H
#define DC_DISTILL_ADAPTOR_H

#include "core/graph.h"

// FitNets' regressor (Romero et al., arXiv:1412.6550, as in RepDistiller): convolution with bias,
// batch normalization, ReLU, to the shape of `like`. 3x3 of stride 2 where the student's map is
// twice as large, transposed 4x4 of stride 2 where it is half as large, else of kernel
// 1 + student - teacher without padding. Of vectors, a dense layer instead.
DC_MUST_USE enum dc_status dc_adaptor_add_hint(struct dc_graph *graph, const char *prefix, int from,
                                               const struct dc_shape *like, int *node,
                                               struct dc_error *error);

// Flattened, then dense: [batch, size].
DC_MUST_USE enum dc_status dc_adaptor_add_embedding(struct dc_graph *graph, const char *prefix,
                                                    int from, int size, int *node,
                                                    struct dc_error *error);

// One step of ReviewKD's fusion (Chen et al., arXiv:2104.09044), from deep to shallow: `from` is
// brought to `middle` channels (1x1 convolution and batch norm) and, where *residual is not -1,
// blended with it, resized to nearest, by two learned attention maps. *residual becomes the blend;
// *node its 3x3 convolution and batch norm, of the shape of `like`, whose maps are of one size.
DC_MUST_USE enum dc_status dc_adaptor_add_fusion(struct dc_graph *graph, const char *prefix,
                                                 int from, const struct dc_shape *like,
                                                 int64_t middle, int *residual, int *node,
                                                 struct dc_error *error);

extern const struct dc_op dc_op_blend;  // of the fusion, see adaptor.c

#endif

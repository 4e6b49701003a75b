// Owns resizing of [batch, height, width, channels]: bilinear and nearest. Channels are the
// innermost loop; along height and width every output index has two input indices and a weight
// between them, worked out in double. Nearest has one.

#include <math.h>
#include <string.h>

#include "core/ops/ops.h"

// y = x[low] + weight (x[high] - x[low]) along one axis.
struct tap {
    int64_t low, high;
    float weight;
};

static double place_of(int64_t i, int64_t in, int64_t out, double scale,
                       enum dc_coordinates coordinates)
{
    const double ratio = scale > 0.0 ? scale : (double)out / (double)in;
    switch (coordinates) {
    case DC_ASYMMETRIC:
        return (double)i / ratio;
    case DC_ALIGN_CORNERS:
        return out == 1 ? 0.0 : (double)i * (double)(in - 1) / (double)(out - 1);
    case DC_PYTORCH_HALF_PIXEL:
        return out == 1 ? 0.0 : ((double)i + 0.5) / ratio - 0.5;
    default:
        return ((double)i + 0.5) / ratio - 0.5;
    }
}

static int64_t inside(double index, int64_t size)
{
    return index < 0.0 ? 0 : index > (double)(size - 1) ? size - 1 : (int64_t)index;
}

static struct tap tap_of(int64_t i, int64_t in, int64_t out, double scale,
                         const struct dc_resize_attributes *a)
{
    const double at = place_of(i, in, out, scale, a->coordinates), low = floor(at);
    const double nearest = a->mode == DC_RESIZE_ROUND_DOWN ? ceil(at - 0.5)
                           : a->mode == DC_RESIZE_ROUND_UP ? floor(at + 0.5)
                           : a->mode == DC_RESIZE_FLOOR    ? low
                                                           : ceil(at);
    if (a->mode != DC_RESIZE_LINEAR)
        return (struct tap){inside(nearest, in), inside(nearest, in), 0.0f};
    return (struct tap){inside(low, in), inside(low + 1.0, in), (float)(at - low)};
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_resize_attributes *a = node->attributes;
    char text[DC_SHAPE_TEXT];
    if (in[0].rank != 4 || a->height < 1 || a->width < 1 || a->scale_h < 0.0 || a->scale_w < 0.0 ||
        (unsigned)a->coordinates >= DC_COORDINATES_COUNT ||
        (unsigned)a->mode >= DC_RESIZE_MODE_COUNT)
        return dc_fail(error, DC_ERR_CONFIG,
                       "resize of %s to %dx%d: it needs [batch, height, width, channels] and sizes "
                       "from 1",
                       dc_shape_text(text, &in[0]), a->height, a->width);
    *out = DC_SHAPE(in[0].dims[0], a->height, a->width, in[0].dims[3]);
    return DC_OK;
}

// The four values around an output pixel and their weights.
struct corners {
    int64_t at[4];
    float weight[4];
};

static struct corners corners_of(const struct dc_op_call *call, int64_t p, int64_t q)
{
    const struct dc_resize_attributes *a = call->node->attributes;
    const int64_t *in = call->in[0].shape.dims;
    const struct tap y = tap_of(p, in[1], a->height, a->scale_h, a);
    const struct tap x = tap_of(q, in[2], a->width, a->scale_w, a);
    return (struct corners){{(y.low * in[2] + x.low) * in[3], (y.low * in[2] + x.high) * in[3],
                             (y.high * in[2] + x.low) * in[3], (y.high * in[2] + x.high) * in[3]},
                            {(1.0f - y.weight) * (1.0f - x.weight), (1.0f - y.weight) * x.weight,
                             y.weight * (1.0f - x.weight), y.weight * x.weight}};
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct dc_resize_attributes *a = call->node->attributes;
    const int64_t channels = call->out.shape.dims[3], in_row = dc_shape_row(&call->in[0].shape);
    float *y = dc_f32(&call->out) + rows.first * dc_shape_row(&call->out.shape);
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        const float *x = dc_f32(&call->in[0]) + r * in_row;
        for (int64_t pixel = 0; pixel < (int64_t)a->height * a->width; pixel++, y += channels) {
            const struct corners k = corners_of(call, pixel / a->width, pixel % a->width);
            if (a->mode != DC_RESIZE_LINEAR) {
                memcpy(y, x + k.at[0], (size_t)channels * sizeof *y);
                continue;
            }
            for (int64_t c = 0; c < channels; c++)
                y[c] = (x[k.at[0] + c] * k.weight[0] + x[k.at[1] + c] * k.weight[1]) +
                       (x[k.at[2] + c] * k.weight[2] + x[k.at[3] + c] * k.weight[3]);
        }
    }
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct dc_resize_attributes *a = call->node->attributes;
    const int64_t channels = call->out.shape.dims[3];
    const struct dc_target target = dc_input_target(call, 0, rows);
    const float *g = dc_f32(&call->d_out) + rows.first * dc_shape_row(&call->out.shape);
    for (int64_t r = 0; r < rows.count; r++) {
        float *dx = target.at + r * target.row;
        for (int64_t pixel = 0; pixel < (int64_t)a->height * a->width; pixel++, g += channels) {
            const struct corners k = corners_of(call, pixel / a->width, pixel % a->width);
            const int corners = a->mode == DC_RESIZE_LINEAR ? 4 : 1;
            for (int n = 0; n < corners; n++)
                for (int64_t c = 0; c < channels; c++)
                    dx[k.at[n] + c] += g[c] * k.weight[n];
        }
    }
}

const struct dc_op dc_op_resize = DC_ADDING_OP(
    "resize", 1, 1, .attribute_bytes = sizeof(struct dc_resize_attributes), .infer = infer);

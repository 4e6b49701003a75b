// Owns the geometry of convolutions: borders, offsets of runs, blocks of images.

#include "core/ops/conv_geometry.h"

#include <string.h>

int dc__div_floor(int a, int b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

// How far the output rows read by backward-data reach outside [0, out): the border on either side.
static void reach(int *before, int *padded, int in, int out, const struct dc_window *w, int axis)
{
    const int back = (w->kernel[axis] - 1) * w->dilation[axis];
    const int low = dc__div_floor(w->before[axis] - back, w->stride[axis]);
    const int high = dc__div_floor(in - 1 + w->before[axis], w->stride[axis]);
    *before = low < 0 ? -low : 0;
    *padded = *before + (high > out - 1 ? high + 1 : out);
}

enum { BLOCK_PIXELS = 256, BLOCK_BYTES = 786432 };

// Images that are worked on at once: enough pixels for the kernels, whole tiles of statistics, and
// no more than a chunk has.
static int64_t block_of(const struct dc_conv_geometry *g, int64_t batch, int chunks)
{
    const int64_t in = (int64_t)g->in_h * g->in_w, out = (int64_t)g->out_h * g->out_w;
    int64_t block = dc_tile_rows(in < out ? in : out);
    while (block * out < BLOCK_PIXELS)
        block *= 2;
    const int64_t chunk = (batch + chunks - 1) / chunks;
    return block < chunk ? block : chunk;
}

int64_t dc__inference_block(const struct dc_conv_geometry *g, int64_t batch, int threads)
{
    const int64_t out = (int64_t)g->out_h * g->out_w;
    const int64_t bytes = (int64_t)g->padded_h * g->padded_w * g->in_c * (int64_t)sizeof(float);
    const int64_t share = (batch + threads - 1) / threads;
    int64_t block = 1;
    while (block * out < BLOCK_PIXELS && 2 * block * bytes <= BLOCK_BYTES)
        block *= 2;
    return block < share ? block : share;
}

struct dc_conv_geometry dc__conv_geometry(const struct dc_node *node, const struct dc_shape *in,
                                          const struct dc_shape *out, const struct dc_ctx *ctx)
{
    const struct dc_conv_attributes *a = node->attributes;
    struct dc_conv_geometry g = {
        .in_h = (int)in->dims[1],
        .in_w = (int)in->dims[2],
        .in_c = (int)in->dims[3],
        .out_h = (int)out->dims[1],
        .out_w = (int)out->dims[2],
        .out_c = a->filters,
        .window = a->window,
        .groups = a->groups,
    };
    g.group_in = g.in_c / g.groups;
    g.group_out = g.out_c / g.groups;
    g.depthwise = g.group_in == 1 && g.group_out == 1;
    g.bordered = dc_window_is_padded(&a->window);
    g.padded_h = g.in_h + a->window.before[0] + a->window.after[0];
    g.padded_w = g.in_w + a->window.before[1] + a->window.after[1];
    reach(&g.border_top, &g.d_padded_h, g.in_h, g.out_h, &g.window, 0);
    reach(&g.border_left, &g.d_padded_w, g.in_w, g.out_w, &g.window, 1);
    g.d_bordered = g.d_padded_h != g.out_h || g.d_padded_w != g.out_w;
    g.block = block_of(&g, in->dims[0], ctx->chunks);
    return g;
}

int64_t dc__conv_taps(const struct dc_conv_geometry *g)
{
    return (int64_t)g->window.kernel[0] * g->window.kernel[1];
}

int64_t dc__conv_weights(const struct dc_conv_geometry *g)
{
    return dc__conv_taps(g) * g->group_in * g->out_c;
}

int64_t dc__panel_floats(int channels, int64_t depth)
{
    return (channels + DC_PANEL - 1) / DC_PANEL * DC_PANEL * depth;
}

void dc__pack(float *panels, const float *w, int64_t depth, int channels, int64_t depth_stride,
              int64_t channel_stride)
{
    for (int first = 0; first < channels; first += DC_PANEL) {
        const int left = channels - first, n = left < DC_PANEL ? left : DC_PANEL;
        const float *from = w + first * channel_stride;
        for (int64_t k = 0; k < depth; k++, panels += DC_PANEL, from += depth_stride) {
            if (channel_stride == 1 && n == DC_PANEL) {
                memcpy(panels, from, DC_PANEL * sizeof *panels);
                continue;
            }
            for (int c = 0; c < DC_PANEL; c++)
                panels[c] = c < n ? from[c * channel_stride] : 0.0f;
        }
    }
}

static bool merges_rows(const struct dc_conv_geometry *g)
{
    return g->groups == 1 && g->window.dilation[1] == 1 && !g->depthwise;
}

void *dc__take(struct dc_scratch *scratch, size_t bytes)
{
    void *memory = scratch->base ? scratch->base + scratch->used : NULL;
    scratch->used += (bytes + 63) / 64 * 64;
    return memory;
}

struct dc_conv_tables dc__forward_tables(struct dc_scratch *scratch,
                                         const struct dc_conv_geometry *g, bool panels, int threads)
{
    const int64_t pixels = g->block * g->out_h * g->out_w;
    const int64_t image = (int64_t)g->padded_h * g->padded_w * g->in_c;
    const int64_t panel_floats = panels && !g->depthwise
                                     ? g->groups * dc__panel_floats(g->group_out,
                                                                    dc__conv_taps(g) * g->group_in)
                                     : 0;
    struct dc_conv_tables t = {.buffer_floats = (g->block * image + 15) / 16 * 16};
    t.x_offset = dc__take(scratch, sizeof(int32_t) * (size_t)pixels);
    t.y_offset = dc__take(scratch, sizeof(int32_t) * (size_t)pixels);
    t.run_offset = dc__take(scratch, sizeof(int32_t) * (size_t)dc__conv_taps(g));
    t.panels = dc__take(scratch, sizeof(float) * (size_t)panel_floats);
    t.buffer = dc__take(scratch, sizeof(float) * (size_t)(t.buffer_floats * threads));
    return t;
}

void dc__fill_forward_offsets(const struct dc_conv_tables *t, const struct dc_conv_geometry *g)
{
    int p = 0;
    for (int64_t image = 0; image < g->block; image++) {
        const int first = (int)(image * g->padded_h) * g->padded_w * g->in_c;
        for (int y = 0; y < g->out_h; y++) {
            for (int x = 0; x < g->out_w; x++, p++) {
                t->x_offset[p] = first +
                                 (y * g->window.stride[0] * g->padded_w + x * g->window.stride[1]) *
                                     g->in_c;
                t->y_offset[p] = p * g->out_c;
            }
        }
    }
    int r = 0;
    for (int ky = 0; ky < g->window.kernel[0]; ky++) {
        for (int kx = 0; kx < (merges_rows(g) ? 1 : g->window.kernel[1]); kx++, r++)
            t->run_offset[r] =
                (ky * g->window.dilation[0] * g->padded_w + kx * g->window.dilation[1]) * g->in_c;
    }
}

struct dc_taps dc__forward_taps(const struct dc_conv_tables *t, const struct dc_conv_geometry *g)
{
    return (struct dc_taps){
        .run_offset = t->run_offset,
        .runs = merges_rows(g) ? g->window.kernel[0] : g->window.kernel[0] * g->window.kernel[1],
        .run_length = merges_rows(g) ? g->window.kernel[1] * g->in_c : g->group_in,
    };
}

void dc__copy_bordered(float *padded, const struct dc_border *border, const float *image, int h,
                       int w, int c, const struct dc_epilogue *epilogue, const struct dc_ctx *ctx)
{
    const int64_t row = (int64_t)border->padded_w * c, line = (int64_t)w * c;
    const int64_t left = (int64_t)border->left * c, right = row - left - line;
    memset(padded, 0, sizeof(float) * (size_t)(row * border->top));
    float *out = padded + row * border->top;
    for (int y = 0; y < h; y++, out += row, image += line) {
        memset(out, 0, sizeof(float) * (size_t)left);
        if (epilogue)
            ctx->kernels->epilogue(out + left, image, epilogue, line);
        else
            memcpy(out + left, image, sizeof(float) * (size_t)line);
        memset(out + left + line, 0, sizeof(float) * (size_t)right);
    }
    memset(out, 0, sizeof(float) * (size_t)(row * (border->padded_h - border->top - h)));
}

const float *dc__read_images(const struct dc_op_call *call, const struct dc_conv_geometry *g,
                             const struct dc_conv_tables *t, int64_t row, int64_t rows, int thread)
{
    const int64_t image = (int64_t)g->in_h * g->in_w * g->in_c;
    const int64_t padded = (int64_t)g->padded_h * g->padded_w * g->in_c;
    const struct dc_epilogue *epilogue = dc_in_epilogue(call, 0);
    const float *x = dc_f32(&call->in[0]) + row * image;
    float *buffer = t->buffer + thread * t->buffer_floats;
    if (!g->bordered && !epilogue)
        return x;
    if (!g->bordered) {
        call->ctx->kernels->epilogue(buffer, x, epilogue, rows * image);
        return buffer;
    }
    const struct dc_border border = {g->window.before[0], g->window.before[1], g->padded_h,
                                     g->padded_w};
    for (int64_t i = 0; i < rows; i++)
        dc__copy_bordered(buffer + i * padded, &border, x + i * image, g->in_h, g->in_w, g->in_c,
                          epilogue, call->ctx);
    return buffer;
}

void dc__prefetch_range(struct dc_prefetch *prefetch, const float *from, int64_t count)
{
    if (count <= 0)
        return;
    prefetch->at--;
    prefetch->next[prefetch->at] = (const char *)from;
    prefetch->end[prefetch->at] = (const char *)(from + count);
}

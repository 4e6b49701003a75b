// Owns the geometry of the tester's layers and the memory of one work. Blocks are as large as the
// kernel may read and no larger, so that AddressSanitizer sees a step outside.

#include "work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int layer_read(struct layer *layer, FILE *list)
{
    char line[256], kind[16];
    while (fgets(line, sizeof line, list)) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        struct layer l = {0};
        const int fields = sscanf(line, "%31s %15s %d %d %d %d %d %d %d", l.name, kind, &l.h, &l.w,
                                  &l.c, &l.filters, &l.kernel_h, &l.kernel_w, &l.stride);
        l.depthwise = strcmp(kind, "depthwise") == 0;
        if (fields != 9 || (!l.depthwise && strcmp(kind, "conv") != 0) || l.stride < 1 ||
            l.stride * l.stride > CALLS_MAX || (l.depthwise && l.c != l.filters))
            return -1;
        *layer = l;
        return 1;
    }
    return ferror(list) ? -1 : 0;
}

static void fill(float *x, int count)
{
    static uint64_t state = 1;
    for (int i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)((double)(state >> 40) * 0x1p-23 - 1.0);
    }
}

static float *filled(int count)
{
    const size_t bytes = (sizeof(float) * (size_t)count + 63) / 64 * 64;
    float *x = aligned_alloc(64, bytes);
    if (x)
        fill(x, (int)(bytes / sizeof(float)));
    return x;
}

static int out_size(int in, int stride)
{
    return (in + stride - 1) / stride;
}

static int pad_before(int in, int kernel, int stride)
{
    const int total = (out_size(in, stride) - 1) * stride + kernel - in;
    return total > 0 ? total / 2 : 0;
}

// Every padded image has a border of the kernel's size on all sides.
static int padded_row(int in, int kernel)
{
    return in + 2 * kernel;
}

static bool call_open(struct call *call, int pixels, int runs, int run_length, int channels,
                      bool depthwise)
{
    const int panels = (channels + DC_PANEL - 1) / DC_PANEL;
    const int weights = depthwise ? runs * channels : panels * DC_PANEL * runs * run_length;
    call->pixels = pixels;
    call->x_offset = calloc((size_t)pixels + 1, sizeof(int32_t));
    call->y_offset = calloc((size_t)pixels + 1, sizeof(int32_t));
    call->run_offset = calloc((size_t)runs + 1, sizeof(int32_t));
    call->weights = filled(weights);
    call->weight_count = weights;
    call->taps = (struct dc_taps){call->run_offset, runs, run_length};
    return call->x_offset && call->y_offset && call->run_offset && call->weights;
}

// Forward and weight gradient: a run is a kernel row, or one tap of a depthwise layer.
static bool forward_call(struct work *work)
{
    const struct layer *l = &work->layer;
    struct call *call = &work->calls[work->call_count++];
    const int oh = out_size(l->h, l->stride), ow = out_size(l->w, l->stride);
    const int row = padded_row(l->w, l->kernel_w);
    const int run_taps = l->depthwise ? l->kernel_w : 1;
    if (!call_open(call, oh * ow, l->kernel_h * run_taps, l->depthwise ? 1 : l->kernel_w * l->c,
                   l->filters, l->depthwise))
        return false;
    for (int p = 0; p < oh * ow; p++) {
        const int iy = p / ow * l->stride + l->kernel_h - pad_before(l->h, l->kernel_h, l->stride);
        const int ix = p % ow * l->stride + l->kernel_w - pad_before(l->w, l->kernel_w, l->stride);
        call->x_offset[p] = (iy * row + ix) * l->c;
        call->y_offset[p] = p * work->y_stride;
    }
    for (int r = 0; r < call->taps.runs; r++)
        call->run_offset[r] = (r / run_taps * row + r % run_taps) * l->c;
    work->flops = 2.0 * oh * ow * l->filters * l->kernel_h * l->kernel_w *
                  (l->depthwise ? 1 : l->c);
    return true;
}

// Backward-data of one stride phase: the taps that reach it, one run each.
static bool data_call(struct work *work, int py, int px)
{
    const struct layer *l = &work->layer;
    struct call *call = &work->calls[work->call_count++];
    const int row = padded_row(out_size(l->w, l->stride), l->kernel_w);
    const int top = pad_before(l->h, l->kernel_h, l->stride);
    const int left = pad_before(l->w, l->kernel_w, l->stride);
    const int h = out_size(l->h - py, l->stride), w = out_size(l->w - px, l->stride);
    if (!call_open(call, h * w, l->kernel_h * l->kernel_w, l->depthwise ? 1 : l->filters, l->c,
                   l->depthwise))
        return false;
    for (int p = 0; p < h * w; p++) {
        const int iy = py + p / w * l->stride, ix = px + p % w * l->stride;
        call->x_offset[p] = ((p / w + l->kernel_h) * row + p % w + l->kernel_w) * l->filters;
        call->y_offset[p] = (iy * l->w + ix) * work->y_stride;
    }
    int runs = 0;
    for (int t = 0; t < l->kernel_h * l->kernel_w; t++) {
        const int dy = py + top - t / l->kernel_w, dx = px + left - t % l->kernel_w;
        if (dy % l->stride == 0 && dx % l->stride == 0)
            call->run_offset[runs++] = (dy / l->stride * row + dx / l->stride) * l->filters;
    }
    call->taps.runs = runs;
    work->flops += 2.0 * h * w * runs * l->c * (l->depthwise ? 1 : l->filters);
    return true;
}

static bool calls_open(struct work *work)
{
    const int stride = work->layer.stride;
    if (work->pass != PASS_DATA)
        return forward_call(work);
    for (int py = 0; py < stride && py < work->layer.h; py++)
        for (int px = 0; px < stride && px < work->layer.w; px++)
            if (!data_call(work, py, px))
                return false;
    return true;
}

bool work_open(struct work *work, const struct layer *layer, enum pass pass, int images, int gap)
{
    const struct layer *l = layer;
    const int oh = out_size(l->h, l->stride), ow = out_size(l->w, l->stride);
    const int input = padded_row(l->h, l->kernel_h) * padded_row(l->w, l->kernel_w) * l->c;
    const int gradient = padded_row(oh, l->kernel_h) * padded_row(ow, l->kernel_w) * l->filters;
    const int depth = l->kernel_h * l->kernel_w * (l->depthwise ? 1 : l->c);
    *work = (struct work){.layer = *l, .pass = pass, .images = images};
    work->channels = pass == PASS_DATA ? l->c : l->filters;
    work->y_stride = work->channels + (pass == PASS_WEIGHTS && l->depthwise ? 0 : gap);
    work->x_floats = pass == PASS_DATA ? gradient : input;
    work->y_floats = work->y_stride * (pass == PASS_FORWARD ? oh * ow
                                       : pass == PASS_DATA  ? l->h * l->w
                                                            : depth);
    work->terms = pass == PASS_FORWARD ? depth
                  : pass == PASS_DATA  ? l->kernel_h * l->kernel_w * l->filters
                                       : oh * ow * images;
    work->x = filled(images * work->x_floats);
    work->dy = filled(images * oh * ow * l->filters);
    work->y = filled(work_y_count(work) + GUARD);
    work->bias = filled(work->channels);
    return calls_open(work) && work->x && work->dy && work->y && work->bias;
}

void work_close(struct work *work)
{
    for (int i = 0; i < work->call_count; i++) {
        free(work->calls[i].x_offset);
        free(work->calls[i].y_offset);
        free(work->calls[i].run_offset);
        free(work->calls[i].weights);
    }
    free(work->x);
    free(work->dy);
    free(work->y);
    free(work->bias);
}

int work_y_count(const struct work *work)
{
    return work->y_floats * (work->pass == PASS_WEIGHTS ? 1 : work->images);
}

static void copy_absolute(float *to, const float *from, int count)
{
    for (int i = 0; i < count; i++)
        to[i] = fabsf(from[i]);
}

void work_magnitude(struct work *to, const struct work *from)
{
    const struct layer *l = &from->layer;
    const int pixels = out_size(l->h, l->stride) * out_size(l->w, l->stride);
    copy_absolute(to->x, from->x, from->images * from->x_floats);
    copy_absolute(to->dy, from->dy, from->images * pixels * l->filters);
    copy_absolute(to->y, from->y, work_y_count(from));
    copy_absolute(to->bias, from->bias, from->channels);
    for (int i = 0; i < from->call_count; i++)
        copy_absolute(to->calls[i].weights, from->calls[i].weights, from->calls[i].weight_count);
}

static void run_weights(const struct work *work, const struct dc_kernels *kernels, int image)
{
    const struct layer *l = &work->layer;
    const struct call *c = &work->calls[0];
    const float *x = work->x + image * work->x_floats;
    const float *dy = work->dy + image * c->pixels * l->filters;
    if (l->depthwise)
        kernels->depthwise_gradient(work->y, x, c->x_offset, dy, c->pixels, c->run_offset,
                                    c->taps.runs, l->filters);
    else
        kernels->conv_gradient(work->y, work->y_stride, x, c->x_offset, dy, l->filters, c->pixels,
                               &c->taps, l->filters);
}

void work_run(const struct work *work, const struct dc_kernels *kernels, int image, bool add,
              bool with_bias, int piece)
{
    const float *x = work->x + image * work->x_floats;
    const float *bias = with_bias ? work->bias : NULL;
    float *y = work->y + image * work->y_floats;
    if (work->pass == PASS_WEIGHTS) {
        run_weights(work, kernels, image);
        return;
    }
    for (int i = 0; i < work->call_count; i++) {
        const struct call *c = &work->calls[i];
        for (int p = 0; p < c->pixels; p += piece) {
            const int n = c->pixels - p < piece ? c->pixels - p : piece;
            if (work->layer.depthwise)
                kernels->depthwise(y, c->y_offset + p, x, c->x_offset + p, n, c->weights,
                                   c->run_offset, c->taps.runs, bias, work->channels, add);
            else
                kernels->conv_panels(y, c->y_offset + p, x, c->x_offset + p, n, c->weights,
                                     &c->taps, bias, work->channels, add);
        }
    }
}

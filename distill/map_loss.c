// Owns the losses on feature maps of single samples: attention, NST and the pyramid of ReviewKD.
//
// Maps are [height, width, channels] of one sample. A grid is the size both networks' maps are
// brought to, by windows of adaptive average pooling: place i of n along an axis of size s averages
// [floor(i s / n), ceil((i + 1) s / n)).

#include <math.h>

#include "distill/losses.h"
#include "train/losses.h"
#include "train/row_loss.h"

struct map {
    const float *values;
    int64_t height, width, channels;
};

struct grid {
    int64_t height, width;
};

struct window {
    int64_t top, bottom, left, right;
};

static struct map map_of(const struct dc_loss_row *row, int k)
{
    const int64_t *dims = row->shape[k]->dims;
    return (struct map){row->in[k], dims[1], dims[2], dims[3]};
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct grid grid_of(const struct dc_shape *a, const struct dc_shape *b)
{
    return (struct grid){lesser(a->dims[1], b->dims[1]), lesser(a->dims[2], b->dims[2])};
}

static struct window window_of(const struct map *map, struct grid grid, int64_t place)
{
    const int64_t y = place / grid.width, x = place % grid.width;
    return (struct window){
        y * map->height / grid.height, ((y + 1) * map->height + grid.height - 1) / grid.height,
        x * map->width / grid.width, ((x + 1) * map->width + grid.width - 1) / grid.width};
}

static double window_size(struct window w)
{
    return (double)((w.bottom - w.top) * (w.right - w.left));
}

static double pooled(const struct map *map, struct window w, int64_t channel)
{
    double sum = 0.0;
    for (int64_t y = w.top; y < w.bottom; y++)
        for (int64_t x = w.left; x < w.right; x++)
            sum += (double)map->values[(y * map->width + x) * map->channels + channel];
    return sum / window_size(w);
}

// gradient of a pooled value, spread over its window
static void spread(float *gradient, const struct map *map, struct window w, int64_t channel,
                   double d)
{
    const float share = (float)(d / window_size(w));
    for (int64_t y = w.top; y < w.bottom; y++)
        for (int64_t x = w.left; x < w.right; x++)
            gradient[(y * map->width + x) * map->channels + channel] += share;
}

static void clear(float *gradient, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        gradient[i] = 0.0f;
}

// Divides by the L2 norm, which it returns; zeros stay.
static double normalize(double *x, int64_t count)
{
    double square = 0.0;
    for (int64_t i = 0; i < count; i++)
        square += x[i] * x[i];
    const double norm = sqrt(square);
    for (int64_t i = 0; i < count && norm > 0.0; i++)
        x[i] = x[i] / norm;
    return norm;
}

// d by x / |x| becomes d by x; q: x / |x|.
static void through_norm(double *d, const double *q, double norm, int64_t count)
{
    double along = 0.0;
    for (int64_t i = 0; i < count; i++)
        along += q[i] * d[i];
    for (int64_t i = 0; i < count; i++)
        d[i] = norm > 0.0 ? (d[i] - q[i] * along) / norm : 0.0;
}

// ---- attention ----

static double attention_of(double *a, const struct map *map, struct grid grid)
{
    for (int64_t p = 0; p < grid.height * grid.width; p++) {
        const struct window w = window_of(map, grid, p);
        double sum = 0.0;
        for (int64_t c = 0; c < map->channels; c++) {
            const double f = pooled(map, w, c);
            sum += f * f;
        }
        a[p] = sum / (double)map->channels;
    }
    return normalize(a, grid.height * grid.width);
}

static double attention_row(const struct dc_loss_row *row)
{
    const struct dc_attention_attributes *attributes = row->attributes;
    const struct map student = map_of(row, 0), teacher = map_of(row, 1);
    const struct grid grid = grid_of(row->shape[0], row->shape[1]);
    const int64_t places = grid.height * grid.width;
    double *a = row->scratch, *d = a + places, square = 0.0;
    const double norm = attention_of(a, &student, grid);
    attention_of(d, &teacher, grid);
    for (int64_t p = 0; p < places; p++) {
        d[p] = a[p] - d[p];
        square += d[p] * d[p];
    }
    const bool paper = attributes->mode == DC_ATTENTION_PAPER;
    const double distance = sqrt(square);
    const double scale = !paper ? 2.0 / (double)places : distance > 0.0 ? 1.0 / distance : 0.0;
    for (int64_t p = 0; p < places; p++)
        d[p] = scale * d[p];
    through_norm(d, a, norm, places);
    clear(row->gradient, row->values);
    for (int64_t p = 0; p < places; p++) {
        const struct window w = window_of(&student, grid, p);
        for (int64_t c = 0; c < student.channels; c++)
            spread(row->gradient, &student, w, c,
                   d[p] * 2.0 * pooled(&student, w, c) / (double)student.channels);
    }
    return paper ? distance : square / (double)places;
}

static int64_t attention_doubles(const struct dc_shape *in)
{
    const struct grid grid = grid_of(&in[0], &in[1]);
    return 2 * grid.height * grid.width;
}

// ---- NST ----

// [channels][places], each channel normalized; norms: [channels].
static void channels_of(double *f, double *norms, const struct map *map, struct grid grid)
{
    const int64_t places = grid.height * grid.width;
    for (int64_t c = 0; c < map->channels; c++) {
        for (int64_t p = 0; p < places; p++)
            f[c * places + p] = pooled(map, window_of(map, grid, p), c);
        norms[c] = normalize(f + c * places, places);
    }
}

// In lanes, so that the compiler may keep several sums at once; the order is fixed.
static double dot(const double *a, const double *b, int64_t count)
{
    double lanes[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int k = 0; k < 4; k++)
            lanes[k] += a[i + k] * b[i + k];
    for (; i < count; i++)
        lanes[0] += a[i] * b[i];
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

// Sum over pairs of channels of (a . b)^2; adds scale times 2 (a . b) b to da, where it is wanted.
static double squared_dots(double *da, const double *a, int64_t channels_a, const double *b,
                           int64_t channels_b, int64_t places, double scale)
{
    double sum = 0.0;
    for (int64_t i = 0; i < channels_a; i++) {
        for (int64_t k = 0; k < channels_b; k++) {
            const double similarity = dot(a + i * places, b + k * places, places);
            const double factor = scale * 2.0 * similarity;
            sum += similarity * similarity;
            for (int64_t p = 0; da && p < places; p++)
                da[i * places + p] += factor * b[k * places + p];
        }
    }
    return sum;
}

static double nst_row(const struct dc_loss_row *row)
{
    const struct map student = map_of(row, 0), teacher = map_of(row, 1);
    const struct grid grid = grid_of(row->shape[0], row->shape[1]);
    const int64_t places = grid.height * grid.width, cs = student.channels, ct = teacher.channels;
    const double ss = (double)(cs * cs), st = (double)(cs * ct), tt = (double)(ct * ct);
    double *s = row->scratch, *d = s + cs * places, *t = d + cs * places;
    double *norms_s = t + ct * places, *norms_t = norms_s + cs;
    channels_of(s, norms_s, &student, grid);
    channels_of(t, norms_t, &teacher, grid);
    for (int64_t i = 0; i < cs * places; i++)
        d[i] = 0.0;
    const double loss = squared_dots(NULL, t, ct, t, ct, places, 0.0) / tt +
                        squared_dots(d, s, cs, s, cs, places, 2.0 / ss) / ss -
                        2.0 * squared_dots(d, s, cs, t, ct, places, -2.0 / st) / st;
    clear(row->gradient, row->values);
    for (int64_t c = 0; c < cs; c++) {
        through_norm(d + c * places, s + c * places, norms_s[c], places);
        for (int64_t p = 0; p < places; p++)
            spread(row->gradient, &student, window_of(&student, grid, p), c, d[c * places + p]);
    }
    return loss;
}

static int64_t nst_doubles(const struct dc_shape *in)
{
    const struct grid grid = grid_of(&in[0], &in[1]);
    const int64_t cs = in[0].dims[3], ct = in[1].dims[3];
    return (2 * cs + ct) * grid.height * grid.width + cs + ct;
}

// ---- pyramid ----

static double pyramid_level(float *gradient, const struct map *student, const struct map *teacher,
                            struct grid grid, double weight)
{
    const int64_t places = grid.height * grid.width;
    const double count = (double)(places * student->channels);
    double sum = 0.0;
    for (int64_t p = 0; p < places; p++) {
        const struct window w = window_of(student, grid, p);
        for (int64_t c = 0; c < student->channels; c++) {
            const double d = pooled(student, w, c) - pooled(teacher, w, c);
            sum += d * d;
            spread(gradient, student, w, c, weight * 2.0 * d / count);
        }
    }
    return weight * sum / count;
}

static double pyramid_row(const struct dc_loss_row *row)
{
    const struct map student = map_of(row, 0), teacher = map_of(row, 1);
    double total = 1.0, part = 1.0;
    for (int64_t side = 4; side >= 1; side /= 2)
        total += side < student.height ? part = part / 2.0 : 0.0;
    clear(row->gradient, row->values);
    double loss = pyramid_level(row->gradient, &student, &teacher,
                                (struct grid){student.height, student.width}, 1.0 / total);
    part = 1.0;
    for (int64_t side = 4; side >= 1; side /= 2)
        if (side < student.height)
            loss += pyramid_level(row->gradient, &student, &teacher, (struct grid){side, side},
                                  (part = part / 2.0) / total);
    return loss;
}

static int64_t pyramid_doubles(const struct dc_shape *in)
{
    (void)in;
    return 0;
}

static enum dc_status pyramid_infer(struct dc_shape *out, const struct dc_node *node,
                                    const struct dc_shape *in, struct dc_error *error)
{
    DC_TRY(dc_map_loss_infer(out, node, in, error));
    return dc_value_loss_infer(out, node, in, error);
}

#define MAP_LOSS(id)                                                                               \
    static enum dc_status id##_forward(const struct dc_op_call *call, struct dc_error *error)      \
    {                                                                                              \
        const struct dc_shape in[2] = {call->in[0].shape, call->in[1].shape};                      \
        return dc_row_loss_forward(call, id##_row, id##_doubles(in), error);                       \
    }                                                                                              \
    static void id##_memory(struct dc_op_memory *memory, const struct dc_node *node,               \
                            const struct dc_shape *in, const struct dc_shape *out,                 \
                            const struct dc_ctx *ctx)                                              \
    {                                                                                              \
        (void)node;                                                                                \
        (void)out;                                                                                 \
        dc_loss_memory(memory, in, id##_doubles(in), ctx);                                         \
    }

MAP_LOSS(attention)
DC_LOSS_OP(attention, 2, sizeof(struct dc_attention_attributes), dc_map_loss_infer,
           attention_memory, NULL);
MAP_LOSS(nst)
DC_LOSS_OP(nst, 2, 0, dc_map_loss_infer, nst_memory, NULL);
MAP_LOSS(pyramid)
DC_LOSS_OP(pyramid, 2, 0, pyramid_infer, pyramid_memory, NULL);

static const char *const adaptors[] = {"auto", "none", NULL};
static const struct dc_field hint_keys[] = {
    DC_FIELD(dc_hint_keys, "adaptor", CHOICE, adaptor, "auto", .choices = adaptors,
             .help = "auto: made from the shapes and trained along"),
};
const struct dc_term_kind dc_term_hint = {
    .name = "hint",
    .help =
        "squared error of a layer from a teacher's, behind an adaptor (FitNets, arXiv:1412.6550)",
    .weight = 100.0,
    .op = &dc_op_mean_squared_error,
    .features = true,
    .adaptor = DC_ADAPTOR_HINT,
    .keys = DC_SCHEMA(NULL, hint_keys),
    .bytes = sizeof(struct dc_hint_keys)};

static const char *const modes[] = {"code", "paper", NULL};
static const struct dc_field attention_keys[] = {
    DC_FIELD(dc_attention_attributes, "mode", CHOICE, mode, "code", .choices = modes,
             .help = "the authors' program, or their paper"),
};
const struct dc_term_kind dc_term_attention = {
    .name = "attention",
    .help = "where maps are strong, channels summed (arXiv:1612.03928)",
    .weight = 1000.0,
    .op = &dc_op_attention,
    .features = true,
    .keys = DC_SCHEMA(NULL, attention_keys),
    .bytes = sizeof(struct dc_attention_attributes)};

const struct dc_term_kind dc_term_nst = {
    .name = "nst",
    .help = "which channels are strong at the same places (arXiv:1707.01219)",
    .weight = 50.0,
    .op = &dc_op_nst,
    .features = true};

const struct dc_term_kind dc_term_review = {
    .name = "review",
    .help = "a layer and those above it from a teacher's, at several sizes (arXiv:2104.09044)",
    .weight = 1.0,
    .op = &dc_op_pyramid,
    .features = true,
    .adaptor = DC_ADAPTOR_FUSION};

// Owns views: see view.h. Everything is decided when a maker is created; making one cannot fail.

#include "data/view.h"

#include <math.h>
#include <string.h>

bool dc_view_equal(const struct dc_view *a, const struct dc_view *b)
{
    const size_t bytes = (size_t)a->normalization.channels * sizeof(float);
    return dc_shape_equal(&a->sample, &b->sample) &&
           a->normalization.channels == b->normalization.channels &&
           memcmp(a->normalization.mean, b->normalization.mean, bytes) == 0 &&
           memcmp(a->normalization.deviation, b->normalization.deviation, bytes) == 0;
}

bool dc_sample_fits(const struct dc_shape *to, const struct dc_shape *data)
{
    const struct dc_shape plain = {.rank = 2, .dims = {data->dims[0], data->dims[1]}};
    return dc_shape_equal(to, data) ||
           (data->rank == 3 && data->dims[2] == 1 && dc_shape_equal(to, &plain));
}

enum dc_status dc_view_check(const struct dc_view *view, const struct dc_source *source,
                             struct dc_error *error)
{
    const struct dc_shape *from = &source->sample, *to = &view->sample;
    char here[DC_SHAPE_TEXT], there[DC_SHAPE_TEXT];
    DC_TRY(dc_normalization_check(&view->normalization, source, error));
    if (dc_sample_fits(to, from))
        return DC_OK;
    if (from->rank != 3 || to->rank != 3 || from->dims[2] != to->dims[2])
        return dc_fail(
            error, DC_ERR_CONFIG,
            "a network reads samples of %s, the data has %s (height, width, channels); only "
            "height and width are fitted",
            dc_shape_text(there, to), dc_shape_text(here, from));
    return DC_OK;
}

// Of an axis that shrinks; of one that grows: what bilinear is, the edge's share given back to it.
static enum dc_status make_taps(struct dc_taps **taps, int64_t to, int64_t from,
                                struct dc_arena *arena, struct dc_error *error)
{
    const double ratio = to < from ? (double)from / (double)to : 1.0;
    struct dc_taps *made = *taps = DC_NEW(arena, struct dc_taps, to, error);
    for (int64_t i = 0; made && i < to; i++) {
        const double place = ((double)i + 0.5) * (double)from / (double)to - 0.5;
        const double low = fmax(floor(place - ratio) + 1.0, 0.0);
        const double high = fmin(ceil(place + ratio) - 1.0, (double)(from - 1));
        struct dc_taps *t = &made[i];
        *t = (struct dc_taps){(int64_t)low, (int64_t)high - (int64_t)low + 1, NULL};
        t->weights = DC_NEW(arena, float, t->count, error);
        if (!t->weights)
            return DC_ERR_MEMORY;
        double sum = 0.0;
        for (int64_t k = 0; k < t->count; k++)
            sum += 1.0 - fabs(low + (double)k - place) / ratio;
        for (int64_t k = 0; k < t->count; k++)
            t->weights[k] = (float)((1.0 - fabs(low + (double)k - place) / ratio) / sum);
    }
    return made ? DC_OK : DC_ERR_MEMORY;
}

enum dc_status dc_view_maker_create(struct dc_view_maker *maker, const struct dc_view *view,
                                    const struct dc_source *source, struct dc_arena *arena,
                                    struct dc_error *error)
{
    DC_TRY(dc_view_check(view, source, error));
    const bool fits = dc_sample_fits(&view->sample, &source->sample);
    const struct dc_shape *to = fits ? &source->sample : &view->sample;
    *maker = (struct dc_view_maker){
        .from = source->sample, .to = *to, .values = dc_shape_count(to)};
    maker->row = to->rank == 3 ? dc_shape_row(to) : maker->values;
    maker->scale = DC_NEW(arena, float, maker->row, error);
    maker->shift = DC_NEW(arena, float, maker->row, error);
    if (!maker->scale || !maker->shift)
        return DC_ERR_MEMORY;
    const int64_t channels = to->rank == 3 ? to->dims[2] : 1;
    for (int64_t i = 0; i < maker->row; i++)
        dc_normalization_coefficients(&maker->scale[i], &maker->shift[i], &view->normalization,
                                      source->dtype, (int)(i % channels));
    if (to->rank != 3 || (to->dims[0] >= maker->from.dims[0] && to->dims[1] >= maker->from.dims[1]))
        return DC_OK;
    DC_TRY(make_taps(&maker->rows, to->dims[0], maker->from.dims[0], arena, error));
    return make_taps(&maker->columns, to->dims[1], maker->from.dims[1], arena, error);
}

// Where output pixel i of `to` lies between two of `from`.
struct between {
    int64_t low, high;
    float share;  // of high
};

static struct between place(int64_t i, int64_t to, int64_t from)
{
    const double at = ((double)i + 0.5) * (double)from / (double)to - 0.5;
    const double inside = at < 0.0 ? 0.0 : at;
    const int64_t low = (int64_t)floor(inside);
    const int64_t last = from - 1;
    return (struct between){low < last ? low : last, low + 1 < last ? low + 1 : last,
                            (float)(inside - (double)low)};
}

static void resize(float *out, const float *in, const struct dc_view_maker *maker)
{
    const int64_t channels = maker->to.dims[2], row = maker->from.dims[1] * channels;
    for (int64_t y = 0; y < maker->to.dims[0]; y++) {
        const struct between v = place(y, maker->to.dims[0], maker->from.dims[0]);
        const float *above = in + v.low * row, *below = in + v.high * row;
        for (int64_t x = 0; x < maker->to.dims[1]; x++) {
            const struct between h = place(x, maker->to.dims[1], maker->from.dims[1]);
            const int64_t a = h.low * channels, b = h.high * channels;
            for (int64_t c = 0; c < channels; c++) {
                const float top = above[a + c] + h.share * (above[b + c] - above[a + c]);
                const float bottom = below[a + c] + h.share * (below[b + c] - below[a + c]);
                *out++ = top + v.share * (bottom - top);
            }
        }
    }
}

static void shrink(float *out, const float *in, const struct dc_view_maker *maker)
{
    const int64_t channels = maker->to.dims[2], row = maker->from.dims[1] * channels;
    for (int64_t y = 0; y < maker->to.dims[0]; y++) {
        const struct dc_taps *v = &maker->rows[y];
        for (int64_t x = 0; x < maker->to.dims[1]; x++) {
            const struct dc_taps *h = &maker->columns[x];
            for (int64_t c = 0; c < channels; c++) {
                float sum = 0.0f;
                for (int64_t k = 0; k < v->count; k++) {
                    const float *at = in + (v->first + k) * row + h->first * channels + c;
                    float across = 0.0f;
                    for (int64_t j = 0; j < h->count; j++)
                        across += h->weights[j] * at[j * channels];
                    sum += v->weights[k] * across;
                }
                *out++ = sum;
            }
        }
    }
}

static void normalize(float *restrict out, const float *restrict x,
                      const struct dc_view_maker *maker)
{
    const float *restrict scale = maker->scale, *restrict shift = maker->shift;
    const int64_t row = maker->row;
    for (int64_t start = 0; start < maker->values; start += row, out += row, x += row)
        for (int64_t i = 0; i < row; i++)
            out[i] = x[i] * scale[i] + shift[i];
}

void dc_view_make(float *out, const float *sample, const struct dc_view_maker *maker)
{
    if (dc_shape_equal(&maker->from, &maker->to)) {
        normalize(out, sample, maker);
        return;
    }
    if (maker->rows)
        shrink(out, sample, maker);
    else
        resize(out, sample, maker);
    const float *scale = maker->scale, *shift = maker->shift;
    for (int64_t i = 0; i < maker->values; i++)
        out[i] = out[i] * scale[i % maker->row] + shift[i % maker->row];
}

// The kernels of epilogues (core/epilogue.h): values, gradients and the sums that batch
// normalization takes over a batch. Element-wise passes multiply, then add, and give equal bits on
// every level; sums are float inside a tile of pixels and double across tiles. Included once per
// level after a vector_*.h and the definitions of TILE and UNROLL.

enum { SUM_TILE = 64, COLUMNS = 4 };  // pixels of a tile; vectors of sums held in registers

struct epilogue_vectors {
    vf low, high, inverse_step, step, pass_low, pass_high;
};

// The clamp moves behind the multiplication by 1 / step, which is monotone, and joins the grid's.
static inline struct epilogue_vectors epilogue_vectors(const struct dc_epilogue *t)
{
    float low = t->low, high = t->high;
    if (t->quantizes) {
        const float grid_low = t->grid.low - t->grid.zero_point;
        const float grid_high = t->grid.high - t->grid.zero_point;
        low = low * t->grid.inverse_step;
        high = high * t->grid.inverse_step;
        low = low < grid_low ? grid_low : low;
        high = high > grid_high ? grid_high : high;
    }
    return (struct epilogue_vectors){vf_broadcast(&low),
                                     vf_broadcast(&high),
                                     vf_broadcast(&t->grid.inverse_step),
                                     vf_broadcast(&t->grid.step),
                                     vf_broadcast(&t->pass_low),
                                     vf_broadcast(&t->pass_high)};
}

TILE epilogue_value(const bool affine, const bool quantizes, vf *v, const struct dc_epilogue *t,
                    const struct epilogue_vectors *k, int c)
{
    if (affine)
        *v = vf_add(vf_multiply(*v, vf_load(t->scale + c)), vf_load(t->shift + c));
    if (quantizes)
        *v = vf_multiply(vf_round(vf_clamp(vf_multiply(*v, k->inverse_step), k->low, k->high)),
                         k->step);
    else
        *v = vf_clamp(*v, k->low, k->high);
}

TILE epilogue_run(const bool affine, const bool quantizes, float *y, const float *x,
                  const struct dc_epilogue *t, int64_t count)
{
    const struct epilogue_vectors k = epilogue_vectors(t);
    for (int64_t first = 0; first < count; first += t->period) {
        const int n = count - first < t->period ? (int)(count - first) : t->period;
        int c = 0;
        for (; c + WIDTH <= n; c += WIDTH) {
            vf v = vf_load(x + first + c);
            epilogue_value(affine, quantizes, &v, t, &k, c);
            vf_store(y + first + c, v);
        }
        if (c < n) {
            vf v = vf_load_masked(x + first + c, vf_first(n - c));
            epilogue_value(affine, quantizes, &v, t, &k, c);
            vf_store_masked(y + first + c, v, vf_first(n - c));
        }
    }
}

// Where the grid rounds quotients, as it does to the network's input: a loop that compilers turn
// into vectors, with `rounding` known to them.
TILE quotients_run(const bool affine, const enum dc_code_rounding rounding, float *y,
                   const float *x, const struct dc_epilogue *t, int64_t count)
{
    const float step = t->grid.step, t_low = t->low, t_high = t->high;
    const float low = t->grid.low - t->grid.zero_point, high = t->grid.high - t->grid.zero_point;
    for (int64_t first = 0; first < count; first += t->period) {
        const int n = count - first < t->period ? (int)(count - first) : t->period;
        for (int c = 0; c < n; c++) {
            float v = x[first + c];
            if (affine)
                v = v * t->scale[c] + t->shift[c];
            v = v < t_low ? t_low : v;
            v = v > t_high ? t_high : v;
            v = dc_round_code(v / step, rounding);
            v = v < low ? low : v;
            y[first + c] = (v > high ? high : v) * step;
        }
    }
}

static void epilogue_of_quotients(float *y, const float *x, const struct dc_epilogue *t,
                                  int64_t count)
{
    if (t->affine)
        quotients_run(true, t->grid.rounding, y, x, t, count);
    else if (t->grid.rounding == DC_CODE_HALF_AWAY)
        quotients_run(false, DC_CODE_HALF_AWAY, y, x, t, count);
    else if (t->grid.rounding == DC_CODE_HALF_EVEN)
        quotients_run(false, DC_CODE_HALF_EVEN, y, x, t, count);
    else
        quotients_run(false, DC_CODE_HALF_UP, y, x, t, count);
}

static void epilogue(float *y, const float *x, const struct dc_epilogue *t, int64_t count)
{
    if (t->quantizes && t->grid.rounding != DC_CODE_OF_PRODUCT)
        epilogue_of_quotients(y, x, t, count);
    else if (t->affine && t->quantizes)
        epilogue_run(true, true, y, x, t, count);
    else if (t->affine)
        epilogue_run(true, false, y, x, t, count);
    else if (t->quantizes)
        epilogue_run(false, true, y, x, t, count);
    else
        epilogue_run(false, false, y, x, t, count);
}

// The part of dy that passes the epilogue's clamp and grid at x.
static inline vf passed(vf dy, vf x, const struct epilogue_vectors *k)
{
    return vf_where_inside(dy, x, k->pass_low, k->pass_high);
}

TILE epilogue_gradient_value(const bool affine, vf *g, vf x, const struct dc_epilogue *t,
                             const struct epilogue_vectors *k, int c)
{
    if (!affine) {
        *g = passed(*g, x, k);
        return;
    }
    const vf v = vf_add(vf_multiply(x, vf_load(t->scale + c)), vf_load(t->shift + c));
    const vf from_mean = vf_subtract(x, vf_load(t->mean + c));
    *g = vf_add(
        vf_multiply(vf_load(t->gradient_a + c), passed(*g, v, k)),
        vf_add(vf_multiply(vf_load(t->gradient_b + c), from_mean), vf_load(t->gradient_d + c)));
}

TILE epilogue_gradient_run(const bool affine, const bool add, float *dx, const float *dy,
                           const float *x, const struct dc_epilogue *t, int64_t count)
{
    const struct epilogue_vectors k = epilogue_vectors(t);
    for (int64_t first = 0; first < count; first += t->period) {
        const int n = count - first < t->period ? (int)(count - first) : t->period;
        int c = 0;
        for (; c + WIDTH <= n; c += WIDTH) {
            const int64_t i = first + c;
            vf g = vf_load(dy + i);
            epilogue_gradient_value(affine, &g, vf_load(x + i), t, &k, c);
            vf_store(dx + i, add ? vf_add(vf_load(dx + i), g) : g);
        }
        if (c < n) {
            const int64_t i = first + c;
            const vf_mask mask = vf_first(n - c);
            vf g = vf_load_masked(dy + i, mask);
            epilogue_gradient_value(affine, &g, vf_load_masked(x + i, mask), t, &k, c);
            vf_store_masked(dx + i, add ? vf_add(vf_load_masked(dx + i, mask), g) : g, mask);
        }
    }
}

static void epilogue_gradient(float *dx, const float *dy, const float *x,
                              const struct dc_epilogue *t, int64_t count, bool add)
{
    if (t->affine && add)
        epilogue_gradient_run(true, true, dx, dy, x, t, count);
    else if (t->affine)
        epilogue_gradient_run(true, false, dx, dy, x, t, count);
    else if (add)
        epilogue_gradient_run(false, true, dx, dy, x, t, count);
    else
        epilogue_gradient_run(false, false, dx, dy, x, t, count);
}

// Two sums over one tile for `vectors` vectors of columns: of x - shift and its square, or
// (gradient) of the passed dy and its product with x - mean. rows: whole periods.
TILE sum_columns(const bool gradient, const int vectors, float *first, float *second,
                 const float *dy, const float *x, const float *shift, const struct dc_epilogue *t,
                 int period, int c, int rows)
{
    struct epilogue_vectors k;
    if (gradient)
        k = epilogue_vectors(t);
    vf a[COLUMNS], b[COLUMNS];
    UNROLL
    for (int v = 0; v < vectors; v++)
        a[v] = b[v] = vf_zero();
    for (int r = 0; r < rows; r++, x += period, dy += gradient ? period : 0) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const vf value = vf_load(x + v * WIDTH);
            const vf d = vf_subtract(value, vf_load(shift + c + v * WIDTH));
            vf term = d;
            if (gradient)
                term = passed(vf_load(dy + v * WIDTH),
                              vf_add(vf_multiply(value, vf_load(t->scale + c + v * WIDTH)),
                                     vf_load(t->shift + c + v * WIDTH)),
                              &k);
            a[v] = vf_add(a[v], term);
            b[v] = vf_add(b[v], vf_multiply(term, d));
        }
    }
    UNROLL
    for (int v = 0; v < vectors; v++) {
        vf_store(first + v * WIDTH, a[v]);
        vf_store(second + v * WIDTH, b[v]);
    }
}

// What is left behind the whole periods, value by value.
static void sum_rest(bool gradient, float *first, float *second, const float *dy, const float *x,
                     const float *shift, const struct dc_epilogue *t, int c, int n)
{
    for (int i = 0; i < n; i++) {
        const float d = x[i] - shift[c + i];
        float term = d;
        if (gradient) {
            const float v = x[i] * t->scale[c + i] + t->shift[c + i];
            term = v < t->pass_low || v > t->pass_high ? 0.0f : dy[i];
        }
        first[i] = first[i] + term;
        second[i] = second[i] + term * d;
    }
}

TILE sum_tiles(const bool gradient, double *first, double *second, const float *dy, const float *x,
               const float *shift, const struct dc_epilogue *t, int channels, int period,
               int64_t count)
{
    const int64_t tile = (int64_t)SUM_TILE * channels;
    for (int64_t at = 0; at < count; at += tile) {
        const int64_t n = count - at < tile ? count - at : tile;
        const int rows = (int)(n / period), rest = (int)(n % period);
        for (int c = 0; c < period; c += COLUMNS * WIDTH) {
            float a[COLUMNS * WIDTH], b[COLUMNS * WIDTH];
            const int width = period - c < COLUMNS * WIDTH ? period - c : COLUMNS * WIDTH;
            const float *g = gradient ? dy + at + c : NULL;
            if (width == COLUMNS * WIDTH)
                sum_columns(gradient, COLUMNS, a, b, g, x + at + c, shift, t, period, c, rows);
            else
                for (int v = 0; v < width; v += WIDTH)
                    sum_columns(gradient, 1, a + v, b + v, gradient ? g + v : NULL, x + at + c + v,
                                shift, t, period, c + v, rows);
            const int64_t left = (int64_t)rows * period;
            const int extra = rest - c < width ? rest - c : width;
            if (extra > 0)
                sum_rest(gradient, a, b, gradient ? g + left : NULL, x + at + c + left, shift, t, c,
                         extra);
            for (int i = 0; i < width; i++)
                first[c + i] += (double)a[i];
            for (int i = 0; i < width; i++)
                second[c + i] += (double)b[i];
        }
    }
}

static void moments(double *sum, double *square, const float *x, const float *shift, int channels,
                    int period, int64_t count)
{
    sum_tiles(false, sum, square, NULL, x, shift, NULL, channels, period, count);
}

static void epilogue_gradient_sums(double *sum, double *product, const float *dy, const float *x,
                                   const struct dc_epilogue *t, int64_t count)
{
    sum_tiles(true, sum, product, dy, x, t->mean, t, t->channels, t->period, count);
}

struct step_vectors {
    vf inverse_step, low, high, first, last;  // the clamp's ends and the grid's, in steps
};

// dy times what the result changes with the step.
TILE step_term(const bool affine, const bool clips, vf *sum, vf dy, vf v,
               const struct dc_epilogue *t, const struct step_vectors *k, int c)
{
    if (affine)
        v = vf_add(vf_multiply(v, vf_load(t->scale + c)), vf_load(t->shift + c));
    v = vf_clamp(vf_multiply(v, k->inverse_step), k->low, k->high);
    const vf code = vf_round(vf_clamp(v, k->first, k->last));
    const vf inside = vf_where_inside(clips ? code : v, v, k->first, k->last);
    *sum = vf_add(*sum, vf_multiply(dy, vf_subtract(code, inside)));
}

TILE step_run(const bool affine, const bool clips, double *sum, const float *dy, const float *x,
              const struct dc_epilogue *t, const struct step_vectors *k, int64_t count)
{
    const int64_t tile = (int64_t)SUM_TILE * t->channels;
    for (int64_t at = 0; at < count; at += tile) {
        const int64_t n = count - at < tile ? count - at : tile;
        for (int c = 0; c < t->period && c < n; c += WIDTH) {
            float lanes[WIDTH];
            vf s = vf_zero();
            int64_t i = c;
            for (; i + WIDTH <= n; i += t->period)
                step_term(affine, clips, &s, vf_load(dy + at + i), vf_load(x + at + i), t, k, c);
            if (i < n) {
                const vf_mask mask = vf_first((int)(n - i));
                step_term(affine, clips, &s, vf_load_masked(dy + at + i, mask),
                          vf_load_masked(x + at + i, mask), t, k, c);
            }
            vf_store(lanes, s);
            for (int j = 0; j < WIDTH; j++)
                sum[c + j] += (double)lanes[j];
        }
    }
}

static void epilogue_step_sums(double *sum, const float *dy, const float *x,
                               const struct dc_epilogue *t, int64_t count)
{
    const float inverse = t->grid.inverse_step;
    const float ends[] = {t->low * inverse, t->high * inverse, t->grid.low - t->grid.zero_point,
                          t->grid.high - t->grid.zero_point};
    const struct step_vectors k = {vf_broadcast(&inverse), vf_broadcast(&ends[0]),
                                   vf_broadcast(&ends[1]), vf_broadcast(&ends[2]),
                                   vf_broadcast(&ends[3])};
    if (t->affine && t->clips)
        step_run(true, true, sum, dy, x, t, &k, count);
    else if (t->affine)
        step_run(true, false, sum, dy, x, t, &k, count);
    else if (t->clips)
        step_run(false, true, sum, dy, x, t, &k, count);
    else
        step_run(false, false, sum, dy, x, t, &k, count);
}

static void range(float *least, float *greatest, const float *x, int period, int64_t count)
{
    for (int c = 0; c < period; c += WIDTH) {
        vf low = vf_load(least + c), high = vf_load(greatest + c);
        int64_t i = c;
        for (; i + WIDTH <= count; i += period) {
            low = vf_least(vf_load(x + i), low);
            high = vf_greatest(vf_load(x + i), high);
        }
        vf_store(least + c, low);
        vf_store(greatest + c, high);
        for (int k = 0; i + k < count && k < WIDTH; k++) {
            least[c + k] = x[i + k] < least[c + k] ? x[i + k] : least[c + k];
            greatest[c + k] = x[i + k] > greatest[c + k] ? x[i + k] : greatest[c + k];
        }
    }
}

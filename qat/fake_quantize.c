// Owns the fake quantization of activations: observing a batch, the grid of a range, and the limits
// between which the straight-through gradient passes. Rounding is the epilogue's (core/epilogue.h).
// Minima and maxima are exact in any order, so chunks and threads cannot change a range. Weights
// are quantized_weights.c's.

#include "qat/fake_quantize.h"

#include <math.h>
#include <string.h>

#include "core/parallel.h"

float dc_power_of_two_above(float step)
{
    int exponent;
    const float fraction = frexpf(step, &exponent);  // step = fraction * 2^exponent, 0.5 to 1
    return ldexpf(1.0f, fraction > 0.5f ? exponent : exponent - 1);
}

float dc_power_of_two_near(float step)
{
    int exponent;
    const float fraction = frexpf(step, &exponent);
    return ldexpf(1.0f, (double)fraction * (double)fraction > 0.5 ? exponent : exponent - 1);
}

// Symmetric: zero point 0, and the larger end decides.
static struct dc_grid range_grid(float minimum, float maximum, int bits, bool power_of_two,
                                 bool symmetric)
{
    const float low = minimum < 0.0f ? minimum : 0.0f;
    const float high = maximum > 0.0f ? maximum : 0.0f;
    struct dc_grid grid = {.low = (float)dc_code_low(bits), .high = (float)dc_code_high(bits)};
    const float step = symmetric ? (-low > high ? -low : high) / grid.high
                                 : (high - low) / (grid.high - grid.low);
    const float least = step < DC_STEP_FLOOR ? DC_STEP_FLOOR : step;
    grid.step = power_of_two ? dc_power_of_two_above(least) : least;
    grid.inverse_step = 1.0f / grid.step;
    const float zero_point = symmetric ? 0.0f : grid.low - rintf(low / grid.step);
    grid.zero_point = zero_point < grid.low    ? grid.low
                      : zero_point > grid.high ? grid.high
                                               : zero_point;
    return grid;
}

struct dc_grid dc_grid_of_range(float minimum, float maximum, int bits)
{
    return range_grid(minimum, maximum, bits, false, false);
}

// The code that stands for the greatest value; for the least, where none is above 0.
static float top_code(struct dc_grid grid)
{
    return grid.high > grid.zero_point ? grid.high - grid.zero_point : grid.zero_point - grid.low;
}

static bool is_fixed(const struct dc_fake_quantize_attributes *a)
{
    return a->fixed_low < a->fixed_high;
}

// range, trained: values of the node's parameters; trained NULL: it has none.
static struct dc_grid grid_of(const struct dc_fake_quantize_attributes *a, const float *range,
                              const float *trained)
{
    struct dc_grid grid = range_grid(is_fixed(a) ? a->fixed_low : range[DC_RANGE_MIN],
                                     is_fixed(a) ? a->fixed_high : range[DC_RANGE_MAX], a->bits,
                                     a->power_of_two, a->symmetric);
    grid.rounding = a->rounding;
    if (a->scaling == DC_STEP_OF_RANGE)
        return grid;
    const float size = fabsf(*trained);
    const float step = a->scaling == DC_STEP_CLIPPED ? size / top_code(grid) : size;
    const float least = step < DC_STEP_FLOOR ? DC_STEP_FLOOR : step;
    grid.step = a->power_of_two ? dc_power_of_two_near(least) : least;
    grid.inverse_step = 1.0f / grid.step;
    return grid;
}

static float *value_of(const struct dc_node *node, const struct dc_params *params, int which)
{
    return which < node->param_count ? params->value + params->slices[node->params[which]].offset
                                     : NULL;
}

static bool has_range(const struct dc_fake_quantize_attributes *a, const float *range)
{
    return is_fixed(a) || (range[DC_RANGE_SEEN] > 0.0f && isfinite(range[DC_RANGE_MIN]) &&
                           isfinite(range[DC_RANGE_MAX]));
}

bool dc_has_range(const struct dc_node *node, const struct dc_params *params)
{
    return has_range(node->attributes, value_of(node, params, 0));
}

struct dc_grid dc_grid_of_node(const struct dc_node *node, const struct dc_params *params)
{
    return grid_of(node->attributes, value_of(node, params, 0), value_of(node, params, 1));
}

void dc_start_step(const struct dc_node *node, const struct dc_params *params)
{
    const struct dc_fake_quantize_attributes *a = node->attributes;
    const float *range = value_of(node, params, 0);
    const struct dc_grid grid = range_grid(range[DC_RANGE_MIN], range[DC_RANGE_MAX], a->bits,
                                           a->power_of_two, a->symmetric);
    if (a->scaling != DC_STEP_OF_RANGE)
        *value_of(node, params, 1) = a->scaling == DC_STEP_CLIPPED ? grid.step * top_code(grid)
                                                                   : grid.step;
}

// Where the gradient passes: what rounds into the grid, and of a trained one, what lies in it.
static bool is_inside(float v, struct dc_grid grid, bool trained)
{
    const float t = dc_grid_steps(v, &grid);
    const float code = (trained ? t : dc_round_code(t, grid.rounding)) + grid.zero_point;
    return grid.low <= code && code <= grid.high;
}

// Floats of one sign by the integers of their bits, which order them.
static float float_of(float sign, uint32_t magnitude)
{
    float v;
    memcpy(&v, &magnitude, sizeof v);
    return sign * v;
}

// The float furthest from 0 on one side that is inside: 0 is, and rounding is monotone.
static float furthest_inside(float sign, struct dc_grid grid, bool trained)
{
    uint32_t inside = 0, outside = 0x7f800000;  // 0 and infinity
    while (outside - inside > 1) {
        const uint32_t middle = inside + (outside - inside) / 2;
        if (is_inside(float_of(sign, middle), grid, trained))
            inside = middle;
        else
            outside = middle;
    }
    return float_of(sign, inside);
}

static void quantize_epilogue(struct dc_epilogue *epilogue, struct dc_grid grid, bool trained)
{
    const float low = furthest_inside(-1.0f, grid, trained);
    const float high = furthest_inside(1.0f, grid, trained);
    epilogue->quantizes = true;
    epilogue->grid = grid;
    epilogue->pass_low = epilogue->pass_low > low ? epilogue->pass_low : low;
    epilogue->pass_high = epilogue->pass_high < high ? epilogue->pass_high : high;
}

void dc_epilogue_quantize(struct dc_epilogue *epilogue, struct dc_grid grid)
{
    quantize_epilogue(epilogue, grid, false);
}

static bool observes(const struct dc_op_call *call)
{
    const struct dc_fake_quantize_attributes *a = call->node->attributes;
    const bool follows = a->observer <= DC_OBSERVER_MIN_MAX && a->scaling == DC_STEP_OF_RANGE;
    const bool off = call->step && call->step->quantizers_off;
    const bool frozen = call->step && call->step->freeze_observers;
    return !frozen && call->rows > 0 && (call->mode == DC_TRAINING ? follows : off);
}

// The sum shows what is not finite; around 0 where no batch normalization asks for it as well.
static void want(struct dc_statistics *statistics, const struct dc_op_call *call)
{
    if (!observes(call))
        return;
    if (!(statistics->wanted & DC_NOTE_MOMENTS))
        memset(statistics->shift, 0, sizeof *statistics->shift * (size_t)statistics->period);
    statistics->wanted |= DC_NOTE_MOMENTS | DC_NOTE_RANGE;
}

static float clamped(const struct dc_epilogue *epilogue, float v)
{
    const float raised = v < epilogue->low ? epilogue->low : v;
    return raised > epilogue->high ? epilogue->high : raised;
}

// The range of what reaches the quantizer: stored values go through the epilogue so far, which is
// monotone in each channel.
static enum dc_status observe_batch(float *minimum, float *maximum,
                                    const struct dc_epilogue *epilogue,
                                    const struct dc_op_call *call,
                                    const struct dc_statistics *statistics, struct dc_error *error)
{
    *minimum = INFINITY;
    *maximum = -INFINITY;
    bool finite = true;
    for (int i = 0; i < call->ctx->chunks * 2 * statistics->period; i++) {
        const int c = i % statistics->period;
        if (i / statistics->period % 2 == 0)
            finite = finite && isfinite(statistics->moments[i]);
        const float x = statistics->ranges[i];
        const float v = clamped(epilogue,
                                epilogue->affine ? x * epilogue->scale[c] + epilogue->shift[c] : x);
        if (isfinite(x)) {  // an empty chunk's is not
            *minimum = v < *minimum ? v : *minimum;
            *maximum = v > *maximum ? v : *maximum;
        }
    }
    if (!finite || !isfinite(*minimum) || !isfinite(*maximum))
        return dc_fail(error, DC_ERR_NUMERIC, "'%s' observed a value that is not finite",
                       call->node->name);
    return DC_OK;
}

static void move_range(float *range, const struct dc_fake_quantize_attributes *a, float minimum,
                       float maximum)
{
    if (is_fixed(a))
        return;
    if (range[DC_RANGE_SEEN] == 0.0f) {
        range[DC_RANGE_MIN] = minimum;
        range[DC_RANGE_MAX] = maximum;
        range[DC_RANGE_SEEN] = 1.0f;
    } else if (a->observer != DC_OBSERVER_MOVING_AVERAGE) {
        if (minimum < range[DC_RANGE_MIN])
            range[DC_RANGE_MIN] = minimum;
        if (maximum > range[DC_RANGE_MAX])
            range[DC_RANGE_MAX] = maximum;
    } else {
        range[DC_RANGE_MIN] += a->constant * (minimum - range[DC_RANGE_MIN]);
        range[DC_RANGE_MAX] += a->constant * (maximum - range[DC_RANGE_MAX]);
    }
}

static enum dc_status extend(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                             const struct dc_statistics *statistics, struct dc_error *error)
{
    float *range = call->param[0];
    if (observes(call)) {
        float minimum, maximum;
        DC_TRY(observe_batch(&minimum, &maximum, epilogue, call, statistics, error));
        move_range(range, call->node->attributes, minimum, maximum);
    }
    if (call->step && call->step->quantizers_off)
        return DC_OK;
    const struct dc_fake_quantize_attributes *a = call->node->attributes;
    const bool trained = a->scaling != DC_STEP_OF_RANGE;
    if (!has_range(a, range) || (trained && *call->param[1] == 0.0f))
        return dc_fail(error, DC_ERR_NUMERIC,
                       "'%s' has no range: nothing was observed, so train or calibrate first",
                       call->node->name);
    quantize_epilogue(epilogue, grid_of(a, range, call->param[1]), trained);
    epilogue->clips = a->scaling == DC_STEP_CLIPPED;
    return DC_OK;
}

// LSQ, equation 3, times the gradient scale; PACT, equation 3 with the decay of its clip.
static void finish_gradient(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                            double *steps)
{
    const struct dc_fake_quantize_attributes *a = call->node->attributes;
    double sum = 0.0;
    if (!steps)
        return;
    double *total = steps + (int64_t)call->ctx->chunks * epilogue->period;
    dc_tree_sum_double(total, steps, call->ctx->chunks, epilogue->period, epilogue->period);
    for (int c = 0; c < epilogue->period; c++)
        sum += total[c];
    const double size = fabs((double)*call->param[1]), top = (double)top_code(epilogue->grid);
    const double values = (double)dc_shape_row(&call->in[0].shape);
    const double share = (double)call->rows / (double)call->step->total_batch;
    const double gradient = a->scaling == DC_STEP_LEARNED
                                ? sum / sqrt(values * top)
                                : sum / top + 2.0 * (double)a->clip_decay * size * share;
    *call->d_param[1] += (float)(*call->param[1] < 0.0f ? -gradient : gradient);
}

static const struct dc_epilogue_part part = {DC_EPILOGUE_QUANTIZE, want, extend, finish_gradient};

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_fake_quantize_attributes *a = node->attributes;
    *out = in[0];
    if (!(a->constant > 0.0f) || !(a->constant <= 1.0f))
        return dc_fail(error, DC_ERR_CONFIG, "the averaging constant must be in (0, 1], not %g",
                       (double)a->constant);
    if (a->bits < 2 || a->bits > 8)
        return dc_fail(error, DC_ERR_CONFIG, "values have 2 to 8 bits, not %d", a->bits);
    if (!(a->clip_decay >= 0.0f))
        return dc_fail(error, DC_ERR_CONFIG, "the decay of a clip must not be negative");
    return DC_OK;
}

static int declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                   const struct dc_shape *in)
{
    const struct dc_fake_quantize_attributes *a = node->attributes;
    (void)in;
    specs[0] = (struct dc_param_spec){.name = "range",
                                      .role = DC_ROLE_OBSERVER,
                                      .shape = DC_SHAPE(DC_RANGE_COUNT),
                                      .init = DC_INIT_CONSTANT};
    if (a->scaling == DC_STEP_OF_RANGE)
        return 1;
    specs[1] = (struct dc_param_spec){.name = a->scaling == DC_STEP_CLIPPED ? "clip" : "step",
                                      .role = DC_ROLE_QUANTIZER,
                                      .shape = DC_SHAPE(1),
                                      .init = DC_INIT_CONSTANT};
    return 2;
}

const struct dc_op dc_op_fake_quantize = {
    .name = "fake_quantize",
    .inputs_min = 1,
    .inputs_max = 1,
    .flags = DC_OP_READS_INPUT,
    .attribute_bytes = sizeof(struct dc_fake_quantize_attributes),
    .infer = infer,
    .declare = declare,
    .memory = dc_epilogue_memory,
    .forward = dc_epilogue_forward,
    .backward = dc_epilogue_backward,
    .epilogue = &part,
};

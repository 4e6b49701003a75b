// Owns inverted dropout: in training a value is zeroed with probability `rate`, the others are
// multiplied by 1 / (1 - rate), so that inference is the identity.
//
// A sample's mask is a pure function of (seed, node name, epoch, sample id): threads, chunks and
// the place in the batch do not change it, and backward draws it again instead of keeping it.

#include <assert.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/ops/ops.h"
#include "core/random.h"

static float rate_of(const struct dc_node *node)
{
    return ((const struct dc_dropout_attributes *)node->attributes)->rate;
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const float rate = rate_of(node);
    if (!(rate >= 0.0f && rate < 1.0f))
        return dc_fail(error, DC_ERR_CONFIG, "dropout's rate must be in [0, 1), not %g",
                       (double)rate);
    *out = in[0];
    return DC_OK;
}

// The low byte of the key stays the purpose, so no other purpose's stream is met.
static void start(struct dc_random *random, const struct dc_op_call *call, int64_t row)
{
    const struct dc_step *step = call->step;
    assert(step && step->ids);
    dc_random_start(random, step->seed, DC_PURPOSE_DROPOUT, step->epoch, step->ids[row]);
    random->key[1] ^= (uint32_t)dc_hash_name(call->node->name) << 8;
}

enum { DRAWN = 1024 };  // numbers drawn at once, whole blocks

// A number's upper 24 bits are a uniform value in [0, 1).
static void drop(float *to, const float *from, const uint32_t *drawn, int n, float rate,
                 float scale, bool add)
{
    for (int i = 0; i < n; i++) {
        const float unit = (float)(int32_t)(drawn[i] >> 8) * 0x1p-24f;
        const float kept = from[i] * scale, old = add ? to[i] : 0.0f;
        const float v = unit < rate ? 0.0f : kept;
        to[i] = add ? old + v : v;
    }
}

static void drop_rows(const struct dc_op_call *call, struct dc_rows rows, float *to,
                      const float *from, bool add)
{
    const float rate = rate_of(call->node);
    const float scale = 1.0f / (1.0f - rate);
    const int64_t row = dc_shape_row(&call->out.shape);
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        struct dc_random random;
        start(&random, call, r);
        for (int64_t first = 0; first < row; first += DRAWN) {
            uint32_t drawn[DRAWN];
            const int n = row - first < DRAWN ? (int)(row - first) : DRAWN;
            const int64_t at = r * row + first;
            call->ctx->kernels->philox(drawn, random.counter, random.key, n);
            random.counter[0] += DRAWN / 4;
            drop(to + at, from + at, drawn, n, rate, scale, add);
        }
    }
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const int64_t row = dc_shape_row(&call->out.shape), at = rows.first * row;
    float *y = dc_f32(&call->out);
    const float *x = dc_f32(&call->in[0]);
    if (call->mode == DC_TRAINING)
        drop_rows(call, rows, y, x, false);
    else
        memcpy(y + at, x + at, (size_t)(rows.count * row) * sizeof *y);
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    drop_rows(call, rows, dc_f32(&call->d_in[0]), dc_f32(&call->d_out), call->add_gradient[0]);
}

const struct dc_op dc_op_dropout = DC_ROW_OP(
    "dropout", 1, 1, .attribute_bytes = sizeof(struct dc_dropout_attributes), .infer = infer);

// Owns operators on the elements of constants: sums, comparisons, casts.
//
// Integers are c + k * batch + n * row, so that the shape of a value whose batch is open can be
// computed with, and where each row of the batch begins. What cannot be said so (batch times batch,
// a remainder of it) is an error. Integers wrap as the format's do.

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/math.h"
#include "formats/onnx_internal.h"

static int64_t wrap_add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t wrap_multiply(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a * (uint64_t)b);
}

// Two operands.

static const char *const operations[] = {"Add",
                                         "Sub",
                                         "Mul",
                                         "Div",
                                         "Mod",
                                         "Pow",
                                         "Min",
                                         "Max",
                                         "Equal",
                                         "Less",
                                         "LessOrEqual",
                                         "Greater",
                                         "GreaterOrEqual",
                                         "And",
                                         "Or"};
enum {
    ADD,
    SUB,
    MUL,
    DIV,
    MOD,
    POW,
    MIN,
    MAX,
    EQUAL,
    LESS,
    LESS_EQUAL,
    GREATER,
    GREATER_EQUAL,
    AND,
    OR
};

// -1, 0, 1 by the sign of a - b for every batch; 2: it depends.
static int compare(struct dc_linear a, struct dc_linear b)
{
    if (a.n || b.n)
        return 2;
    if (a.k == b.k)
        return (a.c > b.c) - (a.c < b.c);
    const int64_t k = wrap_add(a.k, wrap_multiply(b.k, -1));
    const int64_t least = wrap_add(wrap_add(a.c, wrap_multiply(b.c, -1)), k);  // of a batch of 1
    return k > 0 && least > 0 ? 1 : k < 0 && least < 0 ? -1 : 2;
}

static bool compared(int operation, int order)
{
    switch (operation) {
    case EQUAL:
        return order == 0;
    case LESS:
        return order < 0;
    case LESS_EQUAL:
        return order <= 0;
    case GREATER:
        return order > 0;
    default:
        return order >= 0;
    }
}

static enum dc_status divide(struct dc_linear *out, struct dc_linear a, struct dc_linear b,
                             bool remainder, struct dc_error *error)
{
    if (a.n || b.n)
        return dc__fold_fail_batch(error);
    if (b.k && !b.c && !a.c && a.k % b.k == 0) {
        *out = (struct dc_linear){.c = remainder ? 0 : a.k / b.k};
        return DC_OK;
    }
    if (b.k || b.c == 0 || b.c == -1)
        return b.k ? dc__fold_fail_batch(error)
                   : dc_fail(error, DC_ERR_DATA, "a division by %" PRId64, b.c);
    if (a.k % b.c || (a.k && !remainder && a.c % b.c))
        return dc__fold_fail_batch(error);
    const int64_t rest = a.c % b.c;
    *out = remainder ? (struct dc_linear){.c = rest && (rest < 0) != (b.c < 0) ? rest + b.c : rest}
                     : (struct dc_linear){.c = a.c / b.c, .k = a.k / b.c};
    return DC_OK;
}

static enum dc_status power(struct dc_linear *out, struct dc_linear a, struct dc_linear b,
                            struct dc_error *error)
{
    *out = (struct dc_linear){.c = 1};
    if (a.k || a.n || b.k || b.n || b.c < 0 || b.c > 64)
        return dc_fail(error, DC_ERR_DATA, "an integer to the power of %" PRId64, b.c);
    for (int64_t i = 0; i < b.c; i++)
        out->c = wrap_multiply(out->c, a.c);
    return DC_OK;
}

static enum dc_status combine(struct dc_linear *out, int operation, struct dc_linear a,
                              struct dc_linear b, struct dc_error *error)
{
    const int order = operation >= MIN ? compare(a, b) : 0;
    if (order == 2 || (operation == MUL && (a.k || a.n) && (b.k || b.n)))
        return dc__fold_fail_batch(error);
    switch (operation) {
    case ADD:
        *out = (struct dc_linear){wrap_add(a.c, b.c), wrap_add(a.k, b.k), wrap_add(a.n, b.n)};
        break;
    case SUB:
        *out = (struct dc_linear){wrap_add(a.c, wrap_multiply(b.c, -1)),
                                  wrap_add(a.k, wrap_multiply(b.k, -1)),
                                  wrap_add(a.n, wrap_multiply(b.n, -1))};
        break;
    case MUL:
        *out = (struct dc_linear){wrap_multiply(a.c, b.c),
                                  wrap_add(wrap_multiply(a.c, b.k), wrap_multiply(a.k, b.c)),
                                  wrap_add(wrap_multiply(a.c, b.n), wrap_multiply(a.n, b.c))};
        break;
    case DIV:
    case MOD:
        return divide(out, a, b, operation == MOD, error);
    case POW:
        return power(out, a, b, error);
    case MIN:
        *out = order < 0 ? a : b;
        break;
    case MAX:
        *out = order > 0 ? a : b;
        break;
    case AND:
        *out = (struct dc_linear){.c = a.c && b.c};
        break;
    case OR:
        *out = (struct dc_linear){.c = a.c || b.c};
        break;
    default:
        *out = (struct dc_linear){.c = compared(operation, order)};
        break;
    }
    return DC_OK;
}

// No libm: a folded number may reach a weight.
static double float_power(double x, double exponent)
{
    double y = 1.0;
    if (exponent == 0.5 || exponent == -0.5)
        return exponent > 0 ? sqrt(x) : 1.0 / sqrt(x);
    if (exponent != floor(exponent) || fabs(exponent) > 64)
        return dc_exp(exponent * dc_ln(x));
    for (int i = 0; i < (int)fabs(exponent); i++)
        y *= x;
    return exponent < 0 ? 1.0 / y : y;
}

static float combine_floats(int operation, float a, float b)
{
    switch (operation) {
    case ADD:
        return a + b;
    case SUB:
        return a - b;
    case MUL:
        return a * b;
    case DIV:
        return a / b;
    case MOD:
        return a - b * floorf(a / b);
    case POW:
        return (float)float_power(a, b);
    case MIN:
        return b < a ? b : a;
    default:
        return b > a ? b : a;
    }
}

// The rows' axis of two operands together: that of either, alone there.
static enum dc_status join_rows(int *rows, const struct dc_onnx_constant *shape,
                                const struct dc_onnx_constant *const in[2], struct dc_error *error)
{
    *rows = 0;
    for (int i = 0; i < 2; i++) {
        const int at = in[i]->rows ? in[i]->rows + shape->rank - in[i]->rank : 0;
        if (at && ((*rows && *rows != at) || shape->dims[at - 1] != 1))
            return dc__fold_fail_batch(error);
        *rows = at ? at : *rows;
    }
    return DC_OK;
}

static void combine_float(struct dc_onnx_constant *out, int64_t i, int operation, float a, float b)
{
    if (out->f)
        out->f[i] = combine_floats(operation, a, b);
    else
        out->i[i].c = a == a && b == b && compared(operation, (a > b) - (a < b));
}

static enum dc_status combine_constants(struct dc_onnx_call *call, struct dc_onnx_constant *out,
                                        int operation, const struct dc_onnx_constant *first,
                                        const struct dc_onnx_constant *second,
                                        struct dc_error *error)
{
    struct dc_onnx_constant shape = *first;
    const struct dc_onnx_constant *const in[2] = {first, second};
    int64_t strides[2][DC_RANK_MAX], index[DC_RANK_MAX] = {0}, at[2] = {0, 0};
    int rows;
    DC_TRY(dc__fold_join(&shape, second, error));
    DC_TRY(join_rows(&rows, &shape, in, error));
    if ((first->f != NULL) != (second->f != NULL) || (first->f && operation >= AND))
        return dc_fail(error, DC_ERR_DATA, "operands of different or unfitting types");
    DC_TRY(
        dc__onnx_new(call->m, out, first->f && operation < EQUAL, shape.rank, shape.dims, error));
    out->rows = rows;
    for (int k = 0; k < 2; k++)
        dc__fold_strides(strides[k], in[k], out->rank);
    for (int64_t i = 0; i < out->count; i++) {
        if (first->f && second->f)
            combine_float(out, i, operation, first->f[at[0]], second->f[at[1]]);
        else
            DC_TRY(combine(&out->i[i], operation, first->i[at[0]], second->i[at[1]], error));
        for (int d = out->rank; d-- > 0;) {
            at[0] += strides[0][d];
            at[1] += strides[1][d];
            if (++index[d] < out->dims[d])
                break;
            at[0] -= strides[0][d] * out->dims[d];
            at[1] -= strides[1][d] * out->dims[d];
            index[d] = 0;
        }
    }
    return DC_OK;
}

// Of two operands; of Sum, Min and Max of several.
enum dc_status dc__fold_arithmetic(struct dc_onnx_call *call, struct dc_error *error)
{
    const char *name = call->proto->op_type;
    struct dc_onnx_constant out = call->in[0]->constant;
    int operation = 0;
    while (strcmp(name, "Sum") != 0 && strcmp(operations[operation], name) != 0)
        operation++;
    for (int i = 1; i < call->count; i++) {
        const struct dc_onnx_constant left = out;
        if (!call->in[i])
            return dc_fail(error, DC_ERR_DATA, "input %d is left out", i);
        DC_TRY(combine_constants(call, &out, operation, &left, &call->in[i]->constant, error));
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

// Reductions of integers, which are exact and may count the batch; floats are run.
enum dc_status dc__fold_reduce(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_constant *c = &call->in[0]->constant;
    const char *name = call->proto->op_type + strlen("Reduce");
    int operation = -1;
    for (int i = 0; i <= MAX; i++)
        if (strcmp(name, operations[i]) == 0 || (i == MUL && strcmp(name, "Prod") == 0) ||
            (i == ADD && strcmp(name, "Sum") == 0))
            operation = i;
    if (c->f && operation != MUL)
        return dc__fold_run(call, error);
    const bool keep = dc__onnx_int(call, "keepdims", 1) != 0;
    int64_t dims[DC_RANK_MAX], index[DC_RANK_MAX] = {0};
    int rank = 0;
    unsigned axes;
    bool none;
    DC_TRY(dc__onnx_reduced_axes(call, &axes, &none, c->rank, error));
    if (operation < 0 || c->count < 1)
        return dc_fail(error, DC_ERR_DATA, "not of these integers");
    for (int i = 0; i < c->rank; i++)
        if (!(axes >> i & 1) || keep)
            dims[rank++] = axes >> i & 1 ? 1 : c->dims[i];
    struct dc_onnx_constant out;
    DC_TRY(dc__onnx_new(call->m, &out, c->f != NULL, rank, dims, error));
    for (int64_t n = 0; n < c->count; n++) {
        int64_t at = 0;
        bool first = true;
        for (int i = 0; i < c->rank; i++) {
            at = axes >> i & 1 ? at : at * c->dims[i] + index[i];
            first = first && (!(axes >> i & 1) || index[i] == 0);
        }
        if (c->f)
            out.f[at] = first ? c->f[n] : out.f[at] * c->f[n];
        else if (first)
            out.i[at] = c->i[n];
        else
            DC_TRY(combine(&out.i[at], operation, out.i[at], c->i[n], error));
        for (int i = c->rank; i-- > 0 && ++index[i] == c->dims[i];)
            index[i] = 0;
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

// One operand.

#define TURN 6.28318530717958647693

static float unary_float(const char *name, float x)
{
    switch (name[0]) {
    case 'N':
        return -x;  // Neg
    case 'F':
        return floorf(x);  // Floor
    case 'C':
        return name[1] == 'e' ? ceilf(x) : (float)dc_cos_turns((double)x / TURN);  // Ceil, Cos
    case 'S':
        return name[1] == 'q' ? sqrtf(x) : (float)dc_sin_turns((double)x / TURN);  // Sqrt, Sin
    case 'A':
        return fabsf(x);  // Abs
    case 'E':
        return (float)dc_exp(x);  // Exp
    case 'R':
        return name[1] == 'o' ? rintf(x) : 1.0f / x;  // Round, Reciprocal
    default:
        return x;
    }
}

enum dc_status dc__fold_unary(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_constant *c = &call->in[0]->constant;
    const char *name = call->proto->op_type;
    const bool is_not = strcmp(name, "Not") == 0;
    struct dc_onnx_constant out;
    DC_TRY(dc__onnx_new(call->m, &out, c->f != NULL, c->rank, c->dims, error));
    if (!c->f && !is_not && strcmp(name, "Neg") != 0)
        return dc_fail(error, DC_ERR_DATA, "not of integers");
    for (int64_t i = 0; i < out.count; i++) {
        if (c->f)
            out.f[i] = unary_float(name, c->f[i]);
        else if (is_not)
            out.i[i].c = !c->i[i].c;
        else
            out.i[i] = (struct dc_linear){.c = wrap_multiply(c->i[i].c, -1),
                                          .k = wrap_multiply(c->i[i].k, -1)};
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

enum dc_status dc__fold_cast(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_constant *c = &call->in[0]->constant;
    const int64_t to = dc__onnx_cast_type(call);
    const bool floats = to == 1 || to == 10 || to == 11;
    struct dc_onnx_constant out = *c;
    if (floats != (c->f != NULL))
        DC_TRY(dc__onnx_new(call->m, &out, floats, c->rank, c->dims, error));
    for (int64_t i = 0; i < c->count && floats && c->i; i++) {
        if (c->i[i].k || c->i[i].n)
            return dc__fold_fail_batch(error);
        out.f[i] = (float)c->i[i].c;
    }
    for (int64_t i = 0; i < c->count && !floats && c->f; i++) {
        if (!(fabsf(c->f[i]) < 9e18f))
            return dc_fail(error, DC_ERR_DATA, "%g is no integer", (double)c->f[i]);
        out.i[i].c = to == 9 ? c->f[i] != 0.0f : (int64_t)c->f[i];
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

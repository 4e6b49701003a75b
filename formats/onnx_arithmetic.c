// Owns operators on the elements of constants: sums, comparisons, casts.
//
// Integers are c + k * batch, so that the shape of a value whose batch is open can be computed
// with. What cannot be said so (batch times batch, a remainder of it) is an error. Integers wrap as
// the format's do.

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
                     : (struct dc_linear){a.c / b.c, a.k / b.c};
    return DC_OK;
}

static enum dc_status power(struct dc_linear *out, struct dc_linear a, struct dc_linear b,
                            struct dc_error *error)
{
    *out = (struct dc_linear){.c = 1};
    if (a.k || b.k || b.c < 0 || b.c > 64)
        return dc_fail(error, DC_ERR_DATA, "an integer to the power of %" PRId64, b.c);
    for (int64_t i = 0; i < b.c; i++)
        out->c = wrap_multiply(out->c, a.c);
    return DC_OK;
}

static enum dc_status combine(struct dc_linear *out, int operation, struct dc_linear a,
                              struct dc_linear b, struct dc_error *error)
{
    const int order = operation >= MIN ? compare(a, b) : 0;
    if (order == 2 || (operation == MUL && a.k && b.k))
        return dc__fold_fail_batch(error);
    switch (operation) {
    case ADD:
        *out = (struct dc_linear){wrap_add(a.c, b.c), wrap_add(a.k, b.k)};
        break;
    case SUB:
        *out = (struct dc_linear){wrap_add(a.c, wrap_multiply(b.c, -1)),
                                  wrap_add(a.k, wrap_multiply(b.k, -1))};
        break;
    case MUL:
        *out = (struct dc_linear){wrap_multiply(a.c, b.c),
                                  wrap_add(wrap_multiply(a.c, b.k), wrap_multiply(a.k, b.c))};
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

enum dc_status dc__fold_arithmetic(struct dc_onnx_call *call, struct dc_error *error)
{
    int operation = 0;
    while (strcmp(operations[operation], call->proto->op_type) != 0)
        operation++;
    struct dc_onnx_constant shape = call->in[0]->constant, a, b, out;
    DC_TRY(dc__fold_join(&shape, &call->in[1]->constant, error));
    DC_TRY(dc__fold_repeat(call->m, &a, &call->in[0]->constant, &shape, error));
    DC_TRY(dc__fold_repeat(call->m, &b, &call->in[1]->constant, &shape, error));
    if ((a.f != NULL) != (b.f != NULL) || (a.f && operation >= AND))
        return dc_fail(error, DC_ERR_DATA, "operands of different or unfitting types");
    DC_TRY(dc__onnx_new(call->m, &out, a.f && operation < EQUAL, shape.rank, shape.dims, error));
    for (int64_t i = 0; i < out.count; i++) {
        if (out.f && a.f && b.f)
            out.f[i] = combine_floats(operation, a.f[i], b.f[i]);
        else if (a.f && b.f)
            out.i[i].c = a.f[i] == a.f[i] && b.f[i] == b.f[i] &&
                         compared(operation, (a.f[i] > b.f[i]) - (a.f[i] < b.f[i]));
        else
            DC_TRY(combine(&out.i[i], operation, a.i[i], b.i[i], error));
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

// One operand.

static float unary_float(const char *name, float x)
{
    switch (name[0]) {
    case 'N':
        return -x;  // Neg
    case 'F':
        return floorf(x);  // Floor
    case 'C':
        return ceilf(x);  // Ceil
    case 'S':
        return sqrtf(x);  // Sqrt
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
            out.i[i] = (struct dc_linear){wrap_multiply(c->i[i].c, -1),
                                          wrap_multiply(c->i[i].k, -1)};
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

enum dc_status dc__fold_cast(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_constant *c = &call->in[0]->constant;
    const int64_t to = dc__onnx_int(call, "to", 1);
    const bool floats = to == 1 || to == 10 || to == 11;
    struct dc_onnx_constant out = *c;
    if (floats != (c->f != NULL))
        DC_TRY(dc__onnx_new(call->m, &out, floats, c->rank, c->dims, error));
    for (int64_t i = 0; i < c->count && floats && c->i; i++) {
        if (c->i[i].k)
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

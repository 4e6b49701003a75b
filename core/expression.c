// Owns a recursive-descent evaluator. Comparison binds weakest, then sums, then products.

#include "core/expression.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NESTING_MAX = 32 };

struct parser {
    const char *at;
    const struct dc_variables *variables;
    const char *problem;
    int nesting;
};

static double comparison(struct parser *p);

static void skip_spaces(struct parser *p)
{
    while (*p->at == ' ')
        p->at++;
}

static bool accept(struct parser *p, const char *token)
{
    skip_spaces(p);
    const size_t length = strlen(token);
    if (strncmp(p->at, token, length) != 0)
        return false;
    p->at += length;
    return true;
}

static double fail(struct parser *p, const char *problem)
{
    if (!p->problem)
        p->problem = problem;
    return 0.0;
}

static double variable(struct parser *p)
{
    const char *name = p->at;
    while (isalnum((unsigned char)*p->at) || *p->at == '_')
        p->at++;
    const size_t length = (size_t)(p->at - name);
    for (const struct dc_variables *v = p->variables; v; v = v->outer)
        for (int i = 0; i < v->count; i++)
            if (strlen(v->names[i]) == length && strncmp(v->names[i], name, length) == 0)
                return v->values[i];
    return fail(p, "no parameter of this name");
}

// The multiple of 8 nearest to a width, but not below nine tenths of it, so never 0 (torchvision's
// and TensorFlow's rule for the channels of MobileNetV2).
static double round8(double width)
{
    const double nearest = 8.0 * floor(width / 8.0 + 0.5);
    return nearest < 0.9 * width ? nearest + 8.0 : nearest;
}

static double primary(struct parser *p)
{
    skip_spaces(p);
    if (++p->nesting > NESTING_MAX)
        return fail(p, "nested too deeply");
    double value = 0.0;
    const bool rounded = accept(p, "round8");
    if (accept(p, "(")) {
        value = comparison(p);
        value = rounded ? round8(value) : value;
        if (!accept(p, ")"))
            fail(p, "')' is missing");
    } else if (rounded) {
        fail(p, "'(' is expected after round8");
    } else if (accept(p, "-")) {
        value = -primary(p);
    } else if (accept(p, "$")) {
        value = variable(p);
    } else if (isdigit((unsigned char)*p->at) || *p->at == '.') {
        char *end;
        value = strtod(p->at, &end);
        p->at = end;
    } else {
        fail(p, "a number or a $name is expected");
    }
    p->nesting--;
    return value;
}

static double product(struct parser *p)
{
    double value = primary(p);
    for (;;) {
        if (accept(p, "*"))
            value *= primary(p);
        else if (accept(p, "/"))
            value /= primary(p);
        else
            return value;
    }
}

static double sum(struct parser *p)
{
    double value = product(p);
    for (;;) {
        if (accept(p, "+"))
            value += product(p);
        else if (accept(p, "-"))
            value -= product(p);
        else
            return value;
    }
}

static double comparison(struct parser *p)
{
    const double left = sum(p);
    if (accept(p, "=="))
        return left == sum(p);
    if (accept(p, "!="))
        return left != sum(p);
    if (accept(p, "<="))
        return left <= sum(p);
    if (accept(p, ">="))
        return left >= sum(p);
    if (accept(p, "<"))
        return left < sum(p);
    if (accept(p, ">"))
        return left > sum(p);
    return left;
}

bool dc_expression(double *value, const char *text, const struct dc_variables *variables,
                   const char **problem)
{
    struct parser p = {.at = text, .variables = variables};
    *value = comparison(&p);
    skip_spaces(&p);
    if (*p.at && !p.problem)
        fail(&p, "unexpected text at its end");
    if (!p.problem && !isfinite(*value))
        fail(&p, "it is not finite");
    *problem = p.problem;
    return !p.problem;
}

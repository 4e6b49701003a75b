// Owns the tables of functions of one code. One rule for every profile.

#include "qat/table.h"

#include <math.h>
#include <string.h>

#include "core/math.h"

static double h_swish(double x)
{
    const double gate = x + 3.0;
    return x * (gate < 0.0 ? 0.0 : gate > 6.0 ? 6.0 : gate) / 6.0;
}

static const struct {
    const char *name;
    double (*function)(double x);
    float scale;
    int zero_point;
} functions[] = {
    [DC_F_SIGMOID] = {"sigmoid", dc_sigmoid, 1.0f / 256.0f, -128},
    [DC_F_TANH] = {"tanh", dc_tanh, 1.0f / 128.0f, 0},
    [DC_F_H_SWISH] = {"h_swish", h_swish, 0.0f, 0},
};

void dc_fill_table(int8_t *table, const struct dc_ilayer *layer, const struct dc_ilayer *input)
{
    for (int i = 0; i < DC_TABLE_CODES; i++) {
        const double x = (double)input->scale * (double)(i - 128 - input->zero_point);
        const double y = functions[layer->function].function(x) / (double)layer->scale;
        const double code = round(y) + (double)layer->zero_point;
        table[i] = (int8_t)(code < (double)layer->clamp_low    ? layer->clamp_low
                            : code > (double)layer->clamp_high ? layer->clamp_high
                                                               : (int)code);
    }
}

const char *dc_ifunction_name(enum dc_ifunction function)
{
    return functions[function].name;
}

int dc_ifunction_find(const char *name)
{
    for (int f = 0; name && f < DC_IFUNCTION_COUNT; f++)
        if (strcmp(functions[f].name, name) == 0)
            return f;
    return -1;
}

float dc_ifunction_scale(enum dc_ifunction function, int *zero_point)
{
    *zero_point = functions[function].zero_point;
    return functions[function].scale;
}

// Owns what network.svh and layers.svh say. The units that read them are export/rtl.

#include "export/memory_header.h"

#include <inttypes.h>
#include <string.h>

#include "export/c_source.h"
#include "qat/profile.h"

enum { NAME_BYTES = 40, NO_RULE = -1 };

// The rules of arithmetic.svh, by their numbers there.
enum rule { RULE_DOUBLE, RULE_DOUBLE_UP, RULE_SINGLE, RULE_HALF_EVEN, RULE_HALF_AWAY, RULES };
static const char *const rule_names[RULES] = {"ROUND_DOUBLE", "ROUND_DOUBLE_UP", "ROUND_SINGLE",
                                              "ROUND_HALF_EVEN", "ROUND_HALF_AWAY"};

static int rule_of(enum dc_rounding rounding)
{
    static const int rules[DC_ROUNDING_COUNT] = {
        [DC_ROUND_DOUBLE] = RULE_DOUBLE + 1,        [DC_ROUND_DOUBLE_UP] = RULE_DOUBLE_UP + 1,
        [DC_ROUND_DOUBLE_BLOCKS] = RULE_DOUBLE + 1, [DC_ROUND_SINGLE] = RULE_SINGLE + 1,
        [DC_ROUND_HALF_EVEN] = RULE_HALF_EVEN + 1,  [DC_ROUND_HALF_AWAY] = RULE_HALF_AWAY + 1};
    return rules[rounding] - 1;
}

// How the testbench calls an op: the macro, and what stands behind the layer; NULL: it does not.
static const struct {
    const char *macro, *more;
} calls[DC_IOP_COUNT] = {
    [DC_I_CONV2D] = {"WEIGHTED", ", WEIGHTED"},
    [DC_I_DEPTHWISE_CONV2D] = {"WEIGHTED", ", DEPTHWISE"},
    [DC_I_FULLY_CONNECTED] = {"WEIGHTED", ", WEIGHTED"},
    [DC_I_ADD] = {"ADD", ""},
    [DC_I_MULTIPLY] = {"MULTIPLY", ""},
    [DC_I_AVERAGE_POOL] = {"POOL", ", AVERAGE_POOL"},
    [DC_I_MAX_POOL] = {"POOL", ", MAX_POOL"},
    [DC_I_MEAN] = {"MEAN", ""},
    [DC_I_TABLE] = {"TABLE", ""},
};

char *dc__memory_layer_name(const struct dc_imodel *model, int layer, struct dc_arena *arena,
                            struct dc_error *error)
{
    const char *id = dc_c_identifier(arena, model->layers[layer].name, error);
    return id ? dc_arena_printf(arena, error, "%02d_%.*s", layer, NAME_BYTES, id) : NULL;
}

const char *dc__memory_refuses(const struct dc_imodel *model, int layer)
{
    const struct dc_ilayer *l = &model->layers[layer];
    const bool scales = dc_ilayer_has_accumulators(l);
    return scales && rule_of(dc_profile_rounding(model->profile, l->op)) == NO_RULE
               ? "is scaled by floats in this profile, not by integer multipliers and shifts"
               : NULL;
}

const char *dc__memory_not_replayed(const struct dc_imodel *model, int layer)
{
    const struct dc_ilayer *l = &model->layers[layer];
    if (l->op == DC_I_SOFTMAX)
        return "has no unit here: compute it in software, or take the largest code instead";
    return calls[l->op].macro ? dc__memory_refuses(model, layer)
                              : "moves codes and computes nothing";
}

int64_t dc__memory_clocks(const struct dc_imodel *model, int layer)
{
    const struct dc_ilayer *l = &model->layers[layer];
    const struct dc_ilayer *x = &model->layers[l->input_count ? l->inputs[0] : 0];
    if (dc_ilayer_has_weights(l))
        return dc__tile(model, l).clocks;
    if (l->op == DC_I_MEAN)
        return dc_ilayer_size(x);
    if (l->op == DC_I_MAX_POOL || l->op == DC_I_AVERAGE_POOL)
        return dc_ilayer_size(l) * l->window.kernel[0] * l->window.kernel[1];
    return dc_ilayer_size(l);
}

bool dc__memory_represents(const struct dc_imodel *model, int layer)
{
    const struct dc_ilayer *l = &model->layers[layer];
    const int64_t clocks = dc__memory_clocks(model, layer);
    for (int i = 1; i < model->count; i++) {
        const struct dc_ilayer *other = &model->layers[i];
        const int64_t others = dc__memory_clocks(model, i);
        if (other->op == l->op && other->weight_bits == l->weight_bits &&
            (others < clocks || (others == clocks && i < layer)))
            return false;
    }
    return true;
}

// Names come from files: as a string they keep to letters that Verilog takes.
static void put_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++)
        fputc(*text == '"' || *text == '\\' || *text == '%' || *text < ' ' || *text > '~' ? '_'
                                                                                          : *text,
              out);
    fputc('"', out);
}

struct header {
    FILE *out;
    const struct dc_imodel *model;
    int layer;
};

static void put_int(const struct header *h, const char *name, int64_t value)
{
    fprintf(h->out, "    localparam int L%02d_%s = %" PRId64 ";\n", h->layer, name, value);
}

// Two numbers of the height and the width.
static void put_pair(const struct header *h, const char *name, int height, int width)
{
    fprintf(h->out, "    localparam int L%02d_%s_H = %d, L%02d_%s_W = %d;\n", h->layer, name,
            height, h->layer, name, width);
}

static void put_size(const struct header *h, const char *name, int height, int width, int channels)
{
    put_pair(h, name, height, width);
    fprintf(h->out, "    localparam int L%02d_%s_C = %d;\n", h->layer, name, channels);
}

static void put_name(const struct header *h, const char *what, const char *text)
{
    fprintf(h->out, "    localparam L%02d_%s = ", h->layer, what);
    put_text(h->out, text);
    fputs(";\n", h->out);
}

static void put_scale(const struct header *h, int entry, const char *suffix)
{
    const struct dc_ilayer *l = &h->model->layers[h->layer];
    fprintf(h->out,
            "    localparam int L%02d_MULTIPLIER%s = %" PRId32 ", L%02d_SHIFT%s = %" PRId32 ";\n",
            h->layer, suffix, l->multipliers[entry], h->layer, suffix,
            l->shifts[entry] < 31 ? l->shifts[entry] : 31);
}

// Kernel, strides and pads of a convolution or a pool.
static void put_window(const struct header *h, const int kernel[2])
{
    const struct dc_ilayer *l = &h->model->layers[h->layer];
    const struct dc_window *w = &l->window;
    const bool whole = l->op == DC_I_FULLY_CONNECTED;
    put_pair(h, "KERNEL", kernel[0], kernel[1]);
    put_pair(h, "STRIDE", whole ? 1 : w->stride[0], whole ? 1 : w->stride[1]);
    put_pair(h, "DILATION", whole ? 1 : w->dilation[0], whole ? 1 : w->dilation[1]);
    fprintf(h->out,
            "    localparam int L%02d_PAD_TOP = %d, L%02d_PAD_BOTTOM = %d, L%02d_PAD_LEFT = %d, "
            "L%02d_PAD_RIGHT = %d;\n",
            h->layer, whole ? 0 : w->before[0], h->layer, whole ? 0 : w->after[0], h->layer,
            whole ? 0 : w->before[1], h->layer, whole ? 0 : w->after[1]);
    put_int(h, "PAD_VALUE", h->model->layers[l->inputs[0]].zero_point);
}

// Where the layer's images begin, in words, where one memory holds those of all layers in order.
struct places {
    int64_t weights, channels;
};

// Bits of an accumulator that holds every sum of a place; on the way it may wrap.
static int sum_bits(const struct dc_ilayer *l)
{
    int bits = 1;
    while (l->accumulator_low < -(INT64_C(1) << (bits - 1)) ||
           l->accumulator_high >= INT64_C(1) << (bits - 1))
        bits++;
    return bits;
}

static void put_weighted(const struct header *h, struct places *at)
{
    const struct dc_ilayer *l = &h->model->layers[h->layer];
    const struct dc__tiles t = dc__tile(h->model, l);
    const enum dc_rounding rounding = dc_profile_rounding(h->model->profile, l->op);
    put_window(h, t.kernel);
    fprintf(h->out,
            "    localparam int L%02d_PE = %d, L%02d_SIMD = %d, L%02d_BITS = %d, L%02d_GROUPS = "
            "%d, L%02d_FOLDS = %d;\n",
            h->layer, t.pe, h->layer, t.simd, h->layer, l->weight_bits, h->layer, t.groups,
            h->layer, t.folds);
    put_int(h, "WEIGHT_WIDTH", (int64_t)t.pe * t.simd * l->weight_bits);
    put_int(h, "WEIGHT_DEPTH", t.weight_depth);
    put_int(h, "WEIGHT_BASE", at->weights);
    put_int(h, "CHANNEL_DEPTH", t.groups);
    put_int(h, "CHANNEL_BASE", at->channels);
    put_int(h, "UPWARD", rounding == DC_ROUND_DOUBLE_UP ? dc_upward_channels(l) : 0);
    put_int(h, "SUM_BITS", sum_bits(l));
    at->weights += t.weight_depth;
    at->channels += t.groups;
}

static void put_pairs(const struct header *h, const char *second_file)
{
    const struct dc_ilayer *l = &h->model->layers[h->layer], *b = &h->model->layers[l->inputs[1]];
    const bool once = dc_profile_rounding(h->model->profile, l->op) == DC_ROUND_DOUBLE_BLOCKS;
    put_size(h, "B", b->height, b->width, b->channels);
    put_int(h, "B_ZERO", b->zero_point);
    put_name(h, "B_INPUT", second_file);
    if (l->op == DC_I_MULTIPLY) {
        put_scale(h, 0, "");
        return;
    }
    put_scale(h, 0, "_A");
    put_scale(h, 1, "_B");
    put_scale(h, 2, "");
    put_int(h, "ONCE", once ? dc_block_values(l) : 0);
}

// Where means round by "double_up", they sum codes as they are.
static void put_mean(const struct header *h)
{
    const struct dc_ilayer *l = &h->model->layers[h->layer], *x = &h->model->layers[l->inputs[0]];
    const bool up = dc_profile_rounding(h->model->profile, l->op) == DC_ROUND_DOUBLE_UP;
    put_scale(h, 0, "");
    put_int(h, "SUM_ZERO", up ? 0 : x->zero_point);
    put_int(h, "OFFSET", up ? dc_mean_offset(l, x) : l->zero_point);
    put_int(h, "UPWARD", up ? dc_upward_channels(l) : 0);
}

static enum dc_status put_layer(const struct header *h, struct places *at, struct dc_arena *arena,
                                struct dc_error *error)
{
    const struct dc_ilayer *l = &h->model->layers[h->layer], *x = &h->model->layers[l->inputs[0]];
    const char *files[3];
    const int which[3] = {h->layer, l->inputs[0], l->inputs[l->input_count > 1]};
    for (int i = 0; i < 3; i++) {
        const char *name = dc__memory_layer_name(h->model, which[i], arena, error);
        files[i] = name ? dc_arena_printf(arena, error, i ? "%s.mem" : "%s", name) : NULL;
        if (!files[i])
            return DC_ERR_MEMORY;
    }
    fprintf(h->out, "\n    // %s\n", dc_iop_name(l->op));
    put_name(h, "NAME", l->name);
    put_name(h, "FILE", files[0]);
    put_name(h, "INPUT", files[1]);
    put_int(h, "FEW", dc__memory_represents(h->model, h->layer));
    put_size(h, "IN", x->height, x->width, x->channels);
    put_size(h, "OUT", l->height, l->width, l->channels);
    put_int(h, "IN_ZERO", x->zero_point);
    put_int(h, "OUT_ZERO", l->zero_point);
    put_int(h, "LOW", l->clamp_low);
    put_int(h, "HIGH", l->clamp_high);
    if (dc__memory_not_replayed(h->model, h->layer))
        fprintf(h->out, "    // not replayed: %s\n", dc__memory_not_replayed(h->model, h->layer));
    if (dc_ilayer_has_weights(l))
        put_weighted(h, at);
    else if (l->op == DC_I_ADD || l->op == DC_I_MULTIPLY)
        put_pairs(h, files[2]);
    else if (l->op == DC_I_MEAN)
        put_mean(h);
    else if (l->op == DC_I_MAX_POOL || l->op == DC_I_AVERAGE_POOL)
        put_window(h, l->window.kernel);
    return DC_OK;
}

// What the whole network needs: the widest word, the deepest memory, the largest value.
static void put_totals(FILE *out, const struct dc_imodel *model, int64_t vectors)
{
    const int rule = rule_of(model->profile->rounding);
    unsigned mac_bits = 0, own_bits = 0;
    int width = 8;
    int64_t weights = 0, channels = 0, codes = 0;
    for (int i = 0; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        codes = dc_ilayer_size(l) > codes ? dc_ilayer_size(l) : codes;
        if (!dc_ilayer_has_weights(l))
            continue;
        const struct dc__tiles t = dc__tile(model, l);
        const int bits = t.pe * t.simd * l->weight_bits;
        width = bits > width ? bits : width;
        weights += t.weight_depth;
        channels += t.groups;
        *(l->op == DC_I_DEPTHWISE_CONV2D ? &own_bits : &mac_bits) |= 1U << l->weight_bits;
    }
    const int channel_digits = model->tiling.pe * 8, weight_digits = (width + 3) / 4;
    fprintf(out, "    localparam int LAYERS = %d, PE = %d, SIMD = %d, HIGH_FIRST = %d;\n",
            model->count, model->tiling.pe, model->tiling.simd, model->tiling.high_first);
    fprintf(out, "    localparam int ROUNDING = %d;  // %s in arithmetic.svh\n",
            rule < 0 ? 0 : rule, rule < 0 ? "unused" : rule_names[rule]);
    fprintf(out,
            "    localparam int WEIGHT_WIDTH = %d, WEIGHT_DEPTH = %" PRId64
            ", CHANNEL_DEPTH = %" PRId64 ";\n",
            width, weights > 0 ? weights : 1, channels > 0 ? channels : 1);
    fprintf(out,
            "    localparam int VECTORS = %" PRId64 ", VALUE_CODES = %" PRId64
            ", WORD_DIGITS = %d;\n",
            vectors, codes, channel_digits > weight_digits ? channel_digits : weight_digits);
    fprintf(out,
            "    // bit n is set where layers have weights of n bits: depthwise ones, and others\n"
            "    localparam [8:0] DEPTHWISE_BITS = 9'h%03x, MAC_BITS = 9'h%03x;\n",
            own_bits, mac_bits);
}

enum dc_status dc__memory_put_header(FILE *out, const struct dc_imodel *model, int64_t vectors,
                                     struct dc_arena *arena, struct dc_error *error)
{
    struct places at = {0, 0};
    fputs("// Parameters of a network, written by Decant " DECANT_VERSION
          ": include it in a module or a package.\n"
          "// README.md says what each word means, and where its bits are.\n\n"
          "    localparam NETWORK = ",
          out);
    put_text(out, model->name);
    fputs(", PROFILE = ", out);
    put_text(out, model->profile->name);
    fputs(";\n", out);
    put_totals(out, model, vectors);
    for (int i = 1; i < model->count; i++) {
        const struct header h = {out, model, i};
        DC_TRY(put_layer(&h, &at, arena, error));
    }
    return DC_OK;
}

void dc__memory_put_layers(FILE *out, const struct dc_imodel *model)
{
    fputs("// What the testbench replays, in the order of computation: arms of a case.\n", out);
    for (int i = 1; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        const char *why = dc__memory_not_replayed(model, i);
        if (why)
            fprintf(out, "                %d: `DECANT_SKIP(L%02d, \"%s %s\")\n", i, i,
                    dc_iop_name(l->op), why);
        else
            fprintf(out, "                %d: `DECANT_%s(L%02d%s)\n", i, calls[l->op].macro, i,
                    calls[l->op].more);
    }
}

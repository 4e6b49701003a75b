// Owns how layers are cut into memory words, and the three ways of writing them. Which files there
// are and what is said about them is memory.c's.

#include "export/memory_images.h"

#include <inttypes.h>

#include "qat/table.h"

enum { SHIFT_MOST = 31, SHIFT_BITS = 8, DIGIT_BITS = 4 };

struct dc__tiles dc__tile(const struct dc_imodel *model, const struct dc_ilayer *layer)
{
    const struct dc_ilayer *x = &model->layers[layer->inputs[0]];
    const bool whole = layer->op == DC_I_FULLY_CONNECTED;
    const bool depthwise = layer->op == DC_I_DEPTHWISE_CONV2D;
    struct dc__tiles t = {.pe = model->tiling.pe,
                          .simd = depthwise ? 1 : model->tiling.simd,
                          .kernel = {whole ? x->height : layer->window.kernel[0],
                                     whole ? x->width : layer->window.kernel[1]}};
    t.groups = (layer->channels + t.pe - 1) / t.pe;
    t.folds = depthwise ? 1 : (x->channels + t.simd - 1) / t.simd;
    t.weight_depth = (int64_t)t.groups * t.kernel[0] * t.kernel[1] * t.folds;
    t.clocks = t.weight_depth * layer->height * layer->width;
    return t;
}

static enum dc_status new_image(struct dc__image *image, const char *what, int lanes, int bits,
                                int64_t depth, struct dc_arena *arena, struct dc_error *error)
{
    *image = (struct dc__image){.what = what, .lanes = lanes, .bits = bits, .depth = depth};
    image->values = DC_NEW(arena, int32_t, lanes * depth, error);
    return image->values ? DC_OK : DC_ERR_MEMORY;
}

static void fill_weights(const struct dc__image *image, const struct dc__tiles *t,
                         const struct dc_ilayer *l, const struct dc_ilayer *x)
{
    const bool depthwise = l->op == DC_I_DEPTHWISE_CONV2D;
    const int64_t taps = (int64_t)t->kernel[0] * t->kernel[1];
    for (int64_t c = 0; c < l->channels; c++)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int i = 0; i < (depthwise ? 1 : x->channels); i++) {
                const int64_t word = (c / t->pe * taps + tap) * t->folds + i / t->simd;
                const int64_t lane = c % t->pe * t->simd + i % t->simd;
                image->values[word * image->lanes + lane] =
                    depthwise ? l->weights[tap * l->channels + c]
                              : l->weights[(c * taps + tap) * x->channels + i];
            }
}

// The sum wraps at 32 bits, as the accumulator does; behind the last product it fits.
static int32_t folded_bias(const struct dc_ilayer *l, const struct dc_ilayer *x, int64_t c)
{
    const bool depthwise = l->op == DC_I_DEPTHWISE_CONV2D;
    const int64_t taps = l->weight_count / l->channels;
    int64_t sum = 0;
    for (int64_t tap = 0; tap < taps; tap++)
        sum += l->weights[depthwise ? tap * l->channels + c : c * taps + tap];
    return (int32_t)(uint32_t)(uint64_t)(l->biases[c] - x->zero_point * sum);
}

static enum dc_status weighted_images(struct dc__image *images, const struct dc_imodel *model,
                                      const struct dc_ilayer *l, struct dc_arena *arena,
                                      struct dc_error *error)
{
    const struct dc__tiles t = dc__tile(model, l);
    const struct dc_ilayer *x = &model->layers[l->inputs[0]];
    DC_TRY(new_image(&images[0], "weights", t.pe * t.simd, l->weight_bits, t.weight_depth, arena,
                     error));
    DC_TRY(new_image(&images[1], "biases", t.pe, 32, t.groups, arena, error));
    DC_TRY(new_image(&images[2], "multipliers", t.pe, 32, t.groups, arena, error));
    DC_TRY(new_image(&images[3], "shifts", t.pe, SHIFT_BITS, t.groups, arena, error));
    fill_weights(&images[0], &t, l, x);
    for (int c = 0; c < l->channels; c++) {
        images[1].values[c] = folded_bias(l, x, c);
        images[2].values[c] = l->multipliers[c];
        images[3].values[c] = l->shifts[c] < SHIFT_MOST ? l->shifts[c] : SHIFT_MOST;
    }
    return DC_OK;
}

enum dc_status dc__images_of(struct dc__image images[DC__IMAGES_MAX], int *count,
                             const struct dc_imodel *model, int layer, struct dc_arena *arena,
                             struct dc_error *error)
{
    const struct dc_ilayer *l = &model->layers[layer];
    *count = dc_ilayer_has_weights(l) ? DC__IMAGES_MAX : l->table ? 1 : 0;
    if (dc_ilayer_has_weights(l))
        return weighted_images(images, model, l, arena, error);
    if (!l->table)
        return DC_OK;
    DC_TRY(new_image(&images[0], "table", 1, 8, DC_TABLE_CODES, arena, error));
    for (int c = 0; c < DC_TABLE_CODES; c++)
        images[0].values[c] = l->table[c];
    return DC_OK;
}

int dc__image_digits(const struct dc__image *image)
{
    return (image->lanes * image->bits + DIGIT_BITS - 1) / DIGIT_BITS;
}

static unsigned bit_of(const struct dc__image *image, const int32_t *word, int bit, bool high_first)
{
    const int place = bit / image->bits, lane = high_first ? image->lanes - 1 - place : place;
    return place < image->lanes ? (uint32_t)word[lane] >> bit % image->bits & 1 : 0;
}

static void put_word(FILE *out, const struct dc__image *image, int64_t at, bool high_first)
{
    const int32_t *word = image->values + at * image->lanes;
    for (int digit = dc__image_digits(image); digit-- > 0;) {
        unsigned value = 0;
        for (int k = DIGIT_BITS; k-- > 0;)
            value = value << 1 | bit_of(image, word, digit * DIGIT_BITS + k, high_first);
        fputc("0123456789abcdef"[value], out);
    }
}

static void write_mem(FILE *out, const struct dc__image *image, bool high_first)
{
    for (int64_t i = 0; i < image->depth; i++) {
        put_word(out, image, i, high_first);
        fputc('\n', out);
    }
}

// Formats: UG896 of Xilinx ("COE file syntax"); Intel's Quartus Prime help, "Memory Initialization
// File (.mif) Definition".
static void write_coe(FILE *out, const struct dc__image *image, bool high_first)
{
    fputs("memory_initialization_radix=16;\nmemory_initialization_vector=\n", out);
    for (int64_t i = 0; i < image->depth; i++) {
        put_word(out, image, i, high_first);
        fputs(i + 1 < image->depth ? ",\n" : ";\n", out);
    }
}

static void write_mif(FILE *out, const struct dc__image *image, bool high_first)
{
    fprintf(out,
            "WIDTH=%d;\nDEPTH=%" PRId64 ";\n\nADDRESS_RADIX=HEX;\nDATA_RADIX=HEX;\n\n"
            "CONTENT BEGIN\n",
            image->lanes * image->bits, image->depth);
    for (int64_t i = 0; i < image->depth; i++) {
        fprintf(out, "    %" PRIx64 " : ", (uint64_t)i);
        put_word(out, image, i, high_first);
        fputs(";\n", out);
    }
    fputs("END;\n", out);
}

const struct dc__image_format dc__image_formats[DC__IMAGE_FORMATS] = {
    {"", "mem", write_mem}, {"xilinx/", "coe", write_coe}, {"intel/", "mif", write_mif}};

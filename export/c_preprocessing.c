// Owns the part of exported C that stands before the network.

#include "export/c_preprocessing.h"

#include <inttypes.h>
#include <string.h>

enum { NUMBERS_PER_LINE = 16 };

void dc__put_float(FILE *out, float value)
{
    char text[32];
    uint32_t bits;
    snprintf(text, sizeof text, "%.9g", (double)value);
    memcpy(&bits, &value, sizeof bits);
    fprintf(out, "%s%sf /* 0x%08" PRIx32 " */", text, strpbrk(text, ".e") ? "" : ".0", bits);
}

void dc__put_int8(FILE *out, const int8_t *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        fprintf(out, "%s%d,", i % NUMBERS_PER_LINE ? " " : "\n    ", values[i]);
}

// Class names come from files: whatever could end the text, or be more than a character, is octal.
void dc__put_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *c = text; *c; c++)
        if (*c < ' ' || *c > '~' || strchr("\"\\?", *c))
            fprintf(out, "\\%03o", (unsigned)(unsigned char)*c);
        else
            fputc(*c, out);
    fputc('"', out);
}

static void put_floats(FILE *out, const char *upper, const char *what, const float *values,
                       int count)
{
    fprintf(out, "#define %s_%s {", upper, what);
    for (int i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        dc__put_float(out, values[i]);
    }
    fputs("}\n", out);
}

static void put_resize_header(FILE *out, const char *name, const char *upper,
                              const struct dc_imodel *model)
{
    const struct dc_resize *r = &model->preprocessing.resize;
    const int channels = model->layers[0].channels;
    fprintf(out,
            "/* Photographs of other sizes, upright, %s, as training and evaluation resized them:\n"
            "   method %s, fit %s, in integers, bit for bit the same everywhere.\n"
            "   %s;\n   %s.\n   %s. */\n",
            channels == 3 ? "RGB" : "grey = (299 R + 587 G + 114 B + 500) / 1000",
            dc_resize_methods[r->method], dc_resize_fits[r->fit], dc_resize_method_rule(r->method),
            DC_RESIZE_ARITHMETIC, dc_resize_fit_rule(r->fit));
    fprintf(out,
            "#define %s_RESIZE_METHOD \"%s\"\n#define %s_RESIZE_FIT \"%s\"\n"
            "/* Numbers of working memory for images of this width. */\n"
            "#define %s_RESIZE_SCRATCH(width) (%d + 2 * (width))\n",
            upper, dc_resize_methods[r->method], upper, dc_resize_fits[r->fit], upper,
            (channels + 4) * r->width);
    fprintf(out,
            "/* pixels: [%s_INPUT_SIZE]; image: [height][width][%d]; scratch: "
            "[%s_RESIZE_SCRATCH(width)].\n"
            "   Returns 0; 1: a side is not 1 to 65535, and nothing was done. */\n"
            "int %s_resize(uint8_t *pixels, const uint8_t *image, int height, int width, int32_t "
            "*scratch);\n\n",
            upper, channels, upper, name);
}

static const struct {
    const char *output, *one, *many;
} words[DC_LABEL_KINDS] = {
    [DC_LABELS_CLASSES] = {"the score of class", "class", "CLASSES"},
    [DC_LABELS_VALUES] = {"value", "value", "VALUES"},
    [DC_LABELS_TAGS] = {"the score of tag", "tag", "TAGS"},
};

void dc__put_preprocessing_header(FILE *out, const char *name, const char *upper,
                                  const struct dc_imodel *model)
{
    const struct dc_preprocessing *p = &model->preprocessing;
    if (!p->bytes)
        return;
    if (p->classes > 0)
        fprintf(out,
                "/* Output i is %s i. */\n#define %s_%s %d\n"
                "extern const char *const %s_%s_names[%s_%s];\n\n",
                words[p->labels].output, upper, words[p->labels].many, p->classes, name,
                words[p->labels].one, upper, words[p->labels].many);
    fputs(
        "/* The network was trained on (byte / 255 - mean) / std, of each channel or of all. */\n",
        out);
    put_floats(out, upper, "MEAN", p->normalization.mean, p->normalization.channels);
    put_floats(out, upper, "STD", p->normalization.deviation, p->normalization.channels);
    fprintf(
        out,
        "/* Input codes of bytes, [%s_INPUT_SIZE] of both, by a table: what evaluation gave the "
        "network. */\n"
        "void %s_quantize_input(int8_t *codes, const uint8_t *pixels);\n\n",
        upper, name);
    if (p->resize.height)
        put_resize_header(out, name, upper, model);
}

enum dc_status dc__put_preprocessing_code(FILE *out, const char *name, const char *upper,
                                          const struct dc_imodel *model, struct dc_error *error)
{
    const struct dc_preprocessing *p = &model->preprocessing;
    const int tables = p->normalization.channels;
    if (!p->bytes)
        return DC_OK;
    if (p->classes > 0) {
        fprintf(out, "const char *const %s_%s_names[%s_%s] = {\n", name, words[p->labels].one,
                upper, words[p->labels].many);
        for (int i = 0; i < p->classes; i++) {
            fputs("    ", out);
            dc__put_string(out, p->class_names[i]);
            fputs(",\n", out);
        }
        fputs("};\n\n", out);
    }
    fprintf(out, "STORED int8_t codes_of_bytes[%d] = {", tables * DC_BYTE_CODES);
    for (int c = 0; c < tables; c++) {
        int8_t codes[DC_BYTE_CODES];
        DC_TRY(dc_imodel_byte_codes(codes, model, c, error));
        dc__put_int8(out, codes, DC_BYTE_CODES);
    }
    fprintf(out,
            "\n};\n\nvoid %s_quantize_input(int8_t *codes, const uint8_t *pixels)\n{\n"
            "    input_codes(codes, pixels, codes_of_bytes, %d, %s_INPUT_SIZE);\n}\n\n",
            name, tables, upper);
    static const char *const fits[DC_RESIZE_FITS] = {[DC_FIT_STRETCH] = "RESIZE_STRETCH",
                                                     [DC_FIT_CROP] = "RESIZE_CROP",
                                                     [DC_FIT_PAD] = "RESIZE_PAD"};
    if (p->resize.height)
        fprintf(
            out,
            "int %s_resize(uint8_t *pixels, const uint8_t *image, int height, int width, int32_t "
            "*scratch)\n{\n"
            "    return resize(pixels, %s_INPUT_HEIGHT, %s_INPUT_WIDTH, image, height, width,\n"
            "                  %s_INPUT_CHANNELS, %s, scratch);\n}\n\n",
            name, upper, upper, upper, fits[p->resize.fit]);
    return DC_OK;
}

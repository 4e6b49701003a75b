// Owns what differs from model to model in exported C: arrays, layer records, the order of calls,
// the header. The kernels are the files of export/device, joined here. Text is built in memory and
// written whole.

#include "export/c_source.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "export/c_interface.h"
#include "export/c_outputs.h"
#include "export/c_preprocessing.h"
#include "export/device_text.h"
#include "formats/int4.h"
#include "qat/profile.h"
#include "qat/softmax.h"
#include "qat/table.h"

enum { EMBEDDED_VECTORS = 5, WEIGHTS_PER_LINE = 16, IDENTIFIER_BYTES = 100 };

struct source {
    FILE *out;
    const char *name;
    char *upper;  // the name as macros have it
    const struct dc_imodel *model;
    struct dc__interface interface;
    struct dc_imodel_cost cost;
    int64_t vectors;
};

char *dc_c_identifier(struct dc_arena *arena, const char *text, struct dc_error *error)
{
    const bool letter = isalpha((unsigned char)text[0]);
    char *id = dc_arena_printf(arena, error, "%s%.*s", letter ? "" : "model_", IDENTIFIER_BYTES,
                               text);
    for (char *c = id; c && *c; c++)
        *c = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '_';
    return id;
}

bool dc_c_name_fits(const char *name)
{
    return !name[0] || (islower((unsigned char)name[0]) && strlen(name) <= IDENTIFIER_BYTES &&
                        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name));
}

static const char *layer_id(char text[96], const struct dc_imodel *model, int i)
{
    int n = snprintf(text, 96, "layer%d_", i);
    for (const char *c = model->layers[i].name; *c && n < 90; c++)
        text[n++] = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '_';
    text[n] = '\0';
    return text;
}

// Names and notes come from files. In a comment their text must neither end it nor upset a compiler
// that takes warnings as errors: no comment within, no trigraph, no line that goes on, no character
// that changes the direction of writing.
static void put_comment_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        const bool joins = (*text == '*' && text[1] == '/') || (*text == '/' && text[1] == '*') ||
                           (*text == '?' && text[1] == '?');
        fputc(joins || *text == '\\' || *text < ' ' || *text > '~' ? '_' : *text, out);
    }
}

static void put_int32_value(FILE *out, int64_t i, int32_t value)
{
    fputs(i % 8 ? " " : "\n    ", out);
    if (value == INT32_MIN)
        fputs("-2147483647 - 1,", out);
    else
        fprintf(out, "%" PRId32 ",", value);
}

static void put_int32(FILE *out, const char *id, const char *what, const int32_t *values,
                      int64_t count)
{
    fprintf(out, "STORED int32_t %s_%s[%" PRId64 "] = {", id, what, count);
    for (int64_t i = 0; i < count; i++)
        put_int32_value(out, i, values[i]);
    fputs("\n};\n", out);
}

// By which "double_away" multiplies; 17 digits give the double back exactly.
static void put_factors(FILE *out, const char *id, const struct dc_ilayer *l,
                        const struct dc_ilayer *x)
{
    fprintf(out, "STORED double %s_factors[%d] = {", id, l->channels);
    for (int c = 0; c < l->channels; c++)
        fprintf(out, "%s%.17g,", c % 4 ? " " : "\n    ", dc_dense_factor(l, x, c));
    fputs("\n};\n", out);
}

static void put_header(const struct source *s)
{
    const struct dc_ilayer *in = &s->model->layers[0], *out = dc_imodel_output(s->model);
    static const char *const halves[] = {[DC_CODE_HALF_AWAY] = "a half goes away from zero",
                                         [DC_CODE_HALF_EVEN] = "a half goes to the even integer",
                                         [DC_CODE_HALF_UP] = "a half goes up"};
    FILE *f = s->out;
    fprintf(f, "/* %s: an int8 network, written by Decant " DECANT_VERSION ".\n   ", s->name);
    put_comment_text(f, s->model->provenance);
    fprintf(
        f,
        "\n   Arithmetic profile: %s (%s rounding).\n"
        "   Values are int8 codes, [height][width][channels]; real = scale * (code - zero point).\n"
        "   Of the input: code = round(real / scale) + zero point, clamped to [-128, 127]; %s. "
        "*/\n\n"
        "#ifndef %s_H\n#define %s_H\n\n#include <stdint.h>\n\n"
        "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n",
        s->model->profile->name, dc_rounding_name(s->model->profile->rounding),
        halves[s->model->profile->input], s->upper, s->upper);
    const struct dc_ilayer *ends[2] = {in, out};
    for (int i = 0; i < 2; i++) {
        const char *end = i == 0 ? "INPUT" : "OUTPUT";
        fprintf(f, "#define %s_%s_HEIGHT %d\n", s->upper, end, ends[i]->height);
        fprintf(f, "#define %s_%s_WIDTH %d\n", s->upper, end, ends[i]->width);
        fprintf(f, "#define %s_%s_CHANNELS %d\n", s->upper, end, ends[i]->channels);
        fprintf(f, "#define %s_%s_SIZE %" PRId64 "\n", s->upper, end, dc_ilayer_size(ends[i]));
        fprintf(f, "#define %s_%s_SCALE ", s->upper, end);
        dc__put_float(f, ends[i]->scale);
        fprintf(f, "\n#define %s_%s_ZERO_POINT (%d)\n\n", s->upper, end, ends[i]->zero_point);
    }
    dc__put_interface_header(&s->interface);
    dc__put_preprocessing_header(f, s->name, s->upper, s->model);
    dc__put_outputs_header(f, s->name, s->upper, s->model);
    fprintf(f,
            "/* One inference. Uses one arena, so it is not for two threads at a time. Neither "
            "input nor "
            "output lies in the\n   arena, but where %s_ENDS_IN_ARENA gave it. */\n"
            "void %s_run(const int8_t *input, int8_t *output);\n\n"
            "/* 0: every embedded vector gives its expected bytes; n: vector n - 1 does not.\n"
            "   Define %s_NO_SELFTEST when compiling the .c to leave the vectors out. */\n"
            "int %s_selftest(void);\n\n"
            "#ifdef __cplusplus\n}\n#endif\n\n#endif\n",
            s->upper, s->name, s->upper, s->name);
}

// Fragments, by their place in dc__device_texts.

enum { FRAGMENTS_MAX = 128, NO_FRAGMENT = -1 };

// Of "NAME_SUFFIX", or NAME alone where suffix is NULL.
static int find_fragment(const char *name, const char *suffix)
{
    char text[96];
    snprintf(text, sizeof text, "%s%s%s", name, suffix ? "_" : "", suffix ? suffix : "");
    for (int i = 0; dc__device_texts[i].name; i++)
        if (strcmp(dc__device_texts[i].name, text) == 0)
            return i;
    return NO_FRAGMENT;
}

// Of the two that are never exported: what the model has in their place. NULL of all others.
static const char *stands_for(const struct dc_imodel *model, const char *name)
{
    return !strcmp(name, "requantize")      ? dc_rounding_name(model->profile->rounding)
           : !strcmp(name, "resize_weight") ? dc_resize_methods[model->preprocessing.resize.method]
                                            : NULL;
}

// A fragment behind those that it includes, each once. What is above its first line of code, and
// concerns only the file that it is, is left out.
static void put_fragment(const struct source *s, bool done[FRAGMENTS_MAX], int fragment)
{
    static const char include[] = "#include \"export/device/";
    const char *line = dc__device_texts[fragment].text;
    assert(fragment < FRAGMENTS_MAX);
    if (done[fragment])
        return;
    done[fragment] = true;
    for (;; line += strcspn(line, "\n") + 1) {
        if (strncmp(line, include, strlen(include)) == 0) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)strcspn(line + strlen(include), "."),
                     line + strlen(include));
            put_fragment(s, done, find_fragment(name, stands_for(s->model, name)));
        } else if (*line != '\n' && strncmp(line, "#pragma once", 12) != 0) {
            break;
        }
    }
    fprintf(s->out, "%s\n", line);
}

static void put_kernels(const struct source *s)
{
    bool done[FRAGMENTS_MAX] = {false};
    put_fragment(s, done, find_fragment("layer", NULL));
    for (int i = 1; i < s->model->count; i++) {
        const enum dc_iop op = s->model->layers[i].op;
        const int own = find_fragment(dc_iop_name(op),
                                      dc_rounding_name(dc_profile_rounding(s->model->profile, op)));
        // a reshape within the arena is no code
        if (op != DC_I_RESHAPE || i == s->model->count - 1)
            put_fragment(s, done, own != NO_FRAGMENT ? own : find_fragment(dc_iop_name(op), NULL));
    }
    if (s->model->preprocessing.labels == DC_LABELS_CLASSES)
        put_fragment(s, done, find_fragment("outputs", NULL));
    put_fragment(s, done, find_fragment("input_values", NULL));
    fprintf(s->out, "#if defined(%s_TRACE)\n", s->upper);
    put_fragment(s, done, find_fragment("crc32", NULL));
    fputs("#endif\n\n", s->out);
    if (s->model->preprocessing.bytes)
        put_fragment(s, done, find_fragment("input_codes", NULL));
    if (s->model->preprocessing.bytes && s->model->preprocessing.resize.height)
        put_fragment(s, done, find_fragment("resize", NULL));
}

static void put_exponentials(const struct source *s, const char *id, const struct dc_ilayer *l)
{
    int32_t integers[DC_EXPONENTIALS];
    if (dc_softmax_of_integers(s->model->profile)) {
        for (int i = 0; i < DC_EXPONENTIALS; i++)
            integers[i] = (int32_t)l->exponentials[i];
        put_int32(s->out, id, "exponentials", integers, DC_EXPONENTIALS);
        return;
    }
    fprintf(s->out, "STORED float %s_exponentials[%d] = {", id, DC_EXPONENTIALS);
    for (int i = 0; i < DC_EXPONENTIALS; i++)
        fprintf(s->out, "%s%.8ef,", i % 4 ? " " : "\n    ", l->exponentials[i]);
    fputs("\n};\n", s->out);
}

static bool rounds_upward(const struct dc_profile *profile, enum dc_iop op)
{
    return dc_profile_rounding(profile, op) == DC_ROUND_DOUBLE_UP;
}

static bool has_biases(const struct dc_profile *profile, const struct dc_ilayer *l)
{
    return dc_ilayer_has_weights(l) || (l->op == DC_I_MEAN && rounds_upward(profile, l->op));
}

static bool multiplies_doubles(const struct dc_profile *profile, const struct dc_ilayer *l)
{
    return dc_profile_rounding(profile, l->op) == DC_ROUND_DOUBLE_AWAY;
}

// Where the kernel reads padding as the zero point, as one code among others: its share in a sum of
// all taps is in the bias. Sums wrap on the way, as the kernel's do.
static bool folds_zero_point(const struct dc_ilayer *l)
{
    return l->op == DC_I_CONV2D || l->op == DC_I_FULLY_CONNECTED;
}

static void put_biases(const struct source *s, const char *id, const struct dc_ilayer *l,
                       const struct dc_ilayer *x)
{
    const int64_t taps = l->weight_count / l->channels;
    fprintf(s->out, "STORED int32_t %s_biases[%d] = {", id, l->channels);
    for (int c = 0; c < l->channels; c++) {
        int64_t sum = 0;
        for (int64_t t = 0; folds_zero_point(l) && t < taps; t++)
            sum += l->weights[c * taps + t];
        put_int32_value(s->out, c, (int32_t)(l->biases[c] - x->zero_point * sum));
    }
    fputs("\n};\n", s->out);
}

// Kernels read words: three codes more are allocated than there are.
static void put_weights(const struct source *s, const char *id, const struct dc_ilayer *l)
{
    const bool packed = dc_ilayer_stored_bits(s->model, l) == 4;
    const int64_t bytes = packed ? dc_int4_bytes(l->weight_count) : l->weight_count;
    fprintf(s->out, "STORED ALIGNED int8_t %s_weights[%" PRId64 "] = {", id, bytes + 3);
    for (int64_t i = 0; i < bytes; i += WEIGHTS_PER_LINE) {
        uint8_t line[WEIGHTS_PER_LINE];
        const int64_t count = bytes - i < WEIGHTS_PER_LINE ? bytes - i : WEIGHTS_PER_LINE;
        const int64_t codes = l->weight_count - 2 * i < 2 * count ? l->weight_count - 2 * i
                                                                  : 2 * count;
        if (packed)
            dc_int4_pack(line, l->weights + 2 * i, codes);
        else
            memcpy(line, l->weights + i, (size_t)count);
        dc__put_int8(s->out, (const int8_t *)line, count);
    }
    fputs("\n};\n", s->out);
}

static void put_arrays(const struct source *s, const char *id, const struct dc_ilayer *l,
                       const struct dc_ilayer *x)
{
    const struct dc_profile *profile = s->model->profile;
    FILE *f = s->out;
    if (dc_ilayer_has_weights(l)) {
        put_weights(s, id, l);
        put_biases(s, id, l, x);
    } else if (has_biases(profile, l)) {
        put_int32(f, id, "biases", (const int32_t[]){dc_mean_offset(l, x)}, 1);
    }
    if (multiplies_doubles(profile, l))
        put_factors(f, id, l, x);
    if (l->table) {
        fprintf(f, "STORED int8_t %s_table[%d] = {", id, DC_TABLE_CODES);
        dc__put_int8(f, l->table, DC_TABLE_CODES);
        fputs("\n};\n", f);
    }
    if (l->exponentials)
        put_exponentials(s, id, l);
    if (l->rescales > 0) {
        put_int32(f, id, "multipliers", l->multipliers, l->rescales);
        put_int32(f, id, "shifts", l->shifts, l->rescales);
    }
}

static void put_layer(const struct source *s, int i)
{
    const struct dc_ilayer *l = &s->model->layers[i], *x = &s->model->layers[l->inputs[0]];
    const struct dc_profile *profile = s->model->profile;
    char id[96];
    FILE *f = s->out;
    if (l->op == DC_I_RESHAPE)
        return;
    layer_id(id, s->model, i);
    fputs("/* ", f);
    put_comment_text(f, l->name);
    fprintf(f, ": %s, [%d][%d][%d] -> [%d][%d][%d], scale %.9g, zero point %d", dc_iop_name(l->op),
            x->height, x->width, x->channels, l->height, l->width, l->channels, (double)l->scale,
            l->zero_point);
    if (dc_ilayer_has_weights(l))
        fprintf(f, ".\n   Its sums stay within [%" PRId64 ", %" PRId64 "]", l->accumulator_low,
                l->accumulator_high);
    fputs(". */\n", f);
    put_arrays(s, id, l, x);
    fprintf(f,
            "static const struct layer %s = {\n    .in_h = %d, .in_w = %d, .in_c = %d, .in_zero = "
            "%d,\n    .out_h = %d, .out_w = %d, .out_c = %d, .out_zero = %d, .low = %d, .high = "
            "%d,\n",
            id, x->height, x->width, x->channels, x->zero_point, l->height, l->width, l->channels,
            l->zero_point, l->clamp_low, l->clamp_high);
    fprintf(f,
            "    .kernel_h = %d, .kernel_w = %d, .stride_h = %d, .stride_w = %d, .dilation_h = %d, "
            ".dilation_w = %d,\n    .pad_top = %d, .pad_left = %d, .first_channel = %d,\n",
            l->window.kernel[0], l->window.kernel[1], l->window.stride[0], l->window.stride[1],
            l->window.dilation[0], l->window.dilation[1], l->window.before[0], l->window.before[1],
            l->first_channel);
    const struct dc_ilayer *other = &s->model->layers[l->inputs[1]];
    if (l->op == DC_I_ADD || l->op == DC_I_MULTIPLY)
        fprintf(f, "    .other_zero = %d,\n", other->zero_point);
    if (l->op == DC_I_MULTIPLY)
        fprintf(f, "    .other_h = %d, .other_w = %d, .other_c = %d,\n", other->height,
                other->width, other->channels);
    if (dc_ilayer_has_weights(l))
        fprintf(f, "    .weights = %s_weights,%s\n", id,
                dc_ilayer_stored_bits(s->model, l) == 4 ? " .packed = 1," : "");
    if (has_biases(profile, l))
        fprintf(f, "    .biases = %s_biases,\n", id);
    if (l->table)
        fprintf(f, "    .table = %s_table,\n", id);
    if (l->exponentials)
        fprintf(f, "    .%sexponentials = %s_exponentials,\n",
                dc_softmax_of_integers(profile) ? "" : "float_", id);
    if (multiplies_doubles(profile, l))
        fprintf(f, "    .factors = %s_factors,\n", id);
    if (l->rescales > 0)
        fprintf(f, "    .multipliers = %s_multipliers, .shifts = %s_shifts,\n", id, id);
    if (l->rescales > 0 && rounds_upward(profile, l->op))
        fprintf(f, "    .upward = %d,\n", dc_upward_channels(l));
    if (l->fused)
        fputs("    .fused = 1,\n", f);
    fputs("};\n\n", f);
}

// Where value i is when the exported function runs. A reshape of the input is where that is.
static const char *place(char text[40], const struct source *s, int i)
{
    const int last = s->model->count - 1;
    while (s->interface.inner[i].offset < 0 && s->model->layers[i].op == DC_I_RESHAPE && i != last)
        i = s->model->layers[i].inputs[0];
    if (i == 0 || i == last)
        return i == 0 ? "input" : "output";
    snprintf(text, 40, "AT_%d", i);
    return text;
}

static void put_call(const struct source *s, int i)
{
    const struct dc_ilayer *l = &s->model->layers[i];
    char id[96], to[40], from[40], other[40];
    layer_id(id, s->model, i);
    if (l->op == DC_I_RESHAPE) {
        if (i == s->model->count - 1)
            fprintf(s->out, "    copy(%s, %s, %" PRId64 ");\n", place(to, s, i),
                    place(from, s, l->inputs[0]), dc_ilayer_size(l));
    } else if (l->op == DC_I_ADD || l->op == DC_I_MULTIPLY) {
        fprintf(s->out, "    %s(%s, %s, %s, &%s);\n", dc_iop_name(l->op), place(to, s, i),
                place(from, s, l->inputs[0]), place(other, s, l->inputs[1]), id);
    } else if (l->op == DC_I_CONCAT) {
        int first = 0;
        for (int k = 0; k < l->input_count; k++) {
            const int channels = s->model->layers[l->inputs[k]].channels;
            fprintf(s->out, "    place(%s, %s, %d, %d, &%s);\n", place(to, s, i),
                    place(from, s, l->inputs[k]), first, channels, id);
            first += channels;
        }
    } else {
        fprintf(s->out, "    %s(%s, %s, &%s);\n", dc_iop_name(l->op), place(to, s, i),
                place(from, s, l->inputs[0]), id);
    }
    fprintf(s->out, "    TRACE(%d, %s, %" PRId64 ");\n", i, place(to, s, i), dc_ilayer_size(l));
}

static void put_selftest(const struct source *s, const struct dc_vectors *vectors)
{
    const int64_t in = dc_ilayer_size(&s->model->layers[0]);
    const int64_t out = dc_ilayer_size(dc_imodel_output(s->model));
    FILE *f = s->out;
    fprintf(f, "\n#ifndef %s_NO_SELFTEST\n", s->upper);
    fprintf(f, "static const int8_t test_inputs[%" PRId64 "] = {", s->vectors * in);
    dc__put_int8(f, vectors->outputs[0], s->vectors * in);
    fprintf(f, "\n};\nstatic const int8_t test_outputs[%" PRId64 "] = {", s->vectors * out);
    dc__put_int8(f, vectors->outputs[s->model->count - 1], s->vectors * out);
    fprintf(f,
            "\n};\n\nint %s_selftest(void)\n{\n"
            "    int8_t output[%" PRId64 "];\n"
            "    int n, i;\n"
            "    for (n = 0; n < %" PRId64 "; n++) {\n"
            "        %s_run(test_inputs + (int32_t)n * %" PRId64 ", output);\n"
            "        for (i = 0; i < %" PRId64 "; i++)\n"
            "            if (output[i] != test_outputs[(int32_t)n * %" PRId64 " + i])\n"
            "                return n + 1;\n"
            "    }\n"
            "    return 0;\n}\n",
            s->name, out, s->vectors, s->name, in, out, out);
    dc__put_trace_code(&s->interface, vectors, s->vectors);
    fputs("#endif\n", f);
}

static enum dc_status put_code(const struct source *s, const struct dc_vectors *vectors,
                               struct dc_error *error)
{
    FILE *f = s->out;
    fprintf(f, "/* %s.c: written by Decant " DECANT_VERSION "; do not edit, export again.\n   ",
            s->name);
    put_comment_text(f, s->model->provenance);
    fprintf(f,
            "\n   Profile %s: requantize(x, m, s) = %s.\n"
            "   Biases of convolutions and fully connected layers include the share of the input's "
            "zero\n"
            "   point, those of depthwise ones do not. C99, no allocation. */\n\n"
            "#include \"%s.h\"\n\n",
            s->model->profile->name, s->model->profile->formula, s->name);
    dc__put_attributes(&s->interface);
    put_kernels(s);
    DC_TRY(dc__put_preprocessing_code(f, s->name, s->upper, s->model, error));
    dc__put_outputs_code(f, s->name, s->upper, s->model);
    for (int i = 1; i < s->model->count; i++)
        put_layer(s, i);
    dc__put_interface_code(&s->interface);
    fprintf(f, "void %s_run(const int8_t *input, int8_t *output)\n{\n", s->name);
    fprintf(f, "    TRACE(0, input, %s_INPUT_SIZE);\n", s->upper);
    for (int i = 1; i < s->model->count; i++)
        put_call(s, i);
    fputs("}\n", f);
    put_selftest(s, vectors);
    return DC_OK;
}

static enum dc_status write_one(struct source *s, const char *directory, const char *extension,
                                const struct dc_vectors *vectors, struct dc_arena *arena,
                                struct dc_error *error)
{
    char *text = NULL;
    size_t size = 0;
    char *path = dc_arena_printf(arena, error, "%s/%s.%s", directory, s->name, extension);
    if (!path)
        return DC_ERR_MEMORY;
    s->interface.out = s->out = open_memstream(&text, &size);
    if (!s->out)
        return dc_fail(error, DC_ERR_MEMORY, "no memory for %s", path);
    enum dc_status status = DC_OK;
    if (strcmp(extension, "h") == 0)
        put_header(s);
    else
        status = put_code(s, vectors, error);
    const bool failed = ferror(s->out) != 0;
    if (fclose(s->out) != 0 || failed)
        status = dc_fail(error, DC_ERR_MEMORY, "no memory for %s", path);
    else if (status == DC_OK)
        status = dc_file_write(path, text, size, error);
    free(text);
    return status;
}

static enum dc_status write_pair(struct source *s, const char *directory,
                                 const struct dc_vectors *vectors, struct dc_arena *arena,
                                 struct dc_error *error)
{
    const int count = s->model->count, alignment = s->model->alignment;
    struct dc_block *inner = DC_NEW(arena, struct dc_block, count, error);
    struct dc_block *whole = DC_NEW(arena, struct dc_block, count, error);
    struct dc_block_plan plan;
    s->upper = dc_arena_copy(arena, s->name, error);
    if (!s->upper || !inner || !whole)
        return DC_ERR_MEMORY;
    for (char *c = s->upper; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    DC_TRY(dc_imodel_place(inner, &plan, s->model, DC_PLACE_OVER, alignment, error));
    DC_TRY(dc_imodel_place(whole, &plan, s->model, DC_PLACE_OVER_WITH_ENDS, alignment, error));
    DC_TRY(dc_imodel_cost(&s->cost, s->model, error));
    s->interface = (struct dc__interface){.name = s->name,
                                          .upper = s->upper,
                                          .model = s->model,
                                          .cost = &s->cost,
                                          .inner = inner,
                                          .whole = whole};
    DC_TRY(write_one(s, directory, "h", vectors, arena, error));
    return write_one(s, directory, "c", vectors, arena, error);
}

enum dc_status dc_c_source_write(const char *directory, const char *name,
                                 const struct dc_imodel *model, const struct dc_vectors *vectors,
                                 struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    struct source s = {.name = name, .model = model};
    if (model->count < 2)
        return dc_fail(error, DC_ERR_DATA, "%s has no layers to export", model->name);
    s.vectors = vectors->count < EMBEDDED_VECTORS ? vectors->count : EMBEDDED_VECTORS;
    DC_TRY(dc_arena_create(&arena, error));
    const enum dc_status status = write_pair(&s, directory, vectors, arena, error);
    dc_arena_free(arena);
    return status;
}

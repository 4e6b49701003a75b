// Owns the files of a network's memory archive and its page for people. How words are filled is
// memory_images.c's, what the parameters are memory_header.c's, what computes export/rtl's.

#include "export/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "export/c_source.h"
#include "export/device_text.h"
#include "export/memory_header.h"
#include "qat/profile.h"

// Files so far; room grows.
struct files {
    struct dc__archive_file *list;
    int count, capacity;
    const struct dc_imodel *model;
    const struct dc_vectors *vectors;
    int64_t vector_count;
    struct dc_arena *arena;
    struct dc_error *error;
};

static enum dc_status add_file(struct files *f, const char *name, const char *bytes, size_t size)
{
    if (!name || !bytes)
        return DC_ERR_MEMORY;
    if (f->count == f->capacity)
        f->list = dc_arena_grow(f->arena, f->list, f->count, &f->capacity, sizeof *f->list,
                                f->error);
    if (!f->list)
        return DC_ERR_MEMORY;
    f->list[f->count++] = (struct dc__archive_file){name, bytes, size};
    return DC_OK;
}

// A file that is being written; end_text takes it.
struct text {
    FILE *out;
    char *bytes;
    size_t size;
};

static FILE *begin_text(struct text *t, struct dc_error *error)
{
    t->out = open_memstream(&t->bytes, &t->size);
    if (!t->out)
        (void)dc_fail(error, DC_ERR_MEMORY, "no memory for a file of memory images");
    return t->out;
}

static enum dc_status end_text(struct files *f, struct text *t, const char *name)
{
    const bool failed = ferror(t->out) != 0;
    enum dc_status status = DC_OK;
    if (fclose(t->out) != 0 || failed)
        status = dc_fail(f->error, DC_ERR_MEMORY, "no memory for %s", name ? name : "a file");
    char *copy = status == DC_OK ? dc_arena_alloc(f->arena, t->size + 1, f->error) : NULL;
    if (copy)
        memcpy(copy, t->bytes, t->size + 1);
    free(t->bytes);
    return status == DC_OK ? add_file(f, name, copy, t->size) : status;
}

static enum dc_status add_images(struct files *f, int layer)
{
    struct dc__image images[DC__IMAGES_MAX];
    int count = 0;
    const char *id = dc__memory_layer_name(f->model, layer, f->arena, f->error);
    if (!id)
        return DC_ERR_MEMORY;
    DC_TRY(dc__images_of(images, &count, f->model, layer, f->arena, f->error));
    for (int i = 0; i < count * DC__IMAGE_FORMATS; i++) {
        const struct dc__image_format *format = &dc__image_formats[i % DC__IMAGE_FORMATS];
        const struct dc__image *image = &images[i / DC__IMAGE_FORMATS];
        struct text t;
        if (!begin_text(&t, f->error))
            return DC_ERR_MEMORY;
        format->write(t.out, image, f->model->tiling.high_first);
        DC_TRY(end_text(f, &t,
                        dc_arena_printf(f->arena, f->error, "%s%s_%s.%s", format->folder, id,
                                        image->what, format->ending)));
    }
    return DC_OK;
}

// The codes of a value, of all vectors.
static enum dc_status add_codes(struct files *f, int layer)
{
    const int64_t count = f->vector_count * dc_ilayer_size(&f->model->layers[layer]);
    const char *id = dc__memory_layer_name(f->model, layer, f->arena, f->error);
    struct text t;
    if (!id || !begin_text(&t, f->error))
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        fprintf(t.out, "%02x\n", (uint8_t)f->vectors->outputs[layer][i]);
    return end_text(f, &t, dc_arena_printf(f->arena, f->error, "%s.mem", id));
}

static void put_files_chapter(FILE *out, const struct dc_imodel *model, const char *name)
{
    fprintf(
        out,
        "# %s: memory images\n\nAn integer network for logic of your own, written by "
        "Decant " DECANT_VERSION ". Profile `%s`.\n\n"
        "| file | what it is |\n| --- | --- |\n"
        "| `network.svh` | parameters of the network and of each layer, `L03_...` of layer 3: "
        "localparams alone |\n"
        "| `NN_LAYER_weights.mem`, `_biases`, `_multipliers`, `_shifts`, `_table` | images for "
        "`$readmemh`: a word a line, in hexadecimal, exactly as many as the depth |\n"
        "| `xilinx/*.coe` | the same for Vivado's memory generators |\n"
        "| `intel/*.mif` | the same for Quartus (Xilinx calls another format .mif too) |\n"
        "| `NN_LAYER.mem` | codes of the layer's output, of each test vector in turn; `00_...`: of "
        "the input |\n"
        "| `decant_*.sv` | units that compute layers, synthesizable; `arithmetic.svh` is how "
        "a sum becomes a code |\n"
        "| `testbench.sv`, `layers.svh` | replays every layer from these files and compares every "
        "code |\n\n",
        name, model->profile->name);
}

static void put_simulation_chapter(FILE *out)
{
    fputs("## Is it right?\n\nIn this folder, with either simulator:\n\n```\n"
          "iverilog -g2012 -o bench *.sv && vvp -n "
          "bench\n"
          "verilator --binary -Wno-fatal --top-module testbench *.sv && obj_dir/Vtestbench\n```\n\n"
          "It ends with a status that is not 0 and names layer, vector and output where a code "
          "differs or a file is too short or too long. `+few` replays one layer of each kind, "
          "`+from=3 +to=3` one vector (the first three are all -128, all 127 and all zero point; "
          "the others are samples).\n\n",
          out);
}

static void put_words_chapter(FILE *out, const struct dc_imodel *model)
{
    const struct dc_tiling *t = &model->tiling;
    const int lanes = t->pe * t->simd, last = lanes - 1;
    fprintf(
        out,
        "## Words\n\nA weighted layer is computed by %d output channels at a time (PE), each "
        "adding %d products a clock (SIMD). The word of a clock holds PE * SIMD weights:\n\n```\n"
        "lane p * SIMD + s of word ((g * KERNEL_H + ky) * KERNEL_W + kx) * FOLDS + f\n"
        "    = weight[output channel g * PE + p][row ky][column kx][input channel f * SIMD + s]\n"
        "```\n\n"
        "GROUPS = channels / PE and FOLDS = input channels / SIMD, rounded up: lanes beyond the "
        "last channel are 0. A depthwise layer's words hold PE weights, of one tap of PE channels "
        "(SIMD is 1). A fully connected layer is a convolution whose kernel is its whole "
        "input.\n\n"
        "A lane is a two's complement number of BITS bits (weights of 4 bits take 4). ",
        t->pe, t->simd);
    if (t->high_first)
        fprintf(out, "Lane 0 is in the highest bits of a word, lane %d in bits BITS - 1 to 0.\n\n",
                last);
    else
        fprintf(out, "Lane 0 is in bits BITS - 1 to 0 of a word, lane %d in the highest.\n\n",
                last);
    fputs("Biases and multipliers (32 bits) and shifts (8 bits) are words of PE lanes, one word a "
          "group; their lanes lie in the same order.\n"
          "Biases are int32 and hold the input's zero point already: bias - zero point * (sum of "
          "the channel's weights), modulo 2^32. So codes are multiplied as they are, and padding "
          "is the code PAD_VALUE, not 0. A sum may wrap on the way; what it ends with fits in "
          "SUM_BITS bits.\n"
          "A table holds the output of code c in word c + 128.\n\n",
          out);
}

static void put_arithmetic_chapter(FILE *out, const struct dc_imodel *model)
{
    fprintf(out,
            "## Arithmetic\n\n```\nsum  = bias[c] + sum of weight * code\n"
            "code = clamp(requantize(sum, multiplier[c], shift[c]) + OUT_ZERO, LOW, HIGH)\n"
            "requantize(x, m, s) = %s\n```\n\n"
            "A multiplier m with shift s stands for m * 2^(s - 31); shifts above 31 are written as "
            "31, which saturates the same. SRDHM(a, b) is floor((a * b + 2^30) / 2^31); RDivPOT(y, "
            "n) is y / 2^n rounded to the nearest integer, a half away from zero; x >> n is "
            "floor(x / 2^n). Sums of two values, products, pools and means are in "
            "`decant_add.sv`, `decant_multiply.sv` and `decant_pool.sv`.\n\n",
            model->profile->formula);
}

// The address map: where each layer's images begin if one memory holds those of all.
static enum dc_status put_map_chapter(FILE *out, const struct files *f)
{
    int64_t weights = 0, channels = 0;
    fputs("## Address map\n\nBases are in words, where one memory holds the weights of all layers "
          "one behind the other, and another their channels' words.\n\n"
          "| layer | op | weights: width x depth | base | channels: depth | base | |\n"
          "| --- | --- | --- | --- | --- | --- | --- |\n",
          out);
    for (int i = 1; i < f->model->count; i++) {
        const struct dc_ilayer *l = &f->model->layers[i];
        const char *id = dc__memory_layer_name(f->model, i, f->arena, f->error);
        const char *why = dc__memory_not_replayed(f->model, i);
        if (!id)
            return DC_ERR_MEMORY;
        fprintf(out, "| `%s` | %s |", id, dc_iop_name(l->op));
        if (dc_ilayer_has_weights(l)) {
            const struct dc__tiles t = dc__tile(f->model, l);
            fprintf(out, " %d x %" PRId64 " | %" PRId64 " | %d | %" PRId64 " |",
                    t.pe * t.simd * l->weight_bits, t.weight_depth, weights, t.groups, channels);
            weights += t.weight_depth;
            channels += t.groups;
        } else {
            fputs(l->table ? " table: 8 x 256 | | | |" : " | | | |", out);
        }
        fprintf(out, " %s%s |\n", why ? "not replayed: " : "", why ? why : "");
    }
    return DC_OK;
}

static enum dc_status add_readme(struct files *f)
{
    const char *name = dc_c_identifier(f->arena, f->model->name, f->error);
    struct text t;
    if (!name || !begin_text(&t, f->error))
        return DC_ERR_MEMORY;
    put_files_chapter(t.out, f->model, name);
    put_simulation_chapter(t.out);
    put_words_chapter(t.out, f->model);
    put_arithmetic_chapter(t.out, f->model);
    const enum dc_status status = put_map_chapter(t.out, f), ended = end_text(f, &t, "README.md");
    return status == DC_OK ? ended : status;
}

static enum dc_status add_parameters(struct files *f)
{
    struct text t;
    if (!begin_text(&t, f->error))
        return DC_ERR_MEMORY;
    enum dc_status status = dc__memory_put_header(t.out, f->model, f->vector_count, f->arena,
                                                  f->error);
    const enum dc_status ended = end_text(f, &t, "network.svh");
    status = status == DC_OK ? ended : status;
    if (status != DC_OK || !begin_text(&t, f->error))
        return status == DC_OK ? DC_ERR_MEMORY : status;
    dc__memory_put_layers(t.out, f->model);
    return end_text(f, &t, "layers.svh");
}

static enum dc_status add_all(struct files *f)
{
    DC_TRY(add_readme(f));
    DC_TRY(add_parameters(f));
    for (const struct dc__device_text *text = dc__rtl_texts; text->name; text++)
        DC_TRY(add_file(f, text->name, text->text, strlen(text->text)));
    for (int i = 0; i < f->model->count; i++) {
        DC_TRY(add_codes(f, i));
        if (!dc__memory_refuses(f->model, i))
            DC_TRY(add_images(f, i));
    }
    return DC_OK;
}

enum dc_status dc__memory_files(struct dc__archive_file **files, int *count,
                                const struct dc_imodel *model, const struct dc_vectors *vectors,
                                struct dc_arena *arena, struct dc_error *error)
{
    struct files f = {.model = model,
                      .vectors = vectors,
                      .vector_count = vectors->count < DC__MEMORY_VECTORS ? vectors->count
                                                                          : DC__MEMORY_VECTORS,
                      .arena = arena,
                      .error = error};
    DC_TRY(add_all(&f));
    *files = f.list;
    *count = f.count;
    return DC_OK;
}

const char *dc_memory_refuses(const struct dc_imodel *model, int layer)
{
    return dc__memory_refuses(model, layer);
}

static enum dc_status write_archive(const char *path, const struct dc_imodel *model,
                                    const struct dc_vectors *vectors, struct dc_arena *arena,
                                    struct dc_error *error)
{
    struct dc__archive_file *files = NULL;
    char *bytes = NULL;
    size_t size = 0;
    int count = 0;
    const char *name = dc_c_identifier(arena, model->name, error);
    const char *base = name ? dc_arena_printf(arena, error, "%s-memory", name) : NULL;
    if (!base)
        return DC_ERR_MEMORY;
    DC_TRY(dc__memory_files(&files, &count, model, vectors, arena, error));
    DC_TRY(dc__archive_make(&bytes, &size, base, files, count, arena, error));
    return dc_file_write(path, bytes, size, error);
}

enum dc_status dc_memory_write(const char *path, const struct dc_imodel *model,
                               const struct dc_vectors *vectors, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    if (!vectors)
        return dc_fail(error, DC_ERR_USAGE,
                       "%s: memory images are written with their test vectors, into a bundle: say "
                       "formats: [bundle, c, memory] in an export stage",
                       path);
    for (int i = 1; i < model->count; i++)
        if (dc_memory_refuses(model, i))
            return dc_fail(error, DC_ERR_DATA,
                           "memory images of profile %s: layer '%s' (%s) %s; take a profile such "
                           "as tflm, ruy or pot-half-up",
                           model->profile->name, model->layers[i].name,
                           dc_iop_name(model->layers[i].op), dc_memory_refuses(model, i));
    DC_TRY(dc_arena_create(&arena, error));
    const enum dc_status status = write_archive(path, model, vectors, arena, error);
    dc_arena_free(arena);
    return status;
}

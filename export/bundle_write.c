// Owns the writing of bundles: manifest, arrays, vectors, and what may be replaced by one. The C
// pair's text is c_source.c's, the swap that makes a bundle appear whole core/folder.c's.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/folder.h"
#include "core/h5.h"
#include "core/json.h"
#include "export/archive.h"
#include "export/bundle.h"
#include "export/bundle_format.h"
#include "export/c_source.h"
#include "export/formats.h"
#include "export/packaging.h"
#include "qat/profile.h"
#include "qat/softmax.h"
#include "qat/table.h"

static json_t *shape_json(const struct dc_shape *shape)
{
    json_t *dims = json_array();
    for (int i = 0; i < shape->rank; i++)
        json_array_append_new(dims, json_integer(shape->dims[i]));
    return dims;
}

static json_t *dataset_json(const struct dc__dataset *d, const char *layout)
{
    static const char *const types[] = {"float32", "float64", "int8", "uint8", "int32"};
    char crc[16];
    json_t *shape = shape_json(&d->tensor.shape);
    snprintf(crc, sizeof crc, "%08" PRIx32, dc__tensor_crc32(&d->tensor));
    return json_pack("{s:s, s:s, s:o, s:s, s:s, s:s}", "file", "model.h5", "dataset", d->name,
                     "shape", shape, "layout", layout, "type", types[d->tensor.dtype], "crc32",
                     crc);
}

// A dataset goes to the file and its description to the manifest.
static enum dc_status put_dataset(json_t *to, const char *key, struct dc_h5 *file,
                                  const struct dc__dataset *d, const char *layout,
                                  struct dc_error *error)
{
    DC_TRY(dc_h5_write(file, d->name, &d->tensor, error));
    if (json_object_set_new(to, key, dataset_json(d, layout)) != 0)
        return dc_fail(error, DC_ERR_MEMORY, "no memory for the manifest");
    return DC_OK;
}

static json_t *int32_json(const int32_t *values, int count)
{
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, json_integer(values[i]));
    return array;
}

json_t *dc__layer_json(const struct dc_imodel *model, int i)
{
    const struct dc_ilayer *l = &model->layers[i];
    json_t *inputs = json_array();
    for (int k = 0; k < l->input_count; k++)
        json_array_append_new(inputs, json_integer(l->inputs[k]));
    const int pad_value = l->input_count ? model->layers[l->inputs[0]].zero_point : 0;
    json_t *layer = json_pack(
        "{s:i, s:s, s:s, s:o, s:{s:[i,i,i], s:s, s:s, s:i, s:o, s:i}, s:[i,i], s:[i,i], s:[i,i], "
        "s:[i,i], s:{s:i, s:i, s:i, s:i, s:i}, s:I}",
        "index", i, "name", l->name, "op", dc_iop_name(l->op), "inputs", inputs, "output", "shape",
        l->height, l->width, l->channels, "layout", "HWC", "type", "int8", "bits", l->bits, "scale",
        dc__float_json(l->scale), "zero_point", l->zero_point, "clamp", l->clamp_low, l->clamp_high,
        "kernel", l->window.kernel[0], l->window.kernel[1], "stride", l->window.stride[0],
        l->window.stride[1], "dilation", l->window.dilation[0], l->window.dilation[1], "pads",
        "top", l->window.before[0], "bottom", l->window.after[0], "left", l->window.before[1],
        "right", l->window.after[1], "value", pad_value, "macs",
        (json_int_t)dc_ilayer_macs(model, i));
    if (!layer)
        return NULL;
    json_object_set_new(layer, "rounding",
                        json_string(dc_rounding_name(dc_profile_rounding(model->profile, l->op))));
    if (l->op == DC_I_SLICE || l->op == DC_I_PAD)
        json_object_set_new(layer, "first_channel", json_integer(l->first_channel));
    if (l->op == DC_I_TABLE) {
        json_t *codes = json_array();
        for (int c = 0; c < DC_TABLE_CODES; c++)
            json_array_append_new(codes, json_integer(l->table[c]));
        json_object_set_new(layer, "function", json_string(dc_ifunction_name(l->function)));
        json_object_set_new(layer, "table", codes);
        const int count = dc_ifunction_parameters(l->function);
        json_t *parameters = count > 0 ? json_array() : NULL;
        for (int k = 0; k < count; k++)
            json_array_append_new(parameters, dc__float_json(l->parameters[k]));
        if (parameters)
            json_object_set_new(layer, "parameters", parameters);
    }
    if (l->exponentials) {
        json_t *exponentials = json_array();
        for (int d = 0; d < DC_EXPONENTIALS; d++)
            json_array_append_new(exponentials, json_real(l->exponentials[d]));
        json_object_set_new(layer, "exponentials", exponentials);
    }
    if (dc_ilayer_has_accumulators(l))
        json_object_set_new(layer, "accumulator",
                            json_pack("{s:s, s:I, s:I}", "type", "int32", "low",
                                      (json_int_t)l->accumulator_low, "high",
                                      (json_int_t)l->accumulator_high));
    if (l->rescales > 0) {
        json_object_set_new(layer, "multiplier", int32_json(l->multipliers, l->rescales));
        json_object_set_new(layer, "shift", int32_json(l->shifts, l->rescales));
    }
    if (dc_ilayer_has_weights(l)) {
        json_t *scales = json_array();
        for (int c = 0; c < l->channels; c++)
            json_array_append_new(scales, dc__float_json(l->weight_scales[c]));
        json_object_set_new(layer, "weight_scale", scales);
        json_object_set_new(layer, "weight_bits", json_integer(l->weight_bits));
        json_object_set_new(layer, "weight_zero_point", json_integer(0));
        json_object_set_new(layer, "per_channel", json_boolean(l->per_channel));
        json_object_set_new(layer, "bias_includes_zero_point", json_false());
    }
    return layer;
}

// Where the C keeps the layer's output, and the hash of what it gives for each vector.
static void add_memory(json_t *layer, const struct dc_block *block, const struct dc_ilayer *l,
                       const int8_t *outputs, int64_t count)
{
    const int64_t size = dc_ilayer_size(l);
    json_t *hashes = json_array();
    for (int64_t n = 0; n < count; n++) {
        char crc[16];
        snprintf(crc, sizeof crc, "%08" PRIx32, dc__crc32(outputs + n * size, (uint64_t)size));
        json_array_append_new(hashes, json_string(crc));
    }
    json_object_set_new(layer, "vector_crc32", hashes);
    if (block->offset >= 0)
        json_object_set_new(layer, "arena",
                            json_pack("{s:I, s:I, s:[i,i]}", "offset", (json_int_t)block->offset,
                                      "bytes", (json_int_t)size, "alive", block->first,
                                      block->last));
}

static enum dc_status write_layer(json_t *layers, struct dc_h5 *file, const struct dc_imodel *model,
                                  int i, const struct dc_block *block,
                                  const struct dc_vectors *vectors, struct dc_error *error)
{
    const struct dc_ilayer *l = &model->layers[i];
    const struct dc_ilayer *input = &model->layers[l->input_count ? l->inputs[0] : 0];
    json_t *layer = dc__layer_json(model, i), *arrays = json_object(), *traces = json_object();
    if (!layer || json_object_set_new(layer, "arrays", arrays) != 0 ||
        json_object_set_new(layer, "vectors", traces) != 0 ||
        json_array_append_new(layers, layer) != 0)
        return dc_fail(error, DC_ERR_MEMORY, "no memory for the manifest");
    add_memory(layer, block, l, vectors->outputs[i], vectors->count);
    struct dc__dataset d;
    for (int which = 0; which < DC__LAYER_ARRAYS; which++) {
        const enum dc__layer_array array = (enum dc__layer_array)which;
        if (dc__layer_dataset(&d, l, input, i, array))
            DC_TRY(put_dataset(arrays, dc__layer_array_names[which], file, &d,
                               dc__layer_layout(l, array), error));
    }
    for (int which = 0; which < 2; which++)
        if (dc__vector_dataset(&d, vectors, l, i, dc__vector_arrays[which]))
            DC_TRY(put_dataset(traces, dc__vector_arrays[which], file, &d, "NHWC", error));
    return DC_OK;
}

static enum dc_status write_arrays(json_t *layers, const char *path, const struct dc_imodel *model,
                                   const struct dc_vectors *vectors, struct dc_arena *arena,
                                   struct dc_error *error)
{
    struct dc_h5 *file = NULL;
    struct dc_block_plan plan;
    struct dc_block *blocks = DC_NEW(arena, struct dc_block, model->count, error);
    if (!blocks)
        return DC_ERR_MEMORY;
    DC_TRY(dc_imodel_place(blocks, &plan, model, DC_PLACE_OVER, model->alignment, error));
    DC_TRY(dc_h5_create(&file, path, error));
    enum dc_status status = dc_h5_set_int(file, "bundle_version", DC_BUNDLE_VERSION, error);
    for (int i = 0; status == DC_OK && i < model->count; i++)
        status = write_layer(layers, file, model, i, &blocks[i], vectors, error);
    return dc_h5_close_commit(file, status, error);
}

static enum dc_status list_file(json_t *files, const char *directory, const char *file,
                                struct dc_arena *arena, struct dc_error *error)
{
    char *text, crc[16];
    size_t size;
    const char *path = dc_arena_printf(arena, error, "%s/%s", directory, file);
    if (!path)
        return DC_ERR_MEMORY;
    DC_TRY(dc_file_read(&text, &size, path, arena, error));
    snprintf(crc, sizeof crc, "%08" PRIx32, dc__crc32(text, size));
    if (json_object_set_new(files, file,
                            json_pack("{s:I, s:s}", "bytes", (json_int_t)size, "crc32", crc)) != 0)
        return dc_fail(error, DC_ERR_MEMORY, "no memory for the manifest");
    return DC_OK;
}

// Of file i: of the C pair, then of the formats wanted; NULL: that one is no file.
static const char *ending_of(const struct dc_texts *formats, int i)
{
    const struct dc_export_format *format = i < 2 ? NULL
                                                  : dc_export_format_find(formats->items[i - 2]);
    return i == 0 ? "h" : i == 1 ? "c" : format ? format->ending : NULL;
}

// The C pair, and the files of other formats where asked for, with their hashes.
static enum dc_status write_sources(json_t *files, const char *directory,
                                    const struct dc_imodel *model, const struct dc_vectors *vectors,
                                    const struct dc_texts *formats, struct dc_arena *arena,
                                    struct dc_error *error)
{
    const char *name = dc_c_identifier(arena, model->name, error);
    if (!name)
        return DC_ERR_MEMORY;
    DC_TRY(dc_c_source_write(directory, name, model, vectors, error));
    for (int i = 0; i < 2 + (formats ? formats->count : 0); i++) {
        const char *ending = ending_of(formats, i);
        if (!ending)
            continue;
        const char *file = dc_arena_printf(arena, error, "%s.%s", name, ending);
        const char *path = file ? dc_arena_printf(arena, error, "%s/%s", directory, file) : NULL;
        if (!path)
            return DC_ERR_MEMORY;
        if (i >= 2)
            DC_TRY(
                dc_export_format_find(formats->items[i - 2])->write(path, model, vectors, error));
        DC_TRY(list_file(files, directory, file, arena, error));
    }
    DC_TRY(dc__packaging_write(directory, name, model, formats, error));
    for (int i = 0; dc__package_files[i]; i++)
        DC_TRY(list_file(files, directory, dc__package_files[i], arena, error));
    return DC_OK;
}

// Numbers, and the rules as text.
static json_t *preprocessing_json(const struct dc_preprocessing *p)
{
    const struct dc_normalization *n = &p->normalization;
    const struct dc_resize *r = &p->resize;
    json_t *mean = json_array(), *deviation = json_array(), *names = json_array();
    for (int c = 0; c < n->channels; c++) {
        json_array_append_new(mean, dc__float_json(n->mean[c]));
        json_array_append_new(deviation, dc__float_json(n->deviation[c]));
    }
    for (int i = 0; i < p->classes; i++)
        json_array_append_new(names, json_string(p->class_names[i]));
    json_t *object = json_pack(
        "{s:s, s:s, s:o, s:o, s:o}", "input", "uint8, [height][width][channels], RGB of three",
        "formula", "(x / 255 - mean) / std, as x * scale + shift in float32, then the input's code",
        "mean", mean, "std", deviation, "classes", names);
    if (object && p->labels != DC_LABELS_CLASSES)
        json_object_set_new(object, "labels", json_string(dc_label_kinds[p->labels]));
    if (object && r->height)
        json_object_set_new(object, "resize",
                            json_pack("{s:i, s:i, s:s, s:s, s:s, s:s, s:s}", "height", r->height,
                                      "width", r->width, "method", dc_resize_methods[r->method],
                                      "fit", dc_resize_fits[r->fit], "weights",
                                      dc_resize_method_rule(r->method), "arithmetic",
                                      DC_RESIZE_ARITHMETIC, "part", dc_resize_fit_rule(r->fit)));
    return object;
}

static enum dc_status write_manifest(json_t *root, const char *path, struct dc_error *error)
{
    char crc[16];
    bool ok = false;
    snprintf(crc, sizeof crc, "%08" PRIx32, dc__manifest_crc32(root, &ok));
    char *text = NULL;
    if (ok && json_object_set_new(root, "crc32", json_string(crc)) == 0)
        text = json_dumps(root, JSON_INDENT(1));
    if (!text)
        return dc_fail(error, DC_ERR_MEMORY, "no memory for the manifest");
    const enum dc_status status = dc_file_write(path, text, strlen(text), error);
    free(text);
    return status;
}

json_t *dc_bundle_cost(const struct dc_imodel_cost *cost)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "weight_bytes",
                     (json_int_t)cost->weight_bytes, "bias_bytes", (json_int_t)cost->bias_bytes,
                     "rescale_bytes", (json_int_t)cost->rescale_bytes, "arena_bytes",
                     (json_int_t)cost->arena_bytes, "scratch_bytes",
                     (json_int_t)cost->scratch_bytes, "whole_arena_bytes",
                     (json_int_t)cost->whole_arena_bytes, "macs", (json_int_t)cost->macs);
}

static enum dc_status fill_directory(const char *directory, const struct dc_imodel *model,
                                     const struct dc_vectors *vectors,
                                     const struct dc_texts *formats, struct dc_arena *arena,
                                     struct dc_error *error)
{
    struct dc_imodel_cost cost;
    DC_TRY(dc_imodel_cost(&cost, model, error));
    char *h5 = dc_arena_printf(arena, error, "%s/model.h5", directory);
    char *manifest = dc_arena_printf(arena, error, "%s/manifest.json", directory);
    if (!h5 || !manifest)
        return DC_ERR_MEMORY;
    json_t *files = json_object(), *layers = json_array();
    json_t *root = json_pack(
        "{s:i, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:o, s:{s:I, s:i, "
        "s:[s,s,s]}, s:o, s:o}",
        "bundle_version", DC_BUNDLE_VERSION, "writer", "Decant " DECANT_VERSION, "name",
        model->name, "provenance", model->provenance, "sample", shape_json(&model->sample),
        "input_rounding", dc_code_rounding_name(model->profile->input), "profile",
        model->profile->name, "rounding", dc_rounding_name(model->profile->rounding), "requantize",
        model->profile->formula, "endianness", "little", "alignment", model->alignment,
        "packed_weights", !model->wide_weights, "cost", dc_bundle_cost(&cost), "vectors", "count",
        (json_int_t)vectors->count, "corner_cases", DC_VECTOR_CORNERS, "corners", "all -128",
        "all 127", "all zero point", "files", files, "layers", layers);
    if (!root || (model->preprocessing.bytes &&
                  json_object_set_new(root, "preprocessing",
                                      preprocessing_json(&model->preprocessing)) != 0)) {
        json_decref(root);
        return dc_fail(error, DC_ERR_MEMORY, "no memory for the manifest");
    }
    if (model->lineage)
        json_object_set_new(root, "lineage", json_loads(model->lineage, 0, NULL));
    if (!model->preprocessing.bytes && model->preprocessing.labels != DC_LABELS_CLASSES)
        json_object_set_new(root, "labels",
                            json_string(dc_label_kinds[model->preprocessing.labels]));
    json_object_set_new(root, "memory",
                        json_pack("{s:i, s:i, s:s}", "pe", model->tiling.pe, "simd",
                                  model->tiling.simd, "bit_order",
                                  dc_bit_orders[model->tiling.high_first]));
    if (model->confident_margin >= 0)
        json_object_set_new(root, "confident_margin", json_integer(model->confident_margin));
    enum dc_status status = write_arrays(layers, h5, model, vectors, arena, error);
    if (status == DC_OK)
        status = write_sources(files, directory, model, vectors, formats, arena, error);
    if (status == DC_OK)
        status = write_manifest(root, manifest, error);
    json_decref(root);
    return status;
}

// What the bundle will hold, by name; NULL behind the last.
static enum dc_status list_names(const char ***names, const char *name,
                                 const struct dc_texts *formats, struct dc_arena *arena,
                                 struct dc_error *error)
{
    const int wanted = formats ? formats->count : 0;
    const char *const fixed[] = {"model.h5", "manifest.json"};
    int more = 0;
    while (dc__package_files[more])
        more++;
    const char **list = DC_NEW(arena, const char *, wanted + more + 5, error);
    if (!list)
        return DC_ERR_MEMORY;
    int count = 0;
    for (int i = 0; i < wanted + 2; i++) {
        const char *ending = ending_of(formats, i);
        if (!ending)
            continue;
        list[count] = dc_arena_printf(arena, error, "%s.%s", name, ending);
        if (!list[count++])
            return DC_ERR_MEMORY;
    }
    memcpy(list + count, fixed, sizeof fixed);
    memcpy(list + count + 2, dc__package_files, (size_t)more * sizeof *list);
    *names = list;
    return DC_OK;
}

// What an existing bundle holds by its manifest; *names NULL: `directory` is none.
static enum dc_status read_names(const char ***names, const char *directory, struct dc_arena *arena,
                                 struct dc_error *error)
{
    const char *path = dc_arena_printf(arena, error, "%s/manifest.json", directory), *name;
    const char *const fixed[] = {"model.h5", "manifest.json"};
    json_error_t where;
    json_t *entry;
    int count = 0;
    *names = NULL;
    if (!path)
        return DC_ERR_MEMORY;
    json_t *root = dc_json_read(path, &where);
    json_t *files = json_object_get(root, "files");
    const char *writer = json_string_value(json_object_get(root, "writer"));
    enum dc_status status = DC_OK;
    if (json_is_integer(json_object_get(root, "bundle_version")) && writer &&
        strncmp(writer, "Decant ", 7) == 0 && json_is_object(files)) {
        *names = DC_NEW(arena, const char *, json_object_size(files) + 3, error);
        status = *names ? DC_OK : DC_ERR_MEMORY;
        json_object_foreach(files, name, entry)
        {
            if (status == DC_OK && !dc_name_fault(name)) {
                (*names)[count] = dc_arena_copy(arena, name, error);
                status = (*names)[count++] ? DC_OK : DC_ERR_MEMORY;
            }
        }
        if (status == DC_OK)
            memcpy(*names + count, fixed, sizeof fixed);
    }
    json_decref(root);
    return status;
}

// *names: of the bundle that is there; NULL: nothing is there, or an empty folder.
static enum dc_status may_write(const char ***names, const char *directory, struct dc_arena *arena,
                                struct dc_error *error)
{
    bool empty = false;
    *names = NULL;
    dc_sweep_folders(directory);
    DC_TRY(dc_folder_is_empty(&empty, directory, error));
    if (empty)
        return DC_OK;
    DC_TRY(read_names(names, directory, arena, error));
    if (!*names)
        return dc_fail(error, DC_ERR_USAGE,
                       "%s is neither a bundle nor empty, so nothing is written there; name "
                       "another folder",
                       directory);
    return dc_folder_holds_only(directory, *names, error);
}

// The archive lies beside the bundle; one that is there is ours where a bundle's manifest is in it.
static enum dc_status find_archive(char **path, const char *directory, struct dc_arena *arena,
                                   struct dc_error *error)
{
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/')
        length--;
    *path = dc_arena_printf(arena, error, "%.*s.tar", (int)length, directory);
    return *path ? dc_file_may_replace(*path, "\"bundle_version\"", "\"writer\": \"Decant ", NULL,
                                       error)
                 : DC_ERR_MEMORY;
}

// In the order of their names; Zephyr wants its file in a folder of its own.
static enum dc_status make_archive(char **bytes, size_t *size, const char *target,
                                   const char **names, struct dc_arena *arena,
                                   struct dc_error *error)
{
    const char *const slash = strrchr(target, '/'), *base = slash ? slash + 1 : target;
    int count = 0;
    for (; names[count]; count++) {
        int k = count;
        const char *name = names[count];
        for (; k > 0 && strcmp(names[k - 1], name) > 0; k--)
            names[k] = names[k - 1];
        names[k] = name;
    }
    struct dc__archive_file *files = DC_NEW(arena, struct dc__archive_file, count, error);
    for (int i = 0; files && i < count; i++) {
        const char *path = dc_arena_printf(arena, error, "%s/%s", target, names[i]);
        char *text = NULL;
        if (!path)
            return DC_ERR_MEMORY;
        DC_TRY(dc_file_read(&text, &files[i].size, path, arena, error));
        files[i].bytes = text;
        files[i].name = strcmp(names[i], "module.yml") == 0 ? "zephyr/module.yml" : names[i];
    }
    return files ? dc__archive_make(bytes, size, base, files, count, arena, error) : DC_ERR_MEMORY;
}

static enum dc_status write_archive(const char *path, const char *target, const char **names,
                                    struct dc_arena *arena, struct dc_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    DC_TRY(make_archive(&bytes, &size, target, names, arena, error));
    return dc_file_write(path, bytes, size, error);
}

enum dc_status dc_bundle_archive(char **bytes, size_t *size, const char *directory,
                                 struct dc_arena *arena, struct dc_error *error)
{
    const char **names = NULL;
    DC_TRY(read_names(&names, directory, arena, error));
    return names ? make_archive(bytes, size, directory, names, arena, error)
                 : dc_fail(error, DC_ERR_DATA, "%s is no bundle", directory);
}

enum dc_status dc_bundle_may_write(const char *directory, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    const char **names = NULL;
    char *archive = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = may_write(&names, directory, arena, error);
    if (status == DC_OK)
        status = find_archive(&archive, directory, arena, error);
    dc_arena_free(arena);
    return status;
}

static enum dc_status write_bundle(const char *directory, const struct dc_imodel *model,
                                   const struct dc_vectors *vectors, const struct dc_texts *formats,
                                   struct dc_arena *arena, struct dc_error *error)
{
    const char **older = NULL, **names = NULL;
    const char *name = dc_c_identifier(arena, model->name, error);
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/')
        length--;
    char *target = dc_arena_printf(arena, error, "%.*s", (int)length, directory);
    char *fresh = dc_arena_printf(arena, error, "%s.tmp-%ld", target ? target : "", (long)getpid());
    if (!name || !target || !fresh)
        return DC_ERR_MEMORY;
    char *archive = NULL;
    DC_TRY(may_write(&older, target, arena, error));
    DC_TRY(find_archive(&archive, target, arena, error));
    DC_TRY(list_names(&names, name, formats, arena, error));
    DC_TRY(dc_folder_begin(fresh, names, error));
    enum dc_status status = fill_directory(fresh, model, vectors, formats, arena, error);
    if (status == DC_OK)
        status = dc_folder_replace(target, fresh, older, error);
    if (status == DC_OK)
        return write_archive(archive, target, names, arena, error);
    if (status != DC_OK)
        dc_folder_discard(fresh);
    return status;
}

enum dc_status dc_bundle_write(const char *directory, const struct dc_imodel *model,
                               const struct dc_vectors *vectors, const struct dc_texts *formats,
                               struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    const enum dc_status status = write_bundle(directory, model, vectors, formats, arena, error);
    dc_arena_free(arena);
    return status;
}

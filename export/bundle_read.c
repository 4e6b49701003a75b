// Owns the reading of bundles. Trusts nothing: the manifest's hash, every array's shape, type and
// hash, and that the layers make a valid model whose derived numbers are the ones written.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/folder.h"
#include "core/h5.h"
#include "export/bundle.h"
#include "export/bundle_format.h"
#include "qat/profile.h"
#include "qat/softmax.h"
#include "qat/table.h"

enum { VECTORS_MAX = 1 << 20, DIMENSION_MAX = 1 << 16, VERSION_BYTES = 63 };

struct reader {
    const char *directory;
    struct dc_arena *arena;  // for this read alone
    struct dc_h5 *file;
    json_t *root;
    struct dc_imodel *model;
    struct dc_error *error;
};

static enum dc_status bad_manifest(const struct reader *r, const char *what)
{
    return dc_fail(r->error, DC_ERR_DATA, "%s/manifest.json: %s", r->directory, what);
}

static enum dc_status read_manifest(struct reader *r)
{
    char *text = NULL;
    size_t size = 0;
    bool ok = false;
    json_error_t where;
    const char *path = dc_arena_printf(r->arena, r->error, "%s/manifest.json", r->directory);
    if (!path)
        return DC_ERR_MEMORY;
    DC_TRY(dc_file_read(&text, &size, path, r->arena, r->error));
    r->root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!r->root) {
        const struct dc_location place = {path, where.line, where.column, NULL, 0};
        return dc_fail_at(r->error, DC_ERR_DATA, &place, NULL, NULL, "not a manifest: %s",
                          where.text);
    }
    const json_t *version = json_object_get(r->root, "bundle_version");
    if (!json_is_integer(version))
        return bad_manifest(r, "has no bundle_version");
    if (json_integer_value(version) != DC_BUNDLE_VERSION)
        return dc_fail(r->error, DC_ERR_DATA,
                       "%s: bundle version %" PRId64 ", this program reads %d", path,
                       (int64_t)json_integer_value(version), DC_BUNDLE_VERSION);
    const char *stated = json_string_value(json_object_get(r->root, "crc32"));
    const uint32_t crc = dc__manifest_crc32(r->root, &ok);
    if (!ok)
        return dc_fail(r->error, DC_ERR_MEMORY, "no memory for %s", path);
    if (!stated || strtoul(stated, NULL, 16) != crc)
        return bad_manifest(r, "its hash does not match: the file was changed or damaged");
    return DC_OK;
}

// The name of the layer that a dataset belongs to: "layers/03/weights", "vectors/03/outputs".
static const char *layer_of(const struct reader *r, const char *dataset)
{
    const char *number = strchr(dataset, '/');
    const json_t *layer = json_array_get(json_object_get(r->root, "layers"),
                                         number ? strtoul(number + 1, NULL, 10) : 0);
    const char *name = json_string_value(json_object_get(layer, "name"));
    return name ? name : "";
}

// "DIR/model.h5: 'layers/03/weights' ..." for whatever is wrong with a dataset.
static enum dc_status read_dataset(const struct reader *r, const json_t *described, const char *key,
                                   struct dc__dataset *d)
{
    const json_t *entry = json_object_get(described, key);
    const char *name = json_string_value(json_object_get(entry, "dataset"));
    const char *stated = json_string_value(json_object_get(entry, "crc32"));
    enum dc_dtype dtype;
    struct dc_shape shape;
    if (!name || !stated || strcmp(name, d->name) != 0)
        return dc_fail(r->error, DC_ERR_DATA, "%s/manifest.json: does not describe '%s'",
                       r->directory, d->name);
    DC_TRY(dc_h5_describe(r->file, d->name, &dtype, &shape, r->error));
    if (dtype != d->tensor.dtype || !dc_shape_equal(&shape, &d->tensor.shape)) {
        char is[DC_SHAPE_TEXT], wanted[DC_SHAPE_TEXT];
        return dc_fail(r->error, DC_ERR_DATA,
                       "%s/model.h5: '%s' has shape %s or a type that do not fit the layer: %s",
                       r->directory, d->name, dc_shape_text(is, &shape),
                       dc_shape_text(wanted, &d->tensor.shape));
    }
    if (!d->tensor.data) {
        d->tensor.data = dc_arena_alloc(
            r->arena, (size_t)dc_shape_count(&shape) * dc_dtype_bytes(dtype), r->error);
        if (!d->tensor.data)
            return DC_ERR_MEMORY;
    }
    DC_TRY(dc_h5_read(r->file, d->name, &d->tensor, r->error));
    if (dc__tensor_crc32(&d->tensor) != strtoul(stated, NULL, 16))
        return dc_fail(r->error, DC_ERR_DATA,
                       "%s/model.h5: '%s' is damaged: its hash does not match (layer '%s')",
                       r->directory, d->name, layer_of(r, d->name));
    return DC_OK;
}

static bool unpack_layer(struct dc_ilayer *l, json_t *layer)
{
    const char *name, *op;
    json_t *inputs, *scale;
    int index, pad_value;
    if (json_unpack(layer,
                    "{s:i, s:s, s:s, s:o, s:{s:[i,i,i], s:i, s:o, s:i}, s:[i,i], s:[i,i], "
                    "s:[i,i], s:[i,i], s:{s:i, s:i, s:i, s:i, s:i}}",
                    "index", &index, "name", &name, "op", &op, "inputs", &inputs, "output", "shape",
                    &l->height, &l->width, &l->channels, "bits", &l->bits, "scale", &scale,
                    "zero_point", &l->zero_point, "clamp", &l->clamp_low, &l->clamp_high, "kernel",
                    &l->window.kernel[0], &l->window.kernel[1], "stride", &l->window.stride[0],
                    &l->window.stride[1], "dilation", &l->window.dilation[0],
                    &l->window.dilation[1], "pads", "top", &l->window.before[0], "bottom",
                    &l->window.after[0], "left", &l->window.before[1], "right", &l->window.after[1],
                    "value", &pad_value) != 0)
        return false;
    const int found = dc_iop_find(op);
    l->scale = dc__json_float(scale);
    l->first_channel = (int)json_integer_value(json_object_get(layer, "first_channel"));
    l->name = name;
    l->op = (enum dc_iop)found;
    l->input_count = (int)json_array_size(inputs);
    for (int i = 0; i < l->input_count && i < DC_I_INPUTS_MAX; i++)
        l->inputs[i] = (int)json_integer_value(json_array_get(inputs, (size_t)i));
    // What is needed before shapes can be multiplied; dc_imodel_add checks the rest.
    const int sizes[] = {l->height, l->width, l->window.kernel[0], l->window.kernel[1]};
    bool sane = found >= 0 && json_is_array(inputs) && l->input_count <= DC_I_INPUTS_MAX &&
                l->channels > 0 && l->channels <= 1 << 24;
    for (int i = 0; i < 4; i++)
        sane = sane && sizes[i] >= 0 && sizes[i] <= DIMENSION_MAX;
    return sane;
}

// The layer as the model now has it against what was written.
static enum dc_status check_derived(const struct reader *r, int i, const json_t *arrays)
{
    const struct dc_ilayer *l = &r->model->layers[i];
    const struct dc_ilayer *input = &r->model->layers[l->input_count ? l->inputs[0] : 0];
    struct dc__dataset d;
    for (int which = DC__MULTIPLIERS; which <= DC__SHIFTS; which++) {
        if (!dc__layer_dataset(&d, l, input, i, (enum dc__layer_array)which))
            continue;
        const int32_t *derived = which == DC__MULTIPLIERS ? l->multipliers : l->shifts;
        d.tensor.data = NULL;
        DC_TRY(read_dataset(r, arrays, dc__layer_array_names[which], &d));
        if (memcmp(d.tensor.data, derived, (size_t)l->rescales * sizeof *derived) != 0)
            return dc_fail(r->error, DC_ERR_DATA,
                           "%s/model.h5: '%s' is not what profile %s derives from the scales",
                           r->directory, d.name, r->model->profile->name);
    }
    return DC_OK;
}

// What this version states of a layer follows from the model, each number of it.
static enum dc_status check_stated(const struct reader *r, int i, const json_t *layer)
{
    const char *writer = json_string_value(json_object_get(r->root, "writer")), *key, *wrong = NULL;
    json_t *ours = dc__layer_json(r->model, i), *value;
    if (!ours)
        return dc_fail(r->error, DC_ERR_MEMORY, "no memory for a manifest");
    json_object_foreach(ours, key, value)
    {
        if (!wrong && !json_equal(json_object_get(layer, key), value))
            wrong = key;
    }
    enum dc_status status = DC_OK;
    if (wrong && writer && strcmp(writer, "Decant " DECANT_VERSION) == 0)
        status = dc_fail(r->error, DC_ERR_DATA,
                         "%s/manifest.json: layer '%s' does not compute by the '%s' that is "
                         "stated there",
                         r->directory, r->model->layers[i].name, wrong);
    json_decref(ours);
    return status;
}

static enum dc_status check_tables(const struct reader *r, int i, const json_t *layer)
{
    const struct dc_ilayer *l = &r->model->layers[i];
    const json_t *codes = json_object_get(layer, "table");
    for (int c = 0; l->table && c < DC_TABLE_CODES; c++)
        if (json_integer_value(json_array_get(codes, (size_t)c)) != l->table[c])
            return dc_fail(r->error, DC_ERR_DATA,
                           "%s/manifest.json: the table of '%s' is not its function's",
                           r->directory, l->name);
    const json_t *powers = json_object_get(layer, "exponentials");
    for (int c = 0; l->exponentials && c < DC_EXPONENTIALS; c++)
        if (json_real_value(json_array_get(powers, (size_t)c)) != l->exponentials[c])
            return dc_fail(r->error, DC_ERR_DATA,
                           "%s/manifest.json: the exponentials of '%s' are not those of its scale",
                           r->directory, l->name);
    return DC_OK;
}

static enum dc_status read_layer(const struct reader *r, int i, json_t *layer)
{
    struct dc_ilayer l = {0};
    struct dc__dataset d;
    const json_t *arrays = json_object_get(layer, "arrays");
    if (!unpack_layer(&l, layer))
        return dc_fail(r->error, DC_ERR_DATA, "%s/manifest.json: layer %d is not understood",
                       r->directory, i);
    const struct dc_ilayer *input = &l;
    if (l.input_count > 0) {
        if (l.inputs[0] < 0 || l.inputs[0] >= i)
            return dc_fail(r->error, DC_ERR_DATA,
                           "%s/manifest.json: layer %d reads a layer that is not before it",
                           r->directory, i);
        input = &r->model->layers[l.inputs[0]];
    }
    if (l.op == DC_I_TABLE) {  // -1, none, is refused when the layer is added
        l.function = (enum dc_ifunction)dc_ifunction_find(
            json_string_value(json_object_get(layer, "function")));
        for (int k = 0; k < DC_I_PARAMETERS; k++)
            l.parameters[k] = dc__json_float(
                json_array_get(json_object_get(layer, "parameters"), (size_t)k));
    }
    if (dc_ilayer_has_weights(&l)) {
        l.weight_bits = (int)json_integer_value(json_object_get(layer, "weight_bits"));
        l.per_channel = json_is_true(json_object_get(layer, "per_channel"));
    }
    for (int which = 0; which <= DC__WEIGHT_SCALES; which++) {
        if (!dc__layer_dataset(&d, &l, input, i, (enum dc__layer_array)which))
            continue;
        d.tensor.data = NULL;
        DC_TRY(read_dataset(r, arrays, dc__layer_array_names[which], &d));
        if (which == DC__WEIGHTS)
            l.weights = d.tensor.data;
        else if (which == DC__BIASES)
            l.biases = d.tensor.data;
        else
            l.weight_scales = d.tensor.data;
    }
    DC_TRY_IN(dc_imodel_add(r->model, &l, NULL, r->error), r->error, "%s", r->directory);
    DC_TRY(check_tables(r, i, layer));
    DC_TRY(check_derived(r, i, arrays));
    return check_stated(r, i, layer);
}

static enum dc_status read_vectors(const struct reader *r, struct dc_vectors **vectors)
{
    const json_t *count = json_object_get(json_object_get(r->root, "vectors"), "count");
    const json_t *layers = json_object_get(r->root, "layers");
    if (!json_is_integer(count) || json_integer_value(count) < 1 ||
        json_integer_value(count) > VECTORS_MAX)
        return bad_manifest(r, "has no sensible number of vectors");
    DC_TRY(dc_vectors_alloc(vectors, r->model, json_integer_value(count), r->error));
    for (int i = 0; i < r->model->count; i++) {
        const struct dc_ilayer *l = &r->model->layers[i];
        const json_t *described = json_object_get(json_array_get(layers, (size_t)i), "vectors");
        struct dc__dataset d;
        for (int which = 0; which < 2; which++)
            if (dc__vector_dataset(&d, *vectors, l, i, dc__vector_arrays[which]))
                DC_TRY(read_dataset(r, described, dc__vector_arrays[which], &d));
    }
    return DC_OK;
}

static enum dc_status check_files(const struct reader *r)
{
    json_t *files = json_object_get(r->root, "files");
    const char *name;
    json_t *entry;
    if (json_object_size(files) < 2)
        return bad_manifest(r, "does not list the C pair");
    json_object_foreach(files, name, entry)
    {
        char *text;
        size_t size;
        const char *stated = json_string_value(json_object_get(entry, "crc32"));
        if (dc_name_fault(name) || !stated)
            return bad_manifest(r, "lists a file that cannot lie in its folder, or without a hash");
        const char *path = dc_arena_printf(r->arena, r->error, "%s/%s", r->directory, name);
        if (!path)
            return DC_ERR_MEMORY;
        DC_TRY(dc_file_read(&text, &size, path, r->arena, r->error));
        if (dc__crc32(text, size) != strtoul(stated, NULL, 16))
            return dc_fail(r->error, DC_ERR_DATA, "%s: is damaged: its hash does not match", path);
    }
    return DC_OK;
}

// What the data calls a sample; without it, an image. Its values are layer 0's.
static enum dc_status read_sample(const struct reader *r)
{
    const json_t *dims = json_object_get(r->root, "sample");
    const struct dc_ilayer *l = &r->model->layers[0];
    struct dc_shape sample = {.rank = (int)json_array_size(dims)};
    if (!dims)
        return DC_OK;
    bool ok = sample.rank > 0 && sample.rank < DC_RANK_MAX;
    int64_t left = dc_ilayer_size(l);
    for (int i = 0; ok && i < sample.rank; i++) {
        sample.dims[i] = json_integer_value(json_array_get(dims, (size_t)i));
        ok = sample.dims[i] >= 1 && sample.dims[i] <= left;
        left = ok ? left / sample.dims[i] : 0;
    }
    const struct dc_shape image = dc_shape_image(&sample);
    if (!ok || !dc_shape_equal(&image, &DC_SHAPE(l->height, l->width, l->channels)))
        return bad_manifest(r, "has a sample that is not the input's");
    r->model->sample = sample;
    return DC_OK;
}

static int find_text(const char *const *list, const json_t *text)
{
    for (int i = 0; list[i]; i++)
        if (json_string_value(text) && strcmp(list[i], json_string_value(text)) == 0)
            return i;
    return -1;
}

// What is done before the input; older bundles do not say.
static enum dc_status read_preprocessing(const struct reader *r)
{
    const json_t *object = json_object_get(r->root, "preprocessing");
    const json_t *mean = json_object_get(object, "mean"), *std = json_object_get(object, "std");
    const json_t *names = json_object_get(object, "classes"),
                 *resize = json_object_get(object, "resize");
    struct dc_preprocessing p = {.bytes = object != NULL};
    const size_t channels = json_array_size(mean);
    const json_t *labels = json_object_get(object ? object : r->root, "labels");
    const int kind = labels ? find_text(dc_label_kinds, labels) : DC_LABELS_CLASSES;
    if (kind < 0 || kind >= DC_LABEL_KINDS)
        return bad_manifest(r, "has labels that are neither classes, values nor tags");
    p.labels = (enum dc_label_kind)kind;
    if (!object)
        return dc_imodel_set_preprocessing(r->model, &p, r->error);
    if (channels < 1 || channels > DC_NORMALIZATION_CHANNELS || json_array_size(std) != channels ||
        json_array_size(names) > (size_t)dc_ilayer_size(dc_imodel_output(r->model)))
        return bad_manifest(r, "has preprocessing without mean and std, or of too many classes");
    p.normalization.channels = (int)channels;
    for (size_t c = 0; c < channels; c++) {
        p.normalization.mean[c] = dc__json_float(json_array_get(mean, c));
        p.normalization.deviation[c] = dc__json_float(json_array_get(std, c));
    }
    if (resize)
        p.resize = (struct dc_resize){
            .height = r->model->layers[0].height,
            .width = r->model->layers[0].width,
            .method = find_text(dc_resize_methods, json_object_get(resize, "method")),
            .fit = find_text(dc_resize_fits, json_object_get(resize, "fit"))};
    if (resize && (json_integer_value(json_object_get(resize, "height")) != p.resize.height ||
                   json_integer_value(json_object_get(resize, "width")) != p.resize.width))
        return bad_manifest(r, "has a resize to another size than the input's");
    const char **list = DC_NEW(r->arena, const char *, json_array_size(names), r->error);
    if (!list)
        return DC_ERR_MEMORY;
    p.classes = (int)json_array_size(names);
    p.class_names = list;
    for (int i = 0; i < p.classes; i++) {
        list[i] = json_string_value(json_array_get(names, (size_t)i));
        if (!list[i])
            return bad_manifest(r, "has a class name that is no text");
    }
    DC_TRY_IN(dc_imodel_set_preprocessing(r->model, &p, r->error), r->error, "%s/manifest.json",
              r->directory);
    return DC_OK;
}

// Kept as it is: a bundle that is written anew says what the first one did.
static enum dc_status read_lineage(struct reader *r)
{
    const json_t *lineage = json_object_get(r->root, "lineage");
    if (!lineage)
        return DC_OK;
    if (!json_is_object(lineage))
        return bad_manifest(r, "has a lineage that is no mapping");
    char *text = json_dumps(lineage, JSON_COMPACT | JSON_SORT_KEYS);
    r->model->lineage = text ? dc_arena_copy(r->model->arena, text, r->error) : NULL;
    free(text);
    return r->model->lineage ? DC_OK : DC_ERR_MEMORY;
}

static enum dc_status read_all(struct reader *r, struct dc_vectors **vectors)
{
    const char *name, *provenance, *profile_name;
    json_t *layers;
    int alignment = DC_I_ALIGNMENT, margin = -1, packed = 1;
    int pe = DC_TILING_PE, simd = DC_TILING_SIMD;
    json_t *order = NULL;
    DC_TRY(read_manifest(r));
    if (json_unpack(r->root,
                    "{s:s, s:s, s:s, s:o, s?i, s?i, s?b, "
                    "s?{s:i, s:i, s:o}}",
                    "name", &name, "provenance", &provenance, "profile", &profile_name, "layers",
                    &layers, "alignment", &alignment, "confident_margin", &margin, "packed_weights",
                    &packed, "memory", "pe", &pe, "simd", &simd, "bit_order", &order) != 0)
        return bad_manifest(r, "lacks name, provenance, profile or layers");
    if (alignment < DC_I_ALIGNMENT || alignment > DC_I_ALIGNMENT_MAX ||
        (alignment & (alignment - 1)) != 0)
        return bad_manifest(r, "has an alignment that is no power of two from 4 to 256");
    if (margin < -1 || margin > 255)
        return bad_manifest(r, "has a confident_margin that no two codes differ by");
    const int high_first = order ? find_text(dc_bit_orders, order) : 0;
    if (pe < 1 || pe > DC_TILING_MAX || simd < 1 || simd > DC_TILING_MAX || high_first < 0)
        return bad_manifest(r, "has words of memory that are not 1 to 64 lanes by 1 to 64, or "
                               "whose bits have no order");
    const struct dc_profile *profile = dc_profile_find(profile_name);
    if (!profile)
        return dc_fail(r->error, DC_ERR_DATA, "%s/manifest.json: unknown profile '%s'",
                       r->directory, profile_name);
    if (json_array_size(layers) < 2)
        return bad_manifest(r, "has no layers");
    DC_TRY(check_files(r));
    const char *path = dc_arena_printf(r->arena, r->error, "%s/model.h5", r->directory);
    if (!path)
        return DC_ERR_MEMORY;
    DC_TRY(dc_h5_open(&r->file, path, r->error));
    DC_TRY(dc_imodel_create(&r->model, name, provenance, profile, r->error));
    r->model->alignment = alignment;
    r->model->wide_weights = !packed;
    r->model->tiling = (struct dc_tiling){pe, simd, high_first};
    r->model->confident_margin = margin;
    for (size_t i = 0; i < json_array_size(layers); i++)
        DC_TRY(read_layer(r, (int)i, json_array_get(layers, i)));
    DC_TRY(read_sample(r));
    DC_TRY(read_preprocessing(r));
    DC_TRY(read_lineage(r));
    return vectors ? read_vectors(r, vectors) : DC_OK;
}

enum dc_status dc_bundle_read(struct dc_imodel **model, struct dc_vectors **vectors,
                              const char *directory, struct dc_error *error)
{
    struct reader r = {.directory = directory, .error = error};
    *model = NULL;
    if (vectors)
        *vectors = NULL;
    DC_TRY(dc_arena_create(&r.arena, error));
    const enum dc_status status = read_all(&r, vectors);
    dc_h5_close(r.file);
    json_decref(r.root);
    dc_arena_free(r.arena);
    if (status == DC_OK) {
        *model = r.model;
        return DC_OK;
    }
    dc_imodel_free(r.model);
    if (vectors) {
        dc_vectors_free(*vectors);
        *vectors = NULL;
    }
    return status;
}

enum dc_status dc_bundle_writer(char **version, const char *directory, struct dc_arena *arena,
                                struct dc_error *error)
{
    static const char program[] = "Decant ";
    struct reader r = {.directory = directory, .arena = arena, .error = error};
    enum dc_status status = read_manifest(&r);
    const char *writer = json_string_value(json_object_get(r.root, "writer"));
    const bool known = writer && strncmp(writer, program, strlen(program)) == 0;
    if (status == DC_OK) {
        *version = dc_arena_copy(arena, known ? writer + strlen(program) : "", error);
        status = *version ? DC_OK : DC_ERR_MEMORY;
    }
    if (status == DC_OK && (dc_name_fault(*version) || strlen(*version) > VERSION_BYTES))
        status = bad_manifest(&r, "does not say which version of Decant wrote it");
    json_decref(r.root);
    return status;
}

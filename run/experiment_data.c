// Owns what the data section says beyond single values: resizing, and which keys are of which kind
// of data.

#include <string.h>

#include "data/open.h"
#include "run/experiment_schema.h"

struct resize_keys {
    int64_t size, height, width;
    int method, fit;
};

#define SIDE(key, member, text)                                                                    \
    DC_FIELD(resize_keys, key, INT, member, "0", .minimum = 0, .maximum = DC_RESIZE_SIDE_MAX,      \
             .help = (text))
static const struct dc_field resize_fields[] = {
    SIDE("size", size, "height and width in one"),
    SIDE("height", height, "pixels from top to bottom"),
    SIDE("width", width, "pixels from left to right"),
    DC_FIELD(resize_keys, "method", CHOICE, method, "bilinear", .choices = dc_resize_methods,
             .help = "bilinear and area smooth what they shrink"),
    DC_FIELD(resize_keys, "fit", CHOICE, fit, "stretch", .choices = dc_resize_fits,
             .help = "crop keeps the shape of things and loses edges, pad adds black ones"),
};
const struct dc_schema dc__resize_schema = DC_SCHEMA("resize", resize_fields);

static enum dc_status decode_sides(struct resize_keys *keys, const struct dc_yaml *node,
                                   const struct dc_decoder *decoder, struct dc_error *error)
{
    const struct dc_yaml *const *sides = node->kind == DC_YAML_SEQUENCE ? node->items : &node;
    const int count = node->kind == DC_YAML_SEQUENCE ? node->count : 1;
    double values[2] = {0};
    if (count > 2)
        return dc_fail_yaml(error, node, "resize is [height, width], not %d numbers", count);
    for (int i = 0; i < count; i++) {
        const struct dc_field field = {
            .key = "resize", .type = DC_FIELD_INT, .minimum = 1, .maximum = DC_RESIZE_SIDE_MAX};
        DC_TRY(dc_field_number(&values[i], &field, sides[i], decoder, error));
    }
    keys->height = (int64_t)values[0];
    keys->width = (int64_t)values[count == 2];
    return DC_OK;
}

// A number, [height, width], or a mapping; [] is none.
enum dc_status dc__decode_resize(const struct dc_decoder *decoder, void *field,
                                 const struct dc_yaml *node, struct dc_error *error)
{
    struct resize_keys keys = {0};
    if (node->kind != DC_YAML_MAPPING) {
        DC_TRY(decode_sides(&keys, node, decoder, error));
    } else {
        DC_TRY(dc_schema_decode(&dc__resize_schema, &keys, node, "resize", false, decoder, error));
        if (keys.size > 0 && (keys.height > 0 || keys.width > 0))
            return dc_fail_yaml(error, node,
                                "resize has a size, or a height and a width, not both");
        if (keys.size > 0)
            keys.height = keys.width = keys.size;
        if (keys.height == 0 || keys.width == 0)
            return dc_fail_yaml(error, node, "resize needs a size, or a height and a width");
    }
    *(struct dc_resize *)field = (struct dc_resize){(int)keys.height, (int)keys.width, keys.method,
                                                    keys.fit};
    return DC_OK;
}

void dc__write_resize(struct dc_text_buffer *out, const void *field, int indent)
{
    const struct dc_resize *resize = field;
    if (resize->height == 0) {
        dc_text_append(out, " []\n");
        return;
    }
    dc_text_append(out, "\n");
    if (!out->hashed)
        dc_text_append(out, "%*s# %s;\n%*s# %s (core/preprocessing.h)\n", indent, "",
                       dc_resize_method_rule(resize->method), indent, "",
                       dc_resize_fit_rule(resize->fit));
    dc_text_append(out, "%*sheight: %d\n%*swidth: %d\n", indent, "", resize->height, indent, "",
                   resize->width);
    dc_text_append(out, "%*smethod: %s\n%*sfit: %s\n", indent, "",
                   dc_resize_methods[resize->method], indent, "", dc_resize_fits[resize->fit]);
}

struct dc_source_spec dc__data_source(const struct dc_experiment *experiment, const char *split)
{
    const struct dc_data_spec *data = &experiment->data;
    return (struct dc_source_spec){
        .kind = data->source,
        .path = data->path,
        .split = split,
        .resize = data->resize,
        .test_share = data->test,
        .split_seed = (uint32_t)data->split_seed,
        .channels = (int)data->channels,
        .class_names = data->class_names.count ? data->class_names.items : NULL,
        .class_count = data->class_names.count ? data->class_names.count : (int)data->classes,
        .memory = experiment->bounds.memory,
        .window = data->window,
        .stride = data->stride,
        .channel_columns = data->channel_columns.items,
        .channel_column_count = data->channel_columns.count,
        .file_column = data->file_column,
        .split_column = data->split_column,
        .label_columns = data->label_column.items,
        .label_column_count = data->label_column.count,
        .label_kind = (enum dc_label_kind)data->labels,
    };
}

bool dc_data_has_validation(const struct dc_experiment *experiment)
{
    const struct dc_source_spec spec = dc__data_source(experiment, "train");
    return experiment->data.validation > 0 || dc_source_own_validation(&spec);
}

enum dc_status dc__check_data_keys(const struct dc_experiment *experiment,
                                   const struct dc_yaml *root, struct dc_error *error)
{
    const struct dc_data_spec *data = &experiment->data;
    const struct dc_yaml *node = dc_yaml_get(root, "data");
    const char *const *kinds = dc_source_kinds();
    int count = 0;
    bool known = strcmp(data->source, "auto") == 0;
    for (; kinds[count]; count++)
        known = known || strcmp(data->source, kinds[count]) == 0;
    char hint[DC_HINT], list[DC_HINT];
    dc_join(list, sizeof list, kinds, count);
    if (!known)
        return dc_fail_yaml(error, dc_yaml_get(node, "source"),
                            "no data source '%s'; there are auto, %s%s", data->source, list,
                            dc_did_you_mean(hint, data->source, kinds, count));
    const bool automatic = !strcmp(data->source, "auto"), series = !strcmp(data->source, "series");
    const bool photos = !strcmp(data->source, "photos") || !strcmp(data->source, "png");
    // The resolved file states them all, at their defaults.
    const char *stated = data->resize.height > 0 ? "resize"
                         : data->channels > 0    ? "channels"
                                                 : NULL;
    if (!photos && !automatic && stated)
        return dc_fail_yaml(error, dc_yaml_get(node, stated),
                            "'%s' is for photographs; this data is %s", stated, data->source);
    if (!photos && !series && !automatic && data->test != DC_TEST_SHARE)
        return dc_fail_yaml(error, dc_yaml_get(node, "test"),
                            "'test' is for photographs and series; this data is %s", data->source);
    stated = data->window > 0                  ? "window"
             : data->stride > 0                ? "stride"
             : data->channel_columns.count > 0 ? "channel_columns"
                                               : NULL;
    if (!series && !automatic && stated)
        return dc_fail_yaml(error, dc_yaml_get(node, stated), "'%s' is for series; this data is %s",
                            stated, data->source);
    if (data->labels != DC_LABELS_CLASSES && data->normal.count > 0)
        return dc_fail_yaml(error, dc_yaml_get(node, "normal"),
                            "normal classes, and labels that are no classes");
    if (data->channels == 2 || data->channels == 4)
        return dc_fail_yaml(error, dc_yaml_get(node, "channels"), "channels must be 1 or 3, not %d",
                            (int)data->channels);
    const struct dc_source_spec spec = dc__data_source(experiment, "train");
    if (data->validation > 0 && dc_source_own_validation(&spec))
        return dc_fail_yaml(error, dc_yaml_get(node, "validation"),
                            "%s has samples for validation of its own: leave out validation",
                            data->path);
    return DC_OK;
}

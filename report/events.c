// Owns event files: what goes into them, and their records.

#include "report/events.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event.pb-c.h>

#include "core/file.h"
#include "core/folder.h"

uint32_t dc_crc32c(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78 & (0 - (crc & 1)));
    }
    return ~crc;
}

// A file in the making, in memory.
struct events {
    uint8_t *bytes;
    size_t size, capacity;
    double started;  // seconds since 1970, as the run recorded its start
    bool failed;
};

static void put(struct events *e, const void *bytes, size_t size)
{
    if (e->size + size > e->capacity && !e->failed) {
        const size_t wanted = 2 * (e->size + size) + 4096;
        uint8_t *more = realloc(e->bytes, wanted);
        e->failed = !more;
        e->bytes = more ? more : e->bytes;
        e->capacity = more ? wanted : e->capacity;
    }
    if (e->failed)
        return;
    memcpy(e->bytes + e->size, bytes, size);
    e->size += size;
}

static void put_number(struct events *e, uint64_t value, int bytes)
{
    uint8_t little[8];
    for (int i = 0; i < bytes; i++)
        little[i] = (uint8_t)(value >> (8 * i));
    put(e, little, (size_t)bytes);
}

// A checksum of bytes that hold checksums says little, so TensorFlow turns and shifts them.
static uint32_t masked(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

static void put_event(struct events *e, const Tensorboard__Event *event)
{
    const size_t size = tensorboard__event__get_packed_size(event);
    uint8_t *packed = malloc(size);
    e->failed = e->failed || !packed;
    if (e->failed) {
        free(packed);
        return;
    }
    tensorboard__event__pack(event, packed);
    const size_t head = e->size;
    put_number(e, size, 8);
    if (!e->failed)
        put_number(e, masked(dc_crc32c(e->bytes + head, 8)), 4);
    put(e, packed, size);
    put_number(e, masked(dc_crc32c(packed, size)), 4);
    free(packed);
}

static void put_version(struct events *e)
{
    char version[] = "brain.Event:2";
    Tensorboard__Event event = TENSORBOARD__EVENT__INIT;
    event.has_wall_time = true;
    event.wall_time = e->started;
    event.file_version = version;
    put_event(e, &event);
}

static void put_value(struct events *e, Tensorboard__Value *value, double seconds, int64_t step)
{
    Tensorboard__Event event = TENSORBOARD__EVENT__INIT;
    Tensorboard__Summary summary = TENSORBOARD__SUMMARY__INIT;
    summary.n_value = 1;
    summary.value = &value;
    event.has_wall_time = event.has_step = true;
    event.wall_time = e->started + (isfinite(seconds) ? seconds : 0.0);
    event.step = step;
    event.summary = &summary;
    put_event(e, &event);
}

static void put_scalar(struct events *e, const char *group, const char *name, double number,
                       double seconds, int64_t step)
{
    char tag[256];
    Tensorboard__Value value = TENSORBOARD__VALUE__INIT;
    if (!isfinite(number))
        return;
    snprintf(tag, sizeof tag, "%s%s%s", group, group[0] ? "/" : "", name);
    value.tag = tag;
    value.has_simple_value = true;
    value.simple_value = (float)number;
    put_value(e, &value, seconds, step);
}

// Edges lie between codes; the outermost bins reach as far as they are wide.
static void put_histogram(struct events *e, const struct dc_layer_bins *bins, double seconds,
                          int64_t step)
{
    char tag[256];
    double limits[DC_COMPARISON_BINS], counts[DC_COMPARISON_BINS];
    Tensorboard__Value value = TENSORBOARD__VALUE__INIT;
    Tensorboard__Histogram h = TENSORBOARD__HISTOGRAM__INIT;
    const double grain = bins->weights ? 1.0 : bins->least_scale;
    const double wide = (bins->high - bins->low + grain) /
                        (DC_COMPARISON_BINS - 2 * DC_COMPARISON_BEYOND);
    const double start = bins->low - 0.5 * grain - DC_COMPARISON_BEYOND * wide;
    h.has_min = h.has_max = h.has_num = h.has_sum = h.has_sum_squares = true;
    h.min = INFINITY;
    for (int i = 0; i < DC_COMPARISON_BINS; i++) {
        const double centre = start + (i + 0.5) * wide;
        limits[i] = start + (i + 1) * wide;
        counts[i] = (double)bins->counts[i];
        h.num += counts[i];
        h.sum += counts[i] * centre;
        h.sum_squares += counts[i] * centre * centre;
        if (bins->counts[i] > 0) {
            h.min = fmin(h.min, limits[i] - wide);
            h.max = limits[i];
        }
    }
    if (h.num == 0.0)
        return;
    h.n_bucket_limit = h.n_bucket = DC_COMPARISON_BINS;
    h.bucket_limit = limits;
    h.bucket = counts;
    snprintf(tag, sizeof tag, "%s/%.200s", bins->weights ? "weights" : "activations", bins->layer);
    value.tag = tag;
    value.histo = &h;
    put_value(e, &value, seconds, step);
}

static int32_t big_endian(const uint8_t *bytes)
{
    return (int32_t)((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
                     bytes[3]);
}

// A PNG file says its width and height behind its signature and the head of its first chunk.
static void put_picture(struct events *e, const struct dc_picture *picture, double seconds,
                        int64_t step)
{
    enum { RGBA = 4 };
    char tag[256];
    Tensorboard__Value value = TENSORBOARD__VALUE__INIT;
    Tensorboard__Image image = TENSORBOARD__IMAGE__INIT;
    image.has_width = image.has_height = image.has_colorspace = true;
    image.width = big_endian(picture->png.bytes + 16);
    image.height = big_endian(picture->png.bytes + 20);
    image.colorspace = RGBA;
    image.has_encoded_image_string = true;
    image.encoded_image_string.data = picture->png.bytes;
    image.encoded_image_string.len = picture->png.size;
    snprintf(tag, sizeof tag, "plots/%.200s", picture->name);
    value.tag = tag;
    value.image = &image;
    put_value(e, &value, seconds, step);
}

static double number_at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void put_group(struct events *e, const json_t *line, const char *group, double seconds,
                      int64_t step)
{
    const char *name;
    const json_t *value;
    json_object_foreach(json_object_get(line, group), name, value)
    {
        put_scalar(e, group, name, json_is_number(value) ? json_number_value(value) : NAN, seconds,
                   step);
    }
}

// When and at which step a stage ended.
struct end {
    double seconds;
    int64_t step;
};

static struct end put_stage(struct events *e, const struct dc_stage *stage, const json_t *metrics,
                            const json_t *result, const struct dc_measures *measures)
{
    static const char *const keys[] = {
        "loss",           "learning_rate", "train_accuracy", "validation_accuracy",
        "validation_auc", "validation_r2", "validation_map"};
    double seconds = 0.0;
    int64_t step = 0;
    put_version(e);
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        const json_t *line = json_array_get(metrics, i);
        const char *name = json_string_value(json_object_get(line, "stage"));
        if (!name || strcmp(name, stage->name) != 0)
            continue;
        step = json_integer_value(json_object_get(line, "step"));
        seconds = number_at(line, "seconds");
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
            put_scalar(e, "", keys[k], number_at(line, keys[k]), seconds, step);
        put_group(e, line, "terms", seconds, step);
        put_group(e, line, "gradient_norms", seconds, step);
    }
    put_scalar(e, "test_accuracy", "float", number_at(json_object_get(result, "float"), "accuracy"),
               seconds, step);
    put_scalar(e, "test_accuracy", "integers",
               number_at(json_object_get(result, "int8"), "accuracy"), seconds, step);
    for (int i = 0; i < measures->layer_count; i++)
        if (measures->layers[i]->stage == stage)
            put_histogram(e, measures->layers[i], seconds, step);
    return (struct end){seconds, step};
}

static double start_of(const json_t *environment)
{
    const char *started = json_string_value(json_object_get(environment, "started"));
    struct tm utc = {0};
    return started && strptime(started, "%Y-%m-%dT%H:%M:%SZ", &utc) ? (double)timegm(&utc) : 0.0;
}

static enum dc_status write_stage(struct events *e, struct dc_run *run,
                                  const struct dc_stage *stage, struct dc_arena *arena,
                                  struct dc_error *error)
{
    const char *folder = dc_arena_printf(arena, error, "%s/tensorboard/%s", run->directory,
                                         stage->name);
    const char *path = folder ? dc_arena_printf(arena, error, "%s/" DC_EVENTS_FILE, folder) : NULL;
    if (!path)
        return DC_ERR_MEMORY;
    if (e->failed)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    DC_TRY(dc_make_directory(folder, error));
    dc_sweep_files(path);
    return dc_file_write(path, e->bytes, e->size, error);
}

enum dc_status dc_write_events(struct dc_run *run, const json_t *metrics, const json_t *environment,
                               const struct dc_measures *measures,
                               const struct dc_picture *pictures, int picture_count,
                               struct dc_arena *arena, struct dc_error *error)
{
    enum dc_status status = DC_OK;
    const struct dc_stage *last = NULL;
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const struct dc_stage *stage = &run->experiment->stages[i];
        if (!stage->exports &&
            json_object_get(json_object_get(run->results, "stages"), stage->name))
            last = stage;
    }
    for (int i = 0; i < run->experiment->stage_count && status == DC_OK; i++) {
        const struct dc_stage *stage = &run->experiment->stages[i];
        const json_t *result = json_object_get(json_object_get(run->results, "stages"),
                                               stage->name);
        struct events e = {.started = start_of(environment)};
        if (stage->exports || !result)
            continue;
        const struct end end = put_stage(&e, stage, metrics, result, measures);
        for (int k = 0; k < picture_count && stage == last; k++)
            put_picture(&e, &pictures[k], end.seconds, end.step);
        status = write_stage(&e, run, stage, arena, error);
        free(e.bytes);
    }
    return status;
}

// Owns the lines of metrics.jsonl.

#include "train/metrics.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/schema.h"

static json_t *epoch_object(const struct dc_train_job *job, const struct dc_counters *counters,
                            int epoch, double learning_rate)
{
    json_t *terms = json_object(), *weights = json_object(), *norms = json_object();
    double total = 0.0;
    for (int t = 0; t < job->term_count; t++) {
        const struct dc_loss_term *term = &job->terms[t];
        const double value = counters->term_sums[t] / counters->samples;
        const double weight = dc_loss_term_weight(term, epoch);
        json_object_set_new(terms, term->name, json_real(value));
        json_object_set_new(weights, term->name, json_real(weight));
        json_object_set_new(norms, term->name,
                            json_real(counters->norm_sums[t] / (double)counters->batch));
        total += weight * value;
    }
    json_t *object = json_pack("{s:s, s:i, s:I, s:f, s:f, s:o, s:o, s:o}", "stage", job->stage,
                               "epoch", epoch + 1, "step", (json_int_t)counters->step,
                               "learning_rate", learning_rate, "loss", total, "terms", terms,
                               "weights", weights, "gradient_norms", norms);
    const bool labels = dc_train_has_labels(job);
    if (object && labels)
        json_object_set_new(object, "train_accuracy",
                            json_real(counters->correct / counters->samples));
    char key[32];
    snprintf(key, sizeof key, "validation_%s", dc_measure_names[job->measure].key);
    if (object && job->hooks.evaluate)
        json_object_set_new(object, key, json_real(counters->last_accuracy));
    if (object)
        json_object_set_new(object, "seconds", json_real(counters->seconds));
    return object;
}

enum dc_status dc_metrics_append(const char *path, const struct dc_train_job *job,
                                 const struct dc_counters *counters, int epoch,
                                 double learning_rate, struct dc_error *error)
{
    json_t *object = epoch_object(job, counters, epoch, learning_rate);
    char *line = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!line)
        return dc_fail(error, DC_ERR_NUMERIC, "the metrics of epoch %d are not finite", epoch + 1);
    FILE *file = fopen(path, "ab");
    // on disk before the checkpoint that counts the epoch
    const bool ok = file && fprintf(file, "%s\n", line) > 0 && fflush(file) == 0 &&
                    fsync(fileno(file)) == 0;
    int reason = ok ? 0 : errno;
    if (file && fclose(file) != 0 && !reason)
        reason = errno;
    free(line);
    if (reason)
        return dc_fail(error, DC_ERR_IO, "%s: cannot write: %s", path, strerror(reason));
    return DC_OK;
}

// Whether a line stays: other stages' lines do, and this one's up to `epochs`.
static bool keeps(const char *line, size_t length, const char *stage, int64_t epochs,
                  int64_t *lines)
{
    json_error_t ignored;
    json_t *object = json_loadb(line, length, 0, &ignored);
    const char *name = json_string_value(json_object_get(object, "stage"));
    const bool own = name && strcmp(name, stage) == 0;
    const bool stays = name &&
                       (!own || json_integer_value(json_object_get(object, "epoch")) <= epochs);
    *lines += own && stays;
    json_decref(object);
    return stays;
}

enum dc_status dc_metrics_resume(const char *path, const char *stage, int64_t epochs,
                                 int64_t *lines, struct dc_arena *arena, struct dc_error *error)
{
    char *text = NULL;
    size_t size = 0, kept = 0;
    *lines = 0;
    if (!dc_file_exists(path))
        return DC_OK;
    DC_TRY(dc_file_read(&text, &size, path, arena, error));
    for (size_t at = 0, length; at < size; at += length) {
        const char *end = memchr(text + at, '\n', size - at);
        length = end ? (size_t)(end - text) + 1 - at : size - at;
        // a line without an end was cut off by a kill or a full disk
        if (end && keeps(text + at, length, stage, epochs, lines)) {
            memmove(text + kept, text + at, length);
            kept += length;
        }
    }
    return kept == size ? DC_OK : dc_file_write(path, text, kept, error);
}

// The keys of an object, those within one behind its name, added to a row and to the columns.
static void flatten(json_t *row, json_t *columns, const char *prefix, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        char name[256];
        snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] ? "." : "", key);
        if (json_is_object(value)) {
            flatten(row, columns, name, value);
        } else {
            json_object_set(row, name, value);
            json_object_set_new(columns, name, json_true());
        }
    }
}

// RFC 4180: quoted where it holds what ends a field.
static void append_field(struct dc_text_buffer *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        dc_text_append(out, "%s", text);
        return;
    }
    dc_text_append(out, "\"");
    for (; *text; text++)
        dc_text_append(out, *text == '"' ? "\"\"" : "%c", *text);
    dc_text_append(out, "\"");
}

static void append_row(struct dc_text_buffer *out, const json_t *row, const json_t *columns)
{
    const char *name;
    const json_t *ignored;
    bool first = true;
    json_object_foreach((json_t *)columns, name, ignored)
    {
        const json_t *value = json_object_get(row, name);
        char *number = json_is_number(value)
                           ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9))
                           : NULL;
        dc_text_append(out, first ? "" : ",");
        append_field(out, row ? number                  ? number
                                : json_is_string(value) ? json_string_value(value)
                                                        : ""
                              : name);
        first = false;
        free(number);
    }
    dc_text_append(out, "\n");
}

enum dc_status dc_metrics_write_csv(const char *csv, const char *jsonl, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    struct dc_text_buffer out = {0};
    char *text = NULL;
    size_t size = 0, length;
    if (!dc_file_exists(jsonl))
        return DC_OK;
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = dc_file_read(&text, &size, jsonl, arena, error);
    json_t *rows = json_array(), *columns = json_object();
    for (size_t at = 0; status == DC_OK && at < size; at += length + 1) {
        length = strcspn(text + at, "\n");
        json_t *row = json_object(), *line = json_loadb(text + at, length, 0, NULL);
        flatten(row, columns, "", line);
        if (line)  // else a kill cut it off: its epoch comes again
            json_array_append(rows, row);
        json_decref(row);
        json_decref(line);
    }
    append_row(&out, NULL, columns);
    for (size_t i = 0; i < json_array_size(rows); i++)
        append_row(&out, json_array_get(rows, i), columns);
    json_decref(rows);
    json_decref(columns);
    dc_arena_free(arena);
    if (status == DC_OK)
        status = out.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                            : dc_file_write(csv, out.text, out.length, error);
    dc_text_free(&out);
    return status;
}

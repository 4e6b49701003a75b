// Owns the lines of metrics.jsonl.

#include "train/metrics.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"

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
    if (object && job->hooks.evaluate)
        json_object_set_new(object, labels ? "validation_accuracy" : "validation_auc",
                            json_real(counters->last_accuracy));
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

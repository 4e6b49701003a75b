// Owns the lines of metrics.jsonl.

#include "train/metrics.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static json_t *epoch_object(const struct dc_train_job *job, const struct dc_counters *counters,
                            int epoch, double learning_rate)
{
    json_t *terms = json_object(), *weights = json_object();
    double total = 0.0;
    for (int t = 0; t < job->term_count; t++) {
        const struct dc_loss_term *term = &job->terms[t];
        const double value = counters->term_sums[t] / counters->samples;
        const double weight = dc_loss_term_weight(term, epoch);
        json_object_set_new(terms, term->name, json_real(value));
        json_object_set_new(weights, term->name, json_real(weight));
        total += weight * value;
    }
    json_t *object = json_pack("{s:s, s:i, s:I, s:f, s:f, s:o, s:o, s:f}", "stage", job->stage,
                               "epoch", epoch + 1, "step", (json_int_t)counters->step,
                               "learning_rate", learning_rate, "loss", total, "terms", terms,
                               "weights", weights, "train_accuracy",
                               counters->correct / counters->samples);
    if (object && job->hooks.evaluate)
        json_object_set_new(object, "validation_accuracy", json_real(counters->last_accuracy));
    if (object)
        json_object_set_new(object, "seconds", json_real(counters->seconds));
    return object;
}

enum dc_status dc_metrics_append(const char *path, const struct dc_train_job *job,
                                 const struct dc_counters *counters, int epoch,
                                 double learning_rate, int64_t *bytes, struct dc_error *error)
{
    json_t *object = epoch_object(job, counters, epoch, learning_rate);
    char *line = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!line)
        return dc_fail(error, DC_ERR_NUMERIC, "the metrics of epoch %d are not finite", epoch + 1);
    FILE *file = fopen(path, "ab");
    // on disk before the checkpoint that counts its bytes
    const bool ok = file && fprintf(file, "%s\n", line) > 0 && fflush(file) == 0 && !fsync(fileno(file));
    const long at = ok ? ftell(file) : -1;
    int reason = ok && at >= 0 ? 0 : errno;
    if (file && fclose(file) != 0 && !reason)
        reason = errno;
    free(line);
    if (reason)
        return dc_fail(error, DC_ERR_IO, "%s: cannot write: %s", path, strerror(reason));
    *bytes = at;
    return DC_OK;
}

enum dc_status dc_metrics_truncate(const char *path, int64_t bytes, struct dc_error *error)
{
    struct stat info;
    if (stat(path, &info) == 0 && info.st_size < bytes)
        return dc_fail(error, DC_ERR_DATA,
                       "%s has %lld bytes, but its checkpoint counted %lld: lines were lost", path,
                       (long long)info.st_size, (long long)bytes);
    if (truncate(path, bytes) == 0 || (errno == ENOENT && bytes == 0))
        return DC_OK;
    return dc_fail(error, DC_ERR_IO, "%s: cannot cut back to %lld bytes: %s", path,
                   (long long)bytes, strerror(errno));
}

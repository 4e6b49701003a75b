// Owns the measures of labels that are no classes. It keeps outputs and targets, and counts at the
// end.

#include "train/target_scores.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/math.h"

enum dc_status dc_target_scores_create(struct dc_target_scores **out, enum dc_label_kind kind,
                                       int outputs, int64_t capacity, struct dc_arena *arena,
                                       struct dc_error *error)
{
    struct dc_target_scores *s = DC_NEW(arena, struct dc_target_scores, 1, error);
    float *said = DC_NEW(arena, float, capacity *outputs, error);
    float *is = DC_NEW(arena, float, capacity *outputs, error);
    double *each = DC_NEW(arena, double, outputs, error);
    if (!s || !said || !is || !each)
        return DC_ERR_MEMORY;
    *s = (struct dc_target_scores){.kind = kind,
                                   .outputs = outputs,
                                   .capacity = capacity,
                                   .said = said,
                                   .is = is,
                                   .each = each};
    *out = s;
    return DC_OK;
}

static double loss_of(enum dc_label_kind kind, double z, double t)
{
    const double size = z < 0.0 ? -z : z;
    return kind == DC_LABELS_VALUES ? (z - t) * (z - t)
                                    : (z < 0.0 ? 0.0 : z) - t * z + dc_ln(1.0 + dc_exp(-size));
}

enum dc_status dc_target_scores_add(struct dc_target_scores *s, double *loss, const float *outputs,
                                    const float *targets, int64_t rows, struct dc_error *error)
{
    *loss = 0.0;
    assert(s->samples + rows <= s->capacity);
    for (int64_t i = 0; i < rows * s->outputs; i++) {
        if (!isfinite(outputs[i]))
            return dc_fail(error, DC_ERR_NUMERIC, "the outputs of sample %lld are not finite",
                           (long long)(s->samples + i / s->outputs));
        *loss += loss_of(s->kind, (double)outputs[i], (double)targets[i]) / s->outputs;
    }
    const size_t bytes = (size_t)(rows * s->outputs) * sizeof *outputs;
    memcpy(s->said + s->samples * s->outputs, outputs, bytes);
    memcpy(s->is + s->samples * s->outputs, targets, bytes);
    s->samples += rows;
    return DC_OK;
}

static void measure_values(struct dc_target_scores *s)
{
    for (int o = 0; o < s->outputs; o++) {
        double absolute = 0.0, squared = 0.0, mean = 0.0, spread = 0.0;
        const double samples = (double)s->samples;
        for (int64_t i = o; i < s->samples * s->outputs; i += s->outputs)
            mean += (double)s->is[i] / samples;
        for (int64_t i = o; i < s->samples * s->outputs; i += s->outputs) {
            const double apart = (double)s->said[i] - (double)s->is[i];
            absolute += fabs(apart);
            squared += apart * apart;
            spread += ((double)s->is[i] - mean) * ((double)s->is[i] - mean);
        }
        s->each[o] = absolute / samples;
        s->absolute_error += s->each[o] / s->outputs;
        s->root_squared_error += sqrt(squared / samples) / s->outputs;
        s->r2 += (spread > 0.0 ? 1.0 - squared / spread : squared == 0.0 ? 1.0 : 0.0) / s->outputs;
    }
}

struct ranked {
    float said;
    bool is;
};

static int by_output(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return (x->said < y->said) - (x->said > y->said);
}

// Equal outputs share one rank: they come together, or not at all.
static double average_precision(struct ranked *rows, int64_t count)
{
    double sum = 0.0;
    int64_t above = 0, there = 0;
    qsort(rows, (size_t)count, sizeof *rows, by_output);
    for (int64_t i = 0; i < count;) {
        int64_t end = i, here = 0;
        for (; end < count && rows[end].said == rows[i].said; end++)
            here += rows[end].is;
        above = end;
        there += here;
        sum += (double)here * (double)there / (double)above;
        i = end;
    }
    return there > 0 ? sum / (double)there : NAN;
}

static enum dc_status measure_tags(struct dc_target_scores *s, struct dc_error *error)
{
    struct ranked *rows = dc_alloc(sizeof *rows * (size_t)(s->samples + 1), error);
    int64_t hits = 0, said = 0, there = 0;
    int known = 0;
    double sum = 0.0;
    if (!rows)
        return DC_ERR_MEMORY;
    for (int o = 0; o < s->outputs; o++) {
        for (int64_t i = 0; i < s->samples; i++) {
            const float z = s->said[i * s->outputs + o];
            rows[i] = (struct ranked){z, s->is[i * s->outputs + o] > 0.5f};
            hits += z > 0.0f && rows[i].is;
            said += z > 0.0f;
            there += rows[i].is;
        }
        s->each[o] = average_precision(rows, s->samples);
        known += isfinite(s->each[o]);
        sum += isfinite(s->each[o]) ? s->each[o] : 0.0;
    }
    s->f1 = said + there > 0 ? 2.0 * (double)hits / (double)(said + there) : 1.0;
    s->average_precision = known > 0 ? sum / known : 0.0;
    free(rows);
    return DC_OK;
}

enum dc_status dc_target_scores_finish(struct dc_target_scores *s, struct dc_error *error)
{
    s->absolute_error = s->root_squared_error = s->r2 = 0.0;
    if (s->kind == DC_LABELS_TAGS)
        return measure_tags(s, error);
    if (s->samples > 0)
        measure_values(s);
    return DC_OK;
}

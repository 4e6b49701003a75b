// Owns settings without effect. What trains nothing and cannot be meant is refused; a key that
// another choice makes idle, as a momentum under AdamW, may stand there for the day the choice
// changes: it is told. Keys that a stage inherits are not its own words, and say nothing.

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "qat/fake_quantize.h"
#include "run/experiment_schema.h"

#define OF(member) offsetof(struct dc_stage, member)

// A key that works under some values of a choice.
static const struct {
    const char *group, *key;
    size_t choice;     // an int of struct dc_stage
    unsigned working;  // the values, a bit each
    const char *works;
} conditions[] = {
    {"train", "momentum", OF(train.config.optimizer.kind), 1 << DC_SGD, "optimizer sgd"},
    {"train", "nesterov", OF(train.config.optimizer.kind), 1 << DC_SGD, "optimizer sgd"},
    {"train", "beta1", OF(train.config.optimizer.kind), 1 << DC_ADAMW, "optimizer adamw"},
    {"train", "beta2", OF(train.config.optimizer.kind), 1 << DC_ADAMW, "optimizer adamw"},
    {"train", "epsilon", OF(train.config.optimizer.kind), 1 << DC_ADAMW, "optimizer adamw"},
    {"train", "step_epochs", OF(train.config.schedule.kind), 1 << DC_SCHEDULE_STEP,
     "schedule step"},
    {"train", "step_factor", OF(train.config.schedule.kind),
     1 << DC_SCHEDULE_STEP | 1 << DC_SCHEDULE_MULTI_STEP, "schedule step or multi_step"},
    {"train", "milestones", OF(train.config.schedule.kind), 1 << DC_SCHEDULE_MULTI_STEP,
     "schedule multi_step"},
    {"train", "final_fraction", OF(train.config.schedule.kind), 1 << DC_SCHEDULE_COSINE,
     "schedule cosine"},
    {"train", "label_smoothing", OF(train.loss), 1 << 0, "loss cross_entropy"},
    {"train", "class_weights", OF(train.loss), 1 << 0, "loss cross_entropy"},
    {"quantize", "percentile", OF(quantize.observer), 1 << DC_OBSERVER_PERCENTILE,
     "observer percentile"},
    {"quantize", "average_constant", OF(quantize.observer), 1 << DC_OBSERVER_MOVING_AVERAGE,
     "observer moving_average"},
    {"quantize", "weight_percentile", OF(quantize.weight_observer), 1 << 1,
     "weight_observer percentile"},
    {"quantize", "clip_decay", OF(quantize.activation_scale), 1 << DC_STEP_CLIPPED,
     "activation_scale clipped"},
};

static void warn(const struct dc_log_sink *log, const struct dc_yaml *node, const char *format, ...)
    DC_PRINTF(3, 4);

static void warn(const struct dc_log_sink *log, const struct dc_yaml *node, const char *format, ...)
{
    char text[512], line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(line, sizeof line, "%s:%d:%d: %s", node->where.file, node->where.line,
             node->where.column, text);
    log->write(log->user, DC_LOG_WARNING, line);
}

// The node of a key that the stage itself states, or NULL.
static const struct dc_yaml *stated(const struct dc_stage *stage, const char *group,
                                    const char *key)
{
    const struct dc_yaml *mapping = dc_yaml_get(stage->where, group);
    return mapping && mapping->kind == DC_YAML_MAPPING ? dc_yaml_get(mapping, key) : NULL;
}

// Whether the key stands there with its own default, as in a record of a run.
static bool is_default(const struct dc_yaml *node, const char *group, const char *key)
{
    const struct dc_schema *schema = strcmp(group, "train") == 0 ? &dc__train_schema
                                                                 : &dc__quantize_schema;
    for (int i = 0; i < schema->count; i++) {
        const struct dc_field *field = &schema->fields[i];
        if (strcmp(field->key, key) != 0)
            continue;
        if (node->kind != DC_YAML_SCALAR)
            return node->count == 0;
        char *end_here, *end_there;
        const double here = strtod(node->text, &end_here);
        const double there = strtod(field->fallback, &end_there);
        const bool numbers = *end_here == '\0' && *end_there == '\0';
        return numbers ? here == there : strcmp(node->text, field->fallback) == 0;
    }
    return false;
}

static void warn_of_idle_keys(const struct dc_stage *stage, const struct dc_log_sink *log)
{
    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++) {
        const struct dc_yaml *node = stated(stage, conditions[i].group, conditions[i].key);
        int value;
        memcpy(&value, (const char *)stage + conditions[i].choice, sizeof value);
        if (node && !(conditions[i].working >> value & 1) &&
            !is_default(node, conditions[i].group, conditions[i].key))
            warn(log, node, "stage '%s': '%s' has no effect, it works with %s", stage->name,
                 conditions[i].key, conditions[i].works);
    }
}

static void warn_of_late_terms(const struct dc_stage *stage, const struct dc_log_sink *log)
{
    const struct dc_loss_list *losses = &stage->distill.losses;
    const int epochs = (int)stage->train.config.epochs;
    for (int i = 0; i < losses->count; i++) {
        const struct dc_term_spec *loss = &losses->items[i];
        const char *kind = loss->kind->name;
        if (!loss->where)
            continue;
        if (loss->weight == 0.0)
            warn(log, loss->where, "stage '%s': loss '%s' has weight 0 and no effect", stage->name,
                 kind);
        else if (loss->start_epoch >= epochs)
            warn(log, loss->where,
                 "stage '%s': loss '%s' starts at epoch %lld and has no effect in %d epochs",
                 stage->name, kind, (long long)loss->start_epoch, epochs);
        else if (loss->start_epoch + loss->ramp_epochs > epochs)
            warn(
                log, loss->where,
                "stage '%s': loss '%s' does not reach its weight in %d epochs: its ramp takes %lld",
                stage->name, kind, epochs, (long long)loss->ramp_epochs);
    }
}

// What shapes the loss on labels, in a stage that has none.
static void warn_of_no_labels(const struct dc_stage *stage, const struct dc_log_sink *log)
{
    static const char *const keys[] = {"label_smoothing", "class_weights"};
    for (int i = 0; i < stage->distill.losses.count; i++)
        if (stage->distill.losses.items[i].kind == &dc_term_label)
            return;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct dc_yaml *node = stated(stage, "train", keys[i]);
        if (node && !is_default(node, "train", keys[i]))
            warn(log, node, "stage '%s': '%s' has no effect, it works with loss 'label'",
                 stage->name, keys[i]);
    }
}

static void warn_of_training(const struct dc_stage *stage, const struct dc_log_sink *log)
{
    const struct dc_train_config *train = &stage->train.config;
    const struct dc_numbers *milestones = &stage->train.milestones;
    const int epochs = (int)train->epochs;
    if (epochs == 0)
        warn(log, dc_stage_place(stage, "train", "epochs"), "stage '%s' trains 0 epochs",
             stage->name);
    if (train->learning_rate == 0.0)
        warn(log, dc_stage_place(stage, "train", "learning_rate"),
             "stage '%s': with learning_rate 0 no weight changes", stage->name);
    if (epochs > 0 && train->schedule.warmup_epochs >= epochs)
        warn(log, dc_stage_place(stage, "train", "warmup_epochs"),
             "stage '%s': the warm-up of %g epochs is not over in %d: learning_rate is never "
             "reached",
             stage->name, train->schedule.warmup_epochs, epochs);
    if (train->schedule.kind == DC_SCHEDULE_MULTI_STEP)
        for (int i = 0; i < milestones->count; i++)
            if (milestones->items[i] >= epochs)
                warn(log, dc_stage_place(stage, "train", "milestones"),
                     "stage '%s': the milestone %g lies behind the last of %d epochs", stage->name,
                     milestones->items[i], epochs);
}

static void warn_of_late_quantization(const struct dc_stage *stage, const struct dc_log_sink *log)
{
    const struct dc_quantize_spec *q = &stage->quantize;
    const struct {
        const char *key;
        int64_t epoch;
    } keys[] = {{"freeze_observers_epoch", q->freeze_observers_epoch},
                {"freeze_batch_norm_epoch", q->freeze_batch_norm_epoch}};
    const int64_t epochs = stage->train.config.epochs;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (epochs > 0 && keys[i].epoch >= epochs)
            warn(log, dc_stage_place(stage, "quantize", keys[i].key),
                 "stage '%s': '%s' %lld lies behind the last of %lld epochs, counted from 0, and "
                 "has no effect",
                 stage->name, keys[i].key, (long long)keys[i].epoch, (long long)epochs);
}

void dc_experiment_warn(const struct dc_experiment *experiment, const struct dc_log_sink *log)
{
    for (int i = 0; log->write && i < experiment->stage_count; i++) {
        const struct dc_stage *stage = &experiment->stages[i];
        if (stage->exports)
            continue;
        warn_of_idle_keys(stage, log);
        if (stage->trains)
            warn_of_training(stage, log);
        if (stage->trains && stage->quantizes)
            warn_of_late_quantization(stage, log);
        if (stage->trains && stage->distills) {
            warn_of_late_terms(stage, log);
            warn_of_no_labels(stage, log);
        }
    }
}

static enum dc_status check_losses(const struct dc_stage *stage, struct dc_error *error)
{
    const struct dc_loss_list *losses = &stage->distill.losses;
    bool any = false;
    for (int i = 0; i < losses->count; i++) {
        const struct dc_term_spec *loss = &losses->items[i];
        if (loss->end_epoch > 0 && loss->end_epoch <= loss->start_epoch)
            return dc_fail_yaml(error, loss->where,
                                "stage '%s': loss '%s' ends before epoch %lld and starts at %lld",
                                stage->name, loss->kind->name, (long long)loss->end_epoch,
                                (long long)loss->start_epoch);
        if (loss->kind == &dc_term_dist && stage->train.config.batch == 1 &&
            ((const struct dc_dist_attributes *)loss->attributes)->gamma != 0.0f)
            return dc_fail_yaml(error, loss->where,
                                "stage '%s': loss 'dist' correlates classes over the batch, and "
                                "train.batch is 1; choose a larger one, or gamma: 0",
                                stage->name);
        any = any || loss->weight > 0.0;
    }
    if (any)
        return DC_OK;
    return dc_fail_yaml(error, dc_stage_place(stage, "distill", "losses"),
                        "stage '%s' has no loss%s: nothing would be learned", stage->name,
                        losses->count > 0 ? " with a weight above 0" : "");
}

enum dc_status dc__check_effect(const struct dc_stage *stage, struct dc_error *error)
{
    const struct dc_numbers *milestones = &stage->train.milestones;
    if (!stage->trains)
        return DC_OK;
    for (int i = 1; i < milestones->count; i++)
        if (milestones->items[i] <= milestones->items[i - 1])
            return dc_fail_yaml(error, dc_stage_place(stage, "train", "milestones"),
                                "stage '%s': milestones rise, and %g follows %g", stage->name,
                                milestones->items[i], milestones->items[i - 1]);
    if (stage->train.config.schedule.kind == DC_SCHEDULE_MULTI_STEP && milestones->count == 0)
        return dc_fail_yaml(error, dc_stage_place(stage, "train", "schedule"),
                            "stage '%s': schedule multi_step needs milestones: [EPOCH, ...]",
                            stage->name);
    return stage->distills ? check_losses(stage, error) : DC_OK;
}

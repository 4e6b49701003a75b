// Owns the sweep file and its frozen list of tasks. What a task does is sweep_task.c's.

#include "run/sweep_file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "core/file.h"
#include "core/folder.h"
#include "core/json.h"
#include "core/math.h"
#include "core/random.h"
#include "core/search.h"
#include "core/suggest.h"
#include "run/run_internal.h"

enum method { GRID, RANDOM };
static const char *const methods[] = {"grid", "random", NULL};

struct keys {
    const char *experiment;
    const struct dc_yaml *axes;
    int method;
    int64_t samples, seed;
};

static enum dc_status decode_axes(const struct dc_decoder *decoder, void *field,
                                  const struct dc_yaml *node, struct dc_error *error)
{
    (void)decoder;
    if (node->kind != DC_YAML_MAPPING || node->count < 1 || node->count > DC_SWEEP_AXES)
        return dc_fail_yaml(error, node,
                            "axes are 1 to %d keys of the experiment with their values",
                            DC_SWEEP_AXES);
    *(const struct dc_yaml **)field = node;
    return DC_OK;
}

static const struct dc_field fields[] = {
    DC_FIELD(keys, "experiment", TEXT, experiment, NULL,
             .help = "the experiment, by name or as a file beside this one"),
    DC_FIELD(keys, "axes", CUSTOM, axes, NULL, .decode = decode_axes,
             .help = "KEY: [VALUES] of the experiment; of a random sweep KEY: {low, high, log, "
                     "whole} too"),
    DC_FIELD(keys, "method", CHOICE, method, "grid", .choices = methods,
             .help = "grid: all combinations; random: so many drawn"),
    DC_FIELD(keys, "samples", INT, samples, "0", .maximum = DC_SWEEP_TASKS,
             .help = "tasks of a random sweep"),
    DC_FIELD(keys, "seed", INT, seed, "1", .maximum = UINT32_MAX, .help = "of what is drawn"),
};
const struct dc_schema dc_sweep_schema = DC_SCHEMA("sweep", fields);

struct range_keys {
    double low, high;
    bool log, whole;
};
static const struct dc_field range_fields[] = {
    DC_FIELD(range_keys, "low", REAL, low, NULL, .minimum = -1e30, .maximum = 1e30,
             .help = "the least"),
    DC_FIELD(range_keys, "high", REAL, high, NULL, .minimum = -1e30, .maximum = 1e30,
             .help = "the largest"),
    DC_FIELD(range_keys, "log", BOOL, log, "false",
             .help = "evenly by size: as often 0.01 to 0.1 "
                     "as 0.1 to 1"),
    DC_FIELD(range_keys, "whole", BOOL, whole, "false", .help = "whole numbers alone"),
};
static const struct dc_schema range_schema = DC_SCHEMA("an axis", range_fields);

// As --set takes it: a scalar as it stands, else YAML in one line.
static char *value_text(const struct dc_yaml *node, struct dc_arena *arena, struct dc_error *error)
{
    if (node->kind == DC_YAML_SCALAR && !node->quoted)
        return dc_arena_copy(arena, node->text, error);
    json_t *json = dc_json_of_yaml(node);
    char *text = json ? json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    char *copy = text ? dc_arena_copy(arena, text, error) : NULL;
    if (!text)
        dc_fail(error, DC_ERR_MEMORY, "out of memory");
    free(text);
    json_decref(json);
    return copy;
}

static enum dc_status draw(char **value, const struct dc_yaml *node, struct dc_random *random,
                           struct dc_arena *arena, struct dc_error *error)
{
    const struct dc_decoder decoder = {arena, NULL, NULL};
    struct range_keys range = {0};
    if (node->kind == DC_YAML_SEQUENCE) {
        *value = value_text(node->items[dc_random_below(random, (uint32_t)node->count)], arena,
                            error);
        return *value ? DC_OK : DC_ERR_MEMORY;
    }
    DC_TRY(dc_schema_defaults(&range_schema, &range, &decoder, error));
    DC_TRY(dc_schema_decode(&range_schema, &range, node, "axis", true, &decoder, error));
    if (!(range.high > range.low) || (range.log && range.low <= 0.0))
        return dc_fail_yaml(error, node, "an axis goes from low up to high%s",
                            range.log ? ", and above 0 where it is log" : "");
    const double share = (double)dc_random_unit(random);
    double drawn = range.log
                       ? dc_exp(dc_ln(range.low) + share * (dc_ln(range.high) - dc_ln(range.low)))
                       : range.low + share * (range.high - range.low);
    drawn = range.whole ? rint(drawn) : drawn;
    *value = dc_arena_printf(arena, error, "%.6g", drawn);
    return *value ? DC_OK : DC_ERR_MEMORY;
}

static bool same_value(const char *a, const char *b)
{
    char *a_end, *b_end;
    const double x = strtod(a, &a_end), y = strtod(b, &b_end);
    const bool numbers = a_end > a && b_end > b && !*a_end && !*b_end;
    return strcmp(a, b) == 0 || (numbers && x == y);
}

// Each value of a list once: runs of the same settings are no independent ones.
static enum dc_status check_values(const struct dc_yaml *axis, const char *key,
                                   struct dc_arena *arena, struct dc_error *error)
{
    const char **values = DC_NEW(arena, const char *, axis->count, error);
    if (!values)
        return DC_ERR_MEMORY;
    for (int i = 0; i < axis->count; i++) {
        if (!(values[i] = value_text(axis->items[i], arena, error)))
            return DC_ERR_MEMORY;
        for (int k = 0; k < i; k++)
            if (same_value(values[k], values[i]))
                return dc_fail_yaml(error, axis->items[i],
                                    "axis '%s' has the value %s twice; leave one out", key,
                                    values[i]);
    }
    return DC_OK;
}

static enum dc_status count_tasks(struct dc_sweep *s, const struct keys *keys,
                                  const struct dc_yaml *root, struct dc_error *error)
{
    double all = 1.0;
    for (int a = 0; a < keys->axes->count; a++) {
        const struct dc_yaml *axis = keys->axes->items[a];
        s->keys[a] = keys->axes->keys[a]->text;
        if (axis->kind == DC_YAML_SCALAR || axis->count == 0 ||
            (axis->kind == DC_YAML_MAPPING && keys->method == GRID))
            return dc_fail_yaml(error, axis, "axis '%s' is a list of values%s", s->keys[a],
                                axis->kind == DC_YAML_MAPPING ? "; ranges are for method: random"
                                                              : "");
        if (axis->kind == DC_YAML_SEQUENCE)
            DC_TRY(check_values(axis, s->keys[a], s->arena, error));
        all *= axis->count;
    }
    s->axis_count = keys->axes->count;
    if (keys->method == RANDOM)
        all = (double)keys->samples;
    if (all < 1.0)
        return dc_fail_yaml(error, root, "a random sweep needs samples: how many tasks");
    if (all > DC_SWEEP_TASKS)
        return dc_fail_yaml(error, keys->axes, "%.0f tasks are more than the %d that there may be",
                            all, DC_SWEEP_TASKS);
    s->task_count = (int)all;
    s->tasks = DC_NEW(s->arena, struct dc_sweep_task, s->task_count, error);
    return s->tasks ? DC_OK : DC_ERR_MEMORY;
}

// Task number t of the grid, where the last axis changes fastest, or what is drawn t-th.
static enum dc_status make_task(struct dc_sweep_task *task, const struct dc_sweep *s,
                                const struct keys *keys, int t, struct dc_error *error)
{
    struct dc_random random;
    int rest = t;
    dc_random_start(&random, (uint32_t)keys->seed, DC_PURPOSE_SWEEP, 0, (uint64_t)t);
    task->hash = DC_HASH_START;
    for (int a = s->axis_count - 1; a >= 0; a--) {
        const struct dc_yaml *axis = keys->axes->items[a];
        char *value = NULL;
        if (keys->method == RANDOM)
            DC_TRY(draw(&value, axis, &random, s->arena, error));
        else if (!(value = value_text(axis->items[rest % axis->count], s->arena, error)))
            return DC_ERR_MEMORY;
        rest /= axis->count > 0 ? axis->count : 1;
        task->overrides[a] = dc_arena_printf(s->arena, error, "%s=%s", s->keys[a], value);
        if (!task->overrides[a])
            return DC_ERR_MEMORY;
        task->hash = dc_hash_bytes(task->hash, task->overrides[a], strlen(task->overrides[a]));
    }
    return DC_OK;
}

// What was drawn before is drawn again, up to DRAWS times a task; of fewer combinations than
// samples there are fewer tasks. Until find_donors a task's hash is that of its values.
static enum dc_status make_tasks(struct dc_sweep *s, const struct keys *keys,
                                 struct dc_error *error)
{
    enum { DRAWS = 20 };
    const int draws = s->task_count * (keys->method == RANDOM ? DRAWS : 1);
    int made = 0;
    for (int d = 0; d < draws && made < s->task_count; d++) {
        int other = 0;
        DC_TRY(make_task(&s->tasks[made], s, keys, d, error));
        while (s->tasks[other].hash != s->tasks[made].hash)
            other++;
        made += other == made;
    }
    s->task_count = made;
    return DC_OK;
}

// The value of an axis that a task has, as the file says it; of what was drawn the axis.
static const struct dc_yaml *place_of_value(const struct dc_yaml *axis, const char *value,
                                            struct dc_arena *arena)
{
    for (int i = 0; axis->kind == DC_YAML_SEQUENCE && i < axis->count; i++) {
        const char *text = value_text(axis->items[i], arena, NULL);
        if (text && strcmp(text, value) == 0)
            return axis->items[i];
    }
    return axis;
}

// What is wrong with a key or value that an axis gave is told with its place in the sweep's file,
// in place of that in "--set KEY"; other errors with the settings of the task.
static enum dc_status place_error(enum dc_status status, const struct dc_sweep *s,
                                  const struct keys *keys, int task, struct dc_error *error)
{
    char text[DC_ERROR_BYTES], settings[512];
    if (!error)
        return status;
    for (int a = 0; a < s->axis_count; a++) {
        const size_t length = strlen("--set ") + strlen(s->keys[a]);
        snprintf(text, sizeof text, "--set %s", s->keys[a]);
        if (strncmp(error->message, text, length) != 0 || !strchr(":=", error->message[length]))
            continue;
        memcpy(text, error->message, sizeof text);
        const bool of_value = text[length] == ':' && text[length + 1] == '1';
        const char *value = strchr(s->tasks[task].overrides[a], '=') + 1;
        const struct dc_yaml *place = of_value
                                          ? place_of_value(keys->axes->items[a], value, s->arena)
                                          : keys->axes->keys[a];
        const char *head = strstr(text + length, ": ") + 2;
        char *end = text + strcspn(text, "\n"), *hint = strchr(end, '^'), *note = NULL;
        if (strncmp(head, "error: ", 7) == 0)
            head += 7;
        *end = '\0';
        if (hint) {
            hint += strspn(hint, "^~ ");
            note = hint + strcspn(hint, "\n");
            if (*note)
                *note++ = '\0';
            char *to = note;
            for (const char *c = note; *c; c++) {  // lines become words again
                const bool space = *c == ' ' || *c == '\n';
                if (!space || (to > note && to[-1] != ' '))
                    *to++ = space ? ' ' : *c;
            }
            *to = '\0';
        }
        return dc_fail_at(error, status, &place->where, hint && *hint ? hint : NULL, note,
                          "axis '%s': %s", s->keys[a], head);
    }
    dc_join(settings, sizeof settings, s->tasks[task].overrides, s->axis_count);
    return dc_context(status, error, "%s: task %d (%s)", s->file, task, settings);
}

// Every task's experiment holds; which stages are the same in several tasks.
static enum dc_status find_donors(struct dc_sweep *s, const struct keys *keys,
                                  struct dc_error *error)
{
    const size_t places = (size_t)s->task_count * DC_STAGES_MAX;
    uint64_t *hashes = DC_NEW(s->arena, uint64_t, places, error);
    s->donors = DC_NEW(s->arena, int, places, error);
    if (!hashes || !s->donors)
        return DC_ERR_MEMORY;
    for (size_t i = 0; i < places; i++)
        s->donors[i] = -1;
    for (int t = 0; t < s->task_count; t++) {
        struct dc_experiment *experiment = NULL;
        json_t *report = NULL;
        enum dc_status status = dc_experiment_read(&experiment, s->experiment,
                                                   s->tasks[t].overrides, s->axis_count, error);
        if (status == DC_OK && experiment->seeds.count > 0)
            status = dc_fail(error, DC_ERR_CONFIG,
                             "%s has 'seeds'; of a sweep, seeds are an axis: seed: [1, 2, 3]",
                             s->experiment);
        if (status == DC_OK)
            status = dc_run_check(experiment, &report, error);
        if (status == DC_ERR_BUDGET)  // the task will fail, and say so
            status = DC_OK;
        json_decref(report);
        s->tasks[t].hash = DC_HASH_START;
        for (int i = 0; status == DC_OK && i < experiment->stage_count; i++) {
            uint64_t *hash = &hashes[t * DC_STAGES_MAX + i];
            const char *name = experiment->stages[i].name;
            status = dc_stage_hash(hash, experiment, &experiment->stages[i], error);
            s->tasks[t].hash = dc_hash_bytes(s->tasks[t].hash, name, strlen(name) + 1);
            s->tasks[t].hash = dc_hash_bytes(s->tasks[t].hash, hash, sizeof *hash);
            for (int other = 0; other < t && !experiment->stages[i].exports; other++)
                if (hashes[other * DC_STAGES_MAX + i] == *hash) {
                    s->donors[t * DC_STAGES_MAX + i] = other;
                    s->donors[other * DC_STAGES_MAX + i] = other;
                    break;
                }
        }
        dc_experiment_free(experiment);
        if (status != DC_OK)
            return place_error(status, s, keys, t, error);
    }
    return DC_OK;
}

// Line by line: other tasks, or the same of an experiment or files that have changed.
static enum dc_status compare(const struct dc_sweep *s, const char *path, const char *frozen,
                              const char *now, struct dc_error *error)
{
    for (int t = 0; t < s->task_count; t++) {
        const size_t old_length = strcspn(frozen, "\n"), length = strcspn(now, "\n");
        if (old_length != length || memcmp(frozen, now, length) != 0) {
            json_t *was = json_loadb(frozen, old_length, 0, NULL);
            json_t *is = json_loadb(now, length, 0, NULL);
            const bool same = json_equal(json_object_get(was, "settings"),
                                         json_object_get(is, "settings"));
            const bool hashed = json_object_get(was, "hash") != NULL;
            json_decref(was);
            json_decref(is);
            if (same && hashed)
                return dc_fail(error, DC_ERR_CONFIG,
                               "%s: task %d was frozen with other content of %s or of a file that "
                               "it reads (model, target, weights); take back the change, or choose "
                               "another directory with --run",
                               path, t, s->experiment);
            if (same)
                return dc_fail(error, DC_ERR_CONFIG,
                               "%s: was frozen by a Decant that did not note what its tasks read; "
                               "choose another directory with --run",
                               path);
            break;
        }
        frozen += old_length + (frozen[old_length] != '\0');
        now += length + 1;
        if (t == s->task_count - 1 && !*frozen)
            return DC_OK;
    }
    return dc_fail(error, DC_ERR_CONFIG,
                   "%s: was frozen with other tasks than %s says now; take back the change, or "
                   "choose another directory with --run",
                   path, s->file);
}

// {"task": 3, "settings": {KEY: VALUE}, "hash": "0123456789abcdef"} a line.
static enum dc_status freeze(const struct dc_sweep *s, struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    char *before = NULL, *path = dc_arena_printf(s->arena, error, "%s/sweep.jsonl", s->directory);
    if (!path)
        return DC_ERR_MEMORY;
    for (int t = 0; t < s->task_count; t++) {
        json_t *settings = json_object();
        for (int a = 0; a < s->axis_count; a++)
            json_object_set_new(settings, s->keys[a],
                                json_string(strchr(s->tasks[t].overrides[a], '=') + 1));
        char hash[32];
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)s->tasks[t].hash);
        json_t *line = json_pack("{s:i, s:o, s:s}", "task", t, "settings", settings, "hash", hash);
        char *dump = line ? json_dumps(line, JSON_COMPACT) : NULL;
        text.failed = text.failed || !dump;
        dc_text_append(&text, "%s\n", dump ? dump : "");
        free(dump);
        json_decref(line);
    }
    enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory") : DC_OK;
    if (status == DC_OK && dc_file_exists(path)) {
        status = dc_file_read(&before, NULL, path, s->arena, error);
        if (status == DC_OK)
            status = compare(s, path, before, text.text, error);
    } else if (status == DC_OK) {
        bool empty = false;
        status = dc_folder_is_empty(&empty, s->directory, error);
        if (status == DC_OK && !empty)
            status = dc_fail(error, DC_ERR_USAGE,
                             "%s is neither a sweep's directory nor empty, so nothing is written "
                             "there; choose another with --run",
                             s->directory);
        if (status == DC_OK)
            status = dc_make_directory(s->directory, error);
        if (status == DC_OK)
            status = dc_file_write(path, text.text, text.length, error);
    }
    dc_text_free(&text);
    return status;
}

// sweeps/NAME, by the file's name.
static const char *default_directory(const struct dc_sweep *s, struct dc_error *error)
{
    const char *slash = strrchr(s->file, '/'), *name = slash ? slash + 1 : s->file;
    const char *dot = strrchr(name, '.');
    return dc_arena_printf(s->arena, error, "sweeps/%.*s",
                           dot && dot > name ? (int)(dot - name) : (int)strlen(name), name);
}

static enum dc_status open_sweep(struct dc_sweep *s, const char *file, const char *directory,
                                 struct dc_error *error)
{
    const struct dc_decoder decoder = {s->arena, NULL, NULL};
    const struct dc_yaml *root = NULL;
    struct keys keys = {0};
    char *path = NULL;
    s->file = dc_arena_copy(s->arena, file, error);
    if (!s->file)
        return DC_ERR_MEMORY;
    s->directory = directory ? dc_arena_copy(s->arena, directory, error)
                             : default_directory(s, error);
    if (!s->directory)
        return DC_ERR_MEMORY;
    DC_TRY(dc_yaml_read(&root, file, s->arena, error));
    DC_TRY(dc_schema_defaults(&dc_sweep_schema, &keys, &decoder, error));
    DC_TRY(dc_schema_decode(&dc_sweep_schema, &keys, root, "sweep", true, &decoder, error));
    DC_TRY(dc_search(&path, DC_SEARCH_EXPERIMENT, keys.experiment, file, s->arena, error));
    s->experiment = path;
    DC_TRY(count_tasks(s, &keys, root, error));
    DC_TRY(make_tasks(s, &keys, error));
    DC_TRY(find_donors(s, &keys, error));
    return freeze(s, error);
}

enum dc_status dc_sweep_open(struct dc_sweep **out, const char *file, const char *directory,
                             struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *out = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_sweep *s = DC_NEW(arena, struct dc_sweep, 1, error);
    enum dc_status status = s ? DC_OK : DC_ERR_MEMORY;
    if (s)
        s->arena = arena;
    if (status == DC_OK)
        status = open_sweep(s, file, directory, error);
    if (status == DC_OK)
        *out = s;
    else
        dc_arena_free(arena);
    return status;
}

// As a run's: flock, here of the list, and LOCK in words.
enum dc_status dc_sweep_lock(struct dc_sweep *s, bool break_lock, struct dc_error *error)
{
    char holder[512];
    const char *list = dc_arena_printf(s->arena, error, "%s/sweep.jsonl", s->directory);
    struct dc_run *lock = DC_NEW(s->arena, struct dc_run, 1, error);
    if (!list || !lock)
        return DC_ERR_MEMORY;
    lock->arena = s->arena;
    lock->directory = dc_arena_copy(s->arena, s->directory, error);
    lock->break_lock = break_lock;
    if (!lock->directory)
        return DC_ERR_MEMORY;
    FILE *file = fopen(list, "re");
    if (!file)
        return dc_fail(error, DC_ERR_IO, "%s: cannot read: %s", list, strerror(errno));
    lock->flocked = flock(fileno(file), LOCK_EX | LOCK_NB) == 0;
    enum dc_status status = DC_OK;
    if (!lock->flocked && errno == EWOULDBLOCK)
        status = dc_fail(error, DC_ERR_USAGE,
                         "%s: another decant sweep is at work here%s; wait for it, or choose "
                         "another directory with --run",
                         s->directory, dc__lock_holder(holder, lock));
    if (status == DC_OK)
        status = dc__lock(lock, error);
    if (status != DC_OK) {
        fclose(file);
        return status;
    }
    lock->log_file = file;
    s->lock = lock;
    return DC_OK;
}

void dc_sweep_close(struct dc_sweep *sweep)
{
    if (!sweep)
        return;
    if (sweep->lock) {
        dc__unlock(sweep->lock);
        fclose(sweep->lock->log_file);
    }
    dc_arena_free(sweep->arena);
}

// Owns what `decant init` finds and chooses. Nothing is guessed in silence: a choice is a sentence
// in the experiment (run/init_text.c), an oddity a note. Networks are chosen by trying: a candidate
// is written, read and checked as `decant check` would, and the first within the budgets is taken.

#include "run/init.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/search.h"
#include "data/inspect.h"
#include "run/init_internal.h"
#include "run/run.h"

// What a common Cortex-M4 gives a network, where the target states no budget of its own.
static const struct dc__init_cost usual = {15000000, 256 * 1024, 128 * 1024};

// Widths from large to small; 0 ends.
static const int widths[DC__INIT_FAMILIES][8] = {
    [DC__INIT_IMAGES] = {32, 24, 16, 12, 8, 6, 4},
    [DC__INIT_SERIES] = {64, 48, 32, 24, 16, 8},
    [DC__INIT_NUMBERS] = {256, 128, 64, 32, 16, 8},
};
static const int student_blocks[DC__INIT_FAMILIES] = {1, 1, 2};

// Teachers from large to small: times the student's width, and more blocks than it.
static const struct {
    double width;
    int blocks;
} teachers[] = {{2.0, 1}, {2.0, 0}, {1.5, 0}};

enum { TEACHERS = sizeof teachers / sizeof teachers[0] };

// Multiplications a second of training (forward ones counted) of two cores: one of a Zen 5 that did
// other work too reached half of it. Samples seen in training that few data need; a run's longest
// time.
static const double macs_a_second = 25e9, samples_wanted = 300000.0, longest_seconds = 720.0;

// A teacher may cost this share of the epochs that the data wants.
static const double epochs_kept = 0.5;

enum { PHOTO_SIDE = 64, QUICK_SAMPLES = 2000, FEW = 500 };

static enum dc_status note(struct dc__init_plan *p, struct dc_error *error, const char *format, ...)
    DC_PRINTF(3, 4);

static enum dc_status note(struct dc__init_plan *p, struct dc_error *error, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return json_array_append_new(p->notes, json_string(text)) == 0
               ? DC_OK
               : dc_fail(error, DC_ERR_MEMORY, "out of memory");
}

// The folder of models and targets: beside the program, as it is built and as it is installed.
static int64_t or_usual(int64_t stated, int64_t otherwise)
{
    return stated > 0 ? stated : otherwise;
}

// A name stays one in the experiment; a file is named by its whole path.
static enum dc_status find_target(struct dc__init_plan *p, struct dc_error *error)
{
    const char *given = p->options->target;
    char *path = NULL, *absolute = NULL;
    struct dc_experiment *read = dc_arena_alloc(p->arena, sizeof *read, error);
    if (!read)
        return DC_ERR_MEMORY;
    DC_TRY(dc_search(&path, DC_SEARCH_TARGET, given, NULL, p->arena, error));
    if (!dc_file_exists(path))
        return dc_search_fail(error, NULL, "--target: ", DC_SEARCH_TARGET, given, path);
    DC_TRY(dc_path_absolute(&absolute, path, NULL, p->arena, error));
    *read = (struct dc_experiment){.arena = p->arena, .target = absolute};
    DC_TRY(dc_target_read(read, error));
    // What stands here as a file is not found by its name from elsewhere.
    p->target = dc_file_exists(given) || strchr(given, '/') || dc_path_ends(given, ".yaml")
                    ? absolute
                    : given;
    p->limits = read->limits;
    p->budget = (struct dc__init_cost){or_usual(p->limits.macs, usual.macs),
                                       or_usual(p->limits.flash, usual.flash),
                                       or_usual(p->limits.ram, usual.ram)};
    return DC_OK;
}

// The data's last name with what a name may not have as '-', and the path as the experiment says
// it.
static enum dc_status name_data(struct dc__init_plan *p, const char *path, struct dc_error *error)
{
    char *absolute = NULL, *name;
    if (strchr(path, '$'))
        return dc_fail(error, DC_ERR_USAGE,
                       "%s: an experiment would read the $ as a variable of the environment; "
                       "rename the folder",
                       path);
    DC_TRY(dc_path_absolute(&absolute, path, NULL, p->arena, error));
    const char *base = strrchr(absolute, '/') ? strrchr(absolute, '/') + 1 : absolute;
    const char *ending = p->options->quick ? "-quick" : "";
    name = dc_arena_printf(p->arena, error, "%.60s", base[0] ? base : "data");
    if (!name)
        return DC_ERR_MEMORY;
    char *dot = strchr(name, '.');
    if (dot && dot != name)
        *dot = '\0';
    for (char *c = name; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *c))
            *c = '-';
    if (!name[strspn(name, "-_")])
        name = dc_arena_copy(p->arena, "data", error);
    if (!name)
        return DC_ERR_MEMORY;
    // A first look has a run directory of its own.
    name = dc_arena_printf(p->arena, error, "%s%s", name, ending);
    if (!name)
        return DC_ERR_MEMORY;
    // A relative path holds from the folder of the experiment.
    p->path = path[0] != '/' && strchr(p->options->out, '/') ? absolute : path;
    p->name = name;
    return DC_OK;
}

// What is odd about them: few samples of a label, none to test on, many more of one class.
static enum dc_status note_counts(struct dc__init_plan *p, const json_t *names,
                                  const struct dc_label_counts *train,
                                  const struct dc_label_counts *test, struct dc_error *error)
{
    const char *what = p->labels == DC_LABELS_TAGS ? "tag" : "class";
    int least = 0, most = 0;
    for (int c = 0; c < p->classes; c++) {
        least = train->of[c] < train->of[least] ? c : least;
        most = train->of[c] > train->of[most] ? c : most;
    }
    const char *rare = json_string_value(json_array_get(names, (size_t)least));
    if (train->of[least] < 20)
        DC_TRY(note(p, error, "%s '%s' has %lld samples to train on: expect little of it", what,
                    rare, (long long)train->of[least]));
    if (p->labels == DC_LABELS_CLASSES && train->of[most] > 10 * train->of[least])
        DC_TRY(note(p, error,
                    "class '%s' has %.0f times the samples of '%s': accuracy will say little of "
                    "the latter",
                    json_string_value(json_array_get(names, (size_t)most)),
                    (double)train->of[most] / (double)train->of[least], rare));
    for (int c = 0; c < p->classes; c++)
        if (test->of[c] == 0)
            DC_TRY(note(p, error, "%s '%s' has no test sample", what,
                        json_string_value(json_array_get(names, (size_t)c))));
    return DC_OK;
}

enum { TRAIN, VALIDATION, TEST, PARTS };

static enum dc_status take_counts(struct dc__init_plan *p, json_t *found, const char *const *names,
                                  const struct dc_label_counts parts[PARTS], struct dc_error *error)
{
    static const char *const keys[PARTS] = {"train", "validation", "test"};
    json_t *list = json_array(), *samples = json_object();
    json_object_set_new(found, "names", list);
    json_object_set_new(found, "samples", samples);
    for (int c = 0; c < p->classes; c++)
        json_array_append_new(list, names ? json_string(names[c]) : json_sprintf("%d", c));
    for (int k = 0; k < PARTS; k++) {
        json_t *counts = json_array();
        for (int c = 0; c < p->classes; c++)
            json_array_append_new(counts, json_integer(parts[k].of[c]));
        json_object_set_new(found, keys[k], counts);
        json_object_set_new(samples, keys[k], json_integer(parts[k].samples));
    }
    p->train = parts[TRAIN].samples;
    p->validation = parts[VALIDATION].samples;
    p->test = parts[TEST].samples;
    return p->labels == DC_LABELS_VALUES ? DC_OK
                                         : note_counts(p, list, &parts[TRAIN], &parts[TEST], error);
}

static enum dc_status choose_size(struct dc__init_plan *p, struct dc_error *error)
{
    static const int sides[] = {PHOTO_SIDE, 48, 32, 24, 16};
    const struct dc_photo_survey *s = &p->survey;
    size_t i = 0;
    if (s->equal && s->height <= PHOTO_SIDE && s->width <= PHOTO_SIDE) {
        p->sample = DC_SHAPE(s->height, s->width, p->channels);
        p->resize_why = dc_arena_printf(p->arena, error,
                                        "All are %dx%d (height x width): taken as "
                                        "they are.",
                                        s->height, s->width);
        return p->resize_why ? DC_OK : DC_ERR_MEMORY;
    }
    while (i + 1 < sizeof sides / sizeof sides[0] && sides[i] > s->tenth_side)
        i++;
    const bool crops = 4 * s->elongated <= s->count;
    p->resize = (struct dc_resize){sides[i], sides[i], DC_RESIZE_BILINEAR,
                                   crops ? DC_FIT_CROP : DC_FIT_STRETCH};
    p->sample = DC_SHAPE(sides[i], sides[i], p->channels);
    p->resize_why = dc_arena_printf(
        p->arena, error,
        "Shorter sides are %d to %d pixels, half of them below %d. %d keeps what a small "
        "network\n  # can use; time and memory grow with its square.",
        s->least_side, s->most_side, s->middle_side, sides[i]);
    p->fit_why = dc_arena_printf(p->arena, error,
                                 crops
                                     ? "%.0f %% are long (over 3:2): the middle of each is taken."
                                     : "%.0f %% are long (over 3:2), and a crop would lose much of "
                                       "them: all are stretched.",
                                 100.0 * (double)s->elongated / (double)s->count);
    return p->resize_why && p->fit_why ? DC_OK : DC_ERR_MEMORY;
}

static enum dc_status find_photos(struct dc__init_plan *p, json_t *found,
                                  const struct dc_source_spec *spec, struct dc_error *error)
{
    struct dc_photo_survey *s = &p->survey;
    DC_TRY(dc_survey_photos(s, spec, p->arena, error));
    if (s->unreadable > 0) {
        struct dc_text_buffer list = {0};
        for (int i = 0; i < s->unreadable && i < DC_SURVEY_FAILURES; i++)
            dc_text_append(&list, "\n  %s", s->failures[i]);
        const enum dc_status status = dc_fail(
            error, DC_ERR_DATA,
            "%s: %lld photographs cannot be read; mend them or take them out:%s", spec->path,
            (long long)s->unreadable, list.text ? list.text : "");
        dc_text_free(&list);
        return status;
    }
    p->photos = p->bytes = true;
    p->classes = s->classes;
    p->channels = s->grey == s->count ? 1 : 3;
    const struct dc_label_counts parts[PARTS] = {s->train, s->validation, s->test};
    DC_TRY(take_counts(p, found, s->class_names, parts, error));
    if (s->note)
        DC_TRY(note(p, error, "%s", s->note));
    if (s->grey > 0 && s->grey < s->count)
        DC_TRY(note(p, error, "%lld of %lld photographs are grey; all are read as colour",
                    (long long)s->grey, (long long)s->count));
    DC_TRY(choose_size(p, error));
    if (s->least_side < p->sample.dims[0] && p->resize.height > 0)
        DC_TRY(note(p, error, "the smallest photograph has a side of %d pixels and is enlarged",
                    s->least_side));
    return DC_OK;
}

// Networks read images [height, width, channels], series [steps, 1, channels] and lists of numbers.
static enum dc_status choose_family(struct dc__init_plan *p, struct dc_error *error)
{
    char text[DC_SHAPE_TEXT];
    const struct dc_shape *s = &p->sample;
    if (s->rank == 1)
        p->family = DC__INIT_NUMBERS;
    else if (s->rank == 3 && s->dims[1] == 1)
        p->family = DC__INIT_SERIES;
    else if (s->rank == 3)
        p->family = DC__INIT_IMAGES;
    else
        return dc_fail(error, DC_ERR_DATA,
                       "%s: samples of %s: init knows images, series and lists of numbers; write "
                       "the experiment yourself, from one of experiments/",
                       p->path, dc_shape_text(text, s));
    p->channels = s->rank == 3 ? (int)s->dims[2] : 1;
    return DC_OK;
}

static enum dc_status count_sources(struct dc__init_plan *p, json_t *found, struct dc_source **both,
                                    struct dc_error *error)
{
    const struct dc_source *train = both[0];
    if (train->classes < 1 || (train->labels && train->classes < 2) ||
        (!train->labels && !train->targets))
        return dc_fail(error, DC_ERR_DATA,
                       "%s: has no classes to tell apart; docs/reconstruction.md shows what else "
                       "there is",
                       p->path);
    p->classes = train->classes;
    p->sample = train->sample;
    p->bytes = train->dtype == DC_U8;
    p->labels = train->label_kind;
    if (train->note)
        DC_TRY(note(p, error, "%s", train->note));
    struct dc_label_counts parts[PARTS];
    const int64_t rest = train->count - train->own_validation;
    DC_TRY(dc_count_labels(&parts[TRAIN], train, 0, rest, p->arena, error));
    DC_TRY(dc_count_labels(&parts[VALIDATION], train, rest, train->count, p->arena, error));
    DC_TRY(dc_count_labels(&parts[TEST], both[1], 0, both[1]->count, p->arena, error));
    return take_counts(p, found, train->class_names, parts, error);
}

// Half a window apart, and as long as the shortest recording allows: rows are looked at one by one.
static enum dc_status choose_window(struct dc__init_plan *p, struct dc_source_spec *spec,
                                    struct dc_error *error)
{
    int64_t shortest = INT64_MAX, rows = 0;
    spec->window = spec->stride = 1;
    for (int part = 0; part < 2; part++) {
        struct dc_source *source = NULL;
        spec->split = part == 0 ? "train" : "test";
        DC_TRY(dc_source_open(&source, spec, error));
        for (int64_t i = 0; i < source->count; i++) {
            rows = i > 0 && source->groups[i] == source->groups[i - 1] ? rows + 1 : 1;
            if (i + 1 == source->count || source->groups[i + 1] != source->groups[i])
                shortest = rows < shortest ? rows : shortest;
        }
        dc_source_free(source);
    }
    p->window = 128;
    while (p->window > shortest)
        p->window /= 2;
    if (p->window < 8)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: the shortest recording has %lld rows, and windows of fewer than 8 say "
                       "little; take it out",
                       p->path, (long long)shortest);
    spec->window = p->window;
    spec->stride = p->stride = p->window / 2;
    return note(p, error, "the shortest recording has %lld rows: windows of %lld, every %lld",
                (long long)shortest, (long long)p->window, (long long)p->stride);
}

static enum dc_status find_data(struct dc__init_plan *p, json_t *found, struct dc_error *error)
{
    struct dc_source_spec spec = dc_source_spec_of(p->options->data, "train");
    struct dc_source *both[2] = {NULL, NULL};
    enum dc_status status = DC_OK;
    spec.threads = p->options->threads;
    spec.stop = p->options->stop;
    DC_TRY(name_data(p, spec.path, error));
    const char *kind = dc_source_kind_of(&spec);
    const bool series = kind && strcmp(kind, "series") == 0;
    const bool photos = kind && (strcmp(kind, "photos") == 0 || strcmp(kind, "png") == 0);
    if (dc_path_ends(spec.path, ".csv") && (series || photos))
        DC_TRY(dc_table_labels(&spec, p->arena, error));
    p->labels = spec.label_kind;
    p->label_columns = spec.label_columns;
    p->label_count = spec.label_column_count;
    if (series)
        DC_TRY(choose_window(p, &spec, error));
    if (photos && dc_file_exists(spec.path)) {
        p->kind = "photos";
        DC_TRY(find_photos(p, found, &spec, error));
        return choose_family(p, error);
    }
    for (int i = 0; status == DC_OK && i < 2; i++) {
        spec.split = i == 0 ? "train" : "test";
        status = dc_source_open(&both[i], &spec, error);
    }
    if (status == DC_OK) {
        p->kind = both[0]->ops->kind;
        status = count_sources(p, found, both, error);
    }
    dc_source_free(both[0]);
    dc_source_free(both[1]);
    DC_TRY(status);
    return choose_family(p, error);
}

// What follows from how many samples there are.
static void choose_training(struct dc__init_plan *p)
{
    const bool few = p->train < FEW;
    if (p->validation == 0 && !few)
        p->cut = p->train / 10 < 5000 ? p->train / 10 : 5000;
    const int64_t left = p->train - p->cut;
    if (p->options->quick && left > QUICK_SAMPLES)
        p->samples = QUICK_SAMPLES;
    p->batch = left >= 20000 ? 128 : left >= 2000 ? 64 : left >= 300 ? 32 : 8;
    p->learning_rate = p->batch == 128 ? 0.1 : p->batch == 64 ? 0.05 : p->batch == 32 ? 0.03 : 0.01;
    if (p->labels != DC_LABELS_CLASSES)
        p->learning_rate /= 2.0;
    p->epochs = p->quantized_epochs = 1;
}

static int64_t number(const json_t *stage, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(stage, key));
}

// The costs of the plan's networks, as check measures them. DC_ERR_BUDGET: beyond the target's.
static enum dc_status measure(struct dc__init_plan *p, const char *temporary,
                              struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    struct dc_experiment *experiment = NULL;
    json_t *report = NULL;
    dc__init_write(&text, p);
    enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                        : dc_file_write(temporary, text.text, text.length, error);
    dc_text_free(&text);
    if (status == DC_OK)
        status = dc_experiment_read(&experiment, temporary, NULL, 0, error);
    if (status == DC_OK)
        status = dc_run_check(experiment, &report, error);
    if (status == DC_OK) {
        const json_t *student = json_object_get(report, "quantized");
        p->student.cost = (struct dc__init_cost){
            number(student, "macs"), number(student, "flash_bytes"), number(student, "ram_bytes")};
        p->teacher.cost.macs = number(json_object_get(report, "teacher"), "macs");
    }
    json_decref(report);
    dc_experiment_free(experiment);
    return status;
}

static enum dc_status choose_student(struct dc__init_plan *p, const char *temporary,
                                     struct dc_error *error)
{
    const struct dc__init_cost *b = &p->budget, *c = &p->student.cost;
    for (const int *width = widths[p->family]; *width; width++) {
        p->student = p->teacher = (struct dc__init_network){*width, student_blocks[p->family], {0}};
        const enum dc_status status = measure(p, temporary, error);
        if (status != DC_OK && status != DC_ERR_BUDGET)
            return status;
        if (status == DC_OK && c->macs <= b->macs && c->flash <= b->flash && c->ram <= b->ram)
            return DC_OK;
    }
    return dc_fail(
        error, DC_ERR_BUDGET,
        "no network that init knows stays within %lld MACs, %lld bytes of flash and %lld "
        "of RAM of target %s; choose another by --target",
        (long long)b->macs, (long long)b->flash, (long long)b->ram, p->limits.name);
}

// Multiplications of one epoch of each stage: the teacher's outputs cost a third of its training;
// the quantized stage has a quarter of the epochs and is a third slower.
static double epoch_macs(const struct dc__init_plan *p)
{
    const double teacher = (double)p->teacher.cost.macs, student = (double)p->student.cost.macs;
    const int64_t left = p->samples > 0 ? p->samples : p->train - p->cut;
    return (double)left *
           (teacher + student + student + teacher / 3.0 + (1.3 * student + teacher / 3.0) / 4.0);
}

static enum dc_status choose_teacher(struct dc__init_plan *p, const char *temporary,
                                     struct dc_error *error)
{
    const int64_t left = p->samples > 0 ? p->samples : p->train - p->cut;
    double wanted = fmax(10.0, fmin(100.0, floor(samples_wanted / (double)left))), possible = 0.0;
    if (p->options->quick)
        wanted = 2.0;
    for (int i = 0; i < TEACHERS && (i == 0 || possible < epochs_kept * wanted); i++) {
        p->teacher.width = (int)(teachers[i].width * p->student.width);
        p->teacher.blocks = p->student.blocks + teachers[i].blocks;
        DC_TRY(measure(p, temporary, error));
        possible = floor(longest_seconds * macs_a_second / epoch_macs(p));
    }
    p->epochs = (int64_t)fmax(p->options->quick ? 1.0 : 3.0, fmin(wanted, possible));
    p->quantized_epochs = p->epochs / 4 > 0 ? p->epochs / 4 : 1;
    p->seconds = epoch_macs(p) * (double)p->epochs / macs_a_second + 10.0;
    return DC_OK;
}

static enum dc_status report(const struct dc__init_plan *p, json_t *found, struct dc_error *error)
{
    char text[DC_SHAPE_TEXT];
    json_t *more = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:O, s:{s:i, s:I, s:I, s:I}, s:{s:i, s:I}, s:I, s:f}", "out",
        p->options->out, "data", p->path, "kind", p->kind, "labels", dc_label_kinds[p->labels],
        "sample", dc_shape_text(text, &p->sample), "notes", p->notes, "student", "width",
        p->student.width, "macs", (json_int_t)p->student.cost.macs, "flash",
        (json_int_t)p->student.cost.flash, "ram", (json_int_t)p->student.cost.ram, "teacher",
        "width", p->teacher.width, "macs", (json_int_t)p->teacher.cost.macs, "epochs",
        (json_int_t)p->epochs, "seconds", p->seconds);
    if (json_object_update_new(found, more) != 0)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    return DC_OK;
}

static enum dc_status choose_and_write(struct dc__init_plan *p, struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    char *temporary = dc_temporary_path(p->arena, p->options->out, error);
    if (!temporary)
        return DC_ERR_IO;
    choose_training(p);
    enum dc_status status = choose_student(p, temporary, error);
    if (status == DC_OK)
        status = choose_teacher(p, temporary, error);
    if (status == DC_OK)
        status = measure(p, temporary, error);  // what is written is what was checked
    dc_file_discard(temporary);
    if (status != DC_OK)
        return dc_context(status, error, "%s would not do", p->options->out);
    dc__init_write(&text, p);
    status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                         : dc_file_write(p->options->out, text.text, text.length, error);
    dc_text_free(&text);
    return status;
}

static enum dc_status carry_out(struct dc__init_plan *p, json_t *found, struct dc_error *error)
{
    struct stat there;  // a link that leads nowhere is there as well
    if (lstat(p->options->out, &there) == 0)
        return dc_fail(error, DC_ERR_USAGE,
                       "%s is there, and nothing is overwritten: move it away, or name another "
                       "file with --out",
                       p->options->out);
    DC_TRY(find_target(p, error));
    DC_TRY(find_data(p, found, error));
    DC_TRY(choose_and_write(p, error));
    return report(p, found, error);
}

enum dc_status dc_init(json_t **found, const struct dc_init_options *options,
                       struct dc_error *error)
{
    struct dc__init_plan plan = {.options = options, .notes = json_array()};
    *found = json_object();
    enum dc_status status = *found && plan.notes ? dc_arena_create(&plan.arena, error)
                                                 : dc_fail(error, DC_ERR_MEMORY, "out of memory");
    if (status == DC_OK)
        status = carry_out(&plan, *found, error);
    json_decref(plan.notes);
    dc_arena_free(plan.arena);
    if (status != DC_OK) {
        json_decref(*found);
        *found = NULL;
    }
    return status;
}

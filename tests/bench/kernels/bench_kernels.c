// The kernel tester: every accumulating kernel, on every instruction-set level of this machine, on
// the layers of the lists given. Each is first checked against the scalar reference; with --time it
// is then timed. Forward and backward-data must also give the same bits when called for a few
// pixels at a time: a value's sum may not depend on the tile it falls into.
//
//   bench_kernels [--time] [--level NAME] [--pass forward|data|weights] [--layer PART] LIST...
//
// GFLOP/s are of one thread's CPU time, median and best of several windows; the share is the
// median's of what the level does on registers alone, measured in the same run. Pin it: taskset -c
// 0.

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "peak.h"
#include "work.h"

enum { WINDOWS = 15, CHECK_IMAGES = 2, CHECK_GAP = 3, TIME_IMAGES = 8 };

static const char *const pass_names[PASS_COUNT] = {"forward", "data", "weights"};

struct options {
    bool time;
    const char *level, *pass, *layer;
    double peak[DC_ISA_COUNT];  // GFLOP/s
};

// y of `kernels`, `piece` pixels a call, starting from y = before, all images.
static void run_all(struct work *work, const struct dc_kernels *kernels, const float *before,
                    bool add, bool bias, int piece)
{
    memcpy(work->y, before, sizeof(float) * (size_t)(work_y_count(work) + GUARD));
    for (int i = 0; i < work->images; i++)
        work_run(work, kernels, i, add, bias, piece);
}

// Index of the first value that is further from the reference than the two sums may be (NaN is), or
// of the first float of a gap or the guard that was written; -1: none.
static int first_wrong(const struct work *work, const float *fast, const float *slow,
                       const float *magnitude, const float *before)
{
    const int count = work_y_count(work);
    for (int i = 0; i < count + GUARD; i++) {
        if (i >= count || i % work->y_stride >= work->channels) {
            if (memcmp(&fast[i], &before[i], sizeof(float)) != 0)
                return i;
            continue;
        }
        const double bound = 2.0 * (work->terms + 2) * FLT_EPSILON * magnitude[i];
        if (!(fabs((double)fast[i] - slow[i]) <= bound))
            return i;
    }
    return -1;
}

// The check itself must see a value off by a little more than the bound, a NaN, and a write into
// the guard.
static bool check_sees_plants(const struct work *work, float *y, const float *slow,
                              const float *magnitude, const float *before)
{
    const int count = work_y_count(work), at = count / 2 / work->y_stride * work->y_stride;
    const float kept = y[at], guard = y[count];
    y[at] = slow[at] + 3.0f * (float)(work->terms + 2) * FLT_EPSILON * (magnitude[at] + FLT_MIN);
    bool seen = first_wrong(work, y, slow, magnitude, before) == at;
    y[at] = NAN;
    seen = seen && first_wrong(work, y, slow, magnitude, before) == at;
    y[at] = kept;
    y[count] = guard + 1.0f;
    seen = seen && first_wrong(work, y, slow, magnitude, before) == count;
    y[count] = guard;
    return seen;
}

static bool pieces_agree(struct work *work, const struct dc_kernels *kernels, float *whole,
                         const float *before, bool add, bool bias)
{
    static const int pieces[] = {1, 5, 17};
    const size_t bytes = sizeof(float) * (size_t)work_y_count(work);
    bool agree = true;
    memcpy(whole, work->y, bytes);
    for (int i = 0; work->pass != PASS_WEIGHTS && i < 3; i++) {
        run_all(work, kernels, before, add, bias, pieces[i]);
        agree = agree && memcmp(whole, work->y, bytes) == 0;
    }
    return agree;
}

static bool wanted(const char *only, const char *name)
{
    return !only || strstr(name, only);
}

static bool check_levels(struct work *work, float *const y[4], const struct options *options,
                         bool add, bool bias)
{
    float *before = y[0], *slow = y[1], *magnitude = y[2];
    const size_t bytes = sizeof(float) * (size_t)(work_y_count(work) + GUARD);
    memcpy(slow, work->y, bytes);
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
        const char *level = dc_isa_name((enum dc_isa)isa);
        if (!wanted(options->level, level))
            continue;
        const struct dc_kernels *kernels = dc_kernels_for((enum dc_isa)isa);
        run_all(work, kernels, before, add, bias, INT_MAX);
        const int wrong = first_wrong(work, work->y, slow, magnitude, before);
        if (wrong >= 0) {
            printf("%s %s %s%s%s: y[%d] is %.9g, not %.9g\n", pass_names[work->pass], level,
                   work->layer.name, add ? ", adding" : "", bias ? ", bias" : "", wrong,
                   (double)work->y[wrong], (double)slow[wrong]);
            return false;
        }
        if (!pieces_agree(work, kernels, y[3], before, add, bias)) {
            printf("%s %s %s: bits depend on the number of pixels\n", pass_names[work->pass], level,
                   work->layer.name);
            return false;
        }
        if (!check_sees_plants(work, work->y, slow, magnitude, before)) {
            printf("%s %s: the check does not see a wrong value\n", pass_names[work->pass],
                   work->layer.name);
            return false;
        }
    }
    return true;
}

static bool check(const struct layer *layer, enum pass pass, const struct options *options)
{
    struct work work, size;
    bool good = work_open(&work, layer, pass, CHECK_IMAGES, CHECK_GAP);
    good = work_open(&size, layer, pass, CHECK_IMAGES, CHECK_GAP) && good;
    const size_t bytes = sizeof(float) * (size_t)(work_y_count(&work) + GUARD);
    float *y[4] = {malloc(bytes), malloc(bytes), malloc(bytes), malloc(bytes)};
    good = good && y[0] && y[1] && y[2] && y[3];
    for (int mode = 0; good && mode < 4; mode++) {
        const bool add = mode & 1, bias = mode & 2;
        memcpy(y[0], work.y, bytes);
        work_magnitude(&size, &work);
        memcpy(y[2], size.y, bytes);
        run_all(&size, dc_kernels_for(DC_ISA_SCALAR), y[2], add, bias, INT_MAX);
        memcpy(y[2], size.y, bytes);
        run_all(&work, dc_kernels_for(DC_ISA_SCALAR), y[0], add, bias, INT_MAX);
        good = check_levels(&work, y, options, add, bias);
        memcpy(work.y, y[0], bytes);
    }
    for (int i = 0; i < 4; i++)
        free(y[i]);
    work_close(&work);
    work_close(&size);
    return good;
}

// Of this thread, so that other work on the machine counts little.
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure_peaks(struct options *options)
{
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
        double best = 0.0;
        for (int i = 0; i < 50; i++) {
            const double start = now();
            const double operations = peak_loop((enum dc_isa)isa);
            const double rate = operations / (now() - start) * 1e-9;
            best = rate > best ? rate : best;
        }
        options->peak[isa] = best;
    }
}

static bool time_levels(const struct layer *layer, enum pass pass, const struct options *options)
{
    struct work work;
    const bool good = work_open(&work, layer, pass, TIME_IMAGES, 0);
    for (int isa = 0; good && isa <= (int)dc_isa_detected(); isa++) {
        const char *level = dc_isa_name((enum dc_isa)isa);
        if (!wanted(options->level, level))
            continue;
        const struct dc_kernels *kernels = dc_kernels_for((enum dc_isa)isa);
        // Windows of about 2 ms, at least one pass over the images.
        const int rounds = 1 + (int)(2e-3 * options->peak[isa] * 0.5e9 / work.flops / TIME_IMAGES);
        double rate[WINDOWS];
        for (int window = -1; window < WINDOWS; window++) {
            memset(work.y, 0, sizeof(float) * (size_t)work_y_count(&work));
            const double start = now();
            for (int round = 0; round < rounds; round++)
                for (int i = 0; i < TIME_IMAGES; i++)
                    work_run(&work, kernels, i, false, false, INT_MAX);
            const double seconds = now() - start;
            if (window >= 0)
                rate[window] = work.flops * TIME_IMAGES * rounds / seconds * 1e-9;
        }
        qsort(rate, WINDOWS, sizeof rate[0], compare);
        char shape[64];
        snprintf(shape, sizeof shape, "%dx%dx%d-%d-%dx%d/%d%s", layer->h, layer->w, layer->c,
                 layer->filters, layer->kernel_h, layer->kernel_w, layer->stride,
                 layer->depthwise ? "dw" : "");
        printf("%-8s %-7s %-20s %-22s %8.1f %8.1f %6.1f %%\n", pass_names[pass], level, layer->name,
               shape, rate[WINDOWS / 2], rate[WINDOWS - 1],
               100.0 * rate[WINDOWS / 2] / options->peak[isa]);
        fflush(stdout);
    }
    work_close(&work);
    return good;
}

static bool run_list(const char *path, const struct options *options, int *checked)
{
    FILE *list = fopen(path, "r");
    if (!list) {
        printf("cannot open %s\n", path);
        return false;
    }
    struct layer layer;
    int status;
    bool good = true;
    while (good && (status = layer_read(&layer, list)) != 0) {
        if (status < 0) {
            printf("%s: a line is not a layer\n", path);
            good = false;
        }
        for (int pass = 0; good && pass < PASS_COUNT; pass++) {
            if (!wanted(options->layer, layer.name) || !wanted(options->pass, pass_names[pass]))
                continue;
            good = check(&layer, (enum pass)pass, options);
            *checked += good;
            if (good && options->time)
                good = time_levels(&layer, (enum pass)pass, options);
        }
    }
    fclose(list);
    return good;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    int i = 1, checked = 0;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char **value = strcmp(argv[i], "--level") == 0   ? &options.level
                             : strcmp(argv[i], "--pass") == 0  ? &options.pass
                             : strcmp(argv[i], "--layer") == 0 ? &options.layer
                                                               : NULL;
        if (strcmp(argv[i], "--time") == 0)
            options.time = true;
        else if (value && i + 1 < argc)
            *value = argv[++i];
        else
            break;
    }
    if (i == argc || argv[i][0] == '-') {
        printf(
            "usage: bench_kernels [--time] [--level NAME] [--pass NAME] [--layer PART] LIST...\n");
        return 2;
    }
    if (options.time) {
        measure_peaks(&options);
        for (int isa = 0; isa <= (int)dc_isa_detected(); isa++)
            printf("peak     %-7s %.1f GFLOP/s\n", dc_isa_name((enum dc_isa)isa),
                   options.peak[isa]);
        printf("%-8s %-7s %-20s %-22s %8s %8s %8s\n", "kernel", "level", "layer", "shape", "median",
               "best", "share");
    }
    for (; i < argc; i++)
        if (!run_list(argv[i], &options, &checked))
            return 1;
    printf("%d kernels and layers agree with the scalar reference\n", checked);
    return checked > 0 ? 0 : 1;
}

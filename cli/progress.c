// Owns the progress bar.

#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"

enum { BAR = 24 };

struct dc_progress_view dc_progress_start(bool quiet)
{
    return (struct dc_progress_view){.terminal = isatty(STDERR_FILENO), .quiet = quiet};
}

void dc_progress_clear(struct dc_progress_view *view)
{
    if (view->bar_shown)
        fprintf(stderr, "\r%*s\r", 100, "");
    view->bar_shown = false;
}

static const char *duration(char text[32], double seconds)
{
    const long s = seconds < 0.0 ? 0 : (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, 32, "%ldh%02ldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, 32, "%ldm%02lds", s / 60, s % 60);
    return text;
}

static void show_epoch(const struct dc_progress *p)
{
    char spent[32], left[32], train[48] = "", validation[48] = "";
    const bool labels = p->accuracy >= 0.0;
    if (labels)
        snprintf(train, sizeof train, "  train %.2f %%", 100.0 * p->accuracy);
    if (p->validation >= 0.0 && !labels)
        snprintf(validation, sizeof validation, "  validation AUC %.4f", p->validation);
    else if (p->validation >= 0.0)
        snprintf(validation, sizeof validation, "  validation %.2f %%", 100.0 * p->validation);
    fprintf(stderr, "%s: epoch %d/%d  loss %.4f%s%s  %s, %s left\n", p->stage, p->epoch, p->epochs,
            p->loss, train, validation, duration(spent, p->seconds),
            duration(left, p->seconds_left));
}

static void draw(char bar[BAR + 1], int64_t done, int64_t total)
{
    const int full = total > 0 ? (int)(BAR * done / total) : 0;
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)full);
    bar[BAR] = '\0';
}

void dc_progress_show(void *user, const struct dc_progress *p)
{
    struct dc_progress_view *view = user;
    if (view->quiet)
        return;
    if (p->epoch_done) {
        dc_progress_clear(view);
        show_epoch(p);
        return;
    }
    if (!view->terminal || dc_seconds() < view->next)
        return;
    view->next = dc_seconds() + 0.2;
    view->bar_shown = true;
    char bar[BAR + 1], left[32], train[32] = "";
    if (p->accuracy >= 0.0)
        snprintf(train, sizeof train, "%.1f %%  ", 100.0 * p->accuracy);
    draw(bar, p->step, p->steps);
    fprintf(stderr, "\r%s [%s] %3d%%  epoch %d/%d  loss %.4f  %s%s left   ", p->stage, bar,
            p->steps > 0 ? (int)(100 * p->step / p->steps) : 0, p->epoch, p->epochs, p->loss, train,
            duration(left, p->seconds_left));
    fflush(stderr);
}

void dc_progress_teach(void *user, const struct dc_teach_progress *p)
{
    struct dc_progress_view *view = user;
    const bool now = p->done == p->total || dc_seconds() >= view->next;
    if (view->quiet || !now)
        return;
    char bar[BAR + 1], left[32];
    const int share = p->total > 0 ? (int)(100 * p->done / p->total) : 0;
    view->next = dc_seconds() + (view->terminal ? 0.2 : 30.0);
    draw(bar, p->done, p->total);
    duration(left, p->seconds_left);
    view->bar_shown = view->terminal;
    if (view->terminal)
        fprintf(stderr, "\rsoft targets [%s] %3d%%  epoch %lld/%lld  %s left   ", bar, share,
                (long long)p->epoch, (long long)p->epochs, left);
    else
        fprintf(stderr, "soft targets: %d %%, epoch %lld/%lld, %s left\n", share,
                (long long)p->epoch, (long long)p->epochs, left);
    fflush(stderr);
}

void dc_progress_stage(void *user, const struct dc_stage *stage, const char *what)
{
    struct dc_progress_view *view = user;
    dc_progress_clear(view);
    if (!view->quiet)
        fprintf(stderr, "%s: %s\n", stage->name, what);
}

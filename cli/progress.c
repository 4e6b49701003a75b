// Owns the progress bar.

#include "cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/clock.h"
#include "run/log.h"

enum { BAR_MIN = 8, BAR_MAX = 24, COLUMNS = 80 };
static const double plain_seconds = 30.0, bar_seconds = 0.2;

struct dc_progress_view dc_progress_start(bool quiet)
{
    return (struct dc_progress_view){.terminal = isatty(STDERR_FILENO), .quiet = quiet};
}

// Of the terminal as it is now, less one: a character in the last column may wrap. 0: no terminal.
static int columns(const struct dc_progress_view *view)
{
    struct winsize size;
    if (!view->terminal)
        return 0;
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return (known ? size.ws_col : COLUMNS) - 1;
}

void dc_progress_clear(struct dc_progress_view *view)
{
    const int most = columns(view);
    if (view->bar_shown > 0)
        fprintf(stderr, "\r%*s\r", view->bar_shown < most ? view->bar_shown : most, "");
    view->bar_shown = 0;
}

// The pieces in one line, over what stood there; with a bar behind the first where there is room.
static void show_bar(struct dc_progress_view *view, struct dc_piece *pieces, int count,
                     int64_t done, int64_t total)
{
    char line[DC_LINE_MAX];
    const int most = columns(view);
    dc_join_pieces(line, pieces, count, most);
    const int room = most - dc_text_columns(line) - 3;
    const int bar = room < BAR_MAX ? room : BAR_MAX;
    if (bar >= BAR_MIN) {
        char drawn[BAR_MAX + 1] = "";
        memset(drawn, '.', (size_t)bar);
        memset(drawn, '#', (size_t)(total > 0 ? bar * done / total : 0));
        const size_t name = strlen(pieces[0].text);
        snprintf(pieces[0].text + name, sizeof pieces[0].text - name, " [%s]", drawn);
        dc_join_pieces(line, pieces, count, most);
    }
    const int wide = dc_text_columns(line), over = view->bar_shown < most ? view->bar_shown : most;
    fprintf(stderr, "\r%s%*s", line, over > wide ? over - wide : 0, "");
    fflush(stderr);
    view->bar_shown = wide;
}

// Whether an update is due: of a bar often, of a plain line now and then, not at the start.
static bool is_due(struct dc_progress_view *view)
{
    const double now = dc_seconds();
    const bool first = view->next == 0.0;
    if (view->quiet || now < view->next)
        return false;
    view->next = now + (view->terminal ? bar_seconds : plain_seconds);
    return view->terminal || !first;
}

static void show(struct dc_progress_view *view, struct dc_piece *pieces, int count, int64_t done,
                 int64_t total)
{
    char line[DC_LINE_MAX];
    if (view->terminal) {
        show_bar(view, pieces, count, done, total);
        return;
    }
    dc_join_pieces(line, pieces, count, 0);
    fprintf(stderr, "%s\n", line);
}

static int percent(int64_t done, int64_t total)
{
    return total > 0 ? (int)(100 * done / total) : 0;
}

void dc_progress_show(void *user, const struct dc_progress *p)
{
    struct dc_progress_view *view = user;
    char line[DC_LINE_MAX], left[32];
    if (p->epoch_done && !view->quiet) {
        dc_progress_clear(view);
        dc_epoch_line(line, p, columns(view));
        fprintf(stderr, "%s\n", line);
    }
    if (p->epoch_done || !is_due(view))
        return;
    struct dc_piece pieces[] = {{.rank = 0}, {.rank = 0}, {.rank = 2},
                                {.rank = 3}, {.rank = 4}, {.rank = 1}};
    snprintf(pieces[0].text, sizeof pieces[0].text, "%.48s", p->stage);
    snprintf(pieces[1].text, sizeof pieces[1].text, "%3d %%", percent(p->step, p->steps));
    snprintf(pieces[2].text, sizeof pieces[2].text, "epoch %d/%d", p->epoch, p->epochs);
    snprintf(pieces[3].text, sizeof pieces[3].text, "loss %.4f", p->loss);
    if (p->accuracy >= 0.0)
        snprintf(pieces[4].text, sizeof pieces[4].text, "train %.1f %%", 100.0 * p->accuracy);
    if (p->seconds_left >= 0.0)
        snprintf(pieces[5].text, sizeof pieces[5].text, "%s left",
                 dc_duration_text(left, p->seconds_left));
    show(view, pieces, sizeof pieces / sizeof pieces[0], p->step, p->steps);
}

void dc_progress_teach(void *user, const struct dc_teach_progress *p)
{
    struct dc_progress_view *view = user;
    char left[32];
    if (p->done == p->total)
        view->next = -1.0;  // the end is always shown
    if (!is_due(view))
        return;
    struct dc_piece pieces[] = {{.rank = 0}, {.rank = 0}, {.rank = 2}, {.rank = 1}};
    snprintf(pieces[0].text, sizeof pieces[0].text, "soft targets");
    snprintf(pieces[1].text, sizeof pieces[1].text, "%3d %%", percent(p->done, p->total));
    snprintf(pieces[2].text, sizeof pieces[2].text, "epoch %lld/%lld", (long long)p->epoch,
             (long long)p->epochs);
    snprintf(pieces[3].text, sizeof pieces[3].text, "%s left",
             dc_duration_text(left, p->seconds_left));
    show(view, pieces, sizeof pieces / sizeof pieces[0], p->done, p->total);
}

static void show_count(struct dc_progress_view *view, const char *what, int64_t done, int64_t total)
{
    const double now = dc_seconds();
    char left[32];
    view->began = view->began > 0.0 ? view->began : now;
    if (done >= total) {
        dc_progress_clear(view);
        view->began = 0.0;
        return;
    }
    if (!is_due(view))
        return;
    struct dc_piece pieces[] = {{.rank = 0}, {.rank = 0}, {.rank = 2}, {.rank = 1}};
    snprintf(pieces[0].text, sizeof pieces[0].text, "%s", what);
    snprintf(pieces[1].text, sizeof pieces[1].text, "%3d %%", percent(done, total));
    snprintf(pieces[2].text, sizeof pieces[2].text, "%lld of %lld", (long long)done,
             (long long)total);
    if (now > view->began)
        snprintf(
            pieces[3].text, sizeof pieces[3].text, "%s left",
            dc_duration_text(left, (now - view->began) / (double)done * (double)(total - done)));
    show(view, pieces, sizeof pieces / sizeof pieces[0], done, total);
}

void dc_progress_samples(void *user, int64_t done, int64_t total)
{
    show_count(user, "samples", done, total);
}

void dc_progress_load(void *user, double done, double total)
{
    show_count(user, "seconds", (int64_t)done, (int64_t)ceil(total));
}

void dc_progress_stage(void *user, const struct dc_stage *stage, const char *what)
{
    struct dc_progress_view *view = user;
    dc_progress_clear(view);
    if (!view->quiet)
        fprintf(stderr, "%s: %s\n", stage->name, what);
}

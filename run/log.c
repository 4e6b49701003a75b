// Owns log.txt, the lines of progress, and metrics.csv.

#include "run/log.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "run/run_internal.h"
#include "train/metrics.h"

// The table is written whole each time, so not at every one of many short epochs.
static const double csv_seconds = 10.0;

// Cuts a text behind its first `columns` characters.
static void cut(char *text, int columns)
{
    while (*text && (columns > 0 || ((unsigned char)*text & 0xc0) == 0x80))
        columns -= ((unsigned char)*text++ & 0xc0) != 0x80;
    while (((unsigned char)*text & 0xc0) == 0x80)
        text++;
    *text = '\0';
}

void dc_join_pieces(char line[DC_LINE_MAX], const struct dc_piece *pieces, int count, int columns)
{
    int worst = 0;
    for (int i = 0; i < count; i++)
        worst = pieces[i].rank > worst ? pieces[i].rank : worst;
    for (; worst >= 0; worst--) {
        size_t used = 0;
        line[0] = '\0';
        for (int i = 0; i < count; i++)
            if (pieces[i].rank <= worst && pieces[i].text[0] && used < DC_LINE_MAX)
                used += (size_t)snprintf(line + used, DC_LINE_MAX - used, "%s%s", used ? "  " : "",
                                         pieces[i].text);
        if (columns == 0 || dc_text_columns(line) <= columns)
            return;
    }
    cut(line, columns);
}

const char *dc_duration_text(char text[32], double seconds)
{
    const long s = seconds < 0.0 ? 0 : (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, 32, "%ldh%02ldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, 32, "%ldm%02lds", s / 60, s % 60);
    return text;
}

void dc_epoch_line(char line[DC_LINE_MAX], const struct dc_progress *p, int columns)
{
    char spent[32], left[32];
    struct dc_piece pieces[] = {{.rank = 0}, {.rank = 2}, {.rank = 3},
                                {.rank = 1}, {.rank = 4}, {.rank = 5}};
    const bool labels = p->accuracy >= 0.0;
    snprintf(pieces[0].text, sizeof pieces[0].text, "%.48s: epoch %d/%d", p->stage, p->epoch,
             p->epochs);
    snprintf(pieces[1].text, sizeof pieces[1].text, "loss %.4f", p->loss);
    if (labels)
        snprintf(pieces[2].text, sizeof pieces[2].text, "train %.2f %%", 100.0 * p->accuracy);
    if (p->validation >= 0.0 && p->measure != DC_MEASURE_ACCURACY)
        snprintf(pieces[3].text, sizeof pieces[3].text, "validation %s %.4f",
                 dc_measure_names[p->measure].title, p->validation);
    else if (p->validation >= 0.0)
        snprintf(pieces[3].text, sizeof pieces[3].text, "validation %.2f %%",
                 100.0 * p->validation);
    snprintf(pieces[4].text, sizeof pieces[4].text, "%s left",
             dc_duration_text(left, p->seconds_left));
    snprintf(pieces[5].text, sizeof pieces[5].text, "%s spent",
             dc_duration_text(spent, p->seconds));
    dc_join_pieces(line, pieces, sizeof pieces / sizeof pieces[0], columns);
}

// A killed process leaves its last line without an end.
static bool ends_in_a_line(int file, off_t size)
{
    char last = '\n';
    return size == 0 || pread(file, &last, 1, size - 1) != 1 || last == '\n';
}

enum dc_status dc__log_open(struct dc_run *run, const char *title, struct dc_error *error)
{
    const char *path = dc__path(run, "log.txt", error);
    struct stat info;
    if (!path)
        return DC_ERR_MEMORY;
    FILE *file = fopen(path, "a+e");
    if (!file)
        return dc_fail(error, DC_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    run->flocked = flock(fileno(file), LOCK_EX | LOCK_NB) == 0;
    if (!run->flocked && errno == EWOULDBLOCK) {
        char holder[512];
        fclose(file);
        return dc_fail(error, DC_ERR_USAGE,
                       "%s: another decant is at work here%s; wait for it, or choose another "
                       "directory with --run",
                       run->directory, dc__lock_holder(holder, run));
    }
    const enum dc_status locked = dc__lock(run, error);
    if (locked != DC_OK) {
        fclose(file);
        return locked;
    }
    run->log_file = file;
    if (fstat(fileno(file), &info) == 0 && info.st_size == 0)
        fprintf(file, "%s%s\n", title, DECANT_VERSION);
    else if (!ends_in_a_line(fileno(file), info.st_size))
        fprintf(file, "\n");
    if (run->unwritten.text && !run->unwritten.failed)
        fprintf(file, "%s", run->unwritten.text);
    dc_text_free(&run->unwritten);
    fflush(file);
    return DC_OK;
}

void dc__log_close(struct dc_run *run)
{
    dc__unlock(run);
    if (run->log_file)
        fclose(run->log_file);
    dc_text_free(&run->unwritten);
}

void dc__log_line(struct dc_run *run, const char *text)
{
    struct dc_text_buffer line = {0};
    char stamp[32];
    struct tm parts;
    const time_t now = time(NULL);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    for (bool first = true; first || *text; first = false) {
        const int length = (int)strcspn(text, "\n");
        dc_text_append(&line, "%-20s %.*s\n", first ? stamp : "", length, text);
        text += length + (text[length] == '\n');
    }
    if (run->log_file && line.text) {
        const bool written = fputs(line.text, run->log_file) >= 0 && fflush(run->log_file) == 0;
        if (!written && !run->log_failed && run->outer_log.write)
            run->outer_log.write(run->outer_log.user, DC_LOG_WARNING,
                                 "log.txt of the run cannot be written; it lacks what follows");
        run->log_failed = run->log_failed || !written;
    } else if (line.text) {
        dc_text_append(&run->unwritten, "%s", line.text);
    }
    dc_text_free(&line);
}

void dc__log_sink(void *user, enum dc_log_level level, const char *line)
{
    struct dc_run *run = user;
    char text[1024];
    snprintf(text, sizeof text, "%s%s", level == DC_LOG_WARNING ? "warning: " : "", line);
    dc__log_line(run, text);
    if (run->outer_log.write)
        run->outer_log.write(run->outer_log.user, level, line);
}

enum dc_status dc__write_csv(struct dc_run *run, struct dc_error *error)
{
    const char *csv = dc__path(run, "metrics.csv", error);
    const char *jsonl = csv ? dc__path(run, "metrics.jsonl", error) : NULL;
    return jsonl ? dc_metrics_write_csv(csv, jsonl, error) : DC_ERR_MEMORY;
}

void dc__log_progress(void *user, const struct dc_progress *progress)
{
    struct dc_run *run = user;
    char line[DC_LINE_MAX];
    if (progress->epoch_done) {
        dc_epoch_line(line, progress, 0);
        dc__log_line(run, line);
    }
    if (progress->epoch_done && dc_seconds() >= run->next_csv) {
        struct dc_error ignored;  // the end of the stage writes it again, and tells
        run->next_csv = dc_seconds() + csv_seconds;
        (void)!dc__write_csv(run, &ignored);
    }
    if (run->hooks.progress)
        run->hooks.progress(run->hooks.user, progress);
}

void dc__log_stage(struct dc_run *run, const struct dc_stage *stage, const char *what)
{
    char line[256];
    snprintf(line, sizeof line, "%s: %s", stage->name, what);
    dc__log_line(run, line);
    if (run->hooks.stage)
        run->hooks.stage(run->hooks.user, stage, what);
}

// Owns the files of a report: what they are made from, and that they appear whole.

#include "report/write.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/folder.h"
#include "report/card.h"
#include "report/events.h"
#include "report/page.h"
#include "report/records.h"

#define PAGE_MARK "written by Decant: report 1"

static char *path_of(struct dc_page *p, const char *name, struct dc_error *error)
{
    return dc_arena_printf(p->arena, error, "%s/%s", p->run->directory, name);
}

// Names that plots/ may hold: those of any report.
static enum dc_status plot_names(const char ***names, struct dc_page *p, struct dc_error *error)
{
    static const char *const single[] = {"loss",           "validation-accuracy", "validation-auc",
                                         "train-accuracy", "learning-rate",       "arena"};
    static const struct {
        const char *name;
        int most;
    } many[] = {{"layers", DC_STAGES_MAX},       {"histogram", DC_LAYER_BINS_MAX},
                {"confusion", DC_ANSWERS_MAX},   {"disagreement", DC_ANSWERS_MAX},
                {"reliability", DC_ANSWERS_MAX}, {"cascade", DC_STAGES_MAX}};
    const int singles = (int)(sizeof single / sizeof *single);
    const int capacity = singles + 2 * DC_STAGES_MAX + DC_LAYER_BINS_MAX + 3 * DC_ANSWERS_MAX + 1;
    int count = 0;
    *names = DC_NEW(p->arena, const char *, capacity, error);
    if (!*names)
        return DC_ERR_MEMORY;
    for (int i = 0; i < singles; i++)
        (*names)[count++] = dc_arena_printf(p->arena, error, "%s.png", single[i]);
    for (size_t k = 0; k < sizeof many / sizeof many[0]; k++)
        for (int i = 1; i <= many[k].most; i++)
            (*names)[count++] = dc_arena_printf(p->arena, error, "%s-%d.png", many[k].name, i);
    for (int i = 0; i < count; i++)
        if (!(*names)[i])
            return DC_ERR_MEMORY;
    return DC_OK;
}

// The page keeps the picture.
static enum dc_status write_plot(const struct dc_drawing *drawing, const char *folder,
                                 struct dc_page *p, struct dc_error *error)
{
    struct dc_picture *picture = &p->pictures[p->picture_count];
    char *path = dc_arena_printf(p->arena, error, "%s/%s.png", folder, drawing->name);
    if (!path)
        return DC_ERR_MEMORY;
    DC_TRY(dc_check_stop(p->run->ctx->stop, error));
    DC_TRY(dc_drawing_png(&picture->png, drawing, error));
    picture->name = drawing->name;
    p->picture_count++;
    return dc_file_write(path, picture->png.bytes, picture->png.size, error);
}

static enum dc_status write_plots(struct dc_page *p, struct dc_error *error)
{
    const char **names = NULL, *folder = path_of(p, "plots", error);
    const char *fresh = folder
                            ? dc_arena_printf(p->arena, error, "%s.tmp-%ld", folder, (long)getpid())
                            : NULL;
    if (!fresh)
        return DC_ERR_MEMORY;
    DC_TRY(plot_names(&names, p, error));
    dc_sweep_folders(folder);
    DC_TRY(dc_folder_begin(fresh, names, error));
    enum dc_status status = DC_OK;
    for (int i = 0; i < p->drawing_count && status == DC_OK; i++)
        status = write_plot(p->drawings[i], fresh, p, error);
    if (status == DC_OK)
        status = dc_folder_replace(folder, fresh, names, error);
    if (status != DC_OK)
        dc_folder_discard(fresh);
    return status;
}

static enum dc_status write_card(struct dc_page *p, struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    const char *path = path_of(p, "model-card.md", error);
    if (!path)
        return DC_ERR_MEMORY;
    dc_sweep_files(path);
    if (dc_file_exists(path)) {
        char *before = NULL;
        size_t size = 0;
        DC_TRY(dc_file_read(&before, &size, path, p->arena, error));
        if (!dc_card_is_decants(before, size)) {
            dc_log(p->run->ctx, DC_LOG_INFO, "%s was changed by hand and stays as it is", path);
            return DC_OK;
        }
    }
    dc_model_card(&text, p);
    const enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                              : dc_file_write(path, text.text, text.length, error);
    dc_text_free(&text);
    return status;
}

static void make_page(struct dc_page *p)
{
    char *title = dc_arena_printf(p->arena, NULL, "%s: Decant run report",
                                  p->run->experiment->name);
    dc_html_begin(&p->out, PAGE_MARK, title ? title : "");
    dc_page_outcome(p);
    dc_page_integers(p);
    dc_page_answers(p);
    dc_page_flips(p);
    dc_page_cascade(p);
    dc_page_record(p);
    dc_html_end(&p->out);
}

static enum dc_status write_page(struct dc_page *p, struct dc_error *error)
{
    char *path = path_of(p, "report.html", error);
    if (!path)
        return DC_ERR_MEMORY;
    dc_sweep_files(path);
    DC_TRY(dc_file_may_replace(path, "<!doctype html>", PAGE_MARK, NULL, error));
    make_page(p);
    if (p->failed || p->out.failed)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    DC_TRY(write_plots(p, error));
    DC_TRY(dc_write_events(p->run, p->metrics, p->environment, p->measures, p->pictures,
                           p->picture_count, p->arena, error));
    DC_TRY(write_card(p, error));
    return dc_file_write(path, p->out.text, p->out.length, error);  // last: it stands for all
}

enum dc_status dc_write_report(struct dc_run *run, struct dc_error *error)
{
    struct dc_page page = {.run = run};
    struct dc_measures *measures = NULL;
    json_t *lines = json_array(), *environment = NULL;
    enum dc_status status = lines ? dc_arena_create(&page.arena, error)
                                  : dc_fail(error, DC_ERR_MEMORY, "out of memory");
    if (status == DC_OK)
        status = dc_read_metrics(lines, run->directory, page.arena, error);
    if (status == DC_OK)
        status = dc_read_environment(&environment, run->directory, page.arena, error);
    if (status == DC_OK)
        status = dc_measure_run(&measures, run, environment, error);
    if (status == DC_OK) {
        page.metrics = lines;
        page.environment = environment;
        page.measures = measures;
        status = write_page(&page, error);
    }
    for (int i = 0; i < page.picture_count; i++)
        free(page.pictures[i].png.bytes);
    dc_text_free(&page.out);
    dc_measures_free(measures);
    dc_arena_free(page.arena);
    json_decref(environment);
    json_decref(lines);
    return status;
}

bool dc_report_is_current(const struct dc_run *run)
{
    char path[PATH_MAX];
    struct stat page, results;
    snprintf(path, sizeof path, "%s/report.html", run->directory);
    if (stat(path, &page) != 0)
        return false;
    snprintf(path, sizeof path, "%s/results.json", run->directory);
    return stat(path, &results) != 0 || page.st_mtim.tv_sec > results.st_mtim.tv_sec ||
           (page.st_mtim.tv_sec == results.st_mtim.tv_sec &&
            page.st_mtim.tv_nsec >= results.st_mtim.tv_nsec);
}

// Owns how a testbench is simulated and what its lines mean. What it replays, and how it compares,
// is export/rtl's; which programs simulate, rungs.c's.

#include "export/rtl_rungs.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/folder.h"
#include "core/schema.h"
#include "export/memory.h"
#include "export/memory_header.h"
#include "export/process.h"
#include "qat/profile.h"

// Iverilog takes about 50 microseconds a clock, Verilator one hundredth of that: what a rung
// replays by itself keeps to so many clocks.
enum { CLOCKS_IVERILOG = 60000, CLOCKS_VERILATOR = 50000000, FILES_MAX = 900 };

#define PREFIX "decant-rtl"

static const char *const by_simulator[] = {"bench", "answers", "words"};

// Folders of processes that are gone, which Verilator may have written to: told by their name, this
// user and the mark.
static void sweep(void)
{
    const char *base = getenv("TMPDIR");
    base = base && *base ? base : "/tmp";
    DIR *entries = opendir(base);
    for (const struct dirent *entry; entries && (entry = readdir(entries)) != NULL;) {
        char path[4096], mark[4096 + sizeof "/" DC_FOLDER_MARK];
        struct stat info;
        long process = 0;
        if (sscanf(entry->d_name, PREFIX "-%ld-", &process) != 1 || process < 1 ||
            process == (long)getpid() || kill((pid_t)process, 0) == 0 || errno != ESRCH)
            continue;
        snprintf(path, sizeof path, "%s/%s", base, entry->d_name);
        snprintf(mark, sizeof mark, "%s/" DC_FOLDER_MARK, path);
        if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
            lstat(mark, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid())
            dc__rtl_discard(path);
    }
    if (entries)
        closedir(entries);
}

enum dc_status dc__rtl_prepare(char **work, const struct dc_imodel *model,
                               const struct dc_vectors *vectors, struct dc_arena *arena,
                               struct dc_error *error)
{
    enum { OTHERS = sizeof by_simulator / sizeof *by_simulator };
    struct dc__archive_file *files = NULL;
    int count = 0, flat = OTHERS, refused = 0, weighted = 0;
    *work = NULL;
    for (int i = 1; i < model->count; i++) {
        if (!dc_ilayer_has_weights(&model->layers[i]))
            continue;
        weighted += !dc__memory_refuses(model, i);
        refused = refused == 0 && dc__memory_refuses(model, i) ? i : refused;
    }
    if (refused > 0 && weighted == 0)
        return dc_fail(error, DC_ERR_CONFIG, "profile %s: layer '%s' (%s) %s", model->profile->name,
                       model->layers[refused].name, dc_iop_name(model->layers[refused].op),
                       dc__memory_refuses(model, refused));
    DC_TRY(dc__memory_files(&files, &count, model, vectors, arena, error));
    const char **names = DC_NEW(arena, const char *, count + OTHERS + 1, error);
    if (!names)
        return DC_ERR_MEMORY;
    memcpy(names, by_simulator, sizeof by_simulator);
    for (int i = 0; i < count; i++)
        if (!strchr(files[i].name, '/'))
            names[flat++] = files[i].name;
    if (flat > FILES_MAX)
        return dc_fail(error, DC_ERR_CONFIG, "%d memory images are more than a rung's folder holds",
                       flat);
    sweep();
    DC_TRY(dc__work_create(work, PREFIX, names, arena, error));
    for (int i = 0; i < count; i++) {
        const char *path = dc_arena_printf(arena, error, "%s/%s", *work, files[i].name);
        if (!path)
            return DC_ERR_MEMORY;
        if (!strchr(files[i].name, '/'))
            DC_TRY(dc_file_write(path, files[i].bytes, files[i].size, error));
    }
    return DC_OK;
}

// Whether a file of a rung's folder is of a kind that is written there: images and sources by us,
// the others by Verilator, whose names nobody knows before.
static bool is_of_rung(const char *name)
{
    static const char *const begins[] = {"Vtestbench", "verilated"};
    static const char *const ends[] = {".mem", ".sv", ".svh", "README.md"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(name, begins[i], strlen(begins[i])) == 0)
            return true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strlen(name) >= strlen(ends[i]) &&
            strcmp(name + strlen(name) - strlen(ends[i]), ends[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof by_simulator / sizeof *by_simulator; i++)
        if (strcmp(name, by_simulator[i]) == 0)
            return true;
    return false;
}

void dc__rtl_discard(const char *work)
{
    struct dc_arena *arena = NULL;
    DIR *entries = opendir(work);
    const char **names = NULL;
    int count = 0, capacity = 0;
    bool whole = entries && dc_arena_create(&arena, NULL) == DC_OK;
    for (const struct dirent *entry; whole && (entry = readdir(entries)) != NULL;) {
        if (!is_of_rung(entry->d_name))
            continue;
        // one more than there are, for the end of the list
        names = dc_arena_grow(arena, names, count + 1, &capacity, sizeof *names, NULL);
        whole = names && (names[count++] = dc_arena_copy(arena, entry->d_name, NULL)) != NULL;
    }
    if (whole && names) {
        names[count] = NULL;
        (void)!dc_folder_mark(work, names, NULL);
    }
    if (entries)
        closedir(entries);
    dc_arena_free(arena);
    dc_folder_discard(work);
}

// What a run replays: which vectors, and whether of each kind one layer.
struct plan {
    int64_t from, to, codes;
    int layers, skipped;
    bool few;
};

static int64_t clocks_of(const struct dc_imodel *model, bool few)
{
    int64_t clocks = 0;
    for (int i = 1; i < model->count; i++)
        if (!dc__memory_not_replayed(model, i) && (!few || dc__memory_represents(model, i)))
            clocks += dc__memory_clocks(model, i);
    return clocks;
}

static struct plan make_plan(const struct dc_imodel *model, const struct dc_vectors *vectors,
                             int64_t clocks)
{
    const int64_t count = vectors->count < DC__MEMORY_VECTORS ? vectors->count : DC__MEMORY_VECTORS;
    struct plan p = {.to = count - 1, .few = clocks_of(model, false) > clocks};
    p.few = p.few && clocks_of(model, true) < clocks_of(model, false);
    if (clocks_of(model, p.few) * count > clocks)
        p.from = p.to;
    for (int i = 1; i < model->count; i++) {
        const bool replays = !dc__memory_not_replayed(model, i) &&
                             (!p.few || dc__memory_represents(model, i));
        p.layers += replays;
        p.skipped += !replays;
        p.codes += replays ? (p.to - p.from + 1) * dc_ilayer_size(&model->layers[i]) : 0;
    }
    return p;
}

// Numbers of the testbench's lines go to the result; false: it did not come to its end.
static bool read_lines(struct dc_rung_result *r, const struct dc_imodel *model, const char *text,
                       const struct plan *p)
{
    int64_t codes = 0, different = 0;
    int layer = 0, layers = 0;
    bool ended = false;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (sscanf(line, "layer %d: %" SCNd64 " codes, %" SCNd64 " different", &layer, &codes,
                   &different) == 3) {
            if (different > 0 && r->first_layer < 0 && layer > 0 && layer < model->count)
                r->first_layer = layer;
        } else if (sscanf(line, "replayed %d layers: %" SCNd64 " codes, %" SCNd64 " different",
                          &layers, &codes, &different) == 3) {
            r->bytes = codes;
            r->different = different;
            ended = layers == p->layers && codes == p->codes;
        }
    }
    return ended;
}

// The sentence of a $fatal, or of a compiler: from "layer N (NAME)" on, or behind "error: ".
static const char *find_sentence(struct dc_rung_result *r, const struct dc_imodel *model,
                                 char *const texts[2])
{
    for (int i = 0; i < 2; i++) {
        char *at = texts[i] ? strstr(texts[i], ": layer ") : NULL;
        if (!at)
            continue;
        at += strlen(": ");
        at[strcspn(at, "\n")] = '\0';
        const long layer = strtol(at + strlen("layer "), NULL, 10);
        if (layer > 0 && layer < model->count && r->first_layer < 0)
            r->first_layer = (int)layer;
        return at;
    }
    for (int i = 0; i < 2; i++) {
        char *at = texts[i] ? strstr(texts[i], "rror: ") : NULL;
        if (at) {
            at += strlen("rror: ");
            at[strcspn(at, "\n")] = '\0';
            return at;
        }
    }
    return "";
}

static void say_what_was_replayed(struct dc_rung_result *r, const struct dc_imodel *model,
                                  const struct plan *p)
{
    struct dc_text_buffer text = {0};
    dc_text_append(&text, "%d of %d layers replayed%s, %" PRId64 " vector%s", p->layers,
                   p->layers + p->skipped, p->few ? ", one of each kind" : "", p->to - p->from + 1,
                   p->to > p->from ? "s" : "");
    bool said[DC_IOP_COUNT] = {false}, any = false;
    for (int i = 1; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        if (!dc__memory_not_replayed(model, i) || said[l->op])
            continue;
        dc_text_append(&text, "%s %s", any ? "," : "; not replayed:", dc_iop_name(l->op));
        if (dc__memory_refuses(model, i))
            dc_text_append(&text, " '%s', which %s", l->name, dc__memory_refuses(model, i));
        said[l->op] = any = true;
    }
    snprintf(r->why, sizeof r->why, "%s", text.text ? text.text : "");
    dc_text_free(&text);
}

static enum dc_status judge(struct dc_rung_result *r, int code, const struct dc_imodel *model,
                            const struct plan *p, const char *work, struct dc_arena *arena,
                            struct dc_error *error)
{
    char *texts[2] = {NULL};
    for (int i = 0; i < 2; i++) {
        const char *path = dc_arena_printf(arena, error, "%s/%s", work, i ? "words" : "answers");
        if (!path)
            return DC_ERR_MEMORY;
        if (dc_file_exists(path))
            DC_TRY(dc_file_read(&texts[i], NULL, path, arena, error));
    }
    const bool ended = texts[0] && read_lines(r, model, texts[0], p);
    if (ended && code == 0 && r->different == 0) {
        r->outcome = DC_RUNG_EQUAL;
        say_what_was_replayed(r, model, p);
        return DC_OK;
    }
    char end[64];
    const char *sentence = find_sentence(r, model, texts);
    r->outcome = ended && code != 0 && r->different > 0 ? DC_RUNG_DIFFERENT : DC_RUNG_FAILED;
    snprintf(r->why, sizeof r->why, "%s%s",
             *sentence ? "" : dc__rung_end(end, "the simulation", code), sentence);
    if (r->first_layer >= 0)
        snprintf(r->layer, sizeof r->layer, "%s", model->layers[r->first_layer].name);
    return DC_OK;
}

enum dc_status dc__rtl_simulate(struct dc_rung_result *result, const struct dc_ctx *ctx,
                                enum dc_rung rung, const struct dc_imodel *model,
                                const struct dc_vectors *vectors, const char *work,
                                struct dc_arena *arena, struct dc_error *error)
{
    const bool slow = rung == DC_RUNG_IVERILOG;
    const struct plan p = make_plan(model, vectors, slow ? CLOCKS_IVERILOG : CLOCKS_VERILATOR);
    char *arguments = dc_arena_printf(arena, error, "%s+from=%" PRId64 " +to=%" PRId64,
                                      p.few ? "+few " : "", p.from, p.to);
    int code = 0;
    if (!arguments)
        return DC_ERR_MEMORY;
    *result = (struct dc_rung_result){
        .outcome = DC_RUNG_FAILED, .samples = p.to - p.from + 1, .first_layer = -1};
    DC_TRY(dc__rung_build_rtl(&code, ctx, rung, work, arena, error));
    if (code == 0)
        DC_TRY(dc__rung_run_rtl(&code, ctx, rung, arguments, work, arena, error));
    return judge(result, code, model, &p, work, arena, error);
}

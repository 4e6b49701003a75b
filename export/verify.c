// Owns the comparison of a bundle with the engine. Nothing that came with the bundle is compiled or
// run: its C is made anew from its model, in a temporary folder of this user alone that is removed
// afterwards, and only there the compiler looks for files. Compiler and program are run directly,
// without a shell.

#include "export/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/folder.h"
#include "export/bundle.h"
#include "export/bundle_format.h"
#include "export/c_source.h"
#include "export/formats.h"
#include "export/process.h"

enum { WORDS_MAX = 32, PARTS_MAX = 64, SELFTEST_FAILED = 3, NO_PART = -1 };

struct verifier {
    const struct dc_ctx *ctx;
    struct dc_arena *arena;
    struct dc_imodel *model;
    struct dc_vectors *vectors;
    char *work;  // the temporary folder
    const char *directory, *name;
    struct dc_verify_report *report;
    struct dc_error *error;
};

// The C's name is an identifier (dc_c_identifier), so that no file of it is called like this.
static const char driver_name[] = "verify-driver.c";

// Runs the self-test, then reads inputs until the file ends and writes outputs.
static const char driver[] =
    "#include <stdio.h>\n"
    "#include \"%s.h\"\n"
    "static int8_t input[%" PRId64 "], output[%" PRId64 "];\n"
    "int main(void)\n"
    "{\n"
    "    size_t n;\n"
    "    if (%s_selftest() != 0)\n"
    "        return %d;\n"
    "    while ((n = fread(input, 1, sizeof input, stdin)) != 0) {\n"
    "        if (n != sizeof input)\n"
    "            return 1;\n"
    "        %s_run(input, output);\n"
    "        if (fwrite(output, 1, sizeof output, stdout) != sizeof output)\n"
    "            return 1;\n"
    "    }\n"
    "    return fflush(stdout) != 0;\n"
    "}\n";

// A file of the work folder; part: a number behind the name, or NO_PART.
static char *path_in(const struct verifier *v, const char *name, int part)
{
    return part == NO_PART ? dc_arena_printf(v->arena, v->error, "%s/%s", v->work, name)
                           : dc_arena_printf(v->arena, v->error, "%s/%s.%d", v->work, name, part);
}

static enum dc_status compile(struct verifier *v, const char *compiler)
{
    compiler = compiler ? compiler : getenv("CC");
    char *words = dc_arena_copy(v->arena, compiler && *compiler ? compiler : "cc", v->error);
    char *driver_path = path_in(v, driver_name, NO_PART), *program = path_in(v, "program", NO_PART);
    char *code = dc_arena_printf(v->arena, v->error, "%s/%s.c", v->work, v->name);
    char *include = dc_arena_printf(v->arena, v->error, "-I%s", v->work);
    char *text = dc_arena_printf(
        v->arena, v->error, driver, v->name, dc_ilayer_size(&v->model->layers[0]),
        dc_ilayer_size(dc_imodel_output(v->model)), v->name, SELFTEST_FAILED, v->name);
    if (!words || !driver_path || !program || !code || !include || !text)
        return DC_ERR_MEMORY;
    DC_TRY(dc_file_write(driver_path, text, strlen(text), v->error));
    char *argv[WORDS_MAX + 16], *rest = NULL;
    int count = 0;
    bool optimizes = false;  // in a way of the user's
    for (char *w = strtok_r(words, " ", &rest); w && count < WORDS_MAX;
         w = strtok_r(NULL, " ", &rest)) {
        optimizes = optimizes || strncmp(w, "-O", 2) == 0;
        argv[count++] = w;
    }
    if (count == 0)
        return dc_fail(v->error, DC_ERR_VERIFY, "the compiler's name is empty");
    char *const flags[] = {"-std=c99",     "-pedantic", "-Wall", "-Wextra", "-Werror",  include,
                           "-Wconversion", code,        "-o",    program,   driver_path};
    if (!optimizes)
        argv[count++] = "-O2";
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        argv[count++] = flags[i];
    argv[count] = NULL;
    size_t length = 0;
    for (int i = 0; i < count && length < DC_VERIFY_LINE; i++)
        length += (size_t)snprintf(v->report->compiler + length, DC_VERIFY_LINE - length, "%s%s",
                                   i ? " " : "", argv[i]);
    pid_t pid;
    const struct dc__command command = {.argv = argv, .in = "/dev/null"};
    DC_TRY_IN(dc__process_start(&pid, &command, v->error), v->error,
              "a C compiler is needed to prove the exported C, so nothing was proven; install one "
              "(Debian: gcc), or name it in the environment variable CC");
    int code_of_exit;
    DC_TRY(dc__process_finish(&code_of_exit, v->ctx, pid, v->error));
    if (code_of_exit != 0)
        return dc_fail(v->error, DC_ERR_VERIFY, "%s: the compiler refused it (exit %d): %s", code,
                       code_of_exit, v->report->compiler);
    return DC_OK;
}

// The samples in as many processes as there are threads; outputs: [samples, output codes].
static enum dc_status run_program(struct verifier *v, int8_t *outputs, const int8_t *inputs,
                                  int64_t samples)
{
    const int64_t in_size = dc_ilayer_size(&v->model->layers[0]);
    const int64_t out_size = dc_ilayer_size(dc_imodel_output(v->model));
    const int parts = v->ctx->threads < PARTS_MAX ? v->ctx->threads : PARTS_MAX;
    pid_t pids[PARTS_MAX];
    int started = 0;
    enum dc_status status = DC_OK;
    for (int p = 0; status == DC_OK && p < parts; p++) {
        const struct dc_rows rows = dc_chunk_rows(samples, parts, p);
        char *program = path_in(v, "program", NO_PART);
        char *in = path_in(v, "in", p), *out = path_in(v, "out", p);
        if (!program || !in || !out) {
            status = DC_ERR_MEMORY;
            break;
        }
        status = dc_file_write(in, inputs + rows.first * in_size, (size_t)(rows.count * in_size),
                               v->error);
        char *const argv[] = {program, NULL};
        const struct dc__command command = {.argv = argv, .in = in, .out = out};
        if (status == DC_OK)
            status = dc__process_start(&pids[p], &command, v->error);
        started += status == DC_OK;
    }
    for (int p = 0; p < started; p++) {
        int code = 0;
        const enum dc_status waited = dc__process_finish(&code, v->ctx, pids[p], v->error);
        if (waited != DC_OK)
            status = waited;
        else if (status == DC_OK && code == SELFTEST_FAILED)
            status = dc_fail(v->error, DC_ERR_VERIFY, "%s_selftest() fails", v->name);
        else if (status == DC_OK && code != 0)
            status = dc_fail(v->error, DC_ERR_VERIFY, "the compiled program ended with code %d",
                             code);
    }
    for (int p = 0; status == DC_OK && p < parts; p++) {
        const struct dc_rows rows = dc_chunk_rows(samples, parts, p);
        char *text = NULL, *out = path_in(v, "out", p);
        size_t size = 0;
        status = out ? dc_file_read(&text, &size, out, v->arena, v->error) : DC_ERR_MEMORY;
        if (status == DC_OK && size != (size_t)(rows.count * out_size))
            status = dc_fail(v->error, DC_ERR_VERIFY,
                             "the compiled program gave %zu bytes of %" PRId64, size,
                             rows.count * out_size);
        if (status == DC_OK && size > 0)
            memcpy(outputs + rows.first * out_size, text, size);
    }
    return status;
}

static enum dc_status compare(struct verifier *v, const int8_t *ours, const int8_t *theirs,
                              int64_t samples)
{
    const int64_t out_size = dc_ilayer_size(dc_imodel_output(v->model));
    int64_t first = -1;
    v->report->samples = samples;
    v->report->bytes = samples * out_size;
    for (int64_t i = 0; i < samples * out_size; i++) {
        if (ours[i] != theirs[i]) {
            first = first < 0 ? i : first;
            v->report->different++;
        }
    }
    if (first < 0)
        return DC_OK;
    return dc_fail(v->error, DC_ERR_VERIFY,
                   "%s/%s.c: sample %" PRId64 ", output %" PRId64 ": the engine gives %d, the "
                   "exported C %d; %" PRId64 " of %" PRId64 " bytes differ",
                   v->directory, v->name, first / out_size, first % out_size, ours[first],
                   theirs[first], v->report->different, v->report->bytes);
}

// The line in which two texts first differ, from 1 on; 0: nowhere.
static int first_different_line(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int line = 1;
    size_t i = 0;
    for (; i < a_size && i < b_size && a[i] == b[i]; i++)
        line += a[i] == '\n';
    return i == a_size && i == b_size ? 0 : line;
}

// The layer whose arrays, record or call stand in this line of the exported C, or around it up to
// the next empty line; NULL: none.
static const char *layer_at(const struct dc_imodel *model, const char *text, int line)
{
    const char *at = text, *paragraph = text;
    for (; line > 1 && *at; line--) {
        at += strcspn(at, "\n");
        at += *at == '\n';
        if (*at == '\n')
            paragraph = at + 1;
    }
    const char *const starts[] = {at, paragraph}, *end = strstr(at, "\n\n");
    const char *const ends[] = {at + strcspn(at, "\n"), end ? end : at + strlen(at)};
    for (int k = 0; k < 2; k++)
        for (const char *id = strstr(starts[k], "layer"); id && id < ends[k];
             id = strstr(id + 1, "layer")) {
            char *behind;
            const long layer = strtol(id + strlen("layer"), &behind, 10);
            if (*behind == '_' && layer > 0 && layer < model->count)
                return model->layers[layer].name;
        }
    return NULL;
}

// The bundle's files of other formats against those made anew.
static enum dc_status compare_formats(struct verifier *v)
{
    const struct dc_export_format *format;
    for (int i = 0; (format = dc_export_format_at(i)) != NULL; i++) {
        char *texts[2] = {NULL};
        size_t sizes[2] = {0};
        char *here = dc_arena_printf(v->arena, v->error, "%s/%s.%s", v->work, v->name,
                                     format->ending);
        char *there = dc_arena_printf(v->arena, v->error, "%s/%s.%s", v->directory, v->name,
                                      format->ending);
        if (!here || !there)
            return DC_ERR_MEMORY;
        if (!dc_file_exists(there))
            continue;
        DC_TRY(format->write(here, v->model, v->vectors, v->error));
        DC_TRY(dc_file_read(&texts[0], &sizes[0], here, v->arena, v->error));
        DC_TRY(dc_file_read(&texts[1], &sizes[1], there, v->arena, v->error));
        if (sizes[0] != sizes[1] || memcmp(texts[0], texts[1], sizes[0]) != 0)
            return dc_fail(v->error, DC_ERR_VERIFY,
                           "%s: is not what version %s, by which the bundle says it was written, "
                           "makes of its model: export it anew",
                           there, DECANT_VERSION);
    }
    return DC_OK;
}

// The bundle's own C against the C made anew, which says what this program would have written; of a
// bundle that another version wrote only that is noted.
static enum dc_status compare_own(struct verifier *v)
{
    char *writer = NULL, *own = NULL, *anew = NULL;
    size_t own_size = 0, anew_size = 0;
    DC_TRY(dc_bundle_writer(&writer, v->directory, v->arena, v->error));
    snprintf(v->report->other_writer, sizeof v->report->other_writer, "%s", writer);
    if (strcmp(writer, DECANT_VERSION) != 0)
        return DC_OK;
    v->report->other_writer[0] = '\0';
    for (int i = 0; i < 2; i++) {
        char *here = dc_arena_printf(v->arena, v->error, "%s/%s.%c", v->work, v->name, "hc"[i]);
        char *there = dc_arena_printf(v->arena, v->error, "%s/%s.%c", v->directory, v->name,
                                      "hc"[i]);
        if (!here || !there)
            return DC_ERR_MEMORY;
        DC_TRY(dc_file_read(&anew, &anew_size, here, v->arena, v->error));
        DC_TRY(dc_file_read(&own, &own_size, there, v->arena, v->error));
        const int line = first_different_line(own, own_size, anew, anew_size);
        const char *layer = line > 0 && i == 1 ? layer_at(v->model, anew, line) : NULL;
        if (line > 0)
            return dc_fail(v->error, DC_ERR_VERIFY,
                           "%s:%d: this line%s%s%s is not what version %s, by which the bundle "
                           "says it was written, makes of its model; the bundle's C was neither "
                           "compiled nor run: export it anew",
                           there, line, layer ? ", of layer '" : "", layer ? layer : "",
                           layer ? "'," : "", DECANT_VERSION);
    }
    return compare_formats(v);
}

// All files that the work folder will hold, so that a killed verification is cleaned up later.
static enum dc_status make_work(struct verifier *v)
{
    const char *endings[DC_EXPORT_FORMATS_MAX + 2] = {"h", "c"};
    int written = 2;
    for (const struct dc_export_format *f; (f = dc_export_format_at(written - 2)) != NULL;)
        endings[written++] = f->ending;
    const char *names[DC_EXPORT_FORMATS_MAX + 5 + 2 * PARTS_MAX] = {"program", driver_name};
    int count = 2;
    for (int i = 0; i < written + 2 * PARTS_MAX; i++) {
        const int part = i - written;
        const char *name = part < 0
                               ? dc_arena_printf(v->arena, v->error, "%s.%s", v->name, endings[i])
                               : dc_arena_printf(v->arena, v->error, "%s.%d",
                                                 part % 2 ? "in" : "out", part / 2);
        if (!name)
            return DC_ERR_MEMORY;
        names[count++] = name;
    }
    return dc__work_create(&v->work, "decant-verify", names, v->arena, v->error);
}

// A few samples a thread at a time, so that a stop is obeyed.
static enum dc_status run_engine(const struct verifier *v, struct dc_engine *engine,
                                 int8_t *outputs, const int8_t *inputs, int64_t samples)
{
    const int64_t in_size = dc_ilayer_size(&v->model->layers[0]);
    const int64_t out_size = dc_ilayer_size(dc_imodel_output(v->model));
    const int64_t step = 8 * (int64_t)v->ctx->threads;
    for (int64_t done = 0; done < samples; done += step) {
        const int64_t rows = samples - done < step ? samples - done : step;
        DC_TRY(dc_check_stop(v->ctx->stop, v->error));
        dc_engine_run(engine, outputs + done * out_size, inputs + done * in_size, rows);
    }
    return DC_OK;
}

static enum dc_status verify(struct verifier *v, const int8_t *inputs, int64_t samples,
                             const char *compiler)
{
    struct dc_engine *engine = NULL;
    DC_TRY(dc_bundle_read(&v->model, &v->vectors, v->directory, v->error));
    DC_TRY_IN(dc_vectors_replay(v->vectors, v->ctx, v->model, v->error), v->error, "%s/model.h5",
              v->directory);
    v->report->vectors = v->vectors->count;
    v->name = dc_c_identifier(v->arena, v->model->name, v->error);
    const size_t bytes = (size_t)(samples * dc_ilayer_size(dc_imodel_output(v->model)));
    int8_t *ours = dc_arena_alloc(v->arena, bytes, v->error);
    int8_t *theirs = dc_arena_alloc(v->arena, bytes, v->error);
    if (!v->name || !ours || !theirs)
        return DC_ERR_MEMORY;
    DC_TRY(make_work(v));
    DC_TRY(dc_c_source_write(v->work, v->name, v->model, v->vectors, v->error));
    DC_TRY(compare_own(v));
    DC_TRY(compile(v, compiler));
    DC_TRY(run_program(v, theirs, inputs, samples));
    DC_TRY(dc_engine_create(&engine, v->ctx, v->model, v->error));
    const enum dc_status status = run_engine(v, engine, ours, inputs, samples);
    dc_engine_free(engine);
    return status == DC_OK ? compare(v, ours, theirs, samples) : status;
}

enum dc_status dc_verify_bundle(const struct dc_ctx *ctx, const char *directory,
                                const int8_t *inputs, int64_t samples, const char *compiler,
                                struct dc_verify_report *report, struct dc_error *error)
{
    struct verifier v = {.ctx = ctx, .directory = directory, .report = report, .error = error};
    const double started = dc_seconds();
    memset(report, 0, sizeof *report);
    DC_TRY(dc_arena_create(&v.arena, error));
    const enum dc_status status = verify(&v, inputs, samples, compiler);
    if (v.work)
        dc_folder_discard(v.work);
    dc_vectors_free(v.vectors);
    dc_imodel_free(v.model);
    dc_arena_free(v.arena);
    report->seconds = dc_seconds() - started;
    return status;
}

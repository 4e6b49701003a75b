// Owns what a rung's answers are held against, and what is said of them. How programs are made and
// run is rungs.c's.

#include "export/ladder.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/folder.h"
#include "export/bundle_format.h"
#include "export/c_source.h"
#include "export/process.h"

enum { NUMBER_BYTES = 8, TAIL_NUMBERS = 2, SENTENCE = 64 };  // examples/device/rung.c

struct dc_ladder {
    struct dc_arena *arena;
    const struct dc_ctx *ctx;
    const struct dc_imodel *model;
    char *work;
    int64_t samples, output_bytes;
    int8_t *outputs;  // [samples, output_bytes]
    uint32_t *crcs;   // [samples, layers]
};

// What the engine computes for every sample, layer by layer; the inputs go into a file.
static enum dc_status expect(struct dc_ladder *ladder, const int8_t *inputs, struct dc_error *error)
{
    const struct dc_imodel *m = ladder->model;
    const int64_t in_size = dc_ilayer_size(&m->layers[0]), out_size = ladder->output_bytes;
    struct dc_engine *engine = NULL;
    struct dc_itrace *trace = NULL;
    char *path = dc_arena_printf(ladder->arena, error, "%s/samples", ladder->work);
    if (!path)
        return DC_ERR_MEMORY;
    DC_TRY(dc_file_write(path, inputs, (size_t)(ladder->samples * in_size), error));
    DC_TRY(dc_itrace_create(&trace, m, error));
    enum dc_status status = dc_engine_create(&engine, ladder->ctx, m, error);
    for (int64_t n = 0; status == DC_OK && n < ladder->samples; n++) {
        uint32_t *crcs = ladder->crcs + n * m->count;
        dc_engine_trace(engine, trace, inputs + n * in_size);
        crcs[0] = dc__crc32(inputs + n * in_size, (uint64_t)in_size);
        for (int i = 1; i < m->count; i++)
            crcs[i] = dc__crc32(trace->outputs[i], (uint64_t)dc_ilayer_size(&m->layers[i]));
        memcpy(ladder->outputs + n * out_size, trace->outputs[m->count - 1], (size_t)out_size);
        status = dc_check_stop(ladder->ctx->stop, error);
    }
    dc_engine_free(engine);
    dc_itrace_free(trace);
    return status;
}

static enum dc_status create(struct dc_ladder *ladder, const struct dc_vectors *vectors,
                             const int8_t *inputs, int64_t samples, struct dc_error *error)
{
    const char *names[DC__RUNG_FILES_MAX];
    const int64_t in_size = dc_ilayer_size(&ladder->model->layers[0]);
    ladder->samples = vectors->count + samples;
    ladder->output_bytes = dc_ilayer_size(dc_imodel_output(ladder->model));
    int8_t *all = DC_NEW(ladder->arena, int8_t, ladder->samples * in_size, error);
    ladder->outputs = DC_NEW(ladder->arena, int8_t, ladder->samples * ladder->output_bytes, error);
    ladder->crcs = DC_NEW(ladder->arena, uint32_t, ladder->samples * ladder->model->count, error);
    if (!all || !ladder->outputs || !ladder->crcs)
        return DC_ERR_MEMORY;
    memcpy(all, vectors->outputs[0], (size_t)(vectors->count * in_size));
    if (samples > 0)
        memcpy(all + vectors->count * in_size, inputs, (size_t)(samples * in_size));
    dc__rung_files(names);
    DC_TRY(dc__work_create(&ladder->work, "decant-ladder", names, ladder->arena, error));
    DC_TRY(dc_c_source_write(ladder->work, "network", ladder->model, vectors, error));
    DC_TRY(dc__rung_write_texts(ladder->work, ladder->arena, error));
    return expect(ladder, all, error);
}

enum dc_status dc_ladder_create(struct dc_ladder **out, const struct dc_ctx *ctx,
                                const struct dc_imodel *model, const struct dc_vectors *vectors,
                                const int8_t *inputs, int64_t samples, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *out = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_ladder *ladder = DC_NEW(arena, struct dc_ladder, 1, error);
    if (!ladder) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    *ladder = (struct dc_ladder){.arena = arena, .ctx = ctx, .model = model};
    const enum dc_status status = create(ladder, vectors, inputs, samples, error);
    if (status != DC_OK)
        dc_ladder_free(ladder);
    else
        *out = ladder;
    return status;
}

void dc_ladder_free(struct dc_ladder *ladder)
{
    if (!ladder)
        return;
    if (ladder->work)
        dc_folder_discard(ladder->work);
    dc_arena_free(ladder->arena);
}

const char *dc__ladder_folder(const struct dc_ladder *ladder)
{
    return ladder->work;
}

static uint64_t read_number(const uint8_t *bytes)
{
    uint64_t number = 0;
    for (int i = NUMBER_BYTES; i-- > 0;)
        number = number << 8 | bytes[i];
    return number;
}

static void note_layer(struct dc_rung_result *r, const struct dc_ladder *ladder, int layer)
{
    if (r->first_layer >= 0 && r->first_layer <= layer)
        return;
    r->first_layer = layer;
    snprintf(r->layer, sizeof r->layer, "%s", ladder->model->layers[layer].name);
}

// answers: of all samples. The program with the trace comes first, the one that ships then: what
// either finds stays.
static void compare(struct dc_rung_result *r, const struct dc_ladder *ladder,
                    const uint8_t *answers, bool traced)
{
    const int layers = ladder->model->count;
    const uint8_t *at = answers;
    r->different = 0;
    for (int64_t n = 0; n < ladder->samples; n++) {
        const int8_t *output = ladder->outputs + n * ladder->output_bytes;
        for (int64_t i = 0; i < ladder->output_bytes; i++)
            r->different += (int8_t)*at++ != output[i];
        for (int i = 0; traced && i < layers; i++, at += NUMBER_BYTES)
            if (read_number(at) != ladder->crcs[n * layers + i])
                note_layer(r, ladder, i);
    }
    const uint64_t wrong = read_number(at);
    r->ticks = read_number(at + NUMBER_BYTES);
    if (r->different > 0 || r->first_layer >= 0 || wrong > 0)
        r->outcome = DC_RUNG_DIFFERENT;
    if (r->different > 0 || r->first_layer >= 0)
        snprintf(r->why, sizeof r->why, "%" PRId64 " of %" PRId64 " bytes differ%s%s%s",
                 r->different, r->bytes, r->layer[0] ? ", first in layer '" : "", r->layer,
                 r->layer[0] ? "'" : "");
    else if (wrong > 0)
        snprintf(r->why, sizeof r->why, "the self-test fails at vector %" PRIu64, wrong - 1);
}

static int64_t record_bytes(const struct dc_ladder *ladder, bool traced)
{
    return ladder->output_bytes + (traced ? (int64_t)NUMBER_BYTES * ladder->model->count : 0);
}

// What one of the two programs answers; NULL where it does not, and a sentence about that.
static enum dc_status ask(char **answers, char sentence[SENTENCE], const struct dc_ladder *ladder,
                          enum dc_rung rung, const char *flags, bool traced, struct dc_arena *arena,
                          struct dc_error *error)
{
    const struct dc__build build = {
        .rung = rung,
        .answers = true,
        .flags = dc_arena_printf(arena, error, "%s %s", flags,
                                 traced ? "-DNETWORK_TRACE -DTRACED" : ""),
        .folder = ladder->work};
    const int64_t expected = ladder->samples * record_bytes(ladder, traced) +
                             NUMBER_BYTES * TAIL_NUMBERS;
    char *path = dc_arena_printf(arena, error, "%s/answers", ladder->work);
    size_t size = 0;
    int code = 0;
    if (!path || !build.flags)
        return DC_ERR_MEMORY;
    *answers = NULL;
    snprintf(sentence, SENTENCE, "it was not compiled");
    DC_TRY(dc__rung_build(&code, ladder->ctx, &build, arena, error));
    if (code != 0)
        return DC_OK;
    DC_TRY(dc__rung_run(&code, ladder->ctx, rung, ladder->work, arena, error));
    dc__rung_end(sentence, "the program", code);
    if (code != 0)
        return DC_OK;
    DC_TRY(dc_file_read(answers, &size, path, arena, error));
    snprintf(sentence, SENTENCE, "it answered %zu bytes of %" PRId64, size, expected);
    if ((int64_t)size != expected)
        *answers = NULL;
    return DC_OK;
}

static enum dc_status run_program(struct dc_rung_result *r, const struct dc_ladder *ladder,
                                  enum dc_rung rung, const char *flags, bool traced,
                                  struct dc_arena *arena, struct dc_error *error)
{
    char *answers = NULL, sentence[SENTENCE];
    DC_TRY(ask(&answers, sentence, ladder, rung, flags, traced, arena, error));
    if (!answers) {
        const char *words = dc__rung_words(ladder->work, arena);
        r->outcome = dc__rung_lacks(words) ? DC_RUNG_NOT_RUN : DC_RUNG_FAILED;
        snprintf(r->why, sizeof r->why, "%s%s%s", sentence, *words ? ": " : "", words);
        return DC_OK;
    }
    if (r->outcome == DC_RUNG_NOT_RUN)
        r->outcome = DC_RUNG_EQUAL;
    compare(r, ladder, (const uint8_t *)answers, traced);
    return DC_OK;
}

// A runtime's outputs, which must be the engine's where the model's arithmetic is the runtime's.
static enum dc_status run_runtime(struct dc_rung_result *r, const struct dc_ladder *ladder,
                                  enum dc_rung rung, struct dc_arena *arena, struct dc_error *error)
{
    char *path = dc_arena_printf(arena, error, "%s/answers", ladder->work), *answers = NULL;
    struct dc_error refused = {0};
    char end[SENTENCE];
    size_t size = 0;
    int code = 0;
    bool gate = false;
    if (!path)
        return DC_ERR_MEMORY;
    const enum dc_status status = dc__rung_run_runtime(
        &code, &gate, ladder->ctx, rung, ladder->model, ladder->work, arena, &refused);
    if (status == DC_ERR_DATA || status == DC_ERR_CONFIG) {
        snprintf(r->why, sizeof r->why, "%.500s", refused.message);
        return DC_OK;
    }
    if (status != DC_OK)
        return dc_fail(error, status, "%s", refused.message);
    if (code != 0) {
        const char *words = dc__rung_words(ladder->work, arena);
        r->outcome = dc__rung_lacks(words) ? DC_RUNG_NOT_RUN : DC_RUNG_FAILED;
        snprintf(r->why, sizeof r->why, "%s%s%s", dc__rung_end(end, "python3", code),
                 *words ? ": " : "", words);
        return DC_OK;
    }
    DC_TRY(dc_file_read(&answers, &size, path, arena, error));
    if ((int64_t)size != r->bytes) {
        r->outcome = DC_RUNG_FAILED;
        snprintf(r->why, sizeof r->why, "it answered %zu bytes of %" PRId64, size, r->bytes);
        return DC_OK;
    }
    for (int64_t i = 0; i < r->bytes; i++)
        r->different += (int8_t)answers[i] != ladder->outputs[i];
    r->outcome = r->different == 0 ? DC_RUNG_EQUAL : gate ? DC_RUNG_DIFFERENT : DC_RUNG_COUNTED;
    if (r->different > 0)
        snprintf(r->why, sizeof r->why, "%" PRId64 " of %" PRId64 " bytes differ%s", r->different,
                 r->bytes, gate ? "" : "; its arithmetic is not the model's");
    return DC_OK;
}

enum dc_status dc_ladder_run(struct dc_rung_result *result, struct dc_ladder *ladder,
                             enum dc_rung rung, const char *flags, struct dc_error *error)
{
    const char *missing = dc__rung_misses(rung);
    struct dc_arena *arena = NULL;
    *result = (struct dc_rung_result){.outcome = DC_RUNG_NOT_RUN,
                                      .samples = ladder->samples,
                                      .bytes = ladder->samples * ladder->output_bytes,
                                      .first_layer = -1};
    if (missing) {
        snprintf(result->why, sizeof result->why, "there is no %s here", missing);
        return DC_OK;
    }
    DC_TRY(dc_arena_create(&arena, error));
    const bool runtime = dc_rung_group(rung) == DC_RUNGS_RUNTIMES;
    enum dc_status status = runtime ? run_runtime(result, ladder, rung, arena, error)
                                    : run_program(result, ladder, rung, flags, true, arena, error);
    if (status == DC_OK && !runtime &&
        (result->outcome == DC_RUNG_EQUAL || result->outcome == DC_RUNG_DIFFERENT))
        status = run_program(result, ladder, rung, flags, false, arena, error);
    if (result->outcome == DC_RUNG_EQUAL || result->outcome == DC_RUNG_DIFFERENT)
        result->instructions = dc__rung_instructions(rung, result->ticks) / (double)ladder->samples;
    dc_arena_free(arena);
    return status;
}

enum dc_status dc_ladder_climb(struct dc_rung_result results[DC_RUNG_COUNT],
                               struct dc_ladder *ladder, const bool wanted[DC_RUNG_COUNT],
                               struct dc_error *error)
{
    int fallen = -1, missed = -1;
    for (int r = 0; r < DC_RUNG_COUNT; r++) {
        if (!wanted[r])
            continue;
        DC_TRY(dc_ladder_run(&results[r], ladder, (enum dc_rung)r, "", error));
        const enum dc_rung_outcome outcome = results[r].outcome;
        if (fallen < 0 && (outcome == DC_RUNG_DIFFERENT || outcome == DC_RUNG_FAILED))
            fallen = r;
        if (missed < 0 && outcome == DC_RUNG_NOT_RUN)
            missed = r;
    }
    if (fallen >= 0)
        return dc_fail(error, DC_ERR_VERIFY, "rung %s: %s", dc_rung_name((enum dc_rung)fallen),
                       results[fallen].why);
    if (missed >= 0)
        return dc_fail(error, DC_ERR_IO, "rung %s was not run: %s",
                       dc_rung_name((enum dc_rung)missed), results[missed].why);
    return DC_OK;
}

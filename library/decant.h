/* libdecant: Decant's training, distillation, quantization and export from another program.
 *
 *   decant_context     threads, where messages go, a request to stop
 *   decant_experiment  an experiment file or text, read and checked
 *   decant_run         an experiment carried out in a directory, stage by stage
 *   decant_network     a finished network of a run or a bundle, asked for outputs
 *
 * Errors. A function that can fail returns a decant_code, DECANT_OK (0) or what went wrong, and
 * fills the decant_error that the caller owns (NULL: the message is dropped). Messages are those of
 * the command line: of a user's file they begin with FILE:LINE:COLUMN. What a function hands out by
 * a pointer is NULL after a failure.
 *
 * Ownership. What a function named _open, _read, _parse, _create or _load hands out is freed by the
 * caller with its own _close or _free, for which NULL is allowed. A context outlives all that was
 * made with it, a run the networks opened from it, and an experiment need not outlive its runs.
 * Texts handed out as char ** belong to the caller: decant_free. A const char * that is returned
 * lives as long as the object that it was asked of. Arguments are copied where they are kept.
 *
 * Threads. Objects know nothing of each other beyond the ownership above, and there is no global
 * state: programs may use several contexts at once, each with what was made with it by one thread
 * at a time. decant_context_stop alone may be called from any thread and from a signal handler.
 * Callbacks are called in the thread of the function that the caller is in.
 *
 * Processes. The library never ends the program, changes no signal handler and writes to neither
 * standard output nor standard error; a compiler that a proof starts may complain on standard
 * error. HDF5 files that carry no seal of Decant are read by the program itself, started anew from
 * /proc/self/exe with DECANT_HDF5_READER in its environment: the library takes that process over
 * before main. The program must therefore be linked with the library; one that loads it later as a
 * plugin gets a message where such a file is to be read.
 *
 * Files. The library writes what it is asked to write and harms nothing that Decant did not write;
 * C from a bundle is never executed as it lies there. Names of experiments, models, targets and
 * augmentations are found as `decant list` tells, in $DECANT_PATH and where the library is
 * installed.
 *
 * The JSON of results is what `decant VERB --json` prints, described in docs/programs.md.
 */

#ifndef DECANT_H
#define DECANT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define DECANT_API __attribute__((visibility("default")))
#else
#define DECANT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum decant_code {
    DECANT_OK = 0,
    DECANT_USAGE = 1,        /* an argument is wrong, or what it asks for is not there */
    DECANT_CONFIG = 2,       /* an experiment, model or target file is wrong */
    DECANT_DATA = 3,         /* a file is missing, damaged or does not fit */
    DECANT_IO = 4,           /* the operating system refused */
    DECANT_MEMORY = 5,       /* the allocator refused */
    DECANT_NUMERIC = 6,      /* NaN or infinity where training cannot go on */
    DECANT_BUDGET = 7,       /* a budget of the target is broken */
    DECANT_VERIFICATION = 8, /* an export does not compute what the engine does */
    DECANT_STOPPED = 9,      /* decant_context_stop; the same call goes on where it was */
    DECANT_INTERNAL = 10
} decant_code;

typedef struct decant_error {
    decant_code code;
    char message[4096];
} decant_error;

typedef struct decant_context decant_context;
typedef struct decant_experiment decant_experiment;
typedef struct decant_run decant_run;
typedef struct decant_network decant_network;

/* The library's version, as "0.5.0". */
DECANT_API const char *decant_version(void);
/* "usage", "verification" ...; "unknown" of what is no code. */
DECANT_API const char *decant_code_name(decant_code code);
/* Frees a text that the library handed out. NULL is allowed. */
DECANT_API void decant_free(void *text);

/* ---- context ----------------------------------------------------------------------------------
 */

/* It uses all threads that the process may, and says nothing. */
DECANT_API decant_code decant_context_create(decant_context **context, decant_error *error);
DECANT_API void decant_context_free(decant_context *context);

/* Threads of what is opened from now on, 1 to 4096; 0: all that the process may use. Results have
 * the same bits with any number. */
DECANT_API decant_code decant_context_set_threads(decant_context *context, int threads,
                                                  decant_error *error);

typedef enum decant_log_level { DECANT_LOG_INFO = 0, DECANT_LOG_WARNING = 1 } decant_log_level;
/* A line without its end. */
typedef void decant_log_callback(void *user, decant_log_level level, const char *line);
/* callback NULL: silence. */
DECANT_API void decant_context_set_log(decant_context *context, decant_log_callback *callback,
                                       void *user);

typedef struct decant_progress {
    const char *stage;
    int epoch, epochs;   /* from 1 */
    int64_t step, steps; /* of the whole stage */
    double loss;
    double accuracy;     /* of the training samples so far; below 0: not known */
    double seconds_left; /* below 0: not known */
    int epoch_done;      /* whether this closes an epoch */
} decant_progress;
/* Called after each step. Later versions may append members to the struct. */
typedef void decant_progress_callback(void *user, const decant_progress *progress);
DECANT_API void decant_context_set_progress(decant_context *context,
                                            decant_progress_callback *callback, void *user);

/* Asks what runs in this context to end within seconds with DECANT_STOPPED, its work kept. The
 * request stays until it is taken back. */
DECANT_API void decant_context_stop(decant_context *context);
DECANT_API void decant_context_unstop(decant_context *context);

/* ---- experiment -------------------------------------------------------------------------------
 */

/* file: a path or a name. settings: [count] texts "stages.student.train.epochs=3", as --set takes
 * them; NULL where count is 0. No data is read. */
DECANT_API decant_code decant_experiment_read(decant_experiment **experiment, const char *file,
                                              const char *const *settings, int count,
                                              decant_error *error);
/* The same of a text. file: where it is taken to stand, for messages and relative paths; it need
 * not exist. */
DECANT_API decant_code decant_experiment_parse(decant_experiment **experiment, const char *text,
                                               const char *file, const char *const *settings,
                                               int count, decant_error *error);
DECANT_API void decant_experiment_free(decant_experiment *experiment);

DECANT_API const char *decant_experiment_name(const decant_experiment *experiment);
/* Stages in the order of the file; NULL where `index` is not in [0, count). */
DECANT_API int decant_experiment_stage_count(const decant_experiment *experiment);
DECANT_API const char *decant_experiment_stage(const decant_experiment *experiment, int index);
/* The resolved experiment as YAML: every number that shapes a result, defaults included. */
DECANT_API decant_code decant_experiment_resolve(const decant_experiment *experiment, char **yaml,
                                                 decant_error *error);
/* Shapes, costs and budgets of all stages, without data; json: {stage: {parameters, macs, ...}};
 * NULL: it is not wanted. */
DECANT_API decant_code decant_experiment_check(decant_experiment *experiment, char **json,
                                               decant_error *error);

/* ---- run --------------------------------------------------------------------------------------
 */

/* An experiment to be carried out, or gone on with, in `directory` (NULL: runs/NAME). Nothing is
 * written before the first stage; a directory made by other settings is refused. */
DECANT_API decant_code decant_run_open(decant_run **run, decant_context *context,
                                       const decant_experiment *experiment, const char *directory,
                                       decant_error *error);
/* A directory that is there, by its own record: to evaluate, export or report. */
DECANT_API decant_code decant_run_load(decant_run **run, decant_context *context,
                                       const char *directory, decant_error *error);
DECANT_API void decant_run_close(decant_run *run);

DECANT_API const char *decant_run_directory(const decant_run *run);
/* All stages in order, skipping those done; of an experiment with seeds all of them, each in its
 * own directory. */
DECANT_API decant_code decant_run_all(decant_run *run, decant_error *error);
/* One stage; those it builds on must be done. */
DECANT_API decant_code decant_run_stage(decant_run *run, const char *stage, decant_error *error);
/* 1: it is done under these settings; 0: it is not, or there is none of this name. */
DECANT_API int decant_run_stage_done(decant_run *run, const char *stage);
/* results.json: what the stages that are done reached. */
DECANT_API decant_code decant_run_results(const decant_run *run, char **json, decant_error *error);
/* Scores of a stage (NULL: the last with a network) on a part of the run's data, "test" or "train";
 * a quantized stage is run by the integer engine. */
DECANT_API decant_code decant_run_evaluate(decant_run *run, const char *stage, const char *split,
                                           char **json, decant_error *error);
/* Writes a stage to `path`: a quantized one as a bundle with its C, compiled and proven on the test
 * split, where `path` is a folder; any as one file where it ends in .onnx or .tflite. json (may be
 * NULL): cost and verification. */
DECANT_API decant_code decant_run_export(decant_run *run, const char *stage, const char *path,
                                         char **json, decant_error *error);
/* Proves a bundle on the first `limit` samples of the run's test split, 0: on all. */
DECANT_API decant_code decant_run_verify(decant_run *run, const char *bundle, int64_t limit,
                                         char **json, decant_error *error);
/* Writes DIRECTORY/report.html and what belongs to it. */
DECANT_API decant_code decant_run_report(decant_run *run, decant_error *error);

/* ---- network ----------------------------------------------------------------------------------
 */

/* Of a stage that is done (NULL: the last with a network). A quantized one computes in integers. */
DECANT_API decant_code decant_network_open(decant_network **network, decant_run *run,
                                           const char *stage, decant_error *error);
/* Of a bundle, which needs nothing beside itself. */
DECANT_API decant_code decant_network_load(decant_network **network, decant_context *context,
                                           const char *bundle, decant_error *error);
DECANT_API void decant_network_close(decant_network *network);

/* The shape of a sample, [height, width, channels] or [values] and the like: its rank (at most 8),
 * and `shape` filled so far. */
DECANT_API int decant_network_shape(const decant_network *network, int64_t shape[8]);
/* 1: samples are bytes, as of images, for decant_network_predict_bytes; 0: floats. */
DECANT_API int decant_network_takes_bytes(const decant_network *network);
DECANT_API int decant_network_output_count(const decant_network *network);
/* NULL: the data names no classes, or there is none of this index. */
DECANT_API const char *decant_network_class_name(const decant_network *network, int index);

/* outputs [count][output_count] of samples [count][shape], row-major, as the data has them:
 * normalization is the network's. Outputs are logits (decant_network_softmax), of integers codes
 * times their scale: the values that evaluation compares. The kind of samples must be the
 * network's. A bundle whose network takes floats wants them normalized. */
DECANT_API decant_code decant_network_predict_bytes(decant_network *network, float *outputs,
                                                    const uint8_t *samples, int64_t count,
                                                    decant_error *error);
DECANT_API decant_code decant_network_predict_floats(decant_network *network, float *outputs,
                                                     const float *samples, int64_t count,
                                                     decant_error *error);
/* Rows of outputs to probabilities, in place; of a network that ends in a softmax they are already.
 */
DECANT_API void decant_network_softmax(const decant_network *network, float *outputs,
                                       int64_t count);

#ifdef __cplusplus
}
#endif

#endif

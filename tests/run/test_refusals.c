// Broken input: a message that names the file and the place, the exit code of its kind, and nothing
// on disk that was not there. DECANT_SHOW=1 prints every message.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_damaged.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static struct outcome outcome;
static char root[512];  // the test's folder; decant runs in it

struct edit_case {
    const char *name;
    const char *file;       // tiny.yaml, model.yaml or target.yaml
    const char *from, *to;  // from NULL: `to` is the whole text
    int exit_code;
    const char *words[OUTCOME_WORDS];  // all of them in the message
};

static const struct edit_case edit_cases[] = {
    {"a missing name",
     "tiny.yaml",
     "name: tiny\n",
     "",
     2,
     {"case-tiny.yaml:1:1: error:", "'name'"}},
    {"a missing path",
     "tiny.yaml",
     "  path: data\n",
     "",
     2,
     {"case-tiny.yaml:1:1: error:", "'path'"}},
    {"a missing layer key",
     "model.yaml",
     "kernel: 3, stride",
     "stride",
     2,
     {"case-model.yaml:5:11: error:", "lacks the key 'kernel'"}},
    {"no stages", "tiny.yaml", "stages:\n", "stages: {}\nold:\n", 2, {"case-tiny.yaml:", "error:"}},
    {"adaround where a stage trains",
     "tiny.yaml",
     "    quantize: {",
     "    quantize: {adaround: {}, ",
     2,
     {"case-tiny.yaml:", "adaround rounds weights for good; leave out 'train'"}},
    {"corrected biases where a stage trains",
     "tiny.yaml",
     "    quantize: {",
     "    quantize: {correct_bias: true, ",
     2,
     {"case-tiny.yaml:", "training learns its biases"}},
    {"statistics of what is folded",
     "tiny.yaml",
     "    quantize: {",
     "    quantize: {power_of_two: true, re_estimate_batch_norm: true, ",
     2,
     {"case-tiny.yaml:", "there is none to estimate"}},
    {"learned steps without trained weights",
     "tiny.yaml",
     "    from: student\n    quantize: {",
     "    model: model.yaml\n    quantize: {activation_scale: learned, ",
     2,
     {"case-tiny.yaml:", "'activation_scale' works in calibration"}},
    {"bits of a layer that is not there",
     "tiny.yaml",
     "    quantize: {",
     "    quantize: {layers: {nosuch: {weights: 4}}, ",
     2,
     {"no layer 'nosuch'"}},
    {"one bit",
     "tiny.yaml",
     "    quantize: {",
     "    quantize: {weights: 1, ",
     2,
     {"case-tiny.yaml:", "'weights' must be in [2, 8], not 1"}},
    {"a layer without bits",
     "tiny.yaml",
     "    quantize: {",
     "    quantize: {layers: {fc: {}}, ",
     2,
     {"case-tiny.yaml:", "needs 2 to 8 bits"}},
    {"a typo",
     "tiny.yaml",
     "batch: 32, learning_rate",
     "batch: 32, learnin_rate",
     2,
     {"case-tiny.yaml:13:35: error: unknown key 'learnin_rate'",
      "\n      |                                   ^~~~~~~~~~~~\n       did you mean "
      "'learning_rate'?",
      "\n   13 |     train: {epochs: 3, batch: 32, learnin_rate: 0.05"}},
    {"a key like no other",
     "tiny.yaml",
     "batch: 32, learning_rate",
     "batch: 32, sparkle",
     2,
     {"unknown key 'sparkle'",
      "\n       keys here: epochs, batch, accumulate, loss, label_smoothing,\n",
      "\n       class_weights, optimizer,"}},
    {"a typo in a loss",
     "tiny.yaml",
     "kd: {",
     "kdd: {",
     2,
     {"case-tiny.yaml:18:42: error:", "'kdd'", "did you mean 'kd'?"}},
    {"a typo in an augmentation",
     "tiny.yaml",
     "[flip",
     "[flipp",
     2,
     {"case-tiny.yaml:7:13: error:", "did you mean 'flip'?"}},
    {"a number where an augmentation's keys go",
     "tiny.yaml",
     "[flip",
     "[flip: 3",
     2,
     {"case-tiny.yaml:7:19: error:", "flip must be a mapping"}},
    {"a fraction of a pixel",
     "tiny.yaml",
     "pixels: 1}",
     "pixels: 1.5}",
     2,
     {"case-tiny.yaml:7:", "'pixels' must be a whole number"}},
    {"text for a number",
     "tiny.yaml",
     "epochs: 3",
     "epochs: many",
     2,
     {"case-tiny.yaml:13:21: error:", "'epochs' must be a number, not 'many'"}},
    {"a list for a number",
     "tiny.yaml",
     "epochs: 3",
     "epochs: [3]",
     2,
     {"case-tiny.yaml:13:21: error:", "'epochs' must be a number"}},
    {"a fraction",
     "tiny.yaml",
     "epochs: 3",
     "epochs: 2.5",
     2,
     {"case-tiny.yaml:13:21: error:", "'epochs' must be a whole number, not 2.5"}},
    {"out of range",
     "tiny.yaml",
     "batch: 32",
     "batch: 0",
     2,
     {"case-tiny.yaml:13:31: error:", "'batch' must be in [1, 65536], not 0"}},
    {"a wrong choice",
     "tiny.yaml",
     "batch: 32",
     "optimizer: sdg",
     2,
     {"case-tiny.yaml:13:35: error:", "did you mean 'sgd'?"}},
    {"a wrong switch",
     "tiny.yaml",
     "batch: 32",
     "nesterov: maybe",
     2,
     {"case-tiny.yaml:13:34: error:", "'nesterov' must be true or false"}},
    {"a wrong source",
     "tiny.yaml",
     "source: idx",
     "source: idxx",
     2,
     {"case-tiny.yaml:4:11: error:", "did you mean 'idx'?"}},
    {"an unknown stage in from",
     "tiny.yaml",
     "from: student",
     "from: studnet",
     2,
     {"case-tiny.yaml:20:11: error:", "'studnet'", "did you mean 'student'?"}},
    {"an unknown teacher",
     "tiny.yaml",
     "teacher: teacher",
     "teacher: taecher",
     2,
     {"case-tiny.yaml:18:24: error:", "did you mean 'teacher'?"}},
    {"a later stage as teacher",
     "tiny.yaml",
     "teacher: teacher",
     "teacher: quantized",
     2,
     {"case-tiny.yaml:18:24: error:", "no stage 'quantized' before it"}},
    {"an unknown init_from",
     "tiny.yaml",
     "batch: 32, l",
     "batch: 32, init_from: foo, l",
     2,
     {"case-tiny.yaml:13:46: error:", "/foo' is neither a stage before it nor a file"}},
    {"an unknown layer in freeze",
     "tiny.yaml",
     "batch: 32, l",
     "batch: 32, freeze: [stm], l",
     2,
     {"case-tiny.yaml:13:43: error:", "no layer matches 'stm'"}},
    {"weights of another shape",
     "tiny.yaml",
     "accumulate: 1",
     "init_from: teacher",
     2,
     {"case-tiny.yaml:20:5: error: stage 'quantized': weights of stage 'teacher':",
      "'stem.weight'"}},
    {"patience without validation",
     "tiny.yaml",
     "validation: 40\n  augment: [flip, shift: {pixels: "
     "1}]\ntarget: target.yaml\nstages:\n  teacher:\n    model: model.yaml\n    parameters: "
     "{width: 9}\n"
     "    train: {epochs: 3",
     "validation: 0\ntarget: target.yaml\nstages:\n  teacher:\n    model: "
     "model.yaml\n    train: {patience: 2",
     2,
     {"case-tiny.yaml:11:23: error:", "patience"}},
    {"quantizers that never start",
     "tiny.yaml",
     "freeze_observers_epoch: 2",
     "start_epoch: 3",
     2,
     {"case-tiny.yaml:21:29: error:", "from epoch 3 on", "trains 3 epochs"}},
    {"a duplicate key",
     "tiny.yaml",
     "seed: 3",
     "seed: 3\nseed: 4",
     2,
     {"case-tiny.yaml:3:1: error:", "'seed' stands here twice; first in line 2"}},
    {"a syntax error", "tiny.yaml", "stages:", "stages: [", 2, {"case-tiny.yaml:11:10: error:"}},
    {"an empty file", "tiny.yaml", NULL, "", 2, {"case-tiny.yaml", "empty"}},
    {"a list for a file", "tiny.yaml", NULL, "- a\n", 2, {"case-tiny.yaml:1:1: error:", "mapping"}},
    {"no model file",
     "tiny.yaml",
     "model: model.yaml",
     "model: modle.yaml",
     2,
     {"case-tiny.yaml:11:12: error:", "modle.yaml"}},
    {"no target file",
     "tiny.yaml",
     "target: target",
     "target: traget",
     2,
     {"case-tiny.yaml:8:9: error:", "traget.yaml"}},
    {"an unset variable",
     "tiny.yaml",
     "path: data",
     "path: $NOT_A_VARIABLE",
     2,
     {"case-tiny.yaml:5:9: error:", "NOT_A_VARIABLE is not set"}},
    {"an unknown parameter",
     "tiny.yaml",
     "width: 9",
     "widht: 9",
     2,
     {"case-tiny.yaml:12:18: error: ", "no parameter 'widht'", "did you mean 'width'?"}},
    {"a bundle without its C",
     "tiny.yaml",
     "learning_rate: 0.01, average_decay: 0.8}\n",
     "learning_rate: 0.01}\n  int8: {export: quantized, formats: [bundle]}\n",
     2,
     {"case-tiny.yaml:23:38: error:", "formats must be [bundle, c]"}},
    {"an unknown profile",
     "target.yaml",
     "tflm",
     "tfml",
     2,
     {"case-target.yaml:2:10: error:", "tflm, ruy"}},
    {"an unknown layer",
     "model.yaml",
     "depthwise_conv",
     "depthwse_conv",
     2,
     {"case-model.yaml:8:5: error:", "did you mean 'depthwise_conv'?"}},
    {"a kernel larger than the image",
     "model.yaml",
     "kernel: 3, stride: 2, padding: same",
     "kernel: 30",
     2,
     {"case-model.yaml:5:5: error:", "'stem'", "30x30", "12x12"}},
    {"add of unequal shapes",
     "model.yaml",
     "- flatten",
     "- add: {from: [stem, pointwise]}",
     2,
     {"case-model.yaml:16:5: error:", "[batch, 6, 6, 9]", "[batch, 6, 6, 18]"}},
    {"dense on an image",
     "model.yaml",
     "  - flatten\n",
     "",
     2,
     {"case-model.yaml:16:5: error:", "'logits'", "[batch, 2, 2, 18]"}},
    {"an image as the output",
     "model.yaml",
     "  - flatten\n  - dense: {name: logits, units: $classes}\n",
     "",
     2,
     {"case-model.yaml", "[batch, classes]"}},
    {"an unknown input of a layer",
     "model.yaml",
     "- flatten",
     "- flatten: {from: nowhere}",
     2,
     {"case-model.yaml:16:21: error:", "no layer 'nowhere' before this one"}},
    {"an unknown name in the input's shape",
     "model.yaml",
     "[12, 12, 1]",
     "[12, $size, 1]",
     2,
     {"case-model.yaml:2:13: error:", "no parameter of this name"}},
    {"round8 of nothing",
     "model.yaml",
     "2 * $width",
     "round8 2 * $width",
     2,
     {"case-model.yaml:", "'(' is expected after round8"}},
    {"an unknown name in an expression",
     "model.yaml",
     "2 * $width",
     "2 * $widht",
     2,
     {"case-model.yaml:11:38: error:", "2 * $widht"}},
    {"a wrong number of classes",
     "tiny.yaml",
     NULL,
     "name: five\ndata: {source: idx, path: data}\nstages:\n"
     "  a: {model: model.yaml, parameters: {classes: 5}, train: {epochs: 1}}\n",
     2,
     {"case-tiny.yaml:4:14: error:", "5 classes", "has 4; set"}},
    {"another image size",
     "tiny.yaml",
     NULL,
     "name: ten\ndata: {source: idx, path: data}\nstages:\n"
     "  a: {model: ten.yaml, train: {epochs: 1}}\n",
     2,
     {"case-tiny.yaml:4:14: error:", "[10, 10, 1]", "[12, 12, 1]"}},
    {"too many for validation",
     "tiny.yaml",
     "validation: 40",
     "validation: 300",
     2,
     {"case-tiny.yaml: data:", "299 of the 300"}},
    {"a missing data folder",
     "tiny.yaml",
     "path: data",
     "path: dta",
     1,
     {"case-tiny.yaml: data:", "dta: no such file or folder"}},
    {"a folder without data",
     "tiny.yaml",
     "path: data",
     "path: empty",
     1,
     {"empty/train-labels-idx1-ubyte", "no such file"}},
    {"an IDX header that lies",
     "tiny.yaml",
     "path: data",
     "path: lies",
     1,
     {"lies/train-images-idx3-ubyte: byte 4:", "255 records", "300"}},
    {"a test split that is cut off",
     "tiny.yaml",
     "path: data",
     "path: cut",
     1,
     {"cut/t10k-images-idx3-ubyte: byte 4:", "70 records"}},
    {"a label out of range",
     "tiny.yaml",
     "path: data",
     "path: label",
     1,
     {"label/train-labels-idx1-ubyte: record 92 has label 7"}},
    {"a test label out of range",
     "tiny.yaml",
     "path: data",
     "path: test-label",
     1,
     {"test-label/t10k-labels-idx1-ubyte: record 12 has label 7", "4 classes"}},
    {"a label past data.classes",
     "tiny.yaml",
     "path: data",
     "path: label\n  classes: 4",
     1,
     {"label/train-labels-idx1-ubyte: record 92 has label 7", "4 classes"}},
    {"a truncated PNG",
     "tiny.yaml",
     "source: idx\n  path: data",
     "source: png\n  path: images",
     1,
     {"images/train/b/1.png", "truncated"}},
    {"HDF5 of a wrong shape",
     "tiny.yaml",
     "source: idx\n  path: data",
     "source: hdf5\n  path: wrong.h5",
     1,
     {"wrong.h5", "labels"}},
    {"HDF5 that is none",
     "tiny.yaml",
     "source: idx\n  path: data",
     "source: hdf5\n  path: tiny.yaml",
     1,
     {"tiny.yaml", "HDF5"}},
};

// FILE with its first `from` replaced, as case-FILE.
static void write_edited(const char *file, const char *from, const char *to)
{
    char copy[64], text[8192];
    char *old = tiny_read(test_path(file), NULL);
    assert_non_null(old);
    const char *at = from ? strstr(old, from) : old;
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - old), old, to,
             from ? at + strlen(from) : "");
    snprintf(copy, sizeof copy, "case-%s", file);
    tiny_text(test_path(copy), text);
    free(old);
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    const int before = test_folder_entries(root);
    for (size_t i = 0; i < sizeof edit_cases / sizeof edit_cases[0]; i++) {
        const struct edit_case *c = &edit_cases[i];
        write_edited(c->file, c->from, c->to);
        if (strcmp(c->file, "model.yaml") == 0)
            write_edited("tiny.yaml", "model.yaml", "case-model.yaml");
        else if (strcmp(c->file, "target.yaml") == 0)
            write_edited("tiny.yaml", "target.yaml", "case-target.yaml");
        const struct child here = {.folder = root};
        DECANT(&outcome, &here, "run", "case-tiny.yaml", "--run", "case-run", "--threads", "1");
        assert_outcome(&outcome, c->name, c->exit_code, c->words);
        assert_string_equal(outcome.out, "");
        remove(test_path("case-tiny.yaml"));
        remove(test_path("case-model.yaml"));
        remove(test_path("case-target.yaml"));
        if (test_folder_entries(root) != before)
            fail_msg("%s left something behind", c->name);
    }
}

struct command_case {
    const char *name;
    const char *arguments[10];
    int exit_code;
    const char *words[OUTCOME_WORDS];
};

static const struct command_case command_cases[] = {
    {"an unknown verb", {"rnu"}, 2, {"no verb 'rnu'", "did you mean 'run'?"}},
    {"an unknown option", {"run", "tiny.yaml", "--sett", "a=b"}, 2, {"'--sett'", "'--set'"}},
    {"an option of another verb", {"check", "tiny.yaml", "--limit", "3"}, 2, {"'--limit'"}},
    {"an option without its value", {"run", "tiny.yaml", "--run"}, 2, {"--run needs DIR"}},
    {"no experiment", {"run"}, 2, {"usage: decant run EXPERIMENT"}},
    {"one argument too many", {"run", "a", "b"}, 2, {"takes no 'b'"}},
    {"an experiment that is not there",
     {"run", "no.yaml"},
     2,
     {"there is no experiment 'no.yaml'"}},
    {"a wrong number", {"run", "tiny.yaml", "--threads", "two"}, 2, {"--threads", "'two'"}},
    {"threads that wrap to one",
     {"run", "tiny.yaml", "--threads", "4294967297"},
     2,
     {"4096 at most"}},
    {"threads that wrap to none",
     {"run", "tiny.yaml", "--threads=4294967296"},
     2,
     {"4096 at most"}},
    {"more threads than are sane", {"run", "tiny.yaml", "--threads", "4097"}, 2, {"4096 at most"}},
    {"threads of 20 digits",
     {"run", "tiny.yaml", "--threads", "99999999999999999999"},
     2,
     {"--threads is 4096 at most, not 99999999999999999999"}},
    {"no threads", {"run", "tiny.yaml", "--threads", "0"}, 2, {"--threads", "'0'"}},
    {"threads below none", {"run", "tiny.yaml", "--threads", "-4294967295"}, 2, {"whole number"}},
    {"threads with a sign", {"run", "tiny.yaml", "--threads", "+2"}, 2, {"whole number"}},
    {"threads after a blank", {"run", "tiny.yaml", "--threads", " 2"}, 2, {"whole number"}},
    {"threads in halves", {"run", "tiny.yaml", "--threads", "2.5"}, 2, {"whole number"}},
    {"threads as a power", {"run", "tiny.yaml", "--threads", "1e3"}, 2, {"whole number"}},
    {"a limit of 20 digits", {"eval", "done", "--limit", "18446744073709551617"}, 2, {"at most"}},
    {"a limit beyond sums", {"eval", "done", "--limit", "9223372036854775807"}, 2, {"at most"}},
    {"a batch that wraps", {"bench", "step", "--batch", "4294967297"}, 2, {"65536 at most"}},
    {"windows that wrap", {"bench", "step", "--windows", "4294967297"}, 2, {"--windows"}},
    {"seconds that are none", {"bench", "step", "--seconds", "nan"}, 2, {"--seconds"}},
    {"an empty stage", {"eval", "done", "--stage", ""}, 2, {"--stage needs NAME"}},
    {"an empty profile", {"eval", "done", "--profile="}, 2, {"--profile needs NAME"}},
    {"an empty run", {"eval", ""}, 2, {"usage: decant eval", "none of it empty"}},
    {"an empty experiment", {"run", ""}, 2, {"none of it empty"}},
    {"--set without a value", {"run", "tiny.yaml", "--set", "seed"}, 2, {"KEY=VALUE", "'seed'"}},
    {"--set of an unknown key",
     {"run", "tiny.yaml", "--set", "data.pth=x"},
     2,
     {"--set data.pth: error: unknown key 'pth' in data", "did you mean 'path'?"}},
    {"--set of an unknown stage",
     {"run", "tiny.yaml", "--set", "stages.studnet.train.epochs=1"},
     2,
     {"no stage 'studnet'", "did you mean 'student'?"}},
    {"--set of a wrong value",
     {"run", "tiny.yaml", "--set", "stages.student.train.epochs=x"},
     2,
     {"--set stages.student.train.epochs:1:1: error:", "not 'x'"}},
    {"--set below a value", {"run", "tiny.yaml", "--set", "seed.x=1"}, 2, {"--set seed.x=1"}},
    {"a folder that is no run", {"eval", "data"}, 2, {"data is not a run directory"}},
    {"a run that is not there",
     {"predict", "no", "--out", "p.h5"},
     2,
     {"no is not a run directory"}},
    {"predict without --out", {"predict", "done"}, 2, {"--out FILE.h5"}},
    {"a wrong split",
     {"eval", "done", "--split", "tset"},
     2,
     {"train, test, not 'tset'", "did you mean 'test'?"}},
    {"a stage that is not there",
     {"eval", "done", "--stage", "studnet"},
     2,
     {"'studnet'", "did you mean 'student'?"}},
    {"a profile that is not there",
     {"eval", "done", "--profile", "rui"},
     2,
     {"'rui'", "tflm, ruy", "mean 'ruy'?"}},
    {"data that is not there", {"eval", "done", "--data", "idx:no"}, 1, {"no: no such file"}},
    {"data of another kind", {"eval", "done", "--data", "png:data"}, 1, {"data"}},
    {"data of another shape",
     {"eval", "done", "--data", "good.h5"},
     1,
     {"[12, 12, 1]", "[8, 8, 1]"}},
    {"export of a float stage",
     {"export", "done", "--stage", "student", "--out", "x"},
     2,
     {"stage 'student' of done is not quantized"}},
    {"export of a stage that is not there",
     {"export", "done", "--stage", "quantised", "--out", "x"},
     2,
     {"no stage 'quantised'", "did you mean 'quantized'?"}},
    {"a file that ends wrongly",
     {"export", "done", "--stage", "student", "--out", "x.onx"},
     2,
     {"did you mean '.onnx'?"}},
    {"verify of a run", {"verify", "done"}, 2, {"takes a bundle: done/bundle/STAGE"}},
    {"a bundle that is none", {"verify", "data", "--run", "done"}, 1, {"data/manifest.json"}},
    {"inspect of nothing", {"inspect", "no.h5"}, 1, {"no.h5"}},
    {"a stage whose teacher is not done",
     {"train", "tiny.yaml", "student", "--run", "case-run"},
     2,
     {"needs stage 'teacher', which is not done yet"}},
    {"other settings of a stage that is done",
     {"run", "tiny.yaml", "--run", "done", "--set", "stages.teacher.train.epochs=4"},
     2,
     {"done: stage 'teacher' was done with other settings", "epochs: 3", "epochs: 4", "--run"}},
};

static void wrong_commands_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof command_cases / sizeof command_cases[0]; i++) {
        const struct command_case *c = &command_cases[i];
        const int before = test_folder_entries(root);
        const struct child here = {.folder = root};
        run_decant(&outcome, &here, c->arguments);
        assert_outcome(&outcome, c->name, c->exit_code, c->words);
        const int more = strstr(c->name, "teacher is not done") ? 1 : 0;  // a run directory
        if (test_folder_entries(root) != before + more)
            fail_msg("%s left something behind", c->name);
    }
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    damaged_files();
    tiny_text(test_path("ten.yaml"), "name: ten\ninput: [10, 10, 1]\nlayers:\n  - flatten\n"
                                     "  - dense: {units: 4}\n");
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "done");
    if (outcome.exit_code)
        fprintf(stderr, "%s", outcome.err);
    return outcome.exit_code;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(wrong_commands_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

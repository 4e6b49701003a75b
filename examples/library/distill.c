/* Training, distillation and export from another program, by libdecant.
 *
 *     cc -std=c99 distill.c $(pkg-config --cflags --libs decant) -o distill
 *     ./distill FOLDER
 *
 * Writes a small data set of squares into FOLDER/data, trains a teacher and a student of it with
 * models that come with Decant, quantizes the student under the teacher, exports it, proves the
 * export, and asks it about images of its own. Takes seconds. The same works as C++. */

#include <decant.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 28, CLASSES = 10, TRAIN = 400, TEST = 100 };

/* What a file `experiment.yaml` would say; models and target are found by name. */
static const char experiment_text[] =
    "name: squares\n"
    "data: {source: idx, path: data}\n"
    "target: cortex-m4\n"
    "stages:\n"
    "  teacher: {model: lenet5, train: {epochs: 4, batch: 32, learning_rate: 0.05}}\n"
    "  student:\n"
    "    model: fashion-student\n"
    "    train: {epochs: 4, batch: 32, learning_rate: 0.05}\n"
    "    distill: {teacher: teacher, losses: [kd: {temperature: 2, weight: 0.5}, label: {weight: "
    "0.5}]}\n"
    "  quantized: {from: student, quantize: {}, train: {epochs: 1, learning_rate: 0.01}}\n"
    "  int8: {export: quantized, formats: [bundle, c]}\n";

/* A bright square at the place of its class, in noise. */
static void draw(unsigned char *image, int label, unsigned *noise)
{
    const int top = 4 + 12 * (label % 2), left = 2 + 4 * (label / 2);
    int row, column;
    for (row = 0; row < SIDE; row++)
        for (column = 0; column < SIDE; column++) {
            *noise = *noise * 1664525u + 1013904223u;
            image[row * SIDE + column] = (unsigned char)(*noise >> 26);
            if (row >= top && row < top + 8 && column >= left && column < left + 8)
                image[row * SIDE + column] = 200;
        }
}

static void put(FILE *file, unsigned value)
{
    fputc((int)(value >> 24), file);
    fputc((int)(value >> 16 & 255), file);
    fputc((int)(value >> 8 & 255), file);
    fputc((int)(value & 255), file);
}

/* The two files of a part, in MNIST's format; 0: it cannot be written. */
static int write_part(const char *folder, const char *part, int count)
{
    char path[1024];
    unsigned char image[SIDE * SIDE];
    unsigned noise = (unsigned)count;
    int i, good;
    FILE *images, *labels;
    snprintf(path, sizeof path, "%s/data/%s-images-idx3-ubyte", folder, part);
    images = fopen(path, "wb");
    snprintf(path, sizeof path, "%s/data/%s-labels-idx1-ubyte", folder, part);
    labels = fopen(path, "wb");
    good = images && labels;
    if (good) {
        put(images, 0x803);
        put(images, (unsigned)count);
        put(images, SIDE);
        put(images, SIDE);
        put(labels, 0x801);
        put(labels, (unsigned)count);
    }
    for (i = 0; good && i < count; i++) {
        draw(image, i % CLASSES, &noise);
        good = fwrite(image, sizeof image, 1, images) == 1 && fputc(i % CLASSES, labels) != EOF;
    }
    if (images)
        good = fclose(images) == 0 && good;
    if (labels)
        good = fclose(labels) == 0 && good;
    return good;
}

static void tell(void *user, decant_log_level level, const char *line)
{
    fprintf((FILE *)user, "%s%s\n", level == DECANT_LOG_WARNING ? "warning: " : "", line);
}

static void count_epochs(void *user, const decant_progress *progress)
{
    *(int *)user += progress->epoch_done;
}

/* The bundle alone, asked about images that it never saw; 0: it is wrong about too many. */
static int classify(decant_context *context, const char *bundle, decant_error *error)
{
    enum { COUNT = 50 };
    decant_network *network = NULL;
    float outputs[COUNT * CLASSES];
    unsigned char images[COUNT * SIDE * SIDE];
    unsigned noise = 7;
    int i, c, right = 0;
    for (i = 0; i < COUNT; i++)
        draw(images + i * SIDE * SIDE, i % CLASSES, &noise);
    if (decant_network_load(&network, context, bundle, error) != DECANT_OK)
        return 0;
    if (decant_network_output_count(network) != CLASSES ||
        decant_network_predict_bytes(network, outputs, images, COUNT, error) != DECANT_OK) {
        decant_network_close(network);
        return 0;
    }
    decant_network_softmax(network, outputs, COUNT);
    for (i = 0; i < COUNT; i++) {
        int best = 0;
        for (c = 1; c < CLASSES; c++)
            best = outputs[i * CLASSES + c] > outputs[i * CLASSES + best] ? c : best;
        right += best == i % CLASSES;
    }
    printf("int8: %d of %d new images right\n", right, (int)COUNT);
    decant_network_close(network);
    snprintf(error->message, sizeof error->message, "the integers know too few of the squares");
    return right >= COUNT * 9 / 10;
}

/* Everything with a context; 0: something failed, and error says what. */
static int pour(decant_context *context, const char *folder, decant_error *error)
{
    char file[1024], directory[1024], bundle[1024], onnx[1024], *json = NULL;
    decant_experiment *experiment = NULL;
    decant_run *run = NULL;
    int good;
    snprintf(file, sizeof file, "%s/experiment.yaml", folder); /* it need not be there */
    snprintf(directory, sizeof directory, "%s/run", folder);
    snprintf(bundle, sizeof bundle, "%s/run/bundle/int8", folder);
    snprintf(onnx, sizeof onnx, "%s/student.onnx", folder);
    good = decant_experiment_parse(&experiment, experiment_text, file, NULL, 0, error) ==
               DECANT_OK &&
           decant_experiment_check(experiment, NULL, error) == DECANT_OK &&
           decant_run_open(&run, context, experiment, directory, error) == DECANT_OK &&
           decant_run_all(run, error) == DECANT_OK &&
           decant_run_evaluate(run, "quantized", "test", &json, error) == DECANT_OK &&
           decant_run_export(run, "student", onnx, NULL, error) == DECANT_OK &&
           decant_run_verify(run, bundle, 0, NULL, error) == DECANT_OK;
    if (good)
        printf("scores of the integers: %.60s ...\n", json);
    decant_free(json);
    decant_run_close(run);
    decant_experiment_free(experiment);
    return good && classify(context, bundle, error);
}

int main(int argc, char **argv)
{
    decant_context *context = NULL;
    decant_error error = {DECANT_OK, ""};
    int epochs = 0, good;
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER (with a folder data in it)\n", argv[0]);
        return 2;
    }
    if (!write_part(argv[1], "train", TRAIN) || !write_part(argv[1], "t10k", TEST)) {
        fprintf(stderr, "%s/data: cannot be written; is it there?\n", argv[1]);
        return 1;
    }
    good = decant_context_create(&context, &error) == DECANT_OK;
    if (good) {
        decant_context_set_log(context, tell, stderr);
        decant_context_set_progress(context, count_epochs, &epochs);
        good = pour(context, argv[1], &error);
    }
    if (good)
        printf("libdecant %s: %d epochs, all proven\n", decant_version(), epochs);
    else
        fprintf(stderr, "%s: %s\n", decant_code_name(error.code), error.message);
    decant_context_free(context);
    return good ? 0 : 1;
}

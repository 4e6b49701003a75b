#!/usr/bin/python3
"""From a folder of JPEGs to C on a board, judged at its end: walk_photos.py DECANT FOLDER. Pillow writes
photographs of three classes, Decant trains and exports; then Pillow reads each of them, turns it upright,
and the exported C alone gets its pixels. Its output codes must be those behind `decant predict`, of all."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy
from PIL import Image, ImageOps

EXPERIMENT = """name: walk
data: {source: photos, path: photos, channels: 3, resize: {size: 24, fit: %s}, augment: [flip]}
target: target.yaml
stages:
  student: {model: model.yaml, train: {epochs: 12, batch: 16, learning_rate: 0.05}}
  quantized: {from: student, quantize: {}, train: {epochs: 1, learning_rate: 0.01}}
  int8: {export: quantized}
"""
MODEL = """name: walk
input: [24, 24, 3]
parameters: {classes: 3}
layers:
  - conv: {name: first, filters: 8, kernel: 3, stride: 2, padding: same}
  - relu: {name: first_relu}
  - depthwise_conv: {name: second, kernel: 3, stride: 2, padding: same}
  - relu: {name: second_relu}
  - conv: {name: third, filters: 12, kernel: 1}
  - relu: {name: third_relu}
  - average_pool: {name: pool, kernel: 6}
  - flatten
  - dense: {name: logits, units: $classes}
"""
MAIN = r"""#include <stdio.h>
#include <stdlib.h>
#include "walk.h"
int main(void)
{
    static uint8_t image[400 * 400 * 3], pixels[WALK_INPUT_SIZE];
    static int8_t input[WALK_INPUT_SIZE], output[WALK_OUTPUT_SIZE];
    static int32_t scratch[WALK_RESIZE_SCRATCH(400)];
    int size[2];
    while (fread(size, sizeof size, 1, stdin) == 1) {
        if (fread(image, 3, (size_t)(size[0] * size[1]), stdin) == 0 ||
            walk_resize(pixels, image, size[0], size[1], scratch) != 0)
            return 1;
        walk_quantize_input(input, pixels);
        walk_run(input, output);
        fwrite(output, sizeof output, 1, stdout);
    }
    return 0;
}
"""
STORED = (None, None, Image.FLIP_LEFT_RIGHT, Image.ROTATE_180, Image.FLIP_TOP_BOTTOM, Image.TRANSPOSE,
          Image.ROTATE_90, Image.TRANSVERSE, Image.ROTATE_270)


def write_photos(folder, count):
    """Stripes across, along or neither, upright; whoever forgets the orientation confuses the first two."""
    random = numpy.random.default_rng(7)
    for label, name in enumerate(("across", "along", "plain")):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            height, width = random.integers(60, 400, 2)
            y, x = numpy.mgrid[0:height, 0:width]
            waves = (numpy.sin(y * 40 / height), numpy.sin(x * 40 / width), 0 * x)[label]
            pixels = random.uniform(60, 190, 3) + 50 * waves[..., None] + random.normal(0, 25, (height, width, 3))
            image = Image.fromarray(numpy.clip(pixels, 0, 255).astype(numpy.uint8))
            image = image.convert("L") if number % 9 == 4 else image
            orientation = 1 + number % 8
            exif = Image.Exif()
            exif[0x0112] = orientation
            if STORED[orientation] is not None:
                image = image.transpose(STORED[orientation])
            image.save(folder / name / f"{number}.jpg", quality=int(random.integers(60, 96)),
                       progressive=number % 5 == 0, exif=exif.tobytes())


def walk(decant, work, fit):
    (work / "walk.yaml").write_text(EXPERIMENT % fit)
    run = ["run", "walk.yaml", "--run", fit, "--quiet"]
    subprocess.run([decant, *run], cwd=work, check=True, stdout=subprocess.DEVNULL)
    bundle = work / fit / "bundle" / "int8"
    (work / "main.c").write_text(MAIN)
    subprocess.run(["cc", "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{bundle}", work / "main.c",
                    bundle / "walk.c", "-o", work / "device"], check=True)
    folders = [f"photos/{name}" for name in ("across", "along", "plain")]
    answer = subprocess.run([decant, "predict", bundle, *folders, "--json", "--quiet"], cwd=work, check=True,
                            stdout=subprocess.PIPE)
    predictions = json.loads(answer.stdout)["photos"]
    pixels = b""
    for prediction in predictions:
        image = ImageOps.exif_transpose(Image.open(work / prediction["file"])).convert("RGB")
        pixels += numpy.array([image.height, image.width], numpy.int32).tobytes() + image.tobytes()
    device = subprocess.run([work / "device"], input=pixels, check=True, stdout=subprocess.PIPE)
    codes = numpy.frombuffer(device.stdout, numpy.int8).reshape(len(predictions), 3).astype(float)
    output = json.loads((bundle / "manifest.json").read_text())["layers"][-1]["output"]
    logits = numpy.float32(output["scale"]["value"]) * (codes - output["zero_point"])
    expected = numpy.exp(logits - logits.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    given = numpy.array([prediction["probabilities"] for prediction in predictions])
    same = int((numpy.abs(given - expected) < 1e-6).all(1).sum())
    right = sum(p["class"] == pathlib.Path(p["file"]).parent.name for p in predictions)
    print(f"{fit}: {same} of {len(predictions)} photographs give the exported C the codes of decant predict; "
          f"{right} are named right")
    return same == len(predictions) and right > 0.6 * len(predictions)


def main():
    decant, work = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_photos(work / "photos", 40)
    (work / "model.yaml").write_text(MODEL)
    (work / "target.yaml").write_text("name: walk\nprofile: tflm\n")
    return not all([walk(decant, work, fit) for fit in ("stretch", "crop", "pad")])


if __name__ == "__main__":
    sys.exit(main())

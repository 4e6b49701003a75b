#!/usr/bin/python3
"""A folder of photographs as people have them, from CIFAR-10: cifar_photos.py FOLDER-OF-CIFAR-10 OUT [COUNT].
OUT/CLASS/N.jpg, COUNT (800) a class: enlarged to 150 to 900 pixels, quality 60 to 95, all Exif orientations
(the stored pixels are turned so that the photograph is upright), one in ten grey, one in five progressive."""

import lzma
import pathlib
import sys

import numpy
from PIL import Image

# How the stored pixels must be turned so that orientation 1 to 8 shows them upright.
STORED = (None, None, Image.FLIP_LEFT_RIGHT, Image.ROTATE_180, Image.FLIP_TOP_BOTTOM, Image.TRANSPOSE,
          Image.ROTATE_90, Image.TRANSVERSE, Image.ROTATE_270)


def read(folder, name):
    for path, opener in ((folder / name, open), (folder / (name + ".xz"), lzma.open)):
        if path.exists():
            with opener(path, "rb") as file:
                return file.read()
    sys.exit(f"{folder / name}: no such file, nor with .xz")


def main():
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 800
    random = numpy.random.default_rng(1)
    classes = read(folder, "batches.meta.txt").decode().split()
    made = dict.fromkeys(classes, 0)
    for batch in range(1, 6):
        records = numpy.frombuffer(read(folder, f"data_batch_{batch}.bin"), numpy.uint8).reshape(-1, 3073)
        for record in records:
            name = classes[record[0]]
            if made[name] == count:
                continue
            image = Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0))
            width, height = (int(side) for side in random.integers(150, 901, 2))
            image = image.resize((width, height), Image.BICUBIC)
            if random.random() < 0.1:
                image = image.convert("L")
            orientation = int(random.integers(1, 9))
            exif = Image.Exif()
            exif[0x0112] = orientation
            if STORED[orientation] is not None:
                image = image.transpose(STORED[orientation])
            (out / name).mkdir(parents=True, exist_ok=True)
            image.save(out / name / f"{made[name]:04d}.jpg", quality=int(random.integers(60, 96)),
                       progressive=bool(random.random() < 0.2), exif=exif.tobytes())
            made[name] += 1
        if min(made.values()) == count:
            break
    print(f"{out}: {sum(made.values())} photographs of {len(classes)} classes")


if __name__ == "__main__":
    main()

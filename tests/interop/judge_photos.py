#!/usr/bin/python3
"""Photographs that Pillow wrote, read and resized by Decant, before Pillow: judge_photos.py PROGRAM FOLDER
COUNT. Sizes, formats, qualities, chroma subsampling, progressive files, grey ones, palettes, alpha and
orientations are drawn from a seed. Every pixel must be Pillow's: reading, bilinear, nearest, and area
where the ratio is whole; area otherwise is held to its definition in exact fractions."""

import pathlib
import subprocess
import sys

import numpy
import PIL
from PIL import Image, ImageFile, ImageOps

ImageFile.MAXBLOCK = 1 << 24  # else Pillow cannot write some progressive files
SIDES = (1, 2, 3, 7, 17, 32, 64, 65, 97, 128, 150, 224, 333, 480, 640, 901)
PILLOWS = {"bilinear": Image.BILINEAR, "nearest": Image.NEAREST, "area": Image.BOX}


def scene(random, height, width):
    y, x = numpy.mgrid[0:height, 0:width]
    planes = [128 + 90 * numpy.sin(x / random.uniform(2, 40) + y / random.uniform(2, 40)) +
              60 * (((x // 5) * (y // 7)) % 3 == 0) for _ in range(3)]
    noisy = numpy.stack(planes, -1) + random.normal(0, random.choice([0, 10, 60]), (height, width, 3))
    return Image.fromarray(numpy.clip(noisy, 0, 255).astype(numpy.uint8))


def write(random, folder, number):
    """A file; returns its path."""
    image = scene(random, int(random.choice(SIDES)), int(random.choice(SIDES)))
    kind = random.choice(["jpg", "jpg", "jpg", "png", "bmp"])
    path = folder / f"{number}.{kind}"
    if random.random() < 0.2:
        image = image.convert("L")
    elif kind != "jpg" and random.random() < 0.3:
        image = image.quantize(int(random.integers(2, 256))) if random.random() < 0.5 else \
            Image.merge("RGBA", (*image.split(), image.split()[1]))
    options = {}
    if kind != "bmp" and random.random() < 0.5:
        exif = Image.Exif()
        exif[0x0112] = int(random.integers(0, 10))
        options["exif"] = exif.tobytes()
    if kind == "jpg":
        options |= {"quality": int(random.integers(1, 101)), "progressive": bool(random.random() < 0.4),
                    "subsampling": int(random.integers(0, 3)), "optimize": bool(random.random() < 0.3)}
    image.save(path, **options)
    return path


def largest_part(height, width, like_height, like_width):
    if width * like_height > height * like_width:
        part = height, max(1, (2 * height * like_width + like_height) // (2 * like_height))
    else:
        part = max(1, (2 * width * like_height + like_width) // (2 * like_width)), width
    return (height - part[0]) // 2, (width - part[1]) // 2, *part


def area(pixels, size):
    """Along the second axis, by what each pixel covers, then along the first."""
    for axis in (1, 0):
        pixels = numpy.swapaxes(pixels, 0, axis)
        length = pixels.shape[0]
        i, j = numpy.arange(size[axis])[:, None], numpy.arange(length)[None]
        shares = numpy.maximum(0, numpy.minimum((j + 1) * size[axis], (i + 1) * length) -
                               numpy.maximum(j * size[axis], i * length))
        factors = (2 ** 23 * shares + length) // (2 * length)
        sums = numpy.tensordot(factors, pixels.astype(numpy.int64), 1)
        pixels = numpy.swapaxes(numpy.minimum(255, (sums + 2 ** 21) >> 22), 0, axis)
    return pixels.astype(numpy.uint8)


def resized(image, size, method):
    """By Pillow, and a mask of the pixels that it decides by the rounding of its own sums."""
    height, width = image.height, image.width
    free = numpy.zeros(size, bool)
    if method == "area" and (height % size[0] or width % size[1]):
        pixels = numpy.asarray(image)
        return area(pixels, size), free
    if method == "nearest":
        free |= ((2 * numpy.arange(size[0]) + 1) * height % (2 * size[0]) == 0)[:, None]
        free |= ((2 * numpy.arange(size[1]) + 1) * width % (2 * size[1]) == 0)[None]
    return numpy.asarray(image.resize(size[::-1], PILLOWS[method])), free


def expected(path, size, method, fit):
    image = ImageOps.exif_transpose(Image.open(path))
    image = image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    if fit == "crop":
        top, left, height, width = largest_part(image.height, image.width, *size)
        image = image.crop((left, top, left + width, top + height))
    if fit != "pad":
        return resized(image, size, method)
    top, left, height, width = largest_part(*size, image.height, image.width)
    inner, inner_free = resized(image, (height, width), method)
    whole, free = numpy.zeros((*size, *inner.shape[2:]), numpy.uint8), numpy.zeros(size, bool)
    whole[top:top + height, left:left + width] = inner
    free[top:top + height, left:left + width] = inner_free
    return whole, free


def main():
    program, folder, count = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    random = numpy.random.default_rng(20261130)
    decant = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wrong = free_pixels = pixels = 0
    for number in range(count):
        path = write(random, folder, number)
        size = int(random.choice(SIDES[:12])), int(random.choice(SIDES[:12]))
        method, fit = random.choice(["bilinear", "bilinear", "area", "nearest"]), \
            random.choice(["stretch", "crop", "pad"])
        if number % 4 == 0:  # as it is
            image = ImageOps.exif_transpose(Image.open(path))
            size, fit = (image.height, image.width), "stretch"
        decant.stdin.write(f"{path}\t{size[0]}\t{size[1]}\t{method}\t{fit}\n".encode())
        decant.stdin.flush()
        head = decant.stdout.readline().decode().strip()
        right, free = expected(path, size, method, fit)
        if head.startswith("refused") or not head:
            print(f"{path}: {head}")
            wrong += 1
            continue
        height, width, channels = map(int, head.split())
        ours = numpy.frombuffer(decant.stdout.read(height * width * channels), numpy.uint8)
        shape = (height, width) if channels == 1 else (height, width, channels)
        same = shape == right.shape and (ours.reshape(shape) == right)[~free].all()
        pixels += height * width
        free_pixels += int(free.sum())
        if not same:
            print(f"{path}: {method}, {fit} to {size[0]}x{size[1]}: differs from Pillow")
            wrong += 1
    decant.stdin.close()
    decant.wait()
    print(f"{count - wrong} of {count} photographs are Pillow {PIL.__version__}'s "
          f"in every pixel, {pixels} in all ({free_pixels} ties of nearest left out)")
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())

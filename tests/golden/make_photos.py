#!/usr/bin/env python3
"""Photographs of every kind that Decant reads or refuses, and what Pillow makes of them, into
tests/golden/photos: FILE with FILE.pnm beside it, the pixels upright; resized ones are named by
what was done. Made with Debian 12's python3-pil (9.4.0, libjpeg-turbo 2.1.5)."""

import pathlib
import struct

import numpy
from PIL import Image, ImageOps

OUT = pathlib.Path(__file__).resolve().parent / "photos"


def scene(height, width, seed):
    """Smooth colours with edges and some noise, so that JPEG has something to lose."""
    random = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    planes = [128 + 100 * numpy.sin(x / (3.0 + c) + y / (5.0 - c)) + 40 * ((x + 2 * y) % 13 > 6)
              for c in range(3)]
    noisy = numpy.stack(planes, -1) + random.normal(0, 8, (height, width, 3))
    return Image.fromarray(numpy.clip(noisy, 0, 255).astype(numpy.uint8))


def write_pnm(path, image):
    image.save(path, format="PPM")


def keep(name, image, **options):
    """Saves, and writes what Pillow reads of it."""
    path = OUT / name
    image.save(path, **options)
    expect(path)


def expect(path):
    read = ImageOps.exif_transpose(Image.open(path))
    grey = read.mode in ("1", "L", "LA")
    write_pnm(path.with_name(path.name + ".pnm"), read.convert("L" if grey else "RGB"))


def oriented(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def patched(name, source, old, new):
    data = (OUT / source).read_bytes()
    assert data.count(old) >= 1
    (OUT / name).write_bytes(data.replace(old, new, 1))


def main():
    OUT.mkdir(exist_ok=True)
    photo = scene(21, 33, 1)
    for quality, sampling in ((60, "4:2:0"), (75, "4:2:2"), (95, "4:4:4")):
        keep(f"baseline-{sampling.replace(':', '')}.jpg", photo, quality=quality,
             subsampling=sampling)
    keep("progressive.jpg", photo, quality=80, progressive=True)
    keep("grey.jpg", photo.convert("L"), quality=80)
    keep("grey-progressive.jpg", photo.convert("L"), quality=80, progressive=True)
    keep("profile.jpg", photo, quality=80, icc_profile=b"any profile " * 20)
    keep("optimized.jpeg", photo, quality=80, optimize=True)
    for value in range(1, 9):
        keep(f"orientation-{value}.jpg", photo, quality=80, exif=oriented(value))
    keep("orientation-6.png", photo, exif=oriented(6))
    keep("alpha.png", Image.merge("RGBA", (*photo.split(), photo.split()[0])))
    keep("palette.png", photo.quantize(37))
    keep("colour.bmp", photo)
    keep("alpha.bmp", Image.merge("RGBA", (*photo.split(), photo.split()[0])))
    keep("grey.bmp", photo.convert("L"))
    keep("palette.bmp", photo.quantize(37))
    keep("bits.bmp", photo.convert("1"))
    # What is refused, by name.
    photo.convert("CMYK").save(OUT / "refused-cmyk.jpg")
    patched("refused-12-bits.jpg", "baseline-420.jpg", b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c")
    patched("refused-arithmetic.jpg", "baseline-420.jpg", b"\xff\xc0\x00\x11", b"\xff\xc9\x00\x11")
    patched("refused-huge.jpg", "baseline-420.jpg", b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 21, 33),
            b"\xff\xc0\x00\x11\x08\xff\xdc\xff\xdc")
    # One photograph at other sizes. BOX equals area where the ratio is whole.
    photo = scene(48, 64, 2)
    keep("scene.png", photo)
    for method, kind, sizes in (
            ("bilinear", Image.BILINEAR, ((12, 16), (7, 9), (48, 10), (100, 64), (61, 85), (1, 1))),
            ("area", Image.BOX, ((12, 16), (48, 32), (1, 1), (16, 64), (48, 128))),
            ("nearest", Image.NEAREST, ((12, 16), (7, 9), (64, 37)))):
        for height, width in sizes:
            write_pnm(OUT / f"scene-{method}-{height}x{width}.pnm", photo.resize((width, height), kind))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A quantized stage with real weights, in the runtimes of its profiles: CIFAR-10's test images.

judge_images.py DECANT RUN STAGE IMAGES FOLDER [--profiles P ...] [--limit N]. IMAGES: test_batch.bin.xz.
What `decant export` writes to FOLDER is run by the runtime, and compared with what `decant predict`
says the engine computes. Inputs are normalized as the file's own note says. By `check_arm64 --images`
the judges are LiteRT's on 64-bit ARM. Exit 1 when a byte differs."""

import argparse
import lzma
import pathlib
import re
import subprocess
import sys

import h5py
import numpy as np

from judge_tflite import JUDGES, RUN


def images(path, limit):
    records = np.frombuffer(lzma.open(path).read(), np.uint8).reshape(-1, 3073)[:limit]
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).astype(np.float32)


def quantization(path):
    """Scale and zero point of input and output."""
    from ai_edge_litert.interpreter import Interpreter
    model = Interpreter(str(path))
    return [d[0]["quantization"] for d in (model.get_input_details(), model.get_output_details())]


def codes_of(pixels, path, scale, zero):
    note = re.search(rb"mean ([-0-9., e]+), deviation ([-0-9., e]+)", path.read_bytes())
    mean, deviation = (np.array([float(v) for v in list_.split(b",") if v.strip()], np.float32)
                       for list_ in note.groups())
    x = (pixels / np.float32(255) - mean) / deviation / np.float32(scale)
    nearest = np.sign(x) * np.floor(np.abs(x) + np.float32(0.5))
    return np.clip(nearest + zero, -128, 127).astype(np.int8)


def judge(args, judge_name, profile):
    tflite, logits = args.folder / f"{profile}.tflite", args.folder / f"{profile}.h5"
    stage = ["--stage", args.stage, "--profile", profile, "--quiet", "--out"]
    for verb in (["export", args.run, *stage, tflite],
                 ["predict", args.run, *stage, logits, "--split", "test", "--limit", str(args.limit)]):
        subprocess.run([args.decant, *verb], check=True, stdout=subprocess.DEVNULL)
    (scale, zero), (out_scale, out_zero) = quantization(tflite)
    wanted = np.rint(h5py.File(logits)["logits"][:] / out_scale).astype(int) + out_zero
    got, _ = RUN[judge_name](tflite, codes_of(images(args.images, args.limit), tflite, scale, zero))
    different = int((got != wanted).sum())
    print(f"{judge_name} beside the engine's {profile}: {len(wanted)} images, {different} of "
          f"{wanted.size} bytes differ", flush=True)
    return different


def main():
    parser = argparse.ArgumentParser()
    for name in ("decant", "run", "stage", "images", "folder"):
        parser.add_argument(name, type=pathlib.Path if name == "folder" else str)
    parser.add_argument("--profiles", nargs="+", default=[p for p, _ in JUDGES.values()])
    parser.add_argument("--limit", type=int, default=10000)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    different = [judge(args, name, profile) for name, (profile, _) in JUDGES.items()
                 if profile in args.profiles]
    sys.exit(any(different))


main()

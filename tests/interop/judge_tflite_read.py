#!/usr/bin/env python3
"""TFLite files that Decant reads, before the runtimes:
judge_tflite_read.py READER FOLDER FILE ... [--rows N] [--written FOLDER]

A float file: Decant's outputs must be LiteRT's within 1e-4 of the largest of them (both sum in float32, in
other orders). A file of integers: the engine's bytes under each runtime's profile must be that runtime's, all
of them. What Decant does not read must be said so, with the operator's number and name. Inputs are noise, and
real ones where DECANT_DATA has some for the file; a planted difference must be seen. Of a folder that
judge_tflite.py left (--written) each file is read again and must give the bytes of the engine that wrote it.
Exit 1 where anything differs."""

import argparse
import lzma
import os
import pathlib
import subprocess
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from judge_tflite import JUDGES, RUN

ERROR = 1e-4
RESOLVER = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # has every operator


def real_rows(path, details, count):
    """Codes of CIFAR-10's test images, of MLPerf Tiny's keywords: the reference networks' own data."""
    data = pathlib.Path(os.environ.get("DECANT_DATA", "none"))
    packed, words = data / "cifar10/test_batch.bin.xz", data / "mlperf_tiny/kws01"
    if path.stem.startswith("pretrainedResnet") and packed.exists():
        records = np.frombuffer(lzma.open(packed).read(count * 3073), np.uint8).reshape(-1, 3073)
        planes = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return planes.astype(np.float32) if details["dtype"] == np.float32 else (planes.astype(int) - 128).astype(np.int8)
    if path.stem == "kws_ref_model" and words.is_dir():
        files = sorted(words.glob("*.bin"))[:count]
        return np.stack([np.fromfile(f, np.int8).reshape(details["shape"][1:]) for f in files])
    return np.zeros((0,) + tuple(details["shape"][1:]), details["dtype"])


def make_rows(path, details, count):
    random = np.random.default_rng(7)
    shape = (count,) + tuple(details["shape"][1:])
    noise = (random.uniform(-1, 1, shape).astype(np.float32) if details["dtype"] == np.float32
             else random.integers(-128, 128, shape).astype(np.int8))
    return np.concatenate([noise, real_rows(path, details, count)])


def run_ours(runner, folder, path, how, rows):
    source, result = folder / "rows", folder / "result"
    rows.tofile(source)
    done = subprocess.run([runner, path, how, source, result], capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip().splitlines()[-1] if done.stderr else f"exit {done.returncode}")
    return np.fromfile(result, rows.dtype).reshape(len(rows), -1)


def litert(path, rows):
    interpreter = Interpreter(str(path), num_threads=1, experimental_op_resolver_type=RESOLVER)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for row in rows:
        interpreter.set_tensor(source["index"], row[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result["index"]).reshape(-1).copy())
    return np.stack(outputs)


def judge(args, path):
    """True where Decant and the runtimes agree."""
    details = Interpreter(str(path), experimental_op_resolver_type=RESOLVER).get_input_details()[0]
    rows = make_rows(path, details, args.rows)
    if details["dtype"] == np.float32:
        ours, theirs = run_ours(args.runner, args.folder, path, "floats", rows), litert(path, rows)
        largest = np.max(np.abs(theirs))
        error = float(np.max(np.abs(ours - theirs)) / largest)
        assert np.max(np.abs(ours + 1e-2 * largest - theirs)) > ERROR * largest
        print(f"{path.stem:28s} floats       {len(rows)} rows, relative error {error:.2e}")
        return error < ERROR
    good = True
    for name in args.judges:
        profile = JUDGES[name][0]
        theirs, _ = RUN[name](path, rows)
        ours = run_ours(args.runner, args.folder, path, profile, rows)
        differ = int((ours != theirs).sum())
        assert (np.roll(ours, 1, axis=0) != theirs).any()
        print(f"{path.stem:28s} {name:12s} {len(rows)} rows, {ours.size} bytes, {differ} differ")
        good = good and differ == 0
    return good


def judge_written(args):
    """True where each written file gives its writer's bytes when it is read."""
    equal = total = 0
    for name in args.judges:
        profile = JUDGES[name][0]
        for path in sorted((args.written / profile).glob("*.tflite")):
            result = args.folder / "result"
            done = subprocess.run([args.runner, path, profile, path.with_suffix(".in"), result],
                                  capture_output=True, text=True)
            total += 1
            if done.returncode == 0 and result.read_bytes() == path.with_suffix(".out").read_bytes():
                equal += 1
            else:
                print(f"{profile}/{path.name}: {done.stderr.strip() or 'other bytes'}")
    print(f"{equal} of {total} TFLite files of Decant's own give the same bytes when they are read (gate)")
    return equal == total > 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runner")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    parser.add_argument("--written", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--judges", nargs="+", default=list(JUDGES), choices=list(JUDGES))
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    agree = 0
    for path in args.files:
        try:
            agree += judge(args, path)
        except (ValueError, RuntimeError) as error:
            print(f"{path.stem:28s} {str(error).splitlines()[0]}")
    print(f"{agree} of {len(args.files)} TFLite files that were read agree with the runtimes (gate)")
    good = agree == len(args.files)
    if args.written:
        good = judge_written(args) and good
    sys.exit(not good)


if __name__ == "__main__":
    main()

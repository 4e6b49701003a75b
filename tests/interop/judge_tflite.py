#!/usr/bin/env python3
"""Random integer graphs, run by LiteRT and TFLM and compared with the engine's bytes.

judge_tflite.py WRITER FOLDER [--count N] [--first SEED] [--judges NAME ...]. Exit 1 when a judge
whose arithmetic the engine has (the gate) differs in a byte, or a file is not taken."""

import argparse
import collections
import lzma
import os
import pathlib
import platform
import subprocess
import sys

import numpy as np

# Judge: the engine's profile, and whether every byte must be equal.
JUDGES = {"tflm": ("tflm", True), "reference": ("litert-reference", True),
          "xnnpack": ("litert-xnnpack", True), "builtin": ("litert-builtin", True)}
ARM64 = {"xnnpack": ("litert-arm64", True), "reference": ("litert-reference", True)}
if platform.machine() == "aarch64":
    JUDGES = ARM64
ROWS = 180
REAL = 100


def run_tflm(path, rows):
    from tflite_micro.python.tflite_micro import runtime
    interpreter = runtime.Interpreter.from_file(str(path))
    results = []
    for row in rows:
        interpreter.set_input(row[None], 0)
        interpreter.invoke()
        results.append(interpreter.get_output(0).reshape(-1).copy())
    return np.stack(results), {}


def delegated(interpreter):
    """By the name of each result: does it come out of the delegate? An operator belongs to it when
    its result leaves the delegate, or enters neither a delegate nor an operator that is left."""
    operators = interpreter._get_ops_details()
    names = {t["index"]: t["name"] for t in interpreter.get_tensor_details()}
    parts = [o for o in operators if o["op_name"] == "DELEGATE"]
    entering = {int(i) for part in parts for i in part["inputs"]}
    leaving = {int(i) for part in parts for i in part["outputs"]}
    left = {int(o["index"]) for o in interpreter.get_output_details()}
    by_delegate = {}
    for operator in reversed([o for o in operators if o["op_name"] != "DELEGATE"]):
        output = int(operator["outputs"][0])
        taken = output in leaving or not (output in entering or output in left)
        by_delegate[names[output]] = taken
        if not taken:
            left |= {int(i) for i in operator["inputs"]}
    return by_delegate


def run_litert(path, rows, resolver):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    interpreter = Interpreter(str(path), num_threads=1,
                              experimental_op_resolver_type=getattr(OpResolverType, resolver))
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    results = []
    for row in rows:
        interpreter.set_tensor(source["index"], row[None])
        interpreter.invoke()
        results.append(interpreter.get_tensor(result["index"]).reshape(-1).copy())
    return np.stack(results), delegated(interpreter) if resolver == "AUTO" else {}


RUN = {
    "tflm": run_tflm,
    "reference": lambda path, rows: run_litert(path, rows, "BUILTIN_REF"),
    "builtin": lambda path, rows: run_litert(path, rows, "BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
    "xnnpack": lambda path, rows: run_litert(path, rows, "AUTO"),
}


def input_shape(path):
    from ai_edge_litert.interpreter import Interpreter
    details = Interpreter(str(path)).get_input_details()[0]
    return tuple(details["shape"][1:])


def real_codes(model):
    """Rows of real data as int8 codes, where DECANT_DATA has some for this model: CIFAR-10's first
    test images, MLPerf Tiny's first keywords."""
    data = pathlib.Path(os.environ.get("DECANT_DATA", "none"))
    packed, words = data / "cifar10/test_batch.bin.xz", data / "mlperf_tiny/kws01"
    if model.stem.startswith("resnet8") and packed.exists():
        records = np.frombuffer(lzma.open(packed).read(REAL * 3073), np.uint8).reshape(REAL, 3073)
        planes = records[:, 1:].reshape(REAL, 3, 32, 32).transpose(0, 2, 3, 1)
        return (planes.astype(int) - 128).astype(np.int8).tobytes()
    if model.stem == "ds-cnn" and words.is_dir():
        return b"".join(f.read_bytes() for f in sorted(words.glob("*.bin"))[:REAL])
    return b""


def judge(args, name, network, coverage):
    """Bytes compared and differing of one network, a seed or a model file, under one judge."""
    folder = args.folder / JUDGES[name][0]
    folder.mkdir(parents=True, exist_ok=True)
    count, more = ROWS, args.op
    if isinstance(network, pathlib.Path):
        codes = real_codes(network)
        count = 4 + REAL
        more = [folder / "codes"] if codes else []
        (folder / "codes").write_bytes(codes)
        seed = network.stem
        if name == args.judges[0]:
            print(f"{seed}: {REAL if codes else 0} real inputs, {0 if codes else REAL} random")
    else:
        seed = network
    made = subprocess.run([args.writer, folder, JUDGES[name][0], str(network), str(count), *more],
                          check=True, capture_output=True, text=True)
    path = folder / f"{seed}.tflite"
    rows = np.fromfile(folder / f"{seed}.in", np.int8).reshape((count,) + input_shape(path))
    wanted = np.fromfile(folder / f"{seed}.out", np.int8).reshape(count, -1)
    got, by_delegate = RUN[name](path, rows)
    for line in made.stdout.splitlines():
        layer, row = line.split(" ", 1)
        runner = {True: "delegate", False: "built-in"}[by_delegate[layer]] if by_delegate else name
        coverage[row][runner] += 1
    if got.shape != wanted.shape:
        raise ValueError(f"output shape {got.shape}, not {wanted.shape}")
    apart = np.abs(got.astype(int) - wanted)
    return wanted.size, int((apart > 0).sum()), int(apart.max())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("writer")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--networks", nargs="+", type=pathlib.Path, help="model files instead")
    parser.add_argument("--op", default=[], nargs=1, help="one layer of this op a graph")
    parser.add_argument("--judges", nargs="+", default=list(JUDGES), choices=list(JUDGES))
    args = parser.parse_args()
    coverage, failed = collections.defaultdict(collections.Counter), False
    networks = args.networks or range(args.first, args.first + args.count)
    for name in args.judges:
        total = differing = worst = whole = 0
        for seed in networks:
            try:
                compared, wrong, most = judge(args, name, seed, coverage)
            except (subprocess.CalledProcessError, RuntimeError, ValueError) as error:
                text = getattr(error, "stderr", None) or str(error)
                print(f"{name}: graph {seed}: {text.strip().splitlines()[-1]}")
                failed = True
                continue
            if wrong and JUDGES[name][1]:
                print(f"{name}: graph {seed}: {wrong} of {compared} bytes differ, by up to {most}")
            total += compared
            differing += wrong
            worst = max(worst, most)
            whole += wrong == 0
        failed |= JUDGES[name][1] and differing > 0
        print(f"{name} beside the engine's {JUDGES[name][0]}: {whole} of {len(networks)} graphs equal; "
              f"{total} bytes compared, {differing} differ, by at most {worst}"
              f"{' (gate)' if JUDGES[name][1] else ''}")
    if not coverage:
        sys.exit(failed)
    columns = [c for c in ("tflm", "reference", "delegate", "built-in", "builtin")
               if any(counts[c] for counts in coverage.values())]
    print(f"  {'layers run by':44s}" + "".join(f"{c:>10s}" for c in columns))
    for row, counts in sorted(coverage.items()):
        print(f"  {row:44s}" + "".join(f"{counts[c]:10d}" for c in columns))
    sys.exit(failed)


if __name__ == "__main__":
    main()

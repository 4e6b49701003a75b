#!/usr/bin/env python3
"""Float TFLite files before LiteRT: judge_tflite_float.py WRITER FOLDER MODEL ...

Each file that WRITER makes must give Decant's own outputs within 1e-4 of the largest of them, with the
default delegate and on the reference kernels: both sum in float32, in other orders. What WRITER refuses
is listed; of the model files nothing may be."""

import pathlib
import subprocess
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

ERROR = 1e-4


def outputs(path, rows, resolver):
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    signature = interpreter.get_signature_runner("serving_default")
    shape = interpreter.get_input_details()[0]["shape"]
    return np.stack([signature(input=row.reshape(shape))["output"].reshape(-1) for row in rows])


def judge(folder, name):
    path = folder / f"{name}.tflite"
    interpreter = Interpreter(str(path))
    size = int(np.prod(interpreter.get_input_details()[0]["shape"]))
    rows = np.fromfile(folder / f"{name}.in", np.float32).reshape(-1, size)
    want = np.fromfile(folder / f"{name}.out", np.float32).reshape(len(rows), -1)
    worst = 0.0
    for resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN_REF):
        have = outputs(path, rows, resolver)
        worst = max(worst, float(np.max(np.abs(have - want)) / np.max(np.abs(want))))
    assert np.max(np.abs(have + 1e-2 * np.max(np.abs(want)) - want)) > ERROR * np.max(np.abs(want))
    print(f"{name:24} relative error {worst:.2e}")
    return worst < ERROR


def main():
    writer, folder, models = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    lines = subprocess.run([writer, folder, *models], check=True, capture_output=True, text=True).stdout
    kinds = [line.split(" ", 1) for line in lines.splitlines()]
    for kind, text in kinds:
        if kind == "refused":
            print("refused:", text)
    names = [text for kind, text in kinds if kind == "file"]
    agree = sum([judge(folder, name) for name in names])
    print(f"{agree} of {len(names)} float TFLite files agree with LiteRT (gate)")
    sys.exit(0 if agree == len(names) and len(names) >= len(models) else 1)


main()

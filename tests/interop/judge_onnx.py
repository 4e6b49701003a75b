#!/usr/bin/env python3
"""Decant against ONNX Runtime on exported networks: judge_onnx.py RUN_ONNX FOLDER NAME ...

Batches of 1 and 7, built-in optimization off. Relative error: the largest difference over the largest
value, below 1e-4. The outputs must vary over the inputs, or agreement would say little."""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

BATCHES = (1, 7)
ERROR = 1e-4
DEVIATION = 1e-2


def judge(program, path, scratch):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    taken = session.get_inputs()[0]
    image = np.random.default_rng(1).standard_normal([max(BATCHES)] + taken.shape[1:])
    image = image.astype(np.float32)
    errors = []
    for rows in BATCHES:
        want = session.run(None, {taken.name: image[:rows]})[0]
        image[:rows].tofile(scratch / "in")
        run = subprocess.run([program, path, str(rows), scratch / "in", scratch / "out"],
                             capture_output=True, text=True, check=False)
        if run.returncode != 0:
            return f"exit {run.returncode}: {run.stderr.strip()}", False
        have = np.fromfile(scratch / "out", np.float32)
        if have.size != want.size:
            return f"{have.size} values, not {want.size}", False
        errors.append(float(np.max(np.abs(have.reshape(want.shape) - want)) / np.max(np.abs(want))))
    deviation = float(want.std(axis=0).mean())
    good = all(error < ERROR for error in errors) and deviation > DEVIATION
    return (f"relative error {errors[0]:.2e} {errors[1]:.2e}, deviation over inputs {deviation:.3g}",
            good)


def main():
    program, folder, *names = sys.argv[1:]
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            text, good = judge(program, f"{folder}/{name}.onnx", pathlib.Path(scratch))
            print(f"{name:22} {text}{'' if good else '  FAILED'}", flush=True)
            failed += [] if good else [name]
    print(f"{len(names) - len(failed)} of {len(names)} networks agree with ONNX Runtime "
          f"{onnxruntime.__version__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

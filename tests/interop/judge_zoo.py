#!/usr/bin/env python3
"""The exports of zoo.txt in Decant and in ONNX Runtime: judge_zoo.py RUN_ONNX FOLDER [NAME ...].

Batches of 1 and 5, by judge_onnx's rule: the largest difference over the largest value, below 1e-4. Where a
network is ill-conditioned, ONNX Runtime's own spread with and without optimization is told beside it."""

import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

from export_zoo import networks

BATCHES = (1, 5)
ERROR = 1e-4


def session(path, optimize):
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def judge(program, path, scratch):
    """('same' | 'differs' | 'refused' | 'judge', text)"""
    try:
        plain = session(path, False)
    except Exception as reason:  # the judge's own
        return "judge", str(reason).split("\n", maxsplit=1)[0][:120]
    taken = plain.get_inputs()[0]
    image = np.random.default_rng(1).standard_normal([max(BATCHES)] + taken.shape[1:])
    image = image.astype(np.float32)
    errors = []
    for rows in BATCHES:
        try:
            want = plain.run(None, {taken.name: image[:rows]})[0]
        except Exception:  # a file whose batch is not free after all
            want = None
        image[:rows].tofile(scratch / "in")
        run = subprocess.run([program, path, str(rows), scratch / "in", scratch / "out"],
                             capture_output=True, text=True, check=False)
        if run.returncode != 0:
            return "refused", re.sub(r"^\S*?: ", "", run.stderr.strip())[:200]
        if want is None:
            return "judge", f"ONNX Runtime does not run it with a batch of {rows}"
        have = np.fromfile(scratch / "out", np.float32)
        if have.size != want.size:
            return "differs", f"{have.size} values, not {want.size}"
        size = np.max(np.abs(want))
        errors.append(float(np.max(np.abs(have.reshape(want.shape) - want)) / size))
    text = " ".join(f"{error:.1e}" for error in errors)
    if all(error < ERROR for error in errors):
        return "same", text
    spread = float(np.max(np.abs(session(path, True).run(None, {taken.name: image})[0] - want)) / size)
    kind = "same" if max(errors) < spread else "differs"
    return kind, f"{text}, and ONNX Runtime's own two results are {spread:.1e} apart"


def main():
    program, folder, *names = sys.argv[1:]
    counts = {"same": 0, "differs": 0, "refused": 0, "judge": 0, "unexported": 0}
    with tempfile.TemporaryDirectory() as scratch:
        for source, model, opset, side, _ in networks():
            name = f"{source}-{model}"
            if names and name not in names:
                continue
            path, failed = (pathlib.Path(folder) / f"{name}.{end}" for end in ("onnx", "failed"))
            if path.exists():
                kind, text = judge(program, str(path), pathlib.Path(scratch))
            else:
                kind, text = "unexported", failed.read_text().strip()[:120]
            counts[kind] += 1
            print(f"{kind:10} {name:44} opset {opset} {side:3}  {text}", flush=True)
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()),
          f"(ONNX Runtime {onnxruntime.__version__})")
    return 1 if counts["differs"] else 0


if __name__ == "__main__":
    sys.exit(main())

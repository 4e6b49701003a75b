"""Computes weighted layers of a bundle by numpy, as its README.md says, and compares every sum and
code with the bundle's vectors: from_bundle.py BUNDLE [LAYER ...]. Without layers: the first one and
the middle one. Knows nothing of Decant but the bundle. 1: a byte differs. Profile tflm or ruy."""
import json
import sys
import h5py
import numpy as np

folder = sys.argv[1]
manifest = json.load(open(f"{folder}/manifest.json"))
arrays = h5py.File(f"{folder}/model.h5")
layers = manifest["layers"]

def requantize(x, m, s):
    if manifest["requantize"] == "(x * m + 2^(30 - s)) >> (31 - s)":
        return (x * m + (np.int64(1) << (30 - s))) >> (31 - s)
    assert manifest["requantize"] == "RDivPOT(SRDHM(x * 2^max(s, 0), m), max(-s, 0))"
    x = np.clip(x << np.maximum(s, 0), -(2**31), 2**31 - 1)
    y = (x * m + 2**30) >> 31
    n = np.maximum(-s, 0)
    half = (np.int64(1) << n) >> 1
    return np.sign(y) * ((np.abs(y) + half) >> n)

def compute(layer):
    source = layers[layer["inputs"][0]]["index"]
    codes = arrays[f"vectors/{source:02d}/outputs"][:].astype(np.int64)
    path = f"layers/{layer['index']:02d}"
    weights = arrays[f"{path}/weights"][:].astype(np.int64)
    pads, (sh, sw), (dh, dw) = layer["pads"], layer["stride"], layer["dilation"]
    height, width, channels = layer["output"]["shape"]
    if layer["op"] == "fully_connected":
        codes, weights = codes.reshape(len(codes), 1, 1, -1), weights[:, None, None, :]
    zero = layers[source]["output"]["zero_point"]
    edges = ((0, 0), (pads["top"], pads["bottom"] + dh), (pads["left"], pads["right"] + dw), (0, 0))
    x = np.pad(codes, edges, constant_values=pads["value"]) - zero
    sums = np.zeros((len(codes), height, width, channels), np.int64)
    for ky in range(weights.shape[1]):
        for kx in range(weights.shape[2]):
            rows, columns = np.arange(height) * sh + ky * dh, np.arange(width) * sw + kx * dw
            seen = x[:, rows[:, None], columns[None, :], :]
            if layer["op"] == "depthwise_conv2d":
                sums += np.repeat(seen, channels // seen.shape[3], axis=3) * weights[0, ky, kx]
            else:
                sums += seen @ weights[:, ky, kx, :].T
    sums += arrays[f"{path}/biases"][:]
    bounds = layer["accumulator"]
    assert bounds["low"] <= sums.min() and sums.max() <= bounds["high"]
    m, s = (arrays[f"{path}/{key}"][:].astype(np.int64) for key in ("multipliers", "shifts"))
    return sums, np.clip(requantize(sums, m, s) + layer["output"]["zero_point"], *layer["clamp"])


weighted = [layer for layer in layers if "weights" in layer["arrays"]]
chosen = [layers[int(i)] for i in sys.argv[2:]] or [weighted[0], weighted[len(weighted) // 2]]
different = 0
for layer in chosen:
    for name, values in zip(("accumulators", "outputs"), compute(layer)):
        wrong = int((values != arrays[f"vectors/{layer['index']:02d}/{name}"][:]).sum())
        print(f"layer {layer['index']} {layer['name']} ({layer['op']}): {wrong} of {values.size} {name} differ")
        different += wrong
sys.exit(different > 0)

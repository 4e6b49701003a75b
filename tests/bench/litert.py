#!/usr/bin/env python3
"""Times LiteRT with XNNPACK on the integer network of a Decant bundle.

Needs the environment that tests/bench/litert_setup installs. Builds the .tflite from the bundle
(same geometry, weights and scales), runs whole windows of CIFAR-10's test images through it, one at
a time and in batches, and prints one JSON object: images per second of every way (median and best
window), the better one as `images_per_second`, and the share of output codes that equal those
stored in the bundle's vectors (XNNPACK's arithmetic differs by design, so this is information).
"""

import argparse
import json
import lzma
import os
import statistics
import sys
import time
from pathlib import Path

import flatbuffers
import h5py
import numpy as np
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType

OPERATORS = {
    "conv2d": (tflite.BuiltinOperator.CONV_2D, 3, tflite.BuiltinOptions.Conv2DOptions),
    "depthwise_conv2d": (tflite.BuiltinOperator.DEPTHWISE_CONV_2D, 3,
                         tflite.BuiltinOptions.DepthwiseConv2DOptions),
    "fully_connected": (tflite.BuiltinOperator.FULLY_CONNECTED, 4,
                        tflite.BuiltinOptions.FullyConnectedOptions),
    "add": (tflite.BuiltinOperator.ADD, 2, tflite.BuiltinOptions.AddOptions),
    "average_pool": (tflite.BuiltinOperator.AVERAGE_POOL_2D, 2,
                     tflite.BuiltinOptions.Pool2DOptions),
    "reshape": (tflite.BuiltinOperator.RESHAPE, 1, tflite.BuiltinOptions.ReshapeOptions),
}
PADDING = {"same": 0, "valid": 1}


class Writer:
    """A .tflite with one subgraph, in the order that flatbuffers wants: leaves first."""

    def __init__(self, manifest, bundle):
        self.builder = flatbuffers.Builder(1 << 20)
        self.manifest = manifest
        self.arrays = h5py.File(bundle / manifest["layers"][1]["arrays"]["weights"]["file"], "r")
        self.buffers = [b""]
        self.tensors = []
        self.operators = []
        self.codes = []

    def table(self, name, **fields):
        """A table of the schema; fields in the schema's names."""
        getattr(tflite, name + "Start")(self.builder)
        for field, value in fields.items():
            getattr(tflite, name + "Add" + field)(self.builder, value)
        return getattr(tflite, name + "End")(self.builder)

    def vector(self, values, dtype):
        return self.builder.CreateNumpyVector(np.asarray(values, dtype))

    def offsets(self, values):
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependUOffsetTRelative(value)
        return self.builder.EndVector()

    def tensor(self, name, shape, kind, scales, zero_point, axis=0, data=None):
        buffer = 0
        if data is not None:
            self.buffers.append(data.tobytes())
            buffer = len(self.buffers) - 1
        quantization = self.table(
            "QuantizationParameters",
            Scale=self.vector(scales, np.float32),
            ZeroPoint=self.vector([zero_point] * len(scales), np.int64),
            QuantizedDimension=axis,
        )
        shape, name = self.vector(shape, np.int32), self.builder.CreateString(name)
        self.tensors.append(self.table("Tensor", Shape=shape, Type=kind, Buffer=buffer, Name=name,
                                       Quantization=quantization))
        return len(self.tensors) - 1

    def activation(self, layer):
        output, (low, high) = layer["output"], layer["clamp"]
        if high != 127 or low not in (-128, max(-128, output["zero_point"])):
            sys.exit(f"litert.py: layer '{layer['name']}': clamp {layer['clamp']}")
        return int(low != -128)  # NONE, RELU

    def options(self, layer):
        op, activation = layer["op"], self.activation(layer)
        if op in ("add", "fully_connected"):
            name = "AddOptions" if op == "add" else "FullyConnectedOptions"
            return self.table(name, FusedActivationFunction=activation)
        if op == "reshape":
            return self.table("ReshapeOptions",
                              NewShape=self.vector([-1] + layer["output"]["shape"], np.int32))
        window = {"Padding": self.padding(layer), "StrideH": layer["stride"][0],
                  "StrideW": layer["stride"][1], "FusedActivationFunction": activation}
        if op == "average_pool":
            return self.table("Pool2DOptions", FilterHeight=layer["kernel"][0],
                              FilterWidth=layer["kernel"][1], **window)
        window.update(DilationHFactor=layer["dilation"][0], DilationWFactor=layer["dilation"][1])
        if op == "conv2d":
            return self.table("Conv2DOptions", **window)
        multiplier = (layer["output"]["shape"][2] //
                      self.manifest["layers"][layer["inputs"][0]]["output"]["shape"][2])
        return self.table("DepthwiseConv2DOptions", DepthMultiplier=multiplier, **window)

    def padding(self, layer):
        """TFLite knows the rules SAME and VALID only; any other padding is refused."""
        size = self.manifest["layers"][layer["inputs"][0]]["output"]["shape"]
        names = set()
        for axis, first, last in ((0, "top", "bottom"), (1, "left", "right")):
            kernel = (layer["kernel"][axis] - 1) * layer["dilation"][axis] + 1
            stride, out = layer["stride"][axis], layer["output"]["shape"][axis]
            total = max((out - 1) * stride + kernel - size[axis], 0)
            pads = layer["pads"][first], layer["pads"][last]
            if pads == (total // 2, total - total // 2) and out == -(-size[axis] // stride):
                names.add("same")
            elif pads == (0, 0):
                names.add("valid")
            else:
                sys.exit(f"litert.py: layer '{layer['name']}': pads {pads}")
        return PADDING["same" if "same" in names else "valid"]

    def add_layer(self, layer):
        layers = self.manifest["layers"]
        shape = layer["output"]["shape"]
        inputs = list(layer["inputs"])
        scale = float(np.float32(layer["output"]["scale"]["value"]))
        if layer["op"] in ("fully_connected", "reshape"):
            shape = [int(np.prod(shape))]
        self.tensor(layer["name"], [1] + shape, tflite.TensorType.INT8, [scale],
                    layer["output"]["zero_point"])
        if layer["op"] == "input":
            return
        if "weights" in layer["arrays"]:
            load = lambda which: self.arrays[layer["arrays"][which]["dataset"]][()]
            weights, scales = load("weights"), load("weight_scales")
            in_scale = np.float32(layers[layer["inputs"][0]]["output"]["scale"]["value"])
            depthwise = layer["op"] == "depthwise_conv2d"
            weights = weights.reshape((1,) + weights.shape) if depthwise else weights
            scales = scales if layer["per_channel"] else scales[:1]
            self.late.append((len(self.operators), layer["name"], weights, scales,
                              load("biases"), in_scale, 3 if depthwise else 0))
        self.operators.append((layer, inputs))

    def write(self):
        builder, layers = self.builder, self.manifest["layers"]
        self.late = []
        for layer in layers:  # value i is tensor i; constants follow
            self.add_layer(layer)
        for at, name, weights, scales, biases, in_scale, axis in self.late:
            inputs = self.operators[at][1]
            inputs.append(self.tensor(name + "/weights", weights.shape, tflite.TensorType.INT8,
                                      scales, 0, axis, weights))
            inputs.append(self.tensor(name + "/bias", biases.shape, tflite.TensorType.INT32,
                                      in_scale * scales, 0, 0, biases))
        operators = []
        for layer, inputs in self.operators:
            code, version, kind = OPERATORS[layer["op"]]
            if (code, version) not in self.codes:
                self.codes.append((code, version))
            options = self.options(layer)
            in_vector = self.vector(inputs, np.int32)
            out_vector = self.vector([layer["index"]], np.int32)
            operators.append(self.table(
                "Operator", OpcodeIndex=self.codes.index((code, version)), Inputs=in_vector,
                Outputs=out_vector, BuiltinOptionsType=kind, BuiltinOptions=options))
        tensors, operators = self.offsets(self.tensors), self.offsets(operators)
        inputs, outputs = self.vector([0], np.int32), self.vector([len(layers) - 1], np.int32)
        graph = self.table("SubGraph", Tensors=tensors, Inputs=inputs, Outputs=outputs,
                           Operators=operators)
        codes = [self.table("OperatorCode", DeprecatedBuiltinCode=code, BuiltinCode=code,
                            Version=version) for code, version in self.codes]
        data = [builder.CreateByteVector(bytes) if bytes else None for bytes in self.buffers]
        buffers = [self.table("Buffer", **({} if at is None else {"Data": at})) for at in data]
        graphs, codes, buffers = self.offsets([graph]), self.offsets(codes), self.offsets(buffers)
        model = self.table("Model", Version=3, OperatorCodes=codes, Subgraphs=graphs,
                           Buffers=buffers)
        builder.Finish(model, b"TFL3")
        return bytes(builder.Output())


def read_images(layer, count):
    """CIFAR-10's test bytes as codes, or random codes where it is missing: [count, h, w, c]."""
    shape = layer["output"]["shape"]
    folder = Path(os.environ.get("DECANT_DATA", "")) / "cifar10"
    for name, opener in (("test_batch.bin", open), ("test_batch.bin.xz", lzma.open)):
        if (folder / name).exists() and shape == [32, 32, 3]:
            with opener(folder / name, "rb") as file:
                records = np.frombuffer(file.read(), np.uint8).reshape(-1, 3073)[:count, 1:]
            pixels = records.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            return (pixels.astype(np.int16) - 128).astype(np.int8)
    return np.random.default_rng(1).integers(-128, 128, [count] + shape, np.int8)


class Network:
    def __init__(self, model, batch, threads, xnnpack=True):
        kind = (OpResolverType.BUILTIN if xnnpack
                else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
        self.interpreter = Interpreter(model_content=model, num_threads=threads,
                                       experimental_op_resolver_type=kind)
        self.input = self.interpreter.get_input_details()[0]["index"]
        self.output = self.interpreter.get_output_details()[0]["index"]
        shape = self.interpreter.get_input_details()[0]["shape"]
        self.interpreter.resize_tensor_input(self.input, [batch] + list(shape[1:]))
        self.interpreter.allocate_tensors()
        self.batch = batch

    def run(self, images):
        """Codes of every image. The input is copied in, as any caller has to."""
        rows = []
        for first in range(0, len(images), self.batch):
            self.interpreter.set_tensor(self.input, images[first:first + self.batch])
            self.interpreter.invoke()
            rows.append(self.interpreter.get_tensor(self.output))
        return np.concatenate(rows)

    def delegated(self):
        """XNNPACK replaces what it takes by one DELEGATE node."""
        return any(op["op_name"] == "DELEGATE" for op in self.interpreter._get_ops_details())


def rates(network, images, windows):
    network.run(images[:network.batch * max(1, 200 // network.batch)])
    seconds = []
    for _ in range(windows):
        began = time.perf_counter()
        network.run(images)
        seconds.append(time.perf_counter() - began)
    return {"median": len(images) / statistics.median(seconds), "best": len(images) / min(seconds)}


def agreement(model, manifest, arrays):
    first, last = manifest["layers"][0], manifest["layers"][-1]
    inputs = arrays[first["vectors"]["outputs"]["dataset"]][()]
    wanted = arrays[last["vectors"]["outputs"]["dataset"]][()].reshape(len(inputs), -1)
    return float(np.mean(Network(model, 1, 1).run(inputs).reshape(len(inputs), -1) == wanted))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 100],
                        help="divisors of --images")
    parser.add_argument("--write", type=Path, help="keep the .tflite here")
    arguments = parser.parse_args()
    manifest = json.loads((arguments.bundle / "manifest.json").read_text())
    writer = Writer(manifest, arguments.bundle)
    model = writer.write()
    if arguments.write:
        arguments.write.write_bytes(model)
    images = read_images(manifest["layers"][0], arguments.images)
    results, delegated = {}, True
    for batch in arguments.batches:
        network = Network(model, batch, arguments.threads)
        delegated = delegated and network.delegated()
        results[f"batch {batch}"] = rates(network, images, arguments.windows)
    few = images[:min(len(images), 500)]
    plain = rates(Network(model, 1, arguments.threads, xnnpack=False), few, 1)
    best = max(results.values(), key=lambda rate: rate["median"])
    print(json.dumps({
        "images_per_second": best["median"], "best": best["best"], "threads": arguments.threads,
        "xnnpack": delegated, "without_xnnpack": plain["median"], "ways": results,
        "equal_codes": agreement(model, manifest, writer.arrays)}))
    return 0 if delegated else 1


if __name__ == "__main__":
    sys.exit(main())

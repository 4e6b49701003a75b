"""Samples through a runtime: runtimes.py RUNTIME HEIGHT WIDTH CHANNELS SCALE ZERO SCALE ZERO, of the
input and of the output. Reads int8 codes from the file samples and the network from network.tflite or
network.onnx, writes the codes that come out to answers. Exit code 3: the runtime is not here."""

import sys

try:
    import numpy as np
    if sys.argv[1] == "litert":
        from ai_edge_litert.interpreter import Interpreter
    elif sys.argv[1] == "tflm":
        from tflite_micro.python.tflite_micro import runtime as tflm
    else:
        import onnxruntime
except ImportError as missing:
    print(f"error: {missing}", file=sys.stderr)
    sys.exit(3)


def litert(codes):
    interpreter = Interpreter("network.tflite", num_threads=1)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    for row in codes:
        interpreter.set_tensor(source["index"], row.reshape(source["shape"]))
        interpreter.invoke()
        yield interpreter.get_tensor(result["index"])


def micro(codes):
    interpreter = tflm.Interpreter.from_file("network.tflite")
    shape = interpreter.get_input_details(0)["shape"]
    for row in codes:
        interpreter.set_input(row.reshape(shape), 0)
        interpreter.invoke()
        yield interpreter.get_output(0)


def onnx(codes, scale, zero, out_scale, out_zero):
    """int8 operators for the codes between QuantizeLinear and DequantizeLinear, images by channels."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = onnxruntime.InferenceSession("network.onnx", options, providers=["CPUExecutionProvider"])
    taken = session.get_inputs()[0]
    for row in codes:
        real = (row.astype(np.float32) - np.float32(zero)) * np.float32(scale)
        image = real.transpose(2, 0, 1).reshape([1] + taken.shape[1:])
        result = session.run(None, {taken.name: image})[0]
        if result.ndim == 4:
            result = result.transpose(0, 2, 3, 1)
        yield np.rint(result / np.float32(out_scale)).astype(int) + out_zero


def main():
    runtime, shape = sys.argv[1], [int(v) for v in sys.argv[2:5]]
    scale, zero, out_scale, out_zero = (float(v) for v in sys.argv[5:9])
    codes = np.fromfile("samples", np.int8).reshape([-1] + shape)
    results = {"litert": lambda: litert(codes), "tflm": lambda: micro(codes),
               "onnxruntime": lambda: onnx(codes, scale, zero, out_scale, int(out_zero))}[runtime]()
    with open("answers", "wb") as answers:
        for result in results:
            answers.write(np.asarray(result).astype(np.int8).tobytes())


main()

"""Prints what TensorFlow Lite Micro takes of its arena for a file, without what it keeps for good."""
import sys

from tflite_micro.python.tflite_micro import runtime

runtime.Interpreter.from_file(
    sys.argv[1], intrepreter_config=runtime.InterpreterConfig.kAllocationRecording
).print_allocations()

"""judge_bom.py RUN BOM: the bill of materials is valid by the strict schema that cyclonedx-python-lib
carries, its figures are those of RUN/results.json, and a key that is not CycloneDX's is caught."""

import json
import pathlib
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

run, path = (pathlib.Path(argument) for argument in sys.argv[1:])
text = path.read_text(encoding="utf-8")
validator = JsonStrictValidator(SchemaVersion.V1_5)
fault = validator.validate_str(text)
if fault:
    sys.exit(f"{path}: {fault}")
bom = json.loads(text)
results = json.loads((run / "results.json").read_text(encoding="utf-8"))["stages"]["quantized"]
model, = bom["components"]
metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
for metric, key in zip(metrics, ("int8", "float"), strict=True):
    accuracy, error = results[key]["accuracy"], results[key]["accuracy_error"]
    bounds = metric["confidenceInterval"]
    wanted = accuracy, max(accuracy - 1.96 * error, 0), min(accuracy + 1.96 * error, 1)
    told = metric["value"], bounds["lowerBound"], bounds["upperBound"]
    if any(abs(float(a) - b) > 1e-6 for a, b in zip(told, wanted)):
        sys.exit(f"{path}: {metric['type']} is {told}, results say {wanted}")
properties = {entry["name"]: entry["value"] for entry in model["properties"]}
if int(properties["decant:macs"]) != results["macs"]:
    sys.exit(f"{path}: {properties['decant:macs']} MACs, results say {results['macs']}")
model["modelcard"] = {}
if not validator.validate_str(json.dumps(bom)):
    sys.exit("the schema takes a key that is none, so its judgement is worth nothing")
print(f"{len(metrics)} figures, {len(properties)} properties, valid by the schema of CycloneDX 1.5")

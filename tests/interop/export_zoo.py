#!/usr/bin/env python3
"""Exports the architectures of zoo.txt as ONNX files: export_zoo.py FOLDER [NAME ...].

Weights are drawn (export_onnx.randomize), of transformers the library's own. A file that is there
already stays. What torch cannot export is FOLDER/NAME.failed with the reason."""

import ast
import pathlib
import sys
import warnings

from export_onnx import randomize, settle

HERE = pathlib.Path(__file__).resolve().parent


def networks():
    """(source, model, opset, side, keywords) of each line."""
    for line in (HERE / "zoo.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            source, model, opset, side, *words = line.split()
            keywords = {}
            for word in words:
                key, text = word.split("=")
                keywords[key] = ast.literal_eval(text)
            yield source, model, int(opset), int(side), keywords


def make(torch, source, model, keywords):
    if source == "torchvision":
        import torchvision
        return getattr(torchvision.models, model)(weights=None, **keywords)
    import timm
    timm.layers.set_exportable(True)
    return timm.create_model(model, pretrained=False, **keywords)


def export(path, source, name, opset, side, keywords):
    import torch
    torch.manual_seed(1)
    model = make(torch, source, name, keywords).eval()
    normed = any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
    image = torch.randn(16 if side < 100 else 4, 3, side, side)
    for module in model.modules() if normed else []:
        randomize(torch, module, 1.0)
    for name_, tensor in model.named_parameters() if not normed else []:
        if tensor.dim() <= 1:
            tensor.data.add_(torch.randn_like(tensor) * 0.1)
        elif tensor.abs().max() == 0 or "gamma" in name_ or "ls" in name_:
            tensor.data.normal_(0.0, 0.1)
        elif tensor.dim() > 1 and float(tensor.std()) < 0.03 and "nf" not in name:
            tensor.data.mul_(3.0)
    settle(torch, model, image)
    torch.onnx.export(model, image[:2], path, opset_version=opset,
                      training=torch.onnx.TrainingMode.EVAL,
                      input_names=["image"], output_names=["logits"],
                      dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})


def main():
    warnings.filterwarnings("ignore")
    folder = pathlib.Path(sys.argv[1])
    for source, model, opset, side, keywords in networks():
        name = f"{source}-{model}"
        path, failed = folder / f"{name}.onnx", folder / f"{name}.failed"
        if path.exists() or failed.exists() or (sys.argv[2:] and name not in sys.argv[2:]):
            continue
        try:
            export(folder / "part", source, model, opset, side, keywords)
            (folder / "part").rename(path)
            print(f"{name}: opset {opset}, {side}x{side}", flush=True)
        except Exception as reason:  # anything that a library may raise
            text = " ".join(str(reason).split())[:160]
            failed.write_text(f"{type(reason).__name__}: {text}\n")
            print(f"{name}: {type(reason).__name__}: {text}", flush=True)


if __name__ == "__main__":
    main()

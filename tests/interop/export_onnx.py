#!/usr/bin/env python3
"""Exports torchvision classifiers as ONNX files with random weights, for Debian's python3-torchvision.

Weights, batch-norm statistics and affine terms are all randomized, so that every operator's numbers
matter and the outputs vary over inputs. Usage: export_onnx.py FOLDER [NAME ...]; --list prints the
names. Each network gives NAME.onnx with a dynamic batch and a line with the output's deviation."""

import pathlib
import sys
import warnings

# Name, opset, side of the square input (the smallest that the architecture takes, to save time).
NETWORKS = [
    ("alexnet", 13, 224),
    ("convnext_tiny", 13, 64),
    ("densenet121", 11, 64),
    ("efficientnet_b0", 13, 64),
    ("efficientnet_v2_s", 14, 64),
    ("googlenet", 12, 64),
    ("inception_v3", 13, 96),
    ("maxvit_t", 13, 224),
    ("mnasnet0_75", 13, 64),
    ("mnasnet1_0", 9, 64),
    ("mobilenet_v2", 10, 64),
    ("mobilenet_v3_large", 13, 64),
    ("mobilenet_v3_small", 14, 64),
    ("regnet_x_400mf", 13, 64),
    ("regnet_y_400mf", 15, 64),
    ("regnet_y_1_6gf", 16, 64),
    ("resnet18", 13, 64),
    ("resnet34", 9, 64),
    ("resnet50", 16, 64),
    ("resnext50_32x4d", 13, 64),
    ("shufflenet_v2_x0_5", 11, 64),
    ("shufflenet_v2_x1_0", 13, 64),
    ("squeezenet1_0", 9, 64),
    ("squeezenet1_1", 13, 64),
    ("swin_t", 13, 64),
    ("swin_v2_t", 14, 64),
    ("vgg11_bn", 13, 224),
    ("vgg13", 13, 224),
    ("vit_b_16", 14, 64),
    ("vit_b_32", 13, 64),
    ("wide_resnet50_2", 13, 64),
]


def randomize(torch, module):
    """Every floating tensor of a module, scaled by its fan so that values neither die nor explode."""
    for name, tensor in list(module.named_parameters(recurse=False)) + list(
            module.named_buffers(recurse=False)):
        if not tensor.is_floating_point():
            continue
        if name == "running_var":
            tensor.data.uniform_(0.5, 1.5)
        elif name in ("running_mean", "bias", "in_proj_bias") or tensor.dim() == 0:
            tensor.data.normal_(0.0, 0.1)
        elif tensor.dim() == 1:
            tensor.data.uniform_(0.6, 1.4)
        elif name == "layer_scale":
            tensor.data.uniform_(0.1, 0.5)
        elif name in ("weight", "in_proj_weight"):
            tensor.data.normal_(0.0, (1.6 / tensor[0].numel()) ** 0.5)
        elif name not in ("relative_coords_table", "logit_scale"):
            tensor.data.normal_(0.0, 0.3)


def export(folder, name, opset, side):
    import torch
    import torchvision
    torch.manual_seed(1)
    keywords = {"weights": None}
    if name.startswith(("vit", "maxvit")):
        keywords["image_size" if name.startswith("vit") else "input_size"] = \
            side if name.startswith("vit") else (side, side)
    if name in ("googlenet", "inception_v3"):
        keywords["init_weights"] = False
    model = getattr(torchvision.models, name)(**keywords).eval()
    for module in model.modules():
        randomize(torch, module)
    image = torch.randn(2, 3, side, side)
    with torch.no_grad():
        logits = model(image)
    deviation = float((logits[0] - logits[1]).std())
    torch.onnx.export(model, image, folder / f"{name}.onnx", opset_version=opset,
                      input_names=["image"], output_names=["logits"],
                      dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})
    print(f"{name}: opset {opset}, {side}x{side}, deviation {deviation:.4g}", flush=True)
    return 1e-2 < deviation < 1e4


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(name for name, _, _ in NETWORKS))
        return 0
    warnings.filterwarnings("ignore")
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[2:] or [name for name, _, _ in NETWORKS]
    table = {name: (opset, side) for name, opset, side in NETWORKS}
    dull = [name for name in wanted if not export(folder, name, *table[name])]
    for name in dull:
        print(f"{name}: the outputs do not vary over inputs", file=sys.stderr)
    return 1 if dull else 0


if __name__ == "__main__":
    sys.exit(main())

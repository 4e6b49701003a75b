#!/usr/bin/env python3
"""Exports torchvision classifiers as ONNX files with random weights, for Debian's python3-torchvision.

Weights, batch-norm statistics and affine terms are all randomized, so that every operator's numbers
matter and the outputs vary over inputs. Usage: export_onnx.py FOLDER [NAME ...]; --list prints the
names, --few those of the short check. Each network gives NAME.onnx with a dynamic batch, and a line
with the output's deviation."""

import pathlib
import sys
import warnings

# Name, opset, side of the square input (the smallest that the architecture takes, to save time), and
# whether batch normalizations stay nodes of their own or go into the convolutions.
NETWORKS = [
    ("alexnet", 13, 224, False),
    ("convnext_tiny", 13, 64, False),
    ("densenet121", 11, 64, False),
    ("efficientnet_b0", 13, 64, False),
    ("efficientnet_v2_s", 14, 64, False),
    ("googlenet", 12, 64, True),
    ("inception_v3", 13, 96, False),
    ("maxvit_t", 13, 224, False),
    ("mnasnet0_75", 13, 64, False),
    ("mnasnet1_0", 9, 64, True),
    ("mobilenet_v2", 10, 64, True),
    ("mobilenet_v3_large", 13, 64, False),
    ("mobilenet_v3_small", 14, 64, True),
    ("regnet_x_400mf", 13, 64, False),
    ("regnet_y_400mf", 15, 64, True),
    ("regnet_y_1_6gf", 16, 64, False),
    ("resnet18", 13, 64, True),
    ("resnet34", 9, 64, False),
    ("resnet50", 16, 64, True),
    ("resnext50_32x4d", 13, 64, False),
    ("shufflenet_v2_x0_5", 11, 64, True),
    ("shufflenet_v2_x1_0", 13, 64, False),
    ("squeezenet1_0", 9, 64, False),
    ("squeezenet1_1", 13, 64, False),
    ("swin_t", 13, 64, False),
    ("vgg11_bn", 13, 224, True),
    ("vgg13", 13, 224, False),
    ("vit_b_16", 14, 64, False),
    ("vit_b_32", 13, 64, False),
    ("wide_resnet50_2", 13, 64, False),
]
# The six that scripts/check --all runs.
FEW = ["convnext_tiny", "densenet121", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x1_0", "swin_t"]


def randomize(torch, module, gain):
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
            tensor.data.normal_(0.0, (gain / tensor[0].numel()) ** 0.5)
        elif name not in ("relative_coords_table", "logit_scale"):
            tensor.data.normal_(0.0, 0.3)


def settle(torch, model, image):
    """Batch statistics near those of the values that come, so that noise stays noise through 100
    layers; then moved, so that they matter."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        model(image)
        for norm in norms:
            norm.eval()
            norm.running_var.mul_(torch.empty_like(norm.running_var).uniform_(0.7, 1.4)).add_(1e-3)
            norm.running_mean.add_(torch.empty_like(norm.running_mean).normal_(0.0, 0.1))


def export(folder, name, opset, side, norms):
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
    gates = {part for module in model.modules()
             if isinstance(module, torchvision.ops.misc.SqueezeExcitation)
             for part in module.modules()}  # steep gates would multiply roundings from block to block
    for module in model.modules():
        randomize(torch, module, 0.2 if module in gates else 2.0)
    settle(torch, model, torch.randn(16, 3, side, side))
    image = torch.randn(2, 3, side, side)
    with torch.no_grad():
        logits = model(image)
    deviation = float((logits[0] - logits[1]).std())
    mode = torch.onnx.TrainingMode.PRESERVE if norms else torch.onnx.TrainingMode.EVAL
    torch.onnx.export(model, image, folder / f"{name}.onnx", opset_version=opset, training=mode,
                      input_names=["image"], output_names=["logits"],
                      dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})
    print(f"{name}: opset {opset}, {side}x{side}, deviation {deviation:.4g}", flush=True)
    return 1e-2 < deviation < 1e4


def main():
    if sys.argv[1] in ("--list", "--few"):
        print("\n".join(FEW if sys.argv[1] == "--few" else [name for name, *_ in NETWORKS]))
        return 0
    warnings.filterwarnings("ignore")
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[2:] or [name for name, *_ in NETWORKS]
    table = {name: rest for name, *rest in NETWORKS}
    dull = [name for name in wanted if not export(folder, name, *table[name])]
    for name in dull:
        print(f"{name}: the outputs do not vary over inputs", file=sys.stderr)
    return 1 if dull else 0


if __name__ == "__main__":
    sys.exit(main())

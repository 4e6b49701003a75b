#!/usr/bin/python3
"""PyTorch's side of the comparison: the networks of `decant bench` in eager PyTorch with oneDNN, same
shapes, same batch, same losses. Debian's python3-torch 1.13.

  torch_step.py --model resnet8 --mode float|kd|qat|kd_qat|infer --layout nchw|nhwc
                [--batch N] [--threads N] [--windows N] [--seconds S] [--frozen]
  torch_step.py --mode sgemm [--threads N]        a matrix product of the BLAS that torch loads

A step is forward, loss, backward and SGD with momentum 0.9. QAT is the FX default: observers and fake
quantization of get_default_qat_qconfig_mapping('fbgemm'). KD has the teacher's logits given:
temperature 4, weights 0.9 and 0.1. Padding is symmetric where Decant's is TensorFlow's: the shapes
and the multiplications are the same. Prints one JSON object; compare judges it."""

import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn
from torch.nn import functional

INPUTS = {"resnet8": (3, 32, 32, 10, 128), "dscnn": (1, 49, 10, 12, 100),
          "mobilenet_v1_025": (3, 96, 96, 2, 32), "resnet56": (3, 32, 32, 10, 128)}
TEMPERATURE, KD_WEIGHT, LABEL_WEIGHT = 4.0, 0.9, 0.1
WARM_UP = 3


def conv(inputs, filters, kernel, stride=1, padding=None, groups=1, bias=False):
    padding = kernel // 2 if padding is None else padding
    return nn.Conv2d(inputs, filters, kernel, stride, padding, groups=groups, bias=bias)


def conv_norm(*arguments, **options):
    layer = conv(*arguments, **options)
    return [layer, nn.BatchNorm2d(layer.out_channels)]


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut, 1x1 where the shape changes: with batch normalization and
    without bias in ResNet-56, the other way round in ResNet-8."""

    def __init__(self, inputs, filters, stride, norm):
        super().__init__()
        self.body = nn.Sequential(*conv_norm(inputs, filters, 3, stride), nn.ReLU(),
                                  *conv_norm(filters, filters, 3))
        self.shortcut = None
        if stride != 1 or inputs != filters:
            self.shortcut = (nn.Sequential(*conv_norm(inputs, filters, 1, stride)) if norm
                             else conv(inputs, filters, 1, stride, bias=True))
        self.relu = nn.ReLU()

    def forward(self, x):
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return self.relu(self.body(x) + shortcut)


def head(channels, classes):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


def resnet(blocks, norm):
    layers = [*conv_norm(3, 16, 3), nn.ReLU()]
    inputs = 16
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(blocks):
            layers.append(Residual(inputs, filters, 2 if stage and not block else 1, norm))
            inputs = filters
    return nn.Sequential(*layers, *head(64, 10))


def separable(inputs, filters, stride=1):
    return [*conv_norm(inputs, inputs, 3, stride, groups=inputs), nn.ReLU(),
            *conv_norm(inputs, filters, 1), nn.ReLU()]


def dscnn():
    layers = [*conv_norm(1, 64, (10, 4), 2, padding=(5, 1)), nn.ReLU(), nn.Dropout(0.2)]
    for _ in range(4):
        layers += separable(64, 64)
    return nn.Sequential(*layers, nn.Dropout(0.4), *head(64, 12))


def mobilenet():
    layers, inputs = [*conv_norm(3, 8, 3, 2), nn.ReLU()], 8
    for filters, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1),
                            (128, 1), (128, 1), (128, 1), (128, 1), (256, 2), (256, 1)):
        layers += separable(inputs, filters, stride)
        inputs = filters
    return nn.Sequential(*layers, *head(256, 2))


BUILD = {"resnet8": lambda: resnet(1, False), "resnet56": lambda: resnet(9, True),
         "dscnn": dscnn, "mobilenet_v1_025": mobilenet}


def count_macs(network, sample):
    """Multiplications of convolutions and linear layers for one sample, from the shapes that flow."""
    total = 0

    def count(module, _, output):
        nonlocal total
        per_output = module.weight[0].numel()
        total += output.numel() * per_output

    hooks = [m.register_forward_hook(count) for m in network.modules()
             if isinstance(m, (nn.Conv2d, nn.Linear))]
    network.eval()
    with torch.no_grad():
        network(sample)
    for hook in hooks:
        hook.remove()
    return total


def quantized(network, sample):
    from torch.ao.quantization import get_default_qat_qconfig_mapping
    from torch.ao.quantization.quantize_fx import prepare_qat_fx
    network.train()
    return prepare_qat_fx(network, get_default_qat_qconfig_mapping("fbgemm"), (sample,))


def time_windows(work, rows, windows, seconds):
    for _ in range(WARM_UP):
        work()
    rates = []
    for _ in range(windows):
        done, start = 0, time.perf_counter()
        while True:
            work()
            done += rows
            spent = time.perf_counter() - start
            if spent >= seconds:
                break
        rates.append(done / spent)
    return statistics.median(rates), max(rates)


def make_step(network, mode, images, labels, teacher):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    soft = functional.softmax(teacher / TEMPERATURE, dim=1)

    def loss(logits):
        label = functional.cross_entropy(logits, labels)
        if not mode.startswith("kd"):
            return label
        student = functional.log_softmax(logits / TEMPERATURE, dim=1)
        kd = functional.kl_div(student, soft, reduction="batchmean") * TEMPERATURE ** 2
        return KD_WEIGHT * kd + LABEL_WEIGHT * label

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(network(images)).backward()
        optimizer.step()

    return step


def measure(options):
    channels, height, width, classes, batch = INPUTS[options.model]
    batch = options.batch or batch
    torch.manual_seed(1)
    network = BUILD[options.model]()
    parameters = sum(p.numel() for p in network.parameters())
    macs = count_macs(network, torch.zeros(1, channels, height, width))
    images = torch.rand(batch, channels, height, width) * 3.4 - 1.7
    labels = torch.randint(classes, (batch,))
    teacher = torch.rand(batch, classes) * 8.0 - 4.0
    if options.layout == "nhwc":
        network = network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    if options.mode == "infer":
        network.eval()

        def work():
            with torch.no_grad():
                network(images)
    else:
        if "qat" in options.mode:
            network = quantized(network, images[:1])
        network.train()
        work = make_step(network, options.mode, images, labels, teacher)
        if options.frozen:
            work()
            network.apply(torch.ao.quantization.disable_observer)
    median, best = time_windows(work, batch, options.windows, options.seconds)
    return {"model": options.model, "mode": options.mode, "layout": options.layout,
            "parameters": parameters, "macs": macs, "batch": batch, "frozen": options.frozen,
            "samples_per_second": median, "samples_per_second_best": best}


def sgemm(options):
    size = 1024
    a, b = torch.rand(size, size), torch.rand(size, size)
    out = torch.empty(size, size)
    median, best = time_windows(lambda: torch.mm(a, b, out=out), 2e-9 * size ** 3,
                                options.windows, options.seconds)
    return {"mode": "sgemm", "gflops": median, "gflops_best": best, "size": size}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(BUILD), default="resnet8")
    parser.add_argument("--mode", default="float",
                        choices=["float", "kd", "qat", "kd_qat", "infer", "sgemm"])
    parser.add_argument("--layout", choices=["nchw", "nhwc"], default="nchw")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--windows", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--frozen", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = sgemm(options) if options.mode == "sgemm" else measure(options)
    result["threads"] = torch.get_num_threads()
    result["torch"] = torch.__version__
    result["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main()

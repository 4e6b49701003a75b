#!/usr/bin/python3
"""Parameters and multiply-accumulates of networks in PyTorch, for tests/run/test_models.c.

Run by hand with Debian's python3 (packages python3-torch 1.13, python3-torchvision 0.14):
    /usr/bin/python3 tests/golden/count_models.py
MobileNetV2 is torchvision's; the others are written here from their papers.
"""

import torch
import torchvision
from torch import nn


class Wide(nn.Module):
    """A block of arXiv:1605.07146: normalization and ReLU before each convolution."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(filters)
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        same = channels == filters
        self.shortcut = None if same else nn.Conv2d(channels, filters, 1, stride, bias=False)

    def forward(self, x):
        a = torch.relu(self.norm1(x))
        y = self.conv2(torch.relu(self.norm2(self.conv1(a))))
        return y + (x if self.shortcut is None else self.shortcut(a))


def wide_resnet(depth, width, classes):
    layers, channels = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)], 16
    for group in range(3):
        for block in range((depth - 4) // 6):
            filters = (16 << group) * width
            layers.append(Wide(channels, filters, 2 if group and not block else 1))
            channels = filters
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(channels, classes))


def vgg(convolutions, classes):
    layers, channels = [], 3
    for group, filters in enumerate((64, 128, 256, 512, 512)):
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, filters, 3, 1, 1), nn.BatchNorm2d(filters), nn.ReLU()]
            channels = filters
        layers += [nn.MaxPool2d(2)] if group < 3 else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def separable(filters, kernel):
    return [nn.Conv1d(filters, filters, kernel, 2, kernel // 2, groups=filters, bias=False),
            nn.BatchNorm1d(filters), nn.ReLU(), nn.Conv1d(filters, filters, 1, bias=False),
            nn.BatchNorm1d(filters), nn.ReLU()]


def ds_cnn_1d(channels, filters, blocks, kernel, classes):
    layers = [nn.Conv1d(channels, filters, kernel, 2, kernel // 2, bias=False),
              nn.BatchNorm1d(filters), nn.ReLU()]
    for _ in range(blocks):
        layers += separable(filters, kernel)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(),
                         nn.Linear(filters, classes))


def autoencoder(values, units, bottleneck, depth):
    layers, before = [], values
    for after in [units] * depth + [bottleneck] + [units] * depth:
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
        before = after
    return nn.Sequential(*layers, nn.Linear(before, values))


def count(name, network, *sample):
    macs = []

    def hook(layer, _, out):
        taps = layer.weight[0].numel() if layer.weight.dim() > 1 else 0
        macs.append(out.numel() * taps)
    for layer in network.modules():
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(hook)
    network.eval()(torch.zeros(1, *sample))
    print(f"{name:32} {sum(p.numel() for p in network.parameters()):10} {sum(macs):12}")


def mobilenet_v2(width, classes, strides):
    network = torchvision.models.mobilenet_v2(width_mult=width, num_classes=classes)
    network.features[0][0].stride = (strides[0], strides[0])
    network.features[2].conv[1][0].stride = (strides[1], strides[1])
    return network


count("mobilenet_v2 1.0 224", mobilenet_v2(1.0, 1000, (2, 2)), 3, 224, 224)
count("mobilenet_v2 1.4 224", mobilenet_v2(1.4, 1000, (2, 2)), 3, 224, 224)
count("mobilenet_v2 0.1 96", mobilenet_v2(0.1, 2, (2, 2)), 3, 96, 96)
count("mobilenet_v2 0.35 96", mobilenet_v2(0.35, 2, (2, 2)), 3, 96, 96)
count("mobilenet_v2 0.5 cifar", mobilenet_v2(0.5, 10, (1, 1)), 3, 32, 32)
count("wrn-16-2, 100", wide_resnet(16, 2, 100), 3, 32, 32)
count("wrn-40-2, 100", wide_resnet(40, 2, 100), 3, 32, 32)
count("wrn-40-1, 100", wide_resnet(40, 1, 100), 3, 32, 32)
count("wrn-28-10, 10", wide_resnet(28, 10, 10), 3, 32, 32)
count("vgg8, 100", vgg(1, 100), 3, 32, 32)
count("vgg13, 100", vgg(2, 100), 3, 32, 32)
count("ds-cnn-1d", ds_cnn_1d(9, 64, 5, 9, 6), 9, 128)
count("autoencoder", autoencoder(640, 128, 8, 4), 640)

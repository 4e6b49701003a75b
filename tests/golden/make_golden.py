#!/usr/bin/python3
"""Golden numbers from PyTorch for a narrow ResNet-8 (configs/models/resnet8.yaml with width 4).

Run by hand with Debian's python3 (packages python3-torch 1.13, python3-h5py):
    /usr/bin/python3 tests/golden/make_golden.py
It writes resnet8_float.h5 and resnet8_quantized.h5 beside itself; README.md there says what each
array holds. Everything is seeded, one thread; the files are committed.
"""

import os

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from torch.ao.quantization import (FakeQuantize, MinMaxObserver, MovingAverageMinMaxObserver,
                                   PerChannelMinMaxObserver)

torch.manual_seed(7)
torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
WIDTH, CLASSES, SIZE, BATCH, BATCHES = 4, 10, 32, 8, 5
STATES, APART = 20, 4  # recorded states, and trajectory steps from one to the next
FREE_STEPS = 20
STAGES = [("stage1", WIDTH, WIDTH, 1), ("stage2", WIDTH, 2 * WIDTH, 2),
          ("stage3", 2 * WIDTH, 4 * WIDTH, 2)]
SGD = dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)   # decays every parameter
ADAMW = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05)  # not norm and bias
TEMPERATURE, KD_WEIGHT, LABEL_WEIGHT = 4.0, 0.9, 0.1


# ---- the network -----------------------------------------------------------------------------

def layers():
    """(name, kind, in, out, kernel) of everything that has parameters, in the model's order."""
    yield "stem", "conv", 3, WIDTH, 3
    yield "stem_norm", "norm", WIDTH, WIDTH, 0
    for name, before, after, _ in STAGES:
        yield name + ".conv1", "conv", before, after, 3
        yield name + ".norm1", "norm", after, after, 0
        yield name + ".conv2", "conv", after, after, 3
        yield name + ".norm2", "norm", after, after, 0
        if before != after:
            yield name + ".shortcut", "conv_bias", before, after, 1
    yield "logits", "dense", 4 * WIDTH, CLASSES, 0


def initial():
    """Kaiming-normal weights; batch norm not at its fixed point, so that gamma and beta count."""
    values = {}
    for name, kind, n_in, n_out, kernel in layers():
        if kind in ("conv", "conv_bias"):
            deviation = (2.0 / (n_in * kernel * kernel)) ** 0.5
            values[name + ".weight"] = torch.randn(n_out, n_in, kernel, kernel) * deviation
        if kind == "dense":
            values[name + ".weight"] = torch.randn(n_out, n_in) * (1.0 / n_in) ** 0.5
        if kind in ("conv_bias", "dense"):
            values[name + ".bias"] = torch.randn(n_out) * 0.1
        if kind == "norm":
            values[name + ".gamma"] = 1.0 + 0.2 * torch.randn(n_out)
            values[name + ".beta"] = 0.1 * torch.randn(n_out)
            values[name + ".mean"] = torch.zeros(n_out)
            values[name + ".variance"] = torch.ones(n_out)
    return {name: value.double() for name, value in values.items()}


def is_statistic(name):
    return name.endswith((".mean", ".variance"))


def same(x, kernel, stride):
    """TensorFlow's SAME: the extra row and column lie after."""
    out = -(-x.shape[2] // stride)
    total = max((out - 1) * stride + kernel - x.shape[2], 0)
    before, after = total // 2, total - total // 2
    return F.pad(x, (before, after, before, after))


class Network:
    """The forward pass over a dict of values. Hooks see what quantization puts between layers."""

    def __init__(self, values, activation=lambda name, x: x, weight=lambda name, w: w):
        self.v, self.activation, self.weight = values, activation, weight

    def conv(self, name, x, stride):
        w = self.weight(name, self.v[name + ".weight"])
        bias = self.v.get(name + ".bias")
        return F.conv2d(same(x, w.shape[2], stride), w, bias, stride=stride)

    def norm(self, name, x):
        v = self.v
        return F.batch_norm(x, v[name + ".mean"], v[name + ".variance"], v[name + ".gamma"],
                            v[name + ".beta"], training=True, momentum=0.1, eps=1e-5)

    def __call__(self, x):
        q = self.activation
        x = q("image", x)
        x = q("stem_relu", F.relu(self.norm("stem_norm", self.conv("stem", x, 1))))
        for name, before, after, stride in STAGES:
            y = self.norm(name + ".norm1", self.conv(name + ".conv1", x, stride))
            y = q(name + ".relu1", F.relu(y))
            y = self.norm(name + ".norm2", self.conv(name + ".conv2", y, 1))
            y = q(name + ".norm2", y)
            if before != after:
                x = q(name + ".shortcut", self.conv(name + ".shortcut", x, stride))
            x = q(name + ".relu2", F.relu(y + x))
        x = q("pool", F.avg_pool2d(x, 8)).flatten(1)
        w = self.weight("logits", self.v["logits.weight"])
        return q("logits", F.linear(x, w, self.v["logits.bias"]))


# ---- layouts, rounding, files ----------------------------------------------------------------

def to_ours(tensor):
    """OIHW -> HWIO, [out, in] -> [in, units], NCHW is not a parameter; vectors stay."""
    array = tensor.detach().numpy()
    if array.ndim == 4:
        array = array.transpose(2, 3, 1, 0)
    if array.ndim == 2:
        array = array.T
    return np.ascontiguousarray(array).reshape(-1)


def names(statistics):
    """Slice names in the order of the flat vectors: trained ones first, then statistics."""
    every = list(initial_names)
    trained = [n for n in every if not is_statistic(n)]
    return trained + ([n for n in every if is_statistic(n)] if statistics else [])


def flat(values, statistics):
    return np.concatenate([to_ours(values[n]) for n in names(statistics)])


def keep_bits(array, bits):
    """float32 with that many significant bits: the rest is zero, so that gzip can shrink it."""
    mantissa, exponent = np.frexp(np.asarray(array, dtype=np.float64))
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits).astype(np.float32)


def keep_tensor(tensor, bits):
    return torch.from_numpy(keep_bits(tensor.detach().numpy(), bits).astype(np.float64))


def write(path, arrays, texts):
    with h5py.File(path, "w", libver="earliest") as file:
        for name, array in arrays.items():
            array = np.ascontiguousarray(array)
            packed = dict(compression="gzip", compression_opts=9, shuffle=True)
            file.create_dataset(name, data=array, track_times=False,
                                **(packed if array.size > 64 else {}))
        for name, text in texts.items():
            file.attrs[name] = text
    print(os.path.basename(path), os.path.getsize(path), "bytes")


def nhwc(images):
    return torch.from_numpy(images.astype(np.float64)).sub(128.0).div(64.0).permute(0, 3, 1, 2)


def make_data():
    """Images with a pattern a class, bytes that are multiples of 8; x = (byte - 128) / 64. Teacher
    logits: multiples of 1/16, mostly right."""
    rng = np.random.RandomState(11)
    count = BATCH * BATCHES
    labels = rng.permutation(np.arange(count) % CLASSES).astype(np.int32)
    patterns = rng.normal(0, 30, (CLASSES, 8, 8, 3)).repeat(4, 1).repeat(4, 2)
    images = patterns[labels] + rng.normal(0, 25, (count, SIZE, SIZE, 3)) + 128
    teacher = rng.normal(0, 1.5, (count, CLASSES)) + 5.0 * np.eye(CLASSES)[labels]
    return (np.clip(np.rint(images / 8) * 8, 0, 255).astype(np.uint8), labels,
            np.rint(teacher * 16) / 16)


# ---- float steps -----------------------------------------------------------------------------

def copy_of(values, bits=None):
    return {n: (keep_tensor(v, bits) if bits else v.detach().clone()) for n, v in values.items()}


def trainable(values):
    parameters = {n: v for n, v in values.items() if not is_statistic(n)}
    for tensor in parameters.values():
        tensor.requires_grad_(True)
    return parameters


def loss_of(network, step, kd):
    rows = slice(step % BATCHES * BATCH, step % BATCHES * BATCH + BATCH)
    logits = network(nhwc(images[rows]))
    label = F.cross_entropy(logits, torch.from_numpy(labels[rows]).long())
    if not kd:
        return label
    soft = F.kl_div(F.log_softmax(logits / TEMPERATURE, 1),
                    F.softmax(torch.from_numpy(teacher[rows]) / TEMPERATURE, 1),
                    reduction="batchmean") * TEMPERATURE ** 2
    return LABEL_WEIGHT * label + KD_WEIGHT * soft


def make_optimizer(kind, parameters):
    if kind == "sgd":
        return torch.optim.SGD(parameters.values(), **SGD)
    plain = [p for n, p in parameters.items() if n.endswith((".gamma", ".beta", ".bias"))]
    decayed = [p for n, p in parameters.items() if n.endswith(".weight")]
    return torch.optim.AdamW([{"params": decayed}, {"params": plain, "weight_decay": 0.0}],
                             **ADAMW)


def one_step(state, momentum, square, index, kind, kd):
    """One step in float64 from a recorded state: (loss, update of all values, statistics too)."""
    values = copy_of(state)
    parameters = trainable(values)
    optimizer = make_optimizer(kind, parameters)
    for name, p in parameters.items():
        if kind == "sgd":
            optimizer.state[p]["momentum_buffer"] = momentum[name].clone()
        else:
            optimizer.state[p] = {"step": torch.tensor(float(index * APART)),
                                  "exp_avg": momentum[name] * 0.125,
                                  "exp_avg_sq": square[name].clone()}
    loss = loss_of(Network(values), index, kd)
    loss.backward()
    optimizer.step()
    return loss.item(), flat(values, True) - flat(state, True)


def record_states():
    """A trajectory of Nesterov SGD. Momentum divided by 8 serves AdamW as first moment."""
    values = initial()
    parameters = trainable(values)
    optimizer = make_optimizer("sgd", parameters)
    square = {n: torch.zeros_like(p) for n, p in parameters.items()}
    kinds = [("sgd", "sgd", False), ("kd", "sgd", True), ("adamw", "adamw", False)]
    out = {key: [] for key in ["value", "momentum", "square"]}
    for key, _, _ in kinds:
        out[key + "/loss"], out[key + "/update"] = [], []
    step = 0
    while len(out["value"]) < STATES:
        optimizer.zero_grad()
        loss_of(Network(values), step, step % 3 == 2).backward()
        optimizer.step()
        for n, p in parameters.items():
            square[n] = 0.999 * square[n] + 0.001 * p.grad ** 2
        step += 1
        if step % APART:
            continue
        state, s2 = copy_of(values, 12), copy_of(square, 8)
        momentum = {n: keep_tensor(optimizer.state[p]["momentum_buffer"], 8)
                    for n, p in parameters.items()}
        index = step // APART  # from 1: also the batch of the step
        out["value"].append(flat(state, True))
        out["momentum"].append(flat(momentum, False))
        out["square"].append(flat(s2, False))
        for key, kind, kd in kinds:
            loss, update = one_step(state, momentum, s2, index, kind, kd)
            out[key + "/loss"].append(loss)
            out[key + "/update"].append(keep_bits(update, 16))
    arrays = {}
    for key, rows in out.items():
        arrays[key] = np.array(rows, dtype=np.float64 if key.endswith("loss") else np.float32)
    return arrays, state


def free_run(state):
    """20 steps at learning rate 1e-3 from the last state without momentum: losses, end."""
    values = copy_of(state)
    parameters = trainable(values)
    optimizer = torch.optim.SGD(parameters.values(), **{**SGD, "lr": 1e-3})
    losses = []
    for step in range(FREE_STEPS):
        optimizer.zero_grad()
        loss = loss_of(Network(values), step, False)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"free/loss": np.array(losses), "free/value": flat(values, True).astype(np.float32)}


# ---- fake quantization -----------------------------------------------------------------------

QUANTIZED_ROWS, OBSERVED = 2, 30


class Quantizers:
    """PyTorch's FakeQuantize at each activation; a fresh observer for each weight."""

    def __init__(self):
        self.nodes, self.inputs, self.weight_codes = {}, {}, {}

    def activation(self, name, x):
        if name not in self.nodes:
            self.nodes[name] = FakeQuantize(
                observer=MovingAverageMinMaxObserver, quant_min=-128, quant_max=127,
                dtype=torch.qint8, qscheme=torch.per_tensor_affine, averaging_constant=0.01)
        self.inputs[name] = x.detach().clone()
        return self.nodes[name](x)

    def weight(self, name, w):
        """Symmetric: per output channel, but one scale for the dense layer. Of that one, codes per
        channel are kept too."""
        code = dict(dtype=torch.qint8, quant_min=-127, quant_max=127)
        observer = PerChannelMinMaxObserver(ch_axis=0, qscheme=torch.per_channel_symmetric, **code)
        observer(w.detach())
        scale, zero_point = observer.calculate_qparams()
        fake = torch.fake_quantize_per_channel_affine(w, scale, zero_point.int(), 0, -127, 127)
        self.keep_codes(name, fake, scale.view((-1,) + (1,) * (w.dim() - 1)))
        if w.dim() == 2:
            self.weight_codes[name + ".per_channel"] = self.weight_codes[name]
            observer = MinMaxObserver(qscheme=torch.per_tensor_symmetric, **code)
            observer(w.detach())
            scale, zero_point = observer.calculate_qparams()
            fake = torch.fake_quantize_per_tensor_affine(w, scale, zero_point.int(), -127, 127)
            self.keep_codes(name, fake, scale)
        return fake

    def keep_codes(self, name, fake, scale):
        self.weight_codes[name] = torch.round(fake.detach() / scale).to(torch.int8)

    def freeze(self):
        """Observers off; ranges shrunk, so that every node clamps something."""
        for node in self.nodes.values():
            observer = node.activation_post_process
            observer.min_val *= 0.6
            observer.max_val *= 0.6
            node.disable_observer()
            scale, zero_point = node.calculate_qparams()
            node.scale.copy_(scale)
            node.zero_point.copy_(zero_point)


def codes_and_mask(node, x):
    """Codes recovered from PyTorch's values, and where its gradient passes."""
    x = x.clone().requires_grad_(True)
    y = node(x)
    y.sum().backward()
    codes = torch.round(y.detach() / node.scale) + node.zero_point
    return codes.to(torch.int8), x.grad.to(torch.uint8)


def quantized_arrays(state):
    values = {n: v.float() for n, v in copy_of(state).items()}
    quantizers = Quantizers()
    network = Network(values, quantizers.activation, quantizers.weight)
    with torch.no_grad():
        for step in range(OBSERVED):
            rows = [(step * 3 + k) % (BATCH * BATCHES) for k in range(BATCH)]
            network(nhwc(images[rows]).float())
    quantizers.freeze()
    values = {n: v.clone() for n, v in values.items()}
    arrays = {"value": flat(values, True)}
    parameters = trainable(values)
    network.v = values
    quantizers.inputs.clear()
    logits = network(nhwc(images[:QUANTIZED_ROWS]).float())
    loss = F.cross_entropy(logits, torch.from_numpy(labels[:QUANTIZED_ROWS]).long())
    loss.backward()
    arrays["loss"] = np.array([loss.item()])
    arrays["gradient"] = keep_bits(flat({n: p.grad for n, p in parameters.items()}, False), 16)
    channels_last = lambda x: (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).numpy()
    for name, node in quantizers.nodes.items():
        x = quantizers.inputs[name][:1]  # the first row: two would not fit into 2 MB
        codes, mask = codes_and_mask(node, x)
        key = "nodes/" + name + "/"
        observer = node.activation_post_process
        arrays[key + "range"] = np.array([observer.min_val.item(), observer.max_val.item()],
                                         dtype=np.float32)
        arrays[key + "grid"] = np.array([node.scale.item(), node.zero_point.item()],
                                        dtype=np.float32)
        if name != "image":  # there the input is the image
            arrays[key + "input"] = channels_last(x)
        arrays[key + "codes"] = channels_last(codes)
        arrays[key + "mask"] = np.packbits(channels_last(mask).reshape(-1), bitorder="little")
        observer(x)  # one more look, for the observer itself
        arrays[key + "range_after"] = np.array([observer.min_val.item(), observer.max_val.item()],
                                               dtype=np.float32)
        print("  %-16s range %8.4f %8.4f clipped %d of %d" % (
            name, *arrays[key + "range"], (mask == 0).sum().item(), mask.numel()))
    for name, codes in quantizers.weight_codes.items():
        arrays["weights/" + name] = to_ours(codes)
    return arrays, list(quantizers.nodes), list(quantizers.weight_codes)


initial_names = list(initial())
images, labels, teacher = make_data()


def main():
    data = {"images": images, "labels": labels, "teacher": teacher.astype(np.float32)}
    arrays, state = record_states()
    arrays.update(free_run(state))
    slices = "\n".join(names(True))
    write(os.path.join(HERE, "resnet8_float.h5"), {**data, **arrays}, {"slices": slices})
    print("  losses", " ".join("%.3f" % x for x in arrays["sgd/loss"]))
    arrays, nodes, weights = quantized_arrays(state)
    rows = slice(0, QUANTIZED_ROWS)
    write(os.path.join(HERE, "resnet8_quantized.h5"),
          {"images": images[rows], "labels": labels[rows], **arrays},
          {"slices": slices, "nodes": "\n".join(nodes), "weights": "\n".join(weights)})


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Golden numbers from PyTorch for the distillation losses: values and gradients in float64.

Run by hand with Debian's python3 (packages python3-torch 1.13, python3-h5py):
    /usr/bin/python3 tests/golden/make_losses.py
It writes losses.h5 beside itself; README.md there says what it holds. Formulae are written from the
papers and the published programs named in distill/losses.h, in their NCHW layout.
"""

import os

import h5py
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(11)
torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))


# ---- losses: (student, teacher, targets, parameters) -> value ---------------------------------

def soft(z, t):
    return F.softmax(z / t, 1)


def hinton(s, t, temperature):
    return F.kl_div(F.log_softmax(s / temperature, 1), soft(t, temperature),
                    reduction="batchmean") * temperature ** 2


def kd(s, t, y, a):
    return hinton(s, t, a[0])


def ttm_rows(s, t, temperature):
    """As the authors' program: a power of the teacher's probabilities, and the sum it is over."""
    power = torch.pow(torch.softmax(t, 1), 1 / temperature)
    total = power.sum(1)
    p = power / total.unsqueeze(1)
    return F.kl_div(F.log_softmax(s, 1), p, reduction="none").sum(1), total


def ttm(s, t, y, a):
    return ttm_rows(s, t, a[0])[0].mean()


def wttm(s, t, y, a):
    divergence, total = ttm_rows(s, t, a[0])
    return (total * divergence).mean()


def dkd(s, t, y, a):
    """As mdistiller: target and others as two classes, the others with the target masked."""
    alpha, beta, temperature = a
    mask = y.bool()
    ps, pt = soft(s, temperature), soft(t, temperature)
    two = lambda p: torch.stack([p[mask], 1 - p[mask]], 1)
    target = F.kl_div(two(ps).log(), two(pt), reduction="batchmean")
    rest = lambda z: z[~mask].view(z.shape[0], -1) / temperature
    others = F.kl_div(F.log_softmax(rest(s), 1), F.softmax(rest(t), 1), reduction="batchmean")
    return temperature ** 2 * (alpha * target + beta * others)


def standardized_kd(s, t, y, a):
    norm = lambda z: (z - z.mean(1, keepdim=True)) / (z.std(1, keepdim=True) + 1e-7)
    return hinton(norm(s), norm(t), a[0])


def pearson(x, y):
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    return (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1) + 1e-8)


def dist(s, t, y, a):
    beta, gamma, tau = a
    ps, pt = soft(s, tau), soft(t, tau)
    return tau ** 2 * (beta * (1 - pearson(ps, pt).mean()) +
                       gamma * (1 - pearson(ps.t(), pt.t()).mean()))


def hard_label(s, t, y, a):
    return F.cross_entropy(s, t.argmax(1))


def binary_cross_entropy(s, t, y, a):
    return F.binary_cross_entropy_with_logits(s, torch.sigmoid(t / a[0]))


def same_size(s, t):
    side = (min(s.shape[2], t.shape[2]), min(s.shape[3], t.shape[3]))
    return F.adaptive_avg_pool2d(s, side), F.adaptive_avg_pool2d(t, side)


def attention(s, t, y, a):
    at = lambda f: F.normalize(f.pow(2).mean(1).view(f.shape[0], -1))
    s, t = same_size(s, t)
    difference = at(s) - at(t)
    return difference.norm(dim=1).mean() if a[0] else difference.pow(2).mean()


def nst(s, t, y, a):
    s, t = same_size(s, t)
    flat = lambda f: F.normalize(f.flatten(2), dim=2)
    kernel = lambda p, q: (p @ q.transpose(1, 2)).pow(2).mean()
    s, t = flat(s), flat(t)
    return kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)


def pyramid(s, t, y, a):
    loss, total, part = F.mse_loss(s, t), 1.0, 1.0
    for side in (4, 2, 1):
        if side < s.shape[2]:
            part /= 2
            loss = loss + part * F.mse_loss(F.adaptive_avg_pool2d(s, (side, side)),
                                            F.adaptive_avg_pool2d(t, (side, side)))
            total += part
    return loss / total


def mean_squared_error(s, t, y, a):
    return F.mse_loss(s, t)


def similarity(s, t, y, a):
    gram = lambda f: F.normalize(f.flatten(1) @ f.flatten(1).t())
    return (gram(t) - gram(s)).pow(2).sum() / s.shape[0] ** 2


def rkd(s, t, y, a):
    def distances(e):
        square = e.pow(2).sum(1)
        d = (square.unsqueeze(0) + square.unsqueeze(1) - 2 * e @ e.t()).clamp(min=1e-12).sqrt()
        d = d * (1 - torch.eye(len(e), dtype=d.dtype))
        return d / d[d > 0].mean()

    def angles(e):
        v = F.normalize(e.unsqueeze(0) - e.unsqueeze(1), dim=2)
        return torch.bmm(v, v.transpose(1, 2))

    s, t = s.flatten(1), t.flatten(1)
    return (a[0] * F.smooth_l1_loss(distances(s), distances(t)) +
            a[1] * F.smooth_l1_loss(angles(s), angles(t)))


def pkt(s, t, y, a):
    def probabilities(f):
        f = f.flatten(1)
        f = f / (f.pow(2).sum(1, keepdim=True).sqrt() + 1e-7)
        p = (f @ f.t() + 1) / 2
        return p / p.sum(1, keepdim=True)

    ps, pt = probabilities(s), probabilities(t)
    return (pt * ((pt + 1e-7) / (ps + 1e-7)).log()).mean()


# loss, parameters, shape of the student's, of the teacher's (rows first, NCHW)
CASES = [
    (kd, (3,), (5, 7), (5, 7)), (kd, (0.5,), (17, 11), (17, 11)),
    (dkd, (1, 8, 4), (5, 7), (5, 7)), (dkd, (0.5, 2, 1.5), (18, 3), (18, 3)),
    (standardized_kd, (2,), (5, 7), (5, 7)), (standardized_kd, (3,), (17, 3), (17, 3)),
    (dist, (1, 1, 4), (5, 7), (5, 7)), (dist, (2, 0.5, 1), (19, 2), (19, 2)),
    (hard_label, (), (5, 7), (5, 7)), (hard_label, (), (18, 2), (18, 2)),
    (binary_cross_entropy, (1,), (5, 7), (5, 7)), (binary_cross_entropy, (3,), (18, 1), (18, 1)),
    (attention, (0,), (3, 4, 6, 5), (3, 6, 3, 5)), (attention, (1,), (3, 4, 5, 5), (3, 2, 7, 8)),
    (attention, (0,), (1, 2, 4, 4), (1, 3, 4, 4)), (attention, (1,), (2, 2, 8, 8), (2, 3, 2, 2)),
    (nst, (), (3, 4, 5, 5), (3, 2, 5, 5)), (nst, (), (2, 3, 7, 4), (2, 5, 3, 4)),
    (pyramid, (), (3, 4, 8, 8), (3, 4, 8, 8)), (pyramid, (), (2, 3, 5, 7), (2, 3, 5, 7)),
    (mean_squared_error, (), (3, 2, 3, 4), (3, 2, 3, 4)),
    (mean_squared_error, (), (18, 5), (18, 5)),
    (similarity, (), (5, 3, 4, 4), (5, 7, 2, 2)), (similarity, (), (19, 70), (19, 5)),
    (rkd, (1, 0), (6, 3), (6, 8)), (rkd, (0, 1), (6, 3), (6, 8)),
    (rkd, (25, 50), (18, 70), (18, 5)),
    (pkt, (), (5, 3), (5, 9)), (pkt, (), (18, 2, 3, 3), (18, 5)),
    (ttm, (4,), (5, 7), (5, 7)), (ttm, (0.5,), (17, 11), (17, 11)),
    (wttm, (4,), (5, 7), (5, 7)), (wttm, (0.5,), (17, 2), (17, 2)),
]


# ---- CRD, as the authors' program, on given banks and negatives -------------------------------

def crd_arrays():
    """Four rows of class 0 and one entry of class 1, so that every negative is that entry."""
    rows, size, negatives, tau, keep = 4, 6, 5, 0.4, 0.3
    n = rows + 1
    unit = lambda x: F.normalize(x, dim=1)
    banks = [unit(torch.randn(n, size)).float().double() for _ in range(2)]  # student, teacher
    x = [torch.randn(rows, size).float().double().requires_grad_(True) for _ in range(2)]
    v = [unit(e) for e in x]
    index = torch.tensor([[b] + [rows] * negatives for b in range(rows)])
    loss, normalizer = 0, []
    for side in range(2):
        out = torch.exp(torch.einsum("bke,be->bk", banks[1 - side][index], v[side]) / tau)
        normalizer.append((out.mean() * n).item())
        p = out / normalizer[-1]
        noise = negatives / n
        loss = loss - (torch.log(p[:, 0] / (p[:, 0] + noise + 1e-7)).sum() +
                       torch.log(noise / (p[:, 1:] + noise + 1e-7)).sum()) / rows
    loss.backward()
    after = []
    for side in range(2):
        bank = banks[side].clone()
        bank[:rows] = unit(keep * bank[:rows] + (1 - keep) * v[side].detach())
        after.append(bank)
    return {"student": x[0], "teacher": x[1], "value": loss, "parameters": [tau, keep, negatives],
            "gradient": x[0].grad, "teacher_gradient": x[1].grad, "bank_student": banks[0],
            "bank_teacher": banks[1], "after_student": after[0], "after_teacher": after[1],
            "normalizer": normalizer}


# ---- ReviewKD's fusion of two layers, with its pyramid loss -----------------------------------

def fusion_arrays():
    """Layers from deep (2x2) to shallow (5x5); gates as one convolution over both, as published."""
    rows, middle = 3, 4
    deep, shallow = torch.randn(rows, 4, 2, 2), torch.randn(rows, 3, 5, 5)
    like = [torch.randn(rows, 5, 2, 2), torch.randn(rows, 2, 5, 5)]
    p = {"review.conv1.weight": (middle, 4, 1, 1), "review.conv2.weight": (5, middle, 3, 3),
         "review2.conv1.weight": (middle, 3, 1, 1), "review2.conv2.weight": (2, middle, 3, 3),
         "gates.weight": (2, 2 * middle, 1, 1), "gates.bias": (2,)}
    p = {k: (torch.randn(s) * 0.5).float().double().requires_grad_(True) for k, s in p.items()}
    inputs = [x.float().double() for x in (deep, shallow, *like)]
    norm = lambda x: F.batch_norm(x, None, None, training=True, eps=1e-5)
    x = norm(F.conv2d(inputs[0], p["review.conv1.weight"]))
    out = norm(F.conv2d(x, p["review.conv2.weight"], padding=1))
    loss = pyramid(out, inputs[2], None, None)
    y = F.interpolate(x, (5, 5), mode="nearest")
    x = norm(F.conv2d(inputs[1], p["review2.conv1.weight"]))
    gates = torch.sigmoid(F.conv2d(torch.cat([x, y], 1), p["gates.weight"], p["gates.bias"]))
    x = x * gates[:, 0:1] + y * gates[:, 1:2]
    out = norm(F.conv2d(x, p["review2.conv2.weight"], padding=1))
    loss = loss + 0.5 * pyramid(out, inputs[3], None, None)
    loss.backward()
    arrays = {"value": loss, "deep": inputs[0], "shallow": inputs[1], "like_deep": inputs[2],
              "like_shallow": inputs[3]}
    for key, value in p.items():
        for name, part in (("", value), (".gradient", value.grad)):
            if key == "gates.weight":  # ours is a convolution over each
                arrays["review2.gates.weight" + name] = part[:, :middle]
                arrays["review2.gates_deeper.weight" + name] = part[:, middle:]
            else:
                arrays[key.replace("gates.b", "review2.gates.b") + name] = part
    return arrays


def ours(key, x):
    """NCHW to NHWC, OIHW to HWIO."""
    x = x.detach().numpy() if isinstance(x, torch.Tensor) else np.array(x)
    if x.ndim == 4:
        x = x.transpose(2, 3, 1, 0) if "weight" in key else x.transpose(0, 2, 3, 1)
    return x


def write(file, group, arrays):
    for key, value in arrays.items():
        kind = np.float64 if key in ("value", "parameters", "normalizer") else np.float32
        file.create_dataset(group + "/" + key, data=np.atleast_1d(ours(key, value)).astype(kind))


def main():
    with h5py.File(os.path.join(HERE, "losses.h5"), "w", track_order=False) as file:
        names = []
        for i, (loss, parameters, student, teacher) in enumerate(CASES):
            s = (2 * torch.randn(student)).float().double().requires_grad_(True)
            t = (2 * torch.randn(teacher)).float().double()
            y = F.one_hot(torch.randint(student[1], (student[0],)), student[1]).double()
            value = loss(s, t, y, parameters)
            value.backward()
            names.append("%02d_%s" % (i, loss.__name__))
            arrays = {"student": s, "teacher": t, "value": value, "gradient": s.grad}
            if len(student) == 2:
                arrays["targets"] = y
            if parameters:
                arrays["parameters"] = parameters
            write(file, names[-1], arrays)
            print("%-24s %.10f" % (names[-1], value.item()))
        write(file, "crd", crd_arrays())
        write(file, "fusion", fusion_arrays())
        file.attrs["cases"] = "\n".join(names)


if __name__ == "__main__":
    main()

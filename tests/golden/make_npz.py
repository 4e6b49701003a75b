#!/usr/bin/env python3
"""NumPy's files for tests/data/test_npz.c, into tests/golden/npz: value k of sample i is
(31 i + 7 k + 5) % 256, its label i % 4. keras.npz is stored, medmnist.npz deflated with labels of one column
and a validation set, whose samples go on counting where the training set ends; keras/ holds .npy."""

import pathlib

import numpy

OUT = pathlib.Path(__file__).resolve().parent / "npz"


def samples(first, count, *shape):
    i, k = numpy.arange(first, first + count)[:, None], numpy.arange(numpy.prod(shape))[None]
    return ((31 * i + 7 * k + 5) % 256).astype(numpy.uint8).reshape(count, *shape), \
        numpy.arange(first, first + count) % 4


def main():
    (OUT / "keras").mkdir(parents=True, exist_ok=True)
    (train, train_labels), (test, test_labels) = samples(0, 11, 5, 6, 3), samples(0, 6, 5, 6, 3)
    numpy.savez(OUT / "keras.npz", x_train=train, y_train=train_labels, x_test=test, y_test=test_labels)
    (train, train_labels), (test, test_labels), (val, val_labels) = \
        samples(0, 11, 9, 7), samples(0, 6, 9, 7), samples(11, 5, 9, 7)
    column = lambda labels: labels[:, None].astype(numpy.uint8)
    numpy.savez_compressed(
        OUT / "medmnist.npz", train_images=train, train_labels=column(train_labels), val_images=val,
        val_labels=column(val_labels), test_images=test, test_labels=column(test_labels))
    for name, (values, labels) in (("train", samples(0, 11, 8)), ("test", samples(0, 6, 8))):
        numpy.save(OUT / "keras" / f"x_{name}.npy", values.astype(numpy.float32) / 2)
        numpy.save(OUT / "keras" / f"y_{name}.npy", labels.astype(numpy.int32))


if __name__ == "__main__":
    main()

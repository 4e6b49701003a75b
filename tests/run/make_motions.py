#!/usr/bin/python3
"""Recordings of an accelerometer as people have them, made up: make_motions.py OUT [COUNT].
OUT/MOTION/NN.csv, COUNT (12) of each of three motions, 200 to 400 rows of x, y, z in g at 50 Hz. The sensor
lies a little tilted each time: rest trembles, shake swings along x, circle along x and y, a quarter of a turn
apart; shake and circle are of the same speeds and strengths."""

import csv
import math
import pathlib
import random
import sys


def tilted(axis, numbers):
    v = [x + numbers.gauss(0, 0.15) for x in axis]
    length = math.sqrt(sum(x * x for x in v))
    return [x / length for x in v]


def recording(motion, numbers):
    down, first, second = (tilted(axis, numbers) for axis in ((0, 0, -1), (1, 0, 0), (0, 1, 0)))
    speed, strength = numbers.uniform(1.0, 3.0), numbers.uniform(0.4, 1.2)
    start = numbers.uniform(0, 2 * math.pi)
    for row in range(numbers.randint(200, 400)):
        angle = start + 2 * math.pi * speed * row / 50
        swing = 0 if motion == "rest" else strength * math.cos(angle)
        turn = strength * math.sin(angle) if motion == "circle" else 0
        yield [f"{d + swing * a + turn * b + numbers.gauss(0, 0.05):.4f}"
               for d, a, b in zip(down, first, second)]


def main():
    out, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 12
    numbers = random.Random(1)
    for motion in ("circle", "rest", "shake"):
        (out / motion).mkdir(parents=True)
        for number in range(count):
            with open(out / motion / f"{number:02d}.csv", "w", newline="") as file:
                csv.writer(file).writerows([["x", "y", "z"], *recording(motion, numbers)])


if __name__ == "__main__":
    main()

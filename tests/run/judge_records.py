#!/usr/bin/env python3
"""Judges the records of a run with Python's own readers of CSV and JSON.

usage: judge_records.py RUN              metrics.csv says what metrics.jsonl says, all of it
       judge_records.py --whole RUN      of a run that was killed: no row of metrics.csv is torn
       judge_records.py RUN STAGE KEY=VALUE ...
                                         results.json has these, KEY as settings.train.epochs
       judge_records.py --sweep RUN      its results are the means over RUN/seed-N, with the errors
                                         that Python's statistics give"""

import csv
import json
import math
import pathlib
import statistics
import sys


def flat(value, prefix=""):
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from flat(inner, f"{prefix}{key}.")
        else:
            yield prefix + key, inner


def check_csv(run, whole_only):
    path = run / "metrics.csv"
    if whole_only and not path.exists():
        return
    text = path.read_bytes()
    assert text.endswith(b"\n"), "the last row is torn"
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, strict=True))
    header, rows = rows[0], rows[1:]
    assert len(set(header)) == len(header), "a column is there twice"
    assert all(len(row) == len(header) for row in rows), "a row has other columns"
    if whole_only:
        return
    lines = [dict(flat(json.loads(line))) for line in (run / "metrics.jsonl").open()]
    assert len(lines) == len(rows), f"{len(lines)} lines, {len(rows)} rows"
    assert set(header) == {key for line in lines for key in line}, "other columns than keys"
    for line, row in zip(lines, rows):
        for name, field in zip(header, row):
            wanted = line.get(name, "")
            got = field if isinstance(wanted, str) else type(wanted)(field)
            assert got == wanted, f"{name}: {field!r} is not {wanted!r}"


def check_results(run, stage, wanted):
    result = json.load(open(run / "results.json"))["stages"][stage]
    for each in wanted:
        key, _, value = each.partition("=")
        got = result
        for part in key.split("."):
            got = got[int(part)] if isinstance(got, list) else got[part]
        want = json.loads(value)
        assert got == want and isinstance(got, type(want)), f"{key} is {got!r}, not {want!r}"


def check_means(merged, runs, where=""):
    """Of all numbers the runs have; how many there were."""
    count = 0
    for key, value in runs[0].items():
        values = [run[key] for run in runs]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            got = merged[key]
            error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
            assert got["values"] == values, f"{where}{key}: {got} of {values}"
            assert math.isclose(got["mean"], statistics.mean(values), rel_tol=1e-8), where + key
            assert error is got["standard_error"] is None or math.isclose(
                got["standard_error"], error, rel_tol=1e-8, abs_tol=1e-12), where + key
            count += 1
        elif isinstance(value, dict) and key != "settings":
            count += check_means(merged[key], values, f"{where}{key}.")
    return count


def check_sweep(run):
    merged = json.load(open(run / "results.json"))
    runs = [json.load(open(run / f"seed-{seed}" / "results.json")) for seed in merged["seeds"]]
    assert [each["stages"]["student"]["settings"]["seed"] for each in runs] == merged["seeds"]
    assert check_means(merged["stages"], [each["stages"] for each in runs]) > 20


def main():
    arguments = sys.argv[1:]
    if arguments[0] == "--sweep":
        check_sweep(pathlib.Path(arguments[1]))
        return
    whole_only = arguments[0] == "--whole"
    run = pathlib.Path(arguments[whole_only])
    if len(arguments) > 2:
        check_results(run, arguments[1], arguments[2:])
    else:
        check_csv(run, whole_only)


main()

"""TensorBoard and Hugging Face's library on what a run wrote for them. Usage: judge_report.py RUN

Every scalar, its step and its time are those of metrics.jsonl; every accuracy of the model card is that
of results.json. A flipped byte of an event file must be noticed, or the judge proves nothing."""

import datetime
import json
import pathlib
import shutil
import struct
import sys
import tempfile

import numpy
from huggingface_hub import ModelCard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    events.Reload()
    return events


def scalars_of(lines):
    """tag -> [(step, seconds, value)] of one stage's lines of metrics.jsonl."""
    wanted = {}
    for line in lines:
        values = {key: line[key] for key in ("loss", "learning_rate", "train_accuracy", "validation_accuracy")}
        for group in ("terms", "gradient_norms"):
            values.update({f"{group}/{name}": value for name, value in line[group].items()})
        for tag, value in values.items():
            wanted.setdefault(tag, []).append((line["step"], line["seconds"], value))
    return wanted


def judge_stage(folder, lines, result, started):
    events = read(folder)
    wanted = scalars_of(lines)
    for arithmetic, key in (("float", "float"), ("integers", "int8")):
        if key in result:
            wanted[f"test_accuracy/{arithmetic}"] = [(lines[-1]["step"], lines[-1]["seconds"],
                                                      result[key]["accuracy"])]
    assert set(events.Tags()["scalars"]) == set(wanted), (folder, events.Tags()["scalars"])
    count = 0
    for tag, points in wanted.items():
        have = events.Scalars(tag)
        assert len(have) == len(points), (folder, tag)
        for event, (step, seconds, value) in zip(have, points):
            assert event.step == step and numpy.float32(event.value) == numpy.float32(value), (folder, tag, event)
            assert abs(event.wall_time - started - seconds) < 1e-3, (folder, tag, event)
            count += 1
    return count, events


def judge_histograms(events, result):
    layers = {layer["layer"]: layer for layer in result["quantization"]["layers"]}
    tags = events.Tags()["histograms"]
    assert {tag.split("/", 1)[1] for tag in tags if tag.startswith("activations/")} == set(layers)
    total = 0
    for tag in tags:
        kind, name = tag.split("/", 1)
        (event,) = events.Histograms(tag)
        h = event.histogram_value
        counts, limits = numpy.array(h.bucket), numpy.array(h.bucket_limit)
        assert counts.sum() == h.num > 0 and (numpy.diff(limits) > 0).all() and len(counts) == len(limits)
        assert limits[0] <= h.min + 1e-9 + (limits[1] - limits[0]) * len(limits) and h.min < h.max <= limits[-1]
        if kind == "weights":
            total += h.num
            assert counts[limits > 128].sum() == 0  # in steps of their channel: 127 is the last code
        else:
            # the share beyond the grid is what the run recorded as clipped
            low = layers[name]["scale"] * (-128.5 - layers[name]["zero_point"])
            high = layers[name]["scale"] * (127.5 - layers[name]["zero_point"])
            slack = 0.01 * layers[name]["scale"]
            outside = counts[(limits <= low + slack) | (limits > high + slack)].sum() / h.num
            assert abs(outside - layers[name]["clipped"]) < 1e-6, (tag, outside, layers[name]["clipped"])
    return len(tags), int(total)


def judge_images(events, run):
    """The last stage has every plot of the report, byte for byte, with its size; and no other has any."""
    plots = {f"plots/{path.stem}": path.read_bytes() for path in (run / "plots").glob("*.png")}
    assert plots and set(events.Tags()["images"]) == set(plots)
    for tag, data in plots.items():
        (image,) = events.Images(tag)
        assert image.encoded_image_string == data and data[:4] == b"\x89PNG", tag
        assert (image.width, image.height) == struct.unpack(">II", data[16:24]), tag
    return len(plots)


def judge_card(run, results):
    card = ModelCard.load(run / "model-card.md")
    wanted = sorted((f"{name}, {'integers' if key == 'int8' else 'float32'}", stage[key]["accuracy"])
                    for name, stage in results["stages"].items() for key in ("float", "int8") if key in stage)
    have = sorted((each.metric_name, each.metric_value) for each in card.data.eval_results)
    assert [name for name, _ in have] == [name for name, _ in wanted], have
    for (_, a), (_, b) in zip(have, wanted):
        assert abs(a - b) < 1e-6
    assert card.data.pipeline_tag == "image-classification" and card.data.library_name == "decant"
    for name in (r"a \| b", r"\*c\*", "&lt;d\\>"):
        assert name in card.text, name
    return len(have)


def main():
    run = pathlib.Path(sys.argv[1])
    results = json.loads((run / "results.json").read_text())
    started = json.loads((run / "env.json").read_text())["started"]
    started = datetime.datetime.fromisoformat(started.replace("Z", "+00:00")).timestamp()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    count = 0
    for name, stage in results["stages"].items():
        if "parameters" not in stage:
            continue
        folder = run / "tensorboard" / name
        seen, events = judge_stage(folder, [each for each in lines if each["stage"] == name], stage, started)
        count += seen
        if "quantization" in stage:
            histograms, weights = judge_histograms(events, stage)
            images = judge_images(events, run)
        else:
            assert not events.Tags()["images"], name
    with tempfile.TemporaryDirectory() as broken:
        shutil.copytree(run / "tensorboard/alone", broken, dirs_exist_ok=True)
        (file,) = pathlib.Path(broken).iterdir()
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(bytes(data))
        try:
            damaged = read(broken)
            whole = read(run / "tensorboard/alone")
            assert damaged.Scalars("loss") != whole.Scalars("loss") or \
                set(damaged.Tags()["scalars"]) != set(whole.Tags()["scalars"]), "a flipped byte is not noticed"
        except AssertionError:
            raise
        except Exception:  # how TensorBoard refuses is its own affair
            pass
    print(f"TensorBoard read {count} scalars, {images} images and {histograms} histograms of {weights} weights; "
          f"Hugging Face's library {judge_card(run, results)} accuracies")


if __name__ == "__main__":
    main()

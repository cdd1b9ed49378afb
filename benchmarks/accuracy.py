"""How good models are on pictures with labels: COCO's AP and AP50, INT8 beside float.

    python benchmarks/accuracy.py PICTURES LABELS MODEL… [--classes] [--json]

    python benchmarks/accuracy.py val2017 instances_val2017.json yolov3-tiny-coco
    python benchmarks/accuracy.py JPEGImages Annotations mine.tflite --only ImageSets/Main/test.txt
    python benchmarks/accuracy.py images labels mine.tflite --float mine.tflite mine-float.tflite

LABELS is COCO's .json, or a folder of Pascal VOC's .xml or of YOLO's .txt files. Models are names
or paths. Beside each stands its float twin: the one that its manifest names, or --float gives.
The protocol is in benchmarks/README.md.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from annotations import TruthSet, canonical_name, read_picture, read_truth
from coco_figures import Figures, evaluate
from tqdm import tqdm

from edge_detect.core import NS_PER_MS, ConfigError, EdgeDetectError
from edge_detect.models import find_model, load_model
from edge_detect.models.tensors import override

SCORE = 0.01
MOST = 100


def main(words: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    options = _parse(words)
    try:
        truth = read_truth(options.pictures, options.labels, names=options.names, only=options.only)
        report = _judge_all(truth, options)
    except EdgeDetectError as error:
        hint = f"\n  hint: {error.hint}" if error.hint else ""
        print(f"{error.message}{hint}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(report, indent=2) if options.json else _table(report, options))
    return 0


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("pictures", type=Path, help="folder of pictures")
    parser.add_argument("labels", type=Path, help=".json file, or folder of .xml or .txt files")
    parser.add_argument("models", nargs="+", metavar="model", help="name or path of a model")
    parser.add_argument(
        "--float",
        nargs=2,
        action="append",
        default=[],
        metavar=("MODEL", "TWIN"),
        help="the same model in floating point, where its manifest names none",
    )
    parser.add_argument("--names", type=Path, help="class names of YOLO's numbers, one a line")
    parser.add_argument("--only", type=Path, help="list of pictures to take, one a line")
    parser.add_argument(
        "--score", type=float, default=SCORE, help="minimum score (default: %(default)s)"
    )
    parser.add_argument(
        "--most",
        type=int,
        default=MOST,
        help="maximum detections per picture (default: %(default)s)",
    )
    parser.add_argument("--accelerator", default="cpu", help="as of `edge-detect run`")
    parser.add_argument("--classes", action="store_true", help="print every class as well")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(words)  # fmt: skip


def _judge_all(truth: TruthSet, options: argparse.Namespace) -> dict[str, Any]:
    twins = dict(options.float)
    if unused := set(twins) - set(options.models):
        raise ConfigError(f"--float names {', '.join(sorted(unused))}, which is no model given")
    models = []
    for name in options.models:
        judged = _judge(truth, name, options)
        twin = twins.get(name) or _twin(name)
        models.append({**judged, "float": _judge(truth, twin, options) if twin else None})
    return {
        "protocol": {
            "score_threshold": options.score,
            "max_detections": options.most,
            "multi_label": True,
            "iou_threshold": "of each manifest",
        },
        "machine": platform.machine(),
        "pictures": len(truth.pictures),
        "objects": truth.counts,
        "remarks": truth.remarks,
        "models": models,
    }


def _twin(name: str) -> str | None:
    """The float twin that a manifest names, as a name or a path; None if it names none."""
    entry = find_model(name)
    if not entry.spec.float_twin:
        return None
    twin = entry.spec.float_twin.removesuffix(".tflite")
    beside = entry.manifest.with_name(f"{twin}.toml")
    return str(beside) if beside.exists() else twin


def _judge(truth: TruthSet, name: str, options: argparse.Namespace) -> dict[str, Any]:
    with load_model(name, accelerator=options.accelerator) as detector:
        thresholds = override(detector.thresholds, options.score, None, options.most, True)
        known = {canonical_name(label) for label in detector.labels}
        if not known & set(truth.counts):
            raise ConfigError(
                f"{detector.name} has none of the classes that occur: {', '.join(truth.counts)}",
                "give labels of the classes that the model was trained for",
            )
        buffer = detector.new_buffer()
        found, invoke_ns = [], []
        for picture in tqdm(truth.pictures, detector.name, leave=False, disable=options.json):
            detector.prepare(read_picture(picture), buffer)
            detections, timings = detector.run(buffer, thresholds)
            found.append(detections)
            invoke_ns.append(timings.invoke_ns)
        figures = evaluate(truth.pictures, found, detector.labels, most=options.most)
        return {
            "model": detector.name,
            "iou_threshold": detector.thresholds.iou,
            "invoke_ms": round(float(np.median(invoke_ns)) / NS_PER_MS, 2),
            **_as_json(figures),
        }


def _as_json(figures: Figures) -> dict[str, Any]:
    return {
        "ap": round(figures.ap, 4),
        "ap50": round(figures.ap50, 4),
        "ap75": round(figures.ap75, 4),
        "recall": round(figures.recall, 4),
        "classes": {
            name: {"ap": round(ap, 4), "ap50": round(ap50, 4), "objects": objects}
            for name, (ap, ap50, objects) in figures.classes.items()
        },
        "unknown": figures.unknown,
    }


def _table(report: dict[str, Any], options: argparse.Namespace) -> str:
    objects = sum(report["objects"].values())
    lines = [
        f"{report['pictures']} pictures, {objects} objects of {len(report['objects'])} classes"
    ]
    lines += [f"note: {remark}" for remark in report["remarks"]]
    for judged in report["models"]:
        if judged["unknown"]:
            known = ", ".join(f"{name} ({count})" for name, count in judged["unknown"].items())
            lines.append(f"note: left out, as {judged['model']} does not have them: {known}")
    lines += [
        "",
        "| model | AP | AP50 | float AP | float AP50 | lost AP50 | invoke, ms |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_row(judged) for judged in report["models"]]
    if options.classes:
        for judged in report["models"]:
            lines += ["", *_class_rows(judged)]
    return "\n".join(lines)


def _row(judged: dict[str, Any]) -> str:
    cells = [judged["model"], f"{judged['ap']:.3f}", f"{judged['ap50']:.3f}"]
    twin = judged["float"]
    if twin:
        lost = twin["ap50"] - judged["ap50"]
        cells += [f"{twin['ap']:.3f}", f"{twin['ap50']:.3f}", f"{lost:+.3f}"]
    else:
        cells += ["-", "-", "-"]
    return f"| {' | '.join(cells)} | {judged['invoke_ms']:.1f} |"


def _class_rows(judged: dict[str, Any]) -> list[str]:
    twin = judged["float"]
    lines = [
        f"| {judged['model']} | objects | AP | AP50 | float AP50 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, each in judged["classes"].items():
        other = f"{twin['classes'][name]['ap50']:.3f}" if twin and name in twin["classes"] else "-"
        lines.append(
            f"| {name} | {each['objects']} | {each['ap']:.3f} | {each['ap50']:.3f} | {other} |"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())

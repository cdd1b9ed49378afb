"""The loop that tutorials teach, beside this project's pipeline, in one run.

    python benchmarks/tutorial_loop.py [--rounds N] [--json]

The peer is one thread that reads, resizes, sets the tensor, invokes, decodes with NumPy,
suppresses with OpenCV and draws. Both use the same model file, runtime, number of threads
and 720p video, and both draw every frame into a picture that nobody keeps. They take turns,
with the bare `invoke()` loop, which nothing can beat, as a third.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from baseline import decode_with_numpy

from edge_detect import Pipeline, load_model
from edge_detect.core import Letterbox, Size, bundled_path
from edge_detect.models import Detector, find_model
from edge_detect.models.runtime import InterpreterSession, open_session
from edge_detect.tools.bench import scaled_clip

MODELS = ("yolov3-tiny-coco", "ssdlite-mobilenet-v2-pedestrian")
FRAMES = 150
WARMUP = 20


def tutorial(detector: Detector, session: InterpreterSession, video: Path) -> Iterator[int]:
    """Yield the number of objects of each frame, for as long as one asks."""
    spec, size = detector.spec, detector.input_size
    keep_aspect = spec.input.resize == "letterbox"
    capture = cv2.VideoCapture(str(video))
    while True:
        there, frame = capture.read()
        if not there:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            continue
        height, width = frame.shape[:2]
        box = Letterbox.fit(Size(width, height), size, keep_aspect=keep_aspect)
        canvas = np.full((size.height, size.width, 3), spec.input.pad, np.uint8)
        canvas[
            box.offset_y : box.offset_y + box.inner.height,
            box.offset_x : box.offset_x + box.inner.width,
        ] = cv2.resize(frame, box.inner)
        pixels = cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB)
        tensor = np.expand_dims(pixels.astype(np.int16) - 128, 0).astype(np.int8)
        session.input_view()[:] = tensor
        session.invoke()
        outputs = {name: view.copy() for name, view in session.output_views().items()}
        boxes, scores, class_ids = decode_with_numpy(
            spec, session.outputs, outputs, box, detector.thresholds
        )
        for edges, score, class_id in zip(boxes, scores, class_ids, strict=True):
            x_min, y_min, x_max, y_max = (int(edge) for edge in edges)
            text = f"{detector.labels[class_id]} {score:.2f}"
            cv2.rectangle(frame, (x_min, y_min), (x_max, y_max), (0, 255, 0), 2)
            cv2.putText(
                frame, text, (x_min, y_min - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 0), 1
            )
        yield len(boxes)


def rate(frames: Iterator[Any]) -> float:
    """Frames per second of an endless iterator, after a warm-up."""
    for _ in range(WARMUP):
        next(frames)
    started = time.perf_counter()
    for _ in range(FRAMES):
        next(frames)
    return FRAMES / (time.perf_counter() - started)


def bare(detector: Detector) -> Iterator[None]:
    """Invoke, and nothing else."""
    while True:
        yield detector.invoke()


def compare(model: str, video: Path, rounds: int) -> dict[str, Any]:
    """Rates of the three, and how they relate."""
    session = open_session(find_model(model).path, threads=1)
    with load_model(model, threads=1) as detector:
        loop, invocations = tutorial(detector, session, video), bare(detector)
        rates: dict[str, list[float]] = {"bare invoke()": [], "tutorial loop": [], "pipeline": []}
        for _ in range(rounds):
            rates["bare invoke()"].append(rate(invocations))
            rates["tutorial loop"].append(rate(loop))
            source = f"file://{video}?loop=true"
            with Pipeline(
                source, model=detector, sinks=["null://?picture=true"], mode="every"
            ) as ours:
                rates["pipeline"].append(rate(iter(ours)))
    session.close()
    medians = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    times = round(medians["pipeline"] / medians["tutorial loop"], 2)
    return {"model": model, "fps": medians, "times the tutorial loop": times}


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    arguments = parser.parse_args()
    video = scaled_clip(min(bundled_path("demo").glob("*.mp4")))
    for model in MODELS:
        result = compare(model, video, arguments.rounds)
        if arguments.json:
            print(json.dumps(result))
            continue
        fps = "  ".join(f"{name} {value} fps" for name, value in result["fps"].items())
        times = result["times the tutorial loop"]
        print(f"{model}: {fps}; the pipeline is {times} times as fast as the loop")


if __name__ == "__main__":
    main()

"""`edge-detect detect`: photos in, one line (or JSON object) each out."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from edge_detect.app.arguments import PIXEL_BOXES, RELATIVE_BOXES
from edge_detect.core import (
    ConfigError,
    Detections,
    EdgeDetectError,
    Image,
    SinkError,
    Size,
    SourceError,
)
from edge_detect.core.serialize import detection_fields
from edge_detect.models import Detector, InputBuffer, load_model
from edge_detect.render import Overlay
from edge_detect.sources.images import list_images, read_image

__all__ = ["detect"]


def detect(arguments: argparse.Namespace) -> int:
    """Detect in every image; one that cannot be read does not stop the others.

    Returns:
        0, or the exit status of the first image that failed.
    """
    if arguments.boxes != PIXEL_BOXES and not arguments.json:
        raise ConfigError(f"--boxes {arguments.boxes} is a form of JSON", "give --json as well")
    items = list(_find_images(arguments.images))
    detector = load_model(
        arguments.model,
        accelerator=arguments.accelerator,
        threads=arguments.threads,
        runtime=arguments.runtime,
        classes=arguments.classes,
        score_threshold=arguments.threshold,
    )
    if detector.reason and not arguments.json:
        # Standard output is for what is found; JSON names the model in each object.
        print(
            f"model {detector.name}: the default, because {detector.reason}; --model takes another",
            file=sys.stderr,
        )
    if detector.inferred:
        told = detector.inferred.summary()
        print(f"model    {detector.title}  {detector.input_size}, {told}", file=sys.stderr)
    if arguments.save:
        _make_folder(arguments.save)
    overlay, buffer = Overlay(detector.labels), detector.new_buffer()
    exit_code = 0
    with detector, tqdm(items, unit="image", disable=None, leave=False) as progress:
        for file, missing in progress:
            try:
                if missing:
                    raise missing
                line = _process(Path(file), detector, buffer, overlay, arguments)
            except EdgeDetectError as error:
                exit_code = exit_code or error.exit_code
                _report_failure(error, file, arguments.json)
            else:
                tqdm.write(line, file=sys.stdout)
    return exit_code


def _find_images(patterns: Sequence[str]) -> Iterator[tuple[str, SourceError | None]]:
    """The files that the arguments stand for, in order, and an error for what stands for none."""
    for pattern in patterns:
        try:
            yield from ((str(path), None) for path in list_images(pattern))
        except SourceError as error:
            yield pattern, error


def _process(
    path: Path,
    detector: Detector,
    buffer: InputBuffer,
    overlay: Overlay,
    options: argparse.Namespace,
) -> str:
    image = read_image(path)
    detector.prepare(image, buffer)
    detections, timings = detector.run(buffer)
    if options.save:
        _save(image, detections, overlay, options.save / f"{path.stem}.jpg")
    if not options.json:
        return _as_text(path, detections, sum(timings.as_ms().values()))
    height, width = image.shape[:2]
    size = Size(width, height)
    line = _as_object(path, size, detector.name, detections, timings.as_ms())
    if options.boxes == RELATIVE_BOXES:
        del line["detections"]
        line |= _as_relative(size, detections)
    return json.dumps(line)


def _as_object(
    path: Path, size: Size, model: str, detections: Detections, timings_ms: dict[str, float]
) -> dict[str, Any]:
    return {
        "file": str(path),
        "width": size.width,
        "height": size.height,
        "model": model,
        "detections": [detection_fields(found, digits=2) for found in detections],
        "timings_ms": {name: round(value, 3) for name, value in timings_ms.items()},
    }


def _as_relative(size: Size, detections: Detections) -> dict[str, Any]:
    """Parallel lists, boxes y first and in parts of the picture, as TF-Hub's modules have them."""
    found = list(detections)
    labels, mids = detections.labels, detections.mids or detections.labels
    return {
        "detection_boxes": [
            [
                round(y_min / size.height, 6),
                round(x_min / size.width, 6),
                round(y_max / size.height, 6),
                round(x_max / size.width, 6),
            ]
            for x_min, y_min, x_max, y_max in (each.box for each in found)
        ],
        "detection_class_entities": [labels[each.class_id] for each in found],
        "detection_class_names": [mids[each.class_id] for each in found],
        "detection_class_labels": [each.class_id for each in found],
        "detection_scores": [round(each.score, 6) for each in found],
    }


def _as_text(path: Path, detections: Detections, elapsed_ms: float) -> str:
    names = ", ".join(f"{found.label} {found.score:.2f}" for found in detections)
    return f"{path}: {names or 'nothing found'}  ({elapsed_ms:.1f} ms)"


def _report_failure(error: EdgeDetectError, file: str, as_json: bool) -> None:  # noqa: FBT001
    if as_json:
        line = {"file": file, "error": error.message, "hint": error.hint}
        tqdm.write(json.dumps(line), file=sys.stdout)
    hint = f" ({error.hint})" if error.hint else ""
    tqdm.write(f"edge-detect: {error.message}{hint}", file=sys.stderr)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot create {folder}: {error.strerror}", "choose another") from error


def _save(image: Image, detections: Detections, overlay: Overlay, path: Path) -> None:
    overlay.draw(image, detections)
    if not cv2.imwrite(str(path), image):
        raise SinkError(f"cannot write {path}", "is the disk full, or the directory read-only?")

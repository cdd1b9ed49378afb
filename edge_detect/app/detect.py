"""`edge-detect detect`: photos in, one line (or JSON object) each out."""

import argparse
import glob
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from edge_detect.core import (
    Detections,
    EdgeDetectError,
    Frame,
    Image,
    Size,
    SinkError,
    SourceError,
    monotonic_ns,
)
from edge_detect.models import Detector, load_model
from edge_detect.pipeline import DEFAULT_MODEL
from edge_detect.render import Overlay
from edge_detect.sources.images import IMAGE_SUFFIXES, read_image

__all__ = ["detect"]


def detect(arguments: argparse.Namespace) -> int:
    """Detect in every image; one that cannot be read does not stop the others.

    Returns:
        0, or the exit status of the first image that failed.
    """
    items = list(_find_images(arguments.images))
    detector = load_model(
        arguments.model or DEFAULT_MODEL,
        threads=arguments.threads,
        runtime=arguments.runtime,
        classes=arguments.classes,
        score_threshold=arguments.threshold,
    )
    if arguments.save:
        _make_folder(arguments.save)
    overlay = Overlay(detector.labels)
    exit_code = 0
    with detector, tqdm(items, unit="image", disable=None, leave=False) as progress:
        for item in progress:
            try:
                if isinstance(item, EdgeDetectError):
                    raise item
                line = _process(item, detector, overlay, arguments)
            except EdgeDetectError as error:
                exit_code = exit_code or error.exit_code
                _report_failure(error, str(getattr(error, "file", item)), arguments.json)
            else:
                tqdm.write(line, file=sys.stdout)
    return exit_code


def _find_images(patterns: Sequence[str]) -> Iterator[Path | SourceError]:
    """The files that the arguments name, in order, and an error for what names none."""
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
            yield from found or [_NoImages(f"no images in directory {pattern}", pattern)]
        elif path.exists() or not glob.has_magic(pattern):
            yield path
        else:
            matches = sorted(Path(match) for match in glob.glob(pattern, recursive=True))
            yield from matches or [_NoImages(f"nothing matches {pattern}", pattern)]


class _NoImages(SourceError):
    """An argument that stands for no image at all."""

    def __init__(self, message: str, file: str) -> None:
        super().__init__(message, f"give files ending in {', '.join(sorted(IMAGE_SUFFIXES))}")
        self.file = file


def _process(path: Path, detector: Detector, overlay: Overlay, options: argparse.Namespace) -> str:
    image = read_image(path)
    buffer = detector.new_buffer()
    detector.prepare(image, buffer)
    detections, timings = detector.run(buffer)
    if options.save:
        _save(image, detections, overlay, options.save / f"{path.stem}.jpg")
    if not options.json:
        return _as_text(path, detections, sum(timings.as_ms().values()))
    size = Frame(image, monotonic_ns(), 0, str(path), 0).size
    return json.dumps(_as_object(path, size, detector.name, detections, timings.as_ms()))


def _as_object(
    path: Path, size: Size, model: str, detections: Detections, timings_ms: dict[str, float]
) -> dict[str, Any]:
    return {
        "file": str(path),
        "width": size.width,
        "height": size.height,
        "model": model,
        "detections": [
            {
                "label": found.label,
                "class_id": found.class_id,
                "score": round(found.score, 4),
                "box": [round(edge, 2) for edge in found.box],
            }
            for found in detections
        ],
        "timings_ms": {name: round(value, 3) for name, value in timings_ms.items()},
    }


def _as_text(path: Path, detections: Detections, elapsed_ms: float) -> str:
    found = ", ".join(f"{name} {score:.2f}" for name, _, score, _ in detections)
    return f"{path}: {found or 'nothing found'}  ({elapsed_ms:.1f} ms)"


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

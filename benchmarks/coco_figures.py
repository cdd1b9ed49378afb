"""COCO's figures for what a detector found, computed by pycocotools."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from annotations import Picture, canonical_name

from edge_detect.core import DependencyError, Detections

__all__ = ["Figures", "evaluate"]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a detector is worth on some pictures.

    Attributes:
        ap: Mean over IoU 0.50 to 0.95 and over the classes that the model has and that occur.
        ap50: The same at IoU 0.50.
        ap75: The same at IoU 0.75.
        recall: Mean recall of the best 100 detections of each picture.
        classes: (AP, AP50, objects) by class.
        unknown: Objects by class that the model does not have: left out of everything above.
        precision: (IoUs, recalls, classes) interpolated precision.
    """

    ap: float
    ap50: float
    ap75: float
    recall: float
    classes: dict[str, tuple[float, float, int]]
    unknown: dict[str, int]
    precision: Any = field(repr=False)


def evaluate(
    pictures: Sequence[Picture],
    found: Sequence[Detections],
    labels: Sequence[str],
    *,
    most: int = 100,
    ious: Sequence[float] | None = None,
    recalls: Sequence[float] | None = None,
) -> Figures:
    """Compare detections with what is there.

    Args:
        pictures: With their true boxes.
        found: Detections in pixels, by picture.
        labels: Of the model, by class id.
        most: Detections of a picture that count, best first.
        ious: Thresholds of overlap, 0.50 to 0.95 in steps of 0.05 by default.
        recalls: Where precision is read, 0 to 1 in steps of 0.01 by default.

    Raises:
        DependencyError: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise DependencyError(
            f"figures need pycocotools: {error}", "pip install 'edge-detect[bench]'"
        ) from error
    known = {canonical_name(label) for label in labels}
    objects = _counts(pictures)
    names = [name for name, count in objects.items() if name in known and count]
    unknown = {name: count for name, count in objects.items() if name not in known}
    rows = _rows(found, labels, names)
    if not names or not len(rows):
        classes = {name: (0.0, 0.0, objects[name]) for name in names}
        return Figures(0.0, 0.0, 0.0, 0.0, classes, unknown, np.zeros((0, 0, 0)))
    # It prints what it is doing.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _dataset(pictures, names)
        truth.createIndex()
        judged = COCOeval(truth, truth.loadRes(rows), "bbox")
        judged.params.maxDets = [1, 10, most]
        if ious is not None:
            judged.params.iouThrs = np.asarray(ious)
        if recalls is not None:
            judged.params.recThrs = np.asarray(recalls)
        judged.evaluate()
        judged.accumulate()
    # Of all areas and of the largest number of detections; -1 where there are no objects.
    precision = judged.eval["precision"][:, :, :, 0, -1]
    thresholds = judged.params.iouThrs
    each = {
        name: (_mean(precision[:, :, k]), _at(precision[:, :, k], thresholds, 0.5), objects[name])
        for k, name in enumerate(names)
    }
    return Figures(
        ap=_mean(precision),
        ap50=_at(precision, thresholds, 0.5),
        ap75=_at(precision, thresholds, 0.75),
        recall=_mean(judged.eval["recall"][:, :, 0, -1]),
        classes=each,
        unknown=unknown,
        precision=precision,
    )


def _counts(pictures: Sequence[Picture]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for picture in pictures:
        for box in picture.boxes:
            counts[box.name] = counts.get(box.name, 0) + (not box.ignored)
    return dict(sorted(counts.items()))


def _dataset(pictures: Sequence[Picture], names: Sequence[str]) -> dict[str, Any]:
    numbers = {name: number for number, name in enumerate(names, 1)}
    boxes = [
        {
            "image_id": image,
            "category_id": numbers[box.name],
            "bbox": list(box.box),
            "area": box.box[2] * box.box[3],
            "iscrowd": int(box.ignored),
        }
        for image, picture in enumerate(pictures, 1)
        for box in picture.boxes
        if box.name in numbers
    ]
    return {
        "info": {},
        "images": [{"id": image} for image in range(1, len(pictures) + 1)],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": [{"id": number, **box} for number, box in enumerate(boxes, 1)],
    }


def _rows(found: Sequence[Detections], labels: Sequence[str], names: Sequence[str]) -> Any:
    """(n, 7) float64: picture, x, y, width, height, score, class; as pycocotools takes it."""
    numbers = {name: number for number, name in enumerate(names, 1)}
    classes = np.array([numbers.get(canonical_name(label), 0) for label in labels])
    parts = [np.zeros((0, 7))]
    for image, detections in enumerate(found, 1):
        boxes = detections.boxes.astype(np.float64)
        rows = np.empty((len(boxes), 7))
        rows[:, 0] = image
        rows[:, 1:3] = boxes[:, :2]
        rows[:, 3:5] = boxes[:, 2:] - boxes[:, :2]
        rows[:, 5] = detections.scores
        rows[:, 6] = classes[detections.class_ids]
        parts.append(rows[rows[:, 6] > 0])
    return np.concatenate(parts)


def _mean(values: Any) -> float:
    there = values[values > -1]
    return float(there.mean()) if there.size else 0.0


def _at(precision: Any, thresholds: Any, iou: float) -> float:
    chosen = np.isclose(thresholds, iou)
    return _mean(precision[chosen]) if chosen.any() else float("nan")

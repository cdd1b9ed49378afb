"""How alike two detectors judge the same pictures: what quantization costs, in boxes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Image
from edge_detect.models.detector import Detector

__all__ = ["Agreement", "compare", "pair_detections"]


@dataclass(frozen=True)
class Agreement:
    """What a candidate finds of what a reference finds.

    Attributes:
        recall: Share of the reference's detections that have a partner: same class, enough
            overlap, each partner used once.
        precision: Share of the candidate's detections that have one.
        mean_iou: Over the pairs.
        mean_score_difference: Over the pairs, absolute.
        n_reference: Detections of the reference.
        n_candidate: Detections of the candidate.
    """

    recall: float
    precision: float
    mean_iou: float
    mean_score_difference: float
    n_reference: int
    n_candidate: int


def compare(
    reference: Detector,
    candidate: Detector,
    images: Iterable[Image],
    *,
    score: float = 0.3,
    iou: float = 0.5,
) -> Agreement:
    """Run two detectors over the same images and count what they agree on.

    Args:
        reference: Usually the float model.
        candidate: Usually the quantized one.
        images: (height, width, 3) uint8, B, G, R.
        score: Least score of the detections of both.
        iou: Least overlap of a pair.
    """
    n_reference = n_candidate = 0
    overlaps: list[float] = []
    differences: list[float] = []
    for image in images:
        wanted = reference(image, score_threshold=score)
        found = candidate(image, score_threshold=score)
        n_reference += len(wanted)
        n_candidate += len(found)
        for row, column, overlap in pair_detections(wanted, found, iou=iou):
            overlaps.append(overlap)
            differences.append(abs(float(wanted.scores[row]) - float(found.scores[column])))
    pairs = len(overlaps)
    return Agreement(
        recall=pairs / n_reference if n_reference else 1.0,
        precision=pairs / n_candidate if n_candidate else 1.0,
        mean_iou=float(np.mean(overlaps)) if pairs else 0.0,
        mean_score_difference=float(np.mean(differences)) if pairs else 0.0,
        n_reference=n_reference,
        n_candidate=n_candidate,
    )


def pair_detections(
    reference: Detections, candidate: Detections, *, iou: float
) -> list[tuple[int, int, float]]:
    """Pair detections of one image, best overlap first, each at most once.

    Args:
        reference: Of one detector.
        candidate: Of the other, in the same image.
        iou: Least overlap of a pair.

    Returns:
        Index in the reference, index in the candidate, and overlap of each pair.
    """
    overlaps = _overlaps(reference.boxes, candidate.boxes)
    overlaps[reference.class_ids[:, None] != candidate.class_ids[None, :]] = 0
    pairs = []
    while overlaps.size and overlaps.max() >= iou:
        row, column = np.unravel_index(int(np.argmax(overlaps)), overlaps.shape)
        pairs.append((int(row), int(column), float(overlaps[row, column])))
        overlaps[row, :] = 0
        overlaps[:, column] = 0
    return pairs


def _overlaps(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - common
    return np.asarray(common / np.maximum(union, 1e-9), np.float32)

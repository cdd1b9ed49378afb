"""Uncertain choices, tried on photos: which of them finds most, and finds it again in a mirror.

The score of a combination is the mean over the photos of the sum, over all detections from 0.25,
of the detection's score times the overlap (IoU) with a detection of the same class in the mirrored
photo; classes without a meaning count 0. Wrong channels or scales lower the scores, a wrong
order or unit of the box values puts boxes where the mirrored photo has none.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, EdgeDetectError, Image, Size
from edge_detect.models.catalogue import CatalogueEntry
from edge_detect.models.infer.inference import Finding, Inference, with_values
from edge_detect.models.spec import ModelSpec

__all__ = ["Attempt", "Trial", "detection_score", "try_choices"]

Find = Callable[[Image], Detections]
# So much better must a combination be than what the rules chose, to replace it: with a few
# photos, and with one or two, which tell little.
_CLEAR_LEAD = 0.1
_CLEAR_LEAD_OF_FEW = 0.5
_FEW = 3
_LEAST_SCORE = 0.25
_MOST = 100
_MOST_COMBINATIONS = 48
_IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
_RANGES: tuple[tuple[str, Any, Any], ...] = (
    ("0 to 1", 0.0, 255.0),
    ("-1 to 1", 127.5, 127.5),
    ("0 to 255", 0.0, 1.0),
    ("ImageNet", *_IMAGENET),
)


@dataclass(slots=True, frozen=True)
class Attempt:
    """One combination.

    Attributes:
        values: By key of the manifest.
        words: By key, for people.
        score: See the module.
        detections: How many were found in all photos.
        ruled: Whether the rules chose it.
    """

    values: dict[str, Any]
    words: dict[str, str]
    score: float
    detections: int
    ruled: bool


@dataclass(slots=True, frozen=True)
class Trial:
    """All combinations.

    Attributes:
        attempts: Best first.
        inference: With the best combination, where it is clearly better.
        lead: By which part the best is better than what the rules chose or, where it is that,
            than the next one.
        needed: The lead from which the best replaces what the rules chose.
        changed: Whether it does.
        photos: How many were tried.
    """

    attempts: tuple[Attempt, ...]
    inference: Inference
    lead: float
    needed: float
    changed: bool
    photos: int


def try_choices(
    entry: CatalogueEntry,
    photos: Sequence[Image],
    open_detector: Callable[[CatalogueEntry], Any],
) -> Trial:
    """Try what is uncertain about a model on photos.

    Args:
        entry: With `inferred`.
        photos: (height, width, 3) uint8, B, G, R, with objects that the model knows.
        open_detector: Loads a model, as a context manager that gives something to call.

    Raises:
        EdgeDetectError: The model cannot be loaded at all.
    """
    inferred = entry.inferred
    assert inferred is not None
    attempts = []
    for number, choice in enumerate(_combinations(inferred)):
        values = {key: value for key, (_, value) in choice.items()}
        words = {key: word for key, (word, _) in choice.items() if word}
        spec = with_values(inferred.spec, values)
        try:
            with open_detector(replace(entry, spec=spec, inferred=None)) as detector:
                score, count = _score_all(_finder(detector), photos)
        except EdgeDetectError:
            if number == 0:
                raise
            continue
        attempts.append(Attempt(values, words, score, count, ruled=number == 0))
    ruled = attempts[0]
    ranked = sorted(attempts, key=lambda each: (-round(each.score, 9), _changes(each, ruled)))
    best = ranked[0]
    other = ruled if best is not ruled else ranked[min(1, len(ranked) - 1)]
    lead = best.score / other.score - 1 if other.score > 0 else float(best.score > 0)
    needed = _CLEAR_LEAD if len(photos) >= _FEW else _CLEAR_LEAD_OF_FEW
    changed = best is not ruled and lead >= needed
    concluded = _conclude(inferred, best, ruled, changed=changed)
    return Trial(tuple(ranked), concluded, lead, needed, changed, len(photos))


def _changes(attempt: Attempt, ruled: Attempt) -> int:
    """How many values are not those that the rules chose."""
    return sum(value != ruled.values[key] for key, value in attempt.values.items())


def _finder(detector: Any) -> Find:
    return lambda photo: detector(photo, score_threshold=_LEAST_SCORE, max_detections=_MOST)


def _combinations(inferred: Inference) -> Iterator[dict[str, tuple[str, Any]]]:
    """Words and values by key; what the rules chose comes first."""
    axes = [axis for axis in _axes(inferred) if len(axis) > 1]
    while axes and np.prod([len(axis) for axis in axes]) > _MOST_COMBINATIONS:
        axes.pop()
    for parts in product(*axes):
        yield {key: value for part in parts for key, value in part.items()}


def _axes(inferred: Inference) -> Iterator[list[dict[str, tuple[str, Any]]]]:
    """What may vary, the most important first; each begins with what the rules chose."""
    spec = inferred.spec
    family = spec.family
    open_keys = {each.key for each in inferred.guesses}
    if "input.mean" in open_keys:
        yield _range_axis(spec)
    if "input.color" in open_keys and spec.input.color != "grey":
        yield _axis("input.color", spec.input.color, ("rgb", "bgr"))
    if "input.encoding" in open_keys:
        yield _axis("input.encoding", spec.input.encoding, ("pixels", "normalized"))
    section = getattr(spec, family)
    choices = {
        "layout": ("columns", "rows"),
        "unit": ("pixels", "relative"),
        "box": ("cxcywh", "xyxy", "yxyx"),
        "scores": ("probability", "sigmoid", "softmax"),
        "label_offset": (0, 1),
        "coding": ("exponential", "squared"),
    }
    for key, values in choices.items():
        # A linear coding has no anchors, which the others need.
        if f"{family}.{key}" in open_keys and getattr(section, key) != "linear":
            yield _axis(f"{family}.{key}", getattr(section, key), values)
    if "input.resize" in open_keys:
        yield _axis("input.resize", spec.input.resize, ("letterbox", "stretch"))


def _axis(key: str, chosen: Any, values: Sequence[Any]) -> list[dict[str, tuple[str, Any]]]:
    ordered = [chosen, *(value for value in values if value != chosen)]
    return [{key: (f"{key.rpartition('.')[2]} {value}", value)} for value in ordered]


def _range_axis(spec: ModelSpec) -> list[dict[str, tuple[str, Any]]]:
    mean, std = spec.input.mean, spec.input.std
    chosen = (_plain(mean), _plain(std))
    named = {(_key(low), _key(high)): word for word, low, high in _RANGES}
    first = (named.get((_key(chosen[0]), _key(chosen[1])), "as chosen"), *chosen)
    others = [
        each
        for each in _RANGES
        if (_key(each[1]), _key(each[2])) != (_key(first[1]), _key(first[2]))
    ]
    if spec.input.color == "grey":
        others = [each for each in others if not isinstance(each[1], list)]
    return [
        {"input.mean": (word, low), "input.std": ("", high)} for word, low, high in (first, *others)
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _key(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _score_all(find: Find, photos: Sequence[Image]) -> tuple[float, int]:
    total, count = 0.0, 0
    for photo in photos:
        found = find(photo)
        mirrored = find(np.ascontiguousarray(photo[:, ::-1]))
        height, width = photo.shape[:2]
        total += detection_score(found, mirrored, Size(width, height))
        count += len(found)
    return total / max(1, len(photos)), count


def detection_score(found: Detections, mirrored: Detections, size: Size) -> float:
    """How much of what is found in a photo is found in its mirror image again.

    Args:
        found: In the photo.
        mirrored: In the photo with left and right exchanged.
        size: Of the photo.

    Returns:
        Sum of score times IoU with the best detection of the same class; classes called `n/a`
        count 0.
    """
    if not len(found) or not len(mirrored):
        return 0.0
    back = mirrored.boxes[:, [2, 1, 0, 3]].copy()
    back[:, [0, 2]] = size.width - back[:, [0, 2]]
    overlap = _iou(found.boxes, back)
    overlap[found.class_ids[:, None] != mirrored.class_ids[None, :]] = 0
    means = np.array([label != "n/a" for label in found.labels], np.float64)
    weights = found.scores * means[found.class_ids]
    return float((weights * overlap.max(axis=1)).sum())


def _iou(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, m) overlaps of (n, 4) and (m, 4) corners; 0 for boxes without an area."""
    a, b = one[:, None].astype(np.float64), other[None].astype(np.float64)
    shared = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inner = shared.clip(0).prod(axis=-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(axis=-1) for each in (a, b)]
    whole = areas[0] + areas[1] - inner
    out: NDArray[np.float64] = np.zeros_like(inner)
    np.divide(inner, whole, out=out, where=whole > 0)
    return out


def _conclude(inferred: Inference, best: Attempt, ruled: Attempt, *, changed: bool) -> Inference:
    """The inference with what the photos told."""
    if not changed:
        return inferred
    spec = with_values(inferred.spec, best.values)
    why = f"photos: {best.score:.3g} against {ruled.score:.3g}"
    findings = [
        Finding(key, value, "probe", certain=True, why=why, shown=best.words.get(key, ""))
        for key, value in best.values.items()
        if value != ruled.values[key]
    ]
    return inferred.with_findings(spec, findings)

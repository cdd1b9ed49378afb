"""Manifests, random outputs and slow decoding of models that decode their own boxes."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from edge_detect.models.sections.decoded import DecodedSpec
from edge_detect.models.tensors import TensorInfo

from . import references

SIZE = 64
TYPES = ("int8", "uint8", "float32")


@dataclass
class Outputs:
    """What a model puts out, and what the file says about it."""

    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    infos: dict[str, TensorInfo] = field(default_factory=dict)

    def add(self, name, values, dtype, scale=0.0, zero_point=0):
        """Quantize real values into an output; returns what is left of them."""
        if np.dtype(dtype).kind == "f":
            elements, scale, zero_point = values.astype(dtype), 0.0, 0
        else:
            limits = np.iinfo(dtype)
            elements = np.clip(np.round(values / scale) + zero_point, limits.min, limits.max)
        elements = np.ascontiguousarray(elements.astype(dtype))
        self.tensors[name] = elements
        self.infos[name] = TensorInfo(name, 0, elements.shape, np.dtype(dtype), scale, zero_point)
        if np.dtype(dtype).kind == "f":
            return elements.astype(np.float64)
        return references.real(elements, scale, zero_point)


def quantization(dtype, low, high):
    """Scale and zero point for numbers from low to high."""
    if np.dtype(dtype).kind == "f":
        return 0.0, 0
    limits = np.iinfo(dtype)
    scale = float(np.float32((high - low) / (int(limits.max) - int(limits.min))))
    return scale, int(np.clip(np.round(limits.min - low / scale), limits.min, limits.max))


def manifest(labels, nms=(), **section):
    """A manifest of the family with a section."""
    return references.manifest(
        "decoded", "raw", labels, SIZE, decoded=DecodedSpec(**section), nms=dict(nms)
    )


def corners(values, box, unit):
    """Corners in input pixels of (n, 4) box values."""
    a, b, c, d = values.T * (SIZE if unit == "relative" else 1)
    if box == "cxcywh":
        found = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    elif box == "xywh":
        found = a, b, a + c, b + d
    else:
        found = (b, a, d, c) if box == "yxyx" else (a, b, c, d)
    return np.stack(found, 1)


def chances(values, kind):
    """Scores of (n, columns) real values, float32."""
    if kind == "softmax":
        shares = np.exp(values - values.max(1, keepdims=True))
        return (shares / shares.sum(1, keepdims=True)).astype(np.float32)
    return references.score(values, kind)


def candidates(boxes, ranks, scores, threshold, *, multi_label):
    """(score, class number, corners) of each candidate, in order of box and class.

    Args:
        boxes: (n, 4) corners in the frame.
        ranks: (n, columns) real values among which the greatest wins.
        scores: (n, columns) float32.
        threshold: Least score.
        multi_label: Whether a box may have several classes.
    """
    found = []
    for box, row, chance in zip(boxes, ranks, scores, strict=True):
        columns = range(len(row)) if multi_label else [int(np.argmax(row))]
        found += [(float(chance[c]), c, box) for c in columns if chance[c] >= np.float32(threshold)]
    return [item for item in found if item[2][2] > item[2][0] and item[2][3] > item[2][1]]


def tiny_boxes(boxes):
    """How many candidates the report of tiny boxes names: all with an area, or none.

    Args:
        boxes: (n, 4) corners in input pixels, said to be in pixels, of all candidates.
    """
    if boxes.max(initial=0) > 2:
        return 0
    return sum(
        x_max > max(x_min, 0) and y_max > max(y_min, 0) for x_min, y_min, x_max, y_max in boxes
    )


@st.composite
def box_values(draw, count, box, unit):
    """(count, 4) box values of boxes within the input, none of them empty."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    low = random.uniform(0.05, 0.5, (count, 2))
    size = random.uniform(0.1, 0.45, (count, 2))
    forms = {
        "cxcywh": (low + size / 2, size),
        "xywh": (low, size),
        "xyxy": (low, low + size),
        "yxyx": (low[:, ::-1], (low + size)[:, ::-1]),
    }
    return np.hstack(forms[box]) * (SIZE if unit == "pixels" else 1)


@st.composite
def score_values(draw, count, columns, kind):
    """(count, columns) probabilities or logits, many of them equal, most of them low."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = random.integers(0, 64, (count, columns)) / 64
    values *= random.uniform(0, 1, (count, columns)) < draw(st.sampled_from([0.02, 0.3, 1.0]))
    return values if kind == "probability" else 8 * values - 5


def thresholds():
    """Any threshold, the ends, and scores that elements really have."""
    return st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, 0.25, 0.001, 1e-12]))


def check(found, wanted, tolerance=1e-3):
    """Compare detections with candidates; the best first, the first of equals first."""
    wanted = sorted(wanted, key=lambda item: -item[0])
    assert found.scores.tolist() == [score for score, _, _ in wanted]
    assert found.class_ids.tolist() == [class_id for _, class_id, _ in wanted]
    boxes = np.array([box for _, _, box in wanted]).reshape(-1, 4)
    np.testing.assert_allclose(found.boxes, boxes, atol=tolerance)


def check_unordered(found, wanted, tolerance=2e-2):
    """Compare detections with candidates one to one, where scores may differ in the last bit.

    Equal scores then come in any order, and no rounding of their boxes sorts both sides alike:
    each detection takes the nearest candidate of its class and score that is left.
    """
    scores = np.array([score for score, _, _ in wanted])
    class_ids = np.array([class_id for _, class_id, _ in wanted])
    boxes = np.array([box for _, _, box in wanted]).reshape(-1, 4)
    assert len(found) == len(wanted)
    left = np.ones(len(wanted), np.bool_)
    for score, class_id, box in zip(found.scores, found.class_ids, found.boxes, strict=True):
        alike = left & (class_ids == class_id) & (np.abs(scores - score) <= 2e-5)
        distances = np.where(alike, np.abs(boxes - box).max(axis=1), np.inf)
        nearest = int(np.argmin(distances))
        assert distances[nearest] <= tolerance, (score, class_id, box)
        left[nearest] = False

"""Slow and obvious decoding of YOLO grids, from the formulas of the papers."""

from dataclasses import dataclass

import numpy as np

from edge_detect.models.sections.yolo import YoloHead, YoloSpec
from edge_detect.models.tensors import TensorInfo
from support import references

SIZE = 64
ANCHORS = ((20, 30), (48, 16), (9, 11))


def sigmoid(values):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-values))


@dataclass
class Candidate:
    """What one anchor may be: its box in input pixels, and a score."""

    score: float
    class_id: int
    box: tuple[float, float, float, float]


def box_of(values, row, column, anchor, stride, *, coding, activated, scale_x_y):
    """Edges in input pixels of one anchor's t_x, t_y, t_w, t_h."""
    t_x, t_y, t_w, t_h = values
    if coding == "linear":
        x, y = column + t_x, row + t_y
    else:
        if not activated:
            t_x, t_y = sigmoid(t_x), sigmoid(t_y)
        x = column + scale_x_y * t_x - (scale_x_y - 1) / 2
        y = row + scale_x_y * t_y - (scale_x_y - 1) / 2
    if coding == "squared":
        if not activated:
            t_w, t_h = sigmoid(t_w), sigmoid(t_h)
        w, h = (2 * t_w) ** 2 * anchor[0], (2 * t_h) ** 2 * anchor[1]
    else:
        w, h = np.exp(t_w) * anchor[0], np.exp(t_h) * anchor[1]
    x, y = x * stride, y * stride
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def chances_of(values, *, classes, activated):
    """Class probabilities, float32."""
    if classes == "none":
        return np.ones(1, np.float32)
    if classes == "softmax" and not activated:
        shares = np.exp(values - values.max())
        return (shares / shares.sum()).astype(np.float32)
    return references.score(values, "probability" if activated else "sigmoid")


def candidates_of(tensor, anchors, stride, spec, *, threshold, multi_label):
    """Everything that one grid shows.

    Args:
        tensor: (rows, columns, anchors, 5 + classes), real numbers.
        anchors: Width and height in input pixels.
        stride: Input pixels per cell.
        spec: `coding`, `activated`, `classes` and `scale_x_y`.
        threshold: Least score.
        multi_label: Whether an anchor may give several classes.
    """
    found = []
    how = {key: spec[key] for key in ("coding", "activated", "scale_x_y")}
    for row, column, number in np.ndindex(tensor.shape[:3]):
        values = tensor[row, column, number]
        kind = "probability" if spec["activated"] else "sigmoid"
        objectness = references.score(values[4], kind)
        chances = chances_of(values[5:], classes=spec["classes"], activated=spec["activated"])
        if multi_label or spec["classes"] == "none":
            chosen = range(len(chances))
        else:
            chosen = [int(np.argmax(values[5:]))]
        box = box_of(values[:4], row, column, anchors[number], stride, **how)
        for class_id in chosen:
            score = objectness * chances[class_id]
            if score >= np.float32(threshold):
                found.append(Candidate(float(score), class_id, box))
    return found


def manifest(labels, split, strides=(32, 16), *, shared=False, scale_x_y=None, **section):
    """A YOLO of 64 x 64 pixels; with `shared`, all grids lie in the same tensors."""
    names = ("boxes", "objectness", "classes") if split else ("joined",)
    heads = [
        YoloHead(
            stride=stride,
            anchors=ANCHORS[: 3 if number == 0 else 2] if section["coding"] != "linear" else [],
            scale_x_y=scale_x_y,
            outputs={name: f"{name}{0 if shared else number}" for name in names},
        )
        for number, stride in enumerate(strides)
    ]
    spec = YoloSpec(heads=heads, **section)
    head = "split" if split else "raw"
    return references.manifest("yolo", head, labels, SIZE, yolo=spec)


def order(grid, layout):
    """One grid, (rows, columns, anchors, values), as it lies in a tensor, (1, …)."""
    if layout == "anchors":
        return np.ascontiguousarray(grid.transpose(2, 0, 1, 3))[np.newaxis]
    return grid.reshape(1, *grid.shape[:2], -1)


def info_of(name, tensor, scale=0.0, zero_point=0):
    """What a model file says about a tensor."""
    return TensorInfo(name, 0, tensor.shape, tensor.dtype, scale, zero_point)

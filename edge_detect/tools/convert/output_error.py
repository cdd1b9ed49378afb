"""How far a quantized network is from its float twin, in scores and in overlap of boxes.

Tensors are compared as what becomes of them: logits after the sigmoid, boxes by their IoU,
each box weighted by how sure the float network is that there is something.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.interpreter import open_interpreter
from edge_detect.tools.convert.output_heads import OutputHead

__all__ = ["Decoded", "decode_head", "decode_outputs", "output_error", "raw_rows", "read_outputs"]

_Floats = NDArray[np.float32]
# Box and score tensors of one picture: (n, 4), centre and size in any unit, and (n, classes).
Decoded = list[tuple[_Floats, _Floats]]
_TINY = 1e-12
_BOX = 4


def decode_outputs(
    content: bytes, inputs: Sequence[NDArray[Any]], heads: Sequence[OutputHead]
) -> list[Decoded]:
    """Run a network, as fast as it goes, and decode what it says to each picture.

    Args:
        content: A TFLite file, float32 or int8, whose outputs bear their names.
        inputs: (1, height, width, channels) each, of the type that the network takes.
        heads: Its outputs.
    """
    interpreter = open_interpreter(content, keep=False)
    decoded = []
    for pixels in inputs:
        reals = read_outputs(interpreter, pixels)
        decoded.append([decode_head(reals, head) for head in heads])
    return decoded


def read_outputs(interpreter: Any, pixels: NDArray[Any]) -> dict[str, _Floats]:
    """Run a network; what its outputs stand for, by name."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    reals = {}
    for detail in interpreter.get_output_details():
        values = interpreter.get_tensor(detail["index"]).astype(np.float32)
        scale, zero = detail["quantization"]
        reals[detail["name"]] = np.asarray((values - zero) * scale if scale else values, np.float32)
    return reals


def output_error(reference: Sequence[Decoded], candidate: Sequence[Decoded]) -> float:
    """How much two networks differ: 0 for not at all, about 1 for having nothing in common.

    The error of the scores is relative to their root mean square; that of the boxes is one
    less the IoU, weighted by the square of the reference's score.
    """
    lost = scored = overlap_lost = weights = 0.0
    for wanted_heads, found_heads in zip(reference, candidate, strict=True):
        for (boxes, scores), (other, others) in zip(wanted_heads, found_heads, strict=True):
            lost += float(((scores - others) ** 2).sum(dtype=np.float64))
            scored += float((scores**2).sum(dtype=np.float64))
            weight = scores.max(axis=1).astype(np.float64) ** 2
            overlap_lost += float((weight * (1 - _iou(boxes, other))).sum())
            weights += float(weight.sum())
    return float(np.sqrt(lost / max(scored, _TINY))) + overlap_lost / max(weights, _TINY)


def decode_head(reals: Mapping[str, _Floats], head: OutputHead) -> tuple[_Floats, _Floats]:
    """Boxes and scores of one head.

    Args:
        reals: Real values of the outputs, by name.
        head: What they mean.

    Returns:
        (n, 4) centre and size, relative to the cell or anchor where they are raw; (n, classes).
    """
    if head.kind == "decoded":
        return _decoded(reals, head)
    if head.kind == "distances":
        boxes = _from_distances(reals[head.boxes].reshape(-1, 4, head.bins))
    else:
        boxes = _from_raw(raw_rows(reals, head)[:, :4], head)
    rows = len(boxes)
    return boxes, _scores([reals[name].reshape(rows, -1) for name in head.scores], head)


def raw_rows(reals: Mapping[str, _Floats], head: OutputHead) -> _Floats:
    """The raw box values, (anchors, 4); more columns where key points follow."""
    values = reals[head.boxes]
    # Rows of their own, as 1 x anchors x 16; otherwise anchors lie side by side in a cell.
    rows = head.wide and values.ndim == 3 and values.shape[-1] >= _BOX
    return values.reshape(-1, values.shape[-1] if rows else _BOX)


def _from_raw(raw: _Floats, head: OutputHead) -> _Floats:
    # Cells outside, anchors inside: factors per anchor repeat cell by cell.
    centre = np.tile(head.centre, (len(raw) // (head.centre.size // 2), 1))
    places, sizes = raw[:, :2], raw[:, 2:]
    if head.kind in ("exponential", "squared") and not head.activated:
        places = _logistic(places)
    if head.kind == "squared":
        grown = 4 * (sizes if head.activated else _logistic(sizes)) ** 2
    elif head.kind == "sizes":
        grown = np.maximum(sizes * head.size, 0)
    else:
        grown = np.exp(np.clip(sizes * head.size, -20, 20))
    return np.concatenate([places * centre, grown], axis=1)


def _from_distances(raw: _Floats) -> _Floats:
    """Of (n, 4, bins) logits of the distances to the left, top, right and bottom side."""
    far = raw[..., 0] if raw.shape[2] == 1 else _shares(raw) @ np.arange(raw.shape[2])
    centre, size = (far[:, 2:] - far[:, :2]) / 2, far[:, :2] + far[:, 2:]
    return np.concatenate([centre, size], axis=1).astype(np.float32)


def _decoded(reals: Mapping[str, _Floats], head: OutputHead) -> tuple[_Floats, _Floats]:
    spec = head.decoded
    assert spec is not None

    def rows_of(name: str) -> _Floats:
        values = reals[name]
        rows = values.reshape(values.shape[-2:])
        return rows.T if spec.layout == "columns" else rows

    rows = rows_of(head.boxes)
    parts = [rows_of(name) for name in head.scores]
    if not parts:
        first = 4 + spec.objectness
        parts = [rows[:, 4:5]] if spec.objectness else []
        parts.append(rows[:, first:])
    # Background and "no object" are no scores, but a softmax needs them.
    scores = _scores(parts, head)
    return _centred(rows[:, :4], spec.box), scores[:, spec.first : scores.shape[1] - spec.last]


def _centred(boxes: _Floats, order: str) -> _Floats:
    """Boxes of any order as centre and size; which axis comes first does not matter."""
    if order == "cxcywh":
        return boxes
    first, second = boxes[:, :2], boxes[:, 2:]
    size = second if order == "xywh" else second - first
    return np.concatenate([first + size / 2, size], axis=1)


def _scores(parts: Sequence[_Floats], head: OutputHead) -> _Floats:
    product = np.ones((len(parts[0]), 1), np.float32)
    for number, values in enumerate(parts, 1):
        if head.activated:
            chances = values
        elif head.softmax and number == len(parts):
            chances = _shares(values)
        else:
            chances = _logistic(values)
        product = np.asarray(product * chances, np.float32)
    return product


def _logistic(values: _Floats) -> _Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -80, 80))), np.float32)


def _shares(values: _Floats) -> _Floats:
    grown = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True), np.float32)


def _iou(boxes: _Floats, others: _Floats) -> _Floats:
    """IoU row by row of centre-size boxes."""
    low = np.maximum(boxes[:, :2] - boxes[:, 2:] / 2, others[:, :2] - others[:, 2:] / 2)
    high = np.minimum(boxes[:, :2] + boxes[:, 2:] / 2, others[:, :2] + others[:, 2:] / 2)
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    union = np.prod(boxes[:, 2:], axis=1) + np.prod(others[:, 2:], axis=1) - shared
    return np.asarray(shared / np.maximum(union, _TINY), np.float32)

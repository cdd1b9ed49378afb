"""How far a quantized network is from its float twin, in scores and in overlap of boxes.

Tensors are compared as what becomes of them: logits after the sigmoid, boxes by their IoU,
each box weighted by how sure the float network is that there is something.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_detect.models.sections.yolo import YoloSpec
from edge_detect.tools.convert.interpreter import open_interpreter

__all__ = ["Decoded", "OutputHead", "decode_outputs", "output_error", "output_heads"]

_Floats = NDArray[np.float32]
# Box and score tensors of one picture: (n, 4) in units of the anchor, and (n, classes).
Decoded = list[tuple[_Floats, _Floats]]


@dataclass(frozen=True)
class OutputHead:
    """The outputs of one grid, and what they mean.

    Attributes:
        boxes: Name of the box output, four values an anchor.
        scores: Names of the outputs whose probabilities make the score when multiplied.
        centre: Factors that take both centre values to units of the anchor's size, of shape
            (2,) or (anchors, 2).
        size: Factors that both size values have before the exponential.
        kind: Coding of the boxes; see `YoloSpec`. Those of an SSD are `linear`.
        activated: Whether the graph has applied the logistic function, or the softmax, already.
        softmax: Whether the last scores are shares of one.
    """

    boxes: str
    scores: tuple[str, ...]
    centre: _Floats
    size: float
    kind: str
    activated: bool = False
    softmax: bool = False


def output_heads(manifest: dict[str, Any]) -> list[OutputHead]:
    """What the outputs of a network mean, from its manifest."""
    if manifest["family"] == "ssd":
        ssd = manifest["ssd"]
        scales = ssd["box_scales"]
        centre = np.array([1 / scales[0], 1 / scales[1]], np.float32)
        names = ssd["outputs"]
        return [OutputHead(names["boxes"], (names["scores"],), centre, 1 / scales[2], "linear")]
    yolo = YoloSpec.model_validate(manifest["yolo"])
    scores: tuple[Literal["objectness", "classes"], ...] = ("objectness", "classes")
    if yolo.classes == "none":
        scores = ("objectness",)
    return [
        OutputHead(
            head.outputs["boxes"],
            tuple(head.outputs[key] for key in scores),
            head.stride * yolo.stretch(head) / np.array(yolo.anchors(head), np.float32),
            1.0,
            yolo.coding,
            activated=yolo.activated,
            softmax=yolo.classes == "softmax",
        )
        for head in yolo.heads
    ]


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
    place = interpreter.get_input_details()[0]["index"]
    details = {one["name"]: one for one in interpreter.get_output_details()}
    decoded = []
    for pixels in inputs:
        interpreter.set_tensor(place, pixels)
        interpreter.invoke()
        reals = {name: _read(interpreter, detail) for name, detail in details.items()}
        decoded.append([_decode(reals, head) for head in heads])
    return decoded


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
    return float(np.sqrt(lost / scored)) + overlap_lost / weights


def _read(interpreter: Any, detail: dict[str, Any]) -> _Floats:
    values = interpreter.get_tensor(detail["index"]).astype(np.float32)
    scale, zero = detail["quantization"]
    return np.asarray((values - zero) * scale if scale else values, np.float32)


def _decode(reals: dict[str, _Floats], head: OutputHead) -> tuple[_Floats, _Floats]:
    raw = reals[head.boxes].reshape(-1, 4)
    # Cells outside, anchors inside: factors per anchor repeat cell by cell.
    centre = np.tile(head.centre, (len(raw) // (head.centre.size // 2), 1))
    places, sizes = raw[:, :2], raw[:, 2:]
    if head.kind != "linear" and not head.activated:
        places = _logistic(places)
    if head.kind == "squared":
        grown = 4 * (sizes if head.activated else _logistic(sizes)) ** 2
    else:
        grown = np.exp(np.clip(sizes * head.size, -20, 20))
    scores = np.ones((len(raw), 1), np.float32)
    for name in head.scores:
        values = reals[name].reshape(len(raw), -1)
        if head.softmax and name == head.scores[-1] and not head.activated:
            shares = np.exp(values - values.max(axis=1, keepdims=True))
            scores = scores * shares / shares.sum(axis=1, keepdims=True)
        else:
            scores = scores * (values if head.activated else _logistic(values))
    return np.concatenate([places * centre, grown], axis=1), scores


def _logistic(values: _Floats) -> _Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -80, 80))), np.float32)


def _iou(boxes: _Floats, others: _Floats) -> _Floats:
    """IoU row by row of centre-size boxes."""
    low = np.maximum(boxes[:, :2] - boxes[:, 2:] / 2, others[:, :2] - others[:, 2:] / 2)
    high = np.minimum(boxes[:, :2] + boxes[:, 2:] / 2, others[:, :2] + others[:, 2:] / 2)
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    union = np.prod(boxes[:, 2:], axis=1) + np.prod(others[:, 2:], axis=1) - shared
    return np.asarray(shared / np.maximum(union, 1e-12), np.float32)

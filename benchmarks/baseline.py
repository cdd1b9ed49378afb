"""What people do today: dequantize everything, decode with NumPy, suppress with OpenCV."""

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Letterbox
from edge_detect.models import find_model
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.constants import read_constant
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tensors import TensorInfo, Thresholds

__all__ = ["decode_with_numpy"]

Floats = NDArray[np.float32]
Tensors = Mapping[str, NDArray[Any]]
Infos = Mapping[str, TensorInfo]


def decode_with_numpy(
    spec: ModelSpec, infos: Infos, outputs: Tensors, letterbox: Letterbox, thresholds: Thresholds
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Decode one inference the usual way.

    Args:
        spec: The manifest: a split YOLO, a raw SSD with one head, a model that decodes its own
            boxes, or one with distances as distributions.
        infos: What the model file says about its outputs.
        outputs: The output tensors.
        letterbox: How the frame lay in the model's input.
        thresholds: What is reported.

    Returns:
        (n, 4) boxes in frame pixels, (n,) scores, (n,) class ids; best first.
    """
    if spec.decoded is not None and spec.decoded.classes == "index":
        return _numbered(spec, infos, outputs, letterbox, thresholds)
    readers = {"yolo": _yolo, "ssd": _ssd, "decoded": _decoded, "dfl": _dfl}
    centre_size, scores = readers[spec.family](spec, infos, outputs)
    class_ids = scores.argmax(1)
    best = scores[np.arange(len(scores)), class_ids]
    chosen = best >= thresholds.score
    centre_size, best, class_ids = centre_size[chosen], best[chosen], class_ids[chosen]
    corner_size = centre_size.copy()
    corner_size[:, :2] -= centre_size[:, 2:] / 2
    if spec.nms.method == "none":
        kept = np.argsort(-best)[: thresholds.max_detections]
    else:
        chosen = cv2.dnn.NMSBoxesBatched(
            corner_size.tolist(), best.tolist(), class_ids.tolist(), thresholds.score,
            thresholds.iou,
        )  # fmt: skip
        kept = np.array(chosen, np.intp).reshape(-1)[: thresholds.max_detections]
    boxes = corner_size[kept]
    boxes[:, 2:] += boxes[:, :2]
    return _to_frame(boxes, letterbox), best[kept], class_ids[kept]


def _to_frame(boxes: Floats, letterbox: Letterbox) -> Floats:
    boxes -= [letterbox.offset_x, letterbox.offset_y] * 2
    boxes /= [letterbox.scale_x, letterbox.scale_y] * 2
    return boxes.clip(0, list(letterbox.frame) * 2)


def _numbered(
    spec: ModelSpec, infos: Infos, outputs: Tensors, letterbox: Letterbox, thresholds: Thresholds
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Rows of corners in pixels, score and class number."""
    rows = _real(infos, outputs, spec.decoded.outputs["joined"]) if spec.decoded else np.empty(0)
    rows = rows[rows[:, 4] >= thresholds.score]
    rows = rows[np.argsort(-rows[:, 4])][: thresholds.max_detections]
    return _to_frame(rows[:, :4].copy(), letterbox), rows[:, 4], rows[:, 5].astype(np.intp)


def _decoded(spec: ModelSpec, infos: Infos, outputs: Tensors) -> tuple[Floats, Floats]:
    """Boxes as centre and size, and scores."""
    section = spec.decoded
    if section is None:
        raise ValueError(f"{spec.name} must decode its own boxes")
    if "joined" in section.outputs:
        values = _real(infos, outputs, section.outputs["joined"])
        values = values.T if section.layout == "columns" else values
        boxes, scores = values[:, :4], values[:, 4 + section.objectness :]
        if section.objectness:
            scores = scores * values[:, 4:5]
    else:
        boxes = _real(infos, outputs, section.outputs["boxes"])
        scores = _real(infos, outputs, section.outputs["scores"])
    if section.scores == "sigmoid":
        scores = _sigmoid(scores)
    if section.unit == "relative":
        boxes = boxes * np.array(spec.input.size * 2, np.float32)
    return boxes, scores


def _dfl(spec: ModelSpec, infos: Infos, outputs: Tensors) -> tuple[Floats, Floats]:
    """Grids with sides and classes, joined in either order."""
    section, boxes, scores = spec.dfl, [], []
    if section is None:
        raise ValueError(f"{spec.name} must have distances as distributions")
    sides = 4 * section.bins
    for level in section.levels:
        values = _real(infos, outputs, level.outputs["joined"])
        values = values.reshape(-1, values.shape[-1])
        cut = sides if section.joined == "boxes-classes" else values.shape[1] - sides
        parts = values[:, :cut], values[:, cut:]
        logits, classes = parts if section.joined == "boxes-classes" else parts[::-1]
        shares = np.exp(logits.reshape(-1, 4, section.bins))
        shares /= shares.sum(2, keepdims=True)
        distances = (shares @ np.arange(section.bins, dtype=np.float32)) * level.stride
        side = math.ceil(spec.input.size[0] / level.stride)
        y, x = np.mgrid[:side, :side].reshape(2, -1)
        begin = (np.stack([x, y], 1) + section.centre) * level.stride
        low, high = begin - distances[:, :2], begin + distances[:, 2:]
        boxes.append(np.hstack([(low + high) / 2, high - low]))
        scores.append(_sigmoid(classes))
    return np.concatenate(boxes).astype(np.float32), np.concatenate(scores)


def _real(infos: Infos, outputs: Tensors, name: str) -> Floats:
    info = infos[name]
    values = outputs[name][0].astype(np.float32)
    return (values - info.zero_point) * np.float32(info.scale) if info.scale else values


def _sigmoid(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-values))


def _yolo(spec: ModelSpec, infos: Infos, outputs: Tensors) -> tuple[Floats, Floats]:
    boxes, scores = [], []
    for head in spec.yolo.heads if spec.yolo else ():
        names = head.outputs
        objectness = _sigmoid(_real(infos, outputs, names["objectness"]))
        rows, columns, anchors = objectness.shape
        raw = _real(infos, outputs, names["boxes"]).reshape(rows, columns, anchors, 4)
        classes = _real(infos, outputs, names["classes"]).reshape(rows, columns, anchors, -1)
        cell = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1)[:, :, None]
        centre = (_sigmoid(raw[..., :2]) + cell) * head.stride
        size = np.exp(raw[..., 2:]) * np.array(head.anchors, np.float32)
        boxes.append(np.concatenate([centre, size], -1).reshape(-1, 4))
        score = objectness[..., None] * _sigmoid(classes)
        scores.append(score.reshape(len(boxes[-1]), -1))
    return np.concatenate(boxes).astype(np.float32), np.concatenate(scores)


def _softmax(values: Floats) -> Floats:
    shares = np.exp(values - values.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


_SCORES = {"sigmoid": _sigmoid, "softmax": _softmax, "probability": lambda values: values}

# The tutorials compute the anchors once, too.
_anchors: dict[str, Floats] = {}


def _ssd(spec: ModelSpec, infos: Infos, outputs: Tensors) -> tuple[Floats, Floats]:
    ssd = spec.ssd
    if ssd is None or ssd.anchors is None:
        raise ValueError(f"{spec.name} must be a YOLO or an SSD with anchors")
    if spec.name not in _anchors:
        _anchors[spec.name] = anchor_boxes(
            ssd.anchors,
            spec.input.frame_size,
            # Looked for only if the anchors stand in a file: not all models here are from one.
            lambda name: read_constant(find_model(spec.name).path, name),
        )
    y, x, h, w = _anchors[spec.name].T
    raw = _real(infos, outputs, ssd.names_of("boxes")[0]).reshape(-1, 4)
    raw = raw / np.array(ssd.box_scales, np.float32)
    centre_size = np.stack(
        [raw[:, 1] * w + x, raw[:, 0] * h + y, np.exp(raw[:, 3]) * w, np.exp(raw[:, 2]) * h], 1
    )
    scores = _real(infos, outputs, ssd.names_of("scores")[0]).reshape(len(raw), -1)
    first, last = ssd.objects_of(scores.shape[1])
    return centre_size, _SCORES[ssd.scores](scores)[:, first:last]

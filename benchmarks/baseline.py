"""What people do today: dequantize everything, decode with NumPy, suppress with OpenCV."""

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
        spec: The manifest: a split YOLO, or a raw SSD with one head.
        infos: What the model file says about its outputs.
        outputs: The output tensors.
        letterbox: How the frame lay in the model's input.
        thresholds: What is reported.

    Returns:
        (n, 4) boxes in frame pixels, (n,) scores, (n,) class ids; best first.
    """
    centre_size, scores = (_yolo if spec.yolo else _ssd)(spec, infos, outputs)
    class_ids = scores.argmax(1)
    best = scores[np.arange(len(scores)), class_ids]
    chosen = best >= thresholds.score
    centre_size, best, class_ids = centre_size[chosen], best[chosen], class_ids[chosen]
    corner_size = centre_size.copy()
    corner_size[:, :2] -= centre_size[:, 2:] / 2
    kept = cv2.dnn.NMSBoxesBatched(
        corner_size.tolist(), best.tolist(), class_ids.tolist(), thresholds.score, thresholds.iou
    )
    kept = np.array(kept, np.intp).reshape(-1)[: thresholds.max_detections]
    boxes = corner_size[kept]
    boxes[:, 2:] += boxes[:, :2]
    boxes -= [letterbox.offset_x, letterbox.offset_y] * 2
    boxes /= [letterbox.scale_x, letterbox.scale_y] * 2
    boxes = boxes.clip(0, list(letterbox.frame) * 2)
    return boxes, best[kept], class_ids[kept]


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

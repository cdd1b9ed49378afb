"""Slow and obvious counterparts of the kernels."""

import math

import numpy as np

from edge_detect.core import Letterbox, Size
from edge_detect.models.sections.anchors import BoxAnchors
from edge_detect.models.sections.ssd import SsdSpec
from edge_detect.models.sections.yolo import YoloHead, YoloSpec
from edge_detect.models.spec import InputSpec, ModelSpec, NmsSpec, Origin


def real(elements, scale, zero_point):
    """Dequantize: float32(element - zero_point) * float32(scale)."""
    if elements.dtype == np.float32:
        return elements.astype(np.float64)
    shifted = (elements.astype(np.int64) - zero_point).astype(np.float32)
    return (shifted * np.float32(scale)).astype(np.float64)


def score(values, kind):
    """Score of each real value, float32."""
    with np.errstate(over="ignore"):
        result = 1 / (1 + np.exp(-values)) if kind == "sigmoid" else np.clip(values, 0, 1)
    return result.astype(np.float32)


def iou(a, b):
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union


def distance_iou(a, b):
    """IoU less the squared distance of the centres over the squared diagonal around both."""
    apart = math.dist(
        ((a[0] + a[2]) / 2, (a[1] + a[3]) / 2), ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2)
    )
    around = math.hypot(max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1]))
    return iou(a, b) - apart**2 / around**2


def greedy(boxes, scores, classes, threshold, limit, overlap, *, agnostic):
    """Indices of the boxes that greedy suppression keeps, best first."""
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        rivals = [k for k in kept if agnostic or classes[k] == classes[i]]
        if len(kept) < limit and all(overlap(boxes[i], boxes[k]) <= threshold for k in rivals):
            kept.append(i)
    return kept


def soft(boxes, scores, classes, least, limit, *, agnostic):
    """Indices and lowered scores that soft-NMS keeps, best first, eagerly computed."""
    scores = [float(score) for score in scores]
    left, kept = list(range(len(scores))), []
    while left and len(kept) < limit:
        best = min(left, key=lambda i: (-scores[i], i))
        if scores[best] < least:
            break
        left.remove(best)
        kept.append((best, scores[best]))
        for i in left:
            if agnostic or classes[i] == classes[best]:
                scores[i] *= math.exp(-(iou(boxes[i], boxes[best]) ** 2) / 0.5)
    return kept


def to_frame(boxes, letterbox):
    """Map (n, 4) boxes from input to frame pixels and clip them."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    offset = np.tile([letterbox.offset_x, letterbox.offset_y], 2)
    scale = np.tile([letterbox.scale_x, letterbox.scale_y], 2)
    return np.clip((boxes - offset) / scale, 0, np.tile(letterbox.frame, 2))


def plain(size):
    """A letterbox that changes nothing."""
    return Letterbox.fit(Size(size, size), Size(size, size), keep_aspect=True)


def decode(decoder, tensors, letterbox, thresholds):
    """Decode with no other tensors than those that the decoder names: engines copy no others."""
    return decoder.decode({name: tensors[name] for name in decoder.reads}, letterbox, thresholds)


def manifest(family, head, labels, size, **sections):
    """A small manifest."""
    return ModelSpec(
        name="small",
        description="A model for a test",
        family=family,
        head=head,
        file="small.tflite",
        sha256="0" * 64,
        labels=[f"label {i}" for i in range(labels)],
        input=InputSpec(size=(size, size), resize="letterbox"),
        nms=NmsSpec(**({"iou_threshold": 0.5, "score_threshold": 0.3} | sections.pop("nms", {}))),
        origin=Origin(licence="none"),
        **sections,
    )


def ssd_manifest(labels=1, size=64, nms=(), **ssd):
    """An SSD with 12 + 6 anchors."""
    anchors = BoxAnchors(
        feature_maps=[(2, 2), (1, 1)],
        min_scale=0.3,
        max_scale=0.8,
        aspect_ratios=[1, 2, 0.5, 3, 0.3333],
    )
    given = {"outputs": {"boxes": "boxes", "scores": "scores"}, "anchors": anchors} | ssd
    section = SsdSpec(**given)
    return manifest("ssd", "raw", labels, size, ssd=section, nms=dict(nms))


def yolo_manifest(labels=3, *, joined=False, new_coords=False, scale_x_y=1.0, nms=()):
    """A YOLO with grids of 2 x 2 and 4 x 4 cells and 2 anchors."""
    heads = []
    for number, stride in enumerate((32, 16)):
        names = ("joined",) if joined else ("boxes", "objectness", "classes")
        heads.append(
            YoloHead(
                stride=stride,
                anchors=[(stride, 2 * stride), (1.5 * stride, stride)],
                scale_x_y=scale_x_y,
                outputs={name: f"{name}{number}" for name in names},
            )
        )
    section = YoloSpec(heads=heads, new_coords=new_coords)
    return manifest("yolo", "raw" if joined else "split", labels, 64, yolo=section, nms=dict(nms))

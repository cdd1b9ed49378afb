"""Add `TFLite_Detection_PostProcess` to a raw SSD: decoding and NMS inside the graph."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.flatbuffer import Graph

__all__ = ["add_postprocess", "postprocess_manifest"]

_MAX_DETECTIONS = 100
# Evaluation asks for low scores; what is lower still costs the operator time for nothing.
_LEAST_SCORE = 0.01


def add_postprocess(
    content: bytes,
    anchors: NDArray[np.float32],
    *,
    classes: int,
    box_scales: tuple[float, float, float, float],
    iou: float,
) -> bytes:
    """Let a raw SSD with sigmoid logits, quantized, give detections itself.

    Boxes and logits are dequantized first, and the sigmoid is taken in float: scores keep
    the resolution of the logits.

    Args:
        content: A quantized file with outputs `boxes` and `scores`, no background.
        anchors: (n, 4) float32, centre y and x, height, width, relative to the input.
        classes: Number of classes.
        box_scales: Divisors of t_y, t_x, t_h, t_w.
        iou: Overlap above which the lesser of two boxes goes.

    Returns:
        The file with float outputs `boxes`, `classes`, `scores`, `count`.
    """
    graph = Graph(content)
    boxes, logits = (int(index) for index in graph.subgraph.outputs)
    graph.tensors[boxes].name, graph.tensors[logits].name = b"raw/boxes", b"raw/logits"
    count = len(anchors)
    real_boxes = graph.add_tensor("raw/real_boxes", [1, count, 4])
    real_logits = graph.add_tensor("raw/real_logits", [1, count, classes])
    scores = graph.add_tensor("raw/scores", [1, count, classes])
    # Version 2 is the first that takes int8.
    graph.add_operator("DEQUANTIZE", [boxes], [real_boxes], version=2)
    graph.add_operator("DEQUANTIZE", [logits], [real_logits], version=2)
    graph.add_operator("LOGISTIC", [real_logits], [scores])
    anchor_tensor = graph.add_tensor("anchors", [count, 4], anchors.astype(np.float32))
    shapes = {
        "boxes": [1, _MAX_DETECTIONS, 4],
        "classes": [1, _MAX_DETECTIONS],
        "scores": [1, _MAX_DETECTIONS],
        "count": [1],
    }
    outputs = {name: graph.add_tensor(name, shape) for name, shape in shapes.items()}
    graph.add_operator(
        "TFLite_Detection_PostProcess",
        [real_boxes, scores, anchor_tensor],
        list(outputs.values()),
        custom_options=_options(classes, box_scales, iou),
    )
    graph.set_outputs(outputs)
    return graph.to_bytes()


def _options(classes: int, scales: tuple[float, float, float, float], iou: float) -> bytes:
    from flatbuffers import flexbuffers

    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Int("max_detections", _MAX_DETECTIONS)
        builder.Int("max_classes_per_detection", 1)
        builder.Int("num_classes", classes)
        builder.Float("nms_score_threshold", _LEAST_SCORE)
        builder.Float("nms_iou_threshold", iou)
        for key, scale in zip(("y_scale", "x_scale", "h_scale", "w_scale"), scales, strict=True):
            builder.Float(key, scale)
        builder.Bool("use_regular_nms", False)
    return bytes(builder.Finish())


def postprocess_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a raw SSD, changed for the file that `add_postprocess` makes."""
    names = ("boxes", "classes", "scores", "count")
    ssd = {
        "outputs": {name: name for name in names},
        "box_scales": manifest["ssd"]["box_scales"],
    }
    return {**manifest, "head": "postprocess", "ssd": ssd}

"""Collecting candidates from one grid of a YOLO, version 3 or 4."""

import math

import numpy as np

from edge_detect.kernels.candidates import MULTI_LABEL, SCORE, append
from edge_detect.kernels.quantize import BLOCK, any_reaches, score_of
from edge_detect.kernels.registry import TENSOR_TYPES, helper, kernel

__all__ = [
    "ANCHORS",
    "BOX_START",
    "BOX_STEP",
    "CELLS",
    "CLASSES",
    "CLASS_START",
    "CLASS_STEP",
    "COLUMNS",
    "KIND",
    "LAYOUT_LENGTH",
    "NEW_COORDS",
    "OBJECT_START",
    "OBJECT_STEP",
    "SHIFT",
    "collect_grid",
]

# Places in the (LAYOUT_LENGTH,) int64 array that describes the grid. Tensors are flat; the
# values of anchor number i start at `START + i * STEP`.
CELLS = 0
COLUMNS = 1
ANCHORS = 2
CLASSES = 3
BOX_START = 4
BOX_STEP = 5
OBJECT_START = 6
OBJECT_STEP = 7
CLASS_START = 8
CLASS_STEP = 9
SHIFT = 10
KIND = 11
NEW_COORDS = 12
LAYOUT_LENGTH = 13


@helper
def _centre(element, row, table, layout, stretch):
    """Place of a box's centre within its cell: 0 is the cell's left or top edge, 1 the other."""
    if table.size:
        return np.float64(table[row, np.int64(element) + layout[SHIFT]])
    value = np.float64(element)
    if not layout[NEW_COORDS]:
        value = 1.0 / (1.0 + math.exp(-value))
    return value * stretch - 0.5 * (stretch - 1.0)


@helper
def _growth(element, row, table, layout):
    """Size of a box relative to its anchor."""
    if table.size:
        return np.float64(table[row, np.int64(element) + layout[SHIFT]])
    value = np.float64(element)
    if layout[NEW_COORDS]:
        return 4.0 * value * value
    return math.exp(value)


@helper
def _append_classes(tensors, number, table, anchors, scales, layout, settings, boxes, notes, count):
    """Append the candidates of one anchor that may hold an object.

    Reference:
        Redmon & Farhadi, "YOLOv3: An Incremental Improvement", 2018, sec. 2.1 (boxes) and
        2.2 (independent classes); Darknet's yolo_layer.c for scale_x_y and new_coords.
    """
    corner, objectness, classes = tensors
    shift, kind, total = layout[SHIFT], layout[KIND], layout[CLASSES]
    presence = score_of(
        objectness[layout[OBJECT_START] + number * layout[OBJECT_STEP]], 0, table, shift, kind
    )
    threshold = np.float32(settings[SCORE])
    if not presence >= threshold:
        return count
    cell, anchor = number // layout[ANCHORS], number % layout[ANCHORS]
    at = layout[BOX_START] + number * layout[BOX_STEP]
    stride, stretch = scales[0], scales[1]
    x = (_centre(corner[at], 2, table, layout, stretch) + cell % layout[COLUMNS]) * stride
    y = (_centre(corner[at + 1], 3, table, layout, stretch) + cell // layout[COLUMNS]) * stride
    half_w = 0.5 * anchors[anchor, 0] * _growth(corner[at + 2], 4, table, layout)
    half_h = 0.5 * anchors[anchor, 1] * _growth(corner[at + 3], 5, table, layout)
    start = layout[CLASS_START] + number * layout[CLASS_STEP]
    first, last = 0, total
    if settings[MULTI_LABEL] == 0.0:
        for other in range(1, total):
            # The second half steps off a NaN.
            if classes[start + other] > classes[start + first] or (
                classes[start + first] != classes[start + first]
            ):
                first = other
        last = first + 1
    for class_id in range(first, last):
        score = presence * score_of(classes[start + class_id], 1, table, shift, kind)
        if score >= threshold:
            count = append(
                boxes, notes, count, x - half_w, y - half_h, x + half_w, y + half_h, score,
                class_id, settings,
            )  # fmt: skip
    return count


@kernel(
    "int64({T}[::1], {T}[::1], {T}[::1], {T}[::1], float32[:, ::1], float32[:, ::1],"
    " float64[::1], int64[::1], float64[::1], float32[:, ::1], int32[:, ::1], int64)",
    *TENSOR_TYPES,
)
def collect_grid(
    corner, objectness, classes, limit, table, anchors, scales, layout, settings, boxes, notes,
    count,
):  # fmt: skip
    """Collect the candidates of one grid; only the objectness is searched.

    A score is the product of objectness and class probability, so it never exceeds the
    objectness, also after rounding.

    Args:
        corner: t_x, t_y, t_w, t_h of each anchor; the whole tensor for joined heads.
        objectness: One element per anchor.
        classes: One element per class and anchor.
        limit: (1,) least objectness element that can reach the score threshold.
        table: (6, 256) float32: objectness, class, x, y within the cell, width, height
            relative to the anchor; empty for float32 tensors.
        anchors: (anchors, 2) float32, width and height in input pixels.
        scales: (2,) float64, input pixels per cell and scale_x_y.
        layout: See the constants of this module.
        settings: See `candidates`.
        boxes: Candidates, appended to.
        notes: Candidates' class ids.
        count: Number of candidates so far.

    Returns:
        Number of candidates.
    """
    total, low = layout[CELLS] * layout[ANCHORS], limit[0]
    first, step = layout[OBJECT_START], layout[OBJECT_STEP]
    tensors = (corner, objectness, classes)
    for start in range(0, total, BLOCK):
        stop = start + BLOCK
        if stop > total:
            stop = total
        elif step == 1 and not any_reaches(objectness, first + start, low):
            continue
        for number in range(start, stop):
            if objectness[first + number * step] >= low:
                count = _append_classes(
                    tensors, number, table, anchors, scales, layout, settings, boxes, notes, count
                )
    return count

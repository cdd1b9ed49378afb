"""Collecting candidates from one grid with anchors."""

import math

import numpy as np

from edge_detect.kernels.candidates import MULTI_LABEL, NOT_A_SCORE, SCORE, append, hold_score
from edge_detect.kernels.quantize import BLOCK, LOGIT, any_reaches, score_of, share_of
from edge_detect.kernels.registry import TENSOR_TYPES, helper, kernel

__all__ = [
    "ANCHORS",
    "ANCHORS_FIRST",
    "BOX_START",
    "BOX_STEP",
    "CELLS",
    "CLASSES",
    "CLASS_RULE",
    "CLASS_START",
    "CLASS_STEP",
    "CODING",
    "COLUMNS",
    "EXPONENTIAL",
    "INDEPENDENT",
    "KIND",
    "LAYOUT_LENGTH",
    "LINEAR",
    "OBJECTNESS_ALONE",
    "OBJECT_START",
    "OBJECT_STEP",
    "SHARED",
    "SHIFT",
    "SQUARED",
    "collect_grid",
]

# Places in the (LAYOUT_LENGTH,) int64 array that describes the grid. Tensors are flat; the
# values of anchor number i start at `START + i * STEP`. Numbers count the anchors of a cell
# first, or with ANCHORS_FIRST the cells of an anchor.
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
CODING = 12
CLASS_RULE = 13
ANCHORS_FIRST = 14
LAYOUT_LENGTH = 15

# Values of layout[CODING]; see `models.sections.yolo`.
EXPONENTIAL = 0
SQUARED = 1
LINEAR = 2

# Values of layout[CLASS_RULE]: class scores are independent of each other, or shares of one
# (softmax), or there are none.
INDEPENDENT = 0
SHARED = 1
OBJECTNESS_ALONE = 2


@helper
def _logistic(value):
    return 1.0 / (1.0 + math.exp(-value))


@helper
def _centre(element, row, table, layout, stretch):
    """Place of a box's centre within its cell: 0 is the cell's left or top edge, 1 the other."""
    if table.size:
        return np.float64(table[row, np.int64(element) + layout[SHIFT]])
    value = np.float64(element)
    if layout[CODING] == LINEAR:
        return value
    if layout[KIND] == LOGIT:
        value = _logistic(value)
    return value * stretch - 0.5 * (stretch - 1.0)


@helper
def _growth(element, row, table, layout):
    """Size of a box relative to its anchor."""
    if table.size:
        return np.float64(table[row, np.int64(element) + layout[SHIFT]])
    value = np.float64(element)
    if layout[CODING] != SQUARED:
        return math.exp(value)
    if layout[KIND] == LOGIT:
        value = _logistic(value)
    return 4.0 * value * value


@helper
def _place(number, corner, table, anchors, scales, layout):
    """Edges of the box of one anchor, in input pixels."""
    if layout[ANCHORS_FIRST]:
        anchor, cell = number // layout[CELLS], number % layout[CELLS]
    else:
        cell, anchor = number // layout[ANCHORS], number % layout[ANCHORS]
    at = layout[BOX_START] + number * layout[BOX_STEP]
    stride, stretch = scales[0], scales[1]
    x = (_centre(corner[at], 2, table, layout, stretch) + cell % layout[COLUMNS]) * stride
    y = (_centre(corner[at + 1], 3, table, layout, stretch) + cell // layout[COLUMNS]) * stride
    half_w = 0.5 * anchors[anchor, 0] * _growth(corner[at + 2], 4, table, layout)
    half_h = 0.5 * anchors[anchor, 1] * _growth(corner[at + 3], 5, table, layout)
    return x - half_w, y - half_h, x + half_w, y + half_h


@helper
def _chance(element, row, table, layout, settings):
    """The score behind one element, float32; above 1 it counts as a fault."""
    if layout[KIND] == LOGIT:
        return score_of(element, row, table, layout[SHIFT], LOGIT)
    value = table[row, np.int64(element) + layout[SHIFT]] if table.size else np.float32(element)
    return value if np.isnan(value) else hold_score(value, settings)


@helper
def _best_class(classes, start, total):
    """Place of the greatest of `total` elements, the first of equals; NaN only if all are."""
    best = 0
    for other in range(1, total):
        # The second half steps off a NaN.
        if classes[start + other] > classes[start + best] or (
            classes[start + best] != classes[start + best]
        ):
            best = other
    return best


@helper
def _append_classes(tensors, number, table, anchors, scales, layout, settings, boxes, notes, count):
    """Append the candidates of one anchor that may hold an object."""
    corner, objectness, classes = tensors
    rule = layout[CLASS_RULE]
    presence = _chance(
        objectness[layout[OBJECT_START] + number * layout[OBJECT_STEP]], 0, table, layout, settings
    )
    threshold = np.float32(settings[SCORE])
    if not presence >= threshold:
        if np.isnan(presence):
            settings[NOT_A_SCORE] += 1.0
        return count
    left, top, right, bottom = _place(number, corner, table, anchors, scales, layout)
    if rule == OBJECTNESS_ALONE:
        return append(boxes, notes, count, left, top, right, bottom, presence, 0, settings)
    start = layout[CLASS_START] + number * layout[CLASS_STEP]
    first, last, best = 0, layout[CLASSES], 0
    if settings[MULTI_LABEL] == 0.0 or rule == SHARED:
        best = _best_class(classes, start, last)
    whole = 0.0
    if rule == SHARED:
        for class_id in range(last):
            whole += share_of(classes[start + class_id], classes[start + best], 1, table)
    if settings[MULTI_LABEL] == 0.0:
        first, last = best, best + 1
    for class_id in range(first, last):
        element = classes[start + class_id]
        if rule == SHARED:
            chance = np.float32(share_of(element, classes[start + best], 1, table) / whole)
        else:
            chance = _chance(element, 1, table, layout, settings)
        score = presence * chance
        if np.isnan(score):
            settings[NOT_A_SCORE] += 1.0
        if score >= threshold:
            count = append(boxes, notes, count, left, top, right, bottom, score, class_id, settings)
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
            relative to the anchor; empty for float32 tensors. Scores that are probabilities
            already may be above 1, to be counted. The class row of SHARED is
            exp(-steps), by the number of steps below the greatest element.
        anchors: (anchors, 2) float32, width and height in input pixels.
        scales: (2,) float64, input pixels per cell and scale_x_y.
        layout: See the constants of this module.
        settings: See `candidates`.
        boxes: Candidates, appended to.
        notes: Candidates' class ids.
        count: Number of candidates so far.

    Returns:
        Number of candidates.

    Reference:
        Darknet's region_layer.c and yolo_layer.c, for the codings also `YoloSpec`.
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
            if not objectness[first + number * step] < low:
                count = _append_classes(
                    tensors, number, table, anchors, scales, layout, settings, boxes, notes, count
                )
    return count

"""Collecting candidates from the outputs of an SSD."""

import math

import numpy as np

from edge_detect.kernels.candidates import MULTI_LABEL, SCORE, append
from edge_detect.kernels.quantize import BLOCK, any_reaches, score_of
from edge_detect.kernels.registry import TENSOR_TYPES, helper, kernel

__all__ = [
    "ANCHORS",
    "COLUMNS",
    "FIRST",
    "KIND",
    "LABELS",
    "LABEL_OFFSET",
    "LAYOUT_LENGTH",
    "SHIFT",
    "collect_rows",
    "collect_sigmoid",
    "collect_softmax",
]

# Places in the (LAYOUT_LENGTH,) int64 array that describes the tensors.
ANCHORS = 0
COLUMNS = 1  # scores per anchor
FIRST = 2  # first column that is an object: 1 after a background column
LABEL_OFFSET = 3
SHIFT = 4
KIND = 5
LABELS = 6
LAYOUT_LENGTH = 7


@helper
def _offset_of(element, row, table, shift, scale):
    if table.size:
        return np.float64(table[row, np.int64(element) + shift])
    return np.float64(element) / scale


@helper
def _growth_of(element, row, table, shift, scale):
    if table.size:
        return np.float64(table[row, np.int64(element) + shift])
    return math.exp(np.float64(element) / scale)


@helper
def _append_anchor(tensor, anchor, anchors, scales, table, layout, score, column, settings, *room):
    """Decode the box of one anchor (centre-size coding) and append it.

    Reference:
        Liu et al., "SSD: Single Shot MultiBox Detector", 2016, sec. 2.2, eq. 2, with the
        divisors ("variances") of the TensorFlow Object Detection API.
    """
    boxes, notes, count = room
    shift = layout[SHIFT]
    at = 4 * anchor
    height, width = anchors[anchor, 2], anchors[anchor, 3]
    y = _offset_of(tensor[at], 1, table, shift, scales[0]) * height + anchors[anchor, 0]
    x = _offset_of(tensor[at + 1], 2, table, shift, scales[1]) * width + anchors[anchor, 1]
    half_h = 0.5 * height * _growth_of(tensor[at + 2], 3, table, shift, scales[2])
    half_w = 0.5 * width * _growth_of(tensor[at + 3], 4, table, shift, scales[3])
    class_id = column + layout[LABEL_OFFSET]
    return append(
        boxes, notes, count, x - half_w, y - half_h, x + half_w, y + half_h, score, class_id,
        settings,
    )  # fmt: skip


@helper
def _place_of_greatest(scores, start, count):
    """Place of the greatest of `count` scores after `start`, of which the first is no NaN."""
    place = 0
    for other in range(1, count):
        if scores[start + other] > scores[start + place]:
            place = other
    return place


_RAW = (
    "int64({T}[::1], {T}[::1], {T}[::1], float32[:, ::1], float32[:, ::1], float64[::1],"
    " int64[::1], float64[::1], float32[:, ::1], int32[:, ::1])"
)


@kernel(_RAW, *TENSOR_TYPES)
def collect_sigmoid(
    tensor, scores, limit, table, anchors, scales, layout, settings, boxes, notes
):  # fmt: skip
    """Collect candidates whose scores are independent of each other.

    Integers are compared with integers; only survivors are looked up and decoded.

    Args:
        tensor: (4 n,) t_y, t_x, t_h, t_w of each anchor.
        scores: (n columns,) logits or probabilities.
        limit: (1,) least element that can reach the score threshold.
        table: (5, 256) float32: scores, t_y, t_x, exp t_h, exp t_w; empty for float32.
        anchors: (n, 4) float32, centre y, centre x, height, width in input pixels.
        scales: (5,) float64, divisors of t_y, t_x, t_h, t_w, and one number for softmax.
        layout: See the constants of this module.
        settings: See `candidates`.
        boxes: Candidates, appended to from column 0 on.
        notes: Candidates' class ids.

    Returns:
        Number of candidates.
    """
    columns, total, low = layout[COLUMNS], scores.size, limit[0]
    count, done = 0, -1
    for start in range(0, total, BLOCK):
        stop = start + BLOCK
        if stop <= total:
            if not any_reaches(scores, start, low):
                continue
        else:
            stop = total
        for i in range(start, stop):
            if not scores[i] >= low:
                continue
            anchor = i // columns
            column = i - anchor * columns
            if column < layout[FIRST] or anchor == done:
                continue
            if settings[MULTI_LABEL] == 0.0:
                done = anchor
                column += _place_of_greatest(scores, i, columns - column)
            element = scores[anchor * columns + column]
            score = score_of(element, 0, table, layout[SHIFT], layout[KIND])
            if score >= np.float32(settings[SCORE]):
                count = _append_anchor(
                    tensor, anchor, anchors, scales, table, layout, score, column, settings,
                    boxes, notes, count,
                )  # fmt: skip
    return count


@helper
def _share_of(element, top, table):
    """Exp(element - top), the numerator of a softmax, without overflow."""
    if table.size:
        # Row 0: exp(-steps * scale) by the number of steps below the greatest logit.
        return np.float64(table[0, np.int64(top) - np.int64(element)])
    return math.exp(np.float64(element) - np.float64(top))


@helper
def _greatest(scores, start, stop):
    top = scores[start]
    for i in range(start + 1, stop):
        # NaN must not hide a number.
        if scores[i] > top or top != top:  # noqa: PLR0124
            top = scores[i]
    return top


@kernel(_RAW, *TENSOR_TYPES)
def collect_softmax(
    tensor, scores, limit, table, anchors, scales, layout, settings, boxes, notes  # noqa: ARG001
):  # fmt: skip
    """Collect candidates whose scores are the softmax of their anchor's logits.

    An object's share is at most its share against the background alone, so most anchors fall
    to one comparison of two logits.

    Args:
        tensor: (4 n,) t_y, t_x, t_h, t_w of each anchor.
        scores: (n columns,) logits.
        limit: (1,) not used.
        table: (5, 256) float32: exp(-steps), t_y, t_x, exp t_h, exp t_w; empty for float32.
        anchors: (n, 4) float32, centre y, centre x, height, width in input pixels.
        scales: (5,) float64, divisors of t_y, t_x, t_h, t_w, and how far above the background's
            an object's element must lie to reach the score threshold.
        layout: See the constants of this module.
        settings: See `candidates`.
        boxes: Candidates, appended to from column 0 on.
        notes: Candidates' class ids.

    Returns:
        Number of candidates.
    """
    columns, first, threshold = layout[COLUMNS], layout[FIRST], np.float32(settings[SCORE])
    count = 0
    for anchor in range(layout[ANCHORS]):
        start = anchor * columns
        top = _greatest(scores, start + first, start + columns)
        if first and np.float64(top) - np.float64(scores[start]) < scales[4]:
            continue
        best_object, total = top, 0.0
        if first and scores[start] > top:
            top = scores[start]
        for column in range(columns):
            total += _share_of(scores[start + column], top, table)
        taken = False
        for column in range(first, columns):
            value = scores[start + column]
            if settings[MULTI_LABEL] == 0.0 and (taken or value != best_object):
                continue
            taken = True
            score = np.float32(_share_of(value, top, table) / total)
            if score >= threshold:
                count = _append_anchor(
                    tensor, anchor, anchors, scales, table, layout, score, column, settings,
                    boxes, notes, count,
                )  # fmt: skip
    return count


@kernel(
    "int64(float32[::1], float32[::1], float32[::1], float32[::1], float64[::1], int64[::1],"
    " float64[::1], float32[:, ::1], int32[:, ::1])"
)
def collect_rows(corners, classes, scores, rows, input_size, layout, settings, boxes, notes):
    """Collect candidates from the outputs of TFLite_Detection_PostProcess.

    Args:
        corners: (4 n,) y_min, x_min, y_max, x_max relative to the input; may reach beyond it.
        classes: (n,) class numbers.
        scores: (n,)
        rows: (1,) number of valid rows; those after them are uninitialised and never read.
        input_size: (2,) float64, width and height of the input in pixels.
        layout: LABEL_OFFSET and LABELS; rows without a label are dropped.
        settings: See `candidates`.
        boxes: Candidates, appended to from column 0 on.
        notes: Candidates' class ids.

    Returns:
        Number of candidates.
    """
    count = 0
    valid = min(scores.size, classes.size, corners.size // 4)
    if not rows[0] >= valid:
        valid = np.int64(rows[0]) if rows[0] > 0 else 0
    width, height = input_size[0], input_size[1]
    for row in range(valid):
        score = min(scores[row], np.float32(1.0))
        # A float until it is known to be one that an integer can hold.
        label = np.float64(classes[row]) + layout[LABEL_OFFSET]
        if not score >= np.float32(settings[SCORE]) or not 0 <= label < layout[LABELS]:
            continue
        class_id = np.int64(label + 0.5)
        if class_id >= layout[LABELS]:
            continue
        at = 4 * row
        count = append(
            boxes, notes, count,
            corners[at + 1] * width, corners[at] * height,
            corners[at + 3] * width, corners[at + 2] * height,
            score, class_id, settings,
        )  # fmt: skip
    return count

"""Collecting candidates from models whose graph decodes its boxes itself."""

import math

import numpy as np

from edge_detect.kernels.candidates import (
    CLASS_NUMBER,
    LABELS,
    NOT_A_SCORE,
    SCORE,
    TINY,
    TINY_PIXELS,
    WITHOUT_LABEL,
    append,
    hold_score,
)
from edge_detect.kernels.quantize import LOGIT
from edge_detect.kernels.registry import TENSOR_TYPES, helper, kernel
from edge_detect.kernels.select import (
    BOX_START,
    BOX_STEP,
    BOX_VALUE_STEP,
    CANDIDATES,
    FORM,
    KIND,
    LABEL_OFFSET,
    NUMBER_START,
    NUMBER_STEP,
    SCORE_START,
    SCORE_STEP,
    SHIFT,
)

__all__ = [
    "CENTRE_SIZE",
    "CORNERS",
    "CORNER_SIZE",
    "SWAPPED_CORNERS",
    "corners_of",
    "place_decoded",
]

# Values of layout[FORM]: what the four values of a box are.
CENTRE_SIZE = 0  # centre x, centre y, width, height
CORNERS = 1  # x_min, y_min, x_max, y_max
SWAPPED_CORNERS = 2  # y_min, x_min, y_max, x_max
CORNER_SIZE = 3  # x_min, y_min, width, height


@helper
def _length(tensor, at, value, table, factors, layout):
    """One of the four values of a box in input pixels, float64."""
    element = tensor[at + value * layout[BOX_VALUE_STEP]]
    if table.size:
        return np.float64(table[2 + value, np.int64(element) + layout[SHIFT]])
    return np.float64(element) * factors[value]


@helper
def corners_of(form, a, b, c, d):
    """x_min, y_min, x_max, y_max of a box in one of the four forms."""
    if form == CENTRE_SIZE:
        return a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d
    if form == SWAPPED_CORNERS:
        return b, a, d, c
    if form == CORNER_SIZE:
        return a, b, a + c, b + d
    return a, b, c, d


@helper
def _has_area(x_min, y_min, x_max, y_max):
    """Whether a box has an area to the right of and below the input's corner; 1 or 0."""
    return np.int64(x_max > max(x_min, 0.0) and y_max > max(y_min, 0.0))


@helper
def _count_tiny(reach, count, factors, settings):
    """Count boxes in pixels that all end within the first ones: they are relative.

    Args:
        reach: The rightmost or lowest edge.
        count: Boxes with an area, those outside of the frame included: where it is letterboxed,
            the first pixels are padding.
        factors: As for `place_decoded`.
        settings: See `candidates`.
    """
    if factors[0] == 1.0 and reach <= TINY_PIXELS:
        settings[TINY] += count


@kernel(
    "int64({T}[::1], float32[:, ::1], float64[::1], int64[::1], float64[::1], float32[:, ::1],"
    " int32[:, ::1], int64)",
    *TENSOR_TYPES,
)
def place_decoded(corner, table, factors, layout, settings, boxes, notes, count):
    """Give the selected candidates their boxes.

    Args:
        corner: Flat tensor with the box values; the whole tensor for joined outputs.
        table: (6, 256) float32: score, objectness, and the four box values in input pixels;
            empty for float32.
        factors: (4,) float64, input pixels per unit of each box value; for float32.
        layout: See the constants of `select`.
        settings: See `candidates`.
        boxes: Candidates as they were selected; overwritten by those with a box in the frame.
        notes: Likewise.
        count: Number of candidates selected; at most the capacity.

    Returns:
        Number of candidates.
    """
    placed, seen, reach = 0, 0, 0.0
    for i in range(count):
        at = layout[BOX_START] + notes[1, i] * layout[BOX_STEP]
        x_min, y_min, x_max, y_max = corners_of(
            layout[FORM],
            _length(corner, at, 0, table, factors, layout),
            _length(corner, at, 1, table, factors, layout),
            _length(corner, at, 2, table, factors, layout),
            _length(corner, at, 3, table, factors, layout),
        )
        reach = max(reach, x_max, y_max)
        seen += _has_area(x_min, y_min, x_max, y_max)
        placed = append(
            boxes, notes, placed, x_min, y_min, x_max, y_max, boxes[4, i],
            notes[0, i] + layout[LABEL_OFFSET], settings,
        )  # fmt: skip
    _count_tiny(reach, seen, factors, settings)
    return placed


@kernel(
    "int64(float32[::1], float32[::1], float32[::1], float32[::1], float64[::1], int64[::1],"
    " float64[::1], float32[:, ::1], int32[:, ::1])"
)
def collect_numbered(corner, scores, numbers, rows, factors, layout, settings, boxes, notes):
    """Collect candidates that come with one score and one class number each.

    Args:
        corner: Flat tensor with the box values; the whole tensor for joined outputs.
        scores: Flat tensor with the scores, probabilities or logits.
        numbers: Flat tensor with the class numbers.
        rows: (1,) number of valid rows; those after them are never read.
        factors: (5,) float64, input pixels per unit of each box value, and how far a class
            number may be from a whole one.
        layout: See the constants of `select`.
        settings: See `candidates`.
        boxes: Candidates, appended to from column 0 on.
        notes: Candidates' class ids.

    Returns:
        Number of candidates.
    """
    valid, count, seen, reach = layout[CANDIDATES], 0, 0, 0.0
    if not rows[0] >= valid:
        valid = np.int64(rows[0]) if rows[0] > 0 else 0
    for row in range(valid):
        value = scores[layout[SCORE_START] + row * layout[SCORE_STEP]]
        if layout[KIND] == LOGIT:
            value = np.float32(1.0 / (1.0 + math.exp(-np.float64(value))))
        if value != value:  # noqa: PLR0124
            settings[NOT_A_SCORE] += 1.0
            continue
        score = hold_score(value, settings)
        if score < np.float32(settings[SCORE]):
            continue
        number = np.float64(numbers[layout[NUMBER_START] + row * layout[NUMBER_STEP]])
        whole = np.floor(number + 0.5)
        if not abs(number - whole) <= factors[4]:
            settings[WITHOUT_LABEL] += 1.0
            settings[CLASS_NUMBER] = number
            continue
        class_id = whole + layout[LABEL_OFFSET]
        if score == 0.0 and not 0 <= class_id < settings[LABELS]:
            # A row that pads the output, with a threshold of 0.
            continue
        at, step = layout[BOX_START] + row * layout[BOX_STEP], layout[BOX_VALUE_STEP]
        x_min, y_min, x_max, y_max = corners_of(
            layout[FORM],
            corner[at] * factors[0],
            corner[at + step] * factors[1],
            corner[at + 2 * step] * factors[2],
            corner[at + 3 * step] * factors[3],
        )
        reach = max(reach, x_max, y_max)
        seen += _has_area(x_min, y_min, x_max, y_max)
        count = append(
            boxes, notes, count, x_min, y_min, x_max, y_max, score,
            class_id, settings,
        )  # fmt: skip
    _count_tiny(reach, seen, factors, settings)
    return count

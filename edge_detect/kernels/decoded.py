"""Collecting candidates from models whose graph decodes its boxes itself."""

import numpy as np

from edge_detect.kernels.candidates import append
from edge_detect.kernels.registry import TENSOR_TYPES, helper, kernel
from edge_detect.kernels.select import (
    BOX_START,
    BOX_STEP,
    BOX_VALUE_STEP,
    FORM,
    LABEL_OFFSET,
    SHIFT,
    select,
)

__all__ = ["CENTRE_SIZE", "CORNERS", "CORNER_SIZE", "SWAPPED_CORNERS", "collect_decoded"]

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


@kernel(
    "int64({T}[::1], {T}[::1], {T}[::1], {T}[::1], float32[:, ::1], float64[::1], int64[::1],"
    " float64[::1], {T}[::1], int16[::1], uint8[::1], float32[:, ::1], int32[:, ::1])",
    *TENSOR_TYPES,
)
def collect_decoded(
    corner, objectness, scores, limit, table, factors, layout, settings, best, winners, marks,
    boxes, notes,
):  # fmt: skip
    """Collect the candidates of one model; only survivors of the threshold are decoded.

    Args:
        corner: The box values; the whole tensor for joined outputs.
        objectness: See `select`.
        scores: See `select`.
        limit: (1,) see `select`.
        table: (6, 256) float32: score, objectness, and the four box values in input pixels;
            empty for float32.
        factors: (4,) float64, input pixels per unit of each box value; for float32.
        layout: See the constants of `select`.
        settings: See `candidates`.
        best: Scratch, see `select`.
        winners: Scratch, see `select`.
        marks: Scratch, see `select`.
        boxes: Candidates, appended to from column 0 on.
        notes: Candidates' class ids.

    Returns:
        Number of candidates.
    """
    found = select(
        objectness, scores, limit[0], table, layout, settings, (best, winners, marks), boxes,
        notes, 0,
    )  # fmt: skip
    if found > boxes.shape[1]:
        return found
    count = 0
    for place in range(found):
        at = layout[BOX_START] + notes[1, place] * layout[BOX_STEP]
        x_min, y_min, x_max, y_max = corners_of(
            layout[FORM],
            _length(corner, at, 0, table, factors, layout),
            _length(corner, at, 1, table, factors, layout),
            _length(corner, at, 2, table, factors, layout),
            _length(corner, at, 3, table, factors, layout),
        )
        count = append(
            boxes, notes, count, x_min, y_min, x_max, y_max, boxes[4, place],
            notes[0, place] + layout[LABEL_OFFSET], settings,
        )  # fmt: skip
    return count

"""Boxes whose sides are distances, each coded as a distribution over whole strides."""

import math

import numpy as np

from edge_detect.kernels.candidates import append
from edge_detect.kernels.registry import TENSOR_TYPES, helper, kernel
from edge_detect.kernels.select import BINS, BOX_START, BOX_STEP, BOX_VALUE_STEP, SHIFT

__all__ = ["place_dfl"]


@helper
def _distance(tensor, at, step, bins, table, shift):
    """Mean of the softmax over one side's logits, in strides; the value itself if it is alone.

    Args:
        tensor: Flat tensor.
        at: Its first logit.
        step: Elements from one logit to the next.
        bins: Number of logits.
        table: (4, 256) float32: row 2 is exp(-steps) by the number of steps below the greatest
            logit, row 3 the real value; empty for float32.
        shift: Added to an integer element to index the table.

    Reference:
        Li et al., "Generalized Focal Loss", 2020, eq. 5.
    """
    if bins == 1:
        if table.size:
            return np.float64(table[3, np.int64(tensor[at]) + shift])
        return np.float64(tensor[at])
    top = tensor[at]
    for b in range(1, bins):
        top = max(top, tensor[at + b * step])
    total, weighted = 0.0, 0.0
    for b in range(bins):
        element = tensor[at + b * step]
        if table.size:
            share = np.float64(table[2, np.int64(top) - np.int64(element)])
        else:
            share = math.exp(np.float64(element) - np.float64(top))
        total += share
        weighted += b * share
    return weighted / total


@kernel(
    "int64({T}[::1], float32[:, ::1], float32[:, ::1], int64[::1], float64[::1],"
    " float32[:, ::1], int32[:, ::1], int64, int64)",
    *TENSOR_TYPES,
)
def place_dfl(corner, table, cells, layout, settings, boxes, notes, begin, end):
    """Give the selected candidates their boxes.

    Args:
        corner: Flat tensor with the logits of the distances; the whole tensor if it is joined.
        table: See `_distance`; rows 0 and 1 are not used.
        cells: (n, 3) float32: where distances begin, x and y in input pixels, and input pixels
            per stride.
        layout: See the constants of `select`.
        settings: See `candidates`.
        boxes: Candidates; those selected are overwritten by those with a box in the frame.
        notes: Likewise.
        begin: First candidate that was selected and has no box yet.
        end: End of those; at most the capacity.

    Returns:
        Number of candidates, those before `begin` included.
    """
    bins, step, shift = layout[BINS], layout[BOX_VALUE_STEP], layout[SHIFT]
    side = bins * step
    count = begin
    for i in range(begin, end):
        number = notes[1, i]
        at = layout[BOX_START] + number * layout[BOX_STEP]
        x, y, stride = cells[number, 0], cells[number, 1], np.float64(cells[number, 2])
        count = append(
            boxes, notes, count,
            x - stride * _distance(corner, at, step, bins, table, shift),
            y - stride * _distance(corner, at + side, step, bins, table, shift),
            x + stride * _distance(corner, at + 2 * side, step, bins, table, shift),
            y + stride * _distance(corner, at + 3 * side, step, bins, table, shift),
            boxes[4, i], notes[0, i], settings,
        )  # fmt: skip
    return count

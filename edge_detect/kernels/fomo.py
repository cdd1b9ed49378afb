"""Merging the cells of a FOMO into boxes."""

import math

import numpy as np

from edge_detect.kernels.candidates import MULTI_LABEL, NOT_A_SCORE, SCORE, append, hold_score
from edge_detect.kernels.quantize import LOGIT, SOFTMAX
from edge_detect.kernels.registry import TENSOR_TYPES, helper, kernel

__all__ = [
    "CHANNELS",
    "COLUMNS",
    "FIRST",
    "KIND",
    "LAYOUT_LENGTH",
    "ROWS",
    "SHIFT",
    "collect_cells",
]

# Places in the (LAYOUT_LENGTH,) int64 array that describes the grid.
ROWS = 0
COLUMNS = 1
CHANNELS = 2  # scores per cell
FIRST = 3  # first score that is an object: 1 after the background
SHIFT = 4
KIND = 5
LAYOUT_LENGTH = 6


@helper
def _share(grid, start, place, channels, table):
    """Softmax of one score among those of its cell; NaN if one of them is."""
    top, total = grid[start], 0.0
    for i in range(start + 1, start + channels):
        top = max(top, grid[i])
    for i in range(start, start + channels):
        if table.size:
            total += table[0, np.int64(top) - np.int64(grid[i])]
        else:
            total += math.exp(np.float64(grid[i]) - np.float64(top))
    if table.size:
        return table[0, np.int64(top) - np.int64(grid[place])] / total
    return math.exp(np.float64(grid[place]) - np.float64(top)) / total


@helper
def _score(grid, start, place, table, layout):
    """Score behind one element; a probability may lie outside of 0 to 1."""
    if layout[KIND] == SOFTMAX:
        return np.float32(_share(grid, start, place, layout[CHANNELS], table))
    if table.size:
        return table[0, np.int64(grid[place]) + layout[SHIFT]]
    value = np.float64(grid[place])
    if layout[KIND] == LOGIT:
        return np.float32(1.0 / (1.0 + math.exp(-value)))
    return np.float32(value)


@helper
def _mark(grid, limit, table, layout, settings, marks):
    """Mark, for each cell and class, whether it is an object; the number of those that are."""
    channels, first = layout[CHANNELS], layout[FIRST]
    objects, found = channels - first, 0
    low, threshold = limit[0], np.float32(settings[SCORE])
    for cell in range(layout[ROWS] * layout[COLUMNS]):
        start = cell * channels
        best = -1
        for channel in range(first, channels):
            place = start + channel
            marks[cell * objects + channel - first] = 0
            if layout[KIND] != SOFTMAX and grid[place] < low:
                continue
            if best >= 0 and settings[MULTI_LABEL] == 0.0 and not grid[place] > grid[best]:
                continue
            score = _score(grid, start, place, table, layout)
            if score != score:  # noqa: PLR0124 - NaN
                settings[NOT_A_SCORE] += 1.0
                continue
            if hold_score(score, settings) < threshold:
                continue
            if best >= 0 and settings[MULTI_LABEL] == 0.0:
                marks[cell * objects + best - start - first] = 0
                found -= 1
            marks[cell * objects + channel - first] = 1
            best = place
            found += 1
    return found


@helper
def _fill(cell, channel, grid, layout, marks, stack, table):
    """Take one group of marked cells away; its edges in cells, and its best score."""
    columns, rows, channels = layout[COLUMNS], layout[ROWS], layout[CHANNELS]
    objects = channels - layout[FIRST]
    mark = channel - layout[FIRST]
    left, right, top, bottom = columns, 0, rows, 0
    best, size = np.float32(0), 1
    stack[0] = cell
    marks[cell * objects + mark] = 0
    while size:
        size -= 1
        place = np.int64(stack[size])
        row, column = place // columns, place % columns
        left, right = min(left, column), max(right, column + 1)
        top, bottom = min(top, row), max(bottom, row + 1)
        start = place * channels
        best = max(best, _score(grid, start, start + channel, table, layout))
        for y in range(max(row - 1, 0), min(row + 2, rows)):
            for x in range(max(column - 1, 0), min(column + 2, columns)):
                beside = y * columns + x
                if marks[beside * objects + mark]:
                    marks[beside * objects + mark] = 0
                    stack[size] = beside
                    size += 1
    return left, top, right, bottom, min(best, np.float32(1))


@kernel(
    "int64({T}[::1], {T}[::1], float32[:, ::1], float64[::1], int64[::1], float64[::1],"
    " uint8[::1], int32[::1], float32[:, ::1], int32[:, ::1])",
    *TENSOR_TYPES,
)
def collect_cells(grid, limit, table, cell_size, layout, settings, marks, stack, boxes, notes):
    """Collect one box for each group of cells of a class that touch, also at a corner.

    Edge Impulse's SDK merges a cell with any box that it touches (`ei_cube_check_overlap`); groups
    here do not depend on the order in which cells are looked at, and no cell is lost.

    Args:
        grid: (ROWS x COLUMNS x CHANNELS,) scores.
        limit: (1,) least element that can reach the score threshold; not used for softmax.
        table: (1, 256) float32: scores, for softmax exp(-steps); empty for float32.
        cell_size: (2,) float64, width and height of a cell in input pixels.
        layout: See the constants of this module.
        settings: See `candidates`.
        marks: (ROWS x COLUMNS x objects,) overwritten.
        stack: (ROWS x COLUMNS,) overwritten.
        boxes: Candidates, appended to from column 0 on.
        notes: Candidates' class ids.

    Returns:
        Number of candidates.
    """
    count = 0
    if _mark(grid, limit, table, layout, settings, marks) == 0:
        return 0
    first, channels = layout[FIRST], layout[CHANNELS]
    objects = channels - first
    for channel in range(first, channels):
        for cell in range(layout[ROWS] * layout[COLUMNS]):
            if not marks[cell * objects + channel - first]:
                continue
            left, top, right, bottom, score = _fill(
                cell, channel, grid, layout, marks, stack, table
            )
            count = append(
                boxes, notes, count,
                left * cell_size[0], top * cell_size[1], right * cell_size[0],
                bottom * cell_size[1], score, channel - first, settings,
            )  # fmt: skip
    return count

"""Finding the candidates in score tensors of any layout.

A tensor holds scores of `COLUMNS` classes for each of `CANDIDATES` boxes. The score of class c
for box i is element `SCORE_START + i * SCORE_STEP + c * COLUMN_STEP` of the flat tensor: a class
is contiguous where SCORE_STEP is 1 (YOLOv8's 1 x values x candidates), a box where COLUMN_STEP is.

Selecting kernels write what they find into the arrays of candidates (see `candidates`): the score
in boxes[4], the class number in notes[0] and the number of the box in notes[1]. The box itself
is computed afterwards, for these alone. As all collecting kernels they take the number of
candidates so far and return the new one, also where there is no room for them.
"""

import math

import numpy as np

from edge_detect.kernels.candidates import MULTI_LABEL, NOT_A_SCORE, SCORE, hold_score
from edge_detect.kernels.quantize import BLOCK, LOGIT, any_reaches
from edge_detect.kernels.registry import TENSOR_TYPES, helper, kernel
from edge_detect.kernels.search import any_within, count_nan, first_greatest

__all__ = [
    "ALL_COLUMNS",
    "BINS",
    "BOX_START",
    "BOX_STEP",
    "BOX_VALUE_STEP",
    "CANDIDATES",
    "COLUMN_STEP",
    "FIRST",
    "FORM",
    "KIND",
    "LABEL_OFFSET",
    "LAYOUT_LENGTH",
    "NUMBER_START",
    "NUMBER_STEP",
    "OBJECT_START",
    "OBJECT_STEP",
    "SCORE_START",
    "SCORE_STEP",
    "SHIFT",
    "STOP",
    "select_columns",
    "select_present",
    "select_rows",
    "select_softmax",
]

# Places in the (LAYOUT_LENGTH,) int64 array that describes the tensors.
CANDIDATES = 0
FIRST = 1  # first score column that is an object
STOP = 2  # end of those that are objects
ALL_COLUMNS = 3  # score columns, those that are no objects included
SCORE_START = 4
SCORE_STEP = 5
COLUMN_STEP = 6
OBJECT_START = 7
OBJECT_STEP = 8  # 0: no objectness
BOX_START = 9
BOX_STEP = 10
BOX_VALUE_STEP = 11
SHIFT = 12  # added to an integer element to index a table
KIND = 13  # LOGIT, PROBABILITY or SOFTMAX
LABEL_OFFSET = 14
FORM = 15  # of the box; see the family's kernels
NUMBER_START = 16  # class numbers, where boxes come with one instead of scores for all
NUMBER_STEP = 17
BINS = 18  # logits per side of a box
LAYOUT_LENGTH = 19


@helper
def _probability(element, row, table, layout, settings):
    """The score behind one element, float32 from 0 to 1."""
    if table.size:
        return hold_score(table[row, np.int64(element) + layout[SHIFT]], settings)
    value = np.float64(element)
    if layout[KIND] == LOGIT:
        return np.float32(1.0 / (1.0 + math.exp(-value)))
    return hold_score(value, settings)


@helper
def _pick(score, column, number, boxes, notes, count):
    if count < boxes.shape[1]:
        boxes[4, count] = score
        notes[0, count] = column
        notes[1, count] = number
    return count + 1


@helper
def _pick_if(element, column, number, table, layout, settings, boxes, notes, count):
    score = _probability(element, 0, table, layout, settings)
    if score >= np.float32(settings[SCORE]):
        return _pick(score, column, number, boxes, notes, count)
    return count


@helper
def _best_column(scores, at, first, stop, step):
    """Column of the greatest score of one box; the first of equals, and no NaN if possible."""
    if step == 1:
        return first_greatest(scores, at + first, at + stop) - at
    best = first
    for other in range(first + 1, stop):
        value, top = scores[at + other * step], scores[at + best * step]
        if value > top or top != top:  # noqa: PLR0124
            best = other
    return best


@helper
def _pick_box(scores, limit, number, table, layout, settings, boxes, notes, count):
    """Pick one box, with all of its classes or the best."""
    at, step = layout[SCORE_START] + number * layout[SCORE_STEP], layout[COLUMN_STEP]
    first, stop = layout[FIRST], layout[STOP]
    if settings[MULTI_LABEL] == 0.0:
        first = _best_column(scores, at, first, stop, step)
        stop = first + 1
    for column in range(first, stop):
        element = scores[at + column * step]
        if element >= limit:
            count = _pick_if(element, column, number, table, layout, settings, boxes, notes, count)
    return count


@helper
def _raise_best(scores, at, start, stop, column, best, winners):
    """Compare one class with the best so far of the boxes from `start` to `stop`.

    Values without branches, so that it becomes vector instructions.
    """
    for i in range(np.uint64(start), np.uint64(stop)):
        value, top = scores[np.uint64(at) + i], best[i]
        better = (value > top) | (top != top)  # noqa: PLR0124
        best[i] = value if better else top
        winners[i] = column if better else winners[i]


@helper
def _begin_best(scores, at, start, stop, column, best, winners):
    for i in range(np.uint64(start), np.uint64(stop)):
        best[i] = scores[np.uint64(at) + i]
        winners[i] = column


@helper
def _scan_columns(scores, limit, layout, settings, best, winners, marks):
    """Best class of all boxes in blocks in which one reaches the limit.

    One class after another, as they lie in memory. A block of boxes is looked at closer only
    where a class reaches the limit.
    """
    total = layout[CANDIDATES]
    marks[:] = 0
    for column in range(layout[FIRST], layout[STOP]):
        at = layout[SCORE_START] + column * layout[COLUMN_STEP]
        for block in range(marks.size):
            start = block * BLOCK
            stop = start + BLOCK
            if stop > total:
                stop = total
                if not any_within(scores, at + start, at + stop, limit):
                    continue
            elif not any_reaches(scores, at + start, limit):
                continue
            settings[NOT_A_SCORE] += count_nan(scores, at + start, at + stop)
            if marks[block]:
                _raise_best(scores, at, start, stop, np.int16(column), best, winners)
            else:
                marks[block] = 1
                _begin_best(scores, at, start, stop, np.int16(column), best, winners)


@kernel(
    "int64({T}[::1], {T}[::1], float32[:, ::1], int64[::1], float64[::1], {T}[::1], int16[::1],"
    " uint8[::1], float32[:, ::1], int32[:, ::1], int64)",
    *TENSOR_TYPES,
)
def select_columns(
    scores, limit, table, layout, settings, best, winners, marks, boxes, notes, count
):  # fmt: skip
    """Select from a tensor in which classes are contiguous.

    Args:
        scores: Flat tensor.
        limit: (1,) least element that can reach the threshold.
        table: (1 or more, 256) float32, scores, not held to 1; empty for float32.
        layout: See the constants of this module.
        settings: See `candidates`.
        best: (CANDIDATES,) overwritten with the best element of each box.
        winners: (CANDIDATES,) overwritten with its column.
        marks: (blocks,) overwritten: blocks of boxes in which one reaches the limit.
        boxes: Candidates, appended to: scores.
        notes: Candidates, appended to: column of the class, and number of the box.
        count: Number of candidates so far.

    Returns:
        Number of candidates.
    """
    low = limit[0]
    _scan_columns(scores, low, layout, settings, best, winners, marks)
    for block in range(marks.size):
        if not marks[block]:
            continue
        start = block * BLOCK
        for number in range(start, min(start + BLOCK, layout[CANDIDATES])):
            if not best[number] >= low:
                continue
            if settings[MULTI_LABEL] == 0.0:
                count = _pick_if(
                    best[number], winners[number], number, table, layout, settings, boxes, notes,
                    count,
                )  # fmt: skip
            else:
                count = _pick_box(scores, low, number, table, layout, settings, boxes, notes, count)
    return count


@kernel(
    "int64({T}[::1], {T}[::1], float32[:, ::1], int64[::1], float64[::1], float32[:, ::1],"
    " int32[:, ::1], int64)",
    *TENSOR_TYPES,
)
def select_rows(scores, limit, table, layout, settings, boxes, notes, count):
    """Select from a tensor in which boxes are contiguous; arguments as in `select_columns`."""
    columns, low = layout[STOP] - layout[FIRST], limit[0]
    for number in range(layout[CANDIDATES]):
        at = layout[SCORE_START] + number * layout[SCORE_STEP] + layout[FIRST]
        if any_within(scores, at, at + columns, low):
            settings[NOT_A_SCORE] += count_nan(scores, at, at + columns)
            count = _pick_box(scores, low, number, table, layout, settings, boxes, notes, count)
    return count


@kernel(
    "int64({T}[::1], {T}[::1], {T}[::1], float32[:, ::1], int64[::1], float64[::1],"
    " float32[:, ::1], int32[:, ::1], int64)",
    *TENSOR_TYPES,
)
def select_present(objectness, scores, limit, table, layout, settings, boxes, notes, count):
    """Select from tensors with an objectness: it alone is searched.

    A score is the product of objectness and class probability, so it never exceeds the
    objectness, also after rounding.

    Args:
        objectness: Flat tensor with one element per box, or the joined one.
        scores: Flat tensor.
        limit: (1,) least element of the objectness that can reach the threshold.
        table: (2 or more, 256) float32, scores and objectness; empty for float32.
        layout: See the constants of this module.
        settings: See `candidates`.
        boxes: Candidates, appended to: scores.
        notes: Candidates, appended to: column of the class, and number of the box.
        count: Number of candidates so far.

    Returns:
        Number of candidates.
    """
    low, threshold = limit[0], np.float32(settings[SCORE])
    stride = layout[COLUMN_STEP]
    for number in range(layout[CANDIDATES]):
        element = objectness[layout[OBJECT_START] + number * layout[OBJECT_STEP]]
        if element < low:
            continue
        presence = _probability(element, 1, table, layout, settings)
        if not presence >= threshold:
            settings[NOT_A_SCORE] += np.float64(presence != presence)  # noqa: PLR0124
            continue
        at = layout[SCORE_START] + number * layout[SCORE_STEP]
        first, stop = layout[FIRST], layout[STOP]
        if settings[MULTI_LABEL] == 0.0:
            first = _best_column(scores, at, first, stop, stride)
            stop = first + 1
        for column in range(first, stop):
            value = scores[at + column * stride]
            score = presence * _probability(value, 0, table, layout, settings)
            if score >= threshold:
                count = _pick(score, column, number, boxes, notes, count)
            settings[NOT_A_SCORE] += np.float64(score != score)  # noqa: PLR0124
    return count


@kernel(
    "int64(float32[::1], float32[::1], int64[::1], float64[::1], float32[:, ::1],"
    " int32[:, ::1], int64)"
)
def select_softmax(scores, limit, layout, settings, boxes, notes, count):
    """Select by scores that are the softmax of all columns.

    Args:
        scores: Flat tensor of logits.
        limit: (1,) how far above the logit of "no object" a logit must lie to reach the
            threshold.
        layout: See the constants of this module.
        settings: See `candidates`.
        boxes: Candidates, appended to: scores.
        notes: Candidates, appended to: column of the class, and number of the box.
        count: Number of candidates so far.

    Returns:
        Number of candidates.
    """
    first, stop, columns = layout[FIRST], layout[STOP], layout[ALL_COLUMNS]
    step, threshold = layout[COLUMN_STEP], np.float32(settings[SCORE])
    multi_label = settings[MULTI_LABEL] != 0.0
    nothing = 0 if first else columns - 1
    for number in range(layout[CANDIDATES]):
        at = layout[SCORE_START] + number * layout[SCORE_STEP]
        best = _best_column(scores, at, first, stop, step)
        above = scores[at + best * step] - scores[at + nothing * step]
        if (first or stop < columns) and above < limit[0]:
            continue
        top = np.float64(scores[at + _best_column(scores, at, 0, columns, step) * step])
        total = 0.0
        for column in range(columns):
            total += math.exp(np.float64(scores[at + column * step]) - top)
        if not 0.0 < total < math.inf:
            settings[NOT_A_SCORE] += 1.0
            continue
        for column in range(first if multi_label else best, stop if multi_label else best + 1):
            score = np.float32(math.exp(np.float64(scores[at + column * step]) - top) / total)
            if score >= threshold:
                count = _pick(score, column, number, boxes, notes, count)
    return count

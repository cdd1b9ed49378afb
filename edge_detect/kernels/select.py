"""Finding the candidates in score tensors of any layout.

A tensor holds scores of `COLUMNS` classes for each of `CANDIDATES` boxes. The score of class c
for box i is element `SCORE_START + i * SCORE_STEP + c * COLUMN_STEP` of the flat tensor: a class
is contiguous where SCORE_STEP is 1 (YOLOv8's 1 x values x candidates), a box where COLUMN_STEP is.

`select` writes what it finds into the arrays of candidates (see `candidates`): the score in
boxes[4], the class number in notes[0] and the number of the box in notes[1]. The box itself is
computed afterwards, for these alone.
"""

import math

import numpy as np

from edge_detect.kernels.candidates import MULTI_LABEL, NOT_A_SCORE, SCORE, hold_score
from edge_detect.kernels.quantize import BLOCK, LOGIT, SOFTMAX
from edge_detect.kernels.registry import helper

__all__ = [
    "ALL_COLUMNS",
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
    "OBJECT_START",
    "OBJECT_STEP",
    "SCORE_START",
    "SCORE_STEP",
    "SHIFT",
    "STOP",
    "select",
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
LAYOUT_LENGTH = 16


@helper
def _may_reach(values, start, stop, limit):
    """Whether a value from `start` to `stop` is not below the limit; true for NaN."""
    hits = np.uint8(0)
    for i in range(np.uint64(start), np.uint64(stop)):
        hits = np.uint8(hits | np.uint8(not values[i] < limit))
    return hits != 0


@helper
def _count_nan(values, start, stop):
    """How many values are NaN; nothing is left of this for integers."""
    found = 0
    for i in range(np.uint64(start), np.uint64(stop)):
        found += np.int64(values[i] != values[i])
    return found


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
def _scan_columns(scores, limit, layout, settings, scratch):
    """Best class of all boxes in blocks in which one reaches the limit.

    One class after another, as they lie in memory. A block of boxes is looked at closer only
    where a class reaches the limit.
    """
    best, winners, marks = scratch
    total = layout[CANDIDATES]
    marks[:] = 0
    for column in range(layout[FIRST], layout[STOP]):
        at = layout[SCORE_START] + column * layout[COLUMN_STEP]
        for block in range(marks.size):
            start = block * BLOCK
            stop = min(start + BLOCK, total)
            if not _may_reach(scores, at + start, at + stop, limit):
                continue
            settings[NOT_A_SCORE] += _count_nan(scores, at + start, at + stop)
            if marks[block]:
                _raise_best(scores, at, start, stop, np.int16(column), best, winners)
            else:
                marks[block] = 1
                _begin_best(scores, at, start, stop, np.int16(column), best, winners)


@helper
def _select_columns(scores, limit, table, layout, settings, scratch, boxes, notes, count):
    """Candidates of a tensor in which classes are contiguous."""
    best, winners, marks = scratch
    _scan_columns(scores, limit, layout, settings, scratch)
    for block in range(marks.size):
        if not marks[block]:
            continue
        start = block * BLOCK
        for number in range(start, min(start + BLOCK, layout[CANDIDATES])):
            if not best[number] >= limit:
                continue
            if settings[MULTI_LABEL] == 0.0:
                count = _pick_if(
                    best[number], winners[number], number, table, layout, settings, boxes, notes,
                    count,
                )  # fmt: skip
            else:
                count = _pick_box(
                    scores, limit, number, table, layout, settings, boxes, notes, count
                )
    return count


@helper
def _select_rows(scores, limit, table, layout, settings, boxes, notes, count):
    """Candidates of a tensor in which boxes are contiguous."""
    columns = layout[STOP] - layout[FIRST]
    for number in range(layout[CANDIDATES]):
        at = layout[SCORE_START] + number * layout[SCORE_STEP] + layout[FIRST]
        if _may_reach(scores, at, at + columns, limit):
            settings[NOT_A_SCORE] += _count_nan(scores, at, at + columns)
            count = _pick_box(scores, limit, number, table, layout, settings, boxes, notes, count)
    return count


@helper
def _select_present(
    objectness, scores, limit, table, layout, settings, boxes, notes, count
):  # fmt: skip
    """Candidates with an objectness: it alone is searched.

    A score is the product of objectness and class probability, so it never exceeds the
    objectness, also after rounding.
    """
    first, step, threshold = layout[OBJECT_START], layout[OBJECT_STEP], np.float32(settings[SCORE])
    for number in range(layout[CANDIDATES]):
        element = objectness[first + number * step]
        if element < limit:
            continue
        presence = _probability(element, 1, table, layout, settings)
        if not presence >= threshold:
            settings[NOT_A_SCORE] += np.float64(presence != presence)  # noqa: PLR0124
            continue
        at, stride = layout[SCORE_START] + number * layout[SCORE_STEP], layout[COLUMN_STEP]
        column, stop = layout[FIRST], layout[STOP]
        if settings[MULTI_LABEL] == 0.0:
            column = _best_column(scores, at, column, stop, stride)
            stop = column + 1
        for each in range(column, stop):
            value = scores[at + each * stride]
            score = presence * _probability(value, 0, table, layout, settings)
            if score >= threshold:
                count = _pick(score, each, number, boxes, notes, count)
            settings[NOT_A_SCORE] += np.float64(score != score)  # noqa: PLR0124
    return count


@helper
def _select_softmax(scores, limit, layout, settings, boxes, notes, count):
    """Candidates whose scores are the softmax of all columns, float tensors only.

    The limit is how far above the logit of "no object" a logit must lie to reach the threshold.
    """
    first, stop, columns = layout[FIRST], layout[STOP], layout[ALL_COLUMNS]
    step, threshold = layout[COLUMN_STEP], np.float32(settings[SCORE])
    for number in range(layout[CANDIDATES]):
        at = layout[SCORE_START] + number * layout[SCORE_STEP]
        best = _best_column(scores, at, first, stop, step)
        top = np.float64(scores[at + best * step])
        nothing = np.float64(scores[at + (0 if first else columns - 1) * step])
        if (first or stop < columns) and top - nothing < limit:
            continue
        top = max(top, nothing)
        for column in range(columns):
            top = max(top, np.float64(scores[at + column * step]))
        total = 0.0
        for column in range(columns):
            total += math.exp(np.float64(scores[at + column * step]) - top)
        if not total > 0.0 or total == math.inf:
            settings[NOT_A_SCORE] += 1.0
            continue
        if settings[MULTI_LABEL] != 0.0:
            best = first
        for column in range(best, stop if settings[MULTI_LABEL] != 0.0 else best + 1):
            score = np.float32(math.exp(np.float64(scores[at + column * step]) - top) / total)
            if score >= threshold:
                count = _pick(score, column, number, boxes, notes, count)
    return count


@helper
def select(
    objectness, scores, limit, table, layout, settings, scratch, boxes, notes, count
):  # fmt: skip
    """Find the boxes and classes whose score reaches the threshold, by box and class.

    Args:
        objectness: Flat tensor with one element per box; not read where OBJECT_STEP is 0.
        scores: Flat tensor, int8, uint8 or float32.
        limit: Least element, of the objectness where there is one, that can reach the threshold.
        table: (2 or more, 256) float32: score, objectness, not held to 1; empty for float32.
        layout: See the constants of this module.
        settings: See `candidates`.
        scratch: Where classes are contiguous: best element (CANDIDATES,) of the tensor's type,
            its column (CANDIDATES,) int16, and a mark (blocks,) uint8 for each block; all
            overwritten.
        boxes: Candidates, appended to: scores only.
        notes: Candidates, appended to: column of the class, and number of the box.
        count: Number of candidates so far.

    Returns:
        Number of candidates, also where there is no room for them.
    """
    if layout[OBJECT_STEP]:
        return _select_present(
            objectness, scores, limit, table, layout, settings, boxes, notes, count
        )
    if layout[KIND] == SOFTMAX:
        return _select_softmax(scores, limit, layout, settings, boxes, notes, count)
    if layout[SCORE_STEP] == 1:
        return _select_columns(scores, limit, table, layout, settings, scratch, boxes, notes, count)
    return _select_rows(scores, limit, table, layout, settings, boxes, notes, count)

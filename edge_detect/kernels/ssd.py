"""Finding the few scores of an SSD that reach the threshold."""

import math

import numpy as np

from edge_detect.kernels.anchored import (
    ANCHORS,
    BACKGROUND,
    COLUMNS,
    FIRST,
    KIND,
    LAST,
    SHIFT,
    append_anchor,
)
from edge_detect.kernels.candidates import MULTI_LABEL, NOT_A_SCORE, SCORE, hold_score
from edge_detect.kernels.quantize import BLOCK, LOGIT
from edge_detect.kernels.registry import TENSOR_TYPES, helper, kernel

__all__ = ["collect_sigmoid", "collect_softmax"]


@helper
def _next_block(scores, start, mask, columns, low):
    """The first block from `start` on in which an object's score may reach the threshold.

    The background's scores are mostly near 1, and there is one of them in nearly every block:
    the mask takes them out. NaN counts as reaching, so that it is found.

    The loop over blocks lies in here, as each call costs more than a block does. (Measured for
    bytes: 1.5 ns a block, against 1.0 without a mask.)

    Returns:
        A multiple of BLOCK; the last one, which may be incomplete, or `scores.size` or more
        where no complete one reaches it.
    """
    phase, step = start % columns, BLOCK % columns
    while start + BLOCK <= scores.size:
        hits = np.uint8(0)
        at, behind = np.uint64(start), np.uint64(phase)
        for i in range(np.uint64(BLOCK)):
            hits = np.uint8(hits | (np.uint8(not scores[at + i] < low) & mask[behind + i]))
        if hits:
            break
        start += BLOCK
        phase += step
        if phase >= columns:
            phase -= columns
    return start


@helper
def _independent_score(element, table, layout):
    """The score behind one element; for probabilities it may lie outside of 0 to 1."""
    if table.size:
        return np.float64(table[0, np.int64(element) + layout[SHIFT]])
    value = np.float64(element)
    if layout[KIND] == LOGIT:
        return 1.0 / (1.0 + math.exp(-value))
    return value


@helper
def _select(scores, low, mask, layout, every, settings, found):
    """Write down which elements may become candidates.

    Args:
        scores: (n columns,)
        low: Least element that can reach the score threshold.
        mask: See `collect_sigmoid`.
        layout: See `anchored`.
        every: Whether an anchor may give several, or only its greatest, the first of equals.
        settings: Counters of faults: NaN is counted.
        found: (capacity,) int32, overwritten with places of elements.

    Returns:
        Their number; beyond the capacity nothing is written.
    """
    columns, total = layout[COLUMNS], scores.size
    first, last, room = layout[FIRST], layout[LAST], found.size
    count, its_anchor = 0, -1
    start = _next_block(scores, 0, mask, columns, low)
    while start < total:
        for i in range(start, min(start + BLOCK, total)):
            if scores[i] < low:
                continue
            anchor = i // columns
            column = i - anchor * columns
            if column < first or column >= last:
                continue
            # NaN.
            if scores[i] != scores[i]:
                settings[NOT_A_SCORE] += 1.0
                continue
            if anchor == its_anchor and not every:
                if count <= room and scores[i] > scores[found[count - 1]]:
                    found[count - 1] = i
                continue
            its_anchor = anchor
            if count < room:
                found[count] = i
            count += 1
        start = _next_block(scores, start + BLOCK, mask, columns, low)
    return count


_RAW = (
    "int64({T}[::1], {T}[::1], {T}[::1], uint8[::1], float32[:, ::1], float32[:, ::1],"
    " float64[::1], int64[::1], float64[::1], float32[:, ::1], int32[:, ::1], int64)"
)


@kernel(_RAW, *TENSOR_TYPES)
def collect_sigmoid(
    tensor, scores, limit, mask, table, anchors, scales, layout, settings, boxes, notes, count
):
    """Collect candidates whose scores are independent of each other.

    Integers are compared with integers; only survivors are looked up and decoded.

    Args:
        tensor: (n WIDTH,) numbers of the box of each anchor, and of its key points.
        scores: (n columns,) logits or probabilities.
        limit: (1,) least element that can reach the score threshold.
        mask: (columns + BLOCK,) 1 where a column is an object, going round.
        table: (7, 256) float32: scores; y, x, height, width, and y, x of points, all in units
            of the anchor; empty for float32.
        anchors: (n, 4) float32, centre y, centre x, height, width in input pixels.
        scales: (5,) float64, divisors of y, x, height, width, and one number for softmax.
        layout: See the constants of `anchored`.
        settings: See `candidates`.
        boxes: Candidates, appended to.
        notes: Candidates' class ids, and their anchors in row 4.
        count: Number of candidates so far.

    Returns:
        Number of candidates.
    """
    # Finding and decoding take turns only once: their calls would cost as much as their work.
    every, found = settings[MULTI_LABEL] != 0.0, notes[1]
    selected = _select(scores, limit[0], mask, layout, every, settings, found)
    if selected > found.size:
        return count + selected
    threshold = np.float32(settings[SCORE])
    for number in range(selected):
        place = np.int64(found[number])
        score = np.float32(_independent_score(scores[place], table, layout))
        score = hold_score(score, settings)
        if score < threshold:
            continue
        anchor = place // layout[COLUMNS]
        column = place - anchor * layout[COLUMNS]
        count = append_anchor(
            tensor, anchor, anchors, scales, table, layout, score, column, settings, boxes, notes,
            count,
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
def _greatest(scores, start, stop, exact):
    top = scores[start]
    if exact:
        # Without a condition on NaN it becomes vector instructions.
        for i in range(np.uint64(start), np.uint64(stop)):
            top = max(top, scores[i])
        return top
    for i in range(start + 1, stop):
        # NaN must not hide a number.
        if scores[i] > top or top != top:  # noqa: PLR0124
            top = scores[i]
    return top


@helper
def _sum_of_shares(scores, start, stop, top, table):
    """The denominator of a softmax; four sums, as each waits for its last addition."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    even = start + (stop - start) // 4 * 4
    for i in range(start, even, 4):
        a += _share_of(scores[i], top, table)
        b += _share_of(scores[i + 1], top, table)
        c += _share_of(scores[i + 2], top, table)
        d += _share_of(scores[i + 3], top, table)
    for i in range(even, stop):
        a += _share_of(scores[i], top, table)
    return (a + b) + (c + d)


@helper
def _least_above(ground, difference, limit, shift, exact):
    """Write the least element that may be an object; False if there is none.

    Args:
        ground: The background's element.
        difference: How far above it an object's must lie.
        limit: (1,) overwritten.
        shift: Of integers.
        exact: Whether elements are integers.
    """
    if exact:
        least = np.int64(ground) + np.int64(difference)
        limit[0] = max(least, -shift)
        return least <= 255 - shift
    # A little less makes up for the rounding to float32.
    limit[0] = np.float64(ground) + difference - 1e-6 * abs(np.float64(ground))
    return True


@helper
def _select_anchors(scores, limit, difference, layout, exact, found):
    """Write down which anchors may hold an object.

    An object's share is at most its share against the background alone. NaN counts as reaching.

    Blocks of a fixed length are the fastest; the first one here overlaps the last of the
    others. (Measured for rows of 90 bytes: 2.4 ns, against 8 for one loop over the row.)

    Args:
        scores: (n columns,) logits.
        limit: (1,) overwritten.
        difference: How far above the background's an object's element must lie.
        layout: See `anchored`.
        exact: Whether elements are integers.
        found: (capacity,) int32, overwritten with numbers of anchors.

    Returns:
        Their number; beyond the capacity nothing is written.
    """
    columns, ground, shift = layout[COLUMNS], layout[BACKGROUND], layout[SHIFT]
    first, last, count = layout[FIRST], layout[LAST], 0
    for anchor in range(layout[ANCHORS]):
        row, hits = anchor * columns, np.uint8(ground < 0)
        if ground >= 0:
            if not _least_above(scores[row + ground], difference, limit, shift, exact):
                continue
            low = limit[0]
            start, stop = np.uint64(row + first), np.uint64(row + last)
            if last - first >= BLOCK:
                for i in range(stop - np.uint64(BLOCK), stop):
                    hits = np.uint8(hits | np.uint8(not scores[i] < low))
                for block in range(row + first, row + last - BLOCK, BLOCK):
                    at = np.uint64(block)
                    for i in range(np.uint64(BLOCK)):
                        hits = np.uint8(hits | np.uint8(not scores[at + i] < low))
            else:
                for i in range(start, stop):
                    hits = np.uint8(hits | np.uint8(not scores[i] < low))
        if hits:
            if count < found.size:
                found[count] = anchor
            count += 1
    return count


@kernel(_RAW, *TENSOR_TYPES)
def collect_softmax(
    tensor, scores, limit, mask, table, anchors, scales, layout, settings, boxes, notes, count  # noqa: ARG001
):  # fmt: skip
    """Collect candidates whose scores are the softmax of their anchor's logits.

    An object's share is at most its share against the background alone, so most anchors fall
    to a comparison of their logits with one number.

    Args:
        tensor: (n WIDTH,) numbers of the box of each anchor, and of its key points.
        scores: (n columns,) logits.
        limit: (1,) overwritten.
        mask: Not used.
        table: (7, 256) float32, as in `collect_sigmoid`, but for row 0: exp(-steps).
        anchors: (n, 4) float32, centre y, centre x, height, width in input pixels.
        scales: (5,) float64, divisors of y, x, height, width, and how far above the background's
            an object's element must lie to reach the score threshold.
        layout: See the constants of `anchored`.
        settings: See `candidates`.
        boxes: Candidates, appended to.
        notes: Candidates' class ids, and their anchors in row 4.
        count: Number of candidates so far.

    Returns:
        Number of candidates.
    """
    columns, first, last = layout[COLUMNS], layout[FIRST], layout[LAST]
    ground, every = layout[BACKGROUND], settings[MULTI_LABEL] != 0.0
    threshold = np.float32(settings[SCORE])
    exact = table.size > 0
    selected = _select_anchors(scores, limit, scales[4], layout, exact, notes[1])
    if selected > notes.shape[1]:
        return count + selected
    for number in range(selected):
        anchor = np.int64(notes[1, number])
        start = anchor * columns
        best_object = _greatest(scores, start + first, start + last, exact)
        top = best_object
        if ground >= 0 and not scores[start + ground] < top:
            top = scores[start + ground]
        total = _sum_of_shares(scores, start, start + columns, top, table)
        if total != total:  # noqa: PLR0124 - NaN
            settings[NOT_A_SCORE] += 1.0
            continue
        for column in range(first, last):
            value = scores[start + column]
            if not every and value != best_object:
                continue
            score = np.float32(_share_of(value, top, table) / total)
            if score >= threshold:
                count = append_anchor(
                    tensor, anchor, anchors, scales, table, layout, score, column, settings,
                    boxes, notes, count,
                )  # fmt: skip
            if not every:
                break
    return count

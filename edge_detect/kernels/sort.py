"""Putting scores in order: best first, and the first of equals first."""

import numpy as np

from edge_detect.kernels.registry import helper, kernel

__all__ = ["sort_by_score", "top_k"]

# Below this, insertion beats four passes over 256 counters.
_FEW = 64


@helper
def _insert_sorted(scores, count, order):
    for i in range(count):
        score = scores[i]
        place = i
        while place > 0 and scores[order[place - 1]] < score:
            order[place] = order[place - 1]
            place -= 1
        order[place] = i


@helper
def sort_by_score(scores, count, order, scratch, starts):
    """Sort by falling score; equal scores keep their order.

    A radix sort on the bits of the scores, which order like integers as scores are not
    negative: linear time for every input.

    Args:
        scores: (capacity,) float32, at least 0, not NaN.
        count: Number of scores.
        order: (capacity,) int32, overwritten with indices.
        scratch: (capacity,) int32, overwritten.
        starts: (256 or more,) int32, overwritten.
    """
    if count <= _FEW:
        _insert_sorted(scores, count, order)
        return
    keys = scores.view(np.uint32)
    for i in range(count):
        order[i] = i
    source, target = order, scratch
    # Four passes, an even number: the result ends in `order`.
    for shift in (0, 8, 16, 24):
        for digit in range(256):
            starts[digit] = 0
        for i in range(count):
            starts[255 - ((keys[i] >> shift) & 255)] += 1
        total = 0
        for digit in range(256):
            of_digit = starts[digit]
            starts[digit] = total
            total += of_digit
        for i in range(count):
            digit = 255 - ((keys[source[i]] >> shift) & 255)
            target[starts[digit]] = source[i]
            starts[digit] += 1
        source, target = target, source


@kernel("int64(float32[::1], int64, int32[::1], int32[::1], int32[::1])")
def top_k(scores, limit, order, scratch, starts):
    """Indices of the best scores, best first, the first of equals first.

    Args:
        scores: (n,) float32, at least 0, not NaN.
        limit: At most so many.
        order: (n,) int32, overwritten; the answer is its beginning.
        scratch: (n,) int32, overwritten.
        starts: (256 or more,) int32, overwritten.

    Returns:
        How many there are: the lesser of `limit` and n.
    """
    sort_by_score(scores, scores.size, order, scratch, starts)
    return min(limit, scores.size)

"""Non-maximum suppression, and the way back to frame pixels.

Overlap is measured in pixels of the model's input, before clipping, as the training of the
models and the in-graph operators do. IoU does not change with the scale of either axis, so
frame pixels would keep the same boxes.
"""

import numpy as np

from edge_detect.kernels.candidates import (
    AGNOSTIC,
    DIOU,
    FRAME_HEIGHT,
    FRAME_WIDTH,
    IOU,
    METHOD,
    OFFSET_X,
    OFFSET_Y,
    SCALE_X,
    SCALE_Y,
    SCORE,
    SOFT,
    to_frame,
)
from edge_detect.kernels.overlap import decay_of, is_near, is_overlapped
from edge_detect.kernels.registry import helper, kernel
from edge_detect.kernels.sort import sort_by_score

__all__ = ["map_boxes", "rank", "suppress"]


@helper
def _box_of(boxes, i):
    area = (boxes[2, i] - boxes[0, i]) * (boxes[3, i] - boxes[1, i])
    return boxes[0, i], boxes[1, i], boxes[2, i], boxes[3, i], area


@helper
def _report(row, box, score, class_id, settings, out):
    """Write one survivor in frame pixels."""
    out_boxes, out_scores, out_ids = out
    x_min, y_min, x_max, y_max, _ = box
    offset_x, scale_x, width = settings[OFFSET_X], settings[SCALE_X], settings[FRAME_WIDTH]
    offset_y, scale_y, height = settings[OFFSET_Y], settings[SCALE_Y], settings[FRAME_HEIGHT]
    out_boxes[row, 0] = to_frame(x_min, offset_x, scale_x, width)
    out_boxes[row, 1] = to_frame(y_min, offset_y, scale_y, height)
    out_boxes[row, 2] = to_frame(x_max, offset_x, scale_x, width)
    out_boxes[row, 3] = to_frame(y_max, offset_y, scale_y, height)
    out_scores[row] = score
    out_ids[row] = class_id


@helper
def _keep(kept, row, box):
    kept[0, row], kept[1, row], kept[2, row], kept[3, row], kept[4, row] = box


@helper
def _greedy(boxes, notes, count, settings, kept, out):
    order, ids, limit = notes[1], out[2], kept.shape[1]
    sort_by_score(boxes[4], count, order, notes[2], notes[3])
    any_class, by_distance = np.int32(settings[AGNOSTIC]), settings[METHOD] == DIOU
    threshold = np.float32(settings[IOU])
    row = 0
    for place in range(count):
        i = order[place]
        box, class_id = _box_of(boxes, i), notes[0, i]
        if by_distance:
            if is_near(kept, ids, row, box, class_id, any_class, threshold):
                continue
        elif is_overlapped(kept, ids, row, box, class_id, any_class, threshold):
            continue
        _keep(kept, row, box)
        _report(row, box, boxes[4, i], class_id, settings, out)
        # The sort has used this row, and is over.
        notes[3, row] = i
        row += 1
        if row == limit:
            break
    return row


@helper
def _sift_down(heap, size, place, scores):
    """Restore the order of a heap: greatest score on top, of equals the least index."""
    moved = heap[place]
    score = scores[moved]
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size:
            a, b = heap[child], heap[child + 1]
            if scores[b] > scores[a] or (scores[b] == scores[a] and b < a):
                child += 1
        best = heap[child]
        if scores[best] < score or (scores[best] == score and best > moved):
            break
        heap[place] = best
        place = child
    heap[place] = moved


@helper
def _soft(boxes, notes, count, settings, kept, out):
    """Soft-NMS; a score is lowered only when it comes to the top.

    Scores only ever fall, so a candidate whose score is up to date and on top is the best of
    all, although others may be out of date: most pairs are never compared.
    """
    heap, seen, scores = notes[1], notes[2], boxes[4]
    ids, limit = out[2], kept.shape[1]
    threshold, any_class = np.float32(settings[SCORE]), np.int32(settings[AGNOSTIC])
    for i in range(count):
        heap[i] = i
        seen[i] = 0
    for place in range(count // 2 - 1, -1, -1):
        _sift_down(heap, count, place, scores)
    row, size = 0, count
    while size > 0 and row < limit:
        i = heap[0]
        box, class_id = _box_of(boxes, i), notes[0, i]
        if seen[i] < row:
            scores[i] *= decay_of(kept, ids, seen[i], row, box, class_id, any_class)
            seen[i] = row
            if scores[i] >= threshold:
                _sift_down(heap, size, 0, scores)
                continue
        else:
            _keep(kept, row, box)
            _report(row, box, scores[i], class_id, settings, out)
            notes[3, row] = i
            row += 1
        size -= 1
        heap[0] = heap[size]
        _sift_down(heap, size, 0, scores)
    return row


@kernel(
    "int64(float32[:, ::1], int32[:, ::1], int64, float64[::1], float32[:, ::1],"
    " float32[:, ::1], float32[::1], int32[::1])"
)
def suppress(boxes, notes, count, settings, kept, out_boxes, out_scores, out_ids):
    """Choose among candidates, best first, and map the chosen to the frame.

    Every candidate is compared with the boxes kept so far, so the work is at most candidates
    x kept, and stops when as many are kept as there is room for.

    Args:
        boxes: Candidates; soft-NMS overwrites the scores.
        notes: Candidates' class ids, and scratch; afterwards row 3 holds the candidate of each
            chosen box.
        count: Number of candidates.
        settings: See `candidates`.
        kept: (5, room) float32, overwritten.
        out_boxes: (room, 4) float32, overwritten with boxes in frame pixels, clipped to it.
        out_scores: (room,) float32, overwritten.
        out_ids: (room,) int32, overwritten with class ids.

    Returns:
        Number of boxes chosen.
    """
    out = (out_boxes, out_scores, out_ids)
    if settings[METHOD] == SOFT:
        return _soft(boxes, notes, count, settings, kept, out)
    return _greedy(boxes, notes, count, settings, kept, out)


@kernel(
    "int64(float32[:, ::1], int32[:, ::1], int64, float64[::1],"
    " float32[:, ::1], float32[::1], int32[::1])"
)
def rank(boxes, notes, count, settings, out_boxes, out_scores, out_ids):
    """As `suppress`, without suppression: for models that did it themselves.

    Returns:
        Number of boxes chosen.
    """
    sort_by_score(boxes[4], count, notes[1], notes[2], notes[3])
    total = min(count, out_scores.size)
    for row in range(total):
        i = notes[1, row]
        _report(
            row, _box_of(boxes, i), boxes[4, i], notes[0, i], settings,
            (out_boxes, out_scores, out_ids),
        )  # fmt: skip
        notes[3, row] = i
    return total


@kernel("void(float32[:, ::1], float64[::1], float32[:, ::1])")
def map_boxes(boxes, settings, out):
    """Map boxes from input to frame pixels and clip them to the frame.

    Args:
        boxes: (n, 4) float32, x_min, y_min, x_max, y_max in input pixels.
        settings: See `candidates`.
        out: (n, 4) float32, overwritten; may be `boxes` itself.
    """
    offset_x, scale_x, width = settings[OFFSET_X], settings[SCALE_X], settings[FRAME_WIDTH]
    offset_y, scale_y, height = settings[OFFSET_Y], settings[SCALE_Y], settings[FRAME_HEIGHT]
    for i in range(boxes.shape[0]):
        out[i, 0] = to_frame(boxes[i, 0], offset_x, scale_x, width)
        out[i, 1] = to_frame(boxes[i, 1], offset_y, scale_y, height)
        out[i, 2] = to_frame(boxes[i, 2], offset_x, scale_x, width)
        out[i, 3] = to_frame(boxes[i, 3], offset_y, scale_y, height)

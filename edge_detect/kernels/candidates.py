"""The workspace that kernels share: settings, and the list of candidate boxes.

A *candidate* is a box whose score reached the threshold, in pixels of the model's input and
not clipped. Candidates lie in two caller-owned arrays, one column each:

    boxes  (5, capacity) float32: x_min, y_min, x_max, y_max, score
    notes  (5, capacity) int32:   class id, three rows of scratch for sorting, and the anchor,
                                  where a decoder asks for it

The capacity is at least LEAST_CAPACITY. After suppression, row 3 of the notes holds the
candidate of each box that was chosen.

Collecting kernels append to them and return the new count, which may exceed the capacity:
then nothing was written beyond it, and the caller makes room and starts again.

Behind the settings lie counters of *faults*: candidates that are dropped or changed because a
number in them is impossible. Kernels count, `edge_detect.models.faults` reports.
"""

import numpy as np

from edge_detect.kernels.registry import helper

__all__ = [
    "ABOVE_ONE",
    "AGNOSTIC",
    "CLASS_NUMBER",
    "DIOU",
    "FAR_OUTSIDE",
    "FAULTS",
    "FRAME_HEIGHT",
    "FRAME_WIDTH",
    "GREEDY",
    "INVERTED",
    "IOU",
    "LABELS",
    "LEAST_CAPACITY",
    "METHOD",
    "MULTI_LABEL",
    "NOT_A_BOX",
    "NOT_A_SCORE",
    "OFFSET_X",
    "OFFSET_Y",
    "SCALE_X",
    "SCALE_Y",
    "SCORE",
    "SETTINGS_LENGTH",
    "SOFT",
    "TINY",
    "TINY_PIXELS",
    "TOP_SCORE",
    "WITHOUT_LABEL",
    "append",
    "hold_score",
    "to_frame",
]

# Places in the (SETTINGS_LENGTH,) float64 array of settings.
SCORE = 0
IOU = 1
METHOD = 2
AGNOSTIC = 3
MULTI_LABEL = 4
OFFSET_X = 5
OFFSET_Y = 6
SCALE_X = 7
SCALE_Y = 8
FRAME_WIDTH = 9
FRAME_HEIGHT = 10
LABELS = 11  # class ids are below
# Counters of faults, zeroed before each collection.
NOT_A_SCORE = 12  # scores that are NaN; dropped
ABOVE_ONE = 13  # scores above 1; taken for 1
WITHOUT_LABEL = 14  # class numbers that the labels do not reach; dropped
NOT_A_BOX = 15  # boxes with a NaN or an infinite number; dropped
INVERTED = 16  # boxes whose right or lower edge comes before the other one; dropped
FAR_OUTSIDE = 17  # boxes that begin FAR_INPUTS inputs away from the input; dropped
TINY = 18  # boxes that all end within the first pixels; kept
# Examples of the faults, for the report.
TOP_SCORE = 19  # greatest score above 1
CLASS_NUMBER = 20  # the last class number without a label
SETTINGS_LENGTH = 21

FAULTS = slice(NOT_A_SCORE, SETTINGS_LENGTH)

# How many widths of the input a box may begin beside it before this is a fault.
FAR_INPUTS = 4.0
# Boxes in pixels that all end before this are likely to be relative to the input instead.
TINY_PIXELS = 2.0

# The sort counts digits of eight bits in a row of scratch.
LEAST_CAPACITY = 256

# Values of settings[METHOD].
GREEDY = 0
DIOU = 1
SOFT = 2

# Edges are held within this many input pixels, so that areas stay finite in float32.
_FAR = 1e6


@helper
def to_frame(value, offset, scale, limit):
    """Map one coordinate from input to frame pixels and clip it to the frame.

    Args:
        value: Input pixels.
        offset: Edge of the frame inside the input, in input pixels.
        scale: Input pixels per frame pixel.
        limit: Width or height of the frame in pixels.

    Returns:
        float32, frame pixels.
    """
    mapped = (value - offset) / scale
    if mapped < 0.0:
        mapped = 0.0
    if mapped > limit:
        mapped = limit
    return np.float32(mapped)


@helper
def hold_score(value, settings):
    """A probability within 0 and 1; what lies above by more than rounding counts as a fault.

    Args:
        value: float32 or float64, not NaN.
        settings: Settings, and the counters of faults.

    Returns:
        float32, 0 to 1.
    """
    if value > 1.0:
        if value > 1.001:
            settings[ABOVE_ONE] += 1.0
            settings[TOP_SCORE] = max(settings[TOP_SCORE], np.float64(value))
        return np.float32(1.0)
    return np.float32(max(value, 0.0))


@helper
def _count_misplaced(left, top, right, bottom, settings):
    """Count the faults that explain why nothing of a box lies in the frame."""
    if right < left or bottom < top:
        settings[INVERTED] += 1.0
        return
    width = settings[FRAME_WIDTH] * settings[SCALE_X] + 2.0 * settings[OFFSET_X]
    height = settings[FRAME_HEIGHT] * settings[SCALE_Y] + 2.0 * settings[OFFSET_Y]
    if left > (1.0 + FAR_INPUTS) * width or top > (1.0 + FAR_INPUTS) * height:
        settings[FAR_OUTSIDE] += 1.0


@helper
def append(boxes, notes, count, x_min, y_min, x_max, y_max, score, class_id, settings):
    """Add a candidate, unless it has a fault or nothing of it lies in the frame.

    Args:
        boxes: Candidates.
        notes: Candidates' class ids.
        count: Number of candidates so far.
        x_min: Left edge in input pixels; the others alike.
        y_min: Top edge.
        x_max: Right edge.
        y_max: Bottom edge.
        score: float32, 0 to 1, not NaN.
        class_id: Index into the labels; a fault where they do not reach it.
        settings: Settings, and the counters of faults.

    Returns:
        The new count.
    """
    if not 0 <= class_id < settings[LABELS]:
        settings[WITHOUT_LABEL] += 1.0
        settings[CLASS_NUMBER] = class_id
        return count
    if not np.isfinite(x_min + y_min + x_max + y_max):
        settings[NOT_A_BOX] += 1.0
        return count
    x_min = max(min(x_min, _FAR), -_FAR)
    y_min = max(min(y_min, _FAR), -_FAR)
    x_max = max(min(x_max, _FAR), -_FAR)
    y_max = max(min(y_max, _FAR), -_FAR)
    left = np.float32(x_min)
    top = np.float32(y_min)
    right = np.float32(x_max)
    bottom = np.float32(y_max)
    offset_x, scale_x, width = settings[OFFSET_X], settings[SCALE_X], settings[FRAME_WIDTH]
    offset_y, scale_y, height = settings[OFFSET_Y], settings[SCALE_Y], settings[FRAME_HEIGHT]
    if not (
        to_frame(right, offset_x, scale_x, width) > to_frame(left, offset_x, scale_x, width)
        and to_frame(bottom, offset_y, scale_y, height) > to_frame(top, offset_y, scale_y, height)
    ):
        _count_misplaced(left, top, right, bottom, settings)
        return count
    if count < boxes.shape[1]:
        boxes[0, count] = left
        boxes[1, count] = top
        boxes[2, count] = right
        boxes[3, count] = bottom
        # Minus zero, if it occurs, becomes zero: scores are sorted by their bits.
        boxes[4, count] = score + np.float32(0)
        notes[0, count] = class_id
    return count + 1

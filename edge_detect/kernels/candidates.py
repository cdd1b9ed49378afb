"""The workspace that kernels share: settings, and the list of candidate boxes.

A *candidate* is a box whose score reached the threshold, in pixels of the model's input and
not clipped. Candidates lie in two caller-owned arrays, one column each:

    boxes  (5, capacity) float32: x_min, y_min, x_max, y_max, score
    notes  (4, capacity) int32:   class id, and three rows of scratch for sorting

The capacity is at least LEAST_CAPACITY.

Collecting kernels append to them and return the new count, which may exceed the capacity:
then nothing was written beyond it, and the caller makes room and starts again.
"""

import numpy as np

from edge_detect.kernels.registry import helper

__all__ = [
    "AGNOSTIC",
    "DIOU",
    "FRAME_HEIGHT",
    "FRAME_WIDTH",
    "GREEDY",
    "IOU",
    "LEAST_CAPACITY",
    "METHOD",
    "MULTI_LABEL",
    "OFFSET_X",
    "OFFSET_Y",
    "SCALE_X",
    "SCALE_Y",
    "SCORE",
    "SETTINGS_LENGTH",
    "SOFT",
    "append",
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
SETTINGS_LENGTH = 11

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
def append(boxes, notes, count, x_min, y_min, x_max, y_max, score, class_id, settings):
    """Add a candidate, unless it is not finite or nothing of it lies in the frame.

    Returns:
        The new count.
    """
    if not np.isfinite(x_min + y_min + x_max + y_max):
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
    if not to_frame(right, offset_x, scale_x, width) > to_frame(left, offset_x, scale_x, width):
        return count
    offset_y, scale_y, height = settings[OFFSET_Y], settings[SCALE_Y], settings[FRAME_HEIGHT]
    if not to_frame(bottom, offset_y, scale_y, height) > to_frame(top, offset_y, scale_y, height):
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

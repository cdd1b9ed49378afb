"""The boxes and key points behind the anchors of an SSD."""

import math

import numpy as np

from edge_detect.kernels.candidates import OFFSET_X, OFFSET_Y, SCALE_X, SCALE_Y, append
from edge_detect.kernels.registry import TENSOR_TYPES, helper, kernel

__all__ = [
    "ANCHORS",
    "BACKGROUND",
    "CENTRE",
    "CODING",
    "COLUMNS",
    "CORNERS",
    "DISTANCES",
    "FIRST",
    "KIND",
    "LABEL_OFFSET",
    "LAST",
    "LAYOUT_LENGTH",
    "LINEAR",
    "PLACE_X",
    "PLACE_Y",
    "POINTS",
    "POINT_START",
    "POINT_STEP",
    "SHIFT",
    "START",
    "WIDTH",
    "append_anchor",
    "collect_keypoints",
]

# Places in the (LAYOUT_LENGTH,) int64 array that describes the tensors of one head.
ANCHORS = 0
COLUMNS = 1  # scores per anchor
FIRST = 2  # first column that is an object
LAST = 3  # the column after the last one that is an object
BACKGROUND = 4  # column of the background; -1 for none
LABEL_OFFSET = 5
SHIFT = 6
KIND = 7
WIDTH = 8  # values per anchor in the tensor of boxes
CODING = 9
PLACE_Y = 10  # of y among the four values of a box, or the two of a point
PLACE_X = 11
START = 12  # anchors of the heads before this one
POINTS = 13  # key points per anchor
POINT_START = 14  # where they begin among an anchor's values
POINT_STEP = 15  # values per anchor in the tensor of key points
LAYOUT_LENGTH = 16

# Values of layout[CODING]: what the four numbers of a box are.
CENTRE = 0  # offsets of the centre, logarithms of the size
LINEAR = 1  # offsets of the centre, size
CORNERS = 2  # offsets of both corners
DISTANCES = 3  # distances from the anchor's centre to the four sides


@helper
def _offset_of(element, row, table, shift, scale):
    if table.size:
        return np.float64(table[row, np.int64(element) + shift])
    return np.float64(element) / scale


@helper
def _growth_of(element, row, table, layout, scale):
    if table.size:
        return np.float64(table[row, np.int64(element) + layout[SHIFT]])
    if layout[CODING] == CENTRE:
        return math.exp(np.float64(element) / scale)
    return np.float64(element) / scale


@helper
def append_anchor(tensor, anchor, anchors, scales, table, layout, score, column, settings, *room):
    """Decode the box of one anchor and append it.

    Reference:
        Liu et al., "SSD: Single Shot MultiBox Detector", 2016, sec. 2.2, eq. 2, with the
        divisors ("variances") of the TensorFlow Object Detection API; sizes that are linear:
        MediaPipe's TensorsToDetectionsCalculator without `apply_exponential_on_box_size`;
        distances: Tian et al., "FCOS", 2019, eq. 1, in units of the anchor.
    """
    boxes, notes, count = room
    shift, coding, at = layout[SHIFT], layout[CODING], layout[WIDTH] * anchor
    y, x = anchors[anchor, 0], anchors[anchor, 1]
    height, width = anchors[anchor, 2], anchors[anchor, 3]
    place_y, place_x = at + layout[PLACE_Y], at + layout[PLACE_X]
    above = _offset_of(tensor[place_y], 1, table, shift, scales[0]) * height
    left = _offset_of(tensor[place_x], 2, table, shift, scales[1]) * width
    below = _growth_of(tensor[place_y + 2], 3, table, layout, scales[2]) * height
    right = _growth_of(tensor[place_x + 2], 4, table, layout, scales[3]) * width
    if coding == CORNERS:
        x_min, y_min = x - 0.5 * width + left, y - 0.5 * height + above
        x_max, y_max = x + 0.5 * width + right, y + 0.5 * height + below
    elif coding == DISTANCES:
        x_min, y_min, x_max, y_max = x - left, y - above, x + right, y + below
    else:
        half_w, half_h = 0.5 * right, 0.5 * below
        x_min, y_min = left + x - half_w, above + y - half_h
        x_max, y_max = left + x + half_w, above + y + half_h
    class_id = column + layout[LABEL_OFFSET]
    grown = append(
        boxes, notes, count, x_min, y_min, x_max, y_max, score, class_id, settings,
    )  # fmt: skip
    if grown > count and count < boxes.shape[1]:
        notes[4, count] = layout[START] + anchor
    return grown


@kernel(
    "void({T}[::1], float32[:, ::1], float32[:, ::1], float64[::1], int64[::1], float64[::1],"
    " int32[:, ::1], int64, float32[:, :, ::1])",
    *TENSOR_TYPES,
)
def collect_keypoints(tensor, table, anchors, scales, layout, settings, notes, total, out):
    """Decode the key points of the boxes that were chosen, and map them to the frame.

    Points are offsets from the anchor's centre in units of its size. They are not clipped:
    one that lies outside of the frame stays there.

    Args:
        tensor: (n POINT_STEP,) numbers of the points of each anchor.
        table: As in `collect_sigmoid`.
        anchors: (n, 4) float32, centre y, centre x, height, width in input pixels.
        scales: Divisors of y, x, and others.
        layout: See the constants of this module.
        settings: See `candidates`.
        notes: After suppression: the candidates' anchors in row 4, and in row 3 the candidate of
            each chosen box.
        total: Number of chosen boxes.
        out: (total or more, points, 2) float32; rows of this head's boxes are overwritten with
            x, y in frame pixels.

    Reference:
        MediaPipe, TensorsToDetectionsCalculator, `DecodeBoxes`.
    """
    shift = layout[SHIFT]
    for row in range(total):
        anchor = notes[4, notes[3, row]] - layout[START]
        if not 0 <= anchor < layout[ANCHORS]:
            continue
        y, x = anchors[anchor, 0], anchors[anchor, 1]
        height, width = anchors[anchor, 2], anchors[anchor, 3]
        at = layout[POINT_START] + layout[POINT_STEP] * anchor
        for point in range(layout[POINTS]):
            place_y, place_x = at + layout[PLACE_Y], at + layout[PLACE_X]
            point_y = y + height * _offset_of(tensor[place_y], 5, table, shift, scales[0])
            point_x = x + width * _offset_of(tensor[place_x], 6, table, shift, scales[1])
            out[row, point, 0] = (point_x - settings[OFFSET_X]) / settings[SCALE_X]
            out[row, point, 1] = (point_y - settings[OFFSET_Y]) / settings[SCALE_Y]
            at += 2

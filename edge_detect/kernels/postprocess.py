"""Collecting candidates from the outputs of TFLite_Detection_PostProcess."""

import math

import numpy as np

from edge_detect.kernels.candidates import (
    CLASS_NUMBER,
    NOT_A_SCORE,
    SCORE,
    WITHOUT_LABEL,
    append,
    hold_score,
)
from edge_detect.kernels.registry import kernel

__all__ = ["collect_rows"]


@kernel(
    "int64(float32[::1], float32[::1], float32[::1], float32[::1], float64[::1], int64,"
    " float64[::1], float32[:, ::1], int32[:, ::1])"
)
def collect_rows(corners, classes, scores, rows, input_size, label_offset, settings, boxes, notes):
    """Collect candidates from models with suppression inside the graph.

    A class number that is no whole number is a fault also where its score is low: the scores
    may stand where the classes are looked for, and the other way round.

    Args:
        corners: (4 n,) y_min, x_min, y_max, x_max relative to the input; may reach beyond it.
        classes: (n,) class numbers.
        scores: (n,)
        rows: (1,) number of valid rows; those after them are uninitialised and never read.
        input_size: (2,) float64, width and height of the input in pixels.
        label_offset: Added to a class number to get the index into the labels.
        settings: See `candidates`.
        boxes: Candidates, appended to from column 0 on.
        notes: Candidates' class ids.

    Returns:
        Number of candidates.
    """
    count = 0
    valid = min(scores.size, classes.size, corners.size // 4)
    if not rows[0] >= valid:
        valid = np.int64(rows[0]) if rows[0] > 0 else 0
    width, height = input_size[0], input_size[1]
    for row in range(valid):
        number, score = np.float64(classes[row]), scores[row]
        if abs(number - math.floor(number + 0.5)) > 0.01:
            settings[WITHOUT_LABEL] += 1.0
            settings[CLASS_NUMBER] = number
            continue
        if score < np.float32(settings[SCORE]):
            continue
        if score != score:  # noqa: PLR0124 - NaN
            settings[NOT_A_SCORE] += 1.0
            continue
        if not abs(number) < 1e9:
            # More than an integer holds, or NaN.
            settings[WITHOUT_LABEL] += 1.0
            settings[CLASS_NUMBER] = number
            continue
        at = 4 * row
        count = append(
            boxes, notes, count,
            corners[at + 1] * width, corners[at] * height,
            corners[at + 3] * width, corners[at + 2] * height,
            hold_score(score, settings), np.int64(math.floor(number + 0.5)) + label_offset,
            settings,
        )  # fmt: skip
    return count

"""Calling the kernels of non-maximum suppression, and candidates that are hard for them."""

import numpy as np

from edge_detect.kernels import candidates as places
from edge_detect.kernels import nms

METHODS = {"greedy": places.GREEDY, "diou": places.DIOU, "soft": places.SOFT}


def settings_for(letterbox, *, score=0.0, iou=0.5, method="greedy", agnostic=False):
    """The kernels' array of settings."""
    values = np.zeros(places.SETTINGS_LENGTH)
    values[[places.SCORE, places.IOU]] = np.float32(score), iou
    values[[places.METHOD, places.AGNOSTIC]] = METHODS[method], agnostic
    values[[places.OFFSET_X, places.OFFSET_Y]] = letterbox.offset_x, letterbox.offset_y
    values[[places.SCALE_X, places.SCALE_Y]] = letterbox.scale_x, letterbox.scale_y
    values[[places.FRAME_WIDTH, places.FRAME_HEIGHT]] = letterbox.frame
    return values


def run_suppress(boxes, scores, classes, values, room):
    """Call the kernel with fresh arrays; boxes, scores and class ids of what it keeps."""
    count = len(scores)
    columns = np.zeros((5, max(count, places.LEAST_CAPACITY)), np.float32)
    columns[:4, :count], columns[4, :count] = np.asarray(boxes).reshape(-1, 4).T, scores
    notes = np.zeros((4, columns.shape[1]), np.int32)
    notes[0, :count] = classes
    out = np.zeros((room, 4), np.float32), np.zeros(room, np.float32), np.zeros(room, np.int32)
    kept = np.zeros((5, room), np.float32)
    total = nms.suppress(columns, notes, count, values, kept, *out)
    return tuple(array[:total] for array in out)


ARRANGEMENTS = ("identical", "hardly overlapping", "nested", "scattered")


def arrangement(name, count, random):
    """Corners of many boxes within 416 x 416 pixels."""
    if name == "identical":
        return np.tile(np.float32([100, 100, 150, 150]), (count, 1))
    if name == "hardly overlapping":
        corner = np.stack([np.arange(count) % 100, np.arange(count) // 100], 1) * 4.0
        return np.hstack([corner, corner + 4.5]).astype(np.float32)
    if name == "nested":
        corner = 100 + random.uniform(0, 5, (count, 2))
        return np.hstack([corner, corner + random.uniform(50, 150, (count, 2))]).astype(np.float32)
    corner = random.uniform(0, 380, (count, 2))
    return np.hstack([corner, corner + random.uniform(10, 36, (count, 2))]).astype(np.float32)

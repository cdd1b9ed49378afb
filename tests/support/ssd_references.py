"""Decoding the raw heads of an SSD anchor by anchor, as the papers and frameworks write it."""

import math
from dataclasses import dataclass

import numpy as np

from support import references


@dataclass
class Candidate:
    """One box above the threshold; in input pixels."""

    score: float
    class_id: int
    box: tuple
    points: list


def decode(ssd, heads, anchors, thresholds):
    """All candidates of some heads, in order of head, anchor and class.

    Args:
        ssd: The section of the manifest.
        heads: Dictionaries of real values, one per head: boxes (n, width), scores (n, columns),
            and keypoints (n, 2 points) where they are a tensor of their own.
        anchors: (n, 4) of all heads: centre y, centre x, height, width.
        thresholds: Only score and multi_label count.
    """
    found = []
    rows = iter(anchors.astype(np.float64))
    for head in heads:
        for number in range(len(head["boxes"])):
            anchor = next(rows)
            values = head["boxes"][number]
            points = head["keypoints"][number] if "keypoints" in head else values[4:]
            scores = scores_of(head["scores"][number], ssd.scores)
            found += [
                Candidate(
                    float(scores[column]),
                    column + ssd.label_offset,
                    box_of(ssd, values[:4], anchor),
                    points_of(ssd, points, anchor),
                )
                for column in chosen(ssd, head["scores"][number], scores, thresholds)
            ]
    return found


def scores_of(values, kind):
    if kind == "softmax":
        shares = np.exp(values - values.max())
        return (shares / shares.sum()).astype(np.float32)
    return references.score(values, kind)


def chosen(ssd, values, scores, thresholds):
    """Columns of one anchor that become candidates."""
    first = 1 if ssd.background == "first" else 0
    last = len(scores) - 1 if ssd.background == "last" else len(scores)
    columns = range(first, last)
    if not thresholds.multi_label:
        columns = [max(columns, key=lambda column: (values[column], -column))]
    return [column for column in columns if scores[column] >= np.float32(thresholds.score)]


def ordered(ssd, four):
    """The numbers for y, x, height and width, divided."""
    named = dict(zip(ssd.box, four, strict=True))
    return [named[axis] / scale for axis, scale in zip("yxhw", ssd.box_scales, strict=True)]


def box_of(ssd, four, anchor):
    y, x, h, w = ordered(ssd, four)
    centre_y, centre_x, height, width = anchor
    if ssd.coding == "corners":
        top, left = centre_y - height / 2 + y * height, centre_x - width / 2 + x * width
        bottom, right = centre_y + height / 2 + h * height, centre_x + width / 2 + w * width
    elif ssd.coding == "distances":
        top, left = centre_y - y * height, centre_x - x * width
        bottom, right = centre_y + h * height, centre_x + w * width
    else:
        if ssd.coding == "centre":
            h, w = math.exp(h), math.exp(w)
        top = centre_y + y * height - h * height / 2
        left = centre_x + x * width - w * width / 2
        bottom, right = top + h * height, left + w * width
    return left, top, right, bottom


def points_of(ssd, numbers, anchor):
    """Key points x, y."""
    count = len(numbers) // 2 if ssd.keypoints is None else ssd.keypoints
    points = []
    for first, second in numbers[: 2 * count].reshape(-1, 2):
        y, x = (first, second) if ssd.box == "yxhw" else (second, first)
        y, x = y / ssd.box_scales[0], x / ssd.box_scales[1]
        points.append((anchor[1] + x * anchor[3], anchor[0] + y * anchor[2]))
    return points

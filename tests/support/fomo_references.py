"""Joining the cells of a FOMO by passing numbers on."""

import numpy as np


def scores_of(values, kind):
    """Scores of the classes in the last axis, float32."""
    if kind == "softmax":
        shares = np.exp(values - values.max(-1, keepdims=True))
        return (shares / shares.sum(-1, keepdims=True)).astype(np.float32)
    if kind == "sigmoid":
        return (1 / (1 + np.exp(-values))).astype(np.float32)
    return np.clip(values, 0, 1).astype(np.float32)


def groups_of(reached):
    """Cells that touch, also at a corner, as arrays of rows and columns.

    Each cell takes the least number around it until nothing changes.
    """
    rows, columns = reached.shape
    far = rows * columns
    numbers = np.where(reached, np.arange(far).reshape(rows, columns), far)
    while True:
        padded = np.pad(numbers, 1, constant_values=far)
        around = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
        least = np.where(reached, np.min(around, axis=0), far)
        if np.array_equal(least, numbers):
            return [np.nonzero(numbers == number) for number in np.unique(numbers[reached])]
        numbers = least


def decode(grid, fomo, size, threshold, *, multi_label):
    """(score, class id, box in input pixels) of each group.

    Args:
        grid: (rows, columns, scores) real values.
        fomo: The section of the manifest.
        size: Width and height of the input.
        threshold: Least score.
        multi_label: Whether a cell may be of several classes.
    """
    rows, columns, channels = grid.shape
    first = int(fomo.background)
    scores = scores_of(grid, fomo.scores)
    found = []
    for channel in range(first, channels):
        reached = scores[..., channel] >= np.float32(threshold)
        if not multi_label:
            reached &= grid[..., first:].argmax(-1) == channel - first
        for ys, xs in groups_of(reached):
            box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], float)
            box *= [size[0] / columns, size[1] / rows] * 2
            found.append((float(scores[ys, xs, channel].max()), channel - first, box))
    return found

"""Anchors one by one, in plain loops, as those who publish the models describe them.

Each function returns rows of centre y, centre x, height, width in input pixels.
"""

import math

import numpy as np


def ssd(size, *, feature_maps, min_scale, max_scale, aspect_ratios, interpolated=1.0, reduce=True):
    """The Object Detection API: normalized to the input, then to pixels."""
    width, height = size
    shorter = min(size)
    boxes = []
    for number, (columns, rows) in enumerate(feature_maps):

        def scale_of(layer):
            if layer == len(feature_maps):
                return 1.0
            return min_scale + (max_scale - min_scale) * layer / (len(feature_maps) - 1)

        scale = scale_of(number)
        if number == 0 and reduce:
            specs = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        else:
            specs = [(scale, ratio) for ratio in aspect_ratios]
            if interpolated:
                specs.append(((scale * scale_of(number + 1)) ** 0.5, interpolated))
        for y in range(rows):
            for x in range(columns):
                for size_of, ratio in specs:
                    high = size_of / ratio**0.5 * shorter / height
                    wide = size_of * ratio**0.5 * shorter / width
                    boxes.append([(y + 0.5) / rows, (x + 0.5) / columns, high, wide])
    return np.array(boxes) * [height, width, height, width]


def mediapipe(
    size, *, strides, min_scale, max_scale, aspect_ratios=(1.0,), interpolated=1.0, fixed=False,
    reduce=False, offset_x=0.5, offset_y=0.5, maps=None,
):  # fmt: skip
    """MediaPipe's calculator: layers of equal stride are one grid."""
    width, height = size
    boxes = []
    layer = 0

    def scale_of(index):
        if len(strides) == 1:
            return (min_scale + max_scale) / 2
        return min_scale + (max_scale - min_scale) * index / (len(strides) - 1)

    while layer < len(strides):
        shapes, last = [], layer
        while last < len(strides) and strides[last] == strides[layer]:
            scale = scale_of(last)
            if last == 0 and reduce:
                shapes += [(1.0, 0.1), (2.0, scale), (0.5, scale)]
            else:
                shapes += [(ratio, scale) for ratio in aspect_ratios]
                if interpolated:
                    following = 1.0 if last == len(strides) - 1 else scale_of(last + 1)
                    shapes.append((interpolated, math.sqrt(scale * following)))
            last += 1
        rows = maps[layer][1] if maps else math.ceil(height / strides[layer])
        columns = maps[layer][0] if maps else math.ceil(width / strides[layer])
        for y in range(rows):
            for x in range(columns):
                for ratio, scale in shapes:
                    high = 1.0 if fixed else scale / math.sqrt(ratio)
                    wide = 1.0 if fixed else scale * math.sqrt(ratio)
                    boxes.append([(y + offset_y) / rows, (x + offset_x) / columns, high, wide])
        layer = last
    return np.array(boxes) * [height, width, height, width]


def torchvision(size, *, feature_maps, ratios, min_ratio, max_ratio, steps=None, clip=True):
    """The DefaultBoxGenerator of torchvision: sizes are parts of width and height."""
    width, height = size
    count = len(feature_maps)
    scales = [min_ratio + (max_ratio - min_ratio) * k / (count - 1) for k in range(count)] + [1.0]
    boxes = []
    for k, (columns, rows) in enumerate(feature_maps):
        between = math.sqrt(scales[k] * scales[k + 1])
        pairs = [(scales[k], scales[k]), (between, between)]
        for ratio in ratios:
            wide, high = scales[k] * math.sqrt(ratio), scales[k] / math.sqrt(ratio)
            pairs += [(wide, high), (high, wide)]
        if clip:
            pairs = [(min(wide, 1.0), min(high, 1.0)) for wide, high in pairs]
        across = columns if steps is None else width / steps[k]
        down = rows if steps is None else height / steps[k]
        for j in range(rows):
            for i in range(columns):
                for wide, high in pairs:
                    boxes.append([(j + 0.5) / down, (i + 0.5) / across, high, wide])
    return np.array(boxes) * [height, width, height, width]


def caffe(size, *, steps, min_sizes, max_sizes, ratios, offset=0.5, clip=False):
    """Caffe's PriorBox, one layer per map, several sizes per layer; corners first."""
    width, height = size
    corners = []
    for step, smalls, larges in zip(steps, min_sizes, max_sizes, strict=True):
        for row in range(math.ceil(height / step)):
            for column in range(math.ceil(width / step)):
                x, y = (column + offset) * step, (row + offset) * step
                for small, large in zip(smalls, larges, strict=True):
                    pairs = [(small, small), ((small * large) ** 0.5,) * 2]
                    for ratio in ratios:
                        pairs.append((small * ratio**0.5, small / ratio**0.5))
                        pairs.append((small / ratio**0.5, small * ratio**0.5))
                    for wide, high in pairs:
                        corners.append([y - high / 2, x - wide / 2, y + high / 2, x + wide / 2])
    corners = np.array(corners)
    if clip:
        corners = np.clip(corners, 0, [height, width, height, width])
    top, bottom = corners[:, :2], corners[:, 2:]
    return np.hstack([(top + bottom) / 2, bottom - top])


def sizes_alone(size, *, steps, min_sizes):
    """UltraFace: squares, in parts of the input, held within it."""
    width, height = size
    boxes = []
    for step, sides in zip(steps, min_sizes, strict=True):
        for row in range(math.ceil(height / step)):
            for column in range(math.ceil(width / step)):
                for side in sides:
                    box = [(row + 0.5) / (height / step), (column + 0.5) / (width / step)]
                    boxes.append([*box, side / height, side / width])
    return np.clip(boxes, 0, 1) * [height, width, height, width]


def efficientdet(size, *, levels, octaves, aspects, anchor_scale):
    """google/automl: the stride is the input by the cells, scales vary slowest."""
    width, height = size
    boxes = []
    for level in levels:
        rows, columns = height, width
        for _ in range(level):
            rows, columns = (rows - 1) // 2 + 1, (columns - 1) // 2 + 1
        step_y, step_x = height / rows, width / columns
        for y in np.arange(step_y / 2, height, step_y):
            for x in np.arange(step_x / 2, width, step_x):
                for octave in range(octaves):
                    for aspect_x, aspect_y in aspects:
                        side = anchor_scale * 2 ** (octave / octaves)
                        boxes.append([y, x, side * step_y * aspect_y, side * step_x * aspect_x])
    return np.array(boxes)


def tf_levels(size, *, levels, octaves, ratios, anchor_scale):
    """The Object Detection API: strides are powers of two, ratios vary slowest.

    Where the input is no multiple of the stride, centres begin on its edge.
    """
    width, height = size
    boxes = []
    for level in levels:
        stride = 2**level
        first_y = stride / 2 if height % stride == 0 else 0
        first_x = stride / 2 if width % stride == 0 else 0
        for row in range(math.ceil(height / stride)):
            for column in range(math.ceil(width / stride)):
                for ratio in ratios:
                    for octave in range(octaves):
                        side = anchor_scale * stride * 2 ** (octave / octaves)
                        boxes.append(
                            [
                                first_y + row * stride,
                                first_x + column * stride,
                                side / math.sqrt(ratio),
                                side * math.sqrt(ratio),
                            ]
                        )
    return np.array(boxes)

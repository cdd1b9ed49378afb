"""Distances coded as distributions: what is found is what slow arithmetic finds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import decoded_models as models
from support import references
from support.decoded_models import Outputs, quantization

from edge_detect.core import Letterbox, Size
from edge_detect.models.decoders import make_decoder
from edge_detect.models.sections.dfl import DflLevel, DflSpec
from edge_detect.models.tensors import Thresholds

LETTERBOX = Letterbox.fit(Size(200, 100), Size(64, 64), keep_aspect=True)
# 64 is no multiple of 24: the last cells reach beyond the input.
STRIDES = (8, 24)
RANGES = {"probability": (0.0, 1.0), "sigmoid": (-6.0, 4.0)}


def slow_boxes(logits, stride, centre, bins):
    """Corners in input pixels from (cells, 4 x bins) logits of one grid."""
    side = math.ceil(64 / stride)
    corners = []
    for cell, row in enumerate(logits):
        x, y = (cell % side + centre) * stride, (cell // side + centre) * stride
        distances = []
        for each in row.reshape(4, bins):
            shares = np.exp(each - each.max())
            mean = (shares * np.arange(bins)).sum() / shares.sum()
            distances.append(stride * (mean if bins > 1 else each[0]))
        left, top, right, bottom = distances
        corners.append([x - left, y - top, x + right, y + bottom])
    return np.array(corners)


def shaped(values, stride, layout, *, grid):
    """(cells, values) as an output, with rows and columns or cells in one dimension."""
    side = math.ceil(64 / stride)
    values = values.T if layout == "columns" else values
    if not grid:
        return values[None]
    shape = (1, -1, side, side) if layout == "columns" else (1, side, side, values.shape[1])
    return values.reshape(shape)


def put(outputs, name, values, dtype, limits, shape_of):
    """Add an output; returns the (cells, values) real values that it holds."""
    scale, zero_point = quantization(dtype, *limits)
    outputs.add(name, shape_of(values), dtype, scale, zero_point)
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype).astype(np.float64)
    limits = np.iinfo(dtype)
    elements = np.clip(np.round(values / scale) + zero_point, limits.min, limits.max)
    return references.real(elements.astype(dtype), scale, zero_point)


@pytest.mark.parametrize("dtype", [*models.TYPES, "int16"])
@pytest.mark.parametrize("parts", ["boxes-classes", "classes-boxes", "apart"])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    labels=st.integers(1, 5),
    bins=st.sampled_from([1, 4, 8]),
    centre=st.sampled_from([0.0, 0.5]),
    kind=st.sampled_from(["sigmoid", "probability"]),
    layout=st.sampled_from(["rows", "columns"]),
    form=st.sampled_from(["grids", "cells", "together"]),
    density=st.sampled_from([0.02, 0.3, 1.0]),
    threshold=models.thresholds(),
    multi_label=st.booleans(),
)
def test_boxes_are_means_of_distributions(
    dtype, parts, seed, labels, bins, centre, kind, layout, form, density, threshold, multi_label
):
    random = np.random.default_rng(seed)
    sides, scores = [], []
    for stride in STRIDES:
        cells = math.ceil(64 / stride) ** 2
        sides.append(random.integers(0, 40, (cells, 4 * bins)) / 10)
        chance = random.integers(0, 64, (cells, labels)) / 64
        chance *= random.uniform(0, 1, chance.shape) < density
        scores.append(chance if kind == "probability" else 8 * chance - 5)
    outputs, names, real_sides, real_scores = Outputs(), [], [], []
    if form == "together":
        sides, scores = [np.concatenate(sides)], [np.concatenate(scores)]
    for number, (side, chance) in enumerate(zip(sides, scores, strict=True)):

        def shape_of(values, stride=STRIDES[number]):
            return shaped(values, stride, layout, grid=form == "grids")

        if parts == "apart":
            names.append({"boxes": f"boxes{number}", "classes": f"classes{number}"})
            real_sides.append(put(outputs, f"boxes{number}", side, dtype, (0, 4), shape_of))
            put_scores = put(outputs, f"classes{number}", chance, dtype, RANGES[kind], shape_of)
            real_scores.append(put_scores)
            continue
        names.append({"joined": f"joined{number}"})
        both = [side, chance] if parts == "boxes-classes" else [chance, side]
        real = put(outputs, f"joined{number}", np.hstack(both), dtype, (-6.0, 4.0), shape_of)
        at = 4 * bins if parts == "boxes-classes" else labels
        found = [real[:, :at], real[:, at:]]
        real_sides.append(found[parts != "boxes-classes"])
        real_scores.append(found[parts == "boxes-classes"])
    together = form == "together"
    levels = [
        DflLevel(stride=stride, outputs={} if together else names[number])
        for number, stride in enumerate(STRIDES)
    ]
    section = DflSpec(
        levels=levels, outputs=names[0] if together else {}, layout=layout, bins=bins,
        centre=centre, scores=kind, joined="boxes-classes" if parts == "apart" else parts,
    )  # fmt: skip
    spec = references.manifest("dfl", "raw", labels, 64, dfl=section)
    found = make_decoder(spec, outputs.infos).decode(
        outputs.tensors, LETTERBOX, Thresholds(threshold, 1.0, 10_000, multi_label)
    )

    split = [0, 64, 64 + 9]
    sides, ranks = np.concatenate(real_sides), np.concatenate(real_scores)
    boxes = np.concatenate(
        [
            slow_boxes(sides[split[i] : split[i + 1]], stride, centre, bins)
            for i, stride in enumerate(STRIDES)
        ]
    )
    in_frame = references.to_frame(boxes, LETTERBOX)
    chances = models.chances(ranks, kind)
    wanted = models.candidates(in_frame, ranks, chances, threshold, multi_label=multi_label)
    # Whether a box that touches the edge of the frame has an area in it depends on rounding.
    clear = [item for item in wanted if np.ptp(item[2][::2]) > 1e-3 < np.ptp(item[2][1::2])]
    widths = found.boxes[:, 2:] - found.boxes[:, :2]
    models.check(found[(widths > 1e-3).all(1)], clear, 2e-3)

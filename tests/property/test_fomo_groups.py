"""Cells of a FOMO that touch become one box, whatever the order in which they are looked at."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import fomo_references, references

from edge_detect.core import Letterbox, Size
from edge_detect.models.decoders import make_decoder
from edge_detect.models.sections.fomo import FomoSpec
from edge_detect.models.tensors import TensorInfo, Thresholds

RANGES = {"probability": (0.0, 1.0), "softmax": (-4.0, 4.0), "sigmoid": (-4.0, 4.0)}
LETTERBOX = Letterbox.fit(Size(100, 50), Size(64, 64), keep_aspect=True)


def make_grid(random, shape, dtype, kind):
    """Random elements, their description, and the real values behind them."""
    low, high = RANGES[kind]
    values = random.uniform(low, high, shape)
    if dtype == "float32":
        values = values.astype(np.float32)
        return values, TensorInfo("grid", 0, shape, values.dtype), values.astype(np.float64)
    scale, shift = (high - low) / 256, 128 if dtype == "int8" else 0
    zero = -round(low / scale) - shift
    elements = (np.floor(values / scale) + zero).clip(-shift, 255 - shift).astype(dtype)
    info = TensorInfo("grid", 0, shape, elements.dtype, scale, zero)
    return elements, info, references.real(elements, scale, zero)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)),
    kind=st.sampled_from(["probability", "softmax", "sigmoid"]),
    background=st.booleans(),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.97]),
    multi_label=st.booleans(),
)
def test_boxes_are_those_of_cells_that_touch(
    dtype, seed, shape, kind, background, threshold, multi_label
):
    rows, columns, objects = shape
    shape = (1, rows, columns, objects + background)
    section = FomoSpec(outputs={"grid": "grid"}, scores=kind, background=background)
    spec = references.manifest("fomo", "raw", objects, 64, fomo=section)
    elements, info, real = make_grid(np.random.default_rng(seed), shape, dtype, kind)
    found = make_decoder(spec, {"grid": info}).decode(
        {"grid": elements}, LETTERBOX, Thresholds(threshold, 0.5, 1000, multi_label)
    )
    wanted = fomo_references.decode(real[0], section, (64, 64), threshold, multi_label=multi_label)
    boxes = references.to_frame([box for _, _, box in wanted], LETTERBOX)
    inside = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) > 0
    rows = [(one[1], *box) for one, box, seen in zip(wanted, boxes, inside, strict=True) if seen]
    rows = np.array(rows).reshape(-1, 5)
    given_rows = np.column_stack([found.class_ids, found.boxes])
    order, other = (np.lexsort(each.round(2).T) for each in (given_rows, rows))
    np.testing.assert_allclose(given_rows[order], rows[other], atol=1e-3)
    scores = np.array([one[0] for one, seen in zip(wanted, inside, strict=True) if seen])
    np.testing.assert_allclose(found.scores[order], scores[other], atol=1e-6)
    assert np.all(np.diff(found.scores) <= 0)

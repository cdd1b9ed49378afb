"""Boxes are where the formulas of the papers put them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import references

from edge_detect.core import Letterbox, Size
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.decoders import make_decoder
from edge_detect.models.tensors import TensorInfo, Thresholds

TYPES = ("int8", "uint8", "float32")
EVERYTHING = Thresholds(0.0, 1.0, 10_000)


def tensor(name, shape, dtype, random):
    """Random elements whose real values lie within about -3 to 3."""
    if dtype == "float32":
        info = TensorInfo(name, 0, shape, np.dtype(np.float32))
        return random.uniform(-3, 3, shape).astype(np.float32), info
    zero_point = int(random.integers(-20, 20)) + (128 if dtype == "uint8" else 0)
    info = TensorInfo(
        name, 0, shape, np.dtype(dtype), float(random.uniform(0.01, 0.025)), zero_point
    )
    low = 128 if dtype == "int8" else 0
    return (random.integers(0, 256, shape) - low).astype(dtype), info


def values_of(array, info):
    return references.real(array, info.scale, info.zero_point)


def assert_same_boxes(found, corners, letterbox):
    """Every box has its counterpart; one without area in the frame may be missing."""
    wanted = references.to_frame(corners, letterbox)
    area = (wanted[:, 2] - wanted[:, 0]) * (wanted[:, 3] - wanted[:, 1])
    apart = np.abs(found.boxes[:, None] - wanted[None]).max(2)
    assert len(found) <= (area > 0).sum()
    assert apart.min(1, initial=np.inf).max(initial=0) < 2e-3
    assert apart[:, area > 1e-2].min(0, initial=np.inf).max(initial=0) < 2e-3


@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), box_scales=st.sampled_from([(10, 10, 5, 5), (1, 2, 3, 4)]))
def test_ssd_boxes_are_centre_size_coded_against_their_anchors(dtype, seed, box_scales):
    random = np.random.default_rng(seed)
    spec = references.ssd_manifest(box_scales=box_scales)
    boxes, boxes_info = tensor("boxes", (1, 18, 4), dtype, random)
    scores, scores_info = tensor("scores", (1, 18, 1), dtype, random)
    letterbox = Letterbox.fit(Size(200, 100), Size(64, 64), keep_aspect=True)
    decoder = make_decoder(spec, {"boxes": boxes_info, "scores": scores_info})
    found = decoder.decode({"boxes": boxes, "scores": scores}, letterbox, EVERYTHING)

    real = values_of(boxes[0], boxes_info) / box_scales
    anchor_y, anchor_x, anchor_h, anchor_w = anchor_boxes(
        spec.ssd.anchors, spec.input.frame_size
    ).T.astype(np.float64)
    y, x = real[:, 0] * anchor_h + anchor_y, real[:, 1] * anchor_w + anchor_x
    h, w = np.exp(real[:, 2]) * anchor_h, np.exp(real[:, 3]) * anchor_w
    corners = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1)
    assert_same_boxes(found, corners, letterbox)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    new_coords=st.booleans(),
    scale_x_y=st.sampled_from([1.0, 1.05, 2.0]),
)
def test_yolo_boxes_are_coded_against_cell_and_anchor(dtype, joined, seed, new_coords, scale_x_y):
    random = np.random.default_rng(seed)
    spec = references.yolo_manifest(joined=joined, new_coords=new_coords, scale_x_y=scale_x_y)
    tensors, infos, corners = {}, {}, []
    for number, head in enumerate(spec.yolo.heads):
        side = 64 // head.stride
        widths = {"joined": 16} if joined else {"boxes": 8, "objectness": 2, "classes": 6}
        for name, width in widths.items():
            drawn = tensor(f"{name}{number}", (1, side, side, width), dtype, random)
            tensors[f"{name}{number}"], infos[f"{name}{number}"] = drawn
        name = f"joined{number}" if joined else f"boxes{number}"
        rows = values_of(tensors[name], infos[name]).reshape(side, side, 2, -1)
        for row, column, anchor in np.ndindex(side, side, 2):
            t_x, t_y, t_w, t_h = rows[row, column, anchor, :4]
            if not new_coords:
                t_x, t_y = 1 / (1 + np.exp(-t_x)), 1 / (1 + np.exp(-t_y))
            x = (t_x * scale_x_y - (scale_x_y - 1) / 2 + column) * head.stride
            y = (t_y * scale_x_y - (scale_x_y - 1) / 2 + row) * head.stride
            grow_w, grow_h = (
                ((2 * t_w) ** 2, (2 * t_h) ** 2) if new_coords else (np.exp(t_w), np.exp(t_h))
            )
            w, h = np.array(head.anchors[anchor]) * (grow_w, grow_h)
            corners.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    letterbox = Letterbox.fit(Size(100, 200), Size(64, 64), keep_aspect=True)
    found = make_decoder(spec, infos).decode(tensors, letterbox, EVERYTHING)
    assert_same_boxes(found, corners, letterbox)

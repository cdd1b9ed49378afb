"""Every coding of a YOLO grid gives the boxes and scores that its paper's formulas give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import references
from support import yolo_references as yolo

from edge_detect.models.decoders import make_decoder
from edge_detect.models.tensors import Thresholds

TYPES = ("int8", "uint8", "float32")
PARTS = {"boxes": slice(0, 4), "objectness": slice(4, 5), "classes": slice(5, None)}
CODINGS = [("exponential", 1.05), ("squared", 2.0), ("squared", 1.0), ("linear", 1.0)]


class Grids:
    """Random grids of one model: real numbers, and the tensors that stand for them."""

    def __init__(self, spec, dtype, random):
        self.spec, self.reals = spec, []
        self.tensors, self.infos = {}, {}
        split, section = spec.head == "split", spec.yolo
        columns = len(spec.labels)
        parts = list(PARTS) if split else ["joined"]
        # One scale for each tensor, also where grids share it.
        scales = {
            name: (float(random.uniform(0.02, 0.05)), int(random.integers(-20, 20)))
            for head in section.heads
            for name in head.outputs.values()
        }
        pieces = {}
        for head in section.heads:
            side, anchors = yolo.SIZE // head.stride, len(section.anchors(head))
            shape = (side, side, anchors, 5 + columns)
            real = np.empty(shape)
            for part in parts:
                name = head.outputs[part]
                column = PARTS[part] if split else slice(None)
                tensor = draw(dtype, real[..., column].shape, random, scales[name][1])
                if dtype == "float32":
                    real[..., column] = references.real(tensor, 0, 0)
                else:
                    scale, zero = scales[name]
                    zero += 128 if dtype == "uint8" else 0
                    real[..., column] = references.real(tensor, scale, zero)
                pieces.setdefault(name, []).append(yolo.order(tensor, section.layout))
            self.reals.append(real)
        for name, grids in pieces.items():
            if len(grids) > 1:
                values = {"b": 4, "o": 1, "c": columns, "j": 5 + columns}[name[0]]
                tensor = np.concatenate([one.reshape(1, -1, values) for one in grids], 1)
            else:
                tensor = grids[0]
            scale, zero = scales[name]
            zero += 128 if dtype == "uint8" else 0
            described = (0.0, 0) if dtype == "float32" else (scale, zero)
            self.tensors[name] = tensor
            self.infos[name] = yolo.info_of(name, tensor, *described)

    def candidates(self, threshold, *, multi_label):
        section, found = self.spec.yolo, []
        for head, real in zip(self.spec.yolo.heads, self.reals, strict=True):
            how = {
                "coding": section.coding,
                "activated": section.activated,
                "classes": section.classes,
                "scale_x_y": section.stretch(head),
            }
            found += yolo.candidates_of(
                real, section.anchors(head), head.stride, how,
                threshold=threshold, multi_label=multi_label,
            )  # fmt: skip
        return found


def draw(dtype, shape, random, zero):
    """Elements whose real values lie within some units of 0."""
    if dtype == "float32":
        return random.uniform(-3, 3, shape).astype(np.float32)
    low = 128 if dtype == "int8" else 0
    middle = zero + (128 if dtype == "uint8" else 0)
    values = random.integers(0, 256, shape) - low
    return np.clip(values, middle - 100, middle + 100).clip(-low, 255 - low).astype(dtype)


def assert_found(found, candidates, *, exact):
    """Detections are the candidates, but for boxes without any area in the frame."""
    letterbox = references.plain(yolo.SIZE)
    boxes = references.to_frame([one.box for one in candidates], letterbox)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = list(range(len(found)))
    for one, box, size in zip(candidates, boxes, area, strict=True):
        close = [
            i
            for i in left
            if found.class_ids[i] == one.class_id
            and (found.scores[i] == one.score if exact else abs(found.scores[i] - one.score) < 1e-5)
            and np.abs(found.boxes[i] - box).max() < 2e-3
        ]
        assert close or size < 1e-2, f"{one} is missing"
        if close:
            left.remove(close[0])
    assert not left, f"{len(left)} detections are none of the candidates"


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("coding", "scale_x_y"), CODINGS)
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    activated=st.booleans(),
    classes=st.sampled_from(["sigmoid", "softmax", "none"]),
    layout=st.sampled_from(["cells", "anchors"]),
    split=st.booleans(),
    shared=st.booleans(),
    multi_label=st.booleans(),
    threshold=st.sampled_from([0.0, 0.05, 0.3, 0.8]),
)
def test_boxes_and_scores_are_those_of_the_formulas(
    dtype, coding, scale_x_y, seed, activated, classes, layout, split, shared, multi_label,
    threshold,
):  # fmt: skip
    random = np.random.default_rng(seed)
    labels = 1 if classes == "none" else int(random.integers(1, 5))
    spec = yolo.manifest(
        labels, split, coding=coding, activated=activated, classes=classes, layout=layout,
        shared=shared, scale_x_y=scale_x_y,
    )  # fmt: skip
    grids = Grids(spec, dtype, random)
    found = make_decoder(spec, grids.infos).decode(
        grids.tensors, references.plain(yolo.SIZE), Thresholds(threshold, 1.0, 1000, multi_label)
    )
    # Shares may differ in the last bits, so those at the threshold may fall on either side.
    softmax = classes == "softmax" and not activated
    wanted = grids.candidates(threshold, multi_label=multi_label)
    assert_found(found, wanted, exact=not softmax)


@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), threshold=st.floats(0, 1), multi_label=st.booleans())
def test_shares_of_a_softmax_select_as_dequantized_ones_do(dtype, seed, threshold, multi_label):
    """Only what lies within a millionth of the threshold may fall on either side."""
    spec = yolo.manifest(4, split=True, coding="exponential", classes="softmax")
    grids = Grids(spec, dtype, np.random.default_rng(seed))
    for name, tensor in grids.tensors.items():
        if name.startswith("boxes"):
            tensor[...] = grids.infos[name].zero_point
    for real in grids.reals:
        real[..., :4] = 0
    found = make_decoder(spec, grids.infos).decode(
        grids.tensors, references.plain(yolo.SIZE), Thresholds(threshold, 1.0, 1000, multi_label)
    )
    surely = grids.candidates(threshold * (1 + 1e-6), multi_label=multi_label)
    perhaps = grids.candidates(threshold * (1 - 1e-6), multi_label=multi_label)
    assert len(surely) <= len(found) <= len(perhaps)
    scores = sorted((one.score for one in perhaps), reverse=True)[: len(found)]
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5, atol=1e-37)

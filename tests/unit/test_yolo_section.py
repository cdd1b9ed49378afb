"""What a manifest may say about the grids of a YOLO, and what does not fit its tensors."""

import numpy as np
import pytest
from pydantic import ValidationError
from support import references
from support import yolo_references as yolo

from edge_detect.core import ModelError
from edge_detect.models.decoders import make_decoder
from edge_detect.models.sections.yolo import YoloSpec
from edge_detect.models.tensors import Thresholds

EVERYTHING = Thresholds(0.5, 1.0, 1000)
HEAD = {"stride": 32, "anchors": [[2, 3]], "outputs": {"joined": "joined0"}}


def section(head=(), **keys):
    return YoloSpec.model_validate({"heads": [{**HEAD, **dict(head)}], **keys})


def decode(spec, **tensors):
    infos = {name: yolo.info_of(name, tensor) for name, tensor in tensors.items()}
    box = references.plain(yolo.SIZE)
    return references.decode(make_decoder(spec, infos), tensors, box, EVERYTHING)


def test_new_coords_is_another_name_for_squared_and_activated():
    spec = section(new_coords=True)
    assert (spec.coding, spec.activated) == ("squared", True)
    assert section(**spec.model_dump(exclude={"heads"})) == spec


@pytest.mark.parametrize(
    "keys", [{"coding": "linear"}, {"coding": "exponential"}, {"activated": False}]
)
def test_new_coords_that_contradicts_the_coding_is_refused(keys):
    with pytest.raises(ValidationError, match="new_coords means coding"):
        section(new_coords=True, **keys)


@pytest.mark.parametrize(
    ("keys", "stretch"),
    [({}, 1), ({"coding": "squared"}, 2), ({"new_coords": True}, 1), ({"coding": "linear"}, 1)],
)
def test_the_centre_is_stretched_as_the_coding_does_unless_the_head_says_otherwise(keys, stretch):
    spec = section(**keys)
    assert spec.stretch(spec.heads[0]) == stretch
    if spec.coding != "linear":
        given = section({"scale_x_y": 1.1}, **keys)
        assert given.stretch(given.heads[0]) == 1.1


def test_anchors_may_be_given_in_cells_and_left_out_where_there_is_one_per_cell():
    spec = section(anchor_unit="cells")
    assert spec.anchors(spec.heads[0]) == [(64, 96)]
    spec = section({"anchors": []}, coding="linear")
    assert spec.anchors(spec.heads[0]) == [(32, 32)]
    with pytest.raises(ValidationError, match='coding = "squared" needs anchors'):
        section({"anchors": []}, coding="squared")


def test_a_coding_without_stretch_refuses_one():
    with pytest.raises(ValidationError, match='coding = "linear" has no scale_x_y'):
        section({"scale_x_y": 2}, coding="linear")


def test_a_centre_box_of_yolov5_and_of_yolox_are_where_their_papers_put_them():
    """Zeros in cell (1, 0): the middle of the cell with the anchor's size, or its corner."""
    spec = yolo.manifest(1, split=False, strides=(32,), coding="squared", layout="anchors")
    tensor = np.zeros((1, 3, 2, 2, 6), np.float32)
    tensor[..., 4:] = -9
    tensor[0, 2, 0, 1, 4:] = 9
    found = decode(spec, joined0=tensor)
    np.testing.assert_allclose(found.boxes, [[48 - 4.5, 16 - 5.5, 48 + 4.5, 16 + 5.5]])
    spec = yolo.manifest(1, split=False, strides=(32,), coding="linear", activated=True)
    tensor = np.zeros((1, 2, 2, 6), np.float32)
    tensor[0, 1, 1, 4:] = 1
    found = decode(spec, joined0=tensor)
    np.testing.assert_allclose(found.boxes, [[16, 16, 48, 48]])


def test_objectness_alone_is_the_score_where_the_class_is_certain():
    """YOLOv7 with one class: its class output is never trained, and would halve all scores."""
    spec = yolo.manifest(1, split=False, strides=(32,), coding="exponential", classes="none")
    for width in (6, 5):
        tensor = np.full((1, 2, 2, 3 * width), -9, np.float32)
        tensor[0, 0, 0, 4] = 2
        assert decode(spec, joined0=tensor).scores.tolist() == pytest.approx([0.8808], abs=1e-4)


def test_two_labels_without_class_scores_are_refused():
    spec = yolo.manifest(2, split=False, coding="exponential", classes="none")
    with pytest.raises(ModelError, match='2 labels and classes = "none"'):
        decode(spec)


@pytest.mark.parametrize(
    ("layout", "shape", "hint"),
    [
        ("cells", (1, 3, 2, 2, 6), 'layout = "anchors"'),
        ("anchors", (1, 2, 2, 18), 'layout = "cells"'),
        ("cells", (1, 18, 2, 2), "channels come first"),
        ("anchors", (1, 18, 2, 2), "channels come first"),
        ("cells", (1, 2, 2, 21), "correct labels"),
        ("cells", (1, 9, 8), "correct labels"),
    ],
)
def test_values_in_another_order_are_refused_with_the_way_out(layout, shape, hint):
    spec = yolo.manifest(1, split=False, strides=(32,), coding="squared", layout=layout)
    with pytest.raises(ModelError, match="'joined0' has shape") as caught:
        decode(spec, joined0=np.zeros(shape, np.float32))
    assert hint in caught.value.hint


@pytest.mark.parametrize("shape", [(1, 2, 2, 18), (1, 2, 2, 3, 6), (1, 4, 18), (1, 12, 6), (72,)])
def test_cells_anchors_and_values_may_be_joined_in_any_way_that_keeps_their_order(shape):
    spec = yolo.manifest(1, split=False, strides=(32,), coding="squared")
    tensor = np.full(72, -9, np.float32)
    tensor[5 * 6 :][:6] = [0, 0, 0, 0, 9, 9]
    found = decode(spec, joined0=tensor.reshape(shape))
    np.testing.assert_allclose(found.boxes, [[48 - 4.5, 16 - 5.5, 48 + 4.5, 16 + 5.5]])


def test_grids_that_lie_in_one_tensor_are_told_by_their_sizes():
    spec = yolo.manifest(1, split=False, strides=(32, 16, 8), coding="linear", shared=True)
    tensor = np.full((1, 4 + 16 + 64, 6), -9, np.float32)
    tensor[0, 4 + 16 + 9] = [0, 0, 0, 0, 9, 9]
    np.testing.assert_allclose(decode(spec, joined0=tensor).boxes, [[4, 4, 12, 12]])
    with pytest.raises(ModelError, match=r"has shape \(1, 85, 6\), .* asks for \(1, 84, 6\)"):
        decode(spec, joined0=np.zeros((1, 85, 6), np.float32))


def test_scores_that_are_not_a_number_are_counted_and_logged(caplog):
    spec = yolo.manifest(2, split=True, strides=(32,), coding="exponential")
    boxes, classes = np.zeros((1, 2, 2, 12), np.float32), np.zeros((1, 2, 2, 6), np.float32)
    objectness = np.full((1, 2, 2, 3), np.nan, np.float32)
    assert len(decode(spec, boxes0=boxes, objectness0=objectness, classes0=classes)) == 0
    assert "12 scores are NaN" in caplog.text


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_activated_scores_above_one_are_counted_and_logged(dtype, caplog):
    """They are logits, and the manifest is wrong."""
    spec = yolo.manifest(1, split=True, strides=(32,), coding="exponential", activated=True)
    names = {"boxes0": 12, "objectness0": 3, "classes0": 3}
    tensors = {name: np.full((1, 2, 2, size), 3, dtype) for name, size in names.items()}
    scale = {"scale": 1.0} if dtype == np.uint8 else {}
    infos = {name: yolo.info_of(name, tensor, **scale) for name, tensor in tensors.items()}
    found = make_decoder(spec, infos).decode(tensors, references.plain(yolo.SIZE), EVERYTHING)
    assert set(found.scores.tolist()) == {1.0}
    assert "24 scores are above 1, up to 3" in caplog.text

"""Outputs that fit more than one family or order: what tells them apart, and what is found then.

The input is 64 x 64 pixels, and the object is from 24, 24 to 40, 40 unless said.
"""

from functools import partial

import numpy as np
import pytest
from support import lone_models
from support.flatbuffer_writer import Scalar
from support.lone_models import check_found, write_lone
from support.made_models import Op, tensor

from edge_detect.core import ModelError
from edge_detect.models import find_model, load_model

LEAKY_RELU, CONCATENATION, CONV_2D = 98, 2, 3


@pytest.fixture
def make(tmp_path):
    """Write a model and the files beside it; returns its path."""
    return partial(write_lone, tmp_path)


def found_in(path, query=""):
    return lone_models.found_in(path, query)[0]


def anchored(channels, class_id, shape=None):
    """Grids of three anchors: one object in the middle, with the first anchor of stride 16."""
    outputs = []
    for side in (8, 4, 2):
        values = np.full((1, side, side, 3, channels // 3), -9.0)
        if side == 4:
            values[0, 2, 2, 0, :5] = [-20, -20, 0, 0, 6]
            values[0, 2, 2, 0, 5 + class_id] = 6
        if shape == "anchors":
            values = np.moveaxis(values, 3, 1)
        else:
            values = values.reshape(1, side, side, channels)
        outputs.append(tensor(f"o{side}", values.shape, values=values))
    return outputs


ANCHORS = "?anchors=4,4,5,5,6,6,16,16,20,20,24,24,30,30,40,40,50,50"


@pytest.mark.parametrize("shape", [None, "anchors"])
def test_anchors_in_a_query_tell_raw_grids_from_distributions(make, shape):
    """75 channels are 3 x (5 + 20), as of VOC, and 64 + 11."""
    check_found(found_in(make(anchored(75, 4, shape)), ANCHORS), "class 4")


def test_grids_that_may_have_anchors_or_distributions_are_refused_with_both_keys(make):
    with pytest.raises(ModelError, match=r"3 x \(5 \+ 20\) of YOLOv3 .*or 64 \+ 11") as error:
        find_model(make(anchored(75, 4)))
    assert "m.tflite?anchors=W,H,W,H,… (9 pairs)" in error.value.hint
    assert "m.tflite?family=dfl" in error.value.hint


@pytest.mark.parametrize("name", ["m.txt", "labels.txt"])
def test_a_list_of_labels_tells_anchors_from_distributions(make, name):
    of_anchors = "\n".join(f"name {number}" for number in range(20))
    with pytest.raises(ModelError, match="the anchors are not in the file"):
        find_model(make(anchored(75, 4), beside={name: of_anchors}))
    check_found(found_in(make(anchored(75, 4), beside={name: of_anchors}), ANCHORS), "name 4")


@pytest.mark.parametrize("channels", [75, 144])
def test_an_activation_of_darknet_tells_anchors_from_distributions(make, channels):
    leaky = {
        "operators": [Op(LEAKY_RELU, ["image"], ["aside"])],
        "constants": [tensor("aside", (1, 64, 64, 3))],
    }
    with pytest.raises(ModelError, match="the anchors are not in the file") as error:
        find_model(make(anchored(channels, 4), **leaky))
    assert "family=dfl" not in error.value.hint


def convolved(outputs):
    """The same outputs, each made by a convolution: 1 x 1, of the same tensor."""
    channels = outputs[0].shape[-1]
    kernel = np.eye(channels).reshape(channels, 1, 1, channels)
    constants = [tensor("kernel", kernel.shape, values=kernel)]
    constants += [tensor(f"{each.name}x", each.shape, values=each.values) for each in outputs]
    constants.append(tensor("bias", (channels,), values=0))
    strides = {1: Scalar("i", 1), 2: Scalar("i", 1)}
    operators = [
        Op(CONV_2D, [f"{each.name}x", "kernel", "bias"], [each.name], 1, strides)
        for each in outputs
    ]
    made = [tensor(each.name, each.shape) for each in outputs]
    return {"outputs": made, "constants": constants, "operators": operators}


def test_a_convolution_tells_anchors_of_43_classes_from_distributions_of_80(make):
    """144 channels are 3 x (5 + 43), and 64 + 80: those of YOLOv8 for COCO, joined."""
    with pytest.raises(ModelError, match="the anchors are not in the file") as error:
        find_model(make(**convolved(anchored(144, 4))))
    assert "family=dfl" not in error.value.hint
    check_found(found_in(make(**convolved(anchored(144, 4))), ANCHORS), "class 4")


def test_144_channels_whose_maker_tells_nothing_are_a_yolov8_for_coco(make):
    check_found(found_in(make(raw_yolov8(80, 16))), "dog", (8, 8, 24, 24))


@pytest.mark.parametrize("count", [3, 79])
@pytest.mark.parametrize("asked", [False, True])
def test_a_list_of_another_length_does_not_make_grids_for_coco_a_yolov8(make, count, asked):
    """255 channels are 3 x (5 + 80), and 64 + 191; the first anchor of stride 16 is 30 x 61."""
    labels = "\n".join(f"name {number}" for number in range(count))
    path = make(anchored(255, 3), beside={"other.txt" if asked else "m.txt": labels})
    query = "?labels=other.txt" if asked else ""
    with load_model(f"{path}{query}", accelerator="cpu") as detector:
        found = detector(np.zeros((64, 64, 3), np.uint8))
        assert any(f"{count} labels" in each for each in detector.inferred.remarks)
    assert found.class_ids.tolist() == [3]
    assert found.boxes[0] == pytest.approx([17, 1.5, 47, 62.5], abs=0.1)


def raw_yolov8(classes, class_id):
    """Grids of 64 + classes channels: one object around the centre of the cell 0 of stride 32."""
    outputs = []
    for side in (8, 4, 2):
        values = np.full((1, side, side, 64 + classes), -9.0)
        if side == 2:
            # Distances of a quarter of a cell: a bin of 0 with 3/4 and one of 1 with 1/4.
            logits = np.full((4, 16), -30.0)
            logits[:, 0], logits[:, 1] = np.log(3), 0
            values[0, 0, 0, :64], values[0, 0, 0, 64 + class_id] = logits.ravel(), 4
        outputs.append(tensor(f"o{side}", values.shape, values=values))
    return outputs


@pytest.mark.parametrize("beside", [{"labels.txt": "a\nb\nc\nd\ne\n"}, {}])
def test_distributions_of_69_channels_are_told_by_labels_or_the_family(make, beside):
    """69 channels are 64 + 5, and 3 x (5 + 18)."""
    found = found_in(make(raw_yolov8(5, 2), beside=beside), "" if beside else "?family=dfl")
    check_found(found, "c" if beside else "class 2", (8, 8, 24, 24))


@pytest.mark.parametrize(
    ("classes", "bins", "kind"),
    [(64, 8, "PicoDet"), (32, 16, "YOLOv8 with raw grids"), (0, 16, "YOLOv8 with raw grids")],
)
@pytest.mark.parametrize("order", [1, -1])
def test_labels_tell_64_classes_of_a_picodet_from_32_of_a_yolov8(make, classes, bins, kind, order):
    outputs = [
        tensor(f"{side}{values}", (1, side, side, values), values=0)
        for side in (8, 4, 2)
        for values in (64, 32)[::order]
    ]
    labels = "\n".join(f"name {number}" for number in range(classes))
    entry = find_model(make(outputs, beside={"labels.txt": labels} if classes else None))
    assert (entry.spec.dfl.bins, len(entry.spec.labels)) == (bins, classes or 32)
    names = {"boxes": f"8{4 * bins}", "classes": f"8{classes or 32}"}
    assert entry.spec.dfl.levels[0].outputs == names
    found = entry.inferred.find("kind")
    assert (found.value, found.certain) == (kind, bool(classes))
    assert ("guessed: YOLOv8 with raw grids" in entry.inferred.summary()) == (not classes)


def test_a_graph_that_joins_distances_and_classes_tells_distributions(make):
    parts, outputs, operators = [], [], []
    for each in raw_yolov8(5, 2):
        sides = np.split(each.values, [64], axis=-1)
        names = [f"{each.name}{part}" for part in "bc"]
        parts += [
            tensor(name, part.shape, values=part) for name, part in zip(names, sides, strict=True)
        ]
        outputs.append(tensor(each.name, each.shape))
        operators.append(Op(CONCATENATION, names, [each.name], 10, {0: Scalar("i", 3)}))
    found = found_in(make(outputs, constants=parts, operators=operators))
    check_found(found, "class 2", (8, 8, 24, 24))

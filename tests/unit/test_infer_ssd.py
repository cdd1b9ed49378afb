"""Which SSD a file is told to be, and which of its classes is the first object."""

import pytest
from support.made_models import Op, postprocess, tensor, write_made

from edge_detect.core import ModelError
from edge_detect.models import find_model

LOGISTIC, EXP = 14, 47


@pytest.fixture
def made(tmp_path):
    """Write a model of some input size and outputs; returns what is told of it."""

    def make(size, *outputs, **others):
        image = tensor("image", (1, size[1], size[0], 3))
        for each in outputs:
            each.values = 0
        return find_model(write_made(tmp_path / "model.tflite", [image], outputs, **others))

    return make


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_outputs_of_the_postprocess_operator_are_told_by_its_own_order(tmp_path, order):
    names = ("a", "b", "c", "d")
    model = postprocess(names=names, output_order=order)
    spec = find_model(write_made(tmp_path / "ssd.tflite", **model)).spec
    assert spec.head == "postprocess"
    assert spec.ssd.outputs == {"boxes": "a", "classes": "b", "scores": "c", "count": "d"}
    assert (spec.input.resize, spec.input.encoding) == ("stretch", "pixels")


def test_suppression_inside_the_graph_says_its_iou(tmp_path):
    model = postprocess(options={"nms_iou_threshold": 0.35})
    assert find_model(write_made(tmp_path / "a.tflite", **model)).spec.nms.iou_threshold == 0.35


@pytest.mark.parametrize(
    ("lines", "offset", "first"),
    [
        (["???", "cat", "dog"], 1, "cat"),
        (["background", "cat", "dog"], 1, "cat"),
        (["cat", "dog"], 0, "cat"),
        (["cat", "dog", "fish"], 0, "cat"),
    ],
)
def test_the_first_line_of_the_labels_tells_the_label_offset(tmp_path, lines, offset, first):
    (tmp_path / "ssd.txt").write_text("\n".join(lines))
    spec = find_model(write_made(tmp_path / "ssd.tflite", **postprocess(classes=2))).spec
    assert spec.ssd.label_offset == offset
    assert spec.labels[offset] == first


def test_eighty_names_for_ninety_ids_get_the_gaps_of_coco(tmp_path):
    names = [f"name {number}" for number in range(1, 81)]
    (tmp_path / "ssd.txt").write_text("\n".join(names))
    spec = find_model(write_made(tmp_path / "ssd.tflite", **postprocess(classes=90))).spec
    assert (spec.labels[10], spec.labels[11], spec.labels[12]) == ("name 11", "n/a", "name 12")
    assert spec.labels[89] == "name 80"


def test_classes_that_a_list_does_not_reach_get_numbers(tmp_path):
    (tmp_path / "ssd.txt").write_text("???\ncat\n")
    spec = find_model(write_made(tmp_path / "ssd.tflite", **postprocess(classes=3))).spec
    assert spec.labels == ["n/a", "cat", "class 2", "class 3"]


@pytest.mark.parametrize(
    ("size", "count", "kind"),
    [
        (300, 1917, "ssd"),
        (320, 2034, "ssd"),
        (320, 19206, "levels"),
        (320, 12804, "levels"),
    ],
)
def test_raw_heads_of_an_ssd_are_told_by_the_number_of_their_anchors(made, size, count, kind):
    outputs = tensor("a", (1, count, 4)), tensor("b", (1, count, 91))
    spec = made((size, size), *outputs).spec
    assert spec.ssd.anchors.kind == kind
    assert (spec.ssd.background, len(spec.labels)) == (
        ("none", 91) if count == 19206 else ("first", 90)
    )
    if spec.ssd.background == "first":
        assert spec.ssd.label_offset == -1


def test_an_efficientdet_of_another_size_than_lite_is_a_guess(made):
    def summary(side, count):
        outputs = tensor("a", (1, count, 4)), tensor("b", (1, count, 90))
        return made((side, side), *outputs).inferred.summary()

    assert summary(320, 19206).startswith("EfficientDet-Lite (from its shapes)")
    assert "guessed: EfficientDet-Lite" in summary(512, 49104)


def test_another_number_of_anchors_is_not_taken_for_an_ssd(made):
    with pytest.raises(ModelError, match="no known kind"):
        made((300, 300), tensor("a", (1, 1918, 4)), tensor("b", (1, 1918, 91)))


def test_boxes_that_an_exponential_decodes_are_no_offsets_to_anchors(made):
    """Such as UltraFace's: 4420 corners, scores of background and face."""
    image = {"constants": [tensor("aside", (1, 240, 320, 3), values=0)]}
    outputs = [tensor("boxes", (1, 4420, 4)), tensor("scores", (1, 4420, 2))]
    operators = [Op(EXP, ["image"], ["aside"])]
    spec = made((320, 240), *outputs, operators=operators, **image).spec
    assert (spec.family, spec.decoded.box, spec.decoded.first) == ("decoded", "xyxy", 1)
    assert spec.labels == ["background", "face"]
    assert made((320, 240), *outputs).spec.ssd.anchors.kind == "sizes"


def test_blazeface_is_told_by_its_896_anchors_with_key_points(made):
    outputs = tensor("regressors", (1, 896, 16)), tensor("classificators", (1, 896, 1))
    spec = made((128, 128), *outputs).spec
    assert spec.labels == ["face"]
    assert (spec.ssd.coding, spec.ssd.box, spec.ssd.keypoints) == ("linear", "xywh", 6)
    assert (spec.input.mean, spec.input.std) == (127.5, 127.5)


def test_what_makes_the_scores_tells_whether_they_are_logits(tmp_path):
    """Of an SSD whose scores come out of a LOGISTIC, none is applied again."""
    raw = tensor("raw", (1, 1917, 91), values=0)
    boxes = tensor("boxes", (1, 1917, 4), values=0)
    scores = tensor("scores", (1, 1917, 91))
    path = write_made(
        tmp_path / "ssd.tflite",
        [tensor("image", (1, 300, 300, 3))],
        [boxes, scores],
        constants=[raw],
        operators=[Op(LOGISTIC, ["raw"], ["scores"])],
    )
    assert find_model(path).spec.ssd.scores == "probability"

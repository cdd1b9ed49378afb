"""Two outputs: which are the boxes, and whether the first score is the background.

The input is 64 x 64 pixels, and the object is from 24, 24 to 40, 40 unless said.
"""

from functools import partial

import numpy as np
import pytest
from support.lone_models import check_found, found_in, write_lone
from support.made_models import Op, tensor

from edge_detect.models import find_model
from edge_detect.models.infer.probe import settle

LOGISTIC = 14
CENTRE = np.array([32, 32, 16, 16.0])


@pytest.fixture
def make(tmp_path):
    """Write a model and the files beside it; returns its path."""
    return partial(write_lone, tmp_path)


def check(path, name, box=(24, 24, 40, 40)):
    found, inferred = found_in(path)
    check_found(found, name, box)
    return inferred


def outputs_of(pair, order, names=("a", "b")):
    """Boxes and scores in one order or the other, named by their place."""
    pair = [np.asarray(each) for each in pair][::order]
    return [tensor(name, each.shape, values=each) for name, each in zip(names, pair, strict=True)]


def ssd(scores, box_at=3 * (9 * 19 + 9)):
    """Boxes and scores of 1917 anchors: that in the middle is a tenth of the input of 300."""
    background, row = scores
    values = np.tile(np.array(background, float), (1, 1917, 1))
    values[0, box_at] = row
    return np.zeros((1, 1917, 4)), values


SSD_BOX = (135, 135, 165, 165)
ANY_ORDER = pytest.mark.parametrize("order", [1, -1])


@ANY_ORDER
def test_a_trial_run_tells_boxes_of_a_detr_with_four_classes(make, order):
    boxes, scores = np.full((1, 50, 4), 0.1), np.full((1, 50, 4), -6.0)
    boxes[0, 3], scores[0, 3, 1] = CENTRE / 64, 3
    inferred = check(make(outputs_of((boxes, scores), order)), "class 1")
    assert inferred.find("decoded.outputs.boxes").source == "probe"


@ANY_ORDER
def test_the_sigmoid_that_makes_boxes_of_a_detr_does_not_make_its_logits_probabilities(make, order):
    boxes, logits = np.full((1, 50, 4), 0.1), np.full((1, 50, 4), -6.0)
    boxes[0, 3], logits[0, 3, 1] = CENTRE / 64, 3
    raw = tensor("raw", boxes.shape, values=np.log(boxes / (1 - boxes)))
    outputs = [tensor("a", boxes.shape), tensor("b", logits.shape, values=logits)][::order]
    path = make(outputs, constants=[raw], operators=[Op(LOGISTIC, ["raw"], ["a"])])
    inferred = check(path, "class 1")
    assert inferred.spec.decoded.outputs == {"boxes": "a", "scores": "b"}
    assert inferred.spec.decoded.scores == "sigmoid"


@ANY_ORDER
@pytest.mark.parametrize("unit", ["pixels", "relative"])
def test_what_quantized_boxes_can_hold_tells_nothing_while_they_may_be_scores(make, order, unit):
    """Boxes to 127 and scores to 1, or boxes to 1.2: neither range is that of the other."""
    side, step = (1, 0.5) if unit == "pixels" else (64, 1.2 / 255)
    boxes, scores = np.tile(CENTRE / side * 0.6, (1, 84, 1)), np.zeros((1, 84, 4))
    boxes[0, 70], scores[0, 70, 2] = CENTRE / side, 0.9
    outputs = [
        tensor("a", boxes.shape, "int8", step, -128, values=boxes),
        tensor("b", scores.shape, "int8", 1 / 255, -128, values=scores),
    ]
    inferred = check(make(outputs[::order]), "class 2")
    assert inferred.spec.decoded.outputs == {"boxes": "a", "scores": "b"}
    assert (inferred.spec.decoded.unit, inferred.spec.decoded.scores) == (unit, "probability")


@ANY_ORDER
@pytest.mark.parametrize(("low", "scores"), [(-9.0, "sigmoid"), (0.01, "probability")])
def test_quantized_distributions_do_not_make_scores_logits(make, order, low, scores):
    """32 classes, and 4 x 8 logits of distances."""
    outputs = []
    for side in (8, 4, 2):
        boxes = np.zeros((1, side, side, 32))
        boxes[..., 1::8] = 4
        pair = [
            tensor(f"{side}a", boxes.shape, "int8", 1 / 8, values=boxes),
            tensor(f"{side}b", boxes.shape, values=np.full(boxes.shape, low)),
        ]
        outputs += pair[::order]
    entry = settle(find_model(make(outputs)))
    assert entry.spec.dfl.levels[0].outputs == {"boxes": "8a", "classes": "8b"}
    assert entry.spec.dfl.scores == scores


@ANY_ORDER
@pytest.mark.parametrize("unit", [1, 64])
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_a_trial_run_tells_boxes_of_a_yolov8_with_four_classes(make, order, unit, layout):
    boxes, scores = np.tile(CENTRE / unit * 0.6, (1, 84, 1)), np.zeros((1, 84, 4))
    boxes[0, 70], scores[0, 70, 2] = CENTRE / unit, 0.9
    pair = [np.swapaxes(each, 1, 2) if layout == "columns" else each for each in (boxes, scores)]
    check(make(outputs_of(pair, order)), "class 2")


@ANY_ORDER
def test_a_trial_run_tells_boxes_of_an_ssd_with_three_classes_and_a_background(make, order):
    beside = {"m.txt": "cat\ndog\nfish\n"}
    pair = ssd(([5, -8, -8, -8], [-8, -8, 4, -8]))
    check(make(outputs_of(pair, order), 300, beside), "dog", SSD_BOX)


@ANY_ORDER
def test_a_trial_run_tells_boxes_of_an_ssd_with_four_classes(make, order):
    beside = {"m.txt": "cat\ndog\nfish\nbird\n"}
    pair = ssd(([-8, -8, -8, -8], [-8, -8, 4, -8]))
    check(make(outputs_of(pair, order), 300, beside), "fish", SSD_BOX)


@ANY_ORDER
@pytest.mark.parametrize("names", [("bbox", "out"), ("out", "logits"), ("pred_box", "pred_cls")])
def test_names_tell_boxes_from_scores(make, order, names):
    outputs = outputs_of((np.zeros((1, 50, 4)), np.zeros((1, 50, 4))), order, names[::order])
    entry = find_model(make(outputs))
    assert entry.spec.decoded.outputs == dict(zip(("boxes", "scores"), names, strict=True))
    assert "decoded.outputs.boxes" not in entry.inferred.questions


@ANY_ORDER
def test_an_activation_tells_scores_from_boxes(make, order):
    raw = tensor("raw", (1, 1917, 4), values=0)
    outputs = [tensor("a", (1, 1917, 4), values=0), tensor("b", (1, 1917, 4))][::order]
    operators = [Op(LOGISTIC, ["raw"], ["b"])]
    spec = find_model(make(outputs, 300, constants=[raw], operators=operators)).spec
    assert spec.ssd.outputs == {"boxes": "a", "scores": "b"}
    assert spec.ssd.scores == "probability"


def test_what_no_run_tells_is_a_guess_in_the_line_at_start(make):
    entry = settle(find_model(make(outputs_of((np.zeros((1, 50, 4)),) * 2, 1))))
    assert entry.spec.decoded.outputs == {"boxes": "a", "scores": "b"}
    assert "guessed: boxes are the first output" in entry.inferred.summary()


@ANY_ORDER
def test_a_trial_run_tells_distributions_from_as_many_classes(make, order):
    """64 classes, and 4 x 16 logits: around the centre of cell 0 of stride 32."""
    outputs = []
    for side in (8, 4, 2):
        boxes, classes = np.zeros((1, side, side, 64)), np.full((1, side, side, 64), -9.0)
        if side == 2:
            logits = np.full((4, 16), -30.0)
            logits[:, 0], logits[:, 1] = np.log(3), 0
            boxes[0, 0, 0], classes[0, 0, 0, 40] = logits.ravel(), 4
        outputs += outputs_of((boxes, classes), order, (f"{side}a", f"{side}b"))
    inferred = check(make(outputs), "class 40", (8, 8, 24, 24))
    assert inferred.find("dfl.levels").source == "probe"


@pytest.mark.parametrize(("low", "scores"), [(-9.0, "sigmoid"), (0.01, "probability")])
def test_a_trial_run_tells_what_the_scores_of_few_classes_beside_distributions_are(
    make, low, scores
):
    outputs = []
    for side in (8, 4, 2):
        pair = np.zeros((1, side, side, 32)), np.full((1, side, side, 3), low)
        outputs += outputs_of(pair, 1, (f"{side}a", f"{side}b"))
    entry = settle(find_model(make(outputs)))
    assert (entry.spec.dfl.bins, entry.spec.dfl.scores) == (8, scores)
    assert entry.inferred.find("dfl.scores").source == "probe"


FACE = ([5, -8], [-8, 4])


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("m.txt", "face"),
        ("labels.txt", "face"),
        ("labels.txt", "background\nface"),
        ("labelmap.txt", "???\nface"),
        ("label_map.pbtxt", 'item { id: 1 name: "face" }'),
    ],
)
def test_any_list_tells_the_background_of_raw_scores(make, name, labels):
    inferred = check(make(outputs_of(ssd(FACE), 1), 300, {name: labels}), "face", SSD_BOX)
    assert inferred.find("ssd.background").value == "first"


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_trial_run_tells_a_background_that_comes_first(make, probabilities):
    rows = ([0.98, 0.02], [0.1, 0.9]) if probabilities else FACE
    inferred = check(make(outputs_of(ssd(rows), 1), 300), "class 0", SSD_BOX)
    assert inferred.find("ssd.background").source == "probe"


@pytest.mark.parametrize("said", ["query", "manifest"])
@pytest.mark.parametrize(
    ("offset", "labels", "name"),
    [
        (0, ["class 0", "class 1", "class 2"], "class 2"),
        (1, ["class 0", "class 1", "class 2", "class 3"], "class 3"),
    ],
)
def test_a_label_offset_that_is_said_stays_where_a_trial_run_finds_a_background(
    make, said, offset, labels, name
):
    beside = {"m.toml": f"[ssd]\nlabel_offset = {offset}\n"} if said == "manifest" else {}
    path = make(outputs_of(ssd(([5, -8, -8], [-8, -8, 4])), 1), 300, beside)
    query = f"?label_offset={offset}" if said == "query" else ""
    inferred = check(f"{path}{query}", name, SSD_BOX)
    assert (inferred.spec.ssd.background, inferred.spec.ssd.label_offset) == ("first", offset)
    assert inferred.spec.labels == labels
    assert inferred.find("ssd.label_offset").source == said


def test_a_trial_run_tells_a_background_that_comes_last(make):
    rows = ([-8, -8, 5], [-8, 4, -8])
    check(make(outputs_of(ssd(rows), 1), 300), "class 1", SSD_BOX)


def test_a_trial_run_tells_scores_without_a_background(make):
    boxes, scores = ssd(([-7, -8], [-8, 4]))
    scores[0, 1::2] = [-8, -7]
    inferred = check(make(outputs_of((boxes, scores), 1), 300), "class 1", SSD_BOX)
    assert inferred.find("ssd.background").value == "none"


def test_a_background_that_no_run_tells_is_a_guess_in_the_line_at_start(make):
    boxes, scores = np.zeros((1, 1917, 4)), np.tile([-7.0, -8.0], (1, 1917, 1))
    entry = settle(find_model(make(outputs_of((boxes, scores), 1), 300)))
    assert "guessed: no background" in entry.inferred.summary()

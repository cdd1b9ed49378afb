"""Lists of labels under a common name tell the family as those under the model's own name do.

The input is 64 x 64 pixels, and the object is from 24, 24 to 40, 40 unless said.
"""

import numpy as np
import pytest
from support.lone_models import check_found, found_in, write_lone
from support.made_models import Op, tensor

from edge_detect.core import ModelError
from edge_detect.models import find_model, load_model

SOFTMAX = 25
CENTRE = np.array([32, 32, 16, 16.0])
LABELS = {"labels.txt": "cat\ndog\nfish\n"}


@pytest.fixture
def make(tmp_path):
    """Write a model of one output and the files beside it; returns its path."""

    def write(values, beside=None, **others):
        output = tensor("o", values.shape, values=values)
        return write_lone(tmp_path, [output], beside=beside, **others)

    return write


def check(path, name, box=(24, 24, 40, 40)):
    found, inferred = found_in(path)
    check_found(found, name, box)
    return inferred


def distances(bins, near):
    """Logits of a distance between two bins, to all four sides: three quarters of the first."""
    logits = np.full((4, bins), -30.0)
    logits[:, near], logits[:, near + 1] = np.log(3), 0
    return logits.ravel()


def test_nanodet_of_three_classes(make):
    values = np.zeros((1, 84, 35))
    values[0, 64 + 2 * 4 + 2] = [0.01, 0.9, 0.01, *distances(8, 0)]
    check(make(values, LABELS), "dog", (36, 36, 44, 44))


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_yolov8_with_distributions_of_three_classes(make, layout):
    values = np.full((1, 84, 67), -9.0)
    values[0, 64 + 16] = [*distances(16, 0), -9, 4, -9]
    values = values if layout == "rows" else np.swapaxes(values, 1, 2)
    check(make(values, LABELS), "dog", (8, 8, 24, 24))


def test_yolox_of_three_classes(make):
    values = np.zeros((1, 84, 8))
    values[0, :, :4] = CENTRE / 2
    values[0, :, 4] = 0.01
    values[0, 9] = [*CENTRE, 0.95, 0.01, 0.95, 0.01]
    inferred = check(make(values, LABELS), "dog")
    assert inferred.find("kind").value == "YOLOX"


def test_transposed_yolov8_of_three_classes(make):
    values = np.zeros((1, 84, 7))
    values[0, :, :4] = CENTRE / 2
    values[0, 9] = [*CENTRE, 0.01, 0.95, 0.01]
    check(make(values, LABELS), "dog")


@pytest.mark.parametrize("scale", [0, 1 / 8])
@pytest.mark.parametrize(
    ("last", "kind", "score"), [(6, "softmax", 1 - 1e-4), (-7, "sigmoid", 1 / (1 + np.exp(-3)))]
)
def test_detr_with_no_object_behind_three_classes(make, tmp_path, last, kind, score, scale):
    """Of a softmax, "no object" is the greatest nearly everywhere; of sigmoids, it is unused."""
    boxes, scores = np.full((1, 50, 4), 0.1), np.tile([-6.0, -6, -6, last], (1, 50, 1))
    boxes[0, 3], scores[0, 3] = CENTRE / 64, [-6, 3, -6, -7]
    dtype = "int8" if scale else "float32"
    outputs = [
        tensor("box", boxes.shape, values=boxes),
        tensor("s", scores.shape, dtype, scale, values=scores),
    ]
    (tmp_path / "labels.txt").write_text(LABELS["labels.txt"])
    path = write_lone(tmp_path, outputs)
    assert check(path, "dog").spec.decoded.scores == kind
    with load_model(path, accelerator="cpu") as detector:
        found = detector(np.zeros((64, 64, 3), np.uint8))
        assert (detector.spec.decoded.last, found.names) == (1, ["dog"])
        assert found.scores[0] == pytest.approx(score, abs=0.005)


LABEL_MAP = "".join(
    f'item {{ id: {number} name: "{name}" }}\n' for number, name in enumerate("ab", 1)
)


@pytest.mark.parametrize(
    ("beside", "first", "last", "names"),
    [
        ({"m.txt": "cat\ndog\nfish\n", "label_map.pbtxt": LABEL_MAP}, 0, 0, ["cat", "dog", "fish"]),
        ({"m.txt": "cat\ndog\n", "label_map.pbtxt": LABEL_MAP}, 0, 1, ["cat", "dog"]),
        ({"m.pbtxt": LABEL_MAP, "labels.txt": "cat\ndog\nfish\n"}, 1, 0, ["a", "b"]),
    ],
)
def test_the_own_list_of_a_detr_decides_what_its_columns_are(
    make, tmp_path, beside, first, last, names
):
    """Three scores: of three classes, of two and no object, or of ids from 1."""
    for name, text in beside.items():
        (tmp_path / name).write_text(text)
    outputs = [tensor("box", (1, 50, 4), values=0.1), tensor("s", (1, 50, 3), values=0)]
    path = write_lone(tmp_path, outputs)
    spec = find_model(path).spec
    assert (spec.decoded.first, spec.decoded.last, spec.labels) == (first, last, names)
    assert spec.decoded.label_offset == -first


def test_one_grid_with_anchors_is_no_fomo(make):
    """18 channels are 3 x (5 + 1), and a background with 17 classes."""
    with pytest.raises(ModelError, match="the anchors are not in the file"):
        find_model(make(np.zeros((1, 4, 4, 18)), {"labels.txt": "person\n"}))


def test_a_list_of_its_own_name_goes_before_a_common_one(make):
    beside = {"m.txt": "cat\ndog\n", "labels.txt": "a\nb\nc\n"}
    entry = find_model(make(np.zeros((1, 84, 7)), beside))
    assert (entry.inferred.find("kind").value, entry.spec.labels) == ("YOLOX", ["cat", "dog"])


def test_a_common_list_that_would_fit_another_reading_is_named(make):
    """8 values are 4 + 4, as YOLOv8 has them in columns; 5 + 3 would have an objectness."""
    entry = find_model(make(np.zeros((1, 8, 84)), LABELS))
    assert entry.spec.labels == [f"class {number}" for number in range(4)]
    assert entry.inferred.remarks == ("labels.txt: 3 labels do not fit 4 classes",)


def test_many_values_per_candidate_may_hold_distributions(make):
    """67 values are 4 + 63, or 64 + 3: a guess unless a list or a SOFTMAX tells."""
    values = np.zeros((1, 67, 84))
    assert "guessed: YOLOv8" in find_model(make(values)).inferred.summary()
    sixty_three = {"labels.txt": "\n".join(f"name {number}" for number in range(63))}
    assert find_model(make(values, sixty_three)).inferred.find("kind").certain


def test_a_softmax_tells_that_distributions_are_decoded(make):
    softmax = {
        "operators": [Op(SOFTMAX, ["image"], ["aside"])],
        "constants": [tensor("aside", (1, 64, 64, 3))],
    }
    assert find_model(make(np.zeros((1, 67, 84)), **softmax)).inferred.find("kind").certain

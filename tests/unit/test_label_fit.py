"""Lists of labels that are shorter, longer or other than a model's classes, and what is found.

The input is 64 x 64 pixels, and the object is from 24, 24 to 40, 40 unless said.
"""

import json
from argparse import Namespace

import numpy as np
import pytest
from support.made_models import postprocess, tensor, write_made

from edge_detect.app.inspect_model import inspect
from edge_detect.models import find_model, load_model
from edge_detect.models.file.labels import read_labels
from edge_detect.models.infer.overrides import parse_overrides

CENTRE = np.array([32, 32, 16, 16.0])


@pytest.fixture
def make(tmp_path):
    """Write a YOLOv8 that finds one class, and the files beside it; returns its path."""

    def write(classes, class_id, beside):
        for name, text in beside.items():
            content = text if isinstance(text, bytes) else text.encode()
            (tmp_path / name).write_bytes(content)
        values = np.zeros((1, 4 + classes, 84))
        values[0, :4] = np.reshape(CENTRE * 0.5, (4, 1))
        values[0, :4, 70], values[0, 4 + class_id, 70] = CENTRE, 0.9
        output = tensor("o", values.shape, values=values)
        return write_made(tmp_path / "m.tflite", [tensor("image", (1, 64, 64, 3))], [output])

    return write


def check(path, name, query="", box=(24, 24, 40, 40)):
    with load_model(f"{path}{query}", accelerator="cpu") as detector:
        size = detector.input_size
        found = detector(np.zeros((size.height, size.width, 3), np.uint8))
        assert found.names == [name]
        assert found.boxes[0] == pytest.approx(box, abs=0.6)
        return detector.inferred


FROM_ONE = [
    "1 cat\n2 dog\n",
    'item { id: 1 name: "cat" }\nitem { id: 2 name: "dog" }',
    json.dumps({"1": "cat", "2": "dog"}),
    "names:\n  1: cat\n  2: dog\n",
]


@pytest.mark.parametrize("text", FROM_ONE)
def test_ids_from_one_are_the_labels_of_as_many_classes(make, text):
    check(make(2, 1, {"m.txt": text}), "dog")


@pytest.mark.parametrize("text", FROM_ONE)
def test_ids_from_one_that_are_one_short_do_not_move_the_labels(make, text):
    inferred = check(make(3, 1, {"m.txt": text}), "class 1")
    assert inferred.remarks == ("m.txt: 2 labels do not fit 3 classes",)


def test_ids_from_one_are_the_columns_of_an_ssd_and_of_a_detr(tmp_path):
    (tmp_path / "m.txt").write_text(FROM_ONE[1])
    image = tensor("image", (1, 300, 300, 3))
    boxes, scores = np.zeros((1, 1917, 4)), np.tile([5.0, -8, -8], (1, 1917, 1))
    scores[0, 3 * (9 * 19 + 9)] = [-8, -8, 4]
    outputs = [tensor("b", boxes.shape, values=boxes), tensor("s", scores.shape, values=scores)]
    check(write_made(tmp_path / "m.tflite", [image], outputs), "dog", box=(135, 135, 165, 165))
    boxes, scores = np.full((1, 50, 4), 0.1), np.full((1, 50, 3), -6.0)
    boxes[0, 3], scores[0, 3, 2] = CENTRE / 64, 3
    outputs = [tensor("b", boxes.shape, values=boxes), tensor("s", scores.shape, values=scores)]
    image = tensor("image", (1, 64, 64, 3))
    check(write_made(tmp_path / "m.tflite", [image], outputs), "dog")


def test_class_numbers_of_an_end_to_end_model_begin_at_zero(tmp_path):
    (tmp_path / "m.txt").write_text(FROM_ONE[0])
    values = np.zeros((1, 30, 6))
    values[0, :, :4] = [12, 12, 20, 20]
    values[0, 0] = [24, 24, 40, 40, 0.9, 1]
    output = tensor("o", values.shape, values=values)
    path = write_made(tmp_path / "m.tflite", [tensor("image", (1, 64, 64, 3))], [output])
    assert "class 0 is the first of the list" in check(path, "dog").summary()


def test_braces_in_quotes_and_inner_braces_do_not_drop_an_item():
    text = """
        item { name: "cat" id: 1 }  # it's {
        item { id: 2 display_name: "dog {x}" keypoints { id: 7 label: "nose" } }
        item { id: 3 name: 'a \\'b\\'' }
    """
    assert read_labels(text.encode()).names == ("n/a", "cat", "dog {x}", "a 'b'")


def test_a_name_may_begin_with_a_hash_and_comments_are_named(make):
    path = make(3, 1, {"m.txt": "# comment\ncat\n#dog\nfish\n"})
    assert check(path, "#dog").remarks == ("m.txt: 1 line beginning with # skipped",)


@pytest.mark.parametrize(
    ("text", "names", "note"),
    [
        ("#cats\n\ncat\ndog", ("cat", "dog"), "1 line beginning with # skipped"),
        ("cat\n# dog\n#\nfish", ("cat", "fish"), "2 lines beginning with # skipped"),
        ("#1\n#2", ("#1", "#2"), ""),
        ("cat\n#2", ("cat", "#2"), ""),
    ],
)
def test_comments_are_lines_before_the_names_or_with_a_space(text, names, note):
    found = read_labels(text.encode())
    assert (found.names, found.note) == (names, note)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("café\nthé\n".encode("utf-16"), ()),
        ("café\nthé\n".encode("latin-1"), ("m.txt: no UTF-8, read as Windows-1252",)),
        (b'{"caf\xc3\xa9": 0, "th\xc3\xa9": 1}', ()),
    ],
)
def test_other_encodings_and_ids_by_name_are_read(make, content, note):
    assert check(make(2, 1, {"m.txt": content}), "thé").remarks == note


def test_a_file_of_the_name_of_the_model_that_is_no_list_is_named(make):
    inferred = check(make(2, 1, {"m.txt": bytes(range(256))}), "class 1")
    assert inferred.remarks == ("m.txt is no list of labels",)


@pytest.mark.parametrize(
    ("text", "class_id", "name"),
    [
        ("cat\ndog\n", 1, "dog"),
        ("cat\ndog\n", 2, "class 2"),
        ("1 cat\n2 dog\n", 1, "dog"),
        ("a\nb\nc\nd\n", 2, "c"),
    ],
)
def test_a_list_of_a_query_is_taken_whatever_its_length(make, text, class_id, name):
    path = make(3, class_id, {"other.txt": text})
    inferred = check(path, name, "?labels=other.txt")
    assert "labels do not fit 3 classes" in inferred.remarks[0]


def test_a_list_of_a_query_is_taken_by_an_operator_whatever_its_length(tmp_path):
    scores = np.zeros((20, 4))
    scores[9, 2] = 0.9
    path = write_made(tmp_path / "m.tflite", **postprocess(classes=3, scores=scores))
    (tmp_path / "other.txt").write_text("???\ncat\ndog\n")
    middle = 300 * (0.1 + 0.8 * 9 / 19)
    box = (middle - 30, middle - 30, middle + 30, middle + 30)
    inferred = check(path, "dog", "?labels=other.txt", box)
    assert inferred.remarks == ("other.txt: 2 labels for 3 classes",)


def test_a_list_of_a_query_goes_before_that_of_a_manifest(make, tmp_path):
    path = make(3, 1, {"other.txt": "cat\ndog\n", "m.toml": 'labels = ["a", "b", "c"]\n'})
    check(path, "dog", "?labels=other.txt")


@pytest.mark.parametrize(
    ("labels", "offset", "text", "wanted"),
    [
        (["n/a", "a", "b"], 1, "cat\ndog\n", ["n/a", "cat", "dog"]),
        (["n/a", "a", "b"], 1, "1 cat\n2 dog\n", ["n/a", "cat", "dog"]),
        (["a", "b"], 0, "1 cat\n2 dog\n", ["cat", "dog"]),
        (["a", "b"], 0, "cat\n", ["cat", "class 1"]),
    ],
)
def test_a_list_of_a_query_is_fitted_to_a_complete_manifest(
    tmp_path, labels, offset, text, wanted, caplog
):
    path = write_made(tmp_path / "m.tflite", **postprocess(classes=2))
    (tmp_path / "m.txt").write_text("\n".join(labels))
    write_manifest(path)
    (tmp_path / "other.txt").write_text(text)
    entry = find_model(path, parse_overrides({"labels": "other.txt"}))
    assert entry.inferred is None
    assert (entry.spec.labels, entry.spec.ssd.label_offset) == (wanted, offset)
    said = "other.txt: 1 label for 2 classes of m.toml"
    assert (said in caplog.text) == ("class 1" in wanted)


def write_manifest(path):
    given = {"write": True, "force": False, "json": False, "name": None}
    inspect(Namespace(file=str(path), photos=[], **given))

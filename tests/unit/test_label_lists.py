"""Lists of labels in the forms that people keep them in."""

import json

import pytest
from support.made_models import tensor, write_made

from edge_detect.core import ModelError
from edge_detect.models import find_model
from edge_detect.models.file.labels import parse_labels
from edge_detect.models.infer.overrides import parse_overrides


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat\ndog\n", ["cat", "dog"]),
        ("cat\r\ndog\r\n\r\n", ["cat", "dog"]),
        ("\ufeffcat\ndog", ["cat", "dog"]),
        ("???\ncat", ["n/a", "cat"]),
        ("cat\n\ndog", ["cat", "n/a", "dog"]),
        ("0 cat\n1 dog", ["cat", "dog"]),
        ("0  cat\n2  hot dog", ["cat", "n/a", "hot dog"]),
        ("0: cat\n1: dog", ["cat", "dog"]),
        ("1 cat\n2 dog", ["n/a", "cat", "dog"]),
        ("1 euro\n2 euro\n10 cent\n20 cent", ["1 euro", "2 euro", "10 cent", "20 cent"]),
        ('item {\n id: 1\n name: "cat"\n}\nitem { id: 3 display_name: "dog" }', None),
        (json.dumps(["cat", "dog"]), ["cat", "dog"]),
        (json.dumps({"names": {"0": "cat", "1": "dog"}}), ["cat", "dog"]),
        (json.dumps([{"id": 1, "name": "cat"}]), ["n/a", "cat"]),
        ("path: x\nnames: [cat, 'dog']\n", ["cat", "dog"]),
        (
            "names: [cat, 'dog, small', \"it's\" ,hot dog ]\n",
            ["cat", "dog, small", "it's", "hot dog"],
        ),
        ("names:\n  0: cat\n  1: dog\nnc: 2\n", ["cat", "dog"]),
        ("names:\n- cat\n- dog\n", ["cat", "dog"]),
        ("names: {0: cat, 1: 'dog, small', 3: hot dog}\n", ["cat", "dog, small", "n/a", "hot dog"]),
        ("names: {0: cat, 1: dog}\nclasses:\n- train\n- val\n", ["cat", "dog"]),
        ("names: {cat: 0, dog: 1}", ["cat", "dog"]),
        ('names: {"0":cat, "1": 2}', ["cat", "2"]),
        ("names: {\n  0: cat,  # first\n  1: dog,\n}\nnc: 2", ["cat", "dog"]),
        (
            "names: [cat, # not a dog, but ]\n  # fish\n  'dog #1', it's, C#,\n  hot\n  dog]\n- x",
            ["cat", "dog #1", "it's", "C#", "hot dog"],
        ),
        ("names:\n  # two\n  [cat, dog]\n", ["cat", "dog"]),
        ("names: # two\n  - cat\n  - dog\n", ["cat", "dog"]),
        ("names: [a:b, 'c: d', 10:30]", ["a:b", "c: d", "10:30"]),
        ("names: [cat, dog\nnc: 2\n", []),
        ("names: coco.names\nsplits:\n- train\n- val\n", []),
        ("names:\nsplits:\n- train\n- val\n", []),
        (json.dumps({"9" * 5000: "cat"}), []),
        (json.dumps({"names": {"0": "cat", "000001": "dog"}}), []),
        (f'item {{ id: {"9" * 5000} name: "x" }} item {{ id: 0 name: "cat" }}', ["cat"]),
        (f"names: {{{'9' * 5000}: cat}}", []),
        ("[not json", []),
        ("\0\1", []),
        ("", []),
    ],
)
def test_a_list_of_labels_is_understood(text, names):
    wanted = ["n/a", "cat", "n/a", "dog"] if names is None else names
    assert parse_labels(text.encode()) == wanted


def test_binary_files_are_no_lists_of_labels():
    assert parse_labels(bytes(range(256)) * 4) == []


def make(folder, name="my model.tflite"):
    output = tensor("output", (1, 6, 2100), values=0)
    return write_made(folder / name, [tensor("image", (1, 320, 320, 3))], [output])


@pytest.mark.parametrize(
    "file",
    [
        "my model.txt",
        "my model.names",
        "my model_labels.txt",
        "labels.txt",
        "labelmap.txt",
        "coco.names",
        "metadata.yaml",
    ],
)
def test_a_list_beside_the_model_is_found(tmp_path, file):
    text = "names: {}\n".format("[cat, dog]") if file.endswith("yaml") else "cat\ndog\n"
    (tmp_path / file).write_text(text)
    entry = find_model(make(tmp_path))
    assert entry.spec.labels == ["cat", "dog"]
    assert f"2 labels from {file}" in entry.inferred.summary()


def test_the_list_of_its_own_name_goes_before_a_common_one(tmp_path):
    (tmp_path / "my model.txt").write_text("cat\ndog\n")
    (tmp_path / "labels.txt").write_text("fish\nbird\n")
    assert find_model(make(tmp_path)).spec.labels == ["cat", "dog"]


def test_a_common_list_of_another_length_belongs_to_another_model(tmp_path):
    (tmp_path / "labels.txt").write_text("fish\nbird\nfrog\n")
    entry = find_model(make(tmp_path))
    assert entry.spec.labels == ["class 0", "class 1"]
    assert entry.inferred.remarks == ()


def test_a_list_of_its_own_of_another_length_is_named(tmp_path):
    (tmp_path / "my model.txt").write_text("fish\nbird\nfrog\n")
    entry = find_model(make(tmp_path))
    assert "my model.txt: 3 labels do not fit 2 classes" in entry.inferred.remarks


def test_a_background_before_or_behind_the_labels_is_left_out(tmp_path):
    (tmp_path / "my model.txt").write_text("background\ncat\ndog\n")
    assert find_model(make(tmp_path)).spec.labels == ["cat", "dog"]
    (tmp_path / "my model.txt").write_text("cat\ndog\nbackground\n")
    assert find_model(make(tmp_path)).spec.labels == ["cat", "dog"]


def test_labels_of_a_query_are_looked_for_beside_the_model_and_here(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    path = make(tmp_path / "models")
    (tmp_path / "models" / "near.txt").write_text("cat\ndog\n")
    (tmp_path / "here.txt").write_text("fish\nbird\n")
    monkeypatch.chdir(tmp_path)
    for file, first in (("near.txt", "cat"), ("here.txt", "fish")):
        assert find_model(path, parse_overrides({"labels": file})).spec.labels[0] == first
    with pytest.raises(ModelError, match=r"no file of labels 'gone\.txt'"):
        find_model(path, parse_overrides({"labels": "gone.txt"}))


def test_labels_of_a_query_that_do_not_fit_are_named(tmp_path):
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    entry = find_model(make(tmp_path), parse_overrides({"labels": "three.txt"}))
    assert "three.txt: 3 labels do not fit 2 classes" in entry.inferred.remarks

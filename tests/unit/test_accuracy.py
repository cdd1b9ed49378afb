"""Figures of accuracy on scenes whose figures can be worked out by hand."""

import hashlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.echo_models import MANIFEST
from support.made_models import made_model, tensor

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import accuracy
from annotations import Picture, TrueBox, canonical_name, read_truth
from coco_figures import evaluate

from edge_detect.core import ConfigError, Detections

# What the models below find in pictures of 80x80 pixels, by (row, column) of the cell.
HERE, THERE = (40.0, 20.0, 20.0, 20.0), (0.0, 60.0, 20.0, 20.0)
CELLS = {HERE: (1, 2), THERE: (3, 0)}


def write_model(folder, name, found, *, label="thing", top=""):
    """A model that finds the same boxes in every picture: (box, logit of its score)."""
    head = np.full((1, 4, 4, 2, 6), -20.0)
    for box, logit in found:
        head[0, *CELLS[box], 0] = (0, 0, 0, 0, 20, logit)
    image = tensor("image", (1, 8, 8, 3), "uint8", 1 / 255)
    output = tensor("head", (1, 4, 4, 12), values=head.reshape(1, 4, 4, 12))
    path = folder / f"{name}.tflite"
    path.write_bytes(made_model([image], [output]))
    text = MANIFEST.format(
        name=name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        resize="stretch",
        color="rgb",
        top=top,
        origin="",
    )
    path.with_suffix(".toml").write_text(text.replace('["thing"]', f'["{label}"]'))
    return str(path)


@pytest.fixture
def scenes(tmp_path):
    """Two pictures with one object each, of which a model that looks `HERE` finds the first."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(folder / f"{name}.png"), np.zeros((80, 80, 3), np.uint8))
    return folder


def coco(folder, name="thing", boxes=(HERE, THERE), **extra):
    """Labels as COCO has them."""
    data = {
        "categories": [{"id": 7, "name": name}],
        "images": [
            {"id": number, "file_name": f"{stem}.png", "width": 80, "height": 80}
            for number, stem in enumerate("ab", 11)
        ],
        "annotations": [
            {"image_id": number, "category_id": 7, "bbox": box, **extra}
            for number, box in enumerate(boxes, 11)
        ],
    }
    path = folder / "labels.json"
    path.write_text(json.dumps(data))
    return path


def voc(folder, name="thing", boxes=(HERE, THERE)):
    """Labels as Pascal VOC has them: pixels counted from 1."""
    for stem, (x, y, width, height) in zip("ab", boxes, strict=True):
        corners = {"xmin": x + 1, "ymin": y + 1, "xmax": x + width, "ymax": y + height}
        inner = "".join(f"<{key}>{value}</{key}>" for key, value in corners.items())
        (folder / f"{stem}.xml").write_text(
            "<annotation><size><width>80</width><height>80</height></size>"
            f"<object><name>{name}</name><bndbox>{inner}</bndbox></object></annotation>"
        )
    return folder


def yolo(folder, name="thing", boxes=(HERE, THERE)):
    """Labels as Darknet has them: centre and size as parts of the picture."""
    (folder / "classes.txt").write_text(f"other\n{name}\n")
    for stem, (x, y, width, height) in zip("ab", boxes, strict=True):
        row = (x + width / 2, y + height / 2, width, height)
        (folder / f"{stem}.txt").write_text(f"1 {' '.join(str(each / 80) for each in row)}\n")
    return folder


def figures(capsys, *words):
    """What the program prints as JSON."""
    assert accuracy.main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("write_labels", [coco, voc, yolo])
def test_half_of_the_objects_found_first_is_51_of_101_recalls(
    tmp_path, scenes, write_labels, capsys
):
    model = write_model(tmp_path, "steady", [(HERE, 2.0)])
    labels = tmp_path / "labels"
    labels.mkdir()
    report = figures(capsys, scenes, write_labels(labels), model)
    (judged,) = report["models"]
    assert judged["ap50"] == judged["ap"] == pytest.approx(51 / 101, abs=1e-4)
    assert judged["recall"] == 0.5
    assert judged["classes"] == {"thing": {"ap": 0.505, "ap50": 0.505, "objects": 2}}
    assert report["objects"] == {"thing": 2}


def test_the_float_twin_of_the_manifest_stands_beside(tmp_path, scenes, capsys):
    # In both pictures the wrong box has the higher score: precisions 0, 1/2, 2/3, 1/2.
    write_model(tmp_path, "twin", [(HERE, 2.0), (THERE, 3.0)])
    model = write_model(tmp_path, "steady", [(HERE, 2.0)], top='float_twin = "twin"')
    labels = coco(tmp_path)
    (judged,) = figures(capsys, scenes, labels, model)["models"]
    assert judged["float"]["ap50"] == pytest.approx(2 / 3, abs=1e-4)
    assert accuracy.main([str(scenes), str(labels), model, "--classes"]) == 0
    table = capsys.readouterr().out
    assert "| steady | 0.505 | 0.505 | 0.667 | 0.667 | +0.162 |" in table
    assert "| thing | 2 | 0.505 | 0.505 | 0.667 |" in table


def test_classes_that_the_model_does_not_have_are_left_out_and_counted(tmp_path, scenes, capsys):
    labels = coco(tmp_path)
    data = json.loads(labels.read_text())
    data["categories"].append({"id": 8, "name": "zebra"})
    data["annotations"].append({"image_id": 11, "category_id": 8, "bbox": [1, 1, 5, 5]})
    labels.write_text(json.dumps(data))
    model = write_model(tmp_path, "steady", [(HERE, 2.0)])
    (judged,) = figures(capsys, scenes, labels, model)["models"]
    assert judged["unknown"] == {"zebra": 1}
    assert judged["ap50"] == pytest.approx(51 / 101, abs=1e-4)
    assert accuracy.main([str(scenes), str(labels), model]) == 0
    assert "left out, as steady does not have them: zebra (1)" in capsys.readouterr().out


def test_classes_are_matched_by_name_with_the_synonyms_of_pascal_voc(tmp_path, scenes, capsys):
    model = write_model(tmp_path, "steady", [(HERE, 2.0)], label="tvmonitor")
    (judged,) = figures(capsys, scenes, coco(tmp_path, "TV"), model)["models"]
    assert list(judged["classes"]) == ["tv"]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("aeroplane", "airplane"),
        ("Motorbike", "motorcycle"),
        ("sofa", "couch"),
        ("potted_plant", "potted plant"),
        ("pottedplant", "potted plant"),
        ("dining-table", "dining table"),
        (" traffic  light ", "traffic light"),
    ],
)
def test_names_of_classes_have_one_spelling(label, name):
    assert canonical_name(label) == name


def test_crowds_count_neither_for_nor_against(tmp_path, scenes, capsys):
    labels = coco(tmp_path)
    data = json.loads(labels.read_text())
    data["annotations"][1].update(bbox=HERE, iscrowd=1)
    labels.write_text(json.dumps(data))
    model = write_model(tmp_path, "steady", [(HERE, 2.0)])
    report = figures(capsys, scenes, labels, model)
    assert report["models"][0]["ap"] == 1.0
    assert report["objects"] == {"thing": 1}


def test_only_the_pictures_of_a_list_are_judged(tmp_path, scenes, capsys):
    (tmp_path / "test.txt").write_text("a\n")
    model = write_model(tmp_path, "steady", [(HERE, 2.0)])
    report = figures(capsys, scenes, coco(tmp_path), model, "--only", tmp_path / "test.txt")
    assert report["pictures"] == 1
    assert report["models"][0]["ap"] == 1.0
    assert report["remarks"] == ["1 of the pictures in labels.json are not there"]


def test_a_model_that_finds_nothing_has_zero(tmp_path, scenes, capsys):
    model = write_model(tmp_path, "blind", [])
    (judged,) = figures(capsys, scenes, coco(tmp_path), model)["models"]
    assert (judged["ap"], judged["ap50"], judged["recall"]) == (0, 0, 0)


def test_a_model_without_any_of_the_classes_is_an_error(tmp_path, scenes, capsys):
    model = write_model(tmp_path, "steady", [(HERE, 2.0)])
    assert accuracy.main([str(scenes), str(coco(tmp_path, "zebra")), model]) == 78
    assert "steady has none of the classes that occur: zebra" in capsys.readouterr().err


def test_pictures_of_another_size_than_their_labels_are_an_error(tmp_path, scenes, capsys):
    cv2.imwrite(str(scenes / "b.png"), np.zeros((40, 80, 3), np.uint8))
    model = write_model(tmp_path, "steady", [(HERE, 2.0)])
    assert accuracy.main([str(scenes), str(coco(tmp_path)), model]) == 78
    assert "b.png has 80x40 pixels, its labels were made for 80x80" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["2 0.5 0.5 0.1 0.1", "1 0.5 0.5 0.1", "x 0.5 0.5 0.1 0.1"])
def test_a_line_that_is_no_box_is_named(tmp_path, scenes, line):
    labels = yolo(tmp_path)
    (labels / "b.txt").write_text(f"\n{line}\n")
    with pytest.raises(ConfigError, match=r"b.txt: line 2 is not a class \(of 2\)"):
        read_truth(scenes, labels)


def test_a_folder_without_labels_says_what_labels_are(tmp_path, scenes):
    with pytest.raises(ConfigError, match="holds no labels") as caught:
        read_truth(scenes, scenes)
    assert "COCO's .json" in caught.value.hint


# Seven pictures, fifteen objects and 24 detections: x, y, width, height of closed ranges of
# pixels (numbers of Rafael Padilla's Object-Detection-Metrics, whose README works them out).
PADILLA = (
    ("25 16 38 56, 129 123 41 62", ".88 5 67 31 48, .7 119 111 40 67, .8 124 9 49 67"),
    ("123 11 43 55, 38 132 59 45", ".71 64 111 64 58, .54 26 140 60 47, .74 19 18 43 35"),
    (
        "16 14 35 48, 123 30 49 44, 99 139 47 47",
        ".18 109 15 77 39, .67 86 63 46 45, .38 160 62 36 53, .91 105 131 47 47, .44 18 148 40 44",
    ),
    (
        "53 42 40 52, 154 43 31 34",
        ".35 83 28 28 26, .78 28 68 42 67, .45 87 89 25 39, .14 10 155 60 26",
    ),
    (
        "59 31 44 51, 48 128 34 52",
        ".62 50 38 28 46, .44 95 11 53 28, .95 29 131 72 29, .23 29 163 72 29",
    ),
    ("36 89 52 76, 62 58 44 67", ".45 43 48 74 38, .84 17 155 29 35, .43 95 110 25 42"),
    ("28 31 55 63, 58 67 50 58", ".48 16 20 101 88, .95 33 116 37 49"),
)


def rows(text):
    return np.array([[float(number) for number in row.split()] for row in text.split(",")])


@pytest.mark.parametrize(
    ("recalls", "wanted"),
    [
        pytest.param(np.linspace(0, 1, 11), 0.26840, id="11-point"),
        # Precision changes at multiples of 1/15 only.
        pytest.param(np.arange(1, 16) / 15, 0.24569, id="all-point"),
    ],
)
def test_the_worked_example_of_padilla_has_its_average_precision(recalls, wanted):
    pictures, found = [], []
    for truth, detections in PADILLA:
        there, seen = rows(truth) + np.array([0, 0, 1, 1]), rows(detections)
        boxes = tuple(TrueBox("object", tuple(box)) for box in there.tolist())
        pictures.append(Picture(Path("drawn.png"), boxes))
        corners = np.concatenate([seen[:, 1:3], seen[:, 1:3] + seen[:, 3:] + 1], axis=1)
        scores = seen[:, 0].astype(np.float32)
        ids = np.zeros(len(seen), np.int32)
        found.append(Detections(corners.astype(np.float32), scores, ids, ("object",)))
    judged = evaluate(pictures, found, ("object",), ious=[0.3], recalls=recalls)
    assert judged.ap == pytest.approx(wanted, abs=1e-5)

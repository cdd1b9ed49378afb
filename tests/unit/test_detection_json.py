"""Detections as JSON: MIDs where a model has them, and the form of TensorFlow Hub's modules."""

import json

import cv2
import numpy as np
import pytest
from support.echo_models import write_model

from edge_detect.app.cli import main
from edge_detect.core import Detections
from edge_detect.core.serialize import detection_fields

MID = "/m/01g317"


def two(mids=()):
    return Detections(
        np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32),
        np.array([0.9, 0.5], np.float32),
        np.array([1, 0], np.int32),
        ("Car", "Person"),
        mids=mids,
    )


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    noise = np.random.default_rng(4).integers(0, 256, (120, 160, 3), np.uint8)
    assert cv2.imwrite(str(path), noise)
    return path


@pytest.fixture
def detect(tmp_path, photo, capsys):
    """Detect in a photo of noise with a model that gives back its input; the printed objects."""

    def run(*options, top=""):
        model = write_model(tmp_path, top=top)
        status = main(["detect", str(photo), "--model", str(model), "--threads", "1", *options])
        out = capsys.readouterr()
        assert status == 0, out.err
        return json.loads(out.out)

    return run


def test_mid_stands_beside_the_label_where_the_model_has_them():
    first, second = (detection_fields(found, digits=1) for found in two(("/m/0k4j", MID)))
    assert first == {
        "label": "Person",
        "mid": MID,
        "class_id": 1,
        "score": 0.9,
        "box": [1.0, 2.0, 3.0, 4.0],
    }
    assert second["mid"] == "/m/0k4j"
    assert "mid" not in detection_fields(next(iter(two())), digits=1)


def test_a_part_of_the_detections_keeps_their_mids():
    found = two(("/m/0k4j", MID))
    assert [each.mid for each in found[found.scores < 0.8]] == ["/m/0k4j"]
    assert [each.mid for each in found[0]] == [MID]


@pytest.mark.model
def test_detections_of_a_model_with_mids_carry_them(detect):
    found = detect("--json", top=f'mids = ["{MID}"]')["detections"]
    assert found
    assert all(list(each) == ["label", "mid", "class_id", "score", "box"] for each in found)
    assert {each["mid"] for each in found} == {MID}


@pytest.mark.model
@pytest.mark.parametrize(("top", "name"), [(f'mids = ["{MID}"]', MID), ("", "thing")])
def test_normalized_boxes_are_parallel_lists_with_y_first(detect, top, name):
    pixels = detect("--json", top=top)
    relative = detect("--json", "--boxes", "normalized-yxyx", top=top)
    assert "detections" not in relative
    count = len(pixels["detections"])
    assert count > 0
    assert relative["detection_class_entities"] == ["thing"] * count
    assert relative["detection_class_names"] == [name] * count
    assert relative["detection_class_labels"] == [0] * count
    scores = [each["score"] for each in pixels["detections"]]
    assert relative["detection_scores"] == pytest.approx(scores, abs=1e-4)
    boxes = np.array([each["box"] for each in pixels["detections"]])
    wanted = boxes[:, [1, 0, 3, 2]] / [120, 160, 120, 160]
    assert np.allclose(relative["detection_boxes"], wanted, rtol=0, atol=1e-4)
    assert np.max(relative["detection_boxes"]) <= 1


def test_normalized_boxes_without_json_are_refused(photo, capsys):
    assert main(["detect", str(photo), "--boxes", "normalized-yxyx"]) == 78
    assert "--json" in capsys.readouterr().err

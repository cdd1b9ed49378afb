"""The unit of quantized boxes: what they can hold tells it, or the trial run does."""

import numpy as np
import pytest
from support.made_models import tensor, write_made

from edge_detect.models import load_model

SIDE = 320
BOX = [120, 120, 200, 200]
CENTRE = np.array([160, 160, 80, 80.0])


@pytest.fixture
def load(tmp_path):
    def open_made(*outputs):
        image = tensor("image", (1, SIDE, SIDE, 3))
        path = write_made(tmp_path / "m.tflite", [image], outputs)
        return load_model(path, accelerator="cpu")

    return open_made


def find(detector):
    found = detector(np.zeros((SIDE, SIDE, 3), np.uint8))
    return [
        (name, round(float(score), 2), [float(edge) for edge in box])
        for name, score, box in zip(found.names, found.scores, found.boxes, strict=True)
    ]


def split(boxes, scale):
    """Boxes of uint8 and scores of a YOLOv8 of two classes, for 320 x 320 pixels."""
    values, scores = np.zeros((1, 2100, 4)), np.zeros((1, 2100, 2))
    values[0], scores[0, 7, 1] = boxes, 0.9
    return (
        tensor("box", values.shape, "uint8", scale, values=values),
        tensor("score", scores.shape, values=scores),
    )


@pytest.mark.parametrize("reach", [1.1, 3.0, 6.0, 50.0])
def test_boxes_in_parts_of_the_input_are_found_whatever_else_the_output_can_hold(load, reach):
    with load(*split(CENTRE / SIDE, reach / 255)) as detector:
        assert detector.spec.decoded.unit == "relative"
        assert detector.inferred.find("decoded.unit").certain
        assert "boxes in" not in detector.inferred.summary()


@pytest.mark.parametrize("reach", [30, 100, 200, 320])
def test_boxes_in_pixels_are_found_whatever_the_output_can_hold(load, reach):
    near = np.array([16, 16, 16, 16.0])
    with load(*split(near, reach / 255)) as detector:
        assert detector.spec.decoded.unit == "pixels"
        ((name, score, box),) = find(detector)
        assert (name, score) == ("class 1", 0.9)
        assert box == pytest.approx([8, 8, 24, 24], abs=reach / 200)


def test_an_output_without_a_box_in_the_trial_run_leaves_a_guess_that_is_shown(load):
    with load(*split(np.zeros(4), 6 / 255)) as detector:
        assert "guessed: boxes in parts of the input" in detector.inferred.summary()


def test_class_numbers_do_not_make_the_boxes_beside_them_pixels(load):
    """300 classes need more room than half of 320 pixels."""
    values = np.zeros((1, 30, 6))
    values[0, :4] = [*np.divide(BOX, SIDE), 0.9, 298]
    output = tensor("rows", values.shape, "int16", 299 / 32767, values=values)
    with load(output) as detector:
        assert detector.spec.decoded.unit == "relative"


def test_boxes_that_end_in_the_padding_of_a_wide_picture_are_reported(load, caplog):
    with load(*split_float(CENTRE / SIDE)) as detector:
        found = detector(np.zeros((160, 320, 3), np.uint8))
    assert len(found) == 0
    assert "all 1 boxes end within the first 2 pixels; check the unit" in caplog.text


def split_float(box):
    """As `split`, in float, with one candidate in parts of the input among others in pixels."""
    boxes, scores = split(CENTRE, 0)
    boxes.dtype, boxes.scale = "float32", 0
    boxes.values[0, 7] = box
    return boxes, scores

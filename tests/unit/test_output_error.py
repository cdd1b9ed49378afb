"""The error by which the quantizer chooses sees what a detector's user would see."""

import numpy as np
import pytest
from support import yolo_references as yolo

from edge_detect.tools.convert.output_error import _decode, output_error, output_heads

BOXES = np.array([[0, 0, 1, 1], [2, 2, 1, 2]], np.float32)
SCORES = np.array([[0.9, 0.1], [0.01, 0.01]], np.float32)


def error_of(boxes, scores):
    return output_error([[(BOXES, SCORES)]], [[(boxes, scores)]])


def test_equal_outputs_have_no_error():
    assert error_of(BOXES, SCORES) == pytest.approx(0, abs=1e-6)


def test_box_that_misses_a_sure_object_costs_all_and_an_unsure_one_next_to_nothing():
    sure, unsure = BOXES.copy(), BOXES.copy()
    sure[0, 0] += 5
    unsure[1, 0] += 5
    assert error_of(sure, SCORES) == pytest.approx(1, abs=1e-3)
    assert error_of(unsure, SCORES) < 1e-3


def test_score_of_nothing_found_has_the_error_one():
    assert error_of(BOXES, np.zeros_like(SCORES)) == pytest.approx(1)


def test_boxes_moved_by_half_their_width_overlap_by_a_third():
    moved = BOXES + np.float32([0.5, 0, 0, 0])
    assert error_of(moved, SCORES) == pytest.approx(2 / 3, abs=1e-3)


@pytest.mark.parametrize("activated", [False, True])
@pytest.mark.parametrize("classes", ["sigmoid", "softmax"])
@pytest.mark.parametrize("coding", ["exponential", "squared", "linear"])
def test_outputs_of_a_yolo_are_compared_as_its_coding_says(coding, classes, activated):
    """Boxes in units of their anchors, without the cell: only differences matter."""
    random = np.random.default_rng(5)
    anchors = [(16.0, 32.0), (32.0, 8.0)]
    manifest = {
        "family": "yolo",
        "yolo": {
            "coding": coding,
            "activated": activated,
            "classes": classes,
            "heads": [
                {
                    "stride": 32,
                    "anchors": anchors,
                    "outputs": {"boxes": "b", "objectness": "o", "classes": "c"},
                }
            ],
        },
    }
    (head,) = output_heads(manifest)
    low, high = (0, 1) if activated else (-2, 2)
    values = random.uniform(low, high, (3, 2, 9)).astype(np.float32)
    reals = {"b": values[..., :4], "o": values[..., 4:5], "c": values[..., 5:]}
    boxes, scores = _decode(reals, head)
    how = {"coding": coding, "activated": activated}
    stretch = 2 if coding == "squared" else 1
    for cell, number in np.ndindex(3, 2):
        row = values[cell, number].astype(np.float64)
        anchor = anchors[number]
        edges = yolo.box_of(row[:4], 0, 0, anchor, 32, scale_x_y=stretch, **how)
        size = (edges[2] - edges[0]) / anchor[0], (edges[3] - edges[1]) / anchor[1]
        # A stretched centre is off by the same for all, which no difference shows.
        shift = 16 * (stretch - 1)
        centre = [(edges[i] + edges[i + 2]) / 2 + shift for i in (0, 1)]
        wanted = [centre[0] / anchor[0], centre[1] / anchor[1], *size]
        np.testing.assert_allclose(boxes[2 * cell + number], wanted, rtol=1e-4)
        objectness = row[4] if activated else yolo.sigmoid(row[4])
        chances = yolo.chances_of(row[5:], classes=classes, activated=activated)
        np.testing.assert_allclose(scores[2 * cell + number], objectness * chances, rtol=1e-4)

"""The error by which the quantizer chooses sees what a detector's user would see."""

import numpy as np
import pytest

from edge_detect.tools.convert.output_error import output_error
from edge_detect.tools.convert.selection import more_views

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


@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_the_pictures_their_mirror_images_and_mosaics_of_the_same_size(channels):
    pictures = [np.full((1, 8, 12, channels), 40 * number, np.uint8) for number in range(1, 4)]
    pictures[0][0, :, 0] = 255
    views = more_views(pictures)
    assert len(views) == 9
    assert {view.shape for view in views} == {(1, 8, 12, channels)}
    np.testing.assert_array_equal(views[3], pictures[0][:, :, ::-1])
    assert views[7][0, 0, 0, 0] == 80
    assert views[7][0, 0, -1, 0] == 120

"""FOMO grids: cells become boxes, and what does not fit is refused."""

import numpy as np
import pytest
from support import references

from edge_detect.core import ModelError
from edge_detect.models.decoders import make_decoder
from edge_detect.models.sections.fomo import FomoSpec
from edge_detect.models.tensors import TensorInfo, Thresholds

BOX = references.plain(64)
HALF = Thresholds(0.5, 0.5, 100)


def decode(grid, labels=1, thresholds=HALF, shape=None, **section):
    section = FomoSpec(outputs={"grid": "grid"}, **section)
    spec = references.manifest("fomo", "raw", labels, 64, fomo=section)
    info = TensorInfo("grid", 0, shape or grid.shape, grid.dtype)
    decoder = make_decoder(spec, {"grid": info})
    return references.decode(decoder, {"grid": grid}, BOX, thresholds)


def draw(*rows):
    """A grid with a background: 9 stands for .9, and so on; a dot for 0."""
    objects = np.array([[int(cell) / 10 if cell != "." else 0 for cell in row] for row in rows])
    return np.stack([1 - objects, objects], -1)[None].astype(np.float32)


def test_cells_that_touch_become_one_box_with_the_best_score():
    found = decode(draw("....", ".79.", "....", "...."))
    np.testing.assert_array_equal(found.boxes, [[16, 16, 48, 32]])
    assert found.scores.tolist() == pytest.approx([0.9])
    assert found.class_ids.tolist() == [0]


def test_cells_that_touch_at_a_corner_belong_together_also_to_the_left_below():
    found = decode(draw("...8", "..7.", ".9..", "...."))
    np.testing.assert_array_equal(found.boxes, [[16, 0, 64, 48]])


def test_a_gap_of_one_cell_parts_two_objects_best_first():
    found = decode(draw("7.9.", "7.9.", "....", "...8"))
    np.testing.assert_array_equal(found.boxes, [[32, 0, 48, 32], [48, 48, 64, 64], [0, 0, 16, 32]])


def test_cells_of_different_classes_stay_apart():
    grid = np.zeros((1, 2, 2, 3), np.float32)
    grid[0, 0, 0, 1], grid[0, 0, 1, 2] = 0.9, 0.8
    found = decode(grid, labels=2)
    assert found.class_ids.tolist() == [0, 1]
    np.testing.assert_array_equal(found.boxes, [[0, 0, 32, 32], [32, 0, 64, 32]])


def test_a_cell_is_of_its_best_class_unless_several_are_asked_for():
    grid = np.zeros((1, 2, 2, 2), np.float32)
    grid[0, 1, 1] = 0.6, 0.7
    assert decode(grid, labels=2, background=False).class_ids.tolist() == [1]
    every = Thresholds(0.5, 0.5, 100, multi_label=True)
    assert decode(grid, 2, every, background=False).class_ids.tolist() == [1, 0]


def test_scores_that_are_not_a_number_are_dropped_and_counted(caplog):
    grid = draw("99", "..")
    grid[0, 0, 0, 1] = np.nan
    assert decode(grid).boxes.tolist() == [[32, 0, 64, 32]]
    assert "1 scores are NaN" in caplog.text


def test_probabilities_above_one_are_held_and_counted_once_per_cell(caplog):
    grid = draw("99", "..")
    grid[0, 0, :, 1] = 7.5
    assert decode(grid).scores.tolist() == [1.0]
    assert "2 scores are above 1, up to 7.5" in caplog.text


def test_scores_that_do_not_fit_the_labels_are_refused_with_their_numbers():
    with pytest.raises(ModelError, match="2 scores per cell, but 3 labels and the background make"):
        decode(draw("..", ".."), labels=3)


@pytest.mark.parametrize("shape", [(1, 10), (1, 0, 4, 2), (2, 4, 4, 2)])
def test_an_output_that_is_no_grid_is_refused(shape):
    with pytest.raises(ModelError, match="which is no grid"):
        decode(draw("..", ".."), shape=shape)


def test_the_output_must_be_named():
    spec = references.manifest("fomo", "raw", 1, 64, fomo=FomoSpec(outputs={}))
    with pytest.raises(ModelError, match=r"fomo\.outputs\.grid is missing"):
        make_decoder(spec, {})


def test_an_unreachable_threshold_finds_nothing():
    section = FomoSpec(outputs={"grid": "grid"})
    spec = references.manifest("fomo", "raw", 1, 64, fomo=section)
    grid = np.full((1, 2, 2, 2), 255, np.uint8)
    info = TensorInfo("grid", 0, grid.shape, grid.dtype, 1 / 512, 0)
    decoder = make_decoder(spec, {"grid": info})
    assert len(decoder.decode({"grid": grid}, BOX, Thresholds(0.9, 0.5, 10))) == 0
    assert len(decoder.decode({"grid": grid}, BOX, Thresholds(0.4, 0.5, 10))) == 1
